"""A measure against its controls: a difference with its p, and the interval of a mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from fer_lib.checks import at_least, generator
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats

LEVEL = 0.05
"""Largest p at which a control counts as beaten."""
FEWEST = 5
"""Items below which no interval is given."""


@dataclass(frozen=True)
class Comparison:
    """A measure against one control.

    Attributes
    ----------
    name
        Of the control.
    difference
        Mean of measure minus control; above 0 speaks for the claim; NaN where nothing could be compared.
    p
        Probability of a difference this large if measure and control were alike, 1 / (B + 1) to 1 of B permutations; NaN likewise.
    n
        Items of the measure that were compared: maps, action units or random sets.
    """

    name: str
    difference: float
    p: float
    n: int

    @property
    def beaten(self) -> bool:
        """Whether the measure is above its control at 5 %."""
        return self.difference > 0 and self.p <= LEVEL


def paired(
    name: str, measure: ArrayLike, control: ArrayLike, *, permutations: int = 5000, seed: int = 0
) -> Comparison:
    """Compare item by item: under the null each difference could as well have the other sign.

    Parameters
    ----------
    name
        Of the control.
    measure, control
        Values of the same items, shape (n,); items with a NaN in either are left out.
    permutations, seed
        How many random sign flips, and their seed.

    Returns
    -------
    Comparison
        NaN where no item is left, or a difference is infinite.

    Raises
    ------
    FerError
        If there are not as many controls as measures.
    """
    a, b = np.asarray(measure, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if a.shape != b.shape:
        raise FerError(f"{a.shape} measures and {b.shape} controls; one of each per item")
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if not len(a) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Comparison(name, float("nan"), float("nan"), len(a))
    difference = a - b
    signs = generator(seed).choice(
        [-1.0, 1.0], size=(at_least("permutations", permutations), len(difference))
    )
    null = signs @ difference / len(difference)
    # Sums in another order may differ in the last digit; an exact tie counts as at least as large.
    reached = int((null >= difference.mean() - 1e-12 * np.abs(difference).sum()).sum())
    return Comparison(name, float(difference.mean()), (1 + reached) / (permutations + 1), len(difference))


def unpaired(
    name: str, measure: ArrayLike, control: ArrayLike, *, permutations: int = 5000, seed: int = 0
) -> Comparison:
    """Compare two groups of items: under the null each value could as well be of the other group.

    Parameters
    ----------
    measure, control
        Values, shapes (n,) and (m,); NaN is left out.
    name, permutations, seed
        As in `paired`; a permutation divides all values at random.

    Returns
    -------
    Comparison
        NaN where a group is empty, or a value infinite.
    """
    a, b = (_known(values) for values in (measure, control))
    if not len(a) or not len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Comparison(name, float("nan"), float("nan"), len(a))
    both = np.concatenate([a, b])
    order = generator(seed).permuted(
        np.tile(np.arange(len(both)), (at_least("permutations", permutations), 1)), axis=1
    )
    first = both[order[:, : len(a)]].mean(axis=1)
    null = first - (both.sum() - first * len(a)) / len(b)
    difference = float(a.mean() - b.mean())
    reached = int((null >= difference - 1e-12 * np.abs(both).max()).sum())
    return Comparison(name, difference, (1 + reached) / (permutations + 1), len(a))


def interval(items: ArrayLike, *, level: float = 0.95, draws: int = 2000) -> tuple[float, float]:
    """Return the ends of the percentile bootstrap interval of a mean.

    Parameters
    ----------
    items
        Values, shape (n,); NaN is left out.
    level
        Share of the resampled means inside, between 0 and 1.
    draws
        Resamples, of a fixed seed.

    Returns
    -------
    tuple of float
        Low and high; NaN below `FEWEST` items, or where one is infinite.
    """
    values = _known(items)
    if len(values) < FEWEST or not np.isfinite(values).all():
        return float("nan"), float("nan")
    found = bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=draws,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def _known(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]
