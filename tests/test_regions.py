import numpy as np
import pytest

from fer_lib.errors import FerError
from fer_lib.maps import regions


def face() -> np.ndarray:
    points = np.zeros((1, 68, 2), np.float32)
    points[0, 48:68, 0] = np.linspace(40, 60, 20)
    points[0, 48:68, 1] = np.linspace(70, 80, 20)
    return points


def test_crop_corners_map_to_the_scaled_frame_less_the_cut():
    points = np.array([[[10.0, 20.0], [110.0, 220.0]]])
    found = regions.to_input(points, np.array([[10, 20, 110, 220]]), resize=99, crop=96)
    np.testing.assert_allclose(found, [[[-1.5, -1.5], [97.5, 97.5]]])


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
