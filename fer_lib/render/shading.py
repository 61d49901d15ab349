"""Colour of every visible point of the head, and the light it sends to the camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fer_lib.render.assets import EYE, LOWER_TEETH, SKIN, TONGUE, UPPER_TEETH, head, smoothstep, unit
from fer_lib.render.person import Person
from fer_lib.render.shot import directions


@dataclass(frozen=True)
class Surface:
    """What the camera sees, one row a ray that hits the head.

    Attributes
    ----------
    ray, normal, bumped, template : (n, 3) arrays
        Direction of view, normal, normal with relief, place on the template.
    kind : (n,) int array
        See `fer_lib.render.assets`.
    masks : (n, 4) array
        Lips, inside of the mouth, eyelids, lashes.
    hair, strands, relief, skin, brow : (n,) arrays
        Share of hair, its strands, relief, brightness and brow painted there.
    """

    ray: np.ndarray
    normal: np.ndarray
    bumped: np.ndarray
    template: np.ndarray
    kind: np.ndarray
    masks: np.ndarray
    hair: np.ndarray
    strands: np.ndarray
    relief: np.ndarray
    skin: np.ndarray
    brow: np.ndarray


def albedo(person: Person, seen: Surface, pupil: float) -> tuple[np.ndarray, np.ndarray]:
    """Return brightness and gloss of every point, two (n,) arrays."""
    x, y, z = seen.template.T
    face = seen.kind == SKIN
    lips, inside, lids, lash = seen.masks.T
    lips = smoothstep(0.25, 0.75, lips)
    front = np.clip(seen.normal[:, 2], 0, 1) * (face & (seen.hair < 0.5))
    brow = seen.brow * front
    tone = person.albedo * seen.skin
    tone = (
        tone
        * (1 - 0.45 * np.clip(-seen.relief, 0, 0.5))
        * (1 - (1 - person.lips) * lips)
        * (1 - (0.1 + person.eye_shadow) * lids)
    )
    tone = tone * (
        1 - np.clip(lash, 0, 1) * person.lash * np.where(y > 7.345, np.float32(1), np.float32(0.4))
    )
    tone = tone * (1 - inside) + 0.25 * person.albedo * inside
    tone = tone * (1 - brow) + min(0.9 * person.hair, 0.35 * person.albedo) * brow
    tone = tone * (1 - seen.hair) + person.hair * np.exp(0.35 * np.minimum(seen.strands, 1.2)) * seen.hair
    tone = np.where(face & (y < 5.75), 0.12, tone)  # shirt
    upper, lower = seen.kind == UPPER_TEETH, seen.kind == LOWER_TEETH
    tooth = _teeth(person, x, y, z, upper, lower)
    chosen = [seen.kind == EYE, upper | lower, seen.kind == TONGUE]
    tone = np.select(chosen, [_eyes(person, seen, pupil), tooth, 0.16], tone)
    oil = 0.8 + 0.9 * np.exp(-((x / 0.16) ** 2)) * smoothstep(6.85, 7.05, y)
    gloss = np.select(
        [upper | lower, (seen.kind == EYE) | (seen.kind == TONGUE), seen.hair > 0.5],
        [1.0, 0.0, 0.2],
        (oil + 0.6 * lips) * (1 - brow),
    )
    return tone, gloss * person.oil


def _eyes(person: Person, seen: Surface, pupil: float) -> np.ndarray:
    """Pupil, iris with limbal ring, and sclera by the angle from the axis of the eye."""
    axis = np.zeros_like(seen.template)
    for ids in head().eyes:
        centre = head().mean[ids].mean(0)
        here = (seen.kind == EYE) & (seen.template[:, 0] * centre[0] > 0)
        axis[here] = unit(seen.template[here] - centre)
    angle = np.arccos(np.clip(axis[:, 2], -1, 1))
    around = np.arctan2(axis[:, 1], axis[:, 0])
    iris = (
        person.iris
        * (1 + 0.18 * np.sin(around * 31 + 3 * np.sin(around * 7)))
        * (1 - 0.6 * smoothstep(0.34, 0.46, angle))
    )
    white = smoothstep(0.43, 0.49, angle)
    ball = np.where(angle < pupil, 0.004, iris)
    return ball * (1 - white) + person.sclera * white * (1 - 0.35 * smoothstep(0.6, 1.2, angle))


def _teeth(
    person: Person, x: np.ndarray, y: np.ndarray, z: np.ndarray, upper: np.ndarray, lower: np.ndarray
) -> np.ndarray:
    """Teeth with gaps between them, darker to the sides, and gums."""
    place = np.arctan2(x, z - 1.0) * 4.6 + np.float32(0.5) * lower
    gap = np.exp(-(((place - np.round(place)) / 0.06) ** 2))
    tooth = person.teeth * (1 - 0.45 * gap) * (0.35 + 0.65 * smoothstep(0.34, 0.16, abs(x)))
    gum = np.where(upper, smoothstep(6.735, 6.755, y), smoothstep(6.585, 6.565, y))
    return tooth + (0.2 - tooth) * gum


def incoming(
    points: np.ndarray,
    normal: np.ndarray,
    ray: np.ndarray,
    light: np.ndarray,
    wrap: float,
    open_sky: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Gather the light that reaches points, in a form that a bump of the surface can still bend.

    Diffuse light is kept as its vector sum over the directions in front of the surface, so that
    ``(n . G + wrap S) / (1 + wrap)`` is exact for the point's own normal and linear around it; gloss as its value
    and gradient along the mirrored ray.

    Parameters
    ----------
    points, normal, ray : (n, 3) float32 arrays
        Place, normal and direction of view.
    light : (k,) array
        Intensity from each of :func:`~fer_lib.render.shot.directions`.
    wrap : float
        How far light reaches around the edge: it enters skin and leaves it nearby.
    open_sky : callable
        Origins and directions of rays to whether nothing stands in their way.

    Returns
    -------
    (n, 9) float32 array
        G (3), S, gloss, its gradient (3), share of the sky in view.
    """
    towards = directions().astype(np.float32)
    ahead = normal @ towards.T > -wrap
    point, way = np.nonzero(ahead)
    origins = (points + 0.006 * normal)[point]
    visible = np.zeros(ahead.shape, np.float32)
    visible[point, way] = open_sky(origins, towards[way])
    arriving = visible * light.astype(np.float32)
    facing = np.einsum("ij,ij->i", ray, normal)[:, None]
    lobe = np.clip((ray - 2 * facing * normal) @ towards.T, 0, None)
    cubed = lobe**2 * lobe
    fifteenth = cubed * cubed
    fifteenth = fifteenth * fifteenth * cubed
    gloss = np.einsum("ij,ij->i", arriving, (1.4 * cubed + 2.4 * fifteenth) * lobe)
    gradient = (arriving * (5.6 * cubed + 38.4 * fifteenth)) @ towards
    return np.concatenate(
        [
            arriving @ towards,
            arriving.sum(1, keepdims=True),
            gloss[:, None],
            gradient,
            visible.mean(1, keepdims=True),
        ],
        1,
    )


def shade(
    seen: Surface, tone: np.ndarray, gloss: np.ndarray, lit: np.ndarray, boxes: np.ndarray
) -> np.ndarray:
    """Return the light sent to the camera, (n,): wrapped diffuse, two lobes of gloss, glints on wet eyes.

    Parameters
    ----------
    seen : Surface
    tone, gloss : (n,) arrays
        From :func:`albedo`.
    lit : (n, 9) array
        From :func:`incoming`.
    boxes : (m, 4) array
        Direction and strength of the soft boxes.
    """
    x = seen.template[:, 0]
    teeth = (seen.kind == UPPER_TEETH) | (seen.kind == LOWER_TEETH)
    wrap = np.float32(0.15) * (seen.kind == SKIN)
    soft = unit(0.35 * seen.normal + 0.65 * seen.bumped)
    diffuse = (np.einsum("ij,ij->i", soft, lit[:, :3]) + wrap * lit[:, 3]) / (1 + wrap)
    sky = lit[:, 8]
    diffuse = np.clip(diffuse, 0, None)
    diffuse += (
        np.float32(0.24) * teeth * smoothstep(0.30, 0.05, abs(x)) * (0.25 + sky)
    )  # light between lips and teeth
    straight = _mirrored(seen.ray, seen.normal)
    bent = _mirrored(seen.ray, seen.bumped)
    grow = np.einsum("ij,ij->i", lit[:, 5:8], bent - straight) / np.maximum(lit[:, 4], 1e-6)
    shine = lit[:, 4] * np.exp(np.clip(grow, -1.5, 1.2))
    away = np.clip(-np.einsum("ij,ij->i", seen.ray, seen.bumped), 0, 1)
    rim = (1 - away) ** 2
    radiance = tone * diffuse + (0.035 + 0.5 * rim * rim * (1 - away)) * gloss * shine
    eye = seen.kind == EYE
    glint = sum(strength * smoothstep(0.93, 0.965, bent[eye] @ towards) for *towards, strength in boxes)
    radiance[eye] += 0.8 * np.clip(glint, 0, 1.5) * sky[eye]
    return radiance.astype(np.float32)


def _mirrored(ray: np.ndarray, normal: np.ndarray) -> np.ndarray:
    return ray - 2 * np.einsum("ij,ij->i", ray, normal)[:, None] * normal
