"""Curves by hand; detectors of a unit are found where they are planted, at the right dose and by the right map, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.errors import FerError
from fer_lib.measures.dose_response import _holm, answers_first, dose_response, dose_tests

AUS = [1, 4, 12]


def pictures(people=20, maps=8, effect=1.0, seed=0, doses=5):
    """Map 2 answers to AU 1, map 5 to AU 12, and no map to AU 4."""
    rng = np.random.default_rng(seed)
    plan = [(0, 0), *((au, dose) for au in AUS for dose in range(1, doses + 1))]
    subject = np.repeat(np.arange(people), len(plan))
    au, dose = np.tile(np.array(plan), (people, 1)).T
    maximum = 3 * rng.normal(size=(people, maps))[subject] + 0.5 * rng.normal(size=(len(au), maps)) + 10
    maximum[:, 2] += effect * dose * (au == 1)
    maximum[:, 5] += 2 * effect * dose * (au == 12)
    return maximum, subject, au, dose


def test_changes_and_slopes_by_hand():
    # Two people, one unit at A and C; map 1 never varies on neutral pictures, map 2 not at all.
    maximum = np.array([[1.0, 5, 7], [2, 6, 7], [4, 5, 7], [3, 5, 7], [3, 5, 7], [7, 9, 7]])
    found = dose_response(maximum, ["a"] * 3 + ["b"] * 3, [0, 12, 12, 0, 12, 12], [0, 1, 3, 0, 1, 3])
    assert found.aus.tolist() == [12] and found.doses.tolist() == [1, 3]
    assert found.change[:, 0, :, 0].tolist() == [[1, 3], [0, 4]]  # the spread of 1 and 3 is 1
    np.testing.assert_allclose(found.change[1, 0, :, 1], np.array([0, 4]) / maximum[:, 1].std())
    assert (found.change[..., 2] == 0).all()
    np.testing.assert_allclose(found.slopes()[:, 0, 0], [(1 + 9) / 10, 12 / 10])
    curve = found.curves([0], draws=50)
    assert curve["change"].tolist() == [0.5, 3.5] and curve["raised"].tolist() == [0.75, 1.0]
    assert (curve["low"] <= curve["change"]).all() and (curve["change"] <= curve["high"]).all()
    assert found.curves([-1]).empty


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_order_of_pictures_gain_and_offset_do_not_matter(seed):
    maximum, subject, au, dose = pictures(people=4, seed=seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(au))
    one = dose_response(maximum, subject, au, dose)
    gain = np.exp(rng.normal(size=maximum.shape[1]))
    other = dose_response((gain * maximum + 3)[order], subject[order], au[order], dose[order])
    # People may be numbered in another way.
    np.testing.assert_allclose(np.sort(one.change, axis=0), np.sort(other.change, axis=0), atol=1e-8)


def test_planted_detectors_are_found_and_nothing_else():
    response = dose_response(*pictures())
    table = dose_tests(response, permutations=400, draws=200)
    assert table["map"].drop(4).tolist() == [2, 5] and table.loc[4, "p"] > 0.05
    assert (table.loc[[1, 12], ["p", "p_joint"]] <= 0.02).all(axis=None)
    assert table["answering"].tolist() == [1, 0, 1] and (table.loc[[1, 12], "share"] > 0.95).all()
    spread = pictures()[0][pictures()[2] == 0].std(axis=0)
    assert table.loc[12, "slope"] == pytest.approx(2 / spread[5], rel=0.1)
    assert table.loc[12, "slope_low"] < table.loc[12, "slope"] < table.loc[12, "slope_high"]
    curves = response.curves(table["map"].where(table["p"] <= 0.05, -1).to_numpy(), draws=100)
    assert set(curves["au"]) == {1, 12} and (curves.groupby("au")["change"].diff().dropna() > 0).all()
    first = answers_first(response, draws=100)
    assert first.loc[2, "au"] == 1 and first.loc[5, "au"] == 12
    assert (
        (first.loc[[2, 5], "share"] > 0.95).all()
        and (first["slope"] > 0).all()
        and (first["margin"] >= 0).all()
    )


def test_a_network_that_does_not_respond_answers_nothing():
    maximum, subject, au, dose = pictures(people=3)
    response = dose_response(np.ones_like(maximum), subject, au, dose)
    table = dose_tests(response, permutations=10, draws=10)
    assert (table["map"] == -1).all() and (table["answering"] == 0).all()
    assert table[["slope", "p"]].isna().all(axis=None) and answers_first(response, draws=5).empty


def test_adjusted_for_several_units_by_hand():
    assert _holm(np.array([0.02, 0.5, 0.01, 0.4])).tolist() == pytest.approx([0.06, 0.8, 0.04, 0.8])


def test_missing_and_doubled_pictures_are_refused():
    maximum, subject, au, dose = pictures(people=3)
    keep = np.ones(len(au), bool)
    keep[7] = False
    for rows, words in [
        (keep, "some are missing"),
        (au != 0, "some are missing"),
        (au == 0, "no picture has a unit"),
    ]:
        with pytest.raises(FerError, match=words):
            dose_response(maximum[rows], subject[rows], au[rows], dose[rows])
    twice = np.r_[np.arange(len(au)), 3]
    with pytest.raises(FerError, match="each once"):
        dose_response(maximum[twice], subject[twice], au[twice], dose[twice])
    with pytest.raises(FerError, match="do not fit"):
        dose_response(maximum, subject, au[1:], dose)
    one = subject == 0
    with pytest.raises(FerError, match="two people"):
        dose_tests(dose_response(maximum[one], subject[one], au[one], dose[one]))
    with pytest.raises(FerError, match="maps"):
        dose_response(maximum, subject, au, dose).curves([0])
