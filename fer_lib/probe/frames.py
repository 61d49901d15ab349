"""Projections through any network: signals of units at the pixels over the whole frame, many units in one batch."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_lib.errors import FerError
from fer_lib.network.repeatable import whole_float32
from fer_lib.network.weights import calculated_in, numpy_type
from fer_lib.probe.hooks import channels_last, check_places, in_evaluation, never_run, planes, run, watching
from fer_lib.probe.rectifiers import Rectifications, check_rule, rectified_by


def project_frames(
    model: nn.Module, pictures: Tensor, units: list[Tensor], layer: str, rule: str, batch_size: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Frames (n, C, H, W) and activations (n,) of n units, each on its own copy of its picture.

    Parameters
    ----------
    model, layer
        Any network and the name of a layer, which counts as it is used last.
    pictures
        (N, C, H, W) on the network's device.
    units
        Row in ``pictures``, map, row and column of each unit, (n,) each.
    rule, batch_size
        As for :func:`fer_lib.probe.deconv.project`.
    """
    kind = calculated_in(pictures.dtype) if pictures.is_floating_point() else torch.float32
    patch = np.zeros((len(units[0]), *pictures.shape[1:]), numpy_type(kind))
    value = np.zeros(len(patch), patch.dtype)
    with whole_float32(pictures.device):
        last = bool(len(patch)) and channels_last(model, layer, pictures[:1])
        for i in range(0, len(patch), batch_size):
            some = slice(i, i + batch_size)
            frames, values = _batch(
                model, layer, pictures, [place[some] for place in units], rule, check=i == 0, last=last
            )
            patch[some], value[some] = frames.to(kind).cpu().numpy(), values.to(kind).cpu().numpy()
    return patch, value


def _batch(
    model: nn.Module, layer: str, pictures: Tensor, units: list[Tensor], rule: str, check: bool, last: bool
) -> tuple[Tensor, Tensor]:
    """Frames and activations of one batch; ``check`` whether the rule speaks of all below the layer, ``last`` as for planes."""
    if not pictures.is_floating_point():
        raise FerError(
            f"pictures are {pictures.dtype}, which has no gradient: convert them to a floating type"
        )
    found: list[Tensor] = []

    def see(output: Any) -> None:
        # A copy within the graph: what comes next may work in place.
        found[:] = [planes(output, len(units[0]), layer, last).clone()]

    if any(weight.is_inference() for weight in (*model.parameters(), *model.buffers())):
        raise FerError(
            "the network's weights were made in inference mode, which knows no gradients: make or load them outside of it"
        )
    seen = Rectifications(model) if check and rule != "gradient" else None
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        in_evaluation(model),
        rectified_by(model, rule),
        watching(model, layer, see),
    ):
        # Copies: tensors of inference mode have no gradients, and cannot be saved for them.
        picture, maps, row, column = (place.clone() for place in units)
        leaf = pictures[picture].clone().detach().requires_grad_()
        with seen or nullcontext():
            run(model, leaf.clone())  # no leaf, so that even the first layer may work in place
        if not found:
            raise never_run(layer)
        check_places(units, found[0].shape[1:], layer)
        value = found[0][torch.arange(len(leaf), device=leaf.device), maps, row, column]
        if not value.requires_grad:
            raise _unreached(layer)
        if seen is not None:
            check_rule(model, layer, rule, value, leaf, seen)
        try:
            (signal,) = torch.autograd.grad(value, leaf, value.detach(), allow_unused=True)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            why = str(error).partition("\n")[0]
            raise FerError(
                f"no signal comes back from layer {layer!r} ({why}): choose a layer below"
            ) from error
        if signal is None:
            raise _unreached(layer)
    return signal.detach(), value.detach()


def _unreached(layer: str) -> FerError:
    return FerError(
        f"no gradient comes from layer {layer!r} to the pictures: the network detaches it or computes without gradients"
    )
