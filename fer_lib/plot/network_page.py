"""The trained network itself in the reader's browser: a page that answers to any face, with no server and no kernel.

`network_data` writes a network's geometry and weights for the script `network.js`, which computes maps, projections and class
scores; `network_html` is the page around it. Convolutions travel in half precision; the hidden linear layer, which is
most of the network, as whole numbers of one byte, and only when somebody asks for the class scores.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fer_lib.errors import FerError
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import Step, read_stack

_LEVELS = 127  # largest whole number of a quantised weight
_HALF = 65504.0  # largest number of half precision


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


def as_uri(content: bytes) -> str:
    """Return bytes as a ``data:`` address, which the book turns into a file beside the page."""
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode()
