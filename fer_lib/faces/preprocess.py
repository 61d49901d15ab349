"""From a picture to the network's input: the face crop and the five steps of the paper's section 2.2.

The steps, in the paper's order: rotate by up to 15 degrees, flip, resize to 99x99, cut 96x96, standardise by the picture's own mean
and standard deviation. Where the paper is silent: bilinear interpolation, antialiased when shrinking; what rotation uncovers is black.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from tqdm.auto import tqdm

from fer_lib.artifacts.files import growing_array, save_array
from fer_lib.errors import FerError
from fer_lib.faces.disk import Disk, picture_on
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


@dataclass(frozen=True)
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


def standardise(pictures: torch.Tensor) -> torch.Tensor:
    """Subtract each picture's mean and divide by its standard deviation (step 5).

    Parameters
    ----------
    pictures : torch.Tensor
        Float of shape (..., 1, height, width).

    Returns
    -------
    torch.Tensor
        Same shape. The deviation is that of the pixels as a population; a picture of one grey becomes zeros.
    """
    pixels = (-3, -2, -1)
    centred = pictures - pictures.mean(dim=pixels, keepdim=True)
    deviation = centred.square().mean(dim=pixels, keepdim=True).sqrt()
    # Rounding leaves a picture of one grey a deviation of about 1e-5 of its level, which must not be blown up to 1.
    return torch.where(deviation > 1e-3, centred / deviation.clamp_min(1e-3), torch.zeros_like(centred))


@dataclass(frozen=True)
class Evaluate:
    """The paper's deterministic steps, for testing: resize, cut the centre, standardise.

    Attributes
    ----------
    size : int
        Side in pixels after resizing (step 3).
    crop : int
        Side of the cut (step 4).
    """

    size: int = 99
    crop: int = 96

    def __post_init__(self) -> None:
        _check_sides(self.size, self.crop)

    def __call__(self, picture: np.ndarray, generator: torch.Generator | None = None) -> torch.Tensor:
        """Turn a crop, uint8 (height, width), into float32 of shape (1, crop, crop); `generator` is not used."""
        margin = (self.size - self.crop) // 2
        resized = _resize(_as_tensor(picture), self.size)
        return standardise(_v2().functional.crop(resized, margin, margin, self.crop, self.crop))


@dataclass(frozen=True)
class Augment:
    """The paper's five steps, randomly drawn, for training.

    Attributes
    ----------
    degrees : float
        Largest rotation either way, about the centre of the crop (step 1).
    flip : float
        Probability of a mirror image (step 2).
    size : int
        Side in pixels after resizing (step 3).
    crop : int
        Side of the cut, placed anywhere (step 4).
    """

    degrees: float = 15.0
    flip: float = 0.5
    size: int = 99
    crop: int = 96

    def __post_init__(self) -> None:
        _check_sides(self.size, self.crop)
        if not 0 <= self.degrees <= 180:
            raise FerError(f"degrees={self.degrees!r}: a largest rotation from 0 to 180 is expected")
        if not 0 <= self.flip <= 1:
            raise FerError(f"flip={self.flip!r}: a probability from 0 to 1 is expected")

    def __call__(self, picture: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """Turn a crop, uint8 (height, width), into float32 of shape (1, crop, crop), drawing from `generator`."""
        # All four numbers are drawn whatever the settings, so that changing one setting leaves the other draws alone.
        angle, mirror, down, right = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
        x = _as_tensor(picture)
        if self.degrees:
            turn = (2 * angle - 1) * self.degrees
            x = _v2().functional.rotate(x, turn, interpolation=_v2().InterpolationMode.BILINEAR, fill=[0.0])
        if mirror < self.flip:
            x = _v2().functional.horizontal_flip(x)
        x = _resize(x, self.size)
        places = self.size - self.crop + 1
        x = _v2().functional.crop(x, int(down * places), int(right * places), self.crop, self.crop)
        return standardise(x)


def picture_generator(seed: int, epoch: int, index: int) -> torch.Generator:
    """Return the random generator of one picture in one epoch, the same however pictures are batched or ordered."""
    mixed = np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))


def batches(
    crops: Sequence[np.ndarray],
    indices: Sequence[int] | np.ndarray,
    batch_size: int,
    transform: Callable[[np.ndarray, torch.Generator], torch.Tensor] | None = None,
    *,
    seed: int = 0,
    epoch: int = 0,
) -> Iterator[torch.Tensor]:
    """Yield network inputs in batches.

    Parameters
    ----------
    crops : sequence of np.ndarray
        Face crops, uint8 (height, width) each.
    indices : sequence of int
        Which crops, in this order.
    batch_size : int
        Pictures of a batch; the last one may be smaller.
    transform : callable, optional
        :class:`Augment` or, by default, ``Evaluate()``.
    seed, epoch : int
        Non-negative; with the index of a picture they decide its augmentation, whatever the batch size and the order.

    Yields
    ------
    torch.Tensor
        float32 of shape (B, 1, crop, crop).
    """
    if batch_size < 1:
        raise FerError(f"batch_size={batch_size!r}: must be at least 1")
    prepare = transform if transform is not None else Evaluate()
    order = [int(index) for index in indices]
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        yield torch.stack([prepare(crops[i], picture_generator(seed, epoch, i)) for i in part])


def _v2() -> ModuleType:
    """Import torchvision's transforms at their first use.

    The import takes as long as torch's own, and whoever reads stored pictures never transforms one.
    """
    from torchvision.transforms import v2

    return v2


def _as_tensor(picture: np.ndarray) -> torch.Tensor:
    """Grey levels 0 to 255 as float32 (1, height, width): floats, so that no step in between rounds."""
    return torch.from_numpy(picture.astype(np.float32))[None]


def _resize(x: torch.Tensor, size: int) -> torch.Tensor:
    return _v2().functional.resize(
        x, [size, size], interpolation=_v2().InterpolationMode.BILINEAR, antialias=True
    )


def _check_sides(size: int, cut: int) -> None:
    if not 1 <= cut <= size:
        raise FerError(f"crop={cut!r}: must be from 1 to size={size!r}")


def inputs_of(crops: Sequence[np.ndarray], pictures: np.ndarray, *, size: int, crop: int) -> torch.Tensor:
    """Pictures as a network sees them when it is tested, (n, 1, crop, crop) float32.

    Parameters
    ----------
    crops : sequence of np.ndarray
        Face crops, uint8 (height, width).
    pictures : (n,) int array
        Which of them.
    size, crop : int
        As in `Evaluate`.
    """
    evaluate = Evaluate(size=size, crop=crop)
    return torch.stack([evaluate(crops[int(i)]) for i in pictures])
