import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_lib.artifacts import manifest as manifest_module
from fer_lib.artifacts import store as store_module
from fer_lib.artifacts.files import plain_refusals
from fer_lib.artifacts.sources import source_digests
from fer_lib.artifacts.store import Store, default_root
from fer_lib.errors import FerError


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


class Writer:
    """A step that writes its content and counts its calls."""

    def __init__(self, content=b"content"):
        self.content = content
        self.calls = 0

    def __call__(self, folder):
        self.calls += 1
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / "values.bin").write_bytes(self.content)


def test_second_fetch_finds_the_first(store):
    writer = Writer()
    first = store.fetch("step", writer, settings={"a": 1})
    second = store.fetch("step", writer, settings={"a": 1})
    assert first == second and writer.calls == 1
    assert (first.path / "data/values.bin").read_bytes() == b"content"


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"a": 2}},
        {"settings": {"a": 1.0}},
        {"settings": {"a": True}},
        {"settings": {"a": "1"}},
        {"upstream": ["0"]},
        {"sources": ["errors"]},
    ],
)
def test_whatever_shapes_the_result_changes_the_key(store, change):
    base = {"settings": {"a": 1}, "upstream": [], "sources": []}
    assert store.fetch("s", Writer(), **base).key != store.fetch("s", Writer(), **{**base, **change}).key


def test_order_of_settings_and_tuples_do_not_change_the_key(store):
    one = store.fetch("s", Writer(), settings={"a": (1, 2), "b": {"x": 1, "y": 2}})
    assert store.fetch("s", Writer(), settings={"b": {"y": 2, "x": 1}, "a": [1, 2]}).key == one.key


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(max_size=4), PLAIN, max_size=3),
    st.dictionaries(st.text(max_size=4), PLAIN, max_size=3),
)
def test_keys_are_equal_exactly_when_settings_are(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    keys = [store_module.result_key("s", settings, (), ())[0] for settings in (one, other)]
    assert (keys[0] == keys[1]) == same


@pytest.mark.parametrize("value", [object(), {1: 2}, float("nan"), {3}, b"x"])
def test_settings_without_stable_text_are_refused(store, value):
    with pytest.raises(FerError, match="settings"):
        store.fetch("s", Writer(), settings={"a": value})


@pytest.mark.parametrize("step", ["", "../up", "a/b", ".hidden"])
def test_step_names_stay_inside_the_store(store, step):
    with pytest.raises(FerError, match="step name"):
        store.fetch(step, Writer(), settings={})


def test_manifest_describes_the_artifact(store):
    artifact = store.fetch("s", Writer(b"abc"), settings={"a": 1}, upstream=["f" * 64], sources=["errors"])
    manifest = artifact.manifest
    assert manifest["settings"] == {"a": 1} and manifest["upstream"] == ["f" * 64]
    assert manifest["files"] == {"data/values.bin": hashlib.sha256(b"abc").hexdigest()}
    assert set(manifest["sources"]) == {"errors"} and manifest["versions"]["python"][0].isdigit()
    assert manifest["seconds"] >= 0


DAMAGE = {
    "changed": lambda p: (p / "data/values.bin").write_bytes(b"Content"),
    "changed with its old time": lambda p: _change_keeping_time(p / "data/values.bin"),
    "truncated": lambda p: os.truncate(p / "data/values.bin", 3),
    "missing": lambda p: (p / "data/values.bin").unlink(),
    "added": lambda p: (p / "data/more.bin").write_bytes(b""),
    "manifest missing": lambda p: (p / "manifest.json").unlink(),
    "manifest truncated": lambda p: os.truncate(p / "manifest.json", 40),
    "manifest of another": lambda p: _rename_key(p / "manifest.json"),
    "manifest not an object": lambda p: (p / "manifest.json").write_text("[]"),
}


def _change_keeping_time(path):
    before = path.stat()
    path.write_bytes(b"Content")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _rename_key(path):
    path.write_text(path.read_text().replace('"key": "', '"key": "0'))


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_changed_artifact_is_computed_again(store, damage, settled, monkeypatch, caplog):
    writer = Writer()
    artifact = store.fetch("s", writer, settings={})
    if settled:
        monkeypatch.setattr(manifest_module, "_SETTLED_NS", -1)
        store.fetch("s", writer, settings={})
        time.sleep(0.02)
    damage(artifact.path)
    again = store.fetch("s", writer, settings={})
    assert writer.calls == 2 and "changed after it was written" in caplog.text
    assert [p.name for p in (again.path / "data").iterdir()] == ["values.bin"]
    assert (again.path / "data/values.bin").read_bytes() == b"content"


def test_check_of_an_untouched_artifact_reads_no_data(store, monkeypatch):
    monkeypatch.setattr(manifest_module, "_SETTLED_NS", -1)
    artifact = store.fetch("s", Writer(), settings={})
    store.fetch("s", Writer(), settings={})
    hashed = []
    monkeypatch.setattr(manifest_module, "_sha256", lambda path: hashed.append(path))
    assert store.fetch("s", Writer(), settings={}) == artifact and not hashed


def test_files_of_browsers_do_no_harm(store):
    writer = Writer()
    (store.fetch("s", writer, settings={}).path / ".DS_Store").write_bytes(b"x")
    store.fetch("s", writer, settings={})
    assert writer.calls == 1


def half(error):
    """A step that writes half of its result and stops."""

    def compute(folder):
        (folder / "part").write_text("half")
        raise error

    return compute


def whole(folder):
    (folder / "part").write_text("whole" if not (folder / "part").exists() else "resumed")


INTERRUPTIONS = [
    KeyboardInterrupt(),
    RuntimeError("stop"),
    MemoryError(),
    OSError(errno.ENOSPC, "No space left on device"),
]


@pytest.mark.parametrize("error", INTERRUPTIONS, ids=repr)
@pytest.mark.parametrize("resumes", [True, False])
def test_interrupted_step_leaves_what_it_can_resume_from(store, error, resumes):
    with pytest.raises((type(error), FerError)):
        store.fetch("s", half(error), settings={}, resumes=resumes)
    assert list(store.list()["state"]) == ["unfinished"] * resumes
    found = store.fetch("s", whole, settings={}, resumes=resumes)
    assert (found.path / "part").read_text() == ("resumed" if resumes else "whole")


@pytest.mark.parametrize("resumes", [True, False])
def test_refused_input_leaves_nothing(store, resumes):
    with pytest.raises(FerError, match="no faces"):
        store.fetch("s", half(FerError("no faces")), settings={}, resumes=resumes)
    assert store.list().empty


def test_step_that_failed_before_it_wrote_leaves_nothing(store):
    def fail(folder):
        (folder / "empty").mkdir()
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        store.fetch("s", fail, settings={}, resumes=True)
    assert store.list().empty


def test_refused_input_of_a_step_within_a_step_leaves_nothing(store):
    def outer(folder):
        (folder / "part").write_text("half")
        store.fetch("inner", half(FerError("no faces")), settings={})

    with pytest.raises(FerError, match="no faces"):
        store.fetch("outer", outer, settings={})
    assert store.list().empty


def test_what_a_killed_step_left_is_in_nobodys_way(store):
    artifact = store.fetch("s", whole, settings={})
    store.remove("s")
    left = artifact.path.with_name(artifact.path.name + ".partial")
    left.mkdir()
    (left / "litter").write_text("")
    again = store.fetch("s", whole, settings={})
    assert sorted(path.name for path in again.path.iterdir()) == ["manifest.json", "part"]


def test_half_removed_artifact_is_listed_and_goes(store, monkeypatch):
    store.fetch("s", Writer(), settings={})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", _interrupt)
        store.remove("s")
    assert list(store.list()["state"]) == ["unfinished"]
    artifact = store.fetch("s", Writer(), settings={})
    assert list(store.list()["path"]) == [artifact.path]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", _interrupt)
        store.remove("s")
    store.remove("s")
    assert store.list().empty and not list(store.root.glob("s/.*"))


def _interrupt(*_, **__):
    raise KeyboardInterrupt


STEP = """
    import os, sys, time
    from pathlib import Path
    from fer_lib.artifacts.store import Store

    def compute(folder):
        with open(sys.argv[2], "a") as log:
            log.write("started\\n")
        (folder / "values.txt").write_text("half")
        if sys.argv[3] == "hang":
            time.sleep(6000)
        time.sleep(float(sys.argv[3]))
        (folder / "values.txt").write_text("whole")

    print((Store(sys.argv[1]).fetch("s", compute, settings={}).path / "values.txt").read_text())
"""


def start(root, log, mode):
    command = [sys.executable, "-c", textwrap.dedent(STEP), str(root), str(log), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def test_killed_while_computing(tmp_path):
    root, log = tmp_path / "store", tmp_path / "log"
    process = start(root, log, "hang")
    wait_for(lambda: list(root.glob("s/*.partial/values.txt")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not [row for row in Store(root).list().itertuples() if row.state == "complete"]
    again = start(root, log, "0")
    assert again.communicate(timeout=600)[0].strip() == "whole"
    assert log.read_text() == "started\n" * 2


def test_two_processes_compute_once(tmp_path):
    root, log = tmp_path / "store", tmp_path / "log"
    processes = [start(root, log, "1"), start(root, log, "1")]
    outputs = [process.communicate(timeout=600) for process in processes]
    assert [out.strip() for out, _ in outputs] == ["whole", "whole"]
    assert log.read_text() == "started\n"
    # A notebook would print it into its page.
    assert "waiting for it" not in "".join(err for _, err in outputs)


@pytest.mark.parametrize("killed_in", ["write_manifest", "rename"])
def test_stopped_just_before_the_end(store, monkeypatch, killed_in):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if killed_in == "rename":
            patch.setattr("pathlib.Path.rename", stop)
        else:
            patch.setattr(store_module, killed_in, stop)
        store.fetch("s", Writer(b"old"), settings={})
    assert (store.fetch("s", Writer(b"new"), settings={}).path / "data/values.bin").read_bytes() == b"new"


@pytest.mark.parametrize("where", ["compute", "manifest"])
def test_full_disk_is_a_clear_error_and_resumable(store, monkeypatch, where):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(FerError, match=r"no room left.*FER_STORE"):
        if where == "manifest":
            patch.setattr(manifest_module, "write_aside", full)
        store.fetch("s", full if where == "compute" else Writer(), settings={})
    writer = Writer()
    store.fetch("s", writer, settings={})
    assert writer.calls == 1


def test_the_store_names_itself_where_a_step_names_its_folder(store):
    def compute(folder):
        with plain_refusals(folder / "faces", "faces", "give another folder"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FerError, match=rf"no room left for results in {store.root} .*FER_STORE"):
        store.fetch("s", compute, settings={})


def test_unreadable_is_not_changed(store, monkeypatch):
    writer = Writer()
    artifact = store.fetch("s", writer, settings={})

    def broken(path):
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(manifest_module, "_sha256", broken)
        with pytest.raises(FerError, match=r"cannot write results in .*Input/output error.*values\.bin"):
            store.fetch("s", writer, settings={})
    assert store.fetch("s", writer, settings={}) == artifact and writer.calls == 1


def test_a_file_in_the_place_of_the_store(tmp_path):
    (tmp_path / "store").write_text("")
    with pytest.raises(FerError, match="cannot write results"):
        Store(tmp_path / "store").fetch("s", Writer(), settings={})


def test_read_only_store_serves_what_it_has_and_refuses_the_rest(store, monkeypatch):
    writer = Writer()
    artifact = store.fetch("s", writer, settings={"a": 1})
    monkeypatch.setattr(manifest_module, "_SETTLED_NS", -1)

    def refuse(path, *_, **__):
        raise PermissionError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("filelock.FileLock.acquire", lambda self, **_: refuse(self.lock_file))
    monkeypatch.setattr(manifest_module, "write_aside", refuse)
    assert store.fetch("s", writer, settings={"a": 1}) == artifact
    with pytest.raises(FerError, match="cannot write results"):
        store.fetch("s", writer, settings={"a": 2})
    assert writer.calls == 1


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_folder_without_write_permission(tmp_path):
    (tmp_path / "store").mkdir(mode=0o500)
    with pytest.raises(FerError, match="cannot write results"):
        Store(tmp_path / "store").fetch("s", Writer(), settings={})


def test_missing_input_of_a_step_keeps_its_own_error(store, tmp_path):
    with pytest.raises(FileNotFoundError):
        store.fetch("s", lambda folder: (tmp_path / "faces.csv").read_text(), settings={})


def test_list_and_remove(store):
    assert store.list().empty
    one = store.fetch("render", Writer(b"12345"), settings={"a": 1})
    store.fetch("render", Writer(), settings={"a": 2})
    store.fetch("train", Writer(), settings={})
    table = store.list()
    assert list(table["step"]) == ["render", "render", "train"]
    row = table[table["key"] == one.key[:16]].iloc[0]
    assert row["settings"] == '{"a": 1}' and row["files"] == 1 and row["megabytes"] == pytest.approx(5e-6)
    assert row["state"] == "complete"
    assert len(store.remove(one.key[:16])) == 1
    assert not one.path.exists() and len(store.list()) == 2
    assert len(store.remove("render")) == 1
    with pytest.raises(FerError, match="no step and no key"):
        store.remove("render")
    with pytest.raises(FerError, match="no step and no key"):
        store.remove("zzz")


def test_ambiguous_key_is_refused(store):
    keys = [store.fetch("s", Writer(), settings={"a": n}).key for n in range(17)]
    digit = next(d for d in "0123456789abcdef" if sum(k.startswith(d) for k in keys) > 1)
    with pytest.raises(FerError, match="more digits"):
        store.remove(digit)


def test_artifact_being_written_is_not_removed(store):
    begun, go = threading.Event(), threading.Event()

    def slow(folder):
        begun.set()
        assert go.wait(10)

    thread = threading.Thread(target=lambda: store.fetch("s", slow, settings={}))
    thread.start()
    assert begun.wait(10)
    with pytest.raises(FerError, match="being written"):
        store.remove("s")
    go.set()
    thread.join()
    assert list(store.list()["state"]) == ["complete"]


def test_default_root(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_STORE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FER_STORE", "~/store")
    assert default_root() == tmp_path / "store"
    monkeypatch.delenv("FER_STORE")
    assert default_root().name in (".fer", "fer-lib")


@pytest.mark.parametrize("relative", ["store", "./store", "../store", "."])
def test_one_name_of_a_store_is_one_store(monkeypatch, tmp_path, relative):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_STORE", relative)
    with pytest.raises(FerError, match=rf"FER_STORE='.*' is relative.*such as {tmp_path}"):
        default_root()


def test_home_of_nobody(monkeypatch):
    monkeypatch.setenv("FER_STORE", "~nobody-of-this-name/store")
    with pytest.raises(FerError, match="give an absolute path"):
        default_root()


def test_cache_folder_of_an_installed_package(monkeypatch, tmp_path):
    monkeypatch.delenv("FER_STORE", raising=False)
    monkeypatch.setattr(
        store_module, "__file__", str(tmp_path / "lib" / "fer_lib" / "artifacts" / "store.py")
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    # The standard asks for absolute names: others are as good as none.
    for named, root in [("/cache", "/cache"), ("cache", f"{tmp_path}/.cache"), ("", f"{tmp_path}/.cache")]:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert default_root() == Path(root) / "fer-lib"


def package(folder, **files):
    root = folder / "pack"
    root.mkdir(parents=True)
    for name, text in {"__init__": "", **files}.items():
        path = root / (name.replace("__DOT__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root


FILES = {
    "top": "from pack.middle import f\nimport numpy",
    "middle": "def f():\n    from . import low\n    from .sub.leaf import g",
    "low": "x = 1",
    "sub__DOT____init__": "from .leaf import g",
    "sub__DOT__leaf": "from ..other import y\ndef g():\n    '''Say.'''\n    return 1",
    "other": "import pack.sub",
    "unused": "",
}


def test_sources_follow_imports(tmp_path):
    digests = source_digests(["top"], package(tmp_path, **FILES))
    assert set(digests) == {"top", "middle", "low", "sub", "sub.leaf", "other"}
    assert set(source_digests(["pack.low"], tmp_path / "pack")) == {"low"}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("x = 1  # one", True),
        ("'''Doc.'''\nx = 1", True),
        ("x  =  (1)", True),
        ("x = 2", False),
        ("y = 1", False),
    ],
)
def test_only_code_counts(tmp_path, text, same):
    before = source_digests(["top"], package(tmp_path / "a", **FILES))
    after = source_digests(["top"], package(tmp_path / "b", **{**FILES, "low": text}))
    assert (before == after) == same


def test_data_of_a_subpackage_count(tmp_path):
    root = package(tmp_path, **FILES)
    (root / "sub" / "points.json").write_text("[1]")
    before = source_digests(["top"], root)
    (root / "sub" / "points.json").write_text("[2]")
    assert source_digests(["top"], root) != before and "sub/points.json" in before


def test_unknown_module_is_refused(tmp_path):
    with pytest.raises(FerError, match="no module 'nothing'"):
        source_digests(["nothing"], package(tmp_path))
