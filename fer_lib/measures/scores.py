"""Further scores of how well a map's responses match an action unit: F1, intersection over union, correlation.

Responses are (N, C), labels 1, 0 and NaN (not coded), (N, J), as everywhere in this folder; a score is (J, C).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_responses, check_table
from fer_lib.measures.distance import distances
from fer_lib.measures.ranks import auc, average_precision, coding_groups

Score = Callable[[Floats, Floats], Floats]
"""Takes responses (N, C) and labels (N, J), returns (J, C)."""


def best_f1(scores: ArrayLike, present: ArrayLike) -> Floats:
    """Return the largest F1 that any threshold reaches, of every map for every action unit.

    Parameters
    ----------
    scores, present
        Shapes (N, C) and (N, J); see `fer_lib.measures.ranks.auc`.

    Returns
    -------
    ndarray
        Shape (J, C), 0 to 1; NaN where no coded picture has the unit. A threshold admits equal responses together. A map that says
        "present" of every picture reaches ``2 q / (1 + q)`` at a prevalence of q: the level of chance.
    """
    values, labels = check_table(scores, present)
    out = np.full((labels.shape[1], values.shape[1]), np.nan)
    for coded, units in coding_groups(labels):
        order = np.argsort(-values[coded], axis=0, kind="stable")
        ordered = np.take_along_axis(values[coded], order, axis=0)
        last = np.ones(ordered.shape, bool)  # of equal responses
        last[:-1] = ordered[1:] < ordered[:-1]
        count = np.arange(1, len(ordered) + 1)[:, None]
        for unit in units:
            label = labels[coded, unit]
            if label.any():
                f1 = 2 * label[order].cumsum(axis=0) / (count + label.sum())
                out[unit] = np.where(last, f1, 0.0).max(axis=0)
    return out


def top_iou(scores: ArrayLike, present: ArrayLike, *, active: float = 0.05) -> Floats:
    """Return the intersection over union of the pictures that excite a map most with those that show an action unit.

    Parameters
    ----------
    scores, present
        Shapes (N, C) and (N, J); see `fer_lib.measures.ranks.auc`.
    active
        Share of the coded pictures, rounded up, that count as exciting the map, with all that are as strong; above 0, at most 1. Those
        with the map's weakest response never count, so that of a map that is mostly silent fewer do.

    Returns
    -------
    ndarray
        Shape (J, C), 0 to 1; NaN where no coded picture has the unit.
    """
    values, labels = check_table(scores, present)
    if not 0 < active <= 1:
        raise FerError(f"active is {active}; it is a share of the pictures, above 0 and at most 1")
    out = np.full((labels.shape[1], values.shape[1]), np.nan)
    for coded, units in coding_groups(labels):
        some, label = values[coded], labels[np.ix_(coded, units)]
        kept = int(np.ceil(active * len(some)))
        bar = np.partition(some, len(some) - kept, axis=0)[len(some) - kept]
        on = ((some >= bar) & (some > some.min(axis=0))).astype(np.float64)
        both, shown = label.T @ on, label.sum(axis=0)[:, None]
        out[units] = both / np.where(shown > 0, on.sum(axis=0) + shown - both, np.nan)
    return out


def correlation(scores: ArrayLike, present: ArrayLike) -> Floats:
    """Return the Pearson correlation of every map's responses with every action unit's labels.

    Parameters
    ----------
    scores, present
        Shapes (N, C) and (N, J); see `fer_lib.measures.ranks.auc`.

    Returns
    -------
    ndarray
        Shape (J, C), -1 to 1; 0 for a map that never varies, NaN for a unit that is present in all coded pictures or in none.
    """
    given, labels = check_responses(scores, present)
    values = given.astype(np.float64)
    out = np.full((labels.shape[1], values.shape[1]), np.nan)
    for coded, units in coding_groups(labels):
        some, label = values[coded], labels[np.ix_(coded, units)]
        # The spread of a constant may be rounded to more than 0.
        varies = np.ptp(some, axis=0) > 0
        some, label = some - some.mean(axis=0), label - label.mean(axis=0)
        length = np.where(varies, np.linalg.norm(some, axis=0), np.inf)
        spread = np.linalg.norm(label, axis=0)
        spread = np.where(np.ptp(labels[np.ix_(coded, units)], axis=0) > 0, spread, np.nan)
        out[units] = label.T @ some / length / spread[:, None]
    return out


SCORES: dict[str, Score] = {
    "D (paper)": lambda maxima, present: distances(maxima, present),
    "D, scale-free, size-matched, signed": lambda maxima, present: distances(
        maxima, present, scale_free=True, size_matched=True, signed=True
    ),
    "AUC": auc,
    "AUPRC": average_precision,
    "F1": best_f1,
    "IoU": top_iou,
    "correlation": correlation,
}
"""Every measure of a match between a map and an action unit, by name."""
