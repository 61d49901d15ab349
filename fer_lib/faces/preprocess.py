"""From a face crop to the network's input: the five steps of the paper's section 2.2.

The steps, in the paper's order: rotate by up to 15 degrees, flip, resize to 99x99, cut 96x96, standardise by the picture's own mean
and standard deviation. Where the paper is silent: bilinear interpolation, antialiased when shrinking; what rotation uncovers is black.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch

from fer_lib.errors import FerError


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


def inputs_of(crops: Sequence[np.ndarray], pictures: np.ndarray, prepare: Evaluate) -> torch.Tensor:
    """Pictures as a network sees them when it is tested, (n, 1, crop, crop) float32.

    Parameters
    ----------
    crops : sequence of np.ndarray
        Face crops, uint8 (height, width).
    pictures : (n,) int array
        Which of them.
    prepare : Evaluate
        What makes an input of a crop.
    """
    return torch.stack([prepare(crops[int(i)]) for i in pictures])
