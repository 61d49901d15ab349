"""Any network through hooks: what a layer gives.

The network only has to take pictures (n, C, H, W) and be built of modules. It runs in evaluation and is
left as it was found.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy

from fer_lib.errors import FerError
from fer_lib.network.repeatable import usable_device
from fer_lib.network.stack import Step, read_stack


def _inside(module: nn.Module) -> str | None:
    """Name of what a module only wraps, as DataParallel and torch.compile do; None for any other module."""
    if isinstance(module, nn.DataParallel | DistributedDataParallel):
        return "module"
    return "_orig_mod" if "_orig_mod" in module._modules else None


def _names(modules: dict[str, nn.Module]) -> dict[str, str]:
    """Names of modules in ``named_modules()``, by themselves and by the names that they would have if nothing was wrapped."""
    names = dict[str, str]()
    for name in modules:
        path, kept = "", list[str]()
        for part in name.split("."):
            if part != _inside(modules[path]):
                kept.append(part)
            path = f"{path}.{part}" if path else part
        names.setdefault(".".join(kept), name)
    return names | {name: name for name in modules}


def unwrapped(model: nn.Module, layer: str) -> tuple[nn.Module, str]:
    """Return the network inside DataParallel or torch.compile, and the name that a layer has in it.

    Parameters
    ----------
    model
        Any network.
    layer
        As for :func:`layer_of`.
    """
    layer_of(model, layer)
    layer = _names(dict(model.named_modules(remove_duplicate=False)))[layer]
    while (name := _inside(model)) and layer != name:
        model, layer = getattr(model, name), layer.removeprefix(f"{name}.")
    return model, layer


def layer_of(model: nn.Module, layer: str) -> nn.Module:
    """Find a layer by its name in ``model.named_modules()``, with or without what DataParallel and torch.compile put before it.

    Raises
    ------
    FerError
        With names like it, if there is none; if it is scripted, as nothing sees what such layers give; or if a layer has no size yet.
    """
    if not isinstance(model, nn.Module):
        raise FerError(f"model is {type(model).__name__}: give an nn.Module")
    if not isinstance(layer, str):
        raise FerError(f"layer {layer!r} is {type(layer).__name__}: give its name, such as 'layer1'")
    modules = dict(model.named_modules(remove_duplicate=False))
    known = _names(modules)
    place = known.get(layer, "").split(".")
    around = {"", *(".".join(place[:n]) for n in range(1, len(place) + 1))}
    if any(isinstance(modules[name], torch.jit.ScriptModule) for name in around):
        raise FerError(
            f"layer {layer!r} is scripted, and what it gives cannot be seen: give the network that it was made of, "
            "before torch.jit.script or torch.jit.trace"
        )
    if not layer or layer not in known:
        names = [name for name in modules if name]
        close = difflib.get_close_matches(layer, names, n=5) if len(names) > 12 else names
        shown = ", ".join(close) or "those of model.named_modules()"
        raise FerError(
            f"there is no layer {layer!r}: {'the layers are' if names == close else 'try'} {shown}"
        )
    for name, module in modules.items():
        if any(is_lazy(parameter) for parameter in module.parameters(recurse=False)):
            raise FerError(
                f"layer {name!r} is {type(module).__name__}: pass one picture through the network first, which gives it its size"
            )
    return modules[known[layer]]


def device_of(model: nn.Module, otherwise: torch.device) -> torch.device:
    """Return the device on which a network is, or another one if it has no weights."""
    return usable_device(next(iter(model.parameters()), torch.zeros(0, device=otherwise)).device)


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation, and each of its modules back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        try:
            model.eval()
        except NotImplementedError as error:
            raise FerError(
                f"the network cannot be put into evaluation ({error}): give the network that it was made of, before torch.export"
            ) from error
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put back what a network writes to its buffers, as some do in evaluation too: counters, caches, running codebooks."""
    before = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and not buffer.is_meta
    ]
    try:
        yield
    finally:
        for module, name, buffer, content in before:
            if module._buffers[name] is not buffer:
                module._buffers[name] = buffer
            if not torch.equal(buffer.nan_to_num(), content.nan_to_num()):
                with torch.no_grad():
                    buffer.copy_(content)


def _first(output: Any) -> Any:
    """Return the first of several outputs."""
    if isinstance(output, dict):
        return next(iter(output.values()), None)
    if isinstance(output, list | tuple):
        return output[0] if output else None
    return output


@torch.no_grad()
def channels_last(model: nn.Module, layer: str, picture: Tensor) -> bool:
    """Whether a layer gives (n, h, w, C), as in Swin, rather than (n, C, h, w).

    Only layers of the width of a linear layer or layer norm can. A picture (1, C, H, W) of twice the height tells, as the number of maps
    stays the same; of a network that does not take it, the widths of its convolutions tell.
    """
    shapes = list[torch.Size]()

    def see(output: Any) -> None:
        output = _first(output)
        shapes.append(output.shape if isinstance(output, Tensor) else torch.Size())

    def shape_of(picture: Tensor) -> torch.Size:
        shapes.clear()
        with in_evaluation(model), watching(model, layer, see), suppress(FerError):
            run(model, picture)
        return shapes[-1] if shapes else torch.Size()

    shape = shape_of(picture.clone())
    widths = {module.out_features for module in model.modules() if isinstance(module, nn.Linear)}
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    if len(shape) != 4 or shape[3] not in widths.union(norm.normalized_shape[-1] for norm in norms):
        return False
    taller = shape_of(picture.repeat(1, 1, 2, 1))
    if len(taller) == 4 and taller != shape:
        return taller[1] != shape[1]
    return shape[1] not in {m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)}


def planes(output: Any, count: int, layer: str, last: bool = False) -> Tensor:
    """Read what a layer gave for ``count`` pictures as feature maps (count, C, h, w).

    Vectors (count, C) are maps of one unit. Tokens (count, T, C) are maps of one row, column t being token t. Of several
    outputs, as of attention, the first counts. ``last``: of four axes the maps are the last one, see :func:`channels_last`.

    Raises
    ------
    FerError
        If it is nothing of this kind.
    """
    output = _first(output)
    if not isinstance(output, Tensor):
        raise FerError(
            f"layer {layer!r} gives {type(output).__name__}: choose one that gives a tensor (n, C, h, w)"
        )
    if output.ndim not in (2, 3, 4) or output.shape[0] != count or not output.numel():
        raise FerError(
            f"layer {layer!r} gives shape {tuple(output.shape)} for {count} pictures: choose one that gives "
            "(n, C, h, w), tokens (n, T, C) or vectors (n, C)"
        )
    if output.ndim == 4 and last:
        return output.permute(0, 3, 1, 2)
    if output.ndim == 3:
        return output.transpose(1, 2)[:, :, None]
    return output[:, :, None, None] if output.ndim == 2 else output


def run(model: nn.Module, pictures: Tensor) -> None:
    """Run a network on pictures; a FerError in one line if it does not take them."""
    if pictures.ndim != 4 or not all(pictures.shape):
        raise FerError(f"pictures have shape {tuple(pictures.shape)}: give (N, C, H, W)")
    weights = next((p for p in model.parameters() if p.is_floating_point()), None)
    if weights is not None and pictures.is_floating_point() and pictures.dtype != weights.dtype:
        raise FerError(f"pictures are {pictures.dtype}: convert them to the network's {weights.dtype}")
    try:
        with _eager(model):
            model(pictures)
    except (FerError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AssertionError, NotImplementedError) as error:
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        raise FerError(
            f"the network fails on pictures {tuple(pictures.shape)} of {pictures.dtype} ({why}): "
            "give pictures of the size and type that it takes"
        ) from error


def _eager(model: nn.Module) -> AbstractContextManager[Any]:
    """Run what torch.compile has compiled as it was written, since compiled layers take no hooks."""
    compiled = any(module._compiled_call_impl or "_orig_mod" in module._modules for module in model.modules())
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


@contextmanager
def watching(model: nn.Module, layer: str, see: Callable[[Any], None]) -> Iterator[None]:
    """Show what a layer gives to a function, each time that it is used."""
    mixing = list[str]()

    def shown(module: nn.Module, inputs: Any, output: Any) -> None:
        if mixing:
            raise FerError(
                f"layer {mixing[0]!r} normalises by the pictures that come together, so that none has a response of its own: "
                "give it running statistics (track_running_stats=True)"
            )
        see(output)

    with ExitStack() as undo:
        for name, module in model.named_modules():
            if isinstance(module, _BatchNorm) and module.running_mean is None:
                note = module.register_forward_pre_hook(lambda module, inputs, name=name: mixing.append(name))
                undo.callback(note.remove)
        handle = layer_of(model, layer).register_forward_hook(shown)
        undo.callback(handle.remove)
        yield


def never_run(layer: str) -> FerError:
    """Return the error of a layer that gave nothing."""
    return FerError(
        f"layer {layer!r} was not run: choose a layer that the network uses (attention calls some of them without running them)"
    )


def stack_to(model: nn.Module, layer: str, shape: torch.Size, kind: torch.dtype) -> list[Step] | None:
    """Read the layers between the pictures and a layer as a plain stack; None where they are none.

    Parameters
    ----------
    model
        An ``nn.Sequential`` that :func:`fer_lib.network.stack.read_stack` accepts up to the layer, or any network that gives its
        pictures unchanged to such a one: as VGG does, whose layers are named ``"features.9"``. That they are unchanged is seen on a
        picture of noise.
    shape, kind
        Channels, height and width of the pictures, and their type.
    """
    layer_of(model, layer)
    blocks = dict(model.named_modules(remove_duplicate=False))  # scripted networks have no get_submodule
    parts = layer.split(".")
    for cut in range(len(parts)):
        block, below = blocks[".".join(parts[:cut])], ".".join(parts[cut:])
        if not isinstance(block, nn.Sequential):
            continue
        try:
            steps = read_stack(block, below)
        except FerError:
            continue
        above = (blocks[".".join(parts[:i])] for i in range(cut))
        if any(module._backward_hooks or module._backward_pre_hooks for module in above):
            continue  # they may change what arrives at the pictures
        if block is model or _is_fed(model, block, layer, steps, shape, kind):
            return steps
    return None


@torch.no_grad()
def _is_fed(
    model: nn.Module,
    block: nn.Sequential,
    layer: str,
    steps: list[Step],
    shape: torch.Size,
    kind: torch.dtype,
) -> bool:
    """Whether a block is given the pictures as they are, once, and its layer gives what its steps give."""
    cpu = torch.device("cpu")  # whatever the default device is
    noise = torch.rand(1, *shape, generator=torch.Generator(cpu).manual_seed(0), device=cpu)
    device = device_of(model, noise.device)
    picture = noise.to(device, kind)
    inputs, outputs = list[Any](), list[Any]()

    def see(module: nn.Module, given: tuple[Any, ...]) -> None:
        inputs.append(given[0].clone() if given and isinstance(given[0], Tensor) else None)

    handle = block.register_forward_pre_hook(see)
    try:
        with in_evaluation(model), watching(model, layer, lambda output: outputs.append(output.clone())):
            run(model, picture.clone())
            if (
                len(inputs) != 1
                or len(outputs) != 1
                or inputs[0] is None
                or not torch.equal(inputs[0], picture)
            ):
                return False
            expected = picture.clone()
            for step in steps:
                expected = step.module(expected)
    finally:
        handle.remove()
    return torch.equal(outputs[0], expected)


@torch.no_grad()
def maxima(model: nn.Module, layer: str, last: bool, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum, row and column of every map of a layer for pictures (n, C, H, W): three (n, maps).

    A layer that is used several times counts as it is used last. ``last`` as in :func:`planes`.
    """
    found: list[tuple[Tensor, Tensor, Tensor]] = []

    def see(output: Any) -> None:
        # At once: what comes next may work in place.
        maps = planes(output, len(pictures), layer, last)
        value, place = maps.flatten(2).max(2)
        found[:] = [(value.float(), place // maps.shape[3], place % maps.shape[3])]

    with in_evaluation(model), watching(model, layer, see):
        run(model, pictures.clone())
    if not found:
        raise never_run(layer)
    return found[0]


def check_places(units: list[Tensor], limits: Sequence[int], layer: str) -> None:
    """Refuse units (picture, map, row, column) that a layer of so many maps, rows and columns does not have."""
    for name, values, limit in zip(("map", "row", "column"), units[1:], limits, strict=True):
        wrong = values[(values < 0) | (values >= limit)]
        if len(wrong):
            possible = f"give 0 to {limit - 1}" if limit else f"there is no {name}"
            raise FerError(f"unit with {name} {int(wrong[0])} does not exist in {layer!r}: {possible}")
