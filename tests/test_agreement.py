import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from fer_lib.errors import FerError
from fer_lib.measures.agreement import agreement

# Six targets of four judges: Shrout & Fleiss, Intraclass correlations, Psychological Bulletin 86 (1979), Table 2.
JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def anova_icc(x, y):
    """ICC(3,1) from the mean squares of a two-way analysis of variance, as Shrout & Fleiss write it."""
    values = np.stack([x, y], axis=1)
    n, k = values.shape
    grand = values.mean()
    between = k * ((values.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    residual = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + grand
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    return (between - error) / (between + (k - 1) * error)


def one(first, second, groups=None, **how):
    groups = np.arange(len(first)) if groups is None else groups
    return agreement(np.reshape(first, (-1, 1)), np.reshape(second, (-1, 1)), groups, **how).iloc[0]


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 2, 60), rng.integers(0, 2, 60)
    second = np.where(rng.random(60) < 0.6, first, second)
    assert one(first, second)["kappa"] == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_by_hand():
    # 20 both, 5 first alone, 10 second alone, 15 neither: seen 0.7, chance 0.5.
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    row = one(first, second)
    assert row["kappa"] == pytest.approx(0.4)
    assert (row["n"], row["first"], row["second"]) == (50, 0.5, 0.6)


@pytest.mark.parametrize(("i", "j"), [(0, 1), (1, 2), (0, 3)])
def test_icc_is_that_of_the_analysis_of_variance(i, j):
    x, y = JUDGES[:, i], JUDGES[:, j]
    row = one(x > 5, y > 5, first_intensity=x[:, None], second_intensity=y[:, None])
    assert row["ICC(3,1)"] == pytest.approx(anova_icc(x, y))


def test_icc_by_hand():
    # x = 0 1 2, y = 1 1 4: cov 1.5, var 1 and 3, so 2 * 1.5 / 4.
    row = one([0, 1, 1], [1, 1, 1], first_intensity=[[0], [1], [2]], second_intensity=[[1], [1], [4]])
    assert row["ICC(3,1)"] == pytest.approx(0.75) and row["n intensity"] == 3


def test_icc_forgives_a_constant_offset_and_kappa_does_not_count_intensities():
    x = np.arange(5.0)[:, None]
    row = one([1, 0, 1, 0, 1], [1, 0, 1, 0, 1], first_intensity=x, second_intensity=x + 100)
    assert row["ICC(3,1)"] == pytest.approx(1) and row["kappa"] == 1


def test_what_one_of_them_did_not_code_takes_no_part():
    first, second = [1, 0, np.nan, 1], [1, 0, 1, np.nan]
    row = one(first, second, groups=list("aabb"))
    assert (row["n"], row["people"], row["kappa"]) == (2, 1, 1)
    assert np.isnan(row[["kappa low", "kappa high", "ICC(3,1)", "ICC low", "ICC high"]].to_numpy(float)).all()
    empty = one([np.nan] * 4, [1, 0, 1, 0])
    assert empty["n"] == 0 and np.isnan(empty[["first", "second", "kappa"]].to_numpy(float)).all()


def test_where_nothing_varies_nothing_is_defined():
    row = one([0, 0, 0], [0, 0, 0], first_intensity=[[2]] * 3, second_intensity=[[2]] * 3)
    assert np.isnan(row["kappa"]) and np.isnan(row["ICC(3,1)"])
    assert one([0, 0, 0], [0, 0, 1])["kappa"] == 0


def test_intervals_draw_people_and_not_pictures():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(8), 50)
    truth = rng.integers(0, 2, 400)
    # Half of the people are coded perfectly, and half at random.
    second = np.where(people < 4, truth, rng.integers(0, 2, 400))
    by_person = one(truth, second, people, seed=1)
    by_picture = one(truth, second, np.arange(400), seed=1)
    assert by_person["kappa"] == by_picture["kappa"]
    widths = [row["kappa high"] - row["kappa low"] for row in (by_person, by_picture)]
    assert widths[0] > 2 * widths[1]
    assert by_person["kappa low"] < by_person["kappa"] < by_person["kappa high"]


def test_the_interval_is_that_of_a_slow_bootstrap():
    rng = np.random.default_rng(3)
    people = np.repeat(np.arange(6), 5)
    first, second = rng.integers(0, 2, 30), rng.integers(0, 2, 30)
    row = one(first, second, people, draws=200, seed=7)
    counts = np.random.default_rng(7).multinomial(6, np.full(6, 1 / 6), size=200)
    drawn = []
    for some in counts:
        rows = np.concatenate([np.flatnonzero(people == person) for person in np.repeat(np.arange(6), some)])
        drawn.append(cohen_kappa_score(first[rows], second[rows]))
    np.testing.assert_allclose([row["kappa low"], row["kappa high"]], np.quantile(drawn, [0.025, 0.975]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, np.nan]), st.sampled_from([0, 1, np.nan]), st.integers(0, 3)),
        min_size=1,
    )
)
def test_agreement_is_symmetric_and_bounded(rows):
    first, second, people = (np.array(column, float) for column in zip(*rows, strict=True))
    there, back = one(first, second, people, draws=20), one(second, first, people, draws=20)
    np.testing.assert_allclose(there["kappa"], back["kappa"])
    assert np.isnan(there["kappa"]) or -1 <= there["kappa"] <= 1
    assert there["n"] == (~np.isnan(first) & ~np.isnan(second)).sum()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"first": [[2]]}, "label 2 is neither 1"),
        ({"second": [[1], [0]]}, r"codings \(1, 1\) and \(2, 1\) do not fit"),
        ({"first_intensity": [[1]]}, "give those of both, or none"),
        ({"first_intensity": [[1]], "second_intensity": [[1, 2]]}, "do not fit codings"),
        ({"first_intensity": [[np.inf]], "second_intensity": [[1]]}, "not finite"),
        ({"groups": ["a", "b"]}, "groups"),
        ({"names": ["a", "b"]}, "names"),
        ({"draws": 0}, "draws"),
    ],
)
def test_what_does_not_fit_is_refused(how, message):
    arguments = {"first": [[1]], "second": [[1]], "groups": ["a"]} | how
    with pytest.raises(FerError, match=message):
        agreement(**arguments)
