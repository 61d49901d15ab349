import contextlib
import dataclasses
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lib.errors import FerError
from fer_lib.faces.reader import read
from fer_lib.faces.table import au_present
from fer_lib.facs import AUS, EXPRESSIONS, meets_criteria
from fer_lib.render import controls, dataset, muscles
from fer_lib.render.output import crop_mask, landmark_box, numbers
from fer_lib.render.workers import in_processes


@dataclasses.dataclass(frozen=True)
class Sitter:
    seed: int
    sex: str = "f"

    @classmethod
    def of_set(cls, kind, number, seed, *, oldest=50):
        return cls(hash((seed, kind, number)))


@dataclasses.dataclass(frozen=True)
class Camera:
    yaw: float
    light: tuple[float, float]

    @classmethod
    def draw(cls, rng, *, yaw=1.0):
        return cls(float(rng.normal(0, yaw)), (float(rng.uniform()), 0.5))

    def jitter(self, rng):
        return dataclasses.replace(self, yaw=self.yaw + 0.01 * float(rng.normal()))


class Frame:
    def __init__(self, person, aus, shot, size):
        text = repr((person, sorted(aus.items(), key=str), shot)).encode()
        rng = np.random.default_rng(int(hashlib.sha256(text).hexdigest()[:8], 16))
        self.image = rng.integers(0, 256, (size, size), dtype=np.uint8)
        self.landmarks = rng.uniform(0.2 * size, 0.8 * size, (68, 2)).astype(np.float32)
        self.size = size

    def region(self, au):
        rows = np.arange(self.size, dtype=np.float32) / self.size
        return np.where(rows[:, None] > au / 60, np.float32(1), np.float32(0)).repeat(self.size, 1)


@pytest.fixture
def fake_core(monkeypatch):
    """Stand in for the renderer, so that what is written can be tested in no time."""
    seen = []

    def render(person, aus, shot, size=256):
        seen.append((person, aus, shot))
        return Frame(person, aus, shot, size)

    for module in (dataset, controls):
        monkeypatch.setattr(module, "Person", Sitter)
        monkeypatch.setattr(module, "Shot", Camera)
        monkeypatch.setattr(module, "render", render)
    monkeypatch.setattr(muscles, "supported_aus", lambda: [*AUS, 22])
    return seen


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


SMALL = {"subjects": 3, "sequences": 8, "frames": 4, "size": 48, "processes": 1, "progress": False}


def test_number_formats():
    assert numbers(np.array([[9, 4]])) == "   9.0000000e+00   4.0000000e+00\n"
    assert numbers(np.array([[3.0]])) == "   3.0000000e+00\n"
    assert numbers(np.array([[212.40408, 0.5], [1, 2]])).splitlines() == [
        "   2.1240408e+02   5.0000000e-01",
        "   1.0000000e+00   2.0000000e+00",
    ]


def test_other_sets_can_be_asked_for(fake_core, tmp_path):
    aus = {1, 2, 4, 5, 9, 12, 14, 15, 23, 24, 25}
    out = dataset.render_faces(tmp_path / "faces", aus=aus, strongest=2, yaw=0, **SMALL)
    table = pd.read_parquet(out / "rendered" / "parameters.parquet")
    strongest = table[[f"AU{au}" for au in AUS]].max()
    assert {int(name[2:]) for name in strongest.index[strongest > 0]} <= aus
    assert 0 < strongest.max() <= 2 and strongest["AU17"] == 0
    # What is left of a turn is the little movement between frames.
    assert all(abs(shot.yaw) < 0.1 for _, _, shot in fake_core)
    settings = json.loads((out / "rendered" / "settings.json").read_text())
    assert settings["aus"] == sorted(aus) and settings["strongest"] == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"aus": {12}}, "cannot be shown without AU"),
        ({"aus": {1, 99}}, "AU 99 cannot be rendered"),
        ({"strongest": 6}, "strongest is 6"),
        ({"yaw": 45}, "yaw is 45"),
        ({"oldest": 18}, "oldest is 18"),
    ],
)
def test_sets_that_cannot_be(fake_core, tmp_path, wrong, message):
    with pytest.raises(FerError, match=message):
        dataset.render_faces(tmp_path / "faces", **wrong, **SMALL)
    assert not (tmp_path / "faces").exists()


def test_layout_is_that_of_ckplus(fake_core, tmp_path):
    out = dataset.render_faces(tmp_path / "faces", unlabelled=4, **SMALL)
    table = pd.read_parquet(out / "rendered" / "parameters.parquet")
    pictures = sorted((out / "cohn-kanade-images").rglob("*.png"))
    assert len(pictures) == len(table) == (8 + 4) * 4
    assert len(list((out / "Landmarks").rglob("*.txt"))) == 48
    assert len(list((out / "FACS").rglob("*.txt"))) == 12
    assert len(list((out / "Emotion").rglob("*.txt"))) == 8
    for picture in pictures:
        subject, number, name = picture.relative_to(out / "cohn-kanade-images").parts
        assert re.fullmatch(rf"{subject}_{number}_0000000[1-4]\.png", name)
        assert re.fullmatch(r"S\d{3}", subject)
        stem = picture.stem
        with Image.open(picture) as image:
            assert (image.mode, image.size) == ("L", (48, 48))
        points = np.loadtxt(out / "Landmarks" / subject / number / f"{stem}_landmarks.txt")
        row = table[(table.sequence == f"{subject}_{number}") & (table.frame == int(stem[-8:]))].iloc[0]
        assert points.shape == (68, 2)
        assert [row.left, row.top, row.right, row.bottom] == pytest.approx(landmark_box(points), rel=1e-6)
        facs = out / "FACS" / subject / number / f"{stem}_facs.txt"
        emotion = out / "Emotion" / subject / number / f"{stem}_emotion.txt"
        if row.position < 3:
            assert not facs.exists()
            assert not emotion.exists()
            continue
        codes = {int(au): step for au, step in np.loadtxt(facs, ndmin=2)}
        assert {au: round(row[f"AU{au}"]) for au in AUS if row[f"AU{au}"] > 0} == codes
        assert emotion.exists() == bool(row.expression)
        if emotion.exists():
            label = EXPRESSIONS[int(float(emotion.read_text()))]
            assert label == row.expression
            assert meets_criteria(label, codes)
    assert (table.loc[table.position == 0, [f"AU{au}" for au in AUS]] == 0).all(axis=None)
    assert table.shot_light_1.eq(0.5).all()
    assert table.person_sex.eq("f").all()
    assert "| surprise | 2 | 83 |" in (out / "rendered" / "README.md").read_text()
    assert not list(tmp_path.glob(".*"))


def test_each_sequence_has_its_own_shot_and_each_frame_its_own_jitter(fake_core, tmp_path):
    dataset.render_faces(tmp_path / "faces", **SMALL)
    assert len({shot.light for _, _, shot in fake_core}) == 8
    assert len({shot.yaw for _, _, shot in fake_core}) == 32
    assert len({person.seed for person, _, _ in fake_core}) == 3


def test_regions_lie_in_crop_coordinates(fake_core, tmp_path):
    out = dataset.render_faces(tmp_path / "faces", **SMALL)
    table = pd.read_parquet(out / "rendered" / "parameters.parquet")
    for path in (out / "rendered" / "regions").iterdir():
        peak = table[table.sequence == path.stem].iloc[-1]
        with np.load(path) as file:
            assert file["au"].tolist() == [au for au in AUS if peak[f"AU{au}"] > 0]
            assert file["mask"].shape == (len(file["au"]), 96, 96)
            assert file["mask"].dtype == np.uint8
    with np.load(out / "rendered" / "regions.npz") as file:
        assert file["mask"].shape == (len(file["au"]), 96, 96)
        assert file["mask"].max() <= 1
        assert file["count"].sum() == (table[table.position == 3][[f"AU{au}" for au in AUS]] > 0).sum().sum()


def test_crop_mask_cuts_the_landmark_box():
    region = np.zeros((64, 64), np.float32)
    region[16:32, 32:48] = 1
    corners = np.tile(np.array([[16, 16], [48, 48]], np.float32), (34, 1))
    mask = crop_mask(region, corners)
    assert mask[5:43, 53:91].min() == 255
    assert mask[53:, :].max() == mask[:, :43].max() == 0
    assert crop_mask(region, corners + 30).shape == (96, 96)  # a box that leaves the picture


def test_same_seed_same_bytes_other_seed_other_bytes(fake_core, tmp_path):
    first = digest(dataset.render_faces(tmp_path / "a", seed=4, **SMALL))
    assert first == digest(dataset.render_faces(tmp_path / "b", seed=4, **SMALL))
    assert first != digest(dataset.render_faces(tmp_path / "c", seed=5, **SMALL))


def test_interventions_switch_on_exactly_one_unit(fake_core, tmp_path):
    out = controls.render_interventions(tmp_path / "one", people=2, size=48, processes=1, progress=False)
    table = pd.read_parquet(out / "table.parquet")
    assert len(table) == 2 * (1 + 30 * 5)
    codes = table[[f"AU{au}" for au in AUS]].to_numpy()
    assert ((codes > 0).sum(1) == (table.path.str.contains("AU"))).all()
    assert all((out / path).is_file() for path in table.path)
    for person, group in table.groupby("subject"):
        shots = {
            shot
            for sitter, _, shot in fake_core
            if sitter.seed == fake_core[151 * (person == "P002")][0].seed
        }
        assert len(shots) == 1
        assert group.path.iloc[0] == f"{person}/neutral.png"
    assert all(len(aus) <= 1 for _, aus, _ in fake_core)
    assert table.AU12[table.AU12 > 0].tolist() == [1, 2, 3, 4, 5] * 2
    read_again = read(out / "table.parquet")
    assert au_present(read_again.table).sum().eq(10).all() and read_again.problems.empty
    assert np.load(out / "rendered" / "regions.npz")["count"].tolist() == [2] * 30
    chosen = controls.render_interventions(
        tmp_path / "two", people=1, aus=[12], steps=[2], size=48, processes=1, progress=False
    )
    assert pd.read_parquet(chosen / "table.parquet").path.tolist() == [
        "P001/neutral.png",
        "P001/AU12_2.png",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"size": 8}, "size is 8"), ({"frames": 1}, "frames is 1"), ({"processes": 0}, "processes is 0")],
)
def test_bad_arguments_leave_nothing(fake_core, tmp_path, arguments, message):
    with pytest.raises(FerError, match=message):
        dataset.render_faces(tmp_path / "faces", **{**SMALL, **arguments})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 0}, "people is 0"),
        ({"steps": [6]}, "steps are"),
        ({"steps": [2.5]}, "steps are"),
        ({"aus": [99]}, "AU 99"),
    ],
)
def test_bad_interventions(fake_core, tmp_path, arguments, message):
    with pytest.raises(FerError, match=message):
        controls.render_interventions(tmp_path / "one", size=48, **arguments)


def test_others_files_are_never_touched(fake_core, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(FerError, match="holds files that no rendering wrote"):
        dataset.render_faces(mine, **SMALL)
    with pytest.raises(FerError, match="is a file"):
        dataset.render_faces(mine / "thesis.txt", **SMALL)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_an_earlier_set_is_replaced_and_survives_a_failure(fake_core, tmp_path, monkeypatch):
    out = tmp_path / "faces"
    out.mkdir()
    dataset.render_faces(out, **SMALL)
    first = digest(out)

    def fail(*_, **__):
        raise RuntimeError("no light")

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "render", fail)
        with pytest.raises(RuntimeError, match="no light"):
            dataset.render_faces(out, **{**SMALL, "seed": 1})
    assert digest(out) == first
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    dataset.render_faces(out, **{**SMALL, "seed": 1})
    assert json.loads((out / "rendered" / "settings.json").read_text())["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_processes_keep_the_order():
    assert list(in_processes(abs, range(-9, 0), 2)) == list(range(9, 0, -1))


def test_a_failing_task_is_all_that_is_said():
    code = "import time\nfrom fer_lib.render.workers import in_processes\nlist(in_processes(time.sleep, [0, 'x', *[0.1] * 30], 2))"
    ended = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    # Its own traceback, and none of the pool's.
    assert ended.returncode == 1 and "\nTypeError: " in ended.stderr
    assert "InvalidStateError" not in ended.stderr


def test_real_faces_do_not_depend_on_the_number_of_processes(tmp_path):
    small = {"subjects": 2, "sequences": 2, "frames": 2, "size": 64, "seed": 2, "progress": False}
    one = dataset.render_faces(tmp_path / "one", processes=1, **small)
    two = dataset.render_faces(tmp_path / "two", processes=2, **small)
    assert digest(one) == digest(two)


def test_workers_end_with_a_process_that_is_killed():
    code = (
        "import time\nfrom fer_lib.render.workers import in_processes\n"
        "work = in_processes(time.sleep, [0, 600, 600], 2)\nnext(work)\nprint('begun', flush=True)\nlist(work)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        process.kill()
    try:
        end = time.monotonic() + 120
        with pytest.raises(ProcessLookupError):
            while time.monotonic() < end:
                os.killpg(process.pid, 0)
                time.sleep(0.2)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
