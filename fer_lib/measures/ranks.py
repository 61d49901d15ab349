"""How well the responses of a map tell pictures with an action unit from pictures without: AUC and precision.

Scores are the largest response of every picture on every map, shape (N, C); `present` holds 1, 0 and NaN (not
coded), shape (N, J). A picture that is not coded for an action unit takes no part in that unit's numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from fer_lib.measures.arrays import BLOCK, Floats, check_responses, check_table, map_blocks


def auc(scores: ArrayLike, present: ArrayLike) -> Floats:
    """Return the area under the ROC curve of every map for every action unit.

    The share of (with, without) pairs in which the map responds more strongly to the picture with the action unit, ties
    counting one half: 1 for a perfect detector, 0.5 for chance, 0 for a map that the unit always suppresses.

    Parameters
    ----------
    scores
        Responses, shape (N, C).
    present
        Labels 1, 0 or NaN, shape (N, J).

    Returns
    -------
    ndarray
        Shape (J, C), equal to `sklearn.metrics.roc_auc_score` on the coded pictures; NaN for an action unit
        that is present in all or in none of them.
    """
    values, labels = check_responses(scores, present)
    out = np.full((labels.shape[1], values.shape[1]), np.nan)
    for coded, units in coding_groups(labels):
        label = labels[np.ix_(coded, units)]
        for maps in map_blocks(values):
            ranks = centred_ranks(values[:, maps][coded])
            out[units, maps] = 0.5 + (label.T @ ranks) / twice_pairs(label)[:, None]
    return out


def weighted_wins(score: ArrayLike, label: ArrayLike, weight: ArrayLike) -> tuple[Floats, Floats]:
    """Count the (with, without) pairs that a score gets right, and all such pairs, when rows count several times: won / pairs is an AUC.

    Parameters
    ----------
    score, label
        Of every row, shape (M,); rows whose label is neither 1 nor 0 take no part.
    weight
        How often each row counts, shape (B, M): for instance how often its person was drawn in each of B resamples.

    Returns
    -------
    tuple
        Pairs that are won, ties by half, and all pairs, shape (B,). Whole weights give exact counts. Memory grows with M, not with the
        number of pairs.
    """
    values, truth, times = (
        np.asarray(score, dtype=np.float64),
        np.asarray(label),
        np.asarray(weight, dtype=np.float64),
    )
    known = np.flatnonzero((truth == 1) | (truth == 0))
    won, pairs = np.zeros(len(times)), np.zeros(len(times))
    if not len(known):
        return won, pairs
    order = known[np.argsort(values[known], kind="stable")]
    _, first = np.unique(values[order], return_index=True)
    there = truth[order] == 1
    step = max(1, BLOCK // len(order))
    for start in range(0, len(times), step):
        part = slice(start, start + step)
        some = times[part][:, order]
        above, below = (np.add.reduceat(some * side, first, axis=1) for side in (there, ~there))
        lower = below.cumsum(axis=1) - below / 2  # what lies below each score, and half of what ties with it
        won[part] = (above * lower).sum(axis=1)
        pairs[part] = above.sum(axis=1) * below.sum(axis=1)
    return won, pairs


def average_precision(scores: ArrayLike, present: ArrayLike) -> Floats:
    """Return the average precision of every map for every action unit.

    The mean, over the pictures with the unit, of the precision at a threshold that just admits the picture
    (and all its ties). Its chance level is the prevalence, not 0.5.

    Parameters
    ----------
    scores, present
        As in `auc`.

    Returns
    -------
    ndarray
        Shape (J, C), equal to `sklearn.metrics.average_precision_score`; NaN where no coded picture has it.
    """
    values, labels = check_table(scores, present)
    out = np.full((labels.shape[1], values.shape[1]), np.nan)
    for coded, units in coding_groups(labels):
        score = values[coded]
        order = np.argsort(-score, axis=0, kind="stable")
        admitted = (len(score) + 1 - rankdata(score, method="min", axis=0)).astype(np.int64)  # with all ties
        admitted = np.take_along_axis(admitted, order, axis=0)
        for unit in units:
            hit = labels[coded, unit][order]
            hits = np.take_along_axis(hit.cumsum(axis=0), admitted - 1, axis=0)
            if hit[:, 0].any():
                out[unit] = (hit * hits / admitted).sum(axis=0) / hit[:, 0].sum()
    return out


def coding_groups(labels: Floats) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Yield (coded rows (N,), columns) for every set of units that are coded on the same rows, at least one."""
    known = ~np.isnan(labels)
    if labels.shape[1] and (known == known[:, :1]).all():  # the usual case, without sorting whole columns
        if known[:, 0].any():
            yield known[:, 0], np.arange(labels.shape[1])
        return
    patterns, inverse = np.unique(known, axis=1, return_inverse=True)
    for index, pattern in enumerate(patterns.T):
        if pattern.any():
            yield pattern, np.flatnonzero(inverse.ravel() == index)


def centred_ranks(scores: NDArray[np.floating]) -> Floats:
    """Return 2 rank - (N + 1) down every column, ties averaged: whole numbers that add up to 0."""
    return 2 * rankdata(scores, axis=0) - (len(scores) + 1)


def twice_pairs(label: Floats) -> Floats:
    """Return 2 n_with n_without per column, the divisor of the rank sum; NaN where one is 0."""
    pairs = 2 * (label == 1).sum(axis=0) * (label == 0).sum(axis=0)
    return np.where(pairs > 0, pairs, np.nan)
