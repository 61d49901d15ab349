"""Reader of KDEF (Lundqvist, Flykt and Öhman 1998): pictures named like ``AF01ANS.JPG``.

The name says session (A or B), sex and number of the person (F01), the posed expression (AN) and the side that the face is seen from (S:
straight). A and B are two sessions of one person: the person is ``F01``, or the same people would train and test.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_lib.faces.file_names import FileNames
from fer_lib.faces.layouts import NO_PLACE, NO_UNIT, Layout, folders_in
from fer_lib.faces.table import Faces

_EXPRESSIONS = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
_NAMES = FileNames(
    re.compile(
        r"[AB](?P<person>[FM]\d{2})(?P<expression>AF|AN|DI|HA|NE|SA|SU)(?:S|HL|HR|FL|FR)\.\w+",
        re.ASCII | re.I,
    ),
    _EXPRESSIONS,
    "AF01ANS.JPG",
)
_EACH = 70 * 2 * 5
"""Pictures of an expression: people, sessions, views."""


def read_kdef(folder: Path) -> Faces:
    """Read KDEF, whose pictures stand alone, in all five views.

    Parameters
    ----------
    folder : Path
        Folder with a folder for each session of a person (``AF01``), or with the pictures themselves.

    Returns
    -------
    Faces
        Without action units; pictures that are named otherwise are rows of ``problems``.
    """
    return _NAMES.read(folder)


def _recognise(folder: Path) -> bool:
    return any(map(_NAMES.in_folder, (folder, *folders_in(folder))))


LAYOUT = Layout(
    "KDEF",
    _recognise,
    read_kdef,
    _NAMES.files,
    published={"subjects": 70, "pictures": 7 * _EACH, **dict.fromkeys(_EXPRESSIONS.values(), _EACH)},
    lacks=(NO_UNIT, NO_PLACE),
)
