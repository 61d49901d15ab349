"""Studies of data sets besides CK+: which pictures are selected, and what a set without people or expressions is good for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_sets import write_disfa, write_pixel_table, write_raf_db
from own_tables import run_notebook, shell_in_process
from test_data_sets import SETS, WITHOUT_PEOPLE
from test_own_tables import QUICK, WITH_FACES, drawn_references

from fer_lib import Study
from fer_lib.config import make_settings
from fer_lib.errors import FerError, Lacking

__all__ = ["drawn_references"]


@pytest.fixture(scope="module")
def shell() -> Iterator[Any]:
    with shell_in_process() as running:
        yield running


def study_of(source: Path, **changes: object) -> Study:
    return Study(make_settings(faces=str(source), **{**QUICK, **changes}), progress=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SETS)
def test_pictures_of_every_set_are_selected(tmp_path: Path, name: str) -> None:
    source = SETS[name](tmp_path / "set")
    faces = study_of(source).faces
    assert len(faces.crops) == len(faces.table) > 0
    assert (faces.table["label"] == faces.table["expression"]).all()
    assert faces.moves.all(), "each picture stands alone, or is a peak"
    assert not faces.shown.any(), "who is not known has not agreed to be shown"
    if name in WITHOUT_PEOPLE and name != "RAF-AU":
        with pytest.raises(Lacking, match=r"who is on the pictures is not known.*split='leak'"):
            _ = faces.split
        divided = study_of(source, split="leak", test_pictures=2).faces
        assert len(divided.split.test) == 2
    elif name in ("DISFA", "BP4D", "RAF-AU"):
        with pytest.raises(Lacking, match="no picture has an expression label"):
            _ = faces.split


def test_threshold_and_step_are_settings(tmp_path: Path) -> None:
    source = write_disfa(tmp_path / "set")
    whole = study_of(source).faces
    few = study_of(source, film_step=3, au_threshold=3).faces
    assert few.table["frame"].tolist() == [1, 4] * 3 and len(whole.table) == 17
    same = whole.table["sequence"].isin(few.table["sequence"]).to_numpy()
    strong = whole.table.loc[same, "AU12"].to_numpy() >= 3
    np.testing.assert_array_equal(few.present[12].to_numpy(), strong)
    for name in ("film_step", "au_threshold"):
        with pytest.raises(FerError, match=f"{name}=0: a number from 1"):
            make_settings(**{name: 0})


def test_a_network_learns_from_people_nobody_knows(tmp_path: Path) -> None:
    source = write_raf_db(tmp_path / "set", codes=[1, 4, 5, 7] * 6)
    study = study_of(source, split="leak", test_pictures=6)
    assert study.trainable() is study
    assert 0 <= study.network.accuracy <= 1
    assert study.maps.responses
    division = study.traditional.protocols
    assert "who is on the pictures is not known" in division["lacking"].iloc[0]
    with pytest.raises(FerError, match=r"one_per_subject=True: .*who is on the pictures is not known"):
        _ = study_of(source, split="leak", test_pictures=6, one_per_subject=True).network.training
    lone = study_of(source, split="leak", test_pictures=6, folds=2)
    assert 0 <= lone.network.accuracy <= 1
    with pytest.raises(Lacking, match="who is on the pictures is not known"):
        _ = lone.network.cross_validation


@pytest.mark.slow
@pytest.mark.parametrize("split", ["leak", "subject"])
def test_every_notebook_runs_on_a_set_without_people(shell: Any, tmp_path: Path, split: str) -> None:
    source = write_pixel_table(tmp_path / "fer2013.csv", [0, 3, 5, 6] * 8)
    for name in WITH_FACES:
        run = run_notebook(shell, name, faces=str(source), **{**QUICK, "split": split, "test_pictures": 8})
        assert not run.failures, run.failures
        if split == "subject" and name not in ("data_card", "judges", "levels", "stability"):
            assert "who is on the pictures is not known" in " ".join(run.left_out), name
