import numpy as np
import pytest
import torch
from test_training import CROPS, HP, LABELS, TRAIN

from fer_lib.errors import FerError
from fer_lib.network.starts import initialisation_study


@pytest.fixture(scope="module")
def study():
    return initialisation_study(CROPS, LABELS, TRAIN, hp=HP, classes=2, steps=5)


def test_table(study):
    assert list(study.columns) == ["initialisation", "step", "loss", "accuracy", "score_sd"]
    steps = study.groupby("initialisation")["step"].apply(list)
    assert set(steps.index) == {"paper", "small", "fan_in", "he"} and all(s == [1, 2, 3, 4, 5] for s in steps)


def test_the_literal_reading_explodes_and_the_others_do_not(study):
    first = study[study["step"] == 1].set_index("initialisation")
    assert first.loc["paper", "loss"] > 1e4 and first.loc["paper", "score_sd"] > 1e4
    assert first.loc["small", "loss"] == pytest.approx(np.log(2), abs=0.01)
    calm = study[study["initialisation"].isin(["small", "fan_in", "he"])]
    assert calm["loss"].max() < 10


def test_every_start_sees_the_same_batches(study):
    alone = initialisation_study(CROPS, LABELS, TRAIN, hp=HP, classes=2, steps=5, schemes=["he"])
    np.testing.assert_array_equal(alone["loss"], study.loc[study["initialisation"] == "he", "loss"])


def test_numbers_that_are_lost_are_nan():
    from dataclasses import replace

    table = initialisation_study(
        CROPS, LABELS, TRAIN, hp=replace(HP, learning_rate=100), classes=2, steps=6, schemes=["paper"]
    )
    assert table["loss"].isna().iloc[-1] and len(table) == 6


def test_unknown_start_and_global_state():
    before = torch.random.get_rng_state()
    with pytest.raises(FerError, match="unknown"):
        initialisation_study(CROPS, LABELS, TRAIN, hp=HP, classes=2, steps=1, schemes=["nothing"])
    assert torch.equal(torch.random.get_rng_state(), before)
