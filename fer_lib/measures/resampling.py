"""People drawn anew, with replacement: the unit of every interval here, as pictures of one person are not independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_lib.measures.arrays import Floats


def draw_people(people: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each of some people is drawn in each resample of as many.

    Parameters
    ----------
    people
        How many there are, at least 1.
    draws
        Resamples.
    rng
        Draws them.

    Returns
    -------
    ndarray
        Shape (draws, people); each row sums to `people`.
    """
    return rng.multinomial(people, np.full(people, 1 / people), size=draws)


def percentile_interval(drawn: Floats, level: float) -> tuple[float, float]:
    """Return the middle `level`, 0 to 1, of what resamples gave; NaN takes no part, and nothing known gives NaN."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
