"""Which program wrote a table of action units, by the names of its columns, and what its columns mean.

Facts are from files that the programs wrote and from their sources: OpenFace 2.2, pyfaceau 1.4, OpenFace 3 (openface-test 0.1.26),
LibreFace 0.2, py-feat 2.1 and 0.6, PyAFAR, iMotions 5 and 6 with FACET; of FaceReader from its manuals.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from fer_lib.faces.labels import LANDMARKS
from fer_lib.faces.table import INTENSITY


@dataclass(frozen=True)
class Scale:
    """What the numbers of a coder or a program mean.

    Attributes
    ----------
    name : str
        As it stands in the column ``scale`` of a table of faces.
    low, high : float
        What they lie between.
    usual : float or None
        From where on a unit counts as present unless somebody says otherwise; None where nothing is usual, so that somebody has to.
    why : str
        Where that threshold is from.
    """

    name: str
    low: float
    high: float
    usual: float | None = None
    why: str = ""


SCALES: Mapping[str, Scale] = {
    "occurrence": Scale("occurrence", 0, 1),
    "intensity": Scale(INTENSITY, 0, 5, 1, "A, a trace, is the weakest that FACS codes"),
    "activation": Scale("activation 0-1", 0, 1),
    "probability": Scale("probability", 0, 1, 0.5, "more likely than not"),
    "similarity": Scale("cosine similarity", -1, 1),
    "evidence": Scale("log10 odds", float("-inf"), float("inf"), 0, "as likely as not"),
    "regression": Scale("regression without unit", float("-inf"), float("inf")),
}
"""By kind, which is also how a column of such numbers is called: ``AU12_intensity``."""

_OPENFACE_UNITS = frozenset({1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45})
_PYFEAT_UNITS = frozenset({1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43})
_LIBREFACE_SEEN = frozenset({1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24})
_LIBREFACE_GRADED = frozenset({1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26})
_PYAFAR_SEEN = frozenset(
    {1, 2, 3, 4, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 28}
)  # of adults and of infants
_FACET_UNITS = frozenset({1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26, 28, 43})
_FACEREADER_UNITS = frozenset({1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26, 27, 43})


@dataclass(frozen=True)
class Units:
    """Columns of action units.

    Attributes
    ----------
    kind : str
        Of their numbers, one of `SCALES`.
    pattern : re.Pattern
        What their names match as a whole; the first group is the unit's number.
    known : frozenset of int
        Units that the program has; a name with another one is not its own.
    """

    kind: str
    pattern: re.Pattern[str]
    known: frozenset[int]


@dataclass(frozen=True)
class Tool:
    """A program that writes tables of action units.

    Attributes
    ----------
    name : str
        As it stands in the column ``origin`` of a table of faces.
    units : tuple of Units
        Its action units; of numbers that are no occurrence the first kind that a table has is compared with the threshold.
    frame, picture, seconds, face, success, faces : str
        Names of the columns that say which frame or picture a row is of, when it was taken, which of several faces it is, whether a face
        was found, and how many; empty where the program has none.
    clock : bool
        Whether times are written as 00:01:02.345.
    first : int or None
        Number of the first frame; None where it is not known.
    box : tuple of str
        Names of left, top, width and height of the face.
    landmarks : bool
        Whether ``x_0`` to ``x_67`` and ``y_0`` to ``y_67`` are the 68 landmarks in pixels.
    smoothed : bool
        Whether a lost frame lowers the frames beside it.
    drops : bool
        Whether frames without a face, or frames that were passed over, have no row.
    repeats : bool
        Whether rows repeat those before them, as they do where other sensors share the table.
    needed : tuple of str
        Of these one column has to be there.
    unused : Mapping of str to re.Pattern
        Columns that speak of action units and are not read, by the reason.
    """

    name: str
    units: tuple[Units, ...]
    frame: str = ""
    picture: str = ""
    seconds: str = ""
    face: str = ""
    success: str = ""
    faces: str = ""
    clock: bool = False
    first: int | None = None
    box: tuple[str, ...] = ()
    landmarks: bool = False
    smoothed: bool = False
    drops: bool = False
    repeats: bool = False
    needed: tuple[str, ...] = ()
    unused: Mapping[str, re.Pattern[str]] = field(default_factory=dict)


def _units(kind: str, pattern: str, known: frozenset[int]) -> Units:
    return Units(kind, re.compile(pattern, re.ASCII), known)


OPENFACE_3 = Tool(
    "OpenFace 3",
    (),
    frame="frame_index",
    first=0,
    picture="image_path",
    face="face_id",
)
"""Its one column ``action_units`` holds eight numbers without names."""
UNNAMED = "action_units"

OPENFACE_2 = Tool(
    "OpenFace 2",
    (
        _units("occurrence", r"AU(\d+)_c", _OPENFACE_UNITS | {28}),
        _units("intensity", r"AU(\d+)_r", _OPENFACE_UNITS),
    ),
    frame="frame",
    first=1,
    seconds="timestamp",
    face="face_id",
    success="success",
    landmarks=True,
    smoothed=True,
    needed=("success", "confidence"),
)
_PYFACEAU = Tool(
    "pyfaceau",
    (_units("intensity", r"AU(\d+)_r", _OPENFACE_UNITS),),
    frame="frame",
    first=0,
    seconds="timestamp",
    success="success",
    unused={"a second model of the same unit": re.compile(r"AU\d+_r_static", re.ASCII)},
)
_PYFEAT_1 = Tool(
    "py-feat Detectorv1",
    (_units("probability", r"AU(\d+)", _PYFEAT_UNITS),),
    frame="frame",
    first=0,
    picture="input",
    box=("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight"),
    landmarks=True,
    drops=True,
)
_PYFEAT_2 = replace(
    _PYFEAT_1, name="py-feat Detectorv2", units=(_units("similarity", r"AU(\d+)", _PYFEAT_UNITS),)
)
_PYFEAT_MP = replace(
    _PYFEAT_1,
    name="py-feat MPDetector",
    units=(_units("regression", r"AU(\d+)", _PYFEAT_UNITS),),
    landmarks=False,
)
_LIBREFACE = Tool(
    "LibreFace",
    (
        _units("occurrence", r"au_(\d+)", _LIBREFACE_SEEN),
        _units("intensity", r"au_(\d+)_intensity", _LIBREFACE_GRADED),
    ),
    frame="frame_idx",
    first=0,
    seconds="frame_time_in_ms",
    drops=True,
)
LIBREFACE_FOLDED = ("detected_aus", "au_intensities")
"""Columns of LibreFace's table of one picture, whose cells hold all units at once."""
_PYAFAR = Tool(
    "PyAFAR",
    (
        _units("probability", r"Occ_au_(\d+)", _PYAFAR_SEEN),
        _units("intensity", r"Int_au_(\d+)", frozenset({6, 10, 12, 14, 17})),
    ),
    frame="Frame",
    first=0,
    face="Person_ID",
    drops=True,
)
_FACEREADER = Tool(
    "FaceReader",
    (_units("activation", r"Action Unit (\d+) - (?:(?!\b(?i:left|right)\b).)+", _FACEREADER_UNITS),),
    seconds="Video Time",
    clock=True,
    unused={
        "one side of the face": re.compile(r"(?i)Action Unit (\d+) - .*\b(?:left|right)\b.*"),
        "two units in one": re.compile(r"Action Unit \d+ \+ \d+ - .*"),
    },
)
_FACET = Tool(
    "iMotions FACET",
    (_units("evidence", r"AU(\d+) Evidence", _FACET_UNITS),),
    frame="FrameNo",
    faces="NoOfFaces",
    box=("FaceRect X", "FaceRect Y", "FaceRect Width", "FaceRect Height"),
    repeats=True,
    unused={"FACET leaves it 0 and writes evidence alone": re.compile(r"AU\d+ Intensity")},
)
_EMOTIONS = {"happiness": _PYFEAT_1, "Happy": _PYFEAT_2}


def recognise_tool(names: Collection[str]) -> Tool | None:
    """Return the program whose columns these are, or None.

    Parameters
    ----------
    names : collection of str
        Names of the columns, without blanks around them.

    Raises
    ------
    LookupError
        If it is py-feat and what would tell its detectors apart is missing; the message says what.
    """
    there = set(names)
    if UNNAMED in there:
        return OPENFACE_3
    if _any(OPENFACE_2, there):
        only = {"frame", "timestamp", "success"} <= there and not {"confidence", "x_0"} & there
        seen = any(OPENFACE_2.units[0].pattern.fullmatch(name) for name in there)
        return _PYFACEAU if only and not seen else OPENFACE_2
    if set(LIBREFACE_FOLDED) <= there or _any(_LIBREFACE, there):
        return _LIBREFACE
    for tool in (_PYAFAR, _FACEREADER, _FACET):
        if _any(tool, there):
            return tool
    if {"FaceRectX", "FaceScore"} & there and _any(_PYFEAT_1, there):
        if {"z_0", f"x_{LANDMARKS}"} & there:
            return _PYFEAT_MP
        found = [tool for emotion, tool in _EMOTIONS.items() if emotion in there]
        if len(found) != 1:
            raise LookupError(
                "py-feat wrote it, and one of its three detectors, whose numbers mean different things: keep its columns of emotions "
                "('happiness' or 'Happy') or of the mesh ('z_0'), which tell them apart"
            )
        return found[0]
    return None


def tool_name(names: Collection[str]) -> str:
    """Name of the program whose columns these are; empty where it is none that is known."""
    try:
        tool = recognise_tool(names)
    except LookupError:
        return "py-feat"
    return tool.name if tool else ""


def mesh_points(names: Collection[str]) -> int:
    """How many points of a face mesh some columns hold; 0 where they are no mesh."""
    found = {
        int(match[1] or match[2])
        for name in names
        if (match := re.fullmatch(r"(?:\w+_)?[xyz]_?(\d+)|\w+_(\d+)_[xyz]", name, re.ASCII))
    }
    return len(found) if found and max(found) >= LANDMARKS else 0


def _any(tool: Tool, names: Collection[str]) -> bool:
    return any(units.pattern.fullmatch(name) for units in tool.units for name in names)
