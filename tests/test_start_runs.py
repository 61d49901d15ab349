"""Trainings from every start: how each ended, on whom it was judged, and what is kept of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_lib import starts
from fer_lib.config import make_settings
from fer_lib.errors import Lacking
from fer_lib.network.model import INITIALISATIONS
from fer_lib.starts import ENDS, RATES, StartRuns, run_starts
from fer_lib.study import Study


@pytest.fixture(scope="module")
def runs(tiny_study):
    return run_starts(tiny_study.settings, tiny_study.store, progress=False)


def test_every_start_at_every_rate_and_the_network_before_its_first_step(runs):
    table = runs.table
    assert list(table.columns) == list(StartRuns.kinds) and table["ended"].isin(ENDS).all()
    assert table["ended"].iloc[0] == "untrained" and table["steps"].iloc[0] == 0
    made = set(zip(table["initialisation"][1:], table["learning_rate"][1:], strict=True))
    assert made == {(name, rate) for name in INITIALISATIONS for rate in RATES}
    done = table[table["ended"] != "diverged"]
    assert done["accuracy"].between(0, 1).all() and done["auc"].dropna().between(0, 1).all()
    assert (done[1:][["moved_conv1", "moved_conv2", "moved_conv3"]] > 0).all(axis=None)


def test_a_higher_rate_moves_the_filters_further(runs):
    moved = runs.table[1:].set_index(["initialisation", "learning_rate"])["moved_conv1"]
    for name in ("he", "fan_in"):
        assert moved[name, 0.01] > moved[name, 0.001]


def test_nobody_of_the_test_people_is_looked_at(tiny_study):
    person = tiny_study.table["subject"].to_numpy()
    chosen, split = tiny_study.validation, tiny_study.split
    people = [set(person[side]) for side in (chosen.train, chosen.test, split.test)]
    assert all(people) and not people[0] & people[1] and not (people[0] | people[1]) & people[2]
    assert sorted([*chosen.train, *chosen.test]) == split.train.tolist()
    trained = Study(tiny_study.settings, tiny_study.store, progress=False).validated
    np.testing.assert_array_equal(trained.test, chosen.test)


def test_people_are_divided_where_test_pictures_are_drawn_at_random(tiny_study):
    leaking = Study(tiny_study.settings.replace(split="leak"), tiny_study.store, progress=False)
    person, chosen = leaking.table["subject"].to_numpy(), leaking.validation
    assert not set(person[chosen.train]) & set(person[chosen.test])
    assert not set(chosen.train) & set(leaking.split.test)


def test_a_run_that_diverges_is_a_row(tiny_study, monkeypatch):
    monkeypatch.setattr(starts, "INITIALISATIONS", ("paper",))
    monkeypatch.setattr(starts, "RATES", (100.0,))
    row = run_starts(tiny_study.settings, tiny_study.store, progress=False).table.iloc[1]
    assert row["ended"] == "diverged" and row["passes"] == 1
    assert row[["steps", "loss", "accuracy", "auc", "moved_conv1"]].isna().all()


def test_maps_are_chosen_on_some_people_and_tested_on_others(tiny_study, monkeypatch):
    assert 0 < run_starts_auc(tiny_study) <= 1
    monkeypatch.setattr(starts, "LEAST", 1000)
    assert np.isnan(run_starts_auc(tiny_study)), "too few validation people show any unit"


def run_starts_auc(study):
    """That of the network before its first step, the quickest of all runs."""
    untrained = Study(study.settings.replace(epochs=0), study.store, progress=False)
    return starts._run(untrained)["auc"]


def test_what_is_kept_is_read_again_and_shown_with_its_settings_only(runs, tiny_study, tmp_path):
    runs.save(tmp_path / "starts.json")
    again = StartRuns.load(tmp_path / "starts.json")
    pd.testing.assert_frame_equal(again.table, runs.table)
    faces, settings = tiny_study.faces_record, tiny_study.settings
    for same in (settings, settings.replace(initialisation="he", learning_rate=0.5, permutations=7)):
        assert again.made_with(faces, same) is again
    for other in (settings.replace(seed=5), settings.replace(dropout=0.25)):
        with pytest.raises(Lacking, match="fer starts"):
            again.made_with(faces, other)


def test_what_cannot_be_read_says_how_to_make_it(runs, tmp_path):
    file = tmp_path / "book" / "starts.json"
    with pytest.raises(Lacking, match=r"starts\.json .*`fer starts --out book/starts\.json`"):
        StartRuns.load(file)
    runs.save(file)
    made = json.loads(file.read_text())
    made["rows"][0]["ended"] = "well"
    file.write_text(json.dumps(made))
    with pytest.raises(Lacking, match="ended 'well'"):
        StartRuns.load(file)


def test_the_kept_starts_are_of_the_default_book():
    file = Path(__file__).parents[1] / "book" / "starts.json"
    if not file.is_file():
        pytest.skip("none are kept")
    settings = make_settings("book")
    kept = StartRuns.load(file)
    assert kept.made_with(Study(settings, progress=False).faces_record, settings) is kept
