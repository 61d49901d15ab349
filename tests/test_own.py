import csv
import decimal
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import exif, face_picture, turned
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_lib.errors import FerError
from fer_lib.faces.columns import recognise_columns
from fer_lib.faces.cropping import load_crops
from fer_lib.faces.reader import read
from fer_lib.faces.table import AU_COLUMNS, BOX, load, save, select_frames, with_box


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        Image.fromarray(face_picture(80, 60, i / 3, seed=i)[0]).save(tmp_path / f"{i}.png")
    return tmp_path


def table(folder: Path, text: str) -> Path:
    file = folder / "faces.csv"
    file.write_text(text)
    return file


def test_single_pictures_need_path_and_subject_alone(folder):
    faces = read(table(folder, "path,subject\n0.png,anna\n1.png,ben\n"))
    assert faces.table["sequence"].tolist() == ["anna_00001", "ben_00002"]
    assert faces.table["length"].tolist() == [1, 1]
    assert faces.table[list(BOX)].to_numpy().tolist() == [[0, 0, 79, 59]] * 2
    assert faces.table[list(AU_COLUMNS)].isna().all(axis=None)
    assert np.isnan(faces.landmarks).all()
    assert load_crops(faces)[0].shape == (60, 80)
    assert faces.problems.empty


def test_labels_boxes_and_action_units_are_read(folder):
    faces = read(
        table(
            folder,
            "path,subject,expression,AU12,AU6,left,top,right,bottom\n"
            "0.png,anna,happy,3,-1,10,5,40,50\n1.png,ben,neutral,0,,0,0,200,59\n2.png,ben,,,,,,,\n",
        )
    )
    rows = faces.table
    assert rows["expression"].tolist() == ["happy", "neutral", ""]
    np.testing.assert_array_equal(rows["AU12"], [3, 0, np.nan])
    np.testing.assert_array_equal(rows["AU6"], [-1, np.nan, np.nan])
    assert rows[list(BOX)].iloc[0].tolist() == [10, 5, 40, 50]
    assert rows[list(BOX)].iloc[1].tolist() == [0, 0, 79, 59]
    assert faces.problems["path"].tolist() == ["1.png", "2.png"]
    assert select_frames(faces).table["label"].tolist() == ["happy", "neutral"]
    assert len(with_box(faces)) == 2


def test_sequences_are_ordered_and_share_their_expression(folder):
    faces = read(
        table(
            folder,
            "path,subject,sequence,frame,expression,AU1\n"
            "2.png,anna,film,30,fear,2\n0.png,anna,film,10,neutral,\n1.png,anna,film,20,,\n3.png,ben,,,happy,\n",
        )
    )
    assert faces.table["path"].tolist() == ["3.png", "0.png", "1.png", "2.png"]
    assert faces.table["position"].tolist() == [0, 0, 1, 2]
    assert faces.table["expression"].tolist() == ["happy", "fear", "fear", "fear"]
    chosen = select_frames(faces, last=2).table
    assert chosen["label"].tolist() == ["happy", "neutral", "fear", "fear"]
    np.testing.assert_array_equal(chosen["AU1"], [np.nan, 0, 2, 2])
    assert chosen["AU2"].isna().all(), "an AU that nobody coded stays unknown in the neutral frame"


def test_landmarks_give_the_box(folder):
    points = face_picture(80, 60, 0.0, seed=0)[1]
    row: dict[str, object] = {"path": "0.png", "subject": "anna"}
    for i, (x, y) in enumerate(points, 1):
        row |= {f"x{i}": x, f"y{i}": y}
    pd.DataFrame([row, {**row, "path": "1.png", "x7": np.nan}]).to_parquet(folder / "faces.parquet")
    faces = read(folder / "faces.parquet")
    np.testing.assert_allclose(faces.landmarks[0], points, rtol=1e-6)
    assert faces.table["left"][0] == pytest.approx(points[:, 0].min())
    assert np.isnan(faces.table["left"][1])
    assert faces.problems["problem"].tolist() == ["1 of 68 landmarks are not finite numbers"]


def test_parquet_numbers_and_missing_values_are_read(folder):
    frame = pd.DataFrame(
        {"path": ["0.png", "1.png"], "subject": [7, 8], "AU4": [2.0, None], "expression": ["anger", None]}
    )
    frame.to_parquet(folder / "faces.parquet")
    faces = read(folder / "faces.parquet")
    assert faces.table["subject"].tolist() == ["7", "8"]
    assert faces.table["expression"].tolist() == ["anger", ""]
    np.testing.assert_array_equal(faces.table["AU4"], [2, np.nan])


def test_unreadable_pictures_and_unknown_columns_are_problems(folder):
    (folder / "1.png").write_bytes(b"")
    faces = read(table(folder, "path,subject,mood,AU99\n0.png,a,1,x\n1.png,b,,\nmissing.png,c,,\n"))
    assert faces.problems["problem"].tolist() == [
        "2 columns are not known: 'AU99', 'mood'",
        "empty file (0 bytes)",
        "no such file",
    ]
    assert len(faces) == 3
    assert len(with_box(faces)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("path,subject\n", "no rows"),
        ("file,subject\n0.png,a\n", "no column 'path'; found file, subject"),
        ("path\n0.png\n", "no column 'subject'"),
        ("path,subject\n0.png,\n", "row 1 has no subject"),
        ("path,subject\n0.png,a\n,b\n", "row 2 has no path"),
        ("path,subject\n0.png,a\n0.png,b\n", "row 2 repeats the picture 0.png"),
        ("path,subject,expression\n0.png,a,joy\n", "row 1: expression 'joy' is not one of neutral, anger"),
        ("path,subject,AU1\n0.png,a,E\n", "row 1, column AU1: 'E' is not a number"),
        ("path,subject,AU1\n0.png,a,6\n", "row 1, column AU1: 6 is not one of -1 and 0 to 5"),
        ("path,subject,AU1\n0.png,a,2.5\n", "row 1, column AU1: 2.5 is not one of"),
        ("path,subject,left,top,right\n0.png,a,1,2,3\n", "column 'left' without 'bottom'; all 4 are needed"),
        ("path,subject,x1,y1\n0.png,a,1,2\n", "column 'x1' without 'x2'; all 136 are needed"),
        (
            "path,subject,sequence\n0.png,a,film\n",
            "row 1 has a sequence, so it needs a whole number as frame",
        ),
        (
            "path,subject,sequence,frame\n0.png,a,f,1\n1.png,a,f,1\n",
            "sequence f has two pictures of the same frame",
        ),
        (
            "path,subject,sequence,frame\n0.png,a,f,1\n1.png,b,f,2\n",
            "sequence f has pictures of more than one subject",
        ),
        (
            "path,subject,sequence,frame,expression\n0.png,a,f,1,fear\n1.png,a,f,2,anger\n",
            "sequence f has the expressions anger and fear",
        ),
        ('path,subject\n"0.png,a\n', "not a readable csv table"),
    ],
)
def test_impossible_tables_are_refused_with_table_row_and_column(folder, text, message):
    with pytest.raises(FerError) as caught:
        read(table(folder, text))
    assert message in str(caught.value)
    assert "faces.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_foreign_table_is_named(folder):
    with pytest.raises(FerError, match=r"none\.csv: no such table"):
        read(folder / "none.csv")
    (folder / "faces.parquet").write_bytes(b"not parquet")
    with pytest.raises(FerError, match=r"faces\.parquet: not a readable parquet table"):
        read(folder / "faces.parquet")


def test_a_table_that_may_not_be_read_is_named(folder, monkeypatch):
    def forbidden(*args, **how):
        raise PermissionError(13, "Permission denied")

    file = table(folder, "path,subject\n0.png,a\n")
    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(FerError, match=r"faces\.csv: no permission to read this table"):
        read(file)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(FerError) as caught:
        read(table(folder, text))
    assert "faces.csv" in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_padded_names_and_blanks_around_names_are_the_same_column(folder):
    plain = read(table(folder, "path,subject,AU1,AU9,AU12\n0.png,a,2,0,3\n"))
    padded = read(table(folder, " path, subject ,AU01,\tAU09, AU12\n0.png,a,2,0,3\n"))
    assert padded.table.equals(plain.table)
    assert padded.problems.empty
    assert padded.table[["AU1", "AU9", "AU12"]].iloc[0].tolist() == [2, 0, 3]


@pytest.mark.parametrize(
    ("columns", "both"),
    [
        ("AU1,AU01", "'AU1' and 'AU01' are both AU1"),
        ("AU12,AU12", "'AU12' and 'AU12' are both AU12"),
        ("frame, frame", "'frame' and 'frame' are both frame"),
    ],
)
def test_a_column_that_comes_twice_is_refused(folder, columns, both):
    assert both in refusal(folder, f"path,subject,{columns}\n0.png,a,1,2\n")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "AU12_r",
            " AU12_r",
            "AU12_c",
            "au_12",
            "au12",
            "Au12",
            "AU-12",
            "AU 12",
            "AU012_r",
            "AU12_intensity",
        ),
        *("AU12_present", "Occ_au_12", "Int_au_12", "AU12 Evidence", "FAU12", "LAU12", "au_12_intensity"),
        *(
            "Action Unit 12 - Lip Corner Puller",
            "action_unit_12",
            "lip_corner_puller",
            "left_lip_corner_puller",
        ),
    ],
)
def test_a_column_that_looks_like_an_action_unit_names_the_right_spelling(folder, name):
    said = refusal(folder, f"path,subject,AU1,{name}\n0.png,a,1,2\n")
    assert f"column {name.strip()!r} looks like action unit 12" in said and "name it AU12" in said


def test_many_that_look_like_action_units_are_counted(folder):
    names = [f"AU{number:02d}_{kind}" for number in (1, 2, 4, 45) for kind in "rc"]
    said = refusal(folder, f"path,subject,{','.join(names)}\n0.png,a{',0' * 8}\n")
    assert "column 'AU01_r' (as are 5 more) looks like action unit 1" in said


@pytest.mark.parametrize("name", ["action_units", "AUs", "FACS"])
def test_action_units_in_one_column_are_asked_for_one_by_one(folder, name):
    assert "give each a column: AU1, AU2" in refusal(folder, f"path,subject,{name}\n0.png,a,1+2\n")


def test_bare_numbers_of_action_units_are_asked_about(folder):
    assert "'1' (as are 3 more) may be action unit 1" in refusal(
        folder, "path,subject,1,2,4,6\n0.png,a,1,0,9,9\n"
    )
    assert read(table(folder, "path,subject,0,1,2,3\n0.png,a,1,0,9,9\n")).problems["problem"].tolist() == [
        "4 columns are not known: '0', '1', '2', '3'"
    ]


@pytest.mark.parametrize(
    "columns",
    [
        *("x,y,w,h", "x,y,width,height", "X,Y,W,H", "left,top,width,height", "cx,cy,w,h", "l,t,r,b"),
        *("xmin,ymin,xmax,ymax", "x_min,y_min,x_max,y_max", "bbox", "box", "bounding_box", "face_bbox"),
        *("bbox_x,bbox_y,bbox_w,bbox_h", "bbox_x1,bbox_y1,bbox_x2,bbox_y2", "bbox_0,bbox_1,bbox_2,bbox_3"),
        *("FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight", "face_x,face_y,face_w,face_h", "left_bbox"),
        *("bbox.left,bbox.top,bbox.right,bbox.bottom", "box_xmin", "minX", "roi"),
    ],
)
def test_columns_that_look_like_a_box_name_the_right_spelling(folder, columns):
    number = columns.count(",") + 1
    said = refusal(folder, f"path,subject,{columns}\n0.png,a{',20' * number}\n")
    assert "left" in said and "top" in said


def test_two_corners_as_points_are_told_from_landmarks(folder):
    said = refusal(folder, "path,subject,x1,y1,x2,y2\n0.png,a,1,2,30,40\n")
    assert "if they are corners of the face's box, name them left, top, right, bottom" in said


@pytest.mark.parametrize(
    "name",
    [
        "x_0",
        "x0",
        "X1",
        "y_67",
        "x69",
        "y478",
        "z1",
        "lm_mp_0_x",
        "landmark_3_y",
        "eye_lmk_x_0",
        "x01",
        "landmarks",
    ],
)
def test_columns_that_look_like_landmarks_name_the_right_spelling(folder, name):
    said = refusal(folder, f"path,subject,{name}\n0.png,a,1\n")
    assert f"column {name!r} looks like a landmark" in said and "x1, y1 to x68, y68" in said


def test_a_mesh_of_478_points_is_not_taken_for_68_landmarks(folder):
    names = [f"{axis}{i}" for i in range(1, 479) for axis in "xy"]
    said = refusal(folder, f"path,subject,{','.join(names)}\n0.png,a{',20' * len(names)}\n")
    assert "column 'x69' (as are 819 more) looks like a landmark" in said


@pytest.mark.parametrize(
    "name", ["Expression", "SEQUENCE", " Frame", "expression_", "seq-uence", "Left", "BOTTOM"]
)
def test_other_spellings_of_known_columns_are_refused(folder, name):
    word = name.strip().replace("_", "").replace("-", "").lower()
    assert f"name it {word!r}" in refusal(folder, f"path,subject,{name}\n0.png,a,\n")


def test_other_columns_are_listed_in_one_row_action_units_first(folder):
    other = ["timestamp", "confidence", "AU45", "pose_Tx", "gaze_0_x", "p_rx", "tau_1", "beau2", "AU45_r"]
    other += [
        "facet",
        "crop",
        "width",
        "height",
        "x",
        "y_pred",
        "Unnamed: 0",
        "emotion",
        *map(str, range(40)),
    ]
    faces = read(table(folder, f"path,subject,{','.join(other)}\n0.png,a{',7' * len(other)}\n"))
    (row,) = faces.problems.itertuples()
    assert row.problem.startswith("56 columns are not known: 'AU45', 'AU45_r', 'timestamp', 'confidence'")
    assert row.problem.endswith("and 44 more") and row.consequence == "not used"


@given(st.lists(st.text(max_size=20), max_size=8))
def test_any_names_are_understood_or_refused_in_one_line(names):
    try:
        found = recognise_columns(Path("faces.csv"), ["path", "subject", *names])
    except FerError as error:
        assert str(error).startswith("faces.csv: ")
    else:
        assert set(found.unused) <= set(names)


@pytest.mark.parametrize(
    "value", ["inf", "-inf", "-2", "9", "999", "6", "1e9", "0.5", "1_0", "٣", "E", "NA", "True"]
)
@pytest.mark.parametrize("column", ["AU1", "AU02"])
def test_codes_that_are_none_are_refused(folder, value, column):
    said = refusal(folder, f"path,subject,AU4,{column}\n0.png,a,2,0\n1.png,a,2,{value}\n")
    assert f"row 2, column AU{int(column[2:])}" in said


@pytest.mark.parametrize("value", ["", "nan", "NaN", " "])
def test_nothing_and_nan_are_not_coded(folder, value):
    faces = read(table(folder, f"path,subject,AU4,AU1\n0.png,a,2,{value}\n"))
    assert np.isnan(faces.table["AU1"][0]) and faces.table["AU4"][0] == 2


@pytest.mark.parametrize("rest", ["-1,-1,-1", "-1,,-1", "-1,,"])
def test_a_row_of_nothing_but_minus_one_is_asked_about(folder, rest):
    said = refusal(folder, f"path,subject,AU1,AU2,AU4\n0.png,a,0,2,3\n1.png,a,{rest}\n")
    assert "row 2: all its action units are -1" in said and "leave them empty" in said


def test_minus_one_beside_other_codes_means_present(folder):
    faces = read(table(folder, "path,subject,AU1,AU2,AU4\n0.png,a,-1,0,3\n1.png,a,1,-1,0\n"))
    assert faces.table[["AU1", "AU2", "AU4"]].to_numpy().tolist() == [[-1, 0, 3], [1, -1, 0]]
    assert faces.problems.empty


def test_minus_one_among_occurrences_is_asked_about(folder):
    said = refusal(folder, "path,subject,AU1,AU2\n0.png,a,1,0\n1.png,a,0,1\n2.png,a,-1,0\n")
    assert "column AU1 holds -1 in a table of 0 and 1" in said


def test_occurrence_is_never_read_as_intensity_a(folder):
    faces = read(table(folder, "path,subject,AU1,AU2,AU4,AU12\n0.png,a,1,0,1,0\n1.png,a,0,0,3,\n"))
    assert faces.table[["AU1", "AU2", "AU4"]].to_numpy().tolist() == [[-1, 0, 1], [0, 0, 3]]
    (row,) = faces.problems.itertuples()
    assert row.problem == "AU1: no code but 0 and 1"
    assert row.consequence == "read as occurrence: 1 is present, intensity not given"


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("40,20,30,50", "row 1: right 30 is not beyond left 40"),
        ("10,40,60,20", "row 1: bottom 20 is not beyond top 40"),
        ("10,10,10,30", "right 10 is not beyond left 10"),
        ("0.1,0.2,0.5,0.9", "hold fractions"),
        ("inf,0,20,20", "row 1, column left: inf is not finite"),
    ],
)
def test_boxes_that_are_no_corners_in_pixels_are_refused(folder, box, message):
    assert message in refusal(folder, f"path,subject,left,top,right,bottom\n0.png,a,{box}\n")


def test_sides_of_squares_are_not_taken_for_corners(folder):
    rows = "".join(f"{i}.png,a,{5 + i},{9 - i},{30 + i},{30 + i}\n" for i in range(4))
    assert "as width and height of squares are" in refusal(
        folder, f"path,subject,left,top,right,bottom\n{rows}"
    )


def test_a_long_box_is_asked_about_and_an_incomplete_one_left_out(folder):
    faces = read(
        table(folder, "path,subject,left,top,right,bottom\n0.png,a,4,0,24,59\n1.png,a,0,0,,59\n2.png,a,,,,\n")
    )
    assert faces.problems["problem"].tolist() == [
        "a box of 20x59 pixels; are right and bottom its width and height?",
        "its box has no right",
        "neither a box nor landmarks in its row",
    ]
    assert faces.table["left"].isna().tolist() == [False, True, True]


def with_points(folder: Path, shift: list[float], box: bool) -> Path:
    rows = []
    for i, by in enumerate(shift):
        points = face_picture(80, 60, i / 3, seed=i)[1]
        low, high = points.min(axis=0), points.max(axis=0)
        row: dict[str, object] = {"path": f"{i}.png", "subject": "a"}
        for n, (x, y) in enumerate(points + by, 1):
            row |= {f"x{n}": x, f"y{n}": y}
        if box:
            row |= dict(zip(BOX, (*low, *high), strict=True))
        rows.append(row)
    pd.DataFrame(rows).to_parquet(folder / "faces.parquet")
    return folder / "faces.parquet"


def test_landmarks_outside_their_boxes_are_refused_or_left_out(folder):
    sound = read(with_points(folder, [0, 0, 0, 0], box=True))
    assert sound.problems.empty and not np.isnan(sound.landmarks).any()
    one = read(with_points(folder, [0, 0, 300, 0], box=True))
    assert one.problems[["path", "problem", "consequence"]].to_numpy().tolist() == [
        ["2.png", "68 of 68 landmarks outside the box", "landmarks not used"]
    ]
    assert np.isnan(one.landmarks).all(axis=(1, 2)).tolist() == [False, False, True, False]
    assert one.table["left"].notna().all()
    with pytest.raises(FerError, match=r"faces\.parquet: most landmarks lie outside the boxes"):
        read(with_points(folder, [300, 300, 300, 0], box=True))


def test_landmarks_outside_the_picture_leave_it_out(folder):
    faces = read(with_points(folder, [0, 0, 300, 0], box=False))
    assert faces.problems["problem"].tolist() == ["68 of 68 landmarks outside the picture"]
    assert faces.table["left"].isna().tolist() == [False, False, True, False]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_in_pixels_of_the_upright_picture(folder, kind, orientation):
    upright = face_picture(80, 60, 1.0, seed=5)[0]
    stored = turned(upright, orientation)
    stored.save(folder / f"turned.{kind.lower()}", kind, exif=exif(orientation), lossless=True, quality=95)
    faces = read(table(folder, f"path,subject,left,top,right,bottom\nturned.{kind.lower()},a,50,8,79,47\n"))
    assert faces.problems.empty
    (crop,) = load_crops(faces)
    assert crop.shape == (40, 30)
    assert np.abs(crop.astype(int) - upright[8:48, 50:80]).mean() < (4 if kind == "JPEG" else 1)


def test_trailing_commas_shift_nothing(folder):
    plain = read(table(folder, "path,subject,AU1,AU2\n0.png,a,2,0\n1.png,b,,3\n"))
    for text in (
        "path,subject,AU1,AU2\n0.png,a,2,0,\n1.png,b,,3,\n",
        "path,subject,AU1,AU2,,\n0.png,a,2,0,,\n1.png,b,,3,,\n\n,,,\n",
        "path,subject,AU1,AU2,\n0.png,a,2,0\n1.png,b,,3\n",
        "path, subject, AU1, AU2\r\n0.png, a, 2, 0\r\n1.png, b, , 3\r\n",
    ):
        faces = read(table(folder, text))
        assert faces.table.equals(plain.table) and faces.problems.empty


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,subject,AU1,AU2\n0.png,a,2\n", "row 1 has 3 cells for 4 columns"),
        ("path,subject,AU1\n0.png,a,2\n1.png,b,2,1\n", "row 2 has 4 cells for 3 columns"),
        ("path,subject\n0.png,a,b,\n", "row 1 has 3 cells for 2 columns"),
        ("path;subject\n0.png;a\n", "cells are to be separated by commas"),
        ("path\tsubject\n0.png\ta\n", "cells are to be separated by commas"),
        ("Path,Subject\n0.png,a\n", "no column 'path'; found Path, Subject; rename 'Path'"),
        ("path,subject\n0.png,a\n./0.png,b\n", "row 2 repeats the picture"),
        ("path,subject\n0.png,a\nx/../0.png,b\n", "row 2 repeats the picture"),
        ("path,subject,sequence,frame\n0.png,a,f,1e300\n", "needs a whole number as frame"),
        ("path,subject,sequence,frame\n0.png,a,f,nan\n", "needs a whole number as frame"),
        ("path,subject,sequence,frame\n0.png,a,f,inf\n", "column frame: inf is not finite"),
    ],
)
def test_ragged_rows_and_other_slips_are_named(folder, text, message):
    assert message in refusal(folder, text)


def test_made_up_names_of_sequences_are_nobody_elses(folder):
    faces = read(
        table(
            folder,
            "path,subject,sequence,frame,expression\n"
            "0.png,anna,,,fear\n1.png,anna,anna_00001,1,happy\n2.png,anna,anna_00001_alone,1,anger\n3.png,anna,,,\n",
        )
    )
    assert faces.table["sequence"].nunique() == 4
    assert dict(zip(faces.table["path"], faces.table["expression"], strict=True)) == {
        "0.png": "fear",
        "1.png": "happy",
        "2.png": "anger",
        "3.png": "",
    }


@pytest.mark.parametrize("names", ["", ",expression", ",AU1", ",sequence,frame", ",frame"])
def test_whatever_is_optional_may_be_missing(folder, names):
    cells = {"": "", ",expression": ",happy", ",AU1": ",2", ",sequence,frame": ",f,{}", ",frame": ",{}"}[
        names
    ]
    rows = "".join(f"{i}.png,a{cells.format(i)}\n" for i in range(3))
    faces = read(table(folder, f"path,subject{names}\n{rows}"))
    assert len(select_frames(with_box(faces), labelled_only=False)) == 3
    assert faces.problems["problem"].tolist() == (
        ["column 'frame' without 'sequence'"] if names == ",frame" else []
    )


FILM = "path,subject,sequence,frame,expression,AU12\n"


def chosen(folder: Path, rows: list[tuple[str, str]], last: int = 3) -> dict[str, tuple[str, float]]:
    text = "".join(f"{i}.png,a,f,{i},{expression},{code}\n" for i, (expression, code) in enumerate(rows))
    found = select_frames(read(table(folder, FILM + text)), last=last).table
    return {
        path[0]: (label, code)
        for path, label, code in zip(found["path"], found["label"], found["AU12"].fillna(9), strict=True)
    }


def test_a_frame_that_states_its_expression_gets_no_other(folder):
    assert chosen(folder, [("happy", ""), ("happy", ""), ("happy", "4")]) == {
        "0": ("happy", 4),
        "1": ("happy", 4),
        "2": ("happy", 4),
    }
    assert chosen(folder, [("neutral", ""), ("neutral", ""), ("", ""), ("happy", "4")]) == {
        "0": ("neutral", 0),
        "2": ("happy", 4),
        "3": ("happy", 4),
    }
    assert chosen(folder, [("neutral", ""), ("neutral", "")]) == {"0": ("neutral", 9), "1": ("neutral", 9)}


def test_codes_of_frames_before_the_peak_are_not_carried_to_it(folder):
    assert chosen(folder, [("", "0"), ("", ""), ("", ""), ("happy", "")], last=2) == {
        "0": ("neutral", 0),
        "2": ("happy", 9),
        "3": ("happy", 9),
    }
    assert chosen(folder, [("", ""), ("", "2"), ("", ""), ("happy", "")], last=2)["3"] == ("happy", 9)


def test_a_film_that_ends_neutral_is_refused(folder):
    rows = "0.png,a,f,0,neutral,\n1.png,a,f,1,happy,\n2.png,a,f,2,neutral,\n"
    assert "sequence f is neutral again after happy" in refusal(folder, FILM + rows)


def parquet(folder: Path, **columns: pa.Array) -> Path:
    base = {"path": pa.array(["0.png", "1.png"]), "subject": pa.array(["a", "b"])}
    pq.write_table(pa.table(base | columns), folder / "faces.parquet")
    return folder / "faces.parquet"


ODD = {
    "decimal": pa.array([decimal.Decimal("3.00"), None], pa.decimal128(5, 2)),
    "dictionary": pa.array(["3", None]).dictionary_encode(),
    "category of numbers": pa.array([3, None]).dictionary_encode(),
    "half": pa.array(np.array([3, np.nan], np.float16)),
    "small integer": pa.array([3, None], pa.int8()),
    "bytes": pa.array([b"3", None]),
    "large text": pa.array(["3.0", ""], pa.large_string()),
}


@pytest.mark.parametrize("kind", ODD)
def test_kinds_of_parquet_columns_that_hold_numbers_are_read(folder, kind):
    faces = read(parquet(folder, AU1=ODD[kind]))
    np.testing.assert_array_equal(faces.table["AU1"], [3, np.nan])
    assert faces.problems.empty


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([[1, 2], []]),
        pa.array([{"a": 1}, None]),
        pa.array([0, 1], pa.timestamp("ns")),
        pa.array([0, 1], pa.date32()),
        pa.array([0, 1], pa.duration("s")),
        pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    ],
    ids=lambda cells: str(cells.type),
)
def test_kinds_of_parquet_columns_that_hold_neither_are_named_where_they_matter(folder, cells):
    with pytest.raises(
        FerError, match=r"faces\.parquet: column 'AU1' holds .*; text or numbers are expected"
    ):
        read(parquet(folder, AU1=cells))
    assert read(parquet(folder, other=cells)).problems["problem"].tolist() == [
        "1 column is not known: 'other'"
    ]


def test_bytes_that_are_no_text_are_named(folder):
    with pytest.raises(FerError, match="column 'expression' cannot be read"):
        read(parquet(folder, expression=pa.array([b"\xff\xfe", None])))


def test_truth_values_are_read_as_occurrence(folder):
    faces = read(parquet(folder, AU1=pa.array([True, False]), AU2=pa.array([False, None])))
    np.testing.assert_array_equal(faces.table[["AU1", "AU2"]], [[-1, 0], [0, np.nan]])


def test_parquet_columns_of_one_name_are_refused_and_an_index_is_a_column(folder):
    doubled = pa.Table.from_arrays(
        [pa.array(["0.png"]), pa.array(["a"]), pa.array([1]), pa.array([2])],
        ["path", "subject", "AU1", "AU1"],
    )
    pq.write_table(doubled, folder / "faces.parquet")
    with pytest.raises(FerError, match="columns 'AU1' and 'AU1' are both AU1"):
        read(folder / "faces.parquet")
    frame = pd.DataFrame({"path": ["0.png", "1.png"], "subject": ["a", "b"]})
    for indexed in (frame.set_index("path"), frame.set_index(pd.Index([7, 3])), frame.iloc[[1, 0]]):
        indexed.to_parquet(folder / "faces.parquet")
        faces = read(folder / "faces.parquet")
        assert sorted(faces.table["path"]) == ["0.png", "1.png"] and faces.problems.empty


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 5000),
)
def test_damaged_parquet_is_read_or_refused_in_one_line(folder, changes, cut):
    file = parquet(folder, AU1=ODD["decimal"], sequence=pa.array(["f", "f"]), frame=pa.array([1, 2]))
    data = bytearray(file.read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    file.write_bytes(bytes(data[: max(cut, len(data) // 2)]))
    try:
        read(file)
    except FerError as error:
        assert "\n" not in str(error)


def test_no_such_users_home_is_one_line(folder):
    for name in (
        "~nobody-of-this-name/faces.csv",
        "~nobody-of-this-name/CK+",
        "~nobody-of-this-name/Landmarks.zip",
    ):
        with pytest.raises(FerError, match="no such user's home folder"):
            read(name)
    assert read(table(folder, "path,subject\n~nobody-of-this-name/0.png,a\n")).problems[
        "problem"
    ].tolist() == ["no such file"]


def test_a_pipe_is_neither_read_as_a_table_nor_as_a_picture(folder):
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(FerError, match=r"pipe\.csv: a pipe, socket or device, not a file"):
        read(folder / "pipe.csv")
    os.mkfifo(folder / "pipe.png")
    faces = read(table(folder, "path,subject\npipe.png,a\n/dev/zero,b\n0.png,c\n"))
    assert set(faces.problems["problem"]) == {"a pipe, socket or device, not a file"}
    assert faces.table["left"].isna().sum() == 2


def test_paths_that_no_file_can_have_are_one_line(folder, tmp_path):
    parquet(folder, AU1=ODD["bytes"])
    names = pa.array(["0\0.png", "9" * 5000])
    pq.write_table(pa.table({"path": names, "subject": pa.array(["a", "b"])}), folder / "faces.parquet")
    faces = read(folder / "faces.parquet")
    assert len(faces.problems) == 2
    save(faces, tmp_path / "stored")
    assert load(tmp_path / "stored", folder / "faces.parquet").table.equals(faces.table)


CELLS = st.sampled_from(
    ["0.png", "1.png", "a", "b", "", "-1", "0", "1", "5", "inf", "happy", "neutral", "f", "two\nlines", '"']
)
NAMES = st.sampled_from(
    ["path", "subject", "AU1", "AU02", "expression", "sequence", "frame", *BOX, "mood", ""]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)
@given(st.lists(NAMES, max_size=8), st.lists(st.lists(CELLS, max_size=9), max_size=4), st.booleans())
def test_any_table_is_read_or_refused_in_one_line(folder, names, rows, quoted):
    lines = [["path", "subject", *names], *([f"{i}.png", "a", *row] for i, row in enumerate(rows))]
    file = folder / "faces.csv"
    with file.open("w", newline="", encoding="utf-8") as written:
        csv.writer(written, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows(lines)
    try:
        faces = read(file)
    except FerError as error:
        assert "faces.csv" in str(error) and "\n" not in str(error)
    else:
        select_frames(faces, labelled_only=False)
        assert faces.table["sequence"].nunique() <= len(faces) == len(rows)
        assert not faces.problems["path"].str.contains("\n").any()


def test_of_very_many_columns_a_few_are_named(folder):
    said = refusal(folder, ",".join(f"pose_{i}" for i in range(400)) + "\n")
    assert "no column 'path'; found pose_0, " in said and "pose_11 and 388 more" in said


def test_minus_one_in_a_rare_column_of_a_table_of_occurrences_is_asked_about(folder):
    said = refusal(folder, "path,subject,AU12,AU1\n0.png,a,-1,1\n1.png,b,0,0\n2.png,c,0,1\n")
    assert "column AU12 holds -1 in a table of 0 and 1" in said


@pytest.mark.parametrize("word", ["NA", "nan", "NULL", "#N/A"])
def test_words_for_missing_values_are_no_names(folder, word):
    assert "subject" in refusal(folder, f"path,subject\n0.png,{word}\n")
    said = refusal(folder, f"path,subject,sequence,frame\n0.png,a,{word},1\n1.png,a,{word},2\n")
    assert f"row 1: sequence {word!r} is a word for a missing value; leave it empty" in said


@pytest.mark.parametrize(
    "text",
    [
        "path;subject;AU12\n0.png;a;2,0\n1.png;b;0,0\n",
        "sep=;\npath;subject\n0.png;a\n",
        "sep=,\npath,subject\n0.png,a\n",
    ],
)
def test_spreadsheets_with_other_separators_are_named(folder, text):
    assert "cells are to be separated by commas, decimals by points" in refusal(folder, text)


def test_films_that_restart_for_each_subject_are_asked_about(folder):
    said = refusal(
        folder, "path,subject,sequence,frame\n0.png,a,1,1\n1.png,a,1,2\n2.png,b,1,1\n3.png,b,1,2\n"
    )
    assert "pictures of more than one subject" in said


@pytest.mark.parametrize("nowhere", ["0", "-1"])
def test_landmarks_that_were_not_found_do_not_stretch_the_face(folder, nowhere):
    names = [f"{axis}{i}" for axis in "xy" for i in range(1, 69)]
    values = [str(10 + i // 4) for i in range(68)] * 2
    values[30] = values[98] = nowhere
    faces = read(table(folder, f"path,subject,{','.join(names)}\n0.png,a,{','.join(values)}\n"))
    assert faces.table[["left", "top"]].isna().all(axis=None)
    assert any("1 of 68 landmarks" in problem for problem in faces.problems["problem"])


@pytest.mark.parametrize(
    "names",
    [
        "startX,startY,endX,endY",
        "xtl,ytl,xbr,ybr",
        "left_x,top_y,right_x,bottom_y",
        "upper_left_x,upper_left_y,lower_right_x,lower_right_y",
    ],
)
def test_corners_under_other_names_are_not_passed_over(folder, names):
    said = refusal(folder, f"path,subject,{names}\n0.png,a,1,2,6,7\n")
    assert "looks like a part of the face's box" in said


def test_expressions_under_another_name_are_not_passed_over(folder):
    said = refusal(folder, "path,subject,emotion\n0.png,a,happy\n1.png,b,fear\n")
    assert "column 'emotion' holds expressions and is not read; name it 'expression'" in said
    faces = read(table(folder, "path,subject,expression,emotion\n0.png,a,happy,fear\n1.png,b,fear,fear\n"))
    assert faces.table["expression"].tolist() == ["happy", "fear"]
