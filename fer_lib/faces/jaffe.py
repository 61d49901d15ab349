"""Reader of JAFFE (Lyons, Akamatsu, Kamachi and Gyoba 1998): pictures named like ``KA.AN1.39.tiff``.

The name says who it is (KA), the posed expression (AN) and the number of the take; there is nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_lib.faces.file_names import FileNames
from fer_lib.faces.layouts import NO_UNIT, Layout
from fer_lib.faces.table import Faces

_EXPRESSIONS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
_NAMES = FileNames(
    re.compile(
        r"(?P<person>[A-Z]{2})\.(?P<expression>AN|DI|FE|HA|NE|SA|SU)\d{1,2}\.\d{1,3}\.\w+", re.ASCII | re.I
    ),
    _EXPRESSIONS,
    "KA.AN1.39.tiff",
)


def read_jaffe(folder: Path) -> Faces:
    """Read JAFFE, whose pictures stand alone.

    Parameters
    ----------
    folder : Path
        Folder that the pictures lie in.

    Returns
    -------
    Faces
        Without action units; pictures that are named otherwise are rows of ``problems``.
    """
    return _NAMES.read(folder)


LAYOUT = Layout(
    "JAFFE",
    _NAMES.in_folder,
    read_jaffe,
    _NAMES.files,
    published={"subjects": 10, "pictures": 213},
    lacks=(NO_UNIT,),
)
