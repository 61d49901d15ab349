"""In every measure a label that is missing is no absent action unit, and a row without a person belongs to nobody else."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.errors import FerError
from fer_lib.measures import (
    bootstrap_maps,
    built_in,
    choices,
    detectors,
    distance,
    distance_null,
    expression_controls,
    held_out,
    interventions,
    label_checks,
    matches,
    network_measures,
    nulls,
    ranks,
    scores,
    sparse_probe,
)

ROWS = 60
LABELS = np.stack([np.arange(ROWS) % 2, np.arange(ROWS) // 2 % 2], axis=1).astype(float)
SCORES = np.random.default_rng(0).random((ROWS, 4)) + LABELS @ [[0.2, 0, 0.5, 0], [0, 0.3, 0, 0.1]]
PEOPLE, FILMS = np.arange(ROWS) // 6, np.arange(ROWS) // 3
EXPRESSION = np.array(["happy", "sadness", "anger"])[np.arange(ROWS) // 3 % 3]
TRAIN, TEST = range(30), range(30, 60)

MEASURES = {
    "by_sequence": lambda y, who: detectors.by_sequence(SCORES, y, FILMS),
    "select_and_test": lambda y, who: detectors.select_and_test(SCORES, y, TRAIN, TEST, units=[1, 2]),
    "evaluate_matches": lambda y, who: matches.evaluate_matches(
        SCORES,
        SCORES,
        y,
        TRAIN,
        TEST,
        aus=[1, 2],
        matched=[0, 1],
        untrained_matched=[1, 2],
        subject=who,
        expression=EXPRESSION,
        permutations=9,
    ),
    "within_expression": lambda y, who: expression_controls.within_expression(
        SCORES, y, EXPRESSION, who, permutations=9
    ),
    "expression_scores": lambda y, who: expression_controls.expression_scores(EXPRESSION, y, TRAIN, TEST),
    "expression_auc": lambda y, who: expression_controls.expression_auc(EXPRESSION, y, TRAIN, TEST),
    "resampled_auc": lambda y, who: matches.resampled_auc(SCORES[:, :2], y, who, draws=5),
    "detection_controls": lambda y, who: matches.detection_controls(
        SCORES, y, TRAIN, TEST, matched=[0, 1], subject=who, expression=EXPRESSION
    ),
    "distances": lambda y, who: distance.distances(SCORES, y),
    "largest_distances": lambda y, who: distance_null.largest_distances(
        SCORES, y, FILMS, who, np.ones(ROWS, bool), permutations=3
    ),
    "distance_choices": lambda y, who: choices.distance_choices(
        SCORES,
        y,
        TRAIN,
        TEST,
        subject=who,
        sequence=FILMS,
        apex=np.arange(ROWS) % 3 == 2,
        moves=np.ones(ROWS, bool),
    ),
    "one_per_person": lambda y, who: choices.one_per_person(SCORES, y, who),
    "difference_of_means": lambda y, who: choices.difference_of_means(SCORES, y),
    "label_checks": lambda y, who: label_checks.label_checks(SCORES, y, who, relabellings=2, draws=2),
    "found_by": lambda y, who: built_in.found_by(SCORES, [row[0] for row in _rows(y)], who, 1, draws=2),
    "permutation_null": lambda y, who: nulls.permutation_null(SCORES, y, who, permutations=9).p_values(),
    "chosen_p_values": lambda y, who: nulls.chosen_p_values(SCORES, y, who, [0, 1], permutations=9),
    "bootstrap_maps": lambda y, who: (
        bootstrap_maps.bootstrap_maps(SCORES, y, who, TRAIN, TEST, aus=[1, 2], draws=3).table
    ),
    "one_or_many": lambda y, who: sparse_probe.one_or_many(
        SCORES, y, who, aus=[1, 2], ks=[1, 2], folds=2, draws=3
    ),
    "matched_maps": lambda y, who: network_measures.matched_maps(SCORES, y, TRAIN, n=9, zero="floor"),
    "held_out_detectors": lambda y, who: held_out.held_out_detectors(SCORES, y, who, permutations=5, draws=5),
    "auc": lambda y, who: ranks.auc(SCORES, y),
    "average_precision": lambda y, who: ranks.average_precision(SCORES, y),
    "best_f1": lambda y, who: scores.best_f1(SCORES, y),
    "top_iou": lambda y, who: scores.top_iou(SCORES, y),
    "correlation": lambda y, who: scores.correlation(SCORES, y),
}
WITH_PEOPLE = (
    *("evaluate_matches", "within_expression", "resampled_auc", "detection_controls", "largest_distances"),
    *(
        "distance_choices",
        "one_per_person",
        "label_checks",
        "found_by",
        "permutation_null",
        "chosen_p_values",
    ),
    *("bootstrap_maps", "one_or_many", "held_out_detectors"),
)


def _rows(labels):
    """Rows of labels in any form; masked cells stay masked."""
    return labels.to_numpy(object) if isinstance(labels, pd.DataFrame) else labels


def hidden(holes, behind):
    """Labels in which some are not known: as NaN, and in all other forms."""
    known = np.where(holes, np.nan, LABELS)
    return known, {
        "masked": np.ma.masked_array(np.where(holes, behind, LABELS), holes),
        "nullable": pd.DataFrame(known).astype("Int64"),
        "truth": pd.DataFrame(known).astype("boolean"),
        "lists": [
            [None if hole else label for label, hole in zip(*row, strict=True)]
            for row in zip(LABELS, holes, strict=True)
        ],
        "tensor": torch.tensor(known),
    }


@pytest.mark.parametrize("name", MEASURES)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 99), behind=st.sampled_from([0, 1, 9, -1]))
def test_all_ways_to_leave_a_label_out_are_one(name, seed, behind):
    holes = np.random.default_rng(seed).random(LABELS.shape) < 0.2
    known, forms = hidden(holes, behind)
    expected = repr(MEASURES[name](known, PEOPLE))
    for form, labels in forms.items():
        if not (name == "found_by" and form == "masked"):  # its labels are those of one unit: see below
            assert repr(MEASURES[name](labels, PEOPLE)) == expected, form


def test_labels_of_one_unit_may_be_masked():
    one = np.ma.masked_array(LABELS[:, 0], np.arange(ROWS) % 5 == 0)
    expected = built_in.found_by(SCORES, one.filled(np.nan), PEOPLE, 1, draws=2)
    pd.testing.assert_frame_equal(built_in.found_by(SCORES, one, PEOPLE, 1, draws=2), expected)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("wrong", [-1, 9, 999, np.inf])
def test_a_code_for_missing_is_asked_about(name, wrong):
    labels = LABELS.copy()
    labels[7] = wrong
    with pytest.raises(FerError, match=r"label .* is neither"):
        MEASURES[name](labels, PEOPLE)


@pytest.mark.parametrize("name", WITH_PEOPLE)
@pytest.mark.parametrize(
    "who",
    [
        np.where(PEOPLE == 0, np.nan, PEOPLE),
        [None if person == 0 else f"S{person}" for person in PEOPLE],
        pd.Series(np.where(PEOPLE == 0, np.nan, PEOPLE)).astype("Int64"),
        PEOPLE[:-1],
        PEOPLE[:, None],
        3,
    ],
    ids=["NaN", "None", "NA", "short", "matrix", "one"],
)
def test_a_row_without_a_person_is_refused(name, who):
    with pytest.raises(FerError):
        MEASURES[name](LABELS, who)


def test_a_person_without_a_name_is_not_the_last_one():
    with pytest.raises(FerError, match="subject: row 0 has none"):
        expression_controls.within_expression(
            SCORES, LABELS, EXPRESSION, np.where(PEOPLE == 0, np.nan, PEOPLE)
        )
    with pytest.raises(FerError, match="sequence: row 1 has none"):
        detectors.by_sequence(SCORES, LABELS, ["a", None] * 30)
    with pytest.raises(FerError, match="subject: row 0 has none"):
        interventions.effects(SCORES, [None, *PEOPLE[1:]], np.arange(ROWS) % 6)


def test_sequences_without_an_expression_take_no_part_however_that_is_said():
    some = np.arange(ROWS) % 6 == 0
    found = [
        expression_controls.within_expression(
            SCORES, LABELS, np.where(some, blank, EXPRESSION.astype(object)), PEOPLE, permutations=99
        )
        for blank in ("", None, np.nan)
    ]
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


def test_prevalence_among_no_rows_is_not_known():
    labels = LABELS.copy()
    labels[30:, 0] = np.nan
    table = detectors.select_and_test(SCORES, labels, TRAIN, TEST, units=[1, 2])
    assert np.isnan(table["prevalence"][0]) and table["prevalence"][1] == LABELS[30:, 1].mean()
