"""Whether the strongest patches of a map look alike (claim C1).

Likeness is measured on the pixels, without the network. Faces are aligned, so any patches from one place of the
face look alike; the level that the place alone reaches stands beside the measure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.deconv import receptive_fields
from fer_lib.errors import FerError
from fer_lib.hog import hog

if TYPE_CHECKING:
    from fer_lib.study import Study

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


def exemplar_likeness(
    study: Study, *, measure: Measure = "hog", draws: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Measure claim C1 for every conv3 map with exemplars of at least two people.

    Parameters
    ----------
    study
        Gives network, responses, exemplars and training pictures.
    measure, draws, seed
        As in `place_level`.

    Returns
    -------
    DataFrame
        Index `map`; columns `trained` (the nine strongest), `same place` (mean of random training pictures at
        the same places), `ranks 10-100` (pictures between the 10th and 100th of the map, at its own maxima) and
        `untrained` (the nine strongest of the network before training; NaN for a map dead there).
    """
    train = study.split.train
    frames = np.asarray(study.inputs(train)[:, 0], dtype=np.float32)
    people = pd.factorize(study.table["subject"].to_numpy()[train])[0]
    row_of = np.full(int(train.max()) + 2, -1)  # from a picture's number to its row in `frames`; -1 stays -1
    row_of[train] = np.arange(len(train))

    def squares(of: Study, *places: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        row, column = (np.maximum(values, 0) for values in places)
        box = receptive_fields(of.network.features, "relu3", row.ravel(), column.ravel())
        return box[:, 0].reshape(row.shape), box[:, 1].reshape(row.shape), int(box[0, 2] - box[0, 0])

    def alike(of: Study, picture: NDArray[np.int64], *places: NDArray[np.integer]) -> Floats:
        who = np.where(picture >= 0, people[picture], -1)
        return likeness(cut(frames, picture, *squares(of, *places)), who, measure=measure)

    best, before = study.exemplars, study.untrained.exemplars
    level = place_level(
        frames, *squares(study, best.row, best.column), people, draws=draws, seed=seed, measure=measure
    )
    responses = study.responses.of(train)
    ranks = np.unique(np.linspace(10, min(100, len(train)), best.picture.shape[1]).astype(int)) - 1
    middle = np.argsort(-responses.maximum, axis=0, kind="stable")[ranks].T  # (C, n)
    maps = np.arange(len(middle))[:, None]
    silent = responses.maximum[middle, maps] <= 0
    row, column = responses.row[middle, maps], responses.column[middle, maps]
    table = pd.DataFrame(
        {
            "trained": alike(study, row_of[best.picture], best.row, best.column),
            "same place": level.mean(axis=1),
            "ranks 10-100": alike(study, np.where(silent, -1, middle), row, column),
            "untrained": alike(study.untrained, row_of[before.picture], before.row, before.column),
        }
    ).rename_axis("map")
    return table.dropna(subset=["trained", "same place"])


def _centred(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = flat - flat.mean(axis=1, keepdims=True)
    # What rounding leaves of a flat patch is no pattern.
    flat_patch = np.abs(centred).max(axis=1, initial=0) <= 1e-6 * np.abs(flat).max(axis=1, initial=0)
    return np.where(flat_patch[:, None], np.float32(0), centred)
