"""How much the choices that the paper leaves open change the map that is matched to an action unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import group_numbers, row_numbers
from fer_lib.measures.arrays import Floats, check_responses, check_table
from fer_lib.measures.detectors import LEAST, by_sequence
from fer_lib.measures.distance import Zero, best_maps, distances
from fer_lib.measures.ranks import auc


def distance_choices(
    maximum: ArrayLike,
    present: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    subject: ArrayLike,
    sequence: ArrayLike,
    apex: ArrayLike,
    moves: ArrayLike,
    n: int = 9,
    zero: Zero = "floor",
) -> pd.DataFrame:
    """Match maps to action units on the training people under other choices, and test them on the others.

    Parameters
    ----------
    maximum
        Largest response of every picture on every map, shape (N, C).
    present
        Labels, shape (N, J): 1, 0 or NaN.
    train, test
        Row numbers of the pictures of either people.
    subject, sequence
        Person and sequence of every picture, shape (N,).
    apex, moves
        Whether a picture is the last of its sequence, and whether it carries its sequence's action units, shape (N,).
    n, zero
        As in `fer_lib.measures.distance.distances`: the choice that the others are compared with.

    Returns
    -------
    DataFrame
        Index `choice`, the study's own first; `changed` (AUs whose map is another one), `units` (AUs), `without` (AUs for which
        no single map wins), `auc` (mean AUC of the chosen maps on the apex frames of the test people; NaN where too few of them
        show any AU, or no map was chosen).
    """
    values, labels = check_responses(maximum, present)
    rows, held_out = (row_numbers("rows", some, len(values)) for some in (train, test))
    peak = np.asarray(apex, dtype=bool)
    seen, marks = values[rows], labels[rows]
    last, moving = peak[rows], np.asarray(moves, dtype=bool)[rows]
    who = group_numbers(subject, len(values), "subject")[rows]
    film = group_numbers(sequence, len(values), "sequence")[rows]

    def by_d(some: NDArray[np.bool_] | slice = slice(None), **other: Any) -> Floats:
        return distances(seen[some], marks[some], **({"n": n, "zero": zero} | other))

    def films() -> tuple[Floats, Floats]:
        """One row for each sequence, without neutral first frames: mean response and labels."""
        return by_sequence(seen[moving], marks[moving], film[moving])[:2]

    measures: dict[str, Callable[[], Floats]] = {
        "the study's own": by_d,
        "n = 3": lambda: by_d(n=3),
        "n = 5": lambda: by_d(n=5),
        f"n = {2 * n}": lambda: by_d(n=2 * n),
        "zero rule: skip": lambda: by_d(zero="skip"),
        "zero rule: infinite": lambda: by_d(zero="infinite"),
        "one picture of a person": lambda: one_per_person(seen, marks, who, n=n, zero=zero),
        "apex frames only": lambda: by_d(last),
        "without neutral first frames": lambda: by_d(moving),
        "equal gains": lambda: by_d(scale_free=True),
        "equal gains, equal numbers, signed": lambda: by_d(scale_free=True, size_matched=True, signed=True),
        "difference of means of sequences": lambda: difference_of_means(*films()),
        "AUC of apex frames": lambda: auc(seen[last], marks[last]),
        "AUC of sequences": lambda: auc(*films()),
    }
    tested_on = held_out[peak[held_out]]
    unseen = labels[tested_on]
    scores = auc(values[tested_on], unseen)
    enough = np.minimum((unseen == 1).sum(axis=0), (unseen == 0).sum(axis=0)) >= LEAST
    chosen = {name: best_maps(measure()) for name, measure in measures.items()}
    own = chosen["the study's own"]
    found = {}
    for name, maps in chosen.items():
        tested = np.flatnonzero(enough & (maps >= 0))
        found[name] = {
            "changed": int((maps != own).sum()),
            "units": len(own),
            "without": int((maps < 0).sum()),
            "auc": float(scores[tested, maps[tested]].mean()) if len(tested) else np.nan,
        }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("choice")


def one_per_person(
    maximum: ArrayLike, present: ArrayLike, subject: ArrayLike, *, n: int = 9, zero: Zero = "floor"
) -> Floats:
    """Return D with at most one picture of a person, the strongest, on each side.

    Parameters
    ----------
    maximum, present
        Shapes (N, C) and (N, J).
    subject
        Person of every picture, (N,).
    n, zero
        As in `fer_lib.measures.distance.distances`.

    Returns
    -------
    ndarray
        Shape (J, C).
    """
    values, labels = check_table(maximum, present)
    who = group_numbers(subject, len(values), "subject", sort=True)
    rows = []
    for label in labels.T:
        sides = [
            pd.DataFrame(values[label == k]).groupby(who[label == k]).max().to_numpy() for k in (1.0, 0.0)
        ]
        mark = np.repeat([1.0, 0.0], [len(side) for side in sides])[:, None]
        rows.append(distances(np.concatenate(sides), mark, n=n, zero=zero)[0])
    return np.stack(rows)


def difference_of_means(scores: ArrayLike, present: ArrayLike) -> Floats:
    """Return by how much every map's mean response is larger with an action unit than without, shape (J, C); see `auc`.

    NaN for a unit that is present or absent throughout.
    """
    values, labels = check_table(scores, present)
    out = np.full((labels.shape[1], values.shape[1]), np.nan)
    for unit, label in enumerate(labels.T):
        if (label == 1).any() and (label == 0).any():
            out[unit] = values[label == 1].mean(axis=0) - values[label == 0].mean(axis=0)
    return out
