import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from conftest import exif, face_picture, turned
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_lib.errors import FerError
from fer_lib.faces import disk
from fer_lib.faces.decoding import decode_picture, inspect_picture, read_picture
from fer_lib.faces.disk import Disk, is_system_file
from fer_lib.faces.problems import Problems, printable

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
        ("WEBP", "RGB"),
    ]
}


@pytest.mark.parametrize("key", FILES)
def test_every_format_gives_the_same_grey(key):
    got = decode_picture(FILES[key])
    assert (got.dtype, got.shape) == (np.uint8, GREY.shape)
    assert np.abs(got.astype(int) - GREY).mean() < (6 if key[0] in ("JPEG", "WEBP") else 0.5)
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
    assert problems.table()["problem"].tolist() == [
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


TURNED = [(kind, mode) for kind in ("PNG", "JPEG", "TIFF", "WEBP") for mode in ("L", "RGB")] + [
    ("PNG", "P"),
    ("PNG", "I;16"),
    ("TIFF", "I;16"),
    ("TIFF", "1"),
    ("JPEG", "CMYK"),
]


@pytest.mark.parametrize(("kind", "mode"), TURNED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_seen_upright(kind, mode, orientation):
    upright = np.where(GREY > 99, 255, 0).astype(np.uint8) if mode == "1" else GREY
    stored = turned(upright, orientation)
    wide = Image.fromarray(np.asarray(stored).astype(np.uint16) * 257)
    stored = wide if mode == "I;16" else stored.convert(mode)
    buffer = io.BytesIO()
    stored.save(buffer, kind, exif=exif(orientation))
    facts = inspect_picture(buffer.getvalue())
    assert (facts.width, facts.height, facts.format) == (64, 48, kind)
    assert np.abs(decode_picture(buffer.getvalue()).astype(int) - upright).mean() < 6


def test_an_orientation_behind_the_pixels_is_seen_too():
    buffer = io.BytesIO()
    turned(GREY, 6).save(buffer, "PNG")
    data = buffer.getvalue()
    body = b"eXIf" + exif(6).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = data.index(b"IEND") - 4
    data = data[:end] + chunk + data[end:]
    assert inspect_picture(data)[:2] == (64, 48)
    np.testing.assert_array_equal(decode_picture(data), GREY)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_there_is_not_turns_nothing(orientation):
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG", exif=exif(orientation))
    np.testing.assert_array_equal(decode_picture(buffer.getvalue()), GREY)


def test_metadata_that_cannot_be_read_turn_nothing():
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "JPEG", quality=95, exif=b"Exif\0\0no metadata at all")
    assert inspect_picture(buffer.getvalue())[:2] == (64, 48)
    assert np.abs(decode_picture(buffer.getvalue()).astype(int) - GREY).mean() < 6


@pytest.mark.parametrize(
    "kind", ["GIF", "AVIF", "DDS", "ICO", "TGA", "PCX", "JPEG2000", "SGI", "SPIDER", "EPS"]
)
def test_formats_that_are_not_meant_reach_no_decoder(kind, monkeypatch):
    if kind not in Image.SAVE:
        Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    mode = "F" if kind == "SPIDER" else "RGB"
    data = encoded(Image.fromarray(GREY).convert(mode), kind)

    def decoder(*given):
        raise AssertionError("decoded")

    monkeypatch.setitem(Image.OPEN, kind, (decoder, None))
    for read in (inspect_picture, decode_picture):
        with pytest.raises(FerError, match=r"not a picture in any known format .PNG, JPEG.*; save it as PNG"):
            read(data)


@pytest.mark.parametrize(
    "error", [EOFError(), KeyError(3), struct.error("x"), MemoryError(), NotImplementedError("y")]
)
def test_whatever_a_decoder_raises_is_one_line(monkeypatch, error):
    def failing(*given):
        raise error

    monkeypatch.setattr(Image.Image, "getexif", lambda picture: Image.Exif())
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", failing)
    with pytest.raises(FerError, match="damaged picture"):
        decode_picture(FILES["JPEG", "L"])


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_members_are_read_whatever_their_compression_and_damage_is_one_line(tmp_path, method):
    noise = np.random.default_rng(0).bytes(5000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("face.png", noise)
    whole = (tmp_path / "a.zip").read_bytes()
    start, end = whole.index(b"face.png") + 8, whole.index(b"PK\1\2")
    refused = 0
    with Disk(tmp_path) as opened:
        assert opened.read("a.zip!/face.png") == noise
    for place in range(start, end, max((end - start) // 40, 1)):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "a.zip").write_bytes(bytes(damaged))
        with Disk(tmp_path) as opened:
            try:
                # Not every bit of a compressed stream matters.
                assert opened.read("a.zip!/face.png") == noise
            except FerError as error:
                refused += 1
                assert (
                    str(error).startswith("unreadable (")
                    and "\n" not in str(error)
                    and "()" not in str(error)
                )
    assert refused >= 38


def archive_of(file, names, *, comment=b""):
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, f"content of {name}")
        archive.comment = comment
    return file.read_bytes()


def without(data: bytes, lost: set[str]) -> bytes:
    """Take entries out of an archive's directory, consistently, and leave the members where they are."""
    start, end = data.index(b"PK\1\2"), data.rindex(b"PK\5\6")
    entries = [b"PK\1\2" + entry for entry in data[start:end].split(b"PK\1\2")[1:]]
    kept = [
        entry
        for entry in entries
        if entry[46 : 46 + int.from_bytes(entry[28:30], "little")].decode() not in lost
    ]
    directory = b"".join(kept)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(kept), len(kept), len(directory), start, 0)
    return data[:start] + directory + last


@pytest.mark.parametrize(
    ("lost", "first"),
    [
        ({"b"}, ["b"]),
        ({"a"}, ["a"]),
        ({"d"}, ["d"]),
        ({"b", "c"}, ["b"]),
        ({"a", "c"}, ["a", "c"]),
        (set("abcd"), ["a"]),
    ],
)
@pytest.mark.parametrize("front", [b"", b"#!/bin/sh\nexec unzip\n"])
def test_members_that_a_shortened_directory_lacks_are_named(tmp_path, lost, first, front):
    whole = archive_of(tmp_path / "a.zip", "abcd")
    (tmp_path / "a.zip").write_bytes(front + without(whole, lost))
    problems = Problems()
    with Disk(tmp_path) as opened:
        assert list(opened.files("a.zip", problems)) == [
            f"a.zip!/{name}" for name in "abcd" if name not in lost
        ]
    rows = problems.table()
    named = first if not front else [name for name in first if name != "a"]
    assert rows["path"].tolist() == [f"a.zip!/{name}" for name in named]
    assert rows["problem"].str.contains("its directory lacks members").all()


def test_members_written_to_a_stream_leave_no_gap(tmp_path):
    class Stream(io.RawIOBase):
        def __init__(self):
            self.parts = []

        def writable(self):
            return True

        def write(self, data):
            self.parts.append(bytes(data))
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            archive.writestr(name, name * 99)
    data = b"".join(stream.parts)
    for lost in ((), ("b",)):
        (tmp_path / "a.zip").write_bytes(without(data, set(lost)) if lost else data)
        problems = Problems()
        with Disk(tmp_path) as opened:
            assert len(list(opened.files("a.zip", problems))) == 3 - len(lost)
        assert problems.table()["path"].tolist() == [f"a.zip!/{name}" for name in lost]


def test_a_member_without_a_name_is_refused(tmp_path):
    data = archive_of(tmp_path / "a.zip", ["a.png", "b.png"])
    (tmp_path / "a.zip").write_bytes(data.replace(b"a.png", b"\0.png"))  # a name ends at a zero
    problems = Problems()
    with Disk(tmp_path) as opened:
        assert list(opened.files("a.zip", problems)) == ["a.zip!/b.png"]
    assert problems.table()["problem"].tolist() == ["archive member has no name"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=5),
    st.integers(0, 600),
    st.booleans(),
)
def test_damaged_archives_give_their_members_or_one_line_each(tmp_path, changes, cut, shorten):
    data = bytearray(archive_of(tmp_path / "a.zip", ["face.png", "Ω.txt"], comment=b"x" * 5))
    for place, value in changes:
        data[place % len(data)] = value
    (tmp_path / "a.zip").write_bytes(bytes(data[:cut] if shorten else data))
    problems = Problems()
    with Disk(tmp_path) as opened:
        try:
            paths = list(opened.files("a.zip", problems))
        except FerError as error:
            assert "not a readable zip archive" in str(error) and "\n" not in str(error)
            return
        for path in paths:
            try:
                opened.read(path)
            except FerError as error:
                assert "\n" not in str(error)


def test_a_refused_member_is_not_read_under_its_path_either(tmp_path, monkeypatch):
    archive_of(tmp_path / "a.zip", ["face.png"])
    monkeypatch.setattr(disk, "LARGEST_MEMBER", 4)
    with pytest.raises(FerError, match="larger than any picture"):
        read_picture(tmp_path, "a.zip!/face.png")


@pytest.mark.parametrize(
    ("name", "line"),
    [("plain ä.png", "plain ä.png"), ("a\nb", "a\\nb"), ("\udcff", "\\udcff"), ("\x1b[2J", "\\x1b[2J")],
)
def test_names_are_shown_on_one_line_of_valid_text(name, line):
    assert printable(name) == line
    assert printable(name).encode("utf-8")


def test_values_of_no_known_range_are_refused_when_faces_are_read_and_not_clipped():
    wide = np.array([[0, 300], [65_535, 70_000]], np.int32)
    for values, message in (
        (wide, "grey values from 0 to 70000"),
        (-wide, "grey values from -70000"),
        (wide.astype(np.float32), "floating-point"),
    ):
        file = encoded(Image.fromarray(values), "TIFF")
        for read in (inspect_picture, decode_picture):
            with pytest.raises(FerError, match=message):
                read(file)
    fits = encoded(Image.fromarray(wide.clip(0, 65_535)), "TIFF")
    assert decode_picture(fits).tolist() == [[0, 1], [255, 255]]
