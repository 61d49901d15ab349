"""D against its equations written out, its properties, and the remedies for its weaknesses."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_lib.errors import FerError
from fer_lib.measures.distance import best_maps, distance, distances, expected_top_responses, top_responses

POSITIVE = st.floats(1e-3, 1e3)
RESPONSE = st.one_of(st.just(0.0), POSITIVE)
PAIR = st.tuples(arrays(np.float64, 9, elements=RESPONSE), arrays(np.float64, 9, elements=RESPONSE))
FINITE_RULES = pytest.mark.parametrize("zero", ["floor", "skip"])


def equation_13(r, q, floor=1e-9):
    least = floor * max(*r, *q)
    r, q = (np.maximum(values, least).tolist() for values in (r, q))
    forward = sum(a * math.log(a / b) for a, b in zip(r, q, strict=True))
    backward = sum(b * math.log(b / a) for a, b in zip(r, q, strict=True))
    return forward + backward


def table(seed=0, pictures=60, maps=7, units=4, unknown=0.1):
    rng = np.random.default_rng(seed)
    present = (rng.random((pictures, units)) < 0.3).astype(float)
    present[rng.random((pictures, units)) < unknown] = np.nan
    return np.maximum(rng.normal(0.5, 1, (pictures, maps)), 0), present


@given(arrays(np.float64, 9, elements=POSITIVE), arrays(np.float64, 9, elements=POSITIVE))
def test_equations_10_to_13_where_the_floor_does_not_reach(r, q):
    expected = equation_13(r, q)
    assert distance(r, q, floor=1e-9) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    one_sided = [distance(a, b, floor=1e-9, one_sided=True) for a, b in ((r, q), (q, r))]
    assert sum(one_sided) == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert one_sided[0] == pytest.approx(
        sum(a * math.log(a / b) for a, b in zip(r, q, strict=True)), abs=1e-6
    )


@FINITE_RULES
@given(pair=PAIR, gain=st.sampled_from([0.125, 2.0, 1024.0]))
def test_symmetric_homogeneous_and_zero_for_equal_lists(zero, pair, gain):
    r, q = pair
    d = distance(r, q, zero=zero)
    assert np.array_equal(d, distance(q, r, zero=zero), equal_nan=True)
    assert np.allclose(distance(gain * r, gain * q, zero=zero), gain * d, rtol=1e-12, equal_nan=True)
    assert np.isnan(d) or d >= 0
    assert distance(r + 1, r + 1, zero=zero) == 0


@given(pair=PAIR, smaller=st.sampled_from([1e-6, 1e-9]))
def test_floor_is_continuous_at_zero(pair, smaller):
    r, q = pair
    biggest = max(r.max(), q.max())
    nearly = distance(np.where(r == 0, smaller * biggest, r), np.where(q == 0, smaller * biggest, q))
    assert nearly == pytest.approx(distance(r, q), rel=1e-12)


def test_zero_rules_on_one_example():
    r, q = [4.0, 2.0, 0.0], [4.0, 0.0, 0.0]
    assert distance(r, q, floor=0.01) == pytest.approx((2 - 0.04) * math.log(2 / 0.04))
    assert distance(r, q, zero="skip") == 0
    assert distance(r, q, zero="infinite") == math.inf
    assert distance(r, q, zero="infinite", one_sided=True) == math.inf
    assert distance(q, r, zero="infinite", one_sided=True) == 0  # 0 ln 0 = 0
    assert distance([0, 0], [0, 0]) == 0
    assert distance([0, 0], [0, 0], zero="infinite") == 0
    assert np.isnan(distance([0, 0], [1, 1], zero="skip"))


def test_missing_ranks_are_left_out_on_both_sides():
    assert distance([3.0, 2.0, np.nan], [1.0, 1.0, 1.0]) == distance([3.0, 2.0], [1.0, 1.0])
    assert np.isnan(distance([np.nan], [1.0]))


def test_distances_equal_the_plain_loop():
    maxima, present = table()
    d = distances(maxima, present, n=9, floor=1e-6)
    for unit in range(present.shape[1]):
        for c in range(maxima.shape[1]):
            r = sorted(maxima[present[:, unit] == 1, c], reverse=True)[:9]
            q = sorted(maxima[present[:, unit] == 0, c], reverse=True)[:9]
            assert d[unit, c] == pytest.approx(equation_13(r, q, floor=1e-6), rel=1e-12)


@settings(max_examples=25)
@given(seed=st.integers(0, 999))
def test_the_order_of_pictures_does_not_matter(seed):
    maxima, present = table(seed)
    shuffled = np.random.default_rng(seed).permutation(len(maxima))
    for options in ({}, {"size_matched": True, "scale_free": True, "signed": True}):
        expected = distances(maxima, present, **options)
        assert np.allclose(
            distances(maxima[shuffled], present[shuffled], **options), expected, equal_nan=True
        )


def test_few_pictures_and_none():
    maxima, present = table(unknown=0)
    present[:, 0] = np.nan
    present[:, 1] = 0
    present[:, 2] = 0
    present[:4, 2] = 1
    d = distances(maxima, present, n=9)
    assert np.isnan(d[:2]).all()
    assert np.allclose(d[2], distances(maxima, present, n=4)[2])
    assert best_maps(d).tolist() == [-1, -1, int(d[2].argmax()), int(d[3].argmax())]


def test_where_several_distances_are_infinite_no_map_wins():
    maxima, present = table(unknown=0)
    maxima[present[:, 0] == 1, 2:4] = 0.0  # two maps that the unit silences altogether
    d = distances(maxima, present, zero="infinite")
    assert np.isinf(d[0, 2:4]).all() and best_maps(d)[0] == -1
    one = d.copy()
    one[0, 3] = 1.0
    assert best_maps(one[:, :4])[0] == (2 if np.isfinite(one[0, :2]).all() else -1)
    assert best_maps([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [np.nan, 1.0, np.nan]]).tolist() == [1, -1, 1]
    assert best_maps([[5.0]]).tolist() == [0], "a single map has no rival"


def test_the_gain_wins_in_the_papers_d_and_not_in_the_scale_free_one():
    maxima, present = table(pictures=300, unknown=0)
    maxima[:, 3] += present[:, 0]  # a detector ...
    maxima[:, 5] *= 1000  # ... and a loud map that knows nothing
    assert best_maps(distances(maxima, present))[0] == 5
    gains = np.geomspace(0.01, 100, maxima.shape[1])
    plain = distances(maxima, present, scale_free=True)
    assert np.allclose(plain, distances(maxima * gains, present, scale_free=True))


def test_signed_tells_detectors_from_suppressed_maps():
    present = np.repeat([[1.0], [0.0]], 10, axis=0)
    maxima = np.stack([1 + present[:, 0], 2 - present[:, 0]], axis=1)
    assert np.allclose(*distances(maxima, present).T)
    drives, suppresses = distances(maxima, present, signed=True)[0]
    assert drives == -suppresses > 0


def test_size_matching_removes_the_advantage_of_the_larger_set():
    rng = np.random.default_rng(3)
    maxima = rng.exponential(size=(1200, 200))
    present = (np.arange(1200) < 60).astype(float)[:, None]
    # The same distribution on both sides: the 1,140 pictures without have the larger nine strongest, and D sees it.
    assert (distances(maxima, present, signed=True) < 0).mean() > 0.95
    assert abs((distances(maxima, present, signed=True, size_matched=True) < 0).mean() - 0.5) < 0.15


@pytest.mark.parametrize("size", [0, 1, 3, 6])
def test_expected_top_responses_are_the_mean_over_all_subsets(size):
    values = np.random.default_rng(1).random((6, 2))
    subsets = [top_responses(values[list(chosen)], 4) for chosen in combinations(range(6), size)]
    assert np.allclose(expected_top_responses(values, size, 4), np.mean(subsets, axis=0), equal_nan=True)


def test_bad_input_is_refused_by_name():
    maxima, present = table()
    for call, words in [
        (lambda: distances(maxima - 9, present), "negative"),
        (lambda: distances(maxima[:-1], present), "row per picture"),
        (lambda: distances(maxima * np.nan, present), "not finite"),
        (lambda: distances(maxima, present + 1), "neither 1"),
        (lambda: distances(maxima, present, n=0), "at least 1"),
        (lambda: distance([1.0], [1.0, 2.0]), "same length"),
        (lambda: distance([1.0], [1.0], zero="epsilon"), "unknown"),
        (lambda: distance([1.0], [1.0], floor=0), "between 0 and 1"),
        (lambda: expected_top_responses(maxima, 61), "cannot be drawn"),
    ]:
        with pytest.raises(FerError, match=words):
            call()
