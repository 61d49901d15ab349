"""Whether maps fire where the action unit moves the face (claim C2): intersection over union, pointing game.

Both know where a unit looks (the centre of its receptive field) and where the skin really moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from fer_lib.checks import real_numbers, share
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_maps
from fer_lib.network.stack import Field
from fer_lib.probe.regions import centres
from fer_lib.probe.responses import Responses

BAR = 0.04
"""Intersection over union above which Network Dissection calls a map a detector."""
_PACK = 2  # pictures whose maps are upsampled at a time: small packs stay in the processor's cache


def region_iou(
    activations: Callable[[], Iterable[torch.Tensor]],
    field: Field,
    regions: ArrayLike,
    present: ArrayLike,
    *,
    quantile: float = 0.005,
) -> Floats:
    """Return how well the strongest places of every map coincide with each action unit's region.

    Network Dissection (Bau et al. 2017): a map's units above its own threshold, which the share `quantile` of
    all its units on all pictures exceeds, are upsampled to the picture (bilinear between the centres of their
    receptive fields); intersection and union with the region are summed over all coded pictures. A picture on
    which the unit is absent has no region there. Bau et al. call a map a detector above 0.04.

    Parameters
    ----------
    activations
        Returns a fresh iterator over batches (B, C, h, w) of a layer's maps on all N pictures, in order; it is
        run through twice.
    field
        Receptive field of the layer.
    regions
        Where the skin moves, shape (J, H, W) for all pictures, or (N, J, H, W) for each; above 0 is inside.
    present
        Labels, shape (N, J): 1, 0, NaN (such pictures do not count for the unit).
    quantile
        Share of a map's units that count as on, between 0 and 1.

    Returns
    -------
    ndarray
        Shape (J, C), 0 to 1; NaN where the unit is never present.
    """
    labels, inside = real_numbers("labels", present), np.asarray(regions) > 0
    share("quantile", quantile)
    if inside.ndim not in (3, 4) or inside.shape[-3] != labels.shape[1]:
        raise FerError(
            f"regions have shape {inside.shape} for {labels.shape[1]} action units; (J, H, W) is expected"
        )
    # What rounding adds between equal places of a map is not above it.
    threshold = _thresholds(activations(), len(labels), quantile)
    threshold = threshold + 1e-5 * threshold.abs()
    height, width = inside.shape[-2:]
    overlap, active, area = (np.zeros((labels.shape[1], len(threshold))) for _ in range(3))
    start = 0
    for batch in (part for whole in activations() for part in whole.split(_PACK)):
        rows = slice(start, start + len(batch))
        start += len(batch)
        label = labels[rows]
        down, across = (
            torch.from_numpy(_between_centres(side, field, count)).to(batch)
            for side, count in ((height, batch.shape[2]), (width, batch.shape[3]))
        )
        on = ((down @ batch @ across.T) > threshold.to(batch)[:, None, None]).flatten(2).float()  # (B, C, HW)
        there = np.broadcast_to(
            inside if inside.ndim == 3 else inside[rows], (len(batch), *inside.shape[-3:])
        )
        there = there.reshape(*there.shape[:2], -1) & (label == 1)[:, :, None]
        region = torch.from_numpy(there.astype(np.float32))
        overlap += (region @ on.mT).sum(dim=0).double().numpy()
        active += (~np.isnan(label)).T.astype(np.float64) @ on.sum(dim=2).double().numpy()
        area += there.sum(axis=(0, 2))[:, None]
    if start != len(labels):
        raise FerError(
            f"{start} pictures have activations, but {len(labels)} have labels; give the same ones"
        )
    union = active + area - overlap
    return np.where(area > 0, overlap / np.where(union > 0, union, 1), np.nan)


@dataclass(frozen=True, eq=False)
class Pointing:
    """Where the maxima of C maps lie on the pictures that show each of J action units.

    Attributes
    ----------
    hits
        Share of the pictures on which the map responds whose maximum lies in the unit's region, shape (J, C); NaN where it
        responds on none.
    silent
        Share of the pictures with the unit on which the map is zero everywhere, so that it points nowhere, shape (J, C).
    chance
        Share of the places of a map that point into the region, shape (J,): the hit rate of a place at random. It is not
        the region's share of the picture, for no place points at the border.

    All are NaN for an action unit that no picture shows.
    """

    hits: Floats
    silent: Floats
    chance: Floats


def pointing_game(
    maximum: ArrayLike,
    row: ArrayLike,
    column: ArrayLike,
    shape: tuple[int, int],
    field: Field,
    regions: ArrayLike,
    present: ArrayLike,
) -> Pointing:
    """Play the pointing game (Zhang et al. 2018) over the pictures on which each action unit is present.

    Parameters
    ----------
    maximum, row, column
        Every map's maximum on every picture and its place, shape (N, C). Where the maximum is not above 0, the map is
        silent and has no place.
    shape
        Height and width of the map.
    field
        Receptive field of the layer; its centre is where a place of the map points.
    regions, present
        As in `region_iou`.

    Returns
    -------
    Pointing
    """
    labels, inside = real_numbers("labels", present), np.asarray(regions) > 0
    height, width = inside.shape[-2:]
    y, x = (
        centres(field, count).round().astype(int).clip(0, side - 1)
        for count, side in ((shape[0], height), (shape[1], width))
    )
    pointed = inside[..., y[:, None], x]  # (..., J, h, w)
    responds = np.asarray(maximum) > 0
    hits, silent = (np.full((labels.shape[1], responds.shape[1]), np.nan) for _ in range(2))
    chance = np.full(labels.shape[1], np.nan)
    for unit in range(labels.shape[1]):
        shown = np.flatnonzero(labels[:, unit] == 1)
        if not len(shown):
            continue
        own = np.broadcast_to(pointed[..., unit, :, :], (len(labels), *shape))[shown]
        hit = own[np.arange(len(shown))[:, None], np.asarray(row)[shown], np.asarray(column)[shown]]
        loud = responds[shown]
        count = loud.sum(axis=0)
        hits[unit] = np.where(count > 0, (hit & loud).sum(axis=0) / np.maximum(count, 1), np.nan)
        silent[unit], chance[unit] = 1 - loud.mean(axis=0), own.mean()
    return Pointing(hits, silent, chance)


def dissect(
    planes: Callable[[], Iterable[torch.Tensor]],
    responses: Responses,
    field: Field,
    regions: ArrayLike,
    present: ArrayLike,
    matched: ArrayLike,
) -> pd.DataFrame:
    """Ask whether the maps that were matched to action units fire where the units move the face, beside maps at random (claim C2).

    Parameters
    ----------
    planes
        As `activations` of `region_iou`: the layer's maps on N pictures of people who did not choose the maps.
    responses
        Maximum and place of every map on the same pictures.
    field, regions, present
        As in `region_iou`.
    matched
        Map of each action unit, shape (J,); -1 for none: such a unit is left out.

    Returns
    -------
    DataFrame
        Rows `chosen` (the matched maps) and `random map` (the mean over all maps). Columns: ``iou`` (intersection over union with the
        unit's region, mean over units), ``above`` (share of them above `BAR`), ``hits`` (share of pictures with the unit on
        which the map responds and its maximum lies in the region), ``silent`` (share of them on which it does not respond),
        ``chance`` (hits of a place at random), ``aus`` (how many units). NaN where no unit has a map.
    """
    best = check_maps(matched, np.shape(present)[1], responses.maximum.shape[1])
    able = best >= 0
    columns = ["iou", "above", "hits", "silent", "chance", "aus"]
    rows = {"chosen": {"aus": 0.0}, "random map": {"aus": 0.0}}
    if able.any():
        labels = real_numbers("labels", present)[:, able]
        areas = np.asarray(regions)[..., able, :, :]
        height, width = next(iter(planes())).shape[2:]
        iou = region_iou(planes, field, areas, labels)
        pointing = pointing_game(
            responses.maximum, responses.row, responses.column, (height, width), field, areas, labels
        )
        for name, maps in zip(rows, (best[able, None], np.arange(iou.shape[1])[None]), strict=True):
            overlap, hits, silent = (
                np.take_along_axis(values, maps, axis=1) for values in (iou, pointing.hits, pointing.silent)
            )
            rows[name] = {
                "iou": float(overlap.mean()),
                "above": float((overlap > BAR).mean()),
                "hits": float(np.nanmean(hits)) if np.isfinite(hits).any() else np.nan,
                "silent": float(silent.mean()),
                "chance": float(pointing.chance.mean()),
                "aus": float(able.sum()),
            }
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _between_centres(side: int, field: Field, count: int) -> Floats:
    """Return the matrix (side, count) that interpolates linearly between units' centres, constant beyond them."""
    place = np.clip((np.arange(side) - centres(field, 1)) / field.stride, 0, count - 1)
    return np.maximum(1 - np.abs(place[:, None] - np.arange(count)), 0)


def _thresholds(batches: Iterable[torch.Tensor], pictures: int, quantile: float) -> torch.Tensor:
    """Return each map's value, (C,), that the share `quantile` of its units on all pictures exceeds."""
    kept = torch.empty(0, 0)
    for batch in batches:
        units = batch.movedim(1, 0).flatten(1)
        joined = torch.cat([kept, units], dim=1) if kept.numel() else units
        most = int(quantile * pictures * batch.shape[2] * batch.shape[3]) + 1  # no later unit can need more
        kept = joined.topk(min(most, joined.shape[1]), dim=1).values
    if not kept.numel():
        raise FerError("there are no activations; give at least one batch")
    return kept[:, -1]
