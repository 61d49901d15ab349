"""Keys of stored results: what shapes a step changes its key, by itself, and nothing else does."""

import inspect
import shutil
from dataclasses import replace
from importlib import import_module, metadata
from pathlib import Path
from pkgutil import iter_modules

import pytest

import fer_lib
from fer_lib import steps
from fer_lib.artifacts.sources import library_versions, source_digests
from fer_lib.artifacts.steps import Step, step
from fer_lib.artifacts.store import Store
from fer_lib.config import Selection

PACKAGE = Path(fer_lib.__file__).parent
STEPS = {
    f"{module.__name__}.{name}": found
    for module in (import_module(f"fer_lib.steps.{info.name}") for info in iter_modules(steps.__path__))
    for name, found in vars(module).items()
    if isinstance(found, Step)
}


def edited(tmp_path: Path, file: str, old: str, new: str) -> Path:
    """A copy of the package in which one file was changed."""
    copy = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "vendor"))
    text = (copy / file).read_text("utf-8")
    assert old in text
    (copy / file).write_text(text.replace(old, new), encoding="utf-8")
    return copy


def test_steps_are_found_and_their_names_differ():
    assert len(STEPS) >= 8 and len({found.compute.__name__ for found in STEPS.values()}) == len(STEPS)


@pytest.mark.parametrize("name", STEPS)
def test_an_edit_of_a_steps_function_changes_its_key(name, tmp_path):
    found = STEPS[name]
    file = Path(inspect.getfile(found.compute)).relative_to(PACKAGE).as_posix()
    source = inspect.getsource(found.compute)
    last = source.rstrip().splitlines()[-1]
    copy = edited(tmp_path, file, source, source + "    _ = 1\n")
    assert last and source_digests([found.module], copy) != source_digests([found.module], PACKAGE)


@pytest.mark.parametrize("name", STEPS)
def test_an_edit_elsewhere_leaves_the_key(name, tmp_path):
    """Pictures, words, commands, and the store itself shape no result."""
    before = source_digests([STEPS[name].module], PACKAGE)
    assert not [n for n in before if n.startswith(("plot", "book", "judges", "cli", "study", "config"))]
    copy = edited(tmp_path, "cli.py", "def app()", "ANSWER = 42\n\n\ndef app()")
    assert source_digests([STEPS[name].module], copy) == before


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fer_lib.steps.rendered.faces", "render/paint.py"),
        ("fer_lib.steps.pictures.pictures", "faces/ckplus.py"),
        ("fer_lib.steps.networks.training", "network/trainer.py"),
        ("fer_lib.steps.probes.responses", "network/stack.py"),
        ("fer_lib.steps.probes.projections", "probe/windows.py"),
    ],
)
def test_an_edit_of_what_a_step_calls_changes_its_key(name, file, tmp_path):
    first = next(line for line in (PACKAGE / file).read_text("utf-8").splitlines() if line.startswith("def "))
    copy = edited(tmp_path, file, first, f"ANSWER = 42\n\n\n{first}")
    module = STEPS[name].module
    assert source_digests([module], copy) != source_digests([module], PACKAGE)


def test_the_renderer_does_not_shape_what_is_made_of_pictures():
    """A result that is made of pictures knows them by what their artifact holds, not by the renderer's code."""
    for name in ("fer_lib.steps.networks.training", "fer_lib.steps.probes.responses"):
        assert not [n for n in source_digests([STEPS[name].module], PACKAGE) if n.startswith("render")]


def test_no_reader_of_faces_shapes_a_training():
    """Hours of training outlive a change of a reader or of the table that leaves people, classes and pixels as they were."""
    found = source_digests([STEPS["fer_lib.steps.networks.training"].module], PACKAGE)
    assert [n for n in found if n.startswith("faces.")] == ["faces.crops", "faces.preprocess"]
    assert not {"network.splits", "steps.stored", "facs", "checks"} & set(found), (
        "who is on which side the examples say"
    )


RENDERING = {f"fer_lib.steps.{name}" for name in ("built_in", "interventions", "measures", "rendered")}
"""Modules with a step that renders faces, or reads what was rendered as the atlas keeps it."""
OPENING = RENDERING | {"fer_lib.steps.pictures"}
"""Modules with a step that opens or writes picture files; all others are given the faces as they were cut out."""


@pytest.mark.parametrize("name", STEPS)
def test_libraries_that_a_step_computes_with_are_in_its_key_by_version(name, monkeypatch):
    found = library_versions([STEPS[name].module])
    module = STEPS[name].module
    assert "numpy" in found and "tqdm" not in found
    assert ("pillow" in found) is (module in OPENING)
    assert ("anny" in found) is (module in RENDERING)
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda of: "0.0" if of == "numpy" else version(of))
    assert library_versions([STEPS[name].module]) == found | {"numpy": "0.0"}


def test_only_libraries_that_code_imports_count(tmp_path):
    copy = edited(
        tmp_path,
        "errors.py",
        "class FerError",
        "import scipy.stats as s\nimport json, tqdm\n\nclass FerError",
    )
    assert (
        set(library_versions(["errors"], copy)) == {"scipy"} and library_versions(["errors"], PACKAGE) == {}
    )


def test_another_version_of_a_library_is_another_result(store, monkeypatch):
    first = powers(store, 3)
    monkeypatch.setattr("fer_lib.artifacts.keys.library_versions", lambda modules: {"numpy": "0.0"})
    assert powers(store, 3).key != first.key and calls == [2, 2]


calls: list[int] = []


def squares(folder, numbers, power=2, *, config=None, loud=False):
    calls.append(power)
    total = numbers if isinstance(numbers, int) else int((numbers.path / "n.txt").read_text())
    (folder / "n.txt").write_text(str(total**power))


squares.__module__ = "fer_lib.facs"  # a module with a source; a step's own is part of its key
powers = step(free=("loud",))(squares)


@pytest.fixture
def store(tmp_path):
    calls.clear()
    return Store(tmp_path / "store")


def test_a_step_is_computed_once_for_the_same_arguments(store):
    first = powers(store, 3, loud=True)
    again = powers(store, numbers=3, power=2)
    assert first == again and calls == [2] and (first.path / "n.txt").read_text() == "9"


def test_arguments_configs_and_artifacts_are_in_the_key(store):
    base = powers(store, 3)
    upstream = powers(store, base)
    selection = Selection(last_frames=2)
    others = [
        powers(store, 4),
        powers(store, 3, 3),
        upstream,
        powers(store, powers(store, 4)),
        powers(store, 3, config=selection),
        powers(store, 3, config=replace(selection, last_frames=1)),
    ]
    assert len({base.key, *(other.key for other in others)}) == 7
    assert (upstream.path / "n.txt").read_text() == "81"
    assert upstream.manifest["upstream"] == [base.content] and base.manifest["settings"]["power"] == 2


def test_what_is_made_anew_and_comes_out_the_same_asks_for_nothing_more(store, monkeypatch):
    base = powers(store, 3)
    first = powers(store, base)
    monkeypatch.setattr("fer_lib.artifacts.keys.library_versions", lambda modules: {"numpy": "0.0"})
    same, other = powers(store, 3), powers(store, -3, 3)
    assert same.key != base.key and same.content == base.content != other.content
    monkeypatch.undo()
    assert powers(store, same) == first != powers(store, other)


def test_what_has_no_stable_text_is_refused(store):
    with pytest.raises(fer_lib.errors.FerError, match="power is a object"):
        powers(store, 3, object())
    assert not calls


def test_a_function_that_closes_over_something_is_no_step():
    def inner(folder):
        return folder

    with pytest.raises(TypeError, match="closes over"):
        step()(inner)
    with pytest.raises(TypeError, match="no parameter progress"):
        step(free=("progress",))(squares)
