"""Sets of maps instead of one winner: how often each map would be chosen if other people had been photographed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import group_numbers
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_table
from fer_lib.measures.distance import best_maps
from fer_lib.measures.ranks import auc, average_precision
from fer_lib.measures.resampling import draw_people, percentile_interval
from fer_lib.measures.scores import Score


@dataclass(frozen=True)
class BootstrapMaps:
    """Which maps win when people are drawn anew, and what the winner then reaches on other people.

    Attributes
    ----------
    table
        A row for each action unit: ``au``; ``map`` (chosen on all training rows; -1 for none) and ``share`` (of the draws that choose
        it too); ``size`` (maps in the smallest set that holds the wanted share of the wins) and ``maps`` (these, most frequent
        first); ``none`` (share of the draws in which no single map wins); ``auc`` and ``precision`` of ``map`` on the test rows, each with
        ``<name>_low`` and ``<name>_high`` (people drawn anew on both sides, and the map chosen anew) and ``<name>_low_fixed`` and
        ``<name>_high_fixed`` (test people drawn anew, the map staying the same: too short, as it forgets the choice).
    wins
        Share of the draws that each map wins, shape (J, C).
    """

    table: pd.DataFrame
    wins: Floats


def bootstrap_maps(
    maximum: ArrayLike,
    present: ArrayLike,
    subject: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    aus: Sequence[int],
    score: Score = auc,
    chosen_on: ArrayLike | None = None,
    cover: float = 0.95,
    draws: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> BootstrapMaps:
    """Draw people anew, choose every action unit's map anew, and test it on test people drawn anew.

    Parameters
    ----------
    maximum, present
        Responses (N, C) and labels 1, 0 or NaN, (N, J).
    subject
        Person of every row, shape (N,).
    train, test
        Rows of the people whose maps are chosen and of the others, on whose rows they are tested.
    aus
        Numbers of the J action units.
    score
        Chooses: the map with its largest value; for instance `fer_lib.measures.distance.distances`.
    chosen_on
        Rows that the choice looks at, all of training people: for D, every picture of a sequence. None: `train`.
    cover
        Share of the wins that the set of maps has to hold, above 0, at most 1.
    draws, level, seed
        Draws of people, level of the intervals, and the seed.

    Returns
    -------
    BootstrapMaps

    Raises
    ------
    FerError
        If shapes or options are wrong, or somebody is on both sides.

    Examples
    --------
    Two of five maps follow the unit alike, so that either may win:

    >>> import numpy as np
    >>> from fer_lib.measures.bootstrap_maps import bootstrap_maps
    >>> rng, people = np.random.default_rng(0), np.arange(240) // 6
    >>> present = (rng.random((240, 1)) < 0.4).astype(float)
    >>> maximum = rng.normal(size=(240, 5)) + present * [1.5, 0, 1.5, 0, 0]
    >>> found = bootstrap_maps(maximum, present, people, range(120), range(120, 240), aus=[12], draws=100)
    >>> sorted(found.table.loc[0, "maps"]), found.wins.shape
    ([0, 2], (1, 5))
    """
    values, labels = check_table(maximum, present)
    every = np.arange(len(values))
    looked_at, tested_on = (
        every[np.asarray(train if chosen_on is None else chosen_on)],
        every[np.asarray(test)],
    )
    who = group_numbers(subject, len(values))
    if len(aus) != labels.shape[1]:
        raise FerError(f"{len(aus)} unit numbers for {labels.shape[1]} columns of labels")
    if not 0 < cover <= 1 or not 0 < level < 1 or draws < 1:
        raise FerError(
            f"cover={cover}, level={level}, draws={draws}: give shares between 0 and 1 and at least one draw"
        )
    if not len(looked_at) or not len(tested_on) or np.intersect1d(who[looked_at], who[tested_on]).size:
        raise FerError("training and test people overlap, or one side has none; give disjoint ones")
    rng = np.random.default_rng(seed)
    units = np.arange(len(labels.T))
    own = best_maps(score(values[looked_at], labels[looked_at]))
    observed = _tested(values[tested_on], labels[tested_on], own)
    winners = np.empty((draws, len(units)), np.int64)
    with_choice, fixed = np.empty((2, draws, 2, len(units)))
    for draw in range(draws):
        some, others = _drawn(who, looked_at, rng), _drawn(who, tested_on, rng)
        winners[draw] = best_maps(score(values[some], labels[some]))
        with_choice[draw] = _tested(values[others], labels[others], winners[draw])
        fixed[draw] = _tested(values[others], labels[others], own)
    wins = np.stack([(winners == number).mean(axis=0) for number in range(values.shape[1])], axis=1)
    rows = []
    for unit, au in enumerate(aus):
        none = float((winners[:, unit] < 0).mean())
        order = np.argsort(-wins[unit], kind="stable")
        held = wins[unit, order].cumsum()
        # Sums of shares are not exact.
        size = int(np.searchsorted(held, cover * (1 - none) - 1e-9) + 1) if none < 1 else 0
        row: dict[str, object] = {
            "au": au,
            "map": own[unit],
            "share": wins[unit, own[unit]] if own[unit] >= 0 else np.nan,
            "size": size,
            "maps": [int(number) for number in order[:size]],
            "none": none,
        }
        for index, name in enumerate(("auc", "precision")):
            row[name] = observed[index, unit]
            for suffix, drawn in (("", with_choice), ("_fixed", fixed)):
                row[f"{name}_low{suffix}"], row[f"{name}_high{suffix}"] = percentile_interval(
                    drawn[:, index, unit], level
                )
        rows.append(row)
    return BootstrapMaps(pd.DataFrame(rows), wins)


def _drawn(who: NDArray[np.int64], rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of as many people, drawn with replacement; who is drawn twice counts twice."""
    people = np.unique(who[rows])
    times = draw_people(len(people), 1, rng)[0]
    return np.repeat(rows, times[np.searchsorted(people, who[rows])])


def _tested(values: Floats, labels: Floats, maps: NDArray[np.int64]) -> Floats:
    """AUC and average precision, (2, J), of each unit's own map; NaN without a map."""
    out = np.full((2, len(maps)), np.nan)
    for unit in np.flatnonzero(maps >= 0):
        pair = values[:, [maps[unit]]], labels[:, [unit]]
        out[:, unit] = auc(*pair)[0, 0], average_precision(*pair)[0, 0]
    return out
