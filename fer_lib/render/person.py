"""A rendered person: shape of the head, paint and hair, all drawn from one seed."""

from __future__ import annotations

import itertools

import numpy as np

from fer_lib.render import paint
from fer_lib.render.assets import ANCESTRIES, HAIR, SKIN, head, smoothstep, target, unit

# Facial proportions that differ between people: spread of the amounts, then target stems and their two ends
# ({s}: left and right). Those vary most that move an independent network's idea of who it is farthest for how little
# they look like an expression; head width, chin and mouth corners vary little.
_PROPORTIONS: dict[float, str] = {
    0.34: """
        chin/chin-bones:decr,incr chin/chin-height:decr,incr eyebrows/eyebrows-angle:down,up
        mouth/mouth-scale-vert:decr,incr nose/nose-flaring:decr,incr nose/nose-hump:decr,incr
        nose/nose-nostrils-angle:down,up nose/nose-nostrils-width:decr,incr nose/nose-point:down,up
        nose/nose-scale-horiz:decr,incr nose/nose-scale-vert:decr,incr nose/nose-septumangle:decr,incr
        nose/nose-volume:decr,incr nose/nose-width3:decr,incr
    """,
    0.25: """
        chin/chin-jaw-drop:decr,incr ears/{s}-ear-scale:decr,incr ears/{s}-ear-wing:decr,incr
        eyes/{s}-eye-corner2:down,up eyes/{s}-eye-epicanthus:in,out eyes/{s}-eye-push2:in,out
        eyes/{s}-eye-trans:down,up eyes/{s}-eye-trans:in,out head/head-fat:decr,incr
        mouth/mouth-scale-horiz:decr,incr nose/nose-base:down,up
    """,
    0.17: """
        cheek/{s}-cheek-bones:decr,incr chin/chin-cleft:decr,incr chin/chin-width:decr,incr
        eyes/{s}-eye-bag:decr,incr eyes/{s}-eye-scale:decr,incr head/head-scale-horiz:decr,incr
        head/head-scale-vert:decr,incr mouth/mouth-lowerlip-width:decr,incr mouth/mouth-trans:down,up
        mouth/mouth-upperlip-height:decr,incr mouth/mouth-upperlip-width:decr,incr neck/neck-double:decr,incr
        neck/neck-scale-horiz:decr,incr nose/nose-curve:concave,convex nose/nose-greek:decr,incr
        nose/nose-point-width:decr,incr nose/nose-scale-depth:decr,incr nose/nose-trans:down,up
        nose/nose-width2:decr,incr
    """,
    0.09: """
        cheek/{s}-cheek-inner:decr,incr cheek/{s}-cheek-trans:down,up cheek/{s}-cheek-volume:decr,incr
        chin/chin-prognathism:decr,incr chin/chin-prominent:decr,incr eyebrows/eyebrows-trans:down,up
        eyes/{s}-eye-bag-height:decr,incr eyes/{s}-eye-corner1:down,up eyes/{s}-eye-eyefold:concave,convex
        eyes/{s}-eye-eyefold:down,up eyes/{s}-eye-height1:decr,incr eyes/{s}-eye-height2:decr,incr
        eyes/{s}-eye-height3:decr,incr eyes/{s}-eye-push1:in,out forehead/forehead-nubian:decr,incr
        forehead/forehead-scale-vert:decr,incr forehead/forehead-temple:decr,incr
        forehead/forehead-trans:backward,forward head/head-angle:in,out head/head-scale-depth:decr,incr
        mouth/mouth-angles:down,up mouth/mouth-cupidsbow:decr,incr mouth/mouth-lowerlip-height:decr,incr
        mouth/mouth-lowerlip-volume:decr,incr mouth/mouth-philtrum-volume:decr,incr
        mouth/mouth-scale-depth:decr,incr mouth/mouth-upperlip-volume:decr,incr nose/nose-width1:decr,incr
    """,
}
_DISTINCT = 1.4  # how much farther than their averages people of an ancestry, sex and age are from the mean
# Where people centre off the body model's average, whose small eyes and mouth look tired and sad to networks and people.
_CENTRES = {
    "mouth-angles": 0.6,
    "mouth-scale-horiz": 0.1,
    "eye-height1": 0.25,
    "eye-height2": 0.3,
    "eye-height3": 0.25,
    "eye-scale": 0.15,
}
_HEAD_SHAPES = ("square", "rectangular", "triangular", "invertedtriangular", "diamond")
_BETWEEN_EYES = (0.53, 0.68)  # least and most between the middles of the eyes, decimetres
# What people's faces keep to, some of them only just: two landmarks, the axis (0 across, 1 up), and the least and most of
# the distance between them along it, as a share of the face's width (landmarks 0 to 16).
_KEPT = (
    (27, 8, 1, 0.66, 0.98),  # height, root of the nose to chin
    (4, 12, 0, 0.70, 0.93),  # jaw
    (6, 10, 0, 0.37, 0.65),  # chin
    (48, 54, 0, 0.27, 0.43),  # mouth
    (31, 35, 0, 0.10, 0.23),  # nose
    (36, 45, 0, 0.54, 0.66),  # outer corners of the eyes
    (19, 37, 1, 0.06, 0.23),  # brow above the eye
    (27, 0, 1, 0.0, 0.20),  # root of the nose above or below the ears' tops
)
_EYE = 0.16  # reach of an eye with its lids, decimetres
_LIDS = 0.3  # reach of the lids and the skin below them around the middle of an eye, decimetres
_TRIES = 40  # draws of the swellings before the nearest to that is taken
# How far a face leaves what any family of faces shares: root mean square of its front, and anywhere, decimetres.
_PECULIAR, _FARTHEST = 0.2, 0.36
_SIDEWAYS = 0.2  # the farthest outwards or inwards, which makes jaws too broad or too pointed, decimetres
# What the average man has more of than the average woman (half is added to him, half taken from her).
_MALE = {
    "chin-width": 0.5,
    "chin-height": 0.3,
    "chin-bones": 0.4,
    "chin-prominent": 0.2,
    "eye-scale": -0.4,
    "eyebrows-trans": -0.3,
    "forehead-nubian": -0.2,
    "lowerlip-volume": -0.4,
    "upperlip-volume": -0.4,
    "nose-hump": 0.3,
    "nose-width3": 0.3,
    "cheek-bones": -0.2,
    "neck-scale-horiz": 0.5,
}


def _front() -> np.ndarray:
    """Which vertices lie on the front of a face, (VERTICES,) bool."""
    y, z = head().mean[:, 1:].T
    return (z > 0.6) & (y > 6.4) & (y < 7.75)


def _beyond(vertices: np.ndarray) -> float:
    """How far the proportions of a head (VERTICES, 3) lie beyond what people's do, 0 where they do not."""
    left, right = (vertices[ids, 0].mean() for ids in head().eyes)
    beyond = abs(np.clip(left - right, *_BETWEEN_EYES) - (left - right))
    marks = head().to_landmarks @ vertices[head().ids]
    width = marks[16, 0] - marks[0, 0]
    for one, other, axis, least, most in _KEPT:
        share = abs(marks[one, axis] - marks[other, axis]) / width
        beyond += abs(np.clip(share, least, most) - share)
    return float(beyond)


class Person:
    """One identity; the same seed gives the same person, to the bit.

    Attributes
    ----------
    seed : int
    female : bool
    age : float
        0 (about 25) to 1 (about 90).
    ancestry : (3,) array
        Mixture of :data:`~fer_lib.render.assets.ANCESTRIES`.
    vertices : (VERTICES, 3) array
        Neutral head, decimetres.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.female = seed, bool(rng.random() < 0.6)
        masculine = float(np.clip(rng.normal(0.9, 0.1), 0.6, 1))
        self.age = float(rng.beta(1.0, 1.7)) * 0.9
        mixed = (
            rng.dirichlet([0.25, 0.25, 0.7])
            if rng.random() < 0.4
            else np.eye(3)[rng.choice(3, p=[0.28, 0.26, 0.46])]
        )
        self.ancestry = mixed
        self.vertices = self._shape(rng, 1 - masculine if self.female else masculine)
        self._appearance(rng)
        self._settle()

    @classmethod
    def of_set(cls, kind: int, number: int, seed: int) -> Person:
        """Make person `number` of a set drawn from `seed`; people of different kinds of set are different."""
        return cls(int(np.random.SeedSequence([seed, kind, number]).generate_state(1)[0]))

    def _shape(self, rng: np.random.Generator, masculine: float) -> np.ndarray:
        weight = float(np.clip(rng.normal(0.5, 0.32), 0, 1))
        sexes = {"male": masculine, "female": 1 - masculine}
        ages = {"young": 1 - self.age, "old": self.age}
        weights = {
            "minweight": max(0.0, 1 - 2 * weight),
            "averageweight": 1 - abs(2 * weight - 1),
            "maxweight": max(0.0, 2 * weight - 1),
        }
        vertices = head().base.copy()
        for sex, age in itertools.product(sexes, ages):
            share = sexes[sex] * ages[age]
            for name, part in zip(ANCESTRIES, self.ancestry, strict=True):
                vertices += share * part * target(f"macrodetails/{name}-{sex}-{age}")
            for name, part in weights.items():
                if part:
                    vertices += (
                        share * part * target(f"macrodetails/universal-{sex}-{age}-averagemuscle-{name}")
                    )
        vertices = head().mean + _DISTINCT * (vertices - head().mean)
        shapes = rng.choice(len(_HEAD_SHAPES), 2, replace=False)
        for shape, amount in zip(shapes, rng.uniform(0, [0.55, 0.3]), strict=True):
            vertices += amount * target(f"head/head-{_HEAD_SHAPES[int(shape)]}")
        for spread, entries in _PROPORTIONS.items():
            for entry in entries.split():
                stem, ends = entry.split(":")
                centre = next((much for word, much in _CENTRES.items() if word in stem), 0.0)
                shift = next((much / 2 for word, much in _MALE.items() if word in stem), 0.0)
                centre += -shift if self.female else shift
                amount = float(np.clip(rng.normal(0, spread), -1.6 * spread, 1.6 * spread)) + centre
                for side in "lr" if "{s}" in stem else " ":
                    own = amount + (float(rng.normal(0, 0.05)) if side != " " else 0.0)
                    end = ends.split(",")[int(own > 0)]
                    vertices += min(abs(own), 0.95) * target(f"{stem.format(s=side)}-{end}")
        return vertices + self._features(rng, vertices)

    @staticmethod
    def _features(rng: np.random.Generator, vertices: np.ndarray) -> np.ndarray:
        """Offsets, (VERTICES, 3), of three broad, mirrored swellings and shifts that belong to no family of faces.

        Drawn again until the face keeps to the proportions of people's; the nearest to them if none does.
        """
        # The two sides must not push through each other.
        off_middle = smoothstep(0.0, 0.25, abs(vertices[:, 0]))
        front = _front()
        apart = np.inf
        chosen = np.zeros_like(vertices)
        for _ in range(_TRIES):
            offsets = np.zeros_like(vertices)
            for _ in range(3):  # more or narrower ones look malformed before they look like someone else
                middle = np.array([rng.uniform(0, 0.6), rng.uniform(6.5, 7.8), rng.uniform(0.8, 1.5)])
                reach, push = rng.uniform(0.35, 0.6), rng.normal(0, [1, 1, 0.6])
                for mirror in (1, -1):
                    away = vertices - middle * [mirror, 1, 1]
                    near = np.exp(-np.einsum("ij,ij->i", away, away) / (2 * reach**2))
                    offsets += near[:, None] * (push * [mirror, 1, 1])
            offsets[:, 0] *= off_middle
            for ids in head().eyes:  # an eye moves as a whole and keeps its shape
                away = vertices - vertices[ids].mean(0)
                near = np.exp(-np.einsum("ij,ij->i", away, away) / (2 * _EYE**2))[:, None]
                offsets += near * (offsets[ids].mean(0) - offsets)
            size = np.linalg.norm(offsets, axis=1)
            offsets *= min(_PECULIAR / np.sqrt((size[front] ** 2).mean()), _FARTHEST / size.max())
            offsets[:, 0] = _SIDEWAYS * np.tanh(offsets[:, 0] / _SIDEWAYS)
            beyond = _beyond(vertices + offsets)
            if beyond < apart:
                apart, chosen = beyond, offsets
            if not beyond:
                break
        return chosen

    def _appearance(self, rng: np.random.Generator) -> None:
        light_skinned = self.ancestry[2] > 0.6
        tone = float(np.dot(self.ancestry, [0.13, 0.38, 0.46]) * np.exp(rng.normal(0, 0.26)))
        self.albedo = min(tone, 0.6)
        self.lips = float(rng.uniform(0.25, 0.92) if self.female else rng.uniform(0.55, 0.98))
        fair = light_skinned and rng.random() < 0.45
        self.hair = float(np.clip(np.exp(rng.normal(-3.3, 0.6)) * (3.0 if fair else 1), 0.012, 0.25))
        if self.age > 0.45 and rng.random() < 0.6:
            self.hair = float(rng.uniform(0.12, 0.28))  # grey
        self.hair = min(self.hair, max(0.08, 0.55 * self.albedo))  # hair brighter than that looks painted on
        dark_eyes = not light_skinned or rng.random() < 0.4
        self.iris = float(rng.uniform(0.02, 0.06) if dark_eyes else rng.uniform(0.06, 0.22))
        self.beard = 0.0 if self.female else float(rng.choice([0, 0.3, 0.6, 0.95], p=[0.35, 0.25, 0.2, 0.2]))
        self.beard_style = str(rng.choice(["full", "goatee", "moustache"], p=[0.6, 0.25, 0.15]))
        self.long_hair = bool(rng.random() < (0.3 if self.female else 0.03))
        self.hair_end = float(rng.uniform(4.8, 6.7))  # height that long hair reaches down to
        self.hair_line = float(rng.normal(7.93, 0.07))
        self.receding = 0.0 if self.female else float(rng.beta(1, 2.5) * (0.2 + 0.8 * self.age))
        self.bald = bool(not self.female and rng.random() < 0.05 + 0.3 * self.age)
        self.hair_thickness = 0.004 if self.bald else float(rng.uniform(0.03, 0.15))
        self.curl = float(rng.beta(0.8, 1.5)) if self.ancestry[0] < 0.5 else float(rng.uniform(0.6, 1))
        self.parting = float(rng.uniform(-0.6, 0.6))
        self.lash = float(rng.uniform(0.7, 1.0) if self.female else rng.uniform(0.45, 0.75))
        self.eye_shadow = float(rng.beta(1, 2) * 0.45) if self.female else 0.0
        self.sclera = float(rng.uniform(0.36, 0.48) * (0.75 + 0.5 * min(self.albedo, 0.5)))
        self.teeth = float(rng.uniform(0.42, 0.6))
        self.oil = float(rng.uniform(0.6, 1.5))
        self.wrinkled = float(0.45 + 1.1 * self.age + rng.uniform(0, 0.35))
        self.hair_mask = self._hair_mask(head().template)
        self.skin = paint.skin(
            rng, beard=self.beard, style=self.beard_style, freckled=bool(light_skinned and rng.random() < 0.3)
        )
        self.brow = paint.brows(
            rng,
            thickness=float(rng.uniform(0.012, 0.075) if self.female else rng.uniform(0.02, 0.1)),
            density=int(rng.uniform(90, 420) * (0.8 if self.female else 1.2)),
            arch=float(rng.normal(0.012 if self.female else -0.008, 0.024)),
            height=float(rng.normal(0.004 if self.female else -0.006, 0.020)),
            gap=float(rng.normal(0.115, 0.040)),
            length=float(rng.normal(0.475, 0.03)),
        )
        self._wrinkles: dict[str, np.ndarray] = {}
        folds = self.wrinkle("forehead") + self.wrinkle("nasolabial") + self.wrinkle("crow")
        pores = 0.0125 * paint.fractal(rng, folds.shape) + 0.03 * rng.standard_normal(folds.shape, np.float32)
        pores *= paint.fade()
        self.relief = (
            pores + 0.28 * self.age * folds + 0.1 * rng.uniform(0, 1) * self.wrinkle("nasolabial")
        ).astype(np.float32)
        self._strands = paint.strands(rng, self.curl)

    def wrinkle(self, layer: str) -> np.ndarray:
        """Height map of one of this person's wrinkle layers, (HEIGHT, WIDTH), drawn when first asked for."""
        if layer not in self._wrinkles:
            self._wrinkles[layer] = paint.own_wrinkle(layer, self.seed)
        return self._wrinkles[layer]

    def _hair_mask(self, template: np.ndarray) -> np.ndarray:
        """Signed hairiness of template points, above 0 where hair grows."""
        x, y, z = template.T
        across = abs(x)
        line = self.hair_line - 0.5 * np.maximum(across - 0.30, 0) - 0.9 * np.maximum(across - 0.48, 0)
        line += 0.45 * self.receding * (0.35 + np.exp(-(((across - 0.36) / 0.16) ** 2)))
        line -= 0.05 * np.exp(-(((x - 0.4 * self.parting) / 0.25) ** 2))
        top = y - line
        if self.bald:
            top = np.full_like(y, -1.0)
        side = np.minimum(0.80 + 0.25 * (y - 7.5) - z, (y - 7.16) * 1.5)
        side = np.minimum(side, 7.75 - y) if self.bald else side
        back = np.minimum(0.30 - z, y - 6.7)
        back = np.minimum(back, 7.75 - y) if self.bald else back
        return np.where((across > 0.70) & (y < 7.5), -1, np.maximum(np.maximum(top, side), back))

    def _settle(self) -> None:
        """Work out what every picture of this person shares."""
        shared = head()
        self.neutral = (shared.refine @ self.vertices[shared.ids]).astype(np.float32)
        eyes = sum(self.vertices[ids].mean(0) for ids in shared.eyes) / 2
        self.centre = np.array([0, eyes[1] - 0.30, eyes[2] - 0.65], np.float32)
        skin = np.unique(shared.triangles[shared.kind == SKIN])
        near = [
            np.linalg.norm(self.neutral[skin] - self.vertices[ids].mean(0), axis=1) < _LIDS
            for ids in shared.eyes
        ]
        self.lids = skin[near[0] | near[1]]
        crown = 0.7 + 0.6 * smoothstep(7.7, 8.3, shared.template[:, 1])
        locks = np.clip(1 + 0.3 * self.strands_at(shared.template), 0.2, 1.8)
        height = smoothstep(0, 0.30, self.hair_mask) * self.hair_thickness * crown * locks
        self.hair_offset = (height[:, None] * shared.normals(self.neutral)).astype(np.float32)
        long = self.long_hair & (shared.template[shared.triangles, 1].min(1) > self.hair_end)
        shown = long | (shared.kind != HAIR)
        self.triangles, self.kind = shared.triangles[shown], shared.kind[shown]
        fixed = [shared.template, shared.masks, self.hair_mask[:, None]]
        self.fixed = np.concatenate(fixed, 1).astype(np.float32)

    def strands_at(self, template: np.ndarray) -> np.ndarray:
        """Strands of hair, which run from the crown outwards, (n,) float32 of unit deviation."""
        crown = unit(np.array([self.parting, 0.85, -0.4])).astype(np.float32)
        right = unit(np.cross([0.0, 0.0, 1.0], crown)).astype(np.float32)
        front = np.cross(crown, right).astype(np.float32)
        out = unit(template.astype(np.float32) - np.array([0, 7.4, 0.2], np.float32))
        away = np.arccos(np.clip(out @ crown, -1, 1)) / np.pi
        around = np.arctan2(out @ right, out @ front) / (2 * np.pi) + 0.5
        rows, columns = self._strands.shape
        turned = np.mod(around + 0.12 * self.curl * np.sin(9 * away), 1)
        return self._strands[(away * (rows - 1)).astype(np.int32), (turned * (columns - 1)).astype(np.int32)]
