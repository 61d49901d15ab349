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
_UNIT_COLUMNS = "map,iou,best,mean,ceiling,above,hits,mean hits,responding,silent,mean silent,chance".split(
    ","
)
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


def dissect_units(
    planes: Callable[[], Iterable[torch.Tensor]],
    responses: Responses,
    field: Field,
    regions: ArrayLike,
    present: ArrayLike,
    matched: ArrayLike,
) -> pd.DataFrame:
    """Ask of each action unit whether the map that was matched to it, or any, fires where it moves the face (claim C2).

    Parameters
    ----------
    planes
        As `activations` of `region_iou`: the layer's maps on N pictures of people who did not choose the maps.
    responses
        Maximum and place of every map on the same pictures.
    field, present
        As in `region_iou`.
    regions
        Where the skin moves, shape (J, H, W).
    matched
        Map of each action unit, shape (J,); -1 for none: such a unit is left out.

    Returns
    -------
    DataFrame
        A row for each unit that has a map, by its place among the units: ``map``; ``iou`` of this map; ``best`` of all maps; ``mean``
        over all maps; ``ceiling``, which no map can exceed (`iou_ceiling`); ``above``, the share of all maps above `BAR`; ``hits`` and
        ``silent`` of this map, ``mean hits`` and ``mean silent`` over all maps, and ``chance``, see `Pointing`; ``responding``, the
        maps that have hits.
    """
    best = check_maps(matched, np.shape(present)[1], responses.maximum.shape[1])
    able = np.flatnonzero(best >= 0)
    if not len(able):
        return pd.DataFrame(columns=_UNIT_COLUMNS, dtype=float)
    labels, areas = real_numbers("labels", present)[:, able], np.asarray(regions)[able]
    height, width = next(iter(planes())).shape[2:]
    iou = region_iou(planes, field, areas, labels)
    pointing = pointing_game(
        responses.maximum, responses.row, responses.column, (height, width), field, areas, labels
    )
    own = (np.arange(len(able)), best[able])
    respond = np.isfinite(pointing.hits)
    count = respond.sum(axis=1).astype(float)
    mean_hits = np.where(respond, pointing.hits, 0).sum(axis=1) / np.where(count > 0, count, np.nan)
    values = {
        "map": best[able],
        "iou": iou[own],
        "best": iou.max(axis=1),
        "mean": iou.mean(axis=1),
        "ceiling": iou_ceiling(field, (height, width), areas, labels),
        "above": (iou > BAR).mean(axis=1),
        "hits": pointing.hits[own],
        "mean hits": mean_hits,
        "responding": count,
        "silent": pointing.silent[own],
        "mean silent": pointing.silent.mean(axis=1),
        "chance": pointing.chance,
    }
    return pd.DataFrame(values, index=able, columns=_UNIT_COLUMNS)


def summarised(units: pd.DataFrame) -> pd.DataFrame:
    """Return the means over action units of the table of `dissect_units`.

    Returns
    -------
    DataFrame
        Rows `chosen` (the matched maps) and `random map` (the mean over all maps). Columns: ``iou`` (intersection over union with the
        unit's region), ``above`` (share of maps above `BAR`), ``hits`` (share of pictures with the unit on which the map responds and its
        maximum lies in the region), ``silent`` (share of them on which it does not respond), ``chance`` (hits of a place at random),
        ``aus`` (how many units). NaN where no unit has a map.
    """
    rows: dict[str, dict[str, float]] = {"chosen": {"aus": 0.0}, "random map": {"aus": 0.0}}
    if len(units):
        weight = units["responding"]  # a map that never responds has no hits
        hits = (units["mean hits"] * weight).sum() / weight.sum() if weight.any() else np.nan
        for name, prefix, iou, above, hit in (
            ("chosen", "", "iou", (units["iou"] > BAR).mean(), units["hits"].mean()),
            ("random map", "mean ", "mean", units["above"].mean(), hits),
        ):
            rows[name] = {
                "iou": float(units[iou].mean()),
                "above": float(above),
                "hits": float(hit),
                "silent": float(units[f"{prefix}silent"].mean()),
                "chance": float(units["chance"].mean()),
                "aus": float(len(units)),
            }
    columns = ["iou", "above", "hits", "silent", "chance", "aus"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def iou_ceiling(
    field: Field, shape: tuple[int, int], regions: ArrayLike, present: ArrayLike, *, quantile: float = 0.005
) -> Floats:
    """Return an intersection over union that no map can exceed: few of its units count as on, and each reaches few pixels.

    A pixel is on only if a unit that is on takes part in its interpolation, and the share `quantile` of all units is on.

    Parameters
    ----------
    field
        Receptive field of the layer.
    shape
        Height and width of its maps.
    regions, present, quantile
        As in `region_iou`; regions of shape (J, H, W).

    Returns
    -------
    ndarray
        Shape (J,), 0 to 1; NaN where the unit is never present or its region is empty.
    """
    labels, inside = real_numbers("labels", present), np.asarray(regions) > 0
    share("quantile", quantile)
    reach = [
        _between_centres(side, field, count) > 0 for side, count in zip(inside.shape[1:], shape, strict=True)
    ]
    covered = np.einsum(
        "yi,jyx,xk->jik", reach[0].astype(float), inside.astype(float), reach[1].astype(float)
    )
    most = np.sort(covered.reshape(len(inside), -1), axis=1)[:, ::-1].cumsum(axis=1)
    units = int(quantile * len(labels) * shape[0] * shape[1])
    out = np.full(len(inside), np.nan)
    for unit, area in enumerate(inside.sum(axis=(1, 2))):
        shown = int((labels[:, unit] == 1).sum())
        if shown and area:
            # What more units add falls, so that the same number on every picture covers most.
            each = np.interp(units / shown, np.arange(most.shape[1] + 1), np.concatenate([[0.0], most[unit]]))
            out[unit] = min(1.0, each / area)
    return out


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
