"""Networks: the one of the study, one per fold of people, and the first steps from other starting weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division, Training
from fer_lib.faces.crops import Crops
from fer_lib.faces.table import expressions_of, labels_of, saved_table
from fer_lib.network.folds import cross_validate
from fer_lib.network.splits import Split, divide, subject_folds
from fer_lib.network.starts import initialisation_study
from fer_lib.network.training import train


def _labelled(pictures: Artifact, neutral: bool) -> tuple[Crops, pd.DataFrame, np.ndarray, int]:
    """Crops, table, label of each picture, and the number of classes."""
    table = saved_table(pictures.path)
    names = expressions_of(table, neutral=neutral)
    return Crops.load(pictures.path), table, labels_of(table, names), len(names)


@step(resumes=True, free=("device", "progress"))
def training(
    folder: Path,
    pictures: Artifact,
    division: Division,
    config: Training,
    seed: int,
    arithmetic: Mapping[str, str | int],
    *,
    device: str,
    progress: bool,
) -> None:
    """Train the network. `arithmetic` (`fer_lib.network.repeatable.arithmetic`) is what the last bits depend on."""
    crops, table, labels, classes = _labelled(pictures, division.neutral)
    split = divide(table, labels, division)
    where = {"folder": folder, "device": device, "progress": progress}
    train(crops, labels, split.train, split.test, config, classes=classes, seed=seed, **where)  # type: ignore[arg-type]


@step(resumes=True, free=("device", "progress"))
def folds(
    folder: Path,
    pictures: Artifact,
    number: int,
    neutral: bool,
    split_seed: int,
    config: Training,
    seed: int,
    arithmetic: Mapping[str, str | int],
    *,
    device: str,
    progress: bool,
) -> None:
    """Train and test one network per fold of people; write ``folds.parquet``."""
    crops, table, labels, classes = _labelled(pictures, neutral)
    known = np.flatnonzero(labels >= 0)
    people = subject_folds(table.iloc[known], number, split_seed)
    parts = [Split(known[part.train], known[part.test]) for part in people]
    cross_validate(
        crops,
        labels,
        parts,
        config,
        classes=classes,
        seed=seed,
        folder=folder / "runs",
        progress=progress,
        device=device,
    ).to_parquet(folder / "folds.parquet")


@step()
def first_steps(
    folder: Path,
    pictures: Artifact,
    division: Division,
    config: Training,
    steps: int,
    seed: int,
    arithmetic: Mapping[str, str | int],
) -> None:
    """Take the first steps of training from every initialisation; write ``steps.parquet``."""
    crops, table, labels, classes = _labelled(pictures, division.neutral)
    rows = divide(table, labels, division).train
    initialisation_study(crops, labels, rows, hp=config, classes=classes, steps=steps, seed=seed).to_parquet(
        folder / "steps.parquet"
    )
