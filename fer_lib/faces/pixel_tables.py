"""Reader of tables that hold their pictures as numbers: FER2013, FER+ and ckextended.

Columns ``emotion``, ``pixels`` and ``Usage``; a picture is ``fer2013.csv!/12``, the twelfth row below the header. Codes are 0 anger,
1 disgust, 2 fear, 3 happy, 4 sadness, 5 surprise, 6 neutral and, in ckextended, 7 contempt.

FER+ (``fer2013new.csv``: ten people's votes a picture) has no pixels: its rows are those of ``fer2013.csv``, which has to lie beside it.
They are joined row by row. The names in FER+'s table count the pictures that show a face and are no numbers of rows, and some come
twice. Rows without a name show no face and are left out. A picture has the expression with the most votes; where two share them, or most
are for "unknown" or "not a face", it has none.

Who is on the pictures is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from fer_lib.errors import FerError
from fer_lib.faces.disk import IN_ARCHIVE, Disk
from fer_lib.faces.layouts import NO_PERSON, NO_UNIT, Layout, Picture, assemble, named
from fer_lib.faces.pixel_rows import PIXELS, PixelRows, column_names
from fer_lib.faces.problems import Problems
from fer_lib.faces.sheet import read_sheet
from fer_lib.faces.table import Faces

_EMOTION, _USAGE, _NAME = "emotion", "Usage", "Image name"
_EXPRESSIONS = ("anger", "disgust", "fear", "happy", "sadness", "surprise", "neutral", "contempt")
_VOTES = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sadness",
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": "contempt",
    "unknown": "",
    "NF": "",
}
_FER2013, _FERPLUS, _CKEXTENDED = "fer2013.csv", "fer2013new.csv", "ckextended.csv"
_NAMED = (_FER2013, _FERPLUS, _CKEXTENDED)
_NO_LABEL = "the picture has no label"


def read_pixel_table(file: Path) -> Faces:
    """Read a table of pixels with its own labels.

    Parameters
    ----------
    file : Path
        ``fer2013.csv``, ``ckextended.csv`` or another table with columns ``emotion`` and ``pixels``.

    Returns
    -------
    Faces
        Without subjects and action units. Rows whose pixels cannot be read have no box.

    Raises
    ------
    FerError
        If a column is missing, or a row has more or fewer cells than the header.
    """
    problems = Problems()
    with Disk(file.parent) as disk:
        pictures = []
        for number, row in enumerate(_rows(disk, file), 1):
            code = row[_EMOTION]
            known = code.isascii() and code.isdigit() and int(code) < len(_EXPRESSIONS)
            if not known and code:
                wrong = f"row {number}: emotion {code[:20]!r} is not one of 0 to {len(_EXPRESSIONS) - 1}"
                problems.add(file.name, wrong, _NO_LABEL)
            pictures.append(_picture(file.name, number, _EXPRESSIONS[int(code)] if known else ""))
        return assemble(disk, pictures, problems)


def read_ferplus(file: Path) -> Faces:
    """Read FER+'s votes with the pictures of ``fer2013.csv`` beside them.

    Parameters
    ----------
    file : Path
        ``fer2013new.csv``.

    Returns
    -------
    Faces
        Pictures with a face, without subjects and action units.

    Raises
    ------
    FerError
        If ``fer2013.csv`` is not there or its rows are not those of the votes.
    """
    problems, beside = Problems(), named(file.parent, _FER2013)
    if not beside:
        raise FerError(f"{file}: votes without pictures; put {_FER2013} beside it")
    sheet = read_sheet(file)
    columns = {name: sheet.column(place) for place, name in enumerate(sheet.names)}
    if missing := sorted({_USAGE, _NAME, *_VOTES} - columns.keys()):
        raise FerError(f"{file}: no column {missing[0]!r}; give FER+'s table as it is distributed")
    pictures, rows = [], 0
    with Disk(file.parent) as disk:
        for rows, row in enumerate(_rows(disk, file.parent / beside), 1):
            if rows > sheet.rows or row.get(_USAGE) != columns[_USAGE][rows - 1]:
                raise _other_rows(file, beside, rows)
            if columns[_NAME][rows - 1]:
                votes = [_vote(file, rows, name, columns[name][rows - 1]) for name in _VOTES]
                pictures.append(_picture(beside, rows, _most(votes)))
        if rows < sheet.rows:
            raise _other_rows(file, beside, rows + 1)
        return assemble(disk, pictures, problems)


def _other_rows(file: Path, beside: str, row: int) -> FerError:
    return FerError(
        f"{file}: row {row} is not that of {beside}; the two are joined row by row, so give both as they are distributed"
    )


def _picture(table: str, row: int, expression: str) -> Picture:
    return Picture(f"{table}{IN_ARCHIVE}{row}", "", f"{row:06d}", expression=expression)


def _rows(disk: Disk, file: Path) -> Iterator[dict[str, str]]:
    try:
        table = disk.numbered(file.name)
        assert isinstance(table, PixelRows)
        if _EMOTION not in table.names:
            raise FerError(f"no column {_EMOTION!r}; found {', '.join(table.names)[:80]}")
        yield from table.rows()
    except PermissionError:
        raise FerError(f"{file}: no permission to read this table") from None
    except FerError as error:
        raise FerError(f"{file}: {error}") from None


def _vote(file: Path, row: int, column: str, word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise FerError(f"{file}: row {row}, column {column}: {word[:20]!r} is not a number of votes")
    return int(word)


def _most(votes: Sequence[int]) -> str:
    """Expression with the most votes; empty where it is none, or not one alone."""
    best = [shown for shown, number in zip(_VOTES.values(), votes, strict=True) if number == max(votes)]
    return best[0] if len(best) == 1 else ""


def _recognised(source: Path) -> str:
    """Name of the only table of these that a folder holds, or of a file that is one; empty where there is none, or more."""
    if not source.is_dir():
        names = column_names(source) if source.suffix.lower() == ".csv" else ()
        known = (PIXELS in names and "path" not in names) or _VOTES.keys() <= set(names)
        return source.name if known else ""
    there = [found for name in _NAMED if (found := named(source, name))]
    return there[0] if len(there) == 1 else ""


def _missing(source: Path) -> str:
    there = [found for name in _NAMED if (found := named(source, name))]
    return (
        f"it holds {' and '.join(there)}, each with labels of its own: give one of these files"
        if there
        else ""
    )


def _is_votes(table: Path) -> bool:
    return PIXELS not in column_names(table)


def _table(source: Path) -> Path:
    return source / _recognised(source) if source.is_dir() else source


def _files(source: Path, problems: Problems) -> Iterator[str]:
    table = _table(source)
    yield table.name
    if _is_votes(table) and (beside := named(table.parent, _FER2013)):
        yield beside


def _read(source: Path) -> Faces:
    table = _table(source)
    return (read_ferplus if _is_votes(table) else read_pixel_table)(table)


def _layout(name: str, of: Callable[[Path], bool], published: Mapping[str, int]) -> Layout:
    return Layout(
        name,
        lambda source: bool(_recognised(source)) and of(_table(source)),
        _read,
        _files,
        published,
        (NO_PERSON, NO_UNIT),
        _missing,
    )


LAYOUTS = (
    _layout("FER+", _is_votes, {"pictures": 35_714}),
    _layout("FER2013", lambda table: table.name.lower() == _FER2013, {"pictures": 35_887}),
    _layout("ckextended", lambda table: table.name.lower() == _CKEXTENDED, {}),
    _layout("table of pixels", lambda table: not _is_votes(table) and table.name.lower() not in _NAMED, {}),
)
