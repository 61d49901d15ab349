"""Networks as users have them: layers used again, own classes, hooks, weights that are made of others, other types."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.nn import intrinsic, qat
from torch.nn.utils import parametrizations, parametrize, prune
from torchvision.ops import Conv2dNormActivation

from fer_lib.errors import FerError
from fer_lib.network.stack import read_stack, receptive_field
from fer_lib.probe.activations import record
from fer_lib.probe.deconv import project
from fer_lib.probe.responses import Units, exemplars


def executed(features, pictures):
    """Output of every place of a layer, in the order in which torch comes by, as its own hooks see them."""
    outputs = []

    def keep(module, inputs, output):
        outputs.append((output[0] if isinstance(output, tuple) else output).detach().clone())

    leaves = {m for m in features.modules() if isinstance(m, nn.Conv2d | nn.ReLU | nn.MaxPool2d)}
    handles = [leaf.register_forward_hook(keep) for leaf in leaves]
    try:
        with torch.no_grad():
            features.eval()(pictures.clone())
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def assert_as_torch_runs_it(features, pictures, tolerance=1e-5):
    """Maxima of every place are those that torch gives, gradients those of autograd; the network is left alone."""
    before, mode = copy.deepcopy(features.state_dict()), features.training
    names = [step.name for step in read_stack(features)]
    found = [record(features, [pictures], name) for name in names]
    units = exemplars(found[-1], n=2).units()
    ours = project(features, pictures, units, names[-1], "gradient")
    assert len(units)
    assert features.training is mode
    assert all(torch.equal(before[name], value) for name, value in features.state_dict().items())
    outputs = executed(features, pictures)
    assert len(outputs) == len(names)
    for responses, output in zip(found, outputs, strict=True):
        maxima = output.float().flatten(2).max(2)[0].numpy()
        assert np.allclose(responses.maximum, maxima, rtol=tolerance, atol=tolerance)
    x = pictures.clone().requires_grad_()
    last = features(x)
    last = last[0] if isinstance(last, tuple) else last
    for i in range(len(units)):
        unit = last[units.picture[i], units.map[i], units.row[i], units.column[i]]
        (gradient,) = torch.autograd.grad(unit, x, retain_graph=True)
        theirs = (gradient[units.picture[i]] * unit).detach().double().numpy()
        assert abs(ours.frame(i, *x.shape[2:]) - theirs).max() <= tolerance * max(1e-6, abs(theirs).max())
    assert all(torch.equal(before[name], value) for name, value in features.state_dict().items())


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)


@pytest.fixture
def pictures():
    return torch.randn(5, 1, 22, 22)


def conv(before=4, after=4, **options):
    return nn.Conv2d(before, after, 3, **options)


class Block(nn.Sequential):
    """A Sequential under another name."""


class Doubling(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


class Backwards(nn.Sequential):
    def __iter__(self):
        return reversed(list(super().__iter__()))


class Calling(nn.Sequential):
    def __call__(self, x):
        return super().__call__(x) + 1


class OwnConv(nn.Conv2d):
    def __init__(self, before, after):
        super().__init__(before, after, 3, bias=False)


class ScaledConv(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, 2 * weight, bias)


def repeated():
    relu, quiet, pool, shared = nn.ReLU(), nn.ReLU(inplace=True), nn.MaxPool2d(2), conv(padding=1)
    block = nn.Sequential(shared, relu)
    return {
        "one rectifier twice": nn.Sequential(conv(1), relu, conv(), relu, conv(), nn.ReLU()),
        "one rectifier three times": nn.Sequential(conv(1), relu, conv(), relu, conv(), relu),
        "in place": nn.Sequential(conv(1), quiet, conv(), quiet, conv(), quiet),
        "one pool twice": nn.Sequential(conv(1), relu, pool, conv(), relu, pool),
        "one convolution three times": nn.Sequential(conv(1), relu, shared, relu, shared, pool, shared),
        "one block twice": nn.Sequential(conv(1), block, pool, block),
        "blocks in blocks": nn.Sequential(conv(1), nn.Sequential(block, nn.Sequential(pool, block)), block),
        "rectifiers alone": nn.Sequential(relu, relu),
        "block of a library": nn.Sequential(
            Conv2dNormActivation(1, 4, norm_layer=None), Conv2dNormActivation(4, 4, norm_layer=None)
        ),
        "other names": Block(conv(1), Block(relu, OwnConv(4, 4)), relu),
        "fused": nn.Sequential(conv(1), intrinsic.ConvReLU2d(conv(), nn.ReLU())),
    }


@pytest.mark.parametrize("case", repeated())
def test_layers_that_are_used_again_count_at_each_place(case, pictures):
    assert_as_torch_runs_it(repeated()[case], pictures)


def test_names_are_those_of_the_modules():
    relu = nn.ReLU()
    features = nn.Sequential(conv(1), relu, nn.Sequential(conv(), relu), relu)
    names = [step.name for step in read_stack(features)]
    assert names == ["0", "1", "2.0", "2.1", "3"]
    modules = dict(features.named_modules(remove_duplicate=False))
    assert all(step.module is modules[step.name] for step in read_stack(features))
    assert receptive_field(features, "2.1").size == 5


def with_own_forward(module):
    module.forward = lambda x: x
    return module


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (Doubling(conv(1), nn.ReLU()), "the network is Doubling with a forward of its own"),
        (nn.Sequential(conv(1), Doubling(nn.ReLU())), "layer '1' is Doubling"),
        (nn.Sequential(nn.Sequential(Doubling(conv(1)))), "layer '0.0' is Doubling"),
        (Backwards(nn.ReLU(), conv(1)), "the network is Backwards"),
        (nn.Sequential(conv(1), Calling(nn.ReLU())), "layer '1' is Calling"),
        (nn.Sequential(ScaledConv(1, 2, 3)), "layer '0' is ScaledConv"),
        (with_own_forward(nn.Sequential(conv(1))), "the network is Sequential"),
        (nn.Sequential(conv(1), with_own_forward(nn.ReLU())), "layer '1' is ReLU"),
        (
            nn.Sequential(qat.Conv2d(1, 2, 3, qconfig=torch.ao.quantization.get_default_qat_qconfig())),
            "layer '0' is torch.ao.nn.qat.modules.conv.Conv2d",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forward_of_its_own_is_refused_not_passed_over(features, message):
    with pytest.raises(FerError) as caught:
        read_stack(features)
    assert str(caught.value).startswith(message)
    assert "give plain nn." in str(caught.value)


@pytest.mark.parametrize("where", ["", "0", "0.1"])
@pytest.mark.parametrize("how", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_that_may_change_values_are_refused(where, how, pictures):
    features = nn.Sequential(nn.Sequential(conv(1), nn.ReLU()), conv())
    handle = getattr(features.get_submodule(where), how)(lambda module, *values: None)
    with pytest.raises(FerError, match="forward hook") as caught:
        read_stack(features, "1")
    assert str(caught.value).startswith(f"layer {where!r}" if where else "the network")
    handle.remove()
    assert_as_torch_runs_it(features, pictures)


def test_hooks_on_all_modules_and_on_the_way_back_are_refused(pictures):
    features = nn.Sequential(conv(1), nn.ReLU())
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: 2 * output)
    try:
        with pytest.raises(FerError, match="forward hook"):
            read_stack(features, "1")
    finally:
        handle.remove()
    assert_as_torch_runs_it(features, pictures)
    features[0].register_full_backward_hook(lambda module, *gradients: None)
    with pytest.raises(FerError, match="layer '0' has the backward hook"):
        read_stack(features, "1")


def normalised(features):
    for layer in (features[0], features[2]):
        parametrizations.weight_norm(layer)
    return features


def normalised_by_hooks(features):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for layer in (features[0], features[2]):
            nn.utils.weight_norm(layer)
    return features


def spectral(features):
    for layer in (features[0], features[2]):
        parametrizations.spectral_norm(layer)
    return features


def spectral_by_hooks(features):
    for layer in (features[0], features[2]):
        nn.utils.spectral_norm(layer)
    return features


def pruned(features):
    prune.l1_unstructured(features[0], "weight", 0.3)
    prune.random_unstructured(features[0], "weight", 0.3)
    prune.l1_unstructured(features[0], "bias", 0.5)
    prune.ln_structured(features[2], "weight", 0.4, 2, 0)
    return features


def pruned_and_normalised(features):
    prune.l1_unstructured(normalised_by_hooks(features)[0], "weight_v", 0.3)
    return features


class Symmetric(nn.Module):
    def forward(self, weight):
        return weight.triu() + weight.triu(1).transpose(-1, -2)


def symmetric(features):
    parametrize.register_parametrization(features[2], "weight", Symmetric())
    return features


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "made",
    [
        normalised,
        normalised_by_hooks,
        spectral,
        spectral_by_hooks,
        pruned,
        pruned_and_normalised,
        symmetric,
    ],
)
def test_weights_that_are_made_of_others_are_those_of_evaluation(made, training, pictures):
    features = made(nn.Sequential(conv(1), nn.ReLU(), conv(), nn.ReLU()))
    with (
        torch.no_grad()
    ):  # what a step of training or a loaded file does: the weight that was made last is stale
        for parameter in features.parameters():
            parameter.mul_(1.5)
    assert_as_torch_runs_it(features.train(training), pictures)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_other_floating_types(kind, pictures):
    """Against the same weights and pictures in float64, in which those of the shorter types are exact."""
    features = nn.Sequential(conv(1), nn.ReLU(), nn.MaxPool2d(2), conv(), nn.ReLU()).to(kind)
    given = pictures.to(kind)
    found = record(features, [given], "4")
    units = exemplars(found, n=1).units()
    ours = project(features, given, units, "4", "guided")
    exact = copy.deepcopy(features).double()
    assert np.allclose(found.maximum, record(exact, [given.double()], "4").maximum, rtol=1e-5, atol=1e-6)
    theirs = project(exact, given.double(), units, "4", "guided")
    assert np.allclose(ours.patch, theirs.patch, rtol=1e-4, atol=1e-5)
    assert ours.patch.dtype == (np.float64 if kind is torch.float64 else np.float32)
    with pytest.raises(FerError, match=f"convert them to the network's {kind}"):
        record(features, [pictures.to(torch.float32 if kind is torch.float64 else torch.float64)], "4")


def test_calculated_in_the_networks_type_under_autocast(pictures):
    features = nn.Sequential(conv(1), nn.ReLU(), conv())
    plain = record(features, [pictures], "2")
    units = exemplars(plain, n=1).units()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(record(features, [pictures], "2").maximum, plain.maximum)
        patch = project(features, pictures, units, "2").patch
    assert np.array_equal(patch, project(features, pictures, units, "2").patch)


def test_frozen_and_inference_tensors(pictures):
    features = nn.Sequential(nn.ReLU(inplace=True), conv(1), nn.ReLU(inplace=True)).requires_grad_(False)
    plain = record(features, [pictures], "2")
    with torch.inference_mode():
        copied, given = copy.deepcopy(features), pictures.clone()
    for network, x in ((copied, given), (features, given), (features, pictures.clone().requires_grad_())):
        before = x.detach().clone()
        assert np.array_equal(record(network, [x], "2").maximum, plain.maximum)
        units = exemplars(plain, n=1).units()
        patches = project(network, x, units, "2").patch
        assert np.array_equal(patches, project(features, pictures, units, "2").patch)
        assert torch.equal(x.detach(), before)


def test_reading_draws_nothing(pictures):
    features = nn.Sequential(conv(1), nn.ReLU())
    state = torch.random.get_rng_state()
    project(features, pictures, exemplars(record(features, [pictures], "1"), n=1).units(), "1")
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2, return_indices=True),
        nn.MaxPool2d((2,)),
        nn.MaxPool2d(np.int64(2)),
        nn.MaxPool2d((2, 3), stride=[3, 3]),
        nn.MaxPool2d(1),
    ],
)
def test_pools_as_they_can_be_written(pool, pictures):
    assert_as_torch_runs_it(nn.Sequential(conv(1), nn.ReLU(), pool), pictures)


def test_indices_of_a_pool_are_left_out_on_the_way(pictures):
    torch.manual_seed(1)
    features = nn.Sequential(conv(1), nn.MaxPool2d(2), conv())
    found = record(features, [pictures], "2")
    features[1].return_indices = True
    assert np.array_equal(record(features, [pictures], "2").maximum, found.maximum)


def shrunk():
    layer = conv(1)
    layer.weight = nn.Parameter(layer.weight[:2].detach())
    return layer


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([nn.AdaptiveMaxPool2d(2)], "'0' is AdaptiveMaxPool2d"),
        ([nn.MaxPool2d(0)], "'0' pools windows of (0, 0)"),
        ([nn.AlphaDropout()], "'0' is AlphaDropout: remove it"),
        ([nn.SyncBatchNorm(1)], "'0' is SyncBatchNorm: fold it"),
        ([nn.LazyConv2d(4, 3)], "'0' is LazyConv2d: pass one picture"),
        ([nn.LazyBatchNorm2d()], "'0' is LazyBatchNorm2d: pass one picture"),
        ([torch.ao.quantization.QuantStub()], "'0' is QuantStub: it is quantised"),
        ([nn.ReLU6()], "'0' is ReLU6: only"),
        ([conv(1), nn.ReLU(), conv(5)], "'2' takes 5 channels and is given 4"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(features, message):
    with pytest.raises(FerError) as caught:
        read_stack(nn.Sequential(*features))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([nn.LazyConv2d(4, 3)], "'0' is LazyConv2d: pass one picture"),
        ([conv(1, dtype=torch.complex64)], "'0' has torch.complex64 weights"),
        ([conv(1), conv().double()], "mixes torch.float64 (layer '1') and torch.float32 (layer '0')"),
        ([conv(1), nn.ReLU(), conv(5)], "fails on pictures (5, 1, 22, 22)"),
        ([shrunk()], "'0' says that its weights are (4, 1, 3, 3), but they are (2, 1, 3, 3)"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_one_line(features, message, pictures):
    with pytest.raises(FerError) as caught:
        record(nn.Sequential(*features), [pictures], str(len(features) - 1))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_values_has_a_geometry_and_nothing_else(pictures):
    features = nn.Sequential(conv(1, device="meta"), nn.ReLU(), conv(device="meta"))
    assert receptive_field(features, "2").size == 5
    with pytest.raises(FerError, match="layer '0' is on the meta device"):
        record(features, [pictures], "2", device="cpu")
    with pytest.raises(FerError, match="device 'meta' holds no values"):
        record(features, [pictures], "2")
    with pytest.raises(FerError, match="device 'meta' holds no values"):
        project(features, pictures, Units([0], [0], [0], [0]), "2")


@pytest.mark.parametrize("device", ["nowhere", "meta", "cuda:99"])
def test_devices_that_cannot_be_used(device, pictures):
    with pytest.raises(FerError, match=f"device '{device}'") as caught:
        record(nn.Sequential(conv(1)), [pictures], "0", device=device)
    assert "\n" not in str(caught.value)


def test_a_number_is_no_name():
    with pytest.raises(FerError, match="layer 0 is int: give its name, such as '0'"):
        read_stack(nn.Sequential(conv(1)), 0)


def test_calculations_patched_onto_a_layer_are_refused():
    patched = conv(1)
    patched._conv_forward = lambda *given: 2 * nn.Conv2d._conv_forward(patched, *given)
    with pytest.raises(FerError, match="with a forward of its own"):
        read_stack(nn.Sequential(patched, nn.ReLU()))

    class Louder(nn.Sequential):
        def _call_impl(self, *given):
            return 5 * super()._call_impl(*given)

    with pytest.raises(FerError, match="with a forward of its own"):
        read_stack(Louder(conv(1), nn.ReLU()))


def test_a_negative_padding_is_refused():
    with pytest.raises(FerError, match=r"padding=\(-1, -1\): it must not be negative"):
        read_stack(nn.Sequential(nn.Conv2d(1, 3, 3, padding=-1), nn.ReLU()))
