"""The paper's claims put to the test on one study: where the matched maps look, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import torch

from fer_lib.evidence import claims, dissection, distance
from fer_lib.experiment.likeness import exemplar_likeness
from fer_lib.experiment.matching import LEAST, verdicts
from fer_lib.experiment.study import Study
from fer_lib.maps import regions
from fer_lib.maps.deconv import Projections
from fer_lib.network.stack import receptive_field

BAR = 0.04  # intersection over union above which Network Dissection calls a map a detector


def projected_energy(projected: Projections, maps: np.ndarray, count: int, side: int) -> np.ndarray:
    """Sum of squared projections of each map in the frame, (count, side, side)."""
    energy = np.zeros((count, side, side))
    k = projected.patch.shape[-1]
    for i, c in enumerate(maps):
        top, left = int(projected.top[i]), int(projected.left[i])
        y, x = slice(max(top, 0), min(top + k, side)), slice(max(left, 0), min(left + k, side))
        patch = projected.patch[i, 0, y.start - top : y.stop - top, x.start - left : x.stop - left]
        energy[c, y, x] += np.asarray(patch, float) ** 2
    return energy


def region_alignment(study: Study) -> pd.DataFrame:
    """Whether the projections of the map that D matched lie where the AU moves the face (claim C2).

    Returns
    -------
    DataFrame
        Index AU; ``matched`` (share of the matched map's projected energy inside the AU's region), ``other maps`` (mean over all
        maps), ``untrained`` (of the map that D matches in the untrained network), ``area`` (the region's share of the frame).
    """
    side = study.settings.crop
    aus = [au for au in study.coded_aus if au in study.atlas.aus]
    areas = np.stack([study.atlas.region(au, side=side) for au in aus])

    def shares(of: Study) -> tuple[np.ndarray, np.ndarray]:
        units, maps = of.exemplars.units(), len(of.exemplars.dead)
        energy = projected_energy(of.projections_of("relu3"), units.map, maps, side)
        inside = claims.energy_in_regions(energy, areas)
        best = distance.best_maps(of.distances.loc[aus].to_numpy())
        return inside[np.arange(len(aus)), best], np.nanmean(inside, axis=1)

    matched, everywhere = shares(study)
    return pd.DataFrame(
        {
            "matched": matched,
            "other maps": everywhere,
            "untrained": shares(study.untrained)[0],
            "area": areas.reshape(len(aus), -1).mean(1),
        },
        index=pd.Index(aus, name="AU"),
    )


def dissected(study: Study) -> pd.DataFrame:
    """Ask of unseen people whether maps fire where the AU moves the face: Network Dissection, pointing game (C2).

    Returns
    -------
    DataFrame
        Rows: the maps that D chose, a random map (the mean over all maps), and both in the untrained network. Columns:
        ``iou`` (intersection over union with the AU's region, mean over AUs), ``above`` (share of them above
        :data:`BAR`), ``hits`` (share of pictures with the AU on which the map's maximum lies in the region), ``chance``
        (of a unit at random), ``aus`` (how many AUs enough unseen people show). NaN where none do.
    """
    test, side = study.apexes(study.people.test), study.settings.crop
    shown = (study.present.iloc[test] == 1).sum()
    aus = [au for au in study.coded_aus if au in study.atlas.aus and shown[au] >= LEAST]
    rows: dict[str, dict[str, float]] = {}
    for network, of in (("", study), (", untrained", study.untrained)):
        names = [f"chosen by D{network}", f"random map{network}"]
        if not aus:
            rows |= {name: {"aus": 0} for name in names}
            continue
        present = study.present[aus].to_numpy()[test]
        areas = np.stack([study.atlas.region(au, side=side) for au in aus])
        field = receptive_field(of.network.features, "relu3")
        iou = dissection.region_iou(partial(_planes, of, test), field, areas, present)
        shape = of.planes(test[:1], "relu3").shape[2:]
        place = of.responses.of(test)
        hits, chance = dissection.pointing_game(
            place.row, place.column, (shape[0], shape[1]), field, areas, present
        )
        best = distance.best_maps(of.distances.loc[aus].to_numpy())[:, None]
        for name, maps in zip(names, (best, np.arange(iou.shape[1])[None]), strict=True):
            overlap, hit = (np.take_along_axis(values, maps, axis=1) for values in (iou, hits))
            rows[name] = {
                "iou": float(overlap.mean()),
                "above": float((overlap > BAR).mean()),
                "hits": float(hit.mean()),
                "chance": float(chance.mean()),
                "aus": len(aus),
            }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["iou", "above", "hits", "chance", "aus"])


def dissection_told(dissected: pd.DataFrame) -> str:
    """Say what the table of `dissected` shows, or that too few unseen people show any AU."""
    chosen, random = dissected.loc["chosen by D"], dissected.loc["random map"]
    before = dissected.loc["chosen by D, untrained"]
    if not chosen["aus"]:
        return "Too few of the unseen people show any action unit here to say: run a larger preset."
    return (
        f"Over {int(chosen['aus'])} action units, the maps that $D$ chose have a mean IoU of {chosen['iou']:.3f}, a random map "
        f"{random['iou']:.3f}, and the maps that $D$ chooses before training {before['iou']:.3f}; {chosen['above']:.0%} of the "
        f"chosen ones exceed {BAR}. Their strongest place lies in the region on {chosen['hits']:.0%} of the pictures with the "
        f"unit, that of a random map on {random['hits']:.0%}, and a place at random on {chosen['chance']:.0%}."
    ).replace("%", " %")


def _planes(of: Study, pictures: np.ndarray) -> Iterator[torch.Tensor]:
    for part in np.array_split(pictures, max(1, len(pictures) // 32)):
        yield of.planes(part, "relu3")


def region_focus(study: Study, region: str) -> pd.Series:
    """Share of all strongest units that look at a part of the face: trained, untrained, and the part's share of the frame."""

    def share(of: Study) -> float:
        found = regions.region_shares(of.exemplars.picture, of.centres(), of.landmarks, region)
        return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")

    boxes = regions.boxes_of(study.landmarks, region).clip(0, study.settings.crop)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / study.settings.crop**2
    return pd.Series(
        {"trained": share(study), "untrained": share(study.untrained), "area": float(np.nanmean(area))}
    )


def judge_claims(study: Study) -> pd.DataFrame:
    """Put the four claims to their tests.

    Returns
    -------
    DataFrame
        One row a claim: statement, measure, difference to each control, verdict (see `fer_lib.evidence.claims.decide`).
    """
    alike = exemplar_likeness(study)
    place, before = "same place", "untrained"
    c1 = {
        "random pictures at the same place": claims.paired(
            alike["trained"].to_numpy(), alike[place].to_numpy()
        ),
        "untrained network": claims.unpaired(alike["trained"].to_numpy(), alike[before].to_numpy()),
    }
    aligned = region_alignment(study)
    c2 = {
        name: claims.paired(aligned["matched"].to_numpy(), aligned[name].to_numpy())
        for name in ("other maps", "untrained", "area")
    }
    tested = verdicts(study).dropna(subset=["auc_d"])
    c3 = {
        "chance": claims.paired(tested["auc_d"].to_numpy(), np.full(len(tested), 0.5)),
        "untrained network": claims.paired(tested["auc_d"].to_numpy(), tested["auc_untrained"].to_numpy()),
        "expression alone": claims.paired(tested["auc_d"].to_numpy(), tested["auc_expression"].to_numpy()),
    }
    lost = study.ablation
    c4 = {
        "random maps as loud": claims.Comparison(float(lost.random.mean() - lost.without), float(lost.p)),
    }
    return claims.verdict_table(
        [
            claims.verdict_row("C1", "mean likeness of the nine squares", float(alike["trained"].mean()), c1),
            claims.verdict_row(
                "C2", "projected energy in the AU's region", float(aligned["matched"].mean()), c2
            ),
            claims.verdict_row("C3", "mean AUC on unseen people", float(tested["auc_d"].mean()), c3),
            claims.verdict_row(
                "C4", "accuracy lost without the matched maps", lost.accuracy - lost.without, c4
            ),
        ]
    )
