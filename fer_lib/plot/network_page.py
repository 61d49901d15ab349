"""The trained network itself in the reader's browser: any face, any unit, with no server and no kernel.

`network_html` is an element of a page that holds the network; its script `network.js` computes maps, projections and class scores.
Convolutions travel in half precision; the hidden linear layer, which is most of the network, as whole numbers of one byte, which
are loaded when somebody asks for the class scores. `save_page` writes a page of its own that opens from any folder.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_lib.artifacts.files import write_aside
from fer_lib.errors import FerError
from fer_lib.faces.preprocess import Evaluate
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import Step, read_stack
from fer_lib.plot.bytes_beside import DATA_URI, as_uri, script_of
from fer_lib.plot.fragment import asset, json_data
from fer_lib.plot.pictures import data_uri, strip

_LEVELS = 127  # largest whole number of a quantised weight
_HALF = 65504.0  # largest number of half precision
_COLOURS = (
    (16, 20, 29),
    (38, 61, 112),
    (79, 125, 176),
    (196, 208, 178),
    (255, 240, 190),
)  # as in network_page.js


def halved(model: ExpressionNet) -> ExpressionNet:
    """Return a copy of a network whose convolutions have the half-precision weights that a page holds, as float32.

    Raises
    ------
    FerError
        If a weight is too large for half precision.
    """
    copy = ExpressionNet(**model.options).eval()
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        for name, parameter in copy.features.named_parameters():
            if not bool((parameter.abs() <= _HALF).all()):
                raise FerError(
                    f"features.{name} holds {float(parameter.abs().max()):.3g}: a page holds weights up to {_HALF:.0f}"
                )
            parameter.copy_(parameter.half().float())
    return copy


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a weight (units, inputs) to whole numbers of one step for each unit.

    Returns
    -------
    tuple of Tensor
        The numbers, int8 (units, inputs), and the steps, float32 (units,): their product is the rounded weight.
    """
    weight = weight.detach().float()
    steps = weight.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / _LEVELS
    return (weight / steps[:, None]).round().to(torch.int8), steps


def geometry(model: ExpressionNet, resize: int) -> dict[str, Any]:
    """Describe a network for the script: its input, its blocks of convolution, rectifier and pool, and its linear layers.

    Parameters
    ----------
    model
        The network.
    resize
        Side in pixels that faces are resized to before the network's input is cut from them.

    Raises
    ------
    FerError
        If the network takes more than one channel, or the input is larger than what it is cut from.
    """
    side, channels = int(model.options["size"]), int(model.options["channels"])
    if channels != 1:
        raise FerError(f"channels={channels}: a page computes networks of grey pictures, with one channel")
    if resize < side:
        raise FerError(f"resize={resize}: the network's input of {side} pixels cannot be cut from it")
    steps = read_stack(model.features)
    blocks = [_block(*steps[i : i + 3]) for i in range(0, len(steps), 3)]
    first, last = _linear(model)
    return {
        "side": side,
        "resize": resize,
        "channels": channels,
        "blocks": blocks,
        "hidden": first.out_features,
        "classes": last.out_features,
    }


def _block(conv: Step, relu: Step, pool: Step) -> dict[str, Any]:
    assert (conv.kind, relu.kind, pool.kind) == ("conv", "relu", "pool")
    assert isinstance(conv.module, nn.Conv2d)
    (kernel, _), (padding, _), (window, _) = conv.kernel, conv.before, pool.kernel
    return {
        "name": conv.name,
        "maps": conv.module.out_channels,
        "kernel": kernel,
        "padding": padding,
        "pool": window,
    }


def _linear(model: ExpressionNet) -> tuple[nn.Linear, nn.Linear]:
    first, last = (layer for layer in model.classifier if isinstance(layer, nn.Linear))
    return first, last


def convolutions(model: ExpressionNet) -> bytes:
    """Weights and biases of the convolutions in half precision, each map's kernel by row, column and channel."""
    parts = []
    for conv in (layer for layer in halved(model).features if isinstance(layer, nn.Conv2d)):
        assert conv.bias is not None
        for part in (conv.weight.permute(0, 2, 3, 1), conv.bias):
            parts.append(part.detach().numpy().astype("<f2").tobytes())
    return b"".join(parts)


def linear_layers(model: ExpressionNet) -> bytes:
    """Both linear layers: steps and biases of the hidden one, the last one whole, and the hidden weights by one byte each."""
    first, last = _linear(model)
    numbers, steps = quantised(first.weight)
    floats = [steps, first.bias, last.weight, last.bias]
    return (
        b"".join(part.detach().numpy().astype("<f4").tobytes() for part in floats) + numbers.numpy().tobytes()
    )


@dataclass(frozen=True, eq=False)
class Face:
    """A face that readers can choose.

    Attributes
    ----------
    name : str
        What is said of it, such as the expression.
    pixels : (h, w) uint8 array
        The face, cut out of its picture.

    Raises
    ------
    FerError
        If it is no grey picture.
    """

    name: str
    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.uint8 or not self.pixels.size:
            raise FerError(
                f"face {self.name!r} is {self.pixels.dtype} {self.pixels.shape}; expected uint8 (h, w)"
            )


def network_html(
    model: ExpressionNet,
    *,
    resize: int,
    expressions: Sequence[str],
    faces: Sequence[Face] = (),
    stored: str = "",
    identifier: str = "network",
) -> str:
    """Return an element of a page in which a network runs in the reader's browser.

    Parameters
    ----------
    model
        The network, of grey pictures.
    resize
        Side in pixels that faces are resized to before the network's input is cut from them.
    expressions
        The classes, in the order of the network's outputs.
    faces
        Faces to choose from. They are in the page: give those alone that may be published.
    stored
        Identifier of the explorer (`fer_lib.plot.explorer`) on the same page whose stored pictures and distances are shown for a map; empty
        for none.
    identifier
        The element's id, unique on the page: a letter, then letters, digits, ``-`` or ``_``.

    Returns
    -------
    str
        A ``<div>`` with style, data, weights and scripts inside.

    Raises
    ------
    FerError
        If the classes are not those of the network, or the network cannot be computed in a page.
    """
    classes = int(model.options["classes"])
    if len(expressions) != classes:
        raise FerError(f"{len(expressions)} expressions for a network of {classes} classes: name each class")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", identifier):
        raise FerError(f"network: identifier {identifier!r}; use a letter, then letters, digits, - or _")
    linear, at = linear_layers(model), 0
    listed = []
    for face in faces:
        height, width = face.pixels.shape
        listed.append(
            {
                "name": face.name,
                "at": at,
                "width": width,
                "height": height,
                "picture": data_uri(face.pixels, lossless=False),
            }
        )
        at += height * width
    data = {
        "geometry": geometry(model, resize),
        "expressions": list(expressions),
        "faces": listed,
        "stored": stored,
        "preview": _preview(model, resize, faces[0]) if faces else "",
        "linear": len(linear),
        "files": {
            "convolutions": as_uri(convolutions(model)),
            "linear": as_uri(linear),
            "faces": as_uri(b"".join(face.pixels.tobytes() for face in faces)),
        },
    }
    written = json_data(data)
    return (
        f'<div class="fer-network" id="{identifier}" role="region" aria-label="The network in this page">\n'
        f"<style>\n{asset('network_page.css')}\n</style>\n{asset('network_page.html')}\n"
        "<noscript>The network needs JavaScript.</noscript>\n"
        f'<script type="application/json" data-part="data">{written}</script>\n'
        f'<script type="text/plain" data-part="core">\n{asset("network.js")}\n</script>\n'
        f"<script>\n{asset('network_page.js')}\n</script>\n</div>\n"
    )


def _preview(model: ExpressionNet, resize: int, face: Face) -> str:
    """Draw the maps of the last convolution on a face, side by side, as the page's script does; a ``data:`` address."""
    network = halved(model)
    picture = Evaluate(resize, int(model.options["size"]))(face.pixels)[None]
    last = read_stack(network.features)[-2].name
    with torch.no_grad():
        planes = network.planes(picture, last)[0].numpy()
    share = np.sqrt(planes / max(float(planes.max()), torch.finfo(torch.float32).tiny))
    tiles = np.stack(
        [
            np.interp(share, np.linspace(0, 1, len(_COLOURS)), channel)
            for channel in zip(*_COLOURS, strict=True)
        ]
    )
    columns = math.ceil(math.sqrt(planes.shape[0]))
    channels = [strip(tile.round().astype(np.uint8), columns=columns, fill=_COLOURS[0][0]) for tile in tiles]
    return data_uri(np.stack(channels, axis=-1), lossless=False)


def save_page(folder: Path, *elements: str, title: str) -> Path:
    """Write elements as a page of its own, ``explorer.html``, and what it loads later beside it.

    Parameters
    ----------
    folder
        Where to; made if need be. Files of these names are replaced.
    *elements
        What `network_html` and `fer_lib.plot.explorer.explorer_html` return, in the order in which they are shown.
    title
        The page's heading, plain text.

    Returns
    -------
    Path
        The page. It opens from any folder, without a server and without a network.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def beside(found: re.Match[str]) -> str:
        name, script = script_of(found[1])
        write_aside(folder / name, script.encode())
        return name

    body = DATA_URI.sub(beside, "".join(elements))
    text = Template(asset("page.html")).substitute(title=escape(title), body=body)
    write_aside(folder / "explorer.html", text.encode())
    return folder / "explorer.html"
