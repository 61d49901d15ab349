"""The weights that a convolution uses, whatever makes them: normalisation, pruning, another parametrisation."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fer_lib.errors import FerError

# Where the forward hooks come from that do nothing but calculate a weight from its parts.
REWEIGHTING = tuple(f"torch.nn.utils.{how}" for how in ("weight_norm", "spectral_norm", "prune"))


def calculated_in(kind: torch.dtype) -> torch.dtype:
    """Type to calculate in for weights of this type: float32 for shorter ones, which are exact in it."""
    return torch.float32 if kind.itemsize < torch.float32.itemsize else kind


def numpy_type(kind: torch.dtype) -> np.dtype[Any]:
    """Return numpy's name of a type of torch that numpy has."""
    return torch.zeros(0, dtype=kind, device="cpu").numpy().dtype


def weights_of(name: str, conv: nn.Conv2d) -> tuple[Tensor, Tensor | None]:
    """Weight and bias that a convolution uses in evaluation; it is left alone.

    Raises
    ------
    FerError
        If it has none yet, they are not real numbers, or not of the size that the convolution says.
    """
    # The hooks of torch.nn.utils, and parametrisations in training, write while they calculate: a stand-in takes it.
    stand_in = type(conv).__new__(type(conv))
    vars(stand_in).update(
        vars(conv)
        | {
            "_parameters": dict(conv._parameters),
            "_buffers": dict(conv._buffers),
            "_modules": copy.deepcopy(conv._modules),
        }
    )
    stand_in.eval()
    with torch.no_grad():
        for hook in conv._forward_pre_hooks.values():
            hook(stand_in, ())
        weight, bias = stand_in.weight, stand_in.bias
    if weight.is_meta:
        raise FerError(f"layer {name!r} is on the meta device, without values: load the weights first")
    if not weight.is_floating_point():
        raise FerError(
            f"layer {name!r} has {weight.dtype} weights: only real floating-point ones can be projected"
        )
    shape = (conv.out_channels, conv.in_channels, *conv.kernel_size)
    if weight.shape != shape or (bias is not None and bias.shape != shape[:1]):
        raise FerError(
            f"layer {name!r} says that its weights are {shape}, but they are {tuple(weight.shape)}: "
            "make a new nn.Conv2d of that size and give it the weights"
        )
    return weight.detach(), None if bias is None else bias.detach()
