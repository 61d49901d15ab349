"""A table of faces made of what a program wrote of them: its rows joined to the pictures that it saw."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.artifacts.files import write_new
from fer_lib.errors import FerError
from fer_lib.faces.columns import POINTS
from fer_lib.faces.disk import expanded, is_system_file
from fer_lib.faces.own import read_own
from fer_lib.faces.problems import Problems, printable
from fer_lib.faces.table import BOX
from fer_lib.faces.tool_frames import PICTURES
from fer_lib.faces.tools import ToolTable, read_tool_table
from fer_lib.facs import AUS


@dataclass(frozen=True, eq=False)
class CodedPictures:
    """A table of faces that was written, and what was wrong on the way.

    Attributes
    ----------
    path : Path
        The table, as :func:`fer_lib.faces.reader.read` takes it.
    table : pandas.DataFrame
        Its content.
    problems : pandas.DataFrame
        ``path``, ``problem``, ``consequence``: of the programs' tables, and of the faces as they are read from the new one.
    """

    path: Path
    table: pd.DataFrame
    problems: pd.DataFrame

    def summary(self) -> str:
        """Return in a line what the table holds."""
        rows = self.table
        who = dict.fromkeys(
            f"{origin} ({scale}{'' if np.isnan(limit) else f', present from {limit:g} on'})"
            for origin, scale, limit in zip(rows["origin"], rows["scale"], rows["threshold"], strict=True)
        )
        units = [name for name in map(str, rows) if re.fullmatch(r"AU\d+", name)]
        coded = int(rows[units].notna().any(axis=1).sum())
        return f"{self.path}: {len(rows)} pictures, {coded} of them coded for action units by {' and '.join(who)}"


def write_coded_pictures(
    files: Sequence[Path | str],
    pictures: Path | str,
    out: Path | str,
    *,
    subjects: Sequence[str],
    film: bool = False,
    threshold: float | None = None,
    mapping: Sequence[int] = (),
    face: str = "",
) -> CodedPictures:
    """Write a table of faces of what a program wrote of some pictures.

    Parameters
    ----------
    files : sequence of Path or str
        Tables of the program, each of one folder of pictures, one film or one picture of one person.
    pictures : Path or str
        Where the pictures lie: those of ``NAME.csv`` in its folder ``NAME`` where there is one, else in this folder itself.
    out : Path or str
        The new table, ``.csv``; nothing may be there yet.
    subjects : sequence of str
        Who is on the pictures: one name for all tables, or one for each.
    film : bool
        Whether the pictures of each table are one film that goes from neutral to peak.
    threshold, mapping, face
        As in :func:`fer_lib.faces.tools.read_tool_table`.

    Returns
    -------
    CodedPictures

    Raises
    ------
    FerError
        If a table cannot be read, its frames do not fit the pictures, or `out` is there or cannot be written.
    """
    place = new_table(out)
    if len(subjects) not in (1, len(files)) or not all(name.strip() for name in subjects):
        raise FerError(
            f"{len(subjects)} subjects for {len(files)} tables; give one for all tables, or one for each"
        )
    names = [subject.strip() for subject in subjects] * (len(files) if len(subjects) == 1 else 1)
    problems, parts = [], []
    for file, subject in zip(files, names, strict=True):
        read = read_tool_table(file, threshold=threshold, mapping=mapping, face=face)
        notes = Problems()
        parts.append(_rows(read, expanded(pictures), place.parent, subject, film, notes))
        problems += [read.problems, notes.table()]
    table = pd.concat(parts, ignore_index=True)
    table = table[_order(table)]
    if not {*BOX, *POINTS} & set(table):
        notes = Problems()
        notes.add(
            place.name, "neither boxes nor landmarks", "each picture is taken for a face that is cut out"
        )
        problems.append(notes.table())
    try:
        write_new(place, table.to_csv(index=False).encode())
    except UnicodeEncodeError as error:
        name = printable(str(error.object)[max(0, error.start - 20) : error.end + 20])
        raise FerError(f"{place}: the name of a picture is no text (near {name}); rename it") from None
    try:
        faces = read_own(place)
    except FerError:
        place.unlink()
        raise
    return CodedPictures(place, table, pd.concat([*problems, faces.problems], ignore_index=True))


def new_table(out: Path | str) -> Path:
    """Return where a new table is to be written; a FerError where it cannot be, or something is."""
    path = expanded(out)
    if path.suffix.lower() != ".csv":
        raise FerError(f"{path}: give the new table a name that ends in .csv")
    if os.path.lexists(path):
        raise FerError(f"{path}: is there already, and nothing is overwritten; give another name")
    if not path.parent.is_dir():
        raise FerError(f"{path}: there is no folder {path.parent}; make it first")
    return path


def _rows(
    read: ToolTable, folder: Path, root: Path, subject: str, film: bool, problems: Problems
) -> pd.DataFrame:
    """Rows of the table of faces: `read` beside its pictures, whose paths are relative to `root`."""
    place, chosen = _pictures_of(read, folder, problems)
    table, landmarks = read.table.iloc[place].reset_index(drop=True), read.landmarks[place]
    head = pd.DataFrame({"path": [os.path.relpath(path, root) for path in chosen], "subject": subject})
    if film:
        head = head.assign(sequence=read.path.stem, frame=np.arange(1, len(head) + 1))
    head = head.assign(origin=read.origin, scale=read.scale, threshold=read.threshold)
    foreign = [au for au in read.aus if au not in AUS]
    if foreign:
        listed = ", ".join(f"AU{au}" for au in foreign)
        problems.add(read.path.name, f"{listed}: not among the units that are studied", "left out")
    columns = [
        name for name in map(str, table) if (match := re.match(r"AU(\d+)", name)) and int(match[1]) in AUS
    ]
    codes = table[columns].apply(lambda column: column if "_" in str(column.name) else column.astype("Int64"))
    parts = [head]
    if table[list(BOX)].notna().any(axis=None):
        parts.append(table[list(BOX)])
    parts.append(codes)
    if not np.isnan(landmarks).all():
        parts.append(pd.DataFrame(landmarks.reshape(len(table), -1), columns=list(POINTS)))
    return pd.concat(parts, axis=1)


def _order(table: pd.DataFrame) -> list[str]:
    """Columns in one order, also where tables of two programs are put together."""
    names = list(map(str, table))
    units = [name for name in names if re.match(r"AU\d", name)]
    points = [name for name in POINTS if name in names]
    first = [name for name in names if name not in {*units, *points, *BOX}]
    return [*first, *(name for name in BOX if name in names), *sorted(units, key=_unit), *points]


def _unit(name: str) -> tuple[str, int]:
    number, _, kind = name[2:].partition("_")
    return kind, int(number)


# pictures -----------------------------------------------------------------------------------------------------------------


def _pictures_of(read: ToolTable, folder: Path, problems: Problems) -> tuple[np.ndarray, list[Path]]:
    """Places of the rows whose pictures are there, and these pictures."""
    if not folder.is_dir():
        raise FerError(f"{folder}: no such folder; give the one with the pictures of {read.path.name}")
    own = folder / read.path.stem
    folder = own if own.is_dir() else folder
    there = [
        path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not is_system_file(path.name)
    ]
    if not there:
        raise FerError(f"{folder}: no pictures ({', '.join(sorted(PICTURES))})")
    named: list[str] = read.table["picture"].tolist()
    if any(named):
        return _by_name(read, folder, there, named, problems)
    if read.table["frame"].isna().any():
        alike = sorted(path for path in there if path.stem == read.path.stem)
        if len(alike) != 1:
            raise FerError(
                f"{read.path}: a table of one picture, and {len(alike)} pictures in {folder} are called {read.path.stem}; one is expected"
            )
        return np.zeros(1, int), alike
    return _by_frame(read, folder, there)


def _by_name(
    read: ToolTable, folder: Path, there: list[Path], named: list[str], problems: Problems
) -> tuple[np.ndarray, list[Path]]:
    """Join pictures that the table names."""
    if read.table["picture"].duplicated().any():
        twice = read.table["picture"][read.table["picture"].duplicated()].iloc[0]
        raise FerError(
            f"{read.path}: two rows are of pictures called {twice!r}, from folders of one name or two; give each folder a table"
        )
    by_name = {path.name: path for path in there}
    place = np.flatnonzero([name in by_name for name in named])
    lost = [name for name in named if name not in by_name]
    if not len(place):
        raise FerError(f"{read.path}: none of its {len(named)} pictures, such as {lost[0]!r}, is in {folder}")
    if lost:
        problems.add(
            read.path.name, f"{len(lost)} pictures, such as {lost[0]}, are not in the folder", "left out"
        )
    return place, [by_name[named[row]] for row in place]


def _by_frame(read: ToolTable, folder: Path, there: list[Path]) -> tuple[np.ndarray, list[Path]]:
    """Join frames to the pictures of a folder in their order, which has to be one."""
    ordered = sorted(there, key=lambda path: (natural(path.name), path.name))
    if [path.name for path in ordered] != sorted(path.name for path in there):
        raise FerError(
            f"{folder}: its pictures, such as {ordered[-1].name}, are in one order by number and in another by name, and which one "
            f"{read.origin} took is not known; write the numbers with zeros before them (0001) and run it again"
        )
    frames = read.table["frame"].to_numpy(np.int64)
    first = frames.min() if read.tool.first is None else read.tool.first
    place = frames - first
    most = int(place.max()) + 1
    if place.min() < 0 or most > len(ordered) or (most < len(ordered) and not read.tool.drops):
        raise FerError(
            f"{read.path}: frames {frames.min()} to {frames.max()} ({read.origin} counts from {first}) for {len(ordered)} pictures in "
            f"{folder}; give the folder that holds exactly what the program saw"
        )
    return np.arange(len(place)), [ordered[index] for index in place]


def natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts names by the numbers in them, as numbers."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"(\d+)", name)
    ]
