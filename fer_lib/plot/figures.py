"""The paper's figures and the plots beside them, in one restrained style; every function returns a matplotlib figure.

Pictures of faces and networks are drawn here, charts of numbers in `fer_lib.plot.charts`; both are found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon, Rectangle
from skimage.transform import resize as scale

from fer_lib.errors import FerError, Lacking
from fer_lib.faces.preprocess import Augment, Crops, picture_generator
from fer_lib.network.stack import receptive_field
from fer_lib.plot.charts import (
    ACCENT,
    INK,
    PALE,
    SECOND,
    ablation,
    confusion,
    detector_scores,
    distance_over_maps,
    distance_panels,
    likeness,
    panels,
    styled,
    training_curve,
)
from fer_lib.plot.pictures import HIDDEN, exemplar_tiles, grey, signed_grey, strip
from fer_lib.probe.regions import most_distinct

if TYPE_CHECKING:
    from fer_lib.experiment.settings import Settings
    from fer_lib.experiment.study import Study

__all__ = [
    "ablation",
    "active_value",
    "compare_rules",
    "confusion",
    "contact_sheet",
    "detector_scores",
    "distance_over_maps",
    "distance_panels",
    "expression_coding",
    "expression_strip",
    "landing",
    "likeness",
    "network_diagram",
    "preprocessing_steps",
    "traditional_route",
    "trained_and_untrained",
    "training_curve",
]

MAIN_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27)


def _picture(axes: Axes, picture: np.ndarray, title: str = "") -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, loc="center", fontsize=8)


def _shown(crop: np.ndarray, allowed: bool, side: int = 128) -> np.ndarray:
    """Crop scaled to a square, or a blank where the face may not be published."""
    if not allowed:
        return np.full((side, side), HIDDEN, np.uint8)
    return scale(
        crop.astype(np.float32), (side, side), order=1, anti_aliasing=True, preserve_range=True
    ).astype(np.uint8)


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
        told = [f"{sizes[0]} maps" if spatial and i else f"{sizes[0]} units" if not spatial else "1 picture"]
        told += [f"{sizes[1]} × {sizes[2]}"] if spatial else []
        told += [f"sees {field} × {field} px"] if spatial and field else []
        told += [f"{parameters:,} par."] if parameters else []
        ax.text(middle, -0.62, "\n".join(told), ha="center", va="top", fontsize=7, linespacing=1.35)
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


@styled
def expression_strip(
    crops_: Crops, labels: np.ndarray, expressions: Sequence[str], *, allowed: np.ndarray
) -> Figure:
    """One face of every expression: the last picture of its class; `Lacking` without any."""
    if not len(expressions):
        raise Lacking("no picture has an expression label")
    figure, axes = panels(1, len(expressions), 1.25 * len(expressions), 1.6)
    for c, name in enumerate(expressions):
        rows = np.flatnonzero(labels == c)
        good = rows[allowed[rows]] if len(rows) else rows
        blank = np.full((128, 128), HIDDEN, np.uint8)
        _picture(axes[0, c], _shown(crops_[int(good[-1])], True) if len(good) else blank, name)
    return figure


@styled
def contact_sheet(
    crops_: Crops,
    labels: np.ndarray,
    people: np.ndarray,
    expressions: Sequence[str],
    *,
    allowed: np.ndarray,
    rows: int = 6,
) -> Figure:
    """A few people, one row each, with one picture of each expression where they have it; `Lacking` without any."""
    if not len(expressions):
        raise Lacking("no picture has an expression label")
    names, counts = np.unique(people, return_counts=True)
    chosen = names[np.argsort(-counts, kind="stable")][:rows]
    figure, axes = panels(len(chosen), len(expressions), 1.1 * len(expressions), 1.15 * len(chosen))
    for r, person in enumerate(chosen):
        for c, name in enumerate(expressions):
            own = np.flatnonzero((people == person) & (labels == c) & allowed)
            picture = _shown(crops_[int(own[-1])], True) if len(own) else np.full((128, 128), 255, np.uint8)
            _picture(axes[r, c], picture, name if r == 0 else "")
    return figure


@styled
def preprocessing_steps(crops_: Crops, allowed: np.ndarray, settings: Settings) -> Figure:
    """One face as cut out, and four draws of the five random steps."""
    shown = np.flatnonzero(allowed)
    figure, axes = panels(1, 5, 8, 1.9)
    if not len(shown):
        for ax in axes[0]:
            _picture(ax, np.full((96, 96), HIDDEN, np.uint8), "not published")
        return figure
    crop = crops_[int(shown[-1])]
    _picture(axes[0, 0], crop, "face crop")
    augment = Augment(degrees=settings.degrees, flip=settings.flip, size=settings.resize, crop=settings.crop)
    for i, ax in enumerate(axes[0, 1:]):
        drawn = augment(crop, picture_generator(settings.seed, i, 0))
        _picture(ax, grey(drawn[0].numpy()), f"draw {i + 1}")
    return figure


@styled
def expression_coding(study: Study) -> Figure:
    """Figure 2: how often each AU takes part in each expression, with one face of each; `Lacking` without any AU.

    An expression without a coded sequence, such as CK+'s neutral, has no bars.
    """
    if study.present.isna().all(axis=None):
        raise Lacking("no picture is coded for action units")
    names = study.expressions
    apex = study.apexes(np.arange(len(study.table)))
    present = study.present.iloc[apex]
    label = study.table["expression"].to_numpy()[apex]
    aus = [au for au in MAIN_AUS if au in present.columns]
    share = np.array(
        [
            present.loc[label == name, aus].mean() if (label == name).any() else np.zeros(len(aus))
            for name in names
        ]
    )
    figure, axes = panels(len(names), 2, 9, 0.72 * len(names), width_ratios=(1, 12))
    for r, name in enumerate(names):
        rows = np.flatnonzero((study.labels == r) & study.shown)
        picture = (
            _shown(study.crops[int(rows[-1])], True) if len(rows) else np.full((128, 128), HIDDEN, np.uint8)
        )
        _picture(axes[r, 0], picture)
        ax = axes[r, 1]
        ax.bar(range(len(aus)), share[r], color=SECOND, width=0.7)
        ax.set_ylim(0, 1)
        ax.set_yticks([0, 1])
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set_xticks(range(len(aus)), [str(au) for au in aus] if r == len(names) - 1 else [])
    axes[-1, 1].set_xlabel("action unit; bars: share of the expression's sequences that show it")
    return figure


@styled
def traditional_route(study: Study) -> Figure:
    """Figure 3: a test picture with its regions, the score of each AU detector, the decision beside the truth."""
    result = study.traditional
    labelled = result.pictures["label"].to_numpy(np.int64) >= 0
    known = result.pictures.index.to_numpy(np.int64)[labelled]
    shown = known[study.shown[known]]
    picture = int(shown[-1] if len(shown) else known[-1])
    row = list(result.pictures.index).index(picture)
    frame = grey(study.inputs(np.array([picture]))[0, 0].numpy())
    figure, axes = panels(1, 3, 9.5, 3.2, width_ratios=(1, 1.8, 1.2))
    ax = axes[0, 0]
    _picture(
        ax, frame if study.shown[picture] else np.full(frame.shape, HIDDEN, np.uint8), "1. aligned regions"
    )
    for corners in result.corners[row]:
        ax.plot(*np.vstack([corners, corners[:1]]).T, color=ACCENT, lw=1.2)
    ax = axes[0, 1]
    scores = result.scores.loc[picture].sort_index()
    ax.bar(range(len(scores)), scores, color=np.where(scores.to_numpy(float) > 0, ACCENT, PALE))
    ax.axhline(0, color=INK, lw=0.6)
    ax.set_xticks(range(len(scores)), [str(au) for au in scores.index], fontsize=7)
    ax.set_xlabel("action unit")
    ax.set_title("2. one detector per AU (log-odds)")
    ax = axes[0, 2]
    ax.set_axis_off()
    ax.set_title("3. decision", loc="center")
    decided = study.expressions[int(result.pictures["predicted"].loc[picture])]
    truth = study.expressions[int(result.pictures["label"].loc[picture])]
    ax.text(0.5, 0.55, decided, ha="center", fontsize=15, weight="bold", transform=ax.transAxes)
    ax.text(0.5, 0.4, f"truth: {truth}", ha="center", transform=ax.transAxes)
    return figure


@styled
def active_value(study: Study, *, layer: str, map: int) -> Figure:
    """Figure 4: picture with block a, the feature map with the unit, block a enlarged, and block b.

    Raises
    ------
    FerError
        If no picture activates the map.
    """
    projected = study.projections_of(layer).of_map(map)[:1]
    if not len(projected):
        raise FerError(
            f"map {map} of {layer} is never active, so it has no value to show: choose another map"
        )
    picture, _, row, column = (int(getattr(projected.units, name)[0]) for name in projected.units.NAMES)
    x = study.inputs(np.array([picture]))
    plane = study.plane(picture, layer, map)
    field = receptive_field(study.network.features, layer)
    top, left = int(projected.top[0]), int(projected.left[0])
    frame = grey(x[0, 0].numpy())
    if not study.shown[picture]:
        frame = np.full_like(frame, HIDDEN)
    figure, axes = panels(1, 4, 9.5, 2.8)
    _picture(axes[0, 0], frame, "picture, block a marked")
    axes[0, 0].add_patch(
        Rectangle((left - 0.5, top - 0.5), field.size, field.size, fill=False, edgecolor=ACCENT, lw=1.8)
    )
    axes[0, 1].imshow(plane, cmap="magma", interpolation="nearest")
    axes[0, 1].add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="white", lw=1.8))
    axes[0, 1].set_title(f"{layer.replace('relu', 'conv')} map {map}, unit marked", loc="center", fontsize=8)
    axes[0, 1].set_axis_off()
    square = frame[max(top, 0) : top + field.size, max(left, 0) : left + field.size]
    _picture(axes[0, 2], square, "block a: the pixels")
    _picture(axes[0, 3], signed_grey(projected.patch[0, 0]), "block b: their projection")
    return figure


@styled
def compare_rules(study: Study, rules: Sequence[str], *, layer: str, map: int) -> Figure:
    """The nine strongest units of a map under several backward rules."""
    figure, axes = panels(len(rules) + 1, 1, 8, 1.05 * (len(rules) + 1))
    originals, _ = exemplar_tiles(study, layer)
    _picture(axes[0, 0], strip(originals[map]), "pixels")
    for r, rule in enumerate(rules):
        _picture(axes[r + 1, 0], strip(exemplar_tiles(study, layer, rule)[1][map]), rule)
    return figure


@styled
def trained_and_untrained(study: Study, *, layer: str, maps: int = 3) -> Figure:
    """Projections of the loudest maps of the trained network, and of the same network before training."""
    rows = []
    for which, of in (("trained", study), ("untrained", study.untrained)):
        loudest = np.argsort(-of.exemplars_of(layer).value[:, 0], kind="stable")[:maps]
        _, projections = exemplar_tiles(of, layer)
        rows += [(f"{which}, map {c}", strip(projections[c])) for c in loudest]
    figure, axes = panels(len(rows), 1, 8, 1.0 * len(rows))
    for ax, (title, picture) in zip(axes[:, 0], rows, strict=True):
        _picture(ax, picture, title)
    return figure


@styled
def landing(study: Study, maps: int = 6) -> Figure:
    """Six loud maps that look at different shapes: the squares that excite them, above their projections."""
    originals, projections = exemplar_tiles(study)
    projected = study.projections_of("relu3")
    mean = np.zeros((len(originals), *projected.patch.shape[2:]))
    np.add.at(mean, projected.units.map, projected.patch[:, 0])
    loud = np.argsort(-study.exemplars.value[:, 0], kind="stable")[:40]
    chosen = most_distinct(mean, loud[~study.exemplars.dead[loud]], maps)
    figure, axes = panels(2, maps, 10, 3.6)
    for column, c in enumerate(chosen):
        _picture(axes[0, column], strip(originals[c], columns=3), f"map {c}")
        _picture(axes[1, column], strip(projections[c], columns=3))
    return figure
