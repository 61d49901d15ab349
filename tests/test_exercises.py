import numpy as np
import pytest

from fer_lib.book.exercises import check


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        (18, 18, True),
        (17, 18, False),
        (93.4, 93.0, True),
        ({"a"}, {"a"}, True),
        ({"a", "b"}, {"a"}, False),
        (True, True, True),
        (False, True, False),
        (np.ones(3), np.ones(3), True),
        (np.ones(2), np.ones(3), False),
        ("AU 1", "AU 1", True),
    ],
)
def test_answers(answer, truth, right, capsys):
    assert check(answer, truth, hint="Look again.", tolerance=0.5) is right
    assert capsys.readouterr().out == ("Right.\n" if right else "Not yet. Look again.\n")


def test_no_answer_is_no_mistake(capsys):
    assert not check(None, 3)
    assert "No answer yet" in capsys.readouterr().out
