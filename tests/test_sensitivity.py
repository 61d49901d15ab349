"""Choices of the distance and of the split, on a study of numbers without any network."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer_lib.config import make_settings
from fer_lib.experiment import matching, sensitivity, trial
from fer_lib.measures import detectors
from fer_lib.measures.distance import distances

AUS = (1, 4)


def toy(detector: bool = True, unseen: int = 6) -> Any:
    """Sequences of three frames; map 2 answers to AU 1, map 5 to AU 4."""
    rng = np.random.default_rng(0)
    people, sequences, frames, maps = 12, 4, 3, 8
    sequence = np.repeat(np.arange(people * sequences), frames)
    position = np.tile(np.arange(frames), people * sequences)
    units = rng.integers(0, 2, (people * sequences, 2)).astype(float)
    present = np.where(position[:, None] > 0, units[sequence], 0.0)
    maximum = rng.random((len(sequence), maps))
    maximum[:, [2, 5]] += 4.0 * present * detector
    subject = sequence // sequences
    table = pd.DataFrame({"subject": subject, "sequence": sequence, "position": position, "length": frames})
    table["expression"] = np.array(["happy", "anger", ""])[sequence % 3]
    study = SimpleNamespace(table=table, coded_aus=AUS, settings=make_settings("smoke"))
    study.present = pd.DataFrame(present, columns=list(AUS))
    study.responses = SimpleNamespace(maximum=maximum)
    held_out = subject >= people - unseen
    study.people = SimpleNamespace(train=np.flatnonzero(~held_out), test=np.flatnonzero(held_out))
    study.matchable = lambda: AUS
    study.moves = position > 0
    study.apexes = lambda rows: rows[position[rows] == frames - 1]
    study.moves, study.matchable = position > 0, lambda: AUS
    return study


def infinite(study: Any) -> Any:
    """The same with every map silent on some picture with and some without each unit, and the rule "infinite"."""
    study.settings = study.settings.replace(zero_rule="infinite")
    study.responses.maximum[study.present[1].to_numpy() == 0, :] = 0.0
    return study


def test_every_choice_finds_clear_detectors() -> None:
    table = sensitivity.distance_choices(toy())
    assert (table["changed"] == 0).all() and (table["auc"] == 1).all()


def test_where_distances_are_infinite_no_map_is_chosen() -> None:
    table = sensitivity.distance_choices(infinite(toy()))
    own = table.loc["the study's own"]
    assert own["without"] >= 1
    # A measure without a winner for any unit has no AUC: it does not borrow the last map's.
    hopeless = toy()
    hopeless.responses.maximum[:] = 0.0
    nothing = sensitivity.distance_choices(hopeless)
    assert (nothing["without"] == 2).all() and nothing["auc"].isna().all()


def test_auc_of_apex_frames_is_the_choice_of_section_4_1() -> None:
    study = toy(detector=False)
    table = sensitivity.distance_choices(study)
    train, test = (study.apexes(rows) for rows in (study.people.train, study.people.test))
    present, maximum = study.present.to_numpy(), study.responses.maximum
    chosen = detectors.select_and_test(maximum, present, train, test, units=AUS)
    assert table.loc["AUC of apex frames", "auc"] == pytest.approx(chosen["test_auc"].mean())


def test_without_unseen_people_there_is_no_auc() -> None:
    assert sensitivity.distance_choices(toy(unseen=0))["auc"].isna().all()


def test_one_picture_of_a_person() -> None:
    rng = np.random.default_rng(1)
    maxima, present = rng.random((40, 3)), rng.integers(0, 2, (40, 1)).astype(float)
    alone = sensitivity.one_per_person(maxima, present, np.arange(40), n=4)
    np.testing.assert_allclose(alone, distances(maxima, present, 4))
    twice = np.repeat(np.arange(20), 2)
    doubled = sensitivity.one_per_person(
        np.repeat(maxima, 2, 0), np.repeat(present, 2, 0), np.repeat(np.arange(40), 2), n=4
    )
    np.testing.assert_allclose(doubled, alone)
    assert not np.allclose(sensitivity.one_per_person(maxima, present, twice, n=4), alone)


@pytest.mark.parametrize("detector", [True, False])
def test_nulls_of_a_study(detector: bool) -> None:
    study = toy(detector)
    within = matching.within_expression(study, AUS)
    assert ((within < 0.05) == detector).all()
    nulls = matching.distance_nulls(study, (4, 27))
    assert list(nulls) == [4] and np.isfinite(nulls[4]).all()
    assert matching.distance_nulls(study, (27,)) == {}


def test_a_unit_that_goes_with_the_expression_cannot_be_told_from_it() -> None:
    study = toy()
    study.present[1] = (study.table["expression"] == "happy").astype(float)
    within = matching.within_expression(study, AUS)
    assert np.isnan(within[0]) and np.isfinite(within[1])


def test_words_for_verdicts() -> None:
    names = ("auc_d", "auc_auc", "auc_untrained_d", "auc_untrained_auc", "auc_expression")
    names += ("p", "p_d", "p_joint")
    verdicts = pd.DataFrame({name: [0.6, np.nan] for name in names})
    assert "0.60" in matching.told(verdicts) and "nan" not in matching.told(verdicts)
    assert "Too few" in matching.told(verdicts.iloc[1:])
    columns = ("iou", "above", "hits", "silent", "chance", "aus")
    rows = ("chosen by D", "random map", "chosen by D, untrained")
    assert "25 %" in trial.dissection_told(pd.DataFrame(0.25, index=rows, columns=columns).assign(aus=3))
    assert "Too few" in trial.dissection_told(pd.DataFrame(np.nan, index=rows, columns=columns).assign(aus=0))
