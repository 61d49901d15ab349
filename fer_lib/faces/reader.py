"""The one way in: faces from wherever they are, by the reader that fits."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from fer_lib.checks import at_least
from fer_lib.errors import FerError
from fer_lib.faces import bp4d, ckplus48, disfa, jaffe, kdef, pixel_tables, raf
from fer_lib.faces.ckplus import find_parts, read_ckplus
from fer_lib.faces.disk import expanded
from fer_lib.faces.layouts import Layout, folders_in
from fer_lib.faces.own import read_own
from fer_lib.faces.table import Faces, from_intensity

LAYOUTS: tuple[Layout, ...] = (
    ckplus48.LAYOUT,
    disfa.LAYOUT,
    bp4d.LAYOUT,
    raf.DB,
    raf.AU,
    kdef.LAYOUT,
    jaffe.LAYOUT,
    *pixel_tables.LAYOUTS,
)
"""Every data set besides CK+ that is recognised by what lies in its folder."""


def read(source: Path | str, *, film_step: int = 1, au_threshold: int = 1) -> Faces:
    """Read faces from wherever they are.

    Parameters
    ----------
    source : Path or str
        A folder with CK+ (unpacked or as the original zips), one of those zips, a folder with another of the sets that
        :data:`fer_lib.faces.reader.LAYOUTS` lists, a table of pixels such as ``fer2013.csv``, or a ``.csv`` or ``.parquet`` table
        of user-supplied faces.
    film_step : int
        Every how many-th frame is read of films whose every frame is coded (DISFA, BP4D).
    au_threshold : int
        Weakest intensity of an action unit, 1 to 5 for A to E, that counts as present; see
        :func:`~fer_lib.faces.table.from_intensity`.

    Returns
    -------
    Faces

    Raises
    ------
    FerError
        If it is none of these; the message says what was expected and what was found, and of a folder that is nearly one what is missing.

    Examples
    --------
    Two pictures that are faces already cut out, and a table of what they show:

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import fer_lib as fer
    >>> import pandas as pd
    >>> from PIL import Image
    >>> folder = Path(mkdtemp())
    >>> for name in ("ann.png", "bob.png"):
    ...     Image.new("L", (48, 48), 128).save(folder / name)
    >>> shown = {"path": ["ann.png", "bob.png"], "subject": ["Ann", "Bob"], "expression": ["happy", ""], "AU12": [3, 0]}
    >>> pd.DataFrame(shown).to_csv(folder / "faces.csv", index=False)
    >>> faces = fer.read_faces(folder / "faces.csv")
    >>> faces.table[["subject", "expression", "AU12"]].to_dict("list")
    {'subject': ['Ann', 'Bob'], 'expression': ['happy', ''], 'AU12': [3.0, 0.0]}
    """
    step, least = at_least("film_step", film_step), at_least("au_threshold", au_threshold)
    return from_intensity(_read(expanded(source), step), least)


def layout_of(source: Path) -> Layout | None:
    """Return the set that a folder or table is recognised as; None for CK+, a table of user-supplied faces, and whatever is none.

    Raises
    ------
    FerError
        If it is more than one.
    """
    if source.is_dir() and "pictures" in find_parts(source):
        return None
    found = [layout for layout in LAYOUTS if layout.recognise(source)]
    if len(found) > 1:
        names = " and ".join(layout.name for layout in found)
        raise FerError(f"{source}: it holds {names}; put each into a folder of its own and give one")
    return found[0] if found else None


def _read(source: Path, film_step: int) -> Faces:
    kind = source.suffix.lower()
    try:
        if layout := layout_of(source):
            return layout.read(source, film_step=film_step) if layout.films else layout.read(source)
        if kind in (".csv", ".parquet") and not source.is_dir():
            return read_own(source)
        if kind == ".zip" and source.is_file():
            return read_ckplus(source.parent)
        if source.is_dir() and "pictures" not in find_parts(source):
            if why := _nearly(source):
                raise FerError(f"{source}: {why}")
            _refuse(source)
    except PermissionError:
        raise FerError(f"{source}: no permission to read it") from None
    return read_ckplus(source)


def _refuse(folder: Path) -> NoReturn:
    """Say as CK+'s reader does why a folder is none of CK+'s, and what else is read."""
    try:
        read_ckplus(folder)
    except FerError as error:
        others = ", ".join(layout.name for layout in LAYOUTS)
        raise FerError(f"{error}; also read are: {others}") from None
    raise AssertionError


def _nearly(folder: Path) -> str:
    """Say what a folder lacks that is nearly a set, or which folder to give; empty where it is nothing of the kind."""
    if found := next(filter(None, (layout.missing(folder) for layout in LAYOUTS)), ""):
        return found
    for place in folders_in(folder):
        if layout := layout_of(place):
            return f"one level too high; {layout.name} lies in it: give {place}"
    return ""
