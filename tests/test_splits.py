import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_lib.config import Division
from fer_lib.errors import FerError, Lacking
from fer_lib.network.splits import by_subject, divide, leakage, paper_leak, subject_folds, with_unlabelled


def faces(subjects=20, per_subject=7, seed=0):
    generator = np.random.default_rng(seed)
    n = subjects * per_subject
    subject = np.repeat([f"S{i:03d}" for i in range(subjects)], per_subject)
    table = pd.DataFrame({"subject": subject, "sequence": np.char.add(subject.astype(str), "_001")})
    table["label"] = generator.choice(["neutral", "happy", "fear"], n, p=[0.6, 0.3, 0.1])
    return table.sample(frac=1, random_state=seed)


TABLES = st.builds(faces, st.integers(2, 30), st.integers(1, 6), st.integers(0, 5))


def partition(split, n):
    return np.array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(n))


@given(TABLES, st.floats(0.01, 0.99), st.integers(0, 3))
def test_by_subject_never_shares_a_subject(table, share, seed):
    split = by_subject(table, share, seed)
    assert partition(split, len(table)) and len(split.train) and len(split.test)
    assert leakage(table, split)["subject"] == 0
    again = by_subject(table, share, seed)
    assert np.array_equal(split.test, again.test)


@given(TABLES, st.integers(2, 10), st.integers(0, 3))
def test_folds_test_every_picture_once_and_share_no_subject(table, k, seed):
    subjects = table["subject"].nunique()
    if k > subjects:
        with pytest.raises(FerError, match="folds"):
            subject_folds(table, k, seed)
        return
    folds = subject_folds(table, k, seed)
    assert np.array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(len(table)))
    for fold in folds:
        assert partition(fold, len(table)) and leakage(table, fold)["subject"] == 0
        held_out = table["subject"].iloc[fold.test].nunique()
        assert held_out in (subjects // k, subjects // k + 1)


def test_folds_of_seed_0_deal_sorted_subjects_and_others_shuffle_them():
    table = faces(7)
    for number, fold in enumerate(subject_folds(table, 3)):
        names = sorted(table["subject"].iloc[fold.test].unique())
        assert names == [f"S{i:03d}" for i in range(7) if i % 3 == number]
    tested = [
        [frozenset(table["subject"].iloc[f.test]) for f in subject_folds(table, 3, seed)]
        for seed in (0, 1, 2)
    ]
    assert tested[0] != tested[1] != tested[2]


@given(TABLES, st.integers(1, 200))
def test_leak_has_the_number_of_pictures_asked_for(table, test):
    if test >= len(table):
        with pytest.raises(FerError, match="leave none"):
            paper_leak(table, test)
        return
    split = paper_leak(table, test)
    assert len(split.test) == test and len(split.train) == len(table) - test
    assert leakage(table, split)["picture"] == 0


def test_leak_is_seen():
    table = faces(20, 7)
    found = leakage(table, paper_leak(table, 30))
    assert found["subject"] > 0.9 and found["sequence"] > 0.9 and found["picture"] == 0
    assert found["train"] == 110 and found["test"] == 30


def test_classes_are_balanced_better_than_by_one_draw():
    table = faces(60, 5, 3)
    rare = (table["label"] == "fear").to_numpy()

    def imbalance(test):
        return abs(rare[test].sum() / rare.sum() - 0.2)

    one_draw = []
    for seed in range(40):
        drawn = np.random.default_rng(seed).permutation(60)[:12]
        one_draw.append(imbalance(table["subject"].isin([f"S{i:03d}" for i in drawn]).to_numpy()))
    ours = [imbalance(by_subject(table, 0.2, seed).test) for seed in range(10)]
    assert np.mean(ours) < np.mean(one_draw) / 2


def test_labels_are_not_needed():
    assert len(by_subject(faces().drop(columns="label"), 0.25).test) == 35


def test_seeds_differ():
    table = faces(40)
    assert not np.array_equal(by_subject(table, 0.2, 0).test, by_subject(table, 0.2, 1).test)
    assert not np.array_equal(paper_leak(table, 30, 0).test, paper_leak(table, 30, 1).test)


@pytest.mark.parametrize("share", [0, 1, -0.5, 2])
def test_impossible_share(share):
    with pytest.raises(FerError, match="share of the subjects"):
        by_subject(faces(), share)


def test_one_subject_cannot_be_split():
    with pytest.raises(FerError, match="needs 2"):
        by_subject(faces(1), 0.2)


@pytest.mark.parametrize("split", ["subject", "leak"])
def test_a_division_is_drawn_with_its_own_seed(split):
    table = faces(12)
    labels = np.where(table["label"] == "fear", -1, 0)
    drawn = [
        divide(table, labels, Division(split=split, test_pictures=20, split_seed=seed)) for seed in (0, 0, 1)
    ]
    assert np.array_equal(drawn[0].test, drawn[1].test) and not np.array_equal(drawn[0].test, drawn[2].test)
    rows = np.flatnonzero(labels == 0)
    known = table.iloc[rows]
    for seed, found in ((0, drawn[0]), (1, drawn[2])):
        alone = by_subject(known, 0.2, seed) if split == "subject" else paper_leak(known, 20, seed)
        assert np.array_equal(found.test, rows[alone.test]) and np.array_equal(found.train, rows[alone.train])


@pytest.mark.parametrize("unlabelled", [False, True])
def test_validation_people_come_from_the_training_side_and_test_people_take_no_part(unlabelled):
    table = faces(20)
    person = table["subject"].to_numpy()
    labels = np.where((table["label"] == "fear") & unlabelled, -1, 0)
    if unlabelled:
        labels[person == person[0]] = -1  # somebody without any label
    inner, outer = Division(split="validation", split_seed=3), Division(split_seed=3)
    chosen, split = divide(table, labels, inner), divide(table, labels, outer)
    assert sorted([*chosen.train, *chosen.test]) == split.train.tolist()
    every, whole = with_unlabelled(table, labels, inner), with_unlabelled(table, labels, outer)
    for found in (chosen, every):
        sides = [set(person[rows]) for rows in (found.train, found.test, whole.test)]
        assert all(sides) and not sides[0] & sides[1] and not (sides[0] | sides[1]) & sides[2]
    assert set(chosen.train) <= set(every.train) and set(chosen.test) <= set(every.test)
    assert sorted([*every.train, *every.test]) == whole.train.tolist()
    assert sorted([*whole.train, *whole.test]) == list(range(len(table)))


def test_validation_needs_three_people():
    table = faces(2)
    with pytest.raises(Lacking, match="needs 2"):
        divide(table, np.zeros(len(table), int), Division(split="validation"))
