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
from fer_lib.faces.preprocess import Evaluate, batches, inputs_of
from fer_lib.network.training import load_trained
from fer_lib.probe import activations, deconv
from fer_lib.probe.responses import Responses, exemplars
from fer_lib.steps.stored import BATCH, Labelled


@step()
def responses(folder: Path, pictures: Artifact, training: Artifact, layer: str, prepare: Evaluate) -> None:
    """Record maximum and position of every map of a layer on every picture."""
    crops, network = Crops.load(pictures.path), load_trained(training.path).model
    inputs = batches(crops, range(len(crops)), BATCH, prepare)
    activations.record(network.features, inputs, layer=layer, folder=folder)


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
    prepare: Evaluate,
    arithmetic: Mapping[str, str | int],
) -> None:
    """Project the exemplars of every map of a layer to the pixels, one row a unit, maps first."""
    crops, known = Crops.load(pictures.path), Labelled.load(pictures, neutral=division.neutral)
    groups = known.table["subject"].to_numpy() if one_per_subject else None
    found = exemplars(Responses.load(responses.path), n=n, among=known.split(division).train, groups=groups)

    def images(numbers: np.ndarray) -> torch.Tensor:
        return inputs_of(crops, numbers, prepare)

    network = load_trained(training.path).model
    deconv.project(network.features, images, found.units(), layer=layer, rule=rule).save(folder)
