"""Leave subjects out: one training run per fold, every picture tested by a network that has not seen its person."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_lib.artifacts.files import write_aside
from fer_lib.config import Training
from fer_lib.errors import FerError
from fer_lib.network.batches import checked, digest_of
from fer_lib.network.checkpoint import check_request
from fer_lib.network.repeatable import usable_device, whole_seed
from fer_lib.network.splits import Split
from fer_lib.network.training import train

_FOLDS = "folds.json"


def cross_validate(
    crops: Sequence[np.ndarray],
    labels: np.ndarray,
    folds: Sequence[Split],
    hp: Training,
    *,
    classes: int,
    seed: int = 0,
    folder: Path,
    progress: bool = True,
    device: str = "cpu",
) -> pd.DataFrame:
    """Train and test once per fold, for example of `fer_lib.network.splits.subject_folds`; resumable like `train`.

    Parameters
    ----------
    folds : sequence of Split
        Rows of ``crops``.
    folder : Path
        Receives the predictions of each fold; the networks are not kept.
    crops, labels, hp, classes, seed, progress, device
        As for `train`.

    Returns
    -------
    pandas.DataFrame
        One row per test picture of each fold: ``fold`` (from 1), ``picture``, ``label``, ``predicted``, and
        ``class_0``, ... (softmax).

    Raises
    ------
    FerError
        As `train`.
    """
    if not len(folds):
        raise FerError("there are no folds; give at least one")
    parts = [checked(crops, labels, fold.train, fold.test, classes) for fold in folds]
    labels, sides = parts[0][0], [side for part in parts for side in part[1:]]
    seed = whole_seed(seed)
    usable_device(device)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    request = {**asdict(hp), "classes": classes, "seed": seed, "data": digest_of(crops, labels, *sides)}
    if (folder / _FOLDS).is_file():
        check_request(folder, json.loads((folder / _FOLDS).read_bytes()), request)
    write_aside(folder / _FOLDS, json.dumps(request, indent=1).encode())
    tables = []
    for number, fold in enumerate(folds, 1):
        done, run = folder / f"fold-{number:02}.parquet", folder / f"fold-{number:02}"
        if not done.is_file():
            arguments: dict[str, Any] = {
                "classes": classes,
                "seed": seed,
                "folder": run,
                "progress": progress,
                "device": device,
            }
            train(crops, labels, fold.train, fold.test, hp, **arguments)
            (run / "predictions.parquet").replace(done)
        shutil.rmtree(run, ignore_errors=True)
        tables.append(pd.read_parquet(done).assign(fold=number))
    table = pd.concat(tables, ignore_index=True)
    scores = [name for name in table.columns.astype(str) if name.startswith("class_")]
    table["label"] = labels[table["picture"]]
    table["predicted"] = table[scores].to_numpy().argmax(1)
    return table[["fold", "picture", "label", "predicted", *scores]]
