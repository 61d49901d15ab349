"""Who coded the action units of some faces, on which scale, and how strongly they show."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from fer_lib.errors import FerError
from fer_lib.faces.table import AU_COLUMNS, CODING, NOT_GIVEN, Faces
from fer_lib.faces.tool_formats import SCALES
from fer_lib.facs import AUS


def codings_of(table: pd.DataFrame) -> pd.DataFrame:
    """Count the pictures that each coder or program coded.

    Parameters
    ----------
    table : pandas.DataFrame
        A table of :class:`fer_lib.faces.table.Faces`.

    Returns
    -------
    pandas.DataFrame
        One row for each origin, scale and threshold: ``origin``, ``scale``, ``threshold`` (NaN: none) and ``pictures`` that are coded for
        one action unit at least; without rows where nobody coded any.
    """
    coded = table[table[list(AU_COLUMNS)].notna().any(axis=1)]
    return coded.groupby(list(CODING), dropna=False).size().rename("pictures").reset_index()


def intensities_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return how strongly action units show, where that was coded.

    Parameters
    ----------
    table : pandas.DataFrame
        A table of :class:`fer_lib.faces.table.Faces`.

    Returns
    -------
    pandas.DataFrame
        One column for each AU (int): 0 to 5, by a coder's letters or a program's own numbers on that scale; NaN where only presence is
        known, or nothing. Rows as in `table`.
    """
    graded = ((table["scale"] == SCALES["intensity"].name) & table["threshold"].isna()).to_numpy()
    codes = table[list(AU_COLUMNS)].to_numpy(float)
    # A column whose units are present without an intensity says nothing of intensities where they are absent either.
    presence = (codes == NOT_GIVEN).any(axis=0) & ~(codes > 0).any(axis=0)
    known = graded[:, None] & ~presence & (codes != NOT_GIVEN)
    found = pd.DataFrame(
        np.where(known, codes, np.nan), index=table.index, columns=pd.Index(list(AUS), name="AU")
    )
    for number in AUS:
        if (name := f"AU{number}_intensity") in table:
            found[number] = found[number].fillna(table[name])
    return found


def shared_pictures(first: Faces, second: Faces) -> tuple[Faces, Faces]:
    """Return the faces of both codings whose pictures are the same files, row by row.

    Parameters
    ----------
    first, second : Faces
        Two tables of the same pictures.

    Returns
    -------
    tuple of Faces
        In the order of `first`.

    Raises
    ------
    FerError
        If they have no picture in common.
    """
    rows, others = (
        {os.path.realpath(faces.root / path): row for row, path in enumerate(faces.table["path"])}
        for faces in (first, second)
    )
    both = [(row, others[file]) for file, row in rows.items() if file in others]
    if not both:
        raise FerError(
            f"{first.root} and {second.root}: the two codings have no picture in common; their paths have to lead to the same files"
        )
    return first.take([row for row, _ in both]), second.take([row for _, row in both])
