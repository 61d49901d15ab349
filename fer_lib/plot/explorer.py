"""Look through feature maps by hand: a kernel-free page element and a slider for notebooks.

`explorer_html` writes one HTML fragment that holds its pictures, numbers, style and script, so that it works in
a built book, in a notebook and from a saved file, with neither a kernel nor a network. `slider` is the small
one, of the same kind, for a row of pictures. The book takes the pictures out of both into files beside its pages, which
are loaded when they are looked at (`fer_lib.book.beside`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from numpy.typing import ArrayLike, NDArray

from fer_lib.errors import FerError
from fer_lib.plot.fragment import asset, fragment, json_numbers
from fer_lib.plot.pictures import HIDDEN, Gallery, data_uri, grey

_MAPS_PER_SHEET = 32  # few enough that a page loads little before it is used
_WIDTH = 480  # px: small pictures of a slider are enlarged by a whole number up to this
_LOSSLESS_BELOW = 16  # px: tiles smaller than a block of the lossy codec would bleed into their neighbours
_WIDEST = 16383  # px: the largest side a WebP picture may have


@dataclass(frozen=True, eq=False)
class LayerView:
    """What the explorer shows of one layer of C maps, n pictures for each.

    Attributes
    ----------
    gallery : Gallery
        The squares that excite each map most and their projections. Unless every face may be published the squares are left out
        of the fragment altogether.
    centres : (C, n, 2) array
        Where each maximum lies, x and y in pixels of the network's input; NaN where there is none.
    distances : DataFrame, optional
        The distance D of every action unit (row, by its number) on every map (column); NaN or infinite where it has no finite
        value.

    Raises
    ------
    FerError
        If they do not describe the same maps.
    """

    gallery: Gallery
    centres: NDArray[np.floating[Any]]
    distances: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        maps, number = self.gallery.projections.shape[:2]
        if self.centres.shape != (maps, number, 2):
            raise FerError(
                f"layer {self.gallery.name}: centres have shape {self.centres.shape}; expected {(maps, number, 2)}"
            )
        if self.distances is not None and self.distances.shape[1] != maps:
            raise FerError(
                f"layer {self.gallery.name}: distances on {self.distances.shape[1]} maps; there are {maps}"
            )

    @property
    def aus(self) -> tuple[int, ...]:
        """Numbers of the action units that have distances."""
        return () if self.distances is None else tuple(int(au) for au in self.distances.index)


def mean_face(
    inputs: ArrayLike, landmarks: NDArray[np.floating[Any]], *, allowed: ArrayLike
) -> NDArray[np.uint8]:
    """Mean of some pictures, (side, side) uint8.

    Where one of their faces may not be published it is their mean landmarks, as dots: a mean of few people would be one of them.

    Parameters
    ----------
    inputs : (N, 1, side, side) array
        The pictures as the network sees them.
    landmarks : (N, 68, 2) array
        x and y in pixels of these pictures; NaN where unknown.
    allowed : (N,) bool array
        Whether the face of each picture may be published.
    """
    pictures = np.asarray(inputs)
    may_show = np.asarray(allowed, bool)
    if may_show.shape != pictures.shape[:1]:
        raise FerError(
            f"allowed has shape {may_show.shape}: say for each of {len(pictures)} pictures whether it may be published"
        )
    if may_show.all():
        return grey(pictures[:, 0].mean(0, dtype=np.float64))
    side = pictures.shape[-1]
    dots = np.full((side, side), HIDDEN, np.uint8)
    known = ((landmarks >= 0) & ~np.isnan(landmarks)).all((1, 2))
    if known.any():
        x, y = np.clip(landmarks[known].mean(0).round().astype(int), 0, side - 1).T
        dots[y, x] = 0
    return dots


def slider(
    pictures: Sequence[NDArray[np.uint8]],
    labels: Sequence[str],
    *,
    alt: str,
    name: str = "map",
) -> HTML:
    """Show one of several pictures, with a slider and a play button, where no kernel runs too.

    Parameters
    ----------
    pictures
        Grey pictures, uint8 (h, w) each, all of one size.
    labels
        One caption per picture, plain text.
    alt
        What the pictures show, for readers who cannot see them; each picture's label follows it.
    name
        What the slider counts.

    Returns
    -------
    HTML
        A self-contained fragment, which a cell that ends with it shows. Without scripts it is the first picture.

    Raises
    ------
    FerError
        If there is no picture, a label is missing, or a picture is not uint8 (h, w) or not of the first one's size.
    """
    if not len(pictures) or len(pictures) != len(labels):
        raise FerError(
            f"slider: {len(pictures)} pictures and {len(labels)} labels; give one label per picture"
        )
    for picture, label in zip(pictures, labels, strict=True):
        if picture.ndim != 2 or picture.dtype != np.uint8:
            raise FerError(f"slider: '{label}' is {picture.dtype} {picture.shape}; expected uint8 (h, w)")
        if picture.shape != pictures[0].shape:
            raise FerError(
                f"slider: '{label}' has shape {picture.shape}; expected {pictures[0].shape}, as the first has"
            )
    height, width = pictures[0].shape
    zoom = max(1, _WIDTH // width)
    uris = [data_uri(picture, lossless=min(height, width) < _LOSSLESS_BELOW) for picture in pictures]
    body = Template(asset("slider.html")).substitute(
        picture=uris[0],
        alt=escape(alt),
        label=escape(labels[0]),
        name=escape(name),
        last=len(pictures) - 1,
        width=zoom * width,
        height=zoom * height,
        pixels=' class="fer-pixels"' if zoom > 1 else "",
    )
    data = {"pictures": uris, "labels": list(labels), "alt": alt}
    return HTML(fragment("slider", body, data, name=alt))


def explorer_html(
    layers: Sequence[LayerView],
    mean_face: NDArray[np.uint8],
    *,
    au_names: Mapping[int, str],
    identifier: str = "explorer",
) -> str:
    """Return the explorer of all maps as one self-contained HTML fragment.

    Parameters
    ----------
    layers
        The layers to choose from; the first is shown first.
    mean_face
        uint8 (side, side): the mean of the network's inputs, below the positions of the maxima.
    au_names
        Names of the action units; units that are missing here appear by their number.
    identifier
        The element's id, unique on the page: a letter, then letters, digits, ``-`` or ``_``.

    Returns
    -------
    str
        A ``<div>`` with style, data and script inside.

    Raises
    ------
    FerError
        If there is no layer, the mean face is not a square uint8 picture, or the identifier is not allowed.
    """
    if not layers:
        raise FerError("explorer: no layer given; give at least one LayerView")
    if mean_face.ndim != 2 or mean_face.shape[0] != mean_face.shape[1] or mean_face.dtype != np.uint8:
        raise FerError(
            f"explorer: mean face is {mean_face.dtype} {mean_face.shape}; expected uint8 (side, side)"
        )
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", identifier):
        raise FerError(f"explorer: identifier {identifier!r}; use a letter, then letters, digits, - or _")
    shown = sorted({au for layer in layers for au in layer.aus})
    data = {
        "layers": [_layer_data(layer) for layer in layers],
        "face": {"uri": data_uri(mean_face), "side": mean_face.shape[0]},
        "names": {str(au): au_names[au] for au in shown if au in au_names},
    }
    name = "Explorer of the network's feature maps; left and right arrow keys change the map"
    attributes = f' id="{identifier}" tabindex="0"'
    return fragment("explorer", asset("explorer.html"), data, name=name, attributes=attributes)


def _layer_data(layer: LayerView) -> dict[str, Any]:
    pictures = layer.gallery
    distances = None if layer.distances is None else layer.distances.to_numpy(float)
    finite = None if distances is None else distances[np.isfinite(distances)]
    return {
        "name": pictures.name,
        "originals": _sheet(pictures.originals) if pictures.public else None,
        "projections": _sheet(pictures.projections),
        "centres": json_numbers(layer.centres, 1),
        "dead": pictures.dead.astype(bool).tolist(),
        "strength": json_numbers(pictures.strength, 3),
        "distances": None if distances is None else json_numbers(distances, 4),
        # The longest bar: one scale for the whole layer, so that maps can be compared.
        "largest": max(float(finite.max()), 1e-6) if finite is not None and finite.size else 1.0,
        "aus": list(layer.aus),
    }


def _sheet(tiles: NDArray[np.uint8]) -> dict[str, Any]:
    """Arrange (C, n, k, k) as blocks of a few pictures, a block of n tiles per map, and encode them."""
    maps, count, side, _ = tiles.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    columns = math.ceil(math.sqrt(min(maps, _MAPS_PER_SHEET)))
    largest = columns * across * side  # there are never more rows than columns
    if largest > _WIDEST:
        raise FerError(f"explorer: sheet of {largest} px; at most {_WIDEST} fit, show fewer or smaller tiles")
    uris = []
    for first in range(0, maps, _MAPS_PER_SHEET):
        part = tiles[first : first + _MAPS_PER_SHEET]
        rows = math.ceil(len(part) / columns)
        full = np.full((rows * columns, down * across, side, side), 128, np.uint8)
        full[: len(part), :count] = part
        blocks = full.reshape(rows, columns, down, across, side, side)
        sheet = blocks.transpose(0, 2, 4, 1, 3, 5).reshape(rows * down * side, columns * across * side)
        uris.append(data_uri(sheet, lossless=side < _LOSSLESS_BELOW))
    size = {"tile": side, "across": across, "down": down, "columns": columns, "count": count}
    return {"uris": uris, "maps": _MAPS_PER_SHEET, **size}
