"""Networks: the one of the study, one per fold of people, and the first steps from other starting weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division, Training
from fer_lib.faces.crops import Crops
from fer_lib.network.folds import cross_validate
from fer_lib.network.splits import Split, subject_folds
from fer_lib.network.starts import initialisation_study
from fer_lib.network.training import train
from fer_lib.steps.stored import Labelled


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
    known = Labelled.load(pictures, neutral=division.neutral)
    split = known.split(division)
    train(
        Crops.load(pictures.path),
        known.labels,
        split.train,
        split.test,
        config,
        classes=len(known.expressions),
        seed=seed,
        folder=folder,
        device=device,
        progress=progress,
    )


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
    known = Labelled.load(pictures, neutral=neutral)
    rows = np.flatnonzero(known.labels >= 0)
    people = subject_folds(known.table.iloc[rows], number, split_seed)
    cross_validate(
        Crops.load(pictures.path),
        known.labels,
        [Split(rows[part.train], rows[part.test]) for part in people],
        config,
        classes=len(known.expressions),
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
    known = Labelled.load(pictures, neutral=division.neutral)
    initialisation_study(
        Crops.load(pictures.path),
        known.labels,
        known.split(division).train,
        hp=config,
        classes=len(known.expressions),
        steps=steps,
        seed=seed,
    ).to_parquet(folder / "steps.parquet")
