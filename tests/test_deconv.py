import doctest
import re
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from captum.attr import NeuronDeconvolution, NeuronGuidedBackprop
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.vgg import cfgs, make_layers

from fer_lib.errors import FerError
from fer_lib.faces.cropping import crop
from fer_lib.faces.table import BOX
from fer_lib.network import stack
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import read_stack
from fer_lib.probe import deconv
from fer_lib.probe.activations import record
from fer_lib.probe.deconv import project, receptive_fields
from fer_lib.probe.projections import Projections, crops
from fer_lib.probe.regions import LANDMARKS, boxes_of
from fer_lib.probe.responses import Units, exemplars


def places(features):
    """Every place of a layer in a network, also of one that is used again: its dotted name and the layer."""
    named = features.named_modules(remove_duplicate=False)
    return [(name, module) for name, module in named if not isinstance(module, nn.Sequential)]


def reference(features, picture, layer, unit, rule):
    """Whole-frame projection of one unit in float64, place by place, from the definitions."""
    x, kept = picture.double()[None], []
    for name, module in places(features):
        kept.append((module, x))
        x = module.double()(x.clone())
        if name == layer:
            break
    channel, row, column = unit
    signal = torch.zeros_like(x)
    signal[0, channel, row, column] = x[0, channel, row, column]
    for module, below in reversed(kept):
        if isinstance(module, nn.Conv2d):
            high, wide = module.kernel_size
            if isinstance(module.padding, str):
                top, left = ((high - 1) // 2, (wide - 1) // 2) if module.padding == "same" else (0, 0)
            else:
                top, left = module.padding
            rows, columns = signal.shape[2:]
            sent = torch.zeros(1, below.shape[1], below.shape[2] + 16, below.shape[3] + 16).double()
            for k in range(high):
                for m in range(wide):
                    spread = torch.einsum("oyx,oi->iyx", signal[0], module.weight[:, :, k, m])
                    sent[0, :, 8 + k - top :, 8 + m - left :][:, :rows, :columns] += spread
            signal = sent[:, :, 8:-8, 8:-8]
        elif isinstance(module, nn.ReLU):
            if rule != "gradient":
                signal = signal.clamp(min=0)
            if rule != "deconvnet":
                signal = signal * (below > 0)
        else:
            (high, wide), (down, right) = (
                (v, v) if isinstance(v, int) else v for v in (module.kernel_size, module.stride)
            )
            sent = torch.zeros_like(below)
            for c, y, z in signal[0].nonzero().tolist():
                cell = below[0, c, y * down : y * down + high, z * right : z * right + wide]
                first = int((cell.flatten() == cell.max()).nonzero()[0])
                sent[0, c, y * down + first // wide, z * right + first % wide] += signal[0, c, y, z]
            signal = sent
    return signal[0].detach().numpy(), float(x[0, channel, row, column].detach())


@st.composite
def networks(draw):
    channels = draw(st.sampled_from([1, 3]))
    first, layers = channels, OrderedDict()
    for i in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["conv", "conv", "relu", "pool", "again", "again"]))
        sizes = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        if kind == "again":
            # A layer used before, alone or in a block; a convolution only where its channels fit.
            single = [m for m in layers.values() if not isinstance(m, nn.Sequential)]
            fitting = [m for m in single if getattr(m, "in_channels", channels) == channels]
            if fitting:
                chosen = draw(st.sampled_from(fitting))
                layers[f"again{i}"] = nn.Sequential(chosen, nn.ReLU()) if draw(st.booleans()) else chosen
                channels = getattr(chosen, "out_channels", channels)
        elif kind == "conv":
            after = draw(st.integers(1, 4))
            padding = draw(st.sampled_from(["valid", "same", (0, 0), (1, 2), (3, 1)]))
            layers[f"conv{i}"] = nn.Conv2d(channels, after, sizes, padding=padding, bias=draw(st.booleans()))
            channels = after
        elif kind == "relu":
            layers[f"relu{i}"] = nn.ReLU(inplace=draw(st.booleans()))
        else:
            gap = draw(st.integers(0, 1))
            layers[f"pool{i}"] = nn.MaxPool2d(sizes, stride=(sizes[0] + gap, sizes[1]))
    return first, nn.Sequential(layers or OrderedDict(relu=nn.ReLU()))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_every_layer_position_and_rule_equals_the_whole_frame_reference(data):
    torch.manual_seed(data.draw(st.integers(0, 10_000)))
    channels, features = data.draw(networks())
    features = features.double()
    pictures = torch.randn(
        3, channels, *data.draw(st.tuples(st.integers(4, 11), st.integers(4, 11)))
    ).double()
    if data.draw(st.booleans()):
        pictures = pictures.round()  # many equal values: ties in the pools
    layer = data.draw(st.sampled_from([name for name, _ in places(features)]))
    extent, maps = tuple(pictures.shape[2:]), channels
    smallest = min(extent)
    for step in read_stack(features, layer):
        extent = step.out(extent)
        smallest = min(smallest, *extent)
        maps = getattr(step.module, "out_channels", maps)
    if smallest < 1:
        with pytest.raises(FerError, match="too small"):
            project(features, pictures, Units(*np.zeros((4, 1), int)), layer)
        return
    rule = data.draw(st.sampled_from(["deconvnet", "guided", "gradient"]))
    corners = [(0, 0), (extent[0] - 1, extent[1] - 1), (extent[0] // 2, 0), (0, extent[1] - 1)]
    units = Units(np.arange(len(corners)) % 3, np.arange(len(corners)) % maps, *np.array(corners, int).T)
    found = project(features, pictures, units, layer, rule, batch_size=3)
    assert found.patch.dtype == np.float64
    for i in range(len(units)):
        unit = (units.map[i], units.row[i], units.column[i])
        expected, value = reference(features, pictures[units.picture[i]], layer, unit, rule)
        got = found.frame(i, *pictures.shape[2:])
        assert np.allclose(got, expected, rtol=1e-9, atol=1e-12 * max(1, abs(expected).max()))
        assert found.value[i] == pytest.approx(value, rel=1e-9, abs=1e-12)
        # Nothing of the patch that lies outside the frame is kept, and nothing is lost either.
        assert np.isclose(found.patch[i].sum(), expected.sum())


@pytest.fixture(scope="module", params=[0, 2])
def faces(request):
    torch.manual_seed(3)
    model = ExpressionNet(padding=request.param, size=60).eval()
    return model, torch.randn(4, 1, 60, 60)


@pytest.mark.parametrize(
    ("rule", "peer"), [("deconvnet", NeuronDeconvolution), ("guided", NeuronGuidedBackprop)]
)
@pytest.mark.parametrize("layer", ["conv1", "relu2", "pool2", "conv3", "relu3", "pool3"])
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_equals_captum_on_the_papers_network(faces, rule, peer, layer):
    model, pictures = faces
    found = exemplars(record(model.features, [pictures], layer), n=1).units()
    some = np.linspace(0, len(found) - 1, 5).astype(int)
    units = found[some]
    ours = project(model.features, pictures, units, layer, rule)
    attribution = peer(model.features, getattr(model.features, layer))
    for i in range(len(units)):
        picture = pictures[units.picture[i]][None].clone().requires_grad_()
        where = (int(units.map[i]), int(units.row[i]), int(units.column[i]))
        theirs = attribution.attribute(picture, where).detach().numpy()[0] * ours.value[i]
        assert abs(ours.frame(i, 60, 60) - theirs).max() <= 1e-5 * abs(theirs).max()
        assert abs(theirs).max() > 0


@pytest.mark.parametrize(
    ("rule", "peer"), [("deconvnet", NeuronDeconvolution), ("guided", NeuronGuidedBackprop)]
)
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_a_rectifier_that_is_used_again_equals_captum(rule, peer):
    torch.manual_seed(4)
    relu = nn.ReLU()
    convolutions = [nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3), nn.Conv2d(6, 8, 3)]
    features = nn.Sequential(convolutions[0], relu, convolutions[1], relu, convolutions[2], nn.ReLU())
    pictures = torch.randn(3, 1, 14, 14)
    with torch.no_grad():
        assert np.allclose(
            record(features, [pictures], "5").maximum, features(pictures).flatten(2).max(2)[0], atol=1e-6
        )
    units = exemplars(record(features, [pictures], "5"), n=1).units()
    ours = project(features, pictures, units, "5", rule)
    # captum's hook acts once for each module: a copy of the network with one rectifier for each place is the same.
    attribution = peer(apart := nn.Sequential(*(nn.ReLU() if m is relu else m for m in features)), apart[5])
    for i in range(len(units)):
        picture = pictures[units.picture[i]][None].clone().requires_grad_()
        where = (int(units.map[i]), int(units.row[i]), int(units.column[i]))
        theirs = attribution.attribute(picture, where).detach().numpy()[0] * ours.value[i]
        assert abs(ours.frame(i, 14, 14) - theirs).max() <= 1e-5 * abs(theirs).max()


def test_plain_gradient_equals_autograd(faces):
    model, pictures = faces
    units = exemplars(record(model.features, [pictures], "relu3"), n=1).units()
    ours = project(model.features, pictures, units, "relu3", "gradient")
    for i in (0, len(units) - 1):
        picture = pictures[units.picture[i]][None].clone().requires_grad_()
        top = model.features[:8](picture)[0, units.map[i], units.row[i], units.column[i]]
        (gradient,) = torch.autograd.grad(top, picture)
        theirs = (gradient * top).detach().numpy()[0]
        assert abs(ours.frame(i, 60, 60) - theirs).max() <= 1e-5 * abs(theirs).max()


def tiny():
    """2x2 convolution, ReLU, 2x2 pool, then one weight -3: small enough for paper and pencil."""
    features = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 1, 2), relu=nn.ReLU(), pool=nn.MaxPool2d(2), last=nn.Conv2d(1, 1, (1, 2))
        )
    )
    with torch.no_grad():
        features.conv.weight.copy_(torch.tensor([[[[1.0, -2.0], [0.0, 1.0]]]]))
        features.conv.bias.fill_(1)
        features.last.weight.copy_(torch.tensor([[[[2.0, -3.0]]]]))
        features.last.bias.fill_(0.5)
    return features


def test_hand_derived_network():
    # conv: rows [1+1*1-2*0+1*0, ...]; worked out below by the picture's four corners.
    picture = torch.zeros(1, 1, 3, 5)
    picture[0, 0, 0, 0] = 1.0
    picture[0, 0, 1, 4] = 2.0
    # conv + bias: [[2, 1, 1, 3], [1, 1, 1, -3]] -> relu [[2, 1, 1, 3], [1, 1, 1, 0]] -> pool [2, 3], switches
    # at columns 0 and 3 of row 0 -> last: 2*2 - 3*3 + 0.5 = -4.5
    unit = Units([0], [0], [0], [0])
    found = project(tiny(), picture, unit, "last", "deconvnet")
    assert found.value[0] == -4.5
    # Seed -4.5: signals -9 and 13.5 at the pools; the ReLU keeps 13.5, at row 0, column 3 of conv.
    expected = np.zeros((1, 3, 5), np.float32)
    expected[0, 0:2, 3:5] = [[13.5, -27.0], [0.0, 13.5]]
    assert np.array_equal(found.frame(0, 3, 5), expected)
    # The gradient keeps both, since both places were positive.
    expected[0, 0:2, 0:2] = [[-9.0, 18.0], [0.0, -9.0]]
    assert np.array_equal(project(tiny(), picture, unit, "last", "gradient").frame(0, 3, 5), expected)
    # At a conv unit whose value is 1 + 2 = 3 the projection is three times the kernel.
    one = project(tiny(), picture, Units([0], [0], [0], [3]), "conv")
    assert np.array_equal(one.patch[0, 0], [[3, -6], [0, 3]])
    assert (one.top[0], one.left[0]) == (0, 3)


def test_deconvnet_ignores_signs_that_guided_backpropagation_obeys():
    features = nn.Sequential(
        OrderedDict(conv=nn.Conv2d(1, 1, 1, bias=False), relu=nn.ReLU(), last=nn.Conv2d(1, 1, 1))
    )
    with torch.no_grad():
        features.conv.weight.fill_(1)
        features.last.weight.fill_(1)
        features.last.bias.fill_(2)
    picture = torch.full((1, 1, 1, 1), -1.0)
    values = [project(features, picture, Units([0], [0], [0], [0]), "last", r).patch.item() for r in RULES]
    assert values == [2.0, 0.0, 0.0]


RULES = ("deconvnet", "guided", "gradient")


@pytest.mark.parametrize("rule", RULES)
def test_batch_size_changes_nothing_but_rounding(faces, rule):
    model, pictures = faces
    units = exemplars(record(model.features, [pictures], "relu3"), n=1).units()
    units = units[::4]
    whole = project(model.features, pictures, units, "relu3", rule, batch_size=1000)
    parts = project(model.features, pictures, units, "relu3", rule, batch_size=37)
    assert abs(whole.patch - parts.patch).max() <= 1e-5 * abs(whole.patch).max()
    assert np.array_equal(whole.top, parts.top)


def test_patches_lie_on_the_receptive_field_and_save(faces, tmp_path):
    model, pictures = faces
    padding = model.options["padding"]
    units = Units([0, 1], [3, 7], [0, 1], [0, 2])
    found = project(model.features, pictures, units, "relu3")
    boxes = receptive_fields(model.features, "relu3", units.row, units.column)
    assert np.array_equal(boxes[:, :2], np.stack([found.left, found.top], 1))
    assert found.patch.shape == (2, 1, 32, 32)
    assert found.top[0] == (-14 if padding else 0)
    clipped = receptive_fields(model.features, "relu3", units.row, units.column, (60, 60))
    assert clipped.min() >= 0
    found.save(tmp_path)
    again = Projections.load(tmp_path)
    assert np.array_equal(again.patch, found.patch)
    assert all(np.array_equal(getattr(again.units, name), getattr(units, name)) for name in Units.NAMES)
    assert (again.rule, again.layer) == ("deconvnet", "relu3")
    (tmp_path / "projections.npz").write_bytes(b"no")
    with pytest.raises(FerError, match="compute them again"):
        Projections.load(tmp_path)


def test_boxes_are_left_top_right_bottom():
    """Rows of five and columns of three pixels, one of zero padding on the left; a unit in row 4 and column 0."""
    features = nn.Sequential(nn.Conv2d(1, 2, (5, 3), padding=(0, 1)))
    assert receptive_fields(features, "0", [4], [0]).tolist() == [[-1, 4, 2, 9]]
    assert receptive_fields(features, "0", [4, 4], [0, 7], shape=(7, 8)).tolist() == [
        [0, 4, 2, 7],
        [6, 4, 8, 7],
    ]
    landmarks = np.zeros((1, 68, 2))
    landmarks[0, LANDMARKS["mouth"]] = [[20, 5], [30, 9]] * 10
    assert boxes_of(landmarks, "mouth", margin=0).tolist() == [[20, 5, 30, 9]]
    assert BOX == ("left", "top", "right", "bottom")
    assert crop(np.arange(80, dtype=np.uint8).reshape(8, 10), [2, 1, 4, 6]).shape == (6, 3)


def test_crops_are_what_the_units_see(faces):
    model, pictures = faces
    units = Units([0, 3], [3, 7], [0, 2], [0, 2])
    found = project(model.features, pictures, units, "relu3")
    cut = crops(pictures, found)
    padding = model.options["padding"]
    hidden = 14 if padding else 0
    assert cut.shape == found.patch.shape
    assert np.array_equal(cut[0, :, hidden:, hidden:], pictures[0, :, : 32 - hidden, : 32 - hidden].numpy())
    assert not cut[0, :, :hidden].any()


def test_crops_of_pictures_that_do_not_fit_are_refused(faces):
    model, pictures = faces
    found = project(model.features, pictures, Units([0, 3], [3, 7], [0, 2], [0, 2]), "relu3")
    for images, message in (
        (pictures[:3], "picture 3 does not exist: 3 are given"),
        (pictures.numpy().repeat(3, 1), "(N, 1, H, W)"),
        (pictures[0, 0], "(N, 1, H, W)"),
        (lambda numbers: pictures[:1], "shape (1, 1, 60, 60) for 2 numbers"),
        (lambda numbers: pictures[numbers, 0], "shape (2, 60, 60) for 2 numbers"),
    ):
        with pytest.raises(FerError, match=re.escape(message)):
            crops(images, found)


def test_pictures_may_come_from_a_function_of_their_numbers(faces):
    model, pictures = faces
    units = Units([907, 13, 907], [3, 7, 9], [0, 2, 1], [0, 2, 1])
    asked = []

    def images(numbers):
        asked.append(numbers.tolist())
        return pictures[numbers % 4]

    found = project(model.features, images, units, "relu3")
    plain = project(
        model.features, pictures, Units(units.picture % 4, units.map, units.row, units.column), "relu3"
    )
    assert asked == [[13, 907]]  # each picture once, and no other
    assert found.units is units
    assert np.array_equal(found.patch, plain.patch)
    assert np.array_equal(crops(images, found), crops(pictures, plain))


def test_projections_are_selected_with_their_units(faces):
    model, pictures = faces
    units = Units([0, 1, 2, 3], [3, 7, 3, 5], [0, 1, 2, 0], [0, 2, 1, 1])
    found = project(model.features, pictures, units, "relu3")
    for chosen, rows in (
        (found.of_map(3), [0, 2]),
        (found[units.picture > 1], [2, 3]),
        (found[[3, 0]], [3, 0]),
        (found[1], [1]),
        (found[:0], []),
        (found.of_map(8), []),
    ):
        assert chosen.units.picture.tolist() == rows  # picture i belongs to unit i
        assert np.array_equal(chosen.patch, found.patch[rows])
        assert np.array_equal(chosen.top, found.top[rows])
        assert np.array_equal(chosen.value, found.value[rows])
    energy = found.energy(9, 60, 50)
    expected = np.zeros((9, 60, 50))
    for i, c in enumerate(units.map):
        expected[c] += found.frame(i, 60, 50)[0].astype(float) ** 2
    assert np.array_equal(energy, expected)


def test_places_that_are_no_places_are_refused(faces):
    for row, column, message in (([1.5], [2], "give integers"), ([1], [2, 3], "one value for each unit")):
        with pytest.raises(FerError, match=message):
            receptive_fields(faces[0].features, "relu3", row, column)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off", b"no"])
def test_damaged_projections_are_named(faces, tmp_path, damage):
    (tmp_path / "projections.npz").write_bytes(damage)
    with pytest.raises(FerError, match="compute them again"):
        Projections.load(tmp_path)


def test_values_that_are_not_numbers_are_refused(faces):
    model, pictures = faces
    spoilt = pictures.clone()
    spoilt[2, 0, 5, 5] = float("nan")
    units = Units([1, 2], [0, 0], [0, 0], [0, 0])
    with pytest.raises(FerError, match="picture 2 has infinite or undefined values"):
        project(model.features, spoilt, units, "relu3")
    broken = nn.Sequential(nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        broken[0].weight.fill_(float("inf"))
    with pytest.raises(FerError, match="layer '0' gives infinite or undefined values"):
        project(broken, pictures, Units([0], [0], [0], [0]), "0")


def test_no_units_give_no_patches(faces):
    model, pictures = faces
    assert project(model.features, pictures, Units([], [], [], []), "relu3").patch.shape == (0, 1, 32, 32)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(rule="lrp"), "rule 'lrp' is unknown"),
        (dict(layer="conv9"), "there is no layer 'conv9'"),
        (dict(units=Units([9], [0], [0], [0])), "picture 9"),
        (dict(units=Units([0], [256], [0], [0])), "map 256"),
        (dict(units=Units([0], [0], [-1], [0])), "row -1"),
        (dict(images=torch.zeros(1, 3, 60, 60)), "the network wants 1"),
        (dict(images=torch.zeros(1, 1, 60, 60).double()), "convert them to the network's torch.float32"),
        (dict(images=torch.zeros(1, 1, 8, 8)), "too small"),
        (dict(batch_size=0), "at least 1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(faces, wrong, message):
    model, pictures = faces
    arguments = dict(images=pictures, units=Units([0], [0], [0], [0]), layer="relu3") | wrong
    if "images" in wrong and arguments["images"].shape[-1] == 8 and model.options["padding"]:
        arguments["images"] = torch.zeros(1, 1, 2, 2)
    with pytest.raises(FerError, match=message):
        project(model.features, **arguments)


def test_the_documented_examples_run():
    for module in (deconv, stack):
        outcome = doctest.testmod(module)
        assert outcome.attempted > 1
        assert outcome.failed == 0


def test_a_network_that_is_not_ours_equals_captum():
    torch.manual_seed(0)
    features = make_layers(cfgs["A"], batch_norm=False).eval()
    pictures = torch.randn(2, 3, 48, 48)
    alive = exemplars(record(features, [pictures], "9"), n=1).units()
    units = alive[[0, 50, -1]]
    ours = project(features, pictures, units, "9")
    # The library leaves rectifiers that work in place as they are; captum, which takes them too, gets the same function out of place.
    assert all(module.inplace for module in features if isinstance(module, nn.ReLU))
    for module in features:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    attribution = NeuronDeconvolution(features, features[9])
    for i in range(3):
        picture = pictures[units.picture[i]][None].clone().requires_grad_()
        where = (int(units.map[i]), int(units.row[i]), int(units.column[i]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = attribution.attribute(picture, where).detach().numpy()[0] * ours.value[i]
        assert abs(ours.frame(i, 48, 48) - theirs).max() <= 1e-5 * abs(theirs).max()
    assert ours.value.min() > 0


def test_batch_normalisation_can_be_folded_as_the_error_says():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(1, 4, 3).double(), nn.BatchNorm2d(4).double()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    conv.eval(), norm.eval()
    picture = torch.randn(1, 1, 9, 9).double()
    folded = nn.Sequential(fuse_conv_bn_eval(conv, norm), nn.ReLU())
    ours = project(folded, picture, Units([0], [1], [2], [3]), "1", "gradient")
    picture.requires_grad_()
    unit = norm(conv(picture)).relu()[0, 1, 2, 3]
    (gradient,) = torch.autograd.grad(unit, picture)
    assert np.allclose(ours.frame(0, 9, 9), (gradient * unit).detach().numpy()[0])
