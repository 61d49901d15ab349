"""What the best of many maps reaches by chance: permutations of action units among sequences, all maps and units at once.

Scores are the largest response of every picture on every map, shape (N, C); `present` holds 1, 0 and NaN (not coded), shape
(N, J). A row is one sequence, as the frames of a sequence are not independent, or the function takes a group for each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from fer_lib.checks import at_least, check_choice, generator, group_numbers
from fer_lib.errors import Lacking
from fer_lib.measures.arrays import BLOCK, Floats, check_maps, check_responses, map_blocks
from fer_lib.measures.ranks import centred_ranks, coding_groups, twice_pairs

Statistic = Literal["auc", "standardised"]
Alternative = Literal["greater", "two-sided"]


@dataclass(frozen=True, eq=False)
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
    who = group_numbers(within, len(values), "within")
    at_least("permutations", permutations)
    check_choice("statistic", statistic, Statistic)
    check_choice("alternative", alternative, Alternative)
    coding = np.unique(np.isnan(labels), axis=0, return_inverse=True)[1].ravel()
    groups = np.unique(np.stack([who, coding]), axis=1, return_inverse=True)[1].ravel()
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
    rng = generator(seed)
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
    keys += groups  # sorting by group first, at random within it
    rows = np.empty((count, len(groups)), dtype=np.int64)
    rows[:, home] = np.argsort(keys, axis=1)
    return rows


def _exceedance(null: Floats, observed: Floats) -> Floats:
    """Return (1 + number of null values at or above the observed) / (B + 1)."""
    return (1 + len(null) - np.searchsorted(np.sort(null), observed, side="left")) / (len(null) + 1)
