"""Timing of one operation against its peers, taken in turns so that both meet the same conditions."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import torch

from fer_lib.book.speed import code_digest


@dataclass(frozen=True)
class Row:
    """One line of the table; times in seconds, medians."""

    operation: str
    ours_seconds: float
    peer: str
    peer_seconds: float
    ratio: float  # peer / ours: how many times faster ours is
    wanted: str
    limit_seconds: float | None  # the arithmetic alone, at the machine's measured rate of matrix products
    note: str = ""

    def as_dict(self, machine: str, quick: bool = False) -> dict[str, object]:
        """Give the row as a plain mapping that names the machine, the day, the code, and whether the sizes were tiny."""
        about = {"machine": machine, "date": date.today().isoformat(), "code": code_digest(), "quick": quick}
        return {**asdict(self), **about}


def machine() -> str:
    """Name processor, threads and torch."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {torch.get_num_threads()} of {os.cpu_count()} cores, torch {torch.__version__}"


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median wall time of each piece of work: each once unmeasured, then all in turns."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in times.items()}


def products_per_second(side: int = 2048, repeats: int = 5) -> float:
    """Multiply-adds per second of a float32 matrix product of this side, the best of several."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    torch.mm(a, b)
    return side**3 / min(seconds(lambda: torch.mm(a, b)) for _ in range(repeats))
