"""What each division shares, and the accuracy that it leads to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_lib import protocols
from fer_lib.errors import FerError, Lacking
from fer_lib.network import splits
from fer_lib.network.splits import Split
from fer_lib.protocols import BY_SUBJECT, COPIES, IN_FOLDS, LEAK

WHO = np.repeat(np.arange(10), 8)
TABLE = pd.DataFrame({"subject": WHO, "sequence": WHO * 10 + np.tile(np.arange(8) // 4, 10)})
TABLE["label"] = np.tile(["happy", "anger", "anger", ""], 20)
LABELLED = np.flatnonzero(TABLE["label"] != "")


def memory(part: Split) -> float:
    """A route that is right where it has seen the person."""
    return splits.leakage(TABLE, part)["subject"]


def by_protocol(accuracy=memory, **options):
    return protocols.by_protocol(
        TABLE, LABELLED, accuracy, **{"test_fraction": 0.3, "test_pictures": 12} | options
    )


def test_a_route_that_knows_people_gains_by_the_leak_and_one_that_does_not_gains_nothing() -> None:
    table = by_protocol()
    assert list(table.index) == [BY_SUBJECT, IN_FOLDS, LEAK, COPIES]
    assert list(table["trainings"]) == [1, 3, 1, 1]
    assert table.loc[IN_FOLDS, "test"] == 60 and table.loc[LEAK, "test"] == table.loc[COPIES, "test"] == 12
    assert list(table["same person"]) == list(table["accuracy"]) == [0, 0, 1, 1]
    assert list(table["same picture"]) == [0, 0, 0, 1]
    assert protocols.leak_gain(table) == 1
    assert protocols.leak_gain(by_protocol(lambda part: 0.5)) == 0


def test_only_labelled_pictures_are_divided_and_each_is_tested_once_in_folds() -> None:
    parts: list[Split] = []

    def noted(part: Split) -> float:
        parts.append(part)
        return 0.5

    by_protocol(noted)
    assert all(np.isin(np.concatenate([part.train, part.test]), LABELLED).all() for part in parts)
    assert np.array_equal(np.sort(np.concatenate([part.test for part in parts[1:4]])), LABELLED)


def test_a_division_that_lacks_something_says_so_and_the_others_go_on() -> None:
    def rare(part: Split) -> float:
        if len(part.test) == 12:
            raise Lacking("too few")
        return 0.25

    table = by_protocol(rare)
    assert table["accuracy"].isna().tolist() == [False, False, True, True]
    assert table.loc[LEAK, "lacking"] == "too few" and table.loc[BY_SUBJECT, "lacking"] == ""
    with pytest.raises(Lacking, match="too few"):
        protocols.leak_gain(table)
    many = by_protocol(test_pictures=60)
    assert "leave none for one side" in many.loc[LEAK, "lacking"] and many.loc[LEAK, "trainings"] == 0


def test_an_error_of_the_route_is_no_lack() -> None:
    def broken(part: Split) -> float:
        raise FerError("damaged")

    with pytest.raises(FerError, match="damaged"):
        by_protocol(broken)


def test_the_seed_draws_every_division() -> None:
    def tested(seed: int) -> list[list[int]]:
        parts: list[list[int]] = []

        def noted(part: Split) -> float:
            parts.append(part.test.tolist())
            return 0.5

        by_protocol(noted, seed=seed)
        return parts

    assert tested(0) == tested(0)
    assert all(one != other for one, other in zip(tested(0), tested(1), strict=True))
