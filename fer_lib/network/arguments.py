"""What training and its relatives are given, checked before anything is done."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_lib.errors import FerError
from fer_lib.faces.crops import Crops


def checked(
    crops: Sequence[np.ndarray], labels: Any, train_idx: Any, test_idx: Any, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels and both sides of a split as int64 arrays, or raise a FerError that says what does not fit."""
    if not isinstance(classes, numbers.Integral) or classes < 2:
        raise FerError(f"classes={classes!r} is not possible; give a whole number from 2 up")
    labels = np.asarray(labels)
    labels = labels.astype(np.int64) if labels.dtype.kind == "b" else labels
    if labels.dtype.kind not in "iuf":
        raise FerError(f"labels are {labels.dtype}; give the number of each crop's class")
    possible = (labels >= 0) & (labels < classes) & (labels % 1 == 0)
    sides = {"train_idx": _rows("train_idx", train_idx), "test_idx": _rows("test_idx", test_idx)}
    if labels.shape != (len(crops),):
        raise FerError(
            f"labels have the shape {labels.shape} for {len(crops)} crops; give one label for each crop"
        )
    if not len(sides["train_idx"]):
        raise FerError("train_idx is empty; give at least one picture to learn from")
    for name, rows in sides.items():
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(crops)):
            raise FerError(
                f"{name} reaches from {rows.min()} to {rows.max()}, but there are {len(crops)} crops"
            )
        wrong = rows[~possible[rows]]
        if len(wrong):
            raise FerError(
                f"picture {wrong[0]} of {name} has the label {labels[wrong[0]]}; "
                f"classes={classes} allows 0 to {classes - 1}"
            )
        # Crops are uint8 matrices by construction; to look at each would read them all.
        for row in () if isinstance(crops, Crops) else rows.tolist():
            crop = np.asarray(crops[row])
            if crop.ndim != 2 or crop.dtype != np.uint8 or not crop.size:
                raise FerError(
                    f"picture {row} of {name} is {crop.dtype} of shape {crop.shape}; give uint8 (height, width)"
                )
    # Rows of neither side may have a label that is no number.
    labels = np.where(possible, labels, -1).astype(np.int64)
    return labels, sides["train_idx"], sides["test_idx"]


def _rows(name: str, rows: Any) -> np.ndarray:
    """Row numbers as int64; neither a mask nor fractions."""
    array = np.asarray(rows)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise FerError(f"{name} is {array.dtype} of shape {array.shape}; give the numbers of rows, (n,)")
    return array.astype(np.int64)
