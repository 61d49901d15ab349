"""What the largest distance D of many maps reaches by chance: action units change places among the sequences of a subject."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import at_least, generator, group_numbers
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.arrays import BLOCK, Floats, check_responses, map_blocks
from fer_lib.measures.distance import Zero, distance
from fer_lib.measures.nulls import shuffles_within

_PREFIX = 8192  # of each map's strongest pictures, among which the n strongest with or without a unit are looked for first


def largest_distances(
    maxima: ArrayLike,
    present: ArrayLike,
    sequence: ArrayLike,
    within: ArrayLike,
    moves: ArrayLike,
    *,
    n: int = 9,
    zero: Zero = "floor",
    permutations: int = 500,
    seed: int = 0,
) -> Floats:
    """Give every sequence the action units of another one of its group, and record the largest D of all maps: the bar for the winner.

    A sequence hands on its action units as a whole to all its pictures; sequences that are coded for different
    units are not exchanged.

    Parameters
    ----------
    maxima
        Largest response of every picture on every map, shape (N, C), >= 0.
    present
        Labels 1, 0 or NaN, shape (N, J), the same for all moving pictures of a sequence.
    sequence, within
        Sequence of every picture, and the group that its action units stay in (the subject), shape (N,).
    moves
        Whether a picture carries its sequence's action units, shape (N,); neutral first frames keep their labels.
    n, zero
        As in `fer_lib.measures.distance.distances`.
    permutations, seed
        How many, and their seed.

    Returns
    -------
    ndarray
        Shape (permutations, J); NaN for a unit without a defined distance on any map.

    Raises
    ------
    FerError
        When no picture moves, or fewer than one permutation is asked for.
    """
    values, labels = check_responses(maxima, present)
    moving = np.asarray(moves, dtype=bool)
    if not moving.any():
        raise FerError(
            "no picture moves, so that there is no null; give the pictures that carry action units"
        )
    at_least("permutations", permutations)
    for name, groups in (("sequence", sequence), ("within", within)):
        group_numbers(groups, len(values), name)
    where = np.unique(np.asarray(sequence)[moving], return_inverse=True)[1]
    first = np.flatnonzero(moving)[np.unique(where, return_index=True)[1]]
    vectors = labels[first]
    kind = np.unique(np.isnan(vectors), axis=0, return_inverse=True)[1].ravel()
    subject = np.unique(np.asarray(within)[first], return_inverse=True)[1]
    groups, rng = subject * (kind.max() + 1) + kind, generator(seed)
    ranked = RankedResponses(values)
    out = np.full((permutations, labels.shape[1]), np.nan)
    step = max(1, BLOCK // max(len(values), 64 * values.shape[1]))
    for start in range(0, permutations, step):
        rows = shuffles_within(groups, min(step, permutations - start), rng)  # (b, sequences)
        for unit in range(labels.shape[1]):
            label = np.repeat(labels[None, :, unit], len(rows), axis=0)
            label[:, moving] = vectors[rows, unit][:, where]
            d = distance(ranked.top(label == 1, n), ranked.top(label == 0, n), zero=zero)  # (b, C)
            known = np.where(np.isnan(d), -np.inf, d).max(axis=1)
            out[start : start + len(rows), unit] = np.where(np.isnan(d).all(axis=1), np.nan, known)
    return out


def above_null(distances: pd.DataFrame, nulls: Mapping[int, Floats], quantile: float = 0.95) -> list[int]:
    """Return the action units whose largest distance so few draws of its null reach that p is at most 1 - `quantile`.

    Parameters
    ----------
    distances
        D of every action unit (index) on every map (columns).
    nulls
        Largest distances by chance (B,) of some of the units; see `largest_distances`.
    quantile
        Between 0 and 1.

    Raises
    ------
    Lacking
        If there is no null.
    """
    if not nulls:
        raise Lacking("nobody has two sequences whose action units could change places, so there is no null")
    p = distance_p_values([distances.loc[au].max() for au in nulls], np.stack(list(nulls.values()), axis=1))
    return [au for au, reached in zip(nulls, p, strict=True) if reached <= 1 - quantile + 1e-12]


def distance_p_values(largest: ArrayLike, null: ArrayLike) -> Floats:
    """Return p of the largest distance of each action unit.

    Parameters
    ----------
    largest
        Largest D of all maps, shape (J,).
    null
        The same by chance, shape (B, J); see `largest_distances`.

    Returns
    -------
    ndarray
        Share of the draws that reach it, itself counted among them, shape (J,): at least 1 / (B + 1). NaN where either is.
    """
    observed, drawn = np.asarray(largest, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if drawn.ndim != 2 or observed.shape != drawn.shape[1:] or not len(drawn):
        raise FerError(
            f"largest distances {observed.shape} and their null {drawn.shape} do not fit; (J,), (B, J) expected"
        )
    known = ~(np.isnan(observed) | np.isnan(drawn).any(axis=0))
    return np.where(known, (1 + (drawn >= observed).sum(axis=0)) / (len(drawn) + 1), np.nan)


class RankedResponses:
    """Every map's largest responses in order, from which those of any choice of pictures are soon found.

    Parameters
    ----------
    values : (N, C) array
        Responses.
    """

    def __init__(self, values: NDArray[np.floating]) -> None:
        self.values = values
        self.order = np.empty((values.shape[1], min(len(values), _PREFIX)), np.int64)
        for maps in map_blocks(values):
            some = values[:, maps].T
            most = np.argpartition(-some, self.order.shape[1] - 1, axis=1)[:, : self.order.shape[1]]
            sorting = np.argsort(-np.take_along_axis(some, most, axis=1), axis=1)
            self.order[maps] = np.take_along_axis(most, sorting, axis=1)
        self.ordered = values[self.order, np.arange(values.shape[1])[:, None]]

    def top(self, chosen: NDArray[np.bool_], n: int) -> Floats:
        """Return the n largest responses (b, C, n) of the pictures chosen in each of b draws, (b, N); NaN beyond their number."""
        count, maps = len(chosen), len(self.order)
        n = min(n, len(self.values))
        wanted = np.minimum(chosen.sum(axis=1), n).repeat(maps)  # of every pair of a draw and a map
        top, found = np.full((count * maps, n), np.nan), np.zeros(count * maps, np.int64)
        pairs, start, width = np.flatnonzero(wanted), 0, 4 * n
        while len(pairs) and start < self.order.shape[1]:
            draw, map = np.divmod(pairs, maps)
            hit = chosen[draw[:, None], self.order[map, start : start + width]]
            rank = found[pairs, None] + hit.cumsum(axis=1)
            row, place = np.nonzero(hit & (rank <= n))
            top[pairs[row], rank[row, place] - 1] = self.ordered[map[row], start + place]
            found[pairs] = rank[:, -1]
            pairs = pairs[found[pairs] < wanted[pairs]]
            start, width = start + width, 2 * width
        for draw in np.unique(pairs // maps):
            # Of what is rare, or missing among the strongest, all pictures are looked at.
            rows, own = np.flatnonzero(chosen[draw]), pairs[pairs // maps == draw]
            kept = wanted[own[0]]
            for part in np.array_split(own, min(len(own), 1 + len(rows) * len(own) // BLOCK)):
                some = -self.values[rows[:, None], part % maps]
                top[part, :kept] = -np.sort(np.partition(some, kept - 1, axis=0)[:kept], axis=0).T
        return top.reshape(count, maps, n)
