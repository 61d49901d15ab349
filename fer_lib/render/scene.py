"""One picture: place the head, cast rays, shade, photograph; with its landmarks and regions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from fer_lib.render import muscles, paint
from fer_lib.render.assets import SKIN, head, smoothstep, unit, vertex_normals
from fer_lib.render.muscles import supported_aus
from fer_lib.render.person import Person
from fer_lib.render.shading import Surface, albedo, shade

__all__ = ["Frame", "Shot", "render", "supported_aus"]

_CAMERA = 16.0  # decimetres in front of the head
_HALF = 1.25  # half the width of the picture at the head, decimetres
_DIRECTIONS = 64


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
        Intensity from each direction of the sphere.
    boxes : (m, 4) array
        Direction and strength of the soft boxes, for the glint in the eye.
    background : tuple of float
        Brightness, and its slope to the top and to the right.
    exposure, contrast, blur, noise, pupil : float
        Of camera and eye.
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

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Shot:
        """Draw the shot of a sequence."""
        light, boxes = _light(rng)
        return cls(
            seed=int(rng.integers(2**31)),
            pose=(float(rng.normal(0, 4)), float(rng.normal(0, 3)), float(rng.normal(0, 2))),
            light=light,
            boxes=boxes,
            background=(
                float(rng.uniform(0.03, 0.5)),
                float(rng.uniform(-0.1, 0.1)),
                float(rng.uniform(-0.1, 0.1)),
            ),
            exposure=float(np.exp(rng.normal(np.log(0.34), 0.18))),
            contrast=float(rng.uniform(0.3, 0.8)),
            blur=float(rng.uniform(0.45, 0.9)),
            noise=float(rng.uniform(0.004, 0.012)),
            pupil=float(rng.uniform(0.13, 0.22)),
        )

    def jitter(self, rng: np.random.Generator) -> Shot:
        """Return the shot of another frame: a little movement, other noise."""
        yaw, pitch, roll = (float(angle + rng.normal(0, 0.5)) for angle in self.pose)
        return replace(self, seed=int(rng.integers(2**31)), pose=(yaw, pitch, roll))


@cache
def _directions() -> np.ndarray:
    """Directions of the light, (k, 3) unit vectors, none from far behind."""
    k = np.arange(_DIRECTIONS) + 0.5
    z = 1 - 2 * k / _DIRECTIONS
    turn = np.pi * (1 + 5**0.5) * k
    all_around = np.stack([np.cos(turn) * np.sqrt(1 - z * z), z, np.sin(turn) * np.sqrt(1 - z * z)], 1)
    return all_around[all_around[:, 2] > -0.35]


def _light(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw ambient light with one or two soft boxes."""
    directions = _directions()
    light = rng.uniform(0.06, 0.16) * (1 + 1.2 * np.clip(directions[:, 1], 0, 1))
    settings = (
        [(-38, 18), (38, 18)],
        [(rng.uniform(-60, 60), 25)],
        [(rng.uniform(-15, 15), 35)],
        [(-50, 10), (30, 30)],
    )
    chosen = settings[int(rng.integers(4))]
    boxes = []
    for azimuth, elevation in chosen:
        a, e = np.deg2rad([azimuth + rng.normal(0, 6), elevation + rng.normal(0, 5)])
        towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        strength = rng.uniform(0.7, 1.3) * 1.7 / len(chosen)
        light = light + strength * 2.2 * np.exp(9 * (directions @ towards - 1))
        boxes.append([*towards, strength])
    return light * (2.6 / light.sum()), np.array(boxes)


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
    _used: np.ndarray
    _hit: np.ndarray
    _template: np.ndarray

    def region(self, au: int | str) -> np.ndarray:
        """How far a unit at E moves each pixel's skin, (size, size) float32 from 0 to 1 (its largest displacement).

        The wrinkles that the unit carves belong to its region too: foreheads lift in folds above the brows.
        """
        number, side = muscles.parse(au)
        moved = np.linalg.norm(head().refine @ muscles.offset(au)[head().ids], axis=1)
        pixels = self._carry @ (moved / moved.max())[self._used]
        for layer, depth in muscles.WRINKLES.get(number, {}).items():
            carved = gaussian_filter(abs(paint.shared_wrinkles()[layer]), 4)
            there = depth * paint.sample(carved / carved.max(), self._template)
            if side:
                there *= self._template[:, 0] * (1 if side == "L" else -1) > 0
            pixels = np.maximum(pixels, there)
        size = len(self.image)
        full = np.zeros(self._hit.shape, np.float32)
        full[self._hit] = pixels
        factor = round((len(full) / size**2) ** 0.5)
        return full.reshape(size, factor, size, factor).mean((1, 3))


@cache
def _landmark_vertices() -> np.ndarray:
    """Vertices of the refined mesh that carry the 68 landmarks."""
    text = (Path(__file__).parent / "landmarks68.json").read_text(encoding="utf-8")
    skin = np.unique(head().triangles[head().kind == SKIN])
    _, nearest = cKDTree(head().template[skin]).query(np.array(json.loads(text)))
    return skin[nearest]


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
            carved = depth * strength * person.wrinkled * person.uneven * person.wrinkles[layer]
            relief[:, half] += carved[:, half]
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
    shared, samples = head(), 2
    vertices = person.vertices
    for code, strength in aus.items():
        vertices = vertices + strength * muscles.offset(code)
    skin = (shared.refine @ vertices[shared.ids]).astype(np.float32)
    normals = vertex_normals(skin, shared.triangles)
    surface = skin + (person.hair_height(shared.template)[:, None] * normals).astype(np.float32)
    raised = vertex_normals(surface, shared.triangles)
    normals = np.where(person.hair_mask[:, None] > 0, raised, normals).astype(np.float32)

    turn = _rotation(*shot.pose)
    eyes = sum(person.vertices[ids].mean(0) for ids in shared.eyes) / 2
    centre = np.array([0, eyes[1] - 0.30, eyes[2] - 0.65])
    surface = ((surface - centre) @ turn.T).astype(np.float32)
    normals = (normals @ turn.T).astype(np.float32)
    camera = np.array([0, 0, _CAMERA], np.float32)
    side = size * samples
    x, y = np.meshgrid((np.arange(side) + 0.5) / side * 2 - 1, 1 - (np.arange(side) + 0.5) / side * 2)
    rays = unit(np.stack([x * _HALF, y * _HALF, np.full_like(x, -_CAMERA)], -1).reshape(-1, 3)).astype(
        np.float32
    )

    scene = EmbreeScene()
    TriangleMesh(scene, np.ascontiguousarray(surface), shared.triangles)
    found = scene.run(np.broadcast_to(camera, rays.shape).copy(), rays, query="INTERSECT", output=True)
    hit = found["primID"] >= 0
    which, u, v = found["primID"][hit], found["u"][hit], found["v"][hit]
    used, local = np.unique(shared.triangles[which], return_inverse=True)
    weights = np.stack([1 - u - v, u, v], 1).ravel().astype(np.float32)
    starts = np.arange(len(which) + 1) * 3
    carry = sp.csr_matrix((weights, local.ravel(), starts), (len(which), len(used)))
    attributes = np.concatenate(
        [
            normals[used],
            shared.template[used],
            shared.masks[used],
            person.hair_mask[used, None],
            surface[used],
        ],
        1,
    ).astype(np.float32)
    pixels = carry @ attributes
    kind = shared.kind[which]
    directions = _directions().astype(np.float32)

    def open_sky(points: np.ndarray) -> np.ndarray:
        """Whether each point sees each direction of the light, (n, k) float32."""
        count = len(directions)
        origins, towards = np.repeat(points, count, 0), np.tile(directions, (len(points), 1))
        answer = scene.run(np.ascontiguousarray(origins, np.float32), towards, query="OCCLUDED")
        return (answer == -1).reshape(-1, count).astype(np.float32)

    normal, position = unit(pixels[:, :3]), pixels[:, 11:14]
    visible = carry @ open_sky(surface[used] + 0.006 * normals[used])
    small = kind != SKIN  # eyes and mouth are too fine for shadows that are known at vertices only
    visible[small] = open_sky(position[small] + 0.01 * normal[small])

    template = pixels[:, 3:6]
    relief = _relief(person, aus)
    wave = _strands(person, template)
    hair = smoothstep(-0.03, 0.05, pixels[:, 10] + 0.035 * wave) * (kind == SKIN)
    slope_y, slope_x = np.gradient(relief)
    front = np.clip(normal[:, 2], 0, 1) * ((kind == SKIN) & (hair < 0.5))
    slope = np.stack([paint.sample(slope_x, template), -paint.sample(slope_y, template), 0 * front], 1)
    slope = (slope @ turn.T.astype(np.float32)) * (7 * front)[:, None]
    bumped = unit(normal - slope + normal * (slope * normal).sum(1, keepdims=True)).astype(np.float32)
    there = Surface(
        ray=rays[hit],
        normal=normal,
        bumped=bumped,
        template=template,
        kind=kind,
        masks=pixels[:, 6:10],
        hair=hair,
        strands=wave,
        relief=paint.sample(relief, template),
        visible=visible,
    )
    base, gloss = albedo(person, there, shot.pupil)
    radiance = shade(there, base, gloss, directions, shot.light.astype(np.float32), shot.boxes)
    image = _photograph(radiance, hit, there, shot, x, y, size, samples)

    placed = (skin[_landmark_vertices()] - centre) @ turn.T - camera
    projected = placed[:, :2] / -placed[:, 2:] * _CAMERA / _HALF
    landmarks = np.stack([(projected[:, 0] + 1) * size / 2, (1 - projected[:, 1]) * size / 2], 1) - 0.5
    return Frame(image, landmarks.astype(np.float32), carry, used, hit, template)


def _strands(person: Person, template: np.ndarray) -> np.ndarray:
    """Strands of hair as noise around the head's axis."""
    x, y, z = template.T
    rows = np.clip((y - 6.0) / 2.6, 0, 1) * 63
    columns = (np.arctan2(x, z - 0.2) / (2 * np.pi) + 0.5) * 1023
    return map_coordinates(person.strands, [rows, columns], order=1, mode="wrap")


def _photograph(
    radiance: np.ndarray,
    hit: np.ndarray,
    there: Surface,
    shot: Shot,
    x: np.ndarray,
    y: np.ndarray,
    size: int,
    samples: int,
) -> np.ndarray:
    """Expose, bend by the tone curve, blur and add noise: (size, size) uint8."""
    level, up, right = shot.background
    picture = np.clip(level + up * y + right * x, 0.01, 1).ravel().astype(np.float32)
    picture[hit] = radiance
    tx, ty, _ = there.template.T
    face = (there.kind == SKIN) & (there.hair < 0.5) & (abs(tx) < 0.45) & (ty > 6.5) & (ty < 7.8)
    middle = np.median(radiance[face]) if face.any() else 0.2
    film = picture.reshape(size, samples, size, samples).mean((1, 3)) * shot.exposure / middle**0.75
    film = np.where(film < 0.5, film, 0.5 + 0.5 * np.tanh((film - 0.5) / 0.5)) ** (1 / 2.2)
    film = gaussian_filter(film + shot.contrast * (film * film * (3 - 2 * film) - film), shot.blur)
    grain = np.random.default_rng(shot.seed).normal(size=film.shape)
    film = film + gaussian_filter(grain, 0.45) * shot.noise
    return (film * 255).clip(0, 255).astype(np.uint8)
