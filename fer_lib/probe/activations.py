"""Records, for every picture and map of a layer, how strong its strongest unit is and where it lies.

Everything later (the strongest pictures of a map, distances, detection scores and their nulls) reads this one
table, so a network passes over the pictures once.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_lib.errors import FerError
from fer_lib.network.repeatable import usable_device, whole_float32
from fer_lib.network.stack import Step, float_type, read_stack
from fer_lib.network.weights import calculated_in
from fer_lib.probe.inputs import check_finite, extents_of, pictures_in
from fer_lib.probe.responses import ARRAYS, Exemplars, Responses, Units, exemplars

__all__ = ["Exemplars", "Responses", "Units", "exemplars", "record"]

# Pictures pass through the network in packs of this size whatever size the batches have, so that the batch size
# cannot change a single bit of the result.
_PACK = 32
_CHUNK = 128  # packs that a recording on disk writes at once
_DIGEST = "sha256"  # of the pictures of a recording on disk, beside its arrays


def _checked(batches: Iterable[Any], steps: list[Step], kind: torch.dtype | None) -> Iterator[Tensor]:
    """Pictures of every batch, all of one shape and type that fit the stack."""
    seen, shape = 0, None
    for batch in batches:
        pictures = pictures_in(batch)
        extents_of(pictures, steps, kind)
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
    if not bool(value.isfinite().all()):
        raise FerError(
            f"layer {steps[-1].name!r} gives infinite or undefined values: check weights and pictures"
        )
    if rectify:
        # Behind a ReLU all places of a silent map are equally strong: the first one counts.
        place = torch.where(value > 0, place, 0)
        value = value.relu()
    return value, place // x.shape[3], place % x.shape[3]


def _digests(pictures: Tensor) -> NDArray[np.uint8]:
    """SHA-256 of each picture with its shape and type, (n, 32)."""
    head = f"{pictures.dtype}{tuple(pictures.shape[1:])}".encode()
    rows = pictures.cpu().contiguous().flatten(1).view(torch.uint8).numpy()
    digests = b"".join(hashlib.sha256(head + row.tobytes()).digest() for row in rows)
    return np.frombuffer(digests, np.uint8).reshape(len(pictures), -1)


class _Folder:
    """A recording on disk: finished chunks while it grows, whole arrays once it is complete."""

    def __init__(self, folder: Path, description: dict[str, str]) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FerError(f"{folder} cannot be made ({error.strerror}): give another folder") from error
        described = folder / "recording.json"
        if described.exists():
            try:
                found = json.loads(described.read_bytes())
            except ValueError as error:
                raise FerError(
                    f"{described} is damaged ({error}): remove it with its folder, or give another folder"
                ) from error
            if found != description:
                raise FerError(f"{folder} holds a recording of another network or layer: give another folder")
        elif any((folder / f"{name}.npy").exists() for name in ARRAYS):
            raise FerError(f"{folder} holds responses that were not recorded there: give another folder")
        else:
            _write(described, lambda path: path.write_text(json.dumps(description) + "\n", encoding="utf-8"))
        self.complete = all((folder / f"{name}.npy").exists() for name in (*ARRAYS, _DIGEST))
        self.known = self._known()

    def _known(self) -> NDArray[np.uint8]:
        """Digests of the pictures that are recorded already, (n, 32)."""
        if self.complete:
            path = self.folder / f"{_DIGEST}.npy"
            try:
                return np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise FerError(
                    f"{path} is damaged ({error}): remove {self.folder} and record again"
                ) from error
        return np.concatenate([np.empty((0, 32), np.uint8), *self.read(_DIGEST)])

    def holds(self, first: int, digests: NDArray[np.uint8]) -> bool:
        """Whether pictures are recorded already, the first one being of this number; refuse others in their place."""
        if first >= len(self.known) and not self.complete:
            return False
        there = self.known[first : first + len(digests)]
        differ = (there != digests[: len(there)]).any(1)
        if differ.any() or len(there) < len(digests):
            number = first + (int(differ.argmax()) if differ.any() else len(there))
            self.refuse(f"picture {number} is not the one recorded")
        return True

    def refuse(self, why: str) -> None:
        raise FerError(f"{self.folder} holds a recording of other pictures ({why}): give another folder")

    def chunks(self) -> list[Path]:
        return sorted(self.folder.glob("chunk-*.npz"))

    def add(self, responses: Responses, digests: list[NDArray[np.uint8]]) -> None:
        arrays = {name: getattr(responses, name) for name in ARRAYS} | {_DIGEST: np.concatenate(digests)}

        def save(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, **arrays)

        _write(self.folder / f"chunk-{len(self.chunks()):06d}.npz", save)

    def read(self, name: str) -> Iterator[NDArray[Any]]:
        for path in self.chunks():
            try:
                with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                    part = file[name]
            except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
                raise FerError(
                    f"{path} is damaged ({error}): remove {self.folder} and record again"
                ) from error
            yield part

    def finish(self) -> None:
        """Join the chunks, one at a time in memory."""
        if not self.complete:
            for name in (*ARRAYS, _DIGEST):
                _write(self.folder / f"{name}.npy", partial(self._join, name))
        for chunk in self.chunks():
            chunk.unlink()

    def _join(self, name: str, path: Path) -> None:
        # Plain writes: on a full disk they say so, where a memory map over a file with holes ends the process.
        shapes = [(part.dtype, *part.shape) for part in self.read(name)]
        kind, _, width = shapes[0]
        header = {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": (sum(shape[1] for shape in shapes), width),
        }
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in self.read(name):
                file.write(np.ascontiguousarray(part).data)


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
            digest.update(str(parameter.dtype).encode())
            digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def record(
    features: nn.Module,
    batches: Iterable[Any],
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
        single bit. Each is a tensor or an array of the network's floating type, or what a data loader yields: a
        tuple, list or dictionary with such pictures and nothing else of four dimensions. A tensor or an array
        (N, C, H, W) is one batch.
    layer
        Layer whose maps are recorded.
    device
        Where to compute; None: where the network is.
    folder
        Where to stream the responses to. Memory then does not grow with the number of pictures, and a recording
        that was killed goes on where it stood when it is called again with the same network and pictures. What
        is recorded already is read again, to see that it is the same, but not passed through the network;
        :meth:`Responses.load` opens a finished recording without pictures.
        None: in memory, 12 bytes for each picture and map.

    Raises
    ------
    FerError
        If the network cannot be read, a batch does not fit it or gives values that are not finite, or the
        folder holds a recording of another network or layer, or of other pictures.

    Notes
    -----
    The network is taken as it is in evaluation. Networks in float16 and bfloat16 are calculated in float32, in
    which their weights are exact.
    """
    steps = read_stack(features, layer)
    kind = float_type(steps)
    target = usable_device(device or next(iter(features.parameters()), torch.zeros(0)).device)
    if isinstance(batches, Tensor | np.ndarray):
        batches = [batches]
    done, waiting, digests = 0, list[Responses](), list[NDArray[np.uint8]]()
    with whole_float32(target):
        # A copy, so that moving it and its faster memory layout leave the caller's network alone.
        steps = [step.fast(target) for step in steps]
        disk = (
            None
            if folder is None
            else _Folder(Path(folder), {"layer": layer, "stack": _fingerprint(steps), "type": str(kind)})
        )
        for pack in _regular(_checked(batches, steps, kind)):
            first, done = done, done + len(pack)
            if disk is not None:
                digests.append(_digests(pack))
                if disk.holds(first, digests[-1]):
                    digests.clear()
                    continue
            pack = pack.to(target, calculated_in(pack.dtype)).contiguous(memory_format=torch.channels_last)
            value, row, column = (array.cpu().numpy() for array in _maxima(steps, pack))
            waiting.append(Responses(value, row.astype(np.int32), column.astype(np.int32)))
            if disk is not None and len(waiting) == _CHUNK:
                disk.add(_join(waiting), digests)
                waiting, digests = [], []
    if not done:
        raise FerError("there are no pictures to record: give at least one batch")
    if disk is None:
        return _join(waiting)
    if done < len(disk.known):
        disk.refuse(f"{len(disk.known)} of them, where {done} are given")
    if waiting:
        disk.add(_join(waiting), digests)
    disk.finish()
    return Responses.load(disk.folder)


def _join(parts: list[Responses]) -> Responses:
    return Responses(*(np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS))
