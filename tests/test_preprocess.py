import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import rotate as skimage_rotate

from fer_lib.errors import FerError
from fer_lib.faces import ckplus
from fer_lib.faces.cropping import crop, load_crops
from fer_lib.faces.crops import Crops
from fer_lib.faces.decoding import read_picture
from fer_lib.faces.preprocess import Augment, Evaluate, batches, picture_generator, standardise
from fer_lib.faces.table import BOX


def picture(height: int = 180, width: int = 150, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(height, width)), 4)
    return np.clip(128 + 900 * smooth, 0, 255).astype(np.uint8)


def triangle_weights(before: int, after: int) -> np.ndarray:
    """Antialiased bilinear resizing as a matrix, from its definition: a triangle as wide as the shrinking asks for."""
    scale = before / after
    support = max(scale, 1.0)
    centres = (np.arange(after) + 0.5) * scale
    distance = np.abs(np.arange(before)[None] + 0.5 - centres[:, None]) / support
    weights = np.clip(1 - distance, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def reference_resize(x: np.ndarray, size: int) -> np.ndarray:
    return triangle_weights(x.shape[0], size) @ x @ triangle_weights(x.shape[1], size).T


def reference_standardise(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


class FixedDraws:
    """Give Augment four known numbers instead of random ones."""

    def __init__(self, monkeypatch, *draws: float) -> None:
        monkeypatch.setattr(torch, "rand", lambda *a, **k: torch.tensor(draws, dtype=torch.float64))


def test_crop_holds_the_four_outermost_landmarks_and_nothing_more():
    grey = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    np.testing.assert_array_equal(crop(grey, (3.0, 2.0, 10.0, 7.0)), grey[2:8, 3:11])
    np.testing.assert_array_equal(crop(grey, (2.6, 1.5, 10.4, 7.49)), grey[2:8, 3:11])
    np.testing.assert_array_equal(crop(grey, (-5, -5, 100, 100)), grey)
    assert crop(grey, (0, 0, 5, 5)).base is None


@pytest.mark.parametrize("box", [(np.nan, 0, 1, 1), (40, 0, 50, 5), (5, 5, 4, 9)])
def test_crop_refuses_a_box_without_pixels(box):
    with pytest.raises(FerError, match=r"^box"):
        crop(np.zeros((20, 30), np.uint8), box)


@given(st.tuples(*[st.floats(-50, 80)] * 4))
def test_a_crop_is_never_empty_and_never_leaves_the_picture(box):
    grey = np.zeros((20, 30), np.uint8)
    try:
        cut = crop(grey, box)
    except FerError:
        return
    assert 0 < cut.shape[0] <= 20
    assert 0 < cut.shape[1] <= 30


def test_evaluate_equals_the_steps_written_out():
    grey = picture()
    expected = reference_standardise(reference_resize(grey.astype(float), 99)[1:97, 1:97])
    got = Evaluate()(grey)
    assert got.shape == (1, 96, 96)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(180, 150), (60, 50), (99, 99), (97, 301)])
def test_resize_is_antialiased_bilinear_for_any_size(shape):
    grey = picture(*shape)
    got = Augment(degrees=0, flip=0, size=99, crop=99)(grey, picture_generator(0, 0, 0))
    expected = reference_standardise(reference_resize(grey.astype(float), 99))
    np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("draw", [0.1, 0.5, 0.93])
def test_rotation_equals_scikit_image(monkeypatch, draw):
    grey = picture(120, 120)
    FixedDraws(monkeypatch, draw, 0.9, 0.0, 0.0)
    got = Augment(flip=0, size=120, crop=120)(grey, None)[0].numpy()
    turned = skimage_rotate(grey.astype(float), (2 * draw - 1) * 15, order=1, preserve_range=True, cval=0)
    # Both fill with black, yet differ in the one pixel where the picture ends.
    inside = ndimage.binary_erosion(
        skimage_rotate(np.ones((120, 120)), (2 * draw - 1) * 15, order=0) > 0, iterations=2
    )
    scale = np.polyfit(got[inside], turned[inside], 1)
    assert np.abs(np.polyval(scale, got[inside]) - turned[inside]).max() < 0.5
    corner = got[0, 0]
    assert (draw == 0.5) or np.polyval(scale, corner) < 1


@pytest.mark.parametrize(
    ("draws", "rows", "columns", "mirrored"),
    [
        ((0.5, 0.9, 0.0, 0.0), slice(0, 96), slice(0, 96), False),
        ((0.5, 0.1, 0.3, 0.6), slice(1, 97), slice(2, 98), True),
        ((0.5, 0.49, 0.999, 0.999), slice(3, 99), slice(3, 99), True),
    ],
)
def test_flip_and_cut_equal_numpy_in_the_papers_order(monkeypatch, draws, rows, columns, mirrored):
    grey = picture()
    FixedDraws(monkeypatch, *draws)
    got = Augment(degrees=0)(grey, None)[0].numpy()
    flipped = grey[:, ::-1] if mirrored else grey
    expected = reference_standardise(reference_resize(flipped.astype(float), 99)[rows, columns])
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_random_draws_reach_every_place_both_sides_and_all_angles():
    grey = np.zeros((99, 99), np.uint8)
    grey[40:60, 20:30] = 200
    draws = torch.stack(
        [torch.rand(4, generator=picture_generator(0, e, 7), dtype=torch.float64) for e in range(600)]
    )
    assert {(int(r * 4), int(c * 4)) for r, c in draws[:, 2:].tolist()} == {
        (r, c) for r in range(4) for c in range(4)
    }
    assert 0.42 < (draws[:, 1] < 0.5).double().mean() < 0.58
    assert draws[:, 0].min() < 0.02
    assert draws[:, 0].max() > 0.98
    outputs = {Augment()(grey, picture_generator(0, e, 7)).numpy().tobytes() for e in range(20)}
    assert len(outputs) == 20


@settings(max_examples=25)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 10**6))
def test_outputs_are_standardised_whatever_comes_in(height, width, seed):
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    for got in (Evaluate()(grey), Augment()(grey, picture_generator(seed, 0, 0))):
        assert torch.isfinite(got).all()
        if got.abs().max() > 0:
            assert abs(got.mean().item()) < 1e-4
            assert abs(got.std(correction=0).item() - 1) < 1e-3


@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_a_picture_of_one_grey_becomes_zeros(level):
    assert Evaluate()(np.full((150, 120), level, np.uint8)).abs().max() == 0


def test_standardise_treats_each_picture_alone():
    batch = torch.rand(3, 1, 8, 8) * torch.tensor([1.0, 50.0, 200.0])[:, None, None, None]
    got = standardise(batch)
    for i in range(3):
        torch.testing.assert_close(got[i], standardise(batch[i]))
        np.testing.assert_allclose(got[i, 0].numpy(), reference_standardise(batch[i, 0].numpy()), atol=1e-4)


def test_augmentation_depends_on_seed_epoch_and_picture_alone():
    crops = Crops.of([picture(100 + i, 90, i) for i in range(7)])
    one = torch.cat(list(batches(crops, range(7), 7, Augment(), seed=3, epoch=2)))
    small = torch.cat(list(batches(crops, range(7), 2, Augment(), seed=3, epoch=2)))
    order = [6, 2, 0, 5, 1, 4, 3]
    shuffled = torch.cat(list(batches(crops, order, 3, Augment(), seed=3, epoch=2)))
    assert torch.equal(one, small)
    assert torch.equal(one[order], shuffled)
    for other in ({"seed": 4, "epoch": 2}, {"seed": 3, "epoch": 1}):
        assert not torch.equal(one[0], next(batches(crops, [0], 1, Augment(), **other))[0])


def test_batches_are_deterministic_by_default_and_the_last_is_smaller():
    crops = Crops.of([picture(100, 90, i) for i in range(5)])
    got = list(batches(crops, np.array([4, 0, 2]), 2))
    assert [tuple(b.shape) for b in got] == [(2, 1, 96, 96), (1, 1, 96, 96)]
    assert torch.equal(got[0][0], Evaluate()(crops[4]))
    assert list(batches(crops, [], 2)) == []
    with pytest.raises(FerError, match="batch_size=0"):
        next(batches(crops, [0], 0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Augment(degrees=-1), "degrees=-1"),
        (lambda: Augment(flip=1.5), r"flip=1\.5"),
        (lambda: Augment(size=50), "crop=96: must be from 1 to size=50"),
        (lambda: Evaluate(crop=0), "crop=0"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(FerError, match=message):
        make()


def test_crops_are_kept_as_they_are(tmp_path):
    pictures = [picture(30 + i, 20 + 2 * i, i) for i in range(4)]
    crops = Crops.of(pictures)
    crops.save(tmp_path / "new")
    loaded = Crops.load(tmp_path / "new")
    assert len(loaded) == 4
    for i, (expected, got) in enumerate(zip(pictures, loaded, strict=True)):
        np.testing.assert_array_equal(expected, got)
        np.testing.assert_array_equal(expected, crops[i])
    with pytest.raises(IndexError):
        crops[4]
    with pytest.raises(FerError, match=r"pixels\.npy: no such file"):
        Crops.load(tmp_path)


def test_faces_become_crops_in_the_tables_order(clean_tree):
    read = ckplus.read_ckplus(clean_tree)
    crops = load_crops(read)
    assert len(crops) == len(read)
    row = read.table.iloc[3]
    whole = read_picture(read.root, row["path"])
    np.testing.assert_array_equal(crops[3], crop(whole, row[list(BOX)].to_numpy(float)))


def test_a_picture_that_vanished_is_named(clean_tree):
    read = ckplus.read_ckplus(clean_tree)
    (clean_tree / read.table["path"][2]).unlink()
    with pytest.raises(FerError, match=r"S005_001_00000003\.png: no such file"):
        load_crops(read)


def test_a_frame_without_a_box_is_named(clean_tree):
    read = ckplus.read_ckplus(clean_tree)
    read.table.loc[1, "top"] = np.nan
    with pytest.raises(FerError, match=r"S005_001_00000002\.png: box .* not finite"):
        load_crops(read)


def test_shapes_that_do_not_fit_the_pixels_are_refused():
    with pytest.raises(FerError, match="5 pixels where the shapes ask for 6"):
        Crops(np.zeros(5, np.uint8), np.array([[2, 3]]))
