import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lib.config import make_settings
from fer_lib.errors import FerError, Lacking
from fer_lib.experiment import seeds
from fer_lib.study import Study


class Runs:
    """A study whose outcome is its seed's."""

    def __init__(self, settings, store=None, *, progress=False):
        self.settings, self.seed = settings, settings.seed
        self.faces_record = Study(settings, progress=False).faces_record
        self.labels = np.array([0, 1, 1, 0])
        self.split = SimpleNamespace(test=np.array([1, 2, 3, 0]))
        answers = np.eye(2)[[1, 1, 0, 0]]
        answers[: self.seed] = answers[: self.seed, ::-1]
        self.trained = SimpleNamespace(predictions=answers)


def judged(study):
    words = ["holds", "holds" if study.seed else "does not hold"]
    return pd.DataFrame(
        {"claim": ["C1", "C2"], "verdict": words, "measure": ["mean: a: 0.125", "too few to say"]}
    )


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.setattr(seeds, "Study", Runs)
    monkeypatch.setattr(seeds, "judge_claims", judged)
    return seeds.run_seeds(make_settings("smoke"), [0, 2], progress=False)


def test_each_seed_has_its_accuracy_and_verdicts(runs):
    assert runs.table.groupby("seed")["accuracy"].first().to_dict() == {0: 1.0, 2: 0.5}
    lines = runs.markdown().splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["accuracy", "100.0 %", "50.0 %"]
    assert "holds (0.125)" in lines[3] and "does not hold (too few to say)" in lines[4]


def test_what_depends_on_the_seed_is_said(runs):
    said = runs.agreement()
    assert "all 2 seeds: C1 (holds)." in said and "depends on the seed: C2 (does not hold, holds)." in said


def test_kept_runs_are_read_again(runs, tmp_path):
    runs.save(tmp_path / "new" / "seeds.json")
    again = seeds.load(tmp_path / "new" / "seeds.json")
    pd.testing.assert_frame_equal(again.table, runs.table)
    assert again.made == runs.made and "is the same as here" in again.provenance()
    assert "preset `smoke`, rendered faces" in again.provenance()
    old = seeds.SeedRuns(again.table, {**again.made, "code": "0"})
    assert "changed since then" in old.provenance()


@pytest.mark.parametrize(
    "content", [None, "{", json.dumps({"rows": [{"seed": 1}]}), json.dumps({"date": "now"})]
)
def test_what_cannot_be_read_says_how_to_make_it(content, tmp_path):
    if content is not None:
        (tmp_path / "seeds.json").write_text(content)
    with pytest.raises(FerError, match="fer seeds 0 1 2") as said:
        seeds.load(tmp_path / "seeds.json")
    assert str(tmp_path) not in str(said.value)


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
    changes = {"preset": "smoke", **changes}
    study = Runs(make_settings(**changes))
    if not said:
        assert runs.of(study) is runs
        return
    with pytest.raises(Lacking, match=re.escape(said)) as caught:
        runs.of(study)
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
        runs.of(Runs(one))
    own = seeds.run_seeds(one, [0, 1], progress=False)
    assert own.of(Runs(moved)) is own and "these faces" in own.provenance()
    for settings in (other, make_settings("smoke")):
        with pytest.raises(Lacking, match=r"other faces \(faces of somebody's own\)"):
            own.of(Runs(settings))


def test_the_kept_runs_are_of_the_default_book():
    kept = seeds.load(Path(__file__).parents[1] / "book" / "seeds.json")
    assert kept.of(Runs(make_settings("book"))) is kept
