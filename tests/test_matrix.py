"""The matrix of action units and maps: what it holds, and that it answers mouse, finger and keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_explorer import DARK, LOADER, PATIENCE

from fer_lib.errors import FerError
from fer_lib.plot.matrix import MatrixView, by_leading_unit, matrix_of_maps

AUC = pd.DataFrame(
    [[0.5, 0.9, 0.4, np.nan], [0.7, 0.5, 0.2, 0.6]], index=pd.Index([1, 12], name="AU"), columns=range(4)
)
RISE = pd.DataFrame([[0.1, 3.0, -1.0, 0.0]], index=[1], columns=range(4))
VIEWS = [
    MatrixView("AUC", AUC, "Orange: larger.", middle=0.5),
    MatrixView("rise", RISE.reindex([1, 12]), "Orange: rises.", by_unit=True),
]
OPTIONS: dict[str, Any] = {
    "order": [3, 1, 0, 2],
    "au_names": {12: "lip corner puller <"},
    "name": "units on maps",
    "link": "explorer.html#conv3/{map}",
}


def data_of(fragment: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', fragment, re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_values_stand_in_the_order_of_the_maps_and_gaps_stay_gaps() -> None:
    data = data_of(matrix_of_maps(VIEWS, **OPTIONS).data)
    assert data["maps"] == [3, 1, 0, 2] and data["units"] == ["AU 1", "AU 12 lip corner puller <"]
    first, second = data["views"]
    assert first["values"] == [[None, 0.9, 0.5, 0.4], [0.6, 0.5, 0.7, 0.2]]
    assert first["largest"] == [pytest.approx(0.4)] * 2, "one scale for all units"
    assert second["values"][1] == [None] * 4 and second["largest"] == [3.0, 1.0], "a scale for each unit"


def test_without_scripts_the_best_maps_are_a_list() -> None:
    fragment = matrix_of_maps(VIEWS, **OPTIONS).data
    rows = re.findall(r"<li>(.*?)</li>", fragment)
    assert (
        rows[0] == '<b>AU 1</b> AUC: <a data-map="1">map 1</a> (0.90); rise: <a data-map="1">map 1</a> (3.00)'
    )
    assert rows[1] == '<b>AU 12 lip corner puller &lt;</b> AUC: <a data-map="0">map 0</a> (0.70)'
    assert 'href="' not in fragment, "which scripts of a page would look for on the page itself"
    assert "<a " not in matrix_of_maps(VIEWS, **{**OPTIONS, "link": ""}).data


def test_maps_are_ordered_by_the_unit_that_raises_them_most() -> None:
    effect = pd.DataFrame(
        [[0.0, 2.0, 1.0, 5.0], [1.0, 1.0, np.nan, 9.0]], index=[1, 12], columns=[10, 11, 12, 13]
    )
    assert by_leading_unit(effect) == [11, 12, 13, 10]


def test_nothing_to_show_is_refused() -> None:
    for views, order in (([], [1]), ([MatrixView("x", AUC.iloc[:0], "")], [1]), (VIEWS, [])):
        with pytest.raises(FerError, match="nothing to show"):
            matrix_of_maps(views, **{**OPTIONS, "order": order})


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    file = tmp_path / "page.html"
    (tmp_path / "explorer.html").write_text("<!doctype html><title>explorer</title>")
    file.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>maps</title>{LOADER}<body>{matrix_of_maps(VIEWS, **OPTIONS).data}</body></html>",
        encoding="utf-8",
    )
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    problems: list[str] = []
    tab.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto(file.as_uri())
    yield tab
    tab.close()
    assert not problems


@pytest.mark.browser
def test_cells_say_what_they_are_and_open_their_map(page: Any) -> None:
    line, cells = page.locator("[data-part=line]"), page.locator("canvas")
    cells.focus()
    assert line.text_content().startswith("AU 1, map 3: not known")
    page.keyboard.press("ArrowRight")
    assert line.text_content().startswith("AU 1, map 1: AUC 0.90")
    page.keyboard.press("ArrowDown")
    assert line.text_content().startswith("AU 12 lip corner puller <, map 1: AUC 0.50")
    before = cells.evaluate("c => c.toDataURL()")
    page.get_by_label("rise").check()
    assert line.text_content().startswith("AU 12 lip corner puller <, map 1: not known")
    assert page.locator("[data-part=scale]").text_content() == "Orange: rises."
    assert cells.evaluate("c => c.toDataURL()") != before
    box = cells.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 4)
    assert line.text_content().startswith("AU 1, map 2: rise -1.00")
    page.locator("summary").click()
    links = page.locator("a[data-map]")
    assert links.first.get_attribute("href") == "explorer.html#conv3/1" and links.count() == 3
    cells.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/explorer.html#conv3/2")


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_the_matrix_is_accessible_on_a_phone(page: Any, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    if dark:
        page.add_style_tag(content=DARK)
    page.set_viewport_size({"width": 340, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.evaluate("delete window.define")
    found = axe.Axe().run(page, context=".fer-matrix").response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:80]) for one in found] == []
