"""Whether the squares that excite a map most look alike (claim C1).

Likeness is the mean similarity of pairs of squares, measured on the pixels, without the network. Faces are aligned, so any squares
from one place of the face look alike; the level that the place alone reaches stands beside the measure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import check_choice, generator, group_numbers, row_numbers
from fer_lib.errors import FerError, Lacking
from fer_lib.faces.hog import hog
from fer_lib.measures.arrays import BLOCK, Floats, map_blocks
from fer_lib.network.stack import Field
from fer_lib.probe.responses import Exemplars, Responses

Similarity = Literal["hog", "zncc"]
Pictures: TypeAlias = ArrayLike | Callable[[NDArray[np.int64]], NDArray[np.float32]]
_PICTURES = 64  # from which squares are cut at a time


def cut(
    pictures: Pictures, picture: ArrayLike, top: ArrayLike, left: ArrayLike, size: int
) -> NDArray[np.float32]:
    """Cut squares out of pictures.

    Parameters
    ----------
    pictures
        As the network sees them, shape (N, h, w), or a function that gives those of some numbers (n,), shape (n, h, w). It is asked
        for each picture once, and for a few at a time.
    picture, top, left
        Number of the picture and first row and column of every square, of shapes that broadcast to (...); squares may reach beyond
        the picture, where they hold 0, the mean grey of a standardised picture, as the network's padding does.
    size
        Side in pixels.

    Returns
    -------
    ndarray
        Shape (..., size, size), float32; 0 where `picture` is -1.
    """
    places = np.broadcast_arrays(picture, top, left)
    index, top, left = (values.ravel() for values in places)
    out = np.zeros((len(index), size, size), np.float32)
    order = np.argsort(index, kind="stable")
    numbers, first = np.unique(index[order], return_index=True)
    ends = np.append(first, len(index))
    there = np.flatnonzero(numbers >= 0)
    for start in range(0, len(there), _PICTURES):
        part = there[start : start + _PICTURES]
        asked = numbers[part]
        grey = np.asarray(pictures(asked) if callable(pictures) else np.asarray(pictures)[asked], np.float32)
        squares = order[ends[part[0]] : ends[part[-1] + 1]]
        row = top[squares, None, None] + np.arange(size)[:, None]
        column = left[squares, None, None] + np.arange(size)
        _, height, width = grey.shape
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        which = np.searchsorted(asked, index[squares])[:, None, None]
        found = grey[which, row.clip(0, height - 1), column.clip(0, width - 1)]
        out[squares] = np.where(inside, found, np.float32(0))
    return out.reshape(*places[0].shape, size, size)


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


def _at_random(shape: tuple[int, ...], count: int, draws: int, seed: int) -> NDArray[np.int64]:
    """Draw n different pictures out of some for each set, (draws, sets, n); the shape is (sets, n)."""
    sets, n = shape
    if count < n or draws < 1:
        raise FerError(f"{draws} draws of {n} pictures out of {count} are impossible; give more pictures")
    rng = generator(seed)
    step = max(1, BLOCK // count)
    return np.stack(
        [
            np.concatenate(
                [
                    rng.random((min(step, sets - start), count)).argpartition(n - 1, axis=1)[:, :n]
                    for start in range(0, sets, step)
                ]
            )
            for _ in range(draws)
        ]
    )


def exemplar_likeness(
    pictures: Pictures,
    subject: ArrayLike,
    train: ArrayLike,
    responses: Responses,
    exemplars: Exemplars,
    field: Field,
    *,
    untrained: Exemplars | None = None,
    similarity: Similarity = "hog",
    draws: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how alike the exemplars of every map are, beside other levels (claim C1).

    Parameters
    ----------
    pictures
        As for `cut`.
    subject
        Person of every picture, shape (N,).
    train
        Row numbers of the pictures that exemplars are taken from.
    responses
        Responses of a layer's C maps to all N pictures.
    exemplars
        The strongest of the training pictures for every map, in row numbers of `pictures`.
    field
        Receptive field of the layer, whose squares are compared.
    untrained
        The exemplars of the same network before training, if they are to be measured too.
    similarity, draws, seed
        Measure, as for `mean_similarity`; random sets for each map, and their seed.

    Returns
    -------
    DataFrame
        Index `map`, those with exemplars of at least two people; columns `trained` (the exemplars), `same place` (mean of random
        training pictures at the same places), `ranks 10-100` (pictures between the 10th and 100th of the map, at its own
        maxima) and, where given, `untrained` (NaN for a map dead there).

    Raises
    ------
    Lacking
        If there is no such map.
    """
    who = group_numbers(subject, len(responses), "subject")
    rows = row_numbers("train", train, len(responses))
    last = min(100, len(rows))
    ranks = np.unique(np.linspace(min(10, last), last, exemplars.picture.shape[1]).astype(int)) - 1
    order = [
        np.argsort(-responses.maximum[:, maps][rows], axis=0, kind="stable")[ranks]
        for maps in map_blocks(responses.maximum)
    ]
    middle = rows[np.concatenate(order, axis=1).T]  # (C, n)
    maps = np.arange(len(middle))[:, None]
    found = np.where(responses.maximum[middle, maps] > 0, middle, -1)
    chosen = rows[_at_random(exemplars.picture.shape, len(rows), draws, seed)]
    # All squares are cut in one go, so that no picture is prepared twice.
    sets = [
        (exemplars.picture, exemplars.row, exemplars.column),
        (found, responses.row[middle, maps], responses.column[middle, maps]),
        *((some.picture, some.row, some.column) for some in (untrained,) if some is not None),
        *((some, exemplars.row, exemplars.column) for some in chosen),
    ]
    picture = [some for some, _, _ in sets]
    top, left = (
        np.concatenate([(np.maximum(places[i], 0) * field.stride + field.offset).ravel() for places in sets])
        for i in (1, 2)
    )
    squares = cut(pictures, np.concatenate([some.ravel() for some in picture]), top, left, field.size)
    parts = np.split(squares, np.cumsum([some.size for some in picture])[:-1])
    alike = [
        mean_similarity(
            part.reshape(*some.shape, field.size, field.size),
            np.where(some >= 0, who[some], -1),
            similarity=similarity,
        )
        for part, some in zip(parts, picture, strict=True)
    ]
    place = np.stack(alike[-draws:], axis=1).mean(axis=1)
    levels = {"trained": alike[0], "same place": place, "ranks 10-100": alike[1]}
    if untrained is not None:
        levels["untrained"] = alike[2]
    table = pd.DataFrame(levels).rename_axis("map")
    table = table.dropna(subset=["trained", "same place"])
    if table.empty:
        raise Lacking("no map has exemplars of two people, so there are no pairs of squares to compare")
    return table


def _centred(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = flat - flat.mean(axis=1, keepdims=True)
    # What rounding leaves of a flat patch is no pattern.
    flat_patch = np.abs(centred).max(axis=1, initial=0) <= 1e-6 * np.abs(flat).max(axis=1, initial=0)
    return np.where(flat_patch[:, None], np.float32(0), centred)
