"""Folders for rendered sets: they appear whole or not at all, and what lies there already is not lost."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

from fer_lib.artifacts.files import plain_refusals
from fer_lib.errors import FerError

SETTINGS = Path("rendered") / "settings.json"
"""File, below a rendered set, that marks it as one."""
_MAKER = "fer_lib.render"
_STAGING = ".rendering"
_PARTS = re.compile(r"cohn-kanade-images|Landmarks|FACS|Emotion|rendered|table\.parquet|P\d{3}")
# What systems put into folders by themselves, such as into the root of a new disk.
_SYSTEM = frozenset(
    {".DS_Store", "Thumbs.db", "desktop.ini", "lost+found", ".Trashes", ".Spotlight-V100", ".fseventsd"}
)


@contextmanager
def new_folder(out: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Give a folder to write in, whose content lies in `out` when the block ends well and vanishes otherwise.

    A new `out` appears in one piece. One that is there stays where it is, since it may be a mount point or the current
    folder: the set is made inside it, and its few parts are moved at the end. Whether that will work, and whether
    another run is at it, is found out before the block begins.

    Parameters
    ----------
    out : Path
        Where the set is to lie: new, empty, or an earlier rendered set, which is then replaced at the very end.
    settings : mapping
        Written to ``rendered/settings.json``, which marks the folder as a rendered set.

    Yields
    ------
    Path
        A folder on the same disk as `out`, with an empty ``rendered/`` in it.

    Raises
    ------
    FerError
        If `out` is a file, holds something else, cannot be written or has no room, or another run renders there.
    """
    try:
        out = Path(out).resolve()
    except (OSError, RuntimeError) as error:
        raise FerError(f"{out} leads nowhere ({error}): give a folder to render into") from error
    # Beside a new folder, under a name of its own: that of `out` may be as long as names can be.
    digits = hashlib.sha256(os.fsencode(out.name)).hexdigest()[:12]
    beside = out.parent / f"{_STAGING}-{digits}"
    with plain_refusals(out, "faces", "give a folder that can be written and has room", beside):
        if out.exists() and not out.is_dir():
            raise FerError(f"{out} is a file: give a folder to render into")
        there = out.is_dir()
        staging = out / _STAGING if there else beside
        if there and beside.exists():  # a run was killed, that had begun before the folder was there
            with suppress(OSError, FerError), _claimed(beside, out):
                if not (beside / "new" / SETTINGS).exists():
                    _clear(beside)
        with _claimed(staging, out):
            earlier = _begin(out, staging) if there else []
            new, leaving = staging / "new", staging / "leaving"
            try:
                _clear(staging)
                (new / "rendered").mkdir(parents=True)
                leaving.mkdir()
                if there:
                    _move(earlier, leaving)
                    _restore(out, staging)
                else:
                    try:
                        out.mkdir()
                    finally:
                        with suppress(OSError):
                            out.rmdir()
                yield new
                text = json.dumps({"maker": _MAKER, **settings}, indent=2, sort_keys=True)
                (new / SETTINGS).write_text(text + "\n", encoding="utf-8")
            except BaseException:
                with suppress(OSError):
                    _restore(out, staging)
                _clear(staging)
                raise
            try:
                _place(out, staging, earlier)
            except OSError as error:
                raise FerError(
                    f"the faces are rendered, but cannot be moved to {out} ({error.strerror or error}): they lie in {new}"
                ) from error
            _clear(staging)


@contextmanager
def _claimed(staging: Path, out: Path) -> Iterator[None]:
    """Hold the folder that a set is made in against other runs; the operating system frees it after a kill."""
    lock = filelock.FileLock(staging / "lock")
    try:
        staging.mkdir(parents=True, exist_ok=True)  # within: who stops the run here leaves no empty folder
        lock.acquire(timeout=0)
        yield
    except filelock.Timeout:
        raise FerError(f"another run renders into {out}: wait for it or give another folder") from None
    finally:
        with suppress(OSError, filelock.Timeout):
            # Once more, for runs that are stopped while they do; refused where another run is at it.
            lock.acquire(timeout=0)
            (staging / "lock").unlink()
            staging.rmdir()
        lock.release(force=True)


def _begin(out: Path, staging: Path) -> list[Path]:
    """Return the parts of an earlier set that a new one will replace; refuse what no rendering wrote."""
    _restore(out, staging)  # where a run was killed while it moved the parts
    found = [path for path in out.iterdir() if path.name not in _SYSTEM | {_STAGING}]
    others = sorted(path.name for path in found if not _PARTS.fullmatch(path.name))
    if others or (found and not _is_rendered(out)):
        named = f", such as {others[0]!r}" if others else ""
        raise FerError(f"{out} holds files that no rendering wrote{named}: give a new or empty folder")
    return found


def _place(out: Path, staging: Path, earlier: Iterable[Path]) -> None:
    """Move a finished set to its place, and an earlier one away; all or nothing, unless killed: see `_restore`."""
    new, leaving = staging / "new", staging / "leaving"
    if staging.parent != out:
        new.rename(out)
        return
    try:
        _move(earlier, leaving)
        leaving.rename(staging / "old")
        _move(list(new.iterdir()), out)
    except BaseException:
        _restore(out, staging)
        raise


def _restore(out: Path, staging: Path) -> None:
    """Undo `_place` where it did not come to its end."""
    new, leaving, old = staging / "new", staging / "leaving", staging / "old"
    if old.is_dir() and not (out / SETTINGS).exists():
        placed = [p for p in out.iterdir() if _PARTS.fullmatch(p.name) and not (new / p.name).exists()]
        _move(placed, new)
        old.rename(leaving)
    if leaving.is_dir():
        _move(list(leaving.iterdir()), out)


def _move(paths: Iterable[Path], into: Path) -> None:
    """Move the parts of a set so that what marks it as one leaves first and comes last."""
    for path in sorted(
        paths, key=lambda path: (path.name == SETTINGS.parent.name) != (into.name == "leaving")
    ):
        target = into / path.name
        if target.exists():  # renaming would replace a file without a word
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        path.rename(target)


def _clear(staging: Path) -> None:
    for name in ("new", "leaving", "old"):
        shutil.rmtree(staging / name, ignore_errors=True)


def _is_rendered(folder: Path) -> bool:
    """Whether a rendering wrote the folder."""
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and settings.get("maker") == _MAKER
