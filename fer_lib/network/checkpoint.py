"""The state of an unfinished training run on disk, whole at every moment.

Two files: tensors, and a small JSON that names them and holds their digest. The JSON is replaced last, so a
run that is killed between the two goes on from the state before.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from fer_lib.artifacts.files import write_aside
from fer_lib.errors import FerError

_INDEX = "checkpoint.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A run after some epochs; random generators need no state, because every epoch draws from its own seed.

    Attributes
    ----------
    history : list of dict
        One row per finished epoch.
    tensors : mapping of str to Tensor
        Weights and momentum.
    threads : int
        Threads that the arithmetic used: sums are rounded in an order that depends on it.
    """

    history: list[dict[str, float]]
    tensors: Mapping[str, Tensor]
    threads: int


def write_checkpoint(
    folder: Path, state: Checkpoint, request: Mapping[str, Any], environment: Mapping[str, str]
) -> None:
    """Replace the folder's checkpoint.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    state : Checkpoint
        What to keep.
    request : mapping
        What the run was asked to do, in JSON's types; another request must not go on from here.
    environment : mapping of str to str
        Versions and device; in another environment a run starts anew, as its result would belong to neither.
    """
    name = f"checkpoint-{len(state.history)}.safetensors"
    content = save({key: tensor.detach().cpu().contiguous() for key, tensor in state.tensors.items()})
    write_aside(folder / name, content)
    index = {
        "request": request,
        "environment": environment,
        "tensors": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "threads": state.threads,
        "history": state.history,
    }
    write_aside(folder / _INDEX, json.dumps(index, indent=1).encode())
    for path in folder.glob("checkpoint-*"):
        if path.name != name:
            path.unlink()


def read_checkpoint(
    folder: Path, request: Mapping[str, Any], environment: Mapping[str, str]
) -> Checkpoint | None:
    """Return the state to go on from, or None to start at the beginning.

    Raises
    ------
    FerError
        If the folder holds another run; the message names what differs.
    """
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        found, versions, history = index["request"], index["environment"], index["history"]
        content = (folder / index["tensors"]).read_bytes()
        digest, threads = index["sha256"], int(index["threads"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        _log.warning("%s is damaged; training starts at the beginning", folder / _INDEX)
        return None
    check_request(folder, found, request)
    if versions != environment:
        changes = ", ".join(
            f"{k} {versions.get(k)} -> {v}" for k, v in environment.items() if v != versions.get(k)
        )
        _log.warning("%s was begun elsewhere (%s); training starts at the beginning", folder, changes)
        return None
    if hashlib.sha256(content).hexdigest() != digest:
        _log.warning("%s is damaged; training starts at the beginning", folder / index["tensors"])
        return None
    return Checkpoint(history, load(content), threads)


def check_request(folder: Path, found: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Refuse a folder that belongs to a run with other settings or data."""
    differ = [name for name in sorted({*found, *request}) if found.get(name) != request.get(name)]
    if differ:
        what = ", ".join(f"{name}: {found.get(name)!r}, not {request.get(name)!r}" for name in differ)
        raise FerError(f"{folder} holds another training run ({what}); give another folder or remove it")


def remove_checkpoint(folder: Path) -> None:
    """Remove the state of a run that has ended."""
    for path in [*folder.glob("checkpoint-*"), *folder.glob(_INDEX + "*")]:
        path.unlink()
