"""An empty sheet to code the action units of one's own pictures on, a guide to it, and the check of a filled one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fer_lib.artifacts.files import write_new
from fer_lib.errors import FerError
from fer_lib.faces.disk import expanded, is_system_file
from fer_lib.faces.own import check_own, read_own
from fer_lib.faces.problems import printable
from fer_lib.faces.table import AU_COLUMNS
from fer_lib.faces.tool_frames import PICTURES
from fer_lib.faces.tool_pictures import natural, new_table
from fer_lib.facs import AUS, EXPRESSIONS

GUIDE = ".guide.md"
"""What the name of the guide beside a sheet ends in."""


def write_coding_sheet(
    folder: Path | str,
    out: Path | str,
    *,
    aus: Sequence[int] | None = None,
    film: bool = False,
    coder: str = "",
) -> pd.DataFrame:
    """Write an empty coding sheet for the pictures of a folder, and a guide beside it.

    Parameters
    ----------
    folder : Path or str
        With pictures, or with a folder of pictures for each person, whose name is then filled in as the subject.
    out : Path or str
        The sheet, ``.csv``; nothing may be there yet, nor at ``NAME.guide.md`` beside it.
    aus : sequence of int, optional
        Action units to code; by default all of :data:`fer_lib.facs.AUS`.
    film : bool
        Whether the pictures of each folder are one film from neutral to peak.
    coder : str
        Who is going to code.

    Returns
    -------
    pandas.DataFrame
        The sheet: ``path`` (relative to it), ``subject``, ``sequence``, ``frame``, ``expression``, ``origin`` and a column for each action
        unit, as :func:`fer_lib.faces.reader.read` takes them; text, empty where it is to be filled in.

    Raises
    ------
    FerError
        If there are no pictures, a unit is not known, or something is there already.
    """
    place, root = new_table(out), expanded(folder)
    guide = place.with_suffix(GUIDE)
    if os.path.lexists(guide):
        raise FerError(f"{guide}: is there already, and nothing is overwritten; give the sheet another name")
    chosen = sorted(set(AUS if aus is None else aus))
    if unknown := [au for au in chosen if au not in AUS]:
        raise FerError(f"AU{unknown[0]} is not among the units that are studied: {', '.join(map(str, AUS))}")
    pictures = _pictures(root)
    if not pictures:
        raise FerError(f"{root}: no pictures ({', '.join(sorted(PICTURES))}) in this folder or below it")
    table = pd.DataFrame({"path": [os.path.relpath(path, place.parent) for path in pictures]}, dtype=object)
    below = [path.relative_to(root).parts for path in pictures]
    table["subject"] = [parts[0] if len(parts) > 1 else "" for parts in below]
    folders = pd.Series(["/".join(parts[:-1]) or root.name for parts in below])
    table["sequence"] = folders if film else ""
    table["frame"] = (folders.groupby(folders).cumcount() + 1).astype(str) if film else ""
    table = table.assign(expression="", origin=coder, **{f"AU{au}": "" for au in chosen})
    try:
        content = table.to_csv(index=False).encode()
    except UnicodeEncodeError:
        bad = next(path for path in table["path"] if printable(path) != path)
        raise FerError(f"{printable(bad)}: its name is no text; rename it") from None
    write_new(place, content)
    write_new(guide, _guide(place.name, chosen, film=film).encode())
    return table


def check_coding_sheet(sheet: Path | str) -> tuple[str, list[str]]:
    """Check a filled sheet.

    Parameters
    ----------
    sheet : Path or str
        As :func:`write_coding_sheet` made it, filled in.

    Returns
    -------
    summary : str
        What it holds, in a line; empty where it cannot be read yet.
    problems : list of str
        A line for each thing that is wrong with it; empty where nothing is.

    Raises
    ------
    FerError
        If it is no table, or its columns are not understood.
    """
    path = expanded(sheet)
    if wrong := check_own(path):
        return "", wrong
    try:
        faces = read_own(path)
    except FerError as error:
        return "", [str(error)]
    table = faces.table
    coded = table[list(AU_COLUMNS)].notna()
    summary = (
        f"{path}: {len(table)} pictures of {table['subject'].nunique()} people, {(table['expression'] != '').sum()} with an expression, "
        f"{coded.any(axis=1).sum()} coded for action units ({table['scale'].iloc[0] or 'none'})"
    )
    notes = faces.problems[~faces.problems["consequence"].str.startswith("read as")]
    return summary, [f"{row.path}: {row.problem}: {row.consequence}" for row in notes.itertuples()]


def _pictures(root: Path) -> list[Path]:
    """Pictures of a folder and of those below it, in the order of their names."""
    if not root.is_dir():
        raise FerError(f"{root}: no such folder; give one with pictures")
    found = []
    for folder, _, names in os.walk(root):
        found += [
            Path(folder) / name
            for name in names
            if Path(name).suffix.lower() in PICTURES and not is_system_file(name)
        ]
    return sorted(found, key=lambda path: [natural(part) for part in path.relative_to(root).parts])


def _guide(sheet: str, aus: Sequence[int], *, film: bool) -> str:
    """What to write where, in words."""
    units = "\n".join(
        f"| AU{au} | {AUS[au].name} | {AUS[au].description} | {AUS[au].muscle} |{' yes' if AUS[au].sided else ' no'} |"
        for au in aus
    )
    order = (
        "The pictures of one sequence are a film from neutral to peak, in the order of `frame`."
        if film
        else "Leave `sequence` and `frame` empty: every picture stands alone."
    )
    return f"""# How to fill in {sheet}

One row is one picture. `fer label --check {sheet}` says in one line each what is wrong with it.

- `path`: leave it as it is.
- `subject`: who it is; the same name for all pictures of one person. Needed.
- {order}
- `expression`: {", ".join(EXPRESSIONS)}, or empty where it is none of them or nobody can tell.
- `origin`: who coded the picture; empty means a coder without a name.
- `AU1`, `AU2`, ...: 0 where the unit is absent; 1 to 5 for the intensities A to E; -1 where it is there and you cannot say how strongly.
  Leave a cell empty where nobody coded it: an empty cell is not an absent unit. Somebody who codes presence alone writes 0 and 1 in all
  columns; to mean A by 1 in a column without stronger codes, add a column `scale` that says `intensity 0-5`.

| column | action unit | what one sees | muscle | on one side alone |
| --- | --- | --- | --- | --- |
{units}
"""
