"""What users give is taken as it is meant, or refused in one line; what is missing stays missing."""

import numpy as np
import pandas as pd
import pytest
import torch

from fer_lib import checks
from fer_lib.errors import FerError

HIDDEN = np.ma.masked_array([1.0, 0.0, 1.0], mask=[False, True, False])


@pytest.mark.parametrize(
    "given",
    [
        [1, None, 1],
        [1, pd.NA, 1],
        np.array([1, None, 1], dtype=object),
        pd.Series([1, None, 1], dtype="Int64", index=[0, 0, 0]),
        pd.Series([True, None, True], dtype="boolean"),
        HIDDEN,
        HIDDEN.astype(np.int8),
        torch.tensor([1, np.nan, 1], requires_grad=True),
        torch.tensor([1, np.nan, 1], dtype=torch.bfloat16),
    ],
)
def test_what_is_missing_is_not_zero(given):
    assert np.array_equal(checks.real_numbers("labels", given), [1, np.nan, 1], equal_nan=True)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floating_types_are_kept_and_not_copied(kind):
    given = np.ones((3, 2), kind)
    assert checks.real_numbers("responses", given) is given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1, 2], [3]], "differing lengths"),
        (["1", "0"], "labels are <U1: give numbers"),
        ([1, "0"], "give numbers"),
        (np.array(["1", 0.5], dtype=object), "labels are str: give numbers"),
        (np.ones(2) * 1j, "complex128"),
        (iter([1, 0]), "labels are list_iterator"),
        ([{}], "labels are dict"),
        (np.zeros(2, "m8[s]"), "timedelta"),
    ],
)
def test_what_is_no_number_is_refused(given, message):
    with pytest.raises(FerError, match=message):
        checks.real_numbers("labels", given)


@pytest.mark.parametrize(
    "groups",
    [
        list("bbac"),
        [("b", 1), ("b", 1), ("a", 2), ("b", 2)],
        pd.Categorical(list("bbac")),
        pd.Series([7, 7, 5, 1], index=[0] * 4),
        torch.tensor([7, 7, 5, 1]),
        [1.5, 1.5, "x", 2],
    ],
)
def test_groups_are_numbered_as_they_come(groups):
    assert checks.group_numbers(groups, 4).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a", None, "b"], "people: row 1 has none"),
        ([1, np.nan, 1], "people: row 1 has none"),
        (HIDDEN, "people: row 1 has none"),
        (pd.array([1, pd.NA, 1]), "people: row 1 has none"),
        (["a", "b"], r"people have shape \(2,\)"),
        ("abc", r"people have shape \(\)"),
        ([[1], [2], [3]], "people cannot be told apart"),
        ([{}, {}, {}], "people cannot be told apart"),
    ],
)
def test_a_row_without_a_group_is_in_none(groups, message):
    with pytest.raises(FerError, match=message):
        checks.group_numbers(groups, 3, "people")


def test_rows_are_numbers_or_a_mask():
    assert checks.row_numbers("rows", [-1, 0], 3).tolist() == [2, 0]
    assert checks.row_numbers("rows", torch.tensor([True, False, True]), 3).tolist() == [0, 2]
    assert checks.row_numbers("rows", [], 3).tolist() == []
    for wrong, message in (
        ([3], "reach from 3 to 3"),
        ([True], "bool"),
        ([0.0], "float64"),
        (0, "have shape"),
        ({0}, "object"),
    ):
        with pytest.raises(FerError, match=message):
            checks.row_numbers("rows", wrong, 3)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "3", None, np.nan])
def test_counts_are_integers(value):
    with pytest.raises(FerError, match=r"draws=.* give at least 1, an integer"):
        checks.at_least("draws", value)


@pytest.mark.parametrize("value", [0, 1, -0.5, np.nan, "0.5", None, 1j])
def test_shares_lie_between_0_and_1(value):
    with pytest.raises(FerError, match=r"level=.* give a share between 0 and 1"):
        checks.share("level", value)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", object()])
def test_seeds_are_numpys(seed):
    with pytest.raises(FerError, match=r"seed=.* give an integer"):
        checks.generator(seed)


def test_rows_with_masks_keep_them():
    rows = [np.ma.masked_array([1, 0], [False, True]), np.ma.masked_array([0, 1], [True, False])]
    expected = [[1, np.nan], [np.nan, 1]]
    assert np.array_equal(checks.real_numbers("labels", rows), expected, equal_nan=True)
    hidden = np.ma.masked_array(np.array([1, "x"], dtype=object), [False, True])
    assert np.array_equal(checks.real_numbers("labels", hidden), [1, np.nan], equal_nan=True)


def test_integers_that_are_too_large_do_not_become_negative():
    with pytest.raises(FerError, match="rows hold 18446744073709551615"):
        checks.row_numbers("rows", np.array([2**64 - 1], np.uint64), 30)


def test_sorted_groups_are_numbered_in_their_order():
    assert checks.group_numbers(["b", "a", "b"], 3).tolist() == [0, 1, 0]
    assert checks.group_numbers(["b", "a", "b"], 3, sort=True).tolist() == [1, 0, 1]


@pytest.mark.parametrize("names", [5, "ab", None, ["a"], ["a", ["b"]]])
def test_names_that_are_none_are_refused_by_their_option(names):
    with pytest.raises(FerError, match="units"):
        checks.named("units", names, 2)


@pytest.mark.parametrize("names", [[1, 2], np.array([1, 2]), pd.Series([1, 2], index=[5, 5]), iter([1, 2])])
def test_names_come_in_any_sequence(names):
    assert checks.named("units", names, 2) == [1, 2]


@pytest.mark.parametrize("path", [None, 5, "", "a\0b", b"a", ["a"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(FerError, match=r"folder=.* is no path"):
        checks.given_path("folder", path)
