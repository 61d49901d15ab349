"""Reader of BP4D (Zhang et al. 2014) and of BP4D+ (Zhang et al. 2016): films of tasks, coded frame by frame.

``AUCoding/AU_OCC/F001_T1.csv`` says which action units occur: above the columns their numbers and, above that of the frames, 0; below
them 1, 0, or 9 where nobody coded. ``AUCoding/AU_INT/AU06/F001_T1_AU06.csv`` has lines ``frame,intensity`` without a header, for AUs 6, 10,
12, 14 and 17 alone. Either may be missing. The pictures lie anywhere else below the folder as ``F001/T1/0012.jpg`` or ``F001_T1_12.jpg``,
whatever number of zeros leads.

Every coded frame stands alone. A unit that occurs has the intensity that it is given; without one it is present, intensity not given.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fer_lib.errors import FerError
from fer_lib.faces.disk import Disk
from fer_lib.faces.layouts import (
    NO_EXPRESSION,
    NO_PLACE,
    Layout,
    Picture,
    add_picture,
    assemble,
    is_picture,
    listed,
    named,
    pictures_of,
)
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import NOT_GIVEN, Faces
from fer_lib.facs import AUS

_ABOVE, _OCCURRENCE, _INTENSITY = "AUCoding", "AU_OCC", "AU_INT"
_LABEL = re.compile(r"([FM]\d{3}_T\d{1,2})(?:_AU(\d{1,2}))?\.csv", re.ASCII | re.IGNORECASE)
_PICTURE = re.compile(
    r"(.*?)(?<![A-Za-z0-9])([FM]\d{3})[/_](T\d{1,2})[/_](\d{1,9})\.\w+", re.ASCII | re.IGNORECASE
)
_NOT_CODED = frozenset({"", "9", "999"})
_UNKNOWN = "its action units are unknown, not absent"
_Codes = dict[int, dict[int, float]]
"""Code of each action unit, by frame."""


def read_bp4d(folder: Path, *, film_step: int = 1) -> Faces:
    """Read BP4D or BP4D+.

    Parameters
    ----------
    folder : Path
        Folder that holds ``AUCoding`` (or ``AU_OCC`` and ``AU_INT`` themselves) and, below it, the pictures.
    film_step : int
        Every how many-th coded frame is read; neighbours hardly differ.

    Returns
    -------
    Faces
        The coded frames that there are pictures of, without expressions.

    Raises
    ------
    FerError
        If no coded frame has a picture.
    """
    problems = Problems()
    with Disk(folder) as disk:
        paths = listed(disk, problems)
        films = _codes(disk, paths, problems)
        found: dict[str, dict[str, dict[int, str]]] = defaultdict(dict)
        for path in paths:
            if is_picture(path) and (match := _PICTURE.fullmatch(path)):
                film = f"{match[2]}_{match[3]}".upper()
                add_picture(found[film], match[1], int(match[4]), path, problems)
        pictures = pictures_of(found, problems)
        chosen = []
        for film, coded in films.items():
            there = pictures.get(film, {})
            lost = [frame for frame in sorted(coded) if frame not in there]
            if lost:
                what = f"{len(lost)} coded frames of {film} have no picture, frame {lost[0]} is the first"
                problems.add(film, what, "not used")
            first = min(coded, default=0)
            for frame, codes in sorted(coded.items()):
                if frame in there and not (frame - first) % film_step:
                    name = f"{film}_{frame:05d}"
                    chosen.append(Picture(there[frame], film[:4], name, frame, codes=codes))
        if not chosen:
            raise FerError(
                f"{folder}: action units without a picture of any coded frame; put the pictures into this folder, as F001/T1/0012.jpg"
            )
        return assemble(disk, chosen, problems)


def _codes(disk: Disk, paths: list[str], problems: Problems) -> dict[str, _Codes]:
    """Codes of each film; frames that nobody coded for anything are left out."""
    films: dict[str, _Codes] = defaultdict(lambda: defaultdict(dict))
    strange: set[int] = set()
    labels = [path for path in paths if _kind(path)]
    for path in sorted(labels, key=lambda path: (_kind(path) != _OCCURRENCE, path)):
        match = _LABEL.fullmatch(PurePosixPath(path).name)
        if not match or bool(match[2]) != (_kind(path) == _INTENSITY):
            example = "F001_T1.csv" if _kind(path) == _OCCURRENCE else "AU06/F001_T1_AU06.csv"
            problems.add(path, f"name is not like {example}", "not used")
            continue
        film = match[1].upper()
        try:
            lines = _lines(disk.read(path))
            if match[2]:
                _add_intensities(films[film], int(match[2]), lines, path, problems)
            else:
                strange |= _add_occurrences(films[film], lines)
        except FerError as error:
            problems.add(path, str(error), _UNKNOWN)
    if strange:
        what = f"action unit {', '.join(map(str, sorted(strange)))} is not one of the studied"
        problems.add(_OCCURRENCE, what, "ignored; the others are read")
    return {film: {frame: known for frame, known in codes.items() if known} for film, codes in films.items()}


def _lines(data: bytes) -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FerError("not a text file") from None
    return [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip(" ,")]


def _add_occurrences(film: _Codes, lines: list[list[str]]) -> set[int]:
    """Add what occurs in a film; return the units that do and are not studied."""
    head = lines[0] if lines else []
    if head.count("0") != 1 or not all(cell.isdecimal() and cell.isascii() for cell in head):
        raise FerError("its first line is not 0 and the numbers of action units")
    at, strange = head.index("0"), set()
    rows = _Codes()
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(head):
            raise FerError(f"line {number}: {len(line)} of {len(head)} cells")
        codes = rows.setdefault(_frame(line[at], number), {})
        for unit, cell in ((int(unit), cell) for unit, cell in zip(head, line, strict=True) if unit != "0"):
            if cell in _NOT_CODED:
                continue
            if cell not in ("0", "1"):
                raise FerError(
                    f"line {number}: {cell[:20]!r} for AU {unit} is not one of 0, 1 and 9 (not coded)"
                )
            if unit in AUS:
                codes[unit] = NOT_GIVEN if cell == "1" else 0.0
            elif cell == "1":
                strange.add(unit)
    film.update(rows)
    return strange


def _add_intensities(film: _Codes, unit: int, lines: list[list[str]], path: str, problems: Problems) -> None:
    """Add the intensities of one unit in a film to what occurs in it."""
    if unit not in AUS:
        raise FerError(f"action unit {unit} is not one of the studied")
    given: dict[int, float] = {}
    for number, line in enumerate(lines, 1):
        if len(line) != 2:
            raise FerError(f"line {number}: {len(line)} cells instead of frame and intensity")
        frame = _frame(line[0], number)
        if line[1] in _NOT_CODED:
            continue
        if line[1] not in tuple("012345"):
            raise FerError(f"line {number}: {line[1][:20]!r} is not one of 0 to 5 and 9 (not coded)")
        given[frame] = float(line[1])
    against = 0
    for frame, intensity in given.items():
        codes = film.setdefault(frame, {})
        occurs = codes.get(unit)
        if occurs is None or (occurs != 0) == (intensity > 0):
            codes[unit] = intensity
        else:
            against += 1
    if against:
        what = f"in {against} frames AU {unit} occurs by {_OCCURRENCE} and has intensity 0, or the other way round"
        problems.add(path, what, f"{_OCCURRENCE} counts")


def _frame(cell: str, line: int) -> int:
    if not (cell.isascii() and cell.isdecimal()):
        raise FerError(f"line {line}: {cell[:20]!r} is not the number of a frame")
    return int(cell)


def _kind(path: str) -> str:
    """Which labels a file belongs to, by the folders above it; empty where it is none."""
    above = [part.lower() for part in PurePosixPath(path).parts[:-1]]
    return next((kind for kind in (_OCCURRENCE, _INTENSITY) if kind.lower() in above[:2]), "")


def _recognise(folder: Path) -> bool:
    if folder.name.lower() == _ABOVE.lower():
        return False
    places = (folder / above for above in (named(folder, _ABOVE), ""))
    return any(named(place, kind) for place in places for kind in (_OCCURRENCE, _INTENSITY))


def _missing(folder: Path) -> str:
    if folder.name.lower() == _ABOVE.lower():
        return f"BP4D's labels alone: give the folder above, {folder.parent}, with the pictures in it"
    if folder.name.upper() in (_OCCURRENCE, _INTENSITY):
        above = folder.parent.parent if folder.parent.name.lower() == _ABOVE.lower() else folder.parent
        return f"BP4D's labels alone: give the folder {above}, with the pictures in it"
    if within := named(folder, _ABOVE):
        return f"{within} without {_OCCURRENCE} or {_INTENSITY}, which BP4D's labels stand in"
    return ""


def _files(folder: Path, problems: Problems) -> Iterator[str]:
    with Disk(folder) as disk:
        for path in listed(disk, problems):
            if _kind(path) or (is_picture(path) and _PICTURE.fullmatch(path)):
                yield path


LAYOUT = Layout(
    "BP4D",
    _recognise,
    read_bp4d,
    _files,
    published={"subjects": 41},
    lacks=(NO_EXPRESSION, NO_PLACE),
    missing=_missing,
    films=True,
)
