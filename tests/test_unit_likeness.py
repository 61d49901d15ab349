import numpy as np
import pandas as pd
import pytest
from skimage.feature import hog as skimage_hog

from fer_lib.errors import FerError
from fer_lib.measures.unit_likeness import likeness_to_own_units, unit_likeness
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Units

SIZE = 24


def projected(patches, maps, tops, lefts):
    n = len(patches)
    units = Units(picture=np.zeros(n, int), map=maps, row=np.zeros(n, int), column=np.zeros(n, int))
    patches = np.asarray(patches, np.float32)[:, None]
    return Projections(
        patches, np.array(tops), np.array(lefts), np.ones(n, np.float32), units, "deconvnet", "conv3"
    )


def faces(people=3, side=48, seed=0):
    """Noise for a face; unit 1 draws an upright bar at the left, unit 4 a level one at the same place."""
    rng = np.random.default_rng(seed)
    pictures, subject, au = [], [], []
    for person in range(people):
        rest = rng.normal(0, 0.05, (side, side)).astype(np.float32)
        for unit in (0, 1, 4):
            picture = rest.copy()
            if unit == 1:
                picture[4:24, 12:16] += 3
            if unit == 4:
                picture[12:16, 4:24] += 3
            pictures.append(picture)
            subject.append(f"S{person}")
            au.append(unit)
    return np.stack(pictures), subject, np.array(au)


def bars():
    upright, level = np.zeros((2, SIZE, SIZE), np.float32)
    upright[4:24, 12:16], level[12:16, 4:24] = 1, 1
    return upright, level


def test_a_map_that_projects_the_unit_looks_like_it_and_like_no_other():
    pictures, subject, au = faces()
    upright, level = bars()
    found = unit_likeness(
        projected([upright, level, upright], [0, 2, 4], [0, 0, 24], [0, 0, 24]), pictures, subject, au, maps=5
    )
    assert found.index.tolist() == [1, 4] and found[[1, 3]].isna().all(axis=None)
    assert found.loc[1, 0] > 0.4 > 0.2 > found.loc[4, 0] and found.loc[4, 2] > 0.4
    np.testing.assert_allclose(
        found[4], 0, atol=1e-7
    )  # where no unit changes anything, nothing looks more like it
    own = likeness_to_own_units(found, pd.Series({1: 0, 4: 3, 9: 2}))
    assert own.index.tolist() == [1] and own.loc[1, "own"] == found.loc[1, 0]
    assert own.loc[1, "other units"] == found.loc[4, 0]
    assert own.loc[1, "other maps"] == pytest.approx(found.loc[1].mean())


def test_the_same_as_a_slow_loop_over_people_and_projections():
    rng = np.random.default_rng(1)
    pictures, subject, au = faces(people=2)
    maps, tops, lefts = np.array([0, 0, 1, 1]), [0, 8, 24, 30], [3, 0, 24, -5]
    patches = rng.normal(size=(4, SIZE, SIZE)).astype(np.float32)
    found = unit_likeness(projected(patches, maps, tops, lefts), pictures, subject, au, maps=2)

    def look(patch):
        options = dict(orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2), block_norm="L2-Hys")
        descriptor = skimage_hog(patch.astype(np.float64), **options)
        descriptor = descriptor - descriptor.mean()
        return descriptor / max(np.linalg.norm(descriptor), 1e-300)

    framed = np.pad(pictures, ((0, 0), (10, 30), (10, 30)))
    for unit in (1, 4):
        for map in (0, 1):
            alike = []
            for k in np.flatnonzero(maps == map):
                window = np.s_[tops[k] + 10 : tops[k] + 10 + SIZE, lefts[k] + 10 : lefts[k] + 10 + SIZE]
                for person in (0, 1):
                    with_unit = framed[3 * person + {1: 1, 4: 2}[unit]][window]
                    without = framed[3 * person][window]
                    alike.append(look(patches[k]) @ look(with_unit) - look(patches[k]) @ look(without))
            assert found.loc[unit, map] == pytest.approx(np.mean(alike), abs=1e-5)


def test_people_without_a_neutral_picture_are_refused():
    pictures, subject, au = faces()
    some = projected([bars()[0]], [0], [0], [0])
    with pytest.raises(FerError, match="one neutral picture"):
        unit_likeness(some, pictures[1:], subject[1:], au[1:], maps=1)
    with pytest.raises(FerError, match="do not fit"):
        unit_likeness(some, pictures, subject, au[1:], maps=1)
