"""One picture: place the head, cast rays, shade, photograph; with its landmarks and regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
import scipy.sparse as sp
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from PIL import Image
from scipy.ndimage import gaussian_filter

from fer_lib.render import muscles, paint
from fer_lib.render.assets import HAIR, KINDS, SKIN, head, smoothstep, unit
from fer_lib.render.muscles import supported_aus
from fer_lib.render.person import Person
from fer_lib.render.shading import Surface, albedo, incoming, shade
from fer_lib.render.shot import Shot

__all__ = ["Frame", "Shot", "render", "supported_aus"]

_CAMERA = 16.0  # decimetres in front of the head
_HALF = 1.25  # half the width of the picture at the head, decimetres
_SAMPLES = 2  # rays along each side of a pixel


@dataclass(frozen=True)
class Frame:
    """A picture with what is exactly known of it.

    Attributes
    ----------
    image : (size, size) uint8 array
    landmarks : (68, 2) float32 array
        x and y in pixels.
    """

    image: np.ndarray
    landmarks: np.ndarray
    _carry: sp.csr_matrix
    _hit: np.ndarray
    _places: sp.csr_matrix
    _template: np.ndarray

    def region(self, au: int | str) -> np.ndarray:
        """How far a unit at E moves each pixel's skin, (size, size) float32 from 0 to 1 (its largest displacement).

        The wrinkles that the unit carves belong to its region too: foreheads lift in folds above the brows.
        """
        number, side = muscles.parse(au)
        pixels = self._carry @ muscles.movement(au)
        for layer, depth in muscles.WRINKLES.get(number, {}).items():
            there = min(depth, 1.0) * (self._places @ _carved(layer))
            if side:
                there *= self._template[:, 0] * (1 if side == "L" else -1) > 0
            pixels = np.maximum(pixels, there)
        full = np.zeros(self._hit.shape, np.float32)
        full[self._hit] = pixels
        return _pixels(full, len(self.image))


@cache
def _carved(layer: str) -> np.ndarray:
    """Where a wrinkle layer changes the skin, flat, 0 to 1."""
    blurred = gaussian_filter(abs(paint.shared_wrinkles()[layer]), 4)
    return (blurred / blurred.max()).ravel()


def _pixels(samples: np.ndarray, size: int) -> np.ndarray:
    """Average the rays of each pixel, (size, size)."""
    return samples.reshape(size, _SAMPLES, size, _SAMPLES).mean((1, 3))


@cache
def _rays(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place of every ray in the picture, (n, 2) from -1 to 1 (right, up), its origin and direction, (n, 3)."""
    side = size * _SAMPLES
    right, up = np.meshgrid((np.arange(side) + 0.5) / side * 2 - 1, 1 - (np.arange(side) + 0.5) / side * 2)
    towards = np.stack([right * _HALF, up * _HALF, np.full_like(right, -_CAMERA)], -1).reshape(-1, 3)
    places = np.stack([right.ravel(), up.ravel()], 1).astype(np.float32)
    start = np.tile(np.array([[0, 0, _CAMERA]], np.float32), (len(places), 1))
    return places, start, unit(towards).astype(np.float32)


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    (cy, cp, cr), (sy, sin_p, sr) = (
        np.cos(np.deg2rad([yaw, pitch, roll])),
        np.sin(np.deg2rad([yaw, pitch, roll])),
    )
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cp, -sin_p], [0, sin_p, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return about_z @ about_x @ about_y


def _relief(person: Person, aus: Mapping[int | str, float]) -> np.ndarray:
    """Static relief of a person's skin plus the wrinkles that the units carve."""
    relief = person.relief.copy()
    for code, strength in aus.items():
        number, side = muscles.parse(code)
        half = {"": slice(None), "L": slice(paint.WIDTH // 2, None), "R": slice(0, paint.WIDTH // 2)}[side]
        for layer, depth in muscles.WRINKLES.get(number, {}).items():
            relief[:, half] += np.float32(depth * strength * person.wrinkled) * person.wrinkle(layer)[:, half]
    return relief


def render(person: Person, aus: Mapping[int | str, float], shot: Shot, size: int = 256) -> Frame:
    """Photograph a person who shows some action units.

    Parameters
    ----------
    person : Person
    aus : mapping
        Strength by unit, 1.0 being intensity E; ``"14L"`` and ``"14R"`` are one-sided.
    shot : Shot
    size : int
        Side of the picture in pixels.

    Returns
    -------
    Frame

    Raises
    ------
    fer_lib.errors.FerError
        If a unit cannot be rendered.
    """
    shared = head()
    skin = person.neutral
    for code, strength in aus.items():
        skin = skin + np.float32(strength) * muscles.refined(code)
    turn = _rotation(*shot.pose)
    placing = (shot.zoom * turn.T).astype(np.float32)
    surface = (skin + person.hair_offset - person.centre) @ placing
    where, start, rays = _rays(size)
    normals = shared.normals(surface)
    # Where raised cheeks fold the skin below an eye, its inner side would be seen, and black.
    away = np.einsum("ij,ij->i", normals[person.lids], surface[person.lids] - start[0]) > 0
    normals[person.lids[away]] *= -1
    scene = EmbreeScene()
    TriangleMesh(scene, np.ascontiguousarray(surface), person.triangles)
    found = scene.run(start, rays, query="INTERSECT", output=True)
    hit = found["primID"] >= 0
    which, u, v = found["primID"][hit], found["u"][hit], found["v"][hit]
    corners = person.triangles[which]
    weights = np.stack([1 - u - v, u, v], 1).ravel().astype(np.float32)
    starts = np.arange(len(which) + 1, dtype=np.int32) * 3
    carry = sp.csr_matrix((weights, corners.ravel(), starts), (len(which), len(surface)))

    seen = carry @ np.concatenate([normals, surface, person.fixed], 1)
    normal, position, template = unit(seen[:, :3]), seen[:, 3:6], seen[:, 6:9]
    kind, ray = person.kind[which], rays[hit]
    light = np.zeros((len(surface), 9), np.float32)
    used = np.zeros(len(surface), bool)
    used[corners] = True
    used[shared.fine_parts] = False
    at = np.unique(shared.spread[used].indices)
    view = unit(surface[at] - start[0])
    light[at] = incoming(surface[at], normals[at], view, shot.light, 0.15, _open_sky(scene))
    lit = carry @ (shared.soften @ (shared.spread @ light))
    # Eyes and mouth are too fine for shadows that are known at vertices only: there each pixel has its own.
    small = np.flatnonzero((kind != SKIN) & (kind != HAIR))
    row, column = np.divmod(np.flatnonzero(hit)[small], size * _SAMPLES)
    pixel = row // _SAMPLES * size + column // _SAMPLES
    _, first, group = np.unique(pixel * KINDS + kind[small], return_index=True, return_inverse=True)
    one = small[first]
    own = incoming(position[one], normal[one], ray[one], shot.light, 0.0, _open_sky(scene))
    lit[small] = own[group]

    places = paint.places(template)
    relief = _relief(person, aus)
    slope_y, slope_x = np.gradient(relief)
    layers = np.stack([relief, slope_x, -slope_y, person.skin, person.brow], -1).reshape(-1, 5)
    painted = places @ layers
    hairy = np.flatnonzero(
        (kind == HAIR) | ((kind == SKIN) & (seen[:, 13] > -0.3))
    )  # no strand reaches farther
    wave, hair = np.zeros((2, len(kind)), np.float32)
    wave[hairy] = person.strands_at(template[hairy])
    hair[hairy] = smoothstep(-0.04, 0.12, seen[hairy, 13] + 0.018 * wave[hairy])
    hair[kind == HAIR] = 1
    front = np.clip(normal[:, 2], 0, 1) * (kind == SKIN) * (hair < 0.5)
    slope = (painted[:, 1:3] @ turn[:, :2].T.astype(np.float32)) * (7 * front)[:, None]
    along = np.einsum("ij,ij->i", slope, normal)[:, None]
    there = Surface(
        ray=ray,
        normal=normal,
        bumped=unit(normal - slope + normal * along),
        template=template,
        kind=kind,
        masks=seen[:, 9:13],
        hair=hair,
        strands=wave,
        relief=painted[:, 0],
        skin=painted[:, 3],
        brow=painted[:, 4],
    )
    tone, gloss = albedo(person, there, shot.pupil)
    image = _photograph(shade(there, tone, gloss, lit, shot.boxes), hit, there, shot, where, size)

    placed = (skin[head().landmarks] - person.centre) @ placing - start[0]
    projected = placed[:, :2] / -placed[:, 2:] * _CAMERA / _HALF
    landmarks = np.stack([(projected[:, 0] + 1) * size / 2, (1 - projected[:, 1]) * size / 2], 1) - 0.5
    return Frame(image, landmarks.astype(np.float32), carry, hit, places, template)


def _open_sky(scene: EmbreeScene) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Make the question whether rays, (n, 3) origins and directions, leave the scene: (n,) bool."""

    def answer(origins: np.ndarray, towards: np.ndarray) -> np.ndarray:
        return scene.run(origins, towards, query="OCCLUDED") == -1

    return answer


def _photograph(
    radiance: np.ndarray, hit: np.ndarray, there: Surface, shot: Shot, where: np.ndarray, size: int
) -> np.ndarray:
    """Expose, bend by the tone curve, blur and add noise: (size, size) uint8."""
    level, up, right = shot.background
    picture = np.clip(level + up * where[:, 1] + right * where[:, 0], 0.01, 1).astype(np.float32)
    picture[hit] = radiance
    x, y, _ = there.template.T
    face = (there.kind == SKIN) & (there.hair < 0.5) & (abs(x) < 0.45) & (y > 6.5) & (y < 7.8)
    middle = float(np.median(radiance[face])) if face.any() else 0.2
    film = _pixels(picture, size) * np.float32(0.9 * shot.exposure / middle**0.65)
    film = np.where(film < 0.5, film, 0.5 + 0.5 * np.tanh((film - 0.5) / 0.5)) ** np.float32(1 / 2.2)
    film = gaussian_filter(film + shot.contrast * (film * film * (3 - 2 * film) - film), shot.blur)
    grain = np.random.default_rng(shot.seed).standard_normal(film.shape, np.float32)
    film = film + gaussian_filter(grain, 0.45) * shot.noise
    picture = (film * 255).clip(0, 255).astype(np.uint8)
    return _compressed(picture, shot.quality) if shot.quality else picture


def _compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    """Return a picture as JPEG would keep it."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))
