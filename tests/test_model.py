import json

import pytest
import torch
from torch import nn

from fer_lib.errors import FerError
from fer_lib.network.model import ExpressionNet, describe, initialise, load, save
from fer_lib.network.stack import Field, field_of, read_stack, receptive_field


@pytest.mark.parametrize(
    ("padding", "side", "inputs", "millions"), [(0, 17, 16_384, 17.8), (2, 24, 36_864, 38.8)]
)
def test_the_papers_network_has_the_known_sizes(padding, side, inputs, millions):
    table = describe(ExpressionNet(padding=padding, classes=8)).set_index("layer")
    assert table.loc["conv3", "output shape"] == f"256 x {side} x {side}"
    assert table.loc["flatten", "output shape"] == str(inputs)
    assert table["parameters"].sum() == sum(p.numel() for p in ExpressionNet(padding=padding).parameters())
    assert round(table["parameters"].sum() / 1e6, 1) == millions
    assert table.loc["relu3", "receptive field"] == 32
    assert table.loc["relu3", "stride"] == 4
    assert table.loc["pool3", "receptive field"] == 36


@pytest.mark.parametrize("layer", ["conv1", "pool1", "conv2", "relu3", "pool3"])
@pytest.mark.parametrize("padding", [0, 2])
def test_receptive_field_is_where_the_gradient_can_be(layer, padding):
    net = ExpressionNet(padding=padding, size=70, initialisation="fan_in").double().eval()
    for parameter in net.parameters():
        parameter.data.abs_()  # no signal cancels, no unit is silent
    picture = torch.rand(1, 1, 70, 70).double().requires_grad_()
    behind = list(dict(net.features.named_modules(remove_duplicate=False))).index(
        layer
    )  # "" is the first name
    seen = net.features[:behind](picture)
    middle = seen.shape[2] // 2
    # Average pooling spreads over all places of a window: what any picture could send through its switch.
    for name, child in list(net.features.named_modules(remove_duplicate=False)):
        if isinstance(child, nn.MaxPool2d):
            setattr(net.features, name, nn.AvgPool2d(child.kernel_size))
    out = net.features[:behind](picture)
    out[0, :, middle, middle].sum().backward()
    rows = picture.grad[0, 0].sum(1).nonzero()[:, 0]
    size, stride, offset = receptive_field(ExpressionNet(padding=padding, size=70).features, layer)
    assert int(rows[0]) == offset + middle * stride
    assert int(rows[-1]) == offset + middle * stride + size - 1


def test_planes_are_what_a_layer_passes_on():
    net = ExpressionNet(size=40, initialisation="fan_in").eval()
    pictures = torch.randn(3, 1, 40, 40)
    x = pictures
    for name, module in net.features.named_children():
        x = module(x)
        assert torch.equal(net.planes(pictures, name), x)
    with pytest.raises(FerError, match="no layer 'relu4': the layers are conv1, relu1"):
        net.planes(pictures, "relu4")


@pytest.mark.parametrize(
    ("name", "deviation"), [("he", (2 / 1600) ** 0.5), ("fan_in", 1 / 40), ("small", 0.01), ("paper", 1)]
)
def test_initialisations_have_their_spread_and_are_reproducible(name, deviation):
    net = ExpressionNet(initialisation=name, size=40, generator=torch.Generator().manual_seed(5))
    weight = net.features.conv2.weight
    assert weight.std().item() == pytest.approx(deviation, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=0.01 * deviation)
    assert not any(p.any() for n, p in net.named_parameters() if n.endswith("bias"))
    before = weight.clone()
    initialise(net, name, torch.Generator().manual_seed(5))
    assert torch.equal(before, weight)
    initialise(net, name, torch.Generator().manual_seed(5), std=0.5)
    assert weight.std().item() == pytest.approx(0.5, rel=0.01)


def test_dropout_works_in_training_only():
    net = ExpressionNet(size=40, dropout=0.5)
    picture = torch.randn(2, 1, 40, 40)
    assert not torch.equal(net(picture), net(picture))
    net.eval()
    assert torch.equal(net(picture), net(picture))
    assert net(picture).shape == (2, 8)


def test_network_survives_the_disk(tmp_path):
    net = ExpressionNet(classes=7, padding=1, size=40, channels=3).eval()
    save(net, tmp_path / "new")
    again = load(tmp_path / "new")
    assert again.options == net.options
    assert not again.training
    picture = torch.randn(1, 3, 40, 40)
    assert torch.equal(again(picture), net(picture))


def test_damaged_files_are_named(tmp_path):
    with pytest.raises(FerError, match="no readable network"):
        load(tmp_path)
    save(ExpressionNet(size=40), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x10" * 30)
    with pytest.raises(FerError, match="train it again"):
        load(tmp_path)
    save(ExpressionNet(size=40), tmp_path)
    options = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(options | {"classes": 3}))
    with pytest.raises(FerError, match="train it again"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(classes=1), "classes=1"),
        (dict(padding=-1), "padding=-1"),
        (dict(channels=0), "channels=0"),
        (dict(dropout=1.0), "dropout=1.0"),
        (dict(size=30), "size=30 is too small"),
        (dict(initialisation="xavier"), "choose one of he, fan_in, small, paper"),
        (dict(architecture="resnet"), "choose one of paper, breuer_kimmel"),
        (dict(std=0.0), "std=0.0"),
    ],
)
def test_wrong_arguments_are_refused_by_name(wrong, message):
    with pytest.raises(FerError, match=message):
        ExpressionNet(**wrong)


class Own(nn.Module):
    def forward(self, x):
        return x.relu()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Conv2d(1, 2, 3, stride=2)], "'0' has stride=(2, 2)"),
        ([nn.Conv2d(1, 2, 3, dilation=2)], "'0' has dilation=(2, 2)"),
        ([nn.Conv2d(2, 2, 3, groups=2)], "'0' has groups=2"),
        ([nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")], "padding_mode=reflect"),
        ([nn.MaxPool2d(3, 2)], "'0' pools overlapping windows"),
        ([nn.MaxPool2d(2, padding=1)], "'0' has padding=(1, 1)"),
        ([nn.MaxPool2d(2, ceil_mode=True)], "ceil_mode=True"),
        ([nn.MaxPool2d(2, dilation=2)], "dilation=(2, 2)"),
        ([nn.ReLU(), nn.BatchNorm2d(2)], "'1' is BatchNorm2d: fold it into its convolution"),
        ([nn.Dropout()], "'0' is Dropout: remove it"),
        ([nn.LeakyReLU()], "'0' is LeakyReLU: only"),
        ([nn.Sequential(nn.ReLU(), nn.Flatten())], "'0.1' is Flatten: give the convolutional part"),
        ([nn.AvgPool2d(2)], "'0' is AvgPool2d"),
    ],
)
def test_other_layers_are_refused_with_name_and_remedy(layers, message):
    with pytest.raises(FerError) as caught:
        read_stack(nn.Sequential(*layers))
    assert message in str(caught.value)


def test_a_refused_layer_behind_the_wanted_one_does_no_harm():
    features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
    assert [step.kind for step in read_stack(features, "1")] == ["conv", "relu"]


def test_networks_that_are_no_sequence_are_refused():
    with pytest.raises(FerError, match=r"Own is not nn\.Sequential"):
        read_stack(Own())
    with pytest.raises(FerError, match="none"):
        read_stack(nn.Sequential())


def test_nested_sequences_and_oblong_kernels():
    features = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, (3, 5)), nn.ReLU()), nn.MaxPool2d((2, 1)))
    assert [step.name for step in read_stack(features)] == ["0.0", "0.1", "1"]
    with pytest.raises(FerError, match="not square"):
        receptive_field(features, "0.0")
    assert field_of(read_stack(features), 0) == Field(4, 2, 0)
    assert field_of(read_stack(features), 1) == Field(5, 1, 0)
