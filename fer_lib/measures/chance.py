"""What the largest distance D of all maps reaches by chance: the bar for the map that D chooses."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fer_lib.errors import FerError
from fer_lib.measures.detectors import shuffles_within
from fer_lib.measures.distance import Floats, Zero, check_table, distance

_CHUNK = 2**25  # responses that are looked at in one go


def largest_by_chance(
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
    """Give every sequence the action units of another one of its group, and record the largest D of all maps.

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
        Shape (permutations, J); NaN for a unit that no map can be judged on.

    Raises
    ------
    FerError
        When no picture moves, or fewer than one permutation is asked for.
    """
    values, labels = check_table(maxima, present)
    moving = np.asarray(moves, dtype=bool)
    if not moving.any() or permutations < 1:
        raise FerError(f"{moving.sum()} moving pictures and {permutations} permutations give no null")
    where = np.unique(np.asarray(sequence)[moving], return_inverse=True)[1]
    first = np.flatnonzero(moving)[np.unique(where, return_index=True)[1]]
    vectors = labels[first]
    kind = np.unique(np.isnan(vectors), axis=0, return_inverse=True)[1].ravel()
    subject = np.unique(np.asarray(within)[first], return_inverse=True)[1]
    rows = shuffles_within(
        subject * (kind.max() + 1) + kind, permutations, np.random.default_rng(seed)
    )  # (B, sequences)
    by_map = torch.from_numpy(np.ascontiguousarray(values.T))  # (C, N)
    out = np.full((permutations, labels.shape[1]), np.nan)
    step = max(1, _CHUNK // by_map.numel())
    for unit in range(labels.shape[1]):
        for start in range(0, permutations, step):
            part = rows[start : start + step]
            label = np.repeat(labels[None, :, unit], len(part), axis=0)
            label[:, moving] = vectors[part, unit][:, where]
            d = distance(_top(by_map, label == 1, n), _top(by_map, label == 0, n), zero=zero)  # (b, C)
            known = np.where(np.isnan(d), -np.inf, d).max(axis=1)
            out[start : start + len(part), unit] = np.where(np.isnan(d).all(axis=1), np.nan, known)
    return out


def _top(by_map: torch.Tensor, chosen: NDArray[np.bool_], n: int) -> Floats:
    """Return the n largest responses (b, C, n) of the pictures chosen in each of b draws; NaN beyond their number."""
    masked = by_map.masked_fill(~torch.from_numpy(chosen)[:, None], -torch.inf)
    top = masked.topk(min(n, by_map.shape[1]), dim=2).values.numpy()
    return np.where(np.isinf(top), np.nan, top)
