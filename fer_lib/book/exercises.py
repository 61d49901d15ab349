"""The checks of the exercises: say whether an answer is right, and give a hint if it is not.

An exercise without an answer shows a box instead, in which a reader of the book answers without a kernel.
"""

from __future__ import annotations

import base64
import json
import re
from importlib import resources
from string import Template
from typing import Any

import numpy as np
from IPython.display import HTML, display

_ROUNDED = 0.005
"""Share of a number that is no count by which an answer in the box may be off."""


def check(answer: Any, truth: Any, *, hint: str = "", tolerance: float = 0.0) -> bool:
    """Compare an answer with the truth, print the outcome and return whether it is right.

    Parameters
    ----------
    answer : Any
        What the reader found; None while there is no answer.
    truth : Any
        A number, an array, a set, a word; or True where the answer has been tested already.
    hint : str
        Printed with a wrong answer.
    tolerance : float
        Largest difference of numbers that counts as right.
    """
    # Looked at first: a truth that was left out for lack of data (`fer_lib.book.left_out`) is no exercise.
    wanted = truth if isinstance(truth, set | str | bool) else np.asarray(truth)
    if answer is None:
        print("No answer yet: give it in place of None and run the cell again.")
        if (box := answer_box(truth, hint=hint, tolerance=tolerance)) is not None:
            display(box)
        return False
    if isinstance(wanted, set | str | bool):
        right = answer == wanted
    else:
        given = np.asarray(answer)
        right = given.shape == wanted.shape and bool(np.all(np.abs(given - wanted) <= tolerance))
    print("Right." if right else f"Not yet. {hint}".rstrip())
    return bool(right)


def answer_box(truth: Any, *, hint: str = "", tolerance: float = 0.0) -> HTML | None:
    """Return a box that checks an answer in the page; None for a truth that cannot be typed, such as an array.

    Parameters
    ----------
    truth, hint, tolerance
        As for `check`. Numbers that are no counts are right within half a percent, too; of a set the members are given in any order,
        between blanks or commas.
    """
    if isinstance(truth, bool):
        return None
    if isinstance(truth, set | str):
        members = truth if isinstance(truth, set) else {truth}
        # Taken apart as the box takes an answer apart: "AU 1" is two words, in any order.
        words = re.split(r"[\s,;{}'\"]+", " ".join(str(member).lower() for member in members))
        content = {"kind": "words", "truth": sorted(filter(None, words)), "tolerance": 0.0}
    else:
        value = np.asarray(truth)
        if value.ndim or not np.isfinite(value):
            return None
        # A count is right or wrong; other numbers are read off the page, rounded.
        whole = np.issubdtype(value.dtype, np.integer)
        near = max(tolerance, 0.4 if whole else _ROUNDED * abs(float(value)), 1e-9)
        content = {"kind": "number", "truth": float(value), "tolerance": near}
    coded = base64.b64encode(json.dumps(content | {"hint": hint}).encode()).decode()
    mode = ' inputmode="decimal"' if content["kind"] == "number" else ""
    page = resources.files("fer_lib.book").joinpath("answer.html").read_text(encoding="utf-8")
    return HTML(Template(page).substitute(coded=coded, mode=mode))
