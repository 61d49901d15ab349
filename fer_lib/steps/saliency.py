"""Checks of the rules that project units to the pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import Evaluate, inputs_of
from fer_lib.measures.saliency import saliency_checks
from fer_lib.network.training import load_trained
from fer_lib.probe.responses import Responses, Units, exemplars
from fer_lib.steps.stored import Labelled


@step()
def saliency(
    folder: Path,
    pictures: Artifact,
    training: Artifact,
    responses: Artifact,
    division: Division,
    layer: str,
    maps: int,
    prepare: Evaluate,
    seed: int,
) -> None:
    """Draw weights anew layer by layer and compare projections of the strongest unit of some maps; write ``saliency.parquet``.

    Parameters
    ----------
    maps : int
        Most maps, at equal distances among those that respond.
    """
    known = Labelled.load(pictures, neutral=division.neutral)
    best = exemplars(Responses.load(responses.path), n=1, among=known.split(division).train)
    units = best.units()
    units = units[np.unique(np.linspace(0, len(units) - 1, min(maps, len(units))).round().astype(int))]
    needed, own = np.unique(units.picture, return_inverse=True)
    saliency_checks(
        load_trained(training.path).model.features,
        inputs_of(Crops.load(pictures.path), needed, prepare).numpy(),
        Units(own, units.map, units.row, units.column),
        pd.factorize(known.table["subject"])[0][needed],
        layer=layer,
        seed=seed,
    ).to_parquet(folder / "saliency.parquet")
