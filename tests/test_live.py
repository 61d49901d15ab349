"""The live explorer: what it computes, how its controls act, and how its view behaves in a browser."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PATIENCE
from PIL import Image

from fer_lib.errors import FerError
from fer_lib.faces.preprocess import Evaluate
from fer_lib.network.model import ExpressionNet
from fer_lib.plot.live import Live, planes, read_upload, unit_view
from fer_lib.probe.deconv import project
from fer_lib.probe.responses import Units

pytest.importorskip("anywidget")
EXPRESSIONS = tuple("abcdefgh")


@pytest.fixture(scope="module")
def network() -> ExpressionNet:
    return ExpressionNet(generator=torch.Generator().manual_seed(3)).eval()


@pytest.fixture(scope="module")
def faces() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = [rng.normal(size=(9, 8)).repeat(13, 0).repeat(13, 1) for _ in range(3)]
    return [np.clip(128 + 50 * one, 0, 255).astype(np.uint8) for one in smooth]


@pytest.fixture
def live(network: ExpressionNet, faces: list[np.ndarray]) -> Live:
    return Live(network, faces, ["one", "two", "three"], EXPRESSIONS, Evaluate())


@pytest.fixture
def maps(network: ExpressionNet, faces: list[np.ndarray]) -> np.ndarray:
    """Maps of conv3 on the face that is shown first."""
    return planes(network.features, Evaluate()(faces[0])[None], ["relu3"])["relu3"]


def test_planes_are_what_the_network_computes(network: ExpressionNet, faces: list[np.ndarray]) -> None:
    x = Evaluate()(faces[0])[None]
    found = planes(network.features, x, ["relu1", "relu3"])
    assert list(found) == ["relu1", "relu3"]
    with torch.no_grad():
        np.testing.assert_allclose(found["relu3"], network.features[:8](x)[0].numpy(), atol=1e-5)


def test_planes_of_rectifiers_in_place_and_used_again_are_kept_apart() -> None:
    torch.manual_seed(0)
    relu = torch.nn.ReLU(inplace=True)
    features = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), relu, torch.nn.Conv2d(2, 2, 3), relu)
    x = torch.randn(1, 1, 9, 9)
    found = planes(features, x, ["0", "1", "2", "3"])
    with torch.no_grad():
        below = features[0](x)
        last = features[2](below.relu())
    for layer, expected in zip("0123", (below, below.relu(), last, last.relu()), strict=True):
        np.testing.assert_allclose(found[layer], expected[0].numpy(), atol=1e-6)


def test_view_agrees_with_projection(network: ExpressionNet, faces: list[np.ndarray]) -> None:
    x = Evaluate()(faces[1])[None]
    plane = planes(network.features, x, ["relu3"])["relu3"]
    unit = tuple(int(i) for i in np.unravel_index(plane.argmax(), plane.shape))
    seen = unit_view(network.features, x, "relu3", unit)
    assert seen.value == pytest.approx(plane[unit], rel=1e-4)
    top, left = 4 * unit[1], 4 * unit[2]
    assert seen.box == (left, top, left + 32, top + 32)
    patch = project(network.features, x, Units(*(np.array([i]) for i in (0, *unit)))).patch[0, 0]
    largest = np.abs(patch).argmax()
    assert seen.projection.ravel()[largest] in (1, 255)
    assert (seen.projection[patch == 0] == 128).all()
    with pytest.raises(FerError, match="does not exist"):
        unit_view(network.features, x, "relu3", (256, 0, 0))


def test_box_is_clipped_to_a_picture_that_padding_surrounds() -> None:
    torch.manual_seed(0)
    features = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 5, padding=2))
    seen = unit_view(features, torch.randn(1, 1, 9, 20), "0", (1, 0, 18))
    assert seen.box == (16, 0, 20, 3)
    assert seen.square.shape == (5, 5)


def test_controls_move_the_unit(live: Live, maps: np.ndarray) -> None:
    assert live.layer.value == "conv3" and live.map.max == 255
    assert live.plane.max() == maps.max(), "starts at the strongest map"
    live.view.wanted = [2, 5]
    assert live.view.unit == [2, 5] and live.view.box == [20, 8, 52, 40]
    assert "row 2, column 5" in live.view.text
    live.peak.click()
    row, column = live.view.unit
    assert live.plane[row, column] == live.plane.max()
    live.layer.value = "conv1"
    assert live.map.max == 63 and live.view.extent == [92, 92] and live.view.field == 5
    live.view.wanted = [500, -3]
    assert live.view.unit == [91, 0]
    before = live.view.face
    live.face.value = 2
    assert live.view.face != before


def test_silent_unit_says_so(live: Live, maps: np.ndarray) -> None:
    silent = np.argwhere(maps == 0)
    live.map.value = int(silent[0][0])
    live.go_to(int(silent[0][1]), int(silent[0][2]))
    assert "silent" in live.view.text
    assert set(live.view.projection) == {128}


def uploaded(name: str, content: bytes) -> tuple[dict[str, Any]]:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    kind = {"type": "image/png", "size": len(content), "last_modified": moment}
    return ({"name": name, "content": memoryview(content), **kind},)


def test_an_upload_is_cut_and_shown(live: Live, faces: list[np.ndarray]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(faces[2]).save(buffer, "PNG")
    start = live.view.face
    live.file.value = uploaded("me.png", buffer.getvalue())
    whole = live.view.face
    assert whole != start and live.cut.layout.display == ""
    live.across.value = (20, 80)
    assert live.view.face != whole
    live.file.value = uploaded("text.png", b"nothing")
    assert live.view.text.startswith("text.png: no readable picture")


def test_uploads_are_bounded(faces: list[np.ndarray]) -> None:
    buffer = io.BytesIO()
    Image.new("L", (8000, 6000)).save(buffer, "PNG")
    with pytest.raises(FerError, match="scale it down"):
        read_upload(buffer.getvalue())


def test_wrong_arguments(network: ExpressionNet, faces: list[np.ndarray]) -> None:
    with pytest.raises(FerError, match="3 faces and 1 captions"):
        Live(network, faces, ["one"], EXPRESSIONS, Evaluate())


# Stands for the notebook: holds the traits, and answers a chosen unit with a new version of the view.
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>live</title><main id="here"></main>
<script type="module">
  const traits = TRAITS;
  for (const name of ["face", "plane", "square", "projection"]) {
    traits[name] = new DataView(Uint8Array.from(atob(traits[name]), (c) => c.charCodeAt(0)).buffer);
  }
  let redraw = () => {};
  window.model = {
    get: (name) => traits[name], set: (name, value) => { traits[name] = value; },
    save_changes: () => { traits.unit = traits.wanted; redraw(); },
    on: (_, handler) => { redraw = handler; }, off: () => {},
  };
  const { default: view } = await import("data:text/javascript;base64,SCRIPT");
  view.render({ model: window.model, el: document.getElementById("here") });
  document.body.dataset.ready = "true";
</script></html>"""


@pytest.mark.browser
def test_view_answers_to_clicks_and_keys(browser: Any, live: Live) -> None:
    def text(value: Any) -> Any:
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    names = ("side", "face", "plane", "extent", "field", "geometry", "unit", "wanted", "box", "square")
    traits = {name: text(getattr(live.view, name)) for name in (*names, "projection", "text")}
    script = base64.b64encode(resources.files("fer_lib.plot").joinpath("live.js").read_bytes()).decode()
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    tab.set_content(PAGE.replace("TRAITS", json.dumps(traits)).replace("SCRIPT", script))
    tab.wait_for_selector("body[data-ready]")
    assert tab.locator("[role=status]").text_content() == live.view.text
    plane = tab.locator("canvas").nth(1)
    before = plane.evaluate("canvas => canvas.toDataURL()")
    box = plane.bounding_box()
    plane.click(position={"x": box["width"] * 3.5 / 17, "y": box["height"] * 9.5 / 17})
    assert tab.evaluate("model.get('unit')") == [9, 3]
    assert plane.evaluate("canvas => canvas.toDataURL()") != before
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("model.get('unit')") == [8, 4]
    face = tab.locator("canvas").first
    box = face.bounding_box()
    face.click(position={"x": box["width"] / 2, "y": 1})
    assert tab.evaluate("model.get('unit')") == [0, 8]
    tab.close()
    assert not problems
