"""The traditional route on the pictures of a study, under one division of them or several."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fer_lib import protocols as divisions
from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import inputs_of
from fer_lib.network.splits import Split, divide
from fer_lib.probe.regions import to_input
from fer_lib.traditional import Traditional, fit

_FOLDS = 5  # of people, in which the scores that the decision learns from are made


def fit_on(
    pictures: Artifact,
    split: Split,
    labels: np.ndarray,
    aus: tuple[int, ...],
    resize: int,
    crop: int,
    seed: int,
) -> Traditional:
    """Train and test the traditional route on some of the pictures; it detects these action units."""
    found, crops = frames.load(pictures.path, pictures.path), Crops.load(pictures.path)
    table = found.table
    landmarks = to_input(found.landmarks, table[list(frames.BOX)].to_numpy(float), resize=resize, crop=crop)
    last = (table["position"] == table["length"] - 1).to_numpy()
    return fit(
        lambda rows: inputs_of(crops, rows, size=resize, crop=crop)[:, 0].numpy(),
        labels,
        frames.au_present(table)[list(aus)],
        table["subject"].to_numpy(),
        split.train,
        split.test,
        landmarks=None if np.isnan(landmarks).any() else landmarks,
        scored=split.test[last[split.test]],
        folds=min(_FOLDS, table["subject"].iloc[split.train].nunique()),
        seed=seed,
    )


@step()
def traditional(
    folder: Path,
    pictures: Artifact,
    division: Division,
    aus: tuple[int, ...],
    resize: int,
    crop: int,
    seed: int,
) -> None:
    """Train and test the traditional route under a division of the pictures."""
    table = frames.saved_table(pictures.path)
    labels = frames.labels_of(table, frames.expressions_of(table, neutral=division.neutral))
    split = divide(table, labels, division)
    fit_on(pictures, split, labels, aus, resize, crop, seed).save(folder)


@step()
def protocols(
    folder: Path,
    pictures: Artifact,
    neutral: bool,
    n: int,
    test_fraction: float,
    test_pictures: int,
    split_seed: int,
    resize: int,
    crop: int,
    seed: int,
) -> None:
    """Run the traditional route under four divisions of the pictures; write ``protocols.parquet``.

    Under each it detects the action units that at least `n` of its own training pictures show and at least `n` do not.
    """
    table = frames.saved_table(pictures.path)
    labels = frames.labels_of(table, frames.expressions_of(table, neutral=neutral))
    present = frames.au_present(table)

    def accuracy(split: Split) -> float:
        aus = frames.matchable(present, split.train, n)
        return fit_on(pictures, split, labels, aus, resize, crop, seed).accuracy

    divisions.by_protocol(
        table,
        np.flatnonzero(labels >= 0),
        accuracy,
        test_fraction=test_fraction,
        test_pictures=test_pictures,
        seed=split_seed,
    ).to_parquet(folder / "protocols.parquet")
