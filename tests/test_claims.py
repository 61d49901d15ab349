"""Every claim is found where it is planted and not found where it is not; comparisons against hand-computed cases."""

import numpy as np
import pandas as pd
import pytest

from fer_lib import claims
from fer_lib.errors import FerError
from fer_lib.measures.ablation import Ablation
from fer_lib.measures.comparisons import Comparison

RNG = np.random.default_rng


def likeness(trained, place, untrained, maps=60, seed=0):
    rng = RNG(seed)
    levels = {"trained": trained, "same place": place, "untrained": untrained}
    noise = {name: level + rng.normal(0, 0.02, maps) for name, level in levels.items()}
    return pd.DataFrame(noise | {"ranks 10-100": 0.1}).rename_axis("map")


def alignment(matched, others, untrained, place, aus=20, seed=0):
    rng = RNG(seed)
    levels = {"matched": matched, "other maps": others, "untrained": untrained, "random place": place}
    return pd.DataFrame({name: level + rng.normal(0, 0.02, aus) for name, level in levels.items()})


def matches(chosen, untrained, expression, aus=20, seed=0):
    rng = RNG(seed)
    levels = {"auc_d": chosen, "auc_untrained_d": untrained, "auc_expression": expression}
    return pd.DataFrame({name: level + rng.normal(0, 0.02, aus) for name, level in levels.items()})


def lost(whole, without, random, p, pictures=100):
    right = np.arange(pictures) < whole * pictures
    left = np.arange(pictures) < without * pictures
    table = pd.DataFrame({"pictures": [pictures]})
    return Ablation(
        accuracy=right.mean(),
        without=left.mean(),
        random=np.full(200, random),
        loss=0.0,
        loss_without=0.0,
        loss_random=np.zeros(200),
        p=p,
        p_loss=p,
        loudness=1.0,
        loudness_random=1.0,
        lost=right.astype(float) - left,
        by_class=table,
    )


@pytest.mark.parametrize(
    ("verdict", "decision", "value"),
    [
        (claims.look_alike(likeness(0.5, 0.3, 0.3)), "holds", 0.5),
        (claims.look_alike(likeness(0.5, 0.3, 0.6)), "holds in part", 0.5),
        (claims.look_alike(likeness(0.3, 0.3, 0.4)), "does not hold", 0.3),
        (claims.on_the_region(alignment(0.5, 0.3, 0.3, 0.3)), "holds", 0.5),
        (claims.on_the_region(alignment(0.5, 0.3, 0.5, 0.6)), "holds in part", 0.5),
        (claims.on_the_region(alignment(0.3, 0.4, 0.4, 0.4)), "does not hold", 0.3),
        (claims.detects(matches(0.8, 0.6, 0.7)), "holds", 0.8),
        (claims.detects(matches(0.8, 0.6, 0.9)), "holds in part", 0.8),
        (claims.detects(matches(0.45, 0.5, 0.9)), "does not hold", 0.45),
        (claims.decides(lost(0.9, 0.5, 0.85, p=1 / 201)), "holds", 0.4),
        (claims.decides(lost(0.9, 0.88, 0.88, p=0.6)), "does not hold", 0.02),
        (claims.decides(lost(0.9, 0.88, 0.7, p=0.01)), "does not hold", 0.02),
    ],
)
def test_each_claim_is_found_where_it_is_planted_and_only_there(verdict, decision, value):
    assert verdict.decision == decision and verdict.reason == ""
    assert verdict.value == pytest.approx(value, abs=0.02)
    low, high = verdict.interval
    assert low <= verdict.value <= high and high - low < 0.3
    assert verdict.statement == claims.STATEMENTS[verdict.claim]
    assert all(c.n > 0 and 0 < c.p <= 1 for c in verdict.comparisons)


@pytest.mark.parametrize(
    "claim", [claims.look_alike, claims.on_the_region, claims.detects], ids=["C1", "C2", "C3"]
)
def test_under_the_null_a_claim_seldom_holds(claim):
    rng = RNG(3)
    names = ["trained", "same place", "matched", "other maps", "random place"]
    names += ["auc_d", "auc_untrained_d", "auc_expression", "untrained"]
    decisions = []
    for _ in range(60):
        table = pd.DataFrame({name: rng.normal(0.5, 0.1, 15) for name in names})
        decisions.append(claim(table).decision)
    assert decisions.count("holds") <= 6


def test_what_was_not_tested_is_left_out_and_nothing_left_is_undecided():
    table = matches(0.8, 0.6, 0.7)
    table.loc[:4] = np.nan
    found = claims.detects(table)
    assert found.decision == "holds" and {c.n for c in found.comparisons} == {15}
    table.loc[:] = np.nan
    nothing = claims.detects(table)
    assert nothing.decision == "not decided" and np.isnan([nothing.value, *nothing.interval]).all()
    assert nothing.measure and not nothing.reason
    empty = claims.on_the_region(alignment(0.5, 0.3, 0.3, 0.3).iloc[:0])
    assert empty.decision == "not decided" and np.isnan(empty.value)


def test_a_table_of_something_else_is_refused_by_name():
    with pytest.raises(FerError, match="no column 'same place'"):
        claims.look_alike(pd.DataFrame({"trained": [1.0]}))


def test_a_claim_that_could_not_be_tested_says_why():
    found = claims.undecided("C2", "no picture is coded for action units")
    assert found.decision == "not decided" and not found.comparisons and np.isnan(found.value)
    assert found.reason == "no picture is coded for action units" and found.measure == ""


def test_tables_hold_the_numbers():
    verdicts = [
        claims.detects(matches(0.8, 0.6, 0.7)),
        claims.undecided("C4", "because"),
    ]
    table = claims.verdicts_table(verdicts)
    assert table.columns.tolist() == ["claim", "measure", "value", "low", "high", "decision", "reason"]
    assert table.loc[0, "value"] == verdicts[0].value and table["decision"].tolist() == [
        "holds",
        "not decided",
    ]
    assert table[["value", "low", "high"]].dtypes.eq(float).all()
    compared = claims.comparisons_table(verdicts)
    assert compared["control"].tolist() == ["chance", "D in the untrained network", "expression alone"]
    assert compared[["difference", "p"]].dtypes.eq(float).all() and (compared["n"] == 20).all()
    assert claims.comparisons_table([]).columns.tolist() == compared.columns.tolist()


@pytest.mark.parametrize(
    ("p", "decision"),
    [((0.01, 0.01), "holds"), ((0.01, 0.2), "holds in part"), ((0.3, 0.2), "does not hold")],
)
def test_rule(p, decision):
    assert claims.decide([Comparison(str(i), 0.1, value, 9) for i, value in enumerate(p)]) == decision
    assert decision in claims.DECISIONS


def test_comparisons_that_could_not_be_made_and_claims_without_a_control_decide_nothing():
    assert claims.decide([Comparison("c", np.nan, np.nan, 0), Comparison("d", 1.0, 0.01, 9)]) == "not decided"
    assert claims.decide([]) == "not decided"
