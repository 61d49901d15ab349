"""Where training starts from: the first steps from different initial weights, the paper's N(0, 1) among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from fer_lib.config import Training
from fer_lib.network.batches import Loader, checked
from fer_lib.network.model import INITIALISATIONS, check_initialisation
from fer_lib.network.repeatable import repeatable, usable_device, whole_seed
from fer_lib.network.trainer import Trainer


def initialisation_study(
    crops: Sequence[np.ndarray],
    labels: np.ndarray,
    indices: np.ndarray,
    *,
    hp: Training,
    classes: int,
    schemes: Sequence[str] = tuple(INITIALISATIONS),
    steps: int = 12,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Take the first steps of training from different starting weights, everything else the same.

    Parameters
    ----------
    crops : sequence of numpy.ndarray
        Face crops, uint8 (height, width).
    labels : numpy.ndarray
        (N,) int: class of each crop.
    indices : numpy.ndarray
        Rows to train on.
    hp : Training
        Everything but the initialisation.
    classes : int
        Outputs of the network.
    schemes : sequence of str
        Names that `fer_lib.network.model.initialise` knows.
    steps : int, default 12
        Steps of one batch each.
    seed : int, default 0
        Gives every scheme the same batches, augmentation and dropout.
    device : str, default "cpu"
        Torch's name of the device.

    Returns
    -------
    pandas.DataFrame
        One row per scheme and step: ``initialisation``, ``step`` (from 1), ``loss`` (nats, of the step's
        batch, before the step), ``accuracy``, ``score_sd`` (standard deviation of the class scores). Values
        that are no longer numbers are NaN; the scheme's later steps then follow as NaN too.
    """
    seed = whole_seed(seed)
    labels, indices, _ = checked(crops, labels, indices, [], classes)
    for scheme in schemes:
        check_initialisation(scheme)
    usable_device(device)
    rows = []
    with repeatable(device, torch.get_num_threads()), Loader(crops, hp, seed, device) as loader:
        for scheme in schemes:
            trainer, step = Trainer(replace(hp, initialisation=scheme), classes, seed, device), 0
            for epoch in range(1, steps + 1):
                batches = trainer.begin(epoch, indices)[: steps - step]
                for batch, pictures in zip(batches, loader.augmented(batches, epoch), strict=True):
                    step += 1
                    loss, scores = trainer.step(pictures, labels[batch])
                    right = float((scores.argmax(1).cpu().numpy() == labels[batch]).mean())
                    row = {"loss": loss, "accuracy": right, "score_sd": float(scores.std(correction=0))}
                    if not np.isfinite([*row.values()]).all():
                        row = dict.fromkeys(row, float("nan"))
                    rows.append({"initialisation": scheme, "step": step, **row})
    return pd.DataFrame(rows, columns=["initialisation", "step", "loss", "accuracy", "score_sd"])
