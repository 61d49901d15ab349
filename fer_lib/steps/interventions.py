"""What single action units, switched on in rendered faces, do to a network: to its maps and to its decision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.faces import table as frames
from fer_lib.faces.cropping import load_crops
from fer_lib.faces.preprocess import Evaluate, inputs_of
from fer_lib.faces.reader import read
from fer_lib.measures import interventions
from fer_lib.measures import unit_likeness as likeness
from fer_lib.network.training import load_trained
from fer_lib.probe.activations import record
from fer_lib.probe.projections import Projections
from fer_lib.steps.rendered import FACES
from fer_lib.steps.stored import BATCH


def shown_units(rendered: Artifact, prepare: Evaluate) -> tuple[torch.Tensor, pd.DataFrame]:
    """Read rendered people with single units.

    Returns
    -------
    torch.Tensor
        The pictures as a network sees them, (n, 1, crop, crop).
    pandas.DataFrame
        ``subject`` of each, ``au``, the unit that is on (0: none), and its intensity ``dose``.
    """
    faces = frames.with_box(read(rendered.path / FACES / "table.parquet"))
    inputs = inputs_of(load_crops(faces, progress=False), np.arange(len(faces)), prepare)
    codes = frames.au_present(faces.table)
    on = codes.eq(1).to_numpy() @ codes.columns.to_numpy(int)
    dose = faces.table[[f"AU{au}" for au in codes.columns]].max(axis=1)
    return inputs, pd.DataFrame({"subject": faces.table["subject"], "au": on, "dose": dose.astype(int)})


@step()
def effects(folder: Path, controls: Artifact, training: Artifact, layer: str, prepare: Evaluate) -> None:
    """Measure how far each action unit, switched on alone, raises each map; write ``effects.parquet``."""
    inputs, shown = shown_units(controls, prepare)
    maximum = record(load_trained(training.path).model.features, inputs.split(BATCH), layer=layer).maximum
    found = interventions.effects(maximum, shown["subject"], shown["au"])
    found.rename(columns=str).to_parquet(folder / "effects.parquet")


@step()
def logit_effects(
    folder: Path, controls: Artifact, training: Artifact, expressions: tuple[str, ...], prepare: Evaluate
) -> None:
    """Measure how far each action unit, switched on alone, raises the logit of each expression; write ``logits.parquet``.

    A logit counts by how far it lies above the mean of all of its picture, for a constant added to all changes no decision.
    """
    inputs, shown = shown_units(controls, prepare)
    network = load_trained(training.path).model.eval()
    with torch.no_grad():
        logits = torch.cat([network(some) for some in inputs.split(BATCH)])
    above = (logits - logits.mean(dim=1, keepdim=True)).numpy()
    found = interventions.effects(above, shown["subject"], shown["au"])
    found.set_axis(list(expressions), axis=1).to_parquet(folder / "logits.parquet")


@step()
def dose_responses(folder: Path, faces: Artifact, training: Artifact, layer: str, prepare: Evaluate) -> None:
    """Record every map's answer to units at several intensities; write responses and ``shown.parquet``."""
    inputs, shown = shown_units(faces, prepare)
    record(load_trained(training.path).model.features, inputs.split(BATCH), layer=layer, folder=folder)
    shown.to_parquet(folder / "shown.parquet")


@step()
def unit_likeness(
    folder: Path, controls: Artifact, projections: Artifact, maps: int, prepare: Evaluate
) -> None:
    """Compare projections with faces on which one unit is switched on; write ``likeness.parquet``."""
    inputs, shown = shown_units(controls, prepare)
    found = likeness.unit_likeness(
        Projections.load(projections.path), inputs[:, 0].numpy(), shown["subject"], shown["au"], maps=maps
    )
    found.rename(columns=str).to_parquet(folder / "likeness.parquet")
