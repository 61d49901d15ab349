"""Networks that are no plain stack: recorded and projected through hooks."""

import copy
import re
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from captum.attr import NeuronDeconvolution, NeuronGradient, NeuronGuidedBackprop
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import (
    convnext_tiny,
    inception_v3,
    mobilenet_v3_small,
    resnet18,
    swin_t,
    vgg11,
    vit_b_16,
)

from fer_lib.errors import FerError
from fer_lib.probe.activations import record
from fer_lib.probe.deconv import project, receptive_fields
from fer_lib.probe.projections import crops
from fer_lib.probe.responses import Units, exemplars
from fer_lib.probing import Probe

RULES = ("deconvnet", "guided", "gradient")
PEERS = {"deconvnet": NeuronDeconvolution, "guided": NeuronGuidedBackprop, "gradient": NeuronGradient}
LAYERS = ("layer1.0.bn2", "layer2.0.conv1", "layer3.1.conv2", "layer2.1", "maxpool", "relu")


@pytest.fixture(scope="module")
def resnet():
    """In training, with statistics of its own, as a user has it between two epochs; and pictures.

    In float64: in float32, rounding turns a rectifier or a switch over in about one unit of a hundred, here as in captum.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = resnet18(weights=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return model.double(), torch.randn(5, 3, 48, 48, generator=generator).double()


class Reference(nn.Module):
    """A rectifier whose way back is written with torch's own gradients."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, x):
        y = x + (x.relu() - x).detach() if self.rule == "deconvnet" else torch.where(x > 0, x, 0.0)
        if self.rule != "gradient":
            y.register_hook(lambda signal: signal.clamp(min=0))
        return y


def replaced(model, make):
    """A copy in evaluation, each ReLU replaced by what ``make`` gives."""
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, make())
    return model


def one_by_one(model, pictures, units, layer, rule):
    """A slow loop over units, one backward pass each."""
    model = replaced(model, partial(Reference, rule))
    found = []
    for picture, *unit in zip(*(getattr(units, name) for name in Units.NAMES), strict=True):
        x, seen = pictures[[picture]].clone().requires_grad_(), []
        handle = model.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output, seen=seen: seen.append(output.clone())
        )
        model(x)
        handle.remove()
        maps = seen[-1] if seen[-1].ndim == 4 else seen[-1][:, :, None, None]
        value = maps[(0, *unit)]
        found.append(torch.autograd.grad(value, x)[0][0].numpy() * value.item())
    return np.stack(found)


def some_units(model, pictures, layer, number=6):
    units = exemplars(record(model, [pictures], layer), n=2).units()
    return units[np.linspace(0, len(units) - 1, number).astype(int)]


def close(ours, theirs, tolerance=1e-5):
    peak = np.abs(theirs).max(axis=(1, 2, 3), keepdims=True)
    return bool((np.abs(ours - theirs) <= tolerance * np.maximum(peak, 1e-12)).all())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_residual_network_equals_a_slow_loop(resnet, layer, rule):
    model, pictures = resnet
    if layer in ("layer2.1", "relu"):  # blocks end with a rectifier that was used before
        layer = {"layer2.1": "layer2.1.relu", "relu": "relu"}[layer]
    units = some_units(model, pictures, layer)
    found = project(model, pictures, units, layer, rule, batch_size=4)
    assert found.way == "whole frame"
    assert found.patch.shape == (6, 3, 48, 48)
    assert not found.top.any() and not found.left.any()
    assert close(found.patch, one_by_one(model, pictures, units, layer, rule))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layer", LAYERS[:4])
def test_a_residual_network_equals_captum(resnet, layer, rule):
    model, pictures = resnet
    units = some_units(model, pictures, layer, 4)
    found = project(model, pictures, units, layer, rule)
    theirs = copy.deepcopy(model).eval()
    peer = PEERS[rule](theirs, theirs.get_submodule(layer))
    frames = []
    for i in range(len(units)):
        picture = pictures[units.picture[[i]]].clone().requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            unit = tuple(int(getattr(units, name)[i]) for name in ("map", "row", "column"))
            frames.append(peer.attribute(picture, unit)[0].detach().numpy() * found.value[i])
    assert close(found.patch, np.stack(frames))


def test_a_network_is_left_as_it_was(resnet):
    model, pictures = copy.deepcopy(resnet[0]), resnet[1]
    model.layer1.eval()
    for parameter in model.layer2.parameters():
        parameter.requires_grad = False
    model.conv1.weight.grad = torch.ones_like(model.conv1.weight)
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    flags = [module.inplace for module in model.modules() if isinstance(module, nn.ReLU)]
    given_pictures = pictures.clone()
    for rule in RULES:
        project(model, pictures, some_units(model, pictures, "layer3.0.bn1"), "layer3.0.bn1", rule)
    with pytest.raises(FerError):
        project(model, pictures, Units([0], [999], [0], [0]), "layer3.0.bn1", "guided")
    with pytest.raises(FerError, match="network fails"):
        record(model, [pictures[:, :1]], "layer3.0.bn1")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert flags == [module.inplace for module in model.modules() if isinstance(module, nn.ReLU)]
    assert torch.equal(pictures, given_pictures)
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["conv1.weight"]
    assert bool((model.conv1.weight.grad == 1).all())
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in model.modules())


@pytest.mark.parametrize("layer", ["conv1", "layer1.0.bn1", "layer1.0", "fc", "avgpool"])
def test_recorded_maxima_are_those_of_the_layer_before_anything_works_in_place(resnet, layer):
    model, pictures = resnet
    found = record(model, pictures.split(2), layer)
    with torch.no_grad():
        x = replaced(model, lambda: nn.ReLU())
        seen = []
        x.get_submodule(layer).register_forward_hook(lambda m, i, output: seen.append(output.clone()))
        x(pictures)
    maps = seen[-1].reshape(5, seen[-1].shape[1], -1).numpy()
    assert np.allclose(found.maximum, maps.max(2), rtol=1e-4, atol=1e-5)
    width = seen[-1].shape[-1] if seen[-1].ndim == 4 else 1
    assert np.array_equal(found.row * width + found.column, maps.argmax(2))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(1, 45), st.integers(1, 45))
def test_batch_size_of_a_loader_does_not_change_a_bit(first, second):
    model, pictures = BRANCHED, torch.randn(45, 2, 9, 9, generator=torch.Generator().manual_seed(1))
    one, other = (record(model, pictures.split(size), "join") for size in (first, second))
    assert np.array_equal(one.maximum, other.maximum)
    assert np.array_equal(one.column, other.column)


class Branched(nn.Module):
    """Strided, grouped, with a branch, and sums in place: nothing that a stack may hold."""

    def __init__(self, activation=None):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, stride=2, groups=2)
        self.norm = nn.BatchNorm2d(4)
        self.act = activation or nn.ReLU(inplace=True)
        self.left = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.right = nn.AvgPool2d(3, 1, 1)
        self.join = nn.Identity()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.act(self.norm(self.stem(x)))
        y = self.act(self.left(x))
        y = y + self.right(x)
        y += 1
        y = self.join(y)
        y *= 3  # in place behind the layer
        return self.head(y.mean((2, 3)))


torch.manual_seed(3)
BRANCHED = Branched().eval()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layer", ["join", "head", "norm", "act"])
def test_any_layers_equal_a_slow_loop(layer, rule):
    pictures = torch.randn(4, 2, 13, 11, generator=torch.Generator().manual_seed(2))
    units = exemplars(record(BRANCHED, [pictures], layer), n=2).units()
    found = project(BRANCHED, pictures, units, layer, rule, batch_size=3)
    assert close(found.patch, one_by_one(BRANCHED, pictures, units, layer, rule))
    assert np.allclose(found.value, record(BRANCHED, [pictures], layer).maximum[units.picture, units.map])


def test_whole_frames_equal_windows_where_both_can_be():
    """A stack whose pictures are turned into themselves first is no stack any more."""
    torch.manual_seed(0)
    stack = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU()
    )
    hidden = nn.Sequential(nn.Identity(), *stack)
    pictures = torch.randn(6, 1, 14, 12)
    units = exemplars(record(stack, [pictures], "4"), n=3).units()
    again = exemplars(record(hidden, [pictures], "5"), n=3).units()
    assert all(np.array_equal(getattr(units, name), getattr(again, name)) for name in Units.NAMES)
    for rule in RULES:
        windowed, whole = (
            project(stack, pictures, units, "4", rule),
            project(hidden, pictures, units, "5", rule),
        )
        assert (windowed.way, whole.way) == ("windowed", "whole frame")
        frames = np.stack([windowed.frame(i, 14, 12) for i in range(len(units))])
        assert close(whole.patch, frames)
        assert np.allclose(whole.energy(6, 14, 12), windowed.energy(6, 14, 12), rtol=1e-4, atol=1e-9)


def test_a_stack_inside_a_network_is_found():
    torch.manual_seed(0)
    model, pictures = vgg11(weights=None), torch.randn(3, 3, 32, 32)
    units = exemplars(record(model, [pictures], "features.9"), n=1).units()[:5]
    inside = project(model, pictures, units, "features.9", "guided")
    alone = project(model.features, pictures, units, "9", "guided")
    assert (inside.way, inside.layer) == ("windowed", "features.9")
    assert np.array_equal(inside.patch, alone.patch)
    assert model.training


@pytest.mark.parametrize(
    "changed",
    [
        lambda self, x: self.body(x / 2),
        lambda self, x: self.body(self.body[:1](x).relu()[:, :2]) + self.body(x),
    ],
)
def test_a_stack_that_is_given_something_else_is_no_stack(changed):
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU())

        forward = changed

    model, pictures = Around(), torch.randn(3, 2, 6, 6)
    units = exemplars(record(model, [pictures], "body.0"), n=1).units()
    found = project(model, pictures, units, "body.0", "gradient")
    assert found.way == "whole frame"
    assert close(found.patch, one_by_one(model, pictures, units, "body.0", "gradient"))


def test_folded_batch_normalisation_is_the_same():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    plain = nn.Sequential(conv, norm, nn.ReLU()).eval()
    folded = nn.Sequential(fuse_conv_bn_eval(conv, norm), nn.ReLU())
    picture = torch.randn(1, 1, 9, 9)
    units = exemplars(record(plain, [picture], "2"), n=1).units()
    whole, windowed = project(plain, picture, units, "2"), project(folded, picture, units, "1")
    assert (whole.way, windowed.way) == ("whole frame", "windowed")
    for i in range(len(units)):
        assert np.allclose(whole.patch[i], windowed.frame(i, 9, 9), atol=1e-5)


class Functional(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.conv, self.act, self.last, self.call = nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3), call

    def forward(self, x):
        return functional.relu(self.last(self.call(self.act(self.conv(x)) - 0.1)))


def overwritten(x):
    x[x < 0] = 0
    return x


def rectified_in_part(x):
    x[:, :2].relu_()
    return x


@pytest.mark.parametrize(
    "call",
    [
        functional.relu,
        torch.relu,
        torch.relu_,
        lambda x: x.relu(),
        lambda x: x.relu_(),
        lambda x: functional.relu(x, inplace=True),
        lambda x: x.clamp(min=0),
        lambda x: torch.clamp_min(x, 0),
        lambda x: torch.maximum(x, torch.zeros(1)),
        lambda x: torch.maximum(torch.tensor(0.0), x),
        lambda x: torch.fmax(x, torch.zeros(1)),
        lambda x: x.clamp(min=torch.zeros(3, 1, 1)),
        lambda x: x - x.clamp(max=0),
        lambda x: x - torch.minimum(x, torch.zeros(1)),
        lambda x: x * (x > 0),
        lambda x: (x > 0) * x,
        lambda x: x * (x >= 0).float(),
        lambda x: x * ~(x <= 0),
        lambda x: x * torch.gt(x, torch.zeros_like(x)).type_as(x),
        lambda x: x * (x.detach() > 0),
        lambda x: x.mul_(x > 0),
        lambda x: x * torch.heaviside(x.detach(), torch.tensor(0.0)),
        lambda x: torch.where(x > 0, x, 0.0),
        lambda x: torch.where(x < 0, torch.zeros_like(x), x),
        lambda x: torch.where(x > 0, 1.0 * x, 0.0),
        lambda x: x.masked_fill(x < 0, 0),
        lambda x: torch.cat([x[:, :2] * (x[:, :2] > 0), x[:, 2:]], 1),
        lambda x: torch.cat([x[:, :2].clone().relu_(), x[:, 2:]], 1),
        lambda x: overwritten(1.0 * x),
        lambda x: rectified_in_part(1.0 * x),
    ],
)
@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
def test_rectifiers_that_are_functions_are_refused_where_they_matter(call, rule):
    model, pictures, unit = Functional(call), torch.randn(2, 1, 9, 9), Units([1], [0], [2], [1])
    with pytest.raises(FerError, match=r"use an nn\.ReLU module for each call, or rule='gradient'") as said:
        project(model, pictures, unit, "last", rule)
    assert "\n" not in str(said.value)
    assert close(
        project(model, pictures, unit, "last", "gradient").patch,
        one_by_one(model, pictures, unit, "last", "gradient"),
    )
    # What comes behind the layer does not matter.
    assert close(
        project(model, pictures, unit, "act", rule).patch, one_by_one(model, pictures, unit, "act", rule)
    )


class HardSwish(nn.Module):
    def forward(self, x):
        return x * (x + 3).clamp(0, 6) / 6


def attention(x):
    """Each place looks at those before it, as where and as masked_fill."""
    tokens = x.flatten(2)
    scores = tokens.mT @ tokens
    hidden = torch.arange(len(scores[0])) < torch.arange(len(scores[0]))[:, None]
    scores = torch.where(hidden, -torch.inf, scores).softmax(-1)
    scores = scores + (tokens.mT @ tokens).masked_fill(hidden, -torch.inf).softmax(-1)
    return (tokens @ scores).view_as(x)


def gated(x):
    """Multiplied by where something else is positive, of the same shape and at times in the same memory."""
    mask = (x.roll(1, 1) + 1) > 0
    return (x + 1) * mask


def of_positive_weights(x):
    weight = nn.Parameter(torch.randn(3, 3, 1, 1))
    return functional.conv2d(x, weight * (weight > 0) + weight.clamp(min=0))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.clamp(min=-5, max=5),
        lambda x: torch.maximum(x, x.roll(1, 1)),
        lambda x: x * x.sigmoid(),
        lambda x: x * (x == 0).logical_not(),
        lambda x: x + (x > 0),
        lambda x: x + functional.relu(x).detach(),
        lambda x: x / (x.var((2, 3), keepdim=True).clamp(min=0) + 1e-3).sqrt(),
        lambda x: x * functional.relu(x.detach()).amax((2, 3), keepdim=True),
        nn.BatchNorm2d(3),
        nn.GroupNorm(1, 3),
        HardSwish(),
        attention,
        gated,
        of_positive_weights,
    ],
)
def test_what_rectifies_no_signal_is_not_refused(call):
    torch.manual_seed(0)
    model = Functional(call)
    found = project(model, torch.randn(2, 1, 9, 9), Units([0, 1], [0, 1], [2, 0], [1, 1]), "last", "guided")
    assert found.way == "whole frame"


def test_rectifiers_on_other_ways_than_the_signals_do_not_matter():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right, self.act = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3), nn.ReLU()

        def forward(self, x):
            aside = self.left(x)
            return aside * (aside > 0) + functional.relu(aside) + self.act(self.right(x))

    model, pictures, units = Aside(), torch.randn(1, 1, 6, 6), Units([0], [1], [2], [1])
    assert close(
        project(model, pictures, units, "act", "guided").patch,
        one_by_one(model, pictures, units, "act", "guided"),
    )


WRAPPED = {
    "parallel": nn.DataParallel,
    "compiled": torch.compile,
    "both": lambda model: nn.DataParallel(torch.compile(model)),
}


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize(
    "make", [lambda: copy.deepcopy(BRANCHED), lambda: nn.Sequential(BRANCHED.stem, nn.ReLU())]
)
def test_layers_of_a_wrapped_network_have_their_names(make, wrap):
    model, pictures = make(), torch.randn(3, 2, 9, 9)
    layer = "join" if isinstance(model, Branched) else "1"
    wrapped = WRAPPED[wrap](model)
    (long,) = (name for name, _ in wrapped.named_modules() if name.endswith(f".{layer}"))
    plain = record(model, pictures, layer)
    units = exemplars(plain, n=1).units()
    for name in (layer, long):
        assert np.array_equal(record(wrapped, pictures, name).maximum, plain.maximum)
        found = project(wrapped, pictures, units, name, "guided")
        expected = project(model, pictures, units, layer, "guided")
        assert (found.layer, found.way) == (name, expected.way)
        assert np.array_equal(found.patch, expected.patch)
    with pytest.raises(FerError, match="there is no layer 'nowhere'"):
        record(wrapped, pictures, "nowhere")


def test_wrapped_parts_of_a_network_have_their_names():
    torch.manual_seed(0)
    plain = vgg11(weights=None)
    model, pictures = copy.deepcopy(plain), torch.randn(2, 3, 32, 32)
    model.features = nn.DataParallel(torch.compile(model.features))
    model.classifier[0].compile()
    for layer in ("features.4", "classifier.0"):
        expected = record(plain, pictures, layer)
        assert np.array_equal(record(model, pictures, layer).maximum, expected.maximum)
    assert project(
        model, pictures, exemplars(expected, n=1).units()[:1], "classifier.0", "guided"
    ).patch.any()


def test_names_that_look_like_a_wrappers_are_ordinary_ones():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Sequential(nn.Conv2d(1, 2, 3))

        def forward(self, x):
            return self.module(x)

    pictures = torch.randn(2, 1, 6, 6)
    for model in (Own(), nn.DataParallel(Own())):
        record(model, pictures, "module.0")
        with pytest.raises(FerError, match="there is no layer '0'"):
            record(model, pictures, "0")


def test_the_modules_that_call_functions_are_named():
    model = inception_v3(weights=None, init_weights=False)
    picture = torch.randn(1, 3, 80, 80)
    with pytest.raises(FerError, match=r"as in Conv2d_1a_3x3, Conv2d_2a_3x3, Conv2d_2b_3x3 and \d+ more:"):
        project(model, picture, Units([0], [0], [0], [0]), "Mixed_5b", "guided")


class OwnReLU(nn.ReLU):
    def forward(self, x):
        return 0.5 * super().forward(x)


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (nn.GELU(), "there is Gelu: use rule='gradient'"),
        (nn.LeakyReLU(), "there is LeakyRelu: use rule='gradient'"),
        (nn.CELU(), "there is Celu: use rule='gradient'"),
        (nn.RReLU(), "there is RreluWithNoise: use rule='gradient'"),
        (nn.Threshold(0, 0), "there is Threshold: use rule='gradient'"),
        (nn.ReLU6(), "there is Hardtanh: use rule='gradient'"),
        (nn.Tanh(), "the network has no nn.ReLU: use rule='gradient'"),
        (OwnReLU(), "called as a function or written out, as in act"),
    ],
)
def test_other_activations_have_the_gradient_alone(activation, message):
    model, pictures = Branched(activation).eval(), torch.randn(2, 2, 9, 9)
    units = exemplars(record(model, [pictures], "join"), n=1).units()
    for rule in ("deconvnet", "guided"):
        with pytest.raises(FerError, match=re.escape(message)):
            project(model, pictures, units, "join", rule)
    assert project(model, pictures, units, "join", "gradient").way == "whole frame"


def test_a_network_with_some_other_activations_is_refused():
    model, picture = mobilenet_v3_small(weights=None), torch.randn(1, 3, 64, 64)
    with pytest.raises(FerError, match="Hardswish"):
        project(model, picture, Units([0], [0], [0], [0]), "features.5", "guided")


def test_tokens_are_columns_of_one_row():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, activation="gelu")

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.attention = nn.Conv2d(1, 8, 4, stride=4), layer

        def forward(self, x):
            return self.attention(self.patches(x).flatten(2).transpose(1, 2))

    model, pictures = Tokens(), torch.randn(3, 1, 12, 8)
    found = record(model, [pictures], "attention")
    with torch.no_grad():
        tokens = model.eval()(pictures).numpy()
    assert np.allclose(found.maximum, tokens.max(1), atol=1e-5)
    assert np.array_equal(found.column, tokens.argmax(1))
    assert not found.row.any()
    units = exemplars(found, n=1).units()
    projected = project(model, pictures, units, "attention", "gradient")
    x = pictures[units.picture[[0]]].clone().requires_grad_()
    value = model(x)[0, units.column[0], units.map[0]]
    (gradient,) = torch.autograd.grad(value, x)
    assert np.allclose(projected.patch[0], (gradient * value).detach().numpy()[0], atol=1e-5)


@pytest.mark.slow
def test_a_vision_transformer_is_recorded_and_has_a_gradient():
    model, picture = vit_b_16(weights=None), torch.randn(1, 3, 224, 224)
    found = record(model, [picture], "encoder.layers.encoder_layer_1")
    assert found.maximum.shape == (1, 768)
    unit = exemplars(found, n=1).units()[:1]
    assert project(model, picture, unit, "encoder.layers.encoder_layer_1", "gradient").patch.any()


class Odd(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.inside, self.unused, self.how = nn.Conv2d(1, 2, 3), nn.ReLU(), forward

    def forward(self, x):
        return self.how(self.inside, x)


def cut_off(conv, x):
    with torch.no_grad():
        return conv(x)


@pytest.mark.parametrize(
    ("model", "layer", "message"),
    [
        (Odd(lambda conv, x: conv(x)), "unused", "layer 'unused' was not run"),
        (Odd(cut_off), "inside", "no gradient comes from layer 'inside'"),
        (Odd(lambda conv, x: conv(x.detach())), "inside", "no gradient comes from layer 'inside'"),
        (Odd(lambda conv, x: conv(x[:1])), "inside", "for 2 pictures"),
        (
            Odd(lambda conv, x: 1 / 0 if x is None else conv(x.flatten(1))),
            "inside",
            "the network fails on pictures",
        ),
        (
            Odd(lambda conv, x: conv(x) * conv.bias.item()),
            "nowhere",
            "there is no layer 'nowhere': the layers are",
        ),
        (resnet18(weights=None), "layer3.1.conv", "there is no layer 'layer3.1.conv': try layer3.1.conv"),
        (Odd(lambda conv, x: conv(x)), 3, "layer 3 is int: give its name"),
    ],
)
def test_what_cannot_be_projected_is_said_in_one_line(model, layer, message):
    pictures = torch.randn(2, 1, 8, 8)
    with pytest.raises(FerError) as said:
        project(model, pictures, Units([0, 1], [0, 1], [0, 0], [0, 0]), layer, "gradient")
    assert message in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (([9], [0], [0], [0]), "picture 9"),
        (([0], [4], [0], [0]), "map 4"),
        (([0], [0], [0], [-1]), "column -1"),
    ],
)
def test_units_that_do_not_exist_are_named(unit, message):
    with pytest.raises(FerError, match=message):
        project(BRANCHED, torch.randn(2, 2, 9, 9), Units(*unit), "join")


def test_types_that_do_not_fit_and_values_that_are_none():
    with pytest.raises(FerError, match=r"torch\.float64: convert them to the network's torch\.float32"):
        record(BRANCHED, np.zeros((2, 2, 9, 9)), "join")
    with pytest.raises(FerError, match="picture 1 has infinite or undefined"):
        record(BRANCHED, [torch.tensor([0.0, np.nan])[:, None, None, None].expand(2, 2, 9, 9)], "join")
    whole = Odd(lambda conv, x: conv(x.float()))
    given_numbers = torch.ones(2, 1, 9, 9, dtype=torch.uint8)
    units = exemplars(record(whole, [given_numbers], "inside"), n=1).units()
    with pytest.raises(FerError, match=r"torch\.uint8, which has no gradient"):
        project(whole, given_numbers, units, "inside", "gradient")
    broken = copy.deepcopy(BRANCHED)
    with torch.no_grad():
        broken.left.weight[0, 0, 0, 0] = torch.inf
    with pytest.raises(FerError, match="layer 'join' gives infinite or undefined values"):
        record(broken, torch.ones(2, 2, 9, 9), "join")


def test_the_caller_may_be_anywhere():
    pictures = torch.randn(3, 2, 9, 9)
    units = exemplars(record(BRANCHED, [pictures], "join"), n=1).units()
    plain = project(BRANCHED, pictures, units, "join", "guided").patch
    frozen = copy.deepcopy(BRANCHED).requires_grad_(False)
    assert np.array_equal(project(frozen, pictures, units, "join", "guided").patch, plain)
    with torch.no_grad():
        assert np.array_equal(project(BRANCHED, pictures, units, "join", "guided").patch, plain)
    with torch.inference_mode():
        assert np.array_equal(project(BRANCHED, pictures.clone(), units, "join", "guided").patch, plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(project(BRANCHED, pictures, units, "join", "guided").patch, plain)
    assert project(BRANCHED, pictures, Units([], [], [], []), "join").patch.shape == (0, 2, 9, 9)


def test_hooks_of_the_user_count():
    model = copy.deepcopy(BRANCHED)
    pictures = torch.rand(3, 2, 9, 9)
    before = record(model, [pictures], "left").maximum
    handle = model.left.register_forward_hook(lambda module, inputs, output: 2 * output)
    assert np.allclose(record(model, [pictures], "left").maximum, 2 * before)
    assert handle.id in model.left._forward_hooks


def test_units_of_other_networks_see_the_whole_frame(resnet):
    boxes = receptive_fields(resnet[0], "layer2", [0, 3], [1, 2], (48, 40))
    assert boxes.tolist() == [[0, 0, 40, 48]] * 2
    with pytest.raises(FerError, match="give the frame's shape"):
        receptive_fields(resnet[0], "layer2", [0], [1])


def test_blocks_that_are_fed_other_maps_than_the_pictures():
    """Each stage of MobileNet begins with a stack that takes 16 maps or more."""
    torch.manual_seed(0)
    model, pictures = mobilenet_v3_small(weights=None).eval(), torch.randn(2, 3, 48, 48)
    layer = "features.3.block.0.0"
    units = exemplars(record(model, pictures, layer), n=1).units()[:4]
    found = project(model, pictures, units, layer, "gradient")
    assert found.way == "whole frame"
    assert close(found.patch, one_by_one(model, pictures, units, layer, "gradient"), 1e-4)


@pytest.mark.parametrize(
    ("make", "layer", "size"),
    [
        (swin_t, "features.1.0", (64, 64)),
        (swin_t, "features.1.0.mlp.1", (48, 64)),
        (swin_t, "permute", (64, 64)),
        (convnext_tiny, "features.1.0.block.3", (32, 48)),
        (convnext_tiny, "features.1.0", (32, 48)),
        (resnet18, "layer1.0.conv1", (48, 4000)),
    ],
)
def test_channels_that_come_last_are_maps(make, layer, size):
    torch.manual_seed(0)
    model, pictures, seen = make(weights=None).eval(), torch.randn(2, 3, *size), []
    with (
        torch.no_grad(),
        model.get_submodule(layer).register_forward_hook(lambda m, i, o: seen.append(o.clone())),
    ):
        model(pictures)
    last = make is not resnet18 and layer not in ("permute", "features.1.0" if make is convnext_tiny else "")
    maps = seen[0].permute(0, 3, 1, 2) if last else seen[0]
    found = record(model, pictures, layer)
    assert np.array_equal(found.maximum, maps.amax((2, 3)).numpy())
    units = exemplars(found, n=1).units()[:2]
    places = tuple(torch.from_numpy(getattr(units, name)) for name in Units.NAMES)
    assert np.allclose(
        project(model, pictures, units, layer, "gradient").value, maps[places].numpy(), atol=1e-5
    )


class Fixed(nn.Module):
    """Takes pictures of one size, as networks with a weight for each place do."""

    def __init__(self, last):
        super().__init__()
        self.conv, self.linear, self.same, self.last = (
            nn.Conv2d(1, 5, 3, padding=1),
            nn.Linear(5, 8),
            nn.Identity(),
            last,
        )
        self.place = nn.Parameter(torch.randn(6, 8, 5))

    def forward(self, x):
        x = self.conv(x).permute(0, 2, 3, 1) + self.place
        return self.same(self.linear(x) if self.last else x.permute(0, 3, 1, 2))


@pytest.mark.parametrize("last", [True, False])
def test_networks_of_one_size_tell_by_their_widths_where_the_channels_are(last):
    assert record(Fixed(last), torch.randn(2, 1, 6, 8), "same").maximum.shape == (2, 8 if last else 5)


def test_pictures_that_depend_on_each_other_are_refused():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, track_running_stats=False), nn.ReLU())
    pictures = torch.randn(4, 1, 8, 8)
    with pytest.raises(FerError, match="layer '1' normalises by the pictures that come together"):
        record(model, pictures, "2")
    with pytest.raises(FerError, match="give it running statistics"):
        project(model, pictures, Units([0], [0], [0], [0]), "2", "gradient")
    assert record(model, pictures, "0").maximum.shape == (4, 3)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning")
def test_scripted_networks_are_answered_in_one_line():
    body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
    pictures = torch.randn(2, 1, 8, 8)
    scripted, traced = torch.jit.script(body), torch.jit.trace(body.eval(), pictures)
    model = nn.Sequential(scripted, nn.Conv2d(3, 2, 3))
    for network, layer in [
        *((one, layer) for one in (scripted, traced, torch.jit.freeze(traced)) for layer in ("0", "2", "x")),
        *((model, layer) for layer in ("0", "0.0", "0.2")),
        (nn.DataParallel(model), "0.0"),
    ]:
        with pytest.raises(FerError, match=rf"layer '{layer}' is scripted, .*: give the network that it was"):
            Probe(network, layer)
        with pytest.raises(FerError, match="is scripted"):
            record(network, pictures, layer)
    with pytest.raises(FerError, match="rule 'guided' cannot see the rectifiers of scripted parts"):
        project(model, pictures, Units([0], [0], [0], [0]), "1", "guided")
    assert record(model, pictures, "1").maximum.shape == (2, 2)
    assert project(model, pictures, Units([0], [0], [0], [0]), "1", "gradient").patch.any()


def test_an_exported_network_is_answered_in_one_line():
    body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU()).eval()
    pictures = torch.randn(2, 1, 8, 8)
    exported = torch.export.export(body, (pictures,)).module()
    with pytest.raises(FerError, match=r"cannot be put into evaluation .*before torch\.export"):
        record(exported, pictures, "0")


def test_pictures_in_bfloat16_are_cut_out():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU()).bfloat16()
    pictures = torch.randn(2, 1, 8, 8).bfloat16()
    found = project(model, pictures, Units([1], [0], [0], [0]), "2", "gradient")
    assert np.array_equal(crops(pictures, found), pictures[1:].float().numpy())


class Counting(nn.Module):
    """Writes to its buffers in evaluation too: in place, and by another tensor."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("last", torch.full((1,), torch.nan))

    def forward(self, x):
        self.seen += len(x)
        self.last = x.mean()[None].detach()
        return self.relu(self.conv(x))


def test_what_a_network_writes_to_its_buffers_is_put_back():
    network, pictures = Counting(), torch.rand(5, 3, 8, 8)
    seen, last = network.seen, network.last
    units = exemplars(record(network, pictures, "relu"), n=1).units()
    project(network, pictures, units, "relu", "guided")
    assert network.seen is seen and network.last is last
    assert seen.item() == 0 and last.isnan().item()
    with pytest.raises(FerError, match="fails on pictures"):
        record(network, pictures[:, :1], "relu")
    assert seen.item() == 0


@pytest.mark.parametrize("inside", [True, False])
def test_a_hook_on_the_way_back_counts_in_stacks_as_in_any_network(inside):
    stack = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
    network, pictures = nn.Sequential(stack, nn.Flatten()), torch.rand(5, 3, 8, 8)
    units = exemplars(record(network, pictures, "0.3"), n=1).units()
    assert project(network, pictures, units, "0.3", "gradient").way == "windowed"
    hooked = stack[0] if inside else network
    hooked.register_full_backward_hook(
        lambda module, given, back: None if given[0] is None else (given[0] * 0,)
    )
    found = project(network, pictures, units, "0.3", "gradient")
    assert found.way == "whole frame"
    assert inside is False or not found.patch.any()
