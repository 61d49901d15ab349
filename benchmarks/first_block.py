"""The first block in one pass, convolution, max pooling and ReLU, written by hand: how this library once trained, as a peer.

A picture at a time goes through the three layers while it is in the cache, and only the pooled maps and one byte per pooled value
(which of the four won) are kept. Maximum and ReLU commute, so values and gradients are those of the plain layers. It gains nothing
over PyTorch's own layers in channels-last memory with the pool before the ReLU, which is why the library has those.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from fer_lib.network.model import ExpressionNet

_WINNERS = 4  # a 2x2 pool chooses one of four
_NONE = 4  # in their place: the ReLU stopped all four


def training_scores(model: ExpressionNet, pictures: Tensor) -> Tensor:
    """Return what ``model(pictures)`` returns, (n, classes), by a quicker way if it is calculated on a CPU.

    Gradients reach the weights but not the pictures.

    Parameters
    ----------
    model : ExpressionNet
        The network, in training mode or not.
    pictures : Tensor
        (n, channels, size, size) float32.
    """
    if pictures.device.type != "cpu":
        scores: Tensor = model(pictures)
        return scores
    layers = dict(model.features.named_children())
    first: Any = layers["conv1"]
    x: Tensor = FirstBlock.apply(pictures, first.weight, first.bias, first.padding[0])
    for block in "23":
        # Pooled first, the ReLU has a quarter of the values to look at; the result is the same.
        x = layers[f"relu{block}"](layers[f"pool{block}"](layers[f"conv{block}"](x)))
    scores = model.classifier(x)
    return scores


class FirstBlock(torch.autograd.Function):
    """relu(max_pool2d(conv2d(x, weight, bias, padding), 2)), in channels-last memory."""

    @staticmethod
    def forward(ctx: Any, pictures: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        """Keep the pixels below each value and which of four won."""
        maps, kernel = weight.shape[0], weight.shape[-1]
        padded = pad(pictures, (padding,) * 4) if padding else pictures
        rows, columns = ((side - kernel + 1) // 2 for side in padded.shape[2:])
        # Every kernel-sized window of a picture: (n, channels, row, column, kernel, kernel), nothing copied
        # yet.
        windows = padded.unfold(2, kernel, 1).unfold(3, kernel, 1)
        cells, inputs = rows * columns, weight[0].numel()
        patches = pictures.new_empty(len(pictures), _WINNERS, cells, inputs)
        pooled = pictures.new_empty(len(pictures), cells, maps)
        winner = torch.empty(pooled.shape, dtype=torch.uint8)
        matrix = weight.reshape(maps, inputs).t().contiguous()
        for n in range(len(pictures)):
            for corner in range(_WINNERS):
                down, right = divmod(corner, 2)
                chosen = windows[n, :, down : down + 2 * rows : 2, right : right + 2 * columns : 2]
                target = patches[n, corner].view(rows, columns, *weight.shape[1:])
                target.copy_(chosen.permute(1, 2, 0, 3, 4))
            a, b, c, d = (patches[n].view(-1, inputs) @ matrix).view(_WINNERS, cells, maps)
            # On ties the first wins, as in torch's pool.
            upper, lower = torch.maximum(a, b), torch.maximum(c, d)
            of_upper, of_lower = (b > a).to(torch.uint8), (d > c).to(torch.uint8).add_(2)
            torch.maximum(upper, lower, out=pooled[n])
            torch.where(lower > upper, of_lower, of_upper, out=winner[n])
            pooled[n] += bias
            winner[n].masked_fill_(pooled[n] <= 0, _NONE)
            pooled[n].clamp_(min=0)
        ctx.save_for_backward(patches, winner)
        ctx.shape = weight.shape
        return pooled.view(len(pictures), rows, columns, maps).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor, None]:
        """Send each gradient to its winner alone."""
        patches, winner = ctx.saved_tensors
        gradient = gradient.permute(0, 2, 3, 1).reshape(winner.shape)
        of_weight = gradient.new_zeros(winner.shape[-1], patches.shape[-1])
        of_bias = gradient.new_zeros(winner.shape[-1])
        for n in range(len(patches)):
            for corner in range(_WINNERS):
                passed = gradient[n] * (winner[n] == corner)
                of_weight.addmm_(passed.t(), patches[n, corner])
                of_bias += passed.sum(0)
        return None, of_weight.view(ctx.shape), of_bias, None
