"""Projected energy and regions: by hand, and a map that projects into its region is found, one that does not is not."""

import numpy as np
import pytest
from scipy.stats import binom

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.alignment import (
    energy_at_random,
    energy_in_regions,
    other_maps,
    region_alignment,
    with_regions,
)
from fer_lib.network.stack import Field
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Units


def projections(patches, tops, lefts, maps):
    nothing = np.zeros(len(patches), np.int64)
    units = Units(nothing, np.asarray(maps), nothing, nothing)
    return Projections(
        np.asarray(patches, float)[:, None],
        np.asarray(tops),
        np.asarray(lefts),
        np.ones(len(patches)),
        units,
        "deconvnet",
        "relu3",
    )


def test_energy_share_by_hand():
    energy = np.zeros((2, 2, 2))
    energy[0] = [[3, 1], [0, 0]]
    regions = np.array([[[1, 0], [0, 0]], [[1, 1], [1, 1]]])
    shares = energy_in_regions(energy, regions)
    np.testing.assert_allclose(shares[:, 0], [0.75, 1.0])
    assert np.isnan(shares[:, 1]).all()
    with pytest.raises(FerError, match="not of the same input"):
        energy_in_regions(energy, np.ones((1, 3, 3)))


def test_energy_at_random_is_the_mean_patch_at_every_place():
    given = projections([[[1, 0], [0, 0]], [[0, 0], [0, 3]]], [0, 0], [0, 0], [0, 1])
    found = energy_at_random(given, Field(size=2, stride=2, offset=-1), (2, 2), 3, 4)
    expected = np.zeros((3, 4))
    for top in (-1, 1):
        for left in (-1, 1):
            for row, column, energy in ((top, left, 0.5), (top + 1, left + 1, 4.5)):
                if 0 <= row < 3 and 0 <= column < 4:
                    expected[row, column] += energy
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("inside", [True, False])
def test_alignment_is_found_where_it_is_planted(inside):
    rng = np.random.default_rng(0)
    count, side, aus = 30, 24, list(range(1, 13))
    regions = np.zeros((len(aus), side, side))
    places = rng.integers(0, side - 8, (len(aus), 2))
    for region, (top, left) in zip(regions, places, strict=True):
        region[top : top + 8, left : left + 8] = 1
    energy, untrained = rng.random((2, count, side, side))
    matched = np.arange(len(aus))
    if inside:
        for j in range(len(aus)):
            energy[j] += 20 * regions[j]
    random = np.ones((side, side))
    table = region_alignment(
        energy, untrained, random, regions, aus=aus, matched=matched, untrained_matched=matched[::-1]
    )
    assert table.index.tolist() == aus and table.to_numpy().min() >= 0 and table.to_numpy().max() <= 1
    assert table["random place"].to_numpy() == pytest.approx(64 / side**2)
    shares = energy_in_regions(energy, regions)
    found = other_maps(shares, matched)
    assert found.beaten == inside
    assert found.difference == pytest.approx(table["matched"].mean() - shares.mean(), abs=0.02)


def test_units_without_a_map_or_energy_are_left_out():
    energy = np.stack([np.ones((4, 4)), np.zeros((4, 4))])
    regions = np.ones((3, 4, 4))
    table = region_alignment(
        energy, energy, energy[0], regions, aus=[1, 2, 4], matched=[0, -1, 1], untrained_matched=[-1, 0, 0]
    )
    assert table.index.tolist() == [1]
    assert table.loc[1, ["matched", "other maps", "random place"]].tolist() == [1, 1, 1]
    assert np.isnan(table.loc[1, "untrained"])
    silent = region_alignment(
        energy * 0, energy, energy[0], regions, aus=[1, 2, 4], matched=[0, 0, 0], untrained_matched=[0, 0, 0]
    )
    assert silent.empty


def test_other_maps_hold_their_level_and_leave_out_what_projects_nothing():
    rng = np.random.default_rng(1)
    p = []
    for seed in range(300):
        shares = rng.random((6, 40))
        shares[:, 3] = np.nan
        chosen = np.where(np.arange(6) == 5, -1, rng.integers(0, 40, 6))
        p.append(other_maps(shares, chosen, draws=199, seed=seed).p)
    assert (np.array(p) <= 0.05).sum() <= binom(300, 0.05).ppf(0.999)
    nothing = other_maps(np.full((2, 3), np.nan), [0, 1])
    assert nothing.n == 0 and np.isnan(nothing.p)


def test_units_that_cannot_be_drawn_have_no_region():
    assert with_regions([4, 39, 12], np.array([12, 4])) == [4, 12]
    with pytest.raises(Lacking, match=r"\(AU 39, AU 45\) none can be rendered alone"):
        with_regions([39, 45], [12, 4])
    energy = np.ones((3, 4, 5))
    assert energy_in_regions(energy, np.ones((0, 4, 5))).shape == (0, 3)
    assert energy_in_regions(energy[:0], np.ones((2, 4, 5))).shape == (2, 0)
    with pytest.raises(FerError, match="not of the same input"):
        energy_in_regions(energy, np.ones((2, 5, 4)))
