"""Colour of every visible point of the head, and the light it sends to the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fer_lib.render import paint
from fer_lib.render.assets import EYE, LOWER_TEETH, SKIN, TONGUE, UPPER_TEETH, head, smoothstep, unit
from fer_lib.render.person import Person


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
    hair, strands, relief : (n,) arrays
    visible : (n, k) array
        How much of each direction of light the point sees.
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
    visible: np.ndarray


def albedo(person: Person, seen: Surface, pupil: float) -> tuple[np.ndarray, np.ndarray]:
    """Return brightness and gloss of every point, two (n,) arrays."""
    x, y, z = seen.template.T
    face = seen.kind == SKIN
    lips, inside, lids, lash = seen.masks.T
    lips = smoothstep(0.25, 0.75, lips)
    front = np.clip(seen.normal[:, 2], 0, 1) * (face & (seen.hair < 0.5))
    brow = paint.sample(person.brow, seen.template) * front
    tone = person.albedo * paint.sample(person.skin, seen.template)
    tone = (
        tone * (1 - 0.45 * np.clip(-seen.relief, 0, 0.5)) * (1 - (1 - person.lips) * lips) * (1 - 0.12 * lids)
    )
    tone = tone * (1 - np.clip(lash, 0, 1) * np.where(y > 7.345, 0.88, 0.35))
    tone = tone * (1 - inside) + 0.25 * person.albedo * inside
    tone = tone * (1 - brow) + 0.9 * person.hair * brow
    tone = tone * (1 - seen.hair) + person.hair * np.exp(0.55 * seen.strands) * seen.hair
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
    place = np.arctan2(x, z - 1.0) * 4.6 + 0.5 * lower
    gap = np.exp(-(((place - np.round(place)) / 0.06) ** 2))
    tooth = person.teeth * (1 - 0.45 * gap) * (0.35 + 0.65 * smoothstep(0.34, 0.16, abs(x)))
    gum = np.where(upper, smoothstep(6.735, 6.755, y), smoothstep(6.585, 6.565, y))
    return tooth + (0.2 - tooth) * gum


def shade(
    seen: Surface,
    tone: np.ndarray,
    gloss: np.ndarray,
    directions: np.ndarray,
    light: np.ndarray,
    boxes: np.ndarray,
) -> np.ndarray:
    """Return the light sent to the camera, (n,): wrapped diffuse, two lobes of gloss, glints on wet eyes.

    Parameters
    ----------
    seen : Surface
    tone, gloss : (n,) arrays
        From :func:`albedo`.
    directions : (k, 3) array
    light : (k,) array
        Intensity from each direction.
    boxes : (m, 4) array
        Direction and strength of the soft boxes.
    """
    face = seen.kind == SKIN
    x, _, _ = seen.template.T
    teeth = (seen.kind == UPPER_TEETH) | (seen.kind == LOWER_TEETH)
    incoming = seen.visible * light
    # Light that enters skin leaves it nearby: the terminator is softer than the geometry's.
    wrap = (0.15 * (face & (seen.hair < 0.5))).astype(np.float32)[:, None]
    cosine = unit(0.35 * seen.normal + 0.65 * seen.bumped) @ directions.T
    diffuse = np.einsum("ij,ij->i", incoming, np.clip((cosine + wrap) / (1 + wrap), 0, None))
    sky = seen.visible.mean(1)
    diffuse += 0.24 * teeth * smoothstep(0.30, 0.05, abs(x)) * (0.25 + sky)  # light between lips and teeth
    facing = (seen.ray * seen.bumped).sum(1, keepdims=True)
    mirrored = seen.ray - 2 * facing * seen.bumped
    lobe = np.clip(mirrored @ directions.T, 0, None)
    broad = lobe**2
    broad *= broad
    narrow = broad * broad
    narrow *= narrow
    fresnel = 0.035 + 0.5 * (1 - np.clip(-facing[:, 0], 0, 1)) ** 5
    shine = 1.4 * np.einsum("ij,ij->i", incoming, broad) + 2.4 * np.einsum("ij,ij->i", incoming, narrow)
    glint = sum(strength * smoothstep(0.93, 0.965, mirrored @ towards) for *towards, strength in boxes)
    wet = 0.8 * np.clip(glint * (seen.kind == EYE), 0, 1.5) * sky
    return (tone * diffuse + fresnel * gloss * shine + wet).astype(np.float32)
