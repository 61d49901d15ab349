"""What the network loses without some conv3 maps (claim C4: it decides with the maps matched to action units).

Zeroing a map behind its ReLU zeroes its plane behind the pool, and the first fully connected layer is linear in
these planes: every map's share of its input is computed once, and any number of sets of maps costs one matrix
product. A drop in accuracy says little by itself, as any loud map is missed; so the same number of random maps,
matched in how loudly they reach the classifier, is removed many times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from torch import Tensor, nn
from torch.nn import functional

from fer_lib.checks import at_least, check_choice, generator
from fer_lib.errors import FerError
from fer_lib.measures.arrays import BLOCK

Baseline = Literal["zero", "mean"]
Floats = NDArray[np.float64]
Planes: TypeAlias = ArrayLike | Tensor | Callable[[], Iterable[Tensor]]
_PICTURES = 64  # whose shares are held at a time: 64 MiB for 256 maps and 1,024 hidden units


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
        Mean loudness of the chosen maps and of the random sets' (see `loudness`): how good the match is.
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
    classifier
        The network behind the last pool: flatten, a linear layer, then anything.
    pooled
        Planes of the last pool of the pictures to judge on, shape (N, C, h, w), or a function that gives them in batches, anew
        each time.
    labels
        Their classes, shape (N,).
    chosen
        Maps to remove; repetitions count once.
    draws, neighbours, seed
        See `matched_sets`.
    baseline
        `"zero"`: a removed map is silent. `"mean"`: it has its mean plane over the pictures, so that only what it
        tells pictures apart by is lost.

    Returns
    -------
    Ablation

    Raises
    ------
    FerError
        When a map does not exist, too few maps are left to draw from, or shapes do not fit.
    """
    truth = np.asarray(labels)
    loud, count = _loudness(classifier, pooled)
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


def keep_only(
    classifier: nn.Sequential,
    pooled: Planes,
    labels: ArrayLike,
    order: ArrayLike,
    counts: Sequence[int],
    *,
    baseline: Baseline = "zero",
) -> Floats:
    """Return the accuracy with only the first k maps of an order, all others removed.

    Parameters
    ----------
    classifier, pooled, labels, baseline
        As in `ablate`.
    order
        Maps, most important first, shape (m,).
    counts
        Values of k, 0 to m.

    Returns
    -------
    ndarray
        Shape (len(counts),).
    """
    maps = np.asarray(order, dtype=np.int64)
    sets = np.ones((len(counts), next(_packs(classifier, pooled)).shape[1]), dtype=bool)
    for row, count in zip(sets, counts, strict=True):
        row[maps[:count]] = False
    scores = logits_without(classifier, pooled, sets, baseline=baseline)
    right = scores.argmax(dim=2) == torch.as_tensor(np.asarray(labels))
    return right.double().mean(dim=1).numpy()


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
        As in `ablate`.
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
        As `ablate`; or if people or neutral planes do not fit.
    """
    truth, who = np.asarray(labels), pd.factorize(np.asarray(subject))[0]
    loud, count = _loudness(classifier, pooled)
    if truth.shape != (count,) or who.shape != truth.shape or not count:
        raise FerError(
            f"labels {truth.shape} and people {who.shape} do not fit {count} pictures; give one of each per picture"
        )
    if not 0 < level < 1 or not 0 < power < 1 or resamples < 1:
        raise FerError(
            f"level={level}, power={power}, resamples={resamples}: give shares between 0 and 1 and at least one draw"
        )
    check_choice("baseline", baseline, Baseline)
    own = np.unique(np.asarray(chosen, dtype=np.int64))
    random = matched_sets(own, loud, draws=draws, neighbours=neighbours, seed=seed)
    sets = np.concatenate([np.isin(np.arange(len(loud)), own)[None], random])
    usual = _usual(classifier, pooled) if baseline == "mean" else torch.zeros(1)
    # What is changed, by what, and whether the chosen maps are what stays.
    ways: dict[str, tuple[Planes, Planes | Tensor, NDArray[np.bool_], float]] = {
        "remove": (pooled, usual, sets, 1.0),
        "keep only": (pooled, usual, ~sets, -1.0),
    }
    if neutral is not None:
        ways |= {
            "patch neutral into apex": (pooled, neutral, sets, 1.0),
            "patch apex into neutral": (neutral, pooled, sets, -1.0),
        }
    rng, people = np.random.default_rng(seed), int(who.max()) + 1
    times = rng.multinomial(people, np.full(people, 1 / people), size=resamples)[:, who].astype(np.float64)
    target = torch.as_tensor(truth)
    rows: dict[str, dict[str, float]] = {}
    for way, (planes, other, changed, sign) in ways.items():
        scores = _logits_changed(classifier, planes, other, changed)
        right = (scores.argmax(dim=2) == target).double().numpy()
        losses = np.stack(
            [functional.cross_entropy(some.double(), target, reduction="none").numpy() for some in scores]
        )
        row: dict[str, float] = {}
        # Each measured so that more means that the maps of the set matter more.
        for name, values, matters in (("accuracy", right, -sign * right), ("loss", losses, sign * losses)):
            row |= {name: values[0].mean(), f"{name}_random": values[1:].mean()}
            row |= {f"{name}_{what}": value for what, value in _effect(matters, times, level, power).items()}
        rows[way] = row | {
            "pictures": count,
            "people": people,
            "loudness": loud[own].mean(),
            "loudness_random": (random @ loud).sum() / random.sum(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("way")


def _effect(matters: Floats, times: Floats, level: float, power: float) -> dict[str, float]:
    """Compare the first set with the others, (S, N) by set and picture; pictures count `times`, (B, N), in each draw."""
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


@torch.no_grad()
def logits_without(
    classifier: nn.Sequential, pooled: Planes, sets: ArrayLike, *, baseline: Baseline = "zero"
) -> Tensor:
    """Return the class scores with each set of maps removed.

    Parameters
    ----------
    classifier, pooled, baseline
        As in `ablate`.
    sets
        Whether a map is removed, shape (S, C), bool.

    Returns
    -------
    Tensor
        Shape (S, N, classes), float32.
    """
    check_choice("baseline", baseline, Baseline)
    usual = _usual(classifier, pooled) if baseline == "mean" else torch.zeros(1)
    return _logits_changed(classifier, pooled, usual, sets)


@torch.no_grad()
def _logits_changed(
    classifier: nn.Sequential, planes: Planes, other: Planes | Tensor, sets: ArrayLike
) -> Tensor:
    """Class scores (S, N, classes) with the maps of each set taken from other planes, or from one that stands for all pictures."""
    swapped = torch.as_tensor(np.asarray(sets, dtype=np.float32))
    linear, rest = _parts(classifier)
    packs, out = _packs(classifier, planes), []
    if isinstance(other, Tensor) and len(other) == 1:
        pairs: Iterable[tuple[Tensor | None, Tensor | None]] = ((part, other) for part in packs)
    else:
        pairs = zip_longest(packs, _packs(classifier, other))
    for part, instead in pairs:
        if part is None or instead is None or len(instead) not in (1, len(part)):
            raise FerError(
                "the planes to patch with are not as many as those that are patched; give one for each picture"
            )
        if swapped.ndim != 2 or swapped.shape[1] != part.shape[1]:
            raise FerError(
                f"sets have shape {tuple(swapped.shape)} for {part.shape[1]} maps; (sets, maps) is expected"
            )
        share = _shares(linear, part - instead)  # what each map's own plane adds, (n, C, hidden)
        hidden = linear(part.flatten(1)) - torch.einsum("sc,nch->snh", swapped, share)
        out.append(rest(hidden.flatten(0, 1)).reshape(len(swapped), len(part), -1))
    return torch.cat(out, dim=1)


def _usual(classifier: nn.Sequential, pooled: Planes) -> Tensor:
    """Mean plane of every map, (1, C, h, w)."""
    total, count = torch.zeros(1, dtype=torch.float64), 0
    for part in _packs(classifier, pooled):
        total, count = total + part.double().sum(dim=0, keepdim=True), count + len(part)
    return (total / count).float()


def _losses(scores: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of scores (S, N, classes), (S,) in nats."""
    each = functional.cross_entropy(
        scores.double().movedim(2, 1), target.expand(len(scores), -1), reduction="none"
    )
    return each.mean(dim=1)


def loudness(classifier: nn.Sequential, pooled: Planes) -> Floats:
    """Return how strongly every map drives the first linear layer: mean length of its share of the layer's input.

    This is activation and outgoing weight in one number; a map that is loud but not listened to is not loud.

    Parameters
    ----------
    classifier, pooled
        As in `ablate`.

    Returns
    -------
    ndarray
        Shape (C,), at least 0; 0 for a dead map.
    """
    return _loudness(classifier, pooled)[0]


@torch.no_grad()
def _loudness(classifier: nn.Sequential, pooled: Planes) -> tuple[Floats, int]:
    """Loudness of every map, and the number of pictures."""
    linear, _ = _parts(classifier)
    total, count = torch.zeros(1, dtype=torch.float64), 0
    for part in _packs(classifier, pooled):
        total, count = total + _shares(linear, part).norm(dim=2).double().sum(dim=0), count + len(part)
    return total.numpy() / max(count, 1), count


def matched_sets(
    chosen: ArrayLike, loud: ArrayLike, *, draws: int = 200, neighbours: int = 10, seed: int = 0
) -> NDArray[np.bool_]:
    """Draw random sets of maps that are as loud as the chosen ones: of each class of loudness as many.

    Maps are sorted by loudness and divided into classes of `neighbours` maps. Within its class each map is as likely to be drawn as any
    other, the chosen ones too: a set that tells nothing but by its loudness is then one of the sets that may be drawn, which makes a
    p value from them exact. (Sets without the chosen maps are quieter than these where they are the loudest, and reject too often.)

    Parameters
    ----------
    chosen
        Maps to match, shape (m,), all different.
    loud
        Loudness of every map, shape (C,).
    draws
        Sets to draw, at least 1.
    neighbours
        Maps of nearly the same loudness that make a class; a few classes have more, as the number of maps asks.
    seed
        Of the draws.

    Returns
    -------
    ndarray
        Shape (draws, C), m maps in each row.

    Raises
    ------
    FerError
        When a map does not exist or more than half of them are chosen.
    """
    maps, values = np.asarray(chosen, dtype=np.int64), np.asarray(loud, dtype=np.float64)
    if not len(maps) or maps.min() < 0 or maps.max() >= len(values):
        raise FerError(
            f"chosen maps {maps.tolist()} do not exist among {len(values)}; give at least one that does"
        )
    if 2 * len(maps) > len(values):
        raise FerError(
            f"{len(maps)} of {len(values)} maps are chosen: too few are left to compare with; choose fewer"
        )
    at_least("draws", draws)
    at_least("neighbours", neighbours)
    order = np.argsort(values, kind="stable")
    classes = np.array_split(order, max(1, len(values) // neighbours))
    rng = generator(seed)
    sets = np.zeros((draws, len(values)), dtype=bool)
    for alike in classes:
        count = int(np.isin(alike, maps).sum())
        drawn = rng.permuted(np.tile(alike, (draws, 1)), axis=1)[:, :count]
        np.put_along_axis(sets, drawn, True, axis=1)
    return sets


def _packs(classifier: nn.Sequential, pooled: Planes) -> Iterator[Tensor]:
    """Planes of `_PICTURES` pictures at a time, whatever the size of the batches, which then changes no result."""
    linear, _ = _parts(classifier)
    batches = pooled() if callable(pooled) else [pooled]
    rest: Tensor | None = None
    for batch in batches:
        planes = torch.as_tensor(
            batch if isinstance(batch, Tensor) else np.asarray(batch), dtype=torch.float32
        )
        if planes.ndim != 4 or planes.shape[1:].numel() != linear.in_features:
            raise FerError(
                f"planes have shape {tuple(planes.shape)}; (N, C, h, w) with {linear.in_features} values a picture is expected"
            )
        planes = planes if rest is None else torch.cat([rest, planes])
        whole = len(planes) - len(planes) % _PICTURES
        yield from planes[:whole].split(_PICTURES) if whole else ()
        rest = planes[whole:]
    if rest is not None and len(rest):
        yield rest


def _parts(classifier: nn.Sequential) -> tuple[nn.Linear, nn.Module]:
    """Return the first linear layer and what follows; a flatten may come first."""
    layers = list(classifier)
    if layers and isinstance(layers[0], nn.Flatten):
        layers = layers[1:]
    if not layers or not isinstance(layers[0], nn.Linear):
        raise FerError("the classifier does not begin with a linear layer; maps' shares cannot be told apart")
    if any(module.training for module in classifier.modules()):
        raise FerError("the classifier is in training mode, where dropout is random; call eval() first")
    return layers[0], nn.Sequential(*layers[1:])


def _shares(linear: nn.Linear, planes: Tensor) -> Tensor:
    """Return every map's share of a linear layer's output, (n, C, hidden), without the bias."""
    weight = linear.weight.unflatten(1, (planes.shape[1], -1))  # (hidden, C, h * w)
    return torch.einsum("ncp,hcp->nch", planes.flatten(2), weight)
