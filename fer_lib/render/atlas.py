"""One rendered person with one action unit at a time: reference pictures and regions for every AU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from skimage.transform import resize as to_shape
from tqdm import tqdm

from fer_lib.errors import FerError
from fer_lib.facs import AUS
from fer_lib.render.output import crop_mask
from fer_lib.render.person import Person
from fer_lib.render.scene import Frame, Shot, render, supported_aus
from fer_lib.render.workers import in_processes

FILE = "atlas.npz"
PERSON = 66  # middling features, well lit: every unit shows


@dataclass(frozen=True)
class Atlas:
    """Pictures of J action units at L intensities, s x s pixels, with a margin around the face.

    Attributes
    ----------
    aus : (J,) int array
        Numbers of the units.
    levels : (L,) float array
        Intensities, 0 (absent) to 5 (E), ascending.
    pictures : (J, L, s, s) uint8 array
        The same face, light and pose throughout.
    regions : (J, s, s) float32 array
        How far the unit moves each pixel of the last picture, relative to its largest displacement, 0 to 1.
    masks : (J, 96, 96) uint8 array
        The same from 0 to 255 in the frame of that picture's face crop, the box of its extreme landmarks, which is what the
        network's input is cut from.
    """

    aus: np.ndarray
    levels: np.ndarray
    pictures: np.ndarray
    regions: np.ndarray
    masks: np.ndarray

    def picture(self, au: int, level: float = 5.0) -> np.ndarray:
        """Return the face with one unit at a level, (s, s) uint8."""
        nearest = int(np.abs(self.levels - level).argmin())
        return self.pictures[self._row(au), nearest]

    def region(self, au: int, *, threshold: float = 0.25, resize: int = 99, crop: int = 96) -> np.ndarray:
        """Return what a unit moves by more than a share of its maximum, in the network's input: (crop, crop) bool.

        Parameters
        ----------
        au : int
            Number of the unit.
        threshold : float
            Share of the unit's largest displacement, 0 to 1.
        resize, crop : int
            Side after scaling and of the central cut, in pixels, as in the preprocessing of pictures.
        """
        mask = to_shape(self.masks[self._row(au)] / 255, (resize, resize), order=1)
        margin = (resize - crop) // 2
        return np.asarray(mask[margin : margin + crop, margin : margin + crop] > threshold)

    def regions_of(self, aus: Sequence[int], *, resize: int = 99, crop: int = 96) -> np.ndarray:
        """Return `region` of several units, (J, crop, crop) bool; of none, an empty array of that shape."""
        areas = [self.region(au, resize=resize, crop=crop) for au in aus]
        return np.array(areas, dtype=bool).reshape(-1, crop, crop)

    def save(self, folder: Path) -> None:
        """Write one npz file into a folder."""
        np.savez_compressed(
            folder / FILE, **{field.name: getattr(self, field.name) for field in fields(self)}
        )

    @classmethod
    def load(cls, folder: Path) -> Atlas:
        """Read what :meth:`save` wrote."""
        with np.load(folder / FILE, allow_pickle=False) as file:
            return cls(**{field.name: file[field.name] for field in fields(cls)})

    def _row(self, au: int) -> int:
        rows = np.flatnonzero(self.aus == au)
        if not len(rows):
            raise FerError(f"AU {au} is not in the atlas; it has {', '.join(map(str, self.aus))}")
        return int(rows[0])


def render_atlas(
    aus: tuple[int, ...] | None = None,
    *,
    levels: tuple[float, ...] = (0, 1, 2, 3, 4, 5),
    size: int = 320,
    side: int = 128,
    seed: int = PERSON,
    processes: int = 1,
    progress: bool = True,
) -> Atlas:
    """Render one person, looking straight ahead, with each action unit alone at each intensity.

    Parameters
    ----------
    aus : tuple of int, optional
        Units; by default all of CK+'s that the renderer supports.
    levels : tuple of float
        Intensities from 0 (absent) to 5 (E).
    size, side : int
        Side of the rendered picture, and of the cut that is kept of it, in pixels.
    seed : int
        Of the person and the light.
    processes : int
        How many to use; the result does not depend on it.
    progress : bool
        Whether a progress bar is shown on a terminal.

    Returns
    -------
    Atlas
    """
    chosen = tuple(au for au in supported_aus() if au in AUS) if aus is None else aus
    work = partial(_unit, levels=levels, size=size, side=side, seed=seed)
    done = in_processes(work, chosen, processes)
    bar = tqdm(done, total=len(chosen), desc="atlas", disable=None if progress else True)
    pictures, regions, masks = map(np.stack, zip(*bar, strict=True))
    return Atlas(np.array(chosen), np.array(levels, float), pictures, regions, masks)


@cache
def _sitting(seed: int, size: int) -> tuple[Person, Shot, Frame]:
    """The person, the light and the neutral face that all units share."""
    person = Person(seed)
    shot = replace(Shot.draw(np.random.default_rng(seed)), pose=(0.0, 0.0, 0.0))
    return person, shot, render(person, {}, shot, size=size)


def _unit(
    au: int, *, levels: tuple[float, ...], size: int, side: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render one unit: pictures (L, side, side) uint8, region (side, side) float32, mask (96, 96) uint8."""
    person, shot, neutral = _sitting(seed, size)
    low, high = neutral.landmarks.min(0), neutral.landmarks.max(0)
    # A margin, so that a dropped jaw and raised brows stay inside.
    margin = 0.12 * (high - low)
    left, top = np.maximum(np.floor(low - margin), 0).astype(int)
    right, bottom = np.ceil(high + margin).astype(int)

    def cut(picture: np.ndarray) -> np.ndarray:
        part = picture[top:bottom, left:right]
        return to_shape(
            part.astype(np.float32), (side, side), order=1, anti_aliasing=True, preserve_range=True
        )

    frames = [neutral if level == 0 else render(person, {au: level / 5}, shot, size=size) for level in levels]
    region = frames[-1].region(au)
    pictures = np.stack([cut(frame.image) for frame in frames]).astype(np.uint8)
    return pictures, cut(region), crop_mask(region, frames[-1].landmarks)
