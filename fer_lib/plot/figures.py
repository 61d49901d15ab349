"""The paper's figures of faces, maps and networks; what else a page shows is in the module of its question.

Every function returns a matplotlib figure. Those that show faces ask which of them may be published, and leave the others blank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon, Rectangle
from numpy.typing import ArrayLike
from skimage.transform import resize

from fer_lib.errors import FerError, Lacking
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import Augment, picture_generator
from fer_lib.plot.pictures import HIDDEN, Gallery, grey, signed_grey, strip
from fer_lib.plot.style import ACCENT, INK, PALE, SECOND, panels, show_picture, styled
from fer_lib.probe.inputs import Images, pictures_at
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Units

MAIN_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27)


def _square(crop: np.ndarray, side: int = 128) -> np.ndarray:
    """Scale a face crop to a square."""
    scaled = resize(crop.astype(np.float32), (side, side), order=1, anti_aliasing=True, preserve_range=True)
    return scaled.astype(np.uint8)


def _last(crops: Crops, rows: np.ndarray, blank: int) -> np.ndarray:
    """Last one of some face crops as a square; a blank where there is none."""
    return _square(crops[int(rows[-1])]) if len(rows) else np.full((128, 128), blank, np.uint8)


def _slab(ax: Axes, x: float, width: float, height: float, colour: str) -> float:
    """Draw maps as a block seen from the right: width says how many, height how large; its right end."""
    low, deep = -height / 2, 0.3 * height
    across = 0.45 * deep
    front = [(x, low), (x + width, low), (x + width, low + height), (x, low + height)]
    top = [front[3], front[2], (x + width + across, low + height + deep), (x + across, low + height + deep)]
    side = [front[1], (x + width + across, low + deep), top[2], front[2]]
    for corners, shade in ((front, 0.55), (top, 0.3), (side, 0.85)):
        ax.add_patch(Polygon(corners, facecolor="white", edgecolor="none"))
        ax.add_patch(Polygon(corners, facecolor=colour, alpha=shade, edgecolor=INK, lw=0.7))
    return x + width + across


@styled
def network_diagram(layers: pd.DataFrame) -> Figure:
    """Figure 1: a block for every layer, as high as its maps and as wide as there are many of them.

    Below each: number and size of its maps, the receptive field of one unit, and its parameters.

    Parameters
    ----------
    layers : DataFrame
        From `fer_lib.network.model.describe`.
    """
    drawn = layers[layers["kind"].isin(["Conv2d", "MaxPool2d", "Linear"])]
    # A unit behind the fully connected layers sees the whole picture.
    side = int(layers["receptive field"].iloc[-1])
    figure, axes = panels(1, 1, 10, 3.3)
    ax = axes[0, 0]
    entries = [("input", "Input", f"1 x {side} x {side}", 0, 0)]
    entries += [
        (str(row[0]), str(row[1]), str(row[2]), int(row[3]), int(row[4]))
        for row in drawn.itertuples(index=False)
    ]
    x = 0.0
    for i, (name, kind, shape, parameters, field) in enumerate(entries):
        sizes = [int(part) for part in shape.split(" x ")]
        spatial = len(sizes) == 3
        height = max(sizes[1] / side, 0.05) if spatial else 0.2 + 0.6 * min(sizes[0] / 1024, 1)
        width = 0.05 + 0.5 * sizes[0] / 256 if spatial else 0.09
        colour = {"Conv2d": SECOND, "Linear": ACCENT}.get(kind, PALE)
        end = _slab(ax, x, width, height, colour)
        middle = (x + end) / 2
        ax.text(middle, 0.88, name, ha="center", va="bottom", weight="bold")
        lines = [f"{sizes[0]} maps" if spatial and i else f"{sizes[0]} units" if not spatial else "1 picture"]
        lines += [f"{sizes[1]} × {sizes[2]}"] if spatial else []
        lines += [f"sees {field} × {field} px"] if spatial and field else []
        lines += [f"{parameters:,} par."] if parameters else []
        ax.text(middle, -0.62, "\n".join(lines), ha="center", va="top", fontsize=7, linespacing=1.35)
        if i + 1 < len(entries):
            arrow = FancyArrowPatch(
                (end + 0.02, 0), (end + 0.3, 0), arrowstyle="-|>", mutation_scale=8, color=INK, lw=0.8
            )
            ax.add_patch(arrow)
        x = end + 0.34
    ax.set_xlim(-0.15, x - 0.15)
    ax.set_ylim(-1.12, 1.02)
    ax.set_axis_off()
    return figure


def _expression_columns(
    rows: int, expressions: Sequence[str], *, width: float, height: float
) -> tuple[Figure, np.ndarray]:
    """Panels with a column for each expression, every one of some inches; `Lacking` if there is none."""
    if not len(expressions):
        raise Lacking("no picture has an expression label")
    return panels(rows, len(expressions), width * len(expressions), height * rows)


@styled
def expression_strip(
    crops: Crops, labels: np.ndarray, expressions: Sequence[str], *, allowed: np.ndarray
) -> Figure:
    """One face of every expression, the last picture of its class that may be published.

    Parameters
    ----------
    crops : Crops
        N face crops.
    labels : (N,) int array
        Class of each, -1 for none.
    expressions : sequence of str
        Names of the classes.
    allowed : (N,) bool array
        Whether each face may be published.

    Raises
    ------
    Lacking
        If there is no class.
    """
    figure, axes = _expression_columns(1, expressions, width=1.25, height=1.6)
    for c, name in enumerate(expressions):
        show_picture(axes[0, c], _last(crops, np.flatnonzero((labels == c) & allowed), HIDDEN), name)
    return figure


@styled
def contact_sheet(
    crops: Crops,
    labels: np.ndarray,
    subjects: np.ndarray,
    expressions: Sequence[str],
    *,
    allowed: np.ndarray,
    rows: int = 6,
) -> Figure:
    """A few people, one row each, with one picture of each expression where they have it; errors as for `expression_strip`.

    Parameters
    ----------
    crops, labels, expressions, allowed
        As for `expression_strip`.
    subjects : (N,) array
        Person of each picture; those with most pictures are shown.
    rows : int
        How many people.
    """
    names, counts = np.unique(subjects, return_counts=True)
    chosen = names[np.argsort(-counts, kind="stable")][:rows]
    figure, axes = _expression_columns(len(chosen), expressions, width=1.1, height=1.15)
    for r, person in enumerate(chosen):
        for c, name in enumerate(expressions):
            own = np.flatnonzero((subjects == person) & (labels == c) & allowed)
            show_picture(axes[r, c], _last(crops, own, 255), name if r == 0 else "")
    return figure


@styled
def preprocessing_steps(crops: Crops, augment: Augment, *, allowed: np.ndarray, seed: int = 0) -> Figure:
    """One face as cut out, and four draws of the five random steps.

    Parameters
    ----------
    crops : Crops
        N face crops, of which the last that may be published is shown.
    augment : Augment
        The five steps.
    allowed : (N,) bool array
        Whether each face may be published.
    seed : int
        Of the draws.
    """
    shown = np.flatnonzero(allowed)
    figure, axes = panels(1, 5, 8, 1.9)
    if not len(shown):
        for ax in axes[0]:
            show_picture(ax, np.full((96, 96), HIDDEN, np.uint8), "not published")
        return figure
    crop = crops[int(shown[-1])]
    show_picture(axes[0, 0], crop, "face crop")
    for i, ax in enumerate(axes[0, 1:]):
        drawn = augment(crop, picture_generator(seed, i, 0))
        show_picture(ax, grey(drawn[0].numpy()), f"draw {i + 1}")
    return figure


@styled
def expression_coding(
    shares: pd.DataFrame,
    crops: Crops,
    labels: np.ndarray,
    expressions: Sequence[str],
    *,
    allowed: np.ndarray,
) -> Figure:
    """Figure 2: how often each AU takes part in each expression, with one face of each.

    Parameters
    ----------
    shares : DataFrame
        Share of an expression's sequences (row) that show an AU (column), from 0 to 1. An expression without a row, or with
        missing values, has no bars.
    crops, labels, expressions, allowed
        As for `expression_strip`.

    Raises
    ------
    Lacking
        If there is no share at all.
    """
    if shares.isna().all(axis=None):
        raise Lacking("no picture is coded for action units")
    aus = [au for au in MAIN_AUS if au in shares.columns]
    heights = shares.reindex(index=list(expressions), columns=aus).fillna(0.0).to_numpy(float)
    figure, axes = panels(len(expressions), 2, 9, 0.72 * len(expressions), width_ratios=(1, 12))
    for r, name in enumerate(expressions):
        show_picture(axes[r, 0], _last(crops, np.flatnonzero((labels == r) & allowed), HIDDEN))
        ax = axes[r, 1]
        ax.bar(range(len(aus)), heights[r], color=SECOND, width=0.7)
        ax.set_ylim(0, 1)
        ax.set_yticks([0, 1])
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set_xticks(range(len(aus)), [str(au) for au in aus] if r == len(expressions) - 1 else [])
    axes[-1, 1].set_xlabel("action unit; bars: share of the expression's sequences that show it")
    return figure


@styled
def active_value(projection: Projections, images: Images, plane: ArrayLike, *, allowed: np.ndarray) -> Figure:
    """Figure 4: picture with block a, the feature map with the unit, block a enlarged, and block b.

    Parameters
    ----------
    projection : Projections
        That of one unit, such as ``projections.of_map(113)[0]``.
    images : array, tensor or function
        The grey pictures as the network sees them, (N, 1, side, side), or a function that gives those of some numbers.
    plane : (h, w) array
        The unit's feature map on its picture.
    allowed : (N,) bool array
        Whether the face of each picture may be published.

    Raises
    ------
    FerError
        If there is not exactly one unit.
    """
    if len(projection) != 1:
        raise FerError(f"{len(projection)} projections are given: choose one unit of a map that is not dead")
    number, c, row, column = (int(getattr(projection.units, name)[0]) for name in Units.NAMES)
    top, left, k = int(projection.top[0]), int(projection.left[0]), projection.patch.shape[-1]
    face = grey(pictures_at(images, np.array([number]))[0, 0].numpy())
    if not allowed[number]:
        face = np.full_like(face, HIDDEN)
    figure, axes = panels(1, 4, 9.5, 2.8)
    show_picture(axes[0, 0], face, "picture, block a marked")
    axes[0, 0].add_patch(Rectangle((left - 0.5, top - 0.5), k, k, fill=False, edgecolor=ACCENT, lw=1.8))
    axes[0, 1].imshow(plane, cmap="magma", interpolation="nearest")
    axes[0, 1].add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="white", lw=1.8))
    layer = projection.layer.replace("relu", "conv")
    axes[0, 1].set_title(f"{layer} map {c}, unit marked", loc="center", fontsize=8)
    axes[0, 1].set_axis_off()
    square = face[max(top, 0) : top + k, max(left, 0) : left + k]
    show_picture(axes[0, 2], square, "block a: the pixels")
    show_picture(axes[0, 3], signed_grey(projection.patch[0, 0]), "block b: their projection")
    return figure


@styled
def compare_rules(galleries: Mapping[str, Gallery], *, map: int) -> Figure:
    """The strongest units of a map: their pixels, and below these their projections by each backward rule.

    Parameters
    ----------
    galleries : mapping
        Galleries of one layer by the name of their rule.
    map : int
        Number of the map.
    """
    if not galleries:
        raise FerError("no gallery is given: give one for each rule")
    figure, axes = panels(len(galleries) + 1, 1, 8, 1.05 * (len(galleries) + 1))
    show_picture(axes[0, 0], strip(next(iter(galleries.values())).originals[map]), "pixels")
    for ax, (rule, one) in zip(axes[1:, 0], galleries.items(), strict=True):
        show_picture(ax, strip(one.projections[map]), rule)
    return figure


@styled
def loudest_maps(galleries: Mapping[str, Gallery], *, maps: int = 3) -> Figure:
    """Projections of the maps with the largest activations, a row for each, of one network after the other.

    Parameters
    ----------
    galleries : mapping
        Galleries of the same layer by what their network is called, such as ``trained`` and ``untrained``.
    maps : int
        How many of each network.
    """
    rows = [
        (f"{name}, map {c}", strip(one.projections[c]))
        for name, one in galleries.items()
        for c in np.argsort(-one.strength, kind="stable")[:maps]
    ]
    figure, axes = panels(len(rows), 1, 8, 1.0 * len(rows))
    for ax, (title, picture) in zip(axes[:, 0], rows, strict=True):
        show_picture(ax, picture, title)
    return figure


@styled
def unit_beside_its_map(
    without: np.ndarray, with_unit: np.ndarray, unit: str, gallery: Gallery, map: int
) -> Figure:
    """A face without and with an action unit, and a map by its squares and projections.

    Parameters
    ----------
    without, with_unit
        The same face, uint8 (s, s).
    unit
        What the unit is called.
    gallery
        Of the maps.
    map
        Number of the map.
    """
    figure, axes = panels(1, 4, 10, 2.9)
    shown = (
        without,
        with_unit,
        strip(gallery.originals[map], columns=3),
        strip(gallery.projections[map], columns=3),
    )
    titles = ("a face", f"with {unit}", f"what excites map {map} most", "what the network used of it")
    for ax, picture, title in zip(axes[0], shown, titles, strict=True):
        show_picture(ax, picture, title)
    return figure
