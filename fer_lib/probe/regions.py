"""Where on the face a unit looks: landmarks and receptive fields in one frame, the network's input."""

from __future__ import annotations

import numpy as np

from fer_lib.errors import FerError, Lacking
from fer_lib.network.stack import Field

# Indices of the 68 landmarks that outline each part of a face.
LANDMARKS: dict[str, slice] = {
    "brows": slice(17, 27),
    "eyes": slice(36, 48),
    "nose": slice(27, 36),
    "mouth": slice(48, 68),
}


def to_input(points: np.ndarray, boxes: np.ndarray, *, resize: int = 99, crop: int = 96) -> np.ndarray:
    """Carry picture coordinates to the network's input, as the deterministic preprocessing of the picture does.

    Parameters
    ----------
    points : (N, M, 2) array
        x and y in pixels of the picture.
    boxes : (N, 4) array
        Left, top, right and bottom of each face crop, in pixels of the picture; the pixels that hold these points belong
        to the face (see `fer_lib.faces.cropping.crop`).
    resize, crop : int
        Side after scaling, and of the central cut.

    Returns
    -------
    (N, M, 2) float array
        x and y in pixels of the input; whole numbers are the middles of pixels, as in the picture.
    """
    whole = np.floor(np.asarray(boxes, float)[:, None] + 0.5)
    low, high = whole[..., :2], whole[..., 2:] + 1  # the last pixel belongs to the face
    scaled = (points + 0.5 - low) / (high - low) * resize - 0.5
    return scaled - (resize - crop) // 2


def boxes_of(landmarks: np.ndarray, region: str, *, margin: float = 0.15) -> np.ndarray:
    """Box of a part of the face, widened by a margin relative to its larger side.

    Parameters
    ----------
    landmarks : (N, 68, 2) array
        Landmarks, in any frame.
    region : str
        One of :data:`LANDMARKS`.
    margin : float
        Share of the larger side that is added on every side.

    Returns
    -------
    (N, 4) float array
        Left, top, right, bottom; NaN where landmarks are missing.
    """
    if region not in LANDMARKS:
        raise FerError(f"unknown region {region!r}: one of {', '.join(LANDMARKS)} expected")
    points = landmarks[:, LANDMARKS[region]]
    low, high = points.min(1), points.max(1)
    widen = margin * (high - low).max(1, keepdims=True)
    return np.concatenate([low - widen, high + widen], 1)


def inside(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether each point, (..., 2), lies in its box, (..., 4); False where either is unknown."""
    return np.asarray(((points >= boxes[..., :2]) & (points <= boxes[..., 2:])).all(-1))


def centres(field: Field, count: int) -> np.ndarray:
    """Return the pixel coordinates of the receptive fields' centres of `count` units along one axis, (count,) float."""
    return np.asarray(field.offset + field.stride * np.arange(count) + (field.size - 1) / 2, dtype=float)


def random_shares(field: Field, shape: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
    """Share of a map's units whose receptive field is centred in each box: what a unit at random reaches.

    It is not the box's share of the picture, for no unit is centred near the border.

    Parameters
    ----------
    field : Field
        Receptive field of the layer.
    shape : (int, int)
        Height and width of the map.
    boxes : (N, 4) array
        Left, top, right and bottom in pixels of the input.

    Returns
    -------
    (N,) float array
        From 0 to 1; NaN where the box is unknown.
    """
    y, x = (centres(field, count) for count in shape)
    left, top, right, bottom = np.asarray(boxes, float).T[..., None]
    share = ((x >= left) & (x <= right)).mean(-1) * ((y >= top) & (y <= bottom)).mean(-1)
    return np.where(np.isnan(boxes).any(-1), np.nan, share)


def region_shares(
    picture: np.ndarray, centre: np.ndarray, landmarks: np.ndarray, region: str, *, margin: float = 0.15
) -> np.ndarray:
    """Share of a map's strongest units whose receptive field is centred in a part of the face.

    Parameters
    ----------
    picture : (C, n) int array
        Strongest pictures of each map, -1 where there is none.
    centre : (C, n, 2) array
        x and y of the centre of each unit's receptive field, in pixels of the input.
    landmarks : (N, 68, 2) array
        Landmarks of every picture in the same frame.
    region : str
        One of :data:`LANDMARKS`.
    margin : float
        See :func:`boxes_of`.

    Returns
    -------
    (C,) float array
        From 0 to 1; NaN for a map without pictures.

    Raises
    ------
    Lacking
        If no picture has landmarks.
    """
    if np.isnan(landmarks).all():
        raise Lacking("no picture has landmarks, so where the parts of the face lie is not known")
    hit = inside(centre, boxes_of(landmarks, region, margin=margin)[picture])
    there = picture >= 0
    count = there.sum(1)
    return np.where(count > 0, (hit & there).sum(1) / np.maximum(count, 1), np.nan)


def most_distinct(patches: np.ndarray, candidates: np.ndarray, number: int) -> list[int]:
    """Choose maps whose mean projections differ: each next one correlates least with all those chosen.

    Parameters
    ----------
    patches : (C, h, w) array
        Mean projection of every map.
    candidates : (m,) int array
        Maps to choose from, the first one being taken first.
    number : int
        How many to choose; fewer are returned where there are fewer candidates.

    Returns
    -------
    list of int
    """
    rest = [int(c) for c in candidates]
    flat = patches.reshape(len(patches), -1).astype(float)
    flat = flat - flat.mean(1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = flat / np.where(norm > 0, norm, 1)
    chosen: list[int] = []
    while rest and len(chosen) < number:
        worst = [max((flat[c] @ flat[d] for d in chosen), default=0.0) for c in rest]
        chosen.append(rest.pop(int(np.argmin(worst))))
    return chosen
