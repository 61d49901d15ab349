"""Frames of a film, one after the other, as pictures (PyAV, the extra ``video``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_lib.errors import FerError
from fer_lib.faces.problems import one_line

FILMS = frozenset({".avi", ".mp4", ".mov", ".mkv", ".mpg", ".mpeg", ".wmv"})
"""Endings of films' names, in lower case."""

NEEDS_VIDEO = (
    "a film, and no PyAV to read it; install it (pip install 'fer-lib[video]'), or extract its frames "
    "(ffmpeg -i FILM -start_number 0 FOLDER/%05d.png)"
)


class Film:
    """A film whose frames are asked for by number, from 1, and best in their order: only then is each decoded once.

    Parameters
    ----------
    file : Path
        The film.

    Raises
    ------
    FerError
        If PyAV is not installed, or the file is no film; the message is the reason alone.
    """

    def __init__(self, file: Path) -> None:
        try:
            import av
        except ImportError:
            raise FerError(NEEDS_VIDEO) from None
        try:
            self._container: Any = av.open(str(file))
        except Exception as error:  # each kind of damage has an error of its own
            raise FerError(f"not a readable film ({one_line(error)})") from None
        if not self._container.streams.video:
            self._container.close()
            raise FerError("a film without pictures")
        self._stream = self._container.streams.video[0]
        self._frames: Iterator[Any] = iter(())
        self._next = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its frames, in pixels."""
        return int(self._stream.width), int(self._stream.height)

    def count(self) -> int:
        """Count its frames, without decoding them."""
        try:
            self._container.seek(0)
            self._next = 0
            return sum(packet.size > 0 for packet in self._container.demux(self._stream))
        except Exception as error:
            raise FerError(f"damaged film ({one_line(error)})") from None

    def read(self, member: str) -> bytes:
        """Return the frame of a number as a picture (PPM).

        Raises
        ------
        FerError
            If there is no such frame or it cannot be decoded; the message is the reason alone.
        """
        if not (member.isascii() and member.isdigit() and int(member) > 0):
            raise FerError(f"{member!r} is not the number of a frame; they count from 1")
        number = int(member)
        try:
            if not 0 < self._next <= number:
                self._container.seek(0)
                self._frames, self._next = self._container.decode(self._stream), 1
            for frame in self._frames:
                self._next += 1
                if self._next > number:
                    height, width, _ = (pixels := frame.to_ndarray(format="rgb24")).shape
                    return f"P6 {width} {height} 255\n".encode() + pixels.tobytes()
        except Exception as error:
            self._next = 0
            raise FerError(f"damaged film ({one_line(error)})") from None
        last, self._next = self._next - 1, 0
        raise FerError(f"no frame {number}, the film has {last}")

    def close(self) -> None:
        """Close the file."""
        self._container.close()
