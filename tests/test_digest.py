"""One number for a user's faces: whatever changes a picture changes it, and nothing else does."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import write_sequence
from PIL import Image

from fer_lib import Study
from fer_lib.config import make_settings
from fer_lib.errors import FerError
from fer_lib.faces import digest
from fer_lib.faces.digest import digest_of_faces


def picture(file: Path, grey: int) -> None:
    Image.fromarray(np.full((20, 20), grey, np.uint8)).save(file)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table whose pictures lie beside it, elsewhere, behind a link and in an archive."""
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    for folder, names in ((home, ("a.png", "unnamed.png")), (away, ("b.png", "c.png", "d.png", "e.png"))):
        for i, name in enumerate(names):
            picture(folder / name, 10 * i)
    (home / "link.png").symlink_to(away / "c.png")
    with zipfile.ZipFile(home / "some.zip", "w") as archive:
        archive.write(away / "d.png", "d.png")
    names = ["a.png", str(away / "b.png"), "link.png", "some.zip!/d.png", "missing.png"]
    file = home / "faces.csv"
    file.write_text("path,subject\n" + "".join(f"{name},s{i}\n" for i, name in enumerate(names)))
    return file


def replaced_unseen(file: Path, grey: int = 200) -> None:
    """Another picture of the same size in bytes, and the old time."""
    old = file.stat()
    content = bytearray(file.read_bytes())
    content[-20] ^= grey
    file.write_bytes(content)
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    now = file.stat()
    assert (now.st_size, now.st_mtime_ns) == (old.st_size, old.st_mtime_ns)


def retarget(home: Path, away: Path) -> None:
    (home / "link.png").unlink()
    (home / "link.png").symlink_to(away / "e.png")


def rezip(home: Path, away: Path) -> None:
    with zipfile.ZipFile(home / "some.zip", "w") as archive:
        archive.write(away / "e.png", "d.png")


def swap_in(home: Path, away: Path) -> None:
    """A file moved over another keeps its own old times."""
    twin = home / "twin.png"
    shutil.copy2(home / "a.png", twin)
    replaced_unseen(twin)
    twin.replace(home / "a.png")


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "edited": lambda home, away: picture(home / "a.png", 77),
    "edited, same size and time": lambda home, away: replaced_unseen(home / "a.png"),
    "replaced, same size and time": swap_in,
    "edited elsewhere": lambda home, away: picture(away / "b.png", 77),
    "edited behind the link": lambda home, away: picture(away / "c.png", 77),
    "link leads elsewhere": retarget,
    "link leads nowhere": lambda home, away: (away / "c.png").unlink(),
    "another archive": rezip,
    "removed": lambda home, away: (home / "a.png").unlink(),
    "has come": lambda home, away: picture(home / "missing.png", 7),
    "a folder in its place": lambda home, away: (home / "missing.png").mkdir(),
    "the table": lambda home, away: (home / "faces.csv").write_text("path,subject\na.png,s0\n"),
}


@pytest.mark.parametrize("settled", [True, False], ids=["remembered", "just written"])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_named_picture_is_seen(
    table: Path, tmp_path: Path, change: str, settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settled:
        monkeypatch.setattr(digest, "_SETTLED_NS", -(10**18))
    memory = tmp_path / "memory"
    before = digest_of_faces(table, memory)
    assert before == digest_of_faces(table, memory) == digest_of_faces(table)
    CHANGES[change](table.parent, tmp_path / "away")
    after = digest_of_faces(table, memory)
    assert after != before
    assert after == digest_of_faces(table), "what is remembered and what is read anew agree"


@pytest.mark.parametrize(
    "change",
    [
        lambda home: picture(home / "unnamed.png", 99),
        lambda home: (home / "notes.txt").write_text("mine"),
        lambda home: os.utime(home / "a.png"),
        lambda home: (home / "a.png").chmod(0o600),
    ],
    ids=["a picture that the table does not name", "another file", "touched", "other permissions"],
)
def test_what_changes_no_picture_changes_nothing(table: Path, change: Callable[[Path], object]) -> None:
    before = digest_of_faces(table)
    change(table.parent)
    assert digest_of_faces(table) == before


def test_a_moved_folder_is_the_same(tmp_path: Path) -> None:
    write_sequence(tmp_path / "one", "S005_001", aus={9: 4}, expression="disgust")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert digest_of_faces(tmp_path / "one") == digest_of_faces(tmp_path / "two")


def test_files_are_read_once(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_SETTLED_NS", -(10**18))
    read: list[str] = []

    def counted(stream, kind):
        read.append(Path(stream.name).name)
        return original(stream, kind)

    original = digest.hashlib.file_digest
    monkeypatch.setattr(digest.hashlib, "file_digest", counted)
    digest_of_faces(table, tmp_path / "memory")
    assert sorted(read) == ["a.png", "b.png", "faces.csv", "link.png", "some.zip"]
    digest_of_faces(table, tmp_path / "memory")
    assert len(read) == 5
    picture(table.parent / "a.png", 3)
    digest_of_faces(table, tmp_path / "memory")
    assert read[5:] == ["a.png"]


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": 3}', b"\xff"])
def test_a_damaged_memory_is_forgotten(
    table: Path, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "_SETTLED_NS", -(10**18))
    memory = tmp_path / "memory"
    before = digest_of_faces(table, memory)
    for file in memory.iterdir():
        file.write_bytes(content)
    assert digest_of_faces(table, memory) == before


def test_a_memory_that_cannot_be_kept_costs_time_alone(table: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert digest_of_faces(table, tmp_path / "file") == digest_of_faces(table)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """CK+'s layout with a linked subject, a linked part and a zipped one."""
    store = tmp_path / "store"
    for name in ("S005_001", "S010_002"):
        write_sequence(store, name, frames=3, aus={9: 4, 17: 0}, expression="disgust")
    root = tmp_path / "root"
    (root / "cohn-kanade-images").mkdir(parents=True)
    for subject in ("S005", "S010"):
        (root / "cohn-kanade-images" / subject).symlink_to(store / "cohn-kanade-images" / subject)
    (root / "Landmarks").symlink_to(store / "Landmarks")
    shutil.copytree(store / "FACS", root / "FACS")
    shutil.make_archive(str(root / "Emotion_labels"), "zip", store, "Emotion")
    return root


def _folder_elsewhere(root: Path) -> None:
    link = root / "cohn-kanade-images" / "S010"
    shutil.copytree(link, root.parent / "other")
    picture(next((root.parent / "other").rglob("*.png")), 9)
    link.unlink()
    link.symlink_to(root.parent / "other")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (
            lambda root: picture(next((root.parent / "store/cohn-kanade-images/S005").rglob("*.png")), 9),
            False,
        ),
        (lambda root: next((root.parent / "store/Landmarks").rglob("*.txt")).write_text("1 2\n"), False),
        (lambda root: next((root / "FACS").rglob("*.txt")).write_text("12 3\n"), False),
        (lambda root: shutil.make_archive(str(root / "Emotion_labels"), "zip", root, "FACS"), False),
        (_folder_elsewhere, False),
        (lambda root: next((root / "FACS").rglob("*.txt")).unlink(), False),
        (lambda root: (root / "cohn-kanade-images/S010").unlink(), False),
        (lambda root: (root / "FACS/.DS_Store").write_bytes(b"1"), True),
        (lambda root: (root / "readme.txt").write_text("x"), True),
        # A loop is not followed, but the audit names it.
        (lambda root: (root / "cohn-kanade-images/S005/loop").symlink_to(root / "cohn-kanade-images"), False),
    ],
    ids="picture landmarks codes archive folder removed unlinked litter stranger loop".split(),
)
def test_links_of_a_folder_are_followed(tree: Path, change: Callable[[Path], object], same: bool) -> None:
    before = digest_of_faces(tree)
    change(tree)
    assert (digest_of_faces(tree) == before) is same


def test_a_zip_stands_for_the_folder_it_lies_in(tree: Path) -> None:
    before = digest_of_faces(tree / "Emotion_labels.zip")
    next((tree / "FACS").rglob("*.txt")).write_text("12 3\n")
    assert digest_of_faces(tree / "Emotion_labels.zip") != before


@pytest.mark.parametrize("name", ["nowhere", "nowhere.csv", "a\0b"])
def test_nothing_there_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(FerError, match=name.partition("\0")[0]) as caught:
        digest_of_faces(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_study_sees_an_edited_picture(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings("smoke", faces=str(table))

    def shades() -> list[int]:
        study = Study(settings, progress=False)
        return [int(study.faces.crops[i].mean()) for i in range(len(study.faces.crops))]

    monkeypatch.setenv("FER_STORE", str(tmp_path / "results"))
    before = shades()
    picture(tmp_path / "away" / "b.png", 123)
    assert [a != b for a, b in zip(before, shades(), strict=True)] == [False, True, False, False]
