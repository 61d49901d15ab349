"""From numbers to grey pictures: the gallery of a layer, tiles, strips and data URIs that figures, tables and sliders share."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image, features

from fer_lib.errors import FerError
from fer_lib.probe.inputs import Images
from fer_lib.probe.projections import Projections, crops
from fer_lib.probe.responses import Exemplars

GAP = 2
HIDDEN = 235  # grey of a face that may not be shown
_QUALITY = 80


def grey(values: ArrayLike) -> np.ndarray:
    """Stretch values to the full range, uint8; a constant becomes mid-grey."""
    x = np.asarray(values, float)
    low, high = np.nanmin(x), np.nanmax(x)
    if high <= low:
        return np.full(x.shape, 128, np.uint8)
    return np.rint((x - low) / (high - low) * 255).astype(np.uint8)


def signed_grey(values: ArrayLike) -> np.ndarray:
    """Map 0 to mid-grey and the largest absolute value to black or white, uint8."""
    x = np.asarray(values, float)
    top = np.abs(x).max()
    return np.rint(128 + 127 * (x / top if top > 0 else x)).astype(np.uint8)


def enlarge(picture: np.ndarray, factor: int) -> np.ndarray:
    """Repeat every pixel, so that units stay visible as squares."""
    return picture.repeat(factor, 0).repeat(factor, 1)


def strip(tiles: np.ndarray, *, columns: int | None = None, fill: int = 255) -> np.ndarray:
    """Join tiles, (n, h, w) uint8, to one picture with `columns` in a row (default: one row)."""
    n, h, w = tiles.shape
    columns = columns or max(n, 1)
    rows = max(-(-n // columns), 1)
    out = np.full((rows * (h + GAP) - GAP, columns * (w + GAP) - GAP), fill, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (h + GAP), (i % columns) * (w + GAP)
        out[y : y + h, x : x + w] = tile
    return out


def data_uri(picture: np.ndarray, *, lossless: bool = True) -> str:
    """Return a grey or RGB uint8 picture as a ``data:`` address: WebP, or PNG or JPEG where Pillow cannot write that."""
    options: dict[str, Any]
    if features.check("webp"):
        kind, options = "webp", {"lossless": True, "method": 6} if lossless else {"quality": _QUALITY}
    else:
        kind, options = ("png", {"optimize": True}) if lossless else ("jpeg", {"quality": _QUALITY})
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def html_image(figure: Figure, alt: str) -> str:
    """Return a figure as an ``img`` element of HTML, with a text for those who cannot see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="{source}" alt="{html.escape(alt)}" style="max-width: 100%">'


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures of what excites each of the C maps of a layer most, n for each map, strongest first.

    Attributes
    ----------
    layer : str
        Name of the layer, such as ``relu3``.
    originals : (C, n, k, k) uint8 array
        The squares of the pictures, each stretched on its own; :data:`HIDDEN` where a map has no further picture and where a face
        may not be published.
    projections : (C, n, k, k) uint8 array
        What the units used of these squares; 128 is zero.
    strength : (C,) array
        Largest activation of each map, 0 for a dead one.
    dead : (C,) bool array
        Maps that no picture excites.
    public : bool
        Whether every face may be published.

    Raises
    ------
    FerError
        If the shapes or types disagree.
    """

    layer: str
    originals: NDArray[np.uint8]
    projections: NDArray[np.uint8]
    strength: NDArray[np.floating[Any]]
    dead: NDArray[np.bool_]
    public: bool

    def __post_init__(self) -> None:
        shape = self.projections.shape
        if len(shape) != 4 or 0 in shape or shape[2] != shape[3]:
            raise FerError(f"layer {self.layer}: projections have shape {shape}; expected (maps, n, k, k)")
        for field in ("originals", "projections"):
            kind = getattr(self, field).dtype
            if kind != np.uint8:
                raise FerError(f"layer {self.layer}: {field} are {kind}; convert them to uint8")
        for field, wanted in {"originals": shape, "strength": shape[:1], "dead": shape[:1]}.items():
            found = getattr(self, field).shape
            if found != wanted:
                raise FerError(f"layer {self.layer}: {field} have shape {found}; expected {wanted}")

    @property
    def name(self) -> str:
        """The layer as the paper calls it: ``conv3`` for the rectified maps of the third convolution."""
        return self.layer.replace("relu", "conv")


def gallery(exemplars: Exemplars, projections: Projections, images: Images, *, allowed: ArrayLike) -> Gallery:
    """Cut the squares of every map's strongest units from the pictures, and set their projections beside them.

    Parameters
    ----------
    exemplars : Exemplars
        The strongest units of every map.
    projections : Projections
        One for each of these units, in their order.
    images : array, tensor or function
        The grey pictures as the network sees them, (N, 1, side, side), or a function that gives those of some numbers.
    allowed : (N,) bool array
        Whether the face of each picture may be published; the square of one that may not is blank.

    Raises
    ------
    FerError
        If exemplars, projections and pictures do not belong together.
    """
    units, may_show = exemplars.units(), np.asarray(allowed, bool)
    if not all(np.array_equal(getattr(units, n), getattr(projections.units, n)) for n in units.NAMES):
        raise FerError("the projections are of other units than the exemplars: project exemplars.units()")
    if may_show.ndim != 1 or units.picture.max(initial=-1) >= len(may_show):
        raise FerError(
            f"allowed has shape {may_show.shape}: say for each picture, up to {units.picture.max(initial=-1)}, "
            "whether it may be published"
        )
    shape = (*exemplars.picture.shape, *projections.patch.shape[2:])
    originals, projected = np.full(shape, HIDDEN, np.uint8), np.full(shape, 128, np.uint8)
    at = np.argwhere(exemplars.picture >= 0)
    squares = crops(images, projections) if len(projections) else projections.patch
    for (c, rank), number, square, patch in zip(
        at, units.picture, squares[:, 0], projections.patch[:, 0], strict=True
    ):
        if may_show[number]:
            originals[c, rank] = grey(square)
        projected[c, rank] = signed_grey(patch)
    return Gallery(
        layer=projections.layer,
        originals=originals,
        projections=projected,
        strength=exemplars.value[:, 0].astype(float),
        dead=exemplars.dead,
        public=bool(may_show.all()),
    )
