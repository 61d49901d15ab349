"""The causal test: effects by hand, and on a network of which the answer is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from skimage.io import imsave
from torch import nn

from fer_lib.artifacts.store import Store
from fer_lib.errors import FerError
from fer_lib.experiment import interventions


def test_effects_by_hand() -> None:
    person = np.array(["a", "a", "a", "b", "b", "b"])
    au = np.array([0, 1, 12, 12, 0, 1])
    maximum = np.array([[1.0, 5], [3, 5], [1, 5], [2, 5], [2, 5], [6, 5]])
    table = interventions.effects(maximum, person, au)
    assert table.index.tolist() == [1, 12] and table.index.name == "AU"
    spread = np.std([1, 3, 1, 2, 2, 6])
    assert np.allclose(table.to_numpy(), np.array([[3 / spread, 0], [0, 0]])), (
        "a map that never varies has no effect"
    )


def test_scale_of_a_map_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    maximum = rng.random((9, 5))
    person, au = np.repeat(np.arange(3), 3), np.tile([0, 4, 6], 3)
    one = interventions.effects(maximum, person, au)
    other = interventions.effects(maximum * [1, 10, 0.1, 5, 2] + 3, person, au)
    assert np.allclose(one, other)


@pytest.mark.parametrize("au", [[0, 1, 1, 2], [0, 0, 0, 2], [0, 1, 2, 3]])
def test_everyone_needs_one_neutral_picture(au: list[int]) -> None:
    with pytest.raises(FerError, match="exactly one neutral"):
        interventions.effects(np.ones((4, 2)), np.array([0, 0, 1, 1]), np.array(au))


def test_neutral_pictures_alone_say_nothing() -> None:
    with pytest.raises(FerError, match="no picture has a unit"):
        interventions.effects(np.ones((2, 2)), np.array([0, 1]), np.array([0, 0]))


def test_answers_of_a_detector_and_of_a_map_that_knows_nothing() -> None:
    effect = pd.DataFrame([[2.0, 0, 0.5], [0, 0, 1], [-1, 0, 3]], index=[1, 2, 4])
    table = interventions.answers(effect, pd.Series({1: 0, 2: 1, 99: 2}))
    assert table.index.tolist() == [1, 2], "a unit that cannot be switched on is left out"
    assert table.loc[1].tolist() == [0, 2.0, 1.0, 1.0]
    assert table.loc[2].tolist() == [1, 0.0, 0.25, 0.5], "ties count one half"


def test_effects_of_a_study_come_from_the_control_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(out: Path, *, people: int, **_: Any) -> None:
        rows = []
        for who in range(people):
            for au in (0, 1, 4):
                picture = np.full((40, 40), 100, np.uint8)
                picture[10:14, 10:14] += 10 * who + 100 * (au == 1)
                picture[20:24, 20:24] -= 50 * (au == 4)
                name = f"{who}_{au}.png"
                out.mkdir(parents=True, exist_ok=True)
                imsave(out / name, picture, check_contrast=False)
                box = {"left": 0, "top": 0, "right": 39, "bottom": 39}
                rows.append({"path": name, "person": who, "au": au, **box})
        pd.DataFrame(rows).to_parquet(out / "table.parquet")

    monkeypatch.setattr("fer_lib.render.controls.render_interventions", render)
    conv = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        conv.weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        nn.init.zeros_(conv.bias)
    named = nn.Sequential()
    named.add_module("conv3", conv)
    named.add_module("relu3", nn.ReLU())
    study: Any = SimpleNamespace(
        settings=SimpleNamespace(preset="smoke", size=40, faces_seed=0, resize=40, crop=40),
        store=Store(tmp_path / "store"),
        network=SimpleNamespace(features=named),
        training=SimpleNamespace(key="0" * 64),
        progress=False,
    )
    table = interventions.map_effects(study)
    assert table.index.tolist() == [1, 4] and table.columns.tolist() == [0, 1]
    told = interventions.answers(table, pd.Series({1: 0, 4: 1}))
    assert (told[["louder than", "first of"]] == 1).to_numpy().all(), told
    assert interventions.map_effects(study).equals(table), "the second time it is read from the store"
