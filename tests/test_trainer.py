"""The quick ways to the scores and gradients of a step are those of the plain layers, within bounds that are said."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from benchmarks import first_block
from fer_lib.config import Training
from fer_lib.network.model import ExpressionNet
from fer_lib.network.repeatable import precision_of
from fer_lib.network.trainer import Trainer, training_scores

WAYS = {"library": training_scores, "benchmark's peer": first_block.training_scores}


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 3),
    channels=st.integers(1, 3),
    padding=st.integers(0, 2),
    size=st.integers(36, 40),
    whole=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_layers(way, n, channels, padding, size, whole, seed):
    generator = torch.Generator().manual_seed(seed)
    model = ExpressionNet(3, padding=padding, size=size, channels=channels, dropout=0.0).double()
    pictures = torch.randn(n, channels, size, size, generator=generator).double()
    if whole:
        # Whole numbers make many ties and exact zeros, where the choice of the winner shows.
        pictures = pictures.round()
    with torch.no_grad():
        for weight in model.parameters() if whole else ():
            weight.copy_(torch.randint(-1, 2, weight.shape, generator=generator))
    upstream = torch.randn(n, 3, generator=generator).double()
    found, expected = (
        (scores.detach(), *torch.autograd.grad(scores, list(model.parameters()), upstream))
        for scores in (WAYS[way](model, pictures), model(pictures))
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


GRADIENTS = {"float32": (1e-5, 0.03), "bfloat16": (0.25, 0.4)}
"""Distance of a layer's gradient from that in float64, relative to its norm: in the median of some draws, and at most. Where two values
of a pool's window are equal but for rounding, another one wins, and the gradient takes another way: that is the larger number."""


@pytest.mark.parametrize("precision", GRADIENTS)
@pytest.mark.parametrize("padding", [0, 2])
def test_gradients_of_a_step_are_those_of_float64_within_the_bound(precision, padding):
    hp = Training(
        padding=padding, precision=precision, dropout=0.0, momentum=0.0, weight_decay=0.0, learning_rate=1.0
    )
    labels, distances = np.array([0, 1, 2, 1]), []
    for seed in range(5):
        trainer = Trainer(hp, 3, seed, "cpu")
        start = deepcopy(trainer.model).double().to(memory_format=torch.contiguous_format)
        pictures = torch.randn(4, 1, 96, 96, generator=torch.Generator().manual_seed(seed))
        exact = functional.cross_entropy(start(pictures.double()), torch.from_numpy(labels))
        exact.backward()
        loss, _ = trainer.step(pictures.contiguous(memory_format=torch.channels_last), labels)
        assert loss == pytest.approx(exact.item(), rel=1e-5 if precision == "float32" else 0.05)
        distances.append([])
        for before, after in zip(start.parameters(), trainer.model.parameters(), strict=True):
            assert after.dtype == torch.float32
            found, expected = (before - after).detach(), before.grad
            # The step itself is rounded to float32 at the size of the weight.
            rounding = 2e-7 * float(before.detach().norm())
            distances[-1].append(
                max(0.0, float((found - expected).norm()) - rounding) / float(expected.norm())
            )
    middle, most = np.median(distances, axis=0).max(), np.max(distances)
    assert middle <= GRADIENTS[precision][0] and most <= GRADIENTS[precision][1], (middle, most)


def test_precision_means_what_the_hardware_has(monkeypatch):
    assert precision_of("float32", "cpu") == "float32" and precision_of("bfloat16", "cpu") == "bfloat16"
    for has, meaning in (
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx2": True, "avx512_bf16": False}, "float32"),
        ({}, "float32"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has, raising=False)
        assert precision_of("auto", "cpu") == meaning
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert precision_of("auto", "cpu") == "float32"  # torch before 2.10 cannot say


def test_movement_is_relative_to_the_start():
    trainer = Trainer(Training(crop=36, resize=36), 2, 0, "cpu")
    assert trainer.moved() == dict.fromkeys(["conv1", "conv2", "conv3", "fc1", "fc2"], 0.0)
    with torch.no_grad():
        trainer.model.features.conv2.weight.mul_(1.5)
    assert trainer.moved()["conv2"] == pytest.approx(0.5) and trainer.moved()["conv3"] == 0
    again = Trainer(Training(crop=36, resize=36), 2, 0, "cpu")
    again.restore(trainer.state())
    assert again.moved() == trainer.moved()


def test_dropout_acts():
    torch.manual_seed(0)
    model = ExpressionNet(3, size=36).train()
    pictures = torch.randn(2, 1, 36, 36)
    assert not torch.equal(training_scores(model, pictures), training_scores(model, pictures))
    model.eval()
    torch.testing.assert_close(training_scores(model, pictures), model(pictures), rtol=1e-4, atol=1e-4)
