import sys

import numpy as np
import pandas as pd
import pytest

from fer_lib.cli import app
from fer_lib.errors import FerError
from fer_lib.judges import judged, judging, panel
from fer_lib.judges.panel import BASIC
from fer_lib.render.dataset import render_faces


@pytest.fixture
def verdicts():
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


def test_detectors_and_landmarks(verdicts):
    detectors = judging._detectors(verdicts).set_index("detector")
    assert detectors.index.tolist() == ["hog", "mmod", "haar_fer", "haar_facex"]  # face-api was not asked
    assert detectors.loc["haar_fer", "share"] == 7 / 8
    assert detectors.loc["hog", "found"] == 8
    errors = judging._landmarks(verdicts)
    assert errors.predictor.tolist() == ["dlib"]
    assert errors["median"].iloc[0] == pytest.approx(0.04)
    assert errors["mean"].iloc[0] == pytest.approx(0.045)
    verdicts.loc[verdicts["error_dlib"] > 0.05, "error_dlib"] = np.nan  # not found, so not measured
    errors = judging._landmarks(verdicts)
    assert errors["faces"].iloc[0] == 7
    assert errors["mean"].iloc[0] == pytest.approx(0.04)


def test_agreement_is_the_mean_over_classes(verdicts):
    agreement = judging._agreement(verdicts, ["fer"]).set_index("expression")
    assert agreement.loc["neutral", "agreement"] == 1
    assert agreement.loc["fear", "agreement"] == 0.5
    assert np.isnan(agreement.loc["anger", "agreement"])
    assert agreement.loc["mean", "agreement"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert agreement.loc["mean", "agreement_change"] == 1
    assert np.isnan(agreement.loc["neutral", "agreement_change"])


def test_every_mean_says_how_many_pictures_it_is_over(verdicts):
    agreement = judging._agreement(verdicts, ["fer"]).set_index("expression")
    assert agreement["faces"].to_dict() == {
        **dict.fromkeys(BASIC, 0),
        "neutral": 4,
        "fear": 2,
        "happy": 2,
        "mean": 8,
    }
    # A neutral picture is no change, and neither is one of a sequence without a neutral picture.
    assert agreement.loc["mean", "faces_change"] == 4
    verdicts.loc[1, "fer_change"] = ""
    agreement = judging._agreement(verdicts, ["fer"]).set_index("expression")
    assert agreement.loc["mean", "faces_change"] == 3
    assert agreement.loc["happy", "agreement_change"] == 1


def test_no_face_is_another_name(verdicts):
    verdicts.loc[verdicts["fer"] == "surprise", ["fer", "fer_change"]] = judging.NO_FACE
    agreement = judging._agreement(verdicts, ["fer"]).set_index("expression")
    assert agreement.loc["fear", ["agreement", "agreement_change"]].tolist() == [0.5, 0.5]
    confusion = judging._confusion(verdicts, ["fer"])
    fear = confusion[confusion.expression == "fear"].set_index("answer").faces
    assert fear.to_dict() == {"fear": 1, "no face": 1}


def test_a_change_needs_both_faces():
    calm = panel.Answer("fear", np.array([0.1, 0, 0, 0.5, 0.2, 0.2, 0]))
    shown = panel.Answer("fear", np.array([0.0, 0, 0, 0.5, 0.4, 0.1, 0]))
    assert judging._change(shown, calm) == "happy"
    # What neutral gains is no expression, and the least loss is the largest gain.
    assert judging._change(calm, shown) == "sadness"
    assert judging._change(None, calm) == judging._change(shown, None) == "no face"


def test_a_sequence_without_a_neutral_picture_has_no_change(monkeypatch):
    answer = panel.Answer("fear", np.eye(7)[3])
    answers = iter([answer, None, answer, None])
    monkeypatch.setattr(judging, "load_panel", lambda face_api: None)
    monkeypatch.setattr(judging, "read_picture", lambda root, path: None)
    monkeypatch.setattr(
        judging, "judge_picture", lambda judges, picture, own: ({"fer": next(answers)}, {"hog": True})
    )

    def changes(*labels):
        rows = tuple({"path": "x", "label": label} for label in labels)
        found = judging._judge_sequence(
            judging._Task(rows, np.zeros((len(rows), 68, 2))), root=None, face_api=None
        )
        return [(row["fer"], row["fer_change"]) for row in found]

    assert changes("fear") == [("fear", "")]
    assert changes("neutral", "fear") == [("no face", ""), ("fear", "no face")]
    assert changes("happy") == [("no face", "")]


def test_confusion_adds_up(verdicts):
    confusion = judging._confusion(verdicts, ["fer"])
    assert confusion.faces.sum() == len(verdicts)
    fear = confusion[confusion.expression == "fear"].set_index("answer").faces
    assert fear.to_dict() == {"fear": 1, "surprise": 1}


def test_identity_compares_neutral_frames(verdicts):
    descriptors = np.zeros((8, 128))
    descriptors[4:, 0] = 0.7
    descriptors[[1, 3, 5, 7]] = 99  # frames with an expression do not count
    identity = judging._identity(verdicts, descriptors).set_index("pairs")
    assert identity.loc["different people", "number"] == 4
    assert identity.loc["different people", "under_threshold"] == 0
    assert identity.loc["same person", ["number", "under_threshold"]].tolist() == [2, 1]
    descriptors[0] = np.nan  # no face, so no distance
    identity = judging._identity(verdicts, descriptors).set_index("pairs")
    assert identity["number"].to_dict() == {"different people": 2, "same person": 1}


def test_sex_and_age_are_those_of_neutral_frames_beside_the_drawn(verdicts):
    calm = verdicts["label"] == "neutral"
    seen = verdicts.assign(woman=np.where(calm, 0.8, 0.0), age=np.where(calm, 30.0, 99.0))
    seen.loc[0, "age"] = 20.0
    drawn = pd.DataFrame({"woman": [1.0, 0.0], "age": [0.1, 0.4]}, index=["S001", "S002"])
    people = judging._people(seen, drawn).set_index("subject")
    assert people.loc["S001"].tolist() == [0.8, 25.0, 1.0, 0.1]
    assert people.loc["S002"].tolist() == [0.8, 30.0, 0.0, 0.4]
    assert judging._people(seen, None)[["drawn_woman", "drawn_age"]].isna().all(axis=None)
    assert judging._people(verdicts, drawn).empty


def test_missing_judges_are_named_with_their_commands(monkeypatch, tmp_path):
    monkeypatch.setitem(panel._PACKAGES, "no_such_judge", "pip install no-such-judge")
    with pytest.raises(FerError, match=r"not installed: .*pip install no-such-judge"):
        judging.judge(tmp_path)


def test_answers_are_put_in_one_order():
    order = list(reversed(BASIC))
    answer = panel._answer(np.array([0.1, 0.2, 0.3, 0.0, 0.1, 0.2, 0.1]), order)
    assert answer.name == order[2]
    assert answer.probabilities.tolist() == [0.1, 0.2, 0.1, 0.0, 0.3, 0.2, 0.1]


def test_tables_are_saved(verdicts, tmp_path):
    detectors = judging._detectors(verdicts)
    empty = pd.DataFrame({"a": []})
    folder = judging.Judgement(verdicts, detectors, empty, empty, empty, empty, empty).save(
        tmp_path / "verdict"
    )
    assert pd.read_csv(folder / "detectors.csv").detector.tolist() == [
        "hog",
        "mmod",
        "haar_fer",
        "haar_facex",
    ]


@pytest.mark.slow
@pytest.mark.skipif(bool(panel.requirements()), reason="the judges' packages are not installed")
def test_judges_see_rendered_faces(tmp_path):
    out = render_faces(
        tmp_path / "faces", subjects=2, sequences=7, frames=2, size=192, seed=1, processes=2, progress=False
    )
    verdict = judging.judge(out, sequences=6, processes=1, progress=False)
    assert len(verdict.faces) == 12
    assert set(verdict.agreement.network) == {"fer", "facex"}
    assert (verdict.detectors.share >= 0.75).all()
    assert verdict.landmarks["median"].iloc[0] < 0.1
    assert verdict.identity.set_index("pairs").loc["same person", "under_threshold"] > 0.8


def test_the_command_notes_code_and_packages_beside_the_tables(verdicts, tmp_path, monkeypatch):
    def found(folder, *, sequences, face_api):
        assert (sequences, face_api) == (None, None)
        detectors, none = judging._detectors(verdicts), pd.DataFrame({"a": []})
        agreement, confusion = judging._agreement(verdicts, ["fer"]), judging._confusion(verdicts, ["fer"])
        return judging.Judgement(verdicts, detectors, none, agreement, confusion, none, none)

    monkeypatch.setattr(judging, "judge", found)
    out = tmp_path / "verdict"
    monkeypatch.setattr(sys, "argv", ["fer", "judge", str(tmp_path), "--sequences", "0", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        app()
    assert not ended.value.code
    made = judged.load(out).made
    assert made["judges"] == judged.judges_digest() and made["renderer"] == judged.renderer_digest()
    assert made["packages"] == panel.versions(None)
