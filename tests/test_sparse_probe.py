"""One map or many: each is found where it is planted; the numbers are those of plain code, and nothing of the test people leaks."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.sparse_probe import _drawn, one_or_many


def faces(seed=0, people=30, per=8, maps=20):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(people), per)
    present = (rng.random((len(subject), 1)) < 0.35).astype(float)
    noise = rng.normal(size=(len(subject), maps)) + 0.5 * rng.normal(size=(people, maps))[subject]
    return noise + 4, present, subject


def best(table, probe, k):
    return table.set_index(["probe", "k"]).loc[(probe, k)]


def test_a_single_detector_is_as_good_as_many():
    maximum, present, subject = faces()
    maximum[:, 7] += 3 * present[:, 0]
    table = one_or_many(maximum, present, subject, aus=[12], ks=(1, 4, 20), draws=200)
    single = best(table, "best map", 1)
    assert (
        single["auc"] > 0.9 and single["auc_low"] < single["auc"] < single["auc_high"] and single["gain"] == 0
    )
    assert best(table, "sparse", 1)["auc"] == pytest.approx(single["auc"])
    assert best(table, "sparse", 20)["gain_low"] < 0.02
    assert (table["prevalence"] == present.mean()).all() and (table["with"] == present.sum()).all()


def test_many_maps_that_know_a_little_each_are_better_than_one():
    maximum, present, subject = faces(1)
    maximum[:, :10] += 0.8 * present
    table = one_or_many(maximum, present, subject, aus=[4], ks=(1, 10), draws=200)
    many = best(table, "sparse", 10)
    assert (
        many["gain"] > 0.08
        and many["gain_low"] > 0
        and many["precision"] > best(table, "best map", 1)["precision"]
    )


def test_without_a_detector_nobody_is_better_than_chance_however_many_maps_are_searched():
    aucs = []
    for seed in range(6):
        maximum, present, subject = faces(seed, people=24, per=5, maps=60)
        table = one_or_many(maximum, present, subject, aus=[1], ks=(1, 8, 60), folds=3, draws=20, seed=seed)
        aucs.append(table["auc"].to_numpy())
    # Selection outside the folds would reach 0.8 with eight of sixty maps.
    assert np.abs(np.mean(aucs, axis=0) - 0.5).max() < 0.08


def test_people_who_are_recognised_do_not_help_with_other_people():
    """Every person shows the unit always or never: maps that know the person would be perfect if people were on both sides."""
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(30), 6)
    present = (rng.random(30) < 0.5).astype(float)[subject, None]
    maximum = rng.normal(size=(30, 40))[subject] + 0.01 * rng.normal(size=(180, 40))
    table = one_or_many(maximum, present, subject, aus=[1], ks=(40,), draws=20)
    assert best(table, "sparse", 40)["auc"] < 0.8


def test_drawn_scores_equal_those_of_sklearn_with_repeated_rows():
    rng = np.random.default_rng(5)
    scores, truth = rng.integers(0, 5, (2, 60)).astype(float), rng.random(60) < 0.4
    fold = np.repeat([0, 1], 30)
    times = rng.integers(0, 3, (4, 60)).astype(float)
    area, precision = _drawn(scores, fold, truth, times)
    for row, score in enumerate(scores):
        for draw, count in enumerate(times):
            parts = [np.repeat(np.flatnonzero(fold == f), count[fold == f].astype(int)) for f in (0, 1)]
            pairs = [truth[p].sum() * (~truth[p]).sum() for p in parts]
            shown = [truth[p].sum() for p in parts]
            expected = np.average([roc_auc_score(truth[p], score[p]) for p in parts], weights=pairs)
            assert area[row, draw] == pytest.approx(expected)
            expected = np.average([average_precision_score(truth[p], score[p]) for p in parts], weights=shown)
            assert precision[row, draw] == pytest.approx(expected)


def test_units_that_are_not_coded_or_shown_by_one_person_have_no_number():
    maximum, present, subject = faces()
    present = np.concatenate(
        [present, np.where(subject[:, None] == 3, 1.0, 0.0), np.full((240, 1), np.nan)], axis=1
    )
    present[:5, 0] = np.nan
    table = one_or_many(maximum, present, subject, aus=[1, 2, 4], ks=(2,), draws=10).set_index("au")
    assert table.loc[[2, 4], ["auc", "auc_low", "precision", "gain_high"]].isna().all(axis=None)
    assert table.loc[1, "auc"].notna().all() and (table.loc[1, "with"] + table.loc[1, "without"] == 235).all()


def test_dead_and_doubled_maps_do_no_harm():
    maximum, present, subject = faces()
    maximum[:, 5] += 3 * present[:, 0]
    maximum[:, 3] = 0
    maximum[:, 4] = maximum[:, 5]
    table = one_or_many(maximum, present, subject, aus=[1], draws=10)
    assert table["k"].tolist() == [1, 1, 2, 4, 8, 16, 20]
    assert table["auc"].min() > 0.85


def test_bad_input_is_refused():
    maximum, present, subject = faces()
    for options, words in [
        ({"ks": (0,)}, "k is 0"),
        ({"ks": (21,)}, "k is 21"),
        ({"ks": ()}, "not given"),
        ({"folds": 1}, "at least 2"),
        ({"aus": [1, 2]}, "2 unit numbers"),
    ]:
        with pytest.raises(FerError, match=words):
            one_or_many(maximum, present, subject, **({"aus": [1]} | options))
    with pytest.raises(Lacking, match="single person"):
        one_or_many(maximum, present, np.zeros(240), aus=[1])
