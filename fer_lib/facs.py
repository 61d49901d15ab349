"""The one table of action units: names, muscles, regions, published counts, and what makes an expression.

Sources: Ekman, Friesen & Hager, *Facial Action Coding System* (2002), for names and muscles; Lucey et al.,
*The Extended Cohn-Kanade Dataset (CK+)* (2010), Table 1 for the counts over its 593 sequences and Table 2 for
the criteria that an AU combination has to meet before an emotion label is kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fer_lib.errors import FerError

EXPRESSIONS: tuple[str, ...] = (
    "neutral",
    "anger",
    "contempt",
    "disgust",
    "fear",
    "happy",
    "sadness",
    "surprise",
)
"""Expressions in the order of CK+'s emotion codes 0 to 7."""

CKPLUS_EXPRESSION_COUNTS: Mapping[str, int] = MappingProxyType(
    {"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28, "surprise": 83}
)
"""Labelled sequences per expression in CK+ (327 in all; neutral has no sequence of its own)."""

CKPLUS_SEQUENCES = 593
CKPLUS_SUBJECTS = 123
INTENSITIES = "ABCDE"
"""FACS intensity letters; A is written 1 and E is written 5."""


@dataclass(frozen=True)
class ActionUnit:
    """One action unit of the Facial Action Coding System.

    Attributes
    ----------
    number : int
        FACS number.
    name : str
        English name, as FACS gives it.
    muscle : str
        Muscles whose contraction (or relaxation) it is.
    region : str
        Part of the face that changes most: brow, eye, cheek, nose, mouth, chin, jaw or neck.
    ckplus_count : int
        Sequences of CK+'s 593 in which it is coded as present at the peak (Lucey et al., Table 1).
    description : str
        What one sees, in plain words.
    sided : bool
        Whether it can act on one side of the face alone.
    """

    number: int
    name: str
    muscle: str
    region: str
    ckplus_count: int
    description: str
    sided: bool = True


# number | sequences of CK+'s 593 | region | can act on one side | name | muscle
_TABLE = """
 1 | 173 | brow  | sided | Inner brow raiser    | frontalis, pars medialis
 2 | 116 | brow  | sided | Outer brow raiser    | frontalis, pars lateralis
 4 | 191 | brow  | sided | Brow lowerer         | corrugator supercilii, depressor supercilii, procerus
 5 | 102 | eye   | sided | Upper lid raiser     | levator palpebrae superioris
 6 | 122 | cheek | sided | Cheek raiser         | orbicularis oculi, pars orbitalis
 7 | 119 | eye   | sided | Lid tightener        | orbicularis oculi, pars palpebralis
 9 |  74 | nose  | sided | Nose wrinkler        | levator labii superioris alaeque nasi
10 |  21 | mouth | sided | Upper lip raiser     | levator labii superioris
11 |  33 | cheek | sided | Nasolabial deepener  | zygomaticus minor
12 | 111 | mouth | sided | Lip corner puller    | zygomaticus major
13 |   2 | mouth | sided | Sharp lip puller     | levator anguli oris
14 |  29 | mouth | sided | Dimpler              | buccinator
15 |  89 | mouth | sided | Lip corner depressor | depressor anguli oris
16 |  24 | mouth | sided | Lower lip depressor  | depressor labii inferioris
17 | 196 | chin  | whole | Chin raiser          | mentalis
18 |   9 | mouth | whole | Lip puckerer         | incisivii labii superioris and inferioris
20 |  77 | mouth | sided | Lip stretcher        | risorius with platysma
21 |   3 | neck  | whole | Neck tightener       | platysma
23 |  59 | mouth | whole | Lip tightener        | orbicularis oris
24 |  57 | mouth | whole | Lip pressor          | orbicularis oris
25 | 287 | mouth | whole | Lips part            | depressor labii inferioris, or mentalis relaxed
26 |  48 | jaw   | whole | Jaw drop             | masseter relaxed, with temporalis and internal pterygoid
27 |  81 | jaw   | whole | Mouth stretch        | pterygoids, digastric
28 |   1 | mouth | whole | Lip suck             | orbicularis oris
29 |   1 | jaw   | whole | Jaw thrust           | lateral pterygoid
31 |   3 | jaw   | whole | Jaw clencher         | masseter, temporalis
34 |   1 | cheek | sided | Cheek puff           | buccinator relaxed, lips closed
38 |  29 | nose  | sided | Nostril dilator      | nasalis, pars alaris
39 |  16 | nose  | sided | Nostril compressor   | nasalis, pars transversa, with depressor septi nasi
43 |   9 | eye   | sided | Eyes closed          | levator palpebrae superioris relaxed, orbicularis oculi
"""
_SEEN = {
    1: "The inner ends of the brows rise and the middle of the forehead wrinkles.",
    2: "The outer ends of the brows rise into an arch and the sides of the forehead wrinkle.",
    4: "The brows come down and together; upright folds appear between them.",
    5: "The upper lids rise and more white shows above the iris.",
    6: "The cheeks rise, the eyes narrow from below and crow's feet form.",
    7: "The lids tighten and the opening of the eye narrows, the lower lid straightening.",
    9: "The skin beside the nose is pulled up and the root of the nose wrinkles.",
    10: "The upper lip rises, most in its middle, and the fold beside the nose deepens.",
    11: "The middle of the fold from nose to mouth deepens.",
    12: "The corners of the mouth go up and back: a smile.",
    13: "The corners of the mouth rise steeply and the cheeks puff out.",
    14: "The corners of the mouth tighten inwards and dimple, often on one side.",
    15: "The corners of the mouth are pulled down.",
    16: "The lower lip is pulled down and out, and the lower teeth may show.",
    17: "The chin boss wrinkles and pushes the lower lip up.",
    18: "The lips are drawn together and forward.",
    20: "The mouth is stretched sideways and the lips flatten.",
    21: "The skin of the neck tightens into cords.",
    23: "The lips narrow and tighten, their red part turning in.",
    24: "The lips are pressed together without the chin pushing up.",
    25: "The lips part while the jaw stays closed enough.",
    26: "The jaw drops under its own weight.",
    27: "The jaw is pulled wide open.",
    28: "The lips are sucked in over the teeth.",
    29: "The jaw is pushed forward.",
    31: "The teeth are clenched and the jaw muscle bulges.",
    34: "Air blows the cheeks out.",
    38: "The wings of the nose flare.",
    39: "The wings of the nose are pressed together.",
    43: "The eyes are closed.",
}


def _units() -> Iterator[ActionUnit]:
    for line in _TABLE.strip().splitlines():
        number, count, region, sides, name, muscle = (cell.strip() for cell in line.split("|"))
        yield ActionUnit(
            number=int(number),
            name=name,
            muscle=muscle,
            region=region,
            ckplus_count=int(count),
            description=_SEEN[int(number)],
            sided=sides == "sided",
        )


AUS: dict[int, ActionUnit] = {unit.number: unit for unit in _units()}
"""Every action unit that CK+ codes, by number."""


def meets_criteria(expression: str, intensities: Mapping[int, float]) -> bool:
    """Whether an AU combination meets CK+'s criterion for an expression (Lucey et al. 2010, Table 2).

    Parameters
    ----------
    expression : str
        One of `EXPRESSIONS`. ``"neutral"`` is met when no AU is present.
    intensities : mapping of int to float
        AU number to intensity at the peak: 1 to 5 for A to E, -1 for "present, intensity not given", 0 or NaN
        for absent.

    Returns
    -------
    bool
        Surprise follows the table's sentence literally: 1+2 or 5 must be present, and 5, where present, must
        not be stronger than B; an AU 5 whose intensity is not given counts as not stronger.

    Raises
    ------
    FerError
        If `expression` is not one of `EXPRESSIONS`.
    """
    present = {au for au, intensity in intensities.items() if intensity > 0 or intensity == -1}
    upper_lid = intensities.get(5, 0.0)
    match expression:
        case "neutral":
            return not present
        case "anger":
            return {23, 24} <= present
        case "contempt":
            return 14 in present
        case "disgust":
            return bool({9, 10} & present)
        case "fear":
            return {1, 2, 4} <= present or ({1, 2} <= present and upper_lid >= 4.5)
        case "happy":
            return 12 in present
        case "sadness":
            return {1, 4, 15} <= present or 11 in present or {6, 15} <= present
        case "surprise":
            return ({1, 2} <= present or 5 in present) and not upper_lid >= 2.5
    raise FerError(f"unknown expression {expression!r}: use one of {', '.join(EXPRESSIONS)}")
