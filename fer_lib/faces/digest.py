"""What a user's faces are, in one number: the bytes of every file that the readers open, wherever links lead.

Results and pages carry it in their keys, so that an edited picture, a link that leads elsewhere or another archive asks
for new ones, and a folder that was merely moved does not. A file is read once: the digest of its bytes is remembered
beside its size, times and inode, of which a change of content always moves the change time, which no program sets back.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fer_lib import facs
from fer_lib.config import Settings
from fer_lib.errors import FerError
from fer_lib.faces.ckplus import find_parts
from fer_lib.faces.disk import Disk, container, is_system_file
from fer_lib.faces.own import named_pictures
from fer_lib.faces.problems import Problems
from fer_lib.faces.reader import layout_of

MEMORY = "faces-seen"
"""Folder of the artifact store in which the digests of files are remembered."""

_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system
_Known = dict[str, tuple[list[int], str]]  # by path: what `stat` saw, and the digest of the bytes


def digest_of_faces(source: Path | str, memory: Path | None = None) -> str:
    """Return a digest of everything that :func:`fer_lib.faces.reader.read` reads of some faces.

    Parameters
    ----------
    source : Path or str
        Whatever is read there.
    memory : Path, optional
        Folder in which the digests of files are remembered from call to call; without it every file is read.

    Returns
    -------
    str
        64 hexadecimal digits. What cannot be read counts as unreadable; reading the faces says what is wrong with it.

    Raises
    ------
    FerError
        If there is nothing at this place, or a table cannot be read.
    """
    source = Path(source).expanduser()
    try:
        kind = "folder" if source.is_dir() else source.suffix.lower()
        if kind != "folder":
            source.stat()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise FerError(
            f"{source}: {why}; give a folder with CK+ or another data set or a table of user-supplied faces"
        ) from None
    file = None
    if memory is not None:
        file = memory / f"{hashlib.sha256(os.fsencode(source.absolute())).hexdigest()[:16]}.json"
    known, seen = _remembered(file), _Known()
    contents: dict[Path, str] = {}  # an archive comes once for each of its pictures that a table names
    digest = hashlib.sha256(kind.encode())
    for name, path in _files(source, kind):
        if path not in contents:
            contents[path] = _content(path, known, seen)
        digest.update(f"\0{name}\0{contents[path]}".encode(errors="surrogateescape"))
    if file is not None and seen != known:
        _remember(file, seen)
    return digest.hexdigest()


def record_of_faces(settings: Settings, memory: Path | None = None) -> dict[str, Any]:
    """Return what the faces of some settings are, to be noted beside results: how they are rendered, or the digest of the user's.

    Parameters
    ----------
    settings : Settings
        Of the run.
    memory : Path, optional
        See `digest_of_faces`.
    """
    if settings.faces:
        return {"digest": digest_of_faces(settings.faces, memory)}
    s = asdict(settings.rendering)
    s["seed"] = s.pop("faces_seed")
    return {"rendered": s | {"sequences": s["sequences"] or sum(facs.CKPLUS_EXPRESSION_COUNTS.values())}}


def _files(source: Path, kind: str) -> Iterator[tuple[str, Path]]:
    """Yield every file under the name that the reader gives it; what the reader reports of folders as a name alone."""
    root, problems = source if kind == "folder" else source.parent, Problems()
    if layout := layout_of(source):
        for path in layout.files(source, problems):
            yield f"{layout.name}\0{path}", root / path
        yield from _told(problems, root)
        return
    if kind in (".csv", ".parquet"):
        yield "table", source
        for name in named_pictures(source):
            yield name, root / (container(name) or name)
        return
    with Disk(root) as disk:
        for part, name in sorted(find_parts(root).items()):
            if not (root / name).is_dir():
                yield f"{part}\0{name}", root / name
                continue
            for path in disk.files(name, problems):
                if not is_system_file(path):
                    yield f"{part}\0{path}", root / path
    yield from _told(problems, root)


def _told(problems: Problems, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield what the reader will say of folders, as names alone."""
    for row in problems.table().itertuples(index=False):
        yield "\0".join(map(str, row)), root


def _content(path: Path, known: _Known, seen: _Known) -> str:
    """Return the digest of a file's bytes, remembered or new, or why there is none."""
    name = str(path.absolute())
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            return "no file"
        looks = [state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
        # Elsewhere the change time is the time of making.
        if os.name == "posix" and name in known and known[name][0] == looks:
            seen[name] = known[name]
            return known[name][1]
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        return f"unreadable: {type(error).__name__}"
    # What changed just now could change again within the same tick of the clock: read it again next time.
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > _SETTLED_NS:
        seen[name] = (looks, found)
    return found


def _remembered(file: Path | None) -> _Known:
    try:
        content = json.loads(file.read_bytes()) if file is not None else {}
        return {str(name): (list(looks), str(found)) for name, (looks, found) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(file: Path, seen: _Known) -> None:
    """Write aside and rename; a folder that cannot be written only costs time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=file.parent, suffix=".new")
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
            json.dump(seen, stream)
        Path(aside).replace(file)
    except OSError:
        return
