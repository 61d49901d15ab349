"""What earlier steps stored, as the later ones read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.network.splits import Split, divide, with_unlabelled

BATCH = 64
"""Pictures that a network is shown at a time; changes no bit of a result."""


@dataclass(frozen=True)
class Labelled:
    """The table of stored pictures, and the class of each.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each picture.
    labels : numpy.ndarray
        (N,) int64; -1 for a picture without an expression label.
    expressions : tuple of str
        Names of the classes.
    """

    table: pd.DataFrame
    labels: np.ndarray
    expressions: tuple[str, ...]

    @classmethod
    def load(cls, pictures: Artifact, *, neutral: bool) -> Self:
        """Read the table; `neutral`: first frames form a class."""
        table = frames.saved_table(pictures.path)
        expressions = frames.expressions_of(table, neutral=neutral)
        return cls(table, frames.labels_of(table, expressions), expressions)

    def split(self, division: Division) -> Split:
        """Divide the labelled pictures; see `fer_lib.network.splits.divide`."""
        return divide(self.table, self.labels, division)

    def split_of_all(self, division: Division) -> Split:
        """Divide all pictures; see `fer_lib.network.splits.with_unlabelled`."""
        return with_unlabelled(self.table, self.labels, division)
