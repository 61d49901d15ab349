"""The paper's claims put to the test on one study: where the matched maps look, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from fer_lib.errors import Lacking
from fer_lib.experiment.likeness import exemplar_likeness
from fer_lib.experiment.matching import LEAST, verdicts
from fer_lib.experiment.study import Study
from fer_lib.measures import claims, dissection
from fer_lib.network.stack import Field, receptive_field
from fer_lib.probe import regions
from fer_lib.probe.deconv import Projections, overlap

BAR = 0.04  # intersection over union above which Network Dissection calls a map a detector


def blind_energy(projected: Projections, field: Field, shape: tuple[int, int], side: int) -> np.ndarray:
    """Energy that units at random places would project, (side, side): the mean square of all patches at every place of a map."""
    patch = (np.asarray(projected.patch, float)[:, 0] ** 2).mean(0)
    rows, columns = ([field.offset + field.stride * i for i in range(count)] for count in shape)
    energy = np.zeros((side, side))
    for top in rows:
        for left in columns:
            (y, in_y), (x, in_x) = (overlap(start, len(patch), side) for start in (top, left))
            energy[y, x] += patch[in_y, in_x]
    return energy


def region_alignment(study: Study) -> pd.DataFrame:
    """Whether the projections of the map that D matched lie where the AU moves the face (claim C2).

    Returns
    -------
    DataFrame
        Index AU, those with a matched map; ``matched`` (share of the matched map's projected energy inside the AU's region),
        ``other maps`` (mean over all maps), ``untrained`` (of the map that D matches in the untrained network), ``random place``
        (what units at random places would project into it).

    Raises
    ------
    Lacking
        If no AU is coded often enough, or none of those that are has a known region.
    """
    side = study.settings.crop
    aus = [au for au in _with_region(study) if au in study.winners()]
    areas = _areas(study, aus)

    def shares(of: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        projected, field = of.projections_of("relu3"), receptive_field(of.network.features, "relu3")
        shape = of.planes(np.array([0]), "relu3").shape[2:]
        inside = claims.energy_in_regions(projected.energy(len(of.exemplars.dead), side, side), areas)
        blind = blind_energy(projected, field, (shape[0], shape[1]), side)
        best = of.matched.loc[aus].to_numpy()
        matched = np.where(best >= 0, inside[np.arange(len(aus)), best], np.nan)
        return matched, np.nanmean(inside, axis=1), claims.energy_in_regions(blind[None], areas)[:, 0]

    matched, everywhere, blind = shares(study)
    return pd.DataFrame(
        {
            "matched": matched,
            "other maps": everywhere,
            "untrained": shares(study.untrained)[0],
            "random place": blind,
        },
        index=pd.Index(aus, name="AU"),
    ).dropna(subset=["matched"])


def _with_region(study: Study) -> list[int]:
    """AUs that are coded often enough and whose region the atlas knows."""
    aus = [au for au in study.matchable() if au in study.atlas.aus]
    if not aus:
        named = ", ".join(f"AU {au}" for au in study.coded_aus)
        raise Lacking(f"of the action units that are coded often enough ({named}) none can be rendered alone")
    return aus


def dissected(study: Study) -> pd.DataFrame:
    """Ask of the test people whether maps fire where the AU moves the face: Network Dissection, pointing game (C2).

    Returns
    -------
    DataFrame
        Rows: the maps that D chose, a random map (the mean over all maps), and both in the untrained network. Columns:
        ``iou`` (intersection over union with the AU's region, mean over AUs), ``above`` (share of them above
        :data:`BAR`), ``hits`` (share of pictures with the AU on which the map responds and its maximum lies in the region),
        ``silent`` (share of them on which it does not respond), ``chance`` (hits of a place at random), ``aus`` (how many
        AUs with a matched map enough test people show). NaN where none do.

    Raises
    ------
    Lacking
        As `region_alignment`.
    """
    test = study.apexes(study.people.test)
    shown = (study.present.iloc[test] == 1).sum()
    aus = [au for au in _with_region(study) if shown[au] >= LEAST]
    rows: dict[str, dict[str, float]] = {}
    for network, of in (("", study), (", untrained", study.untrained)):
        names = [f"chosen by D{network}", f"random map{network}"]
        able = [au for au in aus if of.matched[au] >= 0]
        if not able:
            rows |= {name: {"aus": 0} for name in names}
            continue
        present, areas = study.present[able].to_numpy()[test], _areas(study, able)
        field = receptive_field(of.network.features, "relu3")
        iou = dissection.region_iou(partial(_planes, of, test), field, areas, present)
        shape = of.planes(test[:1], "relu3").shape[2:]
        at = of.responses.select(test)
        pointing = dissection.pointing_game(
            at.maximum, at.row, at.column, (shape[0], shape[1]), field, areas, present
        )
        best = of.matched.loc[able].to_numpy()[:, None]
        for name, maps in zip(names, (best, np.arange(iou.shape[1])[None]), strict=True):
            overlap, hits, silent = (
                np.take_along_axis(values, maps, axis=1) for values in (iou, pointing.hits, pointing.silent)
            )
            rows[name] = {
                "iou": float(overlap.mean()),
                "above": float((overlap > BAR).mean()),
                "hits": float(np.nanmean(hits)) if np.isfinite(hits).any() else np.nan,
                "silent": float(silent.mean()),
                "chance": float(pointing.chance.mean()),
                "aus": len(able),
            }
    columns = ["iou", "above", "hits", "silent", "chance", "aus"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def dissection_told(dissected: pd.DataFrame) -> str:
    """Say what the table of `dissected` shows, or that too few test people show any AU."""
    chosen, random = dissected.loc["chosen by D"], dissected.loc["random map"]
    before = dissected.loc["chosen by D, untrained"]
    if not chosen["aus"]:
        return "Too few of the test people show any action unit with a matched map here to say: run a larger preset."
    return (
        f"Over {int(chosen['aus'])} action units, the maps that $D$ chose have a mean IoU of {chosen['iou']:.3f}, a random map "
        f"{random['iou']:.3f}, and the maps that $D$ chooses before training {before['iou']:.3f}; {chosen['above']:.0%} of the "
        f"chosen ones exceed {BAR}. They are silent on {chosen['silent']:.0%} of the pictures with the unit and point nowhere there; "
        f"on the others their strongest place lies in the region in {chosen['hits']:.0%}, that of a random map in "
        f"{random['hits']:.0%}, and a place at random in {chosen['chance']:.0%}."
    ).replace("%", " %")


def _areas(study: Study, aus: Sequence[int]) -> np.ndarray:
    """Regions of some AUs in the network's input, (J, crop, crop) bool."""
    s = study.settings
    return np.stack([study.atlas.region(au, resize=s.resize, crop=s.crop) for au in aus])


def _planes(of: Study, pictures: np.ndarray) -> Iterator[torch.Tensor]:
    for part in np.array_split(pictures, max(1, len(pictures) // 32)):
        yield of.planes(part, "relu3")


def region_focus(study: Study, region: str) -> pd.Series:
    """Share of all strongest units that look at a part of the face: trained, untrained, and of units at random places."""

    def share(of: Study) -> float:
        found = regions.region_shares(of.exemplars.picture, of.centres(), of.landmarks, region)
        return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")

    if np.isnan(study.landmarks).all():
        raise Lacking("no picture has landmarks, so where the parts of the face lie is not known")
    field = receptive_field(study.network.features, "relu3")
    shape = study.planes(np.array([0]), "relu3").shape[2:]
    random = regions.random_shares(field, (shape[0], shape[1]), regions.boxes_of(study.landmarks, region))
    return pd.Series(
        {
            "trained": share(study),
            "untrained": share(study.untrained),
            "random": float(np.nanmean(random)),
        }
    )


def judge_claims(study: Study) -> pd.DataFrame:
    """Put the four claims to their tests.

    Returns
    -------
    DataFrame
        One row a claim: statement, measure, difference to each control, verdict (see `fer_lib.measures.claims.decide`).
        A claim whose test needs what the faces lack is not decided, and its row says what they lack.
    """
    tests = {"C1": _look_alike, "C2": _on_the_region, "C3": _detects, "C4": _decides}
    rows = []
    for claim, test in tests.items():
        try:
            rows.append(claims.verdict_row(claim, *test(study)))
        except Lacking as reason:
            rows.append(claims.undecided_row(claim, str(reason)))
    return claims.verdict_table(rows)


_Tested = tuple[str, float, dict[str, claims.Comparison]]  # name of the measure, its value, controls


def _look_alike(study: Study) -> _Tested:
    alike = exemplar_likeness(study)
    trained, place = alike["trained"].to_numpy(), alike["same place"].to_numpy()
    controls = {
        "random pictures at the same place": claims.paired(trained, place),
        "untrained network": claims.unpaired(trained, alike["untrained"].to_numpy()),
    }
    return "mean likeness of the nine squares", float(trained.mean()), controls


def _on_the_region(study: Study) -> _Tested:
    aligned = region_alignment(study)
    controls = {
        name: claims.paired(aligned["matched"].to_numpy(), aligned[name].to_numpy())
        for name in ("other maps", "untrained", "random place")
    }
    return "projected energy in the AU's region", float(aligned["matched"].mean()), controls


def _detects(study: Study) -> _Tested:
    tested = verdicts(study).dropna(subset=["auc_d"])
    controls = {
        "chance": claims.paired(tested["auc_d"].to_numpy(), np.full(len(tested), 0.5)),
        "D in the untrained network": claims.paired(
            tested["auc_d"].to_numpy(), tested["auc_untrained_d"].to_numpy()
        ),
        "expression alone": claims.paired(tested["auc_d"].to_numpy(), tested["auc_expression"].to_numpy()),
    }
    return "mean AUC on the test pictures", float(tested["auc_d"].mean()), controls


def _decides(study: Study) -> _Tested:
    lost = study.ablation
    controls = {
        "random maps as loud": claims.Comparison(float(lost.random.mean() - lost.without), float(lost.p)),
    }
    return "accuracy lost without the matched maps", lost.accuracy - lost.without, controls
