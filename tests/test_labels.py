import numpy as np
import pytest
from conftest import number_lines
from hypothesis import example, given
from hypothesis import strategies as st

from fer_lib.errors import FerError
from fer_lib.faces.labels import emotion, facs_codes, landmarks, numbers
from fer_lib.facs import EXPRESSIONS


@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=70))
def test_numbers_in_scientific_notation_come_back(rows):
    got = numbers(number_lines(rows).encode(), 2)
    assert got.shape == (len(rows), 2)
    np.testing.assert_allclose(got, rows, rtol=1e-6, atol=1e-6)


@example(b"1_0 2")
@example("١ ٢".encode())
@example(b"0x1 2")
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    for read in (lambda d: numbers(d, 2), landmarks, facs_codes, emotion):
        try:
            read(data)
        except FerError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["1_0 2", "١ ٢", "0x1 2", "1,5 2", "1.2.3 4"])
def test_what_python_takes_for_a_number_is_not_enough(text):
    with pytest.raises(FerError, match="is not a number"):
        numbers(text.encode(), 2)


def test_byte_order_mark_line_ends_and_blank_lines_do_not_matter():
    assert numbers(b"\xef\xbb\xbf 1 2\r\n\r\n3 4", 2).tolist() == [[1, 2], [3, 4]]


def test_one_action_unit_is_a_table_too():
    assert facs_codes(b"   9.0000000e+00   4.0000000e+00\n") == {9: 4.0}


def test_an_action_unit_listed_twice_has_its_stronger_intensity():
    assert facs_codes(b"9 2\n9 4\n9 0\n") == {9: 4.0}


@pytest.mark.parametrize("code", range(8))
def test_emotion_codes_are_the_expressions_in_order(code):
    assert emotion(f"   {code:.7e}\n".encode()) == EXPRESSIONS[code]


def test_a_landmark_that_is_not_finite_is_missing_in_both_coordinates():
    points = landmarks((number_lines([[i, i] for i in range(67)]) + "inf 3").encode())
    assert np.isnan(points[67]).all()
    assert np.isfinite(points[:67]).all()
