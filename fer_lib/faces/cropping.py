"""Faces cut out of their pictures by the box that surrounds their landmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from fer_lib.errors import FerError
from fer_lib.faces.crops import Crops, write_crops
from fer_lib.faces.decoding import picture_on
from fer_lib.faces.disk import Disk
from fer_lib.faces.table import BOX, Faces


def crop(picture: np.ndarray, box: Sequence[float] | np.ndarray) -> np.ndarray:
    """Cut the face out of a picture (section 2.2: the area that the four outermost landmarks surround).

    Parameters
    ----------
    picture : np.ndarray
        uint8 of shape (height, width).
    box : sequence of float, or array of 4
        Left, top, right and bottom in pixels; the pixels that hold these points belong to the face.

    Returns
    -------
    np.ndarray
        uint8, a copy; cut at the picture's edge where the box goes beyond it.

    Raises
    ------
    FerError
        If the box is not finite or holds no pixel of the picture.
    """
    height, width = picture.shape
    if not np.isfinite(box).all():
        raise FerError(f"box {tuple(map(float, box))}: not finite; leave such frames out with faces.with_box")
    left, top, right, bottom = (int(np.floor(value + 0.5)) for value in box)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width - 1), min(bottom, height - 1)
    if right < left or bottom < top:
        raise FerError(f"box {tuple(map(float, box))}: nothing of it lies in a picture of {width}x{height}")
    return picture[top : bottom + 1, left : right + 1].copy()


def load_crops(faces: Faces, progress: bool = False) -> Crops:
    """Read and crop the picture of every frame into memory; for many pictures see :func:`save_crops`.

    Parameters
    ----------
    faces : Faces
        Frames that all have a box (see :func:`fer_lib.faces.table.with_box`).
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Crops
        In the order of ``faces.table``.

    Raises
    ------
    FerError
        If a picture cannot be read or a frame has no box; the message names it.
    """
    return Crops.of(list(_cut(faces, progress)))


def save_crops(faces: Faces, folder: Path, progress: bool = False) -> Crops:
    """Read and crop the picture of every frame into a folder, one in memory at a time.

    Parameters
    ----------
    faces, progress
        As in :func:`load_crops`.
    folder : Path
        Receives ``pixels.npy`` and ``shapes.npy``; neither if a picture is refused.

    Returns
    -------
    Crops
        On disk, in the order of ``faces.table``.

    Raises
    ------
    FerError
        As :func:`load_crops`.
    """
    write_crops(_cut(faces, progress), folder)
    return Crops.load(folder)


def _cut(faces: Faces, progress: bool) -> Iterator[np.ndarray]:
    """Yield the crop of every frame."""
    boxes = faces.table[list(BOX)].to_numpy(float)
    paths = faces.table["path"].tolist()
    with Disk(faces.root) as disk:
        for path, box in zip(
            tqdm(paths, desc="cropping faces", unit=" faces", disable=not progress), boxes, strict=True
        ):
            picture = picture_on(disk, path)
            try:
                yield crop(picture, box)
            except FerError as error:
                raise FerError(f"{faces.root / path}: {error}") from None
