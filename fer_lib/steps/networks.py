"""Networks: the one of the study, and the first steps from other starting weights.

They are made from `fer_lib.steps.examples.examples`; `crops` is the folder with the crops, whose digests these hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Training
from fer_lib.faces.crops import Crops
from fer_lib.network.examples import Examples
from fer_lib.network.starts import initialisation_study
from fer_lib.network.training import train


@step(resumes=True, free=("crops", "device", "progress"))
def training(
    folder: Path,
    examples: Artifact,
    config: Training,
    seed: int,
    arithmetic: Mapping[str, str | int],
    *,
    crops: Path,
    device: str,
    progress: bool,
) -> None:
    """Train the network. `arithmetic` (`fer_lib.network.repeatable.arithmetic`) is what the last bits depend on."""
    known = Examples.load(examples.path)
    train(
        Crops.load(crops),
        known.labels,
        known.train,
        known.test,
        config,
        classes=known.classes,
        seed=seed,
        folder=folder,
        device=device,
        progress=progress,
    )


@step(free=("crops",))
def first_steps(
    folder: Path,
    examples: Artifact,
    config: Training,
    steps: int,
    seed: int,
    arithmetic: Mapping[str, str | int],
    *,
    crops: Path,
) -> None:
    """Take the first steps of training from every initialisation; write ``steps.parquet``."""
    known = Examples.load(examples.path)
    initialisation_study(
        Crops.load(crops),
        known.labels,
        known.train,
        hp=config,
        classes=known.classes,
        steps=steps,
        seed=seed,
    ).to_parquet(folder / "steps.parquet")
