"""5 % means 5 %: simulations of every p value in the book, and of what is wrong with those that it does not use."""

import numpy as np
import pytest
from scipy.stats import binom

from fer_lib import levels
from fer_lib.errors import FerError
from fer_lib.levels import SIMULATIONS, rejection_rates
from fer_lib.measures.comparisons import between_networks
from fer_lib.measures.nulls import permutation_null


@pytest.mark.parametrize("name", SIMULATIONS)
def test_level_is_kept(name):
    table = rejection_rates({name: SIMULATIONS[name]}, runs=60, seed=1)
    assert table.loc[name, "holds"], table.loc[name, "rejected"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATIONS)
def test_level_is_kept_and_not_cautiously(name):
    found = rejection_rates({name: SIMULATIONS[name]}, runs=1000, seed=2).loc[name]
    assert found["holds"], found["rejected"]
    assert found["rejected"] >= 0.02  # a test that never rejects keeps any level


def test_a_test_that_is_too_bold_or_too_cautious_is_told_apart():
    uniform, bold = {"p": lambda rng: rng.random()}, {"p": lambda rng: rng.random() ** 2}
    fair, unfair = (rejection_rates(simulation, runs=500).loc["p"] for simulation in (uniform, bold))
    assert fair["holds"] and not unfair["holds"]
    assert fair["low"] < 0.05 < fair["high"] and unfair["low"] > 0.05
    assert fair["bound"] == binom.ppf(0.999, 500, 0.05) / 500
    assert rejection_rates({"p": lambda rng: float("nan")}, runs=5).loc["p", "rejected"] == 0
    with pytest.raises(FerError, match="runs=0"):
        rejection_rates(uniform, runs=0)


def test_simulations_do_not_depend_on_each_other():
    first, second = {"a": lambda rng: rng.random()}, {"b": lambda rng: rng.random()}
    together = rejection_rates(first | second, runs=200)
    assert together.loc["b"].equals(rejection_rates(second, runs=200).loc["b"])


def maps_of_one_network(rng, maps=60):
    """Likeness of one network's maps: they share what the network is like."""
    return 0.5 * rng.normal() + rng.normal(size=maps)


def test_maps_of_one_network_are_not_independent_and_networks_are():
    def by_map(rng):
        trained, untrained = maps_of_one_network(rng), maps_of_one_network(rng)
        return between_networks("", trained, untrained, seed=int(rng.integers(9999))).p

    def by_network(rng):
        networks = [maps_of_one_network(rng).mean() for _ in range(25)]
        return between_networks("", networks[:5], networks[5:], seed=int(rng.integers(9999))).p

    table = rejection_rates({"maps": by_map, "networks": by_network}, runs=150)
    assert table["holds"].to_dict() == {"maps": False, "networks": True}
    assert table.loc["maps", "rejected"] > 0.2


def test_sequences_of_an_expression_are_not_independent_where_people_differ():
    """Why the test within an expression draws whole people's signs: labels that change places between people reject too often."""

    def by_sequence(rng):
        responses, present, _ = levels._faces(rng)
        expression = np.tile(np.arange(levels._SEQUENCES), levels._PEOPLE)
        null = permutation_null(
            responses,
            present[:, :1],
            expression,
            permutations=99,
            statistic="standardised",
            seed=int(rng.integers(9999)),
        )
        return np.nanmin(null.p_values())

    assert not rejection_rates({"by sequence": by_sequence}, runs=300).loc["by sequence", "holds"]
