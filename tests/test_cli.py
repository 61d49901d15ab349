import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from own_tables import KINDS, write_table
from planted_sweeps import plant, tables

from fer_lib import Study
from fer_lib.artifacts.store import Store
from fer_lib.claims import judge
from fer_lib.cli import app
from fer_lib.config import describe_settings, make_settings
from fer_lib.errors import FerError
from fer_lib.published import Published


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["fer", *words])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        app()
    signal.signal(signal.SIGTERM, before)
    return ended.value.code


def test_parameters_lists_each_one(monkeypatch, capsys):
    assert run(monkeypatch, "parameters") == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed for name in describe_settings())
    assert "from 0 to 180" in listed and "0, or from 2 to 999" in listed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--preset", "tiny"), "preset='tiny'"),
        (("train", "--set", "epoch=3"), "did you mean epochs"),
        (("train", "--set", "epochs=three"), "epochs takes a value of type int"),
        (("train", "--set", "epochs"), "name=value expected"),
        (("train", "-s", "preset=tiny", "--preset", "smoke"), "preset='tiny'"),
        (("train", "-s", "preset=smoke", "-s", "faces=/no/such/place"), "/no/such/place"),
        (("train", "-s", "last_frames=99999999999999999999"), "last_frames=99999999999999999999"),
        (("train", "-s", f"seed={'9' * 5000}"), "seed takes a value of type int, from 0 to 4,294,967,295"),
        (("train", "-s", "learning_rate=1e309"), "learning_rate=inf"),
        (("train", "-s", "neutral=yes"), "true or false"),
        (("train", "-s", "split=leak\n"), "split='leak\\n': one of 'subject', 'leak', 'validation'"),
        (("train", "-s", "=3"), "unknown parameter ''"),
        (("train", "--preset", ""), "preset=''"),
        (("train", "--bogus"), "--bogus"),
        (("run", "-s", "crop=16"), "crop=16: with padding=0 the network needs at least 36"),
        (("nope",), "'nope'"),
        (("audit", ""), "'' is no path"),
        (("audit",), "FOLDER"),
        (("audit", "~nobody-of-this-name/ck"), "no such user"),
        (("audit", "a\nb"), "a\\nb: no such folder"),
        (("render", ""), "'' is no path"),
        (("render", "x", "--frames", "99999999999"), "'99999999999' is not a number from 2 to 1,000"),
        (("render", "x", "--frames", "five"), "'five' is not a number from 2 to 1,000"),
        (("render", "x", "--unlabelled", "99999999999"), "'99999999999' is not a number from 0 to 10,000"),
        (("render", "x", "--yaw", "nan"), "'nan' is not a number from 0 to 30"),
        (("render", "x", "--aus", "1,"), "--aus '1,'"),
        (("render", "x", "--subjects", "2", "--sequences", "15"), "sequences is 15"),
        (("interventions", ""), "'' is no path"),
        (("interventions", "x", "--people", "0"), "'0' is not a number from 1 to 999"),
        (("judge", ""), "'' is no path"),
        (("judge", "x", "--out", ""), "'' is no path"),
        (("judge", "x", "--face-api", ""), "'' is no path"),
        (("judge", "x", "--sequences", "-1"), "'-1' is not a number"),
        (("store", "--remove", ""), "--remove ''"),
        (("results",), "PLACE"),
        (("results", "/no/such/place"), "/no/such/place: No such file"),
        (("results", "/proc/self/fd"), "no results of notebooks below it"),
        (("results", "/proc/self/fd", "/proc/self/fd"), "/proc/self/fd: no run"),
        (("results", "/proc/self/fd", "--out", "x.csv"), "/proc/self/fd: no sweep's folder"),
        (("results", "a", "b", "--out", "x.csv"), "two places are given"),
    ],
)
def test_bad_input_ends_in_one_line(monkeypatch, capsys, words, message):
    assert run(monkeypatch, *words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said


@pytest.fixture
def no_runs(monkeypatch):
    """Nothing may run: what is refused is refused before."""
    from fer_lib.judges import run as judges

    def never(*args, **kwargs):
        raise AssertionError("it ran")

    monkeypatch.setattr(judges, "judge_faces", never)


def test_a_place_for_results_is_refused_before_the_work(monkeypatch, capsys, tmp_path, no_runs):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    for out in [
        tmp_path / "file",
        "/proc/x",
        "/proc",
        tmp_path / "missing" / "x",
        tmp_path / "file" / "x",
        "x" * 5000,
        "~nobody-of-this-name/x",
    ]:
        assert run(monkeypatch, "judge", "faces", "--out", str(out)) == 2
        said = capsys.readouterr().err
        assert "--out" in said and said.count("\n") == 1, said
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"


def test_a_place_that_can_be_written_is_left_as_it_was(monkeypatch, tmp_path, no_runs):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="it ran"):
        run(monkeypatch, "judge", "faces", "--out", "new")
    assert list(tmp_path.iterdir()) == []


def test_the_machines_faults_are_one_line_too(monkeypatch, capsys):
    for fault, message in (
        (OSError(28, "No space left on device", "/store/x"), "/store/x: No space left on device"),
        (OSError("odd"), "odd"),
        (MemoryError(), "memory"),
        (KeyboardInterrupt(), "stopped; what is finished is kept"),
    ):
        monkeypatch.setattr("fer_lib.artifacts.store.Store.list", Mock(side_effect=fault))
        assert run(monkeypatch, "store") in (1, 130)
        said = capsys.readouterr().err
        assert message in said and said.count("\n") <= 1


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_takes_away_what_is_half_written(tmp_path, sent):
    # What was started in the background of a script ignores SIGINT, and so would its children.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from fer_lib.cli import app; app()"
    command = [sys.executable, "-c", code, "render", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            while not any(tmp_path.iterdir()):
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(sent)
            said = process.communicate(timeout=300)[1].decode()
        finally:
            with contextlib.suppress(ProcessLookupError):  # with its workers, should it not have ended
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 128 + sent and list(tmp_path.iterdir()) == []
    assert said.splitlines()[-1] == "fer: stopped; what is finished is kept" and "Traceback" not in said


def test_an_empty_variable_counts_as_not_set(monkeypatch, capsys):
    monkeypatch.setenv("FER_PRESET", "")
    monkeypatch.setenv("FER_FACES", "/no/such/place")
    assert run(monkeypatch, "train") == 2
    assert "/no/such/place" in capsys.readouterr().err


def test_every_command_has_help(monkeypatch, capsys):
    for command in (
        "run",
        "render",
        "interventions",
        "judge",
        "audit",
        "train",
        "claims",
        "sweep",
        "results",
        "parameters",
        "store",
    ):
        assert run(monkeypatch, command, "--help") == 0
        assert command in capsys.readouterr().out


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


@pytest.mark.parametrize("words", [["run"], ["train"]])
def test_problems_with_the_faces_are_counted_in_one_line(monkeypatch, capsys, tmp_path, clean_tree, words):
    def enough(*given):
        raise FerError("as far as the pictures")

    faces = clean_tree.rename(tmp_path / "my faces")
    (faces / "Emotion/S005/001/S005_001_00000005_emotion.txt").write_text("9")
    (faces / "Emotion/.DS_Store").write_bytes(b"")
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("fer_lib.study.network.Network.training", property(enough))
    assert run(monkeypatch, *words, "--preset", "smoke", "--faces", str(faces)) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "problem" in line]
    assert said == [f"1 problem with the faces; fer audit {shlex.quote(str(faces))} lists them"]


def test_sound_faces_need_no_line(tmp_path, clean_tree):
    study = Study(make_settings("smoke", faces=str(clean_tree)), Store(tmp_path / "store"), progress=False)
    assert study.faces.problems_note() == ""


def test_no_such_users_home_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    assert run(monkeypatch, "train", "--preset", "smoke", "--faces", "~nobody-of-this-name/CK+") == 2
    said = capsys.readouterr().err
    assert "no such user" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("n_exemplars=500", "n_exemplars=500: .* has 24 pictures"),
        ("folds=200", "folds=200: .* has 5 labelled people"),
    ],
)
def test_what_a_users_faces_are_too_few_for_is_refused_before_training(
    monkeypatch, capsys, tmp_path, ckplus_tree, given, message
):
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    assert run(monkeypatch, "train", "--preset", "smoke", "--faces", str(ckplus_tree), "-s", given) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.search(message, said), said
    assert not (tmp_path / "store" / "training").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_output_that_finds_no_room_ends_in_one_line():
    code = "import sys; from fer_lib.cli import app; sys.argv = ['fer', 'parameters']; app()"
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("fer: the output cannot be written (No space left on device)")


def test_relative_store_is_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("FER_STORE", "store")
    for words in (("train", "--preset", "smoke"), ("store",)):
        assert run(monkeypatch, *words) == 2
        said = capsys.readouterr().err
        assert said.startswith("fer: FER_STORE='store' is relative") and said.count("\n") == 1


def test_a_run_leaves_out_what_the_faces_lack(monkeypatch, capsys, tmp_path):
    table = write_table(tmp_path / "table", KINDS["nothing but pictures"])
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("fer_lib.study.references.References.atlas", None)
    assert run(monkeypatch, "run", "--preset", "smoke", "--faces", str(table)) == 0
    said = capsys.readouterr().err
    for step in ("training", "responses", "projections", "matches", "effects"):
        assert f"{step}: left out: no picture has an expression label" in said
    assert "left out" not in said.partition("training ...")[0]
    assert run(monkeypatch, "train", "--preset", "smoke", "--faces", str(table)) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_a_sweep_has_is_published_and_two_of_its_runs_compared(monkeypatch, capsys, tmp_path):
    runs = {f"a+seed={seed}": ("a", {"seed": seed}, tables(seed)) for seed in (0, 1)}
    folder = plant(tmp_path / "mine", make_settings("smoke"), {**runs, "later": ("later", {"seed": 2}, {})})
    out = tmp_path / "new" / "mine.csv"
    assert run(monkeypatch, "results", str(folder), "--out", str(out)) == 0
    assert capsys.readouterr().out == f"2 of 3 runs; {out}\n"
    assert Published.load(out).provenance["done"] == list(runs)
    assert run(monkeypatch, "results", str(folder / "a+seed=0"), str(folder / "a+seed=1")) == 0
    said = capsys.readouterr().out
    assert re.search(r"02_training +training +this +accuracy +0\.9 +0\.91 +0\.01", said)
    assert "decision" not in said, "what is the same is not printed"
    assert run(monkeypatch, "results", str(folder / "a+seed=0"), str(folder / "a+seed=0")) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert run(monkeypatch, "results", str(folder / "a+seed=0"), str(folder)) == 2
    assert "name one of its runs (a+seed=0, a+seed=1)" in capsys.readouterr().err


def test_claims_are_printed_as_the_book_has_them(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    found = (
        judge("C1", [0.3], np.linspace(-0.05, 0.05, 20)),
        judge("C2", [], [], reason="of the action units none can be rendered alone"),
        judge("C3", [0.04], np.linspace(-0.05, 0.05, 20)),
    )
    monkeypatch.setattr("fer_lib.study.claims.Claims.verdicts", found)
    monkeypatch.setattr(Study, "trainable", lambda study: study)
    assert run(monkeypatch, "claims", "--preset", "smoke", "-s", "seed=3") == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines()[:-1])) <= 100, "only sentences are longer"
    words = " ".join(said.split())
    for text in ("holds", "not decided", "not tested", "C2 is left out: of the action units none", "+0.300"):
        assert text in words
    assert "nan" not in said and "**" not in said


def test_claims_of_faces_without_expressions_end_in_one_line(monkeypatch, capsys, tmp_path):
    table = write_table(tmp_path / "table", KINDS["nothing but pictures"])
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    assert run(monkeypatch, "claims", "--preset", "smoke", "--faces", str(table)) == 2
    said = capsys.readouterr().err
    assert "no picture has an expression label" in said.splitlines()[-1] and "Traceback" not in said


def test_without_a_command_there_is_help_and_no_empty_error(monkeypatch, capsys):
    assert run(monkeypatch) == 2
    said = capsys.readouterr()
    assert "Usage" in said.out and not said.err


def test_a_file_as_a_sweeps_folder_is_refused(monkeypatch, capsys, tmp_path):
    (tmp_path / "taken").write_text("mine")
    smoke = Path(__file__).parents[1] / "sweeps" / "smoke.yaml"
    assert run(monkeypatch, "sweep", str(smoke), "--out", str(tmp_path / "taken")) == 2
    assert "this is a file" in capsys.readouterr().err
    assert (tmp_path / "taken").read_text() == "mine"
