"""Detectors of concepts among the maps of any layer: chosen on some groups, tested on the others, beside a null and an interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold

from fer_lib.checks import at_least, generator, group_numbers, named, share
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.arrays import Floats, check_table
from fer_lib.measures.distance import best_maps
from fer_lib.measures.nulls import shuffles_within
from fer_lib.measures.ranks import auc, weighted_wins
from fer_lib.measures.resampling import draw_people

_CHUNK = 2**24  # values of an array that is made in one go


def held_out_detectors(
    scores: ArrayLike,
    present: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    names: Sequence[Hashable] | None = None,
    folds: int = 5,
    permutations: int = 1000,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Choose each concept's map on some groups and test it on the others, in folds, so that every row is tested once.

    Parameters
    ----------
    scores
        Responses, shape (N, C).
    present
        1 with the concept, 0 without, NaN where it is not known, shape (N, J).
    groups
        Who or what each row belongs to, shape (N,), such as the person: no group is on both sides. None: each row stands alone.
    names
        Of the concepts, J of them; by default they are numbered.
    folds
        Parts into which the groups are divided, at least 2; no more than there are groups are used.
    permutations
        For the null: labels are permuted within groups, among rows where the same concepts are known, and maps chosen and tested anew each
        time. Without groups they are permuted among all rows.
    draws
        For the interval: groups are drawn anew this often, the chosen maps staying the same.
    level
        Of the interval, between 0 and 1.
    seed
        Of permutations and draws.

    Returns
    -------
    DataFrame
        One row for each concept: ``map``, chosen on all rows; ``agree``, the share of the folds that chose the same; ``auc``, the
        held-out area under the ROC curve of the folds' maps, averaged over folds by their numbers of pairs; ``low`` and ``high``, its
        interval; ``p``, the share of permutations that reach it (+1, so at least 1 / (permutations + 1)); ``with`` and ``without``,
        the rows with and without the concept. NaN, and map -1, where a concept is nowhere or everywhere; p is NaN as well where
        no group has rows with and without, since nothing can be permuted.

    Raises
    ------
    Lacking
        If there is a single group.
    FerError
        If shapes or options are wrong.

    Examples
    --------
    Ten people with six pictures each; the third of four maps responds to glasses:

    >>> import numpy as np
    >>> import fer_lib as fer
    >>> glasses, people = np.arange(60) % 2, np.arange(60) // 6
    >>> scores = np.random.default_rng(0).random((60, 4)) + np.outer(glasses, [0, 0, 1, 0])
    >>> found = fer.held_out_detectors(scores, glasses[:, None], people, names=["glasses"], permutations=99)
    >>> found[["map", "agree", "auc", "p"]].to_dict("index")
    {'glasses': {'map': 2, 'agree': 1.0, 'auc': 1.0, 'p': 0.01}}
    """
    values, labels = check_table(scores, present)
    number = labels.shape[1]
    if not number:
        raise FerError("labels have no column: give one for each concept")
    names = named("names", range(number) if names is None else names, number)
    for name, option, least in (("folds", folds, 2), ("permutations", permutations, 1), ("draws", draws, 1)):
        at_least(name, option, least)
    rng, level = generator(seed), share("level", level)
    group = np.arange(len(values)) if groups is None else group_numbers(groups, len(values))
    if group.max(initial=-1) < 1:
        raise Lacking("there is a single group, so that no other is left to test on: give groups of the rows")
    split = GroupKFold(min(folds, int(group.max()) + 1)).split(values, groups=group)
    parts = [(train, test) for train, test in split]
    area, chosen = _cross_fitted(values, labels, parts)
    p = _p_values(values, labels, parts, np.zeros_like(group) if groups is None else group, permutations, rng)
    bounds = _intervals(values, labels, parts, chosen, group, draws, level, rng)
    best = best_maps(auc(values, labels))
    table = {
        "map": best,
        "agree": np.where(best >= 0, (chosen == best).mean(axis=0), np.nan),
        "auc": area,
        "low": bounds[0],
        "high": bounds[1],
        "p": p,
        "with": (labels == 1).sum(axis=0),
        "without": (labels == 0).sum(axis=0),
    }
    # Names may be tuples, of which pandas would make several levels.
    return pd.DataFrame(table, index=pd.Index(names, name="concept", tupleize_cols=False))


Parts = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def _cross_fitted(values: Floats, labels: Floats, parts: Parts) -> tuple[Floats, NDArray[np.int64]]:
    """Held-out area (J,) under the ROC curve, and the maps (folds, J) that were chosen; -1 for none."""
    won, pairs = np.zeros(labels.shape[1]), np.zeros(labels.shape[1])
    chosen = np.full((len(parts), labels.shape[1]), -1)
    concepts = np.arange(labels.shape[1])
    for fold, (train, test) in enumerate(parts):
        chosen[fold] = best_maps(auc(values[train], labels[train]))
        area = auc(values[test], labels[test])[concepts, chosen[fold]]
        weight = (labels[test] == 1).sum(axis=0) * (labels[test] == 0).sum(axis=0) * (chosen[fold] >= 0)
        won += np.where(weight > 0, area * weight, 0)
        pairs += weight
    return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0), chosen


def _p_values(
    values: Floats,
    labels: Floats,
    parts: Parts,
    within: NDArray[np.int64],
    permutations: int,
    rng: np.random.Generator,
) -> Floats:
    """Share of permutations, labels kept together in a row, that reach the held-out area, (J,)."""
    coding = np.unique(np.isnan(labels), axis=0, return_inverse=True)[1].ravel()
    _, key = np.unique(np.stack([within, coding]), axis=1, return_inverse=True)
    key = key.ravel()
    number = labels.shape[1]
    step = max(1, _CHUNK // (max(values.shape) * number))
    observed, reached = _cross_fitted(values, labels, parts)[0], np.zeros(number)
    for start in range(0, permutations, step):
        rows = shuffles_within(key, min(step, permutations - start), rng)
        permuted = labels[rows].transpose(1, 0, 2).reshape(len(values), -1)  # (N, draws * J)
        null = _cross_fitted(values, permuted, parts)[0].reshape(-1, number)
        # Equal areas may be added up in another order, and so be rounded otherwise.
        reached += (null >= observed - 1e-9).sum(axis=0)
    exchangeable = np.zeros(number, bool)
    for rows in (key == one for one in np.unique(key)):
        exchangeable |= (labels[rows] == 1).any(axis=0) & (labels[rows] == 0).any(axis=0)
    return np.where(np.isnan(observed) | ~exchangeable, np.nan, (1 + reached) / (permutations + 1))


def _intervals(
    values: Floats,
    labels: Floats,
    parts: Parts,
    chosen: NDArray[np.int64],
    group: NDArray[np.int64],
    draws: int,
    level: float,
    rng: np.random.Generator,
) -> Floats:
    """Percentiles (2, J) of the held-out area when whole groups are drawn anew."""
    count = int(group.max()) + 1
    times = draw_people(count, draws, rng).astype(float)  # (draws, groups)
    bounds = np.full((2, labels.shape[1]), np.nan)
    for concept in range(labels.shape[1]):
        won, pairs = np.zeros(draws), np.zeros(draws)
        for (_, test), map in zip(parts, chosen[:, concept], strict=True):
            if map >= 0:
                part = weighted_wins(values[test, map], labels[test, concept], times[:, group[test]])
                won, pairs = won + part[0], pairs + part[1]
        drawn = won[pairs > 0] / pairs[pairs > 0]
        if len(drawn):
            bounds[:, concept] = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return bounds
