"""Whether the projections of a map look like an action unit (claim C2), and not only lie where it does.

A projection may lie on the mouth and look like any mouth. It looks like the unit as far as it resembles a face with the unit more than
the same face without, at the same place. Pictures are rendered, so that nothing but the unit differs
(`fer_lib.render.controls.render_interventions`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import group_numbers
from fer_lib.errors import FerError
from fer_lib.faces.hog import hog
from fer_lib.measures.arrays import Floats
from fer_lib.measures.likeness import cut
from fer_lib.probe.projections import Projections


def unit_likeness(
    projections: Projections, pictures: ArrayLike, subject: ArrayLike, au: ArrayLike, *, maps: int
) -> pd.DataFrame:
    r"""Return how much more a map's projections resemble faces with a unit than the same faces without.

    With :math:`h` the centred HOG descriptor of unit length, :math:`P_{ik}` the k-th projection of map i, and :math:`x_{pj}[w]` what the
    picture of person p with unit j (0: none) shows on the window of that projection, it is the mean over k and p of
    :math:`h(P_{ik}) \cdot h(x_{pj}[w_{ik}]) - h(P_{ik}) \cdot h(x_{p0}[w_{ik}])`.

    Parameters
    ----------
    projections
        Of the exemplars of a layer's maps, on their receptive fields.
    pictures
        As the network sees them, (N, h, w).
    subject
        Person of every picture, (N,).
    au
        The unit that is on, (N,); 0 for the person's neutral picture.
    maps
        Number of maps.

    Returns
    -------
    DataFrame
        A row for each unit (index ``AU``) and a column for each map, -2 to 2; NaN for a map without projections.

    Raises
    ------
    FerError
        If shapes do not fit, or a person lacks the neutral picture or has one twice.
    """
    grey, units = np.asarray(pictures, dtype=np.float32), np.asarray(au)
    if grey.ndim != 3 or units.shape != (len(grey),):
        raise FerError(f"pictures {grey.shape} and units {units.shape} do not fit; (N, h, w) and (N,)")
    who = group_numbers(subject, len(grey))
    neutral = np.full(int(who.max()) + 1, -1)
    neutral[who[units == 0]] = np.flatnonzero(units == 0)
    if (neutral < 0).any() or (units == 0).sum() != len(neutral):
        raise FerError("every person needs one neutral picture; give just that")
    names = np.unique(units[units != 0])
    size = projections.patch.shape[2]
    if projections.patch.shape[3] != size:
        raise FerError(f"projections of {projections.patch.shape[2:]} pixels; squares are expected")
    windows, which = np.unique(np.stack([projections.top, projections.left], 1), axis=0, return_inverse=True)
    looks = _descriptors(projections.patch.mean(axis=1))
    change = np.zeros((len(names), len(windows), looks.shape[1]))
    rows = np.flatnonzero(units != 0)
    place, count = np.searchsorted(names, units[rows]), np.bincount(np.searchsorted(names, units[rows]))
    for w, (top, left) in enumerate(windows.tolist()):
        seen = _descriptors(cut(grey, np.arange(len(grey)), top, left, size))
        np.add.at(change[:, w], place, seen[rows] - seen[neutral[who[rows]]])
    change /= count[:, None, None]
    alike = np.einsum("nd,jnd->jn", looks, change[:, which.ravel()])
    of = projections.units.map
    number = np.bincount(of, minlength=maps)
    total = np.stack([np.bincount(of, weights=row, minlength=maps) for row in alike])
    mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return pd.DataFrame(mean, index=pd.Index(names, name="AU"))


def likeness_to_own_units(likeness: pd.DataFrame, matched: pd.Series) -> pd.DataFrame:
    """Return how much matched maps look like their own unit, beside other units and other maps.

    Parameters
    ----------
    likeness
        From `unit_likeness`.
    matched
        Map of each unit (index); -1 for none.

    Returns
    -------
    DataFrame
        Index ``AU``, those with a map that projects anything: ``own``, ``other units`` (mean of the same map's likeness to them),
        ``other maps`` (mean of all maps' likeness to the unit).
    """
    there = [
        unit
        for unit in likeness.index
        if matched.get(unit, -1) >= 0 and likeness[matched[unit]].notna().all()
    ]
    rows = [
        (
            likeness.loc[unit, matched[unit]],
            likeness[matched[unit]].drop(unit).mean(),
            likeness.loc[unit].mean(),
        )
        for unit in there
    ]
    return pd.DataFrame(
        rows, index=pd.Index(there, name="AU"), columns=["own", "other units", "other maps"], dtype=float
    )


def _descriptors(grey: NDArray[np.floating]) -> Floats:
    """Centred HOG descriptors of unit length, or of length 0 where a picture is flat."""
    found = hog(grey).astype(np.float64)
    found -= found.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.where(norm > 0, norm, 1.0)
