"""Which measures find a detector that is built into the network by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import Evaluate, inputs_of
from fer_lib.measures import built_in as building
from fer_lib.measures.ranks import auc
from fer_lib.network.training import load_trained
from fer_lib.probe.activations import record
from fer_lib.steps.interventions import shown_units
from fer_lib.steps.stored import BATCH, Labelled


@step()
def built_in(
    folder: Path,
    pictures: Artifact,
    training: Artifact,
    doses: Artifact,
    controls: Artifact,
    aus: Sequence[int],
    division: Division,
    layer: str,
    prepare: Evaluate,
    draws: int,
    seed: int,
) -> None:
    """Build a detector of one unit at a time into the network and see which measures find it; write ``found.parquet``.

    It is made of the first half of the rendered people, and looked for on the others, whose units come alone, and on the training
    people's pictures, where they come together (column ``where``). ``auc`` is its own, on those others and on the test people.

    Parameters
    ----------
    doses, controls : Artifact
        Rendered people with single units: those at several intensities, of which the largest counts, and those with every unit at E.
    aus : sequence of int
        Units to build in, of those that `doses` show.
    layer : str
        Rectifier behind the convolution that takes the detector.
    """
    network = load_trained(training.path).model.eval().features
    faces, shown = shown_units(doses, prepare)
    others, others_shown = shown_units(controls, prepare)
    names = np.unique(shown["subject"])
    unseen = names[(len(names) + 1) // 2 :]
    looked_at = shown["subject"].isin(unseen).to_numpy()
    strongest = ((shown["au"] == 0) | (shown["dose"] == shown["dose"].max())).to_numpy()
    further = ~(others_shown["au"].isin({0, *shown["au"]}) | others_shown["subject"].isin(unseen)).to_numpy()
    made_of = strongest & ~looked_at
    rendered = torch.cat([faces[torch.tensor(made_of)], others[torch.tensor(further)]])
    unit = np.concatenate([shown["au"][made_of], others_shown["au"][further]])

    known = Labelled.load(pictures, neutral=division.neutral)
    people, rows = known.split_of_all(division), np.flatnonzero(frames.is_apex(known.table))
    train, test = (np.isin(rows, part) for part in (people.train, people.test))
    present, subject = frames.au_present(known.table).iloc[rows], known.table["subject"].to_numpy()[rows]
    images = inputs_of(Crops.load(pictures.path), rows, prepare)
    found = []
    for au in aus:
        made = building.build_in(
            network,
            rendered[torch.tensor(unit == au)],
            rendered[torch.tensor(unit != au)],
            layer=layer.replace("relu", "conv"),
            seed=seed,
        )

        alone, together = (
            record(made.model, some.split(BATCH), layer=layer).maximum
            for some in (faces[torch.tensor(looked_at)], images)
        )
        label, on = present[au].to_numpy(), (shown["au"] == au).to_numpy(float)[looked_at]
        who = shown["subject"].to_numpy()[looked_at]
        for where, (values, truth, among), (unseen_values, unseen_truth) in (
            ("single units", (alone, on, who), (alone, on)),
            (
                "faces of this study",
                (together[train], label[train], subject[train]),
                (together[test], label[test]),
            ),
        ):
            ranks = building.found_by(values, truth, among, made.map, draws=draws, seed=seed)
            area = auc(unseen_values[:, [made.map]], unseen_truth[:, None])[0, 0]
            found.append(ranks.reset_index().assign(where=where, au=au, map=made.map, auc=area))
    pd.concat(found).to_parquet(folder / "found.parquet", index=False)
