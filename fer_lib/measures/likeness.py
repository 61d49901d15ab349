"""Whether the squares that excite a map most look alike (claim C1).

Likeness is the mean similarity of pairs of squares, measured on the pixels, without the network. Faces are aligned, so any squares
from one place of the face look alike; the level that the place alone reaches stands beside the measure.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.errors import FerError, Lacking
from fer_lib.faces.hog import hog
from fer_lib.measures.distance import Floats, check_choice
from fer_lib.network.stack import Field
from fer_lib.probe.responses import Exemplars, Responses

Similarity = Literal["hog", "zncc"]


def cut(
    pictures: ArrayLike, picture: ArrayLike, top: ArrayLike, left: ArrayLike, size: int
) -> NDArray[np.float32]:
    """Cut squares out of pictures.

    Parameters
    ----------
    pictures
        As the network sees them, shape (N, h, w).
    picture, top, left
        Number of the picture and first row and column of every square, all of one shape (...); squares may reach beyond the
        picture, where they hold 0, the mean grey of a standardised picture, as the network's padding does.
    size
        Side in pixels.

    Returns
    -------
    ndarray
        Shape (..., size, size), float32; 0 where `picture` is -1.
    """
    grey = np.asarray(pictures, dtype=np.float32)
    index, top, left = (np.asarray(values)[..., None, None] for values in (picture, top, left))
    row, column = top + np.arange(size)[:, None], left + np.arange(size)
    _, height, width = grey.shape
    inside = (index >= 0) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(inside, grey[index, row.clip(0, height - 1), column.clip(0, width - 1)], np.float32(0))


def mean_similarity(
    patches: ArrayLike, subject: ArrayLike | None = None, *, similarity: Similarity = "hog"
) -> Floats:
    """Return how alike the patches of each set are: the mean similarity of all pairs.

    Parameters
    ----------
    patches
        Shape (M, n, h, w), M sets of n grey patches.
    subject
        Who is on each patch, shape (M, n), any whole numbers; -1 for a patch that does not exist. Pairs of one
        person are left out: two frames of one sequence are alike whatever the map detects. Without it all pairs
        count.
    similarity
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
    check_choice("similarity", similarity, Similarity)
    sets, n, *size = grey.shape
    who = np.tile(np.arange(n), (sets, 1)) if subject is None else np.asarray(subject)
    if who.shape != (sets, n):
        raise FerError(
            f"subjects have shape {who.shape} and patches {grey.shape}; one person per patch is expected"
        )
    flat = hog(grey.reshape(-1, *size)) if similarity == "hog" else grey.reshape(sets * n, -1)
    flat = _centred(flat)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = (flat / np.where(norm > 0, norm, 1)).reshape(sets, n, -1)
    pairs = unit @ unit.swapaxes(1, 2)
    counts = (who[:, :, None] != who[:, None]) & (who[:, :, None] >= 0) & (who[:, None] >= 0)
    total, number = (pairs * counts).sum(axis=(1, 2), dtype=np.float64), counts.sum(axis=(1, 2))
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def similarity_at_place(
    pictures: ArrayLike,
    top: ArrayLike,
    left: ArrayLike,
    size: int,
    subject: ArrayLike,
    *,
    draws: int = 20,
    seed: int = 0,
    similarity: Similarity = "hog",
) -> Floats:
    """Return how alike patches of random pictures at the same places are, the level that alignment alone reaches.

    Parameters
    ----------
    pictures
        To draw from, shape (N, h, w), at least n.
    top, left
        Places of each set's patches, shape (M, n). Every draw puts n different random pictures at them.
    size
        Side in pixels.
    subject
        Person of every picture, whole numbers, shape (N,).
    draws, seed
        Random sets for each set, and their seed.
    similarity
        As in `mean_similarity`.

    Returns
    -------
    ndarray
        Shape (M, draws).
    """
    who, top, left = np.asarray(subject), np.asarray(top), np.asarray(left)
    sets, n = top.shape
    if len(who) < n or draws < 1:
        raise FerError(f"{draws} draws of {n} pictures out of {len(who)} are impossible; give more pictures")
    rng = np.random.default_rng(seed)
    out = np.empty((sets, draws))
    for draw in range(draws):
        chosen = rng.random((sets, len(who))).argpartition(n - 1, axis=1)[:, :n]
        squares = cut(pictures, chosen, top, left, size)
        out[:, draw] = mean_similarity(squares, who[chosen], similarity=similarity)
    return out


def exemplar_likeness(
    pictures: ArrayLike,
    subject: ArrayLike,
    train: ArrayLike,
    responses: Responses,
    exemplars: Exemplars,
    untrained: Exemplars,
    field: Field,
    *,
    similarity: Similarity = "hog",
    draws: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how alike the exemplars of every map are, beside three levels (claim C1).

    Parameters
    ----------
    pictures
        As the network sees them, shape (N, h, w).
    subject
        Person of every picture, shape (N,).
    train
        Row numbers of the pictures that exemplars are taken from.
    responses
        Responses of a layer's C maps to all N pictures.
    exemplars, untrained
        The strongest of the training pictures for every map, in row numbers of `pictures`, of the network and of the same network
        before training.
    field
        Receptive field of the layer, whose squares are compared.
    similarity, draws, seed
        As in `similarity_at_place`.

    Returns
    -------
    DataFrame
        Index `map`, those with exemplars of at least two people; columns `trained` (the exemplars), `same place` (mean of random
        training pictures at the same places), `ranks 10-100` (pictures between the 10th and 100th of the map, at its own
        maxima) and `untrained` (exemplars of the network before training; NaN for a map dead there).

    Raises
    ------
    Lacking
        If there is no such map.
    """
    grey, rows = np.asarray(pictures, dtype=np.float32), np.asarray(train)
    who = pd.factorize(np.asarray(subject))[0]

    def corner(place: NDArray[np.integer]) -> NDArray[np.integer]:
        return np.maximum(place, 0) * field.stride + field.offset

    def alike(found: NDArray[np.integer], row: NDArray[np.integer], column: NDArray[np.integer]) -> Floats:
        squares = cut(grey, found, corner(row), corner(column), field.size)
        return mean_similarity(squares, np.where(found >= 0, who[found], -1), similarity=similarity)

    level = similarity_at_place(
        grey[rows],
        corner(exemplars.row),
        corner(exemplars.column),
        field.size,
        who[rows],
        draws=draws,
        seed=seed,
        similarity=similarity,
    )
    last = min(100, len(rows))
    ranks = np.unique(np.linspace(min(10, last), last, exemplars.picture.shape[1]).astype(int)) - 1
    middle = rows[np.argsort(-responses.maximum[rows], axis=0, kind="stable")[ranks].T]  # (C, n)
    maps = np.arange(len(middle))[:, None]
    found = np.where(responses.maximum[middle, maps] > 0, middle, -1)
    table = pd.DataFrame(
        {
            "trained": alike(exemplars.picture, exemplars.row, exemplars.column),
            "same place": level.mean(axis=1),
            "ranks 10-100": alike(found, responses.row[middle, maps], responses.column[middle, maps]),
            "untrained": alike(untrained.picture, untrained.row, untrained.column),
        }
    ).rename_axis("map")
    table = table.dropna(subset=["trained", "same place"])
    if table.empty:
        raise Lacking("no map has exemplars of two people, so there are no pairs of squares to compare")
    return table


def _centred(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = flat - flat.mean(axis=1, keepdims=True)
    # What rounding leaves of a flat patch is no pattern.
    flat_patch = np.abs(centred).max(axis=1, initial=0) <= 1e-6 * np.abs(flat).max(axis=1, initial=0)
    return np.where(flat_patch[:, None], np.float32(0), centred)
