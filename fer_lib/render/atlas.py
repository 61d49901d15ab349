"""One rendered person with one action unit at a time: reference pictures and regions for every AU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from skimage.transform import resize as scale
from tqdm import tqdm

from fer_lib.errors import FerError
from fer_lib.facs import AUS
from fer_lib.render.person import Person
from fer_lib.render.scene import Frame, Shot, render, supported_aus
from fer_lib.render.workers import in_processes

FILE = "atlas.npz"
PERSON = 61  # middling features, well lit: every unit shows


@dataclass(frozen=True)
class Atlas:
    """Pictures of J action units at L intensities, face crops of s x s pixels.

    Attributes
    ----------
    aus : (J,) int array
        Numbers of the units.
    levels : (L,) float array
        Intensities, 0 (absent) to 5 (E), ascending.
    pictures : (J, L, s, s) uint8 array
        The same face, light and pose throughout.
    regions : (J, s, s) float32 array
        How far each pixel's skin moves at E, relative to the unit's largest displacement, 0 to 1.
    """

    aus: np.ndarray
    levels: np.ndarray
    pictures: np.ndarray
    regions: np.ndarray

    def picture(self, au: int, level: float = 5.0) -> np.ndarray:
        """Return the face with one unit at a level, (s, s) uint8."""
        nearest = int(np.abs(self.levels - level).argmin())
        return self.pictures[self._row(au), nearest]

    def region(self, au: int, *, threshold: float = 0.25, side: int | None = None) -> np.ndarray:
        """Return the pixels that a unit moves by more than a share of its maximum, (side, side) bool."""
        region = self.regions[self._row(au)]
        if side is not None:
            region = scale(region, (side, side), order=1)
        return region > threshold

    def save(self, folder: Path) -> None:
        """Write one npz file into a folder."""
        np.savez_compressed(
            folder / FILE, aus=self.aus, levels=self.levels, pictures=self.pictures, regions=self.regions
        )

    @classmethod
    def load(cls, folder: Path) -> Atlas:
        """Read what :meth:`save` wrote."""
        with np.load(folder / FILE, allow_pickle=False) as file:
            return cls(file["aus"], file["levels"], file["pictures"], file["regions"])

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
        Side of the rendered picture, and of the face crops that are kept, in pixels.
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
    pictures, regions = zip(*bar, strict=True)
    return Atlas(np.array(chosen), np.array(levels, float), np.stack(pictures), np.stack(regions))


@cache
def _sitting(seed: int, size: int) -> tuple[Person, Shot, Frame]:
    """The person, the light and the neutral face that all units share."""
    person = Person(seed)
    shot = replace(Shot.draw(np.random.default_rng(seed)), pose=(0.0, 0.0, 0.0))
    return person, shot, render(person, {}, shot, size=size)


def _unit(
    au: int, *, levels: tuple[float, ...], size: int, side: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Render one unit: pictures (L, side, side) uint8 and region (side, side) float32."""
    person, shot, neutral = _sitting(seed, size)
    low, high = neutral.landmarks.min(0), neutral.landmarks.max(0)
    # A margin, so that a dropped jaw and raised brows stay inside.
    margin = 0.12 * (high - low)
    left, top = np.maximum(np.floor(low - margin), 0).astype(int)
    right, bottom = np.ceil(high + margin).astype(int)

    def cut(picture: np.ndarray) -> np.ndarray:
        part = picture[top:bottom, left:right]
        return scale(part.astype(np.float32), (side, side), order=1, anti_aliasing=True, preserve_range=True)

    frames = [neutral if level == 0 else render(person, {au: level / 5}, shot, size=size) for level in levels]
    return np.stack([cut(f.image) for f in frames]).astype(np.uint8), cut(frames[-1].region(au))
