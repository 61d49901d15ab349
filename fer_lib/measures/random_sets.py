"""Random sets of maps that are as loud as chosen ones: what a removed or patched set is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import at_least, generator
from fer_lib.errors import FerError


def matched_sets(
    chosen: ArrayLike, loud: ArrayLike, *, draws: int = 200, neighbours: int = 10, seed: int = 0
) -> NDArray[np.bool_]:
    """Draw random sets of maps that are as loud as the chosen ones: of each class of loudness as many.

    Maps are sorted by loudness and divided into classes of `neighbours` maps. Within its class each map is as likely to be drawn as any
    other, the chosen ones too: a set that tells nothing but by its loudness is then one of the sets that may be drawn, which makes a
    p value from them exact. (Sets without the chosen maps are quieter than these where they are the loudest, and reject too often.)

    Parameters
    ----------
    chosen
        Maps to match, shape (m,), all different.
    loud
        Loudness of every map, shape (C,).
    draws
        Sets to draw, at least 1.
    neighbours
        Maps of nearly the same loudness that make a class; a few classes have more, as the number of maps asks.
    seed
        Of the draws.

    Returns
    -------
    ndarray
        Shape (draws, C), m maps in each row.

    Raises
    ------
    FerError
        When a map does not exist or more than half of them are chosen.
    """
    maps, values = np.asarray(chosen, dtype=np.int64), np.asarray(loud, dtype=np.float64)
    if not len(maps) or maps.min() < 0 or maps.max() >= len(values):
        raise FerError(
            f"chosen maps {maps.tolist()} do not exist among {len(values)}; give at least one that does"
        )
    if 2 * len(maps) > len(values):
        raise FerError(
            f"{len(maps)} of {len(values)} maps are chosen: too few are left to compare with; choose fewer"
        )
    at_least("draws", draws)
    at_least("neighbours", neighbours)
    order = np.argsort(values, kind="stable")
    classes = np.array_split(order, max(1, len(values) // neighbours))
    rng = generator(seed)
    sets = np.zeros((draws, len(values)), dtype=bool)
    for alike in classes:
        count = int(np.isin(alike, maps).sum())
        drawn = rng.permuted(np.tile(alike, (draws, 1)), axis=1)[:, :count]
        np.put_along_axis(sets, drawn, True, axis=1)
    return sets


def exchanges(loud: ArrayLike, *, draws: int = 200, neighbours: int = 10, seed: int = 0) -> NDArray[np.int64]:
    """Let maps of the same loudness change places, at random: what several chosen sets at once are compared with.

    Where `matched_sets` matches one set, this moves all sets alike, so that what they have in common they keep.

    Parameters
    ----------
    loud, draws, neighbours, seed
        As there.

    Returns
    -------
    ndarray
        Shape (draws, C): in each row every map once, each in the place of one of its class.
    """
    values = np.asarray(loud, dtype=np.float64)
    at_least("draws", draws)
    at_least("neighbours", neighbours)
    order = np.argsort(values, kind="stable")
    rng = generator(seed)
    moved = np.empty((draws, len(values)), dtype=np.int64)
    for alike in np.array_split(order, max(1, len(values) // neighbours)):
        moved[:, alike] = rng.permuted(np.tile(alike, (draws, 1)), axis=1)
    return moved
