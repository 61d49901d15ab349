"""A user's files, read and never written: folders and zip archives as one tree, pictures as grey arrays.

A file is named by its path relative to the folder, with ``/``; a member of an archive as ``archive.zip!/member``. Nothing is
extracted: members are read in place, so an archive cannot reach outside itself, and members that try to are refused and reported.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from fer_lib.errors import FerError

IN_ARCHIVE = "!/"
LARGEST_MEMBER = 64 * 2**20
"""Bytes; a larger archive member is no picture or label of a face and may be a bomb."""

_SYSTEM_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_SIXTEEN_TO_EIGHT_BITS = 257


class Problems:
    """What is wrong with a user's files, collected so that one bad file does not hide the next."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str]] = []

    def add(self, path: str, problem: str, consequence: str) -> None:
        """Note that `path` has a `problem`, and what follows from it for the faces."""
        self._rows.append((path, problem, consequence))

    def __len__(self) -> int:
        return len(self._rows)

    def frame(self) -> pd.DataFrame:
        """Return the problems as a table with columns path, problem and consequence."""
        return pd.DataFrame(self._rows, columns=["path", "problem", "consequence"], dtype=str)


class PictureFacts(NamedTuple):
    """What a picture file is, found without decoding its pixels."""

    width: int
    height: int
    mode: str
    format: str


class Disk:
    """Read-only view of one folder and the zip archives in it; archives stay open until it is closed.

    Parameters
    ----------
    root : Path
        Folder that paths are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._archives: dict[str, zipfile.ZipFile] = {}

    def __enter__(self) -> Disk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()

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
        """Return the bytes of a file or archive member.

        Raises
        ------
        FerError
            If it cannot be read; the message is the reason alone, without the path.
        """
        archive, inside, member = path.partition(IN_ARCHIVE)
        try:
            if inside and archive.lower().endswith(".zip"):
                return self._archive(archive).read(member)
            return (self.root / path).read_bytes()
        except PermissionError:
            raise FerError("no permission to read it") from None
        except FileNotFoundError:
            raise FerError("no such file") from None
        except KeyError:
            raise FerError("no such member in the archive") from None
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise FerError(f"unreadable ({error})") from None

    def _walk(self, folder: Path, problems: Problems) -> Iterator[str]:
        def cannot_list(error: OSError) -> None:
            where = Path(error.filename).relative_to(self.root).as_posix()
            problems.add(where, f"folder cannot be listed ({error.strerror})", "nothing in it is read")

        # Links to folders are followed, because large sets are often linked into place; a loop of links is entered once.
        seen: set[tuple[int, int]] = set()
        for here, folders, names in os.walk(folder, followlinks=True, onerror=cannot_list):
            status = Path(here).stat()
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            relative = Path(here).relative_to(self.root).as_posix()
            yield from (f"{relative}/{name}" for name in names)

    def _members(self, name: str, problems: Problems) -> Iterator[str]:
        seen: set[str] = set()
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
            try:
                self._archives[name] = zipfile.ZipFile(self.root / name)
            except PermissionError:
                raise FerError(f"{self.root / name}: no permission to read this archive") from None
            except (OSError, zipfile.BadZipFile) as error:
                raise FerError(
                    f"{self.root / name}: not a readable zip archive ({error}); fetch it again"
                ) from None
        return self._archives[name]


def is_system_file(path: str) -> bool:
    """Whether a path is litter that an operating system leaves behind, such as ``.DS_Store``."""
    pure = PurePosixPath(path.replace(IN_ARCHIVE, "/"))
    return pure.name.lower() in _SYSTEM_NAMES or pure.name.startswith("._") or "__MACOSX" in pure.parts


def inspect_picture(data: bytes) -> PictureFacts:
    """Check that bytes are one whole picture: a PNG by its checksums alone, which is quick, any other format by decoding it.

    Returns
    -------
    PictureFacts

    Raises
    ------
    FerError
        If they are not; the message is the reason alone.
    """
    with _opened(data) as picture:
        facts = PictureFacts(picture.width, picture.height, picture.mode, str(picture.format))
        if picture.format == "PNG":
            picture.verify()
        else:
            picture.load()
    return facts


def decode_picture(data: bytes) -> np.ndarray:
    """Decode a picture to grey.

    Colour becomes luma (ITU-R 601), 16-bit grey is scaled to 8 bits, transparency is ignored.

    Returns
    -------
    np.ndarray
        uint8 of shape (height, width).

    Raises
    ------
    FerError
        If the bytes are no whole picture; the message is the reason alone.
    """
    with _opened(data) as picture:
        picture.load()
        if picture.mode.startswith("I"):
            wide = np.asarray(picture, dtype=np.int64)
            return (np.clip(wide, 0, 65535) // _SIXTEEN_TO_EIGHT_BITS).astype(np.uint8)
        if picture.mode == "F":
            raise FerError("picture of floating-point numbers, whose range is unknown")
        # A transparent pixel still has a colour; dropping alpha keeps it, where compositing would invent a background.
        flat = picture.convert("RGBA").convert("RGB") if picture.mode in ("P", "PA") else picture
        return np.asarray(flat.convert("L"), dtype=np.uint8)


def read_picture(faces_root: Path, path: str) -> np.ndarray:
    """Read one picture as grey.

    Parameters
    ----------
    faces_root : Path
        Folder of the faces.
    path : str
        Path of the picture relative to it, or ``archive.zip!/member``.

    Returns
    -------
    np.ndarray
        uint8 of shape (height, width).

    Raises
    ------
    FerError
        If it cannot be read; the message names the file.
    """
    with Disk(Path(faces_root)) as disk:
        return picture_on(disk, path)


def picture_on(disk: Disk, path: str) -> np.ndarray:
    """Read one picture as grey from an open `disk`; like :func:`read_picture`, faster for many pictures of an archive."""
    try:
        return decode_picture(disk.read(path))
    except FerError as error:
        raise FerError(f"{disk.root / path}: {error}; repair or remove this picture") from None


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """Open a picture and turn whatever its decoder raises, now or in the block, into FerError."""
    if not data:
        raise FerError("empty file (0 bytes)")
    try:
        with warnings.catch_warnings():
            # Decoders warn of odd metadata, which does not matter here; of huge pictures, which does.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                yield picture
    except FerError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FerError("picture of more than 89 million pixels") from None
    except UnidentifiedImageError:
        raise FerError("not a picture in any known format") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise FerError(f"damaged picture ({' '.join(str(error).split())})") from None


def _refusal(info: zipfile.ZipInfo) -> str:
    """Why an archive member is not read, or an empty string."""
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
        return "points outside the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.file_size > LARGEST_MEMBER:
        return f"of {info.file_size:,} bytes is larger than any picture or label"
    return ""
