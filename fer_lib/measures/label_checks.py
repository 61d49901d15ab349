"""Two checks of a measure that says how well a map matches an action unit: labels removed, labels added.

A map that answers to an action unit answers worse to half of it, and worse to it and as many other pictures. A measure
whose value does not fall when labels are spoilt in this way cannot tell a detector of the unit from that of something narrower or
wider (Oikarinen, Yan and Weng 2025).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import group_numbers
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.arrays import Floats, check_maps, check_table
from fer_lib.measures.scores import SCORES, Score, top_iou

CHECKS = ("labels removed", "labels added")
LEAST_FALL = 1e-3
"""Share of a measure's range by which a value has to fall, as in the paper's own code."""
PASSED = 0.9
"""Share of the pairs whose value has to fall for a measure to pass."""


def label_checks(
    maximum: ArrayLike,
    present: ArrayLike,
    subject: ArrayLike,
    *,
    sequence: ArrayLike | None = None,
    concept: ArrayLike | None = None,
    scores: Mapping[str, Score] = SCORES,
    relabellings: int = 10,
    draws: int = 100,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Spoil the labels of the action unit that each map is said to detect, and count how often each measure sees it.

    *Labels removed*: each picture with the unit loses its label with probability one half. *Labels added*: each without it gets one
    with such a probability that there are about twice as many with the unit.

    Parameters
    ----------
    maximum
        Largest response of every picture on every map, shape (N, C), at least 0.
    present
        Labels 1, 0 or NaN, shape (N, J).
    subject
        Person of every picture, shape (N,): people are what the interval draws anew.
    sequence
        Sequence of every picture, shape (N,), whose labels are spoilt together. None: each picture is spoilt by itself.
    concept
        Column of `present` that each map is said to detect, shape (C,), -1 for none. None: that with the largest
        `fer_lib.measures.scores.top_iou`, as in the paper for the maps of hidden layers.
    scores
        The measures to check, by name.
    relabellings
        How often labels are spoilt, at least 1.
    draws, level, seed
        Draws of people for the interval (0: none), its level, and the seed of everything random.

    Returns
    -------
    DataFrame
        A row for each measure and check: ``measure``, ``check``, ``pairs`` (maps with an action unit), ``falls`` (share of the pairs whose
        value falls by at least `LEAST_FALL` of the measure's range, mean over relabellings), ``low`` and ``high`` (its interval over
        people, of whom each draw has its labels spoilt anew), ``change`` (mean change, as a share of the range), ``passes`` (whether
        ``falls`` is at least `PASSED`).

    Raises
    ------
    Lacking
        If no map has an action unit that some pictures show and others do not.
    FerError
        If shapes or options are wrong.

    Notes
    -----
    How a measure fares depends on the maps: the chance levels of AUPRC, F1 and IoU rise with the number of labels, which outweighs
    what a weak map loses when labels are added. Ideal maps show the measure alone: give the labels themselves as responses, and
    their own columns as `concept`.

    References
    ----------
    Oikarinen, Yan and Weng (2025), Evaluating Neuron Explanations: A Unified Framework with Sanity Checks. ICML; arXiv 2506.05774.
    """
    values, labels = check_table(maximum, present)
    who = group_numbers(subject, len(values), "subject")
    films = np.arange(len(values)) if sequence is None else group_numbers(sequence, len(values), "sequence")
    if relabellings < 1 or draws < 0 or not 0 < level < 1:
        raise FerError(
            f"relabellings={relabellings}, draws={draws}, level={level}: give at least 1, at least 0 and a share between 0 and 1"
        )
    both_sides = (labels == 1).any(axis=0) & (labels == 0).any(axis=0)
    own = (
        _best_columns(values, labels, both_sides)
        if concept is None
        else _columns(concept, labels, values.shape[1])
    )
    own = np.where((own >= 0) & both_sides[own], own, -1)
    if not (own >= 0).any():
        raise Lacking(
            "no map has an action unit that some pictures show and others do not, so that no label can be spoilt"
        )
    pairs = {int(j): np.flatnonzero(own == j) for j in np.unique(own[own >= 0])}
    spans = {name: _span(score(values, labels)) for name, score in scores.items()}
    rng = np.random.default_rng(seed)

    def changes(rows: NDArray[np.int64] | slice, times: int) -> dict[tuple[str, str], Floats]:
        """Change of each pair's value as a share of the range, (times, pairs)."""
        some, marks, film = values[rows], labels[rows], films[rows]
        spoilt = {check: [_spoil(marks, film, check, rng) for _ in range(times)] for check in CHECKS}
        found: dict[tuple[str, str], Floats] = {}
        for name, score in scores.items():
            before = _of_pairs(score, some, marks, pairs)
            for check, ways in spoilt.items():
                after = np.stack([_of_pairs(score, some, way, pairs) for way in ways])
                found[name, check] = (after - before) / spans[name]
        return found

    observed = changes(slice(None), relabellings)
    rows_of = [np.flatnonzero(who == person) for person in range(who.max() + 1)]
    drawn: dict[tuple[str, str], list[float]] = {key: [] for key in observed}
    for _ in range(draws):
        people = rng.integers(len(rows_of), size=len(rows_of))
        for key, change in changes(np.concatenate([rows_of[person] for person in people]), 1).items():
            drawn[key].append(_falls(change))
    table = []
    for (name, check), change in observed.items():
        share = _falls(change)
        known = [value for value in drawn[name, check] if np.isfinite(value)]
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if known else (np.nan, np.nan)
        size = change.shape[1]
        mean = float(np.nanmean(change)) if np.isfinite(change).any() else np.nan
        table.append((name, check, size, share, low, high, mean, share >= PASSED))
    return pd.DataFrame(
        table, columns=["measure", "check", "pairs", "falls", "low", "high", "change", "passes"]
    )


def _best_columns(values: Floats, labels: Floats, able: NDArray[np.bool_]) -> NDArray[np.int64]:
    iou = np.where(able[:, None], np.nan_to_num(top_iou(values, labels), nan=-1.0), -1.0)
    varies = np.ptp(values, axis=0) > 0
    return np.where((iou.max(axis=0, initial=-1.0) > 0) & varies, iou.argmax(axis=0), -1)


def _columns(concept: ArrayLike, labels: Floats, maps: int) -> NDArray[np.int64]:
    columns = np.asarray(concept)
    if columns.shape != (maps,):
        raise FerError(
            f"concepts have shape {columns.shape} for {maps} maps; give the column of one for each"
        )
    return check_maps(columns, maps, labels.shape[1])


def _of_pairs(score: Score, values: Floats, labels: Floats, pairs: dict[int, NDArray[np.int64]]) -> Floats:
    """Value of each pair, one action unit's after the other's."""
    return np.concatenate([score(values[:, maps], labels[:, [j]])[0] for j, maps in pairs.items()])


def _span(score: Floats) -> float:
    known = score[np.isfinite(score)]
    span = float(np.ptp(known)) if len(known) else 0.0
    return span if span > 0 else 1.0


def _falls(change: Floats) -> float:
    known = change[~np.isnan(change)]
    return float((known < -LEAST_FALL).mean()) if len(known) else float("nan")


def _spoil(labels: Floats, film: NDArray[np.int64], check: str, rng: np.random.Generator) -> Floats:
    """Labels of whole sequences taken away, or given to such as show the unit nowhere."""
    count = int(film.max()) + 1
    shows, coded = np.zeros((count, labels.shape[1]), bool), np.zeros((count, labels.shape[1]), bool)
    np.logical_or.at(shows, film, labels == 1)
    np.logical_or.at(coded, film, ~np.isnan(labels))
    free = coded & ~shows
    if check == "labels removed":
        chosen = shows & (rng.random(shows.shape) < 0.5)
        return np.where((labels == 1) & chosen[film], 0.0, labels)
    rate = shows.sum(axis=0) / np.maximum(free.sum(axis=0), 1)
    chosen = free & (rng.random(shows.shape) < rate)
    return np.where((labels == 0) & chosen[film], 1.0, labels)
