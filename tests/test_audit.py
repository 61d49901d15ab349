import os
import struct
import zlib

import numpy as np
import pytest
from conftest import exif, face_picture, turned, write_sequence
from PIL import Image

from fer_lib.errors import FerError
from fer_lib.faces.audit import audit
from fer_lib.faces.cropping import load_crops
from fer_lib.faces.reader import read
from fer_lib.faces.table import select_frames


def test_counts_stand_beside_the_published_ones(ckplus_tree):
    result = audit(ckplus_tree)
    counts = result.counts.set_index("count")
    ours, published = counts["ours"], counts["published"]
    assert ours[["subjects", "sequences", "pictures", "labelled sequences"]].tolist() == [5, 6, 27, 5]
    assert published[["subjects", "sequences", "labelled sequences"]].tolist() == [123, 593, 327]
    assert ours["FACS-coded sequences"] == 5
    assert (ours["disgust"], published["disgust"]) == (1, 59)
    assert (ours["AU9"], published["AU9"]) == (1, 74)
    assert ours["AU17"] == 1, "intensity 0 means present"
    assert ours["AU4"] == 2
    assert counts.loc["pictures"].isna().tolist() == [False, True]
    assert len(result.differing()) > 20


def test_a_set_that_has_ckpluss_counts_differs_nowhere(clean_tree):
    result = audit(clean_tree)
    same = result.counts.assign(published=result.counts["ours"])
    assert type(result)(result.root, same, result.pictures, result.problems).differing().empty


def test_the_quirky_tree_passes_with_its_flaws_named(ckplus_tree):
    result = audit(ckplus_tree)
    kinds = result.problems["problem"].value_counts().to_dict()
    assert kinds == {"system file": 5, "no FACS file": 1, "action unit 64 is not one of the studied": 1}
    assert result.pictures[["mode", "width", "height", "number"]].to_numpy().tolist() == [
        ["L", 160, 120, 10],
        ["L", 640, 490, 9],
        ["L", 640, 480, 4],
        ["RGB", 720, 480, 4],
    ]
    text = result.summary()
    assert "7 problems" in text
    assert "cohn-kanade-images/S895/001: no FACS file" in text
    assert "4 PNG RGB 720x480" in text


def test_a_flawless_set_says_so(clean_tree):
    assert audit(clean_tree).summary().endswith("no problems")


def test_damage_that_needs_decoding_is_found_and_the_rest_not_reported_twice(clean_tree):
    pictures = clean_tree / "cohn-kanade-images/S005/001"
    (pictures / "S005_001_00000001.png").write_bytes(b"")
    # A broken writer: every checksum is right, the pixels are no compressed data.
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 160, 120, 8, 0, 0, 0, 0)),
        (b"IDAT", bytes(range(256))),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [*chunks, (b"IEND", b"")]
    )
    (pictures / "S005_001_00000002.png").write_bytes(data)
    result = audit(clean_tree)
    found = result.problems.set_index("path")["problem"].to_dict()
    assert found.pop("cohn-kanade-images/S005/001/S005_001_00000001.png") == "empty file (0 bytes)"
    assert list(found) == ["cohn-kanade-images/S005/001/S005_001_00000002.png"]
    assert next(iter(found.values())).startswith("damaged picture")


def test_equal_pictures_broken_criteria_and_strangers_are_found(clean_tree):
    folder = clean_tree / "cohn-kanade-images/S010/002"
    (folder / "S010_002_00000002.png").write_bytes((folder / "S010_002_00000001.png").read_bytes())
    write_sequence(clean_tree, "S011_001", aus={4: 3}, expression="fear")
    (clean_tree / "Consent.pdf").write_bytes(b"x")
    (clean_tree / "FACS_labels.zip").write_bytes(b"x")
    (clean_tree / ".DS_Store").write_bytes(b"x")
    (clean_tree / "rendered").mkdir()
    result = audit(clean_tree)
    assert not result.sound
    found = result.problems.set_index("path")["problem"].to_dict()
    assert found == {
        ".DS_Store": "system file",
        "Consent.pdf": "not a part of CK+",
        "FACS_labels.zip": "second source of facs",
        "cohn-kanade-images/S011/001/S011_001_00000004.png": (
            "labelled fear, yet its action units 4 do not meet the criterion"
        ),
        "cohn-kanade-images/S010/002/S010_002_00000002.png": (
            "same content as cohn-kanade-images/S010/002/S010_002_00000001.png"
        ),
    }


def test_own_faces_have_no_published_counts(tmp_path):
    for name in "ab":
        grey = np.random.default_rng(ord(name)).integers(0, 256, (40, 40), dtype=np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{name}.png")
    (tmp_path / "faces.csv").write_text(
        "path,subject,expression,AU12\na.png,p1,happy,3\nb.png,p2,neutral,0\n"
    )
    result = audit(tmp_path / "faces.csv")
    assert result.counts["published"].isna().all()
    assert result.counts.set_index("count")["ours"][
        ["subjects", "sequences", "happy", "neutral", "AU12"]
    ].tolist() == [
        2,
        2,
        1,
        1,
        1,
    ]
    assert "published" not in result.summary()


def test_long_lists_are_cut_in_the_summary_not_in_the_table(clean_tree):
    for number in range(30):
        (clean_tree / f"note{number:02d}.txt").write_text("x")
    result = audit(clean_tree)
    assert len(result.problems) == 30
    assert "and 18 more" in result.summary()


def test_nothing_is_written_into_the_folder_of_the_faces(ckplus_tree):
    def snapshot():
        return [(p, p.lstat().st_size, p.lstat().st_mtime_ns) for p in sorted(ckplus_tree.rglob("*"))]

    before = snapshot()
    audit(ckplus_tree)
    load_crops(select_frames(read(ckplus_tree)))
    assert snapshot() == before


def test_a_folder_without_faces_is_refused(tmp_path):
    with pytest.raises(FerError, match="an empty folder"):
        audit(tmp_path)


def test_a_readme_beside_the_parts_is_listed_and_does_no_harm(clean_tree):
    (clean_tree / "README.txt").write_text("x")
    (clean_tree / "papers").mkdir()
    result = audit(clean_tree)
    assert result.sound and sorted(result.problems["path"]) == ["README.txt", "papers"]
    (clean_tree / "Emotion_labels.zip").write_bytes(b"x")
    assert not audit(clean_tree).sound, "which of two sources holds the labels is no small matter"


def test_system_files_alone_are_listed_and_do_no_harm(clean_tree):
    assert audit(clean_tree).sound
    (clean_tree / "Emotion/.DS_Store").write_bytes(b"x")
    result = audit(clean_tree)
    assert result.sound and result.problems["path"].tolist() == ["Emotion/.DS_Store"]


def test_upright_pictures_are_counted_and_odd_names_printed(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for i in range(2):
        turned(face_picture(80, 60, i, seed=i)[0], 6).save(folder / f"{i}\n.png", exif=exif(6))
    (folder / "faces.csv").write_text(
        'path,subject,AU45\n"0\n.png",a,1\n"1\n.png",b,1\nmissing\x1b.png,c,0\n'
    )
    result = audit(folder / "faces.csv")
    assert result.pictures[["width", "height", "number"]].to_numpy().tolist() == [[80, 60, 2]]
    text = result.summary()
    assert text.encode("utf-8")
    assert text.splitlines()[-5:] == [
        "2 problems",
        "  1 with the consequence: not used",
        "    faces.csv: 1 column is not known: 'AU45'",
        "  1 with the consequence: the picture cannot be cropped and is left out",
        "    missing\\x1b.png: no such file",
    ]
