"""What each action unit does to the mesh and to the relief of the skin."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import numpy as np

from fer_lib.errors import FerError
from fer_lib.facs import AUS
from fer_lib.render.assets import VERTICES, head, smoothstep, target

_X = "expression/units/caucasian/"

# Morph targets of each unit at intensity E. {Side}: Left/Right (face units), {side}: left/right, {s}: l/r.
TARGETS: dict[int, dict[str, float]] = {
    1: {"unit:browInnerUp": 2.2, _X + "eyebrows-{side}-inner-up": 1.4},
    2: {"unit:browOuterUp{Side}": 1.6, _X + "eyebrows-{side}-extern-up": 0.6},
    4: {"unit:browDown{Side}": 1.6, _X + "eyebrows-{side}-down": 1.4},
    5: {"unit:eyeWide{Side}": 2.2},
    6: {"unit:cheekSquint{Side}": 1.1, "cheek/{s}-cheek-trans-up": 0.15, "eyes/{s}-eye-bag-incr": 0.3},
    7: {_X + "eye-{side}-slit": 0.75},
    9: {
        "unit:noseSneer{Side}": 1.4,
        _X + "nose-{side}-elevation": 0.7,
        "unit:mouthUpperUp{Side}": 1.4,
        "unit:cheekSquint{Side}": 1.2,
        _X + "eye-{side}-slit": 0.9,
    },
    10: {_X + "mouth-elevation": 1.2},
    11: {"unit:noseSneer{Side}": 0.35, "mouth/mouth-laugh-lines-in": 0.6},
    12: {_X + "mouth-corner-puller": 0.9, "unit:mouthSmile{Side}": 0.6},
    14: {"unit:mouthDimple{Side}": 1.2, _X + "mouth-retraction": 0.45, "unit:mouthSmile{Side}": 0.2},
    15: {_X + "mouth-depression": 0.85, "unit:mouthFrown{Side}": 0.95},
    16: {"unit:mouthLowerDown{Side}": 1.1, _X + "mouth-depression-retraction": 0.25},
    17: {"unit:mouthShrugLower": 0.75, "chin/chin-prominent-incr": 0.3, "chin/chin-height-decr": 0.25},
    18: {_X + "mouth-pursing": 0.8},
    20: {"unit:mouthStretch{Side}": 2.1, "unit:mouthFrown{Side}": 0.65, _X + "mouth-retraction": 0.3},
    22: {_X + "mouth-protusion": 0.6},
    23: {
        "unit:mouthRollLower": 0.35,
        "unit:mouthRollUpper": 0.3,
        "unit:mouthPucker": 0.2,
        "mouth/mouth-scale-vert-decr": 0.3,
    },
    24: {
        "unit:mouthPress{Side}": 0.3,
        "unit:mouthRollLower": 0.8,
        "unit:mouthRollUpper": 0.7,
        "mouth/mouth-scale-horiz-decr": 0.25,
        "mouth/mouth-angles-down": 0.6,
    },
    25: {"unit:mouthLowerDown{Side}": 0.5, "unit:mouthUpperUp{Side}": 0.4, _X + "mouth-part-later": 0.3},
    26: {"unit:jawOpen": 0.4, "unit:mouthFunnel": 0.3},
    27: {"unit:jawOpen": 1.1, "unit:mouthFunnel": 0.7},
    28: {"unit:mouthRollLower": 1.0, "unit:mouthRollUpper": 1.0},
    38: {_X + "nose-{side}-dilatation": 1.0},
    43: {_X + "eye-{side}-closure": 1.0},
}

# Height on the mean head, in decimetres, above which a unit has no region. The morph that stands in for AU 11 tugs at the
# forehead by less than a millimetre; its own movement is hardly larger, so that a share of it would take in the brows.
BELOW: dict[int, float] = {11: 7.15}

# Wrinkle layers (see paint.wrinkles) that a unit carves, and how deep.
WRINKLES: dict[int, dict[str, float]] = {
    1: {"forehead_middle": 0.5},
    2: {"forehead": 0.6},
    4: {"glabella": 0.9},
    6: {"crow": 0.7, "underlid": 0.6},
    7: {"underlid": 0.5},
    9: {"nose_root": 1.3, "nasolabial_upper": 1.1, "underlid": 0.8},
    10: {"nasolabial_upper": 0.6},
    11: {"nasolabial": 0.5},
    12: {"nasolabial": 0.7, "dimple": 0.3},
    14: {"dimple": 1.1},
    15: {"marionette": 0.8},
    17: {"chin": 0.8},
    20: {"nasolabial": 0.35},
    23: {"dimple": 0.2},
    24: {"dimple": 0.3},
}


def supported_aus() -> tuple[int, ...]:
    """Return the numbers of the action units that can be rendered."""
    return tuple(TARGETS)


def parse(code: int | str) -> tuple[int, str]:
    """Split ``12`` or ``"14L"`` into number and side ("" for both).

    Raises
    ------
    FerError
        If the unit cannot be rendered.
    """
    text = str(code)
    side = text[-1] if text[-1:] in ("L", "R") else ""
    number = text[: len(text) - len(side)]
    if not number.isdigit() or int(number) not in TARGETS:
        known = ", ".join(map(str, TARGETS))
        raise FerError(f"AU {code!r} cannot be rendered; the units are {known}, one-sided as in '14L'")
    return int(number), side


@cache
def offset(code: int | str) -> np.ndarray:
    """Return the vertex offsets of one unit at intensity E, (VERTICES, 3) in decimetres."""
    number, side = parse(code)
    total = np.zeros((VERTICES, 3))
    for name, weight in TARGETS[number].items():
        sides = ("left", "right") if "{" in name else ("",)
        for s in sides:
            total += weight * target(name.format(Side=s.title(), side=s, s=s[:1]))
    if side:
        x = head().mean[:, :1] * (1 if side == "L" else -1)
        total = total * smoothstep(-0.06, 0.06, x)
    return total


@cache
def refined(code: int | str) -> np.ndarray:
    """Return the offsets of one unit at intensity E on the refined mesh, (m, 3) float32 in decimetres."""
    return (head().refine @ offset(code)[head().ids]).astype(np.float32)


@cache
def movement(code: int | str) -> np.ndarray:
    """Return how far one unit moves each refined vertex of its region, (m,) float32 relative to the farthest."""
    moved = np.linalg.norm(refined(code), axis=1)
    top = BELOW.get(parse(code)[0])
    if top is not None:
        moved = moved * smoothstep(top, top - 0.1, head().template[:, 1]).astype(np.float32)
    return moved / moved.max()


def drawable(aus: Collection[int] | None) -> frozenset[int]:
    """Return those of CK+'s AUs that can be rendered, or those asked for.

    Raises
    ------
    FerError
        If one that is asked for cannot be rendered.
    """
    able = frozenset(supported_aus()) & frozenset(AUS)
    unable = sorted(set(aus or ()) - able)
    if unable:
        raise FerError(f"AU {unable[0]} cannot be rendered: choose from {', '.join(map(str, sorted(able)))}")
    return able if aus is None else frozenset(aus)
