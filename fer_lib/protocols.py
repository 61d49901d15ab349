"""Four ways to divide the pictures into training and test, and the accuracy that each leads to.

Training a network for every division takes hours; the traditional route shows in seconds what a division is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_lib.errors import FerError, Lacking
from fer_lib.network import splits
from fer_lib.network.splits import Split

FOLDS = 3
"""Folds of people."""
BY_SUBJECT, IN_FOLDS, LEAK = "unseen people", "leave people out, in folds", "the paper's random pictures"
COPIES = "the same, other copies of them trained on"  # the paper draws from the augmented set


def by_protocol(
    table: pd.DataFrame,
    labelled: ArrayLike,
    accuracy: Callable[[Split], float],
    *,
    test_fraction: float = 0.2,
    test_pictures: int = 200,
    folds: int = FOLDS,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the divisions: what each shares between its sides, and the accuracy it leads to.

    Parameters
    ----------
    table
        Frames with the columns ``subject``, ``sequence`` and ``label``.
    labelled
        Row numbers of the frames that are divided.
    accuracy
        Trains on one side and returns the share of the labelled pictures on the other that it gets right. Called once for each training.
    test_fraction
        Share of the people held out, see `fer_lib.network.splits.by_subject`.
    test_pictures
        Pictures that the paper draws, see `fer_lib.network.splits.paper_leak`.
    folds
        Folds of people, or as many as there are people.
    seed
        Of the draws, and of the folds (see `fer_lib.network.splits.subject_folds`).

    Returns
    -------
    DataFrame
        Index `test on`; `trainings`, `test` (pictures), `same person`, `same sequence` and `same picture` (share of test pictures
        whose person, sequence or very picture is trained on), `accuracy` (share right, over all test pictures), `lacking` (why a division,
        or its accuracy, is not there; else empty). What is not there is NaN, 0 trainings.
    """
    rows = np.asarray(labelled)
    frames = table.iloc[rows].reset_index(drop=True)

    def chosen(part: Split) -> Split:
        return Split(rows[part.train], rows[part.test])

    def leak() -> Split:
        return chosen(splits.paper_leak(frames, test=test_pictures, seed=seed))

    divisions: dict[str, Callable[[], list[Split]]] = {
        BY_SUBJECT: lambda: [chosen(splits.by_subject(frames, test=test_fraction, seed=seed))],
        IN_FOLDS: lambda: [
            chosen(part)
            for part in splits.subject_folds(frames, min(folds, frames["subject"].nunique()), seed)
        ],
        LEAK: lambda: [leak()],
        COPIES: lambda: [Split(rows, leak().test)],
    }
    found = {}
    for name, divide in divisions.items():
        row: dict[str, object] = {"trainings": 0, "test": 0}
        row |= dict.fromkeys(("same person", "same sequence", "same picture", "accuracy"), np.nan)
        found[name] = row | {"lacking": ""}
        try:
            parts = divide()
            found[name] |= _shared(table, parts)
            right = [accuracy(part) for part in parts]
            found[name]["accuracy"] = float(np.average(right, weights=[len(part.test) for part in parts]))
        except FerError as reason:
            if not isinstance(reason, Lacking) and found[name]["test"]:
                raise
            found[name]["lacking"] = str(reason)
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("test on")


def leak_gain(table: pd.DataFrame) -> float:
    """Return by how much the paper's random pictures raise the accuracy above that on unseen people, from `by_protocol`'s table.

    Raises
    ------
    Lacking
        If one of the two divisions was not run; the message says why.
    """
    right, lacking = table["accuracy"].to_dict(), table["lacking"].to_dict()
    for name in (BY_SUBJECT, LEAK):
        if not np.isfinite(right[name]):
            raise Lacking(lacking[name])
    return float(right[LEAK] - right[BY_SUBJECT])


def _shared(table: pd.DataFrame, parts: Sequence[Split]) -> dict[str, float]:
    """Return what the two sides share, over all test pictures."""
    leaks = pd.DataFrame([splits.leakage(table, part) for part in parts])
    share = leaks[["subject", "sequence", "picture"]].mul(leaks["test"], axis=0).sum() / leaks["test"].sum()
    return {
        "trainings": len(parts),
        "test": int(leaks["test"].sum()),
        "same person": float(share["subject"]),
        "same sequence": float(share["sequence"]),
        "same picture": float(share["picture"]),
    }
