"""One training step of the paper's network, and the drawing of one of its pictures, against the same written plainly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision import transforms

from benchmarks.measure import Row, in_turns
from fer_lib.config import Training
from fer_lib.faces.preprocess import Augment, picture_generator
from fer_lib.network.descent import Descent
from fer_lib.network.stack import read_stack

CLASSES = 8


def step_products(descent: Descent, pictures: int) -> int:
    """Multiply-adds of a step: forward, and backward to weights and inputs, the picture itself excepted."""
    extent, total = (descent.hp.crop, descent.hp.crop), 0
    for step in read_stack(descent.model.features):
        extent = step.out(extent)
        if isinstance(step.module, nn.Conv2d):
            passes = 2 if step.name == "conv1" else 3
            total += passes * extent[0] * extent[1] * step.module.weight.numel()
    linear = (m for m in descent.model.classifier if isinstance(m, nn.Linear))
    return pictures * (total + sum(3 * m.weight.numel() for m in linear))


def _plain_step(model: nn.Module, optimiser: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    optimiser.zero_grad()
    cross_entropy(model(x), y).backward()
    optimiser.step()


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time a step of the library and one of plain PyTorch, on ready pictures, and the drawing of a picture."""
    yield _augmentation(quick)
    for padding in (0, 2):
        hp = Training(padding=padding, batch_size=8 if quick else 64)
        descent = Descent(hp, CLASSES, 0, "cpu")
        descent.begin(1, np.arange(hp.batch_size))
        plain = Descent(hp, CLASSES, 0, "cpu").model.to(memory_format=torch.contiguous_format).train()
        optimiser = torch.optim.SGD(
            plain.parameters(), hp.learning_rate, momentum=hp.momentum, weight_decay=hp.weight_decay
        )
        pictures = torch.randn(hp.batch_size, 1, hp.crop, hp.crop)
        labels = np.arange(hp.batch_size) % CLASSES
        works: dict[str, Callable[[], object]] = {
            "ours": partial(descent.step, pictures, labels),
            "plain": partial(_plain_step, plain, optimiser, pictures, torch.from_numpy(labels)),
        }
        times = in_turns(works, 1 if quick else 5)
        limit = step_products(descent, hp.batch_size) / rate
        yield Row(
            f"training step, {hp.batch_size} pictures, 96x96, padding {padding}",
            times["ours"],
            "the same step in plain PyTorch",
            times["plain"],
            times["plain"] / times["ours"],
            "limit / ours >= 0.6",
            limit,
            f"limit / ours = {limit / times['ours']:.2f}",
        )


def _augmentation(quick: bool) -> Row:
    grey, augment = np.random.default_rng(0).integers(0, 256, (150, 130), np.uint8), Augment()
    plain = transforms.Compose(
        [
            transforms.RandomRotation(15, transforms.InterpolationMode.BILINEAR),
            transforms.RandomHorizontalFlip(),
            transforms.Resize((99, 99)),
            transforms.RandomCrop(96),
            transforms.ToTensor(),
        ]
    )

    def peer() -> None:
        picture = plain(Image.fromarray(grey))
        picture.sub_(picture.mean()).div_(picture.std())

    works: dict[str, Callable[[], object]] = {
        "ours": lambda: augment(grey, picture_generator(0, 0, 0)),
        "plain": peer,
    }
    times = in_turns(works, 1 if quick else 50)
    operation = "the five steps of augmentation on one face of 150x130"
    note = "a training step takes about 20 ms a picture, behind which this has to hide"
    return Row(
        operation,
        times["ours"],
        "torchvision's transforms",
        times["plain"],
        times["plain"] / times["ours"],
        "<= 20 ms",
        None,
        note,
    )
