"""Pictures that are written into a table as numbers, one a row: ``emotion,pixels,Usage``."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from math import isqrt
from pathlib import Path

from fer_lib.errors import FerError

PIXELS = "pixels"
_BOM = b"\xef\xbb\xbf"
_LONGEST_HEADER = 2**16


def column_names(file: Path) -> tuple[str, ...]:
    """Names of a table's columns, without blanks around them, by its first line alone; none where it cannot be read."""
    try:
        if not file.is_file():  # reading a pipe would wait for ever
            return ()
        with file.open("rb") as stream:
            return _names(stream.readline(_LONGEST_HEADER))
    except (OSError, ValueError):
        return ()


class PixelRows:
    """A table with a column ``pixels`` of grey values of square pictures, separated by blanks; rows are read one at a time.

    Parameters
    ----------
    file : Path
        A ``.csv`` file: commas, a header line, no commas within cells.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.

    Raises
    ------
    FerError
        If it has no column ``pixels``; the message is the reason alone.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb")
        self.names = _names(self._file.readline(_LONGEST_HEADER))
        if PIXELS not in self.names:
            self._file.close()
            raise FerError(f"no column {PIXELS!r}: it holds no pictures")
        self._starts = array("q")  # eight bytes a row, whatever the size of the pictures

    def __len__(self) -> int:
        return len(self._index())

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield each row's cells by column.

        Raises
        ------
        FerError
            If a row has another number of cells than the header; the message is the reason alone.
        """
        for number in range(1, len(self) + 1):
            yield self._row(number)

    def read(self, member: str) -> bytes:
        """Return the picture of a row, counted from 1 below the header, as PGM.

        Raises
        ------
        FerError
            If there is no such row, or its pixels are no square picture of values from 0 to 255; the message is the reason alone.
        """
        if not (member.isascii() and member.isdigit() and 0 < int(member) <= len(self)):
            raise FerError(f"no row {member}, the table has {len(self)}")
        return picture_of(self._row(int(member))[PIXELS])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _index(self) -> array[int]:
        if not self._starts:
            self._file.seek(0)
            start = len(self._file.readline())
            for line in self._file:
                if line.strip():
                    self._starts.append(start)
                start += len(line)
        return self._starts

    def _row(self, number: int) -> dict[str, str]:
        self._file.seek(self._index()[number - 1])
        cells = _cells(self._file.readline())
        if len(cells) != len(self.names):
            raise FerError(f"row {number} has {len(cells)} cells for {len(self.names)} columns")
        return dict(zip(self.names, cells, strict=True))


def picture_of(pixels: str) -> bytes:
    """Return grey values as a picture (PGM).

    Raises
    ------
    FerError
        If they are no square picture of values from 0 to 255; the message is the reason alone.
    """
    try:
        grey = bytes(map(int, pixels.encode("ascii").split()))
    except ValueError:
        raise FerError("its pixels are not whole numbers from 0 to 255") from None
    side = isqrt(len(grey))
    if not grey or side * side != len(grey):
        raise FerError(f"{len(grey)} pixels, which is no square picture")
    return f"P5 {side} {side} 255\n".encode() + grey


def _names(line: bytes) -> tuple[str, ...]:
    return tuple(_cells(line.removeprefix(_BOM)))


def _cells(line: bytes) -> list[str]:
    return [cell.strip().strip('"').strip() for cell in line.decode("utf-8", "replace").split(",")]
