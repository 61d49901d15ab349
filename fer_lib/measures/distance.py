"""The paper's distance D between a map's responses with and without an action unit (equations 8-15).

For action unit j and map c, R are the n largest responses of map c to pictures that contain j and Q the n
largest to pictures that do not, both in descending order (8, 9). Then::

    D(R||Q) = sum_k R_k ln(R_k / Q_k)                                   (10)
    D       = D(R||Q) + D(Q||R) = sum_k (R_k - Q_k) ln(R_k / Q_k)       (12, 13)

and the paper calls the map that maximises D the detector of j (15). Every row of `present` that is NaN for an
action unit ("not coded") belongs to neither set.

D grows with a map's gain, ignores the sign of the difference, is infinite at zero responses and favours the
larger of two unequal sets. `distances` offers the remedy for each as an option; the defaults are the paper's,
except for zeros, where the paper's formula has no value (`zero`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from fer_lib.checks import at_least, check_choice, share
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_responses, map_blocks

Zero = Literal["floor", "skip", "infinite"]


def distance(
    with_au: ArrayLike,
    without: ArrayLike,
    *,
    zero: Zero = "floor",
    floor: float = 1e-3,
    one_sided: bool = False,
) -> Floats:
    """Compare two ordered lists of responses, rank by rank (equations 10-13).

    Parameters
    ----------
    with_au, without
        R and Q, shape (..., n), responses >= 0; the leading axes broadcast. NaN marks a rank that does not
        exist because the set has fewer than n pictures; such a rank is left out of the sum on both sides.
    zero
        What to do with responses of 0, at which the equations have no finite value. `"floor"`: responses
        below `floor` times the largest response in R and Q count as that much, so that D stays finite,
        symmetric, continuous and homogeneous. `"skip"`: ranks at which either side is 0 are left out.
        `"infinite"`: the equations as they stand, with 0 ln(0/0) = 0 as usual for relative entropy.
    floor
        The relative floor, in (0, 1); used by `zero="floor"` only. One rank contributes at most
        ``ln(1 / floor)`` times its larger response.
    one_sided
        Equation 10 only, D(R||Q); it may be negative.

    Returns
    -------
    ndarray
        D, shape (...). NaN where no rank could be compared; 0 where all responses are 0 (except `"skip"`).

    Raises
    ------
    FerError
        For negative or infinite responses, unequal n, or an unknown rule.
    """
    r, q = (np.asarray(values, dtype=np.float64) for values in (with_au, without))
    _check(r, q, zero, floor)
    r, q = np.broadcast_arrays(r, q)
    exists = ~(np.isnan(r) | np.isnan(q))
    r, q = np.where(exists, r, 0.0), np.where(exists, q, 0.0)
    if zero == "floor":
        least = floor * np.maximum(r, q).max(axis=-1, keepdims=True)
        r, q = np.maximum(r, least), np.maximum(q, least)
    elif zero == "skip":
        exists = exists & (r > 0) & (q > 0)
    # 0 and 0 have no logarithm, but their term is 0. So is 0 * -inf in equation 10, as a limit; in equation 13
    # no factor is 0 where the logarithm is infinite.
    factor = r if one_sided else r - q
    counts = exists & (factor != 0) & (r != q)
    with np.errstate(divide="ignore"):
        log_ratio = np.log(np.where(counts, r, 1.0)) - np.log(np.where(counts, q, 1.0))
    terms = np.where(counts, factor, 0.0) * log_ratio
    return np.where(exists.any(axis=-1), terms.sum(axis=-1), np.nan)


def top_responses(maxima: ArrayLike, n: int = 9) -> Floats:
    """Return the n largest responses of every map, in descending order (equations 8 and 9).

    Parameters
    ----------
    maxima
        Largest response of every picture on every map, shape (N, C).
    n
        How many, at least 1.

    Returns
    -------
    ndarray
        Shape (C, n); NaN at the ranks that fewer than n pictures leave empty.
    """
    values = np.asarray(maxima, dtype=np.float64)
    at_least("n", n)
    top = np.full((values.shape[1], n), np.nan)
    kept = min(n, len(values))
    if kept:
        largest = np.partition(values, len(values) - kept, axis=0)[len(values) - kept :]
        top[:, :kept] = np.sort(largest, axis=0)[::-1].T
    return top


def expected_top_responses(maxima: ArrayLike, size: int, n: int = 9) -> Floats:
    """Return what `top_responses` yields on average over all subsets of `size` pictures.

    The i-th largest of N values is the k-th largest of a random subset of m with probability
    C(i-1, k-1) C(N-i, m-k) / C(N, m); the expectation is therefore one matrix product, without any drawing.

    Parameters
    ----------
    maxima
        Shape (N, C).
    size
        Pictures in a subset, m, between 0 and N.
    n
        How many ranks.

    Returns
    -------
    ndarray
        Shape (C, n); NaN at the ranks beyond `size`. Equal to `top_responses` when `size` is N.
    """
    values = np.asarray(maxima, dtype=np.float64)
    count = len(values)
    if not 0 <= size <= count:
        raise FerError(f"a subset of {size} pictures cannot be drawn from {count}")
    kept = min(n, size)
    top = np.full((values.shape[1], n), np.nan)
    if kept:
        i = np.arange(1, count + 1)
        k = np.arange(1, kept + 1)[:, None]
        possible = (i >= k) & (count - i >= size - k)
        log_weight = (
            _log_choose(i - 1, k - 1)
            + _log_choose(count - i, size - k)
            - _log_choose(np.array(count), np.array(size))
        )
        weight = np.where(possible, np.exp(np.where(possible, log_weight, 0.0)), 0.0)
        weight /= weight.sum(axis=1, keepdims=True)  # removes the rounding of the log-gammas
        top[:, :kept] = (weight @ np.sort(values, axis=0)[::-1]).T
    return top


def distances(
    maxima: ArrayLike,
    present: ArrayLike,
    n: int = 9,
    *,
    zero: Zero = "floor",
    floor: float = 1e-3,
    one_sided: bool = False,
    scale_free: bool = False,
    size_matched: bool = False,
    signed: bool = False,
) -> Floats:
    """Return D of every action unit on every map (equation 14).

    Parameters
    ----------
    maxima
        Largest response of every picture on every map, shape (N, C), >= 0.
    present
        Whether the picture contains the action unit, shape (N, J): 1, 0, or NaN where it was not coded.
    n
        Strongest pictures of each set; the paper takes 9. When a set has fewer, D compares the ranks that
        both sets have and is *not* scaled up: within an action unit all maps lose the same ranks.
    zero, floor, one_sided
        As in `distance`.
    scale_free
        Divide every map by the standard deviation of its responses first, so that a large gain does not win.
    size_matched
        Replace the strongest of the larger set by their expectation over subsets of the smaller set's size.
    signed
        Give D the sign of sum(R) - sum(Q), so that a map that the action unit suppresses scores below zero.

    Returns
    -------
    ndarray
        Shape (J, C); NaN for an action unit without any picture on one of the two sides.

    Raises
    ------
    FerError
        For shapes that do not fit, negative or non-finite responses, or labels other than 0, 1 and NaN.

    Examples
    --------
    The first of two maps responds to the faces with the unit, the second responds to all alike:

    >>> import fer_lib as fer
    >>> from fer_lib.measures.distance import best_maps
    >>> maxima = [[4.0, 1.0], [3.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    >>> D = fer.distances(maxima, present=[[1], [1], [0], [0]], n=2)
    >>> D.round(2)
    array([[6.36, 0.  ]])
    >>> best_maps(D)
    array([0])
    """
    values, labels = check_responses(maxima, present)
    out = np.full((labels.shape[1], values.shape[1]), np.nan)
    for maps in map_blocks(values):
        some = values[:, maps].astype(np.float64)
        if scale_free:
            spread = some.std(axis=0)
            # A constant map carries no information on any unit: D is 0 whatever it is divided by.
            some /= np.where(np.ptp(some, axis=0) > 0, spread, 1.0)
        for row, label in enumerate(labels.T):
            sets = some[label == 1], some[label == 0]
            smaller = min(map(len, sets))
            r, q = (
                expected_top_responses(s, smaller, n) if size_matched else top_responses(s, n) for s in sets
            )
            found = distance(r, q, zero=zero, floor=floor, one_sided=one_sided)
            if signed:
                both = ~(np.isnan(r) | np.isnan(q))
                found *= np.sign(np.where(both, r - q, 0.0).sum(axis=-1))
            out[row, maps] = found
    return out


def best_maps(measure: ArrayLike) -> NDArray[np.int64]:
    """Return the map that maximises a measure for every action unit (equations 4 and 15).

    Parameters
    ----------
    measure
        Any score, shape (J, C), D or another; NaN is never chosen.

    Returns
    -------
    ndarray
        Shape (J,), the lowest of equal maps; -1 where no map wins: every map is NaN, several are infinite (D with
        ``zero="infinite"``), or all of several maps score the same.
    """
    scores = np.asarray(measure, dtype=np.float64)
    known = np.where(np.isnan(scores), -np.inf, scores)
    best = known.argmax(axis=1)
    largest = known[np.arange(len(best)), best]
    tied = (known == largest[:, None]).sum(axis=1)
    nobody = (largest == -np.inf) | ((tied > 1) & ((largest == np.inf) | (tied == scores.shape[1])))
    return np.where(nobody, -1, best)


def _check(r: Floats, q: Floats, zero: str, floor: float) -> None:
    check_choice("zero rule", zero, Zero)
    share("floor", floor)
    if r.ndim == 0 or q.ndim == 0 or r.shape[-1] != q.shape[-1]:
        raise FerError(f"R has shape {r.shape} and Q {q.shape}; the last axes must have the same length n")
    for name, values in (("R", r), ("Q", q)):
        if (values < 0).any() or np.isinf(values).any():
            raise FerError(f"{name} holds negative or infinite responses; D is defined after the ReLU only")


def _log_choose(n: NDArray[np.int64], k: NDArray[np.int64]) -> Floats:
    # Impossible pairs are masked by the caller; the clip only keeps the log-gammas off their poles.
    n, k = np.broadcast_arrays(np.maximum(n, 0), np.maximum(k, 0))
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0) + 1)
