from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from fer_lib.errors import FerError
from fer_lib.maps import activations
from fer_lib.maps.activations import Responses, Units, exemplars, record


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(1)
    layers = OrderedDict(
        conv1=nn.Conv2d(1, 6, 3, padding=1),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv3=nn.Conv2d(6, 8, 4, padding="valid"),
        relu3=nn.ReLU(inplace=True),
        pool3=nn.MaxPool2d(3),
    )
    features = nn.Sequential(layers)
    features.conv3.bias.data[2] = -100.0  # a dead map
    return features, torch.randn(150, 1, 24, 23)


@pytest.mark.parametrize("layer", ["conv1", "relu1", "pool1", "conv3", "relu3", "pool3"])
def test_maximum_and_first_place_of_every_map(small, layer):
    features, pictures = small
    found = record(features, pictures.split(40), layer)
    names = [name for name, _ in features.named_children()]
    with torch.no_grad():
        maps = features[: names.index(layer) + 1](pictures.clone()).numpy()
    flat = maps.reshape(*maps.shape[:2], -1)
    assert np.allclose(found.maximum, flat.max(2), rtol=1e-5, atol=1e-6)
    rows, columns = np.divmod(flat.argmax(2), maps.shape[3])
    assert np.array_equal(found.row, rows)
    assert np.array_equal(found.column, columns)
    assert (found.maximum.dtype, found.row.dtype) == (np.float32, np.int16)


def test_batch_size_does_not_change_a_bit(small):
    features, pictures = small
    one = record(features, [pictures])
    for sizes in ([1] * 150, [150 - 33, 33], [64, 64, 22], [31] * 4 + [26]):
        other = record(features, pictures.split(sizes))
        for name in ("maximum", "row", "column"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_pictures_and_network_are_left_alone():
    features = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(2, 3, 3))
    pictures = torch.randn(4, 2, 8, 8)
    before, strides = pictures.clone(), features[1].weight.stride()
    record(features, [pictures], "1")
    assert torch.equal(pictures, before)
    assert features[1].weight.stride() == strides


def test_silent_map_has_the_first_place(small):
    features, pictures = small
    found = record(features, [pictures[:3]])
    assert not found.maximum[:, 2].any()
    assert not found.row[:, 2].any()
    assert not found.column[:, 2].any()


def test_streamed_recording_equals_the_one_in_memory(small, tmp_path, monkeypatch):
    features, pictures = small
    monkeypatch.setattr(activations, "_CHUNK", 2)
    here = record(features, pictures.split(50))
    there = record(features, pictures.split(50), folder=tmp_path)
    assert isinstance(there.maximum, np.memmap)
    for name in ("maximum", "row", "column"):
        assert np.array_equal(getattr(here, name), getattr(there, name))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "column.npy",
        "maximum.npy",
        "recording.json",
        "row.npy",
    ]


@pytest.mark.parametrize("by_function", [False, True])
def test_killed_recording_goes_on_where_it_stood(small, tmp_path, monkeypatch, by_function):
    features, pictures = small
    monkeypatch.setattr(activations, "_CHUNK", 2)
    asked = []

    def from_picture(start):
        asked.append(start)
        return pictures[start:].split(25)

    def dies():
        yield pictures[:100]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(features, dies(), folder=tmp_path)
    assert len(list(tmp_path.glob("chunk-*"))) == 1
    seen = []
    inner = activations._maxima
    monkeypatch.setattr(activations, "_maxima", lambda steps, x: seen.append(len(x)) or inner(steps, x))
    found = record(features, from_picture if by_function else pictures.split(25), folder=tmp_path)
    assert sum(seen) == 150 - 64
    assert asked == ([64] if by_function else [])
    monkeypatch.setattr(activations, "_maxima", inner)
    assert np.array_equal(found.maximum, record(features, [pictures]).maximum)
    # A finished one is only opened.
    assert np.array_equal(record(features, iter([]), folder=tmp_path).row, found.row)


def test_killed_while_joining(small, tmp_path, monkeypatch):
    features, pictures = small
    monkeypatch.setattr(activations, "_CHUNK", 2)
    inner = activations._write

    def dies(path, save):
        if path.name == "row.npy":
            path.with_name("row.npy.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        inner(path, save)

    monkeypatch.setattr(activations, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        record(features, [pictures], folder=tmp_path)
    monkeypatch.setattr(activations, "_write", inner)
    found = record(features, [pictures], folder=tmp_path)
    assert np.array_equal(found.row, record(features, [pictures]).row)


def test_folder_of_another_network_is_refused(small, tmp_path):
    features, pictures = small
    record(features, [pictures], folder=tmp_path)
    with pytest.raises(FerError, match="another network or layer"):
        record(features, [pictures], "conv3", folder=tmp_path)
    with torch.no_grad():
        features.conv1.bias[0] += 1
    with pytest.raises(FerError, match="another network or layer"):
        record(features, [pictures], folder=tmp_path)
    with torch.no_grad():
        features.conv1.bias[0] -= 1


def test_responses_survive_the_disk(small, tmp_path):
    features, pictures = small
    found = record(features, [pictures])
    found.save(tmp_path)
    again = Responses.load(tmp_path)
    assert np.array_equal(again.maximum, found.maximum)
    assert np.array_equal(again.of([3, 1]).column, found.column[[3, 1]])
    np.save(tmp_path / "row.npy", found.row[:-1])
    with pytest.raises(FerError, match=r"row\.npy does not fit"):
        Responses.load(tmp_path)
    (tmp_path / "maximum.npy").write_bytes(b"damaged")
    with pytest.raises(FerError, match=r"maximum\.npy holds no readable responses"):
        Responses.load(tmp_path)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "no pictures"),
        ([torch.zeros(2, 24, 24)], r"give \(n, C, H, W\)"),
        ([torch.zeros(2, 3, 24, 24)], "3 channels: the network wants 1"),
        ([torch.zeros(2, 1, 24, 24).double()], r"network's torch\.float32"),
        ([torch.zeros(2, 1, 5, 24)], "too small for layer 'conv3'"),
        ([torch.full((2, 1, 24, 24), float("nan"))], "infinite or undefined"),
    ],
)
def test_wrong_pictures_are_refused(small, tmp_path, batches, message):
    for folder in (None, tmp_path / "disk"):
        with pytest.raises(FerError, match=message):
            record(small[0], batches, folder=folder)


def responses_of(maximum):
    zeros = np.zeros(maximum.shape, np.int16)
    return Responses(maximum.astype(np.float32), zeros + 1, zeros + 2)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.integers(-1, 4)),
    st.integers(1, 12),
    st.booleans(),
    st.data(),
)
def test_exemplars_equal_a_plain_sort(maximum, n, grouped, data):
    groups = data.draw(hnp.arrays(np.int64, len(maximum), elements=st.integers(0, 5))) if grouped else None
    found = exemplars(responses_of(maximum), n, None if groups is None else [f"S{g}" for g in groups])
    for c in range(maximum.shape[1]):
        expected, used = [], set()
        for i in sorted(range(len(maximum)), key=lambda i: (-maximum[i, c], i)):
            if maximum[i, c] > 0 and (groups is None or groups[i] not in used) and len(expected) < n:
                expected.append(i)
                used.add(None if groups is None else groups[i])
        padding = [-1] * (n - len(expected))
        assert found.picture[c].tolist() == expected + padding
        assert found.value[c].tolist() == [maximum[i, c] for i in expected] + [0] * len(padding)
        assert found.row[c].tolist() == [1] * len(expected) + padding
        assert found.column[c].tolist() == [2] * len(expected) + padding
        assert found.dead[c] == (not expected)


def test_units_and_other_names_of_pictures():
    found = exemplars(responses_of(np.array([[0, 3], [0, 5], [0, 0]])), n=3)
    assert found.dead.tolist() == [True, False]
    units = found.units()
    assert units.picture.tolist() == [1, 0]
    assert units.map.tolist() == [1, 1]
    assert (units.row.tolist(), units.column.tolist()) == ([1, 1], [2, 2])
    assert found.renumbered([70, 80, 90]).picture.tolist() == [[-1, -1, -1], [80, 70, -1]]


def test_wrong_questions_are_refused():
    good = responses_of(np.ones((3, 2)))
    with pytest.raises(FerError, match="n=0"):
        exemplars(good, n=0)
    with pytest.raises(FerError, match="give one for each of the 3 pictures"):
        exemplars(good, groups=["a", "b"])
    with pytest.raises(FerError, match="not a number"):
        exemplars(responses_of(np.array([[np.nan, 1.0]])))
    with pytest.raises(FerError, match="row has shape"):
        Units([1], [1], [1, 2], [1])
    with pytest.raises(FerError, match="give integers"):
        Units([1.5], [1], [1], [1])
