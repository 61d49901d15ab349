"""What the explorer shows of a study: one view a layer, and a mean face to point at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_lib.measures.distance import distances
from fer_lib.plot.explorer import LayerView
from fer_lib.plot.pictures import HIDDEN, exemplar_tiles, grey

if TYPE_CHECKING:
    from fer_lib.study import Study


def layer_view(study: Study, layer: str) -> LayerView:
    """Collect a layer's squares, projections, places and distances.

    Parameters
    ----------
    study : Study
    layer : str
        ``relu1``, ``relu2`` or ``relu3``.
    """
    originals, projections = exemplar_tiles(study, layer)
    strongest, train = study.exemplars_of(layer), study.people.train
    values = None
    if study.coded_aus:
        values = distances(
            study.responses_of(layer).maximum[train],
            study.present.iloc[train][list(study.coded_aus)].to_numpy(),
            n=study.settings.strongest,
            zero=study.settings.zero_rule,  # type: ignore[arg-type]
        )
    return LayerView(
        name=layer.replace("relu", "conv"),
        originals=originals,
        projections=projections,
        centres=study.centres(layer),
        dead=strongest.dead,
        strength=strongest.value[:, 0].astype(float),
        distances=values,
        aus=study.coded_aus,
        faces_shown=bool(study.shown.all()),
    )


def mean_face(study: Study) -> np.ndarray:
    """Mean of the training pictures as the network sees them, (crop, crop) uint8.

    Where faces may not be published it is their mean landmarks, as dots: a mean of few people would be one of them.
    """
    if not study.shown.all():
        side = study.settings.crop
        blank = np.full((side, side), HIDDEN, np.uint8)
        dots = np.nan_to_num(study.landmarks[study.split.train], nan=-1)
        known = (dots >= 0).all((1, 2))
        if known.any():
            x, y = np.clip(dots[known].mean(0).round().astype(int), 0, side - 1).T
            blank[y, x] = 0
        return blank
    total = sum(
        study.inputs(part)[:, 0].sum(0).numpy() for part in np.array_split(study.split.train, 16) if len(part)
    )
    return grey(total)
