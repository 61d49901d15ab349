import io
import zipfile

import numpy as np
import pytest
from conftest import face_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_lib.errors import FerError
from fer_lib.faces import disk
from fer_lib.faces.disk import Disk, Problems, decode_picture, inspect_picture, is_system_file, read_picture

GREY = face_picture(64, 48, 0.3, seed=1)[0]


def encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


FILES = {
    (kind, mode): encoded(Image.fromarray(GREY).convert(mode), kind)
    for kind, mode in [
        ("PNG", "L"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("JPEG", "L"),
        ("TIFF", "L"),
        ("BMP", "RGB"),
        ("PPM", "L"),
    ]
}


@pytest.mark.parametrize("key", FILES)
def test_every_format_gives_the_same_grey(key):
    got = decode_picture(FILES[key])
    assert (got.dtype, got.shape) == (np.uint8, GREY.shape)
    assert np.abs(got.astype(int) - GREY).mean() < (6 if key[0] == "JPEG" else 0.5)
    assert inspect_picture(FILES[key])[:2] == (64, 48)


def test_colour_becomes_luma_and_transparency_is_ignored():
    colours = np.array([[[255, 0, 0, 255], [0, 255, 0, 0], [0, 0, 255, 128]]], np.uint8)
    got = decode_picture(encoded(Image.fromarray(colours), "PNG"))
    np.testing.assert_allclose(got[0], [0.299 * 255, 0.587 * 255, 0.114 * 255], atol=1)


def test_sixteen_bits_are_scaled_not_cut():
    wide = np.array([[0, 257, 256 * 200, 65535]], np.uint16)
    assert decode_picture(encoded(Image.fromarray(wide), "PNG")).tolist() == [[0, 1, 199, 255]]


def test_pictures_whose_grey_is_unknown_are_refused():
    with pytest.raises(FerError, match="floating-point"):
        decode_picture(encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"))
    with pytest.raises(FerError, match="damaged picture"):
        decode_picture(encoded(Image.merge("LAB", [Image.fromarray(GREY)] * 3), "TIFF"))


def test_huge_pictures_are_refused_before_they_are_decoded(monkeypatch):
    for limit in (2000, 1000):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(FerError, match="more than 89 million pixels"):
            inspect_picture(FILES["PNG", "L"])


@settings(max_examples=150)
@given(
    st.sampled_from(list(FILES)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.data(),
)
def test_damaged_bytes_are_decoded_or_refused_in_one_line(key, changes, data):
    damaged = bytearray(FILES[key])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for read in (inspect_picture, decode_picture):
        try:
            read(cut)
        except FerError as error:
            assert "\n" not in str(error)


def test_encrypted_and_oversized_members_are_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("secret.png", FILES["PNG", "L"])
        archive.writestr("big.png", bytes(5000))
        archive.writestr("fine.png", b"x")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(bytes(data))
    monkeypatch.setattr(disk, "LARGEST_MEMBER", 4999)
    problems = Problems()
    with Disk(tmp_path) as opened:
        assert list(opened.files("a.zip", problems)) == ["a.zip!/fine.png"]
    assert problems.frame()["problem"].tolist() == [
        "archive member is encrypted",
        "archive member of 5,000 bytes is larger than any picture or label",
    ]


def test_a_name_that_an_archive_holds_twice_is_reported(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("face.png", b"old")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("face.png", b"new")
    problems = Problems()
    with Disk(tmp_path) as opened:
        assert list(opened.files("a.zip", problems)) == ["a.zip!/face.png"]
        assert opened.read("a.zip!/face.png") == b"new"
    assert len(problems) == 1


def test_an_archive_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def forbidden(*args, **how):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.zip").write_bytes(b"")
    monkeypatch.setattr(zipfile, "ZipFile", forbidden)
    with pytest.raises(FerError, match=r"a\.zip: no permission to read this archive"):
        read_picture(tmp_path, "a.zip!/face.png")


@pytest.mark.parametrize("path", ["none.png", "a.zip!/none.png", "none.zip!/x.png", "folder"])
def test_what_is_not_there_is_named(tmp_path, path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(FerError, match=path.replace("!", ".").replace("/", ".")):
        read_picture(tmp_path, path)


def test_archives_are_closed_with_the_disk(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("face.png", FILES["PNG", "L"])
    np.testing.assert_array_equal(read_picture(tmp_path, "a.zip!/face.png"), GREY)
    (tmp_path / "a.zip").unlink()


@pytest.mark.parametrize(
    ("path", "litter"),
    [
        ("S005/.DS_Store", True),
        ("a.zip!/__MACOSX/S005/face.png", True),
        ("S005/._S005_001_00000001.png", True),
        ("Thumbs.db", True),
        ("S005/001/S005_001_00000001.png", False),
    ],
)
def test_litter_of_operating_systems_is_known(path, litter):
    assert is_system_file(path) == litter
