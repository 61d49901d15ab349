"""Own tables that lack something: every notebook runs on them to its end, and says in a sentence what it left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import face_picture
from own_tables import KINDS, NOTEBOOKS, run_notebook, shell_in_process, write_table
from PIL import Image

from fer_lib import Study, protocols
from fer_lib.config import make_settings
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.distance_null import above_null
from fer_lib.plot import detectors, training
from fer_lib.render.atlas import Atlas
from fer_lib.traditional import Traditional

QUICK = {"preset": "smoke", "epochs": 1, "crop": 48, "resize": 49, "n_exemplars": 2, "permutations": 20}
WITH_FACES = sorted(
    path.stem
    for path in NOTEBOOKS.glob("*.ipynb")
    if any(
        cell.source.startswith("preset: str") and "faces: str" in cell.source
        for cell in nbformat.read(path, 4).cells
    )
)
NO_NETWORK = {
    "no expressions": "no picture has an expression label",
    "nothing but pictures": "no picture has an expression label",
    "one expression": "every labelled picture shows happy",
    "one person": "show 1 subject",
}
UNIT_LESS = {
    "no action units": "no picture is coded",
    "expression and nothing else": "no picture is coded",
    "few pictures": "no action unit is coded as present",
}


UNIT_LESS_PAGES = ("03_traditional", "05_facial_units", "07_distance", "any_map", "detectors")


@pytest.fixture(scope="module")
def shell() -> Iterator[Any]:
    with shell_in_process() as running:
        yield running


@pytest.fixture(autouse=True)
def drawn_references(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Atlas and control set as fake faces, which take no time, and a store of their own."""

    def atlas(*, levels: tuple[float, ...], **_: object) -> Atlas:
        aus = np.array([1, 4, 6, 12, 25, 26, 27])
        pictures = np.full((len(aus), len(levels), 32, 32), 120, np.uint8)
        regions = np.zeros((len(aus), 32, 32), np.float32)
        for j in range(len(aus)):
            pictures[j, 1:, 3 * j : 3 * j + 6] = 200
            regions[j, 3 * j : 3 * j + 6] = 1
        masks = np.stack([np.asarray(Image.fromarray(r).resize((96, 96))) for r in np.uint8(255 * regions)])
        return Atlas(aus, np.array(levels, float), pictures, regions, masks)

    def interventions(
        out: Path,
        *,
        people: int,
        steps: tuple[int, ...],
        aus: tuple[int, ...] | None = None,
        **_: object,
    ) -> None:
        out.mkdir(parents=True)
        rows, drawn = [], aus or (1, 4, 6, 12, 25)
        for person in range(people):
            for au, step in [(0, 0), *((au, step) for au in drawn for step in steps)]:
                name = f"{person}_{au}_{step}.png"
                Image.fromarray(face_picture(60, 60, au * step / 125, person)[0]).save(out / name)
                box = {"left": 0.0, "top": 0.0, "right": 59.0, "bottom": 59.0}
                codes = {f"AU{unit}": step * (unit == au) for unit in drawn}
                rows.append({"path": name, "subject": f"P{person}", **box, **codes})
        pd.DataFrame(rows).to_parquet(out / "table.parquet")

    monkeypatch.setattr("fer_lib.steps.rendered.render_atlas", atlas)
    monkeypatch.setattr("fer_lib.steps.rendered.render_interventions", interventions)
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    matplotlib.use("agg")


def study_of(tmp_path: Path, kind: str, **changes: object) -> Study:
    table = write_table(tmp_path / "table", KINDS[kind])
    return Study(make_settings(faces=str(table), **{**QUICK, **changes}), progress=False)  # type: ignore[arg-type]


def check_notebooks(shell: Any, tmp_path: Path, kind: str, notebooks: list[str]) -> None:
    table = write_table(tmp_path / "table", KINDS[kind])
    for name in notebooks:
        run = run_notebook(shell, name, faces=str(table), **QUICK)
        assert not run.failures, run.failures
        said = " | ".join(dict.fromkeys(run.left_out))
        if kind in NO_NETWORK and name not in ("data_card", "judges", "levels", "stability"):
            assert NO_NETWORK[kind] in said, f"{name}: {said}"
        elif kind in UNIT_LESS and name in UNIT_LESS_PAGES:
            assert UNIT_LESS[kind] in said, f"{name}: {said}"
        elif kind == "everything" and name != "judges":
            assert "coded" not in said and "label" not in said, f"{name}: {said}"


def test_every_notebook_is_looked_at() -> None:
    assert len(WITH_FACES) == 14


def test_without_a_network_every_notebook_says_so(shell: Any, tmp_path: Path) -> None:
    check_notebooks(shell, tmp_path, "nothing but pictures", WITH_FACES)


@pytest.mark.parametrize(
    ("kind", "notebooks"),
    [
        ("no expressions", ["02_training"]),
        ("one expression", ["02_training"]),
        ("one person", ["02_training"]),
        ("few pictures", ["02_training"]),
        ("expression and nothing else", ["06_mouth_shapes", "08_summary"]),
    ],
)
def test_what_a_table_lacks_is_left_out(shell: Any, tmp_path: Path, kind: str, notebooks: list[str]) -> None:
    check_notebooks(shell, tmp_path, kind, notebooks)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_notebook_runs_on_every_kind_of_table(shell: Any, tmp_path: Path, kind: str) -> None:
    check_notebooks(shell, tmp_path, kind, WITH_FACES)


def test_classes_are_those_that_the_faces_show(tmp_path: Path) -> None:
    study = study_of(tmp_path, "two expressions, single pictures")
    assert study.faces.expressions == ("anger", "happy")
    assert set(study.faces.labels) == {0, 1}
    assert study.network.trained.predictions.shape[1] == 2
    more = Study(study.settings.replace(neutral=False), progress=False)
    assert more.faces.expressions == study.faces.expressions


def test_single_pictures_move_and_neutral_first_frames_do_not(tmp_path: Path) -> None:
    assert study_of(tmp_path / "a", "one picture a person").faces.moves.all()
    films = study_of(tmp_path / "b", "everything")
    moves = films.faces.moves
    assert np.array_equal(moves, films.faces.table["position"] > 0) and not moves.all()


def test_claims_without_action_units_are_not_decided(tmp_path: Path) -> None:
    study = study_of(tmp_path, "expression and nothing else")
    alike, *others = study.claims.verdicts
    assert alike.reason == "" and [verdict.claim for verdict in others] == ["C2", "C3", "C4"]
    for verdict in others:
        assert verdict.decision == "not decided"
        assert verdict.reason == "no picture is coded for action units"
    division = study.traditional.protocols
    assert division["accuracy"].isna().all() and division["network"].notna().sum() == 1
    text = training.protocols_table(division)
    assert "**Left out**" in text and "nan" not in text
    with pytest.raises(Lacking, match="no picture is coded"):
        protocols.leak_gain(division)


def test_a_claim_about_regions_is_not_decided_where_no_unit_can_be_drawn(tmp_path: Path) -> None:
    study = study_of(tmp_path, "an action unit that cannot be rendered", untrained_networks=1)
    reason = "of the action units that are coded often enough (AU 39) none can be rendered alone"
    assert study.measures.table["lacking"]["alignment"] == reason
    verdict = study.claims.verdicts[1]
    assert (verdict.claim, verdict.decision, verdict.reason) == ("C2", "not decided", reason)
    with pytest.raises(Lacking, match="AU 39"):
        _ = study.regions.alignment


def test_people_on_both_sides_leave_draws_of_people_out(tmp_path: Path) -> None:
    study = study_of(tmp_path, "everything", split="leak", test_pictures=10)
    with pytest.raises(Lacking, match=r"people are in training and test \(split='leak'\)"):
        _ = study.detectors.bootstrap_maps


def test_folds_that_nobody_asked_for_are_refused_by_name(tmp_path: Path) -> None:
    study = study_of(tmp_path / "a", "everything")
    with pytest.raises(FerError, match=r"parameter folds=0: .*give at least 2"):
        _ = study.network.cross_validation
    with pytest.raises(FerError, match=r"parameter folds=9: .* has 8 labelled people; give at most 8"):
        _ = Study(study.settings.replace(folds=9), progress=False).network.cross_validation
    for folds in (0, 2):
        lone = study_of(tmp_path / f"b{folds}", "one expression", folds=folds)
        with pytest.raises(FerError, match=r"every labelled picture shows happy|folds=0"):
            _ = lone.network.cross_validation


def test_where_nothing_can_change_places_there_is_no_null(tmp_path: Path) -> None:
    study = study_of(tmp_path, "one picture a person")
    assert study.faces.coded_aus and study.distance.nulls(study.faces.coded_aus) == {}
    with pytest.raises(Lacking, match="two sequences"):
        above_null(study.distance.values, {})
    tested = study.detectors.matches
    assert tested[["p", "p_joint"]].isna().all(axis=None)
    if tested["auc_d"].notna().any():
        assert re.search("so there is no null", detectors.summarize_matches(tested))


def test_few_people_still_have_divisions(tmp_path: Path) -> None:
    study = study_of(tmp_path, "two people")
    division = study.traditional.protocols
    assert division.loc[protocols.IN_FOLDS, "trainings"] == 2
    assert "1 training people" in division.loc[protocols.BY_SUBJECT, "lacking"]
    assert "2.0" not in training.protocols_table(division)


def test_detectors_are_scored_on_enough_pictures_of_both_kinds() -> None:
    detection = pd.DataFrame({"au": [1, 4, 12], "positives": [1, 3, 8], "negatives": [9, 7, 2]})
    result = Traditional(detection, pd.DataFrame(), pd.DataFrame(), np.zeros((0, 4, 4, 2)))
    assert result.supported(3)["au"].tolist() == result.supported(3).index.tolist() == [4]
    assert result.supported(1)["au"].tolist() == [1, 4, 12]
    with pytest.raises(Lacking, match="in 4 of the scored test pictures"):
        result.supported(4)
