"""Are maps detectors? Tests that take a minute or so each: checks of the measures, one map or many, and rendered doses of a unit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.faces.crops import Crops, load_crops
from fer_lib.faces.preprocess import inputs_of
from fer_lib.faces.reader import read
from fer_lib.measures import bootstrap_maps as bootstrap
from fer_lib.measures import built_in as building
from fer_lib.measures import label_checks as checking
from fer_lib.measures import sparse_probe
from fer_lib.measures.distance import Zero, distances
from fer_lib.measures.ranks import auc
from fer_lib.network.splits import with_unlabelled
from fer_lib.network.training import load_trained
from fer_lib.probe.activations import record
from fer_lib.probe.responses import Responses
from fer_lib.render.controls import render_interventions
from fer_lib.steps.rendered import FACES

_BATCH = 64  # pictures; changes no bit of a result


@dataclass(frozen=True)
class Effort:
    """How much of these tests a preset can afford.

    Attributes
    ----------
    aus
        Action units that probes and doses look at; empty: all.
    ks
        Numbers of maps of a probe.
    draws
        Draws of people where every choice is made anew.
    people, doses
        Rendered people, and the intensities (1 to 5 for A to E) at which a unit is switched on.
    """

    aus: tuple[int, ...] = (1, 4, 11, 12, 27)
    ks: tuple[int, ...] = (1, 2, 4, 16, 64, 256)
    draws: int = 100
    people: int = 12
    doses: tuple[int, ...] = (1, 3, 5)


EFFORTS = {
    "smoke": Effort(ks=(1, 4, 16), draws=10, people=4, doses=(3, 5)),
    "book": Effort(),
    "paper": Effort(
        aus=(), ks=(1, 2, 4, 8, 16, 32, 64, 128, 256), draws=1000, people=30, doses=(1, 2, 3, 4, 5)
    ),
}
"""By preset; "book" takes the four units that the paper shows and AU 12, and about three minutes in all."""


def _apexes(table: pd.DataFrame) -> np.ndarray:
    """The last picture of every sequence: one row a sequence."""
    return np.flatnonzero((table["position"] == table["length"] - 1).to_numpy())


@step()
def label_checks(
    folder: Path, pictures: Artifact, responses: Artifact, aus: Sequence[int], draws: int, seed: int
) -> None:
    """Spoil labels and see which measures notice, of the maps and of ideal ones; write ``checks.parquet``."""
    table = frames.saved_table(pictures.path)
    rows = _apexes(table)
    present = frames.au_present(table)[list(aus)].to_numpy()[rows]
    subject = table["subject"].to_numpy()[rows]
    maximum = Responses.load(responses.path).maximum[rows]
    of_maps = checking.label_checks(maximum, present, subject, draws=draws, seed=seed)
    # An ideal map answers to its unit alone: 1 with it, 0 without; what is not coded is not asked for.
    ideal = checking.label_checks(
        np.nan_to_num(present), present, subject, concept=np.arange(len(aus)), draws=draws, seed=seed
    )
    pd.concat([of_maps.assign(responses="maps"), ideal.assign(responses="ideal maps")]).to_parquet(
        folder / "checks.parquet", index=False
    )


@step()
def one_or_many(
    folder: Path,
    pictures: Artifact,
    responses: Artifact,
    aus: Sequence[int],
    ks: Sequence[int],
    seed: int,
) -> None:
    """Detect action units with one map and with several, on people of whom nothing was chosen; write ``probes.parquet``."""
    table = frames.saved_table(pictures.path)
    rows = _apexes(table)
    sparse_probe.one_or_many(
        Responses.load(responses.path).maximum[rows],
        frames.au_present(table)[list(aus)].to_numpy()[rows],
        table["subject"].to_numpy()[rows],
        aus=aus,
        ks=ks,
        seed=seed,
    ).to_parquet(folder / "probes.parquet")


@step()
def bootstrap_maps(
    folder: Path,
    pictures: Artifact,
    responses: Artifact,
    aus: Sequence[int],
    division: Division,
    n: int,
    zero: Zero,
    draws: int,
    seed: int,
) -> None:
    """Choose every unit's map anew on people drawn anew, by D and by AUC; write ``maps.parquet``."""
    table = frames.saved_table(pictures.path)
    labels = frames.labels_of(table, frames.expressions_of(table, neutral=division.neutral))
    people, rows = with_unlabelled(table, labels, division), _apexes(table)
    train, test = (np.intersect1d(part, rows) for part in (people.train, people.test))
    ways: dict[str, dict[str, Any]] = {
        "D": {
            "score": lambda maxima, present: distances(maxima, present, n=n, zero=zero),
            "chosen_on": people.train,
        },
        "AUC": {"score": auc},
    }
    found = [
        bootstrap.bootstrap_maps(
            Responses.load(responses.path).maximum,
            frames.au_present(table)[list(aus)].to_numpy(),
            table["subject"],
            train,
            test,
            aus=aus,
            draws=draws,
            seed=seed,
            **options,
        ).table.assign(chosen_by=way)
        for way, options in ways.items()
    ]
    pd.concat(found).to_parquet(folder / "maps.parquet", index=False)


@step(free=("progress",))
def dose_faces(
    folder: Path,
    people: int,
    aus: Sequence[int],
    doses: Sequence[int],
    size: int,
    seed: int,
    *,
    progress: bool,
) -> None:
    """Render people, each neutral and with one unit at a time at these intensities (1 to 5); of no `aus`, every one."""
    render_interventions(
        folder / FACES,
        people=people,
        aus=tuple(aus) or None,
        steps=tuple(doses),
        size=size,
        seed=seed,
        processes=os.cpu_count() or 1,
        progress=progress,
    )


def _shown(faces: frames.Faces) -> pd.DataFrame:
    """Who is on each rendered picture, the unit that is on (0: none), and its intensity."""
    codes = frames.au_present(faces.table)
    on = codes.eq(1).to_numpy() @ codes.columns.to_numpy(int)
    dose = faces.table[[f"AU{au}" for au in codes.columns]].max(axis=1)
    return pd.DataFrame({"subject": faces.table["subject"], "au": on, "dose": dose.astype(int)})


def _read(rendered: Artifact, resize: int, crop: int) -> tuple[torch.Tensor, pd.DataFrame]:
    """Rendered pictures as the network sees them, and what they show."""
    faces = frames.with_box(read(rendered.path / FACES / "table.parquet"))
    crops = load_crops(faces, progress=False)
    return inputs_of(crops, np.arange(len(faces)), size=resize, crop=crop), _shown(faces)


@step()
def dose_responses(
    folder: Path, faces: Artifact, training: Artifact, layer: str, resize: int, crop: int
) -> None:
    """Record every map's answer to the rendered doses; write responses and ``shown.parquet``."""
    pictures, shown = _read(faces, resize, crop)
    record(load_trained(training.path).model.features, pictures.split(_BATCH), layer=layer, folder=folder)
    shown.to_parquet(folder / "shown.parquet")


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
    resize: int,
    crop: int,
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
    faces, shown = _read(doses, resize, crop)
    others, others_shown = _read(controls, resize, crop)
    names = np.unique(shown["subject"])
    unseen = names[(len(names) + 1) // 2 :]
    looked_at = shown["subject"].isin(unseen).to_numpy()
    strongest = ((shown["au"] == 0) | (shown["dose"] == shown["dose"].max())).to_numpy()
    further = ~(others_shown["au"].isin({0, *shown["au"]}) | others_shown["subject"].isin(unseen)).to_numpy()
    made_of = strongest & ~looked_at
    rendered = torch.cat([faces[torch.tensor(made_of)], others[torch.tensor(further)]])
    unit = np.concatenate([shown["au"][made_of], others_shown["au"][further]])

    table = frames.saved_table(pictures.path)
    labels = frames.labels_of(table, frames.expressions_of(table, neutral=division.neutral))
    people, rows = with_unlabelled(table, labels, division), _apexes(table)
    train, test = (np.isin(rows, part) for part in (people.train, people.test))
    present, subject = frames.au_present(table).iloc[rows], table["subject"].to_numpy()[rows]
    images = inputs_of(Crops.load(pictures.path), rows, size=resize, crop=crop)
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
            record(made.model, some.split(_BATCH), layer=layer).maximum
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
