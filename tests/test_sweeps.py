"""Sweeps: what a file asks for, what is refused with file and line, what is run again, and the table of results."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from papermill.exceptions import PapermillExecutionError

from fer_lib import results
from fer_lib.config import make_settings
from fer_lib.errors import FerError
from fer_lib.network.training import Diverged
from fer_lib.sweeps import execute as executing
from fer_lib.sweeps import run as running
from fer_lib.sweeps.run import prepare, state_of, why_not
from fer_lib.sweeps.specification import read_sweep

SWEEPS = Path(__file__).parents[1] / "sweeps"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_lists_are_crossed_and_single_values_are_for_all(tmp_path):
    found = read_sweep(
        written(
            tmp_path,
            "fixed: {preset: smoke}\nnotebooks: [02_training]\n"
            "sets:\n  a: {seed: [0, 1], padding: [0, 2]}\n  b: {epochs: 0}\n",
        )
    )
    assert found.name == "mine" and found.notebooks == ("02_training",)
    assert [run.name for run in found.runs] == [
        "a+seed=0+padding=0",
        "a+seed=0+padding=2",
        "a+seed=1+padding=0",
        "a+seed=1+padding=2",
        "b+epochs=0",
    ]
    assert found.runs[1].settings == make_settings("smoke", padding=2)
    assert found.runs[1].parameters == {"preset": "smoke", "seed": 0, "padding": 2, "faces": ""}


def test_what_the_command_line_fixes_counts_more_than_the_file_and_less_than_a_set(tmp_path):
    file = written(tmp_path, "fixed: {preset: smoke, padding: 1}\nsets:\n  a: {seed: [3]}\n")
    (run,) = read_sweep(file, {"padding": 2, "seed": 9}).runs
    assert (run.settings.padding, run.settings.seed, run.settings.preset) == (2, 3, "smoke")


@pytest.mark.parametrize("file", sorted(SWEEPS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_sweeps_that_ship_are_possible(file):
    found = read_sweep(file)
    assert len(found.runs) > 1 and len({run.name for run in found.runs}) == len(found.runs)


def test_seeds_has_ten_networks_twenty_untrained_other_faces_and_shuffled_labels():
    runs = read_sweep(SWEEPS / "seeds.yaml").runs
    shuffled = [run for run in runs if run.settings.shuffled_labels]
    other = [run for run in runs if run.settings.faces_seed]
    untrained = [run for run in runs if not run.settings.epochs]
    trained = len(runs) - len(shuffled) - len(other) - len(untrained)
    assert (trained, len(untrained), len(other), len(shuffled)) == (10, 20, 6, 3)
    assert not {run.settings.faces_seed for run in other} & {0, 1, 2}, (
        "people looked at while faces were tuned"
    )


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("sets: {}", 1, "at least one name"),
        ("[1]", 1, "a mapping with `sets`"),
        ("sets:\n  a: {seed: [0, -1]}", 2, "seed=-1"),
        ("about: x\nsets:\n  a:\n    seed: 0\n    paddin: [0]", 5, "did you mean padding"),
        ("fixed:\n  dropout: 1\nsets:\n  a:", 2, "dropout=1"),
        ("sets:\n  a: {seed: []}", 2, "at least one value"),
        ("sets:\n  a: [1]", 2, "parameters with their values"),
        ("sets:\n  a: {seed: 0}\n  b: {padding: 0}", 3, "are the same run"),
        ("sets:\n  a: {seed: 0}\n  a: {seed: 1}", 3, "stands there twice"),
        ("sets:\n  a:\nnotebooks: [nope]", 3, "no notebook 'nope'"),
        ("sets:\n  a:\nnotebooks: 02_training", 3, "a list of names"),
        ("sets:\n  a:\nseeds: 3", 3, "'seeds' is unknown"),
        ("sets:\n  a: {seed: [0, 1}", 2, "expected"),
        ("sets:\n  a: {learning_rate: 1e-2}", 2, "learning_rate"),
    ],
)
def test_what_cannot_work_is_refused_with_file_and_line(tmp_path, text, line, why):
    file = written(tmp_path, text)
    with pytest.raises(FerError) as caught:
        read_sweep(file)
    assert str(caught.value).startswith(f"{file}, line {line}: ") and why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FerError, match=r"nope\.yaml: No such file"):
        read_sweep(tmp_path / "nope.yaml")


def test_relative_faces_are_where_the_shell_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run,) = read_sweep(written(tmp_path, "sets:\n  a:"), {"faces": "ck"}).runs
    assert run.parameters["faces"] == str(tmp_path / "ck")


def test_names_of_folders_are_safe_and_differ(tmp_path):
    text = "sets:\n  'a/b': {publish: ['S1', '../x']}\n  'a_b': {publish: S1, seed: 1}\n"
    names = [run.name for run in read_sweep(written(tmp_path, text)).runs]
    assert len(set(names)) == 3 and not any("/" in name or "," in name for name in names)


def result(folder: Path, run: str, state: str, **numbers: float) -> Path:
    place = folder / run
    place.mkdir(parents=True, exist_ok=True)
    found = {
        "format": results.FORMAT,
        "notebook": "02_training",
        "parameters": {"seed": int(run[-1])},
        "numbers": numbers,
    }
    (place / "02_training.json").write_text(json.dumps({**found, "tables": {}, "state": state}))
    return place / "02_training.json"


def test_results_of_the_present_code_stay_and_outdated_ones_go(tmp_path):
    asked = read_sweep(
        written(tmp_path, "fixed: {preset: smoke}\nnotebooks: [02_training]\nsets:\n  a: {seed: [0, 1]}")
    )
    folder, store = tmp_path / "out", tmp_path / "store"
    names = [run.name for run in asked.runs]
    assert prepare(asked, folder, store) == [(name, "02_training") for name in names]
    kept = result(folder, names[0], state_of(asked.runs[0], "02_training", store))
    outdated = result(folder, names[1], "of other code")
    assert prepare(asked, folder, store) == [(names[1], "02_training")]
    assert kept.is_file() and not outdated.exists()
    jobs = json.loads((folder / "plan.json").read_text())["jobs"]
    assert jobs[f"{names[1]}/02_training"]["parameters"]["seed"] == 1


def test_state_follows_notebook_library_versions_and_parameters(tmp_path, monkeypatch):
    one, other = read_sweep(written(tmp_path, "sets:\n  a: {seed: [0, 1]}")).runs
    first = state_of(one, "02_training", tmp_path)
    assert first == state_of(one, "02_training", tmp_path)
    found = {first, state_of(other, "02_training", tmp_path), state_of(one, "08_summary", tmp_path)}
    monkeypatch.setattr(running, "library_versions", lambda modules: {"numpy": "0"})
    found.add(state_of(one, "02_training", tmp_path))
    monkeypatch.setattr(running, "source_digests", lambda modules: {"study": "edited"})
    found.add(state_of(one, "02_training", tmp_path))
    assert len(found) == 5


def test_why_a_notebook_failed_is_said_in_a_line(tmp_path):
    assert why_not(tmp_path, "a", "02_training").startswith("not reached")
    (tmp_path / "a").mkdir()
    error = nbformat.v4.new_output("error", ename="FerError", evalue="parameter x\nmore", traceback=[])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0", outputs=[error])])
    nbformat.write(notebook, tmp_path / "a" / "02_training.failed.ipynb")
    assert why_not(tmp_path, "a", "02_training") == "FerError: parameter x; see 02_training.failed.ipynb"


RECORDING = """
import numpy as np
import pandas as pd
from fer_lib.book.record import glue, record
glue("share", np.float64(0.25))
glue("count", 3)
glue("word", "holds")
glue("missing", float("nan"))
record("layers", pd.DataFrame({"moved": [0.1, 0.2]}, index=pd.Index(["x", "y"], name="of layer")))
record("verdicts", pd.DataFrame({"claim": ["C1", "C2"], "value": [0.5, np.nan], "decision": ["holds", "not decided"]}))
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A notebook that records, run by papermill."""
    import papermill

    folder = tmp_path_factory.mktemp("executed")
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
                nbformat.v4.new_code_cell(RECORDING),
            ],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        ),
        folder / "plain.ipynb",
    )
    papermill.execute_notebook(
        str(folder / "plain.ipynb"), str(folder / "out.ipynb"), parameters={"seed": 4}, progress_bar=False
    )
    return folder


def test_numbers_and_tables_come_back_as_what_they_were(executed):
    found = results.read(executed / "out.ipynb")
    assert found["parameters"] == {"seed": 4} and found["format"] == results.FORMAT and found["seconds"] > 0
    table = results.rows_of(found)
    single = table[table["table"] == ""].set_index("name")
    assert single.loc["share", "value"] == 0.25 and single.loc["count", "value"] == 3
    assert single.loc["word", "text"] == "holds" and np.isnan(single.loc["missing", "value"])
    verdicts = table[table["table"] == "verdicts"].set_index(["item", "name"])
    assert (
        verdicts.loc[("C1", "value"), "value"] == 0.5
        and verdicts.loc[("C2", "decision"), "text"] == "not decided"
    )
    layers = table[table["table"] == "layers"]
    assert layers[["item", "name"]].to_numpy().tolist() == [["x", "moved"], ["y", "moved"]], (
        "the first column, whatever its name"
    )
    with pytest.raises(FerError, match="was not executed"):
        results.read(executed / "plain.ipynb")


def test_a_sweep_is_one_tidy_table(tmp_path):
    for seed, share in ((0, 0.5), (1, 0.7)):
        result(tmp_path, f"a+seed={seed}", "", accuracy=share, people=25)
    (tmp_path / "plan.json").write_text("{}")
    table = results.collect(tmp_path)
    assert table[["run", "seed", "name", "value"]].to_numpy().tolist() == [
        ["a+seed=0", 0, "accuracy", 0.5],
        ["a+seed=0", 0, "people", 25],
        ["a+seed=1", 1, "accuracy", 0.7],
        ["a+seed=1", 1, "people", 25],
    ]
    spread = results.spread(table, ["accuracy"]).iloc[0]
    assert spread["runs"] == 2 and spread["mean"] == pytest.approx(0.6)
    assert spread["sd"] == pytest.approx(np.std([0.5, 0.7], ddof=1))


def test_two_runs_side_by_side_show_what_differs():
    def rows(**numbers: object) -> pd.DataFrame:
        return results.rows_of({"notebook": "n", "numbers": numbers, "tables": {}})

    found = results.compare(rows(a=1, b=2.0, c="x", d=4), rows(a=1, b=2.5, c="y", e=5))
    assert found["name"].tolist() == ["b", "c", "d", "e"]
    assert found.loc[0, ["one", "other", "difference"]].tolist() == [2.0, 2.5, 0.5]
    assert found.loc[1, ["one", "other"]].tolist() == ["x", "y"]
    assert results.compare(rows(a=1), rows(a=1)).empty


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 99, "numbers": {}}'])
def test_files_that_are_no_results_are_named(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(FerError, match=r"x\.json: "):
        results.read(tmp_path / "x.json")
    with pytest.raises(FerError, match="no results"):
        results.collect(tmp_path / "empty")


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    """Execute a notebook of one cell as a job of a sweep; what is in its folder then."""

    def run(*sources):
        notebooks = tmp_path / "notebooks"
        notebooks.mkdir(exist_ok=True)
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata=kernel), notebooks / "02_training.ipynb"
        )
        monkeypatch.setattr(executing, "NOTEBOOKS", notebooks)
        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        plan = {"jobs": {"a/02_training": {"parameters": {"seed": 1}, "state": "now"}}}
        (folder / "plan.json").write_text(json.dumps(plan))
        executing.execute(folder, "a", "02_training")
        return json.loads((folder / "a" / "02_training.json").read_text())

    return run


def test_a_training_that_diverges_is_a_result(outcome, tmp_path):
    assert Diverged.__name__ in executing.OUTCOMES
    recording = "import pandas as pd; from fer_lib.book.record import record; from fer_lib.network.training import Diverged"
    end = "record('training', pd.DataFrame([{'network': 'this', 'passes': 3}])); raise Diverged('the loss in epoch 3; why', 3)"
    found = outcome(recording, end)
    assert found["ended"] == "the loss in epoch 3; why" and found["state"] == "now"
    assert found["tables"] == {"training": [{"network": "this", "passes": 3}]} and found["parameters"] == {
        "seed": 1
    }
    assert not list((tmp_path / "out").rglob("*.failed.ipynb"))
    rows = results.rows_of(found).set_index("name")
    assert rows.loc["passes", "value"] == 3 and rows.loc["ended", "text"].startswith("the loss in epoch 3")


def test_any_other_error_is_a_failure_with_its_notebook(outcome, tmp_path):
    with pytest.raises(PapermillExecutionError, match="ValueError"):
        outcome("raise ValueError('odd')")
    place = tmp_path / "out" / "a"
    assert results.error_in(place / "02_training.failed.ipynb") == "ValueError: odd"
    assert not (place / "02_training.json").exists() and results.files_of(place) == []


def test_items_are_told_apart_by_as_many_columns_as_it_takes():
    table = [{"claim": "C1", "control": name, "p": p} for name, p in (("a", 0.1), ("b", 0.2))]
    rows = results.rows_of({"notebook": "n", "numbers": {}, "tables": {"t": table, "empty": []}})
    assert rows[["item", "name", "value"]].to_numpy().tolist() == [["C1 / a", "p", 0.1], ["C1 / b", "p", 0.2]]
    again = results.recorded(rows.assign(run="r"), "t")
    assert again.to_dict("list") == {"run": ["r", "r"], "item": ["C1 / a", "C1 / b"], "p": [0.1, 0.2]}


WHOLE = {"format": results.FORMAT, "notebook": "n", "numbers": {}, "tables": {}, "parameters": {}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "(it is empty)"),
        (b"accuracy: 1", "(no JSON at line 1)"),
        (b'{"format": 2,\n', "(no JSON at line 2)"),
        (b"\xff\xfe", "(it is no text)"),
        (b"[" * 100_000, "(it is nested too deeply)"),
        (b"{}", "('format' is not in it)"),
        (b"null", "(it is laid out otherwise)"),
        (b"[1]", "(it is laid out otherwise)"),
        (json.dumps(WHOLE | {"format": 1}).encode(), "format 1, not 2"),
        (json.dumps(WHOLE | {"numbers": [1]}).encode(), "(it is laid out otherwise)"),
        (json.dumps(WHOLE | {"tables": {"t": [1]}}).encode(), "(it is laid out otherwise)"),
        (json.dumps(WHOLE | {"tables": {"t": [{"a": 1, "b": 2}, {"b": 1}]}}).encode(), "('a' is not in it)"),
    ],
)
def test_a_file_that_holds_no_results_is_refused_in_words(tmp_path, content, why):
    (path := tmp_path / "some.json").write_bytes(content)
    with pytest.raises(FerError) as refused:
        results.read(path)
    assert why in str(refused.value) and str(refused.value).startswith(f"{path}: ")
    assert "Error(" not in str(refused.value) and str(refused.value).count("make it again") == 1


def test_a_notebook_that_was_not_executed_is_named(tmp_path):
    (path := tmp_path / "some.ipynb").write_text('{"metadata": {}, "cells": []}')
    with pytest.raises(
        FerError, match=r"^some: this notebook was not executed by papermill; execute it first$"
    ):
        results.read(path)


def test_two_runs_are_compared_notebook_by_notebook(tmp_path):
    def planted(name, accuracy, compared):
        result(tmp_path, name, "", accuracy=accuracy)
        rows = [{"claim": "C1", "control": key, "p": p} for key, p in compared.items()]
        content = {"format": results.FORMAT, "notebook": "08_summary", "parameters": {"seed": int(name[-1])}}
        content |= {"numbers": {}, "tables": {"comparisons": rows}}
        (tmp_path / name / "08_summary.json").write_text(json.dumps(content))
        return pd.concat(map(results.rows_of, results.read_run(tmp_path / name)))

    one = planted("a+seed=0", 0.5, {"x": 0.1, "y": 0.2})
    other = planted("a+seed=1", 0.75, {"x": 0.1, "y": 0.4})
    found = results.compare(one, other)
    assert found[["notebook", "item", "name", "difference"]].to_numpy().tolist() == [
        ["02_training", "", "accuracy", 0.25],
        ["08_summary", "C1 / y", "p", pytest.approx(0.2)],
    ]
    (tmp_path / "plan.json").write_text(json.dumps({"runs": {"a+seed=0": {}, "a+seed=1": {}}}))
    with pytest.raises(FerError, match=r"whole sweep; name one of its runs \(a\+seed=0, a\+seed=1"):
        results.read_run(tmp_path)
    (tmp_path / "plan.json").write_text("cut off")
    with pytest.raises(FerError, match="whole sweep"):
        results.read_run(tmp_path)
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(FerError, match="no run; give a folder with results"):
        results.read_run(empty)
    (tmp_path / "a+seed=1" / "08_summary.json").rename(tmp_path / "a+seed=0" / "mixed.json")
    with pytest.raises(FerError, match=r"notebooks of several runs \(seed differ\)"):
        results.read_run(tmp_path / "a+seed=0")


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("sets: &a\n  a: *a\n", None, "an anchor stands within itself"),
        ("sets:\n  a: &b\n    seed: *b\n", None, "an anchor stands within itself"),
        ("sets:\n  a:\n    seed: &s [1, *s]\n", 3, "int expected, list given"),
        ("sets:\n  a:\n    seed: 010\n", 3, "010 stands for 8"),
        ("sets:\n  a:\n    seed: [1, 1:30]\n", 3, "1:30 stands for 90"),
        ("sets:\n  1: {seed: 1}\n  01: {seed: 2}\n", 3, "'01' stands there twice"),
        (
            "notebooks: [02_training, 02_training]\nsets: {a: {seed: 1}}\n",
            1,
            "'02_training' stands there twice",
        ),
        ("notebooks: []\nsets: {a: {seed: 1}}\n", 1, "a list of names is expected"),
        ("sets:\n  a:\n    seed: ~\n", 3, "seed has no value; give one"),
        ("sets:\n  a:\n    seed: [1, null]\n", 3, "seed has no value; give one"),
        ("fixed:\n  epochs:\nsets: {a: {seed: 1}}\n", 2, "epochs has no value; give one"),
        ("fixed: 0\nsets: {a: {seed: 1}}\n", 1, "parameters with their values are expected"),
        (
            "sets:\n  a+seed=1: {preset: smoke}\n  a: {seed: 1, preset: smoke}\n",
            3,
            "two runs are called a+seed=1+preset=smoke",
        ),
    ],
)
def test_what_yaml_makes_of_a_text_is_not_run_unseen(tmp_path, text, line, why):
    with pytest.raises(FerError) as refused:
        read_sweep(written(tmp_path, text))
    assert why in str(refused.value)
    assert line is None or f", line {line}: " in str(refused.value)


def test_anchors_and_plain_zeros_are_taken_as_they_stand(tmp_path):
    text = "fixed: &all {preset: smoke, seed: 0}\nsets:\n  a:\n    <<: *all\n    learning_rate: [0.5, 00.25]\n  b: {seed: 2}\n"
    assert len(read_sweep(written(tmp_path, text)).runs) == 3
