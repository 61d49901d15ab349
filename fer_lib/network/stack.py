"""Reads a convolutional network as plain geometry: its layers, and which pixels a unit of a layer sees.

Accepted is any sequence of convolutions, ReLUs and max pools: the paper's network or any other one. All else
is refused with the reason and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules import module as all_modules
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.lazy import LazyModuleMixin

from fer_lib.errors import FerError
from fer_lib.network.weights import REWEIGHTING, calculated_in, weights_of


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
        """Copy the step to a device as a plain layer of torch, its weights in the layout that computes fastest.

        The weights are those that the network uses in evaluation, whatever makes them: weight or spectral
        normalisation, pruning, another parametrisation. The network is left alone.

        Raises
        ------
        FerError
            If the layer has no weights yet, or such as nothing can be projected through.
        """
        if self.kind == "relu":
            return self._replace(module=nn.ReLU())
        if self.kind == "pool":
            return self._replace(module=nn.MaxPool2d(self.kernel, self.stride))
        assert isinstance(self.module, nn.Conv2d)
        weight, bias = weights_of(self.name, self.module)
        # Made without memory, so that nothing is drawn for weights that are replaced.
        padding: Any = self.module.padding
        plain: Any = nn.Conv2d(
            weight.shape[1], len(weight), self.kernel, padding=padding, bias=False, device="meta"
        )
        kind = calculated_in(weight.dtype)
        plain.weight = nn.Parameter(
            weight.to(device, kind, copy=True, memory_format=torch.channels_last), requires_grad=False
        )
        if bias is not None:
            plain.bias = nn.Parameter(bias.to(device, kind, copy=True), requires_grad=False)
        return self._replace(module=plain)

    def out(self, extent: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the layer's output for an input of this height and width."""
        if self.kind == "relu":
            return extent
        y, x = (
            (extent[i] + self.before[i] + self.after[i] - self.kernel[i]) // self.stride[i] + 1
            for i in (0, 1)
        )
        return y, x


def float_type(steps: Sequence[Step]) -> torch.dtype | None:
    """Type of a stack's weights, which its pictures have to share; None without weights.

    Raises
    ------
    FerError
        If not all weights have the same.
    """
    types = {p.dtype: step.name for step in reversed(steps) for p in step.module.parameters()}
    if len(types) > 1:
        found = " and ".join(f"{kind} (layer {name!r})" for kind, name in types.items())
        raise FerError(f"the network mixes {found}: convert it to one type, such as features.float()")
    return next(iter(types), None)


def _pair(value: Any) -> tuple[int, int]:
    sides = tuple(value) if isinstance(value, Iterable) else (value,)
    return int(sides[0]), int(sides[-1])


def _check_plain(where: str, module: nn.Module, base: type[nn.Module]) -> None:
    """Refuse a module that calculates something else than its class in torch does."""
    methods = ("__call__", "_call_impl", "_wrapped_call_impl", "forward", "_conv_forward", "__iter__")
    own = [m for m in methods if getattr(type(module), m, None) is not getattr(base, m, None)]
    if own or vars(module).keys() & set(methods):
        kind = type(module)
        twin = kind is not base and kind.__name__ == base.__name__
        called = f"{kind.__module__}.{kind.__name__}" if twin else kind.__name__
        raise FerError(
            f"{where} is {called} with a forward of its own, which cannot be seen from outside: "
            f"give plain nn.{base.__name__}"
        )
    hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    everywhere = [
        *all_modules._global_forward_pre_hooks.values(),
        *all_modules._global_forward_hooks.values(),
    ]
    backward = [
        *module._backward_pre_hooks.values(),
        *module._backward_hooks.values(),
        *all_modules._global_backward_pre_hooks.values(),
        *all_modules._global_backward_hooks.values(),
    ]
    for way, found, what in (
        ("forward", hooks + everywhere, "gives"),
        ("backward", backward, "sends back"),
    ):
        for hook in found:
            if type(hook).__module__ not in REWEIGHTING:
                raise FerError(
                    f"{where} has the {way} hook {getattr(hook, '__qualname__', type(hook).__name__)}, which may change "
                    f"what it {what}: remove it with its handle's remove()"
                )


def _leaves(features: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Layers in the order in which they work, one that is used twice twice, by their dotted names."""
    _check_plain(f"layer {prefix[:-1]!r}" if prefix else "the network", features, nn.Sequential)
    # Not named_children(), which leaves out every module that it has seen before.
    for name, module in features._modules.items():
        if isinstance(module, nn.Sequential):
            yield from _leaves(module, f"{prefix}{name}.")
        else:
            yield prefix + name, module


_REMEDY: dict[type, str] = {
    LazyModuleMixin: "pass one picture through the network first, which gives it its size",
    _BatchNorm: "fold it into its convolution with torch.nn.utils.fusion.fuse_conv_bn_eval",
    _DropoutNd: "remove it, it does nothing in evaluation",
    nn.Identity: "remove it, it does nothing",
    nn.AvgPool2d: "only max pooling has the switches that a deconvnet needs",
    nn.AdaptiveMaxPool2d: "its windows may overlap; give the layers before it, or nn.MaxPool2d instead",
    nn.Flatten: "give the convolutional part only, such as model.features",
    nn.Linear: "give the convolutional part only, such as model.features",
}


def _refused(name: str, module: nn.Module) -> FerError:
    kind = type(module)
    remedy = next((remedy for refused, remedy in _REMEDY.items() if isinstance(module, refused)), None)
    if remedy is None and kind.__module__.startswith("torch.ao."):
        remedy = "it is quantised; give the floating-point network"
    remedy = remedy or "only nn.Conv2d, nn.ReLU and nn.MaxPool2d can be projected"
    return FerError(f"layer {name!r} is {kind.__name__}: {remedy}")


def _convolution(name: str, module: nn.Conv2d) -> Step:
    _check_plain(f"layer {name!r}", module, nn.Conv2d)
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
    if min(before) < 0:
        raise FerError(f"layer {name!r} has padding={module.padding}: it must not be negative")
    return Step(name, "conv", module, kernel, (1, 1), before, after)


def _pool(name: str, module: nn.MaxPool2d) -> Step:
    _check_plain(f"layer {name!r}", module, nn.MaxPool2d)
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
    if min(kernel) < 1:
        raise FerError(f"layer {name!r} pools windows of {kernel} pixels: give kernels of at least 1")
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
        dropped), or of their subclasses without a ``forward`` of their own. Sequentials inside it are read as
        one, with names such as ``"block1.conv"``. A layer may be used several times. Weights may be normalised,
        pruned or parametrised in another way by ``torch.nn.utils``. Hooks of other origin are refused.
    layer
        Name of the last layer wanted, as in ``features.named_modules(remove_duplicate=False)``; None: all of
        them. A layer that is used several times has a name at each place.

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
    if layer is not None and not isinstance(layer, str):
        raise FerError(f"layer {layer!r} is {type(layer).__name__}: give its name, such as {str(layer)!r}")
    steps: list[Step] = []
    channels: int | None = None
    for name, module in _leaves(features):
        if isinstance(module, nn.Conv2d) and not isinstance(module, LazyModuleMixin):
            if channels not in (None, module.in_channels):
                raise FerError(
                    f"layer {name!r} takes {module.in_channels} channels and is given {channels}: "
                    "the network cannot be run"
                )
            channels = module.out_channels
            steps.append(_convolution(name, module))
        elif isinstance(module, nn.ReLU):
            _check_plain(f"layer {name!r}", module, nn.ReLU)
            steps.append(Step(name, "relu", module))
        elif isinstance(module, nn.MaxPool2d):
            steps.append(_pool(name, module))
        else:
            raise _refused(name, module)
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
