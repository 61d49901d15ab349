"""Projections of the nine strongest units of every conv3 map, against captum."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from captum.attr import NeuronDeconvolution, NeuronGuidedBackprop
from torch import Tensor, nn

from benchmarks.measure import Row, in_turns
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import Step, field_of, read_stack
from fer_lib.probe.activations import record
from fer_lib.probe.deconv import project
from fer_lib.probe.responses import Units, exemplars

PEERS: dict[str, Any] = {"deconvnet": NeuronDeconvolution, "guided": NeuronGuidedBackprop}


def window_products(steps: list[Step]) -> int:
    """Multiply-adds that one unit's receptive field takes, up and down again."""
    total, size = 0, (field_of(steps, 0).size, field_of(steps, 1).size)
    last = [step.name for step in steps if step.kind == "conv"][-1]
    for step in steps:
        # A window holds the padding already.
        size = step._replace(before=(0, 0), after=(0, 0)).out(size)
        if isinstance(step.module, nn.Conv2d):
            maps = 1 if step.name == last else step.module.out_channels
            total += size[0] * size[1] * maps * step.module.weight[0].numel()
    return 2 * total


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time both rules with both paddings against captum called in batches and called once a unit."""
    for padding in (0, 2):
        for rule in PEERS:
            yield from _rows(rate, quick, padding, rule)


def _rows(rate: float, quick: bool, padding: int, rule: str) -> Iterator[Row]:
    torch.manual_seed(0)
    features = ExpressionNet(padding=padding).eval().features
    pictures = torch.randn(16 if quick else 256, 1, 96, 96)
    n, batch, singles, repeats = (1, 16, 2, 1) if quick else (9, 64, 24, 5)
    units = exemplars(record(features, [pictures]), n=n).units()
    peer = PEERS[rule](features, features.relu3)
    chosen = np.random.default_rng(0).choice(len(units), 2 * batch, replace=False)
    some = units[chosen]

    def batched() -> None:
        for start in (0, batch):
            _captum(peer, pictures, some, np.arange(start, start + batch))

    def one_by_one() -> None:
        for i in range(singles):
            _captum(peer, pictures, some, np.array([i]))

    works: dict[str, Callable[[], object]] = {
        "ours": lambda: project(features, pictures, units, "relu3", rule),
        "batched": batched,
        "one by one": one_by_one,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = in_turns(works, repeats)
    operation = f"{len(units)} {rule} projections of conv3 units, 96x96, padding {padding}"
    worst = _difference(features, pictures, some, rule, batch)
    limit = len(units) * window_products(read_stack(features, "relu3")) / rate
    for name, how, count, wanted in (
        ("batched", f"captum in batches of {batch}", len(some), ">= 40"),
        ("one by one", "captum, one call a unit", singles, ">= 100"),
    ):
        theirs = times[name] * len(units) / count
        note = f"peer timed on {count} units; largest difference {worst:.0e} of the peak in float64"
        yield Row(operation, times["ours"], how, theirs, theirs / times["ours"], wanted, limit, note)


def _difference(features: nn.Sequential, pictures: Tensor, units: Units, rule: str, count: int) -> float:
    """Return the largest difference to captum on the first `count` units, relative to the peak.

    In float64: rectifiers and maxima decide by comparison, so that in float32 one of some hundred units has a value so
    near to its threshold that rounding sends the signal another way.
    """
    exact, inputs = copy.deepcopy(features).double(), pictures.double()
    ours = project(exact, inputs, units, "relu3", rule)
    theirs = _captum(PEERS[rule](exact, exact.relu3), inputs, units, np.arange(count)).numpy()
    worst = 0.0
    for i, one in enumerate(theirs):
        scaled = one * ours.value[i]
        worst = max(worst, float(abs(ours.frame(i, 96, 96) - scaled).max() / abs(scaled).max()))
    return worst


def _captum(peer: Any, pictures: Tensor, units: Units, index: np.ndarray) -> Tensor:
    """Projections seeded with 1, (n, 1, height, width)."""
    rows = torch.arange(len(index))
    where = [torch.from_numpy(getattr(units, name)[index]) for name in ("map", "row", "column")]
    inputs = pictures[units.picture[index]].clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(index) == 1:
            return peer.attribute(inputs, tuple(int(w) for w in where)).detach()
        return peer.attribute(inputs, lambda out: out[rows, where[0], where[1], where[2]]).detach()
