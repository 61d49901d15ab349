import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from benchmarks.first_block import FirstBlock, training_scores
from fer_lib.network.model import ExpressionNet


def plain(pictures, weight, bias, padding):
    return functional.max_pool2d(
        functional.relu(functional.conv2d(pictures, weight, bias, padding=padding)), 2
    )


def gradients(block, pictures, weight, bias, padding, seed):
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    out = block(pictures, weight, bias, padding)
    upstream = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(seed))
    return (out.detach(), *torch.autograd.grad(out, (weight, bias), upstream))


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 3),
    channels=st.integers(1, 3),
    maps=st.integers(1, 5),
    height=st.integers(6, 13),
    width=st.integers(6, 13),
    padding=st.integers(0, 2),
    levels=st.sampled_from([0, 1]),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_layers(n, channels, maps, height, width, padding, levels, seed):
    generator = torch.Generator().manual_seed(seed)
    shape = (n, channels, height, width)
    # Whole numbers make many ties and exact zeros, where the choice of the winner shows.
    if levels:
        pictures = torch.randint(-1, 2, shape, generator=generator).double()
        weight = torch.randint(-1, 2, (maps, channels, 5, 5), generator=generator).double()
        bias = torch.randint(-2, 3, (maps,), generator=generator).double()
    else:
        pictures = torch.randn(shape, generator=generator, dtype=torch.double)
        weight = torch.randn(maps, channels, 5, 5, generator=generator, dtype=torch.double)
        bias = torch.randn(maps, generator=generator, dtype=torch.double)
    expected = gradients(plain, pictures, weight, bias, padding, seed)
    found = gradients(FirstBlock.apply, pictures, weight, bias, padding, seed)
    for name, ours, theirs in zip(("value", "weight", "bias"), found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_whole_network(padding, channels):
    torch.manual_seed(0)
    model = ExpressionNet(3, padding=padding, size=40, channels=channels, dropout=0.0).train()
    model = model.to(memory_format=torch.channels_last)
    pictures = torch.randn(4, channels, 40, 40).contiguous(memory_format=torch.channels_last)
    results = []
    for forward in (model, lambda x: training_scores(model, x)):
        model.zero_grad()
        scores = forward(pictures)
        functional.cross_entropy(scores, torch.tensor([0, 1, 2, 1])).backward()
        results.append([scores.detach(), *(p.grad.clone() for p in model.parameters())])
    for ours, theirs in zip(*reversed(results), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_dropout_acts():
    torch.manual_seed(0)
    model = ExpressionNet(3, size=36).train()
    pictures = torch.randn(2, 1, 36, 36)
    assert not torch.equal(training_scores(model, pictures), training_scores(model, pictures))
    model.eval()
    torch.testing.assert_close(training_scores(model, pictures), model(pictures), rtol=1e-4, atol=1e-4)
