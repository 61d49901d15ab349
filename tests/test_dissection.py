"""Regions against brute force; a map that fires where the action unit is, is found."""

import numpy as np
import pytest
import torch

from fer_lib.errors import FerError
from fer_lib.measures.dissection import dissect_units, iou_ceiling, pointing_game, region_iou, summarised
from fer_lib.network.stack import Field
from fer_lib.probe.responses import Responses


def test_region_iou_equals_brute_force():
    rng = np.random.default_rng(3)
    maps = torch.from_numpy(rng.random((10, 2, 6, 5), dtype=np.float32))
    field = Field(size=5, stride=3, offset=-1)
    regions = rng.random((10, 3, 20, 17)) < 0.3
    present = rng.choice([0.0, 1.0, np.nan], size=(10, 3))
    result = region_iou(lambda: maps.split(3), field, regions, present, quantile=0.1)
    centre_y, centre_x = -1 + 3 * np.arange(6) + 2, -1 + 3 * np.arange(5) + 2
    for c in range(2):
        threshold = np.sort(maps[:, c].ravel().numpy())[::-1][30]  # 10 % of 300 units exceed it
        on = np.empty((10, 20, 17), bool)
        for i in range(10):
            rows = np.stack([np.interp(np.arange(20), centre_y, maps[i, c, :, k]) for k in range(5)])
            on[i] = np.stack([np.interp(np.arange(17), centre_x, rows[:, y]) for y in range(20)]) > threshold
        for j in range(3):
            coded = ~np.isnan(present[:, j])
            there = regions[coded, j] & (present[coded, j] == 1)[:, None, None]
            assert result[j, c] == pytest.approx(
                (there & on[coded]).sum() / (there | on[coded]).sum(), abs=1e-6
            )


def test_region_measures_find_the_map_that_fires_in_the_region():
    present = (np.arange(40) % 4 == 0).astype(float)[:, None]
    region = np.zeros((1, 32, 32))
    region[0, 8:16, 8:16] = 1
    maps = torch.zeros(40, 3, 8, 8)
    maps[::4, 0, 2:4, 2:4] = 1.0  # the detector; map 1 fires elsewhere, map 2 is dead
    maps[::4, 1, 6:8, 6:8] = 1.0
    field = Field(size=4, stride=4, offset=0)
    iou = region_iou(lambda: [maps], field, region, present, quantile=0.05)[0]
    assert iou[0] > 0.4 > 0.01 > iou[1] == iou[2] == 0
    maximum, place = (found.numpy() for found in maps.flatten(2).max(2))
    pointing = pointing_game(maximum, place // 8, place % 8, (8, 8), field, region, present)
    assert np.array_equal(pointing.hits, [[1, 0, np.nan]], equal_nan=True)
    assert pointing.silent.tolist() == [[0, 0, 1]]
    assert pointing.chance == pytest.approx(4 / 64)
    nobody = pointing_game(maximum, place // 8, place % 8, (8, 8), field, region, present * 0)
    assert all(np.isnan(values).all() for values in (nobody.hits, nobody.silent, nobody.chance))
    assert np.isnan(region_iou(lambda: [maps], field, region, present * 0)).all()


def test_a_silent_map_points_nowhere():
    # The region holds the corner at which a map without any response has its first "maximum".
    region = np.zeros((1, 8, 8))
    region[0, :4, :4] = 1
    maps = torch.zeros(4, 1, 8, 8)
    maps[0, 0, 0, 1], maps[1, 0, 7, 7] = 2.0, 3.0  # one hit, one miss, silent on the other two
    maximum, place = (found.numpy() for found in maps.flatten(2).max(2))
    pointing = pointing_game(
        maximum, place // 8, place % 8, (8, 8), Field(size=1, stride=1, offset=0), region, np.ones((4, 1))
    )
    assert pointing.hits.tolist() == [[0.5]] and pointing.silent.tolist() == [[0.5]]
    assert pointing.chance.tolist() == [0.25]


def test_bad_input_is_refused_by_name():
    maps, regions, present = torch.ones(4, 2, 3, 3), np.ones((1, 9, 9)), np.ones((4, 1))
    field = Field(3, 3, 0)
    for call, words in [
        (lambda: region_iou(lambda: [maps], field, regions, np.ones((4, 2))), "action units"),
        (lambda: region_iou(lambda: [maps], field, regions, np.ones((5, 1))), "have labels"),
        (lambda: region_iou(lambda: [maps], field, regions, present, quantile=1), "between 0 and 1"),
        (lambda: region_iou(lambda: [], field, regions, present), "no activations"),
    ]:
        with pytest.raises(FerError, match=words):
            call()


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3])
def test_a_constant_map_is_nowhere_above_itself(value):
    region = np.zeros((1, 20, 15))
    region[:, 5:12, 5:12] = 1
    maps = torch.full((10, 1, 6, 5), value)
    assert region_iou(lambda: [maps], Field(5, 3, 0), region, np.ones((10, 1))) == 0


@pytest.mark.parametrize("detector", [True, False])
def test_matched_maps_are_told_from_maps_at_random_where_one_fires_in_the_region(detector):
    rng = np.random.default_rng(5)
    present = (rng.random((60, 3)) < 0.4).astype(float)
    regions = np.zeros((3, 32, 32))
    for j in range(3):
        regions[j, 8 * j : 8 * j + 12, 8:20] = 1
    maps = torch.from_numpy(rng.random((60, 12, 8, 8), dtype=np.float32))
    for j in range(3):
        for i in np.flatnonzero(present[:, j]) if detector else ():
            maps[i, j, 2 * j : 2 * j + 3, 2:5] += 2
    maximum, place = (found.numpy() for found in maps.flatten(2).max(2))
    responses = Responses(maximum, (place // 8).astype(np.int32), (place % 8).astype(np.int32))
    field = Field(4, 4, 0)
    units = dissect_units(lambda: maps.split(7), responses, field, regions, present, [0, 1, 2])
    assert (units[["iou", "mean"]].le(units["best"], axis=0)).all(axis=None) and (
        units["best"] <= units["ceiling"]
    ).all()
    table = summarised(units)
    chosen, random = table.loc["chosen"], table.loc["random map"]
    assert table.index.tolist() == ["chosen", "random map"] and chosen["aus"] == 3
    assert random["chance"] == pytest.approx(chosen["chance"]) and chosen["silent"] == 0
    if detector:
        assert chosen["hits"] == 1 and random["hits"] < 0.6 and chosen["iou"] > 2 * random["iou"]
    else:
        assert abs(chosen["hits"] - chosen["chance"]) < 0.15 and abs(chosen["iou"] - random["iou"]) < 0.02
    one = dissect_units(lambda: maps.split(7), responses, field, regions, present, [-1, 1, -1])
    assert (
        one.index.tolist() == [1] and one["map"].tolist() == [1] and one.loc[1, "iou"] == units.loc[1, "iou"]
    )
    one = summarised(one)
    assert one.loc["chosen", "aus"] == 1
    nothing = summarised(dissect_units(lambda: maps.split(7), responses, field, regions, present, [-1] * 3))
    assert (nothing["aus"] == 0).all() and nothing.drop(columns="aus").isna().all(axis=None)
    with pytest.raises(FerError, match="map 12 is none"):
        dissect_units(lambda: maps.split(7), responses, field, regions, present, [0, 1, 12])


@pytest.mark.parametrize("seed", range(8))
def test_no_map_exceeds_the_ceiling(seed):
    """Maps that know the region, in shapes that light up few places widely or many narrowly."""
    rng = np.random.default_rng(seed)
    field, side = Field(int(rng.integers(3, 9)), int(rng.integers(2, 5)), int(rng.integers(-2, 3))), 24
    count = int((side - field.size) // field.stride + 1)
    region = np.zeros((1, side, side))
    top, left, height, width = rng.integers(2, 12, 4)
    region[0, top : top + height, left : left + width] = 1
    present = (rng.random((12, 1)) < 0.5).astype(float)
    present[0] = 1
    quantile = float(rng.uniform(0.01, 0.3))
    centre = np.clip(
        (field.offset + field.stride * np.arange(count) + (field.size - 1) / 2).round(), 0, side - 1
    )
    knows = region[0][np.ix_(centre.astype(int), centre.astype(int))]
    maps = rng.random((12, 40, count, count)) ** rng.uniform(0.2, 12, (1, 40, 1, 1))
    maps = torch.from_numpy(maps * (0.02 + knows) * (0.05 + present[:, :, None, None])).float()
    iou = region_iou(lambda: [maps], field, region, present, quantile=quantile)
    assert iou.max() <= iou_ceiling(field, (count, count), region, present, quantile=quantile)[0] + 1e-9


def test_the_ceiling_counts_units_and_the_pixels_that_they_reach():
    # Centres at 2, 6, 10, 14: a unit reaches three pixels on either side, one at the border all beyond it.
    field, region = Field(5, 4, 0), np.zeros((2, 17, 17))
    region[0, 5:8, 5:8], region[1] = 1, 1
    present = np.array([[1, 1], [0, 1], [0, 0], [0, 0]], float)
    one = 1 / (4 * 16)  # of all units on four pictures
    few = iou_ceiling(field, (4, 4), region, present, quantile=one + 1e-9)
    assert few[0] == 1, "one unit covers the small region"
    assert few[1] == pytest.approx(0.5 * 7 * 7 / 17**2), (
        "one unit for two pictures, and an inner one reaches seven by seven"
    )
    assert iou_ceiling(field, (4, 4), region, present, quantile=0.999)[1] == 1
    never = iou_ceiling(field, (4, 4), region, np.zeros((4, 2)))
    assert np.isnan(never).all() and np.isnan(iou_ceiling(field, (4, 4), 0 * region, present)).all()
