"""The simulation tells the measures apart as their equations say it must."""

import pytest

from fer_lib.errors import FerError
from fer_lib.evidence.planted import MEASURES, detection_rates, find_planted
from fer_lib.facs import AUS


def test_the_papers_distance_follows_the_gain_and_auc_finds_the_detector():
    table = find_planted(173, runs=12)
    assert list(table.index) == list(MEASURES)
    assert table.loc["AUC", "found"] > 0.9
    assert table.loc["D (paper)", "found"] < 0.2
    assert table.loc["D (paper)", "gain_percentile"] > 85
    assert table.loc["D, scale-free, size-matched, signed", "found"] > table.loc["D (paper)", "found"]


def test_with_equal_gains_and_equal_sets_the_distance_works_too():
    table = find_planted(300, pictures=600, shift=3, gain_sd=0, runs=8)
    assert (table["found"] == 1).all()


def test_without_a_shift_every_measure_is_at_chance_and_a_seed_decides():
    table = find_planted(50, shift=0, runs=10, maps=32)
    assert (table["found"] <= 0.3).all()
    assert table.equals(find_planted(50, shift=0, runs=10, maps=32))


def test_bad_input_is_refused():
    with pytest.raises(FerError, match="nothing to compare"):
        find_planted(0)


def test_rates_of_every_measure_and_setting():
    table = detection_rates(aus=(16, 1, 25), gains=(0.0, 1.0), runs=2)
    assert len(table) == 5 * len(MEASURES) and table["found"].between(0, 1).all()
    assert set(table.loc[table["vary"] == "positives", "value"]) == {
        AUS[au].ckplus_count for au in (16, 1, 25)
    }
    assert set(table.loc[table["vary"] == "gain", "value"]) == {0, 1}
