"""Who coded the action units of some faces, on which scale, and how strongly they show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fer_lib.faces.table import AU_COLUMNS, CODING, NOT_GIVEN
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
