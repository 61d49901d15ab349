"""The one way in: faces from wherever they are, by the reader that fits."""

from __future__ import annotations

from pathlib import Path

from fer_lib.errors import FerError
from fer_lib.faces.ckplus import read_ckplus
from fer_lib.faces.disk import expanded
from fer_lib.faces.own import read_own
from fer_lib.faces.table import Faces


def read(source: Path | str) -> Faces:
    """Read faces from wherever they are.

    Parameters
    ----------
    source : Path or str
        A folder with CK+ (unpacked or as the original zips), one of those zips, or a ``.csv`` or ``.parquet`` table of user-supplied faces.

    Returns
    -------
    Faces

    Raises
    ------
    FerError
        If it is none of these; the message says what was expected and what was found.

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
    source = expanded(source)
    kind = source.suffix.lower()
    try:
        if kind in (".csv", ".parquet") and not source.is_dir():
            return read_own(source)
        if kind == ".zip" and source.is_file():
            return read_ckplus(source.parent)
    except PermissionError:
        raise FerError(f"{source}: no permission to read it") from None
    return read_ckplus(source)
