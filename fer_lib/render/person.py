"""A rendered person: shape of the head, paint and hair, all drawn from one seed."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from fer_lib.render import paint
from fer_lib.render.assets import ANCESTRIES, HAIR, SKIN, head, smoothstep, target, unit

YOUNGEST, MODEL_OLDEST = 25.0, 90.0
"""Ages of the body model's youngest and oldest adults, in years."""
OLDEST = 50.0
"""Age up to which people are drawn unless another is asked for: CK+'s are 18 to 50 years old."""

# Facial proportions that differ between people: spread of the amounts, then target stems and their two ends
# ({s}: left and right). At an amount of 1 a target is at the end of what the body model offers, a caricature.
_PROPORTIONS: dict[float, str] = {
    0.26: """
        chin/chin-bones:decr,incr chin/chin-height:decr,incr eyebrows/eyebrows-angle:down,up
        eyes/{s}-eye-corner2:down,up eyes/{s}-eye-epicanthus:in,out head/head-fat:decr,incr
        mouth/mouth-scale-vert:decr,incr nose/nose-hump:decr,incr nose/nose-nostrils-width:decr,incr
        nose/nose-point:down,up nose/nose-scale-horiz:decr,incr nose/nose-scale-vert:decr,incr
        nose/nose-septumangle:decr,incr nose/nose-volume:decr,incr nose/nose-width3:decr,incr
    """,
    0.2: """
        cheek/{s}-cheek-bones:decr,incr cheek/{s}-cheek-volume:decr,incr chin/chin-jaw-drop:decr,incr
        chin/chin-prominent:decr,incr chin/chin-width:decr,incr ears/{s}-ear-scale:decr,incr
        ears/{s}-ear-wing:decr,incr eyes/{s}-eye-bag:decr,incr eyes/{s}-eye-push2:in,out
        eyes/{s}-eye-scale:decr,incr eyes/{s}-eye-trans:down,up eyes/{s}-eye-trans:in,out
        head/head-scale-horiz:decr,incr head/head-scale-vert:decr,incr mouth/mouth-cupidsbow:decr,incr
        mouth/mouth-lowerlip-volume:decr,incr mouth/mouth-scale-horiz:decr,incr mouth/mouth-trans:down,up
        mouth/mouth-upperlip-volume:decr,incr nose/nose-base:down,up nose/nose-curve:concave,convex
        nose/nose-flaring:decr,incr nose/nose-nostrils-angle:down,up nose/nose-point-width:decr,incr
        nose/nose-scale-depth:decr,incr nose/nose-width1:decr,incr nose/nose-width2:decr,incr
    """,
    0.12: """
        cheek/{s}-cheek-inner:decr,incr cheek/{s}-cheek-trans:down,up chin/chin-cleft:decr,incr
        chin/chin-prognathism:decr,incr eyebrows/eyebrows-trans:down,up eyes/{s}-eye-bag-height:decr,incr
        eyes/{s}-eye-corner1:down,up eyes/{s}-eye-eyefold:concave,convex eyes/{s}-eye-eyefold:down,up
        eyes/{s}-eye-height1:decr,incr eyes/{s}-eye-height2:decr,incr eyes/{s}-eye-height3:decr,incr
        eyes/{s}-eye-push1:in,out forehead/forehead-nubian:decr,incr forehead/forehead-scale-vert:decr,incr
        forehead/forehead-temple:decr,incr forehead/forehead-trans:backward,forward head/head-angle:in,out
        head/head-scale-depth:decr,incr mouth/mouth-angles:down,up mouth/mouth-lowerlip-height:decr,incr
        mouth/mouth-lowerlip-width:decr,incr mouth/mouth-philtrum-volume:decr,incr
        mouth/mouth-scale-depth:decr,incr mouth/mouth-upperlip-height:decr,incr
        mouth/mouth-upperlip-width:decr,incr neck/neck-double:decr,incr neck/neck-scale-horiz:decr,incr
        nose/nose-greek:decr,incr nose/nose-trans:down,up
    """,
}
# What goes together in people: how strongly amounts share three traits of the whole face. Long faces have long noses and
# chins, broad ones broad noses, mouths and jaws, strong ones much bone.
_TRAITS: dict[str, tuple[float, float, float]] = {
    "head-scale-vert": (0.7, 0, 0),
    "head-scale-horiz": (-0.2, 0.7, 0),
    "chin-height": (0.5, 0, 0.3),
    "nose-scale-vert": (0.6, 0, 0),
    "nose-scale-horiz": (0, 0.5, 0.2),
    "nose-width3": (0, 0.5, 0),
    "nose-nostrils-width": (0, 0.4, 0),
    "nose-volume": (0, 0.2, 0.5),
    "nose-hump": (0.3, -0.2, 0.4),
    "mouth-scale-horiz": (0, 0.6, 0),
    "mouth-upperlip-volume": (-0.2, 0, 0),
    "mouth-lowerlip-volume": (-0.2, 0, 0),
    "eye-trans": (0, 0.3, 0),
    "chin-width": (-0.2, 0.4, 0.4),
    "chin-bones": (0, 0.3, 0.5),
    "chin-prominent": (0, 0, 0.4),
    "cheek-bones": (0, 0.3, 0.3),
    "cheek-volume": (-0.2, 0.4, 0),
    "head-fat": (-0.3, 0.5, 0),
    "neck-scale-horiz": (0, 0.4, 0.4),
    "forehead-nubian": (0, 0, 0.3),
    "ear-scale": (0.3, 0, 0.3),
}
# Where people centre off the body model's average, whose small eyes and mouth look tired and sad to networks and people.
_CENTRES = {
    "mouth-angles": 0.45,
    "mouth-scale-horiz": 0.1,
    "eye-height1": 0.12,
    "eye-height2": 0.15,
    "eye-height3": 0.12,
    "eye-scale": 0.12,
}
_HEAD_SHAPES = ("oval", "round", "square", "rectangular", "invertedtriangular", "diamond")
# Proportions by which people's faces are measured: two landmarks, the axis (0 across, 1 up) of the distance between them
# over the face's width (landmarks 0 to 16), and the standard deviation relative to the mean that it has, about, among people
# of one sex and ancestry (rounded from the spreads of such measures in Farkas et al. 2005, J. Craniofac. Surg. 16, 615-646).
_RATIOS = np.array(
    [
        (27, 8, 1, 0.055),  # height, root of the nose to chin
        (4, 12, 0, 0.045),  # jaw
        (6, 10, 0, 0.07),  # chin
        (48, 54, 0, 0.065),  # mouth
        (31, 35, 0, 0.085),  # nose
        (36, 45, 0, 0.035),  # outer corners of the eyes
        (39, 42, 0, 0.07),  # inner corners of the eyes
        (27, 33, 1, 0.065),  # nose, root to base
        (33, 51, 1, 0.13),  # base of the nose to upper lip
        (57, 8, 1, 0.10),  # lower lip to chin
        (19, 37, 1, 0.16),  # brow above the eye
    ]
)
_WITHIN = 1.5  # standard deviations of each proportion that people keep within
_TRIES = 60  # draws of the proportions before the nearest to that is taken
_POCKET = 0.07  # how far the inside of the mouth is moved back, decimetres
_LIDS = 0.3  # reach of the lids and the skin below them around the middle of an eye, decimetres
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


@cache
def _moves_marks(name: str) -> np.ndarray:
    """How far a target moves the landmarks, (68, 3)."""
    return head().to_landmarks @ target(name)[head().ids]


def _ratios(marks: np.ndarray) -> np.ndarray:
    """Proportions of a face by its landmarks, (68, 3), as shares of its width."""
    one, other, axis = _RATIOS[:, :3].astype(int).T
    return abs(marks[one, axis] - marks[other, axis]) / (marks[16, 0] - marks[0, 0])


class Person:
    """One identity; the same seed gives the same person, to the bit.

    Parameters
    ----------
    seed : int
    oldest : float
        Age in years up to which people are drawn, `YOUNGEST` to `MODEL_OLDEST`.

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

    def __init__(self, seed: int, *, oldest: float = OLDEST) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.female = seed, bool(rng.random() < 0.6)
        masculine = float(np.clip(rng.normal(0.9, 0.1), 0.6, 1))
        self.age = float(rng.beta(1.0, 1.6)) * (oldest - YOUNGEST) / (MODEL_OLDEST - YOUNGEST)
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
    def of_set(cls, kind: int, number: int, seed: int, *, oldest: float = OLDEST) -> Person:
        """Make person `number` of a set drawn from `seed`; people of different kinds of set are different."""
        return cls(int(np.random.SeedSequence([seed, kind, number]).generate_state(1)[0]), oldest=oldest)

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
        average = head().to_landmarks @ vertices[head().ids]
        apart, chosen = np.inf, {}
        for _ in range(_TRIES):
            drawn = self._proportions(rng)
            marks = average + sum(amount * _moves_marks(name) for name, amount in drawn.items())
            away = float((abs(_ratios(marks) / _ratios(average) - 1) / _RATIOS[:, 3]).max())
            if away < apart:
                apart, chosen = away, drawn
            if apart < _WITHIN:
                break
        for name, amount in chosen.items():
            vertices += amount * target(name)
        return vertices

    def _proportions(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw amounts of the targets that make this face differ from others of its ancestry, sex, age and weight."""
        amounts: dict[str, float] = {}
        traits = rng.standard_normal(3)
        shape = _HEAD_SHAPES[int(rng.integers(len(_HEAD_SHAPES)))]
        amounts[f"head/head-{shape}"] = float(rng.uniform(0, 0.4))
        for spread, entries in _PROPORTIONS.items():
            for entry in entries.split():
                stem, ends = entry.split(":")
                centre = next((much for word, much in _CENTRES.items() if word in stem), 0.0)
                shift = next((much / 2 for word, much in _MALE.items() if word in stem), 0.0)
                centre += -shift if self.female else shift
                share = np.array(next((much for word, much in _TRAITS.items() if word in stem), (0, 0, 0)))
                drawn = share @ traits + np.sqrt(1 - share @ share) * rng.standard_normal()
                amount = spread * float(np.clip(drawn, -1.6, 1.6)) + centre
                for side in "lr" if "{s}" in stem else " ":
                    own = amount + (float(rng.normal(0, 0.03)) if side != " " else 0.0)
                    end = ends.split(",")[int(own > 0)]
                    amounts[f"{stem.format(s=side)}-{end}"] = min(abs(own), 0.95)
        return amounts

    def _appearance(self, rng: np.random.Generator) -> None:
        light_skinned = self.ancestry[2] > 0.6
        tone = float(np.dot(self.ancestry, [0.15, 0.38, 0.46]) * np.exp(rng.normal(0, 0.2)))
        self.albedo = float(np.clip(tone, 0.1, 0.56))
        self.lips = float(rng.uniform(0.5, 0.9) if self.female else rng.uniform(0.66, 0.95))
        fair = light_skinned and rng.random() < 0.4
        self.hair = float(np.clip(np.exp(rng.normal(-3.4, 0.5)) * (2.6 if fair else 1), 0.012, 0.16))
        if rng.random() < max(0.0, 1.3 * self.age - 0.35):
            self.hair = float(rng.uniform(0.12, 0.26))  # grey
        self.hair = min(self.hair, max(0.05, 0.4 * self.albedo))  # hair brighter than that looks painted on
        dark_eyes = not light_skinned or rng.random() < 0.4
        self.iris = float(rng.uniform(0.02, 0.06) if dark_eyes else rng.uniform(0.06, 0.16))
        self.beard_style = str(
            rng.choice(["none", "stubble", "full", "moustache"], p=[0.62, 0.24, 0.09, 0.05])
        )
        grown = {"none": (0, 0), "stubble": (0.1, 0.4), "full": (0.55, 0.8), "moustache": (0.55, 0.8)}
        self.beard = 0.0 if self.female else float(rng.uniform(*grown[self.beard_style]))
        self.long_hair = bool(rng.random() < (0.45 if self.female else 0.03))
        self.hair_end = float(rng.uniform(4.6, 5.5))  # height that long hair reaches down to
        self.hair_line = float(rng.normal(7.93, 0.05))
        balding = 0.0 if self.female else float(rng.beta(1, 3) * (0.15 + 1.2 * self.age))
        self.receding = balding + float(rng.uniform(0.02, 0.12) if self.female else rng.uniform(0.05, 0.2))
        self.bald = bool(not self.female and rng.random() < 0.02 + 0.3 * self.age)
        # Women's hair is mostly tied back or long, men's mostly short.
        thick = (0.02, 0.07) if self.female else (0.015, 0.075)
        self.hair_thickness = 0.004 if self.bald else float(rng.uniform(*thick))
        self.curl = float(rng.beta(0.6, 2.5)) if self.ancestry[0] < 0.5 else float(rng.uniform(0.6, 1))
        self.parting = float(rng.uniform(-0.6, 0.6))
        self.lash = float(rng.uniform(0.7, 1.0) if self.female else rng.uniform(0.45, 0.75))
        self.eye_shadow = float(rng.beta(1, 2) * 0.45) if self.female else 0.0
        self.sclera = float(rng.uniform(0.36, 0.48) * (0.75 + 0.5 * min(self.albedo, 0.5)))
        self.teeth = float(rng.uniform(0.42, 0.6))
        self.oil = float(rng.uniform(0.6, 1.5))
        self.wrinkled = float(0.45 + 1.1 * self.age + rng.uniform(0, 0.35))
        self.hair_mask = self._hair_mask(head().template)
        self.skin = paint.skin(
            rng, beard=self.beard, style=self.beard_style, freckled=bool(light_skinned and rng.random() < 0.2)
        )
        self.brow = paint.brows(
            rng,
            thickness=float(rng.uniform(0.022, 0.05) if self.female else rng.uniform(0.035, 0.065)),
            density=int(rng.uniform(180, 330) * (0.8 if self.female else 1.2)),
            arch=float(rng.normal(0.010 if self.female else -0.006, 0.014)),
            height=float(rng.normal(0.004 if self.female else -0.004, 0.012)),
            gap=float(np.clip(rng.normal(0.13, 0.018), 0.1, 0.17)),
            length=float(rng.normal(0.475, 0.02)),
        )
        self._wrinkles: dict[str, np.ndarray] = {}
        folds = self.wrinkle("forehead") + self.wrinkle("nasolabial") + self.wrinkle("crow")
        pores = 0.02 * paint.fractal(rng, folds.shape) + 0.045 * rng.standard_normal(folds.shape, np.float32)
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
        # The pocket behind the lips lies so close that it would show through a chin that is drawn in.
        self.neutral[:, 2] -= _POCKET * smoothstep(0.6, 1.0, shared.masks[:, 1])
        eyes = sum(self.vertices[ids].mean(0) for ids in shared.eyes) / 2
        self.centre = np.array([0, eyes[1] - 0.30, eyes[2] - 0.65], np.float32)
        skin = np.unique(shared.triangles[shared.kind == SKIN])
        near = [
            np.linalg.norm(self.neutral[skin] - self.vertices[ids].mean(0), axis=1) < _LIDS
            for ids in shared.eyes
        ]
        self.lids = skin[near[0] | near[1]]
        crown = 0.7 + 0.6 * smoothstep(7.7, 8.3, shared.template[:, 1])
        locks = np.clip(1 + 0.12 * self.strands_at(shared.template), 0.5, 1.5)
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
