"""What a data set looks like on disk, and what the readers of such sets share.

A set whose labels are about single pictures becomes the one tidy table with a row for every picture that stands alone. None of them
says where in its picture the face is: the whole picture is taken for a face that is already cut out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from fer_lib.errors import FerError
from fer_lib.faces.decoding import size_on
from fer_lib.faces.disk import Disk, is_system_file, is_text
from fer_lib.faces.labels import LANDMARKS
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import AU_COLUMNS, BOX, COLUMNS, Faces, box_of
from fer_lib.facs import AUS

PICTURES = frozenset({"png", "jpg", "jpeg", "tif", "tiff", "bmp", "pgm", "ppm", "webp"})
"""Endings of pictures' names, in lower case."""
NO_PERSON = "no person: who is on a picture is not known, so nobody can be held out (split='leak' divides the pictures at random)"
NO_EXPRESSION = (
    "no expression: nothing can be trained on it; a network trained on other faces can be probed on it"
)
NO_UNIT = "no action unit"
NO_PLACE = "no place of the face: whole pictures are used, so give faces that are cut out already"

_LOST = "the picture cannot be cropped and is left out"
_PLACE = {au: place for place, au in enumerate(AUS)}


def _not_nearly(folder: Path) -> str:
    """Say of no folder that it is nearly this set."""
    return ""


@dataclass(frozen=True)
class Layout:
    """A data set that is recognised by what lies in its folder.

    Attributes
    ----------
    name : str
        Of the set.
    recognise : callable
        Whether a folder or file is this set; it looks at names alone, two levels deep at most.
    read : callable
        The set as :class:`~fer_lib.faces.table.Faces`.
    files : callable
        Path, relative to the folder, of every file that `read` opens; what is wrong with the folders goes into the problems.
    published : mapping
        Counts that the set's authors give, by the names that :class:`~fer_lib.faces.audit.Audit` has for them.
    lacks : tuple of str
        What the set cannot give, a phrase each: "no action unit".
    missing : callable
        What a folder that is nearly this set lacks, or which folder to give instead, in a sentence; empty where it is not nearly it.
    films : bool
        Whether every frame of its films is coded, so that `read` takes ``film_step``.
    """

    name: str
    recognise: Callable[[Path], bool]
    read: Callable[..., Faces]
    files: Callable[[Path, Problems], Iterator[str]]
    published: Mapping[str, int]
    lacks: tuple[str, ...]
    missing: Callable[[Path], str] = _not_nearly
    films: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and what a set says of it.

    Attributes
    ----------
    path : str
        Relative to the set's folder.
    subject : str
        Who it is; empty where the set does not say.
    sequence : str
        Name of the sequence, one of its own for a picture that stands alone.
    frame : int
        Number in the sequence.
    expression : str
        One of :data:`fer_lib.facs.EXPRESSIONS`, empty where unknown.
    codes : mapping of int to float
        Code of each action unit that was coded: 0, 1 to 5 or -1 (present, intensity not given).
    position, length : int
        Place in the sequence, and its places.
    """

    path: str
    subject: str
    sequence: str
    frame: int = 1
    expression: str = ""
    codes: Mapping[int, float] = field(default_factory=dict)
    position: int = 0
    length: int = 1


def assemble(disk: Disk, pictures: Sequence[Picture], problems: Problems) -> Faces:
    """Make the tidy table of some pictures, each of which is a face as a whole.

    Pictures that cannot be read are in it without a box, and the reason is noted.

    Raises
    ------
    FerError
        If there are none.
    """
    if not pictures:
        raise FerError(f"{disk.root}: no picture of a face in it")
    boxes, codes = np.full((len(pictures), 4), np.nan), np.full((len(pictures), len(AUS)), np.nan)
    for row, picture in enumerate(pictures):
        for au, code in picture.codes.items():
            codes[row, _PLACE[au]] = code
        try:
            width, height = size_on(disk, picture.path)
            corners = np.array([[0, 0], [width - 1, height - 1]], float)
            boxes[row], _ = box_of(corners, width, height)
        except FerError as error:
            problems.add(picture.path, str(error), _LOST)
    named = ("path", "subject", "sequence", "frame", "position", "length", "expression")
    table = pd.DataFrame({name: [getattr(picture, name) for picture in pictures] for name in named})
    table = table.assign(
        **{name: boxes[:, i] for i, name in enumerate(BOX)},
        **{name: codes[:, i] for i, name in enumerate(AU_COLUMNS)},
    )
    order = np.lexsort((table["frame"].to_numpy(), table["sequence"].to_numpy(str)))
    nowhere = np.full((len(pictures), LANDMARKS, 2), np.nan, np.float32)
    return Faces(
        disk.root,
        table.reindex(columns=list(COLUMNS)).iloc[order].reset_index(drop=True),
        nowhere,
        problems.table(),
    )


def listed(disk: Disk, problems: Problems) -> list[str]:
    """Paths of all files below a folder, sorted, without those that an operating system leaves behind."""
    found = []
    for name in names_in(disk.root):
        paths = disk.files(name, problems) if (disk.root / name).is_dir() else [name]
        for path in paths:
            if not is_text(path):
                problems.add(path, "name is not UTF-8", "not used; rename it")
            elif not is_system_file(path):
                found.append(path)
    return found


def names_in(folder: Path) -> list[str]:
    """Names of what lies in a folder, sorted; none where it cannot be listed."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names alone, also of a folder with many files
    except OSError:
        return []


def folders_in(folder: Path) -> list[Path]:
    """Folders that lie in a folder, sorted."""
    return [folder / name for name in names_in(folder) if (folder / name).is_dir()]


def named(folder: Path, name: str) -> str:
    """Name of what lies in a folder under a name in whatever case; empty where nothing does."""
    return next((found for found in names_in(folder) if found.lower() == name.lower()), "")


def is_picture(path: str) -> bool:
    """Whether a path ends as a picture's does."""
    return PurePosixPath(path).suffix.lower().removeprefix(".") in PICTURES


def by_name(paths: Iterable[str]) -> dict[str, str]:
    """Pictures by their names without folders; of two of one name the first."""
    found: dict[str, str] = {}
    for path in paths:
        if is_picture(path):
            found.setdefault(PurePosixPath(path).name, path)
    return found


def add_picture(
    places: dict[str, dict[int, str]], place: str, number: int, path: str, problems: Problems
) -> None:
    """Add a picture to those of a film that lie in one place; of two with one number the first is kept and the other noted."""
    if number in (numbered := places.setdefault(place, {})):
        problems.add(path, f"has the number of {numbered[number]}", "not used")
    numbered.setdefault(number, path)


def pictures_of(
    found: Mapping[str, Mapping[str, dict[int, str]]], problems: Problems
) -> dict[str, dict[int, str]]:
    """Choose for each film the place that its pictures are read from: the first one, and the others are noted.

    Parameters
    ----------
    found : mapping
        From the name of a film to places (folders, or films themselves), and from these to pictures by number.
    problems : Problems
        Receives the places that are not read.
    """
    chosen = {}
    for film, places in found.items():
        first, *others = sorted(places)
        chosen[film] = places[first]
        for other in others:
            problems.add(other or ".", f"pictures of {film} lie in {first or '.'} too", "not used")
    return chosen
