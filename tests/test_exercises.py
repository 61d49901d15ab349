import numpy as np
import pytest
from conftest import PATIENCE

from fer_lib.book.exercises import answer_box, check


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


@pytest.mark.parametrize("truth", [True, np.ones(3), np.float64("nan")])
def test_what_cannot_be_typed_has_no_box(truth):
    assert answer_box(truth) is None


def test_the_box_does_not_show_the_answer():
    assert "surprise" not in answer_box("surprise").data and "71.25" not in answer_box(71.25).data


@pytest.fixture
def page(browser, tmp_path):
    boxes = [
        answer_box(62.31, hint="Divide."),
        answer_box(163, hint="Count </script>."),
        answer_box({"fear", "Anger"}),
        answer_box(1234.5),
        answer_box(-0.5, tolerance=0.1),
        answer_box("AU 1"),
        answer_box({1, 12}),
    ]
    file = tmp_path / "page.html"
    body = "".join(box.data for box in boxes)
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>a</title><body>{body}</html>', "utf-8"
    )
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    problems = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto(file.as_uri())
    yield tab
    tab.close()
    assert not problems


@pytest.mark.browser
@pytest.mark.parametrize(
    ("box", "answer", "said"),
    [
        (0, "62.3", "Right."),
        (0, "62,3 %", "Right."),
        (0, "61", "Not yet. Divide."),
        (0, "many", "Give a number."),
        (0, "  ", "Write an answer first."),
        (1, "163", "Right."),
        (1, "162", "Not yet. Count </script>."),
        (2, "anger, fear", "Right."),
        (2, "{'fear' 'anger'}", "Right."),
        (2, "fear", "Not yet."),
        (3, "1,234.5", "Right."),
        (3, "1.2345", "Not yet."),
        (4, "\N{MINUS SIGN}0.55", "Right."),
        (5, "au 1", "Right."),
        (5, "AU 12", "Not yet."),
        (6, "{12, 1}", "Right."),
    ],
)
def test_answers_are_checked_in_the_page(page, box, answer, said):
    one = page.locator(".fer-answer").nth(box)
    one.get_by_label("Your answer").fill(answer)
    one.get_by_role("button").click()
    assert one.locator("output").text_content() == said


@pytest.mark.browser
def test_the_box_is_accessible(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page, context=".fer-answer").response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:80]) for one in found] == []
