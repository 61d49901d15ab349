"""One run of a sweep as a book of its own: its parameters in every notebook, and a folder that is no run refused."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from fer_lib.config import make_settings
from fer_lib.environment import parameters_of_run, settings_from_environment
from fer_lib.errors import FerError
from fer_lib.parameters import settings_from_notebook
from fer_lib.sweeps import book

PARAMETERS = {"preset": "smoke", "faces": "", "seed": 3, "neutral": False, "learning_rate": 0.02}


def written(folder: Path, **results: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in results.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    result = {"notebook": "02_training", "parameters": PARAMETERS, "threads": "3"}
    return written(tmp_path / "seeds" / "trained+seed=3", training=result, summary=result)


def test_every_notebook_is_given_all_parameters(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "books" / "mine"
    book.write_source(PARAMETERS, out)
    made = sorted((out / "notebooks").glob("*.ipynb"))
    assert [path.name for path in made] == sorted(path.name for path in book.NOTEBOOKS.glob("*.ipynb"))
    taking = 0
    for path in made:
        cells = nbformat.read(path, as_version=4).cells
        nbformat.validate(nbformat.read(path, as_version=4))
        given = [cell.source for cell in cells if "injected-parameters" in cell.metadata.get("tags", ())]
        own = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())]
        assert len(given) == len(own)
        for source in given:
            taking += 1
            namespace = {"In": ["", *own, source, ""]}
            exec("import os\nfrom typing import Optional\n" + own[0] + "\n" + source, namespace)
            kept = {name: value for name, value in namespace.items() if name not in ("os", "Optional")}
            assert settings_from_notebook(kept, own=set(kept)) == make_settings(**PARAMETERS)
    assert taking > 8
    intro = (out / "intro.md").read_text("utf-8")
    assert "| `seed` | `3` |" in intro and "| `learning_rate` | `0.02` |" in intro
    for name in ("_config.yml", "_toc.yml", "references.bib", "library/index.md", "assets/custom.css"):
        assert (out / name).is_file() and not (out / name).is_symlink()


def test_writing_it_again_changes_nothing_and_keeps_what_was_built(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    book.write_source(PARAMETERS, out)
    (out / "_build").mkdir()
    (out / "left.md").touch()
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.rglob("*.*") if path.is_file()
    }
    book.write_source(PARAMETERS, out)
    assert (out / "_build").is_dir() and not (out / "left.md").exists()
    before.pop(out / "left.md")
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.rglob("*.*") if path.is_file()
    }


def test_books_of_two_sweeps_do_not_meet() -> None:
    one, other = (book.folder_of(Path("out/sweeps") / name / "a+seed=0") for name in ("x", "y"))
    assert one != other and one.parts[-4:] == ("out", "books", "x", "a+seed=0")


def test_the_builder_gets_the_runs_preset_and_threads(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "jupyter-book"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$FER_PRESET,$OMP_NUM_THREADS,$@" > {tmp_path}/said\n')
    program.chmod(0o755)
    monkeypatch.setattr(book.sys, "executable", str(program.with_name("python")))
    monkeypatch.setattr(book, "BOOKS", tmp_path / "books")
    monkeypatch.setenv("FER_RUN", str(run))
    page = book.build(run, ["-W"])
    out = tmp_path / "books" / "seeds" / "trained+seed=3"
    assert page == out / "_build" / "html" / "index.html"
    assert (tmp_path / "said").read_text() == f"smoke,3,build -W {out}\n"
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(FerError, match="could not be built"):
        book.build(run)


def test_the_environment_has_all_parameters_of_the_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_RUN", str(run))
    assert settings_from_environment() == make_settings(**PARAMETERS)
    monkeypatch.setenv("FER_PRESET", "smoke")
    assert settings_from_environment().seed == 3
    monkeypatch.setenv("FER_PRESET", "paper")
    with pytest.raises(FerError, match=r"preset='paper': run .* has preset='smoke'; leave PRESET out"):
        settings_from_environment()


def test_a_folder_that_is_no_run_is_refused_in_one_line(run: Path, tmp_path: Path) -> None:
    empty = written(tmp_path / "empty")
    odd = written(tmp_path / "odd", a=[1], b={"parameters": 3}, c={"metadata": {}})
    (odd / "d.json").write_text("{")
    for place in (empty, odd, tmp_path / "none", run / "training.json", run.parent):
        with pytest.raises(FerError, match="no results of a run") as said:
            parameters_of_run(place)
        assert "\n" not in str(said.value) and place.name in str(said.value)
    written(run, other={"parameters": {"seed": 4}})
    with pytest.raises(FerError, match="notebooks of several runs"):
        parameters_of_run(run)
    written(tmp_path / "wrong", a={"parameters": {"seed": -1}})
    assert parameters_of_run(tmp_path / "wrong") == {"seed": -1}


def test_executed_notebooks_are_a_run_too(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(metadata={"papermill": {"parameters": {"seed": 7}}})
    nbformat.write(notebook, tmp_path / "out.ipynb")
    assert parameters_of_run(tmp_path) == {"seed": 7}
