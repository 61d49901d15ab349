import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_sequence
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.errors import FerError
from fer_lib.faces import table as frames
from fer_lib.faces.ckplus import read_ckplus
from fer_lib.faces.reader import read
from fer_lib.faces.table import (
    AU_COLUMNS,
    BOX,
    COLUMNS,
    Faces,
    au_present,
    box_of,
    drawn_people,
    select_frames,
    with_box,
)
from fer_lib.facs import AUS


def made_up(lengths: list[int], expressions: list[str], coded: list[bool]) -> Faces:
    """Faces without pictures: AU9 at 4 and AU17 without intensity at the peak of coded sequences."""
    rows = []
    for i, (length, expression, facs) in enumerate(zip(lengths, expressions, coded, strict=True)):
        for position in range(length):
            row: dict[str, object] = dict.fromkeys(COLUMNS, np.nan)
            row |= {"path": f"{i}/{position}.png", "subject": f"S{i:03d}", "sequence": f"S{i:03d}_001"}
            row |= {"frame": position + 1, "position": position, "length": length, "expression": expression}
            row |= dict.fromkeys(BOX, 1.0)
            if facs and position == length - 1:
                row |= dict.fromkeys(AU_COLUMNS, 0.0) | {"AU9": 4.0, "AU17": -1.0}
            rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    none = pd.DataFrame({"path": [], "problem": [], "consequence": []}, dtype=str)
    return Faces(Path("nowhere"), table, np.zeros((len(table), 68, 2), np.float32), none)


def test_first_frame_is_neutral_and_the_last_three_carry_the_expression():
    chosen = select_frames(made_up([6, 5], ["disgust", "happy"], [True, True]))
    assert chosen.table["position"].tolist() == [0, 3, 4, 5, 0, 2, 3, 4]
    assert chosen.table["label"].tolist() == ["neutral", *["disgust"] * 3, "neutral", *["happy"] * 3]
    assert chosen.table["AU9"].tolist() == [0, 4, 4, 4] * 2
    assert chosen.table["AU17"].tolist() == [0, -1, -1, -1] * 2
    assert (chosen.table["AU12"] == 0).all()


def test_unlabelled_sequences_are_kept_only_when_asked_for_and_have_no_label():
    faces = made_up([4, 4], ["", "anger"], [True, True])
    assert set(select_frames(faces).table["expression"]) == {"anger"}
    both = select_frames(faces, labelled_only=False).table
    assert both["label"].tolist() == ["", "", "", "", "neutral", "anger", "anger", "anger"]
    assert both["AU9"].tolist() == [0, 4, 4, 4] * 2


def test_uncoded_sequences_stay_unknown_even_in_their_neutral_frame():
    chosen = select_frames(made_up([4], ["fear"], [False]))
    assert chosen.table[list(AU_COLUMNS)].isna().all(axis=None)
    assert au_present(chosen.table).isna().all(axis=None)


def test_codes_of_a_frames_own_are_kept():
    faces = made_up([4], ["disgust"], [True])
    faces.table.loc[2, "AU9"] = 2.0
    chosen = select_frames(faces).table
    assert chosen["AU9"].tolist() == [0, 4, 2, 4]
    assert np.isnan(chosen["AU12"][2])


def test_without_neutral_and_with_one_last_frame():
    faces = made_up([6, 1], ["disgust", "happy"], [True, True])
    assert select_frames(faces, last=1, neutral=False).table["position"].tolist() == [5, 0]
    assert select_frames(faces, last=1).table["label"].tolist() == ["neutral", "disgust", "happy"]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(1, 8), st.sampled_from(["", "anger", "fear"]), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 9),
)
def test_no_frame_is_both_neutral_and_peak_and_no_coded_sequence_loses_its_codes(parts, last):
    faces = made_up(*map(list, zip(*parts, strict=True)))
    chosen = select_frames(faces, last=last, labelled_only=False).table
    for (length, expression, coded), (_, rows) in zip(parts, chosen.groupby("sequence"), strict=True):
        peaks = 1 if length == 1 else min(last, length - 1)
        assert len(rows) == peaks + (length > 1)
        assert rows["position"].is_unique
        assert set(rows["label"].iloc[-peaks:]) == {expression}
        assert (rows["AU9"].iloc[-peaks:] == 4).all() == coded
        assert rows["AU9"].isna().all() == (not coded)


@pytest.mark.parametrize(
    ("faces", "last"), [(made_up([4], ["anger"], [True]), 0), (made_up([4], [""], [True]), 3)]
)
def test_an_empty_selection_is_an_error(faces, last):
    with pytest.raises(FerError):
        select_frames(faces, last=last)


def test_presence_knows_three_states():
    table = made_up([1], ["anger"], [True]).table.assign(AU1=np.nan, AU2=0.0, AU4=-1.0, AU5=1.0, AU6=5.0)
    present = au_present(table)
    assert present.columns.tolist() == list(AUS)
    assert np.isnan(present.loc[0, 1])
    assert present.loc[0, [2, 4, 5, 6]].tolist() == [0.0, 1.0, 1.0, 1.0]


def test_frames_without_a_box_are_left_out():
    faces = made_up([4], ["anger"], [True])
    faces.table.loc[1, "left"] = np.nan
    assert with_box(faces).table["position"].tolist() == [0, 2, 3]
    faces.table["top"] = np.nan
    with pytest.raises(FerError, match="none of 4 frames has a usable face box"):
        with_box(faces)


@given(st.lists(st.tuples(st.floats(-100, 200), st.floats(-100, 200)), min_size=2, max_size=68))
def test_boxes_lie_in_the_picture_and_hold_the_points_that_do(points):
    array = np.array(points)
    try:
        (left, top, right, bottom), outside = box_of(array, 100, 80)
    except FerError:
        return
    assert 0 <= left < right <= 99
    assert 0 <= top < bottom <= 79
    inside = (array >= 0).all(axis=1) & (array <= [99, 79]).all(axis=1)
    assert (array[inside] >= [left, top]).all()
    assert (array[inside] <= [right, bottom]).all()
    assert outside <= (~inside).sum()


def test_saved_faces_come_back(ckplus_tree, tmp_path):
    faces = select_frames(read_ckplus(ckplus_tree))
    frames.save(faces, tmp_path / "kept")
    loaded = frames.load(tmp_path / "kept", ckplus_tree)
    pd.testing.assert_frame_equal(loaded.table, faces.table)
    pd.testing.assert_frame_equal(loaded.problems, faces.problems)
    np.testing.assert_array_equal(loaded.landmarks, faces.landmarks)
    assert loaded.root == ckplus_tree
    with pytest.raises(FerError, match="no saved faces"):
        frames.load(tmp_path, ckplus_tree)


def test_nothing_that_is_saved_tells_where_the_faces_lie(clean_tree, tmp_path):
    frames.save(read_ckplus(clean_tree), tmp_path / "kept")
    for file in (tmp_path / "kept").iterdir():
        assert str(clean_tree).encode() not in file.read_bytes()


def rendered_tree(root):
    write_sequence(root, "S001_001", frames=3, aus={12: 5, 6: 2}, expression="happy")
    truth = pd.DataFrame(
        {
            "subject": "S001",
            "sequence": "S001_001",
            "frame": [1, 2, 3],
            "AU12": [0.0, 2.5, 4.75],
            "AU6": [0, 1, 2.25],
            "person_female": 1.0,
            "person_age": 0.25,
        }
    )
    (root / "rendered").mkdir()
    truth.iloc[::-1].to_parquet(root / "rendered/parameters.parquet")
    return root


def test_rendered_people_have_a_sex_and_an_age(tmp_path):
    faces = read(rendered_tree(tmp_path / "set"))
    people = drawn_people(faces.take([2, 0]))
    assert people is not None
    assert people.to_dict("index") == {"S001": {"woman": 1.0, "age": 0.25}}
    shutil.rmtree(faces.root / "rendered")
    assert drawn_people(faces) is None


def test_landmarks_must_fit_the_table():
    faces = made_up([2], ["anger"], [True])
    with pytest.raises(FerError, match="landmarks of shape"):
        Faces(faces.root, faces.table, faces.landmarks[:1], faces.problems)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "faces.xlsx").write_bytes(b"x")
    with pytest.raises(FerError, match="a file; expected"):
        read(tmp_path / "faces.xlsx")
