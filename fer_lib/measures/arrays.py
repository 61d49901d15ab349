"""Responses and labels as all measures take them: checked, and worked on a block at a time.

Scores are responses of pictures (or sequences) to maps, shape (N, C); labels say whether an action unit is present, shape (N, J):
1, 0, or NaN where it is not coded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import real_numbers
from fer_lib.errors import FerError

Floats = NDArray[np.float64]
BLOCK = 2**23
"""Responses that are worked on at a time, 64 MiB in double precision: memory then hardly grows with the number of pictures."""


def check_table(scores: ArrayLike, present: ArrayLike) -> tuple[Floats, Floats]:
    """Return responses (N, C) and labels (N, J) as float64 arrays, or say what is wrong with them.

    Raises
    ------
    FerError
        When one is not a matrix, the rows differ in number, a response is not finite, or a label is not 0, 1
        or NaN.
    """
    values, labels = check_responses(scores, present)
    return np.asarray(values, dtype=np.float64), labels


def check_responses(scores: ArrayLike, present: ArrayLike) -> tuple[NDArray[np.floating], Floats]:
    """Return responses as they are and labels as float64; see `check_table`, which has a copy made of responses in float32.

    Responses that are not in a floating type become float64.
    """
    values, labels = real_numbers("responses", scores), check_labels(present)
    if values.ndim != 2 or labels.ndim != 2 or len(values) != len(labels):
        raise FerError(
            f"responses {values.shape} and labels {labels.shape} do not fit; both need a row per picture: (N, C), (N, J)"
        )
    if not values.shape[1]:
        raise FerError(f"responses {values.shape} are of no map; give at least one column")
    undefined = sum(int((~np.isfinite(values[part])).sum()) for part in row_blocks(values))
    if undefined:
        raise FerError(f"{undefined} responses are not finite; drop those pictures or train again")
    return values, labels


def check_labels(present: ArrayLike) -> Floats:
    """Return labels as float64; a FerError if one is neither 1, 0 nor missing, which becomes NaN."""
    labels = real_numbers("labels", present).astype(np.float64, copy=False)
    wrong = labels[~(np.isnan(labels) | (labels == 0) | (labels == 1))]
    if wrong.size:
        raise FerError(
            f"label {wrong[0]:g} is neither 1 (present), 0 (absent) nor NaN (not coded); use au_present"
        )
    return labels


def row_blocks(values: NDArray[Any]) -> Iterator[slice]:
    """Yield the rows of a matrix in parts of at most `BLOCK` numbers."""
    return _parts(len(values), values.shape[1])


def map_blocks(values: NDArray[Any]) -> Iterator[slice]:
    """Yield the columns of a matrix in parts of at most `BLOCK` numbers: of small sets all at once."""
    return _parts(values.shape[1], len(values))


def _parts(count: int, size: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, size))
    return (slice(start, start + step) for start in range(0, count, step))


def check_maps(chosen: ArrayLike, units: int, maps: int) -> NDArray[np.int64]:
    """Return the map chosen for each action unit, (J,) int64, -1 for none, or say what is wrong with them.

    Raises
    ------
    FerError
        When there is not one for each of the `units`, or one is no number from 0 to `maps` - 1.
    """
    values = np.asarray(chosen)
    if values.shape != (units,):
        raise FerError(f"chosen maps have shape {values.shape} for {units} action units; give one for each")
    wrong = values[~np.isin(values, np.arange(-1, maps))]
    if wrong.size:
        raise FerError(f"map {wrong[0]} is none of {maps}; give 0 to {maps - 1}, or -1 for none")
    return values.astype(np.int64)
