"""A network with a detector built in by hand, for measures to find among its other maps.

Unlike a simulation of responses (`fer_lib.measures.planted`), all else is the network's own: its other maps, their noise, their gains and
what they share.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torch.nn import functional

from fer_lib.checks import group_numbers
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_labels, check_maps, check_table
from fer_lib.measures.distance import best_maps
from fer_lib.measures.scores import SCORES, Score

_BATCH = 32


@dataclass(frozen=True)
class BuiltIn:
    """A network one of whose maps detects an action unit.

    Attributes
    ----------
    model
        A copy of the network, with another kernel and bias for this map and nothing else changed.
    map
        Its number.
    row, column
        Place in the map where the unit changes the layer's input most, of which the kernel was made.
    """

    model: nn.Module
    map: int
    row: int
    column: int


@torch.no_grad()
def build_in(
    model: nn.Module,
    with_au: ArrayLike | Tensor,
    without: ArrayLike | Tensor,
    *,
    layer: str = "conv3",
    map: int | None = None,
    others: int = 8,
    penalty: float = 0.01,
    seed: int = 0,
) -> BuiltIn:
    """Replace one kernel of a convolution by the linear combination of its input that best tells an action unit's own pixels.

    The kernel is a ridge regression: 1 on what the convolution sees at the place that the unit changes most, on pictures with the
    unit; 0 on what it sees there on pictures without, and elsewhere on either. The map is made as loud and as steady as the median of
    the others, so that it cannot be told by its gain.

    Parameters
    ----------
    model
        Network; left alone.
    with_au, without
        Pictures (n, channels, H, W) and (m, channels, H, W), best of the same people: rendered ones with this unit alone, and all others of
        them, neutral and with every other unit, so that the detector does not answer to neighbouring units.
    layer
        Name of the convolution, as in ``model.named_modules()``; its stride and dilation are 1, and it has a bias and no groups.
    map
        To replace; None: the one that answers least to the pictures.
    others
        Places of each picture that the regression looks at besides.
    penalty
        Of the regression, in units of the mean squared length of what the convolution sees.
    seed
        Of the other places.

    Returns
    -------
    BuiltIn

    Raises
    ------
    FerError
        If the layer cannot take a kernel, or the unit changes nothing that it sees.
    """
    network = copy.deepcopy(model).eval()
    modules = dict(network.named_modules())
    conv = modules.get(layer)
    if not isinstance(conv, nn.Conv2d):
        known = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
        raise FerError(f"layer {layer!r} is no convolution: choose one of {', '.join(known) or 'none'}")
    if (
        isinstance(conv.padding, str)
        or {*conv.stride, *conv.dilation, conv.groups} != {1}
        or conv.bias is None
    ):
        raise FerError(
            f"layer {layer!r} has {conv}: stride, dilation and groups of 1, padding in pixels and a bias are needed"
        )
    if map is not None and not 0 <= map < conv.out_channels:
        raise FerError(f"map {map} is none of {conv.out_channels}; give 0 to {conv.out_channels - 1}")
    if others < 1 or not penalty > 0:
        raise FerError(f"others={others}, penalty={penalty}: give at least one place and a penalty above 0")
    shown, hidden = (_seen(network, conv, torch.as_tensor(pictures)) for pictures in (with_au, without))
    spread = torch.cat([shown, hidden]).std(dim=0)
    change = (shown.mean(dim=0) - hidden.mean(dim=0)) / torch.where(spread > 0, spread, 1.0)
    kernel, padding = conv.weight.shape[2:], conv.padding
    strength = functional.conv2d(
        (change**2).sum(dim=0)[None, None], torch.ones(1, 1, *kernel), padding=padding
    )[0, 0]
    if not strength.max() > 0:
        raise FerError("pictures with and without the action unit are alike for this layer; give others")
    place = int(strength.argmax())
    row, column = divmod(place, strength.shape[1])
    rng = np.random.default_rng(seed)
    seen, target = [], []
    for planes, present in ((shown, 1.0), (hidden, 0.0)):
        for plane in planes:
            windows = functional.unfold(plane[None], kernel, padding=padding)[0]  # (values, places)
            away = rng.choice(windows.shape[1], min(others, windows.shape[1]), replace=False)
            away = away[away != place]
            seen.append(windows[:, np.r_[place, away]].T.numpy())
            target.append(np.r_[present, np.zeros(len(away))])
    x, y = np.concatenate(seen).astype(np.float64), np.concatenate(target)
    # There are more places without the unit than with it: both sides weigh the same.
    weight = np.where(y == 1, 0.5 / (y == 1).sum(), 0.5 / (y == 0).sum()) * len(y)
    alpha = penalty * float(((x - x.mean(axis=0)) ** 2).sum(axis=1).mean())
    direction = Ridge(alpha=alpha, solver="cholesky").fit(x, y, sample_weight=weight).coef_
    every = torch.cat([shown, hidden])
    responses = functional.conv2d(every, conv.weight, conv.bias, padding=padding).amax(dim=(2, 3)).relu()
    chosen = int(responses.mean(dim=0).argmin()) if map is None else map
    conv.weight[chosen] = torch.from_numpy(direction).to(conv.weight).view_as(conv.weight[chosen])
    conv.bias[chosen] = 0.0
    own = functional.conv2d(every, conv.weight[[chosen]], padding=padding).amax(dim=(2, 3))[:, 0]
    rest = np.delete(responses.double().numpy(), chosen, axis=1)
    level, loud = rest.mean(axis=0), rest.std(axis=0)
    alive = loud > 0
    gain = (float(np.median(loud[alive])) if alive.any() else 1.0) / float(own.double().std(correction=0))
    conv.weight[chosen] *= gain
    steady = float(np.median(level[alive])) if alive.any() else 1.0
    conv.bias[chosen] = steady - gain * float(own.double().mean())
    return BuiltIn(network, chosen, row, column)


def found_by(
    maximum: ArrayLike,
    present: ArrayLike,
    subject: ArrayLike,
    map: int,
    *,
    scores: Mapping[str, Score] = SCORES,
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return which measures choose a map that is known to be the detector.

    Parameters
    ----------
    maximum, present
        Responses (N, C) and labels 1, 0 or NaN of the action unit, (N,).
    subject
        Person of every picture, (N,).
    map
        The detector.
    scores
        Measures by name.
    draws, level, seed
        Draws of people, level of the interval of `rank`, and seed.

    Returns
    -------
    DataFrame
        Index `measure`; ``chosen`` (its map; -1 for none), ``found`` (whether that is the detector), ``rank`` of the detector among all
        maps (1 is best, ties averaged; NaN if it has no value) with ``rank_low`` and ``rank_high``, ``share`` (of the draws of people
        in which the detector is chosen) and ``percentile`` (of the chosen map's spread of responses among all, in percent: near 100 for
        a measure that follows the gain).
    """
    given = check_labels(present)
    values, labels = check_table(maximum, given[:, None] if given.ndim == 1 else given)
    if labels.shape[1] != 1:
        raise FerError(f"labels have shape {given.shape}; give those of one action unit, (N,)")
    if draws < 1 or not 0 < level < 1:
        raise FerError(f"draws={draws}, level={level}: give at least 1 and a share between 0 and 1")
    check_maps([map], 1, values.shape[1])
    who = group_numbers(subject, len(values))
    rows_of = [np.flatnonzero(who == person) for person in range(int(who.max()) + 1)]
    rng = np.random.default_rng(seed)
    samples: list[NDArray[np.int64]] = [np.arange(len(values))]
    for _ in range(draws):
        samples.append(
            np.concatenate([rows_of[person] for person in rng.integers(len(rows_of), size=len(rows_of))])
        )
    spread = values.std(axis=0)
    table = {}
    for name, score in scores.items():
        found = np.concatenate([score(values[rows], labels[rows]) for rows in samples])  # (1 + draws, C)
        chosen, rank = best_maps(found), _rank(found, map)
        known = rank[1:][~np.isnan(rank[1:])]
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if len(known) else (np.nan, np.nan)
        best = int(chosen[0])
        table[name] = {
            "chosen": best,
            "found": best == map,
            "rank": rank[0],
            "rank_low": low,
            "rank_high": high,
            "share": float((chosen[1:] == map).mean()),
            "percentile": 100 * float((spread <= spread[best]).mean()) if best >= 0 else np.nan,
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("measure")


def _rank(found: Floats, map: int) -> Floats:
    ranks = rankdata(-np.where(np.isnan(found), -np.inf, found), axis=1)[:, map]
    return np.where(np.isnan(found[:, map]), np.nan, ranks)


def _seen(network: nn.Module, conv: nn.Conv2d, pictures: Tensor) -> Tensor:
    """What a convolution is given for pictures, (n, channels, h, w)."""
    if pictures.ndim != 4 or not len(pictures):
        raise FerError(f"pictures have shape {tuple(pictures.shape)}: give (n, channels, H, W), at least one")
    kept: list[Tensor] = []
    handle = conv.register_forward_pre_hook(lambda _, given: kept.append(given[0].detach().cpu().float()))
    try:
        for part in pictures.to(conv.weight.dtype).split(_BATCH):
            network(part.to(conv.weight.device))
    finally:
        handle.remove()
    return torch.cat(kept)
