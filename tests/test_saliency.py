"""What recovers the picture is told from what shows the weights; ranks and networks against plain ones."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from fer_lib.errors import FerError
from fer_lib.measures.saliency import cascade, high_passed, rank_correlation, saliency_checks
from fer_lib.network.model import ExpressionNet
from fer_lib.probe.responses import Units


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_rank_correlation_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 9, (2, 3, 1, 4, 5))
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlation(first, second), expected)


def test_a_constant_patch_has_no_rank_correlation():
    assert np.isnan(rank_correlation(np.ones((1, 2, 2)), np.arange(4).reshape(1, 2, 2)))


def test_high_passed_pictures_have_edges_and_no_brightness():
    picture = np.zeros((1, 1, 32, 32), np.float32)
    picture[..., 16:] = 1
    edges = high_passed(picture + 5)[0, 0]
    assert np.abs(edges[:, [3, 28]]).max() < 1e-3 and edges[:, 16].min() > 0.3 and edges[:, 15].max() < -0.3


def test_a_cascade_goes_down_from_the_layer_and_leaves_the_network_alone():
    network = ExpressionNet(classes=3, size=48, generator=torch.Generator().manual_seed(0))
    before = copy.deepcopy(network.state_dict())
    networks = cascade(network.features, "relu3", seed=1)
    assert list(networks) == ["none", "conv3", "conv2", "conv1"]
    for name, changed in zip(networks, ([], [3], [3, 2], [3, 2, 1]), strict=True):
        for layer in (1, 2, 3):
            new, old = (
                networks[name].get_submodule(f"conv{layer}").weight,
                before[f"features.conv{layer}.weight"],
            )
            assert torch.equal(new, old) != (layer in changed)
            assert torch.equal(new.flatten().sort().values, old.flatten().sort().values)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert list(cascade(network.features, "relu2")) == ["none", "conv2", "conv1"]
    assert torch.equal(
        cascade(network.features, "relu1", seed=3)["conv1"].conv1.weight,
        cascade(network.features, "relu1", seed=3)["conv1"].conv1.weight,
    )
    with pytest.raises(FerError, match="no layer"):
        cascade(network.features, "conv9")
    with pytest.raises(FerError, match="no convolution"):
        cascade(nn.Sequential(nn.ReLU()), "0")


def pictures(count=6, side=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 1, side, side)).astype(np.float32)


def test_by_the_gradient_a_linear_map_shows_its_weights_and_not_the_picture():
    """The gradient of a single convolution is its kernel, whatever the picture."""
    network = nn.Sequential(nn.Conv2d(1, 4, 9, bias=False))
    units = Units(np.arange(6), np.arange(6) % 4, np.full(6, 3), np.full(6, 5))
    table = saliency_checks(
        network, pictures(), units, np.arange(6), layer="0", rules=["gradient"], draws=100
    )
    assert table["compared with"].tolist() == [
        "picture, high-passed",
        "projection before",
        "picture, high-passed",
    ]
    assert table["randomised"].tolist() == ["none", "0", "0"] and (table["units"] == 6).all()
    assert (table["rank correlation"].abs() < 0.25).all() and (table["ssim"].abs() < 0.35).all()
    assert (table["rank correlation_low"] <= table["rank correlation"]).all()
    assert (table["ssim_high"] >= table["ssim"]).all()


def test_what_does_not_change_with_the_weights_is_seen():
    """All weights of the first layer are alike, so that another order changes nothing."""
    network = nn.Sequential(
        nn.Conv2d(1, 2, 9, bias=False), nn.ReLU(), nn.Conv2d(2, 2, 1, bias=False), nn.ReLU()
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.linspace(0, 1, 81).view(1, 1, 9, 9).expand(2, 1, 9, 9))
        network[2].weight.fill_(1.0)
    given = np.abs(pictures())
    units = Units(np.arange(6), np.arange(6) % 2, np.full(6, 3), np.full(6, 5))
    table = saliency_checks(network, given, units, np.arange(6), layer="3", draws=20)
    same = table[(table["compared with"] == "projection before") & (table["randomised"] == "2")]
    assert same["rule"].tolist() == ["deconvnet", "guided", "gradient"]
    assert same[["rank correlation", "ssim", "ssim_low"]].to_numpy() == pytest.approx(1)
    other = table[(table["compared with"] == "projection before") & (table["randomised"] == "0")]
    assert (other["rank correlation"] < 0.5).all()


def test_the_papers_network_and_silent_units():
    network = ExpressionNet(classes=3, size=48, generator=torch.Generator().manual_seed(0)).eval()
    given = pictures(4, 48)
    units = Units([0, 1, 2, 3], [0, 5, 9, 200], [1, 2, 0, 1], [2, 0, 1, 1])
    table = saliency_checks(network.features, given, units, ["a", "a", "b", "b"], draws=20)
    assert len(table) == 3 * (1 + 3 * 2) and table["units"].max() <= 4
    assert table["rank correlation"].dropna().between(-1, 1).all()
    with torch.no_grad():
        network.features.conv3.bias.fill_(-1e6)
    silent = saliency_checks(network.features, given, units, ["a", "a", "b", "b"], draws=20, rules=["guided"])
    assert (silent["units"] == 0).all() and silent["rank correlation"].isna().all()


def test_bad_input_is_refused():
    network, units = nn.Sequential(nn.Conv2d(1, 4, 9)), Units([0], [0], [0], [0])
    for images, who, options, words in [
        (pictures()[:, 0], np.arange(6), {}, "is expected"),
        (pictures(), np.arange(5), {}, "subject have shape"),
        (pictures(), np.arange(6), {"sigma": 0}, "sigma=0"),
        (pictures(), np.arange(6), {"draws": 0}, "draws=0"),
    ]:
        with pytest.raises(FerError, match=words):
            saliency_checks(network, images, units, who, layer="0", **options)
