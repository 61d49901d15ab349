"""The simulation tells the measures apart as their equations say it must."""

import numpy as np
import pytest

from fer_lib.errors import FerError
from fer_lib.facs import AUS
from fer_lib.measures.planted import MEASURES, Noise, detection_rates, find_planted, noise_table


def test_the_papers_distance_follows_the_gain_and_auc_finds_the_detector():
    table = find_planted(173, runs=12)
    assert list(table.index) == list(MEASURES)
    assert table.loc["AUC", "found"] > 0.9
    assert table.loc["D (paper)", "found"] < 0.2
    assert table.loc["D (paper)", "gain_percentile"] > 85
    assert table.loc["D, scale-free, size-matched, signed", "found"] > table.loc["D (paper)", "found"]


def test_with_equal_gains_and_equal_sets_the_distance_works_too():
    alike = Noise(level=0.0, level_sd=0.0, gain_sd=0.0)
    table = find_planted(300, pictures=600, shift=3, noise=alike, runs=8)
    assert (table["found"] == 1).all()


def test_noise_is_that_of_real_maps():
    """Mean over standard deviation near 3.3 and one zero in thirty, not 0.68 and a half as of rectified standard noise."""
    responses, gain = Noise().draw(600, 256, np.random.default_rng(0))
    maxima = gain * np.maximum(responses, 0)
    assert 2.8 < np.mean(maxima.mean(axis=0) / maxima.std(axis=0)) < 3.8
    assert 0.02 < (maxima == 0).mean() < 0.06
    measured = Noise.measured(maxima)
    assert measured.level == pytest.approx(3.3, abs=0.3)
    assert measured.level_sd == pytest.approx(1.5, abs=0.3)
    assert measured.gain_sd == pytest.approx(0.6, abs=0.1)
    with pytest.raises(FerError, match="1 of 3 maps vary"):
        Noise.measured(np.array([[0.0, 1, 2], [0.0, 1, 3]]))


def test_without_a_shift_every_measure_is_at_chance_and_a_seed_decides():
    table = find_planted(50, shift=0, runs=10, maps=32)
    assert (table["found"] <= 0.3).all()
    assert table.equals(find_planted(50, shift=0, runs=10, maps=32))


def test_bad_input_is_refused():
    with pytest.raises(FerError, match="nothing to compare"):
        find_planted(0)


def test_rates_of_every_measure_and_setting():
    table = detection_rates(aus=(16, 1, 25), shifts=(1.0, 3.0), gains=(0.0, 1.0), runs=2)
    assert len(table) == 7 * len(MEASURES) and table["found"].between(0, 1).all()
    assert set(table.loc[table["vary"] == "shift", "value"]) == {1, 3}
    assert set(table.loc[table["vary"] == "positives", "value"]) == {
        AUS[au].ckplus_count for au in (16, 1, 25)
    }
    assert set(table.loc[table["vary"] == "gain", "value"]) == {0, 1}


def test_a_constant_map_is_no_noise_however_it_is_rounded():
    maxima = np.random.default_rng(0).random((50, 4))
    maxima[:, 3] = 0.1
    assert Noise.measured(maxima) == Noise.measured(maxima[:, :3])


@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.8])
def test_correlation_of_maps_is_measured_and_drawn(correlation):
    alike = Noise(level=6.0, level_sd=0.0, gain_sd=0.5, correlation=correlation)
    responses, gain = alike.draw(400, 60, np.random.default_rng(1))
    z = (responses - responses.mean(axis=0)) / responses.std(axis=0)
    pairs = (z.T @ z / 400)[np.triu_indices(60, 1)]
    assert np.sqrt((pairs**2).mean()) == pytest.approx(correlation, abs=0.08)
    assert abs(pairs.mean()) < 0.1 + 0.2 * correlation
    assert Noise.measured(gain * responses).correlation == pytest.approx(correlation, abs=0.05)


def test_simulated_noise_is_that_of_the_maps_it_was_measured_on():
    rng = np.random.default_rng(4)
    real = np.exp(0.8 * rng.normal(size=80)) * np.maximum(
        rng.gamma(4, 0.5, (300, 80)) + 0.5 * rng.normal(size=(300, 1)), 0
    )
    table = noise_table(np.concatenate([real, np.zeros((300, 1))], axis=1))
    assert table.index.tolist() == ["mean / sd", "zeros", "gains", "correlation"]
    difference = (table["measured"] - table["simulated"]).abs()
    assert (difference < [0.3, 0.03, 0.3, 0.1]).all()
    silent = noise_table(real, Noise(level=-1.0, level_sd=0.1))
    assert silent.loc["zeros", "simulated"] > 0.7


def test_shares_have_intervals_over_runs():
    table = find_planted(60, pictures=200, maps=16, shift=2, runs=9)
    assert ((table["low"] <= table["found"]) & (table["found"] <= table["high"])).all()
    assert table.loc["AUC", ["found", "low", "high"]].tolist() == pytest.approx([1, 0.025 ** (1 / 9), 1])
