"""A clear winner wins always, equals share, and the interval that repeats the choice holds what it promises."""

import numpy as np
import pytest

from fer_lib.errors import FerError
from fer_lib.measures.bootstrap_maps import bootstrap_maps
from fer_lib.measures.distance import best_maps, distances
from fer_lib.measures.ranks import auc


def faces(shifts, seed=0, people=40, per=6):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(people), per)
    present = (rng.random((len(subject), 1)) < 0.4).astype(float)
    noise = (
        rng.normal(size=(len(subject), len(shifts))) + 0.5 * rng.normal(size=(people, len(shifts)))[subject]
    )
    half = people // 2 * per
    return (
        np.maximum(noise + 4 + present * shifts, 0),
        present,
        subject,
        np.arange(half),
        np.arange(half, len(subject)),
    )


def test_a_clear_winner_is_the_whole_set():
    found = bootstrap_maps(*faces([0, 3, 0, 0]), aus=[12], draws=60)
    row = found.table.loc[0]
    assert (
        row["map"] == 1 and row["share"] == 1 and row["size"] == 1 and row["maps"] == [1] and row["none"] == 0
    )
    assert found.wins.tolist() == [[0, 1, 0, 0]]
    # Where the choice is sure, both intervals are the same.
    assert row["auc_low"] == row["auc_low_fixed"] < row["auc"] < row["auc_high"] == row["auc_high_fixed"]


def test_equal_maps_share_the_wins_and_no_smaller_set_holds_as_much():
    found = bootstrap_maps(*faces([2, 0, 2, 2, 0, 0], seed=2), aus=[12], draws=150)
    row = found.table.loc[0]
    assert set(row["maps"]) <= {0, 2, 3} and row["size"] >= 2
    held = found.wins[0, row["maps"]]
    assert held.sum() >= 0.95 - 1e-9 and held[:-1].sum() < 0.95 and (np.diff(held) <= 0).all()
    assert found.wins.sum() == pytest.approx(1)
    everything = bootstrap_maps(*faces([2, 0, 2, 2, 0, 0], seed=2), aus=[12], draws=150, cover=1).table.loc[0]
    assert found.wins[0, everything["maps"]].sum() == pytest.approx(1) and everything["size"] >= row["size"]


def test_among_maps_that_know_nothing_the_winner_is_not_sure():
    rows = [bootstrap_maps(*faces(np.zeros(40), seed), aus=[12], draws=40).table.loc[0] for seed in range(6)]
    assert np.mean([row["size"] for row in rows]) > 5 and np.mean([row["share"] for row in rows]) < 0.7
    assert np.mean([row["auc_low"] < 0.5 < row["auc_high"] for row in rows]) > 0.8


def test_the_interval_with_the_choice_holds_the_mean_of_other_draws_of_people():
    """What the choice reaches in the mean over sets of people lies inside nearly always; that of a fixed map is shorter."""
    shifts = np.r_[np.full(3, 0.8), np.zeros(12)]
    reached = []
    for seed in range(100, 140):
        values, present, _, train, test = faces(shifts, seed)
        best = auc(values[train], present[train])[0].argmax()
        reached.append(auc(values[test][:, [best]], present[test])[0, 0])
    inside, wider = 0, 0
    for seed in range(16):
        row = bootstrap_maps(*faces(shifts, seed), aus=[1], draws=40).table.loc[0]
        inside += row["auc_low"] <= np.mean(reached) <= row["auc_high"]
        wider += (row["auc_high"] - row["auc_low"]) >= (row["auc_high_fixed"] - row["auc_low_fixed"])
    assert inside >= 13 and wider >= 10


def test_any_score_may_choose_on_other_rows_than_are_tested():
    values, present, subject, train, test = faces([0, 3, 0, 0])
    values *= [50.0, 1, 1, 1]  # D follows the gain
    some = train[::2]
    found = bootstrap_maps(
        values, present, subject, some, test, aus=[1], score=distances, chosen_on=train, draws=20
    )
    assert found.table.loc[0, "map"] == best_maps(distances(values[train], present[train]))[0] == 0
    assert found.wins[0, 0] > 0.9


def test_without_a_winner_there_is_no_set_and_no_number():
    values, present, subject, train, test = faces([0, 3, 0, 0])
    row = bootstrap_maps(np.zeros_like(values), present, subject, train, test, aus=[1], draws=5).table.loc[0]
    assert row["map"] == -1 and row["none"] == 1 and row["size"] == 0 and row["maps"] == []
    assert np.isnan([row["share"], row["auc"], row["auc_low"], row["precision_high_fixed"]]).all()


def test_bad_input_is_refused():
    values, present, subject, train, test = faces([0, 1])
    for rows, options, words in [
        ((train, train), {}, "overlap"),
        ((train[:0], test), {}, "overlap"),
        ((train, test), {"cover": 0}, "cover=0"),
        ((train, test), {"draws": 0}, "draws=0"),
        ((train, test), {"aus": [1, 2]}, "2 unit numbers"),
        ((train, test), {"chosen_on": test[:3]}, "overlap"),
    ]:
        with pytest.raises(FerError, match=words):
            bootstrap_maps(values, present, subject, *rows, **({"aus": [1]} | options))
