"""A detector that is built into a network is there, alone changed, as loud as others, and found by the measures that can find one."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_lib.errors import FerError
from fer_lib.measures.built_in import build_in, found_by
from fer_lib.measures.ranks import auc
from fer_lib.measures.scores import SCORES
from fer_lib.network.model import ExpressionNet
from fer_lib.probe.activations import record


def faces(count, seed, side=48):
    """Smooth random faces; the unit draws a dark line at one place."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(count, 1, side // 6, side // 6)).astype(np.float32)
    without = torch.nn.functional.interpolate(torch.from_numpy(base), size=(side, side), mode="bilinear")
    without = without + 0.1 * torch.from_numpy(rng.normal(size=(count, 1, side, side)).astype(np.float32))
    with_au = without.clone()
    with_au[:, :, 18:22, 14:34] -= 2.0
    return with_au, without


@pytest.fixture(scope="module")
def built():
    network = ExpressionNet(classes=3, size=48, generator=torch.Generator().manual_seed(0)).eval().features
    return network, build_in(network, *faces(30, 0))


def test_nothing_else_is_changed(built):
    network, found = built
    for name, value in found.model.state_dict().items():
        before = network.state_dict()[name]
        if name.startswith("conv3"):
            kept = torch.arange(len(value)) != found.map
            assert torch.equal(value[kept], before[kept]) and not torch.equal(value, before)
        else:
            assert torch.equal(value, before)


def test_the_detector_works_on_faces_it_was_not_made_of_and_is_not_louder(built):
    _, found = built
    with_au, without = faces(40, 1)
    maximum = record(found.model, torch.cat([with_au, without]).split(20), layer="relu3").maximum
    present = np.repeat([1.0, 0.0], 40)
    area = auc(maximum, present[:, None])[0]
    assert area[found.map] > 0.95 and area.argmax() == found.map
    spread = maximum.std(axis=0)
    assert 0.3 < spread[found.map] / np.median(spread[spread > 0]) < 3
    table = found_by(maximum, present, np.tile(np.arange(40), 2), found.map, draws=10)
    assert table.index.tolist() == list(SCORES) and table.loc[["AUC", "AUPRC", "F1"], "found"].all()
    assert table.loc["AUC", "rank"] == 1 and table.loc["AUC", "share"] >= 0.3
    assert table["rank_low"].le(table["rank_high"]).all() and table["percentile"].between(0, 100).all()


def test_a_map_that_is_none_is_not_found(built):
    rng = np.random.default_rng(0)
    maximum, present = rng.random((60, 20)), np.repeat([1.0, 0.0], 30)
    maximum[:, 4] += 3 * present
    table = found_by(maximum, present, np.arange(60), 7, draws=5, scores={"AUC": auc})
    assert table.loc["AUC", "chosen"] == 4 and not table.loc["AUC", "found"]
    assert table.loc["AUC", "share"] == 0 and table.loc["AUC", "rank"] > 1
    unknown = found_by(maximum, present * 0, np.arange(60), 7, draws=2, scores={"AUC": auc}).loc["AUC"]
    assert unknown["chosen"] == -1 and not unknown["found"] and np.isnan(unknown["rank"])


def test_the_map_may_be_chosen_and_bad_input_is_refused(built):
    network, _ = built
    with_au, without = faces(4, 2)
    assert build_in(network, with_au, without, map=3).map == 3
    for options, words in [
        ({"layer": "relu3"}, "choose one of conv1, conv2, conv3"),
        ({"map": 256}, "map 256 is none"),
        ({"others": 0}, "others=0"),
        ({"penalty": 0}, "penalty=0"),
    ]:
        with pytest.raises(FerError, match=words):
            build_in(network, with_au, without, **options)
    with pytest.raises(FerError, match="are alike"):
        build_in(network, without, without)
    with pytest.raises(FerError, match="stride"):
        build_in(nn.Sequential(nn.Conv2d(1, 2, 3, stride=2)), with_au, without, layer="0")
    with pytest.raises(FerError, match="give"):
        build_in(network, with_au[:0], without)
    with pytest.raises(FerError, match="map 9 is none"):
        found_by(np.ones((2, 3)), [1, 0], [0, 1], 9)
