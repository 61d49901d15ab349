import numpy as np
import pytest

from fer_lib.errors import FerError
from fer_lib.measures import claims
from fer_lib.measures.claims import Comparison


def test_a_constant_gain_beats_its_control_and_noise_does_not():
    rng = np.random.default_rng(0)
    control = rng.normal(size=40)
    assert claims.paired(control + 1, control).beaten
    assert not claims.paired(control, control).beaten
    assert not claims.paired(control - 1, control).beaten


def test_paired_p_equals_the_exact_one_of_three_items():
    # Of the 8 sign patterns only the observed one has a mean as large: p is 1/8 in the limit.
    found = claims.paired(np.array([1.0, 2.0, 3.0]), np.zeros(3), permutations=20000)
    assert found.p == pytest.approx(1 / 8, abs=0.01)


def test_unpaired_null_is_uniform_enough():
    rng = np.random.default_rng(1)
    p = [
        claims.unpaired(rng.normal(size=12), rng.normal(size=9), permutations=199, seed=i).p
        for i in range(200)
    ]
    assert 0.4 < np.mean(p) < 0.6
    assert 0.01 < np.mean(np.array(p) <= 0.1) < 0.2


def test_missing_items_are_left_out_and_none_left_is_undecided():
    assert claims.paired(np.array([1.0, np.nan]), np.array([0.0, 5.0])).difference == 1.0
    empty = claims.paired(np.array([np.nan]), np.array([1.0]))
    assert claims.decide({"a": empty}) == "not decided"


@pytest.mark.parametrize(
    ("p", "verdict"),
    [((0.01, 0.01), "holds"), ((0.01, 0.2), "holds in part"), ((0.3, 0.2), "does not hold")],
)
def test_rule(p, verdict):
    assert claims.decide({str(i): Comparison(0.1, value) for i, value in enumerate(p)}) == verdict


def test_energy_share_by_hand():
    energy = np.zeros((2, 2, 2))
    energy[0] = [[3, 1], [0, 0]]
    regions = np.array([[[1, 0], [0, 0]], [[1, 1], [1, 1]]])
    shares = claims.energy_in_regions(energy, regions)
    np.testing.assert_allclose(shares[:, 0], [0.75, 1.0])
    assert np.isnan(shares[:, 1]).all()


def test_what_could_not_be_measured_is_said_in_words():
    nothing = claims.Comparison(float("nan"), float("nan"))
    row = claims.verdict_row("C3", "mean AUC", float("nan"), {"chance": nothing})
    assert row["verdict"] == "not decided" and "nan" not in f"{row['measure']} {row['above its controls by']}"


def test_infinite_values_and_claims_without_a_control_decide_nothing():
    infinite = claims.paired([np.inf, 0, 0, 0], [0, 0, 0, 0])
    assert np.isnan(infinite.difference) and claims.decide({"x": infinite}) == "not decided"
    assert np.isnan(claims.unpaired([np.inf, 1.0], [0.0, 1.0]).p)
    assert claims.decide({}) == "not decided"
    with pytest.raises(FerError, match="one of each per item"):
        claims.paired([1.0, 2.0, 3.0], [1.0])
