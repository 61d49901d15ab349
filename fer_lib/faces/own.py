"""User-supplied faces: a CSV or parquet table with a row for every picture fills the same table that CK+ fills.

Columns ``path`` (relative to the table's folder) and ``subject`` are needed. Optional are

- ``expression``: one of the eight names of :data:`fer_lib.facs.EXPRESSIONS`, empty where unknown;
- ``sequence`` and ``frame`` (whole number): pictures of one film of one subject, from neutral to peak, in the order of their frames.
  The first counts as neutral and the last ones carry the film's expression and action units, unless a row states an expression of
  its own. A picture without a sequence stands alone and carries what its own row says;
- ``AU1``, ``AU2``, ... (or ``AU01``): 0 absent, 1 to 5 for A to E, -1 present without intensity, empty where not coded. A column that
  holds 0 and 1 alone is read as absent and present without intensity, never as intensity A;
- ``origin``, ``scale``, ``threshold``: who coded the action units (empty: a coder), on which scale, and from where on a unit counts as
  present, where a program's numbers were compared with a threshold; its AU columns hold 0 and 1 then. With the scale ``intensity 0-5``
  and no threshold a column of 0 and 1 alone holds intensities as well. A program's numbers may stand beside, as ``AU12_intensity``;
- ``left``, ``top``, ``right``, ``bottom``: corners of the face's box; or ``x1``, ``y1`` to ``x68``, ``y68``: landmarks. Both in pixels
  of the picture as it is seen, upright, as its EXIF orientation says; 0 is the centre of the first pixel. In a table without either, a
  picture is taken to be a face already cut out.

Whatever is optional may be missing. Pictures are PNG, JPEG, TIFF, BMP, PGM, PPM or WebP.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.errors import FerError
from fer_lib.faces.columns import POINTS, Columns, recognise_columns
from fer_lib.faces.decoding import PictureFacts, inspect_picture
from fer_lib.faces.disk import Disk, expanded
from fer_lib.faces.labels import LANDMARKS, NUMBER
from fer_lib.faces.problems import Problems, printable
from fer_lib.faces.sheet import Sheet, read_sheet
from fer_lib.faces.table import AU_COLUMNS, BOX, CODING, COLUMNS, NOT_GIVEN, Faces, box_of, usual_scale
from fer_lib.faces.tool_formats import SCALES
from fer_lib.facs import EXPRESSIONS

_TEXT = ("path", "subject", "expression", "sequence")
_SCALES = [scale.name for scale in SCALES.values()]
_GRADED = SCALES["intensity"].name
_CODES = (NOT_GIVEN, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
_LOST = "the picture cannot be cropped and is left out"
_MISSING = frozenset({"na", "nan", "null", "none", "n/a", "#n/a", "<na>"})
_LISTED = 12
_LARGEST_FRAME = 10**15
_LONG_SIDE = 2.0
_FEW_FOR_SQUARES = 3


class _Refusals:
    """What is wrong with rows: raised at once, or collected."""

    def __init__(self, *, collect: bool = False) -> None:
        self._collect, self.messages = collect, list[str]()

    def __call__(self, message: str) -> None:
        if not self._collect:
            raise FerError(message)
        self.messages.append(message)


def read_own(file: Path | str) -> Faces:
    """Read a table of user-supplied faces.

    Parameters
    ----------
    file : Path or str
        A ``.csv`` (comma, UTF-8, header line) or ``.parquet`` file with the columns that this module's documentation lists.

    Returns
    -------
    Faces
        Sorted by sequence and frame. In a sequence the expression is that of its rows that are neither neutral nor empty.

    Raises
    ------
    FerError
        If a column is missing or spelt so that it would be overlooked, or a value impossible: the message names table, row and column.
        Pictures that cannot be read do not raise; they are rows of ``problems`` and have no box.
    """
    path = expanded(file)
    sheet, columns, given = _open(path)
    problems, refuse = Problems(), _Refusals()
    _note_unused(path, columns.unused, given, problems)
    for place, name in enumerate(sheet.names):
        if "expression" not in given and name in columns.unused and _are_expressions(sheet, place):
            raise FerError(
                f"{path}: column {name!r} holds expressions and is not read; name it 'expression', or remove it"
            )

    table, coding, codes, values = _labels(path, given, sheet.rows, problems, refuse)
    points, boxes = _places(path, given, table["path"].tolist(), problems, refuse)
    table = table.assign(
        stated=table["expression"],
        **{name: boxes[:, i] for i, name in enumerate(BOX)},
        **{name: codes[:, i] for i, name in enumerate(AU_COLUMNS)},
        **{name: coding[name] for name in CODING},
        **values,
    )
    order = np.lexsort((table["frame"].to_numpy(), table["sequence"].to_numpy(str)))
    table = _sequences(path, table.iloc[order].reset_index(drop=True))
    return Faces(
        path.parent, table[[*COLUMNS, "stated", *values]], points[order].astype(np.float32), problems.table()
    )


def check_own(file: Path | str) -> list[str]:
    """Return everything that is wrong with the words and numbers of a table of user-supplied faces, a line each; no picture is opened.

    Parameters
    ----------
    file : Path or str
        As :func:`read_own` reads it.

    Returns
    -------
    list of str
        Empty where every row can be read.

    Raises
    ------
    FerError
        If it is no table, or its columns are not understood.
    """
    path = expanded(file)
    sheet, _, given = _open(path)
    refuse = _Refusals(collect=True)
    _labels(path, given, sheet.rows, Problems(), refuse)
    return refuse.messages


def _open(path: Path) -> tuple[Sheet, Columns, dict[str, list[str]]]:
    """A table, what its columns mean, and the words of those that are understood."""
    sheet = read_sheet(path)
    columns = recognise_columns(path, sheet.names)
    if not sheet.rows:
        raise FerError(f"{path}: no rows; one for each picture is expected")
    return sheet, columns, {name: sheet.column(place) for name, place in columns.place.items()}


def _labels(
    path: Path, given: dict[str, list[str]], rows: int, problems: Problems, refuse: _Refusals
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, dict[str, np.ndarray]]:
    """Names, expressions and frames of the rows; who coded them; codes of action units; a program's numbers of them."""
    nothing = [""] * rows
    table = pd.DataFrame({name: given.get(name, nothing) for name in _TEXT}, dtype=str)
    _check_names(path, table, refuse)
    alone = (table["sequence"] == "").to_numpy()
    table["frame"] = _frames(path, given, alone, refuse)
    table["sequence"] = _sequence_names(table, alone)
    coding = _coding(path, given, rows, refuse)
    codes = _codes(path, given, coding, problems, refuse)
    unstated = (coding["scale"] == "").to_numpy()
    coding.loc[unstated, "scale"] = usual_scale(codes[unstated])
    return table, coding, codes, _values(path, given, rows, refuse)


def named_pictures(file: Path) -> list[str]:
    """Return the pictures that a table names, in its order, without opening any; empty where it has no such column."""
    sheet = read_sheet(file)
    place = recognise_columns(file, sheet.names).place.get("path")
    return [] if place is None else [name for name in sheet.column(place) if name]


def _are_expressions(sheet: Sheet, place: int) -> bool:
    """Whether a column holds names of expressions alone; one that cannot be read as text does not."""
    try:
        words = {word for word in sheet.column(place) if word}
    except FerError:
        return False
    return bool(words) and words <= set(EXPRESSIONS)


def _note_unused(path: Path, unused: list[str], given: dict[str, list[str]], problems: Problems) -> None:
    """Note in one row which columns are not read."""
    if unused:
        listed = ", ".join(map(repr, unused[:_LISTED]))
        more = f" and {len(unused) - _LISTED} more" if len(unused) > _LISTED else ""
        what = "column is not known" if len(unused) == 1 else "columns are not known"
        problems.add(path.name, f"{len(unused)} {what}: {listed}{more}", "not used")
    if "frame" in given and "sequence" not in given:
        problems.add(path.name, "column 'frame' without 'sequence'", "not used: every picture stands alone")


def _numbers(path: Path, given: dict[str, list[str]], name: str, rows: int, refuse: _Refusals) -> np.ndarray:
    """Return a column as float64, NaN where nothing stands or the column is missing."""
    values = np.full(rows, np.nan)
    for row, word in enumerate(given.get(name, ())):
        if word:
            if not NUMBER.fullmatch(word):
                refuse(
                    f"{path}: row {row + 1}, column {name}: {word[:20]!r} is not a number; write such as 2.5, or leave it empty"
                )
            elif np.isinf(float(word)):
                refuse(
                    f"{path}: row {row + 1}, column {name}: {word[:20]} is not finite; leave it empty where unknown"
                )
            else:
                values[row] = float(word)
    return values


def _coding(path: Path, given: dict[str, list[str]], rows: int, refuse: _Refusals) -> pd.DataFrame:
    """Who coded each row, on which scale and from which threshold on: columns `CODING`, empty and NaN where the table does not say."""
    nothing = [""] * rows
    table = pd.DataFrame({name: given.get(name, nothing) for name in ("origin", "scale")}, dtype=str)
    table["threshold"] = _numbers(path, given, "threshold", rows, refuse)
    for row, scale in enumerate(table["scale"]):
        names = scale.split(" and ") if scale else []
        if any(name not in _SCALES for name in names):
            refuse(f"{path}: row {row + 1}: scale {scale!r} is not one of {', '.join(_SCALES)}")
        elif set(names) - {SCALES["occurrence"].name, _GRADED} and np.isnan(table["threshold"][row]):
            refuse(
                f"{path}: row {row + 1}: scale {scale!r} without a threshold; write from where on a unit counts as present"
            )
    return table


def _values(path: Path, given: dict[str, list[str]], rows: int, refuse: _Refusals) -> dict[str, np.ndarray]:
    """A program's own numbers of action units, by column."""
    found = {}
    for name in given:
        kind = name.partition("_")[2] if name.startswith("AU") else ""
        if kind:
            found[name] = _numbers(path, given, name, rows, refuse)
            low, high = SCALES[kind].low, SCALES[kind].high
            for row in np.flatnonzero((found[name] < low) | (found[name] > high)).tolist():
                refuse(
                    f"{path}: row {row + 1}, column {name}: {found[name][row]:g} does not lie from {low:g} to {high:g}"
                )
    return found


def _codes(
    path: Path, given: dict[str, list[str]], coding: pd.DataFrame, problems: Problems, refuse: _Refusals
) -> np.ndarray:
    """Codes of all action units, (rows, AUs), NaN where not coded.

    Other programs and data sets write -1 for "not coded", and 1 for "present": what may be meant so is asked about or noted, except where
    the table says on which scale a row is coded.
    """
    codes = np.stack([_numbers(path, given, name, len(coding), refuse) for name in AU_COLUMNS], axis=1)
    unknown = ~np.isnan(codes) & ~np.isin(codes, _CODES)
    for row, column in np.argwhere(unknown):
        refuse(
            f"{path}: row {row + 1}, column {AU_COLUMNS[column]}: {codes[row, column]:g} is not one of -1 and 0 to 5; "
            "leave it empty where nobody coded it"
        )
    codes[unknown] = np.nan
    coded = ~np.isnan(codes)
    yes_or_no = (
        (coding["scale"] != "") & ((coding["scale"] != _GRADED) | coding["threshold"].notna())
    ).to_numpy()
    for row, column in np.argwhere(coded & yes_or_no[:, None] & ~np.isin(codes, (0, 1))):
        refuse(
            f"{path}: row {row + 1}, column {AU_COLUMNS[column]}: {codes[row, column]:g} is neither 0 nor 1, as it has to be on the scale "
            f"{coding['scale'][row]!r}"
        )
    without = (codes == NOT_GIVEN).sum(axis=1)
    for row in np.flatnonzero((without > 0) & (without == coded.sum(axis=1))).tolist():
        refuse(
            f"{path}: row {row + 1}: all its action units are -1, which means present without an intensity; leave them empty where "
            "nobody coded the picture; in a table without intensities write 1 for present and 0 for absent"
        )
    unstated = (coding["scale"] == "").to_numpy()
    codes[unstated] = _guessed(path, codes[unstated], problems, refuse)
    codes[yes_or_no] = np.where(codes[yes_or_no] == 1, NOT_GIVEN, codes[yes_or_no])
    return codes


def _guessed(path: Path, codes: np.ndarray, problems: Problems, refuse: _Refusals) -> np.ndarray:
    """Codes of rows that do not say their scale: columns of 0 and 1 alone are occurrences."""
    columns = [[number for number in np.unique(column[~np.isnan(column)])] for column in codes.T]
    graded = bool((codes > 1).any())
    occurrence = []
    ones = any(1 in values for values in columns)
    for name, values in zip(AU_COLUMNS, columns, strict=True):
        # Also where this column has no 1 itself: a rare unit of a set that writes -1 for "not annotated".
        if NOT_GIVEN in values and ones and not graded:
            refuse(
                f"{path}: column {name} holds -1 in a table of 0 and 1; leave it empty where nobody coded it, write 1 where it is present"
            )
        if values in ([0, 1], [1]):
            occurrence.append(name)
    if not occurrence:
        return codes
    places = [AU_COLUMNS.index(name) for name in occurrence]
    codes[:, places] = np.where(codes[:, places] == 1, NOT_GIVEN, codes[:, places])
    problems.add(
        path.name,
        f"{', '.join(occurrence)}: no code but 0 and 1",
        "read as occurrence: 1 is present, intensity not given",
    )
    return codes


def _check_names(path: Path, table: pd.DataFrame, refuse: _Refusals) -> None:
    """Refuse rows without path or subject, unknown expressions, and pictures that come twice."""
    for column in ("path", "subject"):
        for row in np.flatnonzero(table[column] == "").tolist():
            refuse(f"{path}: row {row + 1} has no {column}")
    for column, remedy in (
        ("subject", "write who it is"),
        ("sequence", "leave it empty for a single picture"),
    ):
        for row in np.flatnonzero(table[column].str.lower().isin(_MISSING)).tolist():
            refuse(
                f"{path}: row {row + 1}: {column} {table[column][row]!r} is a word for a missing value; {remedy}"
            )
    for row, name in enumerate(table["expression"]):
        if name and name not in EXPRESSIONS:
            refuse(f"{path}: row {row + 1}: expression {name!r} is not one of {', '.join(EXPRESSIONS)}")
    # As objects: a folder's name may hold bytes that are no text, of which pandas makes no column of text.
    whole = pd.Series([os.path.normpath(path.parent / name) for name in table["path"]], dtype=object)
    for row in np.flatnonzero(whole.duplicated() & (table["path"] != "")).tolist():
        refuse(f"{path}: row {row + 1} repeats the picture {printable(table['path'][row])}; keep one row")


def _frames(path: Path, given: dict[str, list[str]], alone: np.ndarray, refuse: _Refusals) -> np.ndarray:
    """Frame numbers; pictures of a sequence need one, others are frame 1."""
    if alone.all():
        return np.ones(len(alone), np.int64)
    values = np.where(alone, 1.0, _numbers(path, given, "frame", len(alone), refuse))
    wrong = ~((values == np.floor(values)) & (values >= 0) & (values <= _LARGEST_FRAME))
    for row in np.flatnonzero(wrong):
        refuse(f"{path}: row {row + 1} has a sequence, so it needs a whole number as frame")
    return np.where(wrong, 0, values).astype(np.int64)


def _sequence_names(table: pd.DataFrame, alone: np.ndarray) -> list[str]:
    """Names of the sequences; a picture that stands alone gets one that nobody else has."""
    names = table["sequence"].tolist()
    taken = set(names)
    for row in np.flatnonzero(alone):
        name = f"{table['subject'].iloc[row]}_{row + 1:05d}"
        while name in taken:
            name += "_alone"
        taken.add(name)
        names[row] = name
    return names


def _places(
    path: Path, given: dict[str, list[str]], pictures: list[str], problems: Problems, refuse: _Refusals
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (n, 68, 2) and boxes (n, 4) in pixels of the upright pictures, NaN where unknown or unusable."""
    rows = len(pictures)
    corners = np.stack([_numbers(path, given, name, rows, refuse) for name in BOX], axis=1)
    points = np.stack([_numbers(path, given, name, rows, refuse) for name in POINTS], axis=1)
    points = points.reshape(-1, LANDMARKS, 2)
    # Finders write the picture's corner, or a point before it, for a landmark that they have not found.
    lost = (points == 0).all(axis=2) | (points == -1).all(axis=2)
    for row in np.flatnonzero(lost.any(axis=1)).tolist():
        problems.add(
            pictures[row],
            f"{lost[row].sum()} of {LANDMARKS} landmarks at (0, 0) or (-1, -1)",
            "landmarks not used",
        )
        points[row] = np.nan
    _check_units(path, given, corners, points)
    outside = outside_box(corners, points)
    if (outside > LANDMARKS / 2).mean() > 0.5:
        raise FerError(
            f"{path}: most landmarks lie outside the boxes; give the {LANDMARKS} landmarks (not a part of a mesh) and the box "
            "in pixels of the same picture, or remove one of them"
        )
    for row in np.flatnonzero(outside > LANDMARKS / 2).tolist():
        problems.add(
            pictures[row], f"{outside[row]} of {LANDMARKS} landmarks outside the box", "landmarks not used"
        )
        points[row] = np.nan

    boxes = np.full((rows, 4), np.nan)
    sizes = np.full((rows, 2), np.nan)
    with Disk(path.parent) as disk:
        for row, picture in enumerate(pictures):
            try:
                facts = inspect_picture(disk.read(picture))
                sizes[row] = facts.width, facts.height
                face = _face(given, corners[row], points[row], facts)
                boxes[row], beyond = box_of(face, facts.width, facts.height)
            except FerError as error:
                problems.add(picture, str(error), _LOST)
                continue
            if beyond:
                problems.add(
                    picture, f"{beyond} points outside the picture", "the face is cut at the picture's edge"
                )
            wide, high = boxes[row, 2:] - boxes[row, :2]
            if not np.isnan(corners[row]).any() and max(wide / high, high / wide) > _LONG_SIDE:
                problem = f"a box of {wide:g}x{high:g} pixels; are right and bottom its width and height?"
                problems.add(picture, problem, "read as corners")
    _check_squares(path, corners, sizes)
    return points, boxes


def _check_units(path: Path, given: dict[str, list[str]], corners: np.ndarray, points: np.ndarray) -> None:
    """Refuse fractions, and boxes that are no corners."""
    for name, values in (("left", corners), ("x1", points)):
        there = values[~np.isnan(values)]
        if len(there) and there.min() >= 0 and there.max() <= 1:
            raise FerError(
                f"{path}: columns {name!r} and so on hold fractions; pixels of the picture are expected"
            )
    for row, side in np.argwhere(corners[:, 2:] <= corners[:, :2])[:1]:
        low, high = (("left", "right"), ("top", "bottom"))[side]
        raise FerError(
            f"{path}: row {row + 1}: {high} {corners[row, side + 2]:g} is not beyond {low} {corners[row, side]:g}; corners are "
            "expected, so to a width or height add left or top"
        )


def outside_box(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How many landmarks of each row lie outside its box, grown by a quarter as detectors leave out chin and brows; 0 without box."""
    low, high = corners[:, None, :2], corners[:, None, 2:]
    margin = (high - low) / 4
    return ((points < low - margin) | (points > high + margin)).any(axis=2).sum(axis=1)


def _check_squares(path: Path, corners: np.ndarray, sizes: np.ndarray) -> None:
    """Refuse right and bottom that are the same in every row though left and top are not: the sides of squares, no corners."""
    there = ~np.isnan(corners).any(axis=1) & ~np.isnan(sizes).any(axis=1)
    low, high, size = corners[there, :2], corners[there, 2:], sizes[there]
    if (
        len(low) >= _FEW_FOR_SQUARES
        and (high[:, 0] == high[:, 1]).all()
        and (low[:, 0] != low[:, 1]).any()
        and (low + high <= size + 1).all()
    ):
        raise FerError(
            f"{path}: right and bottom are the same in every row, as width and height of squares are; corners are expected: "
            "add left to the width and top to the height"
        )


def _face(
    given: dict[str, list[str]], corners: np.ndarray, points: np.ndarray, facts: PictureFacts
) -> np.ndarray:
    """Points that span the face of a picture: corners, else landmarks, else, where the table has neither, the whole picture."""
    if not any(name in given for name in (*BOX, *POINTS)):
        return np.array([[0, 0], [facts.width - 1, facts.height - 1]], float)
    if not np.isnan(corners).all():
        missing = [name for name, value in zip(BOX, corners, strict=True) if np.isnan(value)]
        if missing:
            raise FerError(f"its box has no {missing[0]}")
        return corners.reshape(2, 2)
    if np.isnan(points).all():
        raise FerError("neither a box nor landmarks in its row")
    beyond = (points < 0) | (points > [facts.width - 1, facts.height - 1])
    if beyond.any(axis=1).sum() > LANDMARKS / 2:
        raise FerError(f"{beyond.any(axis=1).sum()} of {LANDMARKS} landmarks outside the picture")
    return points


def _sequences(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Fill in position and length, and give every frame the expression of its sequence."""
    groups = table.groupby("sequence", sort=False)
    table = table.assign(position=groups.cumcount(), length=groups["path"].transform("size"))
    expression = table["expression"].to_numpy(object, copy=True)
    for key, rows in groups.indices.items():
        name = printable(str(key))
        if table["subject"].iloc[rows].nunique() > 1:
            raise FerError(
                f"{path}: sequence {name} has pictures of more than one subject; give each subject's sequences names of their own"
            )
        if table["frame"].iloc[rows].duplicated().any():
            raise FerError(f"{path}: sequence {name} has two pictures of the same frame")
        said = sorted({e for e in expression[rows] if e})
        strong = [e for e in said if e != "neutral"] or said
        if len(strong) > 1:
            raise FerError(
                f"{path}: sequence {name} has the expressions {' and '.join(strong)}; one is expected"
            )
        if (
            strong
            and strong[0] != "neutral"
            and "neutral" in expression[rows][np.argmax(expression[rows] == strong[0]) :]
        ):
            raise FerError(
                f"{path}: sequence {name} is neutral again after {strong[0]}; a sequence goes from neutral to peak, so give the "
                "pictures after the peak another sequence, or none"
            )
        expression[rows] = strong[0] if strong else ""
    return table.assign(expression=expression.astype(str))
