"""Any unit while the kernel runs: choose a face, a layer, a map and a unit, and see what it sees.

`unit_view` is the computation, `Live` the widget around it. The widget's view needs the package `anywidget`; its
script travels through the kernel's connection, so that nothing is asked of the network.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn

from fer_lib.errors import FerError
from fer_lib.network.stack import read_stack, receptive_field
from fer_lib.plot.pictures import grey, signed_grey
from fer_lib.probe.deconv import project
from fer_lib.probe.projections import crops
from fer_lib.probe.responses import Units

if TYPE_CHECKING:
    import ipywidgets

LAYERS = {"conv1": "relu1", "conv2": "relu2", "conv3": "relu3"}
_LARGEST_UPLOAD = 40_000_000  # pixels: a photograph, but no decompression bomb


@dataclass(frozen=True, eq=False)
class UnitView:
    """What one unit sees in one picture.

    Attributes
    ----------
    value
        The unit's activation.
    box
        Left, top, right and bottom of its receptive field in pixels, clipped to the picture; right and bottom are the first
        ones outside.
    square
        (k, k) uint8: the pixels that it sees (block a of Figure 4), stretched; black outside the picture.
    projection
        (k, k) uint8: their projection (block b), 128 being zero.
    """

    value: float
    box: tuple[int, int, int, int]
    square: np.ndarray
    projection: np.ndarray


@torch.no_grad()
def planes(features: nn.Sequential, picture: Tensor, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """Feature maps (C, h, w) of several layers on one picture (1, 1, side, side), by layer."""
    found = {}
    x = picture.clone()
    for step in read_stack(features, layers[-1]):
        x = step.module(x)
        if step.name in layers:
            found[step.name] = x[0].numpy().copy()  # a rectifier that works in place comes next
    return found


def unit_view(
    features: nn.Sequential, picture: Tensor, layer: str, unit: tuple[int, int, int], rule: str = "deconvnet"
) -> UnitView:
    """Find out what one unit sees in one picture.

    Parameters
    ----------
    features
        The network's convolutional part.
    picture
        (1, 1, side, side), as the network sees it.
    layer
        The unit's layer, such as ``relu3``.
    unit
        Map, row and column.
    rule
        Backward rule, see `fer_lib.probe.deconv`.

    Raises
    ------
    FerError
        If the layer or the unit does not exist.
    """
    map, row, column = (np.array([i]) for i in unit)
    projected = project(features, picture, Units(np.array([0]), map, row, column), layer=layer, rule=rule)
    low = np.array([projected.left[0], projected.top[0]])
    ends = [low, low + projected.patch.shape[:1:-1]]  # x before y
    left, top, right, bottom = np.clip(ends, 0, picture.shape[:1:-1]).ravel().tolist()
    square = crops(picture, projected)[0, 0]
    return UnitView(
        float(projected.value[0]),
        (left, top, right, bottom),
        grey(square),
        signed_grey(projected.patch[0, 0]),
    )


def read_upload(content: bytes | memoryview, name: str = "upload") -> np.ndarray:
    """Decode a PNG, JPEG or WebP picture to grey, uint8 (h, w); a FerError if it cannot be read or is too large."""
    try:
        with Image.open(io.BytesIO(bytes(content)), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > _LARGEST_UPLOAD:
                raise FerError(f"{name}: {image.width} x {image.height} pixels; scale it down")
            return np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise FerError(f"{name}: no readable picture ({error}); give a PNG, JPEG or WebP file") from error


def _view() -> ipywidgets.DOMWidget:
    """Make the clickable view; its traits are what the script draws."""
    try:
        import anywidget
    except ModuleNotFoundError as error:
        raise FerError(
            "the live explorer needs the package anywidget: pip install 'anywidget>=0.9,<1'"
        ) from error
    import traitlets

    class View(anywidget.AnyWidget):
        _esm = resources.files("fer_lib.plot").joinpath("live.js").read_text(encoding="utf-8")
        side = traitlets.Int(0).tag(sync=True)
        face = traitlets.Bytes(b"").tag(sync=True)
        plane = traitlets.Bytes(b"").tag(sync=True)
        extent = traitlets.List([0, 0]).tag(sync=True)
        field = traitlets.Int(0).tag(sync=True)
        geometry = traitlets.Dict({"stride": 1, "offset": 0}).tag(sync=True)
        unit = traitlets.List([0, 0]).tag(sync=True)
        wanted = traitlets.List([0, 0]).tag(sync=True)
        box = traitlets.List([0, 0, 0, 0]).tag(sync=True)
        square = traitlets.Bytes(b"").tag(sync=True)
        projection = traitlets.Bytes(b"").tag(sync=True)
        text = traitlets.Unicode("").tag(sync=True)
        version = traitlets.Int(0).tag(sync=True)

    return View()


class Live:
    """A widget that shows any unit on any face; needs a running kernel.

    Parameters
    ----------
    network
        Anything with ``features``, called as a whole for the expression; in evaluation mode.
    faces
        Face crops, uint8 (h, w) each.
    captions
        Their names in the list.
    expressions
        The classes, in the order of the network's outputs.
    prepare
        Turns a face crop into the network's input (1, side, side), such as `fer_lib.faces.preprocess.Evaluate`.

    Attributes
    ----------
    widget
        The controls and the view; a cell that ends with it shows it.

    Raises
    ------
    FerError
        If there is no face, a caption is missing, or anywidget is not installed.
    """

    def __init__(
        self,
        network: nn.Module,
        faces: Sequence[np.ndarray],
        captions: Sequence[str],
        expressions: Sequence[str],
        prepare: Callable[[np.ndarray], Tensor],
    ) -> None:
        import ipywidgets as w

        if not len(faces) or len(faces) != len(captions):
            raise FerError(f"live: {len(faces)} faces and {len(captions)} captions; give one for each face")
        self.network, self.faces, self.expressions, self.prepare = network, faces, expressions, prepare
        self._upload: np.ndarray | None = None
        self.view: Any = _view()
        wide: dict[str, Any] = {"style": {"description_width": "5rem"}}
        self.face = w.Dropdown(
            options=[(name, i) for i, name in enumerate(captions)], description="face", **wide
        )
        self.file = w.FileUpload(accept=".png,.jpg,.jpeg,.webp", description="own face")
        self.across = w.IntRangeSlider(value=(0, 100), description="across (%)", **wide)
        self.down = w.IntRangeSlider(value=(0, 100), description="down (%)", **wide)
        note = w.HTML("Cut your picture as the network's faces are: from the brows to the chin.")
        self.cut = w.VBox([note, self.across, self.down], layout={"display": "none"})
        self.layer = w.Dropdown(options=list(LAYERS), value="conv3", description="layer", **wide)
        self.map = w.BoundedIntText(value=0, min=0, max=0, description="map", **wide)
        self.loudest = w.Button(
            description="strongest map", tooltip="the map with the largest activation here"
        )
        self.peak = w.Button(
            description="strongest unit", tooltip="the unit with the map's largest activation"
        )
        flow = {"flex_flow": "row wrap"}
        above = w.HBox([self.face, self.file], layout=flow)
        below = w.HBox([self.layer, self.map, self.loudest, self.peak], layout=flow)
        self.widget = w.VBox([above, self.cut, below, self.view])
        self.face.observe(lambda _: self._use_listed(), "value")
        self.file.observe(lambda _: self._use_upload(), "value")
        for one in (self.across, self.down):
            one.observe(lambda _: self._use_cut(), "value")
        self.layer.observe(lambda _: self._use_layer(), "value")
        self.map.observe(lambda _: self.go_to_peak(), "value")
        self.loudest.on_click(lambda _: self.go_to_loudest())
        self.peak.on_click(lambda _: self.go_to_peak())
        self.view.observe(lambda change: self._use_click(*change["new"]), "wanted")
        self._use_listed()

    @property
    def plane(self) -> np.ndarray:
        """The chosen map on the chosen face, (h, w)."""
        plane: np.ndarray = self._planes[LAYERS[self.layer.value]][self.map.value]
        return plane

    def show_face(self, face: np.ndarray) -> None:
        """Put a face crop, uint8 (h, w), before the network and show its strongest map's strongest unit."""
        with torch.no_grad():
            self._input = self.prepare(face)[None]
            share = self.network(self._input).softmax(1)[0]
        best = int(share.argmax())
        self._says = f"The network says {self.expressions[best]} ({float(share[best]):.0%})"
        self._planes = planes(self.network.features, self._input, list(LAYERS.values()))  # type: ignore[arg-type]
        self._use_layer()

    def go_to_loudest(self) -> None:
        """Choose the map with the largest activation on this face, and its strongest unit."""
        loudest = int(self._planes[LAYERS[self.layer.value]].max(axis=(1, 2)).argmax())
        if loudest == self.map.value:
            self.go_to_peak()
        self.map.value = loudest

    def go_to_peak(self) -> None:
        """Choose the unit with the map's largest activation."""
        row, column = np.unravel_index(int(self.plane.argmax()), self.plane.shape)
        self.go_to(int(row), int(column))

    def go_to(self, row: int, column: int) -> None:
        """Show one unit of the chosen map: value, receptive field, pixels and projection."""
        layer, plane = LAYERS[self.layer.value], self.plane
        features: nn.Sequential = self.network.features  # type: ignore[assignment]
        seen = unit_view(features, self._input, layer, (self.map.value, row, column))
        field = receptive_field(features, layer)
        off = "; it is silent, so its projection is empty" if seen.value == 0 else ""
        drawn = {
            "side": self._input.shape[-1],
            "face": grey(self._input[0, 0].numpy()).tobytes(),
            "plane": (np.rint(255 * plane / plane.max()) if plane.max() > 0 else plane)
            .astype(np.uint8)
            .tobytes(),
            "extent": list(plane.shape),
            "field": field.size,
            "geometry": {"stride": field.stride, "offset": field.offset},
            "unit": [row, column],
            "wanted": [row, column],
            "box": list(seen.box),
            "square": seen.square.tobytes(),
            "projection": seen.projection.tobytes(),
            "text": f"{self._says}. {self.layer.value}, map {self.map.value}, row {row}, column {column}: "
            f"activation {seen.value:.3f}{off}.",
        }
        # One message for all, so that the view never draws a mixture of two units.
        with self.view.hold_sync():
            for name, value in drawn.items():
                setattr(self.view, name, value)
            self.view.version += 1

    def _use_click(self, row: int, column: int) -> None:
        # The view may have been a moment behind a change of layer: then the place is moved into the map.
        height, width = self.plane.shape
        place = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
        if list(place) != self.view.unit:
            self.go_to(*place)

    def _use_listed(self) -> None:
        self.cut.layout.display = "none"
        self.show_face(self.faces[self.face.value])

    def _use_upload(self) -> None:
        if not self.file.value:
            return
        first = self.file.value[0]
        try:
            self._upload = read_upload(first["content"], first["name"])
        except FerError as error:
            self.view.text = str(error)
            with self.view.hold_sync():
                self.view.version += 1
            return
        self.cut.layout.display = ""
        self._use_cut()

    def _use_cut(self) -> None:
        if self._upload is None:
            return
        ends = []
        for extent, chosen in zip(self._upload.shape, (self.down.value, self.across.value), strict=True):
            first = min(int(extent * chosen[0] / 100), extent - 1)
            ends.append(slice(first, max(int(extent * chosen[1] / 100), first + 1)))
        self.show_face(self._upload[ends[0], ends[1]])

    def _use_layer(self) -> None:
        count = len(self._planes[LAYERS[self.layer.value]])
        with self.map.hold_trait_notifications():
            self.map.max = count - 1
            self.map.value = min(self.map.value, count - 1)
        self.go_to_loudest()
