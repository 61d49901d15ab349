"""What a network answers: maxima of every map, projections of the exemplars, and effects of single action units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import inputs_of
from fer_lib.faces.table import expressions_of, labels_of, saved_table
from fer_lib.network.splits import divide
from fer_lib.network.training import load_trained
from fer_lib.probe import activations, deconv
from fer_lib.probe.responses import Responses, exemplars

_BATCH = 64  # pictures; changes no bit of a result


@step()
def responses(
    folder: Path, pictures: Artifact, training: Artifact, layer: str, resize: int, crop: int
) -> None:
    """Record maximum and position of every map of a layer on every picture."""
    crops, network = Crops.load(pictures.path), load_trained(training.path).model
    rows = np.arange(len(crops))
    batches = (
        inputs_of(crops, rows[i : i + _BATCH], size=resize, crop=crop) for i in range(0, len(rows), _BATCH)
    )
    activations.record(network.features, batches, layer=layer, folder=folder)


@step()
def projections(
    folder: Path,
    pictures: Artifact,
    training: Artifact,
    responses: Artifact,
    division: Division,
    n: int,
    one_per_subject: bool,
    layer: str,
    rule: str,
    resize: int,
    crop: int,
    arithmetic: Mapping[str, str | int],
) -> None:
    """Project the exemplars of every map of a layer to the pixels, one row a unit, maps first."""
    crops, table = Crops.load(pictures.path), saved_table(pictures.path)
    labels = labels_of(table, expressions_of(table, neutral=division.neutral))
    train = divide(table, labels, division).train
    groups = table["subject"].to_numpy() if one_per_subject else None
    found = exemplars(Responses.load(responses.path), n=n, among=train, groups=groups)

    def images(numbers: np.ndarray) -> torch.Tensor:
        return inputs_of(crops, numbers, size=resize, crop=crop)

    network = load_trained(training.path).model
    deconv.project(network.features, images, found.units(), layer=layer, rule=rule).save(folder)
