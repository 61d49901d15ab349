import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import nbformat
import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from papermill.cli import _resolve_type
from papermill.iorw import NoDatesSafeLoader
from papermill.translators import PythonTranslator

from fer_lib.config import (
    LEAST_CROP,
    PRESETS,
    bounds_of,
    brief,
    describe_bounds,
    describe_settings,
    make_settings,
)
from fer_lib.errors import FerError
from fer_lib.network.model import ExpressionNet
from fer_lib.parameters import settings_from_notebook
from fer_lib.render.output import SIZES
from fer_lib.render.plan import MAXIMUM_SUBJECTS, plan


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_keeps_the_papers_hyperparameters(preset):
    s = make_settings(preset)
    assert (s.batch_size, s.momentum, s.weight_decay, s.dropout) == (64, 0.9, 0.0001, 0.5)
    # With the paper's rate the filters hardly move; the register says so.
    assert s.learning_rate == (0.001 if preset == "paper" else 0.01)
    assert (s.degrees, s.resize, s.crop, s.n_exemplars) == (15.0, 99, 96, 9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rat": 0.1}, "learning_rat.*did you mean learning_rate"),
        ({"seed": "1"}, "seed='1': int expected, str given"),
        ({"neutral": 1}, "neutral=1: bool expected, int given"),
        ({"seed": True}, "seed=True: int expected, bool given"),
        ({"preset": "tiny"}, "preset='tiny'.*'smoke'"),
        ({"split": "random"}, "split='random'.*'leak'"),
        ({"crop": 120}, "crop=120.*resize=99"),
        ({"flip": 1.5}, "flip=1.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"last_frames": 10**20}, "last_frames=100000000000000000000: a number from 1 to 1,000"),
        ({"last_frames": 10**5000}, "last_frames=a number of 16610 bits: a number from 1"),
        ({"learning_rate": math.inf}, "learning_rate=inf: a number from 0 to 100"),
        ({"learning_rate": 10**400}, "learning_rate=1000.*: a number from 0 to 100"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3': float expected, str given: from 0 to 100"),
        ({"seed": 2**32}, "seed=4294967296: a number from 0 to 4,294,967,295"),
        ({"seed": 1.0}, "seed=1.0: int expected, float given"),
        ({"seed": [1]}, "seed=.1.: int expected, list given"),
        ({"neutral": "no"}, "neutral='no': bool expected, str given: true or false"),
        ({"faces": 123}, "faces=123: str expected, int given.*-r faces"),
        ({"publish": 52}, "publish=52: str expected, int given.*-r publish"),
        ({"publish": ["S052"]}, "publish=.*list given"),
        ({"publish": "S052\nS055"}, "publish='S052.*one line"),
        ({"faces": "~nobody-of-this-name/ck"}, "no such user"),
        ({"faces": "a\0b"}, "zero byte"),
        ({"dropout": 1}, "dropout=1: a number at least 0, below 1"),
        ({"momentum": 1.0}, "momentum=1.0: a number at least 0, below 1"),
        ({"tolerance": math.nan}, "tolerance=nan: a number from 0 to 100"),
        ({"patience": -1}, "patience=-1: a number from 0"),
        ({"folds": 1}, "folds=1: a number 0, or from 2 to 999"),
        ({"degrees": 181}, "degrees=181: a number from 0 to 180"),
        ({"size": 31}, "size=31: a number from 32 to 2,048"),
        ({"frames": 1}, "frames=1: a number from 2"),
        ({"permutations": 10**9}, "permutations=1000000000: a number from 1"),
        ({"epochs": 10**9}, "epochs=1000000000: a number from 0"),
        ({"resize": 10**6}, "resize=1000000: a number from 8 to 1,024"),
        ({"test_fraction": 0}, "test_fraction=0: a number above 0, below 1"),
        ({"preset": "smoke", "subjects": 1, "sequences": 3}, "test_fraction=0.4: of 1 rendered"),
        ({"preset": "smoke", "test_fraction": 0.01}, "test_fraction=0.01: of 10 rendered"),
        ({"preset": "smoke", "sequences": 71}, "sequences=71: at most 70.*subjects=10"),
        (
            {"preset": "smoke", "split": "leak", "test_pictures": 128},
            "test_pictures=128: at most 127 of the 128",
        ),
        ({"preset": "smoke", "folds": 11}, "folds=11: 0, or from 2 to 10"),
        ({"preset": "smoke", "n_exemplars": 65}, "n_exemplars=65: at most 64"),
    ],
)
def test_bad_parameters_are_named(given, message):
    with pytest.raises(FerError, match=message):
        make_settings(**given)


def test_whole_numbers_serve_as_reals_and_none_as_the_presets_value():
    assert make_settings("smoke", degrees=10, epochs=None).degrees == 10.0
    assert make_settings("smoke", epochs=None).epochs == make_settings("smoke").epochs


@pytest.mark.parametrize("padding", LEAST_CROP)
def test_the_least_crop_is_the_networks_own(padding):
    least = LEAST_CROP[padding]
    assert make_settings(crop=least, padding=padding).crop == least
    ExpressionNet(size=least, padding=padding)
    with pytest.raises(FerError, match=f"crop={least - 1}"):
        make_settings(crop=least - 1, padding=padding)
    with pytest.raises(FerError, match="too small"):
        ExpressionNet(size=least - 1, padding=padding)


def test_bounds_are_the_renderers_own():
    size, subjects = bounds_of("size"), bounds_of("subjects")
    assert (size.least, size.most, subjects.most) == (*SIZES, MAXIMUM_SUBJECTS)


@given(subjects=st.integers(1, 30), wanted=st.integers(0, 210))
@example(subjects=20, wanted=9)
def test_rendered_people_and_sequences_are_counted_as_the_plan_makes_them(subjects, wanted):
    sequences = min(wanted, 7 * subjects)
    plans = plan(subjects=subjects, sequences=sequences or None)
    people = len({sequence.subject for sequence in plans})
    asked = {
        "subjects": subjects,
        "sequences": sequences,
        "n_exemplars": 1,
        "split": "leak",
        "test_pictures": 1,
    }
    if people > 1:
        make_settings("smoke", folds=people, **asked)
    with pytest.raises(FerError, match="folds"):
        make_settings("smoke", folds=max(people + 1, 2), **asked)
    pictures = 4 * len(plans)
    make_settings("smoke", **{**asked, "test_pictures": pictures - 1})
    with pytest.raises(FerError, match=f"of the {pictures} rendered"):
        make_settings("smoke", **{**asked, "test_pictures": pictures})


def test_of_other_faces_the_number_is_not_known_yet():
    settings = make_settings("smoke", faces="/ck", n_exemplars=500, folds=200, test_fraction=0.001)
    assert settings.n_exemplars == 500


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.integers(), max_size=3),
    st.sampled_from(
        [10**400, -(10**5000), np.float64(1), np.int64(3), np.zeros((3, 3)), object, b"x", {1: 2}]
    ),
)


@given(name=st.sampled_from(sorted(describe_settings())), value=ODD)
def test_any_value_is_taken_or_refused_in_one_line(name, value):
    try:
        made = make_settings(**{"faces": "/ck", name: value})
    except FerError as error:
        assert name in str(error) and len(str(error).splitlines()) == 1 and len(str(error)) < 400
    else:
        assert made == made.replace(), "what was taken is taken again"
        assert type(getattr(made, name)) in (bool, int, float, str)


def test_where_faces_lie_is_told_once_for_every_folder(monkeypatch, tmp_path):
    (tmp_path / "inner").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "inner")
    for given_path, meant in (
        ("~/CK+", tmp_path / "CK+"),
        ("ck", tmp_path / "inner" / "ck"),
        ("/ck", Path("/ck")),
    ):
        assert make_settings(faces=given_path).faces == str(meant)
    name = 'x $y "q" #h \\b ü\nz'
    assert make_settings(faces=f"/{name}").faces == f"/{name}"
    assert make_settings(faces="").faces == ""


def test_what_is_allowed_is_told_of_every_parameter():
    allowed = describe_bounds()
    assert set(allowed) == set(describe_settings())
    assert allowed["folds"] == "0, or from 2 to 999" and allowed["dropout"] == "at least 0, below 1"
    assert all(text not in ("", "None") for text in allowed.values())


def test_long_values_are_cut():
    assert len(brief("x" * 10**6)) < 100 and brief("a\nb") == "'a\\nb'"


def test_a_notebook_refuses_what_was_injected_and_nobody_knows():
    cells = [
        "from fer_lib import settings",
        'preset: str = "smoke"\nseed: int = 0',
        "# Parameters\nbogus = 3",
        "settings(...)",
    ]
    with pytest.raises(FerError, match="bogus"):
        settings_from_notebook({"In": cells, "preset": "smoke", "seed": 0, "bogus": 3})


def test_variables_of_later_cells_are_not_parameters():
    cells = ["preset = 'smoke'", "s = f(globals())", "unit = 5\nprint(unit)", "s = f(globals())"]
    s = settings_from_notebook({"In": cells, "preset": "smoke", "unit": 5, "epochs": 7})
    assert (s.preset, s.epochs) == ("smoke", 7)


PARAMETERS = 'preset: str = "smoke"\nseed: int = 0'


@pytest.mark.parametrize(
    "cells",
    [
        ["import os", PARAMETERS, "# Parameters\nsed = 3", "s"],
        ["import os", PARAMETERS, "# Parameters\nsed = 3\npreset = 'smoke'", "s"],
        ["import os", PARAMETERS, "# Parameters\nsed = 3", "print(seed)", "%load_ext autoreload", "s"],
        ["import os", f"{PARAMETERS}\nsed = 3", "s"],
        ["import os", PARAMETERS, "sed = 3", "s"],
        [""],
        [],
    ],
)
def test_a_misspelt_parameter_is_found_with_history_and_without(cells):
    space = {"preset": "smoke", "seed": 0, "sed": 3, "__name__": "__main__", "_i": "x", "Out": {}, "os": os}
    with pytest.raises(FerError, match=r"sed.*did you mean seed"):
        settings_from_notebook({**space, "In": cells})
    del space["sed"]
    assert settings_from_notebook({**space, "In": cells}).preset == "smoke"


def test_a_readers_own_variables_are_no_parameters():
    space = {"preset": "smoke", "seed": 0, "remark": "third trial", "x": 5, "settings": object()}
    settings_cell = "settings = settings_from_notebook(globals())\nstudy = Study(settings)"
    for cells in (
        [PARAMETERS, "remark = 'third trial'\nx = 5", settings_cell],
        ["x = 5", "remark = 'third trial'", PARAMETERS, settings_cell, settings_cell],
        [PARAMETERS, settings_cell, "x = 5\nprint(x)", PARAMETERS, settings_cell],
    ):
        assert settings_from_notebook({**space, "In": cells}).seed == 0


def test_a_notebooks_own_parameters_are_known_to_it():
    space = {"preset": "smoke", "layer": 4, "In": [PARAMETERS, "# Parameters\nlayer = 4", "s"]}
    assert settings_from_notebook(space, own=["layer"]).preset == "smoke"
    with pytest.raises(FerError, match="layer"):
        settings_from_notebook(space)


NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def until_the_settings(name):
    """Cells of a notebook that set its parameters, and the call that checks them; imports that take long left out."""
    cells = [c for c in nbformat.read(NOTEBOOKS / name, as_version=4).cells if c.cell_type == "code"]
    place = next(i for i, c in enumerate(cells) if "from_notebook(globals()" in c.source)
    call = next(line for line in cells[place].source.splitlines() if "from_notebook(" in line)
    parameters = next(c for c in cells if "parameters" in c.metadata.get("tags", []))
    assert cells.index(parameters) < place
    return parameters.source, call.partition("=")[2].strip().removesuffix(".trainable()")


WITH_PARAMETERS = sorted(
    path.name for path in NOTEBOOKS.glob("*.ipynb") if '"parameters"' in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_every_notebook_checks_its_parameters_as_papermill_makes_them(name):
    """In a plain namespace, as under nbval: no history."""
    parameters, call = until_the_settings(name)

    def run(injected):
        space = {"os": os, "Optional": Optional, "settings_from_notebook": settings_from_notebook}
        space["Study"] = SimpleNamespace(from_notebook=settings_from_notebook)
        given = set(space)
        exec(parameters, space)
        names = [n for n in space if not n.startswith("_") and n not in given]
        space.update(injected)
        return eval(call, space), names

    _, names = run({})
    with pytest.raises(FerError, match="sed"):
        run({"sed": 3})
    for parameter in set(names) - {"layer"}:
        for value in (123, 1.5, True, None, "no", "1e-3", [1], {"a": 1}, 10**30, float("nan"), ""):
            try:
                run({parameter: value})
            except FerError as error:
                assert f"{parameter}=" in str(error)


def test_a_refused_parameter_is_one_line_in_a_notebook():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        code = "from fer_lib.config import make_settings\nmake_settings(seed=-1)"
        with pytest.MonkeyPatch.context() as patch:
            shown = []
            patch.setattr(shell, "_showtraceback", lambda kind, value, lines: shown.extend(lines))
            shell.run_cell(code)
        assert shown == ["FerError: parameter seed=-1: a number from 0 to 4,294,967,295 expected"]
    finally:
        InteractiveShell.clear_instance()


def test_settings_need_nothing_but_python():
    """`make` checks them before the packages are there."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-S", "-m", "fer_lib.environment"]
    said = subprocess.run(
        command, cwd=root, env={"FER_PRESET": "tiny"}, capture_output=True, text=True, check=False
    )
    assert said.returncode == 1
    assert said.stderr == "fer: parameter preset='tiny': one of 'smoke', 'book', 'paper' expected\n"


def test_every_parameter_has_one_line_of_help():
    for name, text in describe_settings().items():
        assert text and "\n" not in text, name


def test_whose_faces_are_shown_comes_from_the_environment_or_the_notebook(monkeypatch):
    monkeypatch.setenv("FER_PUBLISH", "S052,S055")
    assert settings_from_notebook({"preset": "smoke"}).publish == "S052,S055"
    assert settings_from_notebook({"preset": "smoke", "publish": "S001"}).publish == "S001"
    assert make_settings("smoke").publish == "", "the variable is the book's alone"
    monkeypatch.delenv("FER_PUBLISH")
    assert settings_from_notebook({"preset": "smoke"}).publish == ""


def from_papermill(**given):
    """The settings of a notebook's parameters with the cell that papermill writes for these values."""
    cell = PythonTranslator.codify(given)
    space = {"In": ["", PARAMETERS, cell, "settings_from_notebook(globals())"], "preset": "smoke", "seed": 0}
    exec(cell, space)
    return settings_from_notebook(space)


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("seed", "1", 1),
        ("seed", "007", 7),
        ("degrees", "10", 10.0),
        ("learning_rate", "1", 1.0),
        ("learning_rate", "1e-2", 0.01),
        ("neutral", "False", False),
        ("epochs", "None", 4),
        ("faces", "", ""),
        ("publish", "S052,S055", "S052,S055"),
    ],
)
def test_the_shells_values_mean_what_they_say(option, value, meant):
    found = getattr(from_papermill(**{option: _resolve_type(value)}), option)
    assert found == meant and type(found) is type(meant)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("seed", "1.0", "seed=1.0: int expected, float given"),
        ("seed", "nan", "seed=nan: int expected"),
        ("learning_rate", "inf", "learning_rate=inf: a number from 0"),
        (
            "neutral",
            "true",
            r"neutral='true': bool expected, str given: true or false \(papermill: -p neutral True\)",
        ),
        ("neutral", "1", "neutral=1: bool expected"),
        ("publish", "052", "publish=52: .*-r publish"),
        ("split", "True", "split=True: str expected"),
    ],
)
def test_the_shells_other_values_are_refused(option, value, message):
    with pytest.raises(FerError, match=message):
        from_papermill(**{option: _resolve_type(value)})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("seed: 3", 3),
        ("seed: 0x1f", 31),
        ("seed: ~", 0),
        ("learning_rate: 1.0e-2", 0.01),
        ("learning_rate: 1", 1.0),
        ("neutral: no", False),
        ("publish: '052'", "052"),
    ],
)
def test_yaml_means_what_it_says(text, meant):
    given = yaml.load(text, Loader=NoDatesSafeLoader)
    assert getattr(from_papermill(**given), *given) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "learning_rate: 1e-2",
            r"learning_rate='1e-2': float expected, str given: .*\(papermill: -p learning_rate 0.01, in YAML learning_rate: 0.01\)",
        ),
        ("seed: '1'", r"seed='1': int expected, str given: .*-p seed 1"),
        ("seed: 2020-01-01", "seed='2020-01-01': int expected"),
        ("seed: [0, 1]", "seed=.0, 1.: int expected, list given"),
        ("publish: [S052, S055]", "publish=.*list given"),
        ("seed: {a: 1}", "seed=.*dict given"),
        ("sed: 1", "unknown parameter 'sed'; did you mean seed"),
    ],
)
def test_yaml_that_is_no_value_is_refused(text, message):
    with pytest.raises(FerError, match=message) as said:
        from_papermill(**yaml.load(text, Loader=NoDatesSafeLoader))
    assert "\n" not in str(said.value)


def test_the_paths_that_papermill_can_inject_are_no_parameters():
    made = from_papermill(seed=1, PAPERMILL_INPUT_PATH="a.ipynb", PAPERMILL_OUTPUT_PATH="b.ipynb")
    assert made.seed == 1
    with pytest.raises(FerError, match="PAPERMILL_OTHER"):
        from_papermill(PAPERMILL_OTHER="x")


def test_a_path_may_be_given_as_one(tmp_path):
    assert make_settings("smoke", faces=tmp_path).faces == str(tmp_path)
