"""Small networks of face-api (MIT licence), run by torch from the weight files of its npm package.

They were trained on photographs by others and serve as independent judges of rendered faces: where the face is, 68
landmarks, expression, age and sex. The networks are depthwise separable convolutions on RGB, 224 x 224 for the whole
picture and 112 x 112 for a face; architecture and preprocessing follow the package's source.
"""

import json
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
_WHOLE = 224  # the side to which the face detector's picture is scaled; the package suggests it among others
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
            values = values * np.float32(quantization["scale"]) + np.float32(quantization["min"])
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


def to_square(picture: np.ndarray, box: Box) -> tuple[Tensor, float, float, float]:
    """Cut a box out of a picture and fit it into the networks' square, centred, with black margins.

    Parameters
    ----------
    picture : (height, width) uint8 array
        Grey.
    box : tuple of float
        Left, top, right, bottom in pixels; cut at the picture's border.

    Returns
    -------
    (1, 3, 112, 112) Tensor, float, float, float
        The input, and with it the scale and the offsets x and y: a point (u, v) of the input is the picture's point
        (x + u / scale, y + v / scale).
    """
    height, width = picture.shape
    left, top = max(int(box[0]), 0), max(int(box[1]), 0)
    right, bottom = min(int(box[2]), width), min(int(box[3]), height)
    cut = torch.from_numpy(picture[top:bottom, left:right].astype(np.float32))[None, None]
    scale = SIDE / max(cut.shape[2:])
    size = [max(1, round(length * scale)) for length in cut.shape[2:]]
    scaled = functional.interpolate(cut, size=size, mode="bilinear", antialias=True)
    above, before = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    square = functional.pad(scaled, (before, SIDE - size[1] - before, above, SIDE - size[0] - above))
    return square.expand(1, 3, SIDE, SIDE), scale, left - before / scale, top - above / scale


def find_face(weights: Weights, picture: np.ndarray) -> Box:
    """Find the box, in pixels, that holds a picture's face most surely.

    The package says that its landmarks are best in the boxes of this detector, which hold them all.
    """
    scale = _WHOLE / max(picture.shape)
    size = [max(1, round(length * scale)) for length in picture.shape]
    whole = torch.from_numpy(picture.astype(np.float32))[None, None]
    scaled = functional.interpolate(whole, size=size, mode="bilinear", antialias=True)
    square = functional.pad(scaled, (0, _WHOLE - size[1], 0, _WHOLE - size[0])).expand(1, 3, -1, -1)
    x = (square - torch.tensor(_DETECTOR_MEAN_RGB)[:, None, None]) / 256
    x = functional.conv2d(x, weights["conv0/filters"], weights["conv0/bias"])
    for block in range(6):
        x = functional.leaky_relu(_separable(weights, x, f"conv{block}") if block else x, 0.1)
        stride = 1 if block == 5 else 2
        x = functional.max_pool2d(_pad_same(x, 2, stride, float("-inf")), 2, stride)
    x = functional.conv2d(x, weights["conv8/filters"], weights["conv8/bias"])[0]
    cells = x.shape[-1]
    # Axes: anchor, row, column, and the box with its score.
    found = x.reshape(len(_ANCHORS), 5, cells, cells).permute(0, 2, 3, 1)
    anchor, row, column = map(int, np.unravel_index(int(found[..., 4].argmax()), found.shape[:3]))
    right, down, wide, high = found[anchor, row, column, :4].double()
    x_middle, y_middle = column + torch.sigmoid(right), row + torch.sigmoid(down)
    half_width, half_height = (
        torch.exp(length) * side / 2 for length, side in zip((wide, high), _ANCHORS[anchor], strict=True)
    )
    cell = _WHOLE / cells / scale  # pixels of the picture
    edges = (x_middle - half_width, y_middle - half_height, x_middle + half_width, y_middle + half_height)
    left, top, right_edge, bottom = (float(edge) * cell for edge in edges)
    return left, top, right_edge, bottom


def landmarks(weights: Weights, picture: np.ndarray, box: Box) -> np.ndarray:
    """Find the 68 landmarks within a face's box; (68, 2) pixel x, y of the picture."""
    square, scale, x, y = to_square(picture, box)
    points = _dense(weights, _features(weights, square), "fc").reshape(68, 2) * SIDE
    return np.asarray(points.numpy() / scale + np.array([x, y]))


def expression(weights: Weights, picture: np.ndarray, box: Box) -> np.ndarray:
    """Probabilities (7,) of the expressions in `EXPRESSION_ORDER`."""
    scores = _dense(weights, _features(weights, to_square(picture, box)[0]), "fc")
    return np.asarray(torch.softmax(scores, dim=1)[0].numpy())


def age_and_sex(weights: Weights, picture: np.ndarray, box: Box) -> tuple[float, float]:
    """Age in years, and the probability (0 to 1) that the face is a woman's."""
    x = functional.relu(_conv(weights, _normalise(to_square(picture, box)[0]), "entry_flow/conv_in", 2))
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
    out = functional.max_pool2d(_pad_same(out, 3, 2, float("-inf")), 3, 2)
    return out + _conv(weights, x, f"{name}/expansion_conv", 2)


def _pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad as TensorFlow's "same" does: the odd pixel goes to the right and the bottom."""
    total = [max((-(-length // stride) - 1) * stride + kernel - length, 0) for length in x.shape[2:]]
    vertical, horizontal = total
    sides = (horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2)
    return functional.pad(x, sides, value=value)


def _conv(weights: Weights, x: Tensor, name: str, stride: int) -> Tensor:
    kernel = weights[f"{name}/filters"]
    return functional.conv2d(_pad_same(x, kernel.shape[-1], stride), kernel, weights[f"{name}/bias"], stride)


def _separable(weights: Weights, x: Tensor, name: str, stride: int = 1) -> Tensor:
    depthwise = weights[f"{name}/depthwise_filter"]
    x = functional.conv2d(
        _pad_same(x, depthwise.shape[-1], stride), depthwise, None, stride, groups=x.shape[1]
    )
    return functional.conv2d(x, weights[f"{name}/pointwise_filter"], weights[f"{name}/bias"])


def _dense(weights: Weights, x: Tensor, name: str) -> Tensor:
    return functional.linear(x, weights[f"{name}/weights"], weights[f"{name}/bias"])
