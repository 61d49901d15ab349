import json

import numpy as np
import pytest
import torch

from fer_lib.errors import FerError
from fer_lib.judges import faceapi


def write_weights(folder, name, arrays, keep=1.0):
    """Write weights as face-api's package does: bytes or floats in a row, described by a manifest."""
    entries, data = [], b""
    for key, values in arrays.items():
        values = np.asarray(values, np.float32)
        if values.ndim > 1:
            low, scale = float(values.min()), float(np.ptp(values) / 255) or 1.0
            data += np.round((values - low) / scale).astype(np.uint8).tobytes()
            quantization = {"dtype": "uint8", "scale": scale, "min": low}
            entries.append(
                {"name": key, "shape": values.shape, "dtype": "float32", "quantization": quantization}
            )
        else:
            data += values.astype("<f4").tobytes()
            entries.append({"name": key, "shape": values.shape, "dtype": "float32"})
    (folder / f"{name}_model.bin").write_bytes(data[: int(len(data) * keep)])
    manifest = [{"paths": [f"{name}_model.bin"], "weights": entries}]
    (folder / f"{name}_model-weights_manifest.json").write_text(json.dumps(manifest))


def feature_weights(rng, outputs):
    arrays = {
        "dense0/conv0/filters": rng.normal(0, 0.3, (3, 3, 3, 32)),
        "dense0/conv0/bias": rng.normal(0, 0.1, 32),
    }
    width = 32
    for block in range(4):
        for index in range(4):
            if block == index == 0:
                continue
            wider = width if index or block == 0 else 2 * width
            name = f"dense{block}/conv{index}"
            arrays[f"{name}/depthwise_filter"] = rng.normal(0, 0.3, (3, 3, width, 1))
            arrays[f"{name}/pointwise_filter"] = rng.normal(0, 0.2, (1, 1, width, wider))
            arrays[f"{name}/bias"] = rng.normal(0, 0.1, wider)
            width = wider
    arrays["fc/weights"] = rng.normal(0, 0.05, (256, outputs))
    arrays["fc/bias"] = rng.normal(0, 0.1, outputs)
    return arrays


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_weights_are_read_to_within_a_quantum(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "a/filters": rng.normal(size=(3, 3, 2, 5)),
        "a/bias": rng.normal(size=5),
        "fc/weights": np.eye(3),
    }
    write_weights(tmp_path, "toy", arrays)
    weights = faceapi.load_weights(tmp_path, "toy")
    assert weights["a/filters"].shape == (5, 2, 3, 3)
    assert np.allclose(weights["a/filters"].numpy().transpose(2, 3, 1, 0), arrays["a/filters"], atol=0.02)
    assert np.allclose(weights["a/bias"].numpy(), arrays["a/bias"])


def test_missing_and_short_weights_are_named(tmp_path):
    with pytest.raises(FerError, match=r"toy_model-weights_manifest\.json cannot be read"):
        faceapi.load_weights(tmp_path, "toy")
    write_weights(tmp_path, "toy", {"bias": np.zeros(9)}, keep=0.5)
    with pytest.raises(FerError, match="is cut short at bias"):
        faceapi.load_weights(tmp_path, "toy")


@pytest.mark.parametrize(("length", "stride"), [(112, 2), (7, 1), (7, 2), (8, 1)])
def test_padding_is_tensorflows(length, stride):
    ramp = torch.arange(length * length, dtype=torch.float32).reshape(1, 1, length, length)
    padded = faceapi.pad_same(ramp, 3, stride)
    out = -(-length // stride)
    assert (padded.shape[-1] - 3) // stride + 1 == out
    before = 0 if (length % 2 == 0 and stride == 2) else 1
    assert torch.equal(padded[0, 0, before : before + length, before : before + length], ramp[0, 0])


def by_the_package(picture, side, centred):
    """`padToSquare` and TensorFlow.js' `resizeBilinear` with both of its flags off, one pixel after the other."""
    height, width = picture.shape
    length, difference = max(height, width), abs(height - width)
    append = int(difference * (0.5 if centred else 1) + 0.5)
    before = difference - append
    square = np.zeros((length, length))
    y, x = (0, before) if height > width else (before, 0)
    square[y : y + height, x : x + width] = picture
    out = np.empty((side, side))
    for row in range(side):
        for column in range(side):
            v, u = row * length / side, column * length / side
            top, left = int(v), int(u)
            bottom, right = min(length - 1, int(np.ceil(v))), min(length - 1, int(np.ceil(u)))
            above = square[top, left] + (square[top, right] - square[top, left]) * (u - left)
            below = square[bottom, left] + (square[bottom, right] - square[bottom, left]) * (u - left)
            out[row, column] = above + (below - above) * (v - top)
    return out


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("shape", [(30, 30), (31, 20), (20, 31), (17, 16), (90, 61), (12, 112)])
def test_networks_see_what_the_package_would_show_them(shape, centred):
    picture = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    shown = faceapi.network_input(picture, 40, centred=centred)
    assert shown.shape == (1, 3, 40, 40)
    assert np.allclose(shown[0].numpy(), by_the_package(picture, 40, centred), atol=1e-4)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((2.0, 3.0, 7.0, 9.0), slice(3, 9), slice(2, 7)),
        ((2.9, 3.2, 7.1, 9.9), slice(3, 9), slice(2, 6)),  # 6.7 and 4.2 pixels, from 3 and 2
        ((-3.2, 4.7, 10.9, 40.0), slice(4, 19), slice(0, 10)),  # 20 - 4.7 is 15.3
        ((5.5, -9.0, 99.0, 6.5), slice(0, 6), slice(5, 11)),  # 12 - 5.5 is 6.5
    ],
)
def test_boxes_are_cut_and_rounded_as_by_the_package(box, rows, columns):
    picture = np.arange(240, dtype=np.uint8).reshape(20, 12)
    assert np.array_equal(faceapi.cut_face(picture, box), picture[rows, columns])


@pytest.mark.parametrize("box", [(13.0, 2.0, 20.0, 9.0), (2.0, -9.0, 9.0, -1.0), (4.0, 4.0, 4.9, 9.0)])
def test_a_box_without_pixels_holds_no_face(box):
    assert faceapi.cut_face(np.zeros((20, 12), np.uint8), box) is None
    assert faceapi.landmarks({}, np.zeros((20, 12), np.uint8), box) is None


@pytest.mark.parametrize("box", [(50.0, 40.0, 210.0, 120.0), (-20.5, 30.25, 99.75, 190.0)])
def test_points_come_back_to_the_picture(tmp_path, box):
    arrays = {
        name: np.zeros_like(values) for name, values in feature_weights(np.random.default_rng(0), 136).items()
    }
    arrays["fc/bias"] = np.tile([0.25, 0.5], 68)
    write_weights(tmp_path, "face_landmark_68", arrays)
    picture = np.zeros((200, 300), np.uint8)
    points = faceapi.landmarks(faceapi.load_weights(tmp_path, "face_landmark_68"), picture, box)
    height, width = faceapi.cut_face(picture, box).shape
    side = max(height, width)
    # A quarter and a half of the square in whose middle the cut lies, counted from the detector's corner.
    assert points[0] == pytest.approx(
        (box[0] + side / 4 - (side - width) / 2, box[1] + side / 2 - (side - height) / 2), abs=1e-3
    )


def test_answers_have_the_right_shape_and_range(tmp_path):
    rng = np.random.default_rng(1)
    write_weights(tmp_path, "face_expression", feature_weights(rng, 7))
    write_weights(tmp_path, "face_landmark_68", feature_weights(rng, 136))
    picture = rng.integers(0, 256, (128, 128), dtype=np.uint8)
    answer = faceapi.expression(faceapi.load_weights(tmp_path, "face_expression"), picture)
    assert answer.shape == (7,)
    assert answer.sum() == pytest.approx(1, abs=1e-5)
    box = (10.0, 10.0, 110.0, 120.0)
    points = faceapi.landmarks(faceapi.load_weights(tmp_path, "face_landmark_68"), picture, box)
    assert points.shape == (68, 2)


def test_a_box_has_a_tenth_around_the_landmarks():
    assert faceapi.face_around(np.array([[10.0, 20.0], [30.0, 70.0], [20.0, 40.0]])) == (8, 15, 32, 75)


def detector_weights(anchor, size):
    """Weights of a detector that scores brightness and gives one anchor's box, larger by the factors `size`."""
    arrays = {"conv0/filters": np.zeros((3, 3, 3, 1)), "conv0/bias": np.ones(1)}
    arrays["conv0/filters"][1, 1] = 1
    for block in range(1, 6):
        centre = np.zeros((3, 3, 1, 1))
        centre[1, 1] = 1
        arrays[f"conv{block}/depthwise_filter"] = centre
        arrays[f"conv{block}/pointwise_filter"] = np.ones((1, 1, 1, 1))
        arrays[f"conv{block}/bias"] = np.zeros(1)
    score = np.zeros((1, 1, 1, 25))
    score[..., 5 * anchor + 4] = 1
    bias = np.zeros(25)
    bias[5 * anchor + 2 : 5 * anchor + 4] = np.log(size)
    arrays["conv8/filters"], arrays["conv8/bias"] = score, bias
    return arrays


@pytest.mark.parametrize(("height", "width"), [(448, 448), (448, 300), (300, 448)])
def test_the_detectors_box_lies_around_what_it_scores(tmp_path, height, width):
    write_weights(tmp_path, "tiny_face_detector", detector_weights(anchor=2, size=(1.5, 2.0)))
    weights = faceapi.load_weights(tmp_path, "tiny_face_detector")
    picture = np.zeros((height, width), np.uint8)
    picture[150:170, 214:234] = 255
    left, top, right, bottom = faceapi.find_face(weights, picture)
    # Seven cells of 64 pixels: the spot lies in the third row and the fourth column. The last pooling shows it to the
    # cells before, too, and the last of equal ones is taken. Anchor 2 is 2.88 x 3.52 cells.
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((3.5 * 64, 2.5 * 64))
    assert (right - left, bottom - top) == pytest.approx((2.882459 * 64 * 1.5, 3.518061 * 64 * 2), rel=0.01)


@pytest.mark.parametrize("grey", [125, 200, 255])
def test_the_detector_divides_by_255_and_is_sure_above_one_half(tmp_path, grey):
    picture = np.full((64, 64), grey, np.uint8)
    mean = np.array([117.001, 114.697, 97.404])
    scores = {divisor: 1 + ((grey - mean) / divisor).sum() for divisor in (255, 256)}
    for shift, found in ((1e-4, True), (-1e-4, False)):
        arrays = detector_weights(anchor=2, size=(1.0, 1.0))
        arrays["conv8/bias"][14] = shift - scores[255]
        assert shift - scores[255] + scores[256] < 0  # by 256 there would be no face in either case
        write_weights(tmp_path, "tiny_face_detector", arrays)
        weights = faceapi.load_weights(tmp_path, "tiny_face_detector")
        assert (faceapi.find_face(weights, picture) is not None) == found
