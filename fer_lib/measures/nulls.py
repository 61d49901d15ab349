"""What the best of many maps reaches by chance: permutations of action units among sequences, all maps and units at once.

Scores are the largest response of every picture on every map, shape (N, C); `present` holds 1, 0 and NaN (not coded), shape
(N, J). A row is one sequence, as the frames of a sequence are not independent, or the function is told which rows belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.distance import (
    BLOCK,
    Floats,
    Zero,
    check_choice,
    check_maps,
    check_responses,
    distance,
    map_blocks,
)
from fer_lib.measures.ranks import centred_ranks, coding_groups, twice_pairs

Statistic = Literal["auc", "standardised"]
Alternative = Literal["greater", "two-sided"]
_PREFIX = 8192  # of each map's strongest pictures, among which the n strongest with or without a unit are looked for first


@dataclass(frozen=True)
class Null:
    """What the best of C maps reaches when labels say nothing about responses.

    Attributes
    ----------
    observed
        The statistic of every action unit and map, shape (J, C).
    maxima
        Its largest value over the maps in every permutation, shape (B, J).
    statistic, alternative
        As given to `permutation_null`.
    """

    observed: Floats
    maxima: Floats
    statistic: str
    alternative: str

    def p_values(self) -> Floats:
        """Return p of every unit and map, shape (J, C), corrected for the choice among C maps (max-T, +1)."""
        p = np.full(self.observed.shape, np.nan)
        for unit, observed in enumerate(self.observed):
            known = ~np.isnan(observed)
            p[unit, known] = _exceedance(self.maxima[:, unit], observed[known])
        return p

    def joint_p_values(self) -> Floats:
        """Return p of every unit's best map, shape (J,), corrected for the choice of map *and* of unit.

        Westfall and Young's min-p over the units: every permutation's maximum is turned into its own p within
        the unit, so that rare units with their wide nulls do not set the bar for all. With J units and B permutations it
        can hardly fall below J / (B + 1).
        """
        with np.errstate(invalid="ignore"):
            best = np.where(np.isnan(self.observed), -np.inf, self.observed).max(axis=1)
        known = np.isfinite(best) & ~np.isnan(self.maxima).any(axis=0)
        p = np.full(len(best), np.nan)
        if known.any():
            # Observed and permuted labels are alike under the null, so they are ranked together, among B + 1.
            draws = np.concatenate([best[None, known], self.maxima[:, known]])
            own = (
                1 + len(draws) - rankdata(draws, method="min", axis=0)
            )  # how many draws are at least as large
            p[known] = (own.min(axis=1)[:, None] <= own[0]).mean(axis=0)
        return p


def permutation_null(
    scores: ArrayLike,
    present: ArrayLike,
    within: ArrayLike,
    *,
    permutations: int = 5000,
    seed: int = 0,
    statistic: Statistic = "auc",
    alternative: Alternative = "greater",
) -> Null:
    """Permute whole rows of labels among the rows of each group and record the best map every time.

    A row keeps its action units together, so that their correlation survives; rows move only within a group,
    so that what subjects (or expressions) have in common is part of the null. Rows coded for different sets of
    units are not exchanged. Westfall and Young's max-T: the distribution of the *best* of C maps is the bar for
    a map that was chosen as the best of C.

    Parameters
    ----------
    scores, present
        One row per sequence, shapes (N, C) and (N, J); see `fer_lib.measures.detectors.by_sequence`.
    within
        Group of every row, shape (N,): the subject, or the expression for the null within a class.
    permutations
        B, at least 1; the smallest p is 1 / (B + 1).
    seed
        Of the permutations.
    statistic
        `"auc"`, or `"standardised"`: the rank sum minus its mean over all permutations, divided by its standard
        deviation over them, which weighs all maps alike, whatever their ties and differences between groups.
    alternative
        `"greater"`: the unit drives the map. `"two-sided"`: it drives or suppresses it; the statistic is then
        the distance from chance.

    Returns
    -------
    Null

    Raises
    ------
    Lacking
        When nothing can be permuted.
    FerError
        When an option is unknown.

    References
    ----------
    Westfall and Young (1993), Resampling-Based Multiple Testing. Phipson and Smyth (2010) for the +1.

    Examples
    --------
    Ten people with four sequences each; the first of fifty maps follows the unit, the others follow nothing:

    >>> import numpy as np
    >>> import fer_lib as fer
    >>> present, people = np.arange(40)[:, None] % 2, np.arange(40) // 4
    >>> scores = np.random.default_rng(0).random((40, 50))
    >>> scores[:, :1] += present
    >>> null = fer.permutation_null(scores, present, within=people, permutations=199)
    >>> p = null.p_values()
    >>> p.shape, float(p[0, 0]), bool(p[0, 1:].min() > 0.05)
    ((1, 50), 0.005, True)
    """
    values, labels = check_responses(scores, present)
    _check_null(len(values), within, permutations, statistic, alternative)
    coding = np.unique(np.isnan(labels), axis=0, return_inverse=True)[1].ravel()
    groups = np.unique(np.stack([pd.factorize(np.asarray(within))[0], coding]), axis=1, return_inverse=True)[
        1
    ].ravel()
    if np.bincount(groups).max(initial=0) < 2:
        raise Lacking(
            "every group has a single row, so that nothing can be permuted; choose a coarser `within`"
        )
    kernels = []
    for coded, units in coding_groups(labels):
        label = labels[np.ix_(coded, units)]
        # Doubled centred ranks are whole numbers, exact in single precision up to 2**24.
        ranks = np.empty((len(label), values.shape[1]), np.float32 if len(label) < 2**24 else np.float64)
        mean, scale = np.empty((2, len(units), values.shape[1]))
        for maps in map_blocks(ranks):
            some = centred_ranks(values[:, maps][coded])
            ranks[:, maps] = some
            if statistic == "standardised":
                mean[:, maps], scale[:, maps] = _moments(some, label, groups[coded])
        kernels.append((coded, units, ranks, (mean, scale), 1 / twice_pairs(label)))
    two_sided = alternative == "two-sided"

    def measure(rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Yield units and their statistic (b, J', C) when row i carries the labels of ``rows[:, i]``."""
        for coded, units, ranks, (mean, scale), _ in kernels:
            # Single precision adds them exactly below 2**24.
            kind = np.float32 if len(ranks) ** 2 < 2**25 else np.float64
            source = np.ascontiguousarray(labels[:, units].T.astype(kind))
            moved = source[:, rows[:, coded]]  # (J', b, N')
            flat = moved.reshape(-1, moved.shape[-1])
            products = np.empty((len(flat), ranks.shape[1]), kind)
            for maps in map_blocks(ranks):
                np.matmul(flat, ranks[:, maps].astype(kind, copy=False), out=products[:, maps])
            sums = products.reshape(*moved.shape[:2], -1)
            if statistic == "standardised":
                sums -= mean[:, None].astype(kind)
                sums *= scale[:, None].astype(kind)
            yield units, (np.abs(sums, out=sums) if two_sided else sums).swapaxes(0, 1)

    observed = np.full((labels.shape[1], values.shape[1]), np.nan)
    for units, result in measure(np.arange(len(values))[None]):
        observed[units] = result[0]
    maxima = np.full((permutations, labels.shape[1]), np.nan)
    rng = np.random.default_rng(seed)
    chunk = max(1, BLOCK // (labels.shape[1] * max(values.shape)))
    for start in range(0, permutations, chunk):
        rows = shuffles_within(groups, min(chunk, permutations - start), rng)
        for units, result in measure(rows):
            maxima[start : start + len(rows), units] = result.max(axis=2)
    for _, units, _, _, per_pair in kernels:
        if statistic == "auc":  # from rank sums to areas, which keeps their order
            observed[units] = observed[units] * per_pair[:, None] + (0 if two_sided else 0.5)
            maxima[:, units] = maxima[:, units] * per_pair + (0 if two_sided else 0.5)
        else:  # a unit that is present everywhere or nowhere has no value either way
            observed[units[np.isnan(per_pair)]] = np.nan
    return Null(observed, maxima, statistic, alternative)


def chosen_p_values(
    scores: ArrayLike,
    present: ArrayLike,
    within: ArrayLike,
    chosen: ArrayLike,
    *,
    permutations: int = 5000,
    seed: int = 0,
) -> Floats:
    """Return p of one map for each action unit, which was chosen on other rows than these.

    Parameters
    ----------
    scores, present, within, permutations, seed
        As in `permutation_null`; the statistic is the AUC, its alternative "greater".
    chosen
        Map of each action unit, shape (J,); -1 for none.

    Returns
    -------
    ndarray
        Shape (J,), not corrected for a choice among maps, since none was made on these rows; NaN without a map or
        for a unit that is present or absent throughout.
    """
    values, labels = check_responses(scores, present)
    p = np.full(labels.shape[1], np.nan)
    for unit, map in enumerate(check_maps(chosen, labels.shape[1], values.shape[1])):
        if map >= 0:
            null = permutation_null(
                values[:, [map]], labels[:, [unit]], within, permutations=permutations, seed=seed
            )
            p[unit] = null.p_values()[0, 0]
    return p


def largest_distances(
    maxima: ArrayLike,
    present: ArrayLike,
    sequence: ArrayLike,
    within: ArrayLike,
    moves: ArrayLike,
    *,
    n: int = 9,
    zero: Zero = "floor",
    permutations: int = 500,
    seed: int = 0,
) -> Floats:
    """Give every sequence the action units of another one of its group, and record the largest D of all maps: the bar for the winner.

    A sequence hands on its action units as a whole to all its pictures; sequences that are coded for different
    units are not exchanged.

    Parameters
    ----------
    maxima
        Largest response of every picture on every map, shape (N, C), >= 0.
    present
        Labels 1, 0 or NaN, shape (N, J), the same for all moving pictures of a sequence.
    sequence, within
        Sequence of every picture, and the group that its action units stay in (the subject), shape (N,).
    moves
        Whether a picture carries its sequence's action units, shape (N,); neutral first frames keep their labels.
    n, zero
        As in `fer_lib.measures.distance.distances`.
    permutations, seed
        How many, and their seed.

    Returns
    -------
    ndarray
        Shape (permutations, J); NaN for a unit that no map can be judged on.

    Raises
    ------
    FerError
        When no picture moves, or fewer than one permutation is asked for.
    """
    values, labels = check_responses(maxima, present)
    moving = np.asarray(moves, dtype=bool)
    if not moving.any() or permutations < 1:
        raise FerError(f"{moving.sum()} moving pictures and {permutations} permutations give no null")
    where = np.unique(np.asarray(sequence)[moving], return_inverse=True)[1]
    first = np.flatnonzero(moving)[np.unique(where, return_index=True)[1]]
    vectors = labels[first]
    kind = np.unique(np.isnan(vectors), axis=0, return_inverse=True)[1].ravel()
    subject = np.unique(np.asarray(within)[first], return_inverse=True)[1]
    groups, rng = subject * (kind.max() + 1) + kind, np.random.default_rng(seed)
    strongest = _Strongest(values)
    out = np.full((permutations, labels.shape[1]), np.nan)
    step = max(1, BLOCK // max(len(values), 64 * values.shape[1]))
    for start in range(0, permutations, step):
        rows = shuffles_within(groups, min(step, permutations - start), rng)  # (b, sequences)
        for unit in range(labels.shape[1]):
            label = np.repeat(labels[None, :, unit], len(rows), axis=0)
            label[:, moving] = vectors[rows, unit][:, where]
            d = distance(strongest.of(label == 1, n), strongest.of(label == 0, n), zero=zero)  # (b, C)
            known = np.where(np.isnan(d), -np.inf, d).max(axis=1)
            out[start : start + len(rows), unit] = np.where(np.isnan(d).all(axis=1), np.nan, known)
    return out


def above_null(distances: pd.DataFrame, nulls: Mapping[int, Floats], quantile: float = 0.95) -> list[int]:
    """Return the action units whose largest distance so few draws of its null reach that p is at most 1 - `quantile`.

    Parameters
    ----------
    distances
        D of every action unit (index) on every map (columns).
    nulls
        Largest distances by chance (B,) of some of the units; see `largest_distances`.
    quantile
        Between 0 and 1.

    Raises
    ------
    Lacking
        If there is no null.
    """
    if not nulls:
        raise Lacking("nobody has two sequences whose action units could change places, so there is no null")
    p = distance_p_values([distances.loc[au].max() for au in nulls], np.stack(list(nulls.values()), axis=1))
    return [au for au, reached in zip(nulls, p, strict=True) if reached <= 1 - quantile + 1e-12]


def distance_p_values(largest: ArrayLike, null: ArrayLike) -> Floats:
    """Return p of the largest distance of each action unit.

    Parameters
    ----------
    largest
        Largest D of all maps, shape (J,).
    null
        The same by chance, shape (B, J); see `largest_distances`.

    Returns
    -------
    ndarray
        Share of the draws that reach it, itself counted among them, shape (J,): at least 1 / (B + 1). NaN where either is.
    """
    observed, drawn = np.asarray(largest, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if drawn.ndim != 2 or observed.shape != drawn.shape[1:] or not len(drawn):
        raise FerError(
            f"largest distances {observed.shape} and their null {drawn.shape} do not fit; (J,), (B, J) expected"
        )
    known = ~(np.isnan(observed) | np.isnan(drawn).any(axis=0))
    return np.where(known, (1 + (drawn >= observed).sum(axis=0)) / (len(drawn) + 1), np.nan)


def _moments(ranks: Floats, label: Floats, groups: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return mean and 1 / sd of the rank sums, each (J, C), over all permutations within groups."""
    order, size = np.argsort(groups, kind="stable"), np.unique(groups, return_counts=True)[1]
    starts = np.cumsum(size) - size
    # Whole numbers: their sums do not depend on the order.
    positive, total, squares = (
        np.add.reduceat(numbers[order], starts, axis=0) for numbers in (label, ranks, ranks**2)
    )  # (G, J) and (G, C)
    spread = squares - total**2 / size[:, None]
    share = positive * (size[:, None] - positive) / (size * np.maximum(size - 1, 1))[:, None]
    variance = share.T @ spread
    # A label or map that no permutation changes has statistic 0; whole numbers vary by far more than 1e-6.
    moves = variance > 1e-6
    return (positive / size[:, None]).T @ total, np.where(
        moves, 1 / np.sqrt(np.where(moves, variance, 1.0)), 0.0
    )


def shuffles_within(groups: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return row indices (count, N) that shuffle every group within itself."""
    home = np.argsort(groups, kind="stable")
    keys = rng.random((count, len(groups)))
    keys += groups  # sorting by group first, by chance within it
    rows = np.empty((count, len(groups)), dtype=np.int64)
    rows[:, home] = np.argsort(keys, axis=1)
    return rows


class _Strongest:
    """The strongest pictures of every map, in order: whatever labels permutations give, the strongest of a label are soon found.

    Parameters
    ----------
    values : (N, C) array
        Responses.
    """

    def __init__(self, values: NDArray[np.floating]) -> None:
        self.values = values
        self.order = np.empty((values.shape[1], min(len(values), _PREFIX)), np.int64)
        for maps in map_blocks(values):
            some = values[:, maps].T
            most = np.argpartition(-some, self.order.shape[1] - 1, axis=1)[:, : self.order.shape[1]]
            sorting = np.argsort(-np.take_along_axis(some, most, axis=1), axis=1)
            self.order[maps] = np.take_along_axis(most, sorting, axis=1)
        self.ordered = values[self.order, np.arange(values.shape[1])[:, None]]

    def of(self, chosen: NDArray[np.bool_], n: int) -> Floats:
        """Return the n largest responses (b, C, n) of the pictures chosen in each of b draws, (b, N); NaN beyond their number."""
        count, maps = len(chosen), len(self.order)
        n = min(n, len(self.values))
        wanted = np.minimum(chosen.sum(axis=1), n).repeat(maps)  # of every pair of a draw and a map
        top, found = np.full((count * maps, n), np.nan), np.zeros(count * maps, np.int64)
        pairs, start, width = np.flatnonzero(wanted), 0, 4 * n
        while len(pairs) and start < self.order.shape[1]:
            draw, map = np.divmod(pairs, maps)
            hit = chosen[draw[:, None], self.order[map, start : start + width]]
            rank = found[pairs, None] + hit.cumsum(axis=1)
            row, place = np.nonzero(hit & (rank <= n))
            top[pairs[row], rank[row, place] - 1] = self.ordered[map[row], start + place]
            found[pairs] = rank[:, -1]
            pairs = pairs[found[pairs] < wanted[pairs]]
            start, width = start + width, 2 * width
        for draw in np.unique(pairs // maps):
            # Of what is rare, or missing among the strongest, all pictures are looked at.
            rows, own = np.flatnonzero(chosen[draw]), pairs[pairs // maps == draw]
            kept = wanted[own[0]]
            for part in np.array_split(own, min(len(own), 1 + len(rows) * len(own) // BLOCK)):
                some = -self.values[rows[:, None], part % maps]
                top[part, :kept] = -np.sort(np.partition(some, kept - 1, axis=0)[:kept], axis=0).T
        return top.reshape(count, maps, n)


def _exceedance(null: Floats, observed: Floats) -> Floats:
    """Return (1 + number of null values at or above the observed) / (B + 1)."""
    return (1 + len(null) - np.searchsorted(np.sort(null), observed, side="left")) / (len(null) + 1)


def _check_null(rows: int, within: ArrayLike, permutations: int, statistic: str, alternative: str) -> None:
    if np.shape(within) != (rows,):
        raise FerError(
            f"`within` has shape {np.shape(within)}; it names the group of each of the {rows} rows"
        )
    if permutations < 1:
        raise FerError(f"{permutations} permutations give no null; take at least 1, better 5000")
    check_choice("statistic", statistic, Statistic)
    check_choice("alternative", alternative, Alternative)
