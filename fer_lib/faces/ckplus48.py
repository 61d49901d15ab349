"""Reader of CK+48: faces of CK+ (:mod:`fer_lib.faces.ckplus`) cut out, scaled to 48x48 and dealt into folders by expression.

``CK+48/anger/S010_004_00000017.png``: the last three frames of each labelled sequence. The names keep subject, sequence and frame, so that
the pictures are joined to CK+'s action units where its ``FACS`` (a folder or the original zip) lies beside ``CK+48`` or in it. There are no
neutral frames.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath

from fer_lib import facs
from fer_lib.faces.ckplus import Reading, codes_of, find_parts, index_part, without_codes
from fer_lib.faces.disk import Disk, is_system_file
from fer_lib.faces.layouts import Layout, Picture, assemble, folders_in, is_picture, listed, named, names_in
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import Faces

_FOLDER = "CK+48"
_NAME = re.compile(r"(S\d{3}_\d{3})_(\d{8})\.\w+", re.ASCII)
_FRAMES = 3


def read_ckplus48(folder: Path) -> Faces:
    """Read CK+48.

    Parameters
    ----------
    folder : Path
        Folder ``CK+48``, or that which holds it.

    Returns
    -------
    Faces
        Three frames of each sequence in the places that they have in CK+, sorted by sequence and frame. With action units where ``FACS`` is
        there: those of a sequence's last frame.
    """
    problems = Problems()
    with Disk(folder) as disk:
        sequences: dict[str, dict[int, str]] = defaultdict(dict)
        expressions: dict[str, str] = {}
        for path in _pictures(folder, disk, problems):
            match, above = _NAME.fullmatch(PurePosixPath(path).name), PurePosixPath(path).parent.name.lower()
            if not match:
                problems.add(path, "name is not like S010_004_00000017.png", "not used")
            elif expressions.setdefault(match[1], above) != above:
                problems.add(path, f"{match[1]} lies in {expressions[match[1]]} too", "not used")
            else:
                sequences[match[1]].setdefault(int(match[2]), path)
        for name, frames in sequences.items():
            if len(frames) != _FRAMES or any(b - a != 1 for a, b in pairwise(sorted(frames))):
                listed_frames = ", ".join(map(str, sorted(frames)))
                what = f"frames {listed_frames} of {name} instead of {_FRAMES} in a row"
                problems.add(
                    frames[min(frames)],
                    what,
                    "what there is keeps its place; the last one counts as the peak",
                )
        codes = _codes(folder, sequences, problems)
        pictures = [
            Picture(
                path,
                name[:4],
                name,
                frame,
                expressions[name],
                codes.get(name, {}) if frame == max(frames) else {},
                frame - 1,
                max(frames),
            )
            for name, frames in sequences.items()
            for frame, path in frames.items()
        ]
        return assemble(disk, pictures, problems)


def _pictures(folder: Path, disk: Disk, problems: Problems) -> Iterator[str]:
    """Paths of what lies in the folders that are named as expressions."""
    above = _faces_in(folder)
    for path in listed(disk, problems):
        parts = PurePosixPath(path).parts
        in_place = len(parts) > 1 and parts[:-2] == above.parts and parts[-2].lower() in facs.EXPRESSIONS
        if in_place and is_picture(path):
            yield path


def _faces_in(folder: Path) -> PurePosixPath:
    """Where below the folder the expressions' folders lie."""
    return PurePosixPath(named(folder, _FOLDER)) if not _expressions(folder) else PurePosixPath()


def _expressions(folder: Path) -> list[Path]:
    return [place for place in folders_in(folder) if place.name.lower() in facs.EXPRESSIONS]


def _facs(folder: Path) -> tuple[Path, str]:
    """Folder in which CK+'s action units lie, and their name there; empty where there are none."""
    for place in (folder, folder.absolute().parent):
        if found := find_parts(place).get("facs"):
            return place, found
    return folder, ""


def _codes(
    folder: Path, sequences: dict[str, dict[int, str]], problems: Problems
) -> dict[str, dict[int, float]]:
    """Every studied action unit's code, by sequence."""
    place, name = _facs(folder)
    if not name:
        return {}
    with Disk(place) as disk:
        reading = Reading(disk, problems)
        reading.files["facs"] = index_part(reading, "facs", name)
        shown = codes_of(reading, sequences)
        for sequence in without_codes(reading, sequences):
            first = min(sequences[sequence].values())
            problems.add(first, f"no FACS file of {sequence}", "its action units are unknown, not absent")
    return {sequence: {au: codes.get(au, 0.0) for au in facs.AUS} for sequence, codes in shown.items()}


def _recognise(folder: Path) -> bool:
    places = _expressions(folder / _faces_in(folder))
    return any(_NAME.fullmatch(name) and is_picture(name) for place in places for name in names_in(place))


def _missing(folder: Path) -> str:
    if folder.name.lower() in facs.EXPRESSIONS and any(map(_NAME.fullmatch, names_in(folder))):
        return f"one expression of CK+48 alone: give the folder above, {folder.parent}"
    places = _expressions(folder)
    if len(places) > 1:
        listed_places = ", ".join(place.name for place in places)
        return (
            f"expressions ({listed_places}) without pictures named as CK+48's are (S010_004_00000017.png); make a table of "
            "other pictures (path, subject, expression)"
        )
    return ""


def _files(folder: Path, problems: Problems) -> Iterator[str]:
    with Disk(folder) as disk:
        yield from _pictures(folder, disk, problems)
    place, name = _facs(folder)
    above = os.path.relpath(place, folder)
    if name and not (place / name).is_dir():
        yield f"{above}/{name}"
    elif name:
        with Disk(place) as disk:
            yield from (f"{above}/{path}" for path in disk.files(name, problems) if not is_system_file(path))


LAYOUT = Layout(
    "CK+48",
    _recognise,
    read_ckplus48,
    _files,
    published={
        "subjects": 118,
        "sequences": sum(facs.CKPLUS_EXPRESSION_COUNTS.values()),
        "pictures": _FRAMES * sum(facs.CKPLUS_EXPRESSION_COUNTS.values()),
        "labelled sequences": sum(facs.CKPLUS_EXPRESSION_COUNTS.values()),
        **facs.CKPLUS_EXPRESSION_COUNTS,
    },
    lacks=("no neutral face",),
    missing=_missing,
)
