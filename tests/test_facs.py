import math

import pytest

from fer_lib import facs
from fer_lib.errors import FerError
from fer_lib.facs import AUS, CKPLUS_EXPRESSION_COUNTS, EXPRESSIONS, meets_criteria


def test_published_totals():
    assert sum(CKPLUS_EXPRESSION_COUNTS.values()) == 327
    assert EXPRESSIONS[1:] == tuple(CKPLUS_EXPRESSION_COUNTS)
    assert [EXPRESSIONS.index(name) for name in ("anger", "surprise")] == [1, 7]
    assert len(AUS) == 30
    assert AUS[25].ckplus_count == 287
    assert all(
        unit.number == number and unit.name and unit.muscle and unit.description
        for number, unit in AUS.items()
    )
    assert {unit.region for unit in AUS.values()} <= {
        "brow",
        "eye",
        "cheek",
        "nose",
        "mouth",
        "chin",
        "jaw",
        "neck",
    }
    assert max(unit.ckplus_count for unit in AUS.values()) <= facs.CKPLUS_SEQUENCES


@pytest.mark.parametrize(
    ("expression", "intensities", "expected"),
    [
        ("neutral", {}, True),
        ("neutral", {4: 1}, False),
        ("anger", {23: 3, 24: -1}, True),
        ("anger", {23: 3, 24: 0}, False),
        ("anger", {23: 3, 24: math.nan}, False),
        ("contempt", {14: 1}, True),
        ("disgust", {10: 2}, True),
        ("disgust", {4: 2}, False),
        ("fear", {1: 1, 2: 1, 4: 1}, True),
        ("fear", {1: 1, 2: 1, 5: 5}, True),
        ("fear", {1: 1, 2: 1, 5: 4}, False),
        ("happy", {12: -1}, True),
        ("sadness", {1: 2, 4: 2, 15: 2}, True),
        ("sadness", {11: 2}, True),
        ("sadness", {6: 1, 15: 1}, True),
        ("sadness", {1: 1, 15: 1}, False),
        ("surprise", {1: 1, 2: 1}, True),
        ("surprise", {5: 2}, True),
        ("surprise", {5: 3}, False),
        ("surprise", {1: 1, 2: 1, 5: 4}, False),
        ("surprise", {1: 1, 2: 1, 5: -1}, True),
        ("surprise", {1: 1}, False),
    ],
)
def test_lucey_table_2(expression, intensities, expected):
    assert meets_criteria(expression, intensities) is expected


def test_unknown_expression():
    with pytest.raises(FerError, match="bored"):
        meets_criteria("bored", {})
