"""Agreement of two codings of the same pictures, action unit by action unit: coder and program, or two coders.

Presence is compared by Cohen's kappa, the share of pictures on which both say the same beyond what their own prevalences would give by
chance. Intensities are compared by ICC(3,1) in the notation of Shrout and Fleiss (1979): two-way mixed, one coding each, consistency;
of two codings a and b it is 2 cov(a, b) / (var a + var b). Intervals draw people anew, as pictures of one person are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_lib.checks import at_least, generator, group_numbers, named, real_numbers, share
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_labels
from fer_lib.measures.resampling import draw_people, percentile_interval


def agreement(
    first: ArrayLike,
    second: ArrayLike,
    groups: ArrayLike,
    *,
    first_intensity: ArrayLike | None = None,
    second_intensity: ArrayLike | None = None,
    names: Sequence[Hashable] | None = None,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two codings of the same pictures.

    Parameters
    ----------
    first, second
        1 present, 0 absent, NaN not coded, shape (N, J) each.
    groups
        The person on each picture, shape (N,).
    first_intensity, second_intensity
        How strongly the units show, on one scale, NaN where not coded, shape (N, J) each; both or none.
    names
        Of the units, J of them; by default they are numbered.
    draws
        Resamples of people for the intervals.
    level
        Of the intervals, between 0 and 1.
    seed
        Of the resamples.

    Returns
    -------
    DataFrame
        One row for each unit: ``AU`` (its name); ``n`` and ``people``, the pictures that both code and how many people are on them;
        ``first`` and ``second``, the share of these pictures on which each says present; ``kappa`` with ``kappa low`` and ``kappa high``;
        ``n intensity``, the pictures of which both code the intensity, and ``ICC(3,1)`` with ``ICC low`` and ``ICC high``. NaN where
        nothing is coded by both or, without variation, the measure is not defined; intervals need two people.

    Raises
    ------
    FerError
        If shapes or options are wrong, or a label is not 1, 0 or NaN.

    Examples
    --------
    A program finds three of a coder's four smiles, on four pictures of two people:

    >>> from fer_lib.measures.agreement import agreement
    >>> coder, program = [[1], [1], [0], [0]], [[1], [0], [0], [0]]
    >>> found = agreement(coder, program, ["Ann", "Ann", "Ben", "Ben"], names=[12])
    >>> found[["AU", "n", "first", "second", "kappa"]].to_dict("records")
    [{'AU': 12, 'n': 4, 'first': 0.5, 'second': 0.25, 'kappa': 0.5}]
    """
    one, other = check_labels(first), check_labels(second)
    if one.ndim != 2 or one.shape != other.shape:
        raise FerError(
            f"codings {one.shape} and {other.shape} do not fit; both need a row per picture: (N, J)"
        )
    rows, units = one.shape
    strong = _intensities(first_intensity, second_intensity, one.shape)
    draws, level, rng = at_least("draws", draws), share("level", level), generator(seed)
    people = group_numbers(groups, rows)
    count = int(people.max()) + 1 if rows else 0
    listed = named("names", names, units) if names is not None else list(range(units))
    weights = draw_people(count, draws, rng).astype(float) if count else np.zeros((draws, 0))

    table = []
    for unit in range(units):
        both = ~np.isnan(one[:, unit]) & ~np.isnan(other[:, unit])
        a, b, who = one[both, unit], other[both, unit], people[both]
        cells = _sums(np.stack([a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)], axis=1), who, count)
        row = {
            "AU": listed[unit],
            "n": int(both.sum()),
            "people": len(np.unique(who)),
            "first": a.mean() if len(a) else np.nan,
            "second": b.mean() if len(b) else np.nan,
            **_with_interval("kappa", _kappa, cells, weights, len(np.unique(who)), level),
        }
        x, y = strong[0][:, unit], strong[1][:, unit]
        known = ~np.isnan(x) & ~np.isnan(y)
        x, y, who = x[known], y[known], people[known]
        # Sums about the middle: differences of large squares would lose digits.
        x, y = x - (x.mean() if len(x) else 0), y - (y.mean() if len(y) else 0)
        moments = _sums(np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1), who, count)
        row["n intensity"] = int(known.sum())
        row |= _with_interval("ICC(3,1)", _icc, moments, weights, len(np.unique(who)), level)
        table.append(row)
    columns = ["AU", "n", "people", "first", "second", "kappa", "kappa low", "kappa high"]
    return pd.DataFrame(table, columns=[*columns, "n intensity", "ICC(3,1)", "ICC low", "ICC high"])


def _intensities(
    first: ArrayLike | None, second: ArrayLike | None, shape: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Intensities of both codings as float64; all NaN where none are given."""
    if first is None and second is None:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    if first is None or second is None:
        raise FerError("intensities of one coding are given; give those of both, or none")
    one, other = (real_numbers("intensities", values).astype(np.float64) for values in (first, second))
    if one.shape != shape or other.shape != shape:
        raise FerError(f"intensities {one.shape} and {other.shape} do not fit codings {shape}")
    if np.isinf(one).any() or np.isinf(other).any():
        raise FerError("an intensity is not finite; give NaN where it is not coded")
    return one, other


def _sums(values: Floats, who: np.ndarray, people: int) -> Floats:
    """Sums over the rows of each person, (people, columns)."""
    sums = np.zeros((people, values.shape[1]))
    np.add.at(sums, who, values)
    return sums


def _with_interval(
    name: str, measure: Callable[[Floats], Floats], sums: Floats, weights: Floats, people: int, level: float
) -> dict[str, float]:
    """Return a measure of all people's sums and its interval over resampled people."""
    low, high = float("nan"), float("nan")
    if people > 1:
        low, high = percentile_interval(measure(weights @ sums), level)
    short = name.partition("(")[0]
    return {name: float(measure(sums.sum(axis=0)[None])[0]), f"{short} low": low, f"{short} high": high}


def _kappa(cells: Floats) -> Floats:
    """Cohen's kappa of tables of both, first alone, second alone and neither, (k, 4) -> (k,); NaN where chance alone explains all."""
    both, first, second, neither = cells.T
    with np.errstate(divide="ignore", invalid="ignore"):
        total = cells.sum(axis=1)
        seen = (both + neither) / total
        chance = ((both + first) * (both + second) + (neither + first) * (neither + second)) / total**2
        kappa = (seen - chance) / (1 - chance)
    return np.where(chance < 1, kappa, np.nan)


def _icc(moments: Floats) -> Floats:
    """ICC(3,1) of two codings from n and the sums of x, y, x², y² and xy, (k, 6) -> (k,); NaN where neither varies."""
    n, x, y, xx, yy, xy = moments.T
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = xx - x * x / n + yy - y * y / n
        icc = 2 * (xy - x * y / n) / spread
    return np.where((n > 1) & (spread > 1e-12 * (xx + yy)), icc, np.nan)
