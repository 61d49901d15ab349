"""The paper's network: three blocks of 5x5 convolution, ReLU and 2x2 max pooling, then two linear layers.

Section 2.2: the blocks have 64, 128 and 256 maps, the hidden linear layer 1,024 units. The network of Breuer and Kimmel (2017, section 3),
whose experiment the paper varies, has the same blocks and another head.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from fer_lib.artifacts.files import write_aside
from fer_lib.errors import FerError
from fer_lib.network.stack import Field, field_of, read_stack

__all__ = ["ExpressionNet", "describe", "initialise", "load", "save"]

MAPS = (64, 128, 256)
KERNEL = 5


class Head(NamedTuple):
    """What follows the convolutions."""

    hidden: int  # units of the hidden linear layer
    dropped: float  # share of the last maps' units that training drops


ARCHITECTURES = {"paper": Head(1024, 0.0), "breuer_kimmel": Head(512, 0.25)}

# Standard deviation of the Gaussian that the weights are drawn from, as a function of the layer's fan-in.
INITIALISATIONS: dict[str, Callable[[int], float]] = {
    "he": lambda fan_in: math.sqrt(2 / fan_in),
    "fan_in": lambda fan_in: math.sqrt(1 / fan_in),
    "small": lambda fan_in: 0.01,
    "paper": lambda fan_in: 1.0,
}


class ExpressionNet(nn.Module):
    """The paper's network: ``features`` (three convolutional blocks) and ``classifier`` (two linear layers).

    Parameters
    ----------
    classes
        Outputs, at least 2.
    padding
        Zero padding of the three convolutions in pixels (0: conv3 gives 17x17 for 96x96; 2: 24x24). The paper
        does not state it.
    dropout
        Probability of dropping a unit of the hidden fully connected layer, 0 <= dropout < 1.
    size
        Side of the square input in pixels.
    channels
        Channels of the input: 1 (grey) or 3 (RGB), any positive number.
    initialisation
        Name of the weights' distribution, see :func:`initialise`.
    std
        Standard deviation that replaces the one that ``initialisation`` gives, for all layers.
    generator
        Random generator of the weights; torch's global one if None.
    architecture
        ``paper``, or ``breuer_kimmel``: half as many hidden units, and dropout also before them.

    Raises
    ------
    FerError
        If an argument is out of range, or the picture is too small for the three blocks.

    Examples
    --------
    >>> import torch
    >>> import fer_lib as fer
    >>> network = fer.ExpressionNet(classes=7, size=48, generator=torch.Generator().manual_seed(0)).eval()
    >>> network(torch.zeros(2, 1, 48, 48)).shape
    torch.Size([2, 7])
    >>> network.features(torch.zeros(2, 1, 48, 48)).shape
    torch.Size([2, 256, 2, 2])
    >>> list(network.features._modules)[:3]
    ['conv1', 'relu1', 'pool1']
    """

    def __init__(
        self,
        classes: int = 8,
        padding: int = 0,
        dropout: float = 0.5,
        size: int = 96,
        channels: int = 1,
        initialisation: str = "he",
        std: float | None = None,
        generator: torch.Generator | None = None,
        architecture: str = "paper",
    ) -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise FerError(
                f"architecture {architecture!r} is unknown: choose one of {', '.join(ARCHITECTURES)}"
            )
        head = ARCHITECTURES[architecture]
        for name, value, least in (
            ("classes", classes, 2),
            ("padding", padding, 0),
            ("channels", channels, 1),
        ):
            if value < least:
                raise FerError(f"{name}={value} is not possible: give at least {least}")
        if not 0 <= dropout < 1:
            raise FerError(f"dropout={dropout} is not a probability below 1: give 0 <= dropout < 1")
        side = pooled_side("size", size, padding)
        self.options: dict[str, Any] = dict(
            classes=classes,
            padding=padding,
            dropout=dropout,
            size=size,
            channels=channels,
            initialisation=initialisation,
            std=std,
            architecture=architecture,
        )
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (maps_in, maps_out) in enumerate(zip((channels, *MAPS), MAPS, strict=False), start=1):
            layers[f"conv{i}"] = nn.Conv2d(maps_in, maps_out, KERNEL, padding=padding)
            layers[f"relu{i}"] = nn.ReLU()
            layers[f"pool{i}"] = nn.MaxPool2d(2)
        self.features = nn.Sequential(layers)
        behind: OrderedDict[str, nn.Module] = OrderedDict()
        if head.dropped:
            behind["dropout_maps"] = nn.Dropout(head.dropped)
        behind["flatten"] = nn.Flatten()
        behind["fc1"] = nn.Linear(MAPS[-1] * side * side, head.hidden)
        behind["relu"] = nn.ReLU()
        behind["dropout"] = nn.Dropout(dropout)
        behind["fc2"] = nn.Linear(head.hidden, classes)
        self.classifier = nn.Sequential(behind)
        initialise(self, initialisation, generator, std)

    def forward(self, pictures: Tensor) -> Tensor:
        """Class scores before the softmax, (n, classes), of pictures (n, channels, size, size)."""
        scores: Tensor = self.classifier(self.features(pictures))
        return scores

    def planes(self, pictures: Tensor, layer: str) -> Tensor:
        """Return all maps of a layer of ``features`` on some pictures, (n, maps, height, width)."""
        found: Tensor = self.features[: len(read_stack(self.features, layer))](pictures)
        return found


def pooled_side(name: str, size: int, padding: int) -> int:
    """Side of the last pool's maps for pictures of this side; a FerError with its ``name`` if nothing is left of them."""
    side = size
    for _ in MAPS:
        side = (side + 2 * padding - KERNEL + 1) // 2
        if side < 1:
            raise FerError(
                f"{name}={size} is too small for three blocks with padding={padding}: give a larger {name}"
            )
    return side


def check_initialisation(name: str) -> None:
    """Refuse a distribution of the weights that is not known."""
    if name not in INITIALISATIONS:
        raise FerError(f"initialisation {name!r} is unknown: choose one of {', '.join(INITIALISATIONS)}")


def initialise(
    model: nn.Module, name: str = "he", generator: torch.Generator | None = None, std: float | None = None
) -> None:
    """Draw every weight of the convolutions and linear layers from N(0, sd**2) in place, and set biases to 0.

    Parameters
    ----------
    model
        Any module.
    name
        ``he``: sd = sqrt(2 / fan-in) (He et al. 2015); ``fan_in``: sqrt(1 / fan-in) (LeCun et al. 1998);
        ``small``: 0.01; ``paper``: 1, section 2.2 read literally, which does not train.
    generator
        Random generator; torch's global one if None.
    std
        Replaces the standard deviation of ``name`` if given, must be positive.
    """
    check_initialisation(name)
    if std is not None and not std > 0:
        raise FerError(f"std={std} is not a standard deviation: give a positive number")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.normal_(
                    0, INITIALISATIONS[name](fan_in) if std is None else std, generator=generator
                )
                if module.bias is not None:
                    module.bias.zero_()


def describe(model: ExpressionNet) -> pd.DataFrame:
    """One row per layer: layer, kind, output shape, parameters, receptive field and stride in pixels."""
    channels, extent = int(model.options["channels"]), (int(model.options["size"]),) * 2
    steps = read_stack(model.features)
    rows: list[tuple[str, str, str, int, int, int]] = []

    def add(name: str, module: nn.Module, shape: str, field: Field) -> None:
        parameters = sum(p.numel() for p in module.parameters())
        rows.append((name, type(module).__name__, shape, parameters, field.size, field.stride))

    for i, step in enumerate(steps):
        channels = step.module.out_channels if isinstance(step.module, nn.Conv2d) else channels
        extent = step.out(extent)
        add(step.name, step.module, f"{channels} x {extent[0]} x {extent[1]}", field_of(steps[: i + 1], 0))
    width = channels * extent[0] * extent[1]
    for name, module in model.classifier.named_children():
        width = module.out_features if isinstance(module, nn.Linear) else width
        # Every unit behind the first linear layer sees the whole picture, once.
        add(name, module, str(width), Field(int(model.options["size"]), 1, 0))
    return pd.DataFrame(
        rows, columns=["layer", "kind", "output shape", "parameters", "receptive field", "stride"]
    )


def save(model: ExpressionNet, folder: Path) -> None:
    """Write ``model.safetensors`` and ``model.json`` (the arguments) into a folder, made if need be."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # Not save_file: it hides the reason when the disk is full, and leaves a file of its own when it is killed.
    write_aside(folder / "model.safetensors", to_bytes(state))
    write_aside(folder / "model.json", (json.dumps(model.options, indent=1) + "\n").encode())


def load(folder: Path) -> ExpressionNet:
    """Read what :func:`save` wrote; the network is in evaluation mode.

    Raises
    ------
    FerError
        If a file is missing or damaged, or weights and arguments do not fit each other.
    """
    folder = Path(folder)
    try:
        options = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        model = ExpressionNet(**options)
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise FerError(f"{folder} holds no readable network ({error}): train it again") from error
    return model.eval()
