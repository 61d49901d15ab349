"""Reader of DISFA (Mavadati, Mahoor, Bartlett, Trinh and Cohn 2013): films whose every frame is coded, with intensities.

``ActionUnit_Labels/SN001/SN001_au1.txt`` holds lines ``frame,intensity`` (0 to 5), the frames counted from 1, one file for each of twelve
action units. The frames themselves are films, or pictures extracted from them, anywhere else below the folder: the name of the file or of
a folder above it holds ``SN001``, and a picture's name ends in its number. Extracted pictures are counted from 0 as a rule. Which it is,
is told by picture 0, or by the last one where that is missing, and never guessed.

Every frame stands alone: the films go from neutral to no peak. SN010 lacks the label of its last frame.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from fer_lib.errors import FerError
from fer_lib.faces.disk import IN_ARCHIVE, Disk
from fer_lib.faces.films import FILMS, Film
from fer_lib.faces.labels import numbers
from fer_lib.faces.layouts import (
    NO_EXPRESSION,
    NO_PLACE,
    Layout,
    Picture,
    add_picture,
    assemble,
    folders_in,
    is_picture,
    listed,
    named,
    names_in,
    pictures_of,
)
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import Faces

UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
"""Action units that are coded."""

_LABELS = "ActionUnit_Labels"
_LABEL = re.compile(r"(SN\d{3})_au(\d{1,2})\.txt", re.ASCII | re.IGNORECASE)
_PERSON = re.compile(r"SN\d{3}(?!\d)", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"(?<!\d)\d{1,9}$", re.ASCII)
_WITHOUT_LABEL = {"SN010": 1}
"""Frames at the end of a person's film that the set has no label for."""
_STRONGEST = 5
_UNKNOWN = "its action units are unknown, not absent"


def read_disfa(folder: Path, *, film_step: int = 1) -> Faces:
    """Read DISFA.

    Parameters
    ----------
    folder : Path
        Folder that holds ``ActionUnit_Labels`` and, below it, films or pictures.
    film_step : int
        Every how many-th coded frame is read; neighbours hardly differ.

    Returns
    -------
    Faces
        The coded frames that there are pictures of, without expressions; ``frame`` is the number in the labels.

    Raises
    ------
    FerError
        If there are labels and no pictures, films and no way to read them, or pictures whose numbers may count from 0 or from 1.
    """
    problems = Problems()
    with Disk(folder) as disk:
        paths = listed(disk, problems)
        codes = _codes(disk, paths, problems)
        pictures = _pictures(disk, paths, codes, problems)
        for person in sorted(codes.keys() - pictures.keys()):
            problems.add(f"{_LABELS}/{person}", f"no pictures of {person}", "not used")
        chosen = []
        for person, frames in pictures.items():
            coded = codes.get(person, {})
            _note_gaps(person, frames, coded, problems)
            for frame, path in frames.items():
                if frame in coded and not (frame - 1) % film_step:
                    chosen.append(Picture(path, person, f"{person}_{frame:05d}", frame, codes=coded[frame]))
        if not chosen:
            raise FerError(
                f"{folder}: {_LABELS} without a picture of any coded frame; put the films (.avi), or pictures that are numbered by "
                "frame, into this folder, each with its person (SN001) in its name or in that of a folder above it"
            )
        return assemble(disk, chosen, problems)


def _codes(disk: Disk, paths: list[str], problems: Problems) -> dict[str, dict[int, dict[int, float]]]:
    """Intensity of each action unit, by person and frame."""
    found: dict[str, dict[int, dict[int, float]]] = defaultdict(dict)
    read: dict[str, set[int]] = defaultdict(set)
    for path in filter(_is_label, paths):
        match = _LABEL.fullmatch(PurePosixPath(path).name)
        if not match or int(match[2]) not in UNITS:
            problems.add(path, "name is not like SN001/SN001_au1.txt", "not used")
            continue
        person, unit = match[1].upper(), int(match[2])
        try:
            if unit in read[person]:
                raise FerError(f"second file of AU {unit} of {person}")
            rows = numbers(disk.read(path).replace(b",", b" "), 2)
            wrong = ~((rows == np.floor(rows)) & (rows >= 0)).all(axis=1) | (rows[:, 1] > _STRONGEST)
            if wrong.any():
                frame, code = rows[np.argmax(wrong)]
                raise FerError(
                    f"frame {frame:g} has intensity {code:g}, which is not one of 0 to {_STRONGEST}"
                )
            if (rows[:, 0] < 1).any() or len(np.unique(rows[:, 0])) < len(rows):
                raise FerError("its frames are not numbered from 1, each once")
        except FerError as error:
            problems.add(path, str(error), _UNKNOWN)
            continue
        read[person].add(unit)
        for frame, code in rows.tolist():
            found[person].setdefault(int(frame), {})[unit] = code
    for person, units in read.items():
        if missing := [unit for unit in UNITS if unit not in units]:
            listed_units = ", ".join(map(str, missing))
            problems.add(f"{_LABELS}/{person}", f"no labels of action unit {listed_units}", _UNKNOWN)
    return found


def _pictures(
    disk: Disk, paths: list[str], codes: Mapping[str, Mapping[int, object]], problems: Problems
) -> dict[str, dict[int, str]]:
    """Pictures of each person by frame, counted from 1 as the labels are."""
    found: dict[str, dict[str, dict[int, str]]] = defaultdict(dict)
    films: dict[str, dict[str, dict[int, str]]] = defaultdict(dict)
    for path in paths:
        pure = PurePosixPath(path)
        who = _PERSON.findall(path)
        if not who or _is_label(path):
            continue
        person = who[-1].upper()
        if pure.suffix.lower() in FILMS:
            films[person][path] = {}
        elif is_picture(path) and (number := _NUMBER.search(_PERSON.sub("", pure.stem))):
            add_picture(found[person], str(pure.parent), int(number[0]), path, problems)
    pictures = pictures_of(found, problems)
    if pictures:
        start = _first_number(disk.root, pictures, codes)
        pictures = {
            person: {number + 1 - start: path for number, path in sorted(numbered.items())}
            for person, numbered in pictures.items()
        }
    filmed = {person: places for person, places in films.items() if person not in pictures}
    for person, film in ((person, min(places)) for person, places in sorted(filmed.items())):
        for other in sorted(filmed[person])[1:]:
            problems.add(other, f"{film} shows {person} too", "not used")
        try:
            opened = disk.numbered(film)
            assert isinstance(opened, Film)
            pictures[person] = {frame: f"{film}{IN_ARCHIVE}{frame}" for frame in range(1, opened.count() + 1)}
        except OSError as error:
            problems.add(film, f"unreadable ({error.strerror})", "none of its frames is read")
        except FerError as error:
            if not pictures:
                raise FerError(f"{disk.root / film}: {error}") from None
            problems.add(film, str(error), "none of its frames is read")
    return pictures


def _first_number(
    folder: Path, pictures: Mapping[str, Mapping[int, str]], codes: Mapping[str, Mapping[int, object]]
) -> int:
    """Whether extracted pictures count from 0 or from 1."""
    if any(0 in numbered for numbered in pictures.values()):
        return 0
    for person, numbered in pictures.items():
        frames = max(codes.get(person, {0: None})) + _WITHOUT_LABEL.get(person, 0)
        if frames in numbered:
            return 1
    raise FerError(
        f"{folder}: its pictures may count from 0 or from 1, as picture 0 and the last one of everybody are missing; add either"
    )


def _note_gaps(
    person: str, frames: Mapping[int, str], coded: Mapping[int, object], problems: Problems
) -> None:
    if not coded:
        problems.add(f"{_LABELS}/{person}", f"no labels of {person}", "none of its frames is used")
        return
    without = sorted(set(coded) - set(frames))
    if without:
        what = f"{len(without)} coded frames have no picture, frame {without[0]} is the first"
        problems.add(f"{_LABELS}/{person}", what, "not used")
    beyond = sorted(set(frames) - set(coded))
    if len(beyond) > _WITHOUT_LABEL.get(person, 0):
        what = f"{len(beyond)} frames have no label, frame {beyond[0]} is the first"
        problems.add(f"{_LABELS}/{person}", what, "not used")


def _is_label(path: str) -> bool:
    return PurePosixPath(path).parts[0].lower() == _LABELS.lower()


def _recognise(folder: Path) -> bool:
    return bool(named(folder, _LABELS))


def _missing(folder: Path) -> str:
    if folder.name.lower() == _LABELS.lower():
        return (
            f"DISFA's labels alone: give the folder above, {folder.parent}, with its films or pictures in it"
        )
    people = [place for place in folders_in(folder) if _PERSON.fullmatch(place.name)]
    if people and any(map(_LABEL.fullmatch, names_in(people[0]))):
        return f"DISFA's labels alone: put this folder as {_LABELS} beside its films or pictures, and give the folder of both"
    if people:
        return f"people as DISFA names them, and no {_LABELS} beside them"
    if (labels := named(folder, "Labels")) and any(
        named(session, "AU1.txt") for person in folders_in(folder / labels) for session in folders_in(person)
    ):
        return "labels as DISFA+ has them, which is not read; make a table of them (path, subject, AU1, ...)"
    return ""


def _files(folder: Path, problems: Problems) -> Iterator[str]:
    with Disk(folder) as disk:
        for path in listed(disk, problems):
            film = PurePosixPath(path).suffix.lower() in FILMS
            if _is_label(path) or (_PERSON.search(path) and (film or is_picture(path))):
                yield path


LAYOUT = Layout(
    "DISFA",
    _recognise,
    read_disfa,
    _files,
    published={"subjects": 27},
    lacks=(NO_EXPRESSION, NO_PLACE),
    missing=_missing,
    films=True,
)
