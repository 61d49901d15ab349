"""Reader of the Extended Cohn-Kanade set (Lucey et al. 2010), as folders or as its original zip archives.

Four parts lie side by side: pictures, landmarks of every frame, FACS codes and an emotion code of the last frame. A sequence is
never dropped in silence: whatever is missing or wrong is a row of ``Faces.problems`` that says what follows from it.

CK+ numbers the frames of a sequence from 1 without gaps, and a label's file names the frame that it belongs to. So half a sequence is
known for what it is: frames keep the place that their number says, a sequence that begins late has no neutral frame, and a label
whose picture is not the last one is not put on another.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fer_lib.errors import FerError
from fer_lib.faces.decoding import inspect_picture
from fer_lib.faces.disk import IN_ARCHIVE, Disk, expanded, is_system_file, is_text
from fer_lib.faces.labels import LANDMARKS, facs_codes
from fer_lib.faces.labels import emotion as emotion_of
from fer_lib.faces.labels import landmarks as landmarks_of
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import AU_COLUMNS, BOX, COLUMNS, NOT_GIVEN, Faces, box_of
from fer_lib.facs import AUS

PARTS = {
    "pictures": ("cohn-kanade-images", "extended-cohn-kanade-images"),
    "landmarks": ("landmarks",),
    "facs": ("facs", "facs_labels"),
    "emotion": ("emotion", "emotion_labels"),
}
"""Names, in lower case and without ``.zip``, under which the four parts are distributed."""

_WITHOUT = {
    "landmarks": "no face can be cropped",
    "facs": "no action unit is known",
    "emotion": "no sequence has an expression label",
}
_WITHOUT_LABEL = {
    "facs": "the sequence's action units are unknown, not absent",
    "emotion": "the sequence counts as unlabelled",
}
_WITHOUT_CODES = "its action units are unknown, not absent"
_PICTURES = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "pgm", "ppm", "webp")
_EXTENSIONS = {"pictures": _PICTURES, "landmarks": ("txt",), "facs": ("txt",), "emotion": ("txt",)}
_NAME = re.compile(r"(S\d{3})_(\d{3})_(\d{1,15})(?:_(landmarks|facs|emotion))?\.(\w+)", re.ASCII)
_SUBJECT = re.compile(r"S\d{3}", re.ASCII)
_SEQUENCE = re.compile(r"\d{3}", re.ASCII)
_FORMATS = {
    "PNG": ("png",),
    "JPEG": ("jpg", "jpeg"),
    "MPO": ("jpg", "jpeg"),
    "TIFF": ("tif", "tiff"),
    "BMP": ("bmp",),
    "PPM": ("pgm", "ppm"),
    "WEBP": ("webp",),
}
_LISTED = 8


class FrameKey(NamedTuple):
    """A frame: its sequence, such as ``S005_001``, and its number."""

    sequence: str
    frame: int


@dataclass
class Reading:
    """State of one reading: the folder, the files of each part by frame, the problems met so far."""

    disk: Disk
    problems: Problems = field(default_factory=Problems)
    files: dict[str, dict[FrameKey, str]] = field(default_factory=dict)


def find_parts(folder: Path) -> dict[str, str]:
    """Find CK+'s parts directly below a folder.

    Parameters
    ----------
    folder : Path
        Any folder.

    Returns
    -------
    dict of str to str
        For each part that is there the name of its folder or zip archive; a folder wins over an archive of the same part.
    """
    try:
        children = sorted(folder.iterdir(), key=lambda child: (not child.is_dir(), child.name))
    except OSError:
        return {}
    found: dict[str, str] = {}
    for child in children:
        is_folder = child.is_dir()
        if not is_folder and child.suffix.lower() != ".zip":
            continue
        stem = child.name if is_folder else child.stem
        for part, names in PARTS.items():
            if stem.lower() in names:
                found.setdefault(part, child.name)
    return found


def read_ckplus(folder: Path | str, *, progress: bool = False) -> Faces:
    """Read CK+, or faces rendered in its layout.

    Parameters
    ----------
    folder : Path or str
        Folder that holds ``cohn-kanade-images``, ``Landmarks``, ``FACS`` and ``Emotion``, each as a folder or as the original zip.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Faces
        All frames, sorted by sequence and frame, unreadable pictures included (without a box).

    Raises
    ------
    FerError
        If the folder is not CK+'s; the message says what was expected, what was found and, one level off, which folder to give.
    """
    root = expanded(folder)
    parts = find_parts(root)
    if "pictures" not in parts:
        raise FerError(_explain(root))
    with Disk(root) as disk:
        reading = Reading(disk)
        for part in PARTS:
            reading.files[part] = index_part(reading, part, parts.get(part))
        if not reading.files["pictures"]:
            raise FerError(
                f"{root / parts['pictures']}: no picture named like S005/001/S005_001_00000011.png was found in it"
            )
        return _assemble(reading, progress)


def _explain(root: Path) -> str:
    """Say why a folder is not CK+'s, and which one may be."""
    wanted = "expected a folder with cohn-kanade-images, Landmarks, FACS and Emotion (or their zips)"
    try:
        if not root.exists():
            return f"{root}: no such folder; {wanted}"
        if not root.is_dir():
            return f"{root}: a file; {wanted}, or a .csv or .parquet table of user-supplied faces"
        names = sorted(child.name for child in root.iterdir() if not is_system_file(child.name))
    except PermissionError:
        return f"{root}: no permission to read this folder; {wanted}"
    if not names:
        return f"{root}: an empty folder; {wanted}"
    for above in list(root.resolve().parents)[:3]:
        if "pictures" in find_parts(above):
            return f"{root}: too deep, a part of CK+ only; {wanted}: give {above}"
    for name in names:
        if "pictures" in find_parts(root / name):
            return f"{root}: one level too high; {wanted}, found in it: give {root / name}"
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    if any(_SUBJECT.fullmatch(name) for name in names):
        return f"{root}: too deep, it holds subjects; {wanted}, found {shown}: give the folder above and name this one so"
    return f"{root}: not CK+; {wanted}, found {shown}"


def index_part(reading: Reading, part: str, name: str | None) -> dict[FrameKey, str]:
    """Paths of a part's files by frame; every file that does not belong is noted."""
    problems = reading.problems
    if name is None:
        problems.add(PARTS[part][0], f"no {part} folder or archive", _WITHOUT[part])
        return {}
    try:
        paths = list(reading.disk.files(name, problems))
    except FerError as error:
        if part == "pictures":
            raise
        # What is kept of the faces does not tell where they lie.
        reason = str(error).removeprefix(f"{reading.disk.root / name}: ")
        problems.add(name, reason, _WITHOUT[part])
        return {}
    found: dict[FrameKey, str] = {}
    # Of two files of one name that which lies where CK+ has it comes first.
    for path in sorted(paths, key=lambda path: (not _in_place(path), path)):
        if is_system_file(path):
            problems.add(path, "system file", "none: it is not read")
            continue
        if not is_text(path):
            problems.add(path, "name is not UTF-8", "not used; rename it")
            continue
        pure = PurePosixPath(path.replace(IN_ARCHIVE, "/"))
        match = _NAME.fullmatch(pure.name)
        if not match or (match[4] or "pictures") != part or match[5].lower() not in _EXTENSIONS[part]:
            problems.add(path, f"name is not that of a CK+ {part} file", "not used")
        elif not _fits(pure, match[1], match[2]):
            problems.add(path, f"name does not fit its folder {'/'.join(pure.parts[-3:-1])}", "not used")
        else:
            key = FrameKey(f"{match[1]}_{match[2]}", int(match[3]))
            if key in found:
                problems.add(path, f"duplicate of {PurePosixPath(found[key]).name}", "not used")
            found.setdefault(key, path)
    if not found and part in _WITHOUT:
        problems.add(name, f"holds no {part} file", _WITHOUT[part])
    return found


def _in_place(path: str) -> bool:
    """Whether a file lies in the folders of its subject and sequence."""
    parts = PurePosixPath(path.replace(IN_ARCHIVE, "/")).parts
    return parts[-1].split("_")[:2] == list(parts[-3:-1])


def _fits(path: PurePosixPath, subject: str, sequence: str) -> bool:
    """Whether the two folders above a file contradict its name; a flat folder does not."""
    above = path.parts[-3:-1]
    return all(name == subject for name in above if _SUBJECT.fullmatch(name)) and all(
        name == sequence for name in above if _SEQUENCE.fullmatch(name)
    )


def _assemble(reading: Reading, progress: bool) -> Faces:
    """Build the table from the indexed files."""
    sequences: dict[str, dict[int, str]] = defaultdict(dict)
    for key in sorted(reading.files["pictures"]):
        sequences[key.sequence][key.frame] = reading.files["pictures"][key]
    expressions = _expressions(reading, sequences)
    codes = codes_of(reading, sequences)
    for name in without_codes(reading, sequences):
        folder = next(iter(sequences[name].values())).rpartition("/")[0]
        reading.problems.add(folder, "no FACS file", _WITHOUT_CODES)

    rows: list[dict[str, object]] = []
    landmarks: list[np.ndarray] = []
    for name, pictures in tqdm(
        sequences.items(), desc="reading faces", unit=" sequences", disable=not progress
    ):
        _check_frames(reading.problems, name, pictures)
        start, last = min(1, *pictures), max(pictures)
        for frame, path in pictures.items():
            points, box = _face(reading, FrameKey(name, frame), path)
            row: dict[str, object] = {"path": path, "subject": name[:4], "sequence": name, "frame": frame}
            row |= {"position": frame - start, "length": last - start + 1}
            row |= {"expression": expressions.get(name, "")}
            row |= dict(zip(BOX, box, strict=True))
            if name in codes and frame == last:
                row |= {f"AU{au}": codes[name].get(au, 0.0) for au in AUS}
            rows.append(row)
            landmarks.append(points)
    _note_orphans(reading, sequences)
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys((*BOX, *AU_COLUMNS), float))
    return Faces(reading.disk.root, table, np.stack(landmarks).astype(np.float32), reading.problems.table())


def _check_frames(problems: Problems, name: str, pictures: dict[int, str]) -> None:
    """Note sequences that begin late, have gaps or are too short to have a neutral and a peak frame."""
    folder = next(iter(pictures.values())).rpartition("/")[0]
    first, last = min(pictures), max(pictures)
    if len(pictures) == 1:
        problems.add(folder, "one frame only", "it counts as the peak; the sequence has no neutral frame")
    elif first > 1:
        problems.add(
            folder, f"its first picture is frame {first}, not 1", "none of its frames counts as neutral"
        )
    # Numbers may be far apart, so gaps are counted and not spelled out.
    missing = last - first + 1 - len(pictures)
    if missing:
        between = (frame for a, b in pairwise(sorted(pictures)) for frame in range(a + 1, b))
        listed = ", ".join(map(str, islice(between, _LISTED)))
        more = f" and {missing - _LISTED} more" if missing > _LISTED else ""
        problems.add(
            folder, f"no picture of frame {listed}{more}", "the others keep their place in the sequence"
        )


def _face(reading: Reading, key: FrameKey, path: str) -> tuple[np.ndarray, tuple[float, ...]]:
    """Landmarks and box of a frame; the box is NaN where the frame cannot be cropped, and the reason is noted."""
    points, box = np.full((LANDMARKS, 2), np.nan), (np.nan,) * 4
    lost, problems = "the frame cannot be cropped and is left out", reading.problems
    facts = None
    try:
        facts = inspect_picture(reading.disk.read(path))
        if PurePosixPath(path).suffix.lower().removeprefix(".") not in _FORMATS.get(facts.format, ()):
            problems.add(path, f"wrong extension, the content is {facts.format}", "none: read by its content")
    except FerError as error:
        problems.add(path, str(error), lost)
    file = reading.files["landmarks"].get(key)
    if file is None:
        if reading.files["landmarks"]:
            problems.add(path, "no landmarks file", lost)
        return points, box
    try:
        points = landmarks_of(reading.disk.read(file))
        if facts is not None:
            box, outside = box_of(points, facts.width, facts.height)
            if outside:
                problems.add(
                    file, f"{outside} landmarks outside the picture", "the face is cut at the picture's edge"
                )
    except FerError as error:
        problems.add(file, str(error), lost)
    return points, box


def _expressions(reading: Reading, sequences: Mapping[str, Mapping[int, str]]) -> dict[str, str]:
    """Expression of each labelled sequence."""
    found: dict[str, str] = {}
    for key, file in _last_files(reading, "emotion", sequences):
        try:
            found[key.sequence] = emotion_of(reading.disk.read(file))
        except FerError as error:
            reading.problems.add(file, str(error), _WITHOUT_LABEL["emotion"])
    return found


def codes_of(reading: Reading, sequences: Mapping[str, Mapping[int, str]]) -> dict[str, dict[int, float]]:
    """Intensity of each known action unit that a sequence's last frame shows."""
    found: dict[str, dict[int, float]] = {}
    for key, file in _last_files(reading, "facs", sequences):
        try:
            codes = facs_codes(reading.disk.read(file))
        except FerError as error:
            reading.problems.add(file, str(error), _WITHOUT_LABEL["facs"])
            continue
        unknown = [au for au in codes if au not in AUS]
        if unknown:
            listed = ", ".join(map(str, unknown))
            reading.problems.add(
                file, f"action unit {listed} is not one of the studied", "ignored; the others are read"
            )
        found[key.sequence] = {au: codes[au] or NOT_GIVEN for au in codes if au in AUS}
    return found


def without_codes(reading: Reading, sequences: Iterable[str]) -> list[str]:
    """Sequences that no FACS file belongs to; none where there are no such files at all."""
    coded = {key.sequence for key in reading.files["facs"]}
    return [name for name in sequences if name not in coded] if coded else []


def _last_files(
    reading: Reading, part: str, sequences: Mapping[str, Mapping[int, str]]
) -> list[tuple[FrameKey, str]]:
    """Label file of each sequence: that of its last picture, if there is one; others are noted."""
    of_sequence: dict[str, list[FrameKey]] = defaultdict(list)
    for key in sorted(reading.files[part]):
        if key.sequence in sequences:
            of_sequence[key.sequence].append(key)
    chosen = []
    for name, keys in of_sequence.items():
        last = FrameKey(name, max(sequences[name]))
        for key in keys:
            file = reading.files[part][key]
            if key == last:
                chosen.append((key, file))
            elif last in keys:
                reading.problems.add(file, f"second {part} file of {name}", "not used")
            else:
                problem = f"it belongs to frame {key.frame}, the last picture is frame {last.frame}"
                reading.problems.add(file, problem, f"not used: {_WITHOUT_LABEL[part]}")
    return chosen


def _note_orphans(reading: Reading, sequences: Mapping[str, Mapping[int, str]]) -> None:
    """Note landmarks and labels that no picture belongs to."""
    for part in ("landmarks", "facs", "emotion"):
        for key, file in sorted(reading.files[part].items()):
            if key.sequence not in sequences:
                reading.problems.add(file, f"no pictures of sequence {key.sequence}", "not used")
            elif part == "landmarks" and key.frame not in sequences[key.sequence]:
                reading.problems.add(file, f"no picture of frame {key.frame}", "not used")
