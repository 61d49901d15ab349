"""Tables of sweeps that the book ships: what is in them, what they were made from, and with what they are shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from planted_sweeps import AUS, plant, tables, training

from fer_lib import published
from fer_lib.config import Settings, make_settings
from fer_lib.errors import FerError, Lacking
from fer_lib.faces.digest import record_of_faces
from fer_lib.published import TABLES, Published, code_digest, from_sweep

SMOKE = make_settings("smoke")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two finished networks, one that diverged, one that failed and one that was not reached."""
    ended = "the loss in epoch 2; start from other weights"
    diverged = {"02_training": {"training": [{"network": "this", "ended": "diverged", "passes": 2}]}}
    diverged |= {"07_distance": ended, "08_summary": ended}
    runs = {
        "trained+seed=1": ("trained", {"seed": 1}, tables(1)),
        "trained+seed=0": ("trained", {"seed": 0}, tables(0)),
        "odd+learning_rate=9": ("odd", {"learning_rate": 9.0}, diverged),
        "odd+padding=1": ("odd", {"padding": 1}, {"02_training": {"training": training()}}),
        "odd+padding=2": ("odd", {"padding": 2}, {}),
    }
    failed = {"odd+padding=1/07_distance": "OSError: /home/someone/faces/S001/a.png: no such file\nand more"}
    return plant(tmp_path / "mine", SMOKE, runs, fixed={"split": "leak"}, failed=failed)


def test_what_pages_read_is_collected_with_what_it_was_made_from(sweep: Path) -> None:
    found = from_sweep(sweep)
    assert set(found.table["table"]) == set(TABLES) and not (found.table["name"] == "with_au").any()
    made = found.provenance
    assert made["done"] == ["trained+seed=1", "trained+seed=0", "odd+learning_rate=9"]
    assert made["failed"] == {"odd+padding=1/07_distance": "OSError: a.png: no such file"}
    assert len(made["runs"]) == 5 and made["sweep"] == "mine" and made["date"] == "2026-01-02"
    assert made["code"] == [code_digest()] and found.current and made["fixed"] == {"split": "leak"}
    assert "faces" not in made["settings"] and made["settings"]["preset"] == "smoke"


def test_recorded_tables_come_back_in_the_order_of_the_sweep(sweep: Path) -> None:
    found = from_sweep(sweep)
    rows = found.recorded("training")
    assert rows["run"].tolist() == [
        "trained+seed=1",
        "trained+seed=0",
        "odd+learning_rate=9",
        "odd+padding=1",
    ]
    assert rows["ended"].tolist() == ["converged", "converged", "diverged", "converged"]
    assert rows["passes"].tolist() == [21, 20, 2, 20] and rows["accuracy"].isna().tolist() == [0, 0, 1, 0]
    assert rows["choice"].tolist() == ["trained", "trained", "learning_rate=9.0", "padding=1"]
    assert rows["learning_rate"].dropna().tolist() == [9.0]
    of_one = found.recorded("winners").query("run == 'trained+seed=0'")
    assert of_one["item"].tolist() == [str(au) for au in AUS] and of_one["d"].tolist() == [1.0, 2.0, 3.0, 4.0]
    compared = found.recorded("comparisons")
    assert "C3 / another control" in set(compared["item"]) and len(compared) == 2 * 8
    with pytest.raises(Lacking, match="no run of the sweep `mine` has come to its nothing yet"):
        found.recorded("nothing")


def test_what_is_saved_is_read_again(sweep: Path, tmp_path: Path) -> None:
    found, file = from_sweep(sweep), tmp_path / "new" / "mine.csv"
    found.table.loc[0, "value"] = 0.123456789
    found.table.loc[found.table["name"] == "auc_d", "value"] = [np.inf, np.nan] * 4
    found.save(file)
    again = Published.load(file)
    pd.testing.assert_frame_equal(again.table, found.table, rtol=1e-5)
    assert again.provenance == found.provenance
    assert "0.123457" in file.read_text() and str(tmp_path) not in file.with_suffix(".json").read_text()
    found.save(file)
    assert Published.load(file).table.equals(again.table)
    with pytest.raises(FerError, match=r"mine\.txt: .*ends in \.csv"):
        found.save(tmp_path / "mine.txt")


def test_a_folder_of_no_sweep_is_named(tmp_path: Path) -> None:
    with pytest.raises(FerError, match=r"nope: no sweep's folder"):
        from_sweep(tmp_path / "nope")
    empty = plant(tmp_path / "empty", SMOKE, {"a": ("a", {}, {})})
    with pytest.raises(FerError, match=r"empty: no run of this sweep has a result yet"):
        from_sweep(empty)


@pytest.mark.parametrize(
    ("table", "made"),
    [
        (None, "{}"),
        ("run,table,item,name,value,text\n", None),
        ("run,table,item,name,value,text\n", "{"),
        ("run,table,item,name,value,text\n", "[]"),
        ("run,table,item,name,value,text\n", "{}"),
        ("run,table\na,b\n", ""),
        ("", ""),
        ("run,table,item,name,value,text\nx,training,this,loss,much,\n", ""),
        ("run,table,item,name,value,text\nx,training,this,loss,1,\n", ""),
    ],
)
def test_what_cannot_be_read_says_how_to_make_it(
    sweep: Path, tmp_path: Path, table: str | None, made: str | None
) -> None:
    file = tmp_path / "seeds.csv"
    from_sweep(sweep).save(file)
    for place, content in ((file, table), (file.with_suffix(".json"), made)):
        if content is None:
            place.unlink()
        elif content or place == file:
            place.write_text(content)
    with pytest.raises(Lacking) as said:
        Published.load(file)
    assert "`fer sweep sweeps/seeds.yaml`" in str(said.value) and "--out book/sweeps/seeds.csv`" in str(
        said.value
    )
    assert str(tmp_path) not in str(said.value) and "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 5, "publish": "all", "folds": 3}, ""),
        ({"split": "leak"}, ""),
        ({"subjects": 11}, "other faces (rendered faces)"),
        ({"faces_seed": 1}, "other faces"),
        ({"epochs": 5}, "other settings (epochs=4)"),
        ({"padding": 2, "epochs": 5}, "other settings (epochs=4, padding=0)"),
    ],
)
def test_numbers_of_other_faces_or_settings_are_not_shown(
    sweep: Path, changes: dict[str, object], said: str
) -> None:
    found, settings = from_sweep(sweep), make_settings(**{"preset": "smoke", **changes})
    if not said:
        assert found.made_with(record_of_faces(settings), settings) is found
        return
    with pytest.raises(Lacking, match=re.escape(said)) as caught:
        found.made_with(record_of_faces(settings), settings)
    assert "`fer sweep sweeps/mine.yaml`" in str(caught.value)


def test_a_parameter_that_is_younger_than_the_results_was_what_it_is_by_default(sweep: Path) -> None:
    found = from_sweep(sweep)
    del found.provenance["settings"]["au_threshold"]
    assert found.made_with(record_of_faces(SMOKE), SMOKE) is found
    changed = SMOKE.replace(au_threshold=2)
    with pytest.raises(Lacking, match=r"other settings \(au_threshold=1\)"):
        found.made_with(record_of_faces(changed), changed)
    del found.provenance["settings"]["epochs"]  # which has no default that would not depend on the preset
    with pytest.raises(Lacking, match="epochs"):
        found.made_with(record_of_faces(SMOKE), SMOKE)


def test_own_faces_are_told_apart_by_what_they_are(tmp_path: Path) -> None:
    def brought(name: str, grey: int) -> Settings:
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((20, 20), grey, np.uint8)).save(tmp_path / name / "a.png")
        (tmp_path / name / "faces.csv").write_text("path,subject\na.png,x\n")
        return make_settings("smoke", faces=str(tmp_path / name / "faces.csv"))

    one, moved, other = brought("one", 1), brought("moved", 1), brought("other", 2)
    found = from_sweep(plant(tmp_path / "mine", one, {"a": ("a", {}, tables())}))
    assert str(tmp_path) not in json.dumps(found.provenance)
    assert found.made_with(record_of_faces(moved), moved) is found
    for settings in (other, SMOKE):
        with pytest.raises(Lacking, match=r"other faces \(user-supplied faces\)"):
            found.made_with(record_of_faces(settings), settings)


def test_code_that_changed_is_noticed(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = from_sweep(sweep)
    monkeypatch.setattr(published, "code_digest", lambda: "0")
    assert not found.current


@pytest.mark.parametrize("name", ["seeds", "ambiguities", "regimes"])
def test_what_ships_is_of_the_default_book_or_nothing_ships(name: str) -> None:
    settings = make_settings("book")
    try:
        found = Published.shipped(name)
    except Lacking:
        assert not (published.FOLDER / f"{name}.csv").exists()
        return
    assert found.made_with(record_of_faces(settings), settings) is found
    assert found.provenance["sweep"] == name and (published.FOLDER / f"{name}.csv").stat().st_size < 2**20
