from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from fer_lib.errors import FerError
from fer_lib.probe.activations import record
from fer_lib.probe.deconv import project
from fer_lib.probe.responses import Responses, Units, exemplars


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
    maps = pictures.clone()
    with torch.no_grad():
        for name, module in features.named_modules(remove_duplicate=False):
            maps = module(maps) if name else maps
            if name == layer:
                break
    maps = maps.numpy()
    flat = maps.reshape(*maps.shape[:2], -1)
    assert np.allclose(found.maximum, flat.max(2), rtol=1e-5, atol=1e-6)
    rows, columns = np.divmod(flat.argmax(2), maps.shape[3])
    assert np.array_equal(found.row, rows)
    assert np.array_equal(found.column, columns)
    assert (found.maximum.dtype, found.row.dtype) == (np.float32, np.int32)


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


@pytest.mark.parametrize("axis", [2, 3])
def test_maps_wider_than_sixteen_bits(axis):
    features = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
    nn.init.ones_(features[0].weight)
    pictures = torch.zeros(1, 1, *((70_000, 1) if axis == 2 else (1, 70_000)))
    pictures.view(-1)[65_001] = 5
    found = record(features, [pictures], "0")
    assert (found.row.item(), found.column.item()) == ((65_001, 0) if axis == 2 else (0, 65_001))
    assert (found.row.dtype, found.column.dtype) == (np.int32, np.int32)
    units = exemplars(found, n=1).units()
    patch = project(features, pictures, units, "0")
    assert (patch.value.item(), patch.top.item() + patch.left.item()) == (5, 65_001)


def test_responses_survive_the_disk(small, tmp_path):
    features, pictures = small
    found = record(features, [pictures])
    found.save(tmp_path)
    again = Responses.load(tmp_path)
    assert np.array_equal(again.maximum, found.maximum)
    assert np.array_equal(again.select([3, 1]).column, found.column[[3, 1]])
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
        (
            [torch.zeros(9, 1, 24, 24), torch.full((2, 1, 24, 24), float("nan"))],
            "picture 9 has infinite or undefined",
        ),
        ([torch.full((2, 1, 24, 24), -float("inf"))], "picture 0 has infinite or undefined"),
        ([3e38 * torch.randn(2, 1, 24, 24).sign()], "layer 'relu3' gives infinite or undefined"),
        ([torch.zeros(0, 1, 24, 24)], "no pictures"),
        ([torch.zeros(2, 0, 24, 24)], "give \\(N, C, H, W\\)"),
        ([torch.zeros(32, 1, 24, 24), torch.zeros(2, 1, 24, 25)], "picture 32 is .* unlike those before"),
        ([torch.zeros(2, 1, 24, 24, device="meta")], "meta device"),
        ([torch.zeros(2, 1, 24, 24).to_sparse()], "sparse"),
        ([np.zeros((2, 1, 24, 24), np.uint8)], r"torch\.uint8: convert them to the network's torch\.float32"),
        ([np.zeros((2, 1, 24, 24), bool)], r"torch\.bool: convert"),
        ([np.zeros((2, 1, 24, 24), np.complex64)], r"torch\.complex64: convert"),
        ([np.zeros((2, 1, 24, 24), object)], "pictures are object"),
        ([None], "pictures are object"),
        (["faces.png"], "a picture is given as 'faces.png': open it"),
        ([(torch.zeros(2, 1, 24, 24), torch.zeros(2, 1, 24, 24))], "tuple with 2 arrays"),
        ([[torch.zeros(1, 24, 24)] * 2], "list with 0 arrays"),
        ([{"label": torch.zeros(2)}], "dict with 0 arrays"),
        ([(torch.zeros(1, 24, 24), 1)] * 2, "give batches of pictures, such as by a DataLoader"),
        (list(torch.zeros(2, 1, 24, 24)), r"\(1, 24, 24\): give \(n, C, H, W\)"),
    ],
)
def test_wrong_pictures_are_refused(small, batches, message):
    with pytest.raises(FerError, match=message):
        record(small[0], batches)


def unwritable(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "as it is": lambda x: x,
    "read-only": unwritable,
    "big-endian": lambda x: x.astype(">f4"),
    "Fortran": np.asfortranarray,
    "mirrored": lambda x: x[..., ::-1].copy()[..., ::-1],
    "upside down": lambda x: x[:, :, ::-1].copy()[:, :, ::-1],
    "last first": lambda x: x[::-1].copy()[::-1],
    "channels last": lambda x: x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
    "every second": lambda x: x.repeat(2, 3)[..., ::2],
    "tensor": torch.from_numpy,
    "tensor with gradient": lambda x: torch.from_numpy(x.copy()).requires_grad_(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pictures_in_any_layout(small, layout):
    features, pictures = small
    plain = record(features, [pictures])
    units = exemplars(plain, n=1).units()
    given = LAYOUTS[layout](pictures.numpy())
    halves = [given[:70], given[70:]]
    for batches in ([given], halves, given, iter(halves)):
        assert np.array_equal(record(features, batches).maximum, plain.maximum)
    patches = project(features, given, units).patch
    assert np.array_equal(patches, project(features, pictures, units).patch)


def test_mapped_files_are_pictures(small, tmp_path):
    features, pictures = small
    np.save(tmp_path / "pictures.npy", pictures.numpy())
    given = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    assert np.array_equal(record(features, given).maximum, record(features, [pictures]).maximum)


Sample = namedtuple("Sample", "label picture")


@pytest.mark.parametrize(
    "batches",
    [
        lambda x, y: DataLoader(TensorDataset(x, y), batch_size=64),
        lambda x, y: DataLoader(TensorDataset(x), batch_size=33),
        lambda x, y: DataLoader(x, batch_size=150),
        lambda x, y: DataLoader(
            [{"pixel_values": a, "label": b} for a, b in zip(x, y, strict=True)], batch_size=7
        ),
        lambda x, y: DataLoader([Sample(b, a) for a, b in zip(x, y, strict=True)], batch_size=50),
        lambda x, y: [[a.numpy(), ["a name"] * len(a)] for a in x.split(40)],
        lambda x, y: ((a, None) for a in x.split(1)),
        lambda x, y: [x[:0], x[:100], x[100:100], x[100:]],
    ],
)
def test_what_data_loaders_yield(small, batches):
    features, pictures = small
    found = record(features, batches(pictures, torch.arange(len(pictures))))
    plain = record(features, [pictures])
    assert np.array_equal(found.maximum, plain.maximum)
    assert np.array_equal(found.column, plain.column)


def test_lists_of_pictures_are_projected_and_ragged_ones_refused(small):
    features, pictures = small
    units = exemplars(record(features, [pictures]), n=1).units()
    plain = project(features, pictures, units).patch
    assert np.array_equal(project(features, list(pictures), units).patch, plain)
    assert np.array_equal(project(features, list(pictures.numpy()), units).patch, plain)
    with pytest.raises(FerError, match="do not fit each other"):
        project(features, [pictures[0], pictures[1][:, :5]], units)


def responses_of(maximum):
    zeros = np.zeros(maximum.shape, np.int32)
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
        padding = [-1] * (min(n, len(maximum)) - len(expected))
        assert found.picture[c].tolist() == expected + padding
        assert found.value[c].tolist() == [maximum[i, c] for i in expected] + [0] * len(padding)
        assert found.row[c].tolist() == [1] * len(expected) + padding
        assert found.column[c].tolist() == [2] * len(expected) + padding
        assert found.dead[c] == (not expected)


def test_units_of_exemplars():
    found = exemplars(responses_of(np.array([[0, 3], [0, 5], [0, 0]])), n=3)
    assert found.dead.tolist() == [True, False]
    units = found.units()
    assert units.picture.tolist() == [1, 0]
    assert units.map.tolist() == [1, 1]
    assert (units.row.tolist(), units.column.tolist()) == ([1, 1], [2, 2])
    assert units[units.picture == 0].map.tolist() == units[1].map.tolist() == [1]
    assert (len(units[:0]), units[[1, 0]].picture.tolist()) == (0, [0, 1])


@settings(max_examples=60, derandomize=True)
@given(
    hnp.arrays(np.int8, (9, 2), elements=st.integers(-1, 3)),
    st.lists(st.integers(0, 8), min_size=1, unique=True),
    st.one_of(st.none(), st.lists(st.integers(0, 3), min_size=9, max_size=9)),
)
def test_exemplars_among_some_pictures_have_the_numbers_of_all(maximum, among, groups):
    responses = responses_of(maximum)
    found = exemplars(responses, n=3, groups=groups, among=among)
    alone = exemplars(responses.select(among), n=3, groups=None if groups is None else np.take(groups, among))
    there = found.picture >= 0
    assert np.array_equal(there, alone.picture >= 0)
    assert np.array_equal(found.picture[there], np.take(among, alone.picture[there]))
    maps = np.nonzero(there)[0]
    assert np.array_equal(found.value[there], responses.maximum[found.picture[there], maps])
    mask = np.isin(np.arange(9), among)
    assert np.array_equal(
        exemplars(responses, 3, groups, mask).picture, exemplars(responses, 3, groups, sorted(among)).picture
    )


def test_wrong_questions_are_refused():
    good = responses_of(np.ones((3, 2)))
    with pytest.raises(FerError, match="n=0"):
        exemplars(good, n=0)
    with pytest.raises(FerError, match="give one for each of the 3 rows"):
        exemplars(good, groups=["a", "b"])
    with pytest.raises(FerError, match="not a number"):
        exemplars(responses_of(np.array([[np.nan, 1.0]])))
    with pytest.raises(FerError, match="row has shape"):
        Units([1], [1], [1, 2], [1])
    for wrong in ([1.5], [True], [np.nan], ["1"]):
        with pytest.raises(FerError, match="give integers"):
            Units(wrong, [1], [1], [1])
    for wrong in ([3], [-4]):
        with pytest.raises(FerError, match="there are 3, from 0 up"):
            good.select(wrong)
    with pytest.raises(FerError, match="give integers"):
        good.select([True, False])
    assert len(good.select(np.array([True, False, True]))) == 2
    with pytest.raises(FerError, match="reach from 3 to 3"):
        exemplars(good, among=[3])
    for twice in ([1, 1, 1], [0, 1, -2]):
        with pytest.raises(FerError, match="among holds picture 1 more than once: give each of them once"):
            exemplars(good, among=twice)


def test_more_exemplars_than_pictures_are_all_of_them():
    responses = responses_of(np.array([[3, 0], [1, 0], [2, 5]]))
    found = exemplars(responses, n=10**12)
    assert found.picture.tolist() == [[0, 2, 1], [2, -1, -1]]
    assert exemplars(responses, n=10**12, among=[2, 1]).picture.tolist() == [[2, 1], [2, -1]]
    assert exemplars(responses, n=10**12, groups=["a", "b", "a"]).picture.tolist() == [
        [0, 1, -1],
        [2, -1, -1],
    ]
    for nobody in ([], np.zeros(3, bool)):
        with pytest.raises(FerError, match="no pictures to choose exemplars from"):
            exemplars(responses, among=nobody)


@pytest.mark.parametrize("size", [1, 8, 31, 64])
def test_a_loader_may_fill_the_same_memory_again(size):
    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    pictures = torch.randn(64, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    expected = record(network, [pictures], layer="0").maximum

    def refilled():
        buffer = torch.empty(size, 1, 6, 6)
        for part in pictures.split(size):
            buffer[: len(part)] = part
            yield buffer[: len(part)]

    assert np.array_equal(record(network, refilled(), layer="0").maximum, expected)
    as_arrays = (part.numpy() for part in refilled())
    assert np.array_equal(record(network, as_arrays, layer="0").maximum, expected)
