"""Removing maps equals zeroing them in the network; matched sets match; a map that matters is told from one that does not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from fer_lib.errors import FerError
from fer_lib.measures.ablation import ablate, keep_only, logits_without, loudness, matched_sets


def network(maps=12, side=3, hidden=20, classes=4, seed=0):
    torch.manual_seed(seed)
    layers = [
        nn.Flatten(),
        nn.Linear(maps * side**2, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, classes),
    ]
    return nn.Sequential(*layers).eval(), torch.rand(70, maps, side, side)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), baseline=st.sampled_from(["zero", "mean"]))
def test_equal_to_running_the_network_on_changed_planes(seed, baseline):
    classifier, pooled = network(seed=seed)
    sets = np.random.default_rng(seed).random((5, 12)) < 0.3
    result = logits_without(classifier, pooled, sets, baseline=baseline)
    for removed, scores in zip(sets, result, strict=True):
        changed = pooled.clone()
        changed[:, removed] = pooled[:, removed].mean(dim=0) if baseline == "mean" else 0.0
        with torch.no_grad():
            assert torch.allclose(scores, classifier(changed), atol=1e-5)


def test_loudness_is_the_length_of_a_maps_contribution():
    classifier, pooled = network()
    pooled[:, 3] = 0
    loud = loudness(classifier, pooled)
    assert loud[3] == 0
    weight = classifier[1].weight.detach().reshape(20, 12, 9)
    expected = np.mean([float((weight[:, 5] @ picture[5].ravel()).norm()) for picture in pooled])
    assert loud[5] == pytest.approx(expected, rel=1e-5)
    assert loudness(classifier, 3 * pooled) == pytest.approx(3 * loud, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    maps=st.integers(4, 40),
    share=st.floats(0.05, 0.5),
    neighbours=st.integers(1, 12),
)
def test_matched_sets_have_as_many_maps_of_each_class_of_loudness(seed, maps, share, neighbours):
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(maps)[: max(1, int(share * maps))]
    loud = rng.exponential(size=maps)
    sets = matched_sets(chosen, loud, draws=7, neighbours=neighbours, seed=seed)
    assert (sets.sum(axis=1) == len(chosen)).all()
    for alike in np.array_split(np.argsort(loud), max(1, maps // neighbours)):
        assert (sets[:, alike].sum(axis=1) == np.isin(alike, chosen).sum()).all()
    if neighbours == 1:
        assert (sets == np.isin(np.arange(maps), chosen)).all()


def test_matched_sets_match_loudness():
    loud = np.r_[np.full(20, 1.0), np.full(20, 10.0), np.full(20, 100.0)]
    sets = matched_sets([0, 20, 40], loud, draws=50)
    assert (sets.reshape(50, 3, 20).sum(axis=2) == 1).all()
    assert len(np.unique(sets, axis=0)) > 25


def planted(seed=0):
    """40 equally loud maps; the first four carry the classes, the others nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 200)
    pooled = rng.exponential(size=(200, 40, 2, 2)).astype(np.float32)
    pooled[:, :4] = 0.3 * pooled[:, :4] + 1.5 * (labels[:, None] == np.arange(4))[:, :, None, None]
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(160, 40), nn.ReLU(), nn.Linear(40, 4)).eval()
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
        weight = classifier[1].weight.view(40, 40, 4)
        weight[torch.arange(40), torch.arange(40)] = 1.0
        classifier[3].weight[:, :4] = torch.eye(4)
        classifier[3].weight[0, 4:] = 1e-4
    return classifier, pooled, labels


def test_maps_that_carry_the_classes_are_missed_and_others_are_not():
    classifier, pooled, labels = planted()
    result = ablate(classifier, pooled, labels, [0, 1, 2, 3, 3], draws=99)
    assert result.accuracy > 0.95
    assert result.without < 0.5
    assert np.mean(result.random) > result.without + 0.2
    assert result.lost.mean() == pytest.approx(result.accuracy - result.without)
    assert result.p <= 0.05 and result.p_loss <= 0.05  # a random set may hold the same maps
    assert result.by_class["pictures"].sum() == 200
    weighted = np.average(result.by_class["without"], weights=result.by_class["pictures"])
    assert weighted == pytest.approx(result.without)
    useless = ablate(classifier, pooled, labels, [10, 11], draws=99)
    assert useless.p > 0.05
    with torch.no_grad():
        scores = classifier(torch.from_numpy(pooled))
    assert result.loss == pytest.approx(
        functional.cross_entropy(scores, torch.from_numpy(labels)).item(), rel=1e-5
    )


def test_keep_only_ends_at_chance_and_at_the_whole_network():
    classifier, pooled, labels = planted()
    curve = keep_only(classifier, pooled, labels, np.arange(40), [0, 2, 4, 40])
    assert curve[0] < 0.4
    assert curve[1] < 0.8
    assert curve[2:] == pytest.approx(
        [ablate(classifier, pooled, labels, [9], draws=1).accuracy] * 2, abs=0.02
    )


def test_bad_input_is_refused_by_name():
    classifier, pooled = network()
    labels = np.zeros(70, int)
    for call, words in [
        (lambda: ablate(classifier, pooled, labels, [12]), "do not exist"),
        (lambda: ablate(classifier, pooled, labels, []), "do not exist"),
        (lambda: ablate(classifier, pooled, labels, range(7)), "too few are left"),
        (lambda: ablate(classifier, pooled, labels[1:], [1]), "one class per picture"),
        (lambda: ablate(classifier, pooled[:, :, 1:], labels, [1]), "a picture is expected"),
        (lambda: ablate(classifier, pooled, labels, [1], baseline="blur"), "unknown"),
        (lambda: logits_without(classifier, pooled, np.ones((1, 3))), "sets have shape"),
        (lambda: logits_without(nn.Sequential(nn.ReLU()), pooled, np.ones((1, 12))), "does not begin"),
        (lambda: logits_without(network()[0].train(), pooled, np.ones((1, 12))), "call eval"),
        (lambda: matched_sets([0], np.ones(4), draws=0), "at least 1"),
    ]:
        with pytest.raises(FerError, match=words):
            call()
