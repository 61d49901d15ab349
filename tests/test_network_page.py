"""The network in the page: its arithmetic against PyTorch's, and the page in a browser, from a folder and without a network."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PATIENCE, face_picture
from PIL import Image
from test_explorer import NAMES, layer, mean_face

from fer_lib.errors import FerError
from fer_lib.faces.cropping import crop
from fer_lib.faces.preprocess import Evaluate
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import receptive_field
from fer_lib.plot.bytes_beside import DATA_URI, as_uri, script_of
from fer_lib.plot.explorer import explorer_html
from fer_lib.plot.network_page import (
    Face,
    convolutions,
    geometry,
    halved,
    linear_layers,
    network_html,
    quantised,
    save_page,
)
from fer_lib.probe.deconv import RULES, project
from fer_lib.probe.responses import Units

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "surprise")
RESIZE, SIDE = 46, 44


def network(**options: Any) -> ExpressionNet:
    """A network of small pictures whose biases are not zero."""
    given = {"classes": len(EXPRESSIONS), "size": SIDE} | options
    generator = torch.Generator().manual_seed(3)
    made = ExpressionNet(**given, generator=generator).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1, generator=generator)
    return made


def as_computed(model: ExpressionNet) -> ExpressionNet:
    """The network with exactly the weights that a page holds."""
    made = halved(model)
    with torch.no_grad():
        numbers, steps = quantised(made.classifier.fc1.weight)  # type: ignore[arg-type, union-attr]
        made.classifier.fc1.weight.copy_(numbers * steps[:, None])  # type: ignore[union-attr, operator]
    return made


def face(seed: int, width: int = 70, height: int = 80) -> np.ndarray:
    return face_picture(width, height, 0.2 * (seed % 5), seed)[0]


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


# ------------------------------------------------------------------------------------------------ what is written


def test_geometry_is_the_networks_own() -> None:
    found = geometry(network(padding=2, architecture="breuer_kimmel"), RESIZE)
    assert [block["maps"] for block in found["blocks"]] == [64, 128, 256]
    assert {(block["kernel"], block["padding"], block["pool"]) for block in found["blocks"]} == {(5, 2, 2)}
    assert (found["side"], found["resize"], found["hidden"], found["classes"]) == (SIDE, RESIZE, 512, 5)


def test_networks_that_no_page_computes_are_refused() -> None:
    with pytest.raises(FerError, match="channels=3"):
        geometry(network(channels=3), RESIZE)
    with pytest.raises(FerError, match=f"resize={SIDE - 1}"):
        geometry(network(), SIDE - 1)
    with pytest.raises(FerError, match="2 expressions for a network of 5"):
        network_html(network(), resize=RESIZE, expressions=EXPRESSIONS[:2])
    with pytest.raises(FerError, match="identifier"):
        network_html(network(), resize=RESIZE, expressions=EXPRESSIONS, identifier="1")
    with pytest.raises(FerError, match="expected uint8"):
        Face("me", np.zeros((3, 4)))  # type: ignore[arg-type]
    large = network()
    with torch.no_grad():
        large.features.conv2.weight[0] = 1e5  # type: ignore[union-attr, operator, index]
    with pytest.raises(FerError, match=r"features.conv2.weight holds 1e\+05"):
        convolutions(large)


def test_quantised_weights_are_within_half_a_step() -> None:
    weight = (
        torch.randn(20, 300, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 2, 20)[:, None]
    )
    weight[7] = 0
    numbers, steps = quantised(weight)
    assert numbers.dtype == torch.int8
    error = (numbers * steps[:, None] - weight).abs()
    assert (error <= 0.5001 * steps[:, None]).all() and (error[7] == 0).all()


def test_weights_are_written_once_and_the_network_is_left_alone() -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    content, linear = convolutions(model), linear_layers(model)
    assert len(content) == 2 * sum(p.numel() for p in model.features.parameters())
    first = model.classifier.fc1
    assert len(linear) == first.weight.numel() + 4 * (2 * 1024 + 5 * 1024 + 5)  # type: ignore[union-attr, operator]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_bytes_beside_a_page_are_found_and_named_by_their_content() -> None:
    content = bytes(range(256)) * 3
    for some in (content, content[:-1], content[:-2], b""):
        text = json.dumps({"a": as_uri(some), "b": "data:image/png;base64,AAAA"})
        found = DATA_URI.findall(text)
        assert [base64.b64decode(one) for one in found] == [some]
    name, script = script_of(encoded(content))
    assert re.fullmatch(r"[0-9a-f]{24}\.js", name) and f'["{name}"] = "{encoded(content)}"' in script


def test_a_face_that_is_not_given_is_not_in_the_page() -> None:
    html = network_html(network(), resize=RESIZE, expressions=EXPRESSIONS)
    data = json.loads(re.search(r'data-part="data">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    assert data["faces"] == [] and data["preview"] == "" and data["files"]["faces"] == as_uri(b"")
    assert "data:image" not in html


def test_a_name_cannot_end_the_script() -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    html = network_html(network(), resize=RESIZE, expressions=EXPRESSIONS, faces=[Face(evil, face(0))])
    assert evil not in html and html.count("</script>") == 3


# ------------------------------------------------------------------------------------------------ arithmetic


@pytest.fixture
def core(browser: Any) -> Iterator[Any]:
    """A blank page with the arithmetic of `network.js`."""
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.add_script_tag(content=resources.files("fer_lib.plot").joinpath("network.js").read_text("utf-8"))
    tab.evaluate(
        """() => {
      window.bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      window.text = (values) => {
        const all = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
        let out = "";
        for (let i = 0; i < all.length; i += 8192) out += String.fromCharCode(...all.subarray(i, i + 8192));
        return btoa(out);
      };
    }"""
    )
    yield tab
    tab.close()


LOAD = """([geometry, weights, linear, plain]) => {
  window.network = new FerNetwork.Network(geometry, bytes(weights), plain);
  network.readLinear(bytes(linear));
  return network.fast;
}"""
RUN = """([pixels, width, height]) => {
  const { input } = FerNetwork.prepare(Float32Array.from(bytes(pixels)), width, height, network.geometry.resize, network.geometry.side);
  network.run(input);
  return { input: text(input), maps: network.layers.map((_, i) => text(network.maps(i))), scores: text(network.scores()) };
}"""
PROJECT = """([layer, map, row, column, rule]) => {
  const { patch, ...rest } = network.project(layer, map, row, column, rule);
  return { ...rest, patch: text(patch) };
}"""


def put(tab: Any, model: ExpressionNet, *, plain: bool = False) -> bool:
    """Give the page a network; whether its inner loop is WebAssembly."""
    fast: bool = tab.evaluate(
        LOAD, [geometry(model, RESIZE), encoded(convolutions(model)), encoded(linear_layers(model)), plain]
    )
    return fast


@pytest.mark.browser
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"padding": 2, "architecture": "breuer_kimmel", "classes": 3}, {"padding": 1, "size": 37}]
)
def test_maps_projections_and_scores_are_those_of_pytorch(
    core: Any, plain: bool, options: dict[str, Any]
) -> None:
    """PyTorch's float32 on the same half-precision weights; the hidden layer's are those of one byte."""
    model = network(**options)
    assert put(core, model, plain=plain) is not plain
    same, rng = as_computed(model), np.random.default_rng(5)
    prepare = Evaluate(RESIZE, int(model.options["size"]))
    differ = projections = 0
    for seed in range(3):
        pixels = face(seed, 61 + 20 * seed, 83)
        found = core.evaluate(RUN, [encoded(pixels.tobytes()), *pixels.shape[::-1]])
        picture = prepare(pixels)[None]
        assert np.abs(floats(found["input"]) - picture.numpy().ravel()).max() < 1e-4
        with torch.no_grad():
            scores = same(picture)[0].numpy()
        assert np.abs(floats(found["scores"]) - scores).max() < 1e-4 * np.abs(scores).max()
        assert floats(found["scores"]).argmax() == scores.argmax()
        for i, computed in enumerate(found["maps"]):
            layer = f"relu{i + 1}"
            maps = same.planes(picture, layer)[0].detach().numpy()
            assert np.abs(floats(computed) - maps.ravel()).max() < 1e-4 * maps.max()
            places = [np.unravel_index(int(maps.argmax()), maps.shape)]
            places += [rng.integers(maps.shape) for _ in range(4)]
            places += [(rng.integers(len(maps)), row, column) for row in (0, -1) for column in (0, -1)]
            for place in places:
                unit = [int(one % extent) for one, extent in zip(place, maps.shape, strict=True)]
                units = Units(np.array([0]), *(np.array([one]) for one in unit))
                for rule in RULES:
                    mine = core.evaluate(PROJECT, [i, *unit, rule])
                    true = project(same.features, picture, units, layer=layer, rule=rule)
                    assert (mine["top"], mine["left"]) == (true.top[0], true.left[0])
                    assert mine["size"] == receptive_field(same.features, layer).size
                    assert mine["value"] == pytest.approx(float(true.value[0]), abs=1e-4 * float(maps.max()))
                    patch = true.patch[0, 0]
                    projections += 1
                    differ += bool(
                        np.abs(floats(mine["patch"]) - patch.ravel()).max() > 1e-4 * np.abs(patch).max()
                    )
    # Where two values of a pool are equal but for rounding, no two implementations need agree (`fer_lib.probe.deconv`).
    assert differ <= 0.03 * projections


@pytest.mark.browser
def test_parts_of_a_score_are_the_score(core: Any) -> None:
    """Each map's part is its activations times the score's gradient; with what the biases add they are the score."""
    model = network()
    put(core, model)
    same, pixels = as_computed(model), face(2)
    core.evaluate(RUN, [encoded(pixels.tobytes()), *pixels.shape[::-1]])
    pooled = same.features(Evaluate(RESIZE, SIDE)(pixels)[None]).detach().requires_grad_()
    for c in range(len(EXPRESSIONS)):
        (gradient,) = torch.autograd.grad(same.classifier(pooled)[0, c], pooled)
        true = (gradient * pooled.detach()).sum((0, 2, 3)).numpy()
        found = floats(core.evaluate("c => text(network.parts(c))", c))
        assert np.abs(found - true).max() < 1e-4 * np.abs(true).max()


@pytest.mark.browser
def test_equal_places_stay_equal(core: Any) -> None:
    """On a picture of one grey and a step, the first of equal values gets the signal, as in PyTorch."""
    model = network()
    put(core, model)
    pixels = np.full((RESIZE, RESIZE), 40, np.uint8)
    pixels[:, 30:] = 200
    core.evaluate(RUN, [encoded(pixels.tobytes()), RESIZE, RESIZE])
    picture = Evaluate(RESIZE, SIDE)(pixels)[None]
    maps = model.planes(picture, "relu2")[0].detach().numpy()
    for chosen in np.argsort(maps.max((1, 2)))[-5:]:
        unit = [int(chosen), *map(int, np.unravel_index(int(maps[chosen].argmax()), maps.shape[1:]))]
        found = core.evaluate(PROJECT, [1, *unit, "deconvnet"])
        units = Units(np.array([0]), *(np.array([one]) for one in unit))
        true = project(halved(model).features, picture, units, layer="relu2").patch[0, 0]
        assert np.abs(floats(found["patch"]) - true.ravel()).max() < 1e-4 * np.abs(true).max()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(300, 217), (46, 46), (31, 20), (1, 1), (47, 600)])
def test_a_face_is_prepared_as_for_testing(core: Any, width: int, height: int) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width)).astype(np.uint8)
    found = core.evaluate(
        """([pixels, width, height, resize, side]) =>
      text(FerNetwork.prepare(Float32Array.from(bytes(pixels)), width, height, resize, side).input)""",
        [encoded(pixels.tobytes()), width, height, RESIZE, SIDE],
    )
    true = Evaluate(RESIZE, SIDE)(pixels).numpy().ravel()
    assert np.abs(floats(found) - true).max() < 1e-4


@pytest.mark.browser
def test_weights_of_another_network_are_refused(core: Any) -> None:
    other = geometry(network(), RESIZE)
    other["blocks"][1]["maps"] = 127
    message = core.evaluate(
        """([geometry, weights]) => {
      try { new FerNetwork.Network(geometry, bytes(weights)); return ""; } catch (error) { return error.message; }
    }""",
        [other, encoded(convolutions(network()))],
    )
    assert "the network has" in message


# ------------------------------------------------------------------------------------------------ the page


class Reader:
    """A reader's tab: it notes what went wrong and what was asked of a network."""

    def __init__(
        self, browser: Any, page: Path, *, address: str = "", before: str = "", **context: Any
    ) -> None:
        self.context = browser.new_context(**context)
        self.context.set_offline(True)
        self.tab = self.context.new_page()
        self.tab.set_default_timeout(PATIENCE)
        self.problems: list[str] = []
        self.files: list[str] = []
        self.asked: list[str] = []
        self.tab.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.context.on("request", lambda request: self._note(request.url))
        self.tab.on("websocket", lambda socket: self.asked.append(socket.url))
        if before:
            self.tab.add_init_script(before)
        self.tab.goto(page.as_uri() + address)

    def _note(self, url: str) -> None:
        if url.startswith("file:"):
            self.files.append(url.rpartition("/")[2])
        elif not url.startswith(("data:", "blob:")):
            self.asked.append(url)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        state = self.context.storage_state()
        self.context.close()
        assert self.problems == [] and self.asked == []
        assert state == {"cookies": [], "origins": []}, "nothing is stored"

    def part(self, name: str) -> Any:
        return self.tab.locator(f".fer-network [data-part={name}]")

    def projected(self, start: str) -> list[str]:
        """Wait for a projection whose unit and rule are written so; its words."""
        self.tab.wait_for_function(
            "start => document.querySelector('.fer-network').dataset.projected?.startsWith(start)", arg=start
        )
        words: str = self.tab.locator(".fer-network").get_attribute("data-projected")
        return words.split()

    def scores(self) -> np.ndarray:
        self.tab.wait_for_selector(".fer-network[data-scored]")
        return np.array(self.tab.locator(".fer-network").get_attribute("data-scored").split(), float)


FACES = [Face("happiness", face(1)), Face("surprise & more", face(4, 91, 60))]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    html = network_html(network(), resize=RESIZE, expressions=EXPRESSIONS, faces=FACES)
    return save_page(tmp_path_factory.mktemp("a stick") / "with spaces", html, title="Maps & faces")


def scores_of(pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = as_computed(network())(Evaluate(RESIZE, SIDE)(pixels)[None])[0].numpy()
    return found


@pytest.mark.browser
def test_faces_maps_and_units_without_a_network(browser: Any, page: Path) -> None:
    with Reader(browser, page) as reader:
        assert len(reader.files) == 1, "weights are loaded when a face is chosen"
        reader.part("faces").locator("button").nth(1).click()
        _, map, row, column, rule = reader.projected("conv3")
        maps = halved(network()).planes(Evaluate(RESIZE, SIDE)(FACES[1].pixels)[None], "relu3")[0]
        assert [int(one) for one in (map, row, column)] == list(
            np.unravel_index(int(maps.argmax()), maps.shape)
        )
        assert rule == "deconvnet" and "448 maps" in reader.part("status").text_content()
        assert len(reader.files) == 3
        before = reader.part("projection").evaluate("canvas => canvas.toDataURL()")
        reader.part("rule").select_option("guided")
        reader.projected(f"conv3 {map} {row} {column} guided")
        assert reader.part("projection").evaluate("canvas => canvas.toDataURL()") != before
        reader.part("plane").press("ArrowDown" if row == "0" else "ArrowUp")
        moved = 1 if row == "0" else int(row) - 1
        reader.projected(f"conv3 {map} {moved} {column}")
        assert f"row {moved}" in reader.part("line").text_content()
        reader.part("ask").click()
        assert reader.scores() == pytest.approx(scores_of(FACES[1].pixels), abs=1e-3)
        best = int(scores_of(FACES[1].pixels).argmax())
        model = as_computed(network())
        pooled = model.features(Evaluate(RESIZE, SIDE)(FACES[1].pixels)[None]).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model.classifier(pooled)[0, best], pooled)
        most = int((gradient * pooled).sum((0, 2, 3)).argmax())
        reader.part("order").select_option(f"part{best}")
        reader.tab.wait_for_selector(
            f".fer-network [data-part=grid][aria-label*='score of {EXPRESSIONS[best]}, from map {most};']"
        )
        first = reader.part("scores").locator("li").first.text_content()
        assert first.startswith(EXPRESSIONS[int(scores_of(FACES[1].pixels).argmax())])
        assert len(reader.files) == 4


@pytest.mark.browser
def test_maps_have_addresses(browser: Any, page: Path) -> None:
    with Reader(browser, page, address="#conv2/17") as reader:
        reader.projected("conv2 17")
        assert reader.part("number").input_value() == "17"
        reader.part("number").fill("90")
        reader.part("number").press("Enter")
        reader.projected("conv2 90")
        assert reader.tab.url.endswith("#conv2/90")
        reader.part("layers").locator("button").first.click()
        reader.projected("conv1")
        reader.tab.go_back()
        reader.projected("conv2 90")
        reader.tab.go_back()
        reader.projected("conv2 17")
        reader.tab.go_forward()
        reader.projected("conv2 90")
        assert reader.part("address").get_attribute("href") == "#conv2/90"
        reader.tab.evaluate("location.hash = '#conv3/999'")
        reader.part("number").fill("500")
        reader.part("number").press("Enter")
        assert reader.part("number").input_value() == "90", "a map that does not exist is not shown"


@pytest.mark.browser
def test_the_grid_answers_to_clicks_and_keys(browser: Any, page: Path) -> None:
    with Reader(browser, page, viewport={"width": 1200, "height": 900}) as reader:
        reader.part("wake").click()
        reader.projected("conv3")
        reader.part("grid").scroll_into_view_if_needed()
        box = reader.part("grid").bounding_box()
        reader.part("grid").click(position={"x": box["width"] * 3.5 / 16, "y": box["height"] * 2.5 / 16})
        reader.projected("conv3 35 ")
        for key, map in (("ArrowRight", 36), ("ArrowDown", 52), ("ArrowLeft", 51), ("ArrowUp", 35)):
            reader.part("grid").press(key)
            reader.projected(f"conv3 {map} ")
        reader.part("order").select_option("response")
        maps = halved(network()).planes(Evaluate(RESIZE, SIDE)(FACES[0].pixels)[None], "relu3")[0]
        reader.part("grid").click(position={"x": 5, "y": 5})
        reader.projected(f"conv3 {int(maps.amax((1, 2)).argmax())} ")


@pytest.mark.browser
def test_stored_pictures_and_distances_are_those_of_the_explorer_below(browser: Any, tmp_path: Path) -> None:
    view = layer("conv3", 256, 12)
    html = network_html(network(), resize=RESIZE, expressions=EXPRESSIONS, faces=FACES, stored="explorer")
    below = explorer_html([view], mean_face(), au_names=NAMES)
    with Reader(browser, save_page(tmp_path, html, below, title="maps"), address="#conv3/7") as reader:
        reader.projected("conv3 7 ")
        assert reader.part("originals").is_visible() and reader.part("projections").is_visible()
        assert view.distances is not None
        told = reader.part("distances").locator("li").all_text_contents()
        assert told[0].startswith(f"AU {view.distances[7].idxmax()} (") and len(told) == len(view.distances)
        reader.part("order").select_option("au12")
        best = int(view.distances.loc[12].idxmax())
        reader.tab.wait_for_selector(f".fer-network [data-part=grid][aria-label*='from map {best};']")
        reader.part("number").fill("3")
        reader.part("number").press("Enter")
        reader.projected("conv3 3 ")
        assert reader.part("originals").is_hidden(), "no picture excites this map"
        reader.part("layers").locator("button").first.click()
        reader.projected("conv1")
        assert reader.part("stored").is_hidden() and reader.part("order").input_value() == "number"


def photograph() -> np.ndarray:
    colours = np.stack([face_picture(200, 240, 0.5, 8)[0]] * 3, axis=-1).astype(int)
    colours += np.random.default_rng(1).integers(-40, 40, colours.shape)
    return np.clip(colours, 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.browser
@pytest.mark.parametrize("way", ["file", "drop", "paste"])
def test_a_picture_of_ones_own_is_cut_and_seen_as_in_python(browser: Any, page: Path, way: str) -> None:
    pixels = photograph()
    with Reader(browser, page) as reader:
        if way == "file":
            reader.part("file").set_input_files(
                {"name": "me.png", "mimeType": "image/png", "buffer": png(pixels)}
            )
        else:
            reader.tab.evaluate(
                """([content, way]) => {
              const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0)), data = new DataTransfer();
              data.items.add(new File([bytes], "me.png", { type: "image/png" }));
              const event = way === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
              document.querySelector(".fer-body").dispatchEvent(event);
            }""",
                [encoded(png(pixels)), way],
            )
        reader.projected("conv3")
        reader.part("ask").click()
        reader.scores()
        for key in ("ArrowLeft", "ArrowUp", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
            reader.part("photo").press(key)
        frame = [int(one) for one in reader.part("photo").get_attribute("data-frame").split()]
        grey = np.asarray(Image.fromarray(pixels).convert("L"))
        wanted = scores_of(crop(grey, frame))
        reader.tab.wait_for_function(
            """wanted => document.querySelector('.fer-network').dataset.scored.split(' ')
            .every((score, i) => Math.abs(score - wanted[i]) < 1e-3)""",
            arg=wanted.tolist(),
        )


@pytest.mark.browser
def test_the_frame_follows_a_finger_and_stays_in_the_picture(browser: Any, page: Path) -> None:
    def frame(reader: Reader) -> list[int]:
        return [int(one) for one in reader.part("photo").get_attribute("data-frame").split()]

    with Reader(browser, page) as reader:
        reader.part("file").set_input_files(
            {"name": "me.png", "mimeType": "image/png", "buffer": png(photograph())}
        )
        reader.projected("conv3")
        reader.part("photo").scroll_into_view_if_needed()
        box, before = reader.part("photo").bounding_box(), frame(reader)
        scale = box["width"] / 200

        def drag(x: float, y: float, to_x: float, to_y: float) -> None:
            mouse = reader.tab.mouse
            mouse.move(box["x"] + x * scale, box["y"] + y * scale)
            mouse.down()
            mouse.move(box["x"] + to_x * scale, box["y"] + to_y * scale, steps=4)
            mouse.up()

        middle = (before[0] + before[2]) / 2, (before[1] + before[3]) / 2
        drag(*middle, middle[0] + 10, middle[1] + 5)
        moved = frame(reader)
        assert moved == pytest.approx([before[0] + 10, before[1] + 5, before[2] + 10, before[3] + 5], abs=1)
        drag(moved[2], (moved[1] + moved[3]) / 2, moved[2] + 20, middle[1])
        wider = frame(reader)
        assert (
            wider[:2] == moved[:2]
            and wider[2] == pytest.approx(moved[2] + 20, abs=1)
            and wider[3] == moved[3]
        )
        drag(*middle, 1000, 1000)
        assert frame(reader)[2:] == [199, 239]
        assert frame(reader)[2] - frame(reader)[0] == wider[2] - wider[0]


@pytest.mark.browser
@pytest.mark.parametrize("lacking", ["Worker", "WebAssembly"])
def test_what_a_browser_lacks_is_said_and_the_network_runs_all_the_same(
    browser: Any, page: Path, lacking: str
) -> None:
    before = "delete window.Worker;" + ("delete window.WebAssembly;" if lacking == "WebAssembly" else "")
    with Reader(browser, page, before=before) as reader:
        reader.part("wake").click()
        reader.projected("conv3")
        assert "stand still" in reader.part("status").text_content()
        slow = "no vector instructions" in reader.part("status").text_content()
        assert slow == (lacking == "WebAssembly")
        assert reader.tab.locator(".fer-network").get_attribute("data-fast") == str(not slow).lower()


@pytest.mark.browser
def test_a_page_without_its_files_says_so(browser: Any, page: Path, tmp_path: Path) -> None:
    alone = tmp_path / "explorer.html"
    alone.write_bytes(page.read_bytes())
    reader = Reader(browser, alone)
    with reader:
        reader.part("wake").click()
        reader.tab.wait_for_function(
            "document.querySelector('.fer-network [data-part=status]').textContent.includes('does not lie beside')"
        )
        assert reader.part("work").is_hidden()
        reader.problems.clear()  # the browser's own word on the missing file


@pytest.mark.browser
def test_a_file_that_is_no_picture_is_named(browser: Any, page: Path) -> None:
    with Reader(browser, page) as reader:
        reader.part("file").set_input_files({"name": "notes.png", "mimeType": "image/png", "buffer": b"none"})
        reader.tab.wait_for_function(
            "document.querySelector('.fer-network [data-part=status]').textContent.startsWith('notes.png is no picture')"
        )


@pytest.mark.browser
@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390), ("dark", 390)]
)
def test_page_is_accessible_and_fits(browser: Any, page: Path, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with Reader(browser, page, color_scheme=scheme, viewport={"width": width, "height": 844}) as reader:
        for opened in (False, True):
            if opened:
                reader.part("wake").click()
                reader.projected("conv3")
                reader.part("ask").click()
                reader.scores()
                reader.tab.evaluate("document.querySelector('details').open = true")
            found = Axe().run(reader.tab, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
            assert found.violations_count == 0, found.generate_report()
            assert reader.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
