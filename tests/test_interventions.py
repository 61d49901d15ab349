"""The causal test: effects by hand, and on maps of which the answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.interventions import effects, selective_maps, selectivity
from fer_lib.plot.detectors import selective_in_a_sentence


def test_effects_by_hand() -> None:
    subject = np.array(["a", "a", "a", "b", "b", "b"])
    au = np.array([0, 1, 12, 12, 0, 1])
    maximum = np.array([[1.0, 5], [3, 5], [1, 5], [2, 5], [2, 5], [6, 5]])
    table = effects(maximum, subject, au)
    assert table.index.tolist() == [1, 12] and table.index.name == "AU"
    spread = np.std([1, 3, 1, 2, 2, 6])
    assert np.allclose(table.to_numpy(), np.array([[3 / spread, 0], [0, 0]])), (
        "a map that never varies has no effect"
    )


def test_scale_of_a_map_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    maximum = rng.random((9, 5))
    subject, au = np.repeat(np.arange(3), 3), np.tile([0, 4, 6], 3)
    one = effects(maximum, subject, au)
    other = effects(maximum * [1, 10, 0.1, 5, 2] + 3, subject, au)
    assert np.allclose(one, other)


@pytest.mark.parametrize("au", [[0, 1, 1, 2], [0, 0, 0, 2], [0, 1, 2, 3]])
def test_everyone_needs_one_neutral_picture(au: list[int]) -> None:
    with pytest.raises(FerError, match="exactly one neutral"):
        effects(np.ones((4, 2)), np.array([0, 0, 1, 1]), np.array(au))


def test_neutral_pictures_alone_say_nothing() -> None:
    with pytest.raises(FerError, match="no picture has a unit"):
        effects(np.ones((2, 2)), np.array([0, 1]), np.array([0, 0]))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(FerError, match="one for each of the 3 rows"):
        effects(np.ones((3, 2)), np.array([0, 1]), np.array([0, 0, 0]))
    with pytest.raises(FerError, match="do not fit"):
        effects(np.ones((3, 2)), np.array([0, 1, 2]), np.array([0, 0]))


def test_selectivity_by_hand() -> None:
    effect = pd.DataFrame([[2.0, 0, 0.5], [0, 0, 1], [-1, 0, 3]], index=[1, 2, 4])
    table = selectivity(effect, pd.Series({1: 0, 2: 1, 99: 2, 4: -1}))
    assert table.index.tolist() == [1, 2], "a unit that cannot be switched on, or has no map, is left out"
    assert table.loc[1].tolist() == [0, 2.0, 1.0, 1.0]
    assert table.loc[2].tolist() == [1, 0.0, 0.25, 0.5], "ties count one half"
    with pytest.raises(Lacking, match="none of AU 99"):
        selectivity(effect, pd.Series({99: 2}))


@pytest.mark.parametrize("detector", [True, False])
def test_a_planted_detector_answers_to_its_unit_and_noise_to_none(detector: bool) -> None:
    rng = np.random.default_rng(3)
    aus, people, maps = [0, 1, 2, 4, 6, 9, 12, 25], 20, 30
    subject, au = np.repeat(np.arange(people), len(aus)), np.tile(aus, people)
    maximum = rng.normal(size=(len(au), maps)) + rng.normal(0, 3, (people, maps))[subject]
    matched = pd.Series({unit: 3 * j for j, unit in enumerate(aus[1:])})
    for unit, map in matched.items():
        maximum[au == unit, map] += 8 * detector
    table = selectivity(effects(maximum, subject, au), matched)
    assert len(table) == 7
    if detector:
        assert (table[["among maps", "among units"]] == 1).all(axis=None) and (table["effect"] > 1).all()
    else:
        assert 0.2 < table[["among maps", "among units"]].mean().mean() < 0.8


def test_selective_is_who_passes_all_three_tests() -> None:
    effect = pd.DataFrame([[2.0, 0.5], [1.0, 3.0], [0.0, 1.0]], index=[1, 4, 12])
    before = pd.DataFrame([[0.1, 0.2], [0.3, 0.1], [0.0, 0.5]], index=[1, 4, 12])
    matches = pd.DataFrame(
        {
            "au": [1, 4, 12, 27, 9],
            "map_auc": [0, 1, 1, 0, np.nan],
            "auc_auc": [0.9, 0.8, 0.9, 0.9, np.nan],
            "p_auc": [0.01, 0.2, 0.01, 0.01, np.nan],
            "map_untrained_auc": [1, 0, 1, 0, np.nan],
            "auc_untrained_auc": [0.7, 0.7, 0.95, 0.1, np.nan],
        }
    )
    found = selective_maps(matches, effect, before)
    assert found.index.tolist() == [1, 4, 12], "unit 27 cannot be switched on, unit 9 was not tested"
    assert found["tells"].tolist() == [True, False, True] and found["better"].tolist() == [True, True, False]
    assert found["first"].tolist() == [True, True, False] and found["selective"].tolist() == [
        True,
        False,
        False,
    ]
    assert found["untrained first"].tolist() == [False, True, True]
    said = selective_in_a_sentence(found)
    assert (
        said.startswith("**For 1 of 3 action units (AU 1) a map is selective**")
        and "(2; in the untrained network 2)" in said
    )
    none = selective_in_a_sentence(found.assign(selective=False))
    assert none.startswith("**For 0 of 3 action units a map is selective**")
    assert "No action unit" in selective_in_a_sentence(found.iloc[:0])
