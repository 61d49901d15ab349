"""Are projections about the network at all? Two checks of the rules that make them (Adebayo et al. 2018; Nie et al. 2018).

A projection that stays the same when the weights above the picture are drawn anew shows the picture, not what the network learned; one
that looks like the edges of the picture recovers it. Neither forbids that it also shows something of the unit.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata
from skimage.metrics import structural_similarity
from torch import nn

from fer_lib.checks import group_numbers
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats
from fer_lib.measures.resampling import draw_people
from fer_lib.probe.deconv import RULES, project
from fer_lib.probe.projections import Projections, crops
from fer_lib.probe.responses import Units

INTACT = "none"
SMALLEST = 7
"""Side in pixels below which a projection has no structural similarity."""


def saliency_checks(
    model: nn.Module,
    images: ArrayLike,
    units: Units,
    subject: ArrayLike,
    *,
    layer: str = "relu3",
    rules: Sequence[str] = RULES,
    sigma: float = 2.0,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw the weights anew from the unit's layer down, one layer more each time, and compare projections with before.

    Parameters
    ----------
    model
        Network of convolutions, or any that `fer_lib.probe.deconv.project` takes; it is left alone.
    images
        Pictures, (N, channels, H, W), that the units number.
    units
        To project, in the network as it is and in each with new weights: the same map and place.
    subject
        Person of every picture, shape (N,): people are drawn anew for the intervals.
    layer, rules
        As for `fer_lib.probe.deconv.project`.
    sigma
        Of the Gaussian in pixels that is taken from the picture, which leaves its edges.
    draws, level, seed
        Draws of people, level of the intervals, and seed of these and of the new weights.

    Returns
    -------
    DataFrame
        A row for each of the rules and stages: ``rule``; ``randomised``, the lowest layer with new weights ("none", then convolutions from
        the top down, each together with all above it); ``compared with`` "projection before" or "picture, high-passed"; ``rank
        correlation`` and ``ssim``, means over units, of absolute values of the projection (of the high-passed picture too); each with
        ``<name>_low`` and ``<name>_high``; ``units``, how many were compared: a unit whose projection is 0 or constant, as that
        of a silent unit, is not. A projection compared with itself has 1 in both, and that row is left out. ``ssim`` is NaN for
        patches of less than `SMALLEST` pixels.

    Raises
    ------
    FerError
        If there is no convolution at or below the layer, or shapes do not fit.

    References
    ----------
    Adebayo et al. (2018), Sanity Checks for Saliency Maps. NeurIPS. Nie, Zhang and Patel (2018), A Theoretical Explanation for Perplexing
    Behaviors of Backpropagation-based Visualizations. ICML. Wang et al. (2004) for the structural similarity.
    """
    pictures = np.asarray(images)
    if pictures.ndim != 4:
        raise FerError(f"pictures have shape {pictures.shape}; (N, channels, H, W) is expected")
    who = group_numbers(subject, len(pictures), "subject")
    if not len(units) or draws < 1 or not 0 < level < 1 or not sigma > 0:
        raise FerError(
            f"{len(units)} units, draws={draws}, level={level}, sigma={sigma}: give at least one unit and draw, a share and a width"
        )
    rng = np.random.default_rng(seed)
    networks = cascade(model, layer, seed=seed)
    edges = high_passed(pictures, sigma)
    person = who[units.picture]
    numbers, person = np.unique(person, return_inverse=True)
    times = draw_people(len(numbers), draws, rng)[:, person]
    rows: list[dict[str, object]] = []
    for rule in rules:
        before: Projections | None = None
        for name, network in networks.items():
            found = project(network, pictures, units, layer=layer, rule=rule)
            references = {"picture, high-passed": crops(edges, found)}
            if before is not None:
                references = {"projection before": before.patch, **references}
            for what, reference in references.items():
                row: dict[str, object] = {"rule": rule, "randomised": name, "compared with": what}
                alike = _alike(found.patch, reference)
                for column, values in alike.items():
                    row[column], row[f"{column}_low"], row[f"{column}_high"] = _mean(values, times, level)
                rows.append(row | {"units": int((~np.isnan(alike["rank correlation"])).sum())})
            before = found if before is None else before
    return pd.DataFrame(rows)


def cascade(model: nn.Module, layer: str, *, seed: int = 0) -> dict[str, nn.Module]:
    """Return copies of a network with ever more convolutions drawn anew, from a layer down to the picture.

    Parameters
    ----------
    model
        Network; left alone.
    layer
        Name of the layer from which on down, as in ``model.named_modules()``.
    seed
        Of the new weights, which are the old ones of the layer in another order: as large and as often negative. Biases keep their places.

    Returns
    -------
    dict of str to Module
        "none" first, then by the name of the lowest convolution that is new.
    """
    names = [name for name, _ in model.named_modules()]
    if layer not in names:
        raise FerError(
            f"there is no layer {layer!r}: the layers are {', '.join(name for name in names if name)}"
        )
    below = names[: names.index(layer) + 1]
    modules = dict(model.named_modules())
    convolutions = [name for name in below if isinstance(modules[name], nn.Conv2d)]
    if not convolutions:
        raise FerError(
            f"there is no convolution at or below layer {layer!r}, so that no weights can be drawn anew"
        )
    current = copy.deepcopy(model).eval()
    networks: dict[str, nn.Module] = {INTACT: current}
    generator = torch.Generator().manual_seed(seed)
    for name in reversed(convolutions):
        current = copy.deepcopy(current)
        weight = current.get_submodule(name).weight
        assert isinstance(weight, nn.Parameter)
        with torch.no_grad():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
        networks[name] = current
    return networks


def high_passed(images: ArrayLike, sigma: float = 2.0) -> NDArray[np.float32]:
    """Return pictures (N, channels, H, W) minus themselves blurred by a Gaussian of this many pixels: their edges."""
    pictures = np.asarray(images, dtype=np.float32)
    return pictures - gaussian_filter(pictures, sigma=(0, 0, sigma, sigma))


def rank_correlation(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return Spearman's correlation of pairs of patches, shape (n,), ties averaged; NaN where one of the two is constant.

    Parameters
    ----------
    first, second
        Shape (n, ...), all pixels of a patch compared in one go.
    """
    ranks = [
        rankdata(np.asarray(patch).reshape(len(np.asarray(patch)), -1), axis=1) for patch in (first, second)
    ]
    a, b = (some - some.mean(axis=1, keepdims=True) for some in ranks)
    length = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return (a * b).sum(axis=1) / np.where(length > 0, length, np.nan)


def _alike(patch: NDArray[np.floating], reference: NDArray[np.floating]) -> dict[str, Floats]:
    """Rank correlation and structural similarity of absolute values, (n,); NaN where one of the two is constant."""
    a, b = np.abs(patch.astype(np.float64)), np.abs(reference.astype(np.float64))
    ranked = rank_correlation(a, b)
    ssim = np.full(len(a), np.nan)
    if min(a.shape[2:]) >= SMALLEST:
        for i in np.flatnonzero(~np.isnan(ranked)):
            # Each has its own unit: both are brought from 0 to 1, as pictures of them are.
            x, y = ((some[i] - some[i].min()) / np.ptp(some[i]) for some in (a, b))
            ssim[i] = structural_similarity(x, y, data_range=1.0, channel_axis=0, win_size=SMALLEST)
    return {"rank correlation": ranked, "ssim": ssim}


def _mean(values: Floats, times: NDArray[np.int64], level: float) -> tuple[float, float, float]:
    """Mean over units, and its interval when people are drawn anew; NaN without any unit."""
    known = ~np.isnan(values)
    if not known.any():
        return float("nan"), float("nan"), float("nan")
    weight = times[:, known].astype(float)
    drawn = weight.sum(axis=1) > 0
    means = (weight[drawn] @ values[known]) / weight[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values[known].mean()), float(low), float(high)
