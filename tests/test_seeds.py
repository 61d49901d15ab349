"""Verdicts of several seeds: kept as numbers, and shown only with the faces and settings that they were made with."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lib import seeds
from fer_lib.claims import Verdict, undecided
from fer_lib.config import make_settings
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.comparisons import Comparison
from fer_lib.study import Study


def verdicts(seed):
    comparison = (Comparison("chance", 0.1, 0.01, 9),)
    decision = "holds" if seed else "does not hold"
    return (
        Verdict("C1", "It is so.", "mean: a", 0.125, (0.1, 0.15), comparison, "holds"),
        Verdict("C2", "It is.", "b", float("nan"), (float("nan"), float("nan")), comparison, decision),
        undecided("C3", "no picture is coded"),
    )


def network(accuracy):
    return dict(zip(seeds.NETWORK, (accuracy, 34, 0.1, 0.2, 0.15), strict=True))


def faces_of(settings):
    return Study(settings, progress=False).faces_record


@pytest.fixture
def runs():
    settings = make_settings("smoke")
    table = seeds.runs_table({0: (network(1.0), verdicts(0)), 2: (network(0.5), verdicts(2))})
    made = {"date": "2026-01-01", "version": "1", "code": "abc"}
    made |= {"faces": faces_of(settings), "settings": seeds.SeedRuns.shaping(settings)}
    return seeds.SeedRuns(table, made)


def test_a_row_for_each_seed_and_claim_in_numbers(runs):
    assert runs.table.columns.tolist() == list(seeds.SeedRuns.kinds)
    assert runs.table.groupby("seed")["accuracy"].first().to_dict() == {0: 1.0, 2: 0.5}
    assert runs.table[["value", "low", "high"]].dtypes.eq(float).all()
    assert runs.table.query("claim == 'C1'")["value"].tolist() == [0.125, 0.125]
    assert runs.table.query("claim == 'C2'")["decision"].tolist() == ["does not hold", "holds"]
    assert runs.table.query("claim == 'C3'")["measure"].tolist() == ["", ""]


def test_kept_runs_are_read_again(runs, tmp_path):
    runs.save(tmp_path / "new" / "seeds.json")
    again = seeds.SeedRuns.load(tmp_path / "new" / "seeds.json")
    pd.testing.assert_frame_equal(again.table, runs.table)
    assert again.provenance == runs.provenance
    assert "NaN" not in (tmp_path / "new" / "seeds.json").read_text()


ROW = {"seed": 0, **network(0.5), "claim": "C1", "measure": "a", "value": 0.1, "low": None, "high": None}
MADE = {"date": "d", "version": "1", "code": "c", "faces": {}, "settings": {"preset": "smoke"}}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        json.dumps({"rows": [{"seed": 1}]}),
        json.dumps({"date": "now"}),
        json.dumps([]),
        json.dumps({**MADE, "rows": []}),
        json.dumps({**MADE, "rows": [ROW]}),
        json.dumps({**MADE, "rows": [{**ROW, "decision": "perhaps"}]}),
        json.dumps({**MADE, "rows": [{**ROW, "decision": "holds", "value": "mean: 0.1"}]}),
    ],
)
def test_what_cannot_be_read_says_how_to_make_it(content, tmp_path):
    if content is not None:
        (tmp_path / "seeds.json").write_text(content)
    with pytest.raises(FerError, match="fer seeds 0 1 2") as said:
        seeds.SeedRuns.load(tmp_path / "seeds.json")
    assert str(tmp_path) not in str(said.value)


def test_an_interval_that_was_not_kept_is_unknown(tmp_path):
    (tmp_path / "seeds.json").write_text(json.dumps({**MADE, "rows": [{**ROW, "decision": "holds"}]}))
    table = seeds.SeedRuns.load(tmp_path / "seeds.json").table
    assert table["low"].isna().all() and table["value"].tolist() == [0.1]


def test_every_seed_is_checked_before_the_first_run(monkeypatch):
    monkeypatch.setattr(seeds, "Study", None)
    with pytest.raises(FerError, match="seed=-1"):
        seeds.run_seeds(make_settings("smoke"), [0, -1])


@pytest.mark.parametrize("wrong", [[], [1, 1]])
def test_seeds_must_differ(wrong):
    with pytest.raises(FerError, match="none of them twice"):
        seeds.run_seeds(make_settings("smoke"), wrong)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 5, "publish": "all", "folds": 3}, ""),
        ({"subjects": 11}, "other faces (rendered faces)"),
        ({"faces_seed": 1}, "other faces"),
        ({"epochs": 5}, "other settings (epochs=4)"),
        ({"preset": "book"}, "other faces"),
    ],
)
def test_runs_with_other_faces_or_settings_are_not_shown(runs, changes, said):
    settings = make_settings(**{"preset": "smoke", **changes})
    if not said:
        assert runs.made_with(faces_of(settings), settings) is runs
        return
    with pytest.raises(Lacking, match=re.escape(said)) as caught:
        runs.made_with(faces_of(settings), settings)
    assert "fer seeds 0 1 2" in str(caught.value)


def test_own_faces_are_told_apart_by_what_they_are(runs, tmp_path, monkeypatch):
    def brought(name, grey):
        folder = tmp_path / name
        folder.mkdir()
        Image.fromarray(np.full((20, 20), grey, np.uint8)).save(folder / "a.png")
        (folder / "faces.csv").write_text("path,subject\na.png,x\n")
        return make_settings("smoke", faces=str(folder / "faces.csv"))

    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    one, moved, other = brought("one", 1), brought("moved", 1), brought("other", 2)
    with pytest.raises(Lacking, match=r"other faces \(rendered faces\)"):
        runs.made_with(faces_of(one), one)
    own = seeds.SeedRuns(runs.table, runs.provenance | {"faces": faces_of(one)})
    assert own.made_with(faces_of(moved), moved) is own
    for settings in (other, make_settings("smoke")):
        with pytest.raises(Lacking, match=r"other faces \(user-supplied faces\)"):
            own.made_with(faces_of(settings), settings)


def test_the_kept_runs_are_of_the_default_book_or_none_are_kept():
    file = Path(__file__).parents[1] / "book" / "seeds.json"
    if not file.is_file():
        with pytest.raises(Lacking, match=r"make them with `fer seeds 0 1 2 --out book/seeds.json`"):
            seeds.SeedRuns.load(file)
        return
    kept, settings = seeds.SeedRuns.load(file), make_settings("book")
    assert kept.made_with(faces_of(settings), settings) is kept
    assert np.isfinite(kept.table["value"]).all()


def test_a_study_with_a_seed_that_was_run_is_not_run_again(tiny_study, monkeypatch):
    runs = seeds.run_seeds(tiny_study.settings, [tiny_study.settings.seed], tiny_study.store, progress=False)
    assert runs.table["claim"].tolist() == ["C1", "C2", "C3", "C4"]
    assert (runs.table["accuracy"] == tiny_study.accuracy).all()
    assert (runs.table["steps"] == tiny_study.trained.steps).all()
    moved = runs.table[["moved_conv1", "moved_conv2", "moved_conv3"]]
    assert (moved == tiny_study.trained.moved.iloc[:3].to_numpy()).all(axis=None) and (moved > 0).all(
        axis=None
    )
    assert runs.table["decision"].tolist() == [verdict.decision for verdict in tiny_study.claims]
    assert runs.made_with(tiny_study.faces_record, tiny_study.settings) is runs
    assert runs.provenance["code"] == seeds.SeedRuns.code_digest()
