"""Is a map a detector of an action unit? Nulls and held-out tests, all maps and units at once.

Scores are the largest response of every picture on every map, shape (N, C); `present` holds 1, 0 and NaN (not
coded), shape (N, J). For the nulls a row is one sequence (`by_sequence`): its frames are not independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.distance import Floats, best_maps, check_table
from fer_lib.measures.ranks import auc, average_precision, centred_ranks, coding_groups, twice_pairs

Statistic = Literal["auc", "standardised"]
__all__ = ["Null", "auc", "average_precision", "benjamini_hochberg"]
__all__ += ["by_sequence", "chosen_p_values", "permutation_null", "select_and_test", "shuffles_within"]

Alternative = Literal["greater", "two-sided"]


def by_sequence(
    scores: ArrayLike, present: ArrayLike, sequence: ArrayLike
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Reduce pictures to one row per sequence: mean response, and present if any picture has the unit.

    Parameters
    ----------
    scores, present
        Shapes (N, C) and (N, J). Leave neutral first frames out beforehand: they carry no action unit.
    sequence
        Name of every picture's sequence, shape (N,).

    Returns
    -------
    tuple
        Scores (M, C), labels (M, J; NaN where no picture is coded), and the index (M,) of each sequence's
        first picture, in the order of the pictures: ``table.iloc[first]`` tells subject and expression.
    """
    values, labels = check_table(scores, present)
    _, first, inverse = np.unique(np.asarray(sequence), return_index=True, return_inverse=True)
    order = np.argsort(first)
    member = (inverse[None, :] == order[:, None]).astype(np.float64)  # (M, N)
    coded = member @ ~np.isnan(labels)
    any_present = member @ (labels == 1)
    reduced = np.where(coded > 0, (any_present > 0).astype(np.float64), np.nan)
    return member @ values / member.sum(axis=1, keepdims=True), reduced, first[order]


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
        One row per sequence, shapes (N, C) and (N, J); see `by_sequence`.
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
    """
    values, labels = check_table(scores, present)
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
        ranks, label = centred_ranks(values[coded]), labels[np.ix_(coded, units)]
        kernels.append((coded, units, ranks, _moments(ranks, label, groups[coded]), 1 / twice_pairs(label)))
    two_sided = alternative == "two-sided"

    def measure(rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Yield units and their statistic (b, J', C) when row i carries the labels of ``rows[:, i]``."""
        for coded, units, ranks, (mean, scale), _ in kernels:
            # Centred doubled ranks are whole numbers; single precision adds them exactly below 2**24.
            kind = np.float32 if len(ranks) ** 2 < 2**25 else np.float64
            source = np.ascontiguousarray(labels[:, units].T.astype(kind))
            moved = source[:, rows[:, coded]]  # (J', b, N')
            sums = (moved.reshape(-1, moved.shape[-1]) @ ranks.astype(kind)).reshape(*moved.shape[:2], -1)
            if statistic == "standardised":
                sums -= mean[:, None].astype(kind)
                sums *= scale[:, None].astype(kind)
            yield units, (np.abs(sums, out=sums) if two_sided else sums).swapaxes(0, 1)

    observed = np.full((labels.shape[1], values.shape[1]), np.nan)
    for units, result in measure(np.arange(len(values))[None]):
        observed[units] = result[0]
    maxima = np.full((permutations, labels.shape[1]), np.nan)
    generator = np.random.default_rng(seed)
    chunk = max(1, 2**25 // (labels.shape[1] * max(values.shape)))  # 128 MiB an array in single precision
    for start in range(0, permutations, chunk):
        rows = shuffles_within(groups, min(chunk, permutations - start), generator)
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
    values, labels = check_table(scores, present)
    p = np.full(labels.shape[1], np.nan)
    for unit, map in enumerate(np.asarray(chosen, dtype=np.int64)):
        if map >= 0:
            null = permutation_null(
                values[:, [map]], labels[:, [unit]], within, permutations=permutations, seed=seed
            )
            p[unit] = null.p_values()[0, 0]
    return p


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Return p values adjusted to the false discovery rate (Benjamini and Hochberg 1995).

    Parameters
    ----------
    p
        Values in [0, 1], any shape; NaN stays NaN and is not counted.

    Returns
    -------
    ndarray
        Same shape: reject those at or below q to keep the expected share of false discoveries at q.
    """
    values = np.asarray(p, dtype=np.float64)
    known = ~np.isnan(values)
    if ((values[known] < 0) | (values[known] > 1)).any():
        raise FerError("p values lie between 0 and 1")
    flat = values[known]
    order = np.argsort(flat)[::-1]
    adjusted = np.minimum.accumulate(flat[order] * flat.size / np.arange(flat.size, 0, -1))
    flat[order] = np.minimum(adjusted, 1.0)
    out = values.copy()
    out[known] = flat
    return out


def select_and_test(
    scores: ArrayLike,
    present: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    units: Sequence[int],
    chosen: ArrayLike | None = None,
) -> pd.DataFrame:
    """Choose every action unit's map on the training rows and say how well it does on the test rows.

    Parameters
    ----------
    scores, present
        Shapes (N, C) and (N, J).
    train, test
        Indices of rows, of disjoint subjects if the result is to mean anything for new faces.
    units
        Numbers of the action units, the columns of `present`.
    chosen
        Maps chosen on the training rows by another measure, shape (J,), -1 for none: for instance
        ``best_maps(distances(...))``. Without it, the map of the largest AUC.

    Returns
    -------
    DataFrame
        One row per action unit: `au`, `map`, `train_auc`, `test_auc`, `test_precision` (average precision),
        `prevalence` (its chance level), `hit_rate` and `false_alarm_rate` on the test rows at the threshold
        that maximises their difference on the training rows, `train_with`, `test_with`, `test_without` (rows).
    """
    values, labels = check_table(scores, present)
    train, test = np.asarray(train), np.asarray(test)
    if len(units) != labels.shape[1]:
        raise FerError(f"{len(units)} unit numbers for {labels.shape[1]} columns of labels")
    if np.intersect1d(np.arange(len(values))[train], np.arange(len(values))[test]).size:
        raise FerError("training and test rows overlap; choose disjoint ones")
    train_auc = auc(values[train], labels[train])
    maps = best_maps(train_auc) if chosen is None else np.asarray(chosen)
    records = []
    for column, (unit, chosen_map) in enumerate(zip(units, maps.tolist(), strict=True)):
        label_train, label_test = labels[train, column], labels[test, column]
        record: dict[str, float] = {"au": unit, "map": chosen_map, "train_with": (label_train == 1).sum()}
        record |= {"test_with": (label_test == 1).sum(), "test_without": (label_test == 0).sum()}
        record["prevalence"] = record["test_with"] / max(record["test_with"] + record["test_without"], 1)
        if chosen_map >= 0:
            score_train, score_test = values[train, chosen_map], values[test, chosen_map]
            hits, alarms = _rates(score_test, label_test, _threshold(score_train, label_train))
            record |= {
                "train_auc": train_auc[column, chosen_map],
                "test_auc": auc(score_test[:, None], label_test[:, None])[0, 0],
                "test_precision": average_precision(score_test[:, None], label_test[:, None])[0, 0],
                "hit_rate": hits,
                "false_alarm_rate": alarms,
            }
        records.append(record)
    columns = [
        "au",
        "map",
        "train_auc",
        "test_auc",
        "test_precision",
        "prevalence",
        "hit_rate",
        "false_alarm_rate",
    ]
    return pd.DataFrame(records, columns=[*columns, "train_with", "test_with", "test_without"])


def _threshold(score: Floats, label: Floats) -> float:
    """Return the threshold, to be exceeded, of the largest hit rate minus false alarm rate."""
    candidates = np.concatenate([[-np.inf], np.unique(score)])
    with_unit, without = np.sort(score[label == 1]), np.sort(score[label == 0])
    gain = np.searchsorted(without, candidates, side="right") / max(len(without), 1) - np.searchsorted(
        with_unit, candidates, side="right"
    ) / max(len(with_unit), 1)
    return float(candidates[gain.argmax()])


def _rates(score: Floats, label: Floats, threshold: float) -> tuple[float, float]:
    above = score > threshold
    with_unit, without = above[label == 1], above[label == 0]
    return (with_unit.mean() if with_unit.size else np.nan), (without.mean() if without.size else np.nan)


def _moments(ranks: Floats, label: Floats, groups: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return mean and 1 / sd of the rank sums, each (J, C), over all permutations within groups."""
    _, inverse, size = np.unique(groups, return_inverse=True, return_counts=True)
    member = (inverse[None] == np.arange(len(size))[:, None]).astype(np.float64)  # (G, N)
    positive = member @ label  # (G, J)
    total = member @ ranks  # (G, C)
    spread = member @ ranks**2 - total**2 / size[:, None]
    share = positive * (size[:, None] - positive) / (size * np.maximum(size - 1, 1))[:, None]
    variance = share.T @ spread
    # A label or map that no permutation changes has statistic 0; whole numbers vary by far more than 1e-6.
    moves = variance > 1e-6
    return (positive / size[:, None]).T @ total, np.where(
        moves, 1 / np.sqrt(np.where(moves, variance, 1.0)), 0.0
    )


def shuffles_within(
    groups: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return row indices (count, N) that shuffle every group within itself."""
    home = np.argsort(groups, kind="stable")
    keys = generator.random((count, len(groups)))
    keys += groups  # sorting by group first, by chance within it
    rows = np.empty((count, len(groups)), dtype=np.int64)
    rows[:, home] = np.argsort(keys, axis=1)
    return rows


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
    for name, value, kind in (("statistic", statistic, Statistic), ("alternative", alternative, Alternative)):
        if value not in get_args(kind):
            raise FerError(f"{name} {value!r} is unknown; choose one of {', '.join(get_args(kind))}")
