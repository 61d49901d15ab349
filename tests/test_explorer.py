"""The explorer of feature maps: what its fragment holds, and how it behaves in a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import PATIENCE
from PIL import Image, features

from fer_lib.errors import FerError
from fer_lib.plot import pictures
from fer_lib.plot.explorer import LayerView, explorer_html, slider
from fer_lib.plot.pictures import Gallery

SIDE = 96
AUS = (1, 4, 12)
NAMES = {1: "Inner brow raiser", 4: "Brow lowerer", 12: "Lip corner puller"}

DARK = (
    ":root { --pst-color-text-base: #ced6dd; --pst-color-surface: #29313d; --pst-color-text-muted: #9ca4af;"
    "--pst-color-background: #14181e; --pst-color-border: #48566b; } body { background: #14181e }"
)
"""Colours of the book's dark theme."""


def smooth_tiles(maps: int, number: int, side: int) -> np.ndarray:
    """Waves that differ from tile to tile, as smooth as pieces of faces are."""
    index = np.arange(maps * number).reshape(maps, number, 1, 1)
    y, x = np.mgrid[:side, :side] / side
    angle = index * 0.7
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) * (1 + index % 3) + index)
    return np.clip(128 + 100 * wave, 0, 255).astype(np.uint8)


def layer(name: str = "conv3", maps: int = 8, side: int = 32, number: int = 9) -> LayerView:
    tiles = smooth_tiles(maps, number, side)
    place = np.arange(maps * number).reshape(maps, number)
    distances = 0.5 + 0.5 * np.sin(np.arange(len(AUS))[:, None] * 2 + np.arange(maps)[None] * 1.3)
    dead = np.zeros(maps, bool)
    dead[3] = True
    distances[:, 3] = np.nan
    strength = np.arange(maps, dtype=float)
    pictures = Gallery(name.replace("conv", "relu"), tiles, 255 - tiles, strength, dead, public=True)
    centres = np.stack([place * 7 % SIDE, place * 13 % SIDE], axis=-1).astype(float)
    return LayerView(pictures, centres, pd.DataFrame(distances, index=AUS))


def changed(view: LayerView, **changes: Any) -> LayerView:
    """The same view with other pictures."""
    return replace(view, gallery=replace(view.gallery, **changes))


def mean_face() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return (230 - np.clip(np.hypot(x * 1.3, y) * 3.5, 0, 180)).astype(np.uint8)


def embedded(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))).convert("L"))


def tile(sheet: dict[str, Any], chosen: int, i: int) -> np.ndarray:
    k, across = sheet["tile"], sheet["across"]
    number, place = divmod(chosen, sheet["maps"])
    top = ((place // sheet["columns"]) * sheet["down"] + i // across) * k
    left = ((place % sheet["columns"]) * across + i % across) * k
    return decoded(sheet["uris"][number])[top : top + k, left : left + k]


@pytest.mark.parametrize("number", [1, 5, 9])
def test_small_tiles_are_stored_exactly(number: int) -> None:
    view = layer(side=5, maps=70, number=number)
    data = embedded(explorer_html([view], mean_face(), au_names=NAMES))
    assert len(data["layers"][0]["originals"]["uris"]) == 3, "a page loads what it shows, not all maps"
    for chosen, i in ((0, 0), (31, number - 1), (32, 0), (69, number // 2)):
        np.testing.assert_array_equal(
            tile(data["layers"][0]["originals"], chosen, i), view.gallery.originals[chosen, i]
        )
        np.testing.assert_array_equal(
            tile(data["layers"][0]["projections"], chosen, i), view.gallery.projections[chosen, i]
        )


@pytest.mark.parametrize("webp", [True, False])
def test_large_tiles_are_close_and_zero_stays_grey(webp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if webp and not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    monkeypatch.setattr(pictures.features, "check", lambda _: webp)
    view = layer()
    view = changed(view, projections=np.full_like(view.gallery.projections, 128))
    html = explorer_html([view], mean_face(), au_names=NAMES)
    stored = embedded(html)["layers"][0]
    assert f"data:image/{'webp' if webp else 'jpeg'}" in stored["originals"]["uris"][0]
    assert np.abs(tile(stored["originals"], 5, 4).astype(float) - view.gallery.originals[5, 4]).mean() < 6
    assert np.abs(decoded(stored["projections"]["uris"][0]).astype(int) - 128).max() <= 1


def test_hidden_faces_are_not_in_the_fragment() -> None:
    data = embedded(explorer_html([changed(layer(), public=False)], mean_face(), au_names=NAMES))
    assert data["layers"][0]["originals"] is None
    assert data["layers"][0]["projections"]["uris"]


def test_missing_values_and_closing_tags_are_safe() -> None:
    html = explorer_html(
        [layer(name="</script><b>")], mean_face(), au_names={1: "</script>", 2: "unused"}, identifier="a-1"
    )
    data = embedded(html)
    assert data["layers"][0]["name"] == "</script><b>"
    assert data["names"] == {"1": "</script>"}
    assert [row[3] for row in data["layers"][0]["distances"]] == [None] * 3
    assert html.count("</script>") == 2
    assert 'id="a-1"' in html
    assert "http" not in html.replace("data:", "")


def test_whole_network_is_below_three_megabytes() -> None:
    views = [layer("conv1", 64, 5), layer("conv2", 128, 14), layer("conv3", 256, 32)]
    html = explorer_html(views, mean_face(), au_names=NAMES)
    assert len(gzip.compress(html.encode(), 6)) < 3_000_000


@pytest.mark.parametrize(
    "change",
    [
        {"originals": np.zeros((8, 9, 4, 4), np.uint8)},
        {"projections": np.zeros((8, 9, 32, 32))},
        {"projections": np.zeros((8, 9, 32, 30), np.uint8)},
        {"dead": np.zeros(7, bool)},
        {"strength": np.zeros((8, 1))},
    ],
)
def test_disagreeing_shapes_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FerError, match="layer relu3"):
        changed(layer(), **change)


def test_a_view_is_of_the_gallerys_maps() -> None:
    view = layer()
    assert view.distances is not None
    with pytest.raises(FerError, match="layer conv3: centres"):
        replace(view, centres=np.zeros((8, 9)))
    with pytest.raises(FerError, match="layer conv3: distances on 7 maps"):
        replace(view, distances=view.distances.iloc[:, :7])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(FerError, match="no layer"):
        explorer_html([], mean_face(), au_names=NAMES)
    with pytest.raises(FerError, match="mean face"):
        explorer_html([layer()], mean_face()[:50], au_names=NAMES)
    with pytest.raises(FerError, match="identifier"):
        explorer_html([layer()], mean_face(), au_names=NAMES, identifier='"><b')
    with pytest.raises(FerError, match="16383"):
        few = layer(maps=36, side=1, number=1)
        wide = np.zeros((36, 1, 2800, 2800), np.uint8)
        explorer_html([changed(few, originals=wide, projections=wide)], mean_face(), au_names=NAMES)


def row(number: int = 4, side: int = 40) -> tuple[list[np.ndarray], list[str]]:
    return list(smooth_tiles(number, 1, side)[:, 0]), [f"map {i} & <more>" for i in range(number)]


def test_slider_holds_every_picture_with_its_caption() -> None:
    shown = [np.full((4, 6), 40 * i, np.uint8) for i in range(3)]
    html = slider(shown, ["one", "two & more", "</script>"], name="entry", alt='"grey" squares').data
    data = embedded(html)
    assert [decoded(uri).tolist() for uri in data["pictures"]] == [picture.tolist() for picture in shown]
    assert data["labels"] == ["one", "two & more", "</script>"] and data["alt"] == '"grey" squares'
    assert html.count("</script>") == 2
    image = re.search(r"<img [^>]*>", html)
    assert image and 'alt="&quot;grey&quot; squares; one"' in image[0], "also where no script runs"
    assert f'src="{data["pictures"][0]}"' in image[0] and 'width="480" height="320"' in image[0]


def test_slider_refuses_what_it_cannot_show() -> None:
    shown = [np.zeros((4, 6), np.uint8)] * 2
    with pytest.raises(FerError, match="one label per picture"):
        slider(shown, ["one"], alt="grey")
    with pytest.raises(FerError, match="0 pictures"):
        slider([], [], alt="grey")
    with pytest.raises(FerError, match="expected uint8"):
        slider([np.zeros((4, 4))], ["one"], alt="grey")  # type: ignore[list-item]
    with pytest.raises(FerError, match=r"'two' has shape \(6, 4\); expected \(4, 6\)"):
        slider([shown[0], np.zeros((6, 4), np.uint8)], ["one", "two"], alt="grey")


# What a notebook's page may have loaded before: an AMD loader that takes every module it sees.
LOADER = "<script>window.define = () => { throw new Error('define'); }; window.define.amd = {};</script>"


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    views = [layer(), replace(changed(layer("conv1", 6, 5), public=False), distances=None)]
    first = explorer_html(views, mean_face(), au_names=NAMES, identifier="first")
    second = explorer_html([layer("conv2", 5, 14)], mean_face(), au_names=NAMES, identifier="second")
    file = tmp_path / "page.html"
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>maps</title>{LOADER}<body>{first}{second}{second}</body></html>",
        encoding="utf-8",
    )
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    problems: list[str] = []
    tab.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda asked: problems.append(asked.url) if asked.url.startswith("http") else None)
    tab.goto(file.as_uri())
    # The script gives every canvas the size of what it draws, once the pictures are decoded.
    tab.wait_for_function("[...document.querySelectorAll('canvas')].every((canvas) => canvas.width !== 240)")
    yield tab
    tab.close()
    assert not problems


def part(page: Any, name: str, root: str = "#first") -> Any:
    return page.locator(f"{root} [data-part={name}]").first


def canvas(page: Any, name: str, root: str = "#first") -> str:
    return part(page, name, root).evaluate("canvas => canvas.toDataURL()")


@pytest.mark.browser
def test_slider_changes_every_picture_of_its_own_instance(page: Any) -> None:
    names = ("originals", "projections", "face")
    before = {name: canvas(page, name) for name in names}
    other = canvas(page, "originals", "#second")
    part(page, "position").fill("5")
    after = {name: canvas(page, name) for name in names}
    assert all(before[name] != after[name] for name in names)
    assert canvas(page, "originals", "#second") == other
    assert part(page, "number").input_value() == "5"
    assert part(page, "line").text_content().startswith("map 5: strongest for AU")
    page.wait_for_function(
        "document.querySelector('#first [data-part=live]').textContent.startsWith('map 5')"
    )
    assert page.locator(".fer-explorer[data-ready]").count() == 3


@pytest.mark.browser
def test_maps_are_ordered_by_the_chosen_unit(page: Any) -> None:
    view = layer()
    assert view.distances is not None
    part(page, "au").select_option("12")
    assert part(page, "order").input_value() == "distance"
    best = int(np.nanargmax(view.distances.loc[12]))
    assert part(page, "number").input_value() == str(best)
    assert "rank 1 of 8" in part(page, "line").text_content()
    part(page, "position").fill("7")
    assert part(page, "number").input_value() == "3", "dead maps come last"
    assert part(page, "line").text_content().endswith("never active")
    part(page, "order").select_option("strength")
    assert part(page, "number").input_value() == "7"


@pytest.mark.browser
@pytest.mark.parametrize("au", AUS)
def test_the_chosen_unit_is_marked_and_comes_first(page: Any, au: int) -> None:
    view = layer()
    assert view.distances is not None
    marked = page.locator("#first [aria-current=true]")
    part(page, "au").select_option(str(au))
    # On every map, also on one that is larger for another unit.
    for place in range(8):
        part(page, "position").fill(str(place))
        assert marked.locator("span").first.text_content() == f"AU {au}"
        line, shown = part(page, "line").text_content(), int(part(page, "number").input_value())
        if shown == 3:
            assert line.endswith("never active")
            continue
        assert line.startswith(f"map {shown}: AU {au} ({NAMES[au]}), D = ")
        largest = AUS[int(np.argmax(view.distances[shown]))]
        expected = "strongest for this unit" if largest == au else f"Strongest for AU {largest} ("
        assert expected in line
    part(page, "au").select_option("")
    part(page, "position").fill("5")
    largest = AUS[int(np.argmax(view.distances[5]))]
    assert marked.locator("span").first.text_content() == f"AU {largest}"


@pytest.mark.browser
def test_arrow_keys_turn_maps_wherever_the_focus_is(page: Any) -> None:
    def at(root: str = "#first") -> str:
        return str(part(page, "position", root).input_value())

    page.keyboard.press("ArrowRight")
    assert at() == "1", "nothing has the focus"
    for name in ("layer", "order", "au", "position", "number", "next"):
        before, where = part(page, name).input_value() if name != "next" else "", int(at())
        part(page, name).focus()
        for key in ("ArrowRight", "ArrowLeft", "ArrowRight"):
            page.keyboard.press(key)
        assert at() == str(where + 1), name
        if name in ("layer", "order", "au"):
            assert part(page, name).input_value() == before, "the list keeps its entry"
    assert part(page, "number").input_value() == at() == "7"
    part(page, "au").select_option("12")
    part(page, "originals").click()
    page.keyboard.press("ArrowRight")
    assert at() == "1" and part(page, "au").input_value() == "12"
    assert at("#second") == "0", "one explorer at a time"
    page.evaluate("document.activeElement.blur()")
    page.locator("#second").first.evaluate("e => e.previousElementSibling.remove()")
    page.keyboard.press("ArrowRight")
    assert at("#second") == "1", "the first of those in sight"


@pytest.mark.browser
def test_arrow_keys_are_left_to_other_fields(page: Any) -> None:
    page.evaluate(
        "document.body.insertAdjacentHTML('afterbegin', '<input value=abc><div tabindex=0>x</div>')"
    )
    for other in ("body > input", "body > div[tabindex]"):
        page.locator(other).first.focus()
        page.keyboard.press("ArrowRight")
        assert part(page, "position").input_value() == "0"


@pytest.mark.browser
def test_keys_buttons_and_number(page: Any) -> None:
    page.locator("#first").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert part(page, "position").input_value() == "1"
    part(page, "next").click()
    assert part(page, "position").input_value() == "2"
    part(page, "previous").click()
    part(page, "number").fill("6")
    assert part(page, "position").input_value() == "6"
    part(page, "number").fill("600")
    part(page, "play").click()
    assert part(page, "number").input_value() == "6", "a number that no map has is taken back"
    page.wait_for_function("document.querySelector('#first [data-part=position]').value === '7'")
    page.wait_for_function(
        "document.querySelector('#first [data-part=play]').getAttribute('aria-label') === 'Play'"
    )


@pytest.mark.browser
def test_an_address_opens_a_map(page: Any) -> None:
    page.evaluate("location.hash = '#conv1/4'")
    page.wait_for_function("document.querySelector('#first [data-part=number]').value === '4'")
    assert part(page, "layer").input_value() == "1"
    assert part(page, "number", "#second").input_value() == "0", "it has no such layer"
    page.evaluate("location.hash = '#conv1/99'")
    assert part(page, "number").input_value() == "4"


@pytest.mark.browser
def test_layer_without_distances_and_faces(page: Any) -> None:
    part(page, "au").select_option("12")
    part(page, "layer").select_option("1")
    assert part(page, "bars").is_hidden() and part(page, "originals").is_hidden()
    assert part(page, "hidden").is_visible() and part(page, "au").is_disabled()
    assert part(page, "order").input_value() == "number"
    assert part(page, "position").get_attribute("max") == "5"


@pytest.mark.browser
def test_phone_width_does_not_scroll_sideways(page: Any) -> None:
    page.set_viewport_size({"width": 340, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_no_accessibility_violations(page: Any, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    if dark:
        page.add_style_tag(content=DARK)
    page.evaluate("delete window.define")  # the checker itself would register with the loader
    results = axe.Axe().run(page, context="#first")
    found = [(one["id"], one["nodes"][0]["html"][:80]) for one in results.response["violations"]]
    assert not found


@pytest.fixture
def sliders(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A page with two sliders whose pictures are files beside it, and the files that were asked for."""
    first = slider(*row(6), alt="Nine squares", name="map").data
    second = slider(*row(3, 60), alt="A rendered face", name="picture").data

    def beside(found: re.Match[str]) -> str:
        name = f"{hashlib.sha256(found[1].encode()).hexdigest()}.webp"
        (tmp_path / name).write_bytes(base64.b64decode(found[1]))
        return name

    text = re.sub(r"data:image/\w+;base64,([\w+/=]+)", beside, first + second)
    file = tmp_path / "page.html"
    file.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>maps</title>{LOADER}<body>{text}</body></html>",
        encoding="utf-8",
    )
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.asked, problems = [], []
    tab.on("request", lambda asked: tab.asked.append(asked.url.rpartition("/")[2]))
    tab.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto(file.as_uri())
    yield tab
    tab.close()
    assert not problems


@pytest.mark.browser
def test_slider_loads_only_what_is_looked_at(sliders: Any) -> None:
    one = sliders.locator(".fer-slider").first
    image, position = one.locator("img"), one.locator("[data-part=position]")
    assert len(sliders.asked) == 3, "the page and one picture for each slider"
    assert image.get_attribute("alt") == "Nine squares; map 0 & <more>"
    position.focus()
    sliders.keyboard.press("ArrowRight")
    assert image.get_attribute("alt") == "Nine squares; map 1 & <more>"
    assert one.locator("[data-part=caption]").text_content() == "map 1 & <more>"
    assert position.get_attribute("aria-valuetext") == "map 1 & <more>"
    assert one.locator("output").text_content() == "1"
    sliders.wait_for_function("document.querySelector('.fer-slider img').complete")
    assert image.evaluate("i => i.naturalWidth") == 40 and "fer-waiting" not in image.get_attribute("class")
    sliders.wait_for_load_state("networkidle")
    assert len(set(sliders.asked)) == 5, "the next one is loaded ahead, the others are not"
    other = sliders.locator(".fer-slider").last
    assert other.locator("img").get_attribute("alt") == "A rendered face; map 0 & <more>"
    assert sliders.locator(".fer-slider[data-ready]").count() == 2


@pytest.mark.browser
def test_slider_plays_to_the_end_and_begins_again(sliders: Any) -> None:
    one = sliders.locator(".fer-slider").last
    button = one.get_by_role("button")
    button.click()
    assert button.get_attribute("aria-label") == "Pause"
    sliders.wait_for_function(
        "[...document.querySelectorAll('.fer-slider output')].pop().textContent === '2'"
    )
    sliders.wait_for_function(
        "[...document.querySelectorAll('.fer-slider button')].pop().ariaLabel === 'Play'"
    )
    button.click()
    assert one.locator("output").text_content() == "0"
    button.click()
    assert button.get_attribute("aria-label") == "Play"


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_slider_is_accessible_on_a_phone(sliders: Any, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    if dark:
        sliders.add_style_tag(content=DARK)
    sliders.set_viewport_size({"width": 320, "height": 700})
    assert sliders.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    sliders.evaluate("delete window.define")
    found = axe.Axe().run(sliders, context=".fer-slider").response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:80]) for one in found] == []
