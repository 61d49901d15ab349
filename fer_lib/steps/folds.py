"""One network per fold of people; `crops` is the folder with the crops, whose digests the examples hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Training
from fer_lib.faces.crops import Crops
from fer_lib.network.examples import Examples
from fer_lib.network.folds import cross_validate
from fer_lib.network.splits import Split, subject_folds


@step(resumes=True, free=("crops", "device", "progress"))
def folds(
    folder: Path,
    examples: Artifact,
    number: int,
    split_seed: int,
    config: Training,
    seed: int,
    arithmetic: Mapping[str, str | int],
    *,
    crops: Path,
    device: str,
    progress: bool,
) -> None:
    """Train and test one network per fold of people; write ``folds.parquet``."""
    known = Examples.load(examples.path)
    rows = np.flatnonzero(known.labels >= 0)
    people = subject_folds(pd.DataFrame({"subject": known.subjects[rows]}), number, split_seed)
    cross_validate(
        Crops.load(crops),
        known.labels,
        [Split(rows[part.train], rows[part.test]) for part in people],
        config,
        classes=known.classes,
        seed=seed,
        folder=folder / "runs",
        progress=progress,
        device=device,
    ).to_parquet(folder / "folds.parquet")
