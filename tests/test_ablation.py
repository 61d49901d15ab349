"""Removing maps equals zeroing them in the network; matched sets match; a map that matters is told from one that does not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from fer_lib.errors import FerError
from fer_lib.measures.ablation import ablate
from fer_lib.measures.map_removal import logits_without, loudness
from fer_lib.measures.patching import compare_with_random_sets, remove_keep_patch
from fer_lib.measures.random_sets import matched_sets


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
@given(seed=st.integers(0, 999), baseline=st.sampled_from(["zero", "mean"]), dropout=st.booleans())
def test_equal_to_running_the_network_on_changed_planes(seed, baseline, dropout):
    classifier, pooled = network(seed=seed)
    if dropout:  # before the first linear layer, as in Breuer and Kimmel's network
        classifier = nn.Sequential(nn.Dropout(0.25), *classifier).eval()
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
    loud, pictures = loudness(classifier, pooled)
    assert pictures == len(pooled)
    assert loud[3] == 0
    weight = classifier[1].weight.detach().reshape(20, 12, 9)
    expected = np.mean([float((weight[:, 5] @ picture[5].ravel()).norm()) for picture in pooled])
    assert loud[5] == pytest.approx(expected, rel=1e-5)
    assert loudness(classifier, 3 * pooled)[0] == pytest.approx(3 * loud, rel=1e-5)


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


WAYS = ["remove", "keep only", "patch neutral into apex", "patch apex into neutral"]


def compared(chosen, seed=0, **options):
    """The planted network; a person has five pictures, and the maps that carry the classes are silent on neutral ones."""
    classifier, pooled, labels = planted(seed)
    neutral = np.random.default_rng(seed + 1).exponential(size=pooled.shape).astype(np.float32)
    neutral[:, :4] *= 0.3
    given = {"neutral": neutral, "draws": 99} | options
    return remove_keep_patch(classifier, pooled, labels, chosen, np.arange(200) // 5, **given)


def test_maps_that_carry_the_classes_matter_in_every_way():
    table = compared([0, 1, 2, 3])
    assert table.index.tolist() == WAYS
    assert (table["accuracy_effect"] > 0.2).all() and (table["accuracy_low"] > 0).all()
    assert (table[["accuracy_p", "loss_p"]] <= 0.05).all(axis=None)
    assert table.loc["keep only", "accuracy"] > 0.95 > 0.5 > table.loc["remove", "accuracy"]
    assert (
        table.loc["patch apex into neutral", "accuracy"]
        > 0.9
        > 0.5
        > table.loc["patch neutral into apex", "accuracy"]
    )
    assert (table["people"] == 40).all() and (table["pictures"] == 200).all()
    for name in ("accuracy", "loss"):
        assert (table[f"{name}_low"] <= table[f"{name}_effect"]).all()
        assert (table[f"{name}_effect"] <= table[f"{name}_high"]).all()


def test_maps_that_carry_nothing_matter_in_no_way():
    table = compared([10, 15, 20, 25])
    assert (table["accuracy_p"] > 0.05).all() and (
        table["accuracy_effect"] < table["accuracy_detectable"]
    ).all()


def test_every_way_equals_running_the_network_on_changed_planes():
    classifier, pooled = network(seed=3)
    rng, neutral = np.random.default_rng(0), torch.rand(70, 12, 3, 3)
    labels, chosen = rng.integers(0, 4, 70), [2, 7, 8]
    table = remove_keep_patch(
        classifier, pooled, labels, chosen, np.arange(70), neutral=neutral, draws=3, resamples=5
    )
    rest = np.setdiff1d(np.arange(12), chosen)
    for way, base, maps, other in [
        ("remove", pooled, chosen, torch.zeros_like(pooled)),
        ("keep only", pooled, rest, torch.zeros_like(pooled)),
        ("patch neutral into apex", pooled, chosen, neutral),
        ("patch apex into neutral", neutral, chosen, pooled),
    ]:
        changed = base.clone()
        changed[:, maps] = other[:, maps]
        with torch.no_grad():
            scores = classifier(changed)
        assert table.loc[way, "accuracy"] == pytest.approx((scores.argmax(1).numpy() == labels).mean())
        expected = functional.cross_entropy(scores, torch.from_numpy(labels)).item()
        assert table.loc[way, "loss"] == pytest.approx(expected, rel=1e-5)
    assert (
        remove_keep_patch(classifier, pooled, labels, chosen, np.arange(70), draws=3).index.tolist()
        == WAYS[:2]
    )


def test_more_people_see_smaller_effects():
    rng = np.random.default_rng(1)
    few, many = (
        np.mean(
            [
                compare_with_random_sets(simulated(rng, 0, people=n), weights(rng, n), 0.05, 0.8)[
                    "detectable"
                ]
                for _ in range(20)
            ]
        )
        for n in (10, 200)
    )
    # However many people there are, sets differ by 0.3 of their own accord.
    assert few > 1.2 * many > 0.3


def test_an_effect_as_large_as_detectable_is_found_as_often_as_promised():
    """A set whose pictures are lost a little more often than those of equally good random sets."""
    rng = np.random.default_rng(0)
    detectable = np.mean(
        [
            compare_with_random_sets(simulated(rng, 0), weights(rng), 0.05, 0.8)["detectable"]
            for _ in range(30)
        ]
    )
    found = np.mean(
        [
            compare_with_random_sets(simulated(rng, detectable), weights(rng), 0.05, 0.8)["p"] <= 0.05
            for _ in range(200)
        ]
    )
    missed = np.mean(
        [
            compare_with_random_sets(simulated(rng, 0), weights(rng), 0.05, 0.8)["p"] <= 0.05
            for _ in range(200)
        ]
    )
    assert 0.65 < found < 0.95 and missed < 0.12


def simulated(rng, effect, sets=100, people=30):
    """Sets differ, and each person answers to each set in a way of its own; the first set matters more by the effect."""
    matters = 0.3 * rng.normal(size=(sets, 1)) + rng.normal(size=(sets, people))
    matters[0] += effect
    return matters


def weights(rng, people=30):
    return rng.multinomial(people, np.full(people, 1 / people), size=200).astype(float)


def test_patching_needs_a_neutral_picture_for_each():
    classifier, pooled, labels = planted()
    for options, words in [
        ({"neutral": pooled[:150]}, "not as many"),
        ({"neutral": pooled[:190]}, "not as many"),
        ({"power": 1.0}, "power=1.0"),
        ({"baseline": "blur"}, "unknown"),
    ]:
        with pytest.raises(FerError, match=words):
            remove_keep_patch(classifier, pooled, labels, [1], np.arange(200), draws=2, **options)
    with pytest.raises(FerError, match="subject have shape"):
        remove_keep_patch(classifier, pooled, labels, [1], np.arange(3), draws=2)


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
