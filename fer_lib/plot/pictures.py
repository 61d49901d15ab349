"""From numbers to grey pictures: tiles, strips and data URIs that figures, tables and sliders share."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from fer_lib.probe.deconv import crops

if TYPE_CHECKING:
    from fer_lib.experiment.study import Study

GAP = 2
HIDDEN = 235  # grey of a face that may not be shown


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


def png(picture: np.ndarray) -> bytes:
    """Encode a grey or RGB uint8 picture."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(picture: np.ndarray) -> str:
    """Return a picture as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()


def html_image(figure: Figure, alt: str) -> str:
    """Return a figure as an ``img`` element of HTML, with a text for those who cannot see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="{source}" alt="{html.escape(alt)}" style="max-width: 100%">'


def exemplar_tiles(
    study: Study, layer: str = "relu3", rule: str = "deconvnet"
) -> tuple[np.ndarray, np.ndarray]:
    """Squares and projections of every map's strongest units.

    Parameters
    ----------
    study : Study
    layer : str
        Layer of the units.
    rule : str
        Backward rule.

    Returns
    -------
    originals, projections : (C, n, k, k) uint8 arrays
        Each square stretched on its own; projections with 0 at mid-grey. Where a map has no further picture both are blank; where a
        face may not be published the square of the original is.
    """
    strongest = study.exemplars_of(layer)
    projected = study.projections_of(layer, rule)
    squares = crops(study.inputs, projected)[:, 0]
    k = squares.shape[-1]
    maps, n = strongest.picture.shape
    originals = np.full((maps, n, k, k), HIDDEN, np.uint8)
    projections = np.full((maps, n, k, k), 128, np.uint8)
    at = np.nonzero(strongest.picture >= 0)
    for i, (c, rank) in enumerate(zip(*at, strict=True)):
        if study.shown[projected.units.picture[i]]:
            originals[c, rank] = grey(squares[i])
        projections[c, rank] = signed_grey(projected.patch[i, 0])
    return originals, projections
