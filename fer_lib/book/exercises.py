"""The checks of the exercises: say whether an answer is right, and give a hint if it is not."""

from __future__ import annotations

from typing import Any

import numpy as np


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
        print("No answer yet: replace None and run the cell again.")
        return False
    if isinstance(wanted, set | str | bool):
        right = answer == wanted
    else:
        given = np.asarray(answer)
        right = given.shape == wanted.shape and bool(np.all(np.abs(given - wanted) <= tolerance))
    print("Right." if right else f"Not yet. {hint}".rstrip())
    return bool(right)
