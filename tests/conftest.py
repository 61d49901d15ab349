"""What tests share: small fake faces on disk, in CK+'s layout, and a browser."""

import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

# What the user's shell says is no part of a test.
for variable in ("FER_PRESET", "FER_FACES", "FER_PUBLISH", "FER_STORE", "FER_RUN"):
    os.environ.pop(variable, None)

# A slow or busy machine is no failure of a property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

PATIENCE = 600_000
"""Milliseconds after which a browser that does not answer is given up; a busy machine is no failure either."""

CODES = {"anger": 1, "contempt": 2, "disgust": 3, "fear": 4, "happy": 5, "sadness": 6, "surprise": 7}


def seed_of(sequence: str, frame: int) -> int:
    """Seed of a fake frame: different frames are different pictures."""
    return zlib.crc32(f"{sequence} {frame}".encode())


def face_picture(width: int, height: int, strength: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a grey face whose mouth opens with strength; return it with its 68 landmarks (x, y)."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:height, :width]
    cx, cy = width / 2 + rng.uniform(-9, 9), height / 2 + rng.uniform(-9, 9)
    rx, ry = width * 0.14, height * 0.24
    grey = 60.0 + 90.0 * (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1)
    for side in (-0.4, 0.4):
        grey -= 70 * (((x - cx - side * rx) / (0.2 * rx)) ** 2 + ((y - cy + 0.3 * ry) / (0.1 * ry)) ** 2 < 1)
    mouth = 0.05 + 0.15 * strength
    grey -= 60 * (((x - cx) / (0.4 * rx)) ** 2 + ((y - cy - 0.5 * ry) / (mouth * ry)) ** 2 < 1)
    grey += np.resize(rng.normal(0, 4, 1009), grey.shape)
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)
    return np.clip(grey, 0, 255).astype(np.uint8), points


def exif(orientation: int) -> Image.Exif:
    """Metadata that say how a picture is to be turned; 1 is upright."""
    found = Image.Exif()
    found[274] = orientation
    return found


def turned(upright: np.ndarray, orientation: int) -> Image.Image:
    """Store a picture as a camera does whose EXIF orientation is 1 to 8, by the standard's table of rows and columns.

    The table says which sides of the upright picture the first row and the first column that are stored are.
    """
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }
    return Image.fromarray(np.ascontiguousarray(stored[orientation]))


def number_lines(rows: Sequence[Sequence[float]]) -> str:
    """Write numbers as CK+ does: right-aligned, in scientific notation."""
    return "".join("".join(f"{value:16.7e}" for value in row) + "\n" for row in rows)


def write_sequence(
    root: Path,
    name: str,
    *,
    frames: int | Sequence[int] = 4,
    size: tuple[int, int] = (160, 120),
    aus: Mapping[int, int] | None = None,
    expression: str = "",
    rgb: bool = False,
) -> None:
    """Write a sequence of CK+'s layout below root."""
    subject, number = name.split("_")
    numbers = list(range(1, frames + 1)) if isinstance(frames, int) else list(frames)
    folders = {
        part: root / part / subject / number
        for part in ("cohn-kanade-images", "Landmarks", "FACS", "Emotion")
    }
    folders["cohn-kanade-images"].mkdir(parents=True, exist_ok=True)
    folders["Landmarks"].mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(numbers):
        strength = i / max(len(numbers) - 1, 1)
        picture, points = face_picture(*size, strength, seed=seed_of(name, frame))
        image = Image.fromarray(picture)
        (image.convert("RGB") if rgb else image).save(
            folders["cohn-kanade-images"] / f"{name}_{frame:08d}.png", compress_level=1
        )
        (folders["Landmarks"] / f"{name}_{frame:08d}_landmarks.txt").write_text(number_lines(points.tolist()))
    last = numbers[-1]
    if aus is not None:
        folders["FACS"].mkdir(parents=True, exist_ok=True)
        (folders["FACS"] / f"{name}_{last:08d}_facs.txt").write_text(number_lines(list(aus.items())))
    if expression:
        folders["Emotion"].mkdir(parents=True, exist_ok=True)
        (folders["Emotion"] / f"{name}_{last:08d}_emotion.txt").write_text(
            number_lines([[CODES[expression]]])
        )


@pytest.fixture
def clean_tree(tmp_path: Path) -> Path:
    """Two flawless sequences in CK+'s layout."""
    root = tmp_path / "clean"
    write_sequence(root, "S005_001", frames=5, aus={9: 4, 17: 0, 4: 3}, expression="disgust")
    write_sequence(root, "S010_002", frames=4, aus={12: 5}, expression="happy")
    return root


@pytest.fixture(scope="session")
def small_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people with three expressions each, in CK+'s layout: enough for a study; only to be read."""
    root = tmp_path_factory.mktemp("small") / "CK+"
    shown = {"happy": {12: 5, 6: 3}, "surprise": {1: 3, 2: 3, 26: 2}, "disgust": {9: 4, 4: 3}}
    for person in range(10, 18):
        for number, (expression, aus) in enumerate(shown.items(), 1):
            write_sequence(root, f"S{person:03d}_{number:03d}", frames=4, aus=aus, expression=expression)
    return root


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A study of a few rendered faces, trained for one pass, in a store of its own; whatever is asked for is computed once.

    Atlas and control set hold a few action units only.
    """
    from fer_lib import Study
    from fer_lib.artifacts.store import Store
    from fer_lib.config import make_settings

    settings = make_settings(
        "smoke",
        subjects=8,
        sequences=32,
        frames=2,
        size=64,
        resize=50,
        crop=48,
        last_frames=1,
        test_fraction=0.5,
        test_pictures=10,
        epochs=1,
        n_exemplars=3,
        permutations=50,
    )
    study = Study(settings, Store(tmp_path_factory.mktemp("tiny") / "store"), progress=False)
    few = (1, 2, 4, 6, 12, 17, 25, 27)
    with pytest.MonkeyPatch.context() as patch:
        # Processes take longer to start than so few faces to draw.
        patch.setattr("os.cpu_count", lambda: 1)
        patch.setattr("fer_lib.render.atlas.supported_aus", lambda: few)
        patch.setattr("fer_lib.render.controls.drawable", lambda aus: few if aus is None else aus)
        _ = (
            study.faces.rendered,
            study.references.atlas,
            study.references.controls,
            study.references.dose_faces,
        )
    return study


@pytest.fixture(scope="session")
def drawn_ckplus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `ckplus_tree` copies, drawn once."""
    root = tmp_path_factory.mktemp("drawn") / "CK+"
    write_sequence(root, "S005_001", frames=5, size=(640, 490), aus={9: 4, 17: 0, 4: 3}, expression="disgust")
    write_sequence(root, "S010_001", frames=4, size=(640, 490), aus={1: 2, 2: 3})
    (root / "Emotion/S010/001").mkdir(parents=True)
    write_sequence(root, "S010_002", frames=4, size=(640, 480), aus={12: 5}, expression="happy")
    write_sequence(root, "S501_001", frames=6, aus={1: 3, 2: 3, 5: 1, 64: 2}, expression="surprise")
    write_sequence(root, "S895_001", frames=4, size=(720, 480), rgb=True, expression="contempt")
    write_sequence(root, "S999_001", frames=4, aus={23: 3, 24: 4, 4: 0}, expression="anger")
    for folder in (
        "cohn-kanade-images",
        "cohn-kanade-images/S005",
        "Landmarks/S005/001",
        "FACS",
        "Emotion/S010",
    ):
        (root / folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return root


@pytest.fixture
def ckplus_tree(drawn_ckplus: Path, tmp_path: Path) -> Path:
    """A small CK+ with every quirk of the real one: sizes, colour, ids, missing labels, an unknown AU, litter."""
    return shutil.copytree(drawn_ckplus, tmp_path / "CK+")


class SmallDisk:
    """A disk of its own with little room, mounted on a folder.

    Attributes
    ----------
    path : Path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / ".filler"

    def leave(self, room: int) -> None:
        """Fill the disk so that this many bytes (to a page of 4,096) are free; a negative number frees it."""
        self._filler.unlink(missing_ok=True)
        if room >= 0:
            free = shutil.disk_usage(self.path).free
            with self._filler.open("wb", buffering=0) as file:
                os.posix_fallocate(file.fileno(), 0, max(free - room, 1))

    def read_only(self) -> None:
        """Let nothing be written any more."""
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 128 MB in memory; tests that need it are skipped where none can be mounted."""
    path = tmp_path / "small disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {getattr(error, 'stderr', '') or error}")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, started once; tests that need it are skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine; install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield running
        running.close()
