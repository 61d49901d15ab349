"""What is wrong with a user's files, collected beside what could be read of them."""

from __future__ import annotations

import pandas as pd


class Problems:
    """What is wrong with a user's files, collected so that one bad file does not hide the next."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str]] = []

    def add(self, path: str, problem: str, consequence: str) -> None:
        """Note that `path` has a `problem`, and what follows from it for the faces."""
        self._rows.append((printable(path), printable(problem), consequence))

    def __len__(self) -> int:
        return len(self._rows)

    def table(self) -> pd.DataFrame:
        """Return the problems as a table with columns path, problem and consequence."""
        return pd.DataFrame(self._rows, columns=["path", "problem", "consequence"], dtype=str)


def printable(name: str) -> str:
    """Return a name of a file on one line of valid text: what cannot be printed or is no UTF-8 is escaped as Python escapes it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def one_line(error: Exception) -> str:
    """Return what an exception says, on one line; its kind where it says nothing."""
    return printable(" ".join(str(error).split())) or type(error).__name__
