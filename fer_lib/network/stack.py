"""Reads a convolutional network as plain geometry: its layers, and which pixels a unit of a layer sees.

Accepted is any sequence of convolutions, ReLUs and max pools: the paper's network or any other one. All else
is refused with the reason and the remedy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from fer_lib.errors import FerError


class Step(NamedTuple):
    """One layer of a stack as plain geometry; every pair is (vertical, horizontal)."""

    name: str
    kind: str  # "conv", "relu" or "pool"
    module: nn.Module
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)  # zero padding above and to the left
    after: tuple[int, int] = (0, 0)  # zero padding below and to the right

    @property
    def padded(self) -> bool:
        """Whether the layer sees zeros beyond the edge of its input."""
        return any(self.before + self.after)

    def fast(self, device: torch.device) -> Step:
        """Copy the step to a device, with its weights in the layout that computes fastest."""
        return self._replace(
            module=copy.deepcopy(self.module).to(device).to(memory_format=torch.channels_last)
        )

    def out(self, extent: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the layer's output for an input of this height and width."""
        if self.kind == "relu":
            return extent
        y, x = (
            (extent[i] + self.before[i] + self.after[i] - self.kernel[i]) // self.stride[i] + 1
            for i in (0, 1)
        )
        return y, x


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _leaves(features: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, module in features.named_children():
        if type(module) is nn.Sequential:
            yield from _leaves(module, f"{prefix}{name}.")
        else:
            yield prefix + name, module


_REMEDY = {
    nn.BatchNorm2d: "fold it into its convolution with torch.nn.utils.fusion.fuse_conv_bn_eval",
    nn.Dropout: "remove it, it does nothing in evaluation",
    nn.Dropout2d: "remove it, it does nothing in evaluation",
    nn.Identity: "remove it, it does nothing",
    nn.AvgPool2d: "only max pooling has the switches that a deconvnet needs",
    nn.Flatten: "give the convolutional part only, such as model.features",
    nn.Linear: "give the convolutional part only, such as model.features",
}


def _convolution(name: str, module: nn.Conv2d) -> Step:
    for what, value, wanted in (
        ("stride", _pair(module.stride), (1, 1)),
        ("dilation", _pair(module.dilation), (1, 1)),
        ("groups", module.groups, 1),
        ("padding_mode", module.padding_mode, "zeros"),
    ):
        if value != wanted:
            raise FerError(
                f"layer {name!r} has {what}={value}: only convolutions with {what}={wanted} can be projected"
            )
    kernel = _pair(module.kernel_size)
    if module.padding == "same":
        # torch puts the odd row of an even kernel below and to the right.
        before = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        after = (kernel[0] - 1 - before[0], kernel[1] - 1 - before[1])
    else:
        before = after = (0, 0) if module.padding == "valid" else _pair(module.padding)
    return Step(name, "conv", module, kernel, (1, 1), before, after)


def _pool(name: str, module: nn.MaxPool2d) -> Step:
    kernel, stride = _pair(module.kernel_size), _pair(module.stride)
    for what, value, wanted in (
        ("padding", _pair(module.padding), (0, 0)),
        ("dilation", _pair(module.dilation), (1, 1)),
        ("ceil_mode", module.ceil_mode, False),
    ):
        if value != wanted:
            raise FerError(
                f"layer {name!r} has {what}={value}: only max pooling with {what}={wanted} can be projected"
            )
    if stride[0] < kernel[0] or stride[1] < kernel[1]:
        raise FerError(
            f"layer {name!r} pools overlapping windows (kernel {kernel}, stride {stride}), whose "
            "switches are not unique: use a stride of at least the kernel"
        )
    return Step(name, "pool", module, kernel, stride)


def read_stack(features: nn.Module, layer: str | None = None) -> list[Step]:
    """Read a network as convolutions, ReLUs and max pools, up to and with one layer.

    Parameters
    ----------
    features
        ``nn.Sequential`` of ``nn.Conv2d`` (stride, dilation and groups 1, zero padding of any width),
        ``nn.ReLU`` and ``nn.MaxPool2d`` (windows that do not overlap, no padding, rows that fill no window
        dropped). Sequentials inside it are read as one, with names such as ``"block1.conv"``.
    layer
        Name of the last layer wanted, as in ``features.named_children()``; None: all of them.

    Raises
    ------
    FerError
        If the layer does not exist, or a layer of another kind stands before it; the message names it.
    """
    if not isinstance(features, nn.Sequential):
        raise FerError(
            f"{type(features).__name__} is not nn.Sequential: give the convolutional part as nn.Sequential, "
            "with nn.ReLU modules (a functional ReLU cannot be seen from outside)"
        )
    steps: list[Step] = []
    for name, module in _leaves(features):
        kind = type(module)
        if kind is nn.Conv2d:
            steps.append(_convolution(name, module))  # type: ignore[arg-type]
        elif kind is nn.ReLU:
            steps.append(Step(name, "relu", module))
        elif kind is nn.MaxPool2d:
            steps.append(_pool(name, module))  # type: ignore[arg-type]
        else:
            remedy = _REMEDY.get(kind, "only nn.Conv2d, nn.ReLU and nn.MaxPool2d can be projected")
            raise FerError(f"layer {name!r} is {kind.__name__}: {remedy}")
        if name == layer:
            return steps
    names = [step.name for step in steps]
    if layer is not None or not steps:
        raise FerError(f"there is no layer {layer!r}: the layers are {', '.join(names) or 'none'}")
    return steps


class Field(NamedTuple):
    """Receptive field along one axis: unit ``i`` sees pixels ``offset + i * stride`` .. ``+ size - 1``."""

    size: int
    stride: int
    offset: int


def field_of(steps: Sequence[Step], axis: int) -> Field:
    """Receptive field of the last step's units along axis 0 (vertical) or 1 (horizontal)."""
    size, stride, offset = 1, 1, 0
    for step in steps:
        offset -= step.before[axis] * stride
        size += (step.kernel[axis] - 1) * stride
        stride *= step.stride[axis]
    return Field(size, stride, offset)


def receptive_field(features: nn.Module, layer: str) -> Field:
    """Size, stride and offset in pixels of the square receptive fields of a layer's units.

    Returns
    -------
    Field
        Unit (row, column) sees the pixels from ``offset + row * stride`` to that ``+ size - 1``, and the same
        for columns. The offset is negative with padding: such units see beyond the frame.

    Raises
    ------
    FerError
        As :func:`read_stack`; or if the fields are not square (:func:`field_of` gives each axis).

    Examples
    --------
    >>> block = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 5))
    >>> receptive_field(block, "3")
    Field(size=14, stride=2, offset=0)
    """
    steps = read_stack(features, layer)
    vertical, horizontal = field_of(steps, 0), field_of(steps, 1)
    if vertical != horizontal:
        raise FerError(
            f"the receptive fields of {layer!r} are not square: use field_of(read_stack(...), axis)"
        )
    return vertical
