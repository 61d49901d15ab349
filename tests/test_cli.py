import shlex
import sys

import pytest

from fer_lib.artifacts.store import Store
from fer_lib.cli import app
from fer_lib.errors import FerError
from fer_lib.experiment import seeds
from fer_lib.experiment.chain import Chain
from fer_lib.experiment.settings import describe_settings, make_settings


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


@pytest.mark.parametrize("words", [["run"], ["train"], ["seeds", "0", "1"]])
def test_problems_with_the_faces_are_counted_in_one_line(monkeypatch, capsys, tmp_path, clean_tree, words):
    def enough(*given):
        raise FerError("as far as the pictures")

    faces = clean_tree.rename(tmp_path / "my faces")
    (faces / "Emotion/S005/001/S005_001_00000005_emotion.txt").write_text("9")
    (faces / "Emotion/.DS_Store").write_bytes(b"")
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(Chain, "training", property(enough))
    monkeypatch.setattr(seeds, "run_seeds", enough)
    assert run(monkeypatch, *words, "--preset", "smoke", "--faces", str(faces)) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "problem" in line]
    assert said == [f"1 problem with the faces; fer audit {shlex.quote(str(faces))} lists them"]


def test_sound_faces_need_no_line(tmp_path, clean_tree):
    study = Chain(make_settings("smoke", faces=str(clean_tree)), Store(tmp_path / "store"), progress=False)
    assert study.problems_note() == ""


def test_no_such_users_home_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    assert run(monkeypatch, "train", "--preset", "smoke", "--faces", "~nobody-of-this-name/CK+") == 2
    said = capsys.readouterr().err
    assert "no such user's home folder" in said and said.count("\n") == 1
