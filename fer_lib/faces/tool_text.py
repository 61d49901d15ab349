"""A program's table of action units as text: the line that names its columns, wherever it stands, and the cells below it."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_lib.errors import FerError
from fer_lib.faces.columns import LIKE_AU
from fer_lib.faces.disk import not_a_file
from fer_lib.faces.labels import NUMBER
from fer_lib.faces.problems import printable
from fer_lib.faces.sheet import read_sheet
from fer_lib.faces.tool_formats import LIBREFACE_FOLDED, Tool, recognise_tool

_HEADER_WITHIN = 200  # lines; FaceReader and iMotions write what was measured before it
_SEPARATORS = "\t,;"
_SHOWN = 8
NO_NUMBER = re.compile(r"[+-]?(?:nan|inf|1\.#).*|n/?a|null|none|-", re.IGNORECASE)
"""What programs write for a number that they do not know."""
_NO_FIT = re.compile(r"(?:FIT|FIND)_FAILED|UNKNOWN|END", re.IGNORECASE)
"""Words of FaceReader where it fitted no face."""


class Cells:
    """A table as text: names and words of its columns, and numbers on request."""

    def __init__(self, path: Path, names: Sequence[str], rows: Sequence[Sequence[str]], comma: bool) -> None:
        self.path, self.names, self.rows, self._comma = path, list(names), rows, comma
        self._place = {name: place for place, name in reversed(list(enumerate(self.names)))}

    def __contains__(self, name: str) -> bool:
        return name in self._place

    def words(self, name: str) -> list[str]:
        """Return a column as text."""
        place = self._place[name]
        return [row[place] for row in self.rows]

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64, NaN where nothing stands or the program writes that it knows none."""
        return self.to_numbers(name, self.words(name))

    def to_numbers(self, name: str, words: Sequence[str]) -> np.ndarray:
        """Return some words of a column as float64; see `numbers`."""
        texts = [word.replace(",", ".") for word in words] if self._comma else words
        if (quick := _plain_numbers(texts)) is not None:
            return quick
        values = np.full(len(words), np.nan)
        for row, text in enumerate(texts):
            if not text or NO_NUMBER.fullmatch(text) or _NO_FIT.fullmatch(text):
                continue
            if not NUMBER.fullmatch(text):
                raise FerError(
                    f"{self.path}: row {row + 1}, column {name!r}: {words[row][:20]!r} is not a number"
                )
            values[row] = float(text)
        return values

    def with_columns(self, columns: dict[str, list[str]]) -> Cells:
        """Return the table with more columns at its end."""
        rows = [
            [*row, *more] for row, more in zip(self.rows, zip(*columns.values(), strict=True), strict=True)
        ]
        return Cells(self.path, [*self.names, *columns], rows, self._comma)


def _plain_numbers(texts: Sequence[str]) -> np.ndarray | None:
    """Return a column of which every cell is a finite number or empty, quickly; None where one is something else."""
    together = "".join(texts)
    if not together.isascii() or "_" in together:  # which Python reads as numbers, and no program writes
        return None
    try:
        values = np.array([float(text) if text else np.nan for text in texts])
    except ValueError:
        return None
    return None if np.isinf(values).any() else values


def read_cells(path: Path) -> tuple[Cells, Tool]:
    """Read a file as far as the program that wrote it tells how."""
    if path.suffix.lower() == ".parquet":
        sheet = read_sheet(path)
        words = [sheet.column(place) for place in range(len(sheet.names))]
        cells = Cells(path, sheet.names, list(zip(*words, strict=True)), comma=False)
        tool = _recognised(path, sheet.names)
    else:
        cells, tool = _read_text(path)
    if tool is None:
        found = printable(", ".join(cells.names[:_SHOWN])) or "nothing"
        raise FerError(
            f"{path}: not a table of action units by a program that is known (OpenFace, pyfaceau, py-feat, LibreFace, PyAFAR, FaceReader, "
            f"iMotions FACET); its columns are {found} ..."
        )
    if not cells.rows:
        raise FerError(f"{path}: no rows below the names of the columns")
    twice = [name for name in set(cells.names) if cells.names.count(name) > 1 and LIKE_AU.search(name)]
    if twice:
        raise FerError(f"{path}: column {min(twice)!r} comes twice; keep one of them")
    return _unfolded(cells) if set(LIBREFACE_FOLDED) <= set(cells.names) else cells, tool


def _recognised(path: Path, names: Sequence[str]) -> Tool | None:
    try:
        return recognise_tool(names)
    except LookupError as error:
        raise FerError(f"{path}: {error}") from None


def _read_text(path: Path) -> tuple[Cells, Tool | None]:
    """Find the line that names the columns, below lines of comments, and read what follows."""
    lines = _text(path).splitlines(keepends=True)
    first: list[str] = []
    for number, line in enumerate(lines[:_HEADER_WITHIN]):
        if line.startswith("#") or not line.strip(" \t,;\r\n"):
            continue
        for separator in _SEPARATORS:
            names = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
            names = [name.strip() for name in names]
            first = max(first, names, key=len) if number < 1 or not first else first
            if tool := _recognised(path, names):
                return _below(path, names, lines[number + 1 :], separator), tool
    return Cells(path, first, [], comma=False), None


def _text(path: Path) -> str:
    try:
        if reason := not_a_file(path):
            raise FerError(f"{path}: {reason}")
        data = path.read_bytes()
    except FileNotFoundError:
        raise FerError(f"{path}: no such table") from None
    except PermissionError:
        raise FerError(f"{path}: no permission to read this table") from None
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")  # as programs under Windows write text
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise FerError(f"{path}: neither UTF-8 nor UTF-16 text; save it as UTF-8") from None


def _below(path: Path, names: list[str], lines: list[str], separator: str) -> Cells:
    """Cells of the lines below the header; empty ones at the end of a line may be missing or too many."""
    while names and not names[-1]:
        names.pop()
    rows = []
    try:
        for number, line in enumerate(csv.reader(lines, delimiter=separator, skipinitialspace=True), 1):
            row = [cell.strip() for cell in line]
            if not any(row):
                continue
            while len(row) > len(names) and not row[-1]:
                row.pop()
            if len(row) > len(names) or (separator == "," and len(row) < len(names)):
                raise FerError(
                    f"{path}: line {number} below the header has {len(row)} cells for {len(names)} columns"
                )
            rows.append(row + [""] * (len(names) - len(row)))
    except csv.Error as error:
        raise FerError(f"{path}: not readable as a table ({error})") from None
    return Cells(path, names, rows, comma=separator != ",")


def _unfolded(cells: Cells) -> Cells:
    """Give each unit of LibreFace's table of one picture a column."""
    columns: dict[str, list[str]] = {}
    for folded in LIBREFACE_FOLDED:
        for row, word in enumerate(cells.words(folded)):
            try:
                units = ast.literal_eval(word) if word else {}
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                units = None
            if not isinstance(units, dict):
                raise FerError(
                    f"{cells.path}: row {row + 1}, column {folded!r}: units and their numbers expected"
                )
            for name, value in units.items():
                columns.setdefault(str(name), [""] * len(cells.rows))[row] = str(value)
    return cells.with_columns(columns) if columns else cells
