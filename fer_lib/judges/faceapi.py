"""Small networks of face-api (MIT licence), run by torch from the weight files of its npm package.

They were trained on photographs by others and serve as independent judges of rendered faces: where the face is, 68
landmarks, expression, age and sex. The networks are depthwise separable convolutions on RGB, 224 x 224 for the whole
picture and 112 x 112 for a face. Architecture and preprocessing are those of @vladmandic/face-api 1.7.15 where it is given
a tensor, as under Node; in a browser the same pictures pass through a canvas, which every browser smooths in its own way.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fer_lib.errors import FerError

SIDE = 112
EXPRESSION_ORDER = ("neutral", "happy", "sadness", "anger", "fear", "disgust", "surprise")
_MEAN_RGB = (122.782, 117.001, 104.298)
# The side to which the face detector scales pictures. 416 unless its user chooses another; the package advises smaller ones
# for faces that fill the picture, as here.
_WHOLE = 224
_SURE = 0.5  # the score above which the detector takes something for a face unless its user chooses another
_MARGIN = 0.1  # of a face's width and height, on each side of its landmarks
_DETECTOR_MEAN_RGB = (117.001, 114.697, 97.404)
# Width and height, in cells of the detector's grid, of the boxes from which its own differ.
_ANCHORS = (
    (1.603231, 2.094468),
    (6.041143, 7.080126),
    (2.882459, 3.518061),
    (4.266906, 5.178857),
    (9.041765, 10.66308),
)

Weights = Mapping[str, Tensor]
Box = tuple[float, float, float, float]


def load_weights(folder: Path, name: str) -> dict[str, Tensor]:
    """Read one network's weights.

    Parameters
    ----------
    folder : Path
        The package's ``model`` folder, with ``NAME_model-weights_manifest.json`` and ``NAME_model.bin``.
    name : str
        ``"tiny_face_detector"``, ``"face_landmark_68"``, ``"face_expression"`` or ``"age_gender"``.

    Returns
    -------
    dict of str to Tensor
        Convolution kernels as torch lays them out (output, input, height, width), dense ones (output, input).

    Raises
    ------
    FerError
        If the files are missing or do not fit together.
    """
    manifest = folder / f"{name}_model-weights_manifest.json"
    try:
        (group,) = json.loads(manifest.read_text(encoding="utf-8"))
        data = b"".join((folder / part).read_bytes() for part in group["paths"])
    except (OSError, ValueError, KeyError) as error:
        raise FerError(
            f"{manifest} cannot be read: give the `model` folder of the npm package @vladmandic/face-api"
        ) from error
    weights: dict[str, Tensor] = {}
    offset = 0
    for entry in group["weights"]:
        quantization = entry.get("quantization")
        stored = np.dtype(quantization["dtype"] if quantization else entry["dtype"]).newbyteorder("<")
        count = int(np.prod(entry["shape"]))
        if offset + count * stored.itemsize > len(data):
            raise FerError(
                f"{folder / group['paths'][0]} is cut short at {entry['name']}: unpack the package again"
            )
        values = np.frombuffer(data, stored, count, offset).astype(np.float32).reshape(entry["shape"])
        offset += count * stored.itemsize
        if quantization:
            values = (values.astype(float) * quantization["scale"] + quantization["min"]).astype(np.float32)
        weights[entry["name"]] = torch.from_numpy(_as_torch(entry["name"], values))
    return weights


def _as_torch(name: str, values: np.ndarray) -> np.ndarray:
    if name.endswith("depthwise_filter"):
        values = values.transpose(2, 3, 0, 1)
    elif values.ndim == 4:
        values = values.transpose(3, 2, 0, 1)
    elif values.ndim == 2:
        values = values.T
    return np.ascontiguousarray(values)


def cut_face(picture: np.ndarray, box: Box) -> np.ndarray | None:
    """Cut a box out of a picture.

    Parameters
    ----------
    picture : (height, width) uint8 array
        Grey.
    box : tuple of float
        Left, top, right, bottom in pixels. What lies outside the picture is left out; then the place and the size are
        rounded down, each by itself.

    Returns
    -------
    (rows, columns) uint8 array or None
        None where no pixel of the picture lies in the box.
    """
    height, width = picture.shape
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    columns, rows = math.floor(min(box[2], width) - left), math.floor(min(box[3], height) - top)
    if columns <= 0 or rows <= 0:
        return None
    x, y = math.floor(left), math.floor(top)
    return picture[y : y + rows, x : x + columns]


def network_input(picture: np.ndarray, side: int = SIDE, *, centred: bool = True) -> Tensor:
    """Make a picture square with black margins and scale it.

    Parameters
    ----------
    picture : (height, width) uint8 array
        Grey.
    side : int
        Of the result, in pixels.
    centred : bool
        Margins on both sides, an odd pixel to the right or below; otherwise to the right or below only.

    Returns
    -------
    (1, 3, side, side) Tensor
        0 to 255.
    """
    missing = [max(picture.shape) - length for length in picture.shape]
    before = [length // 2 if centred else 0 for length in missing]
    square = np.pad(picture, [(b, m - b) for b, m in zip(before, missing, strict=True)])
    scaled = _scaled(square.astype(float), side).astype(np.float32)
    return torch.from_numpy(scaled).expand(1, 3, side, side)


def _scaled(square: np.ndarray, side: int) -> np.ndarray:
    """Interpolate as TensorFlow.js does by default: pixel i is read at i / side of the way, and nothing is smoothed before."""
    places = np.arange(side) * (len(square) / side)
    low = places.astype(int)
    high, share = np.minimum(low + 1, len(square) - 1), places - low
    rows = square[low] + (square[high] - square[low]) * share[:, None]
    return np.asarray(rows[:, low] + (rows[:, high] - rows[:, low]) * share)


def find_face(weights: Weights, picture: np.ndarray) -> Box | None:
    """Find the box, in pixels, that holds a picture's face most surely; None where the detector sees none.

    The package says that its landmarks are best in the boxes of this detector, which hold them all.
    """
    square = network_input(picture, _WHOLE, centred=False)
    x = (square - torch.tensor(_DETECTOR_MEAN_RGB)[:, None, None]) / 255
    x = functional.conv2d(x, weights["conv0/filters"], weights["conv0/bias"])
    for block in range(6):
        x = functional.leaky_relu(_separable(weights, x, f"conv{block}") if block else x, 0.1)
        stride = 1 if block == 5 else 2
        x = functional.max_pool2d(pad_same(x, 2, stride, float("-inf")), 2, stride)
    x = functional.conv2d(x, weights["conv8/filters"], weights["conv8/bias"])[0]
    cells = x.shape[-1]
    # Axes: row, column, anchor, and the box with its score. Of equal scores the package takes the last.
    found = x.reshape(len(_ANCHORS), 5, cells, cells).permute(2, 3, 0, 1).double().numpy()
    scores = found[..., 4].ravel()
    best = len(scores) - 1 - int(np.argmax(scores[::-1]))
    if _sigmoid(scores[best]) <= _SURE:
        return None
    row, column, anchor = map(int, np.unravel_index(best, found.shape[:3]))
    right, down, wide, high = map(float, found[row, column, anchor, :4])
    x_middle, y_middle = column + _sigmoid(right), row + _sigmoid(down)
    half_width, half_height = (
        math.exp(length) * side / 2 for length, side in zip((wide, high), _ANCHORS[anchor], strict=True)
    )
    edges = (x_middle - half_width, y_middle - half_height, x_middle + half_width, y_middle + half_height)
    # The package takes the scaled picture's sides for whole numbers of pixels.
    height, width = picture.shape
    scaled = [math.floor(_WHOLE * length / max(picture.shape) + 0.5) for length in (width, height)]
    pixels = [length * max(scaled) / own / cells for length, own in zip((width, height), scaled, strict=True)]
    left, top, right_edge, bottom = (
        edge * cell for edge, cell in zip(edges, [*pixels, *pixels], strict=True)
    )
    return left, top, right_edge, bottom


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def landmarks(weights: Weights, picture: np.ndarray, box: Box) -> np.ndarray | None:
    """Find the 68 landmarks within a face's box; (68, 2) pixel x, y of the picture, None where the box is empty.

    Like the package, it counts from the box's corner as the detector gave it, also where that lies outside the picture.
    """
    face = cut_face(picture, box)
    if face is None:
        return None
    points = _dense(weights, _features(weights, network_input(face)), "fc").reshape(68, 2).double().numpy()
    side = max(face.shape)
    margins = (side - np.array(face.shape[::-1])) / 2
    return np.asarray(points * side - margins + np.array(box[:2]))


def face_around(points: np.ndarray) -> Box:
    """Box of the landmarks with a margin, from which expression, age and sex are read."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * (high - low)
    left, top, right, bottom = map(float, (*(low - margin), *(high + margin)))
    return left, top, right, bottom


def expression(weights: Weights, face: np.ndarray) -> np.ndarray:
    """Probabilities (7,) of the expressions in `EXPRESSION_ORDER`; the face as `cut_face` gives it."""
    scores = _dense(weights, _features(weights, network_input(face)), "fc")
    return np.asarray(torch.softmax(scores, dim=1)[0].numpy())


def age_and_sex(weights: Weights, face: np.ndarray) -> tuple[float, float]:
    """Age in years, and the probability (0 to 1) that the face is a woman's; the face as `cut_face` gives it."""
    x = functional.relu(_conv(weights, _normalise(network_input(face)), "entry_flow/conv_in", 2))
    x = _reduction(weights, x, "entry_flow/reduction_block_0", activate=False)
    x = _reduction(weights, x, "entry_flow/reduction_block_1")
    for block in ("middle_flow/main_block_0", "middle_flow/main_block_1"):
        out = x
        for index in range(3):
            out = _separable(weights, functional.relu(out), f"{block}/separable_conv{index}")
        x = x + out
    x = _reduction(weights, x, "exit_flow/reduction_block")
    x = functional.relu(_separable(weights, x, "exit_flow/separable_conv"))
    x = functional.avg_pool2d(x, 7, 2).flatten(1)
    age = _dense(weights, x, "fc/age")
    sex = torch.softmax(_dense(weights, x, "fc/gender"), dim=1)
    return float(age[0, 0]), float(sex[0, 1])


def _normalise(square: Tensor) -> Tensor:
    return (square - torch.tensor(_MEAN_RGB)[:, None, None]) / 255


def _features(weights: Weights, square: Tensor) -> Tensor:
    """Four densely added blocks, each halving the resolution, and the mean over what is left."""
    x = _normalise(square)
    for block in range(4):
        name = f"dense{block}"
        first = (
            _conv(weights, x, f"{name}/conv0", 2)
            if block == 0
            else _separable(weights, x, f"{name}/conv0", 2)
        )
        total = x = functional.relu(first)
        for index in range(1, 4):
            total = total + _separable(weights, x, f"{name}/conv{index}")
            x = functional.relu(total)
    return functional.avg_pool2d(x, 7, 2).flatten(1)


def _reduction(weights: Weights, x: Tensor, name: str, *, activate: bool = True) -> Tensor:
    out = _separable(weights, functional.relu(x) if activate else x, f"{name}/separable_conv0")
    out = _separable(weights, functional.relu(out), f"{name}/separable_conv1")
    out = functional.max_pool2d(pad_same(out, 3, 2, float("-inf")), 3, 2)
    return out + _conv(weights, x, f"{name}/expansion_conv", 2)


def pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad (..., rows, columns) as TensorFlow's "same" does: the odd pixel goes to the right and the bottom."""
    total = [max((-(-length // stride) - 1) * stride + kernel - length, 0) for length in x.shape[2:]]
    vertical, horizontal = total
    sides = (horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2)
    return functional.pad(x, sides, value=value)


def _conv(weights: Weights, x: Tensor, name: str, stride: int) -> Tensor:
    kernel = weights[f"{name}/filters"]
    return functional.conv2d(pad_same(x, kernel.shape[-1], stride), kernel, weights[f"{name}/bias"], stride)


def _separable(weights: Weights, x: Tensor, name: str, stride: int = 1) -> Tensor:
    depthwise = weights[f"{name}/depthwise_filter"]
    x = functional.conv2d(
        pad_same(x, depthwise.shape[-1], stride), depthwise, None, stride, groups=x.shape[1]
    )
    return functional.conv2d(x, weights[f"{name}/pointwise_filter"], weights[f"{name}/bias"])


def _dense(weights: Weights, x: Tensor, name: str) -> Tensor:
    return functional.linear(x, weights[f"{name}/weights"], weights[f"{name}/bias"])
