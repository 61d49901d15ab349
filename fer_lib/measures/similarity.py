"""Whether the strongest patches of a map look alike (claim C1).

Likeness is measured on the pixels, without the network. Faces are aligned, so any patches from one place of the
face look alike; the level that the place alone reaches stands beside the measure.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_lib.errors import FerError
from fer_lib.faces.hog import hog

Measure = Literal["hog", "zncc"]
Floats = NDArray[np.float64]


def cut(
    frames: ArrayLike, picture: ArrayLike, top: ArrayLike, left: ArrayLike, size: int
) -> NDArray[np.float32]:
    """Cut squares out of pictures.

    Parameters
    ----------
    frames
        Pictures as the network sees them, shape (N, h, w).
    picture, top, left
        Picture and first row and column of every square, all of one shape (...); squares may reach beyond the
        frame, where they hold 0, the mean grey of a standardised picture, as the network's padding does.
    size
        Side in pixels.

    Returns
    -------
    ndarray
        Shape (..., size, size), float32; 0 where `picture` is -1.
    """
    grey = np.asarray(frames, dtype=np.float32)
    index, top, left = (np.asarray(values)[..., None, None] for values in (picture, top, left))
    row, column = top + np.arange(size)[:, None], left + np.arange(size)
    _, height, width = grey.shape
    inside = (index >= 0) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(inside, grey[index, row.clip(0, height - 1), column.clip(0, width - 1)], np.float32(0))


def likeness(patches: ArrayLike, people: ArrayLike | None = None, *, measure: Measure = "hog") -> Floats:
    """Return how alike the patches of each set are: the mean similarity of all pairs.

    Parameters
    ----------
    patches
        Shape (M, n, h, w), M sets of n grey patches.
    people
        Who is on each patch, shape (M, n), any whole numbers; -1 for a patch that does not exist. Pairs of one
        person are left out: two frames of one sequence are alike whatever the map detects. Without it all pairs
        count.
    measure
        `"hog"`: correlation of HOG descriptors, that is the cosine between centred ones, which ignores brightness
        and small shifts. (HOG is never negative, so that without centring unrelated patches reach 0.9.)
        `"zncc"`: zero-mean normalised cross-correlation of the pixels. Both lie between -1 and 1; a flat patch
        has similarity 0 to any other.

    Returns
    -------
    ndarray
        Shape (M,); NaN for a set without any pair of two people.
    """
    grey = np.asarray(patches, dtype=np.float32)
    if grey.ndim != 4:
        raise FerError(f"patches have shape {grey.shape}; (sets, patches, height, width) is expected")
    if measure not in get_args(Measure):
        raise FerError(f"measure {measure!r} is unknown; choose one of {', '.join(get_args(Measure))}")
    sets, n, *size = grey.shape
    who = np.tile(np.arange(n), (sets, 1)) if people is None else np.asarray(people)
    if who.shape != (sets, n):
        raise FerError(
            f"people have shape {who.shape} and patches {grey.shape}; one person per patch is expected"
        )
    flat = hog(grey.reshape(-1, *size)) if measure == "hog" else grey.reshape(sets * n, -1)
    flat = _centred(flat)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = (flat / np.where(norm > 0, norm, 1)).reshape(sets, n, -1)
    pairs = unit @ unit.swapaxes(1, 2)
    counts = (who[:, :, None] != who[:, None]) & (who[:, :, None] >= 0) & (who[:, None] >= 0)
    total, number = (pairs * counts).sum(axis=(1, 2), dtype=np.float64), counts.sum(axis=(1, 2))
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def place_level(
    frames: ArrayLike,
    top: ArrayLike,
    left: ArrayLike,
    size: int,
    people: ArrayLike,
    *,
    draws: int = 20,
    seed: int = 0,
    measure: Measure = "hog",
) -> Floats:
    """Return how alike patches of random pictures at the same places are, the level that alignment alone reaches.

    Parameters
    ----------
    frames
        Pictures to draw from, shape (N, h, w), at least n.
    top, left
        Places of each set's patches, shape (M, n). Every draw puts n different random pictures at them.
    size
        Side in pixels.
    people
        Person of every picture, shape (N,).
    draws, seed
        Random sets for each set, and their seed.
    measure
        As in `likeness`.

    Returns
    -------
    ndarray
        Shape (M, draws).
    """
    who, top, left = np.asarray(people), np.asarray(top), np.asarray(left)
    sets, n = top.shape
    if len(who) < n or draws < 1:
        raise FerError(f"{draws} draws of {n} pictures out of {len(who)} are impossible; give more pictures")
    generator = np.random.default_rng(seed)
    out = np.empty((sets, draws))
    for draw in range(draws):
        chosen = generator.random((sets, len(who))).argpartition(n - 1, axis=1)[:, :n]
        out[:, draw] = likeness(cut(frames, chosen, top, left, size), who[chosen], measure=measure)
    return out


def _centred(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = flat - flat.mean(axis=1, keepdims=True)
    # What rounding leaves of a flat patch is no pattern.
    flat_patch = np.abs(centred).max(axis=1, initial=0) <= 1e-6 * np.abs(flat).max(axis=1, initial=0)
    return np.where(flat_patch[:, None], np.float32(0), centred)
