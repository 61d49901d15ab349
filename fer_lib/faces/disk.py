"""A user's files, read and never written: folders and zip archives as one tree.

A file is named by its path relative to the folder, with ``/``; a member of an archive as ``archive.zip!/member``, a picture that is
the third row of a table of pixels as ``table.csv!/3``, and the third frame of a film as ``film.avi!/3``. Nothing is extracted: members
are read in place, so an archive cannot reach outside itself, and members that try to are refused and reported.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType

from fer_lib.checks import given_path
from fer_lib.errors import FerError
from fer_lib.faces.films import FILMS, Film
from fer_lib.faces.pixel_rows import PixelRows
from fer_lib.faces.problems import Problems, one_line

IN_ARCHIVE = "!/"
LARGEST_MEMBER = 64 * 2**20
"""Bytes; a larger archive member is no picture or label of a face and may be a bomb."""

_SYSTEM_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_CONTAINERS = frozenset({".zip", ".csv"}) | FILMS
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of an archive member, before its name: signature, length of the name, length of what follows the name."""
_MEMBER = b"PK\3\4"


class Disk:
    """Read-only view of one folder and of the archives, tables of pixels and films in it, which stay open until it is closed.

    Parameters
    ----------
    root : Path
        Folder that paths are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._numbered: dict[str, PixelRows | Film] = {}

    def __enter__(self) -> Disk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in (*self._archives.values(), *self._numbered.values()):
            opened.close()
        self._archives.clear()
        self._numbered.clear()

    def files(self, part: str, problems: Problems) -> Iterator[str]:
        """Yield the paths of all files below a folder or in a zip archive, sorted.

        Parameters
        ----------
        part : str
            Name of a folder or ``.zip`` file directly below the root.
        problems : Problems
            Receives folders that cannot be listed and archive members that are refused.
        """
        if (self.root / part).is_dir():
            return iter(sorted(self._walk(self.root / part, problems)))
        return iter(sorted(self._members(part, problems)))

    def read(self, path: str) -> bytes:
        """Return the bytes of a file or archive member; of a row of pixels or a film's frame a picture (PGM, PPM).

        Raises
        ------
        FerError
            If it cannot be read; the message is the reason alone, without the path.
        """
        outer = container(path)
        member = path[len(outer) + len(IN_ARCHIVE) :]
        try:
            if outer.lower().endswith(".zip"):
                return _member(self._archive(outer), member)
            if outer:
                return self.numbered(outer).read(member)
            if reason := not_a_file(self.root / path):
                raise FerError(reason)
            return (self.root / path).read_bytes()
        except PermissionError:
            raise FerError("no permission to read it") from None
        except FileNotFoundError:
            raise FerError("no such file") from None
        except (OSError, ValueError) as error:
            raise error if isinstance(error, FerError) else FerError(f"unreadable ({error})") from None

    def numbered(self, name: str) -> PixelRows | Film:
        """Return a table of pixels or a film, opened.

        Raises
        ------
        FerError
            If it is none; the message is the reason alone.
        OSError
            If it cannot be opened.
        """
        if name not in self._numbered:
            file = self.root / name
            if reason := not_a_file(file):
                raise FerError(reason)
            self._numbered[name] = Film(file) if file.suffix.lower() in FILMS else PixelRows(file)
        return self._numbered[name]

    def _walk(self, folder: Path, problems: Problems) -> Iterator[str]:
        def cannot_list(error: OSError) -> None:
            where = Path(error.filename).relative_to(self.root).as_posix()
            problems.add(where, f"folder cannot be listed ({error.strerror})", "nothing in it is read")

        # Links to folders are followed, because large sets are often linked into place, but only after all that really lies here.
        # What a file's name has to fit are the two folders above it: a folder that is reached again under the same two names is not
        # entered again, which also ends every loop.
        seen: set[tuple[int, int, tuple[str, ...]]] = set()
        top = folder.resolve()
        pending = [folder]
        while pending:
            for here, folders, names in os.walk(pending.pop(0), onerror=cannot_list):
                place = Path(here)
                try:
                    status = place.stat()
                except OSError as error:
                    cannot_list(error)
                    folders.clear()
                    continue
                identity = (status.st_dev, status.st_ino, place.parts[-2:])
                if identity in seen:
                    folders.clear()
                    continue
                seen.add(identity)
                folders.sort()
                relative = place.relative_to(self.root).as_posix()
                above = {top, *top.parents, place.resolve(), *place.resolve().parents}
                for link in [place / name for name in folders if (place / name).is_symlink()]:
                    if link.resolve() in above:
                        problems.add(
                            f"{relative}/{link.name}", "link to a folder that holds it", "not followed"
                        )
                    else:
                        pending.append(link)
                yield from (f"{relative}/{name}" for name in names)

    def _members(self, name: str, problems: Problems) -> Iterator[str]:
        seen: set[str] = set()
        for lost in _unlisted(self._archive(name)):
            problem = "archive is damaged: its directory lacks members that are in it, this one first"
            problems.add(f"{name}{IN_ARCHIVE}{lost}", problem, "not read; fetch the archive again")
        for info in self._archive(name).infolist():
            path = f"{name}{IN_ARCHIVE}{info.filename}"
            reason = _refusal(info)
            if reason:
                problems.add(path, f"archive member {reason}", "refused: not read")
            elif info.filename in seen:
                problems.add(path, "archive holds this name twice", "the last one is read")
            elif not info.is_dir():
                seen.add(info.filename)
                yield path

    def _archive(self, name: str) -> zipfile.ZipFile:
        if name not in self._archives:
            file = self.root / name
            try:
                if reason := not_a_file(file):
                    raise FerError(f"{file}: {reason}")
                self._archives[name] = zipfile.ZipFile(file)
            except PermissionError:
                raise FerError(f"{file}: no permission to read this archive") from None
            except FerError:
                raise
            # A damaged directory makes zipfile raise BadZipFile, struct.error, UnicodeDecodeError, NotImplementedError and more.
            except Exception as error:
                raise FerError(
                    f"{file}: not a readable zip archive ({one_line(error)}); fetch it again"
                ) from None
        return self._archives[name]


def container(path: str) -> str:
    """Name of the archive, table of pixels or film that a path leads into; empty where the path is a file's own."""
    outer, inside, _ = path.partition(IN_ARCHIVE)
    return outer if inside and PurePosixPath(outer).suffix.lower() in _CONTAINERS else ""


def is_system_file(path: str) -> bool:
    """Whether a path is a file that an operating system leaves behind, such as ``.DS_Store``."""
    pure = PurePosixPath(path.replace(IN_ARCHIVE, "/"))
    return pure.name.lower() in _SYSTEM_NAMES or pure.name.startswith("._") or "__MACOSX" in pure.parts


def is_text(path: str) -> bool:
    """Whether a path can be written down; Python keeps the bytes of names that are no UTF-8 as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in path)


def expanded(path: Path | str) -> Path:
    """Return a path with ``~`` and ``~user`` replaced by the home folder.

    Raises
    ------
    FerError
        If there is no such user, or it is no path.
    """
    try:
        return given_path("path", path).expanduser()
    except RuntimeError:
        raise FerError(f"{path}: no such user's home folder; write the path in full") from None


def not_a_file(path: Path) -> str:
    """Say why a path is no plain file, so that reading never waits at a pipe; an empty string where it is one.

    Raises
    ------
    OSError
        If there is nothing, or nothing that may be looked at.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    return "a folder, not a file" if stat.S_ISDIR(mode) else "a pipe, socket or device, not a file"


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Content of an archive member."""
    try:
        info = archive.getinfo(name)
        if reason := _refusal(info):
            raise FerError(f"archive member {reason}")
        return archive.read(info)
    except FerError:
        raise
    except KeyError:
        raise FerError("no such member in the archive") from None
    except EOFError:
        raise FerError("unreadable (the member ends too early)") from None
    # Each compression has errors of its own: zlib.error, LZMAError, NotImplementedError, struct.error, OSError.
    except Exception as error:
        raise FerError(f"unreadable ({one_line(error)})") from None


def _unlisted(archive: zipfile.ZipFile) -> Iterator[str]:
    """Yield the names of members that an archive holds and its directory lacks; of several in a row the first.

    Members lie one behind the other: where the next one does not follow, something else lies between.
    """
    file = archive.fp
    if file is None:
        return
    starts = sorted({(info.header_offset, info.compress_size) for info in archive.infolist()})
    end = 0
    for start, size in [*((start, size) for start, size in starts if start >= 0), (archive.start_dir, 0)]:
        if start - end > _LOCAL_HEADER.size:
            file.seek(end)
            gap = file.read(min(start - end, 2**16))
            # A member may be followed by a data descriptor of 12 to 24 bytes.
            for after in (0, 12, 16, 20, 24):
                if gap[after : after + len(_MEMBER)] == _MEMBER:
                    length = int.from_bytes(gap[after + 26 : after + 28], "little")
                    yield gap[after + 30 : after + 30 + length].decode("utf-8", "replace")
                    break
        file.seek(start)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) == _LOCAL_HEADER.size and header[:4] == _MEMBER:
            _, name, extra = _LOCAL_HEADER.unpack(header)
            end = max(end, start + _LOCAL_HEADER.size + name + extra + size)
        else:
            end = max(end, start)


def _refusal(info: zipfile.ZipInfo) -> str:
    """Why an archive member is not read, or an empty string."""
    name = info.filename.replace("\\", "/")
    if not name:
        return "has no name"
    if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
        return "points outside the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.file_size > LARGEST_MEMBER:
        return f"of {info.file_size:,} bytes is larger than any picture or label"
    return ""
