"""The backward rules in any network: every ``nn.ReLU`` follows them, and what rectifies beside these modules is found.

A rectifier that is no module gets torch's own gradient, so that a projection would follow one rule here and another there.
Found are ``relu`` called as a function, clamps at zero, the maximum or minimum of a signal and zero, and a signal that is
multiplied, chosen or overwritten by where it exceeds a threshold itself, as in ``y * (y > 0)``. What rectifies by other steps
is not distinguished from harmless arithmetic and passes, such as ``(y + y.abs()) / 2`` or a mask that was made outside torch; so does a
clamp or maximum that is never at its limit, which guards a variance or the like.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from fer_lib.errors import FerError

# Activations that the rules say nothing about, as torch's graph names them.
_OTHERS = {
    *("Gelu", "Silu", "Mish", "Elu", "Celu", "LeakyRelu", "PreluKernel", "RreluWithNoise", "Hardswish"),
    *("Hardtanh", "Softplus", "Threshold", "Hardshrink", "Softshrink", "LogSigmoid"),
}

_aten = torch.ops.aten
_RELUS = {_aten.relu, _aten.relu_}
_CLAMPS = {_aten.clamp, _aten.clamp_, _aten.clamp_min, _aten.clamp_min_}
_CLAMPS_FROM_ABOVE = {_aten.clamp_max, _aten.clamp_max_}
_EXTREMES = {_aten.maximum, _aten.minimum, _aten.fmax, _aten.fmin}
_COMPARISONS = {_aten.gt, _aten.ge, _aten.lt, _aten.le, _aten.heaviside}
_SAME_MASK = {_aten._to_copy, _aten.bitwise_not, _aten.logical_not, _aten.detach, _aten.clone}
_CHOICES = {
    *(_aten.mul, _aten.mul_, _aten.where, _aten.index_put, _aten.index_put_),
    *(_aten.masked_fill, _aten.masked_fill_),
}


class _Rectifier(torch.autograd.Function):
    """A ReLU with the way back of a rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: str) -> Tensor:
        ctx.rule = rule
        if rule != "deconvnet":
            ctx.save_for_backward(x > 0)
        return x.clamp_min(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None]:
        if ctx.rule != "gradient":
            signal = signal.clamp_min(0)
        if ctx.rule != "deconvnet":
            signal = signal * ctx.saved_tensors[0]
        return signal, None


def _plain_relu(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.ReLU)
        and type(module).forward is nn.ReLU.forward
        and "forward" not in vars(module)
    )


@contextmanager
def rectified_by(model: nn.Module, rule: str) -> Iterator[None]:
    """Let every ``nn.ReLU`` of a network send signals back by a rule, none of them working in place."""
    changed = [module for module in model.modules() if _plain_relu(module)]
    try:
        for module in changed:
            vars(module)["forward"] = lambda x: _Rectifier.apply(x, rule)
        yield
    finally:
        for module in changed:
            del vars(module)["forward"]


class _Part(NamedTuple):
    """Which numbers in memory a tensor is, the same for equal views and detached twins."""

    memory: int
    offset: Any
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> _Part:
        return cls(tensor.untyped_storage()._cdata, tensor.storage_offset(), tuple(tensor.shape))


def _zero(value: Any) -> bool:
    """Whether a limit is zero, a number or a tensor of zeros."""
    return not bool(value.any()) if isinstance(value, Tensor) else value is not None and value == 0


class Rectifications(TorchDispatchMode):
    """Notes what a network computes that rectifies a signal, and in which of its modules; a context."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model, self._undo = model, ExitStack()
        self._running, self._found = [""], list[tuple[str, Tensor]]()
        # A reference to the memory, be it weak, keeps its number from being given to another.
        self._masks: Any = WeakTensorKeyDictionary()

    def __enter__(self) -> Any:
        for name, module in self._model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # it takes no hooks
            enter = module.register_forward_pre_hook(lambda *_, name=name: self._running.append(name))
            leave = module.register_forward_hook(lambda *_: self._leave())
            self._undo.callback(enter.remove)
            self._undo.callback(leave.remove)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        self._undo.close()
        super().__exit__(*error)

    def _leave(self) -> None:
        self._running.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        kind = func.overloadpacket
        if kind in _COMPARISONS:
            for side in args[:2]:
                if isinstance(side, Tensor) and side.ndim:
                    self._masks[output] = (StorageWeakRef(side.untyped_storage()), _Part.of(side))
                    break
        elif kind in _SAME_MASK and args[0] in self._masks:
            self._masks[output] = self._masks[args[0]]
        elif self._rectifies(kind, args, kwargs or {}, output):
            self._found.append((self._running[-1], output))
        return output

    def _rectifies(self, kind: Any, args: Any, options: Any, output: Any) -> bool:
        if kind in _RELUS:
            return True
        if kind in _CLAMPS | _CLAMPS_FROM_ABOVE | _EXTREMES and bool(output.all()):
            return False
        if kind in _CLAMPS | _CLAMPS_FROM_ABOVE:
            limits = [*args[1:], options.get("min"), options.get("max"), None, None]
            low, high = (None, limits[0]) if kind in _CLAMPS_FROM_ABOVE else limits[:2]
            return (_zero(low) and high is None) or (low is None and _zero(high))
        if kind in _EXTREMES:
            return any(_zero(side) for side in args[:2])
        if kind not in _CHOICES:
            return False
        given = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
        compared = [self._masks[mask][1] for mask in given if mask in self._masks]
        parts = {_Part.of(leaf) for leaf in given}
        # A function by cases gives a value for each that is compared.
        cases = kind is _aten.where and any(part.shape == tuple(output.shape) for part in compared)
        return cases or not parts.isdisjoint(compared)

    def among(self, nodes: set[Any]) -> list[str]:
        """Names of the modules whose rectified signals have one of these nodes of torch's graph."""
        ours = {node for node in nodes if node.name() == "_RectifierBackward"}
        names = dict.fromkeys(
            name or type(self._model).__name__
            for name, output in self._found
            for tensor in (output, output._base)
            if tensor is not None and tensor.grad_fn in nodes - ours
        )
        return list(names)


def _nodes(value: Tensor, leaf: Tensor) -> set[Any]:
    """Nodes of torch's graph on the ways from a value down to a leaf."""
    above: dict[Any, list[Any]] = {}
    top: Any = value.grad_fn
    waiting, seen, ends = [top], {top}, list[Any]()
    while waiting:
        node = waiting.pop()
        for below, _ in node.next_functions:
            if below is None:
                continue
            above.setdefault(below, []).append(node)
            if getattr(below, "variable", None) is leaf:
                ends.append(below)
            if below not in seen:
                seen.add(below)
                waiting.append(below)
    found, waiting = set(ends), ends
    while waiting:
        for node in above.get(waiting.pop(), []):
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found


def check_rule(
    model: nn.Module, layer: str, rule: str, value: Tensor, leaf: Tensor, seen: Rectifications
) -> None:
    """Refuse a rule for ReLUs where the signal passes what it does not speak of.

    Parameters
    ----------
    model, layer, rule
        The network, the layer of the units and the rule.
    value, leaf
        (n,) values of units, and the pictures (n, C, H, W) that they were computed from.
    seen
        What rectified while they were computed.

    Raises
    ------
    FerError
        If between pictures and units there is a rectifier that is no module, or another activation, or the network has no ReLU.
    """
    nodes = _nodes(value, leaf)
    if names := seen.among(nodes):
        if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
            raise FerError(
                f"rule {rule!r} cannot see the rectifiers of scripted parts: give the modules that they were made of, or rule='gradient'"
            )
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise FerError(
            f"rule {rule!r} cannot see a rectifier that is called as a function or written out, as in {shown}: "
            "use an nn.ReLU module for each call, or rule='gradient'"
        )
    others = sorted({node.name().partition("Backward")[0] for node in nodes} & _OTHERS)
    if others:
        raise FerError(
            f"rule {rule!r} speaks of ReLUs, and below layer {layer!r} there is {', '.join(others)}: use rule='gradient'"
        )
    if not any(isinstance(module, nn.ReLU) for module in model.modules()):
        raise FerError(f"rule {rule!r} speaks of ReLUs, and the network has no nn.ReLU: use rule='gradient'")
