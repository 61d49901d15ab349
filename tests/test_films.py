"""Films: frames come in their order or out of it, and without PyAV the refusal says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import face_picture
from data_sets import draw, write_disfa

from fer_lib.errors import FerError
from fer_lib.faces.audit import audit
from fer_lib.faces.cropping import load_crops
from fer_lib.faces.decoding import read_picture
from fer_lib.faces.digest import digest_of_faces
from fer_lib.faces.disk import Disk
from fer_lib.faces.reader import read

FRAMES = 12


def grey(frame: int) -> np.ndarray:
    return face_picture(64, 48, frame / FRAMES, seed=frame)[0]


def write_film(path: Path, frames: int = FRAMES, codec: str = "ffv1") -> Path:
    """Write a film; FFV1 keeps every pixel."""
    av = pytest.importorskip("av", reason="films need PyAV, the extra 'video'")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for number in range(1, frames + 1):
            rgb = np.repeat(grey(number)[..., None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_filmed_disfa(root: Path, codec: str = "ffv1") -> Path:
    write_disfa(root, {"SN001": FRAMES, "SN010": FRAMES}, pictures="")
    for person in ("SN001", "SN010"):
        write_film(root / "Videos" / f"LeftVideo{person}_comp.avi", codec=codec)
    return root


def test_frames_are_numbered_from_1_in_whatever_order_they_are_asked_for(tmp_path: Path) -> None:
    write_film(tmp_path / "film.avi")
    order = [1, 2, 3, 7, 3, 12, 12, 1, 11]
    with Disk(tmp_path) as disk:
        film = disk.numbered("film.avi")
        assert film.size == (64, 48) and film.count() == FRAMES  # type: ignore[union-attr]
        for frame in order:
            with Disk(tmp_path) as fresh:
                assert disk.read(f"film.avi!/{frame}") == fresh.read(f"film.avi!/{frame}")
    for frame in order:
        np.testing.assert_array_equal(read_picture(tmp_path, f"film.avi!/{frame}"), grey(frame))
    with pytest.raises(FerError, match=r"film.avi!/13: no frame 13, the film has 12"):
        read_picture(tmp_path, "film.avi!/13")
    for name in ("0", "-1", "x", ""):
        with pytest.raises(FerError, match="is not the number of a frame; they count from 1"):
            read_picture(tmp_path, f"film.avi!/{name}")


@pytest.mark.parametrize("codec", ["ffv1", "mpeg4"])
def test_disfas_films_are_read_frame_by_frame(tmp_path: Path, codec: str) -> None:
    faces = read(write_filmed_disfa(tmp_path, codec), film_step=5)
    assert faces.table["path"].tolist() == [
        f"Videos/LeftVideo{person}_comp.avi!/{frame}" for person in ("SN001", "SN010") for frame in (1, 6, 11)
    ]
    assert faces.table["frame"].tolist() == [1, 6, 11] * 2
    for crop, frame in zip(load_crops(faces), [1, 6, 11] * 2, strict=True):
        assert np.abs(crop.astype(int) - grey(frame)).mean() < (1 if codec == "ffv1" else 12)
    found = audit(tmp_path)
    # Two people of one film are the same faces, which the audit sees.
    assert set(found.problems["consequence"]) == {"the picture counts twice"}
    assert found.counts.set_index("count")["ours"]["pictures"] == 2 * FRAMES - 1
    before = digest_of_faces(tmp_path)
    write_film(tmp_path / "Videos" / "LeftVideoSN001_comp.avi", frames=5, codec=codec)
    assert digest_of_faces(tmp_path) != before


def test_a_short_film_and_a_second_camera_are_noted_and_pictures_come_first(tmp_path: Path) -> None:
    write_filmed_disfa(tmp_path)
    write_film(tmp_path / "Videos" / "LeftVideoSN001_comp.avi", frames=5)
    write_film(tmp_path / "Videos" / "RightVideoSN001_comp.avi")
    for frame in range(3):
        draw(tmp_path / f"frames/SN010/{frame}.png", f"{frame}")
    faces = read(tmp_path)
    assert faces.table.groupby("subject").size().to_dict() == {"SN001": 5, "SN010": 3}
    assert faces.problems[["path", "problem"]].to_numpy().tolist() == [
        ["Videos/RightVideoSN001_comp.avi", "Videos/LeftVideoSN001_comp.avi shows SN001 too"],
        ["ActionUnit_Labels/SN010", "8 coded frames have no picture, frame 4 is the first"],
        ["ActionUnit_Labels/SN001", "7 coded frames have no picture, frame 6 is the first"],
    ]


@pytest.mark.parametrize("content", [b"", b"no film at all" * 99])
def test_what_is_no_film_is_named(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("av", reason="films need PyAV, the extra 'video'")
    (tmp_path / "film.avi").write_bytes(content)
    with pytest.raises(FerError, match=r"film.avi!/1: not a readable film"):
        read_picture(tmp_path, "film.avi!/1")


def test_half_a_film_is_named(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.avi")
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with pytest.raises(FerError, match=r"film.avi!/12: (no frame 12, the film has \d+|damaged film)"):
        read_picture(tmp_path, "film.avi!/12")


def test_without_pyav_the_refusal_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_disfa(tmp_path, {"SN001": FRAMES, "SN002": FRAMES}, pictures="")
    for person in ("SN001", "SN002"):
        film = tmp_path / f"LeftVideo{person}_comp.avi"
        film.write_bytes(b"RIFF")
    monkeypatch.setitem(sys.modules, "av", None)
    message = r"LeftVideoSN001_comp.avi: .*pip install 'fer-lib\[video\]'.*ffmpeg -i FILM -start_number 0"
    with pytest.raises(FerError, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    for frame in range(FRAMES):
        draw(tmp_path / f"frames/SN001/{frame}.png", f"{frame}")
    faces = read(tmp_path)
    assert set(faces.table["subject"]) == {"SN001"}
    assert faces.problems["path"].tolist() == ["LeftVideoSN002_comp.avi", "ActionUnit_Labels/SN002"]
