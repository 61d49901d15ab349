"""Tables that programs write of action units, read for what they are: a machine's numbers, on its scale.

OpenFace 2 and 3, pyfaceau, py-feat, LibreFace, PyAFAR, FaceReader and iMotions (FACET) are told by their columns. A unit is present or
absent where the program says so itself, or from a threshold on, which is given or is usual on that scale and is kept beside the codes.
What a program writes where it saw no face is not coded, nor is what it writes beside such a frame if that is lowered by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.errors import FerError
from fer_lib.faces.columns import LIKE_AU
from fer_lib.faces.disk import expanded
from fer_lib.faces.labels import LANDMARKS, NUMBER
from fer_lib.faces.own import outside_box
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import BOX
from fer_lib.faces.tool_formats import (
    LIBREFACE_FOLDED,
    OPENFACE_2,
    OPENFACE_3,
    SCALES,
    UNNAMED,
    Tool,
    Units,
    mesh_points,
)
from fer_lib.faces.tool_frames import (
    frames_of,
    note_frames,
    single_rows,
    without_crowd,
    without_lowered,
)
from fer_lib.faces.tool_text import NO_NUMBER, Cells, read_cells

_SHOWN = 8
_LETTERS = {"notactive": 0, "not active": 0, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
_EIGHT = 8
_OPENFACE_3_AS_2 = replace(OPENFACE_2, name=OPENFACE_3.name, first=None, smoothed=False)


@dataclass(frozen=True, eq=False)
class ToolTable:
    """What a program wrote of the action units of some pictures.

    Attributes
    ----------
    path : Path
        The table.
    origin : str
        The program, as ``OpenFace 2``.
    scale : str
        Names of the scales (`fer_lib.faces.tool_formats.SCALES`) that present and absent are from, joined by " and ".
    threshold : float
        From where on a unit counts as present; NaN where the program's own occurrence is used alone.
    table : pandas.DataFrame
        One row for each frame or picture, in their order: ``picture`` (its file's name, where the table has it, or ``""``), ``frame`` (the
        program's number, a nullable integer; missing where the table is of one picture), ``seconds`` (NaN where not given), ``found``
        (whether it saw a face), ``left``, ``top``, ``right``, ``bottom`` (pixels, NaN where not given), ``AU1``, ... (1 present, 0 absent,
        NaN not coded) and the program's numbers under the kind of their scale, as ``AU1_intensity`` (NaN not coded).
    landmarks : np.ndarray
        The 68 landmarks, float64 of shape (n, 68, 2), pixels; NaN where there are none.
    tool : Tool
        How the program's tables are laid out.
    problems : pandas.DataFrame
        ``path``, ``problem``, ``consequence``.
    """

    path: Path
    origin: str
    scale: str
    threshold: float
    table: pd.DataFrame
    landmarks: np.ndarray
    tool: Tool
    problems: pd.DataFrame

    @property
    def aus(self) -> tuple[int, ...]:
        """Action units that the program codes, in order."""
        return tuple(int(name[2:]) for name in map(str, self.table) if re.fullmatch(r"AU\d+", name))


def read_tool_table(
    file: Path | str, *, threshold: float | None = None, mapping: Sequence[int] = (), face: str = ""
) -> ToolTable:
    """Read a table that a program wrote of action units.

    Parameters
    ----------
    file : Path or str
        ``.csv``, ``.txt``, ``.tsv`` (separated by commas, tabs or semicolons) or ``.parquet``.
    threshold : float, optional
        A unit is present from here on, also where the program says itself whether it is. By default it is 1 (A) for intensities, 0.5 for
        probabilities and 0 for log odds, and used where the program does not say; other scales have no usual threshold.
    mapping : sequence of int
        The unit of each number, in the file's order, where the program does not name them (OpenFace 3).
    face : str
        Which face to read, as the program numbers them, where a frame may show several.

    Returns
    -------
    ToolTable

    Raises
    ------
    FerError
        If the program is not known, a column looks like an action unit and is none of that program, a number lies off its scale, or
        something has to be given first; the message says what.
    """
    path = expanded(file)
    cells, tool = read_cells(path)
    problems = Problems()
    own, numbers, tool = _action_units(cells, tool, mapping, problems)
    for au, values in own.items():
        _check_range(path, f"AU{au}", "occurrence", values)
    for kind, units in numbers.items():
        for au, values in units.items():
            _check_range(path, f"AU{au}", kind, values)
    codes, scales, limit = _decide(path, own, numbers, threshold, problems)

    table, landmarks = frames_of(cells, tool, problems), _landmarks(cells, tool, problems)
    coded = {f"AU{au}": codes[au] for au in sorted(codes)}
    coded |= {f"AU{au}_{kind}": units[au] for kind, units in numbers.items() for au in sorted(units)}
    aus = pd.DataFrame(coded, dtype=float)
    table["found"] &= aus.notna().any(axis=1)
    aus[~table["found"]] = np.nan
    boxes = pd.DataFrame(_boxes(cells, tool), columns=list(BOX))
    table = pd.concat([table, boxes, aus], axis=1)
    rows, crowd = single_rows(path, table, tool, face, list(coded), problems)
    table, landmarks = table.iloc[rows].reset_index(drop=True), landmarks[rows]
    landmarks[~table["found"].to_numpy() | crowd] = np.nan
    table = without_crowd(path, table, crowd, problems)
    if tool.smoothed and table["frame"].notna().all():
        table = without_lowered(path, table, problems)
    note_frames(path, table, ~table["found"].to_numpy(), "without a face", "not coded", problems)
    table, landmarks = _in_one_size(path, table, landmarks, problems)
    return ToolTable(path, tool.name, " and ".join(scales), limit, table, landmarks, tool, problems.table())


# action units -------------------------------------------------------------------------------------------------------------

_ByUnit = dict[int, np.ndarray]
_Column = tuple[Units, str, int]  # what it is one of, its name, its unit


def _action_units(
    cells: Cells, tool: Tool, mapping: Sequence[int], problems: Problems
) -> tuple[_ByUnit, dict[str, _ByUnit], Tool]:
    """The program's own occurrences, its numbers by kind and unit, and the program."""
    if tool is OPENFACE_3:
        where = "the face's place is given by 98 landmarks and the program's own box"
        problems.add(cells.path.name, where, "not used: they are not the 68 landmarks")
        return {}, {"similarity": _unnamed(cells, mapping)}, tool
    columns = [
        (units, name, int(match[1]))
        for name in cells.names
        for units in tool.units
        if (match := units.pattern.fullmatch(name))
    ]
    if mapping:
        return {}, {"similarity": _misnamed(cells, tool, columns, mapping)}, _OPENFACE_3_AS_2
    _check_columns(cells, tool, columns, problems)
    own: _ByUnit = {}
    numbers: dict[str, _ByUnit] = {}
    letters = any(
        word.lower() in _LETTERS
        for units, name, _ in columns
        if units.kind == "activation"
        for word in cells.words(name)
    )
    for units, name, au in sorted(columns, key=lambda column: tool.units.index(column[0])):
        kind, values = _values(cells, units.kind, name, letters)
        into = own if kind == "occurrence" else numbers.setdefault(kind, {})
        if au in into:
            raise FerError(f"{cells.path}: two columns are AU{au}, one of them {name!r}; keep one of them")
        into[au] = values
    _take_out_classes(cells.path, own, numbers, problems)
    return own, numbers, tool


def _check_columns(cells: Cells, tool: Tool, columns: Sequence[_Column], problems: Problems) -> None:
    """Account for every column that looks like an action unit: read, known and not used, or refused."""
    path = cells.path
    if foreign := _foreign(columns):
        hint = "; numbers of OpenFace 3 are often named so by their place: give its mapping"
        raise FerError(
            f"{path}: {_listed(foreign)} cannot be of {tool.name}, which has no such unit{hint if tool is OPENFACE_2 else ''}"
        )
    if tool.needed and not any(name in cells for name in tool.needed):
        raise FerError(
            f"{path}: no column {' or '.join(map(repr, tool.needed))}, without which frames that {tool.name} lost look like absent units; "
            "keep it in the table"
        )
    known = {*LIBREFACE_FOLDED, *(name for _, name, _ in columns)}
    for reason, pattern in tool.unused.items():
        if left := [name for name in cells.names if pattern.fullmatch(name) and name not in known]:
            problems.add(path.name, _listed(left), f"not used: {reason}")
            known.update(left)
    if other := [name for name in cells.names if LIKE_AU.search(name) and name not in known]:
        raise FerError(
            f"{path}: {_listed(other)} looks like an action unit and is not understood ({tool.name}); remove it, or name it as the "
            "program does"
        )


def _foreign(columns: Sequence[_Column]) -> list[str]:
    """Columns of units that their program does not have."""
    return [name for units, name, au in columns if au not in units.known]


def _misnamed(cells: Cells, tool: Tool, columns: Sequence[_Column], mapping: Sequence[int]) -> _ByUnit:
    """OpenFace 3's numbers where somebody named them by their place, as if they were OpenFace 2's intensities."""
    if tool is not OPENFACE_2 or not _foreign(columns):
        raise FerError(f"{cells.path}: {tool.name} names its action units; leave the mapping out")
    names = [name for units, name, _ in columns if units.kind == "intensity"]
    _check_mapping(cells.path, mapping, len(names))
    return {au: cells.numbers(name) for au, name in zip(mapping, names, strict=True)}


def _values(cells: Cells, kind: str, name: str, letters: bool) -> tuple[str, np.ndarray]:
    """Numbers of a column and their kind; FaceReader may write letters instead, which are FACS intensities."""
    words = cells.words(name)
    if letters:
        return "intensity", cells.to_numbers(name, [str(_LETTERS.get(word.lower(), word)) for word in words])
    return kind, cells.to_numbers(name, words)


def _take_out_classes(path: Path, own: _ByUnit, numbers: dict[str, _ByUnit], problems: Problems) -> None:
    """Take columns of 0 and 1 alone, among probabilities, for what they are: a yes or no."""
    units = numbers.get("probability", {})
    classes = [au for au, values in units.items() if np.isin(values[~np.isnan(values)], (0, 1)).all()]
    own |= {au: units.pop(au) for au in classes}
    if classes and units:
        named = ", ".join(f"AU{au}" for au in classes)
        problems.add(path.name, f"{named}: 0 and 1 alone among probabilities", "read as occurrence")
    if not units:
        numbers.pop("probability", None)


def _unnamed(cells: Cells, mapping: Sequence[int]) -> _ByUnit:
    """OpenFace 3's list of numbers, a unit each as the mapping says."""
    lists: list[list[float]] = []
    for row, word in enumerate(cells.words(UNNAMED)):
        inner = word.strip("[] \t")
        parts = (
            [part.strip() for part in inner.split(",")] if inner and not NO_NUMBER.fullmatch(inner) else []
        )
        if parts and not all(NUMBER.fullmatch(part) for part in parts):
            raise FerError(
                f"{cells.path}: row {row + 1}, column {UNNAMED!r}: {word[:20]!r} is not a list of numbers"
            )
        lists.append([float(part) for part in parts])
    counts = {len(values) for values in lists if values}
    if len(counts) > 1:
        raise FerError(
            f"{cells.path}: column {UNNAMED!r} holds lists of {min(counts)} to {max(counts)} numbers; one length is expected"
        )
    count = counts.pop() if counts else _EIGHT
    _check_mapping(cells.path, mapping, count)
    values = np.array([row or [np.nan] * count for row in lists])
    return {au: values[:, place] for place, au in enumerate(mapping)}


def _check_mapping(path: Path, mapping: Sequence[int], count: int) -> None:
    if not mapping:
        raise FerError(
            f"{path}: OpenFace 3 does not name its {count} numbers; say which unit each one is, in their order: a mapping such as "
            "1,2,4,6,9,12,25,26 (which its demonstration shows)"
        )
    if len(mapping) != count or len(set(mapping)) != len(mapping) or min(mapping) < 1:
        given = ",".join(map(str, mapping))
        raise FerError(
            f"{path}: a mapping of {count} different units is needed, one for each number; {given} was given"
        )


def _check_range(path: Path, name: str, kind: str, values: np.ndarray) -> None:
    scale = SCALES[kind]
    wrong = (values < scale.low) | (values > scale.high)
    if kind == "occurrence":
        wrong |= ~np.isnan(values) & ~np.isin(values, (0, 1))
    for value in values[wrong][:1]:
        what = (
            "is neither 0 nor 1"
            if kind == "occurrence"
            else f"does not lie from {scale.low:g} to {scale.high:g}"
        )
        raise FerError(
            f"{path}: {name}: {value:g} {what} ({scale.name}); is the table as the program wrote it?"
        )


def _decide(
    path: Path, own: _ByUnit, numbers: dict[str, _ByUnit], threshold: float | None, problems: Problems
) -> tuple[_ByUnit, list[str], float]:
    """Which units are present, 1, 0 or NaN, as the program says or from a threshold on; the scales that were used, and the threshold."""
    kind = next(iter(numbers), "")
    units = numbers.get(kind, {})
    if threshold is not None and not units:
        raise FerError(f"{path}: a threshold is given and every unit is 0 or 1 already; leave it out")
    asked = {au: values for au, values in units.items() if threshold is not None or au not in own}
    limit = float("nan")
    if asked:
        scale = SCALES[kind]
        usual = scale.usual if threshold is None else threshold
        if usual is None:
            raise FerError(
                f"{path}: no threshold is usual for {scale.name!r}; say from where on a unit counts as present"
                + (f", above {scale.low:g} and up to {scale.high:g}" if np.isfinite(scale.high) else "")
            )
        if not (scale.low < usual <= scale.high and np.isfinite(usual)):
            raise FerError(
                f"{path}: threshold {usual:g} does not lie on the scale {scale.name!r}, above {scale.low:g} and up to {scale.high:g}"
            )
        limit = float(usual)
    scales = [SCALES["occurrence"].name] if set(own) - set(asked) else []
    codes = own | {au: np.where(np.isnan(values), np.nan, values >= limit) for au, values in asked.items()}
    if asked:
        scales.append(SCALES[kind].name)
        if threshold is None:
            named = ", ".join(f"AU{au}" for au in sorted(asked))
            problems.add(
                path.name,
                f"{named}: {SCALES[kind].name}, no threshold given",
                f"present from {limit:g} on: {SCALES[kind].why}",
            )
    return codes, scales, limit


# where the face is --------------------------------------------------------------------------------------------------------


def _boxes(cells: Cells, tool: Tool) -> np.ndarray:
    """Corners of the face, (n, 4): left, top, right, bottom; programs write a corner and the size."""
    if not tool.box or not all(name in cells for name in tool.box):
        return np.full((len(cells.rows), 4), np.nan)
    left, top, width, height = (cells.numbers(name) for name in tool.box)
    return np.stack([left, top, left + width, top + height], axis=1)


def _landmarks(cells: Cells, tool: Tool, problems: Problems) -> np.ndarray:
    """The 68 landmarks, (n, 68, 2), NaN where there are none; a mesh has other points and is not used."""
    names = [[f"{axis}_{number}" for axis in "xy"] for number in range(LANDMARKS)]
    if tool.landmarks and all(name in cells for pair in names for name in pair):
        return np.stack([np.stack([cells.numbers(name) for name in pair], axis=1) for pair in names], axis=1)
    if count := mesh_points(cells.names):
        problems.add(
            cells.path.name, f"{count} points of a mesh", f"not used: they are not the {LANDMARKS} landmarks"
        )
    return np.full((len(cells.rows), LANDMARKS, 2), np.nan)


def _in_one_size(
    path: Path, table: pd.DataFrame, landmarks: np.ndarray, problems: Problems
) -> tuple[pd.DataFrame, np.ndarray]:
    """Boxes and landmarks; none of both where most landmarks lie outside their box, as then one is of another size of the picture."""
    there = ~np.isnan(landmarks).any(axis=(1, 2)) & table[list(BOX)].notna().all(axis=1).to_numpy()
    outside = outside_box(table[list(BOX)].to_numpy(float)[there], landmarks[there]) > LANDMARKS / 2
    if not (len(outside) and outside.mean() > 0.5):
        return table, landmarks
    problem = f"most landmarks lie outside their box in {outside.sum()} of {len(outside)} rows"
    problems.add(path.name, problem, "neither is used: they are in pixels of two sizes of the picture")
    return table.assign(**dict.fromkeys(BOX, np.nan)), np.full_like(landmarks, np.nan)


def _listed(names: Sequence[str]) -> str:
    """Some columns in words, the first few by name."""
    shown = ", ".join(map(repr, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"column{'s' if len(names) > 1 else ''} {shown}{more}"
