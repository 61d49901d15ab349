import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import exif, face_picture, number_lines, seed_of, turned, write_sequence
from PIL import Image

from fer_lib.errors import FerError
from fer_lib.faces.ckplus import read_ckplus
from fer_lib.faces.decoding import read_picture
from fer_lib.faces.reader import read as read_faces
from fer_lib.faces.table import AU_COLUMNS, BOX, COLUMNS, Faces, load, save, select_frames, with_box

PICTURE = "cohn-kanade-images/S005/001/S005_001_00000003.png"
LANDMARKS = "Landmarks/S005/001/S005_001_00000003_landmarks.txt"
FACS = "FACS/S005/001/S005_001_00000005_facs.txt"
EMOTION = "Emotion/S005/001/S005_001_00000005_emotion.txt"


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    return {p.as_posix(): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in sorted(root.rglob("*"))}


def row_of(read: Faces, path: str):
    (row,) = (r for r in read.table.itertuples() if r.path == path)
    return row


def problem_of(read: Faces, path: str) -> tuple[str, str]:
    (found,) = read.problems[read.problems["path"] == path][["problem", "consequence"]].to_numpy().tolist()
    return tuple(found)


def test_every_quirk_of_the_real_set_is_read(ckplus_tree):
    before = snapshot(ckplus_tree)
    read = read_ckplus(ckplus_tree)
    table = read.table
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 5 + 4 + 4 + 6 + 4 + 4
    assert table["sequence"].unique().tolist() == [
        "S005_001",
        "S010_001",
        "S010_002",
        "S501_001",
        "S895_001",
        "S999_001",
    ]
    assert table.groupby("sequence")["expression"].first().to_dict() == {
        "S005_001": "disgust",
        "S010_001": "",
        "S010_002": "happy",
        "S501_001": "surprise",
        "S895_001": "contempt",
        "S999_001": "anger",
    }
    s501 = table[table["sequence"] == "S501_001"]
    assert s501["frame"].tolist() == [1, 2, 3, 4, 5, 6]
    assert s501["position"].tolist() == [0, 1, 2, 3, 4, 5]
    assert set(s501["length"]) == {6}
    assert table[["left", "top", "right", "bottom"]].notna().all(axis=None)
    assert snapshot(ckplus_tree) == before


def test_codes_stand_on_the_last_frame_alone_and_zero_means_present(ckplus_tree):
    read = read_ckplus(ckplus_tree)
    s005 = read.table[read.table["sequence"] == "S005_001"]
    assert s005[list(AU_COLUMNS)].iloc[:-1].isna().all(axis=None)
    peak = s005.iloc[-1]
    assert (peak["AU9"], peak["AU17"], peak["AU4"], peak["AU12"]) == (4.0, -1.0, 3.0, 0.0)


def test_a_missing_facs_file_is_unknown_not_absent(ckplus_tree):
    read = read_ckplus(ckplus_tree)
    s895 = read.table[read.table["sequence"] == "S895_001"]
    assert s895[list(AU_COLUMNS)].isna().all(axis=None)
    assert problem_of(read, "cohn-kanade-images/S895/001") == (
        "no FACS file",
        "its action units are unknown, not absent",
    )


def test_only_real_flaws_of_the_quirky_tree_are_problems(ckplus_tree):
    found = read_ckplus(ckplus_tree).problems
    assert found[found["problem"] != "system file"]["path"].tolist() == [
        "FACS/S501/001/S501_001_00000006_facs.txt",
        "cohn-kanade-images/S895/001",
    ]
    assert (found["problem"] == "system file").sum() == 5


def test_a_flawless_tree_has_no_problems(clean_tree):
    read = read_ckplus(clean_tree)
    assert read.problems.empty
    assert list(read.problems.columns) == ["path", "problem", "consequence"]


def test_landmarks_and_box_are_those_of_the_file(clean_tree):
    read = read_ckplus(clean_tree)
    row = row_of(read, PICTURE)
    _, points = face_picture(160, 120, 0.5, seed=seed_of("S005_001", 3))
    np.testing.assert_allclose(read.landmarks[row.Index], points, rtol=1e-6)
    expected = [points[:, 0].min(), points[:, 1].min(), points[:, 0].max(), points[:, 1].max()]
    np.testing.assert_allclose([row.left, row.top, row.right, row.bottom], expected, rtol=1e-6)


def zipped(root: Path, into: Path, *, renamed: bool = False) -> Path:
    into.mkdir()
    names = {
        "cohn-kanade-images": "extended-cohn-kanade-images.zip" if renamed else "cohn-kanade-images.zip",
        "Landmarks": "Landmarks.zip",
        "FACS": "FACS_labels.zip",
        "Emotion": "Emotion_labels.zip",
    }
    for part, name in names.items():
        with zipfile.ZipFile(into / name, "w") as archive:
            for file in sorted((root / part).rglob("*")):
                archive.write(file, file.relative_to(root).as_posix())
    return into


@pytest.mark.parametrize("renamed", [False, True])
def test_original_zips_read_in_place_give_the_same_faces(ckplus_tree, tmp_path, renamed):
    folder = zipped(ckplus_tree, tmp_path / "zips", renamed=renamed)
    before = snapshot(folder)
    unpacked, packed = read_ckplus(ckplus_tree), read_ckplus(folder)
    np.testing.assert_array_equal(unpacked.landmarks, packed.landmarks)
    assert unpacked.table.drop(columns="path").equals(packed.table.drop(columns="path"))
    first, name = packed.table["path"][0], "extended-cohn-kanade-images" if renamed else "cohn-kanade-images"
    assert first == f"{name}.zip!/cohn-kanade-images/S005/001/S005_001_00000001.png"
    np.testing.assert_array_equal(
        read_picture(packed.root, first),
        read_picture(unpacked.root, unpacked.table["path"][0]),
    )
    assert snapshot(folder) == before


def test_folders_and_zips_may_be_mixed_and_one_zip_names_its_folder(ckplus_tree, tmp_path):
    folder = zipped(ckplus_tree, tmp_path / "zips")
    (ckplus_tree / "Landmarks").rename(folder / "Landmarks")
    (folder / "Landmarks.zip").unlink()
    read = read_faces(folder / "cohn-kanade-images.zip")
    assert len(read) == 27
    assert read.table["left"].notna().all()


def test_zip_members_that_reach_outside_or_link_are_refused(clean_tree, tmp_path):
    folder = zipped(clean_tree, tmp_path / "zips")
    with zipfile.ZipFile(folder / "cohn-kanade-images.zip", "a") as archive:
        archive.writestr("../../S005/001/S005_001_00000009.png", b"x")
        archive.writestr("/etc/S005/001/S005_001_00000010.png", b"x")
        archive.writestr("..\\S005\\001\\S005_001_00000011.png", b"x")
        link = zipfile.ZipInfo("cohn-kanade-images/S005/001/S005_001_00000012.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    read = read_ckplus(folder)
    assert len(read) == 9
    assert read.problems["problem"].value_counts().to_dict() == {
        "archive member points outside the archive": 3,
        "archive member is a link": 1,
    }
    assert not list(tmp_path.rglob("S005_001_00000009.png"))


def test_a_damaged_zip_member_is_one_problem(clean_tree, tmp_path):
    folder = zipped(clean_tree, tmp_path / "zips")
    archive = folder / "cohn-kanade-images.zip"
    with zipfile.ZipFile(archive) as z:
        info = z.infolist()[3]
    data = bytearray(archive.read_bytes())
    data[info.header_offset + 500] ^= 0xFF
    archive.write_bytes(bytes(data))
    read = read_ckplus(folder)
    assert len(read) == 9
    assert len(read.problems) == 1
    assert read.problems["problem"][0].startswith("unreadable")


def test_a_damaged_label_archive_leaves_the_pictures_readable(clean_tree, tmp_path):
    folder = zipped(clean_tree, tmp_path / "zips")
    (folder / "Emotion_labels.zip").write_bytes(b"PK\3\4 half a download")
    read = read_ckplus(folder)
    assert (read.table["expression"] == "").all()
    assert read.problems["problem"][0].startswith("not a readable zip archive")
    (folder / "cohn-kanade-images.zip").write_bytes(b"")
    with pytest.raises(FerError, match=r"cohn-kanade-images\.zip: not a readable zip archive"):
        read_ckplus(folder)


def damaged_picture(kind: str, file: Path) -> None:
    data = file.read_bytes()
    grey = Image.open(file)
    grey.load()
    if kind == "zero bytes":
        file.write_bytes(b"")
    elif kind == "truncated":
        file.write_bytes(data[: len(data) // 2])
    elif kind == "flipped bit":
        file.write_bytes(data[:900] + bytes([data[900] ^ 1]) + data[901:])
    elif kind == "text":
        file.write_text("this is no picture")
    elif kind == "jpeg":
        grey.save(file, format="JPEG", quality=95)
    elif kind == "half a jpeg":
        grey.save(file, format="JPEG", quality=95)
        file.write_bytes(file.read_bytes()[:1500])
    elif kind == "half a bmp":
        grey.save(file, format="BMP")
        file.write_bytes(file.read_bytes()[:9000])
    elif kind == "no end":
        file.write_bytes(data[:-12])
    elif kind == "16 bit":
        Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(file)
    elif kind == "rgb":
        grey.convert("RGB").save(file)
    elif kind == "alpha":
        grey.convert("LA").save(file)
    elif kind == "palette":
        grey.convert("P").save(file)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("zero bytes", r"empty file \(0 bytes\)"),
        ("truncated", "damaged picture"),
        ("flipped bit", "damaged picture"),
        ("text", "not a picture in any known format"),
        ("half a jpeg", "damaged picture"),
        ("half a bmp", "damaged picture"),
    ],
)
def test_an_unreadable_picture_stays_in_the_table_without_a_box(clean_tree, kind, message):
    damaged_picture(kind, clean_tree / PICTURE)
    read = read_ckplus(clean_tree)
    row = row_of(read, PICTURE)
    assert len(read) == 9
    assert row.length == 5
    assert np.isnan(row.left)
    problem, consequence = problem_of(read, PICTURE)
    assert re.match(message, problem)
    assert consequence == "the frame cannot be cropped and is left out"
    assert len(with_box(read)) == 8
    with pytest.raises(FerError, match=r"S005_001_00000003\.png: .*repair or remove this picture"):
        read_picture(read.root, PICTURE)


def test_a_picture_without_its_end_is_left_out_though_its_pixels_are_there(clean_tree):
    damaged_picture("no end", clean_tree / PICTURE)
    assert problem_of(read_ckplus(clean_tree), PICTURE)[0].startswith("damaged picture")


@pytest.mark.parametrize("kind", ["16 bit", "rgb", "alpha", "palette", "jpeg"])
def test_other_kinds_of_pictures_become_the_same_grey(clean_tree, kind):
    grey = read_picture(clean_tree, PICTURE)
    damaged_picture(kind, clean_tree / PICTURE)
    read = read_ckplus(clean_tree)
    assert row_of(read, PICTURE).left > 0
    again = read_picture(clean_tree, PICTURE)
    assert again.dtype == np.uint8
    assert again.shape == grey.shape
    if kind == "jpeg":
        assert problem_of(read, PICTURE)[0] == "wrong extension, the content is JPEG"
        assert np.abs(again.astype(int) - grey).mean() < 3
    else:
        assert read.problems.empty
        assert np.abs(again.astype(int) - grey).max() <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no landmarks file"),
        ("", "empty file"),
        (number_lines([[100, 100]] * 40), "40 of 68 landmarks"),
        (number_lines([[100, 100]] * 67) + "  1.0e+02", "line 68: 1 of 2 numbers"),
        (number_lines([[100, 100]] * 67) + "abc 3", "line 68: 'abc' is not a number"),
        (number_lines([[40 + i, 20 + i] for i in range(67)]) + "nan nan", "1 of 68 landmarks are not finite"),
        (number_lines([[i, i] for i in range(300, 368)]), "the landmarks leave a face of 0x0 pixels"),
    ],
)
def test_bad_landmarks_leave_the_frame_without_a_box(clean_tree, text, message):
    file = clean_tree / LANDMARKS
    file.unlink()
    if text is not None:
        file.write_text(text)
    read = read_ckplus(clean_tree)
    row = row_of(read, PICTURE)
    assert np.isnan([row.left, row.top, row.right, row.bottom]).all()
    problem, consequence = problem_of(read, PICTURE if text is None else LANDMARKS)
    assert message in problem
    assert consequence == "the frame cannot be cropped and is left out"


def test_landmarks_outside_the_picture_cut_the_box_at_its_edge(clean_tree):
    (clean_tree / LANDMARKS).write_text(number_lines([[20 + 2 * i, -10 + 2 * i] for i in range(68)]))
    read = read_ckplus(clean_tree)
    row = row_of(read, PICTURE)
    assert (row.left, row.top, row.right, row.bottom) == (20, 0, 154, 119)
    assert problem_of(read, LANDMARKS)[0] == "8 landmarks outside the picture"
    assert read.landmarks[row.Index, 0].tolist() == [20, -10]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("  9.0e+00\n", "line 1: 1 of 2 numbers"),
        ("  9.0e+00  E\n", "line 1: 'E' is not a number"),
        ("  9.0e+00  6.0e+00\n", "action unit 9 has intensity 6"),
        ("  9.5e+00  1.0e+00\n", "9.5 is not the number of an action unit"),
        ("  nan  1.0e+00\n", "nan is not the number of an action unit"),
        ("\x00\xff\xfe", "is not a number"),
    ],
)
def test_bad_facs_files_leave_action_units_unknown(clean_tree, text, message):
    (clean_tree / FACS).write_text(text)
    read = read_ckplus(clean_tree)
    assert read.table[read.table["sequence"] == "S005_001"]["AU9"].isna().all()
    problem, consequence = problem_of(read, FACS)
    assert message in problem
    assert consequence == "the sequence's action units are unknown, not absent"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("   9.0000000e+00\n", "emotion code 9 is not one of 0 to 7"),
        ("   nan\n", "emotion code nan"),
        ("   happy\n", "line 1: 'happy' is not a number"),
        ("  1.0e+00\n  2.0e+00\n", "2 emotion codes instead of one"),
    ],
)
def test_bad_emotion_files_leave_the_sequence_unlabelled(clean_tree, text, message):
    (clean_tree / EMOTION).write_text(text)
    read = read_ckplus(clean_tree)
    assert set(read.table[read.table["sequence"] == "S005_001"]["expression"]) == {""}
    problem, consequence = problem_of(read, EMOTION)
    assert message in problem
    assert consequence == "the sequence counts as unlabelled"


def test_duplicate_frames_second_labels_and_strays_are_reported(clean_tree):
    pictures = clean_tree / "cohn-kanade-images"
    (pictures / "S005/001/S005_001_3.png").write_bytes((clean_tree / PICTURE).read_bytes())
    (pictures / "S005/001/S005_001_00000003 (1).png").write_bytes(b"")
    (pictures / "S010/002/S005_001_00000004.png").write_bytes(b"")
    (clean_tree / "Emotion/S005/001/S005_001_00000004_emotion.txt").write_text("  1.0e+00\n")
    (clean_tree / "FACS/S010/002/S010_002_00000004_facs.txt").rename(
        clean_tree / "FACS/S010/002/S010_002_00000009_facs.txt"
    )
    write_sequence(clean_tree, "S011_001", aus={12: 1})
    for file in (pictures / "S011/001").iterdir():
        file.unlink()
    read = read_ckplus(clean_tree)
    assert len(read) == 9
    assert sorted(read.problems["problem"]) == sorted(
        [
            "duplicate of S005_001_00000003.png",
            "name is not that of a CK+ pictures file",
            "name does not fit its folder S010/002",
            "second emotion file of S005_001",
            "it belongs to frame 9, the last picture is frame 4",
            *["no pictures of sequence S011_001"] * 5,
        ]
    )
    assert problem_of(read, "FACS/S010/002/S010_002_00000009_facs.txt")[1] == (
        "not used: the sequence's action units are unknown, not absent"
    )
    assert np.isnan(row_of(read, "cohn-kanade-images/S010/002/S010_002_00000004.png").AU12)


def test_gaps_and_single_frames_are_reported(clean_tree):
    write_sequence(clean_tree, "S011_001", frames=[1, 2, 5], aus={12: 1})
    write_sequence(clean_tree, "S011_002", frames=1, aus={12: 1}, expression="happy")
    (clean_tree / "cohn-kanade-images/S011/001/S011_001_00000002.png").unlink()
    read = read_ckplus(clean_tree)
    assert problem_of(read, "cohn-kanade-images/S011/001")[0] == "no picture of frame 2, 3, 4"
    assert problem_of(read, "cohn-kanade-images/S011/002")[0] == "one frame only"
    stray = "Landmarks/S011/001/S011_001_00000002_landmarks.txt"
    assert problem_of(read, stray) == ("no picture of frame 2", "not used")


@pytest.mark.parametrize(
    ("part", "consequence"),
    [
        ("Landmarks", "no face can be cropped"),
        ("FACS", "no action unit is known"),
        ("Emotion", "no sequence has an expression label"),
    ],
)
def test_a_missing_part_is_one_problem(clean_tree, part, consequence):
    (clean_tree / part).rename(clean_tree / "elsewhere")
    read = read_ckplus(clean_tree)
    assert len(read) == 9
    assert read.problems["consequence"].tolist() == [consequence]


def test_folders_that_are_not_ckplus_say_what_was_expected_and_found(clean_tree, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    holiday = tmp_path / "holiday"
    holiday.mkdir()
    (holiday / "beach.jpg").write_bytes(b"")
    subjects = tmp_path / "subjects"
    (subjects / "S005/001").mkdir(parents=True)
    bare = tmp_path / "renamed/bare"
    (bare / "cohn-kanade-images").mkdir(parents=True)
    for folder, message in [
        (tmp_path / "nowhere", "no such folder; expected a folder with cohn-kanade-images"),
        (empty, "an empty folder; expected"),
        (holiday, "not CK\\+; expected .* found beach.jpg"),
        (holiday / "beach.jpg", "a file; expected"),
        (clean_tree.parent, f"one level too high; .* give {clean_tree}$"),
        (clean_tree / "cohn-kanade-images", f"too deep.* give {clean_tree}$"),
        (clean_tree / "cohn-kanade-images/S005", f"too deep.* give {clean_tree}$"),
        (clean_tree / "cohn-kanade-images/S005/001", f"too deep.* give {clean_tree}$"),
        (clean_tree / "Landmarks", f"too deep.* give {clean_tree}$"),
        (subjects, "too deep, it holds subjects"),
        (bare, "no picture named like"),
    ]:
        with pytest.raises(FerError, match=message) as caught:
            read_ckplus(folder)
        assert "\n" not in str(caught.value)


def test_files_without_read_permission_are_reported(clean_tree, monkeypatch):
    forbidden = {clean_tree / PICTURE, clean_tree / FACS}
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path in forbidden:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    read = read_ckplus(clean_tree)
    assert problem_of(read, PICTURE)[0] == "no permission to read it"
    assert problem_of(read, FACS)[0] == "no permission to read it"


def test_a_folder_without_permission_is_reported(clean_tree, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("cohn-kanade-images/S010"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    read = read_ckplus(clean_tree)
    assert problem_of(read, "cohn-kanade-images/S010") == (
        "folder cannot be listed (Permission denied)",
        "nothing in it is read",
    )


def test_a_set_behind_a_closed_door_is_named(clean_tree, monkeypatch):
    real = os.stat

    def stat(path, **how):
        if str(path).startswith(str(clean_tree)):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **how)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "listdir", lambda path: stat(path))
    monkeypatch.setattr(os, "scandir", lambda path: stat(path))
    for path in (clean_tree, clean_tree / "faces.csv", clean_tree / "Landmarks.zip"):
        with pytest.raises(FerError, match=f"{path}.*no permission to read"):
            read_faces(path)


def test_archives_unpacked_each_into_a_folder_of_its_own_are_found(clean_tree, tmp_path):
    names = {
        "FACS": "FACS_labels",
        "Emotion": "Emotion_labels",
        "cohn-kanade-images": "extended-cohn-kanade-images",
    }
    expected = read_ckplus(clean_tree).table.drop(columns="path")
    for part, name in names.items():
        (clean_tree / part).rename(tmp_path / "part")
        (clean_tree / name).mkdir()
        (tmp_path / "part").rename(clean_tree / name / part)
    read = read_ckplus(clean_tree)
    assert read.problems.empty
    assert read.table.drop(columns="path").equals(expected)


def test_linked_folders_are_read_and_loops_end(clean_tree, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for part in ("cohn-kanade-images", "Landmarks", "FACS", "Emotion"):
        (linked / part).symlink_to(clean_tree / part)
    (clean_tree / "cohn-kanade-images/S005/loop").symlink_to(clean_tree / "cohn-kanade-images")
    (clean_tree / "cohn-kanade-images/S010/root").symlink_to("/")
    read = read_ckplus(linked)
    assert len(read) == 9
    assert read.problems["path"].tolist() == [
        "cohn-kanade-images/S005/loop",
        "cohn-kanade-images/S010/root",
    ]
    assert set(read.problems["problem"]) == {"link to a folder that holds it"}


@pytest.mark.parametrize("alias", ["S001", "S006", "S005/000", "S005/002", "A", "copy of S005", "S005/A"])
@pytest.mark.parametrize("part", ["cohn-kanade-images", "Landmarks", "FACS", "Emotion"])
def test_an_alias_neither_swallows_the_real_folder_nor_counts_twice(clean_tree, alias, part):
    expected = read_ckplus(clean_tree)
    target = clean_tree / part / "S005" / ("001" if "/" in alias else "")
    (clean_tree / part / alias).symlink_to(target)
    read = read_ckplus(clean_tree)
    assert read.table.equals(expected.table)
    np.testing.assert_array_equal(read.landmarks, expected.landmarks)
    assert read.problems["path"].str.startswith(f"{part}/{alias}").all()
    assert set(read.problems["consequence"]) == {"not used"}


def test_links_to_one_folder_elsewhere_leave_the_one_whose_name_fits(clean_tree, tmp_path):
    expected = read_ckplus(clean_tree).table
    pictures = clean_tree / "cohn-kanade-images"
    (pictures / "S005").rename(tmp_path / "person five")
    for name in ("S001", "S005", "S006"):
        (pictures / name).symlink_to(tmp_path / "person five")
    (pictures / "S003").mkdir()
    (pictures / "S003/001").symlink_to(tmp_path / "person five/001")
    assert read_ckplus(clean_tree).table.equals(expected)


def labelled(faces: Faces) -> dict[str, str]:
    chosen = select_frames(faces, labelled_only=False).table
    return dict(zip(chosen["path"].str[-7:-4], chosen["label"], strict=True))


@pytest.mark.parametrize("kept", [range(1, 2), range(1, 4), range(2, 5), [1, 3]])
def test_labels_of_a_picture_that_is_missing_are_put_on_no_other(tmp_path, kept):
    root = tmp_path / "half"
    write_sequence(root, "S005_001", frames=5, aus={9: 4}, expression="disgust")
    for frame in set(range(1, 6)) - set(kept):
        (root / f"cohn-kanade-images/S005/001/S005_001_{frame:08d}.png").unlink()
    read = read_ckplus(root)
    assert (read.table["expression"] == "").all()
    assert set(labelled(read).values()) == {""}
    assert select_frames(read, labelled_only=False).table[list(AU_COLUMNS)].isna().all(axis=None)
    for file, unknown in (
        (EMOTION, "counts as unlabelled"),
        (FACS, "action units are unknown, not absent"),
    ):
        problem, consequence = problem_of(read, file)
        assert problem == f"it belongs to frame 5, the last picture is frame {max(kept)}"
        assert consequence.startswith("not used") and unknown in consequence


def test_labels_of_a_picture_before_the_last_are_not_moved_to_the_last(clean_tree):
    for part, kind in (("Emotion", "emotion"), ("FACS", "facs")):
        folder = clean_tree / part / "S005/001"
        (folder / f"S005_001_00000005_{kind}.txt").rename(folder / f"S005_001_00000003_{kind}.txt")
    read = read_ckplus(clean_tree)
    s005 = read.table[read.table["sequence"] == "S005_001"]
    assert (s005["expression"] == "").all()
    assert s005[list(AU_COLUMNS)].isna().all(axis=None)
    assert read.problems["problem"].tolist() == ["it belongs to frame 3, the last picture is frame 5"] * 2


def test_a_sequence_that_begins_late_has_no_neutral_frame(tmp_path):
    root = tmp_path / "late"
    write_sequence(root, "S005_001", frames=range(4, 9), aus={9: 4}, expression="disgust")
    read = read_ckplus(root)
    assert read.table["position"].tolist() == [3, 4, 5, 6, 7]
    assert set(read.table["length"]) == {8}
    assert problem_of(read, "cohn-kanade-images/S005/001") == (
        "its first picture is frame 4, not 1",
        "none of its frames counts as neutral",
    )
    assert labelled(read) == {"006": "disgust", "007": "disgust", "008": "disgust"}
    chosen = select_frames(read, last=9).table
    assert (chosen["label"] == "disgust").all()
    assert (chosen["AU9"] == 4).all()


def test_frames_beside_a_gap_keep_their_distance_from_the_peak(tmp_path):
    root = tmp_path / "gap"
    write_sequence(root, "S005_001", frames=[1, 2, 7], aus={9: 4}, expression="disgust")
    read = read_ckplus(root)
    assert read.table["position"].tolist() == [0, 1, 6]
    assert labelled(read) == {"001": "neutral", "007": "disgust"}


def test_a_frame_number_of_eight_nines_is_one_line(clean_tree):
    picture = clean_tree / PICTURE
    picture.rename(picture.with_name("S005_001_99999999.png"))
    (clean_tree / LANDMARKS).rename(clean_tree / LANDMARKS.replace("00000003_", "99999999_"))
    (picture.parent / f"S005_001_{'9' * 40}.png").write_bytes(b"x")
    read = read_ckplus(clean_tree)
    assert len(read) == 9
    rows = read.problems.set_index("path")["problem"]
    assert rows["cohn-kanade-images/S005/001"] == (
        "no picture of frame 3, 6, 7, 8, 9, 10, 11, 12 and 99999986 more"
    )
    assert "name is not that of a CK+ pictures file" in rows.tolist()


@pytest.mark.parametrize("depth", ["", "S005/"])
@pytest.mark.parametrize("packed", [False, True])
def test_flat_folders_of_labels_are_read(clean_tree, tmp_path, depth, packed):
    expected = read_ckplus(clean_tree)
    for part in ("FACS", "Emotion", "Landmarks"):
        for file in sorted((clean_tree / part / "S005/001").iterdir()):
            file.rename(clean_tree / part / depth / file.name)
    read = read_ckplus(zipped(clean_tree, tmp_path / "zips") if packed else clean_tree)
    assert read.problems.empty
    assert read.table.drop(columns="path").equals(expected.table.drop(columns="path"))


def test_a_flat_file_in_anothers_folder_is_not_read(clean_tree):
    (clean_tree / FACS).rename(clean_tree / "FACS/S010" / Path(FACS).name)
    assert problem_of(read_ckplus(clean_tree), "FACS/S010/S005_001_00000005_facs.txt") == (
        "name does not fit its folder FACS/S010",
        "not used",
    )


@pytest.mark.parametrize("part", ["FACS", "Emotion", "Landmarks"])
def test_a_part_without_a_file_is_one_problem(clean_tree, part):
    (clean_tree / part).rename(clean_tree / "elsewhere")
    (clean_tree / part / "S005/001").mkdir(parents=True)
    found = read_ckplus(clean_tree).problems
    assert found["problem"].tolist() == [f"holds no {part.lower()} file"]


def test_names_that_are_not_utf8_are_one_line_each(clean_tree, tmp_path):
    pictures = os.fsencode(clean_tree / "cohn-kanade-images")
    Path(os.fsdecode(pictures + b"/caf\xe9")).mkdir()
    (clean_tree / "cohn-kanade-images/S005").rename(os.fsdecode(pictures + b"/caf\xe9/S005"))
    Path(os.fsdecode(pictures + b"/S010/002/r\xe9sum\xe9.txt")).write_bytes(b"x")
    Path(os.fsdecode(pictures + b"/S010/002/two\nlines.txt")).write_bytes(b"x")
    read = read_ckplus(clean_tree)
    assert len(read) == 4
    listed = read.problems["path"]
    assert listed.str.startswith("cohn-kanade-images/caf\\udce9/S005/001/").sum() == 5
    assert "cohn-kanade-images/S010/002/two\\nlines.txt" in set(listed)
    save(read, tmp_path / "stored")
    assert load(tmp_path / "stored", clean_tree).problems.equals(read.problems)


@pytest.mark.parametrize("file", [PICTURE, LANDMARKS, FACS, EMOTION])
def test_a_pipe_among_the_files_is_not_read(clean_tree, file):
    (clean_tree / file).unlink()
    os.mkfifo(clean_tree / file)
    assert problem_of(read_ckplus(clean_tree), file)[0] == "a pipe, socket or device, not a file"


def test_a_pipe_in_place_of_an_archive_is_not_read(clean_tree):
    (clean_tree / "FACS").rename(clean_tree / "elsewhere")
    os.mkfifo(clean_tree / "FACS_labels.zip")
    read = read_ckplus(clean_tree)
    assert read.problems["problem"].str.endswith("a pipe, socket or device, not a file").tolist() == [True]
    assert read.table[list(AU_COLUMNS)].isna().all(axis=None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_landmarks_are_those_of_the_upright_picture(clean_tree, orientation):
    upright = read_picture(clean_tree, PICTURE)
    expected = row_of(read_ckplus(clean_tree), PICTURE)
    turned(upright, orientation).save(clean_tree / PICTURE, exif=exif(orientation))
    read = read_ckplus(clean_tree)
    assert read.problems.empty
    row = row_of(read, PICTURE)
    assert [getattr(row, side) for side in BOX] == [getattr(expected, side) for side in BOX]
    np.testing.assert_array_equal(read_picture(clean_tree, PICTURE), upright)
