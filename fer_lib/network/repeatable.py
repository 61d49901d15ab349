"""The same bits again: deterministic algorithms, and all seeds derived from one."""

from __future__ import annotations

import operator
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from fer_lib.errors import FerError

INITIALISATION, ORDER, DROPOUT, SHUFFLE = range(4)
"""Purposes of random numbers in training, see `stream`."""


def usable_device(device: str | torch.device) -> torch.device:
    """Return the device of this name, or raise a FerError if nothing can be calculated on it here."""
    try:
        found = torch.zeros(1, device=torch.device(device)).add(1).device
    except (RuntimeError, AssertionError, NotImplementedError, ValueError, TypeError) as error:
        why = str(error).partition("\n")[0].partition(". ")[0]
        raise FerError(
            f"device {str(device)!r} cannot be used here ({why}): give 'cpu' or another"
        ) from error
    if found.type == "meta":
        raise FerError(
            "device 'meta' holds no values: load the network's weights onto a real one, such as 'cpu'"
        )
    return found


def whole_seed(seed: int) -> int:
    """Return a seed as a plain integer, or raise a FerError if it is none or negative."""
    try:
        whole = operator.index(seed)
    except TypeError:
        whole = -1
    if whole < 0 or isinstance(seed, bool):
        raise FerError(f"seed={seed!r} is not possible: give a whole number from 0 up")
    return whole


@contextmanager
def whole_float32(device: torch.device) -> Iterator[None]:
    """Calculate float32 as float32: no autocast, and no rounding to ten bits, which is a GPU's way with convolutions.

    On an H200 that rounding (TF32) moved gradients at the pixels by up to a tenth of their peak, since units near zero change
    sides. What the user has chosen is put back.

    Parameters
    ----------
    device : torch.device
        Where the calculation runs.
    """
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        # Torch 2.9 brought settings of its own for this, and refuses to read the older ones beside them.
        new = hasattr(torch.backends, "fp32_precision")
        name, exact = ("fp32_precision", "ieee") if new else ("allow_tf32", False)
        convolutions: Any = torch.backends.cudnn
        kinds: list[Any] = [torch.backends.cuda.matmul, convolutions.conv if new else convolutions]
        before = [getattr(kind, name) for kind in kinds]
        try:
            for kind in kinds:
                setattr(kind, name, exact)
            yield
        finally:
            for kind, value in zip(kinds, before, strict=True):
                setattr(kind, name, value)


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
    with whole_float32(kind), torch.random.fork_rng(devices=devices), warnings.catch_warnings():
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
        ``threads``, how many of them share the work on the CPU, and its ``instructions`` (``"AVX2"``); or the model of another
        ``device``.
    """
    kind = torch.device(device)
    if kind.type == "cpu":
        return {"threads": torch.get_num_threads(), "instructions": torch.backends.cpu.get_cpu_capability()}
    there = kind.type == "cuda" and torch.cuda.is_available()
    return {"device": torch.cuda.get_device_name(kind) if there else kind.type}


def precision_of(precision: str, device: str) -> str:
    """Return what a precision means on a device.

    Parameters
    ----------
    precision : str
        ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the hardware multiplies in it, else float32.
    device : str
        Torch's name of the device that calculates.

    Returns
    -------
    str
        ``"float32"`` or ``"bfloat16"``.
    """
    if precision != "auto":
        return precision
    kind = torch.device(device).type
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    # Torch before 2.10 cannot say what the processor has; without an instruction for it bfloat16 is many times slower.
    has = torch.cpu.get_capabilities() if kind == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return "bfloat16" if has.get("avx512_bf16") or has.get("amx_bf16") else "float32"


def stream(seed: int, epoch: int, purpose: int) -> int:
    """Return the seed, from 0 to 2**63 - 1, of one purpose (order, dropout, ...) in one epoch."""
    mixed = np.random.SeedSequence([seed, epoch], spawn_key=(purpose,)).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
