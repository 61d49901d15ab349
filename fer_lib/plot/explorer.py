"""Look through feature maps by hand: a kernel-free page element and a slider for notebooks.

`explorer_html` writes one HTML fragment that holds its pictures, numbers, style and script, so that it works in
a built book, in a notebook and from a saved file, with neither a kernel nor a network. `slider` is the small
widget for a handful of pictures, linked in the browser so that it works in a saved notebook too.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from fer_lib.errors import FerError

if TYPE_CHECKING:
    import ipywidgets

_QUALITY = 80
_LOSSLESS_BELOW = 16  # px: tiles smaller than a block of the lossy codec would bleed into their neighbours
_WIDEST = 16383  # px: the largest side a WebP picture may have


@dataclass(frozen=True)
class LayerView:
    """What the explorer shows of one layer of C maps, n pictures for each, and J action units.

    Attributes
    ----------
    name
        The layer's name, such as ``conv3``.
    originals, projections
        uint8 (C, n, k, k): the windows of the pictures that excite each map most, strongest first, and what the
        deconvolution projects back into them; in the projections 128 is zero.
    centres
        (C, n, 2): where each maximum lies, x and y in pixels of the network's input; NaN where there is none.
    dead
        bool (C,): the maps that no picture activates.
    strength
        (C,): each map's largest activation.
    distances
        (J, C): the distance D of every action unit and map, NaN or infinite where it has no finite
        value; None without distances.
    aus
        The J action units' numbers, in the order of `distances`.
    faces_shown
        Whether the originals may be shown. If not, they are left out of the fragment altogether.
    """

    name: str
    originals: NDArray[np.uint8]
    projections: NDArray[np.uint8]
    centres: NDArray[np.floating[Any]]
    dead: NDArray[np.bool_]
    strength: NDArray[np.floating[Any]]
    distances: NDArray[np.floating[Any]] | None = None
    aus: tuple[int, ...] = ()
    faces_shown: bool = True

    def __post_init__(self) -> None:
        """Check that everything describes the same maps.

        Raises
        ------
        FerError
            If the shapes or types disagree.
        """
        shape = self.projections.shape
        if len(shape) != 4 or 0 in shape or shape[2] != shape[3]:
            raise FerError(f"layer {self.name}: projections have shape {shape}; expected (maps, n, k, k)")
        for field in ("originals", "projections"):
            kind = getattr(self, field).dtype
            if kind != np.uint8:
                raise FerError(f"layer {self.name}: {field} are {kind}; convert them to uint8")
        maps, number = shape[:2]
        expected: dict[str, tuple[int, ...]] = {
            "originals": shape,
            "centres": (maps, number, 2),
            "dead": (maps,),
            "strength": (maps,),
        }
        if self.distances is not None:
            expected["distances"] = (len(self.aus), maps)
        for field, wanted in expected.items():
            found = getattr(self, field).shape
            if found != wanted:
                raise FerError(f"layer {self.name}: {field} have shape {found}; expected {wanted}")


def slider(
    pictures: Sequence[NDArray[np.uint8]],
    labels: Sequence[str],
    *,
    alt: str,
    name: str = "map",
) -> ipywidgets.VBox:
    """Return a widget that shows one of several pictures, with a slider and a play button.

    All links are made in the browser, so the widget also works where no kernel runs.

    Parameters
    ----------
    pictures
        Grey pictures, uint8 (h, w) each.
    labels
        One caption per picture, plain text.
    alt
        What the pictures show, for readers who cannot see them; each picture's label follows it.
    name
        What the slider counts.

    Returns
    -------
    ipywidgets.VBox
        A row with the play button and the slider, and below it the stack of pictures.

    Raises
    ------
    FerError
        If there is no picture, a label is missing, or a picture is not uint8 (h, w).
    """
    import ipywidgets

    if not len(pictures) or len(pictures) != len(labels):
        raise FerError(
            f"slider: {len(pictures)} pictures and {len(labels)} labels; give one label per picture"
        )
    entries = []
    for picture, label in zip(pictures, labels, strict=True):
        if picture.ndim != 2 or picture.dtype != np.uint8:
            raise FerError(f"slider: '{label}' is {picture.dtype} {picture.shape}; expected uint8 (h, w)")
        # The image widget has no alternative text: the picture stands in a piece of HTML.
        code = base64.b64encode(_encode(picture, "PNG")).decode("ascii")
        entries.append(
            ipywidgets.HTML(
                f'<img src="data:image/png;base64,{code}" alt="{escape(alt)}; {escape(label)}" '
                f'width="240" style="max-width: 100%; display: block">{escape(label)}'
            )
        )
    last = len(entries) - 1
    stack = ipywidgets.Stack(children=entries, selected_index=0, layout={"overflow": "visible"})
    chooser = ipywidgets.IntSlider(min=0, max=last, value=0, description=name)
    play = ipywidgets.Play(min=0, max=last, value=0, interval=400)
    ipywidgets.jslink((chooser, "value"), (stack, "selected_index"))
    ipywidgets.jslink((play, "value"), (chooser, "value"))
    # Boxes scroll by default, also for a pixel, and a reader without a mouse cannot.
    controls = ipywidgets.HBox([play, chooser], layout={"flex_flow": "row wrap", "overflow": "visible"})
    return ipywidgets.VBox([controls, stack], layout={"overflow": "visible"})


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
        "face": {"uri": _data_uri(mean_face), "side": mean_face.shape[0]},
        "names": {str(au): au_names[au] for au in shown if au in au_names},
    }
    # "<" never stands in the data, so that nothing in it can end the script element.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Template(_asset("explorer.html")).substitute(
        identifier=identifier,
        style=_asset("explorer.css"),
        data=text,
        script=_asset("explorer.js").replace("__IDENTIFIER__", identifier),
    )


def _asset(name: str) -> str:
    return resources.files("fer_lib.plot").joinpath(name).read_text(encoding="utf-8").strip()


def _layer_data(layer: LayerView) -> dict[str, Any]:
    finite = None if layer.distances is None else layer.distances[np.isfinite(layer.distances)]
    return {
        "name": layer.name,
        "originals": _sheet(layer.originals) if layer.faces_shown else None,
        "projections": _sheet(layer.projections),
        "centres": _numbers(layer.centres, 1),
        "dead": layer.dead.astype(bool).tolist(),
        "strength": _numbers(layer.strength, 3),
        "distances": None if layer.distances is None else _numbers(layer.distances, 4),
        # The longest bar: one scale for the whole layer, so that maps can be compared.
        "largest": max(float(finite.max()), 1e-6) if finite is not None and finite.size else 1.0,
        "aus": list(layer.aus),
    }


def _numbers(values: NDArray[Any], digits: int) -> list[Any]:
    """Nested lists of rounded numbers, None for what JSON cannot hold."""
    rounded = np.round(values.astype(float), digits).astype(object)
    rounded[~np.isfinite(values.astype(float))] = None
    listed: list[Any] = rounded.tolist()
    return listed


def _sheet(tiles: NDArray[np.uint8]) -> dict[str, Any]:
    """Arrange (C, n, k, k) as blocks of one picture, a block of n tiles per map, and encode it."""
    maps, count, side, _ = tiles.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    columns = math.ceil(math.sqrt(maps))
    rows = math.ceil(maps / columns)
    height, width = rows * down * side, columns * across * side
    if max(height, width) > _WIDEST:
        raise FerError(
            f"explorer: sheet of {width} x {height} px; at most {_WIDEST} fit, show fewer or smaller tiles"
        )
    full = np.full((rows * columns, down * across, side, side), 128, np.uint8)
    full[:maps, :count] = tiles
    blocks = full.reshape(rows, columns, down, across, side, side)
    sheet = blocks.transpose(0, 2, 4, 1, 3, 5).reshape(height, width)
    uri = _data_uri(sheet, lossless=side < _LOSSLESS_BELOW)
    return {"uri": uri, "tile": side, "across": across, "down": down, "columns": columns, "count": count}


def _data_uri(picture: NDArray[np.uint8], *, lossless: bool = False) -> str:
    if features.check("webp"):
        kind, options = "WEBP", {"lossless": True} if lossless else {"quality": _QUALITY}
    else:
        kind, options = ("PNG", {}) if lossless else ("JPEG", {"quality": _QUALITY})
    encoded = base64.b64encode(_encode(picture, kind, **options)).decode("ascii")
    return f"data:image/{kind.lower()};base64,{encoded}"


def _encode(picture: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, kind, **options)
    return buffer.getvalue()
