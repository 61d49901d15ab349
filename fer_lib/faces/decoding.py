"""Picture files as grey arrays: upright, as they are seen.

What a picture's EXIF orientation says is done, and every pixel that this package speaks of is counted in the upright picture.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_lib.errors import FerError
from fer_lib.faces.disk import Disk, container
from fer_lib.faces.films import Film
from fer_lib.faces.problems import one_line

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "PPM", "WEBP")
"""Formats of pictures that are read, as Pillow names them (PPM: also PGM and PBM); nothing else is given to a decoder."""

_SIXTEEN_TO_EIGHT_BITS = 257
_LARGEST = 2**16 - 1
_MAY_TURN = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What a PNG that says how it is to be turned holds somewhere."""


class PictureFacts(NamedTuple):
    """What a picture file is; width and height are those of the upright picture."""

    width: int
    height: int
    mode: str
    format: str


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
        form = str(picture.format)
        if form == "PNG" and not any(word in data for word in _MAY_TURN):
            facts = PictureFacts(picture.width, picture.height, picture.mode, form)
            picture.verify()
        else:
            upright = _upright(picture)
            _check_values(upright)
            facts = PictureFacts(upright.width, upright.height, picture.mode, form)
    return facts


def decode_picture(data: bytes) -> np.ndarray:
    """Decode a picture to grey, upright as its EXIF orientation says.

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
    with _opened(data) as opened:
        picture = _upright(opened)
        _check_values(picture)
        if picture.mode.startswith("I"):
            wide = np.asarray(picture, dtype=np.int64)
            return (wide // _SIXTEEN_TO_EIGHT_BITS).astype(np.uint8)
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


def size_on(disk: Disk, path: str) -> tuple[int, int]:
    """Return width and height of an upright picture, which is checked to be whole; of a film's frame those of the film.

    Raises
    ------
    FerError
        If it cannot be read; the message is the reason alone.
    """
    outer = container(path)
    try:
        if outer and not outer.lower().endswith(".zip") and isinstance(film := disk.numbered(outer), Film):
            return film.size
    except OSError as error:
        raise FerError(f"unreadable ({error.strerror})") from None
    facts = inspect_picture(disk.read(path))
    return facts.width, facts.height


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
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                yield picture
    except FerError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FerError("picture of more than 89 million pixels; make it smaller") from None
    except UnidentifiedImageError:
        raise FerError(
            "not a picture in any known format (PNG, JPEG, TIFF, BMP, PGM, PPM, WebP); save it as PNG"
        ) from None
    # On damaged bytes decoders raise OSError, SyntaxError, ValueError, struct.error, EOFError, KeyError, MemoryError and more.
    except Exception as error:
        raise FerError(f"damaged picture ({one_line(error)})") from None


def _check_values(picture: Image.Image) -> None:
    """Refuse a picture whose values have no known range."""
    if picture.mode == "F":
        raise FerError("picture of floating-point numbers, whose range is unknown; save it with 8 or 16 bits")
    if picture.mode == "I":
        values = np.asarray(picture)
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        if low < 0 or high > _LARGEST:
            raise FerError(f"grey values from {low} to {high}; save it with 8 or 16 bits")


def _upright(picture: Image.Image) -> Image.Image:
    """Decode a picture and turn it as its EXIF orientation says; Pillow itself turns a TIFF while decoding it."""
    picture.load()
    try:
        picture.getexif()
    except Exception:  # damaged metadata turns nothing, as in viewers
        return picture
    # Otherwise Pillow would write the rest of the metadata anew, which not every camera's survives.
    picture.info.pop("exif", None)
    picture.info.pop("Raw profile type exif", None)
    return ImageOps.exif_transpose(picture)
