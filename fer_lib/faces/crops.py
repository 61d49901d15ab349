"""Face crops at their native sizes, in memory or on disk; `fer_lib.faces.cropping` makes them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_lib.artifacts.files import growing_array, save_array
from fer_lib.errors import FerError

_PIXELS, _SHAPES = "pixels.npy", "shapes.npy"


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
        write_crops(self, folder)

    @classmethod
    def load(cls, folder: Path) -> Crops:
        """Open what :meth:`save` or :func:`fer_lib.faces.cropping.save_crops` wrote, on disk rather than in memory.

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


def write_crops(crops: Iterable[np.ndarray], folder: Path) -> None:
    """Write crops one after another into ``pixels.npy`` and ``shapes.npy``; neither is left if one cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = array("q")
    with growing_array(folder / _PIXELS, np.uint8) as append:
        for picture in crops:
            append(picture.reshape(-1))
            shapes.extend(picture.shape)
    save_array(folder / _SHAPES, np.array(shapes, dtype=np.int64).reshape(-1, 2))
