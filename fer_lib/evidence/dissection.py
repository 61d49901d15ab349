"""Whether maps fire where the action unit moves the face (claim C2): intersection over union, pointing game.

Both know where a unit looks (the centre of its receptive field) and where the skin really moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike

from fer_lib.errors import FerError
from fer_lib.evidence.distance import Floats
from fer_lib.network.stack import Field

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
    labels, inside = np.asarray(present, dtype=np.float64), np.asarray(regions) > 0
    if not 0 < quantile < 1:
        raise FerError(f"quantile is {quantile}; it is a share of a map's units, between 0 and 1")
    if inside.ndim not in (3, 4) or inside.shape[-3] != labels.shape[1]:
        raise FerError(
            f"regions have shape {inside.shape} for {labels.shape[1]} action units; (J, H, W) is expected"
        )
    threshold = _thresholds(activations(), len(labels), quantile)
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


def pointing_game(
    row: ArrayLike,
    column: ArrayLike,
    shape: tuple[int, int],
    field: Field,
    regions: ArrayLike,
    present: ArrayLike,
) -> tuple[Floats, Floats]:
    """Return how often a map's maximum lies in the action unit's region, and how often chance would.

    The pointing game (Zhang et al. 2018), over the pictures on which the unit is present.

    Parameters
    ----------
    row, column
        Place of every map's maximum on every picture, shape (N, C).
    shape
        Height and width of the map.
    field
        Receptive field of the layer; its centre is where a unit points.
    regions, present
        As in `region_iou`.

    Returns
    -------
    tuple of ndarray
        Hit rate (J, C), and the share of the map's units that point into the region (J,), which is the hit rate
        of a unit chosen at random and not the region's share of the picture: units cannot point at the border.
        NaN where the unit is never present.
    """
    labels, inside = np.asarray(present, dtype=np.float64), np.asarray(regions) > 0
    height, width = inside.shape[-2:]
    y, x = (
        _centres(field, count).round().astype(int).clip(0, side - 1)
        for count, side in ((shape[0], height), (shape[1], width))
    )
    pointed = inside[..., y[:, None], x]  # (..., J, h, w)
    hits = np.full((labels.shape[1], np.shape(row)[1]), np.nan)
    chance = np.full(labels.shape[1], np.nan)
    for unit in range(labels.shape[1]):
        shown = np.flatnonzero(labels[:, unit] == 1)
        if len(shown):
            own = np.broadcast_to(pointed[..., unit, :, :], (len(labels), *shape))[shown]
            at = np.arange(len(shown))[:, None], np.asarray(row)[shown], np.asarray(column)[shown]
            hits[unit], chance[unit] = own[at].mean(axis=0), own.mean()
    return hits, chance


def _centres(field: Field, count: int) -> Floats:
    """Return the pixel coordinate of the centre of every unit's receptive field along one axis."""
    return np.asarray(field.offset + field.stride * np.arange(count) + (field.size - 1) / 2, dtype=np.float64)


def _between_centres(side: int, field: Field, count: int) -> Floats:
    """Return the matrix (side, count) that interpolates linearly between units' centres, constant beyond them."""
    place = np.clip((np.arange(side) - _centres(field, 1)) / field.stride, 0, count - 1)
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
