"""The same bits again: deterministic algorithms, and all seeds derived from one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def repeatable(device: str, threads: int) -> Iterator[None]:
    """Choose algorithms that give the same bits again, and the number of threads; put all back afterwards.

    Parameters
    ----------
    device : str
        Torch's name of the device that will be used.
    threads : int
        Threads of the arithmetic on the CPU; sums are rounded in an order that depends on their number.
    """
    kind = torch.device(device)
    devices = [kind.index or 0] if kind.type == "cuda" else []
    if kind.type == "cuda":
        # cuBLAS reads it when its first handle is made, and refuses to be deterministic without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warn = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill, before = memory.fill_uninitialized_memory, torch.get_num_threads()
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        try:
            # On a GPU torch counts the gradient of every max pool as undetermined, because windows might overlap.
            torch.use_deterministic_algorithms(True, warn_only=kind.type != "cpu")
            warnings.filterwarnings("ignore", "max_pool2d.* does not have a deterministic")
            memory.fill_uninitialized_memory = False
            torch.set_num_threads(threads)
            yield
        finally:
            torch.set_num_threads(before)
            memory.fill_uninitialized_memory = fill
            torch.use_deterministic_algorithms(deterministic, warn_only=only_warn)


def arithmetic(device: str = "cpu") -> dict[str, str | int]:
    """Return what the last bits of a sum depend on beside its terms, to be part of the key of a stored result.

    Parameters
    ----------
    device : str
        Torch's name of the device that calculates.

    Returns
    -------
    dict
        ``threads``, how many of them share the work on the CPU, or the kind of another ``device``.
    """
    kind = torch.device(device).type
    return {"threads": torch.get_num_threads()} if kind == "cpu" else {"device": kind}


def stream(seed: int, epoch: int, purpose: int) -> int:
    """Return the seed, from 0 to 2**63 - 1, of one purpose (order, dropout, ...) in one epoch."""
    mixed = np.random.SeedSequence([seed, epoch], spawn_key=(purpose,)).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
