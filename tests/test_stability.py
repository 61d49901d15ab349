"""How often a verdict holds over networks, and how far they agree: hand-computed cases and properties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from fer_lib.errors import FerError
from fer_lib.measures.stability import (
    by_movement,
    count_decisions,
    follows_movement,
    kendalls_w,
    overlap,
    winning_maps,
)
from fer_lib.plot.regimes import PANELS, selectivity_against_movement


def test_verdicts_are_counted_with_wilsons_interval() -> None:
    verdicts = pd.DataFrame(
        {
            "set": ["a"] * 10 + ["b"],
            "claim": ["C1"] * 11,
            "decision": ["holds"] * 8 + ["does not hold"] * 2 + ["holds"],
        }
    )
    counts = count_decisions(verdicts, ["set"])
    assert counts[["set", "decision", "count", "n"]].to_numpy().tolist() == [
        ["a", "holds", 8, 10],
        ["a", "does not hold", 2, 10],
        ["b", "holds", 1, 1],
    ]
    z, k, n = 1.959964, 8, 10  # Wilson (1927), by hand
    middle = (k / n + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(k / n * (1 - k / n) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(counts.loc[0, ["low", "high"]].astype(float), [middle - half, middle + half])
    assert counts.loc[2, "high"] == 1 and 0.2 < counts.loc[2, "low"] < 0.21


def test_kendalls_w_by_hand() -> None:
    ranks = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 4, 3]])
    sums = ranks.sum(axis=0)
    by_hand = 12 * ((sums - sums.mean()) ** 2).sum() / (3**2 * (4**3 - 4))
    w, p, items = kendalls_w(ranks * 10.0)
    assert w == pytest.approx(by_hand) and items == 4 and 0 < p < 0.1


@given(arrays(float, (2, 7), elements=st.integers(0, 5)))
def test_w_of_two_networks_is_spearmans_correlation(values: np.ndarray) -> None:
    """Of two rankings W = (1 + rho) / 2, with ties too where both have as many."""
    values[1] = np.random.default_rng(0).permutation(values[0])
    if np.ptp(values[0]) == 0:
        assert math.isnan(kendalls_w(values)[0])
        return
    rho = spearmanr(values[0], values[1]).statistic
    assert kendalls_w(values)[0] == pytest.approx((1 + rho) / 2)


def test_what_a_network_lacks_is_left_out_for_all() -> None:
    values = np.array([[1, 2, np.nan, 3, 4], [1, 2, 9, 3, 4.0]])
    w, _, items = kendalls_w(values)
    assert (w, items) == (pytest.approx(1), 4)
    for too_few in (values[:1], values[:, :2], np.zeros((3, 4)), np.empty((0, 4))):
        assert math.isnan(kendalls_w(too_few)[0])
    with pytest.raises(FerError, match="a row for each network"):
        kendalls_w([1, 2, 3])


def test_overlap_of_sets() -> None:
    assert overlap([{1, 2}, {2, 3}]) == pytest.approx(1 / 3)
    assert overlap([{1}, {1}, {2}]) == pytest.approx(1 / 3)
    assert overlap([[], []]) == 1 and overlap([{1}, []]) == 0
    assert math.isnan(overlap([{1}])) and math.isnan(overlap([]))


def test_which_maps_win() -> None:
    winners = pd.DataFrame({"AU": [1, 1, 1, 2, 2, 2], "seed": [0, 1, 2] * 2, "map": [7, 7, 9, 3, -1, np.nan]})
    before = pd.DataFrame({"AU": [1, 1, 2], "seed": [0, 2, 0], "map": [7, 8, -1]})
    found = winning_maps(winners, before)
    assert found.to_dict("records") == [
        {"AU": 1, "networks": 3, "maps": 2, "commonest": 7, "times": 2, "compared": 2, "before": 1},
        {"AU": 2, "networks": 1, "maps": 1, "commonest": 3, "times": 1, "compared": 0, "before": 0},
    ]
    assert winning_maps(winners.iloc[:0], before).empty


def networks() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Four networks as notebooks record them: one that took no step, two that moved, one that diverged."""
    training = pd.DataFrame(
        {
            "run": ["still", "lazy", "rich", "gone"],
            "ended": ["untrained", "converged", "epochs", "diverged"],
            "initialisation": ["he", "he", "fan_in", "paper"],
            "learning_rate": [np.nan, 0.001, 0.01, 0.01],
            "moved_conv3": [0.0, 0.04, 0.2, np.nan],
            "accuracy": [0.1, 0.8, 0.9, np.nan],
        }
    )
    winners = pd.DataFrame(
        {
            "run": ["still", "still", "lazy", "rich"],
            "auc_auc": [0.6, 0.8, 0.75, np.nan],
            "auc_d": [0.5, 0.4, 0.3, 0.2],
        }
    )
    selectivity = pd.DataFrame({"run": ["lazy", "rich", "rich"], "among units": [0.5, 0.6, 0.8]})
    return training, winners, selectivity


def test_networks_stand_beside_how_far_they_moved() -> None:
    table = by_movement(*networks()).set_index("run")
    assert list(table.index) == ["still", "lazy", "rich"], "one that diverged has moved nowhere in particular"
    assert table["rate"].tolist() == [0, 0.001, 0.01] and table["moved"].tolist() == [0, 0.04, 0.2]
    assert table.loc["still", ["auc", "auc_d"]].tolist() == pytest.approx([0.7, 0.45])
    assert np.isnan(table.loc["rich", "auc"]) and np.isnan(table.loc["still", "selective"])
    assert table.loc["rich", "selective"] == pytest.approx(0.7)


def test_what_follows_movement() -> None:
    table = by_movement(*networks())
    assert follows_movement(table, "accuracy") == (pytest.approx(1), pytest.approx(0), 3)
    assert follows_movement(table, "auc_d")[0] == pytest.approx(-1)
    few = follows_movement(table, "auc")
    assert math.isnan(few[0]) and math.isnan(few[1]) and few[2] == 2
    alike = follows_movement(table.assign(accuracy=0.5), "accuracy")
    assert math.isnan(alike[0]) and alike[2] == 3


def test_every_network_is_drawn_once_in_each_panel() -> None:
    table = by_movement(*networks())
    figure = selectivity_against_movement(table)
    for ax, column in zip(figure.axes, PANELS, strict=True):
        drawn = np.concatenate([dots.get_offsets() for dots in ax.collections])
        known = table[["moved", column]].dropna().to_numpy()
        finite = drawn[np.isfinite(np.ma.filled(drawn, np.nan)).all(axis=1)]
        assert sorted(map(tuple, finite.tolist())) == sorted(map(tuple, known.tolist()))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["he", "fan_in", "no step"]


def test_networks_of_which_nothing_was_recorded_have_no_numbers():
    empty = pd.DataFrame()
    assert by_movement(empty, empty, empty).empty
    training, _, _ = networks()
    table = by_movement(training, empty, empty)
    assert len(table) and table[["auc", "auc_d", "selective"]].isna().all(axis=None)
