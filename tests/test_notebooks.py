"""The notebooks as files: parameters that papermill lists, one line of set-up, and nothing that was run."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from papermill import inspect_notebook
from papermill.__main__ import papermill

from fer_lib.config import describe_settings

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def tagged(path: Path, tag: str) -> list[str]:
    return [cell.source for cell in code(path) if tag in cell.metadata.get("tags", ())]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_lists_every_parameter_with_type_default_and_help(path: Path) -> None:
    cells = tagged(path, "parameters")
    assigned = [statement for source in cells for statement in ast.parse(source).body]
    assert all(isinstance(statement, ast.AnnAssign) for statement in assigned)
    listed = inspect_notebook(path)
    assert list(listed) == [ast.unparse(statement.target) for statement in assigned]  # type: ignore[attr-defined]
    for statement, (name, found) in zip(assigned, listed.items(), strict=True):
        assert isinstance(statement, ast.AnnAssign) and statement.value is not None
        assert found["inferred_type_name"] == ast.unparse(statement.annotation), name
        assert ast.dump(ast.parse(found["default"])) == ast.dump(ast.parse(ast.unparse(statement.value))), (
            name
        )
        assert len(found["help"]) > 5, name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_prints_every_parameter_with_type_default_and_help(path: Path) -> None:
    assigned = [s for source in tagged(path, "parameters") for s in ast.parse(source).body]
    printed = CliRunner().invoke(papermill, [str(path), "--help-notebook"]).output
    assert "Unknown type" not in printed and "Unable to parse" not in printed
    for statement in assigned:
        assert isinstance(statement, ast.AnnAssign)
        name, kind = ast.unparse(statement.target), ast.unparse(statement.annotation)
        assert re.search(
            rf"^  {name}: {re.escape(kind)} \(default .+\)\s+\S.{{5,}}$", printed, re.MULTILINE
        ), name
    if not assigned:
        assert "No cell tagged 'parameters'" in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_read_the_settings_and_not_what_was_given(path: Path) -> None:
    """None stands for the preset's value and 1 for 1.0: only the settings say what a run uses."""
    given = {ast.unparse(s.target) for source in tagged(path, "parameters") for s in ast.parse(source).body}  # type: ignore[attr-defined]
    parameters, cells = given & set(describe_settings()) - {"preset", "faces"}, iter(code(path))
    for cell in cells:
        if "from_notebook(" in cell.source:
            break
    for cell in cells:
        source = re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE)
        names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        assert not names & parameters, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_one_line_of_set_up_follows_the_parameters(path: Path) -> None:
    cells = code(path)
    at = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", ())]
    if not at:
        return
    (place,) = at
    first = cells[place + 1].source.splitlines()[0]
    assert re.fullmatch(r"\w+ = [\w.]*from_notebook\(globals\(\)(, own=.*)?\)(\.trainable\(\))?", first)
    assert sum("from_notebook(" in cell.source for cell in cells) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_imports_and_parameters_are_one_folded_line_each(path: Path) -> None:
    cells = code(path)
    importing = [
        i for i, cell in enumerate(cells) if re.search(r"^\s*(import|from) ", cell.source, re.MULTILINE)
    ]
    assert importing == [0]
    # What a reader copies to ask a network of their own stands open.
    assert cells[0].metadata.get("tags", []) == ([] if path.stem == "own_network" else ["hide-input"])
    parameters = [tags for cell in cells if "parameters" in (tags := cell.metadata.get("tags", []))]
    assert parameters in ([], [["parameters", "hide-input"]])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_helper_is_out_of_sight(path: Path) -> None:
    for tag in ("remove-cell", "remove-input", "hide-cell", "hide-input"):
        for source in tagged(path, tag):
            for node in ast.walk(ast.parse(source)):
                assert not isinstance(node, ast.FunctionDef | ast.ClassDef), source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_that_was_run_is_kept(path: Path) -> None:
    for cell in code(path):
        assert not cell.outputs and cell.execution_count is None
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    assert len(set(ids)) == len(ids)


def run_by_papermill(notebook: Path, shell: Path, *options: str, **variables: str) -> str:
    """Run a notebook from another folder than its own; return what its last cell says."""
    command = [sys.executable, "-m", "papermill", str(notebook), "out.ipynb", "--no-progress-bar", *options]
    subprocess.run(command, cwd=shell, env=os.environ | variables, check=True, capture_output=True)
    said: str = code(shell / "out.ipynb")[-1].outputs[-1]["text"]
    return said.strip()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A notebook with parameters, in a folder that is not the shell's."""
    cells = [nbformat.v4.new_code_cell(source) for source in SMALL]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = tmp_path / "notebooks" / "small.ipynb"
    notebook.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), notebook)
    return notebook


SMALL = (
    "import os\nfrom fer_lib.parameters import settings_from_notebook",
    'preset: str = "smoke"  # scale\nfaces: str = os.environ.get("FER_FACES", "")  # faces\nseed: int = 0  # seed',
    "settings = settings_from_notebook(globals())\nprint(settings.faces, settings.seed, settings.split_seed)",
)


def test_relative_faces_are_where_the_shell_stands(small: Path, tmp_path: Path) -> None:
    meant = f"{tmp_path / 'ck'} 0 0"
    assert run_by_papermill(small, tmp_path, "-p", "faces", "ck") == meant
    assert run_by_papermill(small, tmp_path, FER_FACES="./ck") == meant


def test_an_executed_copy_keeps_all_its_parameters_or_none(small: Path, tmp_path: Path) -> None:
    """What book/using.md says of papermill."""
    one, two = ("-p", "seed", "3"), ("-p", "split_seed", "4")
    assert run_by_papermill(small, tmp_path, *one, *two, "-p", "faces", "/ck") == "/ck 3 4"
    executed = tmp_path / "out.ipynb"
    assert run_by_papermill(executed, tmp_path) == "/ck 3 4"
    assert run_by_papermill(executed, tmp_path, "-p", "faces", "/ck", *two) == "/ck 0 4"
