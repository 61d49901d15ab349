"""What the network's decision makes of single action units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.faces import table as frames
from fer_lib.faces.crops import load_crops
from fer_lib.faces.preprocess import inputs_of
from fer_lib.faces.reader import read
from fer_lib.measures import interventions
from fer_lib.network.training import load_trained
from fer_lib.steps.rendered import FACES

_BATCH = 64  # pictures; changes no bit of a result


@step()
def logit_effects(
    folder: Path, controls: Artifact, training: Artifact, expressions: tuple[str, ...], resize: int, crop: int
) -> None:
    """Measure how far each action unit, switched on alone, raises the logit of each expression; write ``logits.parquet``.

    A logit counts by how far it lies above the mean of all of its picture, for a constant added to all changes no decision.
    """
    faces = frames.with_box(read(controls.path / FACES / "table.parquet"))
    crops, rows = load_crops(faces, progress=False), np.arange(len(faces))
    network = load_trained(training.path).model.eval()
    with torch.no_grad():
        logits = torch.cat(
            [
                network(inputs_of(crops, rows[i : i + _BATCH], size=resize, crop=crop))
                for i in range(0, len(rows), _BATCH)
            ]
        )
    shown = frames.au_present(faces.table)
    on = shown.eq(1).to_numpy() @ shown.columns.to_numpy(int)
    above = (logits - logits.mean(dim=1, keepdim=True)).numpy()
    found = interventions.effects(above, faces.table["subject"], on)
    found.set_axis(list(expressions), axis=1).to_parquet(folder / "logits.parquet")
