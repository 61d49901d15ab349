"""Comparisons with controls and intervals, against hand-computed cases."""

import numpy as np
import pytest

from fer_lib.errors import FerError
from fer_lib.measures.comparisons import FEWEST, interval, paired, unpaired

RNG = np.random.default_rng


def test_a_constant_gain_beats_its_control_and_noise_does_not():
    control = RNG(0).normal(size=40)
    assert paired("c", control + 1, control).beaten
    assert not paired("c", control, control).beaten
    assert not paired("c", control - 1, control).beaten


def test_paired_p_equals_the_exact_one_of_three_items():
    # Of the 8 sign patterns only the observed one has a mean as large: p is 1/8 in the limit.
    found = paired("c", [1.0, 2.0, 3.0], np.zeros(3), permutations=20000)
    assert found.p == pytest.approx(1 / 8, abs=0.01) and found.n == 3 and found.difference == 2


def test_unpaired_null_is_uniform_enough():
    rng = RNG(1)
    p = [
        unpaired("c", rng.normal(size=12), rng.normal(size=9), permutations=199, seed=i).p for i in range(200)
    ]
    assert 0.4 < np.mean(p) < 0.6
    assert 0.01 < np.mean(np.array(p) <= 0.1) < 0.2


def test_missing_items_are_left_out():
    assert paired("c", [1.0, np.nan], [0.0, 5.0]).difference == 1.0
    empty = paired("c", [np.nan], [1.0])
    assert empty.n == 0 and np.isnan(empty.difference)


def test_infinite_values_compare_with_nothing():
    infinite = paired("c", [np.inf, 0, 0, 0], [0, 0, 0, 0])
    assert np.isnan(infinite.difference)
    assert np.isnan(paired("c", [np.inf, 1], [-np.inf, 0]).p)
    assert np.isnan(unpaired("c", [np.inf, 1.0], [0.0, 1.0]).p)
    with pytest.raises(FerError, match="one of each per item"):
        paired("c", [1.0, 2.0, 3.0], [1.0])


def test_intervals_cover_the_mean_as_often_as_they_say():
    rng = RNG(2)
    covered = [low <= 0 <= high for low, high in (interval(rng.normal(size=40)) for _ in range(100))]
    assert np.mean(covered) > 0.85
    assert interval(np.ones(9)) == (1, 1)
    assert interval([0.0, np.nan, 1, 0, 1, 0, 1]) == interval([0.0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("items", [[], [1.0] * (FEWEST - 1), [np.inf] * 9, [np.nan] * 9])
def test_there_is_no_interval_of_few(items):
    assert np.isnan(interval(items)).all()
