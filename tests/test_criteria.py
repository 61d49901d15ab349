"""Action units switched on, and the criteria of the expressions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_lib.errors import FerError, Lacking
from fer_lib.facs import AUS, EXPRESSIONS
from fer_lib.measures.criteria import by_expression, criteria_test, criteria_units

# Lucey et al. 2010, Table 2, by hand; a strong AU 5 speaks for fear and against surprise.
BY_HAND = {
    "anger": {23, 24},
    "contempt": {14},
    "disgust": {9, 10},
    "fear": {1, 2, 4, 5},
    "happy": {12},
    "sadness": {1, 4, 6, 11, 15},
    "surprise": {1, 2},
    "neutral": set(),
}


def test_units_of_the_criteria_are_those_of_the_table() -> None:
    table = criteria_units(list(AUS), EXPRESSIONS)
    assert {name: set(table.index[table[name]]) for name in EXPRESSIONS} == BY_HAND
    faint = criteria_units(list(AUS), ["surprise", "fear"], intensity=2)
    assert set(faint.index[faint["surprise"]]) == {1, 2, 5} and set(faint.index[faint["fear"]]) == {1, 2, 4}


def test_expressions_of_ones_own_have_no_criterion() -> None:
    assert not criteria_units([1, 12], ["boredom", "neutral"]).any(axis=None)


def planted(size: float, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects of units on expressions, larger by so much where the criteria name them."""
    aus = list(AUS)[:20]
    defined = criteria_units(aus, EXPRESSIONS)
    noise = np.random.default_rng(seed).normal(size=defined.shape)
    return pd.DataFrame(noise, defined.index, defined.columns) + size * defined, defined


def test_a_network_that_follows_the_criteria_is_told_from_one_that_does_not() -> None:
    assert criteria_test(*planted(2.0)).p < 0.001
    assert criteria_test(*planted(-2.0)).p > 0.99
    found = criteria_test(*planted(0.0, seed=3))
    assert found.p > 0.05 and found.low < 0 < found.high


def test_what_raises_every_expression_speaks_for_none() -> None:
    effect, defined = planted(1.0)
    found = criteria_test(effect, defined)
    rows = criteria_test(effect + np.arange(effect.shape[1]), defined)
    assert rows.difference == pytest.approx(found.difference) and rows.p == pytest.approx(found.p)
    assert found.n == int(defined.any(axis=1).sum())


def test_the_difference_is_that_of_two_means() -> None:
    """With one named pair a random unit takes its place: what is left is its distance from its expression's mean."""
    effect = pd.DataFrame({"happy": [3.0, 0.0, 0.0]}, index=pd.Index([12, 1, 2], name="AU"))
    found = criteria_test(effect, criteria_units([12, 1, 2], ["happy"]), permutations=20_000)
    assert found.difference == pytest.approx(2.0, abs=0.05) and found.p == pytest.approx(1 / 3, abs=0.02)


def test_without_criteria_there_is_no_test() -> None:
    effect, defined = planted(0.0)
    for nothing in (defined & False, defined | True):
        with pytest.raises(Lacking, match="do not differ"):
            criteria_test(effect, nothing)
    with pytest.raises(FerError, match="permutations=0"):
        criteria_test(effect, defined, permutations=0)


def test_by_expression() -> None:
    effect = pd.DataFrame(
        {"happy": [3.0, 0.0, 1.0], "fear": [2.0, 1.0, 0.0], "neutral": [0.0, 9.0, 9.0]},
        index=pd.Index([12, 1, 2], name="AU"),
    )
    table = by_expression(effect, criteria_units([12, 1, 2], effect.columns))
    assert table.index.tolist() == ["happy", "fear"]
    assert table.loc["happy"].tolist() == ["12", 3.0, 0.5, 12, True]
    assert table.loc["fear"].tolist() == ["1, 2", 0.5, 2.0, 12, False]
