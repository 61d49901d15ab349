"""How rendered sets lie on disk: CK+'s number formats, region masks, and folders that appear whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fer_lib.errors import FerError

MASK_SIDE = 96
"""Side of the stored region masks, in pixels of the landmark crop scaled to the network's input."""
_SETTINGS = Path("rendered") / "settings.json"
_MAKER = "fer_lib.render"
_SHORT = 9


def numbers(rows: np.ndarray) -> str:
    r"""Write numbers as CK+ does: 16 characters each, seven decimals, an exponent of two digits, rows in lines.

    Parameters
    ----------
    rows : (n, k) array
        Pixel coordinates, AU and intensity, or an emotion code.

    Returns
    -------
    str
        For example ``"   9.0000000e+00   4.0000000e+00\n"``.
    """
    return "".join("".join(f"{value:16.7e}" for value in row) + "\n" for row in rows)


def landmark_box(landmarks: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in pixels of the box that the extreme landmarks (68, 2) span."""
    left, top = landmarks.min(axis=0)
    right, bottom = landmarks.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def crop_mask(region: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Cut a region mask to the box of the landmarks and scale it to the network's input.

    Parameters
    ----------
    region : (size, size) float array
        How much an AU moves each pixel, 0 to 1.
    landmarks : (68, 2) float array
        Pixel x, y.

    Returns
    -------
    (96, 96) uint8 array
        0 (untouched) to 255.
    """
    height, width = region.shape
    left, top, right, bottom = landmark_box(landmarks)
    box = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    mask = Image.fromarray(np.ascontiguousarray(region, dtype=np.float32))
    scaled = np.asarray(mask.resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BILINEAR, box=box))
    return np.asarray(np.round(np.clip(scaled, 0, 1) * 255), dtype=np.uint8)


def flatten(prefix: str, thing: Any) -> dict[str, float | str]:
    """Turn an object's public numbers, flags, texts and short vectors into named table cells."""
    cells: dict[str, float | str] = {}
    for name, value in vars(thing).items():
        if name.startswith("_"):
            continue
        if isinstance(value, str):
            cells[f"{prefix}_{name}"] = value
        elif isinstance(value, (int, float, np.number)):
            cells[f"{prefix}_{name}"] = float(value)
        elif isinstance(value, (tuple, list, np.ndarray)):
            vector = np.asarray(value)
            if vector.ndim == 1 and len(vector) <= _SHORT and vector.dtype.kind in "bif":
                cells |= {f"{prefix}_{name}_{index}": float(part) for index, part in enumerate(vector)}
    return cells


@contextmanager
def new_folder(out: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Give a folder to write in that becomes `out` when the block ends well, and vanishes otherwise.

    Parameters
    ----------
    out : Path
        Where the set is to lie: new, empty, or an earlier rendered set, which is then replaced at the very end.
    settings : mapping
        Written to ``rendered/settings.json``, which marks the folder as a rendered set.

    Yields
    ------
    Path
        A folder beside `out`, with an empty ``rendered/`` in it.

    Raises
    ------
    FerError
        If `out` is a file, or a folder with something else in it.
    """
    out = Path(out).resolve()
    if out.exists() and not out.is_dir():
        raise FerError(f"{out} is a file: give a folder to render into")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out):
        raise FerError(f"{out} holds files that no rendering wrote: give a new or empty folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.parent / f".{out.name}.partial-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "rendered").mkdir(parents=True)
    except OSError as error:
        raise FerError(
            f"cannot write beside {out} ({error.strerror}): give a folder that can be written"
        ) from error
    try:
        yield partial
        text = json.dumps({"maker": _MAKER, **settings}, indent=2, sort_keys=True)
        (partial / _SETTINGS).write_text(text + "\n", encoding="utf-8")
        old = partial.with_suffix(f".old-{os.getpid()}")
        if out.exists():
            out.rename(old)
        partial.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether an earlier rendering wrote the folder."""
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and settings.get("maker") == _MAKER
