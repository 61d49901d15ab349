"""Scores against other implementations; the checks of them against answers that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.label_checks import CHECKS, label_checks
from fer_lib.measures.scores import SCORES, best_f1, correlation, top_iou


def random_table(seed, pictures=40, maps=3, units=2, unknown=0.15):
    rng = np.random.default_rng(seed)
    present = (rng.random((pictures, units)) < 0.4).astype(float)
    present[rng.random((pictures, units)) < unknown] = np.nan
    return rng.integers(0, 6, (pictures, maps)).astype(float), present


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), active=st.floats(0.02, 1))
def test_scores_equal_those_of_other_libraries(seed, active):
    values, present = random_table(seed)
    f1, iou, r = (
        best_f1(values, present),
        top_iou(values, present, active=active),
        correlation(values, present),
    )
    for j, label in enumerate(present.T):
        known = ~np.isnan(label)
        truth = label[known].astype(int)
        for c, response in enumerate(values[known].T):
            assert f1[j, c] == pytest.approx(max(f1_score(truth, response >= t) for t in np.unique(response)))
            bar = np.sort(response)[::-1][int(np.ceil(active * len(response))) - 1]
            on = (response >= bar) & (response > response.min())
            assert iou[j, c] == pytest.approx(jaccard_score(truth, on, zero_division=0))
            assert r[j, c] == pytest.approx(np.corrcoef(truth, response)[0, 1])


def test_scores_without_an_answer():
    values = np.array([[1.0, 0.1], [2, 0.1], [3, 0.1]])
    assert correlation(values, [[1], [0], [0]])[0, 1] == 0
    nowhere, everywhere = np.zeros((3, 1)), np.ones((3, 1))
    for score in (best_f1, top_iou, correlation):
        assert np.isnan(score(values, nowhere)).all()
    assert (best_f1(values, everywhere) == 1).all() and np.isnan(correlation(values, everywhere)).all()
    with pytest.raises(FerError, match="active is 0"):
        top_iou(values, nowhere, active=0)


def detectors(noise, prevalence=0.1, people=30, pictures=40, maps=12, seed=0):
    """Each of 12 maps answers to one of 3 units, with as much noise as wanted."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(people), pictures)
    present = (rng.random((len(subject), 3)) < prevalence).astype(float)
    concept = np.arange(maps) % 3
    return (
        np.maximum(present[:, concept] + noise * rng.normal(size=(len(subject), maps)) + 1, 0),
        present,
        subject,
        concept,
    )


def falls(table, measure):
    return table.set_index(["measure", "check"])["falls"].loc[measure].reindex(CHECKS).to_numpy()


def test_what_the_paper_found_for_ideal_units_is_found_here():
    """A unit that is 1 where the concept is and 0 elsewhere, of which one picture in 300 shows it: all fall but the AUC, which hardly
    moves when labels are removed, as few of the many pictures without the concept are touched."""
    rng = np.random.default_rng(0)
    present, people, own = np.zeros((3000, 8)), np.arange(3000), np.arange(8)
    for column in present.T:
        column[rng.choice(3000, 10, replace=False)] = 1
    table = label_checks(present, present, people, concept=own, draws=0, relabellings=3)
    for measure in ("AUPRC", "F1", "correlation"):
        assert (falls(table, measure) == 1).all()
    area = table.set_index(["measure", "check"]).loc["AUC"]
    assert area.loc["labels removed", "change"] > -0.002 and area.loc["labels added", "change"] < -0.2
    # As many pictures excite a map as show its unit, so that half of them are gone from the intersection.
    exact = label_checks(
        present, present, people, draws=0, scores={"IoU": lambda a, b: top_iou(a, b, active=1 / 300)}
    )
    assert (falls(exact, "IoU") == 1).all()


def test_a_measure_that_does_not_look_at_labels_fails_and_one_that_counts_them_is_caught_on_one_side():
    values, present, subject, concept = detectors(0.5)
    table = label_checks(
        values,
        present,
        subject,
        concept=concept,
        scores={
            "blind": lambda v, p: np.tile(v.mean(axis=0), (p.shape[1], 1)),
            "counts": lambda v, p: np.tile((p == 1).sum(axis=0)[:, None], (1, v.shape[1])).astype(float),
        },
        draws=5,
    )
    assert (falls(table, "blind") == 0).all()
    assert falls(table, "counts").tolist() == [1, 0]
    assert not table["passes"].iloc[:2].any() and table["passes"].tolist()[2:] == [True, False]


def test_the_interval_is_over_people_and_holds_the_share():
    values, present, subject, _ = detectors(0.4)
    table = label_checks(values, present, subject, draws=6, relabellings=2, seed=3)
    assert list(table["measure"].unique()) == list(SCORES) and (table["pairs"] == 12).all()
    assert (table["low"] <= table["high"]).all() and table[["low", "high"]].to_numpy().min() >= 0
    assert table.equals(label_checks(values, present, subject, draws=6, relabellings=2, seed=3))
    assert (falls(table, "correlation") > 0.95).all()
    # People who are all alike leave nothing to vary but the labels that are spoilt.
    one = label_checks(values, present, np.zeros(len(subject)), draws=3, relabellings=1)
    assert one["low"].notna().all()


def test_sequences_are_spoilt_as_a_whole():
    rng = np.random.default_rng(1)
    sequence = np.repeat(np.arange(200), 5)
    present = np.repeat((rng.random((200, 1)) < 0.5).astype(float), 5, axis=0)
    seen = []

    def watch(values, labels):
        seen.append(labels.reshape(200, 5))
        return np.tile(labels.mean(axis=0)[:, None], (1, values.shape[1]))

    label_checks(
        rng.random((1000, 2)), present, sequence, sequence=sequence, scores={"watch": watch}, draws=1
    )
    assert all((labels == labels[:, :1]).all() for labels in seen)
    shares = [labels.mean() for labels in seen]
    assert min(shares) < 0.35 and max(shares) > 0.8


def test_maps_and_units_that_cannot_be_judged_are_left_out_or_refused():
    values, present, subject, concept = detectors(0.5)
    concept[4] = -1
    present[:, 1] = 0
    table = label_checks(values, present, subject, concept=concept, draws=0)
    assert (table["pairs"] == 12 - 1 - 3).all()  # map 4 has none; 1, 7 and 10 have a unit that nobody shows
    assert table["low"].isna().all()
    with pytest.raises(Lacking, match="no label can be spoilt"):
        label_checks(values, present * 0, subject)
    for changed, words in [
        ({"concept": [0]}, "column of one for each"),
        ({"relabellings": 0}, "give at least 1"),
        ({"sequence": [0, 1]}, "sequence have shape"),
    ]:
        with pytest.raises(FerError, match=words):
            label_checks(values, present, subject, **changed)
