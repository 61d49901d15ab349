"""One training step of the paper's network, and the drawing of one of its pictures, against other ways to do the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision import transforms

from benchmarks import first_block
from benchmarks.measure import Row, in_turns
from fer_lib.config import Training
from fer_lib.faces.preprocess import Augment, picture_generator
from fer_lib.network.stack import read_stack
from fer_lib.network.trainer import Trainer

CLASSES = 8


def step_products(trainer: Trainer, pictures: int) -> int:
    """Multiply-adds of a step: forward, and backward to weights and inputs, the picture itself excepted."""
    extent, total = (trainer.hp.crop, trainer.hp.crop), 0
    for step in read_stack(trainer.model.features):
        extent = step.out(extent)
        if isinstance(step.module, nn.Conv2d):
            passes = 2 if step.name == "conv1" else 3
            total += passes * extent[0] * extent[1] * step.module.weight.numel()
    linear = (m for m in trainer.model.classifier if isinstance(m, nn.Linear))
    return pictures * (total + sum(3 * m.weight.numel() for m in linear))


def _step(
    forward: Callable[[torch.Tensor], torch.Tensor], trainer: Trainer, x: torch.Tensor, y: torch.Tensor
) -> None:
    trainer.optimiser.zero_grad(set_to_none=True)
    cross_entropy(forward(x), y).backward()
    trainer.optimiser.step()


def _trainer(hp: Training) -> Trainer:
    trainer = Trainer(hp, CLASSES, 0, "cpu")
    trainer.begin(1, np.arange(hp.batch_size))
    return trainer


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time a step of the library, of plain PyTorch and of a first block written by hand; and the drawing of a picture."""
    yield _augmentation(quick)
    for padding in (0, 2):
        hp = Training(padding=padding, batch_size=8 if quick else 64)
        auto, exact, plain, by_hand = (
            _trainer(replace(hp, precision=precision)) for precision in ("auto", *["float32"] * 3)
        )
        pictures = torch.randn(hp.batch_size, 1, hp.crop, hp.crop).contiguous(
            memory_format=torch.channels_last
        )
        labels = np.arange(hp.batch_size) % CLASSES
        target = torch.from_numpy(labels)
        works: dict[str, Callable[[], object]] = {
            "ours": partial(auto.step, pictures, labels),
            "float32": partial(exact.step, pictures, labels),
            "plain": partial(_step, plain.model, plain, pictures, target),
            "by hand": partial(
                _step, partial(first_block.training_scores, by_hand.model), by_hand, pictures, target
            ),
        }
        times = in_turns(works, 1 if quick else 5)
        limit = step_products(auto, hp.batch_size) / rate
        note = f"{auto.precision}; in float32 {times['float32']:.3g} s, of which the arithmetic takes {limit:.3g} s"
        peers = {
            "plain": "PyTorch, channels last, ReLU before the pool",
            "by hand": "first block by hand, as it was",
        }
        for name, peer in peers.items():
            yield Row(
                f"training step, {hp.batch_size} pictures, 96x96, padding {padding}",
                times["ours"],
                peer,
                times[name],
                times[name] / times["ours"],
                "twice as fast where the processor has bfloat16",
                limit,
                note,
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
