"""Batched HOG against scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog as skimage_hog

from fer_lib.errors import FerError
from fer_lib.faces.hog import hog


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 999),
    st.sampled_from([(16, 16), (32, 32), (33, 47), (24, 64)]),
    st.sampled_from([8, 9]),
    st.sampled_from([(8, 2), (4, 3), (8, 1)]),
)
def test_equal_to_scikit_image(seed, shape, orientations, sizes):
    cell, block = sizes
    pictures = np.random.default_rng(seed).random((3, *shape), dtype=np.float32)
    ours = hog(pictures, orientations=orientations, cell=cell, block=block)
    for picture, descriptor in zip(pictures, ours, strict=True):
        reference = skimage_hog(picture, orientations, (cell, cell), (block, block), feature_vector=True)
        assert descriptor == pytest.approx(reference, abs=1e-5)


def test_gain_and_offset_do_not_matter_and_flat_pictures_are_zero():
    pictures = np.random.default_rng(0).random((4, 32, 32))
    assert hog(pictures * 100 + 7) == pytest.approx(hog(pictures * 10), abs=1e-4)
    assert not hog(np.ones((1, 32, 32))).any()
    assert hog(np.empty((0, 32, 32))).shape == (0, hog(pictures).shape[1])


def test_bad_input_is_refused():
    with pytest.raises(FerError, match="at least 16"):
        hog(np.ones((1, 15, 32)))
    with pytest.raises(FerError, match="even"):
        hog(np.ones((1, 32, 32)), cell=5)
