"""Sets of any size: what passes over all pictures works in parts, which change no bit and keep the memory from growing."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from fer_lib.artifacts.files import growing_array
from fer_lib.errors import FerError
from fer_lib.faces.cropping import load_crops, save_crops
from fer_lib.faces.crops import Crops
from fer_lib.faces.table import BOX, Faces
from fer_lib.measures import arrays, distance, distance_null, likeness, nulls
from fer_lib.measures.ablation import ablate
from fer_lib.measures.ranks import auc
from fer_lib.network.batches import checked, digest_of
from fer_lib.probe import responses
from fer_lib.probe.activations import record
from fer_lib.probe.responses import Responses, exemplars

FEW, MANY = 250, 1_500


def peak(work, *arguments):
    """Most bytes that Python and numpy hold at a time during a piece of work."""
    tracemalloc.start()
    try:
        work(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def faces(folder, count):
    """Rows that all name one of two pictures."""
    for i in range(2):
        Image.fromarray(np.full((72, 72), 90 * i, np.uint8)).save(folder / f"{i}.bmp")
    table = pd.DataFrame({"path": [f"{i % 2}.bmp" for i in range(count)]})
    table[list(BOX)] = [4.0, 4.0, 67.0, 67.0]
    return Faces(folder, table, np.full((count, 68, 2), np.nan, np.float32), pd.DataFrame())


def test_crops_are_cut_and_read_one_at_a_time(tmp_path):
    growth = {}
    for count in (50, 250):  # tracing makes the decoding of pictures slow
        some = faces(tmp_path, count)
        growth[count] = np.array([peak(save_crops, some, tmp_path), peak(digest_of, Crops.load(tmp_path))])
    assert (growth[250] - growth[50] < 200 * 64 * 64 / 5).all()
    assert peak(load_crops, some) - growth[250][0] > 200 * 64 * 64  # what is kept in memory is seen


def test_a_recording_that_is_written_takes_no_memory(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 64, 4), nn.ReLU())

    def work(count, folder):
        batches = (torch.rand(50, 1, 4, 4) for _ in range(count // 50))
        record(network, batches, "1", folder=folder)

    few, many = (peak(work, count, tmp_path) for count in (FEW, MANY))
    in_memory = peak(work, MANY, None)
    assert many - few < (in_memory - few) / 20


def maxima(count=600, maps=24):
    """Responses with ties and zeros, labels of common, rare, absent and uncoded units, and people."""
    rng = np.random.default_rng(0)
    scores = np.maximum(rng.normal(size=(count, maps)), 0).astype(np.float32).round(1)
    present = (rng.random((count, 5)) < [0.5, 0.1, 0.01, 0, 0.3]).astype(float)
    present[::3, 4] = np.nan
    return scores, present, np.arange(count) // 12


def results(scores, present, who):
    """Everything that is worked out in parts."""
    every = np.arange(len(scores))
    found = [
        auc(scores, present),
        distance_null.largest_distances(scores, present, every, who, every >= 0, permutations=5),
    ]
    for statistic in ("auc", "standardised"):
        null = nulls.permutation_null(scores, present, who, permutations=9, statistic=statistic)
        found += [null.observed, null.maxima]
    for options in ({}, {"scale_free": True, "signed": True}):
        found.append(distance.distances(scores, present, **options))
    table = Responses(scores, np.zeros(scores.shape, np.int32), np.ones(scores.shape, np.int32))
    for options in ({}, {"groups": who}, {"among": np.random.default_rng(1).permutation(len(scores))[:400]}):
        best = exemplars(table, **options)
        found += [best.picture, best.value, best.row, best.column, best.dead]
    return found


def small_parts(monkeypatch):
    for module in (arrays, distance_null, nulls, likeness):
        monkeypatch.setattr(module, "BLOCK", 2_000)
    monkeypatch.setattr(distance_null, "_PREFIX", 40)
    monkeypatch.setattr(responses, "_BLOCK", 7)
    monkeypatch.setattr(likeness, "_PICTURES", 3)


def test_parts_change_no_bit(monkeypatch):
    whole = results(*maxima())
    small_parts(monkeypatch)
    for expected, got in zip(whole, results(*maxima()), strict=True):
        np.testing.assert_array_equal(expected, got)


def test_a_null_does_not_hold_several_copies_of_the_responses(monkeypatch):
    small_parts(monkeypatch)

    def work(count):
        scores, present, who = maxima(count, 64)
        every = np.arange(count)
        distance_null.largest_distances(scores, present, every, who, every >= 0, permutations=3)

    few, many = (peak(work, count) for count in (FEW, MANY))
    drawing = 12 * 64  # bytes for each picture that `maxima` needs itself: doubles, then single precision
    assert (many - few) / (MANY - FEW) < drawing + 600


@pytest.mark.parametrize("n", [1, 9, 50])
def test_the_strongest_of_any_choice_equal_a_plain_sort(monkeypatch, n):
    scores, _, _ = maxima(300, 6)
    rng = np.random.default_rng(3)
    chosen = rng.random((7, 300)) < np.array([0.5, 0.1, 0.01, 0, 1, 0.9, 0.02])[:, None]
    chosen[0] &= scores[:, 2] < np.sort(scores[:, 2])[-60]  # nothing of it is among the strongest of map 2
    expected = np.full((7, 6, n), np.nan)
    for i, some in enumerate(chosen):
        kept = min(n, some.sum())
        expected[i, :, :kept] = -np.sort(-scores[some], axis=0)[:kept].T
    for prefix in (5, 40, 8192):
        monkeypatch.setattr(distance_null, "_PREFIX", prefix)
        np.testing.assert_array_equal(distance_null.RankedResponses(scores).top(chosen, n), expected)


def test_likeness_asks_for_each_picture_once(monkeypatch):
    rng = np.random.default_rng(0)
    pictures, asked = rng.random((40, 30, 30), dtype=np.float32), []

    def given(numbers):
        asked.extend(numbers.tolist())
        return pictures[numbers]

    place = rng.integers(-1, 40, (5, 9)), rng.integers(-20, 40, (5, 9)), rng.integers(-20, 40, (5, 9))
    whole = likeness.cut(pictures, *place, 16)
    small_parts(monkeypatch)
    np.testing.assert_array_equal(likeness.cut(given, *place, 16), whole)
    assert sorted(asked) == sorted({*place[0].ravel()} - {-1})


@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_planes_may_come_in_batches_of_any_size(baseline):
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(12 * 4, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    pooled, labels = torch.rand(200, 12, 2, 2), np.arange(200) % 3
    batches = lambda: iter(pooled.split([1, 130, 0, 69]))  # noqa: E731
    whole, parts = (
        ablate(classifier, p, labels, [1, 5], draws=9, baseline=baseline) for p in (pooled, batches)
    )
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(value, getattr(parts, name), err_msg=name)


def test_a_recording_is_the_same_in_memory_and_in_a_folder(tmp_path):
    torch.manual_seed(0)
    network, pictures = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU()), torch.randn(75, 1, 9, 9)
    inside = record(network, pictures, "1")
    on_disk = record(network, pictures.split(10), "1", folder=tmp_path / "new")
    for name in responses.ARRAYS:
        assert isinstance(getattr(on_disk, name), np.memmap)
        np.testing.assert_array_equal(getattr(on_disk, name), getattr(inside, name))
        assert getattr(on_disk, name).dtype == getattr(inside, name).dtype


def test_a_recording_that_fails_leaves_the_earlier_one(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU())
    pictures = torch.randn(75, 1, 9, 9)
    before = np.array(record(network, pictures, "1", folder=tmp_path).maximum)
    pictures[70] = torch.nan
    with pytest.raises(FerError, match="picture 70 has infinite"):
        record(network, pictures, "1", folder=tmp_path)
    np.testing.assert_array_equal(Responses.load(tmp_path).maximum, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["column.npy", "maximum.npy", "row.npy"]


def test_a_growing_array_is_what_numpy_writes(tmp_path):
    file, rows = tmp_path / "a.npy", np.arange(60, dtype=np.int64).reshape(10, 2, 3)
    for ends in ([], [10], [0, 3, 10]):
        with growing_array(file, np.int32, (2, 3)) as append:
            for start, end in zip([0, *ends], ends, strict=False):
                append(rows[start:end])
        np.testing.assert_array_equal(np.load(file), rows[: ends[-1] if ends else 0])
        np.save(tmp_path / "b.npy", np.load(file))
        assert file.read_bytes() == (tmp_path / "b.npy").read_bytes()
    whole = file.read_bytes()
    with pytest.raises(ValueError, match="rows of shape"), growing_array(file, np.int32, (2, 3)) as append:
        append(rows[:, 0])
    assert file.read_bytes() == whole and not list(tmp_path.glob("*.new"))


def test_crops_on_disk_say_when_their_file_has_gone(tmp_path):
    pictures = [np.full((3 + i, 4), i, np.uint8) for i in range(5)]
    Crops.of(pictures).save(tmp_path)
    crops = Crops.load(tmp_path)
    crops.save(tmp_path)  # over itself
    np.testing.assert_array_equal(Crops.load(tmp_path)[4], pictures[4])
    labels, train, test = checked(crops, [0, 1, 0, 1, 0], [4, 1], [0], 2)
    assert (labels.tolist(), train.tolist(), test.tolist()) == ([0, 1, 0, 1, 0], [4, 1], [0])
    file = tmp_path / "pixels.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(FerError, match=r"pixels\.npy: ends within crop 4"):
        crops[4]
    with pytest.raises(FerError, match=r"pixels\.npy: damaged"):
        Crops.load(tmp_path)
    file.unlink()
    with pytest.raises(FerError, match=r"pixels\.npy: No such file"):
        crops[0]


def test_no_crops_at_all(tmp_path):
    Crops.of([]).save(tmp_path)
    assert len(Crops.load(tmp_path)) == 0


@pytest.mark.parametrize("pixels", [np.zeros(6), np.zeros(6, np.int8)])
def test_crops_are_bytes(pixels):
    with pytest.raises(FerError, match="give uint8"):
        Crops(pixels, np.array([[2, 3]]))


def test_a_crop_has_pixels():
    with pytest.raises(FerError, match="at least one pixel"):
        Crops(np.zeros(0, np.uint8), np.array([[0, 3]]))
