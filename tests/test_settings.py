import pytest

from fer_lib.errors import FerError
from fer_lib.experiment.settings import PRESETS, describe_settings, make_settings, settings_from_notebook


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_keeps_the_papers_hyperparameters(preset):
    s = make_settings(preset)
    assert (s.batch_size, s.learning_rate, s.momentum, s.weight_decay, s.dropout) == (
        64,
        0.001,
        0.9,
        0.0001,
        0.5,
    )
    assert (s.degrees, s.resize, s.crop, s.strongest) == (15.0, 99, 96, 9)


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
    ],
)
def test_bad_parameters_are_named(given, message):
    with pytest.raises(FerError, match=message):
        make_settings(**given)


def test_whole_numbers_serve_as_reals_and_none_as_the_presets_value():
    assert make_settings("smoke", degrees=10, epochs=None).degrees == 10.0
    assert make_settings("smoke", epochs=None).epochs == make_settings("smoke").epochs


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
