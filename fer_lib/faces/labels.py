"""CK+'s small text files of numbers: 68 landmarks, FACS codes, an emotion code.

Each function takes the bytes of a file and raises FerError with the reason alone, for the reader to say which file and what follows.
"""

import re

import numpy as np

from fer_lib.errors import FerError
from fer_lib.facs import EXPRESSIONS

LANDMARKS = 68
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.ASCII | re.IGNORECASE)
"""A number as files write it; Python's own `float` also takes ``1_0`` and digits of other scripts."""
_STRONGEST = 5


def numbers(data: bytes, columns: int) -> np.ndarray:
    """Read lines of numbers in any notation, such as ``9.0000000e+00``.

    Parameters
    ----------
    data : bytes
        Content of a text file.
    columns : int
        Numbers on each line; empty lines are skipped.

    Returns
    -------
    np.ndarray
        float64 of shape (lines, columns), also for one line.

    Raises
    ------
    FerError
        If the file is empty or not text, a line has another number of columns, or a word is no number.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FerError("not a text file") from None
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        for word in words:
            if not NUMBER.fullmatch(word):
                raise FerError(f"line {number}: {word[:20]!r} is not a number")
        if words and len(words) != columns:
            raise FerError(f"line {number}: {len(words)} of {columns} numbers")
        if words:
            rows.append([float(word) for word in words])
    if not rows:
        raise FerError("empty file")
    return np.array(rows)


def landmarks(data: bytes) -> np.ndarray:
    """Read 68 landmarks.

    Returns
    -------
    np.ndarray
        float64 of shape (68, 2), x and y in pixels; NaN for a landmark that is not a finite number.

    Raises
    ------
    FerError
        If there are not 68 lines of two numbers: of half a file, the outermost points are not those of the face.
    """
    points = numbers(data, 2)
    if len(points) != LANDMARKS:
        raise FerError(f"{len(points)} of {LANDMARKS} landmarks")
    return np.where(np.isfinite(points).all(axis=1, keepdims=True), points, np.nan)


def facs_codes(data: bytes) -> dict[int, float]:
    """Read FACS codes: action unit and intensity on each line.

    Returns
    -------
    dict of int to float
        Intensity of each action unit, known to this package or not: 1 to 5 for A to E, 0 for "present, intensity not given". An
        action unit that is listed twice has its stronger intensity.

    Raises
    ------
    FerError
        If a number is not a whole one or an intensity not from 0 to 5.
    """
    codes: dict[int, float] = {}
    for unit, intensity in numbers(data, 2):
        if not (unit > 0 and unit.is_integer()):
            raise FerError(f"{unit:g} is not the number of an action unit")
        if not (0 <= intensity <= _STRONGEST and intensity.is_integer()):
            raise FerError(f"action unit {unit:g} has intensity {intensity:g}, which is not one of 0 to 5")
        codes[int(unit)] = max(codes.get(int(unit), 0.0), float(intensity))
    return codes


def emotion(data: bytes) -> str:
    """Read an emotion code and return the expression's name.

    Raises
    ------
    FerError
        If the file does not hold one code from 0 (neutral) to 7 (surprise).
    """
    codes = numbers(data, 1)
    code = codes[0, 0]
    if len(codes) != 1:
        raise FerError(f"{len(codes)} emotion codes instead of one")
    if not (code.is_integer() and 0 <= code < len(EXPRESSIONS)):
        raise FerError(f"emotion code {code:g} is not one of 0 to {len(EXPRESSIONS) - 1}")
    return EXPRESSIONS[int(code)]
