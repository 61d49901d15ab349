import numpy as np
import pandas as pd
import pytest
from test_dose_response import AUS, pictures

from fer_lib.errors import FerError
from fer_lib.measures.coalitions import ALL, coalition_tests, coalitions
from fer_lib.measures.dose_response import dose_response, dose_tests


def test_coalitions_see_what_each_of_their_maps_hardly_sees():
    p = []
    for seed in range(6):
        maximum, subject, au, dose = pictures(maps=20, effect=0, seed=seed)
        maximum[:, :10] += 0.05 * (dose * (au == 4))[:, None]
        together = coalitions(maximum, {"half": range(10), "others": range(10, 20)}, au == 0)
        assert together.shape == (len(au), 2)
        p.append(
            [
                dose_tests(dose_response(some, subject, au, dose), permutations=199, draws=5).loc[4, "p"]
                for some in (together, maximum)
            ]
        )
    as_one, alone = np.mean(p, axis=0)
    assert as_one < 0.05 and as_one < alone / 2
    maximum[:, 0] = 7
    np.testing.assert_allclose(
        coalitions(maximum, [[0, 1], [0]], au == 0),
        np.stack([coalitions(maximum, [[1]], au == 0)[:, 0], 0 * au], 1),
    )


def scored(maps, best):
    """Scores under which the maps of `best` are those of each unit."""
    table = pd.DataFrame(0.0, index=list(best), columns=range(maps))
    for unit, members in best.items():
        table.loc[unit, list(members)] = 1.0
    return table


def test_a_coalition_that_answers_its_unit_beats_random_sets_as_loud():
    maximum, subject, au, dose = pictures(maps=40, effect=0)
    maximum[:, :4] += 0.3 * (dose * (au == 4))[:, None]
    own, others = coalition_tests(
        maximum, subject, au, dose, scores=scored(40, {4: range(4)}), loud=np.ones(40), ks=[4], draws=99
    ).to_dict("records")
    assert own["au"] == 4 and others["au"] == ALL and own["k"] == 4
    assert (
        own["p"] <= 0.03
        and own["low"] > own["random_high"]
        and own["selectivity"] == pytest.approx(own["own"] - own["others"])
    )
    assert {name: own[name] for name in own if name != "au"} == {
        name: others[name] for name in others if name != "au"
    }


def test_slopes_are_those_of_the_coalition_taken_as_a_map():
    maximum, subject, au, dose = pictures(maps=12)
    found = coalition_tests(
        maximum,
        subject,
        au,
        dose,
        scores=scored(12, {12: [5, 7], 1: [2, 3]}),
        loud=maximum.mean(0),
        ks=[2],
        draws=20,
    ).set_index("au")
    for unit, members in {12: [5, 7], 1: [2, 3]}.items():
        response = dose_response(coalitions(maximum, [members], au == 0), subject, au, dose)
        slopes = response.slopes().mean(axis=0)[:, 0]
        assert found.loc[unit, "own"] == pytest.approx(slopes[response.aus == unit][0])
        assert found.loc[unit, "others"] == pytest.approx(slopes[response.aus != unit].mean())
    assert found.loc[ALL, "selectivity"] == pytest.approx(found.loc[[12, 1], "selectivity"].mean())
    assert found.loc[ALL, "random"] == pytest.approx(found.loc[[12, 1], "random"].mean())


def test_coalitions_that_mean_nothing_keep_the_level():
    """Scores that know nothing of the pictures: p at most 5 % in 5 % of the networks, within binomial bounds."""
    p = []
    for seed in range(120):
        maximum, subject, au, dose = pictures(people=6, maps=24, effect=0, seed=seed, doses=2)
        maximum *= np.linspace(1, 5, 24)  # some are louder
        scores = pd.DataFrame(np.random.default_rng(seed).random((3, 24)), index=AUS)
        found = coalition_tests(
            maximum, subject, au, dose, scores=scores, loud=np.linspace(1, 5, 24), ks=[3], draws=39, seed=seed
        )
        p.append(found.set_index("au").loc[ALL, "p"])
    assert 0 <= np.mean(np.array(p) <= 0.05) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 120)
    assert 0.3 < np.mean(p) < 0.7


def test_units_without_pictures_or_scores_have_no_row_and_nonsense_is_refused():
    maximum, subject, au, dose = pictures(maps=8)
    options = dict(loud=np.ones(8), ks=[2], draws=9)
    scores = scored(8, {1: [2], 4: [0], 99: [1]})
    scores.loc[4] = np.nan
    assert coalition_tests(maximum, subject, au, dose, scores=scores, **options)["au"].tolist() == [1, ALL]
    assert coalition_tests(maximum, subject, au, dose, scores=scores.loc[[99]], **options).empty
    with pytest.raises(FerError, match="scores of 3 maps"):
        coalition_tests(maximum, subject, au, dose, scores=scores[[0, 1, 2]], **options)
    with pytest.raises(FerError, match="1 action units were rendered"):
        some = np.isin(au, [0, 1])
        coalition_tests(maximum[some], subject[some], au[some], dose[some], scores=scores, **options)
    with pytest.raises(FerError, match="coalition"):
        coalitions(maximum, [[]], au == 0)
    with pytest.raises(FerError, match="loudness of 3 maps"):
        coalition_tests(maximum, subject, au, dose, scores=scores, **{**options, "loud": np.ones(3)})
    with pytest.raises(FerError, match="5 of 8 maps leave too few"):
        coalition_tests(maximum, subject, au, dose, scores=scores, **{**options, "ks": [5]})
