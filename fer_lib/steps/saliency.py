"""Checks of the rules that project units to the pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import inputs_of
from fer_lib.measures.saliency import saliency_checks
from fer_lib.network.splits import divide
from fer_lib.network.training import load_trained
from fer_lib.probe.responses import Responses, Units, exemplars


@step()
def saliency(
    folder: Path,
    pictures: Artifact,
    training: Artifact,
    responses: Artifact,
    division: Division,
    layer: str,
    maps: int,
    resize: int,
    crop: int,
    seed: int,
) -> None:
    """Draw weights anew layer by layer and compare projections of the strongest unit of some maps; write ``saliency.parquet``.

    Parameters
    ----------
    maps : int
        Most maps, at equal distances among those that respond.
    """
    crops, table = Crops.load(pictures.path), frames.saved_table(pictures.path)
    labels = frames.labels_of(table, frames.expressions_of(table, neutral=division.neutral))
    best = exemplars(Responses.load(responses.path), n=1, among=divide(table, labels, division).train)
    units = best.units()
    units = units[np.unique(np.linspace(0, len(units) - 1, min(maps, len(units))).round().astype(int))]
    needed, own = np.unique(units.picture, return_inverse=True)
    saliency_checks(
        load_trained(training.path).model.features,
        inputs_of(crops, needed, size=resize, crop=crop).numpy(),
        Units(own, units.map, units.row, units.column),
        pd.factorize(table["subject"])[0][needed],
        layer=layer,
        seed=seed,
    ).to_parquet(folder / "saliency.parquet")
