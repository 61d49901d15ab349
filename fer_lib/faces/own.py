"""Faces of one's own: a CSV or parquet table with a row for every picture fills the same table that CK+ fills.

Columns ``path`` (relative to the table's folder) and ``subject`` are needed. Optional are

- ``expression``: one of the eight names of :data:`fer_lib.facs.EXPRESSIONS`, empty where unknown;
- ``sequence`` and ``frame`` (whole number): pictures of one film, neutral to peak; without them every picture stands alone;
- ``AU1``, ``AU2``, ...: 0 absent, 1 to 5 for A to E, -1 present without intensity, empty where not coded;
- ``left``, ``top``, ``right``, ``bottom``: the face in pixels; or ``x1``, ``y1`` to ``x68``, ``y68``: landmarks in pixels. In a table
  without either, a picture is taken to be a face already cut out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.errors import FerError
from fer_lib.faces.disk import Disk, Problems, inspect_picture
from fer_lib.faces.labels import LANDMARKS
from fer_lib.faces.table import AU_COLUMNS, BOX, COLUMNS, NOT_GIVEN, Faces, box_of
from fer_lib.facs import EXPRESSIONS

_TEXT = ("path", "subject", "expression", "sequence")
_POINTS = tuple(f"{axis}{number}" for number in range(1, LANDMARKS + 1) for axis in "xy")
_CODES = (NOT_GIVEN, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
_LOST = "the picture cannot be cropped and is left out"


def read_own(file: Path | str) -> Faces:
    """Read a table of own faces.

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
        If a column is missing or a value impossible: the message names table, row and column. Pictures that cannot be read do not
        raise; they are rows of ``problems`` and have no box.
    """
    path = Path(file).expanduser()
    given = _load(path)
    for column in ("path", "subject"):
        if column not in given:
            raise FerError(
                f"{path}: no column {column!r}; found {', '.join(map(str, given.columns)) or 'none'}"
            )
    if given.empty:
        raise FerError(f"{path}: no rows; one for each picture is expected")
    problems = Problems()
    for column in given.columns:
        if column not in (*COLUMNS, *_POINTS) or column in ("position", "length"):
            problems.add(path.name, f"column {column!r} is not known", "not used")

    table = pd.DataFrame({name: _text(given, name) for name in _TEXT})
    _check_names(path, table)
    alone = (table["sequence"] == "").to_numpy()
    numbers = np.arange(1, len(table) + 1)
    table["frame"] = _frames(path, given, alone)
    table.loc[alone, "sequence"] = [
        f"{s}_{n:05d}" for s, n in zip(table["subject"][alone], numbers[alone], strict=True)
    ]
    codes = [_numbers(path, given, name) for name in AU_COLUMNS]
    for name, values in zip(AU_COLUMNS, codes, strict=True):
        wrong = np.flatnonzero(~np.isnan(values) & ~np.isin(values, _CODES))
        if len(wrong):
            value = f"{values[wrong[0]]:g}"
            raise FerError(f"{path}: row {wrong[0] + 1}, column {name}: {value} is not one of -1 and 0 to 5")
    points, boxes = _places(path, given, table["path"].tolist(), problems)
    table = table.assign(
        **{name: boxes[:, i] for i, name in enumerate(BOX)},
        **dict(zip(AU_COLUMNS, codes, strict=True)),
    )
    order = np.lexsort((table["frame"].to_numpy(), table["sequence"].to_numpy(str)))
    table = _sequences(path, table.iloc[order].reset_index(drop=True))
    return Faces(path.parent, table[list(COLUMNS)], points[order].astype(np.float32), problems.frame())


def _load(path: Path) -> pd.DataFrame:
    """Read the file as it is; a CSV's cells all as text."""
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise FerError(f"{path}: no such table") from None
    except PermissionError:
        raise FerError(f"{path}: no permission to read this table") from None
    except pd.errors.EmptyDataError:
        raise FerError(
            f"{path}: an empty file; a header line and a row for each picture are expected"
        ) from None
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FerError(f"{path}: not a readable {path.suffix[1:]} table ({reason})") from None


def _text(given: pd.DataFrame, name: str) -> list[str]:
    """Return a column as stripped text, empty where nothing stands or the column is missing."""
    if name not in given:
        return [""] * len(given)
    return ["" if pd.isna(value) else str(value).strip() for value in given[name]]


def _numbers(path: Path, given: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column as float64, NaN where nothing stands or the column is missing."""
    words = _text(given, name)
    values = np.full(len(given), np.nan)
    for row, word in enumerate(words):
        if word:
            try:
                values[row] = float(word)
            except ValueError:
                raise FerError(
                    f"{path}: row {row + 1}, column {name}: {word[:20]!r} is not a number"
                ) from None
    return np.where(np.isfinite(values), values, np.nan)


def _check_names(path: Path, table: pd.DataFrame) -> None:
    """Refuse rows without path or subject, unknown expressions, and pictures that come twice."""
    for column in ("path", "subject"):
        empty = np.flatnonzero(table[column] == "")
        if len(empty):
            raise FerError(f"{path}: row {empty[0] + 1} has no {column}")
    for row, name in enumerate(table["expression"], 1):
        if name and name not in EXPRESSIONS:
            raise FerError(f"{path}: row {row}: expression {name!r} is not one of {', '.join(EXPRESSIONS)}")
    twice = np.flatnonzero(table["path"].duplicated())
    if len(twice):
        raise FerError(
            f"{path}: row {twice[0] + 1} repeats the picture {table['path'][twice[0]]}; keep one row"
        )


def _frames(path: Path, given: pd.DataFrame, alone: np.ndarray) -> np.ndarray:
    """Frame numbers; pictures of a sequence need one, others are frame 1."""
    values = np.where(alone, 1.0, _numbers(path, given, "frame"))
    wrong = np.flatnonzero(np.isnan(values) | (values != np.floor(values)) | (values < 0))
    if len(wrong):
        raise FerError(f"{path}: row {wrong[0] + 1} has a sequence, so it needs a whole number as frame")
    return values.astype(np.int64)


def _places(
    path: Path, given: pd.DataFrame, pictures: list[str], problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (n, 68, 2) and boxes (n, 4), NaN where unknown or unusable."""
    for kind in (BOX, _POINTS):
        there = [name for name in kind if name in given]
        if there and len(there) < len(kind):
            missing = next(name for name in kind if name not in given)
            raise FerError(f"{path}: column {there[0]!r} without {missing!r}; all {len(kind)} are needed")
    whole = not any(name in given for name in (*BOX, *_POINTS))
    corners = np.stack([_numbers(path, given, name) for name in BOX], axis=1)
    points = np.stack([_numbers(path, given, name) for name in _POINTS], axis=1).reshape(-1, LANDMARKS, 2)
    boxes = np.full((len(given), 4), np.nan)
    with Disk(path.parent) as disk:
        for row, picture in enumerate(pictures):
            try:
                facts = inspect_picture(disk.read(picture))
                given_points = points[row] if np.isnan(corners[row]).all() else corners[row].reshape(2, 2)
                if whole:
                    given_points = np.array([[0, 0], [facts.width - 1, facts.height - 1]], float)
                boxes[row], outside = box_of(given_points, facts.width, facts.height)
            except FerError as error:
                problems.add(picture, str(error), _LOST)
                continue
            if outside:
                problems.add(
                    picture, f"{outside} points outside the picture", "the face is cut at the picture's edge"
                )
    return points, boxes


def _sequences(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Fill in position and length, and give every frame the expression of its sequence."""
    groups = table.groupby("sequence", sort=False)
    table = table.assign(position=groups.cumcount(), length=groups["path"].transform("size"))
    expression = table["expression"].to_numpy(object)
    for name, rows in groups.indices.items():
        if table["frame"].iloc[rows].duplicated().any():
            raise FerError(f"{path}: sequence {name} has two pictures of the same frame")
        if table["subject"].iloc[rows].nunique() > 1:
            raise FerError(f"{path}: sequence {name} has pictures of more than one subject")
        said = sorted({e for e in expression[rows] if e})
        strong = [e for e in said if e != "neutral"] or said
        if len(strong) > 1:
            raise FerError(
                f"{path}: sequence {name} has the expressions {' and '.join(strong)}; one is expected"
            )
        expression[rows] = strong[0] if strong else ""
    return table.assign(expression=expression.astype(str))
