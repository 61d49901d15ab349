"""A user's table as text: names of the columns and cells of a ``.csv`` or ``.parquet`` file.

Nothing is guessed: a line with fewer or more cells than the header has names is refused, because the cells may have moved.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fer_lib.errors import FerError
from fer_lib.faces.disk import not_a_file

_EXACT_FLOAT = 2.0**53


@dataclass(frozen=True)
class Sheet:
    """Cells of a table.

    Attributes
    ----------
    names : tuple of str
        Names of the columns without blanks around them, in the file's order; one may come twice.
    rows : int
        Number of rows.
    column : callable
        From the number of a column (its place in `names`) to its cells: stripped text, empty where nothing stands.
    """

    names: tuple[str, ...]
    rows: int
    column: Callable[[int], list[str]]


def read_sheet(path: Path) -> Sheet:
    """Read a table.

    Parameters
    ----------
    path : Path
        A ``.csv`` (comma, UTF-8, header line) or ``.parquet`` file.

    Returns
    -------
    Sheet

    Raises
    ------
    FerError
        If it cannot be read, or a line has fewer or more cells than the header; later, from `column`, if a parquet column holds
        neither text nor numbers.
    """
    parquet = path.suffix.lower() == ".parquet"
    try:
        if reason := not_a_file(path):
            raise FerError(f"{path}: {reason}")
        return _parquet(path) if parquet else _csv(path)
    except FerError:
        raise
    except FileNotFoundError:
        raise FerError(f"{path}: no such table") from None
    except PermissionError:
        raise FerError(f"{path}: no permission to read this table") from None
    except UnicodeDecodeError:
        raise FerError(
            f"{path}: not a readable {path.suffix[1:]} table (not UTF-8); save it as UTF-8"
        ) from None
    # A damaged parquet file makes pyarrow raise more than its own errors.
    except Exception as error:
        said = str(error).strip().splitlines()
        reason = said[0] if said else type(error).__name__
        raise FerError(f"{path}: not a readable {path.suffix[1:]} table ({reason})") from None


def _csv(path: Path) -> Sheet:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [
            [cell.strip() for cell in line] for line in csv.reader(file, strict=True, skipinitialspace=True)
        ]
    lines = [line for line in lines if any(line)]
    if not lines:
        raise FerError(f"{path}: an empty file; a header line and a row for each picture are expected")
    names, *rows = map(_without_empty_end, lines)
    if len(names) == 1 and (names[0].lower().startswith("sep=") or any(mark in names[0] for mark in ";\t|")):
        raise FerError(
            f"{path}: its first line is {names[0][:40]!r}; cells are to be separated by commas, decimals by points, and the names "
            "of the columns come first"
        )
    full = []
    for number, (row, line) in enumerate(zip(rows, lines[1:], strict=True), 1):
        if len(row) > len(names):
            raise FerError(
                f"{path}: row {number} has {len(row)} cells for {len(names)} columns; "
                "put a cell that holds a comma between quotation marks"
            )
        if len(line) < len(names):
            raise FerError(
                f"{path}: row {number} has {len(line)} cells for {len(names)} columns; write a comma for an empty cell too"
            )
        full.append(row + [""] * (len(names) - len(row)))
    return Sheet(tuple(names), len(full), lambda number: [row[number] for row in full])


def _without_empty_end(line: list[str]) -> list[str]:
    """Cells of a line without the empty ones at its end, as trailing commas make them."""
    end = len(line)
    while end and not line[end - 1]:
        end -= 1
    return line[:end]


def _parquet(path: Path) -> Sheet:
    with pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows

    def column(number: int) -> list[str]:
        name, kind = schema.names[number], schema.types[number]
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if not any(fits(kind) for fits in _READABLE):
            raise FerError(f"{path}: column {name!r} holds {kind}; text or numbers are expected")
        try:
            with pq.ParquetFile(path) as file:
                cells = file.read(columns=[name]).column(0).to_pylist()
            return [_word(cell) for cell in cells]
        except Exception as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise FerError(f"{path}: column {name!r} cannot be read ({said})") from None

    return Sheet(tuple(name.strip() for name in schema.names), rows, column)


_READABLE: tuple[Callable[[pa.DataType], bool], ...] = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null),
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary),
)
"""Kinds of columns that are read; writers older than parquet's text keep it as bytes."""


def _word(cell: object) -> str:
    """A cell as text: whole numbers without a point, true and false as 1 and 0, bytes as UTF-8, nothing where nothing stands."""
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8").strip()
    if isinstance(cell, bool) or (isinstance(cell, float) and abs(cell) < _EXACT_FLOAT and cell.is_integer()):
        return str(int(cell))
    return str(cell).strip()
