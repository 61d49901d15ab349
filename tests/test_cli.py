import sys

import pytest

from fer_lib.cli import app
from fer_lib.experiment.settings import describe_settings


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["fer", *words])
    with pytest.raises(SystemExit) as ended:
        app()
    return ended.value.code


def test_parameters_lists_each_one(monkeypatch, capsys):
    assert run(monkeypatch, "parameters") == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed for name in describe_settings())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--preset", "tiny"), "preset='tiny'"),
        (("train", "--set", "epoch=3"), "did you mean epochs"),
        (("train", "--set", "epochs=three"), "epochs takes a value of type int"),
        (("train", "--set", "epochs"), "name=value expected"),
    ],
)
def test_bad_input_ends_in_one_line(monkeypatch, capsys, words, message):
    assert run(monkeypatch, *words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said


def test_a_folder_that_is_not_ckplus_is_refused(monkeypatch, capsys, tmp_path):
    (tmp_path / "holiday.png").write_bytes(b"")
    assert run(monkeypatch, "audit", str(tmp_path)) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_store_lists_and_removes(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    assert run(monkeypatch, "store") == 0
    assert "0 artifacts" in capsys.readouterr().out
    assert run(monkeypatch, "store", "--remove", "abc") == 2
    assert "abc" in capsys.readouterr().err
