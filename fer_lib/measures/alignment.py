"""Whether the projections of a map lie where its action unit moves the face (claim C2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.arrays import Floats, check_maps
from fer_lib.measures.comparisons import Comparison, against_draws, nothing
from fer_lib.network.stack import Field
from fer_lib.probe.projections import Projections, overlap

OTHER_MAPS = "other maps of the network"


def energy_at_random(
    projections: Projections, field: Field, shape: tuple[int, int], height: int, width: int
) -> Floats:
    """Return the energy that units at random places would project: the mean square of all patches at every place of a map.

    Parameters
    ----------
    projections
        Of any units of a layer.
    field
        Receptive field of the layer.
    shape
        Height and width of its maps.
    height, width
        Of the network's input, in pixels.

    Returns
    -------
    ndarray
        Shape (height, width).
    """
    patch = (np.asarray(projections.patch, float) ** 2).sum(axis=1).mean(axis=0)
    rows, columns = ([field.offset + field.stride * i for i in range(count)] for count in shape)
    energy = np.zeros((height, width))
    for top in rows:
        for left in columns:
            (y, in_y), (x, in_x) = overlap(top, len(patch), height), overlap(left, len(patch), width)
            energy[y, x] += patch[in_y, in_x]
    return energy


def with_regions(aus: Sequence[int], drawn: ArrayLike) -> list[int]:
    """Return those of some action units whose region is known, as they are drawn alone.

    Raises
    ------
    Lacking
        If there is none.
    """
    known = set(np.asarray(drawn).tolist())
    found = [au for au in aus if au in known]
    if not found:
        named = ", ".join(f"AU {au}" for au in aus)
        raise Lacking(f"of the action units that are coded often enough ({named}) none can be rendered alone")
    return found


def energy_in_regions(energy: ArrayLike, regions: ArrayLike) -> Floats:
    """Return the share of each map's projected energy that falls on each action unit's region.

    Parameters
    ----------
    energy
        Projected energy of each map in the network's input, shape (C, h, w), not negative.
    regions
        1 where the unit moves the skin, 0 elsewhere, shape (J, h, w).

    Returns
    -------
    ndarray
        Shape (J, C), 0 to 1; NaN for a map without energy. The region's share of the input is what a blind map would reach.
    """
    flat, area = (np.asarray(given, dtype=np.float64) for given in (energy, regions))
    if flat.ndim != 3 or flat.shape[1:] != area.shape[1:]:
        raise FerError(f"energy {flat.shape} and regions {area.shape} are not of the same input (h, w)")
    pixels = flat.shape[1] * flat.shape[2]
    flat, area = flat.reshape(len(flat), pixels), area.reshape(len(area), pixels)
    total = flat.sum(axis=1)
    return np.where(total > 0, (area @ flat.T) / np.where(total > 0, total, 1), np.nan)


def region_alignment(
    energy: ArrayLike,
    untrained_energy: ArrayLike,
    random_energy: ArrayLike,
    regions: ArrayLike,
    *,
    aus: Sequence[int],
    matched: ArrayLike,
    untrained_matched: ArrayLike,
) -> pd.DataFrame:
    """Compare how much of the matched maps' projected energy lies in the regions of their action units with three controls.

    Parameters
    ----------
    energy, untrained_energy
        Projected energy of each map, shape (C, h, w), of the network and of the same network before training; see
        `fer_lib.probe.projections.Projections.energy`.
    random_energy
        What units at random places would project, shape (h, w); see `energy_at_random`.
    regions
        Where each action unit moves the skin, shape (J, h, w).
    aus
        Numbers of the J action units.
    matched, untrained_matched
        Map that was matched to each action unit in either network, shape (J,); -1 for none.

    Returns
    -------
    DataFrame
        Index `AU`, those with a matched map that projects anything; columns `matched` (share of the matched map's energy inside
        the unit's region), `other maps` (mean over all maps), `untrained` (of the map matched in the untrained network; NaN for
        none), `random place`. All from 0 to 1.
    """
    inside = energy_in_regions(energy, regions)
    before = energy_in_regions(untrained_energy, regions)

    def own(shares: Floats, maps: ArrayLike) -> Floats:
        best = check_maps(maps, *shares.shape)
        return np.where(best >= 0, shares[np.arange(len(shares)), best], np.nan)

    alive = ~np.isnan(inside).all(axis=0)
    table = pd.DataFrame(
        {
            "matched": own(inside, matched),
            "other maps": inside[:, alive].mean(axis=1) if alive.any() else np.nan,
            "untrained": own(before, untrained_matched),
            "random place": energy_in_regions(np.asarray(random_energy)[None], regions)[:, 0],
        },
        index=pd.Index(list(aus), name="AU"),
    )
    return table.dropna(subset=["matched"])


def other_maps(inside: ArrayLike, matched: ArrayLike, *, draws: int = 5000, seed: int = 0) -> Comparison:
    """Compare the matched maps with maps that are drawn for each action unit at random.

    Parameters
    ----------
    inside
        Share of each map's projected energy in each unit's region, shape (J, C); see `energy_in_regions`.
    matched
        Map of each unit, shape (J,); -1 for none, which is left out.
    draws, seed
        Random assignments of maps to units, and their seed.

    Returns
    -------
    Comparison
        Of the means over units; NaN without a unit.
    """
    shares, best = np.asarray(inside, dtype=np.float64), np.asarray(matched)
    alive = np.flatnonzero(~np.isnan(shares).all(axis=0))
    there = np.flatnonzero((best >= 0) & np.isin(best, alive))
    if not len(there):
        return nothing(OTHER_MAPS)
    random = alive[np.random.default_rng(seed).integers(len(alive), size=(draws, len(there)))]
    return against_draws(OTHER_MAPS, shares[there, best[there]].mean(), shares[there, random].mean(axis=1))
