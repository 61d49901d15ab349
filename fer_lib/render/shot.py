"""Pose, light and camera of a sequence; they belong to no person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

YAW = 2.5
"""Standard deviation of the head's turn to the side, in degrees."""

_DIRECTIONS = 52


@dataclass(frozen=True)
class Shot:
    """Pose, light and camera of one sequence.

    Attributes
    ----------
    seed : int
        Of the camera's noise; one for each frame.
    pose : tuple of float
        Yaw, pitch and roll in degrees.
    light : (k,) array
        Intensity from each direction of :func:`directions`.
    boxes : (m, 4) array
        Direction and strength of the soft boxes, for the glint in the eye.
    background : tuple of float
        Brightness, and its slope to the top and to the right.
    exposure, contrast, blur, noise, pupil : float
        Of camera and eye.
    zoom : float
        Size of the head in the picture, about 1.
    quality : int
        Of the JPEG that the picture was kept as, 1 to 95; 0 for one that was never compressed.
    """

    seed: int
    pose: tuple[float, float, float]
    light: np.ndarray
    boxes: np.ndarray
    background: tuple[float, float, float]
    exposure: float
    contrast: float
    blur: float
    noise: float
    pupil: float
    zoom: float = 1.0
    quality: int = 0

    @classmethod
    def draw(cls, rng: np.random.Generator, *, yaw: float = YAW) -> Shot:
        """Draw the shot of a sequence; `yaw` is the standard deviation of the head's turn, in degrees."""
        light, boxes = _light(rng)
        return cls(
            seed=int(rng.integers(2**31)),
            pose=(float(rng.normal(0, yaw)), float(rng.normal(0, 2)), float(rng.normal(0, 1.5))),
            light=light,
            boxes=boxes,
            background=(
                float(rng.uniform(0.08, 0.5)),
                float(rng.uniform(-0.1, 0.1)),
                float(rng.uniform(-0.1, 0.1)),
            ),
            exposure=float(np.exp(rng.normal(np.log(0.46), 0.14))),
            contrast=float(rng.uniform(0.2, 0.6)),
            blur=float(rng.uniform(0.5, 0.95)),
            noise=float(rng.uniform(0.004, 0.012)),
            pupil=float(rng.uniform(0.13, 0.22)),
            zoom=float(rng.uniform(0.86, 0.95)),
            quality=int(rng.integers(70, 93)) if rng.random() < 0.25 else 0,
        )

    def jitter(self, rng: np.random.Generator) -> Shot:
        """Return the shot of another frame: a little movement, other noise."""
        yaw, pitch, roll = (float(angle + rng.normal(0, 0.5)) for angle in self.pose)
        return replace(self, seed=int(rng.integers(2**31)), pose=(yaw, pitch, roll))


@cache
def directions() -> np.ndarray:
    """Directions that light comes from, (k, 3) unit vectors, none from far behind."""
    k = np.arange(_DIRECTIONS) + 0.5
    z = 1 - 2 * k / _DIRECTIONS
    turn = np.pi * (1 + 5**0.5) * k
    all_around = np.stack([np.cos(turn) * np.sqrt(1 - z * z), z, np.sin(turn) * np.sqrt(1 - z * z)], 1)
    return all_around[all_around[:, 2] > -0.35]


def _light(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw ambient light with one or two soft boxes, in front of the face as in a laboratory."""
    light = rng.uniform(0.06, 0.16) * (1 + 1.2 * np.clip(directions()[:, 1], 0, 1))
    settings = (
        [(-38, 18), (38, 18)],
        [(rng.uniform(-30, 30), 25)],
        [(rng.uniform(-15, 15), 35)],
        [(-45, 15), (35, 30)],
    )
    chosen = settings[int(rng.integers(4))]
    boxes = []
    for azimuth, elevation in chosen:
        a, e = np.deg2rad([azimuth + rng.normal(0, 6), elevation + rng.normal(0, 5)])
        towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        strength = rng.uniform(0.7, 1.3) * 1.7 / len(chosen)
        light = light + strength * 2.2 * np.exp(9 * (directions() @ towards - 1))
        boxes.append([*towards, strength])
    return light * (2.6 / light.sum()), np.array(boxes)
