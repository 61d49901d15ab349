"""Tables of faces made of what programs wrote, and what the reader of user-supplied faces keeps of who coded them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import face_picture
from PIL import Image
from test_cli import run
from test_tools import CLASSES, FEAT, POINTS, VALUES, lines, openface

from fer_lib.errors import FerError
from fer_lib.faces.coding import codings_of, intensities_of
from fer_lib.faces.reader import read
from fer_lib.faces.table import load, save, select_frames
from fer_lib.faces.tool_pictures import write_coded_pictures


def draw(folder: Path, names) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.fromarray(face_picture(80, 60, 0.5, seed=i)[0]).save(folder / name, compress_level=1)
    return folder


def table(folder: Path, text: str, name: str = "film.csv") -> Path:
    file = folder / name
    file.write_text(text)
    return file


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A film of five frames and its table by OpenFace 2."""
    draw(tmp_path / "film", [f"{i:03d}.png" for i in range(5)])
    return table(tmp_path, openface(range(1, 6)))


def test_frames_are_joined_to_the_pictures_in_their_order_and_read_as_faces(film):
    out = film.with_name("faces.csv")
    written = write_coded_pictures([film], film.parent, out, subjects=["Ann"], film=True)
    assert (
        written.summary() == f"{out}: 5 pictures, 5 of them coded for action units by OpenFace 2 (occurrence)"
    )
    faces = read(out)
    rows = faces.table
    assert rows["path"].tolist() == [f"film/{i:03d}.png" for i in range(5)]
    assert rows["sequence"].unique().tolist() == ["film"] and rows["position"].tolist() == [0, 1, 2, 3, 4]
    assert (rows["AU12"] == -1).all(), "present, and no intensity A"
    assert rows["AU27"].isna().all(), "OpenFace does not code it"
    assert (rows["AU12_intensity"] == [3, 3, 3, 3, 3]).all()
    assert rows[["origin", "scale"]].drop_duplicates().to_numpy().tolist() == [["OpenFace 2", "occurrence"]]
    assert "AU45: not among the units that are studied: left out" in [
        f"{row.problem}: {row.consequence}" for row in written.problems.itertuples()
    ]
    assert "read as occurrence" not in faces.problems["consequence"].str.cat()


def test_what_a_program_coded_stays_marked_through_selection_and_storage(film, tmp_path):
    out = write_coded_pictures(
        [film], film.parent, film.with_name("faces.csv"), subjects=["Ann"], threshold=2
    ).path
    chosen = select_frames(read(out), labelled_only=False)
    save(chosen, tmp_path / "kept")
    again = load(tmp_path / "kept", out)
    who = codings_of(again.table)
    assert who.to_dict("records") == [
        {"origin": "OpenFace 2", "scale": "occurrence and intensity 0-5", "threshold": 2.0, "pictures": 5}
    ]
    assert intensities_of(again.table)[12].tolist() == [3] * 5


def test_nothing_is_overwritten(film):
    out = film.with_name("faces.csv")
    out.write_text("mine")
    with pytest.raises(FerError, match="is there already, and nothing is overwritten"):
        write_coded_pictures([film], film.parent, out, subjects=["Ann"])
    assert out.read_text() == "mine"


def test_a_table_that_could_not_be_read_again_leaves_nothing(film):
    again = table(film.parent, openface(range(1, 6)), "again.csv")
    film.with_name("both.csv").unlink(missing_ok=True)
    with pytest.raises(FerError, match="repeats the picture"):
        write_coded_pictures(
            [film, again], film.parent / "film", film.with_name("both.csv"), subjects=["Ann"]
        )
    assert not film.with_name("both.csv").exists()


def test_several_tables_have_a_folder_and_a_subject_each(film):
    draw(film.parent / "other", ["1.png", "2.png", "3.png"])
    other = table(film.parent, openface(range(1, 4), value=0.2, seen=0), "other.csv")
    out = film.with_name("faces.csv")
    write_coded_pictures([film, other], film.parent, out, subjects=["Ann", "Ben"])
    faces = read(out).table
    assert faces.groupby("subject").size().to_dict() == {"Ann": 5, "Ben": 3}
    assert (faces["AU12"][faces["subject"] == "Ben"] == 0).all()
    with pytest.raises(FerError, match="2 subjects for 1 tables"):
        write_coded_pictures([film], film.parent, film.with_name("x.csv"), subjects=["Ann", "Ben"])
    with pytest.raises(FerError, match="1 subjects for 1 tables"):
        write_coded_pictures([film], film.parent, film.with_name("x.csv"), subjects=[" "])


def test_two_programs_can_share_a_table(film):
    draw(film.parent / "feat", ["a.png"])
    header = ["FaceScore", *POINTS, *FEAT, "happiness", "input", "frame"]
    feat = table(
        film.parent, lines(header, [0.9, *range(136), *[0.7] * 20, 1, r"C:\faces\a.png", 0]), "feat.csv"
    )
    out = film.with_name("faces.csv")
    write_coded_pictures([film, feat], film.parent, out, subjects=["Ann"])
    who = codings_of(read(out).table).set_index("origin")
    assert who.loc["OpenFace 2", "pictures"] == 5
    assert who.loc["py-feat Detectorv1", ["scale", "threshold", "pictures"]].tolist() == [
        "probability",
        0.5,
        1,
    ]


def test_frames_that_do_not_fit_the_pictures_are_refused(film):
    folder, out = film.parent / "film", film.with_name("faces.csv")
    draw(folder, ["005.png"])
    with pytest.raises(FerError, match=r"frames 1 to 5 \(OpenFace 2 counts from 1\) for 6 pictures"):
        write_coded_pictures([film], folder, out, subjects=["Ann"])
    for name in ("005.png", "004.png"):
        (folder / name).unlink()
    with pytest.raises(FerError, match="for 4 pictures"):
        write_coded_pictures([film], folder, out, subjects=["Ann"])


def test_frames_without_a_row_keep_the_others_in_place(tmp_path):
    draw(tmp_path / "film", [f"{i}.png" for i in range(5)])
    file = table(tmp_path, lines(["frame_idx", "frame_time_in_ms", "au_1"], [0, 0, 1], [3, 0.1, 0]))
    out = write_coded_pictures([file], tmp_path, tmp_path / "faces.csv", subjects=["Ann"])
    assert out.table["path"].tolist() == ["film/0.png", "film/3.png"]
    assert "each picture is taken for a face that is cut out" in out.problems["consequence"].tolist()


def test_an_order_that_names_and_numbers_tell_differently_is_refused(tmp_path):
    draw(tmp_path / "film", [f"{i}.png" for i in range(11)])
    file = table(tmp_path, openface(range(1, 12)))
    with pytest.raises(FerError, match="in one order by number and in another by name"):
        write_coded_pictures([file], tmp_path, tmp_path / "faces.csv", subjects=["Ann"])


def test_a_table_of_one_picture_is_of_the_picture_of_its_name(tmp_path):
    draw(tmp_path, ["smile.png", "other.png"])
    header = ["face", "confidence", *VALUES, *CLASSES]
    file = table(tmp_path, lines(header, [0, 0.9, *[2] * len(VALUES), *[1] * len(CLASSES)]), "smile.csv")
    written = write_coded_pictures([file], tmp_path, tmp_path / "faces.csv", subjects=["Ann"])
    assert written.table["path"].tolist() == ["smile.png"]
    (tmp_path / "smile.png").rename(tmp_path / "smirk.png")
    with pytest.raises(FerError, match=r"0 pictures in .* are called smile; one is expected"):
        write_coded_pictures([file], tmp_path, tmp_path / "again.csv", subjects=["Ann"])


def test_pictures_that_the_table_names_and_nobody_has_are_said(tmp_path):
    draw(tmp_path, ["a.png"])
    header = ["FaceScore", *FEAT, "happiness", "input", "frame"]
    rows = [[0.9, *[0.7] * 20, 1, f"/data/{name}.png", i] for i, name in enumerate("ab")]
    file = table(tmp_path, lines(header, *rows))
    written = write_coded_pictures([file], tmp_path, tmp_path / "faces.csv", subjects=["Ann"])
    assert written.table["path"].tolist() == ["a.png"]
    assert "1 pictures, such as b.png, are not in the folder" in written.problems["problem"].tolist()
    (tmp_path / "a.png").rename(tmp_path / "c.png")
    with pytest.raises(FerError, match=r"none of its 2 pictures, such as 'a\.png', is in"):
        write_coded_pictures([file], tmp_path, tmp_path / "again.csv", subjects=["Ann"])


@pytest.mark.parametrize(
    ("out", "pictures", "message"),
    [
        ("faces.txt", ".", "a name that ends in .csv"),
        ("no/faces.csv", ".", "make it first"),
        ("faces.csv", "no", "no such folder"),
        ("faces.csv", "empty", "no pictures"),
    ],
)
def test_places_that_cannot_be_are_named(film, out, pictures, message):
    (film.parent / "empty").mkdir()
    with pytest.raises(FerError, match=message):
        write_coded_pictures([film], film.parent / pictures, film.parent / out, subjects=["Ann"])


def test_the_command_says_what_it_wrote_and_what_it_left_out(film, monkeypatch, capsys):
    out = film.with_name("faces.csv")
    words = ("aus", str(film), "--pictures", str(film.parent), "--subject", "Ann", "--out", str(out))
    assert run(monkeypatch, *words) == 0
    said = capsys.readouterr()
    assert "5 pictures, 5 of them coded for action units by OpenFace 2 (occurrence)" in said.out
    assert "film.csv: AU45: not among the units that are studied: left out" in said.err
    assert run(monkeypatch, *words) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert run(monkeypatch, *words[:-1], str(film.with_name("b.csv")), "--mapping", "1,x") == 2
    assert "--mapping '1,x'" in capsys.readouterr().err


def test_a_programs_table_given_as_faces_names_the_program_and_the_command(film):
    with pytest.raises(FerError) as caught:
        read(film)
    assert "OpenFace 2 wrote this table; `fer aus film.csv --pictures FOLDER" in str(caught.value)


# who coded, in tables of the user's ---------------------------------------------------------------------------------------


def own(folder: Path, text: str):
    draw(folder, ["a.png", "b.png", "c.png"])
    return read(table(folder, text, "faces.csv")).table


def test_faces_of_which_nobody_says_who_coded_them_are_a_coders(tmp_path):
    graded = own(tmp_path, "path,subject,AU1,AU2\na.png,x,3,0\nb.png,x,1,\n")
    assert graded[["origin", "scale"]].to_numpy().tolist() == [["coder", "intensity 0-5"]] * 2
    assert graded["threshold"].isna().all()
    assert own(tmp_path, "path,subject,AU1\na.png,x,0\nb.png,x,0\n")["scale"].tolist() == ["occurrence"] * 2
    nobody = own(tmp_path, "path,subject\na.png,x\n")
    assert nobody["scale"].tolist() == [""] and codings_of(nobody).empty


def test_a_stated_scale_tells_intensity_a_from_presence(tmp_path):
    text = "path,subject,scale,AU1\na.png,x,{0},1\nb.png,x,{0},0\n"
    assert own(tmp_path, text.format("intensity 0-5"))["AU1"].tolist() == [1, 0]
    assert own(tmp_path, text.format("occurrence"))["AU1"].tolist() == [-1, 0]
    assert own(tmp_path, text.format(""))["AU1"].tolist() == [-1, 0]


def test_a_programs_yes_is_no_intensity_beside_a_coders_letters(tmp_path):
    text = "path,subject,origin,scale,threshold,AU1\na.png,x,,,,4\nb.png,x,py-feat,probability,0.5,1\nc.png,x,Eve,,,1\n"
    rows = own(tmp_path, text)
    assert rows["AU1"].tolist() == [4, -1, 1]
    assert rows["origin"].tolist() == ["coder", "py-feat", "Eve"]
    np.testing.assert_array_equal(intensities_of(rows)[1], [4, np.nan, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,subject,scale,AU1\na.png,x,strength,1\n",
            "row 1: scale 'strength' is not one of occurrence, ",
        ),
        ("path,subject,scale,AU1\na.png,x,probability,1\n", "scale 'probability' without a threshold"),
        ("path,subject,scale,AU1\na.png,x,occurrence,3\n", "AU1: 3 is neither 0 nor 1, as it has to be on"),
        (
            "path,subject,scale,threshold,AU1\na.png,x,probability,0.5,0.7\n",
            "row 1, column AU1: 0.7 is not one of",
        ),
        ("path,subject,threshold,AU1\na.png,x,much,1\n", "row 1, column threshold: 'much' is not a number"),
        ("path,subject,AU1,AU1_probability\na.png,x,1,7\n", "AU1_probability: 7 does not lie from 0 to 1"),
        ("path,subject,AU1_probability\na.png,x,1\n", "'AU1_probability' looks like action unit 1"),
    ],
)
def test_scales_that_contradict_the_codes_are_refused(tmp_path, text, message):
    with pytest.raises(FerError) as caught:
        own(tmp_path, text)
    assert message in str(caught.value)


def test_rendered_faces_are_said_to_be(tmp_path):
    draw(tmp_path, ["a.png"])
    (tmp_path / "rendered").mkdir()
    pd.DataFrame({"subject": ["x"]}).to_parquet(tmp_path / "rendered" / "parameters.parquet")
    assert own(tmp_path, "path,subject,AU1\na.png,x,0\n")["origin"].tolist() == ["rendered"]
