"""Readers of RAF-DB (Li, Deng and Du 2017), with expressions, and of RAF-AU (Yan, Li, Que, Pei and Deng 2020), with action units.

Both list pictures from the web by name, in one file: ``EmoLabel/list_patition_label.txt`` (spelt so) with lines such as
``train_00001.jpg 5``, and ``RAFAU_label.txt`` with lines such as ``0001.jpg 1+L2+25``. The pictures may lie anywhere below the folder;
those that were aligned end in ``_aligned`` and come before the ones as they were found. Who is on them is not known.

RAF-AU's codes say which units are present, some on one side alone (L, R), and give no intensity. Units that none of its lines names are
not taken for coded. A line ``null`` names no unit: whether nobody coded the picture or nothing was seen it does not say, so its units
are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from fer_lib.errors import FerError
from fer_lib.faces.disk import Disk
from fer_lib.faces.layouts import (
    NO_EXPRESSION,
    NO_PERSON,
    NO_PLACE,
    NO_UNIT,
    Layout,
    Picture,
    assemble,
    by_name,
    is_picture,
    listed,
    named,
)
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import NOT_GIVEN, Faces
from fer_lib.facs import AUS

_DB_FOLDER, _DB_FILE = "EmoLabel", "list_patition_label.txt"
_AU_FILE = "RAFAU_label.txt"
_EXPRESSIONS = ("surprise", "fear", "disgust", "happy", "sadness", "anger", "neutral")
"""In the order of RAF-DB's codes, from 1."""
_UNIT = re.compile(r"[LR]?(\d{1,2})", re.ASCII)


class _Said(NamedTuple):
    """What a line says of its picture, and what is wrong with it."""

    expression: str = ""
    codes: Mapping[int, float] = MappingProxyType({})
    problem: str = ""
    consequence: str = ""


def read_raf_db(folder: Path) -> Faces:
    """Read RAF-DB's single-label part.

    Parameters
    ----------
    folder : Path
        Folder that holds ``EmoLabel`` and the pictures (``Image/aligned``, for example).

    Returns
    -------
    Faces
        With one of seven expressions a picture, without subjects and action units.

    Raises
    ------
    FerError
        If the labels cannot be read or none of their pictures is there.
    """

    def said(words: str) -> _Said:
        if words in map(str, range(1, len(_EXPRESSIONS) + 1)):
            return _Said(_EXPRESSIONS[int(words) - 1])
        wrong = f"code {words!r} is not one of 1 to {len(_EXPRESSIONS)}"
        return _Said(problem=wrong, consequence="the picture has no label")

    return _read(folder, _db_file(folder), said, Problems())


def read_raf_au(folder: Path) -> Faces:
    """Read RAF-AU.

    Parameters
    ----------
    folder : Path
        Folder that holds ``RAFAU_label.txt`` and the pictures.

    Returns
    -------
    Faces
        With action units, present without an intensity or absent, and neither subjects nor expressions.

    Raises
    ------
    FerError
        If the labels cannot be read or none of their pictures is there.
    """
    file, problems = named(folder, _AU_FILE), Problems()
    with Disk(folder) as disk:
        every = set().union(*(_units(words) for _, words in _lines(disk, file)))
    if strange := sorted(every - AUS.keys()):
        what = f"action unit {', '.join(map(str, strange))} is not one of the studied"
        problems.add(file, what, "ignored; the others are read")

    def said(words: str) -> _Said:
        units = _units(words)
        if units:
            return _Said(codes={au: NOT_GIVEN if au in units else 0.0 for au in sorted(every & AUS.keys())})
        if words.lower() in ("null", ""):
            return _Said()
        wrong = f"{words[:40]!r} is no list of units such as 1+L2+25"
        return _Said(problem=wrong, consequence="its action units are unknown, not absent")

    return _read(folder, file, said, problems)


def _units(words: str) -> set[int]:
    """Action units of a list such as ``1+L2+25``; none where it is no such list."""
    found = [_UNIT.fullmatch(unit.strip()) for unit in words.split("+")]
    return {int(unit[1]) for unit in found if unit} if all(found) else set()


def _read(folder: Path, file: str, said: Callable[[str], _Said], problems: Problems) -> Faces:
    """Read a list of pictures, each line of which says what its picture shows."""
    pictures: dict[str, Picture] = {}
    with Disk(folder) as disk:
        there = by_name(listed(disk, problems))
        for name, words in _lines(disk, file):
            path = there.get(_aligned(name)) or there.get(name)
            if path is None:
                problems.add(file, f"no picture {name}", "its label is not used")
                continue
            if name in pictures:
                problems.add(file, f"{name} comes twice", "the first line is used")
                continue
            line = said(words)
            if line.problem:
                problems.add(file, f"{name}: {line.problem}", line.consequence)
            alone = PurePosixPath(name).stem
            pictures[name] = Picture(path, "", alone, expression=line.expression, codes=line.codes)
        if not pictures:
            raise FerError(
                f"{folder}: none of the pictures that {file} lists is there; put them into this folder"
            )
        return assemble(disk, list(pictures.values()), problems)


def _lines(disk: Disk, file: str) -> Iterator[tuple[str, str]]:
    """Yield each line's picture and what stands behind it, without blanks around it."""
    try:
        text = disk.read(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FerError(f"{disk.root / file}: not a text file") from None
    except FerError as error:
        raise FerError(f"{disk.root / file}: {error}") from None
    for line in text.splitlines():
        if words := line.split(maxsplit=1):
            yield words[0], words[1].strip() if len(words) > 1 else ""


def _aligned(name: str) -> str:
    pure = PurePosixPath(name)
    return f"{pure.stem}_aligned{pure.suffix}"


def _db_file(folder: Path) -> str:
    """The file with RAF-DB's labels; empty where there is none."""
    above = named(folder, _DB_FOLDER)
    for place in (above, "") if above else ("",):
        if found := named(folder / place, _DB_FILE):
            return f"{place}/{found}" if place else found
    return ""


def _is_db(folder: Path) -> bool:
    return bool(_db_file(folder)) and folder.name.lower() != _DB_FOLDER.lower()


def _db_missing(folder: Path) -> str:
    if _db_file(folder):
        return f"RAF-DB's labels alone: give the folder above, {folder.parent}, with the pictures in it"
    if above := named(folder, _DB_FOLDER):
        return f"{above} without {_DB_FILE}, which RAF-DB's labels stand in"
    return ""


def _files(folder: Path, problems: Problems, file: str) -> Iterator[str]:
    with Disk(folder) as disk:
        yield file
        yield from filter(is_picture, listed(disk, problems))


DB = Layout(
    "RAF-DB",
    _is_db,
    read_raf_db,
    lambda folder, problems: _files(folder, problems, _db_file(folder)),
    published={"pictures": 15_339},
    lacks=(NO_PERSON, NO_UNIT),
    missing=_db_missing,
)
AU = Layout(
    "RAF-AU",
    lambda folder: bool(named(folder, _AU_FILE)),
    read_raf_au,
    lambda folder, problems: _files(folder, problems, named(folder, _AU_FILE)),
    published={},
    lacks=(NO_PERSON, NO_EXPRESSION, NO_PLACE),
)
