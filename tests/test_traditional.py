"""The traditional route: alignment is exact, planted action units are detected, nothing leaks."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fer_lib import traditional
from fer_lib.errors import FerError
from fer_lib.traditional import REGIONS, Traditional, descriptors, fit

RNG = np.random.default_rng(0)
MEAN_FACE = np.empty((68, 2))  # x and y in a picture of 96 x 96
MEAN_FACE[:17] = np.stack([np.linspace(2, 94, 17), 94 - 60 * np.linspace(-1, 1, 17) ** 2], axis=1)
MEAN_FACE[17:27] = np.stack([np.linspace(12, 84, 10), np.full(10, 14.0)], axis=1)
MEAN_FACE[27:36, 0] = [48, 48, 48, 48, 40, 44, 48, 52, 56]
MEAN_FACE[27:36, 1] = [30, 36, 43, 50, 55, 55, 55, 55, 55]
MEAN_FACE[36:48] = np.stack(
    [np.tile(np.linspace(0, 16, 6), 2) + np.repeat([20, 60], 6), np.full(12, 32.0)], axis=1
)
MEAN_FACE[48:68] = np.stack([np.linspace(30, 66, 20), 74 + 4 * np.sin(np.linspace(0, 6, 20))], axis=1)


def faces(people=24, each=6, seed=0):
    """Grey faces with three action units drawn as bars at brow, eye and mouth; expression = which bars are there."""
    rng = np.random.default_rng(seed)
    combinations = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 0, 1]])
    label = rng.integers(0, 4, people * each)
    present = combinations[label].astype(float)
    frames = rng.normal(0, 0.4, (len(label), 96, 96))
    for i, (brow, eye, mouth) in enumerate(present):
        frames[i, 12 + 4 * int(1 - brow), 15:80] += 5
        frames[i, 30:36, 22:34] += 4 * eye
        frames[i, 72 : 74 + 8 * int(mouth), 34:62] -= 4
    return frames, label, pd.DataFrame(present, columns=[1, 6, 26]), np.repeat(np.arange(people), each)


def split(people):
    return np.flatnonzero(people < 18), np.flatnonzero(people >= 18)


def test_planted_units_and_expressions_are_found():
    frames, label, present, people = faces()
    train, test = split(people)
    result = fit(frames, label, present, people, train, test)
    assert result.detection["au"].tolist() == [1, 6, 26]
    assert (result.detection["auc"] > 0.95).all()
    assert result.accuracy > 0.9
    assert result.confusion.to_numpy().sum() == len(test)
    for au in (1, 6, 26):
        row = result.detection.set_index("au").loc[au]
        assert row["auc"] == pytest.approx(roc_auc_score(present.loc[test, au], result.scores[au]))
        assert row["positives"] == present.loc[test, au].sum()


def test_pictures_by_a_function_in_parts_and_in_a_file_give_the_same(monkeypatch):
    frames, label, present, people = faces()
    train, test = split(people)
    whole = fit(frames, label, present, people, train, test)
    asked = []

    def given(rows):
        asked.append(len(rows))
        return frames[rows]

    monkeypatch.setattr(traditional, "_PICTURES", 7)
    monkeypatch.setattr(traditional, "_IN_MEMORY", 0)
    parts = fit(given, label, present, people, train, test)
    assert isinstance(descriptors(frames)[0], np.memmap) and max(asked) == 7
    for name in ("detection", "scores", "pictures"):
        pd.testing.assert_frame_equal(getattr(whole, name), getattr(parts, name))
    np.testing.assert_array_equal(whole.corners, parts.corners)


def test_components_of_some_of_many_pictures_detect_as_well(monkeypatch):
    frames, label, present, people = faces()
    train, test = split(people)
    monkeypatch.setattr(traditional, "_MOST", 60)
    assert (fit(frames, label, present, people, train, test).detection["auc"] > 0.95).all()


def test_a_function_needs_the_number_of_pictures():
    with pytest.raises(FerError, match="count="):
        descriptors(lambda rows: np.zeros((len(rows), 96, 96)))


def test_seeds_of_more_than_32_bits():
    frames, label, present, people = faces()
    train, test = split(people)
    large, small = (fit(frames, label, present, people, train, test, seed=seed) for seed in (2**40 + 3, 3))
    pd.testing.assert_frame_equal(large.detection, small.detection)


def test_chance_when_labels_say_nothing():
    frames, label, present, people = faces()
    train, test = split(people)
    shuffled = np.random.default_rng(1).permutation(len(label))
    result = fit(frames, label[shuffled], present.iloc[shuffled].reset_index(drop=True), people, train, test)
    assert result.accuracy < 0.6
    assert abs(result.detection["auc"].mean() - 0.5) < 0.2


def test_test_labels_do_not_shape_the_predictions():
    frames, label, present, people = faces()
    train, test = split(people)
    wrong, other = label.copy(), present.copy()
    wrong[test] = 0
    other.loc[test] = 0.0
    first, second = (fit(frames, *given, people, train, test) for given in ((label, present), (wrong, other)))
    assert first.scores.equals(second.scores)
    assert first.pictures["predicted"].equals(second.pictures["predicted"])
    assert second.detection["auc"].isna().all()


def test_unlabelled_and_uncoded_pictures_and_units_of_one_person():
    frames, label, present, people = faces()
    train, test = split(people)
    label[::7] = -1
    present.loc[::5, 6] = np.nan
    present[9] = (people == 3).astype(float)  # one person only: no detector
    result = fit(frames, label, present, people, train, test, scored=test[::2])
    assert result.detection["au"].tolist() == [1, 6, 26]
    coded = present.loc[test[::2], 6].notna().sum()
    assert result.detection.loc[1, ["positives", "negatives"]].sum() == coded
    assert (result.pictures["label"] == -1).sum() == (label[test] == -1).sum()
    assert result.confusion.to_numpy().sum() == (label[test] >= 0).sum()


def test_alignment_undoes_a_similarity_transform():
    turn, shift = 1.05 * np.exp(0.1j), 3 - 2j
    frame = np.zeros((2, 96, 96))
    yy, xx = np.mgrid[:96, :96]
    moved = ((xx + 1j * yy) - shift) / turn  # where each pixel of the moved face comes from
    for i, (x, y) in enumerate([(xx, yy), (moved.real, moved.imag)]):
        frame[i] = np.sin(x / 7) * np.cos(y / 5) + np.sin((x + y) / 11)
    z = MEAN_FACE[:, 0] + 1j * MEAN_FACE[:, 1]
    z = turn * z + shift
    landmarks = np.stack([MEAN_FACE, np.stack([z.real, z.imag], axis=1)])
    described, corners = descriptors(frame, landmarks, reference=[0])
    unaligned, _ = descriptors(frame, np.stack([MEAN_FACE, MEAN_FACE]), reference=[0])
    error = np.abs(described[0] - described[1]).mean()
    assert error < 0.3 * np.abs(unaligned[0] - unaligned[1]).mean()
    upright = corners[0, ..., 0] + 1j * corners[0, ..., 1]
    assert np.allclose(corners[1, ..., 0] + 1j * corners[1, ..., 1], turn * upright + shift)


def test_an_open_mouth_does_not_move_the_regions():
    landmarks = np.stack([MEAN_FACE, MEAN_FACE])
    landmarks[1, 57, 1] += 15
    landmarks[1, 17:27, 1] -= 5
    _, corners = descriptors(np.zeros((2, 96, 96)), landmarks, reference=[0])
    assert np.allclose(corners[0], corners[1])
    names = list(REGIONS)
    centre = corners[0].mean(axis=1)
    assert (
        centre[names.index("upper face"), 1]
        < centre[names.index("eyes"), 1]
        < centre[names.index("mouth"), 1]
    )


def test_faces_without_landmarks_are_taken_as_they_are():
    frames = RNG.random((3, 96, 96))
    plain, fixed = descriptors(frames)
    unknown, same = descriptors(frames, np.full((3, 68, 2), np.nan))
    assert np.array_equal(plain, unknown)
    assert np.array_equal(fixed, same)
    assert (fixed >= 0).all()
    assert (fixed <= 96).all()
    landmarks = np.stack([MEAN_FACE, MEAN_FACE + 4, np.full((68, 2), np.nan)])
    _, corners = descriptors(frames, landmarks, reference=[0])
    assert np.allclose(corners[0], corners[2])
    assert np.allclose(corners[1], corners[0] + 4)


def test_the_result_survives_the_disk(tmp_path):
    frames, label, present, people = faces(people=10)
    result = fit(frames, label, present, people, np.arange(42), np.arange(42, 60), folds=3)
    result.save(tmp_path / "new")
    back = Traditional.load(tmp_path / "new")
    for name in ("detection", "scores", "pictures"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(result, name))
    assert np.array_equal(back.corners, result.corners)
    assert back.accuracy == result.accuracy
    with pytest.raises(FerError, match="make it again"):
        Traditional.load(tmp_path)


def test_bad_input_is_refused_by_name():
    frames, label, present, people = faces(people=6)
    train, test = np.arange(30), np.arange(30, 36)
    for call, words in [
        (lambda: fit(frames, label, present, people, train[:6], test), "folds"),
        (lambda: fit(frames, label * 0, present, people, train, test), "fewer than two expressions"),
        (lambda: fit(frames, label, present * 0, people, train, test), "no action unit"),
        (lambda: descriptors(frames[0]), "is expected"),
        (lambda: descriptors(frames, np.zeros((3, 68, 2))), "landmarks have shape"),
    ]:
        with pytest.raises(FerError, match=words):
            call()
