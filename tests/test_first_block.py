import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fer_lib.network.first_block import training_scores
from fer_lib.network.model import ExpressionNet


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 3),
    channels=st.integers(1, 3),
    padding=st.integers(0, 2),
    size=st.integers(36, 40),
    whole=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_layers(n, channels, padding, size, whole, seed):
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
        for scores in (training_scores(model, pictures), model(pictures))
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


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
