"""What a network is trained and tested on: the class and the person of each picture, and on which side it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

_ROWS, _REST = "examples.parquet", "examples.json"


@dataclass(frozen=True)
class Examples:
    """Pictures by the number that they have among their crops.

    Attributes
    ----------
    labels : numpy.ndarray
        (N,) int64, the class of each picture; -1 for a picture without an expression label.
    subjects : numpy.ndarray
        (N,) names of the people.
    train, test : numpy.ndarray
        Ascending numbers (int64) of the pictures that train, and of those that test.
    classes : int
        Number of classes.
    """

    labels: np.ndarray
    subjects: np.ndarray
    train: np.ndarray
    test: np.ndarray
    classes: int

    def save(self, folder: Path, *, crops: dict[str, str]) -> None:
        """Write them to a folder, with the digests of the files that hold the crops: the same examples are the same bytes."""
        rows = np.arange(len(self.labels))
        columns = {"label": self.labels, "subject": self.subjects.astype(str)}
        sides = {name: np.isin(rows, side) for name, side in (("train", self.train), ("test", self.test))}
        pd.DataFrame(columns | sides).to_parquet(folder / _ROWS)
        (folder / _REST).write_text(json.dumps({"classes": self.classes, "crops": crops}, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        table = pd.read_parquet(folder / _ROWS)
        train, test = (np.flatnonzero(table[side]) for side in ("train", "test"))
        classes = json.loads((folder / _REST).read_text())["classes"]
        return cls(table["label"].to_numpy(), table["subject"].to_numpy(), train, test, classes)
