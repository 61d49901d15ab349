"""A real study on a few rendered faces: every claim, measure and control is computed, and fits the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_lib import Study
from fer_lib.claims import DECISIONS, comparisons_table, verdicts_table
from fer_lib.measures.interventions import selectivity
from fer_lib.measures.scores import SCORES
from fer_lib.plot import conclusions, detectors, training


def test_every_claim_is_put_to_its_test(tiny_study: Any) -> None:
    table = verdicts_table(tiny_study.claims.verdicts)
    assert table["claim"].tolist() == ["C1", "C2", "C3", "C4"]
    assert table["decision"].isin(DECISIONS).all() and (table["reason"] == "").all()
    assert "not tested" not in conclusions.claims_table(tiny_study.claims.verdicts)
    assert (table["trained"] == 1).all() and (table["untrained"] == 3).all()
    compared = comparisons_table(tiny_study.claims.verdicts).dropna(subset=["low"])
    assert ((compared["low"] <= compared["difference"]) & (compared["difference"] <= compared["high"])).all()
    assert compared["p"].between(0, 1).all() and len(compared) >= 6
    assert not (table["decision"] == "holds").any(), "three untrained networks are too few for that"


def test_a_network_is_measured_as_the_pages_show_it(tiny_study: Any) -> None:
    found = tiny_study.measures.table["value"]
    assert found.notna().all() and (tiny_study.measures.table["lacking"] == "").all()
    likeness = tiny_study.maps.likeness(tiny_study.untrained.maps)
    assert np.isclose(found["likeness"], (likeness["trained"] - likeness["same place"]).mean(), atol=0.02)
    alignment = tiny_study.regions.alignment
    assert np.isclose(found["alignment"], (alignment["matched"] - alignment["random place"]).mean())
    matches = tiny_study.detectors.matches
    assert np.isclose(found["detection"], (matches["auc_d"] - 0.5).mean())
    assert np.isclose(found["selected"], (matches["auc_auc"] - 0.5).mean())
    lost = tiny_study.decision.ablation
    assert np.isclose(found["decision"], (lost.random - lost.without).mean(), atol=0.05)


def test_the_own_start_is_the_first_of_the_untrained_networks(tiny_study: Any) -> None:
    before = tiny_study.claims.untrained_measures
    assert (
        len(before) == tiny_study.settings.untrained_networks and before.index[0] == tiny_study.settings.seed
    )
    matches = tiny_study.detectors.matches
    assert np.isclose(before["detection"].iloc[0], (matches["auc_untrained_d"] - 0.5).mean())
    assert before.nunique().gt(1).all(), "they differ in their starts"
    untrained = tiny_study.untrained
    assert untrained.claims.trained is untrained.measures, "the control of a control has an end"
    assert untrained.measures.table["value"].equals(before.iloc[0].rename("value"))


def test_tables_of_the_claims_hold_what_they_say(tiny_study: Any) -> None:
    maps, aus = len(tiny_study.maps.exemplars.dead), list(tiny_study.faces.coded_aus)
    likeness = tiny_study.maps.likeness(tiny_study.untrained.maps)
    assert likeness["trained"].between(-1, 1).all() and len(likeness) <= maps
    assert set(tiny_study.regions.alignment.index) <= set(aus)
    assert tiny_study.regions.alignment.stack().dropna().between(0, 1).all()
    assert tiny_study.regions.dissection.index.tolist() == [
        "chosen by D",
        "random map",
        "chosen by D, untrained",
        "random map, untrained",
    ]
    assert tiny_study.detectors.matches["au"].tolist() == aus
    assert tiny_study.detectors.matches["map_d"].dropna().between(0, maps - 1).all()
    nulls = tiny_study.distance.nulls([*aus[:2], 99])
    assert list(nulls) == aus[:2] and all(len(null) == 50 for null in nulls.values())
    assert (tiny_study.distance.choices.loc["the study's own", "changed"]) == 0
    lost = tiny_study.decision.ablation
    assert np.isclose(lost.lost.mean(), lost.accuracy - lost.without)


def test_units_are_switched_on_in_faces_that_are_read_as_all_faces_are(tiny_study: Any) -> None:
    effects = tiny_study.interventions.effects
    assert effects.shape[1] == len(tiny_study.maps.exemplars.dead) and effects.index.name == "AU"
    assert {1, 12, 25} <= set(effects.index) and (effects != 0).any(axis=None)
    table = selectivity(effects, tiny_study.distance.matched)
    assert table[["among maps", "among units"]].stack().between(0, 1).all()


def test_the_decision_is_asked_in_four_ways_and_by_single_units(tiny_study: Any) -> None:
    swapped = tiny_study.decision.maps_swapped
    assert len(swapped) == 4 and swapped["accuracy_p"].between(0, 1).all()
    pictures, neutral = tiny_study.faces.after_neutral(tiny_study.faces.split.test)
    table = tiny_study.faces.table
    assert len(pictures) == swapped["pictures"].iloc[0] and (table["position"].iloc[neutral] == 0).all()
    for column in ("subject", "sequence"):
        assert (table[column].to_numpy()[pictures] == table[column].to_numpy()[neutral]).all()
    raised = tiny_study.interventions.logit_effects
    assert tuple(raised.columns) == tiny_study.faces.expressions and {1, 12, 25} <= set(raised.index)
    assert (raised != 0).any(axis=None)


def test_units_and_their_means_agree(tiny_study: Any) -> None:
    units, chosen = tiny_study.regions.dissected_units, tiny_study.regions.dissection.loc["chosen by D"]
    assert len(units) == chosen["aus"] and (units["best"] <= units["ceiling"]).all()
    assert len(units) == 0 or np.isclose(units["iou"].mean(), chosen["iou"])


def test_rules_are_checked_on_their_own_units(tiny_study: Any) -> None:
    table = tiny_study.checks.saliency
    assert set(table["rule"]) == {"gradient", "deconvnet", "guided"}
    assert table["rank correlation"].dropna().between(-1, 1).all() and (table["units"] > 0).any()


def test_divisions_and_the_network_where_it_was_trained(tiny_study: Any) -> None:
    table = tiny_study.traditional.protocols
    assert table["network"].notna().tolist() == [True, False, False, False]
    assert table["network"].iloc[0] == tiny_study.network.accuracy
    assert "nan" not in training.protocols_table(table)


def test_each_kind_of_chance_moves_its_own_part_alone(tiny_study: Any) -> None:
    # Eight people are divided into halves that balance the classes in few ways; pictures in many.
    def of(**seeds: int) -> Study:
        settings = tiny_study.settings.replace(split="leak", **seeds)
        return Study(settings, tiny_study.store, progress=False)

    def start(study: Study) -> np.ndarray:
        return next(study.untrained.network.model.parameters()).detach().numpy()

    own, people, weights = of(), of(split_seed=1), of(seed=1)
    assert not np.array_equal(people.faces.split.test, own.faces.split.test)
    assert np.array_equal(start(people), start(own))
    assert np.array_equal(weights.faces.split.test, own.faces.split.test)
    assert not np.array_equal(start(weights), start(own))
    assert people.faces.pictures.path == weights.faces.pictures.path == tiny_study.faces.pictures.path
    drawn = tiny_study.settings.replace(faces_seed=1)
    assert drawn.rendering != tiny_study.settings.rendering
    assert (drawn.division, drawn.training, drawn.seed) == (
        tiny_study.settings.division,
        tiny_study.settings.training,
        tiny_study.settings.seed,
    )


def test_what_is_stored_is_read_again(tiny_study: Any) -> None:
    again = Study(tiny_study.settings, tiny_study.store, progress=False)
    before = set(tiny_study.store.list()["key"])
    assert again.detectors.matches.equals(tiny_study.detectors.matches)
    assert again.interventions.effects.equals(tiny_study.interventions.effects)
    assert again.traditional.protocols.equals(tiny_study.traditional.protocols)
    assert set(tiny_study.store.list()["key"]) == before


def test_tests_of_detectors_hold_what_they_say(tiny_study: Any) -> None:
    aus, effort = list(tiny_study.faces.coded_aus), tiny_study.effort
    checks = tiny_study.detectors.label_checks
    assert checks["responses"].value_counts().to_dict() == {
        name: 2 * len(SCORES) for name in ("maps", "ideal maps")
    }
    ideal = checks[checks["responses"] == "ideal maps"].set_index(["measure", "check"])
    assert ideal.loc["correlation", "passes"].all() and ideal["pairs"].eq(len(aus)).all()
    assert "correlation" in detectors.checks_table(checks)

    sets = tiny_study.detectors.bootstrap_maps
    by_d = sets[sets["chosen_by"] == "D"].set_index("au")["map"]
    assert by_d.to_dict() == tiny_study.distance.matched.to_dict()
    matches = tiny_study.detectors.matches.set_index("au")
    tested = matches.dropna(subset=["auc_d"]).index
    areas = sets[sets["chosen_by"] == "D"].set_index("au")["auc"]
    assert np.allclose(areas[tested], matches.loc[tested, "auc_d"])
    assert "nan" not in detectors.bootstrap_table(sets)

    probes = tiny_study.detectors.one_or_many
    assert set(probes["au"]) == set(tiny_study.detectors.followed) <= set(aus)
    assert set(probes["k"]) == set(effort.ks) and set(probes["network"]) == {"trained", "untrained"}


def test_growing_units_are_shown_to_the_network_as_all_faces_are(tiny_study: Any) -> None:
    doses, effort = tiny_study.interventions.doses, tiny_study.effort
    assert doses.aus.tolist() == sorted(effort.aus) and doses.doses.tolist() == list(effort.doses)
    assert doses.change.shape[0] == effort.people and (doses.change != 0).any()
    found = tiny_study.detectors.built_in
    assert set(found["au"]) == set(tiny_study.detectors.followed) & set(effort.aus)
    assert found.groupby("au")["map"].nunique().eq(1).all() and found["where"].nunique() == 2
    assert "nan" not in detectors.built_in_table(found)
