"""One step of section 2.2: forward, backward, and stochastic gradient descent with momentum.

The quickest way that plain PyTorch has on a CPU: channels-last memory, max pooling before the ReLU (they commute, and the ReLU then
has a quarter of the values to look at), a fused optimiser, and bfloat16 for convolutions and linear layers where the processor
multiplies in it. Weights, momentum and the loss are float32 in every case.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d

from fer_lib.config import Training
from fer_lib.errors import FerError
from fer_lib.network.batches import Loader
from fer_lib.network.model import ExpressionNet
from fer_lib.network.repeatable import DROPOUT, INITIALISATION, ORDER, precision_of, stream

_MOMENTUM = "momentum."


def training_scores(model: ExpressionNet, pictures: Tensor) -> Tensor:
    """Return what ``model(pictures)`` returns, (n, classes), by a quicker way: pooled first, then rectified.

    Parameters
    ----------
    model : ExpressionNet
        The network, in training mode or not.
    pictures : Tensor
        (n, channels, size, size).
    """
    x = pictures
    for module in model.features:
        if isinstance(module, nn.Conv2d):
            x = max_pool2d(module(x), 2).relu()
    scores: Tensor = model.classifier(x)
    return scores


class Trainer:
    """A network in training: weights, optimiser and the step.

    Its random numbers come from ``seed`` and the epoch alone, so that a resumed run needs no saved state of
    generators. Dropout draws from torch's global generator, which `begin` seeds; see
    `fer_lib.network.repeatable.repeatable`.

    Parameters
    ----------
    hp : Training
        Hyperparameters.
    classes : int
        Outputs of the network.
    seed : int
        Of weights, order and dropout.
    device : str
        Torch's name of the device that calculates.

    Attributes
    ----------
    model : ExpressionNet
        The network.
    precision : str
        In what the convolutions and linear layers multiply: ``"float32"`` or ``"bfloat16"``.
    """

    def __init__(self, hp: Training, classes: int, seed: int, device: str) -> None:
        self.hp, self.seed, self.device = hp, seed, device
        self.precision = precision_of(hp.precision, device)
        try:
            built = ExpressionNet(
                classes=classes,
                padding=hp.padding,
                dropout=hp.dropout,
                size=hp.crop,
                initialisation=hp.initialisation,
                generator=torch.Generator().manual_seed(stream(seed, 0, INITIALISATION)),
                architecture=hp.architecture,
            )
            self.model = built.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._start = {name: weight.detach().clone() for name, weight in _weights(self.model).items()}
        except (RuntimeError, TypeError, OverflowError) as error:
            # torch says so in as many ways as there are numbers and allocators.
            raise FerError(
                f"no memory for a network with classes={classes}, padding={hp.padding} and crop={hp.crop}; lower them"
            ) from error
        self.optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=hp.learning_rate,
            momentum=hp.momentum,
            weight_decay=hp.weight_decay,
            fused=True,
        )

    def state(self) -> dict[str, Tensor]:
        """Return weights and, where there is any, momentum by name."""
        named = dict(self.model.named_parameters())
        states = {name: self.optimiser.state[p].get("momentum_buffer") for name, p in named.items()}
        buffers = {_MOMENTUM + name: buffer for name, buffer in states.items() if buffer is not None}
        return {**named, **buffers}

    def finite(self) -> bool:
        """Whether all weights are numbers."""
        return all(bool(parameter.isfinite().all()) for parameter in self.model.parameters())

    def moved(self) -> dict[str, float]:
        """Return how far each layer's weights are from where they started, relative to the start's norm, by layer."""
        found = {}
        for name, weight in _weights(self.model).items():
            start = self._start[name]
            found[name] = float(
                torch.linalg.vector_norm(weight.detach() - start) / torch.linalg.vector_norm(start)
            )
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to what `state` returned."""
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[name])
                if _MOMENTUM + name in tensors:
                    buffer = torch.empty_like(parameter).copy_(tensors[_MOMENTUM + name])
                    self.optimiser.state[parameter]["momentum_buffer"] = buffer

    def begin(self, epoch: int, rows: np.ndarray) -> list[np.ndarray]:
        """Begin an epoch (from 1) and return its batches: the rows in a new order."""
        order = np.random.default_rng(stream(self.seed, epoch, ORDER)).permutation(rows)
        torch.manual_seed(stream(self.seed, epoch, DROPOUT))
        self.model.train()
        return [
            order[start : start + self.hp.batch_size] for start in range(0, len(order), self.hp.batch_size)
        ]

    def step(self, pictures: Tensor, labels: np.ndarray) -> tuple[float, Tensor]:
        """Take one step; return the mean loss (nats) and the scores (B, classes), float32, before it."""
        target = torch.from_numpy(labels).to(self.device)
        self.optimiser.zero_grad(set_to_none=True)
        half = self.precision == "bfloat16"
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=half):
            scores = training_scores(self.model, pictures).float()
        loss = cross_entropy(scores, target)
        loss.backward()
        self.optimiser.step()
        return loss.item(), scores.detach()


def _weights(model: ExpressionNet) -> dict[str, Tensor]:
    """The weights, without biases, which start at zero, of each layer."""
    named = (*model.features.named_children(), *model.classifier.named_children())
    return {name: layer.weight for name, layer in named if isinstance(layer, nn.Conv2d | nn.Linear)}


def predict(model: nn.Module, loader: Loader, rows: np.ndarray) -> np.ndarray:
    """Return the class probabilities of pictures that are not augmented, (n, classes) float32.

    The network is put into evaluation mode; it has to be on the loader's device. Without pictures the result
    is (0, 0).
    """
    model.eval()
    with torch.inference_mode():
        parts = [model(pictures).softmax(1).cpu().numpy() for pictures in loader.plain(rows)]
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
