from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import face_picture
from PIL import Image

from fer_lib.errors import FerError
from fer_lib.faces.preprocess import load_crops
from fer_lib.faces.reader import read
from fer_lib.faces.table import AU_COLUMNS, BOX, select_frames, with_box


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
    faces = read(table(folder, "path,subject,AU99,mood\n0.png,a,1,x\n1.png,b,,\nmissing.png,c,,\n"))
    assert faces.problems["problem"].tolist() == [
        "column 'AU99' is not known",
        "column 'mood' is not known",
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
    monkeypatch.setattr(pd, "read_csv", forbidden)
    with pytest.raises(FerError, match=r"faces\.csv: no permission to read this table"):
        read(file)
