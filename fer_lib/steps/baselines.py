"""Do D and AUC find detectors only in the trained layer? They choose among simpler features, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import Evaluate, inputs_of
from fer_lib.measures import baselines
from fer_lib.measures.baselines import Features
from fer_lib.measures.distance import Zero, best_maps, distances
from fer_lib.network.stack import receptive_field
from fer_lib.network.training import load_trained
from fer_lib.probe.activations import record
from fer_lib.probe.responses import Responses
from fer_lib.steps.stored import BATCH, Labelled


@step()
def baselines_of_detectors(
    folder: Path,
    pictures: Artifact,
    training: Artifact,
    responses: Artifact,
    untrained: Artifact,
    aus: Sequence[int],
    division: Division,
    n: int,
    zero: Zero,
    layer: str,
    prepare: Evaluate,
    seed: int,
) -> None:
    """Let D and AUC choose among the layer's maps and among what is simpler; write ``baselines.parquet``.

    Parameters
    ----------
    responses, untrained : Artifact
        Responses of `layer` on all pictures, of the network and of the same network before training.
    """
    known, crops = Labelled.load(pictures, neutral=division.neutral), Crops.load(pictures.path)
    table, people, apex = known.table, known.split_of_all(division), frames.is_apex(known.table)
    train, test = (part[apex[part]] for part in (people.train, people.test))
    present = frames.au_present(table)[list(aus)].to_numpy()
    found = Responses.load(responses.path)

    # Only pictures of which something is chosen or that are tested are looked at.
    used = np.union1d(people.train, test)
    place = np.full(len(table), -1)
    place[used] = np.arange(len(used))
    parts = [used[start : start + BATCH] for start in range(0, len(used), BATCH)]
    network = load_trained(training.path).model.eval()

    def inputs() -> Iterator[torch.Tensor]:
        return (inputs_of(crops, part, prepare) for part in parts)

    with torch.no_grad():
        says = torch.cat([torch.softmax(network(x), 1) for x in inputs()]).numpy()
    described = [baselines.cell_features(x[:, 0].numpy()) for x in inputs()]
    brightness, gradients = (np.concatenate([part[k] for part in described]) for k in (0, 1))

    # Where the map that D chose for a unit looks: at the same place simpler features are chosen among.
    best = best_maps(distances(found.maximum[people.train], present[people.train], n=n, zero=zero))
    field = receptive_field(network.features, layer)
    maps = baselines.places_of_maps(
        *(getattr(found, name)[people.train] for name in ("row", "column", "maximum"))
    )
    centres = maps * field.stride + field.offset + (field.size - 1) / 2
    centres = np.where((best >= 0)[:, None], centres[best], np.nan)
    there = baselines.inside_window(described[0][2], centres, field.size)

    earlier = {
        name: record(network.features, inputs(), layer=name).maximum
        for name in dict(network.features.named_children())
        if name.startswith("relu") and name != layer
    }
    features = {
        "maps of conv3": Features(found.maximum[used]),
        "maps of conv3 before training": Features(Responses.load(untrained.path).maximum[used]),
        **{
            f"maps of conv{name.removeprefix('relu')}": Features(values)
            for name, values in sorted(earlier.items(), reverse=True)
        },
        "gradients, same place": Features(gradients, there.repeat(baselines.ORIENTATIONS, axis=1)),
        "brightness, same place": Features(brightness, there.repeat(2, axis=1)),
        "expression, as the network says": Features(says),
        "expression, as labelled": Features(
            baselines.expression_features(table["expression"].to_numpy()[used])
        ),
    }
    baselines.choose_elsewhere(
        {name: of for name, of in features.items() if of.values.shape[1]},
        present[used],
        place[people.train],
        place[train],
        place[test],
        subject=table["subject"].to_numpy()[used],
        n=n,
        zero=zero,
        seed=seed,
    ).to_parquet(folder / "baselines.parquet", index=False)
