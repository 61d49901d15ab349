"""What the columns of a table of user-supplied faces mean, by their names.

A column that is meant as an action unit, a box, a landmark or one of the named columns, and is spelt otherwise, is an error: left
out in silence, its labels would be missing without notice. Every other column is only listed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_lib.errors import FerError
from fer_lib.faces.labels import LANDMARKS
from fer_lib.faces.problems import printable
from fer_lib.faces.table import BOX, CODING
from fer_lib.faces.tool_formats import SCALES, tool_name
from fer_lib.facs import AUS

WORDS = ("path", "subject", "expression", "sequence", "frame", *CODING)
POINTS = tuple(f"{axis}{number}" for number in range(1, LANDMARKS + 1) for axis in "xy")

_AU = re.compile(r"AU(\d+)", re.ASCII)
_VALUE = re.compile(rf"AU(\d+)_({'|'.join(kind for kind in SCALES if kind != 'occurrence')})", re.ASCII)
"""A program's own numbers, beside the column that says from them whether the unit is present."""
LIKE_AU = re.compile(r"(?<![a-z])[flr]?(?:au|action[\W_]*units?)[\W_]*(\d+)", re.ASCII | re.IGNORECASE)
_AUS_TOGETHER = frozenset(
    {"au", "aus", "aucodes", "aulabels", "actionunit", "actionunits", "facs", "facscodes"}
)
_AU_NAMES = {re.sub(r"\W", "", unit.name).lower(): number for number, unit in AUS.items()}

_LIKE_POINT = re.compile(
    r"(?:[xyz]\d+|(?:eye|face|facial|landmarks?|lmks?|lms?|mp|mediapipe|mesh|facemesh|points?|pts?|keypoints?|kps?)+"
    r"(?:\d*[xyz]\d+|\d+[xyz])|landmarks?\d*|keypoints?|facemesh)",
    re.ASCII,
)
_SIDE = r"(?:[xy](?:min|max)|(?:min|max)[xy]|left|top|right|bottom|width|height|c[xy]|cent(?:er|re)[xy]|[xy]cent(?:er|re))"
_SIZES = (["w", "h"], ["width", "height"])
_BOX_WORD = r"(?:bounding|face|detection|det)*(?:bbox|box|bb|rect|rectangle|roi)(?:es|s)?"
_LIKE_BOX = re.compile(
    rf"(?:[xy](?:min|max)|(?:min|max)[xy]|{_BOX_WORD}(?:{_SIDE}|[xywhltrb]|[xy]?\d)?|{_SIDE}{_BOX_WORD}"
    rf"|(?:face|detection|det|crop)(?:{_SIDE}|[xywh]))",
    re.ASCII,
)
_BOXES = (
    *(frozenset(corner + size) for corner in (["x", "y"], ["cx", "cy"], [*BOX[:2]]) for size in _SIZES),
    frozenset("ltrb"),
    # Two opposite corners, as image libraries and annotation tools write them.
    *(
        frozenset(f"{low}{axis}" for axis in "xy" for low in pair)
        for pair in (("start", "end"), ("tl", "br"), ("topleft", "bottomright"), ("upperleft", "lowerright"))
    ),
    *(
        frozenset(f"{axis}{end}" for axis in "xy" for end in pair)
        for pair in (("start", "end"), ("tl", "br"), ("low", "high"))
    ),
    frozenset(["leftx", "topy", "rightx", "bottomy"]),
    frozenset(["x", "y", "dx", "dy"]),
)
_LISTED = 12
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+|")
"""Names under which pandas writes an index: it means nothing here."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a table mean.

    Attributes
    ----------
    place : dict of str to int
        Place of each column that is understood, under its one name: one of `WORDS`, `fer_lib.faces.table.BOX` and `POINTS`, or
        ``AU1``, ``AU2``, ..., or a program's numbers beside such a column, as ``AU1_intensity``.
    unused : list of str
        Names of the other columns, those that name an action unit first.
    """

    place: dict[str, int]
    unused: list[str]


def recognise_columns(path: Path, names: Sequence[str]) -> Columns:
    """Find out what the columns of a table mean.

    Parameters
    ----------
    path : Path
        The table, for messages.
    names : sequence of str
        Names of its columns, without blanks around them.

    Returns
    -------
    Columns

    Raises
    ------
    FerError
        If a needed column is missing, one comes twice (``AU1`` and ``AU01`` are the same), only a part of a box or of the landmarks is
        there, or a column looks like one that is meant and is spelt otherwise; the message says how to spell it.
    """
    place: dict[str, int] = {}
    other: list[str] = []
    for number, name in enumerate(names):
        known = _known(name)
        if not known:
            if not _INDEX.fullmatch(name):
                other.append(name)
        elif known in place:
            first = names[place[known]]
            raise FerError(f"{path}: columns {first!r} and {name!r} are both {known}; keep one of them")
        else:
            place[known] = number
    _check_needed(path, names, place)
    for name in [name for name in place if _VALUE.fullmatch(name) and name.partition("_")[0] not in place]:
        other.append(names[place.pop(name)])
    _check_look_alikes(path, other, place)
    for kind in (BOX, POINTS):
        there = [name for name in kind if name in place]
        if there and len(there) < len(kind):
            missing = next(name for name in kind if name not in place)
            hint = ""
            if set(there) == {"x1", "y1", "x2", "y2"}:
                hint = "; if they are corners of the face's box, name them left, top, right, bottom"
            raise FerError(
                f"{path}: column {there[0]!r} without {missing!r}; all {len(kind)} are needed{hint}"
            )
    return Columns(place, sorted(other, key=lambda name: not _unit(name)))


def _known(name: str) -> str:
    """The one name of a column that is understood, or an empty string."""
    if name in WORDS or name in BOX or name in POINTS:
        return name
    match = _AU.fullmatch(name) or _VALUE.fullmatch(name)
    if not match or int(match[1]) not in AUS:
        return ""
    return f"AU{int(match[1])}" + "".join(f"_{kind}" for kind in match.groups()[1:])


def _check_needed(path: Path, names: Sequence[str], place: dict[str, int]) -> None:
    for word in ("path", "subject"):
        if word not in place:
            if tool := tool_name(names):
                command = f"fer aus {shlex.quote(path.name)} --pictures FOLDER --subject NAME --out faces.csv"
                raise FerError(f"{path}: {tool} wrote this table; `{command}` makes a table of faces of it")
            hint = ""
            if len(names) == 1 and re.search(r"[;\t|]", names[0]):
                hint = "; cells are to be separated by commas"
            if near := [name for name in names if _squeezed(name) == word]:
                hint = f"; rename {near[0]!r}"
            found = printable(", ".join(names[:_LISTED])) or "none"
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            raise FerError(f"{path}: no column {word!r}; found {found}{more}{hint}")


def _check_look_alikes(path: Path, other: Sequence[str], place: dict[str, int]) -> None:
    """Refuse columns that look like what is read and are not spelt so."""
    units = [name for name in other if _unit(name) and not _AU.fullmatch(name)]
    if studied := [name for name in units if _unit(name) in AUS]:
        raise FerError(
            f"{path}: {_first(studied)} looks like action unit {_unit(studied[0])} and is not read; name it AU{_unit(studied[0])} "
            "if it holds 0 to 5 (or 0 and 1), or remove it"
        )
    for name in other:
        if _squeezed(name) in _AUS_TOGETHER:
            raise FerError(
                f"{path}: column {name!r} looks like action units and is not read; give each a column: AU1, AU2, ..., or remove it"
            )
    numbers = [name for name in other if name.isascii() and name.isdigit()]
    if len(numbers) > 2 and all(int(name) in AUS for name in numbers):
        raise FerError(
            f"{path}: {_first(numbers)} may be action unit {int(numbers[0])} and is not read; name it AU{int(numbers[0])}, or remove it"
        )
    if points := [name for name in other if _LIKE_POINT.fullmatch(_squeezed(name))]:
        raise FerError(
            f"{path}: {_first(points)} looks like a landmark and is not read; the {LANDMARKS} landmarks are x1, y1 to "
            f"x{LANDMARKS}, y{LANDMARKS} in pixels (of a mesh no part is the same): rename or remove it"
        )
    boxes = [name for name in other if _LIKE_BOX.fullmatch(_squeezed(name))]
    squeezed = {_squeezed(name): name for name in (*other, *place)}
    for group in _BOXES:
        if group <= set(squeezed) and not {*BOX, *group} <= set(squeezed):
            boxes += [name for word, name in squeezed.items() if word in group and name in other]
    if boxes:
        raise FerError(
            f"{path}: {_first(boxes)} looks like a part of the face's box and is not read; give its corners as left, top, right, bottom "
            "in pixels (right is x plus width), or remove it"
        )
    for name in other:
        for word in (*WORDS, *BOX):
            if _squeezed(name) == word:
                raise FerError(f"{path}: column {name!r} is not read; name it {word!r}, or remove it")


def _unit(name: str) -> int:
    """Number of the action unit that a name speaks of in whatever spelling; 0 where it speaks of none."""
    if match := LIKE_AU.search(name):
        return int(match[1])
    return next((number for unit, number in _AU_NAMES.items() if unit in _squeezed(name)), 0)


def _squeezed(name: str) -> str:
    """A name without case and punctuation."""
    return re.sub(r"[\W_]", "", name).lower()


def _first(names: Sequence[str]) -> str:
    """The first of some columns, and how many more there are."""
    more = f" (as are {len(names) - 1} more)" if len(names) > 1 else ""
    return f"column {names[0]!r}{more}"
