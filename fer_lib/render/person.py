"""A rendered person: shape of the head, paint and hair, all drawn from one seed."""

from __future__ import annotations

import itertools

import numpy as np

from fer_lib.render import paint
from fer_lib.render.assets import ANCESTRIES, head, smoothstep, target

# Facial proportions that differ between people: target stem and its two ends. {s}: left and right.
_PROPORTIONS = """
cheek/{s}-cheek-trans:down,up cheek/{s}-cheek-volume:decr,incr cheek/{s}-cheek-inner:decr,incr
cheek/{s}-cheek-bones:decr,incr chin/chin-jaw-drop:decr,incr chin/chin-height:decr,incr chin/chin-prominent:decr,incr
chin/chin-bones:decr,incr chin/chin-width:decr,incr eyebrows/eyebrows-angle:down,up eyebrows/eyebrows-trans:down,up
eyes/{s}-eye-corner1:down,up eyes/{s}-eye-corner2:down,up eyes/{s}-eye-height1:decr,incr
eyes/{s}-eye-height2:decr,incr eyes/{s}-eye-height3:decr,incr eyes/{s}-eye-scale:decr,incr
eyes/{s}-eye-eyefold:down,up eyes/{s}-eye-bag:decr,incr eyes/{s}-eye-push1:in,out eyes/{s}-eye-trans:in,out
eyes/{s}-eye-trans:down,up forehead/forehead-temple:decr,incr forehead/forehead-scale-vert:decr,incr
forehead/forehead-trans:backward,forward head/head-fat:decr,incr head/head-angle:in,out
head/head-scale-horiz:decr,incr head/head-scale-vert:decr,incr mouth/mouth-scale-horiz:decr,incr
mouth/mouth-scale-vert:decr,incr mouth/mouth-lowerlip-volume:decr,incr mouth/mouth-upperlip-volume:decr,incr
mouth/mouth-lowerlip-height:decr,incr mouth/mouth-upperlip-height:decr,incr mouth/mouth-cupidsbow:decr,incr
mouth/mouth-trans:down,up mouth/mouth-angles:down,up nose/nose-scale-horiz:decr,incr nose/nose-scale-vert:decr,incr
nose/nose-scale-depth:decr,incr nose/nose-width1:decr,incr nose/nose-width2:decr,incr nose/nose-width3:decr,incr
nose/nose-point:down,up nose/nose-hump:decr,incr nose/nose-flaring:decr,incr nose/nose-volume:decr,incr
nose/nose-base:down,up nose/nose-curve:concave,convex nose/nose-trans:down,up neck/neck-double:decr,incr
""".split()
_MOVING = (
    "mouth-angles",
    "eyebrows-trans",
    "eyebrows-angle",
    "lowerlip-height",
    "upperlip-height",
)  # read as expression


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
        self.age = float(rng.beta(1.1, 2.6)) * 0.85
        mixed = (
            rng.dirichlet([0.25, 0.25, 0.7])
            if rng.random() < 0.4
            else np.eye(3)[rng.choice(3, p=[0.25, 0.2, 0.55])]
        )
        self.ancestry = mixed
        self.vertices = self._shape(rng, 1 - masculine if self.female else masculine)
        self._appearance(rng)

    def _shape(self, rng: np.random.Generator, masculine: float) -> np.ndarray:
        weight = float(np.clip(rng.normal(0.5, 0.26), 0, 1))
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
        for entry in _PROPORTIONS:
            stem, ends = entry.split(":")
            moving = any(word in stem for word in _MOVING)
            spread, bound = (0.18, 0.5) if moving else (0.36, 0.85)
            centre = 0.4 if "mouth-angles" in stem else 0.0
            amount = float(np.clip(rng.normal(centre, spread), -bound, bound))
            for side in "lr" if "{s}" in stem else " ":
                own = amount + (float(rng.normal(0, 0.05)) if side != " " else 0.0)
                vertices += abs(own) * target(f"{stem.format(s=side)}-{ends.split(',')[int(own > 0)]}")
        return vertices

    def _appearance(self, rng: np.random.Generator) -> None:
        light_skinned = self.ancestry[2] > 0.6
        self.albedo = float(np.dot(self.ancestry, [0.13, 0.38, 0.46]) * np.exp(rng.normal(0, 0.18)))
        self.lips = float(rng.uniform(0.4, 0.75) if self.female else rng.uniform(0.62, 0.88))
        fair = light_skinned and rng.random() < 0.45
        self.hair = float(np.clip(np.exp(rng.normal(-3.3, 0.6)) * (3.0 if fair else 1), 0.012, 0.3))
        if self.age > 0.45 and rng.random() < 0.6:
            self.hair = float(rng.uniform(0.15, 0.4))  # grey
        dark_eyes = not light_skinned or rng.random() < 0.4
        self.iris = float(rng.uniform(0.02, 0.06) if dark_eyes else rng.uniform(0.06, 0.22))
        self.beard = 0.0 if self.female else float(rng.choice([0, 0.3, 0.6, 0.95], p=[0.4, 0.25, 0.2, 0.15]))
        self.hair_line = float(rng.normal(7.93, 0.06)) + (0.14 * self.age if not self.female else 0.0)
        self.hair_thickness = float(rng.uniform(0.04, 0.2) + (0.08 if self.female else 0))
        self.long_hair = bool(self.female and rng.random() < 0.7)
        self.parting = float(rng.uniform(-0.35, 0.35))
        self.sclera = float(rng.uniform(0.36, 0.48) * (0.75 + 0.5 * min(self.albedo, 0.5)))
        self.teeth = float(rng.uniform(0.42, 0.6))
        self.oil = float(rng.uniform(0.6, 1.5))
        self.wrinkled = float(0.45 + 1.1 * self.age + rng.uniform(0, 0.35))
        self.hair_mask = self._hair_mask(head().template)
        wrinkles = self.wrinkles = paint.own_wrinkles(rng)
        self.skin = paint.skin(rng, beard=self.beard, freckled=bool(light_skinned and rng.random() < 0.3))
        self.brow = paint.brows(
            rng,
            thickness=float(rng.uniform(0.022, 0.066)) * (0.75 if self.female else 1.1),
            density=int(rng.uniform(110, 380) * (0.8 if self.female else 1.15)),
            arch=float(rng.normal(0.008 if self.female else -0.006, 0.016)),
            height=float(rng.normal(0, 0.014)),
            gap=float(rng.normal(0.115, 0.016)),
        )
        folds = wrinkles["forehead"] + wrinkles["nasolabial"] + wrinkles["crow"]
        pores = 0.0125 * paint.fractal(rng, folds.shape) + 0.03 * rng.normal(size=folds.shape)
        self.relief = (
            pores + 0.28 * self.age * folds + 0.1 * rng.uniform(0, 1) * wrinkles["nasolabial"]
        ).astype(np.float32)
        self.uneven = np.clip(1 + 0.28 * paint.fractal(rng, folds.shape, 3, 10), 0.3, 1.8).astype(np.float32)
        self.strands = paint.fractal(rng, (64, 1024), 6, 24)

    def _hair_mask(self, template: np.ndarray) -> np.ndarray:
        """Signed hairiness of template points, above 0 where hair grows."""
        x, y, z = template.T
        across = abs(x)
        line = self.hair_line - 0.5 * np.maximum(across - 0.30, 0) - 0.9 * np.maximum(across - 0.48, 0)
        line = line - 0.06 * np.exp(-(((x - self.parting) / 0.25) ** 2)) * (1 if self.long_hair else 0.3)
        top = y - line
        ear = 6.95 if self.long_hair else 7.16
        side = np.minimum(0.80 + 0.25 * (y - 7.5) - z, (y - ear) * 1.5)
        back = np.minimum(0.30 - z, y - (6.0 if self.long_hair else 6.7))
        bare_ear = (across > 0.70) & (y < 7.5) & (not self.long_hair)
        return np.where(bare_ear, -1, np.maximum(np.maximum(top, side), back))

    def hair_height(self, template: np.ndarray) -> np.ndarray:
        """How far hair stands off the scalp, decimetres."""
        crown = 0.6 + 0.8 * smoothstep(7.7, 8.3, template[:, 1])
        return smoothstep(0, 0.30, self.hair_mask) * self.hair_thickness * crown
