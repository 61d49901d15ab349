"""Data sets besides CK+: what each says, what it cannot, and what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_sequence
from data_sets import (
    DISFA_UNITS,
    draw,
    pixels,
    write_bp4d,
    write_ckplus48,
    write_disfa,
    write_ferplus,
    write_jaffe,
    write_kdef,
    write_pixel_table,
    write_raf_au,
    write_raf_db,
)
from hypothesis import given
from hypothesis import strategies as st

from fer_lib.errors import FerError, Lacking
from fer_lib.faces.audit import audit
from fer_lib.faces.cropping import load_crops
from fer_lib.faces.decoding import read_picture
from fer_lib.faces.digest import digest_of_faces
from fer_lib.faces.reader import layout_of, read
from fer_lib.faces.table import AU_COLUMNS, NOT_GIVEN, Faces, au_present, select_frames
from fer_lib.network.splits import by_subject, leakage, paper_leak, subject_folds

SETS: dict[str, Callable[[Path], Path]] = {
    "DISFA": write_disfa,
    "BP4D": write_bp4d,
    "CK+48": write_ckplus48,
    "RAF-DB": write_raf_db,
    "RAF-AU": write_raf_au,
    "JAFFE": write_jaffe,
    "KDEF": write_kdef,
    "FER2013": lambda root: write_pixel_table(root / "fer2013.csv", [0, 1, 2, 3, 4, 5, 6]),
    "FER+": lambda root: write_ferplus(root),
    "ckextended": lambda root: write_pixel_table(root / "ckextended.csv", [0, 1, 2, 3, 4, 5, 6, 7]),
}
WITHOUT_PEOPLE = ("RAF-DB", "RAF-AU", "FER2013", "FER+", "ckextended")
WITHOUT_EXPRESSIONS = ("DISFA", "BP4D", "RAF-AU")


def coded(faces: Faces, row: int) -> dict[int, float]:
    """Codes of a picture's coded units."""
    codes = faces.table[list(AU_COLUMNS)].iloc[row].dropna()
    return {int(name[2:]): code for name, code in codes.items()}


def problems(faces: Faces) -> dict[str, str]:
    return dict(zip(faces.problems["path"], faces.problems["problem"], strict=True))


# every set ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_recognised_audited_and_cut_out(tmp_path: Path, name: str) -> None:
    source = SETS[name](tmp_path / "set")
    layout = layout_of(source)
    assert layout and layout.name == name
    found = audit(source)
    assert found.name == name and found.lacks == layout.lacks
    text = found.summary()
    assert text.startswith(f"{name} in ") and all(f"it gives {what}" in text for what in layout.lacks)
    beside = found.counts.dropna().set_index("count")["published"].to_dict()
    assert beside == dict(layout.published)
    faces = read(source)
    assert (faces.table["subject"] == "").all() == (name in WITHOUT_PEOPLE)
    assert (faces.table["expression"] == "").all() == (name in WITHOUT_EXPRESSIONS)
    assert any("no person" in what for what in layout.lacks) == (name in WITHOUT_PEOPLE)
    assert any("no expression" in what for what in layout.lacks) == (name in WITHOUT_EXPRESSIONS)
    assert any("no action unit" in what for what in layout.lacks) == faces.table[list(AU_COLUMNS)].isna().all(
        axis=None
    )
    assert not faces.table["sequence"].duplicated().any() or name == "CK+48"
    crops = load_crops(select_frames(faces, labelled_only=False))
    assert len(crops) == len(faces)
    assert crops[0].shape == read_picture(faces.root, faces.table["path"].iloc[0]).shape


@pytest.mark.parametrize("name", SETS)
def test_a_flawless_copy_of_a_set_has_no_problem(tmp_path: Path, name: str) -> None:
    found = audit(SETS[name](tmp_path / "set"))
    known = {"RAF-AU": ["action unit 35 is not one of the studied"], "CK+48": ["no FACS file of S999_002"]}
    assert found.problems["problem"].tolist() == known.get(name, [])
    assert found.sound == (name not in known)


@pytest.mark.parametrize("name", SETS)
def test_the_digest_sees_every_file_that_is_read(tmp_path: Path, name: str) -> None:
    source = SETS[name](tmp_path / "set")
    before = digest_of_faces(source)
    assert digest_of_faces(source) == before
    for file in sorted(path for path in (tmp_path / "set").rglob("*") if path.is_file()):
        content = file.read_bytes()
        file.write_bytes(content + b" ")
        read_one = "original" not in file.parts  # where aligned pictures lie beside them
        assert (digest_of_faces(source) != before) or not read_one, file
        file.write_bytes(content)
    assert digest_of_faces(source) == before
    shutil.move(tmp_path / "set", tmp_path / "moved")
    assert digest_of_faces(tmp_path / "moved" / source.relative_to(tmp_path / "set")) == before


@pytest.mark.parametrize("name", SETS)
def test_litter_and_strangers_change_nothing(tmp_path: Path, name: str) -> None:
    source = SETS[name](tmp_path / "set")
    folder = source if source.is_dir() else source.parent
    before, table = digest_of_faces(source), read(source).table
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "ReadMe.pdf").write_bytes(b"x")
    assert digest_of_faces(source) == before
    pd.testing.assert_frame_equal(read(source).table, table)


@pytest.mark.parametrize("name", ["DISFA", "KDEF", "JAFFE", "RAF-DB"])
def test_a_damaged_picture_is_named_and_left_out(tmp_path: Path, name: str) -> None:
    source = SETS[name](tmp_path / "set")
    path = read(source).table["path"].iloc[0]
    (source / path).write_bytes(b"")
    faces = read(source)
    assert problems(faces)[path] == "empty file (0 bytes)" and np.isnan(faces.table["left"].iloc[0])


@pytest.mark.parametrize("name", [name for name in SETS if name not in WITHOUT_PEOPLE])
def test_one_level_too_high_names_the_folder_to_give(tmp_path: Path, name: str) -> None:
    source = SETS[name](tmp_path / "above" / "set")
    with pytest.raises(
        FerError, match=f"one level too high; {name.replace('+', '.')} lies in it: give {source}"
    ):
        read(tmp_path / "above")


# who -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITHOUT_PEOPLE)
def test_nobody_can_be_held_out_of_a_set_without_people(tmp_path: Path, name: str) -> None:
    table = select_frames(read(SETS[name](tmp_path)), labelled_only=False).table
    for divide in (by_subject, lambda table: subject_folds(table, k=2)):
        with pytest.raises(Lacking, match=r"who is on the pictures is not known.*split='leak'"):
            divide(table)
    split = paper_leak(table, test=2)
    shared = leakage(table, split)
    assert np.isnan(shared["subject"]) and shared["picture"] == 0


def test_both_sessions_of_kdef_are_one_person(tmp_path: Path) -> None:
    faces = read(write_kdef(tmp_path))
    assert set(faces.table["subject"]) == {"F01", "M35"} and len(faces) == 2 * 2 * 7 * 2
    split = by_subject(faces.table, test=0.5)
    sides = [set(faces.table["path"].str[1:4].iloc[rows]) for rows in (split.train, split.test)]
    assert not sides[0] & sides[1]


def test_jaffes_codes_are_expressions(tmp_path: Path) -> None:
    write_jaffe(tmp_path)
    draw(tmp_path / "KA.XX1.1.tiff", "x")
    faces = read(tmp_path)
    shown = faces.table.set_index("path")["expression"]
    assert shown["KA.AN1.39.tiff"] == "anger" and shown["YM.SU1.52.tiff"] == "surprise"
    assert faces.table["subject"].value_counts().to_dict() == {"KA": 7, "YM": 7}
    assert problems(faces) == {"KA.XX1.1.tiff": "name is not like KA.AN1.39.tiff"}
    assert audit(tmp_path).counts.set_index("count").loc["pictures"].tolist() == [14, 213]


# DISFA ---------------------------------------------------------------------------------------------------------------------


def test_disfas_labels_count_from_1_and_its_pictures_from_0(tmp_path: Path) -> None:
    faces = read(write_disfa(tmp_path))
    assert faces.table.groupby("subject").size().to_dict() == {"SN001": 6, "SN002": 6, "SN010": 5}
    row = faces.table.index[faces.table["path"] == "frames/SN001/00002.png"][0]
    assert faces.table["frame"].iloc[row] == 3
    assert coded(faces, row) == {unit: (3 + unit) % 6 for unit in DISFA_UNITS}
    assert not any(path.endswith("SN010/00005.png") for path in faces.table["path"]), "it has no label"
    assert len(problems(faces)) == 0


@pytest.mark.parametrize(
    "pictures",
    [
        "frames/{person}/{number:05d}.png",
        "frames/{person}/{number}.png",
        "frames/{person}/frame_det_00_{number:06d}.png",
        "LeftVideo{person}_comp/frame{number}.png",
        "{person}_{number:05d}.png",
        "all/{person}-{number}.png",
    ],
)
@pytest.mark.parametrize("start", [0, 1])
def test_pictures_belong_to_their_frames_however_they_are_named(
    tmp_path: Path, pictures: str, start: int
) -> None:
    faces = read(write_disfa(tmp_path, pictures=pictures, start=start))
    for row in range(len(faces)):
        record = faces.table.iloc[row]
        number = record["frame"] - 1 + start
        assert record["path"] == pictures.format(person=record["subject"], number=number)
        assert coded(faces, row)[12] == (record["frame"] + 12) % 6
    assert len(faces) == 17


def test_where_pictures_start_is_not_guessed(tmp_path: Path) -> None:
    write_disfa(tmp_path, {"SN001": 6, "SN010": 6})
    for person in ("SN001", "SN010"):
        (tmp_path / f"frames/{person}/00000.png").unlink()
    with pytest.raises(FerError, match="may count from 0 or from 1"):
        read(tmp_path)
    draw(tmp_path / "frames/SN001/00006.png", "last")
    faces = read(tmp_path)
    assert faces.table.set_index("path").loc["frames/SN001/00006.png", "frame"] == 6
    # SN010's last label is one short of its film, so picture 5 counts neither way.
    shutil.rmtree(tmp_path / "frames/SN001")
    with pytest.raises(FerError, match="may count from 0 or from 1"):
        read(tmp_path)


def test_a_missing_label_is_never_an_absent_unit(tmp_path: Path) -> None:
    write_disfa(tmp_path)
    labels = tmp_path / "ActionUnit_Labels"
    (labels / "SN001/SN001_au12.txt").unlink()
    (labels / "SN002/SN002_au4.txt").write_text("1,0\n2,6\n")
    (labels / "SN002/SN002_au7.txt").write_text("1,0\n")
    faces = read(tmp_path)
    by_person = faces.table.groupby("subject")[list(AU_COLUMNS)].count()
    assert by_person.loc["SN001", "AU12"] == 0 and by_person.loc["SN002", "AU12"] == 6
    assert by_person.loc["SN002", "AU4"] == 0 and by_person["AU10"].sum() == 0
    assert problems(faces) == {
        "ActionUnit_Labels/SN002/SN002_au4.txt": "frame 2 has intensity 6, which is not one of 0 to 5",
        "ActionUnit_Labels/SN002/SN002_au7.txt": "name is not like SN001/SN001_au1.txt",
        "ActionUnit_Labels/SN001": "no labels of action unit 12",
        "ActionUnit_Labels/SN002": "no labels of action unit 4",
    }


@given(least=st.integers(1, 5))
def test_the_threshold_is_a_parameter(least: int, disfa: Path) -> None:
    whole, cut = read(disfa), read(disfa, au_threshold=least)
    codes, weak = whole.table[list(AU_COLUMNS)].to_numpy(), cut.table[list(AU_COLUMNS)].to_numpy()
    np.testing.assert_array_equal(np.isnan(codes), np.isnan(weak))
    np.testing.assert_array_equal(weak, np.where(codes < least, 0 * codes, codes))
    shown = au_present(cut.table).to_numpy()
    np.testing.assert_array_equal(shown[~np.isnan(codes)], codes[~np.isnan(codes)] >= least)


@pytest.fixture(scope="module")
def disfa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_disfa(tmp_path_factory.mktemp("disfa"))


def test_every_second_frame_of_a_film(disfa: Path) -> None:
    few = read(disfa, film_step=2).table
    assert few.groupby("subject")["frame"].agg(list).to_dict() == {
        "SN001": [1, 3, 5],
        "SN002": [1, 3, 5],
        "SN010": [1, 3, 5],
    }
    for options in ({"film_step": 0}, {"au_threshold": 0}, {"au_threshold": 1.5}):
        with pytest.raises(FerError, match=next(iter(options))):
            read(disfa, **options)  # type: ignore[arg-type]


def test_gaps_and_second_sources_are_noted(tmp_path: Path) -> None:
    write_disfa(tmp_path)
    (tmp_path / "frames/SN001/00003.png").unlink()
    draw(tmp_path / "right/SN002/00000.png", "other camera")
    draw(tmp_path / "frames/SN003/00000.png", "nobody coded her")
    draw(tmp_path / "frames/SN002/00006.png", "beyond")
    faces = read(tmp_path)
    assert problems(faces) == {
        "right/SN002": "pictures of SN002 lie in frames/SN002 too",
        "ActionUnit_Labels/SN001": "1 coded frames have no picture, frame 4 is the first",
        "ActionUnit_Labels/SN002": "1 frames have no label, frame 7 is the first",
        "ActionUnit_Labels/SN003": "no labels of SN003",
    }


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        (
            lambda root: shutil.rmtree(root / "frames"),
            "",
            "without a picture of any coded frame; put the films",
        ),
        (lambda root: None, "ActionUnit_Labels", "labels alone: give the folder above"),
        (
            lambda root: (root / "ActionUnit_Labels").rename(root / "au"),
            "au",
            "labels alone: put this folder as ActionUnit_Labels beside",
        ),
        (
            lambda root: shutil.rmtree(root / "ActionUnit_Labels"),
            "frames",
            "people as DISFA names them, and no ActionUnit_Labels beside them",
        ),
    ],
)
def test_nearly_disfa_says_what_is_missing(
    tmp_path: Path, change: Callable[[Path], object], given: str, message: str
) -> None:
    change(write_disfa(tmp_path))
    with pytest.raises(FerError, match=message) as caught:
        read(tmp_path / given)
    assert str(tmp_path / given) in str(caught.value)


def test_disfa_plus_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "Labels/SN001/Y1/AU1.txt"
    file.parent.mkdir(parents=True)
    file.write_text("a\nb\n000.jpg 0\n")
    with pytest.raises(FerError, match=r"as DISFA\+ has them, which is not read; make a table"):
        read(tmp_path)


# BP4D ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padded", [True, False])
def test_bp4ds_nine_is_not_coded(tmp_path: Path, padded: bool) -> None:
    faces = read(write_bp4d(tmp_path, padded=padded))
    assert len(faces) == 2 * 2 * 4 and set(faces.table["subject"]) == {"F001", "M002"}
    first = int(np.flatnonzero(faces.table["sequence"] == "F001_T1_00011")[0])
    assert coded(faces, first) == {1: NOT_GIVEN, 6: NOT_GIVEN, 12: 0.0}
    assert coded(faces, first + 2) == {1: NOT_GIVEN, 6: NOT_GIVEN, 7: NOT_GIVEN, 12: 0.0}
    assert coded(faces, first + 1)[1] == 0.0
    assert problems(faces) == {}


def test_bp4ds_intensities_join_its_occurrences(tmp_path: Path) -> None:
    write_bp4d(tmp_path, intensity=True)
    file = tmp_path / "AUCoding/AU_INT/AU12/F001_T1_AU12.csv"
    file.write_text(file.read_text().replace("11,0", "11,4"))
    faces = read(tmp_path)
    first = int(np.flatnonzero(faces.table["sequence"] == "F001_T1_00011")[0])
    assert [coded(faces, first + i)[6] for i in range(4)] == [3, 3, 3, NOT_GIVEN]
    assert coded(faces, first)[12] == 0
    assert problems(faces) == {
        "AUCoding/AU_INT/AU12/F001_T1_AU12.csv": (
            "in 1 frames AU 12 occurs by AU_OCC and has intensity 0, or the other way round"
        )
    }


def test_intensities_alone_are_read(tmp_path: Path) -> None:
    faces = read(write_bp4d(tmp_path, occurrence=False, intensity=True))
    assert faces.table[["AU6", "AU12"]].drop_duplicates().to_numpy().tolist()[0] == [3, 0]
    assert faces.table["AU6"].isna().sum() == 4 and faces.table["AU1"].isna().all()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("11,-1,1,9,0,0,9", "line 2: '-1' for AU 1 is not one of 0, 1 and 9 (not coded)"),
        ("11,2,1,9,0,0,9", "line 2: '2' for AU 1 is not one of 0, 1 and 9 (not coded)"),
        ("11,1,1,9", "line 2: 4 of 7 cells"),
        ("x,1,1,9,0,0,9", "line 2: 'x' is not the number of a frame"),
    ],
)
def test_a_code_that_the_layout_does_not_know_is_not_guessed(tmp_path: Path, line: str, problem: str) -> None:
    write_bp4d(tmp_path)
    file = tmp_path / "AUCoding/AU_OCC/F001_T1.csv"
    file.write_text(f"0,1,6,7,12,22,33\n{line}\n")
    faces = read(tmp_path)
    assert problems(faces) == {"AUCoding/AU_OCC/F001_T1.csv": problem}
    assert not faces.table["sequence"].str.startswith("F001_T1_").any()


def test_units_that_are_not_studied_and_empty_cells(tmp_path: Path) -> None:
    write_bp4d(tmp_path)
    file = tmp_path / "AUCoding/AU_OCC/F001_T1.csv"
    file.write_text("0,1,6,22\n11,,999,1\n12,1,,0\n99,1,1,1\n")
    faces = read(tmp_path)
    assert faces.table["sequence"].str.startswith("F001_T1_").sum() == 1
    assert coded(faces, int(np.flatnonzero(faces.table["sequence"] == "F001_T1_00012")[0])) == {1: NOT_GIVEN}
    assert problems(faces) == {
        "AU_OCC": "action unit 22 is not one of the studied",
        "F001_T1": "1 coded frames of F001_T1 have no picture, frame 99 is the first",
    }


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        (lambda root: None, "AUCoding", "labels alone: give the folder above"),
        (lambda root: None, "AUCoding/AU_OCC", "labels alone: give the folder"),
        (
            lambda root: (root / "AUCoding/AU_OCC").rename(root / "AUCoding/OCC"),
            "",
            "AUCoding without AU_OCC or AU_INT",
        ),
        (lambda root: shutil.rmtree(root / "Sequences"), "", "without a picture of any coded frame"),
    ],
)
def test_nearly_bp4d_says_what_is_missing(
    tmp_path: Path, change: Callable[[Path], object], given: str, message: str
) -> None:
    change(write_bp4d(tmp_path))
    with pytest.raises(FerError, match=message):
        read(tmp_path / given)


# CK+48 ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("facs", ["beside", "zip", "none"])
@pytest.mark.parametrize("given", ["", "CK+48"])
def test_ckplus48_joins_ckpluss_action_units(tmp_path: Path, facs: str, given: str) -> None:
    write_ckplus48(tmp_path, facs)
    source = tmp_path / given
    faces = read(source)
    assert len(faces) == 9 and faces.root == source
    of = faces.table[faces.table["sequence"] == "S010_004"]
    assert of["position"].tolist() == [14, 15, 16] and set(of["length"]) == {17}
    assert set(of["expression"]) == {"anger"} and set(of["subject"]) == {"S010"}
    last = int(of.index[-1])
    if facs == "none":
        assert faces.table[list(AU_COLUMNS)].isna().all(axis=None) and faces.problems.empty
        return
    codes = coded(faces, last)
    assert len(codes) == 30 and {au: code for au, code in codes.items() if code} == {
        4: 3,
        23: NOT_GIVEN,
        24: 2,
    }
    assert coded(faces, last - 1) == {}
    picked = select_frames(faces)
    assert len(picked) == 9 and (picked.table["label"] != "neutral").all()
    assert picked.table.set_index(["sequence", "frame"]).loc[("S010_004", 15), "AU4"] == 3, (
        "carried to the peak"
    )
    uncoded = faces.table["sequence"] == "S999_002"
    assert faces.table.loc[uncoded, list(AU_COLUMNS)].isna().all(axis=None)
    assert list(problems(faces).values()) == ["no FACS file of S999_002"]
    found = digest_of_faces(source)
    (
        tmp_path / ("FACS/S010/004/S010_004_00000017_facs.txt" if facs == "beside" else "FACS_labels.zip")
    ).unlink()
    assert digest_of_faces(source) != found


def test_a_sequence_of_ckplus48_is_three_frames_in_a_row_and_lies_once(tmp_path: Path) -> None:
    write_ckplus48(tmp_path, "none")
    folder = tmp_path / "CK+48"
    (folder / "anger/S010_004_00000016.png").unlink()
    draw(folder / "fear/S011_001_00000012.png", "again")
    draw(folder / "fear/cropped.png", "x")
    faces = read(folder)
    assert problems(faces) == {
        "anger/S010_004_00000015.png": "frames 15, 17 of S010_004 instead of 3 in a row",
        "fear/cropped.png": "name is not like S010_004_00000017.png",
        "surprise/S011_001_00000010.png": "S011_001 lies in fear too",
        "surprise/S011_001_00000011.png": "S011_001 lies in fear too",
        "surprise/S011_001_00000012.png": "S011_001 lies in fear too",
        "fear/S011_001_00000012.png": "frames 12 of S011_001 instead of 3 in a row",
    }


def test_nearly_ckplus48_says_what_is_missing(tmp_path: Path) -> None:
    write_ckplus48(tmp_path, "none")
    with pytest.raises(FerError, match=r"one expression of CK\+48 alone: give the folder above"):
        read(tmp_path / "CK+48/anger")
    for name in ("fear", "happy"):
        draw(tmp_path / "mine" / name / "1.png", name)
    with pytest.raises(FerError, match=r"expressions \(fear, happy\) without pictures named as CK\+48's"):
        read(tmp_path / "mine")


def test_ckplus_beside_its_small_copy_is_read_as_ckplus(tmp_path: Path) -> None:
    write_ckplus48(tmp_path, "none")
    write_sequence(tmp_path, "S005_001", aus={9: 4}, expression="disgust")
    assert layout_of(tmp_path) is None and len(read(tmp_path)) == 4
    assert len(read(tmp_path / "CK+48")) == 9


# RAF -----------------------------------------------------------------------------------------------------------------------


def test_raf_dbs_codes_have_an_order_of_their_own(tmp_path: Path) -> None:
    faces = read(write_raf_db(tmp_path))
    assert faces.table.sort_values("path")["path"].str.endswith("_aligned.jpg").all()
    shown = faces.table.assign(number=faces.table["path"].str.extract(r"_(\d+)_")[0]).set_index("number")[
        "expression"
    ]
    assert shown.sort_index().tolist() == [
        "surprise",
        "fear",
        "disgust",
        "happy",
        "sadness",
        "anger",
        "neutral",
    ]


def test_raf_dbs_pictures_as_they_were_found(tmp_path: Path) -> None:
    write_raf_db(tmp_path, aligned=False)
    (tmp_path / "Image/original/train_00001.jpg").unlink()
    with (tmp_path / "EmoLabel/list_patition_label.txt").open("a") as file:
        file.write("test_00002.jpg 3\n\n")
    (tmp_path / "EmoLabel/list_patition_label.txt").write_text(
        (tmp_path / "EmoLabel/list_patition_label.txt")
        .read_text()
        .replace("test_00004.jpg 4", "test_00004.jpg 8")
    )
    faces = read(tmp_path)
    assert len(faces) == 6
    assert faces.problems["problem"].tolist() == [
        "no picture train_00001.jpg",
        "test_00004.jpg: code '8' is not one of 1 to 7",
        "test_00002.jpg comes twice",
    ]
    assert faces.table.set_index("path").loc["Image/original/test_00004.jpg", "expression"] == ""


def test_raf_aus_lines_are_lists_of_what_is_present(tmp_path: Path) -> None:
    write_raf_au(tmp_path)
    with (tmp_path / "RAFAU_label.txt").open("a") as file:
        file.write("\n0005.jpg\t1;2\n")
    draw(tmp_path / "picture/0005.jpg", "5")
    faces = read(tmp_path)
    assert [coded(faces, row) for row in range(5)] == [
        {1: -1, 2: -1, 12: 0, 14: 0, 25: -1},
        {},
        {1: 0, 2: 0, 12: 0, 14: -1, 25: 0},
        {1: 0, 2: 0, 12: -1, 14: -1, 25: -1},
        {},
    ]
    assert faces.problems["problem"].tolist() == [
        "action unit 35 is not one of the studied",
        "0005.jpg: '1;2' is no list of units such as 1+L2+25",
    ]


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        (lambda root: None, "EmoLabel", "RAF-DB's labels alone: give the folder above"),
        (
            lambda root: (root / "EmoLabel/list_patition_label.txt").rename(root / "EmoLabel/labels.txt"),
            "",
            "EmoLabel without list_patition_label.txt",
        ),
        (lambda root: shutil.rmtree(root / "Image"), "", "none of the pictures that EmoLabel/list_patition"),
    ],
)
def test_nearly_raf_db_says_what_is_missing(
    tmp_path: Path, change: Callable[[Path], object], given: str, message: str
) -> None:
    change(write_raf_db(tmp_path))
    with pytest.raises(FerError, match=message):
        read(tmp_path / given)


# tables of pixels ----------------------------------------------------------------------------------------------------------


def test_a_row_of_pixels_is_a_picture(tmp_path: Path) -> None:
    file = write_pixel_table(tmp_path / "fer2013.csv", [0, 1, 2, 3, 4, 5, 6])
    faces = read(file)
    assert faces.table["path"].tolist() == [f"fer2013.csv!/{row}" for row in range(1, 8)]
    assert faces.table["expression"].tolist() == [
        "anger",
        "disgust",
        "fear",
        "happy",
        "sadness",
        "surprise",
        "neutral",
    ]
    for row in (7, 1, 4):
        np.testing.assert_array_equal(read_picture(tmp_path, f"fer2013.csv!/{row}"), pixels(row))
    np.testing.assert_array_equal(load_crops(faces)[2], pixels(3))
    pd.testing.assert_frame_equal(read(tmp_path).table, faces.table)
    for row in ("0", "8", "x", "-1", "1/2", ""):
        with pytest.raises(FerError, match=f"fer2013.csv.*no row {row}"):
            read_picture(tmp_path, f"fer2013.csv!/{row}")


@given(
    grey=st.lists(st.integers(0, 255), min_size=256, max_size=256),
    quoted=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_grey_values_come_back_as_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, grey: list[int], quoted: bool, end: str
) -> None:
    file = tmp_path_factory.mktemp("pixels") / "mine.csv"
    written = " ".join(map(str, grey))
    cell = f'"{written}"' if quoted else written
    file.write_text(f"\ufeffemotion, Usage, pixels{end}3,Training,{cell}{end}", newline="")
    np.testing.assert_array_equal(read_picture(file.parent, "mine.csv!/1").ravel(), grey)
    assert read(file).table["expression"].tolist() == ["happy"]


def test_rows_that_are_no_picture_are_named(tmp_path: Path) -> None:
    file = write_pixel_table(tmp_path / "fer2013.csv", [0, 9, "", "x"])
    lines = file.read_text().splitlines()
    file.write_text(
        "\n".join([*lines, "1,1 2 3,Training", "1,256 0 0 0,Training", "1,a b c d,Training", ""]) + "\n"
    )
    faces = read(file)
    assert faces.problems[["path", "problem"]].to_numpy().tolist() == [
        ["fer2013.csv", "row 2: emotion '9' is not one of 0 to 7"],
        ["fer2013.csv", "row 4: emotion 'x' is not one of 0 to 7"],
        ["fer2013.csv!/5", "3 pixels, which is no square picture"],
        ["fer2013.csv!/6", "its pixels are not whole numbers from 0 to 255"],
        ["fer2013.csv!/7", "its pixels are not whole numbers from 0 to 255"],
    ]
    assert faces.table["expression"].tolist() == ["anger", "", "", "", "disgust", "disgust", "disgust"]
    file.write_text(file.read_text() + "1,2\n")
    with pytest.raises(FerError, match=r"fer2013.csv: row 8 has 2 cells for 3 columns"):
        read(file)


def test_ferplus_is_joined_by_row_and_never_by_name(tmp_path: Path) -> None:
    faces = read(write_ferplus(tmp_path))
    assert faces.table[["path", "expression"]].to_numpy().tolist() == [
        ["fer2013.csv!/1", "anger"],
        ["fer2013.csv!/3", "happy"],
        ["fer2013.csv!/4", ""],
        ["fer2013.csv!/5", ""],
        ["fer2013.csv!/6", "contempt"],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], r"row 6 is not that of fer2013.csv; the two are joined row by row"),
        (lambda lines: [*lines, lines[-1]], r"row 7 is not that of fer2013.csv"),
        (lambda lines: [*lines[:3], lines[-1], *lines[4:]], r"row 3 is not that of fer2013.csv"),
        (lambda lines: [lines[0], lines[1].replace(",4,", ",x,"), *lines[2:]], r"row 1, column neutral: 'x'"),
    ],
)
def test_votes_of_other_rows_are_refused(
    tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    file = write_ferplus(tmp_path)
    file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")
    with pytest.raises(FerError, match=message):
        read(file)


def test_a_folder_with_two_labellings_asks_which(tmp_path: Path) -> None:
    file = write_ferplus(tmp_path)
    with pytest.raises(FerError, match=r"it holds fer2013.csv and fer2013new.csv.*give one of these files"):
        read(tmp_path)
    (tmp_path / "fer2013.csv").unlink()
    for source in (file, tmp_path):
        with pytest.raises(FerError, match=r"votes without pictures; put fer2013.csv beside it"):
            read(source)


def test_pixels_without_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "fer.csv").write_text("pixels,Usage\n1 2 3 4,Training\n")
    with pytest.raises(FerError, match=r"fer.csv: no column 'emotion'; found pixels, Usage"):
        read(tmp_path / "fer.csv")


def test_tables_without_rows_and_tables_with_paths(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="no picture of a face in it"):
        read(write_pixel_table(tmp_path / "fer2013.csv", []))
    draw(tmp_path / "a.png", "a")
    (tmp_path / "mine.csv").write_text("path,subject,pixels\na.png,Ann,2304\n")
    assert read(tmp_path / "mine.csv").table["subject"].tolist() == ["Ann"]


def test_a_table_of_the_users_may_name_rows_of_pixels(tmp_path: Path) -> None:
    write_pixel_table(tmp_path / "fer2013.csv", [0, 1])
    table = tmp_path / "mine.csv"
    table.write_text("path,subject,expression\nfer2013.csv!/2,Ann,fear\n")
    np.testing.assert_array_equal(load_crops(read(table))[0], pixels(2))
    before = digest_of_faces(table)
    write_pixel_table(tmp_path / "fer2013.csv", [0, 2])
    assert digest_of_faces(table) != before


def test_reading_a_table_of_pixels_does_not_hold_the_pictures(tmp_path: Path) -> None:
    import tracemalloc

    grown = []
    for rows in (20, 60):
        file = write_pixel_table(tmp_path / f"{rows}/fer2013.csv", [0] * rows, side=200)
        read(file)
        tracemalloc.start()
        read(file)
        grown.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert grown[1] - grown[0] < 40 * 200 * 200 / 4, (
        "a picture more costs a line of the table, not its pixels"
    )


# nothing known -------------------------------------------------------------------------------------------------------------


def test_two_sets_in_one_folder_are_not_chosen_from(tmp_path: Path) -> None:
    write_jaffe(write_disfa(tmp_path))
    for look in (read, digest_of_faces, audit):
        with pytest.raises(FerError, match="it holds DISFA and JAFFE; put each into a folder of its own"):
            look(tmp_path)


def test_names_that_are_no_text_are_noted(tmp_path: Path) -> None:
    folder = write_jaffe(tmp_path) / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    draw(folder / "KA.AN1.40.tiff", "odd")
    faces = read(tmp_path)
    assert len(faces) == 14 and problems(faces) == {"caf\\udce9/KA.AN1.40.tiff": "name is not UTF-8"}


def test_a_folder_of_nothing_known_lists_what_is_read(tmp_path: Path) -> None:
    draw(tmp_path / "1.png", "x")
    with pytest.raises(
        FerError, match=r"expected a folder with cohn-kanade-images.*also read.*DISFA.*FER2013"
    ):
        read(tmp_path)
