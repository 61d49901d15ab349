"""What the network loses without some conv3 maps (claim C4: it decides with the maps matched to action units).

A drop in accuracy says little by itself, as any loud map is missed; so the same number of random maps,
matched in how loudly they reach the classifier, is removed many times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from fer_lib.errors import FerError
from fer_lib.measures.arrays import BLOCK, Floats
from fer_lib.measures.map_removal import (
    Baseline,
    Planes,
    logits_without,
    loudness,
)
from fer_lib.measures.random_sets import matched_sets


@dataclass(frozen=True, eq=False)
class Ablation:
    """What a set of maps is worth to a network, beside random sets that are as loud.

    Attributes
    ----------
    accuracy
        Of the whole network, 0 to 1.
    without
        Accuracy without the chosen maps.
    random
        Accuracy without each of the random sets, shape (draws,).
    loss, loss_without, loss_random
        The same for the mean cross-entropy in nats, which sees changes that accuracy does not.
    p, p_loss
        Share of random sets whose removal costs at least as much as the chosen ones', with +1 in count and total.
    loudness, loudness_random
        Mean loudness of the chosen maps and of the random sets' (see `fer_lib.measures.map_removal.loudness`): how good the match is.
    lost
        Shape (N,): 1 for a picture that is right with all maps and wrong without the chosen ones, -1 for the reverse, else 0; its
        mean is `accuracy` minus `without`.
    by_class
        Index `class`; columns `pictures`, `accuracy`, `without` and `random` (mean over the sets).
    """

    accuracy: float
    without: float
    random: Floats
    loss: float
    loss_without: float
    loss_random: Floats
    p: float
    p_loss: float
    loudness: float
    loudness_random: float
    lost: Floats
    by_class: pd.DataFrame


def ablate(
    classifier: nn.Sequential,
    pooled: Planes,
    labels: ArrayLike,
    chosen: Sequence[int] | NDArray[np.int64],
    *,
    draws: int = 200,
    neighbours: int = 10,
    baseline: Baseline = "zero",
    seed: int = 0,
) -> Ablation:
    """Remove chosen maps, and as many random maps of the same loudness, and compare what the network loses.

    Parameters
    ----------
    classifier, pooled, baseline
        As for `fer_lib.measures.map_removal.logits_without`.
    labels
        Their classes, shape (N,).
    chosen
        Maps to remove; repetitions count once.
    draws, neighbours, seed
        As for `fer_lib.measures.random_sets.matched_sets`.

    Returns
    -------
    Ablation

    Raises
    ------
    FerError
        When a map does not exist, too few maps are left to draw from, or shapes do not fit.
    """
    truth = np.asarray(labels)
    loud, count = loudness(classifier, pooled)
    if truth.shape != (count,) or not count:
        raise FerError(f"labels have shape {truth.shape} for {count} pictures; give one class per picture")
    own = np.unique(np.asarray(chosen, dtype=np.int64))
    random = matched_sets(own, loud, draws=draws, neighbours=neighbours, seed=seed)
    sets = np.zeros((draws + 2, len(loud)), dtype=bool)  # first nothing, then the chosen, then random ones
    sets[1, own] = True
    sets[2:] = random
    scores = logits_without(classifier, pooled, sets, baseline=baseline)
    right = (scores.argmax(dim=2) == torch.as_tensor(truth)).double().numpy()  # (S, N)
    target, step = torch.as_tensor(truth), max(1, BLOCK // scores[0].numel())
    loss = torch.cat([_losses(some, target) for some in scores.split(step)]).numpy()
    accuracy = right.mean(axis=1)
    # Accuracies are counts over N: compare counts, so that ties are exact.
    hits = right.sum(axis=1)
    table = pd.DataFrame(
        [
            (name, len(part := right[:, truth == name].T), *part.mean(axis=0)[:2], part[:, 2:].mean())
            for name in np.unique(truth)
        ],
        columns=["class", "pictures", "accuracy", "without", "random"],
    ).set_index("class")
    return Ablation(
        accuracy=float(accuracy[0]),
        without=float(accuracy[1]),
        random=accuracy[2:],
        loss=float(loss[0]),
        loss_without=float(loss[1]),
        loss_random=loss[2:],
        p=float((1 + (hits[2:] <= hits[1]).sum()) / (draws + 1)),
        p_loss=float((1 + (loss[2:] >= loss[1]).sum()) / (draws + 1)),
        loudness=float(loud[own].mean()),
        loudness_random=float((random @ loud).sum() / random.sum()),
        lost=right[0] - right[1],
        by_class=table,
    )


def _losses(scores: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of scores (S, N, classes), (S,) in nats."""
    each = functional.cross_entropy(
        scores.double().movedim(2, 1), target.expand(len(scores), -1), reduction="none"
    )
    return each.mean(dim=1)
