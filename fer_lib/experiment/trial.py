"""The paper's claims put to the test on one study: measures, nulls and controls together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fer_lib.evidence import chance, claims, detectors, dissection, distance
from fer_lib.experiment.likeness import exemplar_likeness
from fer_lib.experiment.study import Study
from fer_lib.maps import regions
from fer_lib.maps.deconv import Projections
from fer_lib.network.stack import receptive_field

BAR = 0.04  # intersection over union above which Network Dissection calls a map a detector
MOST = 300  # permutations of D, which cost more than those of AUC
LEAST = 3  # test sequences with and without an AU below which its AUC says nothing


def verdicts(study: Study) -> pd.DataFrame:
    """Choose for each coded AU a map on the training people, by D and by AUC, and test both on the others.

    Returns
    -------
    DataFrame
        ``au``; ``d``, ``map_d``, ``auc_d`` (test AUC of the map that maximises D); ``map_auc``, ``auc_auc`` (of the map with
        the largest training AUC); controls ``auc_untrained`` (the same choice in the untrained network) and
        ``auc_expression`` (how often training people show the AU with that expression); ``p`` (of the best map on the test
        people, corrected for all maps), ``p_joint`` (for all AUs too); ``p_within`` (of the best map on all people, when
        action units change places among sequences of one expression only; NaN where the AU goes with the expression in
        every sequence); ``with_au``, ``without`` (test sequences). All but ``p_within`` are NaN where the test people have
        fewer than three on a side.
    """

    def compute(folder: Path) -> None:
        _tested(study).to_parquet(folder / "verdicts.parquet")

    artifact = study.store.fetch(
        "verdicts",
        compute,
        settings=study.settings.part("strongest", "zero_rule", "permutations", "seed"),
        upstream=[study.training.key],
        sources=["experiment.trial"],
    )
    return pd.read_parquet(artifact.path / "verdicts.parquet")


def _tested(study: Study) -> pd.DataFrame:
    train, test = study.apexes(study.people.train), study.apexes(study.people.test)
    aus = list(study.coded_aus)
    present, maximum = study.present[aus].to_numpy(), study.responses.maximum
    by_d = distance.best_maps(study.distances.to_numpy())
    chosen = {
        "d": detectors.select_and_test(maximum, present, train, test, units=aus, chosen=by_d),
        "auc": detectors.select_and_test(maximum, present, train, test, units=aus),
        "untrained": detectors.select_and_test(
            study.untrained.responses.maximum, present, train, test, units=aus
        ),
    }
    null = detectors.permutation_null(
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
            "p_joint": null.joint_p_values(),
            "with_au": chosen["d"]["test_with"].to_numpy(),
            "without": chosen["d"]["test_without"].to_numpy(),
        }
    )
    tested["p_within"] = within_expression(study, aus)
    measured = [*(f"auc_{name}" for name in chosen), "auc_expression", "p", "p_joint"]
    tested.loc[tested[["with_au", "without"]].min(axis=1) < LEAST, measured] = np.nan
    return tested


def distance_nulls(study: Study, aus: Sequence[int]) -> dict[int, np.ndarray]:
    """Largest D of all maps when action units change places among a person's sequences, (B,) for each coded AU."""
    train = study.people.train
    coded = [au for au in aus if au in study.coded_aus]
    if not coded:
        return {}
    table = study.table.iloc[train]
    null = chance.largest_by_chance(
        study.responses.maximum[train],
        study.present[coded].to_numpy()[train],
        table["sequence"],
        table["subject"],
        table["position"] > 0,
        n=study.settings.strongest,
        zero=study.settings.zero_rule,  # type: ignore[arg-type]
        permutations=min(study.settings.permutations, MOST),
        seed=study.settings.seed,
    )
    return dict(zip(coded, null.T, strict=True))


def told(verdicts: pd.DataFrame) -> str:
    """Say in a sentence or two how well the chosen maps do on unseen people, or that it cannot be said."""
    tested = verdicts.dropna(subset=["auc_d", "auc_auc"])
    if tested.empty:
        return (
            "Too few of the unseen people show any action unit here to say how well the chosen maps do "
            f"(at least {LEAST} sequences with it and {LEAST} without are needed): run a larger preset."
        )
    mean = tested[["auc_d", "auc_auc", "auc_untrained", "auc_expression"]].mean()
    return (
        f"On unseen people the map chosen by $D$ reaches a mean AUC of {mean['auc_d']:.2f}, the one chosen by AUC "
        f"{mean['auc_auc']:.2f}, the best map of the **untrained** network {mean['auc_untrained']:.2f}, and a control "
        f"that knows nothing but the expression {mean['auc_expression']:.2f}. A map that beats the null at 5 % exists for "
        f"{int((tested['p'] <= 0.05).sum())} of {len(tested)} action units, and for {int((tested['p_joint'] <= 0.05).sum())} "
        "when the choice among action units is allowed for as well."
    )


def within_expression(study: Study, aus: Sequence[int]) -> np.ndarray:
    """Return p of each AU's best map when action units change places among sequences of the same expression only.

    All people take part, for the network never learned from an action unit. The statistic is the rank sum against its mean
    and spread over all permutations, so that a map which merely follows the expression scores 0.

    Returns
    -------
    (J,) array
        Corrected for the choice among all maps; NaN for an AU that within no expression is both present and absent.
    """
    apexes = study.apexes(np.arange(len(study.table)))
    apexes = apexes[study.table["expression"].to_numpy()[apexes] != ""]
    expression = study.table["expression"].to_numpy()[apexes]
    present = study.present[list(aus)].iloc[apexes]
    shares = present.groupby(expression).mean()
    varies = ((shares > 0) & (shares < 1)).any().to_numpy()
    p = np.full(len(aus), np.nan)
    if varies.any():
        null = detectors.permutation_null(
            study.responses.maximum[apexes],
            present.to_numpy()[:, varies],
            expression,
            permutations=study.settings.permutations,
            seed=study.settings.seed,
            statistic="standardised",
        )
        p[varies] = np.nanmin(null.p_values(), axis=1)
    return p


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
        [detectors.auc(scores[:, [j]], present[test][:, [j]])[0, 0] for j in range(present.shape[1])]
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
