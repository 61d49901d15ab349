"""The numbers that a claim comes down to: by hand, and planted."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from fer_lib.errors import Lacking
from fer_lib.measures import network_measures as measures
from fer_lib.measures.expression_controls import expression_auc, expression_scores
from fer_lib.measures.matches import detection_controls, resampled_auc
from fer_lib.network.stack import Field
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Units

RNG = np.random.default_rng


def projections(patches, maps, pictures):
    zeros = np.zeros(len(patches), np.int64)
    units = Units(np.asarray(pictures), np.asarray(maps), zeros, zeros)
    return Projections(
        np.asarray(patches, np.float32)[:, None],
        zeros,
        zeros,
        np.ones(len(zeros)),
        units,
        "deconvnet",
        "relu3",
    )


def test_projections_that_look_alike_do_and_noise_does_not():
    rng = RNG(0)
    shape = rng.normal(size=(16, 16))
    alike = [shape + rng.normal(0, 0.1, (16, 16)) for _ in range(4)]
    noise = [rng.normal(size=(16, 16)) for _ in range(4)]
    people, pictures = np.arange(4), [0, 1, 2, 3]
    assert measures.projections_likeness(projections(alike, [1] * 4, pictures), people, 3) > 0.7
    assert abs(measures.projections_likeness(projections(noise, [0] * 4, pictures), people, 3)) < 0.3
    with pytest.raises(Lacking, match="two people"):
        measures.projections_likeness(projections(alike, [1] * 4, pictures), np.zeros(4, int), 3)


def test_alignment_excess_by_hand():
    patch = np.zeros((2, 2, 2))
    patch[:, 0, 0] = 1  # all energy in the unit's upper left pixel
    given = projections(patch, [0, 1], [0, 1])
    regions = np.zeros((3, 4, 4))
    regions[0, 0, 0] = regions[1, 3, 3] = regions[2, 0, 0] = 1
    field, shape = Field(size=2, stride=1, offset=0), (3, 3)
    # Both maps lie wholly on the first region; a random place, one of nine, puts a ninth of the energy there.
    found = measures.alignment_excess(given, [0, 1, -1], regions, field, shape, 2)
    assert found == pytest.approx(((1 - 1 / 9) + (0 - 0)) / 2)
    with pytest.raises(Lacking, match="projects"):
        measures.alignment_excess(given, [-1, -1, -1], regions, field, shape, 2)


def planted(rows=240, maps=12):
    rng = RNG(1)
    present = (rng.random((rows, 2)) < 0.4).astype(float)
    maximum = rng.random((rows, maps)).astype(np.float32)
    maximum[:, 3] += 0.6 * present[:, 0]
    return maximum, present, np.arange(rows) // 4


def test_a_planted_detector_is_detected_and_another_map_is_not():
    maximum, present, _ = planted()
    train, test = np.arange(120), np.arange(120, 240)
    matched = measures.matched_maps(maximum, present, train, n=9, zero="floor")
    assert matched[0] == 3
    table = measures.detection(maximum, present, train, test, units=[1, 12], matched=matched)
    auc = roc_auc_score(present[test, 0], maximum[test, 3])
    assert table.loc[1, "detection"] == pytest.approx(auc - 0.5) and table.loc[1, "selected_map"] == 3
    assert abs(table.loc[12, "detection"]) < 0.2
    means = measures.mean_measures(table)
    assert means == pytest.approx(table[["detection", "precision", "selected"]].mean().to_numpy())
    few = present.copy()
    few[120:, :] = 0
    none = measures.detection(maximum, few, train, test, units=[1, 12], matched=matched)
    with pytest.raises(Lacking, match="cannot be tested"):
        measures.mean_measures(none)


def test_controls_of_a_detector_on_resampled_people():
    maximum, present, who = planted()
    train, test = np.arange(120), np.arange(120, 240)
    expression = np.where(present[:, 1] == 1, "happy", "fear")
    options = {"subject": who, "expression": expression}
    chance, alone = detection_controls(maximum, present, train, test, matched=[3, -1], **options)
    assert chance.beaten and alone.beaten and chance.n == len(np.unique(who[test]))
    assert chance.low < chance.difference < chance.high
    # What the expression alone says of its own unit cannot be beaten by a map of noise.
    chance, alone = detection_controls(maximum, present, train, test, matched=[-1, 5], **options)
    assert not chance.beaten and not alone.beaten and alone.high < 0
    nothing = detection_controls(maximum, present, train, test, matched=[-1, -1], **options)
    assert np.isnan([c.p for c in nothing]).all()


def test_the_controls_hold_their_level():
    rng, rejected = RNG(2), 0
    for seed in range(150):
        present = (rng.random((120, 3)) < 0.4).astype(float)
        maximum, who = rng.random((120, 6)), np.arange(120) // 3
        chance, _ = detection_controls(
            maximum,
            present,
            np.arange(60),
            np.arange(60, 120),
            matched=[0, 1, 2],
            subject=who,
            expression=who % 5,
            seed=seed,
        )
        rejected += chance.beaten
    assert rejected <= 16, "5 % of 150, and the 99.9 % bound of the binomial distribution above it"


def test_resampled_auc_is_that_of_the_rows_repeated():
    rng = RNG(3)
    scores, present, who = (
        rng.integers(0, 4, (30, 2)).astype(float),
        rng.integers(0, 2, (30, 2)).astype(float),
        np.arange(30) // 3,
    )
    present[:5, 1] = np.nan
    found = resampled_auc(scores, present, who, draws=20, seed=7)
    count = np.random.default_rng(7).multinomial(10, np.full(10, 0.1), size=20)
    for draw, times in enumerate(count):
        rows = np.repeat(np.arange(30), times[who])
        for unit in range(2):
            rows_here = rows[~np.isnan(present[rows, unit])]
            expected = roc_auc_score(present[rows_here, unit], scores[rows_here, unit])
            assert found[draw, unit] == pytest.approx(expected)
    assert np.isnan(resampled_auc(scores, np.ones((30, 2)), who, draws=3)).all()


def test_what_the_expression_says_is_the_share_of_training_rows_with_the_unit():
    expression = np.array(["a", "a", "b", "b", "a", "b", "c"])
    present = np.array([[1.0], [0], [np.nan], [1], [1], [0], [1]])
    scores = expression_scores(expression, present, [0, 1, 2, 3], [4, 5, 6])
    assert scores[:, 0].tolist() == [0.5, 1.0, 0.0]
    assert expression_auc(expression, present, [0, 1, 2, 3], [4, 5, 6])[0] == pytest.approx(
        roc_auc_score([1, 0, 1], scores[:, 0])
    )


@pytest.mark.parametrize("needed", [True, False])
def test_maps_that_the_network_decides_with_are_found(needed):
    torch.manual_seed(0)
    pooled, labels = torch.rand(90, 12, 1, 1), np.arange(90) % 3
    linear = nn.Linear(12, 3, bias=False)
    with torch.no_grad():
        linear.weight.fill_(0.01)
        for label in range(3):
            pooled[labels == label, label] += 3
            linear.weight[label, label] = 1
            linear.weight[label, 6 + label] = 1  # as loud, and tells nothing
    classifier = nn.Sequential(nn.Flatten(), linear).eval()
    chosen = [0, 1, 2] if needed else [6, 7, 8]
    found = measures.decision_excess(classifier, lambda: iter([pooled]), labels, np.array([*chosen, -1]))
    assert (found > 0.2) == needed
    for nothing in ([-1, -1], list(range(12))):
        with pytest.raises(Lacking):
            measures.decision_excess(classifier, lambda: iter([pooled]), labels, nothing)


def test_every_measure_has_a_claim_or_is_said_to_have_none():
    from fer_lib.claims import CLAIMS

    assert {claim.column for claim in CLAIMS.values()} <= set(measures.MEASURES)
    for name, text in measures.MEASURES.items():
        claimed = [key for key, claim in CLAIMS.items() if claim.column == name]
        assert not claimed or text.startswith(claimed[0])
    assert isinstance(measures.MEASURES, dict) and pd.Index(measures.MEASURES).is_unique
