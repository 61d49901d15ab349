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
from fer_lib.faces.preprocess import inputs_of
from fer_lib.measures import network_measures as measures
from fer_lib.network.splits import divide, with_unlabelled
from fer_lib.network.stack import receptive_field
from fer_lib.network.training import load_trained
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Responses, exemplars
from fer_lib.render.atlas import Atlas

_BATCH = 64  # pictures; changes no bit of a result


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
    resize: int,
    crop: int,
    seed: int,
) -> None:
    """Measure a network; write ``measures.json`` (name to value and to what was lacking) and ``units.parquet`` (by action unit)."""
    table, crops = frames.saved_table(pictures.path), Crops.load(pictures.path)
    labels = frames.labels_of(table, frames.expressions_of(table, neutral=division.neutral))
    split, people = divide(table, labels, division), with_unlabelled(table, labels, division)
    network = load_trained(training.path).model.eval()
    found, projected = Responses.load(responses.path), Projections.load(projections.path)
    subject = pd.factorize(table["subject"])[0]
    best = exemplars(found, n=n, among=split.train, groups=subject if one_per_subject else None)
    field, maps = receptive_field(network.features, layer), found.maximum.shape[1]
    present = frames.au_present(table)
    last = (table["position"] == table["length"] - 1).to_numpy()
    drawn = Atlas.load(atlas.path)

    def inputs(rows: np.ndarray) -> torch.Tensor:
        return inputs_of(crops, rows, size=resize, crop=crop)

    def shape() -> tuple[int, int]:
        x = inputs(np.array([0]))
        with torch.no_grad():
            for name, module in network.features.named_children():
                x = module(x)
                if name == layer:
                    break
        height, width = x.shape[2:]
        return height, width

    def matched(aus: list[int]) -> np.ndarray:
        return measures.matched_maps(found.maximum, present[aus], people.train, n=n, zero=zero_rule)

    def pooled() -> Iterator[torch.Tensor]:
        with torch.no_grad():
            for start in range(0, len(split.test), _BATCH):
                yield network.features(inputs(split.test[start : start + _BATCH]))

    def alignment() -> float:
        aus = [au for au in frames.matchable(present, people.train, n) if au in drawn.aus]
        areas = np.array([drawn.region(au, resize=resize, crop=crop) for au in aus]).reshape(-1, crop, crop)
        return measures.alignment_excess(projected, matched(aus), areas, field, shape(), maps)

    def units() -> pd.DataFrame:
        aus = list(frames.matchable(present, people.train, n))
        train, test = people.train[last[people.train]], people.test[last[people.test]]
        return measures.detection(found.maximum, present[aus], train, test, units=aus, matched=matched(aus))

    def decision() -> float:
        aus = list(frames.matchable(present, people.train, n))
        return measures.decision_excess(
            network.classifier, pooled, labels[split.test], matched(aus), seed=seed
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
