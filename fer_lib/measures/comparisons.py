"""A measure against its controls: the difference with its interval and its p, and what the data could have seen."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats

LEVEL = 0.05
"""Largest p at which a control counts as beaten."""
POWER = 0.8
"""Share of repetitions in which `Comparison.detectable` would be seen."""
_TIE = 1e-12  # sums in another order may differ in the last digit; an exact tie counts as at least as large


@dataclass(frozen=True)
class Comparison:
    """A measure against one control.

    Attributes
    ----------
    name
        Of the control.
    difference
        Mean of measure minus control; above 0 speaks for the claim; NaN where nothing could be compared.
    low, high
        Ends of the 95 % interval of the difference; NaN likewise.
    p
        Probability of a difference this large if measure and control were alike; NaN likewise.
    n
        Independent items that it rests on: networks, people or random sets.
    """

    name: str
    difference: float
    low: float
    high: float
    p: float
    n: int

    @property
    def beaten(self) -> bool:
        """Whether the measure is above its control at 5 %."""
        return self.difference > 0 and self.p <= LEVEL

    @property
    def detectable(self) -> float:
        """Smallest true difference that would be significant, one-sided at 5 %, in 80 % of repetitions: from the interval's width."""
        error = (self.high - self.low) / (2 * stats.norm.ppf(0.975))
        return float((stats.norm.ppf(1 - LEVEL) + stats.norm.ppf(POWER)) * error)


def nothing(name: str, n: int = 0) -> Comparison:
    """Return a comparison that could not be made."""
    return Comparison(name, *(float("nan"),) * 4, n)


def between_networks(name: str, trained: ArrayLike, untrained: ArrayLike, *, seed: int = 0) -> Comparison:
    """Compare a measure of trained networks with that of untrained ones; the network is the unit.

    One trained network is one draw: under the null it could be any of all of them, so that it has to lie above at least nineteen
    untrained ones to reach 5 %. Its interval takes the spread of the untrained ones for its own.

    Parameters
    ----------
    name
        Of the control.
    trained, untrained
        One value for each network, shapes (n,) and (m,); NaN is left out.
    seed
        Of the permutations, where there are too many to take all.

    Returns
    -------
    Comparison
        p of the permutation test of the means (exact for few networks), interval of Welch's t; NaN without a network on either side
        or with an infinite value, the interval also with fewer than two untrained networks.
    """
    a, b = known(trained), known(untrained)
    if not len(a) or not len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return nothing(name, len(a))
    difference = float(a.mean() - b.mean())
    low = high = float("nan")
    if len(a) == 1 or len(b) == 1:  # the exact test by hand, as scipy's wants two of each
        one, others, sign = (a, b, 1) if len(a) == 1 else (b, a, -1)
        p = (1 + int((sign * (others - one) >= 0).sum())) / (1 + len(others))
    else:
        tested = stats.permutation_test(
            (a, b),
            lambda x, y, axis: x.mean(axis) - y.mean(axis),
            vectorized=True,
            n_resamples=9999,
            alternative="greater",
            rng=np.random.default_rng(seed),
        )
        p = float(tested.pvalue)
    if len(b) > 1 and len(a) == 1:
        half = float(stats.t.ppf(0.975, len(b) - 1) * b.std(ddof=1) * np.sqrt(1 + 1 / len(b)))
        low, high = difference - half, difference + half
    elif len(b) > 1 and not (np.ptp(a) or np.ptp(b)):
        low = high = difference
    elif len(b) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # networks of one side are nearly equal
            found = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        low, high = float(found.low), float(found.high)
    return Comparison(name, difference, low, high, p, len(a))


def against_draws(name: str, value: float, draws: ArrayLike) -> Comparison:
    """Compare a measure with what random choices reach, such as random sets of maps.

    Parameters
    ----------
    name
        Of the control.
    value
        The measure; larger speaks for the claim.
    draws
        The same measure of random choices, shape (B,).

    Returns
    -------
    Comparison
        p is the share of draws that are at least as large, with +1 in count and total; NaN without a draw or with a value that is not
        finite.
    """
    null = np.asarray(draws, dtype=np.float64)
    if not len(null) or not np.isfinite(null).all() or not np.isfinite(value):
        return nothing(name, len(null))
    reached = int((null >= value - _TIE * max(1.0, abs(value))).sum())
    middle = float(null.mean())
    low, high = np.quantile(null, [0.025, 0.975]) - middle
    difference = float(value - middle)
    return Comparison(
        name,
        difference,
        difference - float(high),
        difference - float(low),
        (1 + reached) / (len(null) + 1),
        len(null),
    )


def from_bootstrap(name: str, difference: float, draws: ArrayLike, n: int) -> Comparison:
    """Compare by a difference that was computed anew for resampled people.

    Parameters
    ----------
    name
        Of the control.
    difference
        Measure minus control.
    draws
        The same for each resample, shape (B,); NaN (a resample without a value) is left out.
    n
        People.

    Returns
    -------
    Comparison
        Percentile interval; p is the share of draws that are not above 0, with +1 in count and total. NaN where fewer than half of the
        resamples have a value.
    """
    drawn = np.asarray(draws, dtype=np.float64)
    found = drawn[~np.isnan(drawn)]
    if (
        not len(found)
        or 2 * len(found) < len(drawn)
        or not np.isfinite(found).all()
        or not np.isfinite(difference)
    ):
        return nothing(name, n)
    low, high = np.quantile(found, [0.025, 0.975])
    return Comparison(
        name, float(difference), float(low), float(high), float(1 + (found <= 0).sum()) / (len(found) + 1), n
    )


def known(values: ArrayLike) -> Floats:
    """Return the values, shape (n,), that are not NaN."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.ndim != 1:
        raise FerError(f"values have shape {array.shape}; give one for each item, (n,)")
    return array[~np.isnan(array)]
