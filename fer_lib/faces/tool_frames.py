"""Which frame, picture and face each row of a program's table is of, and which of them the program got wrong."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd

from fer_lib.errors import FerError
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import BOX
from fer_lib.faces.tool_formats import LIBREFACE_FOLDED, OPENFACE_2, OPENFACE_3, Tool
from fer_lib.faces.tool_text import Cells

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".webp"})
"""Endings of pictures' names."""

_SHOWN = 8
_LARGEST_FRAME = 2**53
_TRUE, _FALSE = frozenset({"1", "true", "1.0"}), frozenset({"0", "false", "0.0"})
_VALUES_BESIDE, _CLASSES_BESIDE = 1, 3
"""Frames to each side over which OpenFace 2 takes the mean of intensities and the majority of occurrences, a lost frame counting as 0."""


def frames_of(cells: Cells, tool: Tool, problems: Problems) -> pd.DataFrame:
    """Return for each row ``picture``, ``frame``, ``seconds``, ``face`` (as the program numbers it, or ``""``) and ``found``.

    Rows without a frame, as other sensors write them, have neither a picture nor a frame and are not found.
    """
    single = tool.frame not in cells or set(LIBREFACE_FOLDED) <= set(cells.names)
    if not tool.frame:  # times alone: in the rows' own order
        numbers = np.arange(len(cells.rows), dtype=float)
    else:
        numbers = np.full(len(cells.rows), np.nan) if single else _frame_numbers(cells, tool.frame)
    table = pd.DataFrame(
        {
            "picture": _pictures(cells, tool),
            "frame": pd.array(np.where(np.isnan(numbers), 0, numbers).astype(np.int64), dtype="Int64"),
            "seconds": _seconds(cells, tool, problems),
            "face": _faces(cells, tool),
            "found": _found(cells, tool),
        }
    )
    table.loc[np.isnan(numbers), "frame"] = pd.NA
    if tool.frame and not single:
        table.loc[np.isnan(numbers) & (table["picture"] == "").to_numpy(), "found"] = False
    return table


def _frame_numbers(cells: Cells, name: str) -> np.ndarray:
    numbers = cells.numbers(name)
    whole = (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers <= _LARGEST_FRAME)
    for row in np.flatnonzero(~np.isnan(numbers) & ~whole)[:1]:
        raise FerError(
            f"{cells.path}: row {row + 1}, column {name!r}: {numbers[row]:g} is not the number of a frame"
        )
    return numbers


def _pictures(cells: Cells, tool: Tool) -> list[str]:
    """Names of the pictures; empty where the table has none, or one film for all rows."""
    if not tool.picture or tool.picture not in cells:
        return [""] * len(cells.rows)
    names = [PureWindowsPath(word).name for word in cells.words(tool.picture)]
    if len(set(names)) == 1:
        return names if PureWindowsPath(names[0]).suffix.lower() in PICTURES else [""] * len(names)
    if tool.frame in cells:
        frames = pd.Series(cells.numbers(tool.frame)).groupby(pd.Series(names)).nunique()
        if (frames > 1).any():
            raise FerError(
                f"{cells.path}: frames of {len(frames)} films, such as {frames.idxmax()!r}; give each film a table"
            )
    return names


def _seconds(cells: Cells, tool: Tool, problems: Problems) -> np.ndarray:
    """Times in seconds; what is called milliseconds and goes up by less than one from frame to frame is in seconds."""
    if not tool.seconds or tool.seconds not in cells:
        return np.full(len(cells.rows), np.nan)
    if tool.clock:
        return np.array([_clock(word) for word in cells.words(tool.seconds)])
    values = cells.numbers(tool.seconds)
    if tool.seconds.endswith("_in_ms"):
        steps = np.diff(values[~np.isnan(values)])
        if (steps > 0).any() and np.median(steps[steps > 0]) >= 1:
            return values / 1000
        problems.add(cells.path.name, f"{tool.seconds} holds seconds", "read as seconds")
    return values


def _clock(word: str) -> float:
    """Seconds of a time such as 00:01:02.345; NaN where it is none."""
    match = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)", word, re.ASCII)
    if not match:
        return float("nan")
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3].replace(",", "."))


def _faces(cells: Cells, tool: Tool) -> list[str]:
    # OpenFace 2 numbers the faces of a film and those of a picture under different names.
    names = [tool.face, "face"] if tool is OPENFACE_2 else [tool.face]
    return next((cells.words(name) for name in names if name and name in cells), [""] * len(cells.rows))


def _found(cells: Cells, tool: Tool) -> np.ndarray:
    """Whether the program says that it found a face; True where it does not say."""
    if tool.success and tool.success in cells:
        words = [word.lower() for word in cells.words(tool.success)]
        for row, word in enumerate(words):
            if word not in _TRUE | _FALSE:
                raise FerError(
                    f"{cells.path}: row {row + 1}, column {tool.success!r}: {word[:20]!r} is neither true nor false"
                )
        return np.array([word in _TRUE for word in words])
    if tool.faces and tool.faces in cells:
        return np.nan_to_num(cells.numbers(tool.faces), nan=0) > 0
    return np.ones(len(cells.rows), bool)


def single_rows(
    path: Path, table: pd.DataFrame, tool: Tool, face: str, aus: list[str], problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """Choose one row for each picture or frame.

    Parameters
    ----------
    path : Path
        The table's file, for messages.
    table : pandas.DataFrame
        What `frames_of` returned, and the columns `aus`.
    tool : Tool
        Who wrote it.
    face : str
        Which face to read; empty where nobody said.
    aus : list of str
        Columns of action units.
    problems : Problems
        Takes what is left out.

    Returns
    -------
    rows : np.ndarray
        Places of the chosen rows, by picture and frame.
    crowd : np.ndarray
        Whether each of them shows several faces of which nobody said which is meant, bool.
    """
    named = (table["picture"] != "").to_numpy() | table["frame"].notna().to_numpy()
    wanted = named | (not named.any())
    if not wanted.all():
        problems.add(path.name, f"{(~wanted).sum()} rows without a frame", "not used")
    if face:
        faces = sorted(set(table["face"][table["found"]]) - {""})
        if face not in faces:
            raise FerError(
                f"{path}: no face {face!r}; its faces are {', '.join(faces[:_SHOWN]) or 'not numbered'}"
            )
        if tool is OPENFACE_3 and face != faces[0]:
            raise FerError(
                f"{path}: OpenFace 3 writes the numbers of face {faces[0]} for every face of a picture; give that one"
            )
        wanted &= ((table["face"] == face) | ~table["found"]).to_numpy()
    rows = table[wanted].assign(row=np.flatnonzero(wanted))
    # A row that shows a face comes first: an empty one of the same frame says nothing.
    rows = rows.sort_values("found", ascending=False, kind="stable")
    rows["group"] = rows.groupby([rows["picture"], rows["frame"].fillna(-1)], sort=False).ngroup()
    seen = rows["found"].groupby(rows["group"]).transform("sum")
    first = ~rows.duplicated("group").to_numpy()
    if tool.repeats and (seen > 1).any():
        faces_of = rows[rows["found"]]
        other = (faces_of.groupby("group")[aus].nunique(dropna=False) > 1).any(axis=1).sum()
        problems.add(
            path.name,
            f"{(seen[first] - 1).clip(lower=0).sum()} rows repeat a frame, in {other} frames with other numbers",
            "each frame counts once, by its first row",
        )
        seen = seen.clip(upper=1)
    chosen = rows[first].assign(crowd=(seen > 1)[first])
    chosen = chosen.sort_values(["picture", "frame", "row"], kind="stable")
    return chosen["row"].to_numpy(), chosen["crowd"].to_numpy()


def without_crowd(path: Path, table: pd.DataFrame, crowd: np.ndarray, problems: Problems) -> pd.DataFrame:
    """Leave uncoded what shows several faces, since nobody said which is meant."""
    if crowd.any():
        table = table.copy()
        table.loc[crowd, [*_coded(table), *BOX]] = np.nan
        remedy = "say which face to read" if (table["face"] != "").any() else "give pictures of one face"
        note_frames(path, table, crowd, "with several faces", f"not coded: {remedy}", problems)
    return table


def without_lowered(path: Path, table: pd.DataFrame, problems: Problems) -> pd.DataFrame:
    """Leave uncoded what OpenFace 2 lowers beside a lost frame, which counts as 0 in its mean of 3 frames and its majority of 7.

    A frame that is missing from the table was lost too, or was taken out because it was. An occurrence of 1 more than one frame away
    stands: the lost frame can only have lowered it.
    """
    frames = table["frame"].to_numpy(np.int64)
    found = set(frames[table["found"]].tolist())
    last = int(frames.max())

    def beside(reach: int) -> np.ndarray:
        return np.array(
            [
                frame in found
                and any(1 <= n <= last and n not in found for n in range(frame - reach, frame + reach + 1))
                for frame in frames.tolist()
            ]
        )

    near, far = beside(_VALUES_BESIDE), beside(_CLASSES_BESIDE)
    table = table.copy()
    table.loc[near, _coded(table)] = np.nan
    note_frames(path, table, near, "beside a lost one", "not coded: OpenFace lowers them", problems)
    lowered = np.zeros(len(table), bool)
    for name in _coded(table):
        if "_" not in name:
            absent = far & ~near & (table[name] == 0).to_numpy()
            table.loc[absent, name] = np.nan
            lowered |= absent
    consequence = "units that are absent there are not coded: OpenFace lowers them"
    note_frames(path, table, lowered, "two or three from a lost one", consequence, problems)
    return table


def note_frames(
    path: Path, table: pd.DataFrame, which: np.ndarray, what: str, consequence: str, problems: Problems
) -> None:
    """Note in one row which frames or pictures something is the matter with."""
    if not which.any():
        return
    rows = table[which]
    names = [
        picture or ("" if pd.isna(frame) else str(frame))
        for picture, frame in zip(rows["picture"][:_SHOWN], rows["frame"][:_SHOWN], strict=True)
    ]
    listed = f": {', '.join(names)}" if any(names) else ""
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    kind = "frame" if (rows["picture"] == "").all() and rows["frame"].notna().all() else "picture"
    plural = "s" if len(rows) > 1 else ""
    problems.add(path.name, f"{len(rows)} {kind}{plural} {what}{listed}{more}", consequence)


def _coded(table: pd.DataFrame) -> list[str]:
    """Columns of action units, codes and numbers."""
    return [name for name in map(str, table) if re.match(r"AU\d", name)]
