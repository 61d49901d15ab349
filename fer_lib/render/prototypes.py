"""Which action units come together: the AU combinations that rendered sequences are drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DEFAULT_STRENGTH = (2, 4)


@dataclass(frozen=True)
class Prototype:
    """Which AUs go with an expression, and how often.

    Attributes
    ----------
    name : str
        The expression, or for sequences without an emotion label the facial action that was asked for.
    groups : tuple of tuple of (tuple of int, float)
        Each group offers alternatives, of which a sequence shows at most one: (AUs, share of the sequences).
        Shares of a group sum to at most 1; the first group carries the criterion and sums to exactly 1.
    strength : mapping of int to (int, int)
        Weakest and strongest intensity (1 to 5) of an AU at the peak; others range over `DEFAULT_STRENGTH`.
    """

    name: str
    groups: tuple[tuple[tuple[tuple[int, ...], float], ...], ...]
    strength: Mapping[int, tuple[int, int]]

    def incidence(self) -> dict[int, float]:
        """Return the expected share of sequences with each AU (0 to 1), groups taken as independent."""
        absent: dict[int, float] = {}
        for group in self.groups:
            share: dict[int, float] = {}
            for aus, part in group:
                for au in aus:
                    share[au] = share.get(au, 0.0) + part
            for au, part in share.items():
                absent[au] = absent.get(au, 1.0) * (1.0 - part)
        return {au: 1.0 - part for au, part in sorted(absent.items())}


def _prototype(
    name: str,
    core: Mapping[tuple[int, ...], float],
    optional: Mapping[int, float],
    *,
    either: Mapping[int, float] | None = None,
    strength: Mapping[int, tuple[int, int]],
) -> Prototype:
    """Write a prototype down briefly: the core's alternatives, optional AUs, AUs that exclude each other."""
    groups = [tuple(core.items())]
    if either:
        groups.append(tuple(((au,), share) for au, share in either.items()))
    groups += [(((au,), share),) for au, share in optional.items()]
    return Prototype(name, tuple(groups), MappingProxyType(dict(strength)))


# The shares were set so that, over 327 labelled and 266 unlabelled sequences, every AU comes about as
# often as Lucey's Table 1 says; the shares of the core within an expression follow Table 2.
PROTOTYPES: Mapping[str, Prototype] = MappingProxyType(
    {
        "anger": _prototype(
            "anger",
            {(23, 24): 1.0},
            {4: 0.89, 7: 0.76, 17: 0.87, 5: 0.09, 9: 0.07},
            either={38: 0.11, 39: 0.04},
            strength={4: (3, 5), 5: (2, 3), 7: (3, 5), 17: (2, 3), 23: (2, 4), 24: (3, 5)},
        ),
        "contempt": _prototype(
            "contempt",
            {(14,): 1.0},
            {12: 0.28, 4: 0.11, 17: 0.17, 7: 0.11},
            strength={14: (3, 5), 12: (1, 2), 4: (1, 2), 17: (1, 2)},
        ),
        "disgust": _prototype(
            "disgust",
            {(9,): 0.82, (10,): 0.07, (9, 10): 0.11},
            {4: 0.71, 7: 0.78, 17: 0.63, 6: 0.41, 11: 0.10, 16: 0.05, 38: 0.05},
            either={24: 0.08, 25: 0.20},
            strength={9: (3, 5), 10: (2, 4), 4: (1, 1), 7: (3, 4), 17: (2, 3), 25: (2, 3)},
        ),
        "fear": _prototype(
            "fear",
            {(1, 2, 4): 0.64, (1, 2, 4, 20): 0.36},
            {5: 0.88, 20: 0.72, 25: 0.92, 7: 0.28, 16: 0.12, 21: 0.08, 38: 0.08},
            either={26: 0.36, 27: 0.08},
            strength={
                1: (3, 5),
                2: (1, 2),
                4: (3, 4),
                5: (3, 5),
                7: (1, 2),
                20: (3, 5),
                25: (2, 4),
                26: (1, 2),
                27: (1, 1),
            },
        ),
        "happy": _prototype(
            "happy",
            {(12,): 1.0},
            {6: 0.96, 25: 0.97, 7: 0.10, 16: 0.04, 38: 0.03},
            either={26: 0.10},
            strength={12: (3, 5), 6: (3, 4), 25: (3, 4), 26: (1, 3)},
        ),
        "sadness": _prototype(
            "sadness",
            {(1, 4, 15): 0.86, (1, 4, 11, 15): 0.07, (6, 15): 0.07},
            {17: 0.93, 7: 0.11, 2: 0.04, 11: 0.11, 43: 0.04},
            strength={1: (3, 5), 4: (3, 4), 15: (3, 5), 17: (3, 4)},
        ),
        "surprise": _prototype(
            "surprise",
            {(1, 2): 0.98, (5,): 0.02},
            {5: 0.75, 25: 0.99, 38: 0.04},
            either={27: 0.87, 26: 0.11},
            strength={1: (3, 5), 2: (3, 5), 5: (2, 2), 25: (1, 2), 26: (3, 5), 27: (3, 5)},
        ),
    }
)
"""AU combinations of each labelled expression, all of which meet `meets_criteria`."""

DIRECTED: Mapping[str, tuple[int, Prototype]] = MappingProxyType(
    {
        "corners down": (
            62,
            _prototype(
                "corners down",
                {(15,): 1.0},
                {17: 0.87, 4: 0.24, 1: 0.18, 23: 0.12, 24: 0.04, 11: 0.10, 38: 0.12},
                strength={15: (2, 5)},
            ),
        ),
        "stretch": (
            57,
            _prototype(
                "stretch",
                {(20,): 1.0},
                {25: 0.84, 16: 0.21, 12: 0.04, 4: 0.10, 5: 0.05, 21: 0.02},
                strength={20: (2, 5)},
            ),
        ),
        "smile": (
            36,
            _prototype(
                "smile",
                {(12,): 1.0},
                {25: 0.60, 6: 0.60, 7: 0.06, 16: 0.08},
                either={26: 0.06},
                strength={12: (2, 5)},
            ),
        ),
        "jaw": (
            31,
            _prototype(
                "jaw",
                {(25, 26): 0.61, (25, 27): 0.29, (25,): 0.10},
                {5: 0.25, 1: 0.13, 2: 0.13},
                either={38: 0.10, 39: 0.06},
                strength={26: (2, 5), 27: (2, 5)},
            ),
        ),
        "brow": (
            35,
            _prototype(
                "brow",
                {(1, 4): 0.48, (4,): 0.30, (1,): 0.16, (1, 2): 0.06},
                {17: 0.30, 25: 0.10},
                either={7: 0.20, 43: 0.20},
                strength={1: (2, 5), 4: (2, 5)},
            ),
        ),
        "nose": (
            20,
            _prototype(
                "nose",
                {(9,): 0.65, (9, 10): 0.20, (10,): 0.15},
                {4: 0.35, 7: 0.45, 17: 0.30, 25: 0.25, 6: 0.30, 11: 0.25, 38: 0.1},
                strength={9: (2, 5), 10: (2, 5)},
            ),
        ),
        "chin": (
            25,
            _prototype(
                "chin",
                {(17,): 0.56, (17, 23): 0.24, (17, 24): 0.20},
                {18: 0.36, 14: 0.44, 39: 0.40, 11: 0.28, 10: 0.18},
                strength={17: (2, 5), 14: (2, 5)},
            ),
        ),
    }
)
"""Facial actions without an emotion label: how many of CK+'s 266 such sequences, and their AUs."""
