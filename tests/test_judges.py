import sys

import numpy as np
import pandas as pd
import pytest
from conftest import write_sequence

from fer_lib.cli import app
from fer_lib.errors import FerError
from fer_lib.judges import opinions, panel, run
from fer_lib.judges.opinions import NO_FACE, Opinions
from fer_lib.judges.panel import BASIC
from fer_lib.judges.run import judge_faces, name_change, summarize
from fer_lib.render.dataset import render_faces

NO_DESCRIPTORS = np.full((8, 128), np.nan)


@pytest.fixture
def seen():
    """Two people with two sequences each; `fer` is right but for one fear that it takes for surprise."""
    rows = []
    for subject in ("S001", "S002"):
        for number, expression in enumerate(("happy", "fear")):
            for label in ("neutral", expression):
                wrong = subject == "S002" and label == "fear"
                answer = "surprise" if wrong else label
                rows.append(
                    {
                        "path": f"{subject}{number}{label}.png",
                        "subject": subject,
                        "sequence": f"{subject}_{number}",
                        "label": label,
                        "hog": True,
                        "mmod": True,
                        "haar_fer": not wrong,
                        "haar_facex": True,
                        "error_dlib": 0.08 if wrong else 0.04,
                        "fer": answer,
                        "fer_change": "" if label == "neutral" else label,
                    }
                )
    return pd.DataFrame(rows)


def test_detectors_and_landmarks(seen):
    detectors = summarize(seen, NO_DESCRIPTORS).detectors.set_index("detector")
    assert detectors.index.tolist() == ["hog", "mmod", "haar_fer", "haar_facex"]  # face-api was not asked
    assert detectors.loc["haar_fer", "share"] == 7 / 8
    assert detectors.loc["hog", "found"] == 8
    errors = summarize(seen, NO_DESCRIPTORS).landmarks
    assert errors.predictor.tolist() == ["dlib"]
    assert errors["median"].iloc[0] == pytest.approx(0.04)
    assert errors["mean"].iloc[0] == pytest.approx(0.045)
    seen.loc[seen["error_dlib"] > 0.05, "error_dlib"] = np.nan  # not found, so not measured
    errors = summarize(seen, NO_DESCRIPTORS).landmarks
    assert errors["faces"].iloc[0] == 7
    assert errors["mean"].iloc[0] == pytest.approx(0.04)


def test_agreement_is_the_mean_over_classes(seen):
    agreement = summarize(seen, NO_DESCRIPTORS).agreement.set_index("expression")
    assert agreement.loc["neutral", "agreement"] == 1
    assert agreement.loc["fear", "agreement"] == 0.5
    assert np.isnan(agreement.loc["anger", "agreement"])
    assert agreement.loc["mean", "agreement"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert agreement.loc["mean", "agreement_change"] == 1
    assert np.isnan(agreement.loc["neutral", "agreement_change"])


def test_every_mean_says_how_many_pictures_it_is_over(seen):
    agreement = summarize(seen, NO_DESCRIPTORS).agreement.set_index("expression")
    assert agreement["faces"].to_dict() == {
        **dict.fromkeys(BASIC, 0),
        "neutral": 4,
        "fear": 2,
        "happy": 2,
        "mean": 8,
    }
    # A neutral picture is no change, and neither is one of a sequence without a neutral picture.
    assert agreement.loc["mean", "faces_change"] == 4
    seen.loc[1, "fer_change"] = ""
    agreement = summarize(seen, NO_DESCRIPTORS).agreement.set_index("expression")
    assert agreement.loc["mean", "faces_change"] == 3
    assert agreement.loc["happy", "agreement_change"] == 1


def test_no_face_is_another_name(seen):
    seen.loc[seen["fer"] == "surprise", ["fer", "fer_change"]] = NO_FACE
    agreement = summarize(seen, NO_DESCRIPTORS).agreement.set_index("expression")
    assert agreement.loc["fear", ["agreement", "agreement_change"]].tolist() == [0.5, 0.5]
    confusion = summarize(seen, NO_DESCRIPTORS).confusion
    fear = confusion[confusion.expression == "fear"].set_index("answer").faces
    assert fear.to_dict() == {"fear": 1, "no face": 1}


def test_a_change_needs_both_faces():
    calm = panel.Answer("fear", np.array([0.1, 0, 0, 0.5, 0.2, 0.2, 0]))
    shown = panel.Answer("fear", np.array([0.0, 0, 0, 0.5, 0.4, 0.1, 0]))
    assert name_change(shown, calm) == "happy"
    # What neutral gains is no expression, and the least loss is the largest gain.
    assert name_change(calm, shown) == "sadness"
    assert name_change(None, calm) == name_change(shown, None) == "no face"


def test_a_sequence_without_a_neutral_picture_has_no_change(monkeypatch, tmp_path):
    write_sequence(tmp_path, "S001_001", frames=1, expression="fear")
    write_sequence(tmp_path, "S002_001", frames=1, expression="happy")
    write_sequence(tmp_path, "S003_001", frames=2, expression="fear")
    answer = panel.Answer("fear", np.eye(7)[3])
    answers = iter([answer, None, None, answer])
    cells = {"hog": True, "descriptor": NO_DESCRIPTORS[0]}
    monkeypatch.setattr(run, "requirements", dict)
    monkeypatch.setattr(run, "load_panel", lambda face_api: None)
    monkeypatch.setattr(
        run, "judge_picture", lambda judges, picture, own: ({"fer": next(answers)}, dict(cells))
    )
    found = judge_faces(tmp_path, processes=1, progress=False).faces.set_index(["subject", "label"])
    assert found[["fer", "fer_change"]].T.to_dict("list") == {
        ("S001", "fear"): ["fear", ""],
        ("S002", "happy"): [NO_FACE, ""],
        ("S003", "neutral"): [NO_FACE, ""],
        ("S003", "fear"): ["fear", NO_FACE],
    }


def test_confusion_adds_up(seen):
    confusion = summarize(seen, NO_DESCRIPTORS).confusion
    assert confusion.faces.sum() == len(seen)
    fear = confusion[confusion.expression == "fear"].set_index("answer").faces
    assert fear.to_dict() == {"fear": 1, "surprise": 1}


def test_identity_compares_neutral_frames(seen):
    descriptors = np.zeros((8, 128))
    descriptors[4:, 0] = 0.7
    descriptors[[1, 3, 5, 7]] = 99  # frames with an expression do not count
    identity = summarize(seen, descriptors).identity.set_index("pairs")
    assert identity.loc["different people", "number"] == 4
    assert identity.loc["different people", "under_threshold"] == 0
    assert identity.loc["same person", ["number", "under_threshold"]].tolist() == [2, 1]
    descriptors[0] = np.nan  # no face, so no distance
    identity = summarize(seen, descriptors).identity.set_index("pairs")
    assert identity["number"].to_dict() == {"different people": 2, "same person": 1}


def test_sex_and_age_are_those_of_neutral_frames_beside_the_drawn(seen):
    calm = seen["label"] == "neutral"
    guessed = seen.assign(woman=np.where(calm, 0.8, 0.0), age=np.where(calm, 30.0, 99.0))
    guessed.loc[0, "age"] = 20.0
    drawn = pd.DataFrame({"woman": [1.0, 0.0], "age": [0.1, 0.4]}, index=["S001", "S002"])
    people = summarize(guessed, NO_DESCRIPTORS, drawn).people.set_index("subject")
    assert people.loc["S001"].tolist() == [0.8, 25.0, 1.0, 0.1]
    assert people.loc["S002"].tolist() == [0.8, 30.0, 0.0, 0.4]
    assert summarize(guessed, NO_DESCRIPTORS).people[["drawn_woman", "drawn_age"]].isna().all(axis=None)
    assert summarize(seen, NO_DESCRIPTORS, drawn).people.empty


def test_missing_judges_are_named_with_their_commands(monkeypatch, tmp_path):
    monkeypatch.setitem(panel.PACKAGES, "no_such_judge", "pip install no-such-judge")
    with pytest.raises(FerError, match=r"not installed: .*pip install no-such-judge"):
        judge_faces(tmp_path)


def test_answers_are_put_in_one_order():
    order = list(reversed(BASIC))
    answer = panel.answer_of(np.array([0.1, 0.2, 0.3, 0.0, 0.1, 0.2, 0.1]), order)
    assert answer.name == order[2]
    assert answer.probabilities.tolist() == [0.1, 0.2, 0.1, 0.0, 0.3, 0.2, 0.1]


def test_what_is_saved_is_read_again(seen, tmp_path):
    found = summarize(seen, NO_DESCRIPTORS, provenance=opinions.provenance_of(tmp_path, {"fer": "25.10"}))
    again = Opinions.load(found.save(tmp_path / "opinions"))
    assert again.provenance == found.provenance
    pd.testing.assert_frame_equal(again.agreement, found.agreement)
    assert again.detectors["detector"].tolist() == ["hog", "mmod", "haar_fer", "haar_facex"]


@pytest.mark.slow
@pytest.mark.skipif(bool(panel.requirements()), reason="the judges' packages are not installed")
def test_judges_see_rendered_faces(tmp_path):
    out = render_faces(
        tmp_path / "faces", subjects=2, sequences=7, frames=2, size=192, seed=1, processes=2, progress=False
    )
    found = judge_faces(out, sequences=6, processes=1, progress=False)
    assert len(found.faces) == 12
    assert set(found.agreement.network) == {"fer", "facex"}
    assert (found.detectors.share >= 0.75).all()
    assert found.landmarks["median"].iloc[0] < 0.1
    assert found.identity.set_index("pairs").loc["same person", "under_threshold"] > 0.8


def test_the_command_notes_code_and_packages_beside_the_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "requirements", dict)
    monkeypatch.setattr(run, "load_panel", lambda face_api: None)
    cells = {"hog": True, "descriptor": NO_DESCRIPTORS[0]}
    monkeypatch.setattr(run, "judge_picture", lambda judges, picture, own: ({"fer": None}, dict(cells)))
    monkeypatch.setattr(run, "in_processes", lambda work, tasks, processes: map(work, tasks))
    write_sequence(tmp_path / "faces", "S001_001", frames=2, expression="fear")
    out = tmp_path / "opinions"
    arguments = ["fer", "judge", str(tmp_path / "faces"), "--sequences", "0", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        app()
    assert not ended.value.code
    made = Opinions.load(out).provenance
    assert made["judges"] == opinions.judges_digest() and made["renderer"] == opinions.renderer_digest()
    assert made["packages"] == panel.versions(None)
