"""Tables with pictures: their MyST text, and what a strict book makes of it."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lib.errors import Lacking
from fer_lib.plot import detectors, facial_units, interventions, tables, traditional
from fer_lib.plot.pictures import Gallery, grey, signed_grey, strip
from fer_lib.render.atlas import Atlas

ATLAS = Atlas(
    aus=np.array([1, 12]),
    levels=np.array([0.0, 5.0]),
    pictures=np.array([[10, 15], [120, 125]], np.uint8)[..., None, None].repeat(8, 2).repeat(8, 3),
    regions=np.ones((2, 8, 8), np.float32),
    masks=np.zeros((2, 96, 96), np.uint8),
)


def maps(number: int = 12) -> Gallery:
    """Squares of one grey value each: map c and rank r have 10 c + r, projections 128 more or less."""
    values = (10 * np.arange(number)[:, None] + np.arange(3)).astype(np.uint8)[..., None, None]
    tiles = values.repeat(5, 2).repeat(5, 3)
    dead = np.arange(number) == 7
    return Gallery("relu3", tiles, 255 - tiles, np.where(dead, 0, np.arange(number) / 2), dead, public=True)


def test_a_unit_off_and_on_and_where_it_moves() -> None:
    text = tables.units_off_and_on((12,), ATLAS).data
    assert "**12** Lip corner puller (zygomaticus major)" in text
    (_, off), (said, on), (_, region) = pictures(text)
    assert (int(off[0, 0]), int(on[0, 0])) == (120, 125)
    assert said == "The same face with AU 12, lip corner puller, at intensity E"
    assert region.shape == (8, 8, 3), "in colour"


def pictures(text: str) -> list[tuple[str, np.ndarray]]:
    found = re.findall(r"!\[([^\]]*)\]\(data:image/\w+;base64,([^)]+)\)", text)
    return [(alt, decoded(base64.b64decode(code))) for alt, code in found]


def decoded(content: bytes) -> np.ndarray:
    """A grey picture as (h, w), whatever the format makes of it; another one as (h, w, 3)."""
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    return picture[..., 0] if (picture == picture[..., :1]).all() else picture


def test_list_table_is_numbered_and_captioned() -> None:
    text = tables.list_table(
        ["a", "b"], [["1", "2"]], name="tab-x", caption="What it is.", widths=(1, 2)
    ).data
    assert text.splitlines() == [
        "```{list-table} What it is.",
        ":header-rows: 1",
        ":name: tab-x",
        ":widths: 1 2",
        "",
        "* - a",
        "  - b",
        "* - 1",
        "  - 2",
        "```",
    ]


def test_unit_table_shows_the_matched_map() -> None:
    matched = pd.Series([-1, 4], index=[2, 1])
    text = tables.au_table((1, 11, 2), matched, maps(), ATLAS, name="tab-1", caption="Units.").data
    assert "  - 4\n" in text
    assert text.count("too few pictures with and without it") == 1
    assert text.count("no single map has the largest distance") == 1 and "map -1" not in text
    found = pictures(text)
    assert [alt for alt, _ in found] == [
        "Rendered face with AU 1 at intensity E",
        "The strongest squares of map 4",
        "Projections of the strongest units of map 4",
    ]
    assert found[1][1].shape == found[2][1].shape == (3 * (2 * 5 + 2),) * 2
    assert (int(found[1][1][0, 0]), int(found[2][1][0, 0])) == (40, 215)


def test_map_table_and_pictures_of_units() -> None:
    found = pictures(tables.map_table((3, 9), maps(), name="tab-2", caption="Maps.").data)
    assert [int(picture[0, 0]) for _, picture in found] == [30, 225, 90, 165]
    with pytest.raises(Lacking, match="no map"):
        tables.map_table((), maps(), name="tab-2", caption="Maps.")
    found = pictures(tables.au_picture_table((1, 12), ATLAS, name="tab-3", caption="Units.").data)
    assert [int(picture[0, 0]) for _, picture in found] == pytest.approx([10, 15, 120, 125], abs=2)
    found = pictures(tables.atlas_table(ATLAS).data)
    assert len(found) == 4 and found[1][1].shape == (8, 8, 3)


def test_slider_pictures_have_captions() -> None:
    shown, captions = tables.map_pictures(maps())
    assert len(shown) == len(captions) == 12
    assert captions[7] == "map 7: never active" and captions[5] == "map 5: strongest 2.50"
    assert shown[0].shape == (5, 2 * (3 * 5 + 4) + 6)
    shown, captions = tables.atlas_pictures(ATLAS)
    assert captions[-1] == "AU 12 Lip corner puller: E" and int(shown[-1][0, 0]) == 125


def test_matches_print_gaps_as_dashes() -> None:
    row = {"au": 1, "map_d": 3, "auc_d": 0.5, "p_d": 0.31, "auc_untrained_d": 0.4, "auc_expression": 0.9}
    row |= {"map_auc": 4, "auc_auc": 0.75, "p_auc": np.nan, "auc_untrained_auc": 0.6}
    row |= {
        "precision_d": 0.55,
        "hits_d": 0.8,
        "alarms_d": 0.2,
        "precision_auc": 0.65,
        "hits_auc": 0.85,
        "alarms_auc": 0.15,
    }
    row |= {"p": np.nan, "p_within": 0.25, "with_au": 5, "without": 7}
    matches = pd.DataFrame([row, {**row, "au": 2, "map_d": np.nan, "p_within": 0.0004}])
    by_d, by_auc = detectors.matches_table(matches, "d"), detectors.matches_table(matches, "auc")
    assert by_d.count("—") == 1 and "0.31" in by_d and "0.40" in by_d and "3.0" not in by_d
    assert by_auc.count("—") == 4 and "0.75" in by_auc and "0.60" in by_auc and "0.40" not in by_auc
    assert by_auc.count("<\N{NO-BREAK SPACE}0.01") == 1 and "0.00" not in by_auc


def test_detectors_are_named_and_gaps_are_dashes() -> None:
    row = {
        "au": 12,
        "positives": 3,
        "negatives": 9,
        "train_positives": 7,
        "auc": 0.987,
        "average_precision": np.nan,
    }
    text = traditional.detection_table(pd.DataFrame([row]))
    assert "Lip corner puller" in text and "0.99" in text and text.count("—") == 1 and "nan" not in text


def test_dissection_in_percent_and_gaps_as_dashes() -> None:
    rows = {
        "chosen by D": {"iou": 0.0123, "above": 0.5, "hits": np.nan, "silent": 0.1, "chance": 0.25, "aus": 4}
    }
    text = facial_units.dissection_table(pd.DataFrame.from_dict(rows, orient="index"))
    assert "0.012" in text and "50.0 %" in text and text.count("—") == 1 and "nan" not in text


def test_greys() -> None:
    values = np.array([[-2.0, 0.0, 1.0]])
    assert signed_grey(values).tolist() == [[1, 128, 192]]
    assert signed_grey(np.zeros((1, 2))).tolist() == [[128, 128]]
    assert grey(values).tolist() == [[0, 170, 255]]
    assert grey(np.full((2, 2), 7)).tolist() == [[128, 128]] * 2
    tiles = np.arange(3, dtype=np.uint8).reshape(3, 1, 1)
    assert strip(tiles, columns=2, fill=9).tolist() == [[0, 9, 9, 1], [9] * 4, [9] * 4, [2, 9, 9, 9]]


def cells(text: str) -> list[list[str]]:
    """Rows of a markdown table, without its rule."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if not line.startswith("|:")
    ]


def test_checks_say_what_passes_and_how_sure_that_is() -> None:
    rows = [
        ("AUC", "maps", "labels added", 0.25, 0.1, 0.4, False),
        ("AUC", "ideal maps", "labels added", 0.95, 0.9, 1.0, True),
        ("F1", "maps", "labels added", np.nan, np.nan, np.nan, False),
        ("F1", "ideal maps", "labels added", 1.0, 1.0, 1.0, True),
    ]
    checks = pd.DataFrame(rows, columns=["measure", "responses", "check", "falls", "low", "high", "passes"])
    assert cells(detectors.checks_table(checks)) == [
        ["measure", "maps: labels added", "ideal maps: labels added"],
        ["AUC", "25 % [10, 40]", "**95 %** [90, 100]"],
        ["F1", "—", "**100 %** [100, 100]"],
    ]
    assert detectors.summarize_checks(checks) == (
        "With maps, no measure passes both checks, and AUC; F1 do not. With ideal maps, AUC; F1 pass both checks."
    )


def test_sets_of_maps_show_the_interval_with_and_without_the_choice() -> None:
    row = {"au": 12, "map": 7, "share": 0.5, "size": 3, "auc": 0.8}
    row |= {"auc_low": 0.6, "auc_high": 0.9, "auc_low_fixed": 0.7, "auc_high_fixed": 0.85}
    nothing = dict.fromkeys(row, np.nan) | {"au": 12, "map": -1, "size": 0}
    found = pd.DataFrame([row | {"chosen_by": "D"}, nothing | {"chosen_by": "AUC"}])
    _, shown = cells(detectors.bootstrap_table(found))
    assert shown[:5] == ["12", "7 (50 %)", "3", "0.80 [0.60, 0.90]", "0.80 [0.70, 0.85]"]
    assert shown[5:] == ["—", "0", "—", "—"]


def test_a_built_detector_is_bold_where_it_is_found() -> None:
    found = pd.DataFrame(
        {
            "au": [12, 12, 27],
            "measure": ["AUC", "F1", "AUC"],
            "where": ["single units", "single units", "faces of this study"],
            "auc": [0.9, 0.9, np.nan],
            "rank": [1.0, 3.5, np.nan],
            "share": [0.75, 0.0, 0.0],
        }
    )
    head, first, second = cells(detectors.built_in_table(found))
    assert head == ["looked for on", "AU", "its AUC", "AUC", "F1"]
    assert first == ["single units", "12", "0.90", "**1** (75 %)", "3.5 (0 %)"]
    assert second[:4] == ["faces of this study", "27", "—", "—"]


def test_doses_name_the_map_that_answers_and_what_the_map_of_d_answers() -> None:
    columns = ["map", "slope", "slope_low", "slope_high", "p", "p_joint", "answering"]
    tests = pd.DataFrame(
        [[3, 0.5, 0.25, 0.75, 0.001, 0.02, 9], [-1, *[np.nan] * 5, 0]], index=[12, 27], columns=columns
    )
    first = pd.DataFrame({"au": [27], "share": [0.9]}, index=[8])
    _, smile, jaw = cells(interventions.doses_table(tests, tests, first, pd.Series({12: 8})))
    assert smile == [
        "12",
        "3",
        "0.50 [0.25, 0.75]",
        "<\N{NO-BREAK SPACE}0.01",
        "0.02",
        "9",
        "9",
        "8",
        "AU 27 (90 %)",
    ]
    assert jaw == ["27", "—", "—", "—", "—", "0", "0", "—", "—"]
