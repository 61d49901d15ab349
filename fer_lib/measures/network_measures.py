"""What the paper's claims come down to in one network: a number for each, in excess of what place, loudness and prevalence give.

A trained network is compared with untrained ones by these numbers (`fer_lib.claims`): each network makes all choices by itself, on the
same people, and is tested on the same others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from fer_lib.checks import row_numbers
from fer_lib.errors import Lacking
from fer_lib.measures.ablation import ablate
from fer_lib.measures.alignment import energy_at_random, energy_in_regions
from fer_lib.measures.arrays import Floats, check_responses
from fer_lib.measures.detectors import LEAST, select_and_test
from fer_lib.measures.distance import best_maps, distances
from fer_lib.measures.likeness import Pictures, exemplar_likeness, mean_similarity
from fer_lib.network.stack import Field
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Exemplars, Responses

MEASURES = {
    "likeness": "C1: likeness of the exemplars' squares, above that of random pictures at the same places; mean over maps",
    "projections": "C1: likeness of the exemplars' projections; mean over maps",
    "alignment": "C2: share of the matched maps' projected energy in their units' regions, above that at random places; mean over units",
    "detection": "C3: AUC, above 0.5, of the maps that D chose on other people; mean over units",
    "precision": "C3: average precision of these maps, above the unit's prevalence; mean over units",
    "selected": "AUC, above 0.5, of the maps that AUC chose on other people; mean over units",
    "decision": "C4: accuracy lost without the matched maps, above that lost without random ones as loud",
}
_DRAWS = 5  # of random pictures for each map: the mean over maps needs few


def likeness_excess(
    pictures: Pictures,
    subject: ArrayLike,
    train: ArrayLike,
    responses: Responses,
    exemplars: Exemplars,
    field: Field,
) -> float:
    """Return `MEASURES` ``likeness``; the parameters are those of `fer_lib.measures.likeness.exemplar_likeness`."""
    table = exemplar_likeness(pictures, subject, train, responses, exemplars, field, draws=_DRAWS)
    return float((table["trained"] - table["same place"]).mean())


def projections_likeness(projections: Projections, subject: ArrayLike, maps: int) -> float:
    """Return `MEASURES` ``projections``.

    Parameters
    ----------
    projections
        Of n exemplars of every map, maps first, of those that have any.
    subject
        Person of every picture, whole numbers, shape (N,).
    maps
        Number of maps.

    Raises
    ------
    Lacking
        If no map has exemplars of two people.
    """
    order = pd.Series(projections.units.map).groupby(projections.units.map).cumcount().to_numpy()
    n = int(order.max(initial=0)) + 1
    size = projections.patch.shape[2:]
    patches, who = np.zeros((maps, n, *size), np.float32), np.full((maps, n), -1)
    patches[projections.units.map, order] = projections.patch.mean(axis=1)
    who[projections.units.map, order] = np.asarray(subject)[projections.units.picture]
    alike = mean_similarity(patches, who)
    if np.isnan(alike).all():
        raise Lacking("no map has exemplars of two people, so there are no pairs of projections to compare")
    return float(np.nanmean(alike))


def alignment_excess(
    projections: Projections,
    matched: ArrayLike,
    regions: ArrayLike,
    field: Field,
    shape: tuple[int, int],
    maps: int,
) -> float:
    """Return `MEASURES` ``alignment``.

    Parameters
    ----------
    projections
        Of the exemplars of every map.
    matched
        Map of each action unit, shape (J,); -1 for none, which is left out.
    regions
        Where each unit moves the face in the network's input, shape (J, h, w).
    field, shape
        Receptive field of the layer, and height and width of its maps.
    maps
        Number of maps.

    Raises
    ------
    Lacking
        If no unit has a matched map that projects anything.
    """
    best, areas = np.asarray(matched), np.asarray(regions)
    height, width = areas.shape[1:]
    inside = energy_in_regions(projections.energy(maps, height, width), areas)
    place = energy_at_random(projections, field, shape, height, width)
    excess = inside[np.arange(len(best)), best] - energy_in_regions(place[None], areas)[:, 0]
    excess = excess[(best >= 0) & ~np.isnan(excess)]
    if not len(excess):
        raise Lacking("no action unit has a single matched map that projects anything")
    return float(excess.mean())


def detection(
    maximum: ArrayLike,
    present: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    units: Sequence[int],
    matched: ArrayLike,
) -> pd.DataFrame:
    """Test the maps that D and AUC choose on people they were not chosen on.

    Parameters
    ----------
    maximum, present, train, test, units
        As for `fer_lib.measures.detectors.select_and_test`.
    matched
        Map that D chose on other people for each unit, shape (J,); -1 for none.

    Returns
    -------
    DataFrame
        Index `AU`, those with at least `fer_lib.measures.detectors.LEAST` test rows on both sides; columns ``map``, ``detection``,
        ``precision``, ``selected_map`` and ``selected``, see `MEASURES`. NaN where no single map was chosen.
    """
    by_d = select_and_test(maximum, present, train, test, units=units, chosen=matched)
    by_auc = select_and_test(maximum, present, train, test, units=units)
    table = pd.DataFrame(
        {
            "map": by_d["map"].to_numpy(),
            "detection": by_d["test_auc"].to_numpy(float) - 0.5,
            "precision": (by_d["test_precision"] - by_d["prevalence"]).to_numpy(float),
            "selected_map": by_auc["map"].to_numpy(),
            "selected": by_auc["test_auc"].to_numpy(float) - 0.5,
        },
        index=pd.Index(list(units), name="AU"),
    )
    enough = (by_d[["test_with", "test_without"]].min(axis=1) >= LEAST).to_numpy()
    return table[enough]


def matched_maps(
    maximum: ArrayLike, present: ArrayLike, train: ArrayLike, *, n: int, zero: str
) -> NDArray[np.int64]:
    """Return the map that maximises D for each unit on the training rows, shape (J,); -1 where no single map does."""
    values, labels = check_responses(maximum, present)
    rows = row_numbers("rows", train, len(values))
    found = distances(values[rows], labels[rows], n=n, zero=zero)  # type: ignore[arg-type]
    return best_maps(found)


def decision_excess(
    classifier: nn.Sequential,
    pooled: Callable[[], Iterator[torch.Tensor]],
    labels: ArrayLike,
    matched: ArrayLike,
    *,
    seed: int = 0,
) -> float:
    """Return `MEASURES` ``decision``; the parameters are those of `fer_lib.measures.ablation.ablate`, -1 in `matched` stands for no map.

    Raises
    ------
    Lacking
        If nothing was matched, or so much that no random sets are left to compare with.
    """
    chosen = np.unique(np.asarray(matched))
    chosen = chosen[chosen >= 0]
    if not len(chosen):
        raise Lacking("no action unit has a single matched map")
    maps = next(iter(pooled())).shape[1]
    if 2 * len(chosen) > maps:
        raise Lacking(f"{len(chosen)} of {maps} maps are matched, and too few are left to compare with")
    found = ablate(classifier, pooled, labels, chosen, draws=50, seed=seed)
    return float(found.random.mean() - found.without)


def mean_measures(table: pd.DataFrame) -> Floats:
    """Return ``detection``, ``precision`` and ``selected`` of a network, the means of `detection`'s table over units.

    Raises
    ------
    Lacking
        If no unit could be tested.
    """
    means = table[["detection", "precision", "selected"]].mean().to_numpy(float)
    if not len(table) or np.isnan(means).any():
        raise Lacking(
            f"of no action unit {LEAST} test sequences show it and {LEAST} do not, so that its map cannot be tested"
        )
    return means
