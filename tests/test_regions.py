import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_lib.errors import FerError
from fer_lib.faces import cropping, preprocess
from fer_lib.network.stack import Field
from fer_lib.probe import regions


def face() -> np.ndarray:
    points = np.zeros((1, 68, 2), np.float32)
    points[0, 48:68, 0] = np.linspace(40, 60, 20)
    points[0, 48:68, 1] = np.linspace(70, 80, 20)
    return points


def test_crop_corners_map_to_the_scaled_frame_less_the_cut():
    points = np.array([[[9.5, 19.5], [109.5, 219.5]]])  # outer edges of the box's first and last pixels
    found = regions.to_input(points, np.array([[10, 20, 109, 219]]), resize=99, crop=96)
    np.testing.assert_allclose(found, [[[-1.5, -1.5], [97.5, 97.5]]])


@given(
    st.tuples(*[st.floats(2, 20), st.floats(2, 20), st.floats(70, 117), st.floats(80, 117)]),
    st.tuples(st.integers(30, 60), st.integers(30, 60)),
)
def test_a_point_lies_where_the_preprocessing_puts_its_pixels(box, place):
    x, y = place
    picture = np.zeros((120, 120), np.uint8)
    picture[y - 4 : y + 5, x - 4 : x + 5] = 255
    seen = preprocess.Evaluate(size=99, crop=96)(cropping.crop(picture, box))[0].numpy()
    spot = np.maximum(seen - seen.min(), 0)
    centre = [(spot.sum(axis) * np.arange(96)).sum() / spot.sum() for axis in (0, 1)]
    found = regions.to_input(np.array([[[x, y]]], float), np.array([box]))[0, 0]
    np.testing.assert_allclose(found, centre, atol=0.1)


def test_a_unit_at_random_is_counted_by_its_centre():
    field = Field(size=32, stride=4, offset=0)
    boxes = np.array([[0, 0, 96, 96], [0, 0, 15, 96], [15.5, 15.5, 19.5, 79.5], [np.nan] * 4])
    # Without padding no conv3 unit is centred in the outer sixth of the picture.
    centre = [15.5 + 4 * i for i in range(17)]
    assert regions.centres(field, 17).tolist() == centre
    brute = [
        np.mean([[left <= x <= r and t <= y <= b for x in centre] for y in centre]) for left, t, r, b in boxes
    ]
    brute[3] = np.nan
    assert np.array_equal(regions.random_shares(field, (17, 17), boxes), brute, equal_nan=True)
    assert brute[:3] == [1, 0, 34 / 289]


def test_share_counts_only_units_that_exist():
    picture = np.array([[0, 0, -1], [-1, -1, -1]])
    centre = np.array([[[50, 75], [5, 5], [50, 75]], [[0, 0]] * 3], float)
    shares = regions.region_shares(picture, centre, face(), "mouth")
    assert shares[0] == 0.5 and np.isnan(shares[1])


def test_missing_landmarks_are_nowhere():
    assert not regions.inside(np.array([50.0, 75.0]), np.full(4, np.nan)).any()


def test_distinct_maps_skip_the_twin():
    patches = np.zeros((3, 2, 2))
    patches[0, 0, 0] = patches[1, 0, 0] = 1
    patches[2, 1, 1] = 1
    assert regions.most_distinct(patches, np.array([0, 1, 2]), 2) == [0, 2]


def test_unknown_region_is_named():
    with pytest.raises(FerError, match="ear"):
        regions.boxes_of(face(), "ear")
