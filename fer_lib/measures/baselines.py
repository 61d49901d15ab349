"""Would the same choice find as good a detector elsewhere? D and AUC choose among other features than a layer's maps.

A map that was chosen out of 256 is not yet a discovery of the network: pixels, gradients, the untrained network's maps or the expression
may do as well if the choice among them is the same (claim C3).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import group_numbers, row_numbers
from fer_lib.errors import FerError
from fer_lib.faces.hog import hog
from fer_lib.measures.arrays import Floats, check_responses
from fer_lib.measures.comparisons import Comparison, from_bootstrap, nothing
from fer_lib.measures.detectors import LEAST
from fer_lib.measures.distance import Zero, best_maps, distances
from fer_lib.measures.matches import resampled_auc
from fer_lib.measures.ranks import auc

CELL = 8
"""Side in pixels of a cell of gradients, and of a block of pixels that are averaged."""
ORIENTATIONS = 9


@dataclass(frozen=True, eq=False)
class Features:
    """What a detector can be chosen among.

    Attributes
    ----------
    values
        (N, F) of every picture, not negative, as D wants them.
    allowed
        (J, F) which of them count for each action unit; None: all.
    """

    values: NDArray[np.floating]
    allowed: NDArray[np.bool_] | None = None


def cell_features(pictures: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats]:
    """Describe pictures by brightness and gradients, cell by cell, with no learning at all.

    Parameters
    ----------
    pictures
        Grey, any range, shape (n, h, w); rows and columns beyond whole cells of `CELL` pixels are left out.

    Returns
    -------
    tuple
        How far each cell is lighter and how far it is darker than its picture, (n, K * 2), one of the two 0 as behind a rectifier; each
        cell's histogram of oriented gradients (`fer_lib.faces.hog.hog`), (n, K * ORIENTATIONS), cells first; and the cells' centres in
        pixels, x and y, (K, 2).
    """
    grey = np.asarray(pictures, dtype=np.float32)
    gradients = hog(
        grey, orientations=ORIENTATIONS, cell=CELL, block=1
    )  # refuses what is no picture or too small
    rows, columns = grey.shape[1] // CELL, grey.shape[2] // CELL
    cells = grey[:, : rows * CELL, : columns * CELL].reshape(len(grey), rows, CELL, columns, CELL)
    y, x = np.mgrid[:rows, :columns] * CELL + (CELL - 1) / 2
    light = cells.mean(axis=(2, 4)).reshape(len(grey), -1)
    light = light - grey.mean(axis=(1, 2))[:, None]
    both = np.stack([light, -light], axis=-1).clip(min=0).reshape(len(grey), -1)
    return both, gradients, np.stack([x.ravel(), y.ravel()], -1)


def inside_window(places: ArrayLike, centres: ArrayLike, size: int) -> NDArray[np.bool_]:
    """Return which places lie in the square window around each centre.

    Parameters
    ----------
    places
        x and y in pixels, shape (K, 2).
    centres
        Of the windows, shape (J, 2); NaN for a window that does not exist, in which nothing lies.
    size
        Side of a window in pixels.

    Returns
    -------
    ndarray
        Shape (J, K).
    """
    apart = np.abs(np.asarray(centres, float)[:, None] - np.asarray(places, float)[None])
    return np.asarray((apart <= size / 2).all(axis=-1))


def choose_elsewhere(
    features: Mapping[str, Features],
    present: ArrayLike,
    pictures: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    subject: ArrayLike,
    n: int = 9,
    zero: Zero = "floor",
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Let D and AUC choose among each of several kinds of features, and test what they choose on other people.

    Parameters
    ----------
    features
        By name; the first is what the claim is about, the others are its baselines.
    present
        Labels 1, 0 or NaN, shape (N, J).
    pictures
        Row numbers of all pictures of the training people, of which D chooses.
    train, test
        Row numbers, one for each sequence: of the training people, of which AUC chooses, and of the others.
    subject
        Person of every picture, shape (N,).
    n, zero
        As in `fer_lib.measures.distance.distances`.
    draws, seed
        Resamples of the test people, and their seed. What was chosen is not chosen anew in them.

    Returns
    -------
    DataFrame
        A row for each kind of `features` and ``chosen_by`` (D, AUC): ``number`` (features to choose among, mean over units), ``units``
        (tested), ``auc`` (mean over units; 0.5 for one of which nothing could be chosen) with ``low`` and ``high``, and ``difference`` (of
        the first kind to this one) with ``difference_low``, ``difference_high`` and ``p``. Intervals hold 95 %. Units count that have
        `fer_lib.measures.detectors.LEAST` test rows on both sides and, of the first kind, a feature that wins; NaN where there is none.
    """
    if not features:
        raise FerError("no features were given: give at least those that the claim is about")
    rows = len(np.asarray(present))
    pictures, train, test = (row_numbers("rows", part, rows) for part in (pictures, train, test))
    if np.intersect1d(np.union1d(pictures, train), test).size:
        raise FerError("training and test rows overlap; choose disjoint ones")
    who = group_numbers(subject, rows, "subject", sort=True)[test]
    records = []
    ways: dict[str, Callable[[NDArray[np.floating], Floats], Floats]] = {
        "D": lambda values, labels: distances(values[pictures], labels[pictures], n=n, zero=zero),
        "AUC": lambda values, labels: auc(values[train], labels[train]),
    }
    for way, measure in ways.items():
        chosen: dict[str, tuple[Floats, NDArray[np.int64]]] = {}
        for name, of in features.items():
            values, labels = check_responses(of.values, present)
            scores = np.asarray(measure(values, labels), dtype=np.float64)
            if of.allowed is not None:
                if np.shape(of.allowed) != scores.shape:
                    raise FerError(
                        f"{name!r} has allowed of shape {np.shape(of.allowed)}: give one for each unit and feature, {scores.shape}"
                    )
                scores = np.where(of.allowed, scores, np.nan)
            best = best_maps(scores)
            picked = np.where(
                best >= 0, values[np.ix_(test, best)], 0.0
            )  # all alike where nothing was chosen
            chosen[name] = picked, best
        truth = labels[test]
        enough = np.minimum((truth == 1).sum(axis=0), (truth == 0).sum(axis=0)) >= LEAST
        first = next(iter(chosen.values()))
        kept = np.flatnonzero(enough & (first[1] >= 0))
        areas = {
            name: _areas(picked[:, kept], truth[:, kept], who, draws, seed)
            for name, (picked, _) in chosen.items()
        }
        own, own_draws = next(iter(areas.values()))
        for name, (area, drawn) in areas.items():
            itself = _mean(name, area - 0.5, drawn - 0.5, len(np.unique(who)))
            apart = _mean(name, own - area, own_draws - drawn, len(np.unique(who)))
            allowed = features[name].allowed
            number = (
                features[name].values.shape[1]
                if allowed is None
                else allowed[kept].sum(axis=1).mean()
                if len(kept)
                else 0
            )
            records.append(
                {
                    "features": name,
                    "chosen_by": way,
                    "number": float(number),
                    "units": len(kept),
                    "auc": itself.difference + 0.5,
                    "low": itself.low + 0.5,
                    "high": itself.high + 0.5,
                    "difference": apart.difference,
                    "difference_low": apart.low,
                    "difference_high": apart.high,
                    "p": apart.p,
                }
            )
    return pd.DataFrame(records)


def _areas(
    scores: Floats, truth: Floats, who: NDArray[np.generic], draws: int, seed: int
) -> tuple[Floats, Floats]:
    """AUC of one score for each unit, (J,), and in resamples of people, (draws, J)."""
    if not scores.shape[1]:
        return np.empty(0), np.empty((draws, 0))
    point = np.array([auc(scores[:, [j]], truth[:, [j]])[0, 0] for j in range(scores.shape[1])])
    return point, resampled_auc(scores, truth, who, draws=draws, seed=seed)


def _mean(name: str, point: Floats, drawn: Floats, people: int) -> Comparison:
    if not len(point):
        return nothing(name, people)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resample in which no unit has both sides
        return from_bootstrap(name, float(point.mean()), np.nanmean(drawn, axis=1), people)


def places_of_maps(row: ArrayLike, column: ArrayLike, strength: ArrayLike) -> Floats:
    """Return where in a layer's maps each map has its maximum, in the middle of some pictures, shape (C, 2): column and row.

    Parameters
    ----------
    row, column, strength
        Place and size of each map's maximum on each picture, shape (N, C); pictures where it is 0 do not count.

    Returns
    -------
    ndarray
        Medians; NaN for a map that is 0 everywhere.
    """
    on = np.asarray(strength) > 0
    places = [np.where(on, np.asarray(index, float), np.nan) for index in (column, row)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a map that is 0 everywhere
        return np.stack([np.nanmedian(place, axis=0) for place in places], axis=-1)


def expression_features(expression: Sequence[str] | ArrayLike) -> NDArray[np.float32]:
    """Return an indicator for each expression, shape (N, E); no column for an empty or missing name, which is no expression."""
    names = pd.Series(expression, dtype=object).fillna("").to_numpy(str)
    known = np.unique(names[names != ""])
    return (names[:, None] == known).astype(np.float32)
