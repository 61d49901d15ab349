"""Exact arithmetic on receptive fields: cut windows, send them up through a stack, send signals down again.

Every unit of a batch gets, at every layer, the window of values that it depends on. Windows may reach beyond the
frame, where padding is zero at every layer; :class:`Window` knows which part does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_lib.network.stack import Step

_FEW_MAPS = 4


@dataclass(frozen=True, eq=False)
class Window:
    """The part of one layer's plane that a unit needs: its size, and the first row and column for each unit."""

    size: tuple[int, int]
    first: tuple[Tensor, Tensor]
    extent: tuple[int, int]  # height and width of the whole plane

    def below(self, step: Step, extent: tuple[int, int]) -> Window:
        """Find the window that this one needs of the step's input plane."""
        size = [(self.size[i] - 1) * step.stride[i] + step.kernel[i] for i in (0, 1)]
        first = [self.first[i] * step.stride[i] - step.before[i] for i in (0, 1)]
        return Window((size[0], size[1]), (first[0], first[1]), extent)

    def indices(self, axis: int) -> Tensor:
        """(n, size) rows or columns of the plane, also those outside."""
        ahead = torch.arange(self.size[axis], device=self.first[axis].device)
        return self.first[axis][:, None] + ahead

    def inside(self, axis: int) -> Tensor | None:
        """(n, size) whether a row or column lies in the plane; None if all do."""
        within = (self.indices(axis) >= 0) & (self.indices(axis) < self.extent[axis])
        return None if bool(within.all()) else within

    def blank_(self, values: Tensor) -> Tensor:
        """Set (n, maps, height, width) values outside the plane to zero, in place."""
        rows, columns = self.inside(0), self.inside(1)
        if rows is not None:
            values *= rows[:, None, :, None]
        if columns is not None:
            values *= columns[:, None, None, :]
        return values

    def gather(self, planes: Tensor, picture: Tensor) -> Tensor:
        """Cut the windows out of planes (N, maps, height, width); zero outside the plane."""
        rows, columns = (self.indices(i).clamp(0, self.extent[i] - 1) for i in (0, 1))
        cut = planes.permute(0, 2, 3, 1)[picture[:, None, None], rows[:, :, None], columns[:, None, :]]
        return self.blank_(cut.permute(0, 3, 1, 2))


def windows_of(
    steps: list[Step], row: Tensor, column: Tensor, extents: list[tuple[int, int]]
) -> list[Window]:
    """Windows of the input of every step, and of the output of the last one, for units at these positions."""
    found = [Window((1, 1), (row, column), extents[-1])]
    for step, extent in zip(reversed(steps), reversed(extents[:-1]), strict=True):
        found.insert(0, found[0].below(step, extent))
    return found


class Pass:
    """Windows through a list of steps, forward with memory of switches and signs, then backward by a rule.

    Values lie in memory with their maps side by side (``channels_last``): all kernels used are several times
    faster that way, and both directions work in place where they can.
    """

    def __init__(self, steps: Sequence[Step], windows: Sequence[Window], rule: str) -> None:
        # Where the rule lets nothing through a rectifier that was off, pooling first gives the same and leaves it less.
        ordered = steps if rule == "deconvnet" else _pools_first(steps)
        self.layers, self.rule = list(zip(ordered, windows, strict=False)), rule
        self.kept: list[Tensor | None] = []

    def forward(self, x: Tensor) -> Tensor:
        """Values of the last step for windows (n, maps, height, width) of the first one's input."""
        for step, window in self.layers:
            kept: Tensor | None = None
            if isinstance(step.module, nn.Conv2d):
                # What other layers compute beyond the frame is not what the padding holds: zeros.
                x = window.blank_(x) if step.padded else x
                x = functional.conv2d(x, step.module.weight, step.module.bias)
            elif step.kind == "relu":
                kept = None if self.rule == "deconvnet" else x > 0
                x = x.relu_()
            else:
                x, kept = functional.max_pool2d(x, step.kernel, step.stride, return_indices=True)
            self.kept.append(kept)
        return x

    def backward(self, signal: Tensor) -> Tensor:
        """Signal at the first step's input for one at the last step's output; :meth:`forward` comes first."""
        for (step, window), kept in zip(reversed(self.layers), reversed(self.kept), strict=True):
            if isinstance(step.module, nn.Conv2d):
                signal = _transposed(signal, step.module.weight, window.size)
                signal = window.blank_(signal) if step.padded else signal
            elif step.kind == "relu":
                signal = signal if self.rule == "gradient" else signal.relu_()
                signal = signal if kept is None else signal.mul_(kept)
            else:
                assert kept is not None
                signal = _unpooled(signal, kept, window.size)
        return signal


def _pools_first(steps: Sequence[Step]) -> list[Step]:
    """Swap every rectifier with the pool behind it: the largest of rectified values is the rectified largest.

    Only where all of a pool's window is off do the switches differ, and there the rectifier stops the signal.
    """
    ordered = list(steps)
    for i in range(len(ordered) - 1):
        if ordered[i].kind == "relu" and ordered[i + 1].kind == "pool":
            ordered[i], ordered[i + 1] = ordered[i + 1], ordered[i]
    return ordered


def _rows(values: Tensor) -> Tensor:
    """(n, maps, height, width) as (n, height * width, maps), without copying what is ``channels_last``."""
    return values.permute(0, 2, 3, 1).flatten(1, 2)


def _unpooled(signal: Tensor, switches: Tensor, size: tuple[int, int]) -> Tensor:
    """Send a signal to the places of the maxima, zero elsewhere."""
    below = signal.new_zeros(len(signal), size[0] * size[1], signal.shape[1])
    below.scatter_(1, _rows(switches), _rows(signal))
    return below.unflatten(1, size).permute(0, 3, 1, 2)


def _transposed(signal: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Transposed convolution without bias, to windows of this size."""
    if weight.shape[1] > _FEW_MAPS:
        return functional.conv_transpose2d(signal, weight)
    # To few maps, such as a picture's, one matrix product and a sum of overlapping tiles is faster.
    tiles = _rows(signal) @ weight.flatten(1)
    return functional.fold(tiles.transpose(1, 2), size, tuple(weight.shape[2:]))


def _own_map(x: Tensor, conv: nn.Conv2d, maps: Tensor) -> Tensor:
    """Convolve every window (n, maps_in, height, width) with the kernel of its own unit's map: (n, 1, h, w)."""
    kernel = conv.weight[maps]
    n, rows, columns = len(x), x.shape[2] - kernel.shape[2] + 1, x.shape[3] - kernel.shape[3] + 1
    places = [
        (x[:, :, y : y + kernel.shape[2], z : z + kernel.shape[3]] * kernel).sum((1, 2, 3))
        for y in range(rows)
        for z in range(columns)
    ]
    out = torch.stack(places, 1).view(n, 1, rows, columns)
    return out if conv.bias is None else out + conv.bias[maps, None, None, None]


def _own_map_transposed(signal: Tensor, conv: nn.Conv2d, maps: Tensor) -> Tensor:
    """Transpose of :func:`_own_map`: (n, 1, h, w) to (n, maps_in, height, width)."""
    kernel = conv.weight[maps]
    _, _, rows, columns = signal.shape
    high, wide = kernel.shape[2:]
    out = signal.new_zeros(len(signal), rows + high - 1, columns + wide - 1, kernel.shape[1]).permute(
        0, 3, 1, 2
    )
    for y in range(rows):
        for x in range(columns):
            # A signal passes max pools through one switch each: elsewhere in this window it is zero.
            hit = signal[:, 0, y, x].nonzero()[:, 0]
            out[hit, :, y : y + high, x : x + wide] += signal[hit, :, y, x, None, None] * kernel[hit]
    return out


def project_batch(
    steps: list[Step], pictures: Tensor, units: list[Tensor], extents: list[tuple[int, int]], rule: str
) -> tuple[Tensor, Tensor]:
    """Patches (n, C, h, w) and activations (n,) for one batch of units."""
    picture, maps, row, column = units
    windows = windows_of(steps, row, column, extents)
    # Behind the last convolution every map stays alone, so there only the unit's own map is computed.
    last = max((i for i, step in enumerate(steps) if step.kind == "conv"), default=-1)
    head = Pass(steps[: max(last, 0)], windows, rule)
    tail = Pass(steps[last + 1 :], windows[last + 1 :], rule)
    x = head.forward(windows[0].gather(pictures, picture))
    if last < 0:
        x = x.gather(1, maps[:, None, None, None].expand(-1, 1, *windows[0].size))
        value = tail.forward(x)
        patch = tail.backward(value.clone())
        whole = patch.new_zeros(len(patch), pictures.shape[1], *windows[0].size)
        whole[torch.arange(len(patch), device=patch.device), maps] = patch[:, 0]
        return whole, value.flatten()
    conv, padded = steps[last].module, steps[last].padded
    assert isinstance(conv, nn.Conv2d)
    x = windows[last].blank_(x) if padded else x
    value = tail.forward(_own_map(x, conv, maps))
    signal = _own_map_transposed(tail.backward(value.clone()), conv, maps)
    signal = windows[last].blank_(signal) if padded else signal
    return head.backward(signal), value.flatten()
