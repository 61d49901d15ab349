"""Pages that are written anew beside those that were read anew."""

import os
from pathlib import Path

import pytest

from fer_lib.book import rewriting

PAGES = ["intro", "notebooks/a", "library/b", "notebooks/c"]


@pytest.mark.parametrize(
    ("read", "written"),
    [([], []), (["intro"], []), (["notebooks/c"], ["intro", "library/b"]), (PAGES, ["intro", "library/b"])],
)
def test_prose_follows_the_notebooks(tmp_path: Path, read: list[str], written: list[str]) -> None:
    rewriting.begin(tmp_path, read)
    assert rewriting.to_write(tmp_path, PAGES, {}) == written
    rewriting.end(tmp_path)
    rewriting.begin(tmp_path, [])
    assert rewriting.to_write(tmp_path, PAGES, {}) == []


@pytest.mark.parametrize("read", [["intro"], ["notebooks/a"]])
def test_a_build_that_did_not_end_is_made_good(tmp_path: Path, read: list[str]) -> None:
    rewriting.begin(tmp_path, read)
    for _ in range(2):  # the second one does not end either
        rewriting.begin(tmp_path, [])
        assert rewriting.to_write(tmp_path, PAGES, {}) == sorted(PAGES)
    rewriting.end(tmp_path)
    rewriting.begin(tmp_path, [])
    assert rewriting.to_write(tmp_path, PAGES, {}) == []


@pytest.mark.parametrize("change", ["longer", "newer", "another", "never copied"])
def test_a_changed_static_file_is_on_every_page(tmp_path: Path, change: str) -> None:
    source, copied = tmp_path / "assets", tmp_path / "html"
    for folder in (source, copied):
        (folder / "deep").mkdir(parents=True)
        for name in ("a.css", "deep/b.js"):
            (folder / name).write_text("x")
            os.utime(folder / name, (1000, 1000))
    (copied / "theme.css").write_text("the theme's own")
    (source / ".DS_Store").touch()
    assert rewriting.to_write(tmp_path, PAGES, {source: copied}) == []
    if change == "longer":
        (source / "deep/b.js").write_text("xy")
        os.utime(source / "deep/b.js", (1000, 1000))
    elif change == "newer":
        os.utime(source / "a.css", (2000, 2000))
    elif change == "another":
        (source / "deep/c.js").touch()
    else:
        (copied / "a.css").unlink()
    assert rewriting.to_write(tmp_path, PAGES, {source: copied}) == sorted(PAGES)
