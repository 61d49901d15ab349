"""Claim C1 on one study: whether the strongest patches of each conv3 map look alike, beside three levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lib.errors import Lacking
from fer_lib.experiment.study import Study
from fer_lib.measures.similarity import Floats, Measure, cut, likeness, place_level
from fer_lib.probe.deconv import receptive_fields


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

    Raises
    ------
    Lacking
        If there is no such map.
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
    responses = study.responses.select(train)
    last = min(100, len(train))
    ranks = np.unique(np.linspace(min(10, last), last, best.picture.shape[1]).astype(int)) - 1
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
    table = table.dropna(subset=["trained", "same place"])
    if table.empty:
        raise Lacking(
            "no map has strongest pictures of two people, so there are no pairs of squares to compare"
        )
    return table
