"""Every claim is found where it is planted and not found where it is not, and never in a network that learned nothing."""

from dataclasses import astuple
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fer_lib import claims
from fer_lib.claims import CLAIMS, decide, judge
from fer_lib.errors import FerError
from fer_lib.measures.comparisons import (
    Comparison,
    against_draws,
    between_networks,
    from_bootstrap,
    nothing,
)

RNG = np.random.default_rng
SOME = RNG(0).normal(0, 0.01, 20)
"""A measure of untrained networks."""


def control(difference, *, p=0.001, half=0.01):
    return Comparison("control", difference, difference - half, difference + half, p, 30)


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize(
    ("trained", "controls", "decision"),
    [
        ([0.3], [control(0.2)], "holds"),
        ([0.3, 0.4, 0.35], [control(0.2)], "holds"),
        ([0.3], [control(0.2), control(0.1, p=0.2, half=0.3)], "not decided"),
        ([0.3], [control(0.2), control(-0.2)], "does not hold"),
        ([0.3], [control(0.001, p=0.01, half=0.002)], "does not hold"),
        ([-0.3], [control(0.2)], "does not hold"),
        (SOME[:1], [control(0.2)], "not decided or does not hold"),
        ([0.3], [nothing("control")], "not decided"),
        ([], [control(0.2)], "not decided"),
    ],
)
def test_each_claim_is_found_where_it_is_planted_and_only_there(claim, trained, controls, decision):
    found = judge(claim, trained, SOME, controls)
    assert found.decision in decision.split(" or ") and found.claim == claim
    assert found.comparisons[0].name == claims.UNTRAINED and found.comparisons[1:] == tuple(controls)
    assert (found.trained, found.untrained) == (len(trained), len(SOME))
    assert found.statement and found.measure and found.reason == ""


@given(st.integers(0, 19), st.sampled_from(list(CLAIMS)), st.integers(0, 2**32 - 1))
def test_an_untrained_network_gets_no_claim_whatever_its_seed(own, claim, seed):
    # A study compares itself with networks of which its own start is one.
    untrained = RNG(seed).normal(size=20)
    assert judge(claim, untrained[own], untrained, [control(1.0)]).decision != "holds"


def test_a_network_like_the_untrained_ones_gets_a_claim_in_five_percent_at_most():
    rng = RNG(1)
    held = sum(judge("C3", rng.normal(), rng.normal(size=19)).decision == "holds" for _ in range(1000))
    assert held <= stats.binom(1000, 0.05).ppf(0.999)


def test_p_between_networks_is_the_exact_one():
    a, b = np.array([3.0, 1.5]), np.array([1.0, 2.0, 0.5, 1.5])
    both, found = np.concatenate([a, b]), between_networks("u", a, b)
    means = [both[list(two)].mean() - np.delete(both, list(two)).mean() for two in combinations(range(6), 2)]
    assert found.p == pytest.approx(np.mean(np.array(means) >= a.mean() - b.mean() - 1e-12))
    assert found.difference == pytest.approx(1.0) and found.n == 2
    one = between_networks("u", [1.6], b)
    assert one.p == pytest.approx(2 / 5)
    half = stats.t.ppf(0.975, 3) * b.std(ddof=1) * np.sqrt(1.25)
    assert (one.low, one.high) == pytest.approx((0.35 - half, 0.35 + half))
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high))


def test_the_interval_of_one_network_covers_as_often_as_it_says():
    rng = RNG(2)
    found = [between_networks("u", rng.normal(0.3), rng.normal(size=20)) for _ in range(1000)]
    covered = sum(c.low <= 0.3 <= c.high for c in found)
    assert stats.binom(1000, 0.95).ppf(0.001) <= covered <= stats.binom(1000, 0.95).ppf(0.999)


def test_what_is_detectable_is_detected_in_four_of_five_studies():
    rng, n = RNG(3), 40
    width = 2 * stats.norm.ppf(0.975) / np.sqrt(n)
    detectable = Comparison("c", 0.0, -width / 2, width / 2, 1.0, n).detectable
    means = rng.normal(detectable, 1 / np.sqrt(n), 4000)
    assert (means * np.sqrt(n) > stats.norm.ppf(0.95)).mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    "few", [([], SOME), ([0.1], []), ([np.nan], SOME), ([np.inf], SOME), ([0.1], [np.nan, np.inf])]
)
def test_without_a_network_on_either_side_nothing_is_compared(few):
    found = between_networks("u", *few)
    assert np.isnan(astuple(found)[1:5]).all() and not found.beaten
    assert judge("C1", *few).decision == "not decided"


def test_equal_networks_differ_by_nothing():
    found = between_networks("u", [0.2, 0.2], [0.2, 0.2, 0.2])
    assert astuple(found)[1:] == pytest.approx((0.0, 0.0, 0.0, 1.0, 2))
    alone = between_networks("u", [0.2], [0.1])
    assert alone.p == 0.5 and np.isnan(alone.low)


def test_values_of_another_shape_are_refused():
    with pytest.raises(FerError, match="one for each item"):
        between_networks("u", np.ones((2, 2)), SOME)


def test_against_random_choices():
    draws = np.arange(99) / 100
    found = against_draws("random", 0.99, draws)
    assert found.p == 1 / 100 and found.difference == pytest.approx(0.5) and found.n == 99
    assert found.low < found.difference < found.high
    assert against_draws("random", 0.98, draws).p == 2 / 100, "a tie counts as at least as large"
    for value, some in ((np.nan, draws), (0.5, []), (0.5, [0.1, np.nan])):
        assert np.isnan(against_draws("random", value, some).difference)


def test_from_resampled_people():
    draws = np.linspace(-0.1, 0.9, 101)
    found = from_bootstrap("chance", 0.4, [*draws, np.nan], 25)
    assert (found.difference, found.n) == (0.4, 25) and found.p == pytest.approx(12 / 102)
    assert (found.low, found.high) == pytest.approx((-0.075, 0.875))
    for some in ([], [np.nan] * 3 + [0.1], [np.inf] * 4):
        assert np.isnan(from_bootstrap("chance", 0.4, some, 25).p)


def test_a_claim_that_could_not_be_tested_says_why():
    found = judge("C2", [], [], reason="no picture is coded for action units")
    assert found.decision == "not decided" and np.isnan(found.value)
    assert found.reason == "no picture is coded for action units"


def test_tables_hold_the_numbers():
    verdicts = [judge("C3", [0.3], SOME, [control(0.2)]), judge("C4", [], [], reason="because")]
    table = claims.verdicts_table(verdicts)
    assert table["value"].iloc[0] == 0.3 and table["decision"].tolist() == ["holds", "not decided"]
    assert table[["value", "margin"]].dtypes.eq(float).all() and table["untrained"].tolist() == [20, 0]
    compared = claims.comparisons_table(verdicts)
    assert compared["control"].tolist() == [claims.UNTRAINED, "control", claims.UNTRAINED]
    assert compared[["difference", "low", "high", "p", "detectable"]].dtypes.eq(float).all()
    assert claims.comparisons_table([]).columns.tolist() == compared.columns.tolist()


@pytest.mark.parametrize(
    ("comparisons", "decision"),
    [
        ([control(0.2), control(0.2)], "holds"),
        ([control(0.2), control(0.2, p=0.06, half=0.3)], "not decided"),
        ([control(0.2), control(0.0, p=0.5)], "does not hold"),
        ([], "not decided"),
    ],
)
def test_rule(comparisons, decision):
    assert decide(comparisons, 0.05) == decision and decision in claims.DECISIONS
