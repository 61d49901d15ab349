"""Files that are whole or not there, and the operating system's refusals as one line that says what to do."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike

from fer_lib.errors import FerError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a disk, a quota or a largest size that leave no room."""
# What a disk says when it cannot be written, or fails, and no library adds the file's name.
_BROKEN = frozenset({errno.EROFS, errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV})


@contextmanager
def aside(path: Path) -> Iterator[IO[bytes]]:
    """Give a stream that becomes the file when the block ends well, and leaves nothing otherwise.

    Parameters
    ----------
    path : Path
        File to write or replace. Whenever the process is killed it has its old or its whole new content.

    Yields
    ------
    binary stream
    """
    other = path.with_name(path.name + ".new")
    try:
        with other.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        other.replace(path)
    except BaseException:
        other.unlink(missing_ok=True)
        raise


def write_aside(path: Path, content: bytes) -> None:
    """Write a file so that it has either its old or its whole new content, whenever the process is killed.

    Parameters
    ----------
    path : Path
        File to write or replace.
    content : bytes
        Its new content.
    """
    with aside(path) as stream:
        stream.write(content)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, whole or not at all.

    Parameters
    ----------
    path : Path
        File to write.
    content : bytes
        Its content.

    Raises
    ------
    FerError
        If something is there already.
    """
    try:
        stream = path.open("xb")
    except FileExistsError:
        raise FerError(f"{path}: is there already, and nothing is overwritten; give another name") from None
    try:
        with stream:
            stream.write(content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as ``np.save`` does, with the operating system's own error where the disk is full.

    ``np.save`` hands real files to a function in C that says how many items it wrote, and not why it stopped.
    """
    with aside(path) as stream:
        np.save(SimpleNamespace(write=stream.write), array, allow_pickle=False)


@contextmanager
def growing_array(
    path: Path, dtype: DTypeLike, row: tuple[int, ...] = ()
) -> Iterator[Callable[[np.ndarray], None]]:
    """Give a function that appends rows to an array on disk, as many as there are; nothing stays if the block fails.

    Parameters
    ----------
    path : Path
        File to write or replace, as ``np.save`` writes it.
    dtype : dtype
        Of the array; what is appended is converted to it.
    row : tuple of int
        Shape of one row.

    Yields
    ------
    callable
        Takes rows, (n, *row).
    """
    count, kind = 0, np.dtype(dtype)

    with aside(path) as stream:

        def header() -> None:
            # numpy leaves room for any number of rows, so that the header can be written again.
            described = {"descr": kind.str, "fortran_order": False, "shape": (count, *row)}
            np.lib.format.write_array_header_1_0(stream, described)

        def append(rows: np.ndarray) -> None:
            nonlocal count
            if rows.shape[1:] != row:
                raise ValueError(f"{path}: rows of shape {rows.shape[1:]}, not {row}")
            stream.write(np.ascontiguousarray(rows, dtype=kind).data)
            count += len(rows)

        header()
        yield append
        stream.seek(0)
        header()


@contextmanager
def plain_refusals(place: Path, what: str, remedy: str, *others: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write below a folder into one line.

    Parameters
    ----------
    place : Path
        Folder, or file, that is written.
    what : str
        What is written, such as ``"faces"``.
    remedy : str
        What the user can do about it.
    others : Path
        Further places that are written on the way.

    Raises
    ------
    FerError
        In place of an `OSError` that says that the disk is full, or that something at, below or above one of the places
        cannot be written. Any other error passes.
    """
    try:
        yield
    except OSError as error:
        said = refusal(error, place, what, remedy, *others)
        if said is None:
            raise
        raise said from error


def refusal(error: OSError, place: Path, what: str, remedy: str, *others: Path) -> FerError | None:
    """Return what `plain_refusals` raises for an error, or None where the error is about something else."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in FULL:
        return FerError(f"no room left for {what} in {place} ({reason}); {remedy}")
    names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if _is_name(name)]
    concerned = any(
        name.is_relative_to(one) or one.is_relative_to(name) for name in names for one in (place, *others)
    )
    # Arrow puts the name into the text alone; a failed write to an open file bears none.
    if concerned or str(place) in str(error) or (not names and error.errno in _BROKEN):
        where = f": {names[0]}" if names and names[0] != place else ""
        return FerError(f"cannot write {what} in {place} ({reason}{where}); {remedy}")
    return None


def _is_name(name: Any) -> bool:
    return isinstance(name, str | bytes) and bool(name)
