"""One network on its way down: its weights, its optimiser, and the step of section 2.2."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fer_lib.config import Training
from fer_lib.errors import FerError
from fer_lib.faces.preprocess import Augment
from fer_lib.network.batching import Loader
from fer_lib.network.first_block import training_scores
from fer_lib.network.model import ExpressionNet
from fer_lib.network.repeatable import stream

_INITIALISATION, _ORDER, _DROPOUT = range(3)
_MOMENTUM = "momentum."


class Descent:
    """A network in training.

    Its chance comes from ``seed`` and the epoch alone, so that a resumed run needs no saved state of
    generators. Dropout draws from torch's global generator, which `begin` seeds; see
    `fer_lib.network.repeatable.repeatable`.
    """

    def __init__(self, hp: Training, classes: int, seed: int, device: str) -> None:
        self.hp, self.seed, self.device = hp, seed, device
        try:
            built = ExpressionNet(
                classes=classes,
                padding=hp.padding,
                dropout=hp.dropout,
                size=hp.crop,
                initialisation=hp.initialisation,
                generator=torch.Generator().manual_seed(stream(seed, 0, _INITIALISATION)),
            )
            self.model = built.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
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
        order = np.random.default_rng(stream(self.seed, epoch, _ORDER)).permutation(rows)
        torch.manual_seed(stream(self.seed, epoch, _DROPOUT))
        self.model.train()
        return [
            order[start : start + self.hp.batch_size] for start in range(0, len(order), self.hp.batch_size)
        ]

    def step(self, pictures: Tensor, labels: np.ndarray) -> tuple[float, Tensor]:
        """Take one step; return the mean loss (nats) and the scores (B, classes) before it."""
        target = torch.from_numpy(labels).to(self.device)
        self.optimiser.zero_grad(set_to_none=True)
        scores = training_scores(self.model, pictures)
        loss = cross_entropy(scores, target)
        loss.backward()
        self.optimiser.step()
        return loss.item(), scores.detach()


def loader_of(crops: Sequence[np.ndarray], hp: Training, seed: int, device: str) -> Loader:
    """Return the loader of these pictures for training with these hyperparameters."""
    augment = Augment(degrees=hp.degrees, flip=hp.flip, size=hp.resize, crop=hp.crop)
    return Loader(crops, augment, hp.batch_size, seed, device)


def checked(
    crops: Sequence[np.ndarray], labels: Any, train_idx: Any, test_idx: Any, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels and both sides of a split as int64 arrays, or raise a FerError that says what does not fit."""
    if not isinstance(classes, numbers.Integral) or classes < 2:
        raise FerError(f"classes={classes!r} is not possible; give a whole number from 2 up")
    labels = np.asarray(labels)
    labels = labels.astype(np.int64) if labels.dtype.kind == "b" else labels
    if labels.dtype.kind not in "iuf":
        raise FerError(f"labels are {labels.dtype}; give the number of each crop's class")
    possible = (labels >= 0) & (labels < classes) & (labels % 1 == 0)
    sides = {"train_idx": _rows("train_idx", train_idx), "test_idx": _rows("test_idx", test_idx)}
    if labels.shape != (len(crops),):
        raise FerError(
            f"labels have the shape {labels.shape} for {len(crops)} crops; give one label for each crop"
        )
    if not len(sides["train_idx"]):
        raise FerError("train_idx is empty; give at least one picture to learn from")
    for name, rows in sides.items():
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(crops)):
            raise FerError(
                f"{name} reaches from {rows.min()} to {rows.max()}, but there are {len(crops)} crops"
            )
        wrong = rows[~possible[rows]]
        if len(wrong):
            raise FerError(
                f"picture {wrong[0]} of {name} has the label {labels[wrong[0]]}; "
                f"classes={classes} allows 0 to {classes - 1}"
            )
        for row in rows.tolist():
            crop = np.asarray(crops[row])
            if crop.ndim != 2 or crop.dtype != np.uint8 or not crop.size:
                raise FerError(
                    f"picture {row} of {name} is {crop.dtype} of shape {crop.shape}; give uint8 (height, width)"
                )
    # Rows of neither side may have a label that is no number.
    labels = np.where(possible, labels, -1).astype(np.int64)
    return labels, sides["train_idx"], sides["test_idx"]


def _rows(name: str, rows: Any) -> np.ndarray:
    """Row numbers as int64; neither a mask nor fractions."""
    array = np.asarray(rows)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise FerError(f"{name} is {array.dtype} of shape {array.shape}; give the numbers of rows, (n,)")
    return array.astype(np.int64)
