"""AUC and precision against scikit-learn; nulls against brute force, for their level and for their power."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import average_precision_score, roc_auc_score

from fer_lib.errors import FerError
from fer_lib.measures import ranks
from fer_lib.measures.detectors import LEAST, by_sequence, select_and_test
from fer_lib.measures.expression_controls import expression_auc, within_expression
from fer_lib.measures.matches import evaluate_matches
from fer_lib.measures.nulls import Null, chosen_p_values, permutation_null
from fer_lib.measures.ranks import auc, average_precision


def table(seed=0, rows=80, maps=6, units=5, unknown=0.1, ties=True):
    rng = np.random.default_rng(seed)
    scores = np.maximum(rng.normal(0.3, 1, (rows, maps)), 0)
    present = (rng.random((rows, units)) < 0.3).astype(float)
    present[rng.random((rows, units)) < unknown] = np.nan
    return (np.round(scores, 1) if ties else scores), present


@pytest.mark.parametrize(
    ("ours", "reference"), [(auc, roc_auc_score), (average_precision, average_precision_score)]
)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999), unknown=st.sampled_from([0, 0.3]), ties=st.booleans())
def test_equal_to_scikit_learn(ours, reference, seed, unknown, ties):
    scores, present = table(seed, unknown=unknown, ties=ties)
    result = ours(scores, present)
    for unit, label in enumerate(present.T):
        coded = ~np.isnan(label)
        for c in range(scores.shape[1]):
            assert abs(result[unit, c] - reference(label[coded], scores[coded, c])) < 1e-12


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 40, 10**6]))
def test_weighted_wins_equal_scikit_learn(seed, block):
    rng = np.random.default_rng(seed)
    score, label = rng.integers(0, 6, 40).astype(float), rng.choice([0, 1, np.nan], 40, p=[0.4, 0.4, 0.2])
    weight = rng.integers(0, 3, (5, 40))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ranks, "BLOCK", block)
        won, pairs = ranks.weighted_wins(score, label, weight)
    known = ~np.isnan(label)
    for draw in range(5):
        some, times = label[known], weight[draw][known]
        assert pairs[draw] == times[some == 1].sum() * times[some == 0].sum()
        if pairs[draw]:
            assert won[draw] / pairs[draw] == pytest.approx(
                roc_auc_score(some, score[known], sample_weight=times)
            )
    assert np.array_equal(ranks.weighted_wins([], [], np.ones((2, 0))), np.zeros((2, 2)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999))
def test_auc_knows_only_the_order(seed):
    scores, present = table(seed)
    shuffled = np.random.default_rng(seed).permutation(len(scores))
    expected = auc(scores, present)
    assert np.array_equal(auc(np.exp(scores) * 7 - 2, present), expected)
    assert np.array_equal(auc(scores[shuffled], present[shuffled]), expected)
    assert np.allclose(auc(-scores, present), 1 - expected, atol=1e-15)
    assert np.allclose(auc(scores, 1 - present), 1 - expected, atol=1e-15)


def test_units_without_both_kinds_of_pictures_have_no_value():
    scores, present = table(unknown=0)
    present[:, 0], present[:, 1], present[:, 2] = 0, 1, np.nan
    assert np.isnan(auc(scores, present)[:3]).all()
    precision = average_precision(scores, present)
    assert np.isnan(precision[[0, 2]]).all()
    assert (precision[1] == 1).all()
    for statistic in ("auc", "standardised"):
        null = permutation_null(scores, present, np.arange(80) // 8, permutations=20, statistic=statistic)
        assert np.isnan(null.p_values()[:3]).all()
        assert np.isnan(null.joint_p_values()[:3]).all()
        assert np.isfinite(null.joint_p_values()[3:]).all()


def test_by_sequence():
    scores, names = [[1.0], [3.0], [5.0], [7.0]], ["b", "b", "a", "c"]
    reduced, labels, first = by_sequence(scores, [[0, np.nan], [1, 0], [0, np.nan], [np.nan, 1]], names)
    assert reduced.tolist() == [[2], [5], [7]]
    assert np.array_equal(labels, [[1, 0], [0, np.nan], [np.nan, 1]], equal_nan=True)
    assert first.tolist() == [0, 2, 3]


@pytest.mark.parametrize("alternative", ["greater", "two-sided"])
def test_null_holds_exactly_the_permutations_within_groups(alternative):
    rng = np.random.default_rng(5)
    scores, present = (
        rng.normal(size=(6, 3)),
        np.array([[1, 0], [0, 0], [0, 1], [1, 1], [0, 0], [1, 0]], float),
    )
    within = np.array(["x", "x", "x", "y", "y", "z"])
    null = permutation_null(scores, present, within, permutations=400, alternative=alternative)
    every = []
    for x in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        for y in ([3, 4], [4, 3]):
            area = auc(scores, present[[*x, *y, 5]])
            every.append((area if alternative == "greater" else abs(area - 0.5)).max(axis=1))
    # Both columns at once: a unit's partner has to move with it.
    assert {tuple(np.round(row, 12)) for row in null.maxima} == {tuple(np.round(row, 12)) for row in every}
    expected = auc(scores, present)
    assert np.allclose(
        null.observed, expected if alternative == "greater" else abs(expected - 0.5), atol=1e-15
    )
    p = (1 + (null.maxima[:, :, None] >= null.observed).sum(axis=0)) / 401
    assert np.allclose(null.p_values(), p)


def test_standardised_statistic_has_mean_0_and_sd_1_and_ignores_what_groups_have_in_common():
    rng = np.random.default_rng(6)
    within = np.repeat(np.arange(12), 5)
    scores = rng.normal(size=(60, 1)) + np.repeat(rng.normal(0, 9, 12), 5)[:, None]  # an identity detector
    present = (rng.random((60, 1)) < np.repeat(rng.random(12), 5)[:, None]).astype(float)
    null = permutation_null(scores, present, within, permutations=4000, statistic="standardised")
    assert abs(null.maxima.mean()) < 0.06
    assert abs(null.maxima.std() - 1) < 0.05
    constant = permutation_null(np.ones((60, 1)), present, within, permutations=10, statistic="standardised")
    assert constant.observed.item() == 0
    assert constant.p_values().item() == 1


def test_rows_that_are_coded_for_other_units_are_not_exchanged():
    scores, present = table(rows=40, unknown=0)
    present[::2, 1] = np.nan
    null = permutation_null(scores, present, np.zeros(40), permutations=50)
    half = permutation_null(scores[1::2], present[1::2], np.zeros(20), permutations=50)
    assert np.allclose(null.observed[1], half.observed[1])


@pytest.mark.parametrize("statistic", ["auc", "standardised"])
def test_level_and_power(statistic):
    rng = np.random.default_rng(7)
    false, found = [], []
    for trial in range(120):
        within = np.repeat(np.arange(20), 5)
        present = (rng.random((100, 2)) < 0.3).astype(float)
        scores = np.maximum(rng.normal(size=(100, 30)), 0) + np.repeat(rng.normal(size=(20, 30)), 5, axis=0)
        scores[:, 4] += 3 * present[:, 0]
        null = permutation_null(scores, present, within, permutations=99, seed=trial, statistic=statistic)
        p = null.p_values()
        found.append(p[0, 4] <= 0.05)
        false.append(p[1].min() <= 0.05)
    assert np.mean(found) > 0.9
    assert np.mean(false) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_joint_p_values_correct_for_the_choice_of_unit_too():
    rng = np.random.default_rng(8)
    scores, present = rng.normal(size=(90, 8)), (rng.random((90, 10)) < 0.4).astype(float)
    scores[:, 2] += 3 * present[:, 7]
    null = permutation_null(scores, present, np.repeat(np.arange(30), 3), permutations=499)
    joint, single = null.joint_p_values(), null.p_values().min(axis=1)
    assert joint[7] <= 10 / 500  # in up to ten of 500 draws, one of ten units is at its largest
    assert (joint >= single - 1e-12).all()


@pytest.mark.parametrize("permutations", [200, 500, 5000])
def test_joint_p_values_keep_their_level(permutations):
    """Under the null the smallest of 25 units' p values is at most 5 % in at most 5 % of the cases."""
    rng = np.random.default_rng(permutations)
    runs, units = 400, 25
    rejected = 0
    for _ in range(runs):
        # What observed and permuted labels reach is alike: rare units scatter more, and all are correlated.
        draws = rng.normal(size=(permutations + 1, units)) * rng.uniform(0.1, 3, units)
        draws += 0.5 * rng.normal(size=(permutations + 1, 1))
        null = Null(draws[0, :, None], draws[1:], "auc", "greater")
        rejected += bool(null.joint_p_values().min() <= 0.05)
    assert rejected <= binom.ppf(0.999, runs, 0.05)
    if permutations >= 5000:  # with few permutations, ties among ranks make it cautious
        assert rejected >= binom.ppf(0.001, runs, 0.05)


def test_joint_p_value_by_hand():
    # Two units, four permutations; ranks among five. Unit 0: observed 9 is the largest, unit 1: observed 2 the third.
    null = Null(np.array([[9.0], [2.0]]), np.array([[1.0, 5], [2, 1], [3, 0], [4, 4]]), "auc", "greater")
    # Smallest rank of each draw: observed 1, then 1, 4, 3, 2; unit 0's rank 1 is reached by two, unit 1's 3 by four.
    assert null.joint_p_values().tolist() == [2 / 5, 4 / 5]


def test_p_of_a_chosen_map_is_not_that_of_the_best_of_all():
    rng = np.random.default_rng(4)
    scores, present = rng.normal(size=(60, 40)), (rng.random((60, 2)) < 0.4).astype(float)
    scores[:, 5] += 3 * present[:, 0]  # some map answers to unit 0 ...
    within = np.arange(60) // 6
    best = permutation_null(scores, present, within, permutations=300).p_values().min(axis=1)
    worst = auc(scores, present).argmin(axis=1)  # ... but not the one that was chosen
    p = chosen_p_values(scores, present, within, worst, permutations=300)
    assert best[0] == 1 / 301 and p[0] > 0.8
    assert np.isnan(chosen_p_values(scores, present, within, [-1, -1])).all()
    # For a single map both are the same.
    alone = permutation_null(scores[:, [3]], present[:, [0]], within, permutations=300).p_values()[0, 0]
    assert chosen_p_values(scores, present[:, [0]], within, [3], permutations=300)[0] == alone


def test_the_same_seed_gives_the_same_null_and_a_picture_order_does_not_bias_it():
    scores, present = table()
    within = np.arange(80) // 4
    first, again = (permutation_null(scores, present, within, permutations=60, seed=2) for _ in range(2))
    assert np.array_equal(first.maxima, again.maxima, equal_nan=True)


def test_select_and_test_finds_a_planted_detector_and_reports_unseen_rows():
    rng = np.random.default_rng(10)
    present = (rng.random((400, 3)) < 0.3).astype(float)
    present[:, 2] = np.nan
    scores = rng.normal(size=(400, 50))
    scores[:, 17] += 2 * present[:, 0]
    train, test = np.arange(300), np.arange(300, 400)
    result = select_and_test(scores, present, train, test, units=[1, 4, 9]).set_index("au")
    assert result.loc[1, "map"] == 17
    assert result.loc[1, "test_auc"] == pytest.approx(roc_auc_score(present[test, 0], scores[test, 17]))
    assert result.loc[1, "hit_rate"] > 0.6 > 0.4 > result.loc[1, "false_alarm_rate"]
    assert result.loc[4, "train_auc"] > result.loc[4, "test_auc"]  # chosen by luck
    assert result.loc[9, "map"] == -1
    assert pd.isna(result.loc[9, "test_auc"])
    assert result.loc[1, "test_with"] + result.loc[1, "test_without"] == 100
    given = select_and_test(scores, present, train, test, units=[1, 4, 9], chosen=[3, 3, -1])
    assert given["map"].tolist() == [3, 3, -1]


@pytest.mark.parametrize("label", [0, 1, np.nan])
def test_without_both_kinds_of_training_rows_there_is_no_threshold(label):
    present = np.arange(40.0)[:, None] % 2
    scores = np.random.default_rng(0).random((40, 3)) + present
    present[:20] = label
    row = select_and_test(scores, present, range(20), range(20, 40), units=[1], chosen=[2]).iloc[0]
    assert row[["train_auc", "hit_rate", "false_alarm_rate"]].isna().all()
    assert row["test_auc"] > 0.9 and row["prevalence"] == 0.5
    one_of_each = present.copy()
    one_of_each[:2, 0] = 0, 1
    row = select_and_test(scores, one_of_each, range(20), range(20, 40), units=[1], chosen=[2]).iloc[0]
    assert row[["hit_rate", "false_alarm_rate"]].notna().all()


def test_bad_input_is_refused_by_name():
    scores, present = table()
    within = np.arange(80) // 4
    for call, words in [
        (lambda: permutation_null(scores, present, np.arange(80)), "nothing can be permuted"),
        (lambda: permutation_null(scores, present, within[:-1]), "within have shape"),
        (lambda: permutation_null(scores, present, within, permutations=0), "at least 1"),
        (lambda: permutation_null(scores, present, within, statistic="t"), "unknown"),
        (lambda: permutation_null(scores, present, within, alternative="less"), "unknown"),
        (lambda: select_and_test(scores, present, [0, 1], [1, 2], units=range(5)), "overlap"),
        (lambda: select_and_test(scores, present, [0], [1], units=[1]), "1 are given for 5 columns"),
        (lambda: select_and_test(scores, present, [0], [1], units=range(5), chosen=[0]), "one for each"),
        (lambda: select_and_test(scores, present, [0], [1], units=range(5), chosen=[6] * 5), "map 6 is none"),
        (lambda: chosen_p_values(scores, present, within, [0.5] * 5), "map 0.5 is none"),
    ]:
        with pytest.raises(FerError, match=words):
            call()


def films(detector=True, seed=0, people=14, sequences=6, maps=12):
    """One row for each sequence; map 2 answers to AU 1, map 5 to AU 4, or no map to any."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(people), sequences)
    present = rng.integers(0, 2, (len(subject), 2)).astype(float)
    maximum = rng.random((len(subject), maps))
    maximum[:, [2, 5]] += 4.0 * present * detector
    expression = np.array(["happy", "anger", ""])[np.arange(len(subject)) % 3]
    held_out = subject >= people // 2
    return maximum, present, subject, expression, np.flatnonzero(~held_out), np.flatnonzero(held_out)


def evaluated(data, matched=(2, 5), untrained_matched=(0, 1), **options):
    maximum, present, subject, expression, train, test = data
    untrained = np.random.default_rng(99).random(maximum.shape)
    given = {"aus": [1, 4], "subject": subject, "expression": expression, "permutations": 199} | options
    return evaluate_matches(
        maximum,
        untrained,
        present,
        train,
        test,
        matched=np.array(matched),
        untrained_matched=np.array(untrained_matched),
        **given,
    )


def test_matches_are_detectors_where_these_are_planted():
    table = evaluated(films()).set_index("au")
    assert table["map_d"].tolist() == table["map_auc"].tolist() == [2, 5]
    assert (table[["auc_d", "auc_auc"]] == 1).all(axis=None)
    assert (table[["p_d", "p_auc", "p", "p_joint"]] <= 0.02).all(axis=None)
    assert (table["auc_untrained_d"] < 0.85).all() and (table["auc_expression"] < 0.85).all()
    assert (table["with_au"] + table["without"] == 42).all()


def test_matches_are_no_detectors_where_none_are_planted():
    tables = [evaluated(films(detector=False, seed=seed), seed=seed) for seed in range(12)]
    table = pd.concat(tables)
    assert 0.4 < table["auc_d"].mean() < 0.6 and 0.4 < table["auc_auc"].mean() < 0.6
    assert (table[["p_d", "p"]] <= 0.05).mean().max() < 0.25


def test_a_map_that_was_matched_wrongly_is_seen_beside_one_that_detects():
    table = evaluated(films(), matched=(7, -1)).set_index("au")
    assert table.loc[1, "p_d"] > 0.05 and table.loc[1, "p_auc"] < 0.02
    assert table.loc[4, ["map_d", "auc_d", "p_d"]].isna().all() and table.loc[4, "auc_auc"] == 1


def test_matches_that_too_few_test_sequences_show_have_no_numbers():
    maximum, present, subject, expression, train, test = films()
    present[test, 0] = 0
    present[test[: LEAST - 1], 0] = 1
    table = evaluated((maximum, present, subject, expression, train, test)).set_index("au")
    assert table.loc[1, ["auc_d", "auc_auc", "auc_expression", "p", "p_d", "p_joint"]].isna().all()
    assert table.loc[1, "map_d"] == 2 and table.loc[1, "with_au"] == LEAST - 1 and table.loc[4, "auc_d"] == 1


def test_where_no_sequences_could_change_places_matches_have_no_p():
    maximum, present, _, expression, train, test = films()
    table = evaluated((maximum, present, np.arange(len(present)), expression, train, test))
    assert table[["p", "p_joint", "p_d", "p_auc"]].isna().all(axis=None) and (table["auc_d"] == 1).all()


@pytest.mark.parametrize("detector", [True, False])
def test_within_an_expression_a_detector_is_told_from_none(detector):
    p = []
    for seed in range(8):
        maximum, present, subject, expression, _, _ = films(detector, seed)
        p.append(within_expression(maximum, present, expression, subject, permutations=199))
    assert ((np.array(p) < 0.05).mean() > 0.9) == detector
    assert detector or (np.array(p) < 0.05).mean() < 0.25


def test_a_unit_that_goes_with_the_expression_cannot_be_told_from_it():
    maximum, present, subject, expression, _, _ = films()
    present[:, 0] = expression == "happy"
    p = within_expression(maximum, present, expression, subject, permutations=99)
    assert np.isnan(p[0]) and np.isfinite(p[1])
    assert np.isnan(within_expression(maximum, present, np.full(len(present), ""), subject)).all()
    assert np.isnan(within_expression(maximum, present, expression, np.zeros(len(present)))).all()
    # A map that merely follows the expression is no detector within it.
    maximum, present, subject, expression, _, _ = films(detector=False)
    maximum[:, 3] += 4 * (expression == "happy")
    present[:, 1] = (expression == "happy") ^ (np.random.default_rng(1).random(len(present)) < 0.3)
    assert within_expression(maximum, present, expression, subject, permutations=199)[1] > 0.02


def test_auc_of_the_expression_by_hand():
    expression = np.array(["a", "a", "b", "b", "a", "b", "a", "c"])
    present = np.array([[1, 1, 0, 0, 1, 0, 0, 1.0]]).T
    train, test = np.arange(4), np.arange(4, 8)
    # Scores on the test rows: a 1, b 0, a 1, c (never seen) 0. Pairs (1, 0), (1, 1), (0, 0), (0, 1): 1, 1/2, 1/2, 0.
    assert expression_auc(expression, present, train, test).tolist() == [0.5]
    assert np.isnan(expression_auc(expression, present, test, train[:2])).all()
