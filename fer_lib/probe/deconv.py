"""Projection of single units to the pixels: deconvnet, guided backpropagation and the plain gradient.

A unit's value is sent back through the layers below it to the picture. The three rules differ only in what a
ReLU with input z does with the signal g that arrives at its output:

========== ============================ ==========================================
rule       signal below the ReLU        source
========== ============================ ==========================================
deconvnet  max(g, 0)                    Zeiler & Fergus 2014, section 2.1
guided     max(g, 0) where z > 0        Springenberg et al. 2015, section 3.4
gradient   g where z > 0                the paper's equations 1-3, Simonyan et al. 2014
========== ============================ ==========================================

Max pools send the signal to the place the maximum came from (the *switch*; the first one in reading order where
several are equal), convolutions send it through their transposed weights, biases are not used.

Where the layers below are convolutions, ReLUs and max pools alone, only the unit's receptive field is computed, forward and
backward, so the cost of a unit depends neither on the size of the picture nor on the number of units. In any other network the
signal passes the whole frame, by hooks: the rules change every ``nn.ReLU`` module, and all else differentiates as torch does.
Memory is bounded by one batch of units.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from fer_lib.checks import at_least, whole_numbers
from fer_lib.errors import FerError
from fer_lib.network.repeatable import whole_float32
from fer_lib.network.stack import Step, field_of, float_type, read_stack
from fer_lib.network.weights import calculated_in, numpy_type
from fer_lib.probe.frames import project_frames
from fer_lib.probe.hooks import buffers_kept, check_places, device_of, stack_to, unwrapped
from fer_lib.probe.inputs import Images, check_finite, extents_of, pictures_at
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Units
from fer_lib.probe.windows import project_batch

__all__ = ["RULES", "project", "receptive_fields"]

RULES = ("deconvnet", "guided", "gradient")


def fields_of(steps: list[Step], row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
    """Left, top, right and bottom of what units of the last step see, (n, 4); they may reach beyond the frame."""
    firsts, ends = [], []
    for axis, position in ((1, column), (0, row)):
        field = field_of(steps, axis)
        firsts.append(position * field.stride + field.offset)
        ends.append(firsts[-1] + field.size)
    return np.stack([*firsts, *ends], axis=1)


def receptive_fields(
    features: nn.Module,
    layer: str,
    row: ArrayLike,
    column: ArrayLike,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.int64]:
    """Pixel boxes that units of a layer see.

    Parameters
    ----------
    features, layer
        The network and the units' layer. If it is no stack that :func:`fer_lib.network.stack.read_stack` accepts, its units see the
        whole frame.
    row, column
        (n,) positions of the units in their maps.
    shape
        Height and width of the frame to clip the boxes to; None: boxes may reach beyond the frame, and a stack is needed.

    Returns
    -------
    ndarray
        (n, 4) int64: left, top, right, bottom in pixels, as every box of the library; right and bottom are the first ones outside.
    """
    features, layer = unwrapped(features, layer)
    places = whole_numbers("row", row), whole_numbers("column", column)
    if places[0].ndim != 1 or places[0].shape != places[1].shape:
        raise FerError(
            f"row and column have shapes {places[0].shape} and {places[1].shape}: give one value for each unit, (n,)"
        )
    try:
        steps = read_stack(features, layer)
    except FerError as error:
        if shape is None:
            raise FerError(f"{error}; or give the frame's shape, all of which other networks see") from error
        return np.tile(np.array([0, 0, *shape[::-1]]), (len(places[0]), 1))
    boxes = fields_of(steps, *places)
    return boxes if shape is None else boxes.clip(0, np.tile(shape[::-1], 2))


def _check_units(steps: list[Step], units: list[Tensor], channels: int, extent: tuple[int, int]) -> None:
    """Refuse units that the last step does not have."""
    convolutions = [step.module for step in steps if isinstance(step.module, nn.Conv2d)]
    maps = convolutions[-1].out_channels if convolutions else channels
    check_places(units, (maps, *extent), steps[-1].name)


@torch.no_grad()
def project(
    model: nn.Module,
    images: Images,
    units: Units,
    layer: str = "relu3",
    rule: str = "deconvnet",
    batch_size: int = 32,
) -> Projections:
    """Project units to the pixels they see.

    Parameters
    ----------
    model
        Any network that takes pictures (n, C, H, W). The rules ``"deconvnet"`` and ``"guided"`` ask that every ReLU below the layer
        is an ``nn.ReLU`` module and that there is no other activation of this kind, see :mod:`fer_lib.probe.rectifiers`.
    images
        (N, C, H, W) in the network's floating type: a tensor, or an array in any layout. Or a function that gives
        the pictures (n, C, H, W) of numbers (n,), of which only those are wanted that a unit has.
    units
        The n units to project; they number the pictures as ``images`` does.
    layer
        The units' layer, as for :func:`fer_lib.probe.activations.record`.
    rule
        ``"deconvnet"``, ``"guided"`` or ``"gradient"``, see the module.
    batch_size
        Units computed at once; bounds the memory.

    Returns
    -------
    Projections
        Seeded with the units' activations: a unit that is 0 has the projection 0. Its ``way`` tells whether the projections are
        windowed or of the whole frame.

    Raises
    ------
    FerError
        If the network cannot be projected by this rule, or pictures, units or rule do not fit it.

    Notes
    -----
    The network is taken as it is in evaluation, and left as it was. Stacks in float16 and bfloat16 are calculated in float32, in
    which their weights are exact.

    The batch size changes nothing but rounding. Where two values of a pool's window differ by no more than
    that, rounding decides which of them the switch takes, and where a rectifier's input is that near to zero, whether it
    lets the signal through: in float32 this concerns about one unit in a hundred, here as in every other implementation.

    Examples
    --------
    The strongest unit of every map of another network, and what it sees in the pictures:

    >>> from torchvision.models import vgg11
    >>> from fer_lib.probe.activations import record
    >>> from fer_lib.probe.projections import crops
    >>> from fer_lib.probe.responses import exemplars
    >>> model = vgg11(weights=None)
    >>> pictures = torch.rand(6, 3, 64, 64)
    >>> units = exemplars(record(model, pictures.split(2), layer="features.9"), n=1).units()
    >>> projections = project(model, pictures, units, layer="features.9", rule="guided")
    >>> projections.patch.shape[1:], projections.frame(0, 64, 64).shape
    ((3, 26, 26), (3, 64, 64))
    >>> crops(pictures, projections).shape == projections.patch.shape
    True
    """
    if rule not in RULES:
        raise FerError(f"rule {rule!r} is unknown: choose one of {', '.join(RULES)}")
    at_least("batch_size", batch_size)
    needed, where = np.unique(units.picture, return_inverse=True)
    given = pictures_at(images, needed)
    if given.ndim != 4 or not all(given.shape[1:]):
        raise FerError(f"pictures have shape {tuple(given.shape)}: give (N, C, H, W)")
    check_finite(given, needed)
    model, inside = unwrapped(model, layer)
    with buffers_kept(model):
        steps = stack_to(model, inside, given.shape[1:], given.dtype)
    device = device_of(model, given.device)
    places = [torch.from_numpy(place).to(device) for place in (where, units.map, units.row, units.column)]
    if steps is None:
        with buffers_kept(model):
            computed = project_frames(model, given.to(device), places, inside, rule, batch_size)
        left = top = np.zeros(len(units), np.int64)
    else:
        computed = _windowed(steps, given, places, rule, batch_size)
        left, top = fields_of(steps, units.row, units.column)[:, :2].T
    patch, value = computed
    if not (np.isfinite(value).all() and np.isfinite(patch).all()):
        raise FerError(f"layer {layer!r} gives infinite or undefined values: check weights and pictures")
    way = "whole frame" if steps is None else "windowed"
    return Projections(patch, top, left, value, units, rule, layer, way)


def _windowed(
    steps: list[Step], pictures: Tensor, units: list[Tensor], rule: str, batch_size: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Patches and values of units, each computed in its receptive field."""
    device, channels = units[0].device, pictures.shape[1]
    extents = extents_of(pictures, steps, float_type(steps))
    _check_units(steps, units, channels, extents[-1])
    pictures = pictures.to(device, calculated_in(pictures.dtype))
    fields = [field_of(steps, axis).size for axis in (0, 1)]
    patch = np.zeros((len(units[0]), channels, *fields), numpy_type(pictures.dtype))
    value = np.zeros(len(patch), patch.dtype)
    with whole_float32(device):
        steps = [step.fast(device) for step in steps]
        for i in range(0, len(patch), batch_size):
            some = slice(i, i + batch_size)
            patches, values = project_batch(steps, pictures, [place[some] for place in units], extents, rule)
            patch[some], value[some] = patches.cpu().numpy(), values.cpu().numpy()
    return patch, value
