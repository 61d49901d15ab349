"""Tests that take minutes: matched maps on other people, and maps' answers to single action units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.faces.crops import load_crops
from fer_lib.faces.preprocess import inputs_of
from fer_lib.faces.reader import read
from fer_lib.measures import interventions
from fer_lib.measures.expression_controls import within_expression
from fer_lib.measures.matches import evaluate_matches
from fer_lib.network.splits import with_unlabelled
from fer_lib.network.training import load_trained
from fer_lib.probe.activations import record
from fer_lib.probe.responses import Responses
from fer_lib.steps.rendered import FACES

_BATCH = 64  # pictures; changes no bit of a result


@step()
def matches(
    folder: Path,
    pictures: Artifact,
    responses: Artifact,
    untrained: Artifact,
    matched: Mapping[int, int],
    untrained_matched: Mapping[int, int],
    division: Division,
    permutations: int,
    seed: int,
) -> None:
    """Test on other people the maps that D and AUC choose for each action unit; write ``matches.parquet``.

    Parameters
    ----------
    responses, untrained : Artifact
        Of the trained network and of it before training.
    matched, untrained_matched : mapping of int to int
        The map that D matches to each AU in either; -1 for none.
    """
    table, aus = frames.saved_table(pictures.path), list(matched)
    labels = frames.labels_of(table, frames.expressions_of(table, neutral=division.neutral))
    people = with_unlabelled(table, labels, division)
    last = (table["position"] == table["length"] - 1).to_numpy()
    expression = table["expression"].to_numpy()
    present = frames.au_present(table)[aus].to_numpy()
    maximum = Responses.load(responses.path).maximum
    found = evaluate_matches(
        maximum,
        Responses.load(untrained.path).maximum,
        present,
        people.train[last[people.train]],
        people.test[last[people.test]],
        aus=aus,
        matched=np.array(list(matched.values())),
        untrained_matched=np.array([untrained_matched[au] for au in aus]),
        subject=table["subject"],
        expression=expression,
        permutations=permutations,
        seed=seed,
    )
    found["p_within"] = within_expression(
        maximum[last],
        present[last],
        expression[last],
        table["subject"][last],
        permutations=permutations,
        seed=seed,
    )
    found.to_parquet(folder / "matches.parquet")


@step()
def effects(folder: Path, controls: Artifact, training: Artifact, layer: str, resize: int, crop: int) -> None:
    """Measure how far each action unit, switched on alone, raises each map; write ``effects.parquet``."""
    faces = frames.with_box(read(controls.path / FACES / "table.parquet"))
    crops, rows = load_crops(faces, progress=False), np.arange(len(faces))
    batches = (
        inputs_of(crops, rows[i : i + _BATCH], size=resize, crop=crop) for i in range(0, len(rows), _BATCH)
    )
    shown = frames.au_present(faces.table)
    maximum = record(load_trained(training.path).model.features, batches, layer=layer).maximum
    on = shown.eq(1).to_numpy() @ shown.columns.to_numpy(int)
    found = interventions.effects(maximum, faces.table["subject"], on)
    found.rename(columns=str).to_parquet(folder / "effects.parquet")
