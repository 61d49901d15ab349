"""Faces cut out of their pictures, at their native sizes, in memory or on disk."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from fer_lib.artifacts.files import growing_array, save_array
from fer_lib.errors import FerError
from fer_lib.faces.decoding import picture_on
from fer_lib.faces.disk import Disk
from fer_lib.faces.table import BOX, Faces

_PIXELS, _SHAPES = "pixels.npy", "shapes.npy"


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


@dataclass(frozen=True, eq=False)
class Crops(Sequence[np.ndarray]):
    """Face crops at their native sizes, in one block of memory or in a file, of which each crop is read when it is asked for.

    Attributes
    ----------
    pixels : np.ndarray
        uint8, the crops one after another, each by rows.
    shapes : np.ndarray
        int64 of shape (n, 2): height and width.
    """

    pixels: np.ndarray
    shapes: np.ndarray

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or (self.shapes < 1).any():
            raise FerError(
                f"crops: {self.pixels.dtype} and sides from {self.shapes.min(initial=1)}; "
                "give uint8 and at least one pixel each"
            )
        ends = np.concatenate([[0], np.cumsum(self.shapes.prod(axis=1))])
        if ends[-1] != len(self.pixels):
            raise FerError(
                f"crops: {len(self.pixels)} pixels where the shapes ask for {ends[-1]}; make them again"
            )
        object.__setattr__(self, "_ends", ends)

    @classmethod
    def of(cls, pictures: Sequence[np.ndarray]) -> Crops:
        """Pack pictures, each uint8 of shape (height, width)."""
        shapes = np.array([picture.shape for picture in pictures], dtype=np.int64).reshape(-1, 2)
        pixels = (
            np.concatenate([picture.ravel() for picture in pictures])
            if len(pictures)
            else np.empty(0, np.uint8)
        )
        return cls(pixels, shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        """Return a crop, uint8 (height, width): a view of what lies in memory, or read from the file.

        Raises
        ------
        FerError
            If the file has been removed or shortened meanwhile.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"crop {index} of {len(self)}")
        ends: np.ndarray = self._ends  # type: ignore[attr-defined]
        start, end = int(ends[index]), int(ends[index + 1])
        if not isinstance(self.pixels, np.memmap):
            return self.pixels[start:end].reshape(self.shapes[index])
        # Read and not mapped: pages of a mapping count as this process's memory until the system is short of it.
        file = str(self.pixels.filename)
        try:
            found = np.fromfile(file, np.uint8, end - start, offset=self.pixels.offset + start)
        except OSError as error:
            raise FerError(f"{file}: {error.strerror}; make the crops again") from error
        if len(found) != end - start:
            raise FerError(f"{file}: ends within crop {index}; make the crops again")
        return found.reshape(self.shapes[index])

    def save(self, folder: Path) -> None:
        """Write the crops to ``pixels.npy`` and ``shapes.npy`` in a folder."""
        _write(self, folder)

    @classmethod
    def load(cls, folder: Path) -> Crops:
        """Open what :meth:`save` or :func:`save_crops` wrote, on disk rather than in memory.

        Raises
        ------
        FerError
            If the folder holds no crops, or damaged ones.
        """
        arrays = []
        for name, mode in ((_PIXELS, "r"), (_SHAPES, None)):
            try:
                arrays.append(np.load(folder / name, mmap_mode=mode, allow_pickle=False))  # type: ignore[arg-type]
            except FileNotFoundError:
                raise FerError(f"{folder / name}: no such file; save crops there first") from None
            except (OSError, ValueError, EOFError) as error:
                raise FerError(f"{folder / name}: damaged ({error}); make the crops again") from error
        return cls(*arrays)


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
    _write(_cut(faces, progress), folder)
    return Crops.load(folder)


def _write(crops: Iterable[np.ndarray], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shapes = array("q")
    with growing_array(folder / _PIXELS, np.uint8) as append:
        for picture in crops:
            append(picture.reshape(-1))
            shapes.extend(picture.shape)
    save_array(folder / _SHAPES, np.array(shapes, dtype=np.int64).reshape(-1, 2))


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
