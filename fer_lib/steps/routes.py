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
from fer_lib.faces.preprocess import Evaluate, inputs_of
from fer_lib.network.splits import Split
from fer_lib.probe.regions import to_input
from fer_lib.steps.stored import Labelled
from fer_lib.traditional import Traditional, fit

_FOLDS = 5  # of people, in which the scores that the decision learns from are made


def _fit_on(
    pictures: Artifact, split: Split, labels: np.ndarray, aus: tuple[int, ...], prepare: Evaluate, seed: int
) -> Traditional:
    """Train and test the traditional route on some of the pictures; it detects these action units."""
    found, crops = frames.load(pictures.path, pictures.path), Crops.load(pictures.path)
    table = found.table
    boxes = table[list(frames.BOX)].to_numpy(float)
    landmarks = to_input(found.landmarks, boxes, resize=prepare.size, crop=prepare.crop)
    return fit(
        lambda rows: inputs_of(crops, rows, prepare)[:, 0].numpy(),
        labels,
        frames.au_present(table)[list(aus)],
        table["subject"].to_numpy(),
        split.train,
        split.test,
        landmarks=None if np.isnan(landmarks).any() else landmarks,
        scored=split.test[frames.is_apex(table)[split.test]],
        folds=min(_FOLDS, table["subject"].iloc[split.train].nunique()),
        seed=seed,
    )


@step()
def traditional(
    folder: Path,
    pictures: Artifact,
    division: Division,
    aus: tuple[int, ...],
    prepare: Evaluate,
    seed: int,
) -> None:
    """Train and test the traditional route under a division of the pictures."""
    known = Labelled.load(pictures, neutral=division.neutral)
    _fit_on(pictures, known.split(division), known.labels, aus, prepare, seed).save(folder)


@step()
def protocols(
    folder: Path,
    pictures: Artifact,
    neutral: bool,
    n: int,
    test_fraction: float,
    test_pictures: int,
    split_seed: int,
    prepare: Evaluate,
    seed: int,
) -> None:
    """Run the traditional route under four divisions of the pictures; write ``protocols.parquet``.

    Under each it detects the action units that at least `n` of its own training pictures show and at least `n` do not.
    """
    known = Labelled.load(pictures, neutral=neutral)
    present = frames.au_present(known.table)

    def accuracy(split: Split) -> float:
        aus = frames.matchable(present, split.train, n)
        return _fit_on(pictures, split, known.labels, aus, prepare, seed).accuracy

    divisions.by_protocol(
        known.table,
        np.flatnonzero(known.labels >= 0),
        accuracy,
        test_fraction=test_fraction,
        test_pictures=test_pictures,
        seed=split_seed,
    ).to_parquet(folder / "protocols.parquet")
