"""Recording of responses against the bare convolutions of the same network, and the choice of exemplars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.measure import Row, in_turns
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import read_stack
from fer_lib.probe.activations import record
from fer_lib.probe.responses import Responses, exemplars


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time one pass over the pictures, and the nine strongest of 100,000 pictures."""
    for padding in (0, 2):
        yield _forward(rate, quick, padding)
    yield _strongest(quick)


@torch.no_grad()
def _forward(rate: float, quick: bool, padding: int) -> Row:
    torch.manual_seed(0)
    features, pack = ExpressionNet(padding=padding).eval().features, 2 if quick else 32
    pictures = torch.randn(pack if quick else 8 * pack, 1, 96, 96)
    extent, maps, products = (96, 96), 1, 0
    convolutions: list[Callable[[], object]] = []
    for step in read_stack(features, "relu3"):
        before, extent = extent, step.out(extent)
        if isinstance(step.module, nn.Conv2d):
            weight = step.module.weight.detach().contiguous(memory_format=torch.channels_last)
            x = torch.randn(pack, *before, maps).permute(0, 3, 1, 2)
            convolutions.append(partial(functional.conv2d, x, weight, step.module.bias, padding=padding))
            maps = len(weight)
            products += len(pictures) * extent[0] * extent[1] * weight.numel()

    def bare() -> None:
        for _ in range(len(pictures) // pack):
            for convolve in convolutions:
                convolve()

    times = in_turns({"ours": lambda: record(features, pictures.split(64)), "bare": bare}, 1 if quick else 5)
    return Row(
        f"recording {len(pictures)} pictures, 96x96, padding {padding}",
        times["ours"],
        "the bare three convolutions, channels last",
        times["bare"],
        times["bare"] / times["ours"],
        ">= 0.85",
        products / rate,
    )


def _strongest(quick: bool) -> Row:
    count, n = (2_000 if quick else 100_000), 9
    maximum = np.random.default_rng(0).standard_normal((count, 256), np.float32)
    place = np.zeros(maximum.shape, np.int32)
    table = Responses(maximum, place, place)
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: exemplars(table, n),
        "sort": lambda: np.argsort(-maximum, axis=0, kind="stable")[:n],
    }
    times = in_turns(works, 1 if quick else 3)
    return Row(
        f"{n} strongest of {count:,} pictures for 256 maps, ties stable",
        times["ours"],
        "numpy stable argsort",
        times["sort"],
        times["sort"] / times["ours"],
        "",
        None,
    )
