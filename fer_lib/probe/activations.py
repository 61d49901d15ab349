"""Records, for every picture and map of a layer, how strong its strongest unit is and where it lies.

Everything later (the strongest pictures of a map, distances, detection scores and their nulls) reads this one
table, so a network passes over the pictures once.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_lib.artifacts.files import growing_array, plain_refusals
from fer_lib.errors import FerError
from fer_lib.network.repeatable import usable_device, whole_float32
from fer_lib.network.stack import Step, float_type
from fer_lib.network.weights import calculated_in
from fer_lib.probe.hooks import buffers_kept, channels_last, device_of, maxima, stack_to, unwrapped
from fer_lib.probe.inputs import check_finite, extents_of, pictures_in
from fer_lib.probe.responses import ARRAYS, Responses, array_file

# Pictures pass through the network in packs of this size whatever size the batches have, so that the batch size
# cannot change a single bit of the result.
_PACK = 32


def _checked(batches: Iterable[Any]) -> Iterator[Tensor]:
    """Pictures of every batch, all finite and of one shape and type; of large batches a part at a time."""
    seen, shape = 0, None
    for pictures in (part for batch in batches for part in pictures_in(batch).split(_PACK)):
        check_finite(pictures, range(seen, seen + len(pictures)))
        if shape not in (None, (pictures.dtype, pictures.shape[1:])):
            raise FerError(
                f"picture {seen} is {tuple(pictures.shape[1:])} {pictures.dtype}, unlike those before it: "
                "give pictures of one size and type"
            )
        shape = (pictures.dtype, pictures.shape[1:])
        seen += len(pictures)
        yield pictures


def _regular(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Regroup the pictures in packs of ``_PACK``, the last one shorter."""
    rest: list[Tensor] = []
    count = 0
    for batch in batches:
        rest.append(batch)
        count += len(batch)
        if count >= _PACK:
            joined = torch.cat(rest)
            packs = list(joined.split(_PACK))
            rest = [packs.pop()] if count % _PACK else []
            count %= _PACK
            yield from packs
        elif len(batch):
            rest[-1] = batch.clone()  # whoever gives the batches may fill the same memory again
    if count:
        yield torch.cat(rest)


def _maxima(steps: list[Step], pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum, row and column of every map of the last step: three (n, C)."""
    x, rectify = pictures, False
    for step in steps:
        if step.kind == "relu":
            # Put off to behind the pool or the maximum, with which it commutes: there it has less to do.
            rectify = True
            continue
        if step.kind == "conv" and rectify:
            x, rectify = (x.relu() if x is pictures else x.relu_()), False
        x = step.module(x)
    value, place = x.flatten(2).max(2)
    value = value.float()
    if rectify:
        # Behind a ReLU all places of a silent map are equally strong: the first one counts.
        place = torch.where(value > 0, place, 0)
        value = value.relu()
    return value, place // x.shape[3], place % x.shape[3]


@torch.no_grad()
def record(
    model: nn.Module,
    batches: Iterable[Any],
    layer: str = "relu3",
    device: str | torch.device | None = None,
    folder: Path | None = None,
) -> Responses:
    """Pass pictures through a network once and keep each map's maximum and its place.

    Parameters
    ----------
    model
        Any network that takes pictures (n, C, H, W). What ``DataParallel`` or ``torch.compile`` wraps is run as it is inside.
    batches
        Batches (n, C, H, W) of any size, also different ones; their size does not change the result, not in a
        single bit. Each is a tensor or an array of the network's floating type, or what a data loader yields: a
        tuple, list or dictionary with such pictures and nothing else of four dimensions. A tensor or an array
        (N, C, H, W) is one batch.
    layer
        Layer whose maps are recorded, by its name in ``model.named_modules()``, which need not begin with ``module.`` or
        ``_orig_mod.`` of a wrapped network. It gives maps (n, C, h, w), or (n, h, w, C) as in
        Swin, which is recognised; vectors (n, C), which count as maps of one unit; or tokens (n, T, C), which count as maps of one
        row, token t in column t. Of several outputs the first counts, of a layer that is used several times its last use.
    device
        Where to compute; None: where the network is.
    folder
        Where to write the result on the way, as :meth:`Responses.save` does; it is then opened on disk. None: it is kept in memory.

    Raises
    ------
    FerError
        If there is no such layer, or a batch does not fit the network or gives values that are not finite.

    Notes
    -----
    The network is taken as it is in evaluation, and left as it was. Where the layers below are convolutions, ReLUs and max pools
    alone (see :func:`fer_lib.network.stack.read_stack`) they are run by themselves, the faster way, and networks in float16 and
    bfloat16 are calculated in float32, in which their weights are exact; a layer of such a stack that is used several times has a name
    at each place. The result takes 12 bytes for each picture and map, on disk if a folder is given; beside it the
    memory does not grow with the number of pictures.
    """
    if isinstance(batches, Tensor | np.ndarray):
        batches = [batches]
    packs = _regular(_checked(batches))
    first = next(packs, None)
    if first is None:
        raise FerError("there are no pictures to record: give at least one batch")
    model, place = unwrapped(model, layer)
    with buffers_kept(model):
        steps = stack_to(model, place, first.shape[1:], first.dtype)
    target = usable_device(device) if device else device_of(model, first.device)
    with whole_float32(target), buffers_kept(model), ExitStack() as files:
        if folder is not None:
            files.enter_context(plain_refusals(Path(folder), "responses", "give another folder"))
        if steps is None:
            if device and target != device_of(model, target):
                model = copy.deepcopy(model).to(target)
            strongest = partial(maxima, model, place, channels_last(model, place, first[:1].to(target)))
        else:
            # A copy, so that moving it and its faster memory layout leave the caller's network alone.
            strongest = partial(_maxima, [step.fast(target) for step in steps])
            extents_of(first, steps, float_type(steps))
        kept: dict[str, list[NDArray[Any]]] = {name: [] for name in ARRAYS}
        keep: dict[str, Callable[[NDArray[Any]], None]] = {name: parts.append for name, parts in kept.items()}
        for number, pack in enumerate(itertools.chain([first], packs)):
            pack = pack.to(target)
            if steps is not None:
                pack = pack.to(calculated_in(pack.dtype)).contiguous(memory_format=torch.channels_last)
            value, row, column = strongest(pack)
            if not bool(value.isfinite().all()):
                raise FerError(
                    f"layer {layer!r} gives infinite or undefined values: check weights and pictures"
                )
            if folder is not None and not number:
                Path(folder).mkdir(parents=True, exist_ok=True)
                keep = {
                    name: files.enter_context(
                        growing_array(array_file(folder, name), kind, tuple(value.shape[1:]))
                    )
                    for name, kind in ARRAYS.items()
                }
            for (name, kind), found in zip(ARRAYS.items(), (value, row, column), strict=True):
                keep[name](found.cpu().numpy().astype(kind, copy=False))
    if folder is not None:
        return Responses.load(folder)
    return Responses(*(np.concatenate(kept.pop(name)) for name in ARRAYS))
