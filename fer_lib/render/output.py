"""How rendered sets lie on disk: CK+'s number formats, pictures, region masks and tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm.auto import tqdm

from fer_lib.errors import FerError

SIZES = (32, 2048)
"""Smallest and largest side of a rendered picture, in pixels."""
MASK_SIDE = 96
"""Side of the stored region masks, in pixels of the landmark crop scaled to the network's input."""
_SHORT = 9
_ROWS_AT_ONCE = 4096


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
    """Cut a region mask to the box of the landmarks, which is the face crop, and scale it to a square.

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


def check_size(size: int) -> None:
    """Refuse a side of the pictures that is out of range, with a FerError."""
    if not SIZES[0] <= size <= SIZES[1]:
        raise FerError(f"size is {size}: give {SIZES[0]} to {SIZES[1]} pixels")


def save_text(text: str, path: Path) -> None:
    """Write a text file as CK+ has them, in a folder made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii", newline="\n")


def save_picture(image: np.ndarray, path: Path) -> None:
    """Write a grey picture, (size, size) uint8, in a folder made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, compress_level=1)  # six times quicker than the default, 15 % larger


def save_regions(
    frame: Any, aus: Sequence[int], path: Path, masks: dict[int, tuple[np.ndarray, int]]
) -> None:
    """Write the masks of AUs that a frame shows, in crop coordinates, and add them to the running sums."""
    cut = [crop_mask(frame.region(au), frame.landmarks) for au in aus]
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(aus), MASK_SIDE, MASK_SIDE)
    np.savez_compressed(
        path, au=np.array(aus, dtype=np.int16), mask=np.array(cut, dtype=np.uint8).reshape(shape)
    )
    for au, mask in zip(aus, cut, strict=True):
        total, count = masks.get(au, (np.zeros((MASK_SIDE, MASK_SIDE), dtype=np.int64), 0))
        masks[au] = (total + mask, count + 1)


def box_cells(landmarks: np.ndarray) -> dict[str, float]:
    """Box of the landmarks, (68, 2), as named table cells."""
    return dict(zip(("left", "top", "right", "bottom"), landmark_box(landmarks), strict=True))


@dataclass(frozen=True)
class Part:
    """What one worker hands back: table rows, and the sum and number of its region masks per AU."""

    rows: list[dict[str, Any]]
    masks: Mapping[int, tuple[np.ndarray, int]]


def collect(parts: Iterable[Part], folder: Path, *, total: int, table: str, progress: bool) -> None:
    """Write the rows of all parts as they come, and the mean region masks at the end."""
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    waiting: list[dict[str, Any]] = []
    writer: pq.ParquetWriter | None = None
    with tqdm(total=total, desc="faces", unit="face", disable=None if progress else True) as bar:
        for part in parts:
            waiting += part.rows
            for au, (mask, count) in part.masks.items():
                sums[au] = sums.get(au, np.zeros_like(mask)) + mask
                counts[au] = counts.get(au, 0) + count
            bar.update(len(part.rows))
            if len(waiting) >= _ROWS_AT_ONCE:
                writer = _write_rows(waiting, folder / "rendered" / table, writer)
                waiting = []
    if waiting:
        writer = _write_rows(waiting, folder / "rendered" / table, writer)
    if writer is not None:
        writer.close()
    order = sorted(sums)
    np.savez_compressed(
        folder / "rendered" / "regions.npz",
        au=np.array(order, dtype=np.int16),
        mask=np.array([sums[au] / counts[au] / 255 for au in order], dtype=np.float32).reshape(
            -1, MASK_SIDE, MASK_SIDE
        ),
        count=np.array([counts[au] for au in order], dtype=np.int32),
    )


def _write_rows(rows: list[dict[str, Any]], path: Path, writer: pq.ParquetWriter | None) -> pq.ParquetWriter:
    table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
    writer = writer or pq.ParquetWriter(path, table.schema)
    writer.write_table(table)
    return writer
