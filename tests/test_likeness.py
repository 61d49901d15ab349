"""Likeness against scikit-image and plain loops; planted structure is found."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog
from torch import nn

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.likeness import cut, exemplar_likeness, mean_similarity
from fer_lib.network.stack import Field
from fer_lib.probe import activations
from fer_lib.probe.deconv import receptive_fields
from fer_lib.probe.responses import exemplars


def patches(seed=0, sets=4, n=5, size=32):
    return np.random.default_rng(seed).random((sets, n, size, size), dtype=np.float32)


def test_cut_is_a_slice_and_zero_outside():
    frames = np.random.default_rng(0).random((3, 20, 20)) + 1
    squares = cut(frames, [[2, 0], [-1, 1]], [[3, -4], [0, 15]], [[5, 0], [0, -2]], 8)
    assert squares.shape == (2, 2, 8, 8)
    assert squares[0, 0] == pytest.approx(frames[2, 3:11, 5:13])
    assert not squares[0, 1, :4].any()
    assert squares[0, 1, 4:] == pytest.approx(frames[0, :4, :8])
    assert not squares[1, 0].any()
    assert squares[1, 1, :5, 2:] == pytest.approx(frames[1, 15:, :6])


@pytest.mark.parametrize("measure", ["hog", "zncc"])
def test_likeness_is_the_mean_over_pairs_of_different_people(measure):
    given_patches, people = patches(), np.array([[0, 0, 1, 2, -1]] * 4)

    def describe(patch):
        described = hog(patch, 9, (8, 8), (2, 2)) if measure == "hog" else patch.ravel()
        return described - described.mean()

    for index, value in enumerate(mean_similarity(given_patches, people, similarity=measure)):
        described = [describe(patch) for patch in given_patches[index]]
        cosines = [
            described[i] @ described[j] / np.linalg.norm(described[i]) / np.linalg.norm(described[j])
            for i, j in [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
        ]
        assert value == pytest.approx(np.mean(cosines), abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), measure=st.sampled_from(["hog", "zncc"]))
def test_likeness_ignores_order_brightness_and_contrast(seed, measure):
    given_patches = patches(seed)
    rng = np.random.default_rng(seed)
    expected = mean_similarity(given_patches, similarity=measure)
    assert (np.abs(expected) <= 1 + 1e-6).all()
    assert mean_similarity(given_patches[:, rng.permutation(5)], similarity=measure) == pytest.approx(
        expected, abs=1e-5
    )
    changed = given_patches * rng.uniform(1, 5, (4, 5, 1, 1)) + rng.normal(size=(4, 5, 1, 1))
    assert mean_similarity(changed, similarity=measure) == pytest.approx(expected, abs=1e-3)


def test_equal_patches_flat_patches_and_one_person():
    same = np.repeat(patches(n=1), 5, axis=1)
    for measure in ("hog", "zncc"):
        assert mean_similarity(same, similarity=measure) == pytest.approx(1, abs=1e-5)
        assert (mean_similarity(np.full((2, 3, 16, 16), 0.3), similarity=measure) == 0).all()
        assert np.isnan(mean_similarity(same, np.zeros((4, 5)), similarity=measure)).all()


def measured(rows, detector):
    """Likeness of three maps on pictures, some of which hold a pattern; map 0 detects it or is noise, map 2 is dead."""
    rng = np.random.default_rng(2)
    pattern = np.kron(rng.choice([-1.0, 1.0], size=(4, 4)), np.ones((4, 4)))  # 16 x 16
    pictures = rng.normal(0, 0.3, (80, 1, 40, 40)).astype(np.float32)
    for i in range(0, 80, 4):
        top, left = rng.integers(0, 24, 2)
        pictures[i, 0, top : top + 16, left : left + 16] += pattern
    noise = rng.normal(size=(3, 1, 16, 16))
    tuned = noise.copy()
    tuned[0] = pattern if detector else rng.normal(size=(16, 16))

    def responses(weight):
        features = nn.Sequential(nn.Conv2d(1, 3, 16), nn.ReLU())
        with torch.no_grad():
            features[0].weight.copy_(torch.from_numpy(weight))
            features[0].bias.copy_(torch.tensor([0.0, 0.0, -1e6]))
        return activations.record(features, [torch.from_numpy(pictures)], layer="1")

    found, before = responses(tuned), responses(noise)
    subject = np.array([f"S{i // 2}" for i in range(80)])
    return exemplar_likeness(
        pictures[:, 0],
        subject,
        rows,
        found,
        exemplars(found, among=rows),
        Field(16, 1, 0),
        untrained=exemplars(before, among=rows),
        draws=4,
    )


@pytest.mark.parametrize("rows", [np.arange(80), np.arange(20, 80)])
def test_likeness_of_a_map_that_detects_a_pattern_and_of_one_that_does_not(rows):
    table = measured(rows, detector=True)
    assert list(table.columns) == ["trained", "same place", "ranks 10-100", "untrained"]
    assert table.index.tolist() == [0, 1]  # map 2 is dead
    assert table.loc[0, "trained"] > 0.8
    assert (table.loc[0, ["same place", "ranks 10-100", "untrained"]] < 0.6).all()
    noise = measured(rows, detector=False)
    assert noise.loc[0, "trained"] < 0.7  # a linear filter prefers what resembles itself


def test_one_person_has_no_pairs():
    pictures = np.random.default_rng(0).random((12, 24, 24), dtype=np.float32)
    features = nn.Sequential(nn.Conv2d(1, 2, 16), nn.ReLU())
    found = activations.record(features, [torch.from_numpy(pictures[:, None])], layer="1")
    best = exemplars(found, n=3)
    with pytest.raises(Lacking, match="exemplars of two people"):
        exemplar_likeness(pictures, ["x"] * 12, np.arange(12), found, best, Field(16, 1, 0), draws=2)


def test_places_agree_with_the_networks_receptive_fields():
    features = nn.Sequential(nn.Conv2d(1, 2, 5, padding=2), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3))
    box = receptive_fields(features, "2", [0, 3], [1, 2])
    frames = np.random.default_rng(4).random((2, 24, 24))
    size = int(box[0, 2] - box[0, 0])
    assert cut(frames, [0, 1], box[:, 1], box[:, 0], size).shape == (2, size, size)


def test_bad_input_is_refused_by_name():
    for call, words in [
        (lambda: mean_similarity(np.ones((3, 16, 16))), "is expected"),
        (lambda: mean_similarity(patches(), np.ones((4, 4))), "one person per patch"),
        (lambda: mean_similarity(patches(), similarity="ssim"), "unknown"),
    ]:
        with pytest.raises(FerError, match=words):
            call()
