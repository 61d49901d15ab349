"""Grids of numbers: each is there to be read, in the page and aloud."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fer_lib.errors import FerError
from fer_lib.plot.grids import grid, in_a_row


def cells(page: str) -> list[tuple[str, str, str]]:
    return re.findall(r'<span class="([^"]*)" style="background: ([^"]*)">([^<]*)</span>', page)


def test_every_number_stands_in_the_page_and_in_its_description() -> None:
    page = in_a_row(
        grid("a < b", [[1, -2], [0, 4]], marked=[[False, True], [False, False]]), caption="What < it is."
    ).data
    assert [text for _, _, text in cells(page)] == ["1", "−2", "0", "4"]
    assert [kind for kind, _, _ in cells(page)] == ["", "marked", "", ""]
    assert "<p>a &lt; b</p>" in page and "--columns: 2" in page
    (said,) = re.findall(r'aria-label="([^"]*)"', page)
    assert "What &lt; it is.</p>" in page
    assert said == "a &lt; b: 1 −2; 0 4; marked: row 1 column 2"


def test_colours_tell_sign_and_size() -> None:
    grounds = [
        ground for _, ground, _ in cells(in_a_row(grid("g", [[0, 4, 2, -4]]), caption="What < it is.").data)
    ]
    assert grounds[0] == "none"
    opacities = [float(re.findall(r"/ ([\d.]+)\)", ground)[0]) for ground in grounds[1:]]
    assert opacities[0] == opacities[2] > opacities[1] > 0
    assert grounds[1].split("/")[0] == grounds[2].split("/")[0] != grounds[3].split("/")[0]


def test_grids_of_zeros_and_fractions() -> None:
    page = in_a_row(
        grid("zeros", np.zeros((1, 2))), grid("parts", [[0.25, -1 / 3]]), caption="What < it is."
    ).data
    assert [text for _, _, text in cells(page)] == ["0", "0", "0.25", "−0.333"]


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1, 2], {}, r"'g' has shape \(2,\): give \(h, w\)"),
        (np.zeros((0, 3)), {}, "give"),
        ([[np.nan]], {}, "not finite"),
        ([[1, 2]], {"struck": [[True]]}, r"struck of 'g' has shape \(1, 1\), not \(1, 2\)"),
    ],
)
def test_what_is_no_grid_is_refused(values: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(FerError, match=message):
        grid("g", values, **options)  # type: ignore[arg-type]
