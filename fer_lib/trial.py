"""The paper's claims put to the test on one study: measures, nulls and controls together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fer_lib import claims, distance, evidence, regions
from fer_lib.deconv import Projections
from fer_lib.similarity import exemplar_likeness

if TYPE_CHECKING:
    from fer_lib.study import Study

LEAST = 3  # test sequences with and without an AU below which its AUC says nothing


def tested_aus(study: Study) -> pd.DataFrame:
    """Choose a map for each AU on the training people and test it on the others; see `Study.verdicts`."""
    train, test = study.apexes(study.people.train), study.apexes(study.people.test)
    aus = list(study.coded_aus)
    present, maximum = study.present[aus].to_numpy(), study.responses.maximum
    by_d = distance.best_maps(study.distances.to_numpy())
    chosen = {
        "d": evidence.select_and_test(maximum, present, train, test, units=aus, chosen=by_d),
        "auc": evidence.select_and_test(maximum, present, train, test, units=aus),
        "untrained": evidence.select_and_test(
            study.untrained.responses.maximum, present, train, test, units=aus
        ),
    }
    null = evidence.permutation_null(
        maximum[test],
        present[test],
        study.table["subject"].to_numpy()[test],
        permutations=study.settings.permutations,
        seed=study.settings.seed,
    )
    p = null.p_values()
    expression = study.table["expression"].to_numpy()
    tested = pd.DataFrame(
        {
            "au": aus,
            "d": study.distances.max(axis=1).to_numpy(),
            "map_d": by_d,
            "map_auc": chosen["auc"]["map"].to_numpy(),
            **{f"auc_{name}": table["test_auc"].to_numpy() for name, table in chosen.items()},
            "auc_expression": auc_of_expression(expression, present, train, test),
            "p": np.where(np.isnan(p), 1.0, p).min(axis=1),
            "with_au": chosen["d"]["test_with"].to_numpy(),
            "without": chosen["d"]["test_without"].to_numpy(),
        }
    )
    measured = [*(f"auc_{name}" for name in chosen), "auc_expression", "p"]
    tested.loc[tested[["with_au", "without"]].min(axis=1) < LEAST, measured] = np.nan
    return tested


def auc_of_expression(
    expression: np.ndarray, present: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """AUC of a control that knows only the expression: the share of training rows of that expression with the AU.

    Parameters
    ----------
    expression : (N,) array
        Expression of each row's sequence.
    present : (N, J) array
        1, 0 or NaN.
    train, test : int arrays
        Rows.

    Returns
    -------
    (J,) array
    """
    names, code = np.unique(expression, return_inverse=True)
    member = code[train][None] == np.arange(len(names))[:, None]  # (expressions, train)
    known = ~np.isnan(present[train])
    share = (member @ np.nan_to_num(present[train])) / np.maximum(member @ known, 1)
    scores = share[code[test]]  # (test, AUs)
    return np.array(
        [evidence.auc(scores[:, [j]], present[test][:, [j]])[0, 0] for j in range(present.shape[1])]
    )


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
        One row a claim: statement, measure, difference to each control, verdict (see `fer_lib.claims.decide`).
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
    tested = study.verdicts.dropna(subset=["auc_d"])
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
