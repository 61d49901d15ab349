"""The Snakefile's own decisions: which folder the faces are, and which runs are other runs."""

from pathlib import Path
from typing import Any

import pytest

SNAKEFILE = Path(__file__).parents[1] / "sweeps" / "Snakefile"


def header(**config: Any) -> dict[str, Any]:
    """Run what stands above the rules, which is plain Python, with snakemake's `config`."""
    names: dict[str, Any] = {"config": config}
    exec(SNAKEFILE.read_text("utf-8").partition("rule all:")[0], names)
    return names


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("ck", "other", "home/CK+", "it's {a} $x"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_faces_are_looked_for_where_the_shell_stands(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert header()["FACES"] == ""
    for given in ("ck", "it's {a} $x", str(here / "ck")):
        assert header(faces=given)["FACES"] == str(here / Path(given).name)
    assert header(faces="~/CK+")["FACES"] == str(here / "home/CK+")
    monkeypatch.setenv("FER_FACES", "ck")
    assert header()["FACES"] == str(here / "ck")
    assert header(faces="")["FACES"] == ""


def test_faces_that_are_not_there_are_named() -> None:
    with pytest.raises(ValueError, match="nope: no such folder"):
        header(faces="nope")


def test_other_faces_are_other_runs(here: Path) -> None:
    runs = {header(faces=name)["RUNS"] for name in ("", "ck", "other", "~/CK+")}
    assert len(runs) == 4 and header()["RUNS"] == "book"
    assert header(faces="./ck")["RUNS"] == header(faces=str(here / "ck"))["RUNS"]
    assert header(preset="smoke", faces="ck")["RUNS"].startswith("smoke-faces-")


def test_changed_faces_are_another_state(here: Path) -> None:
    def state() -> str:
        names = header(faces="ck")
        found: str = names["state"](Path(names["FACES"]))
        return found

    (here / "ck" / "a.png").write_bytes(b"1")
    first = state()
    assert state() == first
    (here / "ck" / "a.png").write_bytes(b"22")
    assert state() != first
    table = here / "faces.csv"
    table.write_text("path")
    names = header(faces="faces.csv")
    before = names["state"](table)
    table.write_text("path,subject")
    assert names["state"](table) != before
