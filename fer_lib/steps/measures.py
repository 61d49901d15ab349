"""What the claims come down to in one network, trained or not: the numbers that verdicts compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.errors import Lacking
from fer_lib.faces import table as frames
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import Evaluate, batches, inputs_of
from fer_lib.measures import network_measures as measures
from fer_lib.measures.alignment import with_regions
from fer_lib.network.stack import receptive_field
from fer_lib.network.training import load_trained
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Responses, exemplars
from fer_lib.render.atlas import Atlas
from fer_lib.steps.stored import BATCH, Labelled


@step()
def network_measures(
    folder: Path,
    pictures: Artifact,
    training: Artifact,
    responses: Artifact,
    projections: Artifact,
    atlas: Artifact,
    division: Division,
    n: int,
    one_per_subject: bool,
    zero_rule: str,
    layer: str,
    prepare: Evaluate,
    seed: int,
) -> None:
    """Measure a network; write ``measures.json`` (name to value and to what was lacking) and ``units.parquet`` (by action unit)."""
    known, crops = Labelled.load(pictures, neutral=division.neutral), Crops.load(pictures.path)
    split, people = known.split(division), known.split_of_all(division)
    network = load_trained(training.path).model.eval()
    found, projected = Responses.load(responses.path), Projections.load(projections.path)
    subject = pd.factorize(known.table["subject"])[0]
    best = exemplars(found, n=n, among=split.train, groups=subject if one_per_subject else None)
    field, maps = receptive_field(network.features, layer), found.maximum.shape[1]
    present, apex = frames.au_present(known.table), frames.is_apex(known.table)
    drawn = Atlas.load(atlas.path)

    def inputs(rows: np.ndarray) -> torch.Tensor:
        return inputs_of(crops, rows, prepare)

    def shape() -> tuple[int, int]:
        with torch.no_grad():
            height, width = network.planes(inputs(np.array([0])), layer).shape[2:]
        return height, width

    def matched(aus: list[int]) -> np.ndarray:
        return measures.matched_maps(found.maximum, present[aus], people.train, n=n, zero=zero_rule)

    def pooled() -> Iterator[torch.Tensor]:
        with torch.no_grad():
            yield from map(network.features, batches(crops, split.test, BATCH, prepare))

    def alignment() -> float:
        aus = with_regions(frames.matchable(present, people.train, n), drawn.aus)
        areas = drawn.regions_of(aus, resize=prepare.size, crop=prepare.crop)
        return measures.alignment_excess(projected, matched(aus), areas, field, shape(), maps)

    def units() -> pd.DataFrame:
        aus = list(frames.matchable(present, people.train, n))
        train, test = (part[apex[part]] for part in (people.train, people.test))
        return measures.detection(found.maximum, present[aus], train, test, units=aus, matched=matched(aus))

    def decision() -> float:
        aus = list(frames.matchable(present, people.train, n))
        return measures.decision_excess(
            network.classifier, pooled, known.labels[split.test], matched(aus), seed=seed
        )

    def detection(place: int) -> Callable[[], float]:
        return lambda: float(measures.mean_measures(units())[place])

    works: dict[str, Callable[[], float]] = {
        "likeness": lambda: measures.likeness_excess(
            lambda rows: inputs(rows)[:, 0].numpy(), subject, split.train, found, best, field
        ),
        "projections": lambda: measures.projections_likeness(projected, subject, maps),
        "alignment": alignment,
        "detection": detection(0),
        "precision": detection(1),
        "selected": detection(2),
        "decision": decision,
    }
    values, lacking = {}, {}
    for name, work in works.items():
        try:
            values[name] = work()
        except Lacking as reason:
            lacking[name] = str(reason)
    if "detection" in values:
        units().to_parquet(folder / "units.parquet")
    content = {"values": values, "lacking": lacking}
    (folder / "measures.json").write_text(json.dumps(content, indent=1, allow_nan=False), "utf-8")
