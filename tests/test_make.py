"""`make` hands what the user says to the programs as it is, and refuses what cannot be before it installs anything."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
STUB = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
said = {{name: os.environ.get(name) for name in ("FER_PRESET", "FER_FACES", "FER_PUBLISH", "FER_STORE", "FER_RUN")}}
with open("said.jsonl", "a") as file:
    file.write(json.dumps([Path(sys.argv[0]).name, sys.argv[1:], said]) + "\\n")
"""
NAMES = [
    "plain",
    "two words",
    "it's",
    'a "quoted" name',
    "$HOME",
    "$(shell touch pwned)",
    "`touch pwned`",
    "a#b",
    "back\\slash\\",
    "-rf",
    "größe 顔",
    "new\nline",
    "%20;&|<>*?,(",
    "$$",
    "end ",
    "a=b",
]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in a folder with an odd name, whose programs only note what they are told."""
    folder = tmp_path / "it's a check out"
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / "fer_lib").symlink_to(ROOT / "fer_lib")
    for name in ("fer", "jupyter-book", "ruff", "mypy", "chromium", "runs"):
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)
    (programs / "python").write_text(
        f'#!/bin/sh\ncase "$2" in pytest) exit 0;; fer_lib.sweeps.book) exec "${{0%python}}runs" "$@";; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    (programs / "python").chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder


def make(
    checkout: Path, *words: str, **variables: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, dict[str, Any]]]:
    """Run make; return what it ended with, and for each program the variables and words that it was given."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("FER_", "MAKE", "MFLAGS"))}
    for name in ("FACES", "PRESET", "PUBLISH", "RUN", "PYTHONPATH"):
        clean.pop(name, None)
    ended = subprocess.run(
        ["make", "-s", *words],
        cwd=checkout,
        env=clean | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    notes = checkout / "said.jsonl"
    rows = [json.loads(line) for line in notes.read_text("utf-8").splitlines()] if notes.exists() else []
    notes.unlink(missing_ok=True)
    return ended, {program: {**said, "words": words} for program, words, said in rows}


@pytest.mark.parametrize("name", NAMES)
def test_a_folders_name_keeps_its_letters(checkout: Path, name: str) -> None:
    (checkout / name).mkdir()
    ended, said = make(checkout, "book", f"FACES={name}", f"PUBLISH={name.strip()}".replace("\n", ""))
    assert ended.returncode == 0, ended.stderr
    assert said["fer"]["FER_FACES"] == said["jupyter-book"]["FER_FACES"] == name
    assert said["fer"]["FER_PUBLISH"] == name.strip().replace("\n", "")
    assert not list(checkout.rglob("pwned"))


@pytest.mark.parametrize("how", ["environment", "argument"])
def test_the_programs_own_variable_is_heard(checkout: Path, how: str) -> None:
    name = 'it\'s a $(shell touch pwned) "#" $$'
    (checkout / name).mkdir()
    if how == "argument":
        ended, said = make(checkout, "book", f"FER_FACES={name}")
    else:
        ended, said = make(checkout, "book", FER_FACES=name)
    assert ended.returncode == 0, ended.stderr
    assert said["fer"]["FER_FACES"] == said["jupyter-book"]["FER_FACES"] == name
    assert not list(checkout.rglob("pwned"))


def test_the_variable_of_make_wins(checkout: Path) -> None:
    (checkout / "ck").mkdir()
    asked = {"FER_FACES": "/no/such/place", "FER_PRESET": "paper", "FER_PUBLISH": "S1"}
    _, said = make(checkout, "book", "FACES=ck", "PRESET=smoke", "PUBLISH=S2", **asked)
    assert list(said["fer"].values())[:3] == ["smoke", "ck", "S2"]
    _, said = make(checkout, "book", "FACES=", **asked)
    assert list(said["fer"].values())[:3] == ["paper", "", "S1"], "empty means rendered faces"
    _, said = make(checkout, "book", FACES="ck", FER_FACES="/no/such/place")
    assert said["fer"]["FER_FACES"] == "ck"


@pytest.mark.parametrize("target", ["book", "pdf"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["FACES=/missing/parent/ck"], "/missing/parent/ck: no such folder or file"),
        (["FACES=ck"], "check out/ck: no such folder or file"),
        (["FACES=~/no-such-folder"], "no-such-folder: no such folder or file"),
        (["FACES=~nobody-of-this-name/ck"], "no such user"),
        (["PRESET=tiny"], "preset='tiny'"),
        (["FER_PRESET=tiny"], "preset='tiny'"),
        (["PUBLISH=S1\nS2"], "publish='S1\\nS2'"),
        (["RUN=out/sweeps/none"], "run 'out/sweeps/none': no results of a run"),
        (["RUN=."], "run '.': no results of a run"),
    ],
)
def test_what_cannot_be_is_refused_before_the_installation(
    checkout: Path, target: str, words: list[str], message: str
) -> None:
    shutil.rmtree(checkout / ".venv")
    ended, said = make(checkout, target, *words, f"PYTHON={sys.executable}")
    assert ended.returncode != 0 and said == {}
    first, *rest = ended.stderr.splitlines()
    assert first.startswith("fer: ") and message in first
    assert len(rest) == 1 and rest[0].startswith("make: ***")
    assert not (checkout / ".venv").exists() and "Traceback" not in ended.stderr


def test_the_tests_hear_nothing_of_the_users_variables(checkout: Path) -> None:
    asked = {f"FER_{name}": "/no/such/place" for name in ("PRESET", "FACES", "PUBLISH", "STORE", "RUN")}
    for words in ([], ["PRESET=paper", "FACES=/x", "PUBLISH=all"], ["FER_FACES=/x", "FER_PRESET=paper"]):
        ended, said = make(checkout, "test", *words, **asked)
        assert ended.returncode == 0, ended.stderr
        for program in ("ruff", "fer", "jupyter-book"):
            assert list(said[program].values())[:5] == ["smoke", "", "", "", ""]


def test_the_last_line_is_an_address_that_a_browser_takes(checkout: Path) -> None:
    ended, _ = make(checkout, "book", "PRESET=smoke")
    assert ended.stdout.splitlines()[-1] == f"open {(checkout / 'book/_build/html/index.html').as_uri()}"
    ended, said = make(checkout, "pdf", "CHROMIUM=.venv/bin/chromium")
    assert said["chromium"]["words"][-1] == (checkout / "book/_build/singlehtml/intro.html").as_uri()
    assert ended.stdout.splitlines()[-1] == f"open {(checkout / 'book/_build/fer-lib.pdf').as_uri()}"


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_made_a_book_of_its_own(checkout: Path, name: str) -> None:
    (checkout / name).mkdir()
    result = {"notebook": "02_training", "parameters": {"preset": "smoke", "faces": "", "seed": 3}}
    (checkout / name / "02_training.json").write_text(json.dumps(result))
    ended, said = make(checkout, "book", f"RUN={name}")
    assert ended.returncode == 0, ended.stderr
    assert set(said) == {"runs"} and said["runs"]["FER_RUN"] == name
    assert said["runs"]["words"] == ["-m", "fer_lib.sweeps.book", "-W", "-n", "--keep-going"]
    assert not list(checkout.rglob("pwned"))
    ended, said = make(checkout, "book", f"RUN={name}", "PRESET=paper")
    assert ended.returncode != 0 and said == {} and "preset='paper': run" in ended.stderr
