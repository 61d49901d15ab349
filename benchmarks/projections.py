"""Projections of the nine strongest units of every conv3 map, against three ways to do the same with other software."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from captum.attr import NeuronDeconvolution, NeuronGuidedBackprop
from torch import Tensor, nn
from torch.func import vjp, vmap
from zennit.attribution import Gradient
from zennit.composites import DeconvNet, GuidedBackprop

from benchmarks.measure import Row, in_turns
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import Step, field_of, read_stack
from fer_lib.probe.activations import record
from fer_lib.probe.deconv import project
from fer_lib.probe.responses import Units, exemplars

Seeded = Callable[[nn.Sequential, Tensor, Tensor, str], Tensor]
"""Layers up to the units, pictures (n, 1, h, w), a map, row and column for each (n, 3), and the rule: projections (n, 1, h, w)."""


def captum(layers: nn.Sequential, pictures: Tensor, units: Tensor, rule: str) -> Tensor:
    """Project with captum's attribution of neurons."""
    method = {"deconvnet": NeuronDeconvolution, "guided": NeuronGuidedBackprop}[rule](layers, layers[-1])
    rows, (maps, row, column) = torch.arange(len(units)), units.T
    chosen: Any = lambda out: out[rows, maps, row, column]  # noqa: E731
    if len(units) == 1:
        chosen = tuple(units[0].tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum says at every call that it changes the rectifiers
        found: Tensor = method.attribute(pictures.clone().requires_grad_(), chosen)
    return found.detach()


def zennit(layers: nn.Sequential, pictures: Tensor, units: Tensor, rule: str) -> Tensor:
    """Project with zennit's composite of the rule."""
    composite = {"deconvnet": DeconvNet, "guided": GuidedBackprop}[rule]()
    with Gradient(model=layers, composite=composite) as attributor:
        found: Tensor = attributor(pictures.clone(), partial(_ones_at, units))[1]
    return found.detach()


def vmapped(layers: nn.Sequential, pictures: Tensor, units: Tensor, rule: str) -> Tensor:
    """Project with ``torch.func.vmap`` of ``vjp``, a picture and a unit each, and rectifiers that know the rule."""
    rectify = {"deconvnet": _DeconvnetRelu, "guided": _GuidedRelu}[rule].apply

    def forward(picture: Tensor) -> Tensor:
        x = picture[None]
        for layer in layers:
            x = rectify(x) if isinstance(layer, nn.ReLU) else layer(x)
        return x[0]

    def one(picture: Tensor, seed: Tensor) -> Tensor:
        found: Tensor = vjp(forward, picture)[1](seed)[0]
        return found

    with torch.no_grad():
        shape = layers(pictures[:1]).expand(len(units), -1, -1, -1)
    found: Tensor = vmap(one)(pictures, _ones_at(units, shape))
    return found.detach()


def _ones_at(units: Tensor, like: Tensor) -> Tensor:
    seeds = torch.zeros_like(like, memory_format=torch.contiguous_format)
    seeds[torch.arange(len(units)), units[:, 0], units[:, 1], units[:, 2]] = 1
    return seeds


class _DeconvnetRelu(torch.autograd.Function):
    """A rectifier whose backward pass rectifies the signal alone (Zeiler and Fergus)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clamp(min=0)


class _GuidedRelu(_DeconvnetRelu):
    """A rectifier whose backward pass rectifies the signal and stops where the forward pass did (Springenberg et al.)."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return gradient.clamp(min=0) * (output > 0)


BATCH = 64
"""Units of a peer's batch."""
PEERS: dict[str, tuple[Seeded, int, str]] = {
    "captum": (captum, BATCH, ">= 40"),
    "captum, one call a unit": (captum, 1, ">= 100"),
    "zennit": (zennit, BATCH, ""),
    "torch.func.vmap of vjp": (vmapped, BATCH, ""),
}
"""What does the same: how, units in a call, and how many times faster this library is wanted to be."""


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
    """Time both rules with both paddings against every peer."""
    for padding in (0, 2):
        for rule in ("deconvnet", "guided"):
            yield from _rows(rate, quick, padding, rule)


def _rows(rate: float, quick: bool, padding: int, rule: str) -> Iterator[Row]:
    torch.manual_seed(0)
    features = ExpressionNet(padding=padding).eval().features
    pictures = torch.randn(16 if quick else 256, 1, 96, 96)
    n, singles, repeats = (1, 2, 1) if quick else (9, 24, 5)
    units = exemplars(record(features, [pictures]), n=n).units()
    chosen = np.random.default_rng(0).choice(len(units), BATCH, replace=False)
    some = units[chosen]
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: project(features, pictures, units, "relu3", rule)
    }
    counts = {}
    for name, (peer, size, _) in PEERS.items():
        counts[name] = singles if size == 1 else len(some)
        works[name] = partial(_in_calls, peer, features, pictures, some[: counts[name]], rule, size)
    times = in_turns(works, repeats)
    operation = f"{len(units)} {rule} projections of conv3 units, 96x96, padding {padding}"
    limit = len(units) * window_products(read_stack(features, "relu3")) / rate
    for name, (peer, size, wanted) in PEERS.items():
        theirs = times[name] * len(units) / counts[name]
        worst = difference(peer, features, pictures, some[: 2 if quick else BATCH // 2], rule)
        note = f"peer timed on {counts[name]} units; largest difference {worst:.0e} of the peak in float64"
        how = name if size == 1 else f"{name}, in batches of {size}"
        yield Row(operation, times["ours"], how, theirs, theirs / times["ours"], wanted, limit, note)


def difference(peer: Seeded, features: nn.Sequential, pictures: Tensor, units: Units, rule: str) -> float:
    """Return the largest difference between a peer's projections and this library's, relative to the peak.

    In float64: rectifiers and maxima decide by comparison, so that in float32 one of some hundred units has a value so
    near to its threshold that rounding sends the signal another way.
    """
    exact, inputs = copy.deepcopy(features).double(), pictures.double()
    ours = project(exact, inputs, units, "relu3", rule)
    theirs = _in_calls(peer, exact, inputs, units, rule, len(units)).numpy()
    size, worst = inputs.shape[2:], 0.0
    for i, one in enumerate(theirs):
        scaled = one * ours.value[i]
        worst = max(worst, float(abs(ours.frame(i, *size) - scaled).max() / abs(scaled).max()))
    return worst


def _in_calls(
    peer: Seeded, features: nn.Sequential, pictures: Tensor, units: Units, rule: str, size: int
) -> Tensor:
    """Projections seeded with 1, (n, 1, height, width), of so many units a call."""
    names = [name for name, _ in features.named_children()]
    layers = features[: names.index("relu3") + 1]
    where = torch.from_numpy(np.stack([units.map, units.row, units.column], 1).astype(np.int64))
    inputs = pictures[units.picture]
    parts = [
        peer(layers, inputs[i : i + size], where[i : i + size], rule) for i in range(0, len(units), size)
    ]
    return torch.cat(parts)
