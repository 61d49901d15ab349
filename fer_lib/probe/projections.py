"""Projections of units at the pixels, as they are kept: each patch knows its unit and its place in the frame."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from fer_lib.artifacts.files import plain_refusals
from fer_lib.checks import at_least, given_path
from fer_lib.errors import FerError
from fer_lib.probe.inputs import Images, pictures_at
from fer_lib.probe.responses import Units, one_axis

_ARRAYS = ("patch", "top", "left", "value")


def overlap(first: int, size: int, extent: int) -> tuple[slice, slice]:
    """Where a window of this first row and size lies in a frame of this extent, and which of its own rows these are."""
    start, stop = (int(np.clip(edge, 0, extent)) for edge in (first, first + size))
    return slice(start, stop), slice(start - int(first), stop - int(first))


@dataclass(frozen=True, eq=False)
class Projections:
    """Projections of n units, each on its own receptive field or on the whole frame; it knows which units they are.

    Attributes
    ----------
    patch
        (n, channels, height, width), float32, or float64 if the network is: the projection on the receptive field.
        Zero where the field lies outside the frame.
    top, left
        (n,) int64, row and column of the patch's first pixel in the frame, in pixels. Negative where padding
        lets the unit see beyond the frame.
    value
        (n,) the units' activations, with which the projections were seeded.
    units
        The n units: picture, map, row and column of each.
    rule, layer
        As given to :func:`fer_lib.probe.deconv.project`.
    way
        ``"windowed"`` if only receptive fields were computed, or ``"whole frame"``; then patches have the pictures' size.

    Notes
    -----
    ``projections[index]`` selects by a mask, numbers or a slice.

    Examples
    --------
    Two units of a convolution that looks at three by three pixels, projected by the plain gradient:

    >>> import numpy as np
    >>> import torch
    >>> import fer_lib as fer
    >>> from fer_lib.probe.deconv import project
    >>> from fer_lib.probe.responses import Units, one_axis
    >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, bias=False))
    >>> with torch.no_grad():
    ...     network[0].weight[:] = torch.tensor([1.0, 2.0])[:, None, None, None]
    >>> units = Units(picture=[0, 0], map=[0, 1], row=[0, 2], column=[1, 0])
    >>> found = project(network, np.ones((1, 1, 5, 4), np.float32), units, layer="0", rule="gradient")
    >>> isinstance(found, fer.Projections), found.way, found.patch.shape
    (True, 'windowed', (2, 1, 3, 3))
    >>> found.value
    array([ 9., 18.], dtype=float32)
    >>> found.of_map(1).frame(0, 5, 4)[0]
    array([[ 0.,  0.,  0.,  0.],
           [ 0.,  0.,  0.,  0.],
           [36., 36., 36.,  0.],
           [36., 36., 36.,  0.],
           [36., 36., 36.,  0.]], dtype=float32)
    """

    patch: NDArray[np.floating]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    value: NDArray[np.floating]
    units: Units
    rule: str
    layer: str
    way: str = "windowed"

    def __len__(self) -> int:
        return len(self.patch)

    def __getitem__(self, index: Any) -> Self:
        index = one_axis(index, len(self))
        arrays = {name: getattr(self, name)[index] for name in _ARRAYS}
        return replace(self, **arrays, units=self.units[index])

    def of_map(self, map: int) -> Self:
        """Select the projections of one map's units, in their order."""
        return self[self.units.map == at_least("map", map, 0)]

    def _places(self, i: int, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Rows and columns of a frame that patch ``i`` covers, and those of the patch."""
        rows = overlap(self.top[i], self.patch.shape[2], height)
        columns = overlap(self.left[i], self.patch.shape[3], width)
        return (rows[0], columns[0]), (rows[1], columns[1])

    def paste(self, i: int, frame: NDArray[np.floating]) -> None:
        """Write patch ``i`` at its place into a frame (channels, height, width), in place and clipped to it."""
        there, here = self._places(i, *frame.shape[1:])
        frame[:, *there] = self.patch[i, :, *here]

    def frame(self, i: int, height: int, width: int) -> NDArray[np.floating]:
        """Projection ``i`` on a whole frame of zeros, (channels, height, width)."""
        at_least("height", height), at_least("width", width)
        whole = np.zeros((self.patch.shape[1], height, width), self.patch.dtype)
        self.paste(i, whole)
        return whole

    def energy(self, maps: int, height: int, width: int) -> NDArray[np.float64]:
        """Sum of the squared projections of each map's units on the whole frame, (maps, height, width); colours are added."""
        at_least("maps", maps, int(self.units.map.max(initial=-1)) + 1)
        total = np.zeros((maps, at_least("height", height), at_least("width", width)))
        for i, c in enumerate(self.units.map):
            there, here = self._places(i, height, width)
            total[c, *there] += (self.patch[i, :, *here].astype(float) ** 2).sum(0)
        return total

    def save(self, folder: Path) -> None:
        """Write ``projections.npz`` into a folder, made if need be."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {name: getattr(self.units, name) for name in Units.NAMES}
        folder = given_path("folder", folder)
        with plain_refusals(folder, "projections", "give another folder"):
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(folder / "projections.npz", rule=self.rule, layer=self.layer, way=self.way, **arrays)

    @staticmethod
    def load(folder: Path) -> Projections:
        """Read what :meth:`save` wrote; a FerError if it cannot be read."""
        path = given_path("folder", folder) / "projections.npz"
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in _ARRAYS}
                units = Units(*(file[name] for name in Units.NAMES))
                rule, layer, way = (str(file[name]) for name in ("rule", "layer", "way"))
                return Projections(**arrays, units=units, rule=rule, layer=layer, way=way)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, FerError) as error:
            raise FerError(f"{path} holds no readable projections ({error}): compute them again") from error


def crops(images: Images, projections: Projections) -> NDArray[Any]:
    """Cut the receptive fields of projections out of their pictures; zero outside the frame.

    Parameters
    ----------
    images
        As given to :func:`fer_lib.probe.deconv.project`, of any type; the projections know which pictures are theirs.

    Returns
    -------
    ndarray
        In the shape of ``projections.patch`` and the pictures' type; float32 for bfloat16.

    Raises
    ------
    FerError
        If a picture does not exist or has other colours than the projections.
    """
    needed, where = np.unique(projections.units.picture, return_inverse=True)
    found = pictures_at(images, needed).cpu()
    pictures = (found.float() if found.dtype == torch.bfloat16 else found).numpy()  # numpy knows no bfloat16
    patch = projections.patch
    if pictures.ndim != 4 or pictures.shape[1] != patch.shape[1]:
        raise FerError(f"pictures have shape {pictures.shape}: give (N, {patch.shape[1]}, H, W)")
    out = np.zeros(patch.shape, pictures.dtype)
    for i, picture in enumerate(where):
        there, here = projections._places(i, *pictures.shape[2:])
        out[i, :, *here] = pictures[picture, :, *there]
    return out
