"""The same choice among other features: planted answers, and features against other implementations."""

import numpy as np
import pandas as pd
import pytest
from skimage.feature import hog as skimage_hog
from sklearn.metrics import roc_auc_score

from fer_lib.errors import FerError
from fer_lib.measures import baselines
from fer_lib.measures.baselines import (
    CELL,
    Features,
    cell_features,
    choose_elsewhere,
    expression_features,
    inside_window,
    places_of_maps,
)
from fer_lib.plot.detectors import chosen_elsewhere, elsewhere_in_a_sentence


def faces(seed=0, people=24, sequences=8, strength=3.0):
    """Sequences of many people, a unit in half of them, and two kinds of features: one that knows it and one that does not."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(people), sequences)
    present = (np.arange(len(subject)) % 2).astype(float)[:, None]
    deaf = np.abs(rng.normal(size=(len(subject), 12)))
    knows = np.abs(rng.normal(size=(len(subject), 12)))
    knows[:, 5] += strength * present[:, 0]
    rows = np.arange(len(subject))
    return subject, present, knows, deaf, rows[subject < people // 2], rows[subject >= people // 2]


def chosen(features, present, train, test, subject, **options):
    table = choose_elsewhere(features, present, train, train, test, subject=subject, draws=200, **options)
    return table.set_index(["features", "chosen_by"])


def test_a_planted_detector_beats_features_that_know_nothing():
    subject, present, knows, deaf, train, test = faces()
    table = chosen({"maps": Features(knows), "noise": Features(deaf)}, present, train, test, subject)
    for way in ("D", "AUC"):
        maps, noise = table.loc[("maps", way)], table.loc[("noise", way)]
        assert maps["auc"] == pytest.approx(roc_auc_score(present[test, 0], knows[test, 5]))
        assert maps["low"] > 0.9 and noise["low"] < 0.5 < noise["high"] + 0.1
        assert maps["difference"] == 0 and maps["p"] == 1
        assert noise["difference"] == pytest.approx(maps["auc"] - noise["auc"])
        assert noise["difference_low"] > 0.2 and noise["p"] < 0.05
        assert maps["number"] == noise["number"] == 12


def test_equal_features_do_not_differ_and_none_beats_itself():
    subject, present, _, deaf, train, test = faces(1)
    table = chosen({"maps": Features(deaf), "again": Features(deaf.copy())}, present, train, test, subject)
    assert (table["difference"] == 0).all() and (table["p"] == 1).all()


def test_only_features_that_a_unit_allows_are_chosen():
    subject, present, knows, _, train, test = faces(2)
    allowed = np.ones((1, 12), bool)
    allowed[0, 5] = False
    table = chosen(
        {"all": Features(knows), "elsewhere": Features(knows, allowed)}, present, train, test, subject
    )
    assert (table.xs("all")["auc"] > 0.95).all() and (table.xs("elsewhere")["auc"] < 0.8).all()
    assert (table.xs("elsewhere")["number"] == 11).all()
    nowhere = chosen(
        {"all": Features(knows), "none": Features(knows, allowed & False)}, present, train, test, subject
    )
    assert (nowhere.xs("none")[["auc", "low", "high"]] == 0.5).all(axis=None), (
        "what chooses nothing answers by chance"
    )


def test_units_that_nobody_could_test_do_not_count():
    subject, present, knows, deaf, train, test = faces(3)
    rare = np.full_like(present, 0.0)
    rare[test[:2]] = 1
    both = np.hstack([present, rare])
    table = chosen({"maps": Features(knows), "noise": Features(deaf)}, both, train, test, subject)
    assert (table["units"] == 1).all()
    alone = chosen({"maps": Features(knows), "noise": Features(deaf)}, rare, train, test, subject)
    assert (alone["units"] == 0).all() and alone["auc"].isna().all()


def test_labels_that_are_not_coded_change_nothing():
    subject, present, knows, _, train, test = faces(4)
    gone = present.copy()
    gone[train[:3]] = gone[test[:3]] = np.nan
    kept_train, kept_test = train[3:], test[3:]
    with_gaps = chosen({"maps": Features(knows)}, gone, train, test, subject)
    without = chosen({"maps": Features(knows)}, present, kept_train, kept_test, subject)
    assert with_gaps["auc"].to_numpy() == pytest.approx(without["auc"].to_numpy())


def test_no_features_at_all_are_refused():
    with pytest.raises(FerError, match="no features"):
        choose_elsewhere({}, [[1.0]], [0], [0], [0], subject=["a"])


def test_cells_are_means_and_histograms_of_their_own_pixels():
    picture = np.random.default_rng(0).random((3, 37, 26)).astype(np.float32)
    brightness, gradients, centres = cell_features(picture)
    rows, columns = 37 // CELL, 26 // CELL
    assert brightness.shape == (3, 2 * rows * columns) and len(centres) == rows * columns
    assert (brightness.reshape(3, -1, 2).min(axis=2) == 0).all(), "a cell is lighter or darker, not both"
    for k, (x, y) in enumerate(centres):
        left, top = (int(at - (CELL - 1) / 2) for at in (x, y))
        own = picture[:, top : top + CELL, left : left + CELL].mean((1, 2)) - picture.mean((1, 2))
        np.testing.assert_allclose(brightness[:, 2 * k] - brightness[:, 2 * k + 1], own, atol=1e-6)
    theirs = [
        skimage_hog(
            one, orientations=9, pixels_per_cell=(CELL, CELL), cells_per_block=(1, 1), block_norm="L2-Hys"
        )
        for one in picture
    ]
    np.testing.assert_allclose(gradients, theirs, atol=1e-5)


def test_windows_hold_what_lies_in_them():
    places = [[0, 0], [5, 5], [9, 5]]
    inside = inside_window(places, [[5, 5], [np.nan, np.nan], [8, 4]], size=8)
    assert inside.tolist() == [[False, True, True], [False] * 3, [False, True, True]]


def test_the_place_of_a_map_is_the_middle_of_where_it_answers():
    row, column = np.array([[1, 0], [3, 0], [5, 0]]), np.array([[2, 0], [2, 0], [9, 0]])
    strength = np.array([[1.0, 0], [1, 0], [1, 0]])
    places = places_of_maps(row, column, strength)
    assert places[0].tolist() == [2, 3] and np.isnan(places[1]).all()


def test_a_sequence_without_an_expression_is_no_class():
    assert expression_features(["fear", "", "happy", "fear"]).tolist() == [[1, 0], [0, 0], [0, 1], [1, 0]]


def test_what_is_drawn_and_said_of_baselines():
    subject, present, knows, deaf, train, test = faces()
    options = {"subject": subject, "draws": 200}
    table = choose_elsewhere(
        {"maps": Features(knows), "noise": Features(deaf), "again": Features(knows)},
        present,
        train,
        train,
        test,
        **options,
    )
    figure = chosen_elsewhere(table)
    for ax, way in zip(figure.axes, ("D", "AUC"), strict=True):
        drawn = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
        assert drawn == table.loc[table["chosen_by"] == way, "auc"].tolist()
    said = elsewhere_in_a_sentence(table, "D")
    assert "above that of *noise*" in said and "not shown to be above that of *again*" in said
    nobody = choose_elsewhere({"maps": Features(knows)}, present * 0, train, train, test, **options)
    assert "No action unit could be tested" in elsewhere_in_a_sentence(nobody, "D")
    alone = choose_elsewhere({"maps": Features(knows)}, present, train, train, test, **options)
    assert elsewhere_in_a_sentence(alone, "AUC").endswith("].")


def test_a_missing_expression_is_none():
    expected = baselines.expression_features(["fear", "", "happy", ""])
    assert expected.tolist() == [[1, 0], [0, 0], [0, 1], [0, 0]]
    for missing in (["fear", None, "happy", np.nan], pd.Series(["fear", None, "happy", pd.NA])):
        assert np.array_equal(baselines.expression_features(missing), expected)
    assert baselines.expression_features([]).shape == (0, 0)


def test_rows_on_both_sides_and_units_that_do_not_fit_are_refused():
    values, present = np.ones((40, 3)), np.arange(40)[:, None] % 2
    for test, allowed, why in (
        (range(19, 40), None, "overlap"),
        (range(20, 40), np.ones((2, 3), bool), r"'a' has allowed of shape \(2, 3\): .*\(1, 3\)"),
    ):
        features = {"a": baselines.Features(values, allowed)}
        with pytest.raises(FerError, match=why):
            baselines.choose_elsewhere(
                features, present, range(20), range(20), test, subject=np.arange(40), n=2, draws=2
            )
