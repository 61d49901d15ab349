"""Records, for every picture and map of a layer, how strong its strongest unit is and where it lies.

Everything later (the strongest pictures of a map, distances, detection scores and their nulls) reads this one
table, so a network passes over the pictures once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_lib.errors import FerError
from fer_lib.maps.responses import ARRAYS, Exemplars, Responses, Units, exemplars
from fer_lib.network.stack import Step, read_stack

__all__ = ["Exemplars", "Responses", "Units", "exemplars", "record"]

# Pictures pass through the network in packs of this size whatever size the batches have, so that the batch size
# cannot change a single bit of the result.
_PACK = 32
_CHUNK = 128  # packs that a recording on disk writes at once


def _regular(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Regroup the pictures in packs of ``_PACK``, the last one shorter."""
    rest: list[Tensor] = []
    count = 0
    for batch in batches:
        if batch.ndim != 4:
            raise FerError(f"a batch has shape {tuple(batch.shape)}: give (n, C, H, W)")
        rest.append(batch)
        count += len(batch)
        if count >= _PACK:
            joined = torch.cat(rest)
            packs = list(joined.split(_PACK))
            rest = [packs.pop()] if count % _PACK else []
            count %= _PACK
            yield from packs
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
    if not bool(value.isfinite().all()):
        raise FerError(
            f"layer {steps[-1].name!r} gives infinite or undefined values: check weights and pictures"
        )
    if rectify:
        # Behind a ReLU all places of a silent map are equally strong: the first one counts.
        place = torch.where(value > 0, place, 0)
        value = value.relu()
    return value, place // x.shape[3], place % x.shape[3]


class _Folder:
    """A recording on disk: finished chunks while it grows, three arrays once it is complete."""

    def __init__(self, folder: Path, description: dict[str, str | int]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        described = folder / "recording.json"
        if described.exists() and json.loads(described.read_text(encoding="utf-8")) != description:
            raise FerError(f"{folder} holds a recording of another network or layer: give another folder")
        if not described.exists():
            _write(described, lambda path: path.write_text(json.dumps(description) + "\n", encoding="utf-8"))
        self.complete = all((folder / f"{name}.npy").exists() for name in ARRAYS)

    def chunks(self) -> list[Path]:
        return sorted(self.folder.glob("chunk-*.npz"))

    def add(self, responses: Responses) -> None:
        def save(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, **{name: getattr(responses, name) for name in ARRAYS})

        _write(self.folder / f"chunk-{len(self.chunks()):06d}.npz", save)

    def pictures(self) -> int:
        return sum(len(chunk) for chunk in self.read("maximum"))

    def read(self, name: str) -> Iterator[NDArray[np.generic]]:
        for path in self.chunks():
            with np.load(path, allow_pickle=False) as file:
                yield file[name]

    def finish(self) -> None:
        """Join the chunks, one at a time in memory."""
        count, first = self.pictures(), next(self.read("maximum"), None)
        if first is None:
            raise FerError("there are no pictures to record: give at least one batch")
        for name in ARRAYS:
            _write(self.folder / f"{name}.npy", partial(self._join, name, count, first.shape[1]))
        for chunk in self.chunks():
            chunk.unlink()

    def _join(self, name: str, count: int, maps: int, path: Path) -> None:
        # Plain writes: on a full disk they say so, where a memory map over a file with holes ends the process.
        kind = np.dtype(ARRAYS[name])
        header = {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": (count, maps),
        }
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in self.read(name):
                file.write(np.ascontiguousarray(part, kind).data)


def _write(path: Path, save: Callable[[Path], object]) -> None:
    """Write aside, then rename, so that a kill leaves no half file under the right name."""
    aside = path.with_name(path.name + ".partial")
    try:
        save(aside)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    aside.replace(path)


def _fingerprint(steps: list[Step]) -> str:
    """Hash of everything that shapes the responses of a stack."""
    digest = hashlib.sha256()
    for step in steps:
        digest.update(repr((step.kind, *step[3:])).encode())
        for parameter in step.module.parameters():
            digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def record(
    features: nn.Module,
    batches: Iterable[Tensor] | Callable[[int], Iterable[Tensor]],
    layer: str = "relu3",
    device: str | torch.device | None = None,
    folder: Path | None = None,
) -> Responses:
    """Pass pictures through a network once and keep each map's maximum and its place.

    Parameters
    ----------
    features
        ``nn.Sequential`` as :func:`fer_lib.network.stack.read_stack` accepts it.
    batches
        Batches (n, C, H, W) of any size, also different ones; their size does not change the result, not in a
        single bit. Or a function that gives the batches from the picture of this number on: it spares a resumed
        recording from loading what it already has.
    layer
        Layer whose maps are recorded.
    device
        Where to compute; None: where the network is.
    folder
        Where to stream the responses to. Memory then does not grow with the number of pictures, and a recording
        that was killed goes on where it stood when it is called again with the same network and pictures.
        None: in memory, 8 bytes for each picture and map.

    Raises
    ------
    FerError
        If the network cannot be read, a batch does not fit it or gives values that are not finite, or the
        folder holds a recording of another network or layer.
    """
    steps = read_stack(features, layer)
    target = torch.device(device or next(iter(features.parameters()), torch.zeros(0)).device)
    # A copy, so that moving it and its faster memory layout leave the caller's network alone.
    steps = [step.fast(target) for step in steps]
    disk = None if folder is None else _Folder(Path(folder), {"layer": layer, "stack": _fingerprint(steps)})
    if disk is not None and disk.complete:
        return Responses.load(disk.folder)
    done = 0 if disk is None else disk.pictures()
    source = batches(done) if callable(batches) else _skip(batches, done)
    waiting: list[Responses] = []
    for number, pack in enumerate(_regular(source), start=1):
        _check(steps, pack)
        pack = pack.to(target).contiguous(memory_format=torch.channels_last)
        found = [array.cpu().numpy() for array in _maxima(steps, pack)]
        waiting.append(Responses(*(f.astype(kind) for f, kind in zip(found, ARRAYS.values(), strict=True))))
        if disk is not None and number % _CHUNK == 0:
            disk.add(_join(waiting))
            waiting = []
    if disk is None:
        if not waiting:
            raise FerError("there are no pictures to record: give at least one batch")
        return _join(waiting)
    if waiting:
        disk.add(_join(waiting))
    disk.finish()
    return Responses.load(disk.folder)


def _join(parts: list[Responses]) -> Responses:
    return Responses(*(np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS))


def _skip(batches: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """Leave out the first ``count`` pictures of the batches."""
    for batch in batches:
        if count < len(batch):
            yield batch[count:]
        count = max(count - len(batch), 0)


def _check(steps: list[Step], pictures: Tensor) -> None:
    first = next((step.module for step in steps if isinstance(step.module, nn.Conv2d)), None)
    if first is not None and pictures.shape[1] != first.in_channels:
        raise FerError(f"pictures have {pictures.shape[1]} channels: the network wants {first.in_channels}")
    if first is not None and pictures.dtype != first.weight.dtype:
        raise FerError(f"pictures are {pictures.dtype}: convert them to the network's {first.weight.dtype}")
    extent = (int(pictures.shape[2]), int(pictures.shape[3]))
    for step in steps:
        extent = step.out(extent)
        if min(extent) < 1:
            raise FerError(
                f"pictures {tuple(pictures.shape[2:])} are too small for layer {step.name!r}: enlarge them"
            )
