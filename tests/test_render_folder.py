import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_lib.errors import FerError
from fer_lib.render.folder import new_folder


def render(out, content="new", people=("P001",)):
    """Write what a rendering writes, as small as can be."""
    with new_folder(out, {"content": content}) as folder:
        for part in ("Landmarks", *people):
            (folder / part).mkdir()
            (folder / part / "a.txt").write_text(content)
        (folder / "table.parquet").write_text(content)
    return out


def tree(folder):
    """Every path below a folder with a file's content."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def wanted(tmp_path):
    """What `render` writes, below a folder of its own."""
    return tree(render(tmp_path / "wanted" / "faces"))


def test_a_new_folder_comes_in_one_piece(tmp_path, wanted):
    out = tmp_path / "deep" / "er" / "faces"
    with new_folder(out, {}) as folder:
        assert not out.exists() and folder.stat().st_dev == out.parent.stat().st_dev
    assert [path.name for path in out.parent.iterdir()] == ["faces"]
    assert tree(render(out)) == wanted


def test_names_may_be_as_long_as_the_disk_takes_them(tmp_path, wanted):
    assert tree(render(tmp_path / ("n" * 255))) == wanted
    with pytest.raises(FerError, match=r"cannot write faces in .*File name too long"):
        render(tmp_path / ("n" * 256))


def test_a_folder_that_is_there_stays_itself(tmp_path, wanted):
    out = tmp_path / "faces"
    out.mkdir()
    before = out.stat().st_ino
    assert tree(render(out)) == wanted and out.stat().st_ino == before
    assert tree(render(out, "newer")) != wanted and out.stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir() if path.name != "wanted"] == ["faces"]


def test_the_current_folder_and_links_to_folders(tmp_path, wanted, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    render(Path())
    assert tree(Path.cwd()) == wanted
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("made")
    render(tmp_path / "link")
    render(tmp_path / "dangling")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "dangling").is_symlink()
    assert tree(tmp_path / "real") == tree(tmp_path / "made") == wanted
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FerError, match="loop"):
        render(tmp_path / "loop")


def test_a_mount_point(small_disk, wanted):
    out = small_disk.path
    (out / "lost+found").mkdir()
    for content in ("old", "new"):
        render(out, content)
    shutil.rmtree(out / "lost+found")
    assert tree(out) == wanted
    assert tree(render(out / "deep" / "faces")) == wanted


def test_a_full_or_read_only_disk_is_named_before_and_while_rendering(small_disk):
    out = small_disk.path / "faces"
    with (
        pytest.raises(FerError, match=r"no room left for faces in .*small disk/faces .*has room"),
        new_folder(out, {}) as folder,
    ):
        small_disk.leave(8192)
        (folder / "Landmarks").write_bytes(bytes(20_000))
    small_disk.leave(-1)
    assert not list(small_disk.path.iterdir())
    small_disk.read_only()
    for place in (out, small_disk.path):
        with (
            pytest.raises(FerError, match=r"cannot write faces in .*Read-only file system"),
            new_folder(place, {}),
        ):
            pytest.fail("there is nothing to render for")


def test_a_place_that_nothing_can_be_moved_to_is_refused_before(tmp_path, monkeypatch):
    render(tmp_path / "faces", "old")
    before = tree(tmp_path)
    inner = Path.rename

    def busy(path, target):
        if path.name == "Landmarks":
            raise OSError(errno.EBUSY, "Device or resource busy", str(path), None, str(target))
        return inner(path, target)

    monkeypatch.setattr(Path, "rename", busy)
    with pytest.raises(FerError, match=r"cannot write faces in .*busy"), new_folder(tmp_path / "faces", {}):
        pytest.fail("there is nothing to render for")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["thesis.txt", "Landmarks/own.txt", "P0001/a", "rendered/settings.json", ".git/x"]
)
def test_what_no_rendering_wrote_is_not_touched(tmp_path, name):
    out = tmp_path / "faces"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    before = tree(out)
    with pytest.raises(FerError, match="holds files that no rendering wrote"):
        render(out)
    assert tree(out) == before


def test_what_was_added_to_an_earlier_set_is_not_lost(tmp_path):
    out = render(tmp_path / "faces")
    (out / "thesis.txt").write_text("mine")
    before = tree(out)
    with pytest.raises(FerError, match=r"such as 'thesis\.txt'"):
        render(out, "newer")
    assert tree(out) == before


@pytest.mark.parametrize("there", [False, True])
def test_two_at_once(tmp_path, there):
    out = tmp_path / "faces"
    if there:
        out.mkdir()
    with new_folder(out, {}) as folder:
        (folder / "Landmarks").mkdir()
        with pytest.raises(FerError, match="another run renders into"):
            render(out)
    assert {path.name for path in out.iterdir()} == {"Landmarks", "rendered"}


def test_a_folder_that_comes_up_meanwhile_takes_nothing_away(tmp_path, wanted):
    out = tmp_path / "faces"
    with (
        pytest.raises(FerError, match=r"are rendered, but cannot be moved .* they lie in (.*)") as said,
        new_folder(out, {"content": "new"}) as folder,
    ):
        out.mkdir()
        (out / "table.parquet").write_text("other")
        for part in wanted:
            if not part.startswith("rendered"):
                path = folder / part
                path.mkdir() if wanted[part] is None else path.write_text(wanted[part])
    assert (out / "table.parquet").read_text() == "other"
    assert tree(Path(str(said.value).partition("lie in ")[2])) == wanted


def test_a_file_that_comes_up_meanwhile_is_kept(tmp_path):
    out = tmp_path / "faces"
    out.mkdir()
    with pytest.raises(FerError, match="are rendered, but cannot be moved"), new_folder(out, {}) as folder:
        (folder / "FACS").mkdir()
        (folder / "Landmarks").mkdir()
        (out / "Landmarks").write_text("mine")
    assert tree(out)["Landmarks"] == "mine" and "FACS" not in tree(out)


class Killed(BaseException):
    """Stands for a process that ends at once: nothing of ours runs after it."""


@given(st.integers(0, 40), st.sampled_from([None, (), ("P001",), ("P001", "P002", "P003")]))
def test_killed_between_any_two_moves(tmp_path_factory, moves, people):
    top = tmp_path_factory.mktemp("killed")
    out, made = top / "faces", 0
    if people is not None:
        render(out, "old", people) if people else out.mkdir()
    old, new = tree(out), tree(render(top / "like", "new", ("P001", "P002")))

    def step(inner):
        def act(*arguments, **named):
            nonlocal made
            made += 1
            if made > moves:
                raise Killed
            return inner(*arguments, **named)

        return act

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        for name in ("rename", "rmdir", "unlink", "mkdir", "replace"):
            patch.setattr(os, name, step(getattr(os, name)))
        render(out, "new", ("P001", "P002"))
    # What is seen is a whole set, or not marked as one.
    seen = {name: text for name, text in tree(out).items() if not name.startswith(".rendering")}
    assert seen in (old, new) or "rendered/settings.json" not in seen
    # And the next run finds its way: the earlier set comes back before anything else.
    with suppress(KeyboardInterrupt), new_folder(out, {}):
        raise KeyboardInterrupt
    assert tree(out) in (old, new)
    assert tree(render(out, "last", ("P003",))) == tree(render(top / "like", "last", ("P003",)))
    assert {path.name for path in top.iterdir()} == {"faces", "like"}


@pytest.mark.parametrize("there", [False, True])
def test_stopped_after_any_step_it_leaves_nothing_or_the_whole(tmp_path, wanted, there):
    """Ctrl-C may come right after any call of the system: also after the first, that makes the folder to write in."""
    tmp_path = tmp_path / "alone"
    out = tmp_path / "faces"
    (out if there else tmp_path).mkdir(parents=True)

    def stopping(inner):
        def act(*arguments, **named):
            nonlocal left
            result, left = inner(*arguments, **named), left - 1
            if not left:
                raise KeyboardInterrupt
            return result

        return act

    for moves in range(1, 40):
        left = moves
        with pytest.MonkeyPatch.context() as patch:
            for name in ("mkdir", "open"):
                patch.setattr(os, name, stopping(getattr(os, name)))
            try:
                render(out)
            except KeyboardInterrupt:
                seen = tree(tmp_path)
                if not (out / "rendered" / "settings.json").exists():  # it had not come to its place
                    assert seen == ({"faces": None} if there else {}), moves
                else:
                    assert {f"faces/{name}": text for name, text in wanted.items()}.items() <= seen.items()
                    break
            else:
                break
    assert 4 < moves < 39


def test_an_artifact_holds_nothing_of_a_killed_rendering(tmp_path):
    """A process is really killed while it renders into a store; the next one leaves what an undisturbed one does."""
    code = """
        import sys, time
        from pathlib import Path
        from fer_lib.artifacts.store import Store
        from fer_lib.render.folder import new_folder

        def compute(folder):
            with new_folder(folder / "faces", {}) as faces:
                (faces / "Landmarks").mkdir()
                (faces / "Landmarks" / "a.txt").write_text("a")
                Path(sys.argv[2]).touch()
                time.sleep(float(sys.argv[3]))

        print(Store(sys.argv[1]).fetch("faces", compute, settings={}).path)
    """

    def start(root, seconds):
        command = [sys.executable, "-c", textwrap.dedent(code), root, tmp_path / "begun", str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    killed = start(tmp_path / "store", 6000)
    while not (tmp_path / "begun").exists():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    found, undisturbed = (
        Path(start(tmp_path / name, 0).communicate()[0].strip()) for name in ("store", "other")
    )
    assert set(tree(found)) == set(tree(undisturbed)) >= {"faces/rendered/settings.json"}
    assert list((tmp_path / "store").glob("*/.*")) == []
