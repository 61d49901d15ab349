"""Four ways to ask whether the network decides with some maps: removed, kept alone, patched into and out of a neutral face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from torch import Tensor, nn
from torch.nn import functional

from fer_lib.checks import group_numbers
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats
from fer_lib.measures.map_removal import (
    Baseline,
    Planes,
    logits_patched,
    loudness,
    removed_planes,
)
from fer_lib.measures.random_sets import matched_sets
from fer_lib.measures.resampling import draw_people


def remove_keep_patch(
    classifier: nn.Sequential,
    pooled: Planes,
    labels: ArrayLike,
    chosen: Sequence[int] | NDArray[np.int64],
    subject: ArrayLike,
    *,
    neutral: Planes | None = None,
    draws: int = 200,
    neighbours: int = 10,
    baseline: Baseline = "zero",
    resamples: int = 1000,
    level: float = 0.05,
    power: float = 0.8,
    seed: int = 0,
) -> pd.DataFrame:
    """Intervene on chosen maps in four ways, beside random sets of maps that are as loud, and say what could have been seen.

    *remove*: all but the chosen maps stay. *keep only*: only the chosen maps stay. *patch neutral into apex*: the chosen maps are those
    of the person's neutral picture, all others those of the picture with the expression. *patch apex into neutral*: the other way round,
    which asks whether the chosen maps alone make the network see the expression.

    Parameters
    ----------
    classifier, pooled, labels, chosen, draws, neighbours, baseline
        As for `fer_lib.measures.ablation.ablate`.
    subject
        Person of every picture, shape (N,).
    neutral
        Planes of the neutral picture that belongs to each picture, of the same person, as `pooled`. None: no patching.
    resamples
        Draws of people for the intervals.
    level, power
        Of the test, and the probability with which `detectable` would have been seen.
    seed
        Of the random sets and the draws of people.

    Returns
    -------
    DataFrame
        Index `way`. For ``accuracy`` (share of pictures taken for their expression) and ``loss`` (mean cross-entropy in nats):
        ``<name>`` with the chosen maps, ``<name>_random`` (mean over the random sets), ``<name>_effect`` (how much more the chosen
        maps matter than the random ones; above 0 speaks for the chosen maps, whatever the way), ``<name>_low`` and ``<name>_high``
        (95 % interval of the effect, people drawn anew), ``<name>_p`` (share of the random sets that matter at least as much, +1 in
        count and total) and ``<name>_detectable`` (smallest effect that would have been significant with this power, given how
        much random sets differ and how much people do). Further ``pictures``, ``people``, and ``loudness`` and ``loudness_random`` (means
        over the chosen maps and the random sets).

    Raises
    ------
    FerError
        As for `fer_lib.measures.ablation.ablate`; or if people or neutral planes do not fit.
    """
    truth = np.asarray(labels)
    who = group_numbers(subject, len(truth), "subject")
    loud, count = loudness(classifier, pooled)
    if truth.shape != (count,) or who.shape != truth.shape or not count:
        raise FerError(
            f"labels {truth.shape} and people {who.shape} do not fit {count} pictures; give one of each per picture"
        )
    if not 0 < level < 1 or not 0 < power < 1 or resamples < 1:
        raise FerError(
            f"level={level}, power={power}, resamples={resamples}: give shares between 0 and 1 and at least one draw"
        )
    own = np.unique(np.asarray(chosen, dtype=np.int64))
    random = matched_sets(own, loud, draws=draws, neighbours=neighbours, seed=seed)
    sets = np.concatenate([np.isin(np.arange(len(loud)), own)[None], random])
    instead = removed_planes(classifier, pooled, baseline)
    # What is changed, by what, and whether the chosen maps are what stays.
    ways: dict[str, tuple[Planes, Planes | Tensor, NDArray[np.bool_], float]] = {
        "remove": (pooled, instead, sets, 1.0),
        "keep only": (pooled, instead, ~sets, -1.0),
    }
    if neutral is not None:
        ways |= {
            "patch neutral into apex": (pooled, neutral, sets, 1.0),
            "patch apex into neutral": (neutral, pooled, sets, -1.0),
        }
    rng, people = np.random.default_rng(seed), int(who.max()) + 1
    times = draw_people(people, resamples, rng)[:, who].astype(np.float64)
    target = torch.as_tensor(truth)
    rows: dict[str, dict[str, float]] = {}
    for way, (planes, other, changed, sign) in ways.items():
        scores = logits_patched(classifier, planes, other, changed)
        right = (scores.argmax(dim=2) == target).double().numpy()
        losses = np.stack(
            [functional.cross_entropy(some.double(), target, reduction="none").numpy() for some in scores]
        )
        row: dict[str, float] = {}
        # Each measured so that more means that the maps of the set matter more.
        for name, values, matters in (("accuracy", right, -sign * right), ("loss", losses, sign * losses)):
            row |= {name: values[0].mean(), f"{name}_random": values[1:].mean()}
            row |= {
                f"{name}_{what}": value
                for what, value in compare_with_random_sets(matters, times, level, power).items()
            }
        rows[way] = row | {
            "pictures": count,
            "people": people,
            "loudness": loud[own].mean(),
            "loudness_random": (random @ loud).sum() / random.sum(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("way")


def compare_with_random_sets(matters: Floats, times: Floats, level: float, power: float) -> dict[str, float]:
    """Compare the chosen set of maps with random ones.

    Parameters
    ----------
    matters
        How much each set matters on each picture, shape (S, N); the first set is the chosen one.
    times
        How often a picture counts in each draw of people, shape (B, N).
    level, power
        Of the test, and the probability with which ``detectable`` would have been seen.

    Returns
    -------
    dict
        ``effect``, ``low``, ``high``, ``p`` and ``detectable``, as in `remove_keep_patch`.
    """
    sums = matters.sum(axis=1)
    # Of equal sums rounding must not make unequal ones.
    reached = (sums[1:] >= sums[0] - 1e-9 * np.abs(sums).max()).sum()
    excess = matters[0] - matters[1:].mean(axis=0)
    drawn = times @ excess / times.sum(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    means = matters[1:].mean(axis=1)
    needed = np.quantile(means - means.mean(), 1 - level, method="higher")
    return {
        "effect": float(excess.mean()),
        "low": float(low),
        "high": float(high),
        "p": float((1 + reached) / len(sums)),
        "detectable": float(max(needed, 0.0) + norm.ppf(power) * drawn.std()),
    }
