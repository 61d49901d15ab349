"""What makes a folder an artifact: a manifest with the digest of every file, and the check against it."""

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from fer_lib.artifacts.files import write_aside

MANIFEST = "manifest.json"
_BROWSER_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_SETTLED_NS = 1_000_000_000
_log = logging.getLogger(__name__)


def files_of(folder: Path) -> list[Path]:
    """Return every file of an artifact except its manifest and what file browsers drop into folders."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in _BROWSER_LITTER | {MANIFEST, MANIFEST + ".new"}
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, key: str, described: Mapping[str, Any], seconds: float) -> None:
    """Describe a filled folder: key, what it was made from, Python's and the package's version, time, every file's digest."""
    manifest = {
        "key": key,
        **described,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "versions": {"python": platform.python_version(), "fer-lib": _version("fer-lib")},
        "files": {path.relative_to(folder).as_posix(): _sha256(path) for path in files_of(folder)},
    }
    write_aside(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def seen_file(folder: Path) -> Path:
    """Return the file beside an artifact that remembers what its last successful check saw."""
    return folder.with_name(folder.name + ".seen")


def intact(folder: Path, key: str) -> bool:
    """Tell whether the folder is the complete artifact of this key with the bytes that were written.

    Hashing is skipped for files whose size, times and inode are those seen at an earlier successful check: a
    change of content always moves the change time, which no program can set back.

    Raises
    ------
    OSError
        If the files are there and cannot be read: that says nothing about what they hold.
    """
    state: dict[str, list[Any]] = {}
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = json.loads(content)
        files = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
        if manifest["key"] != key or set(files) != set(manifest["files"]):
            return False
        stats = {name: path.stat() for name, path in files.items()}
        for name, s in stats.items():
            state[name] = [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino]
        state[MANIFEST] = [hashlib.sha256(content).hexdigest()]
        if os.name == "posix" and _read_json(seen_file(folder)) == state:
            return True
        if any(_sha256(path) != manifest["files"][name] for name, path in files.items()):
            return False
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return False
    # A file that changed within the clock's resolution of this check could change again unseen: look again
    # next time.
    newest = max((s.st_ctime_ns for s in stats.values()), default=0)
    if time.time_ns() - newest > _SETTLED_NS:
        try:
            write_aside(seen_file(folder), json.dumps(state).encode())
        except OSError:
            _log.debug("%s is read-only; its files are hashed at every use", folder.parent)
    return True


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
