"""The paper's figures and the plots beside them, in one restrained style; every function returns a matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from skimage.transform import resize as scale

from fer_lib import facs
from fer_lib.deconv import Projections, crops
from fer_lib.pictures import HIDDEN, exemplar_tiles, grey, signed_grey, strip
from fer_lib.preprocess import Augment, Crops, picture_generator
from fer_lib.stack import receptive_field

if TYPE_CHECKING:
    from fer_lib.settings import Settings
    from fer_lib.study import Study

INK, ACCENT, SECOND, PALE = "#222222", "#c1440e", "#1f6f8b", "#b8b8b8"
STYLE: dict[str, object] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.dpi": 150,
    "savefig.facecolor": "white",
    "legend.frameon": False,
}
MAIN_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27)


def _axes(
    rows: int, columns: int, width: float, height: float, **options: object
) -> tuple[Figure, np.ndarray]:
    with plt.rc_context(STYLE):  # type: ignore[arg-type]
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(width, height),
            squeeze=False,
            layout="constrained",
            **options,  # type: ignore[call-overload]
        )
    plt.close(figure)  # the notebook shows what a cell returns; an open figure would be shown twice
    return figure, axes


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


def network_diagram(layers: pd.DataFrame) -> Figure:
    """Figure 1: a box for every layer, as high as its maps and labelled with its size and receptive field.

    Parameters
    ----------
    layers : DataFrame
        From `fer_lib.model.describe`.
    """
    figure, axes = _axes(1, 1, 10, 3.2)
    ax = axes[0, 0]
    position = 0.0
    boxes: list[tuple[str, float, float, str, str]] = [("input", 1.0, 0.10, "1 × 96 × 96", "")]
    for row in layers.itertuples():
        shape = str(row[3]).replace(" x ", " × ")
        spatial = "×" in shape
        height = int(shape.split()[-1]) / 96 if spatial else 0.25 + 0.25 * (int(shape) > 100)
        if row.kind in ("ReLU", "Dropout", "Flatten") or str(row.layer).startswith(
            ("relu", "dropout", "flatten")
        ):
            continue
        width = 0.08 + int(shape.split()[0]) / 256 * 0.5 if spatial else 0.14
        field = f"sees {row[5]} px" if spatial else ""
        boxes.append((str(row.layer), max(height, 0.06), width, shape, field))
    for i, (name, height, width, shape, field) in enumerate(boxes):
        colour = SECOND if name.startswith("conv") else ACCENT if name.startswith("fc") else PALE
        ax.add_patch(
            Rectangle(
                (position, -height / 2), width, height, facecolor=colour, alpha=0.75, edgecolor=INK, lw=0.8
            )
        )
        middle = position + width / 2
        ax.text(middle, height / 2 + 0.04, name, ha="center", va="bottom", fontsize=9, weight="bold")
        ax.text(middle, -height / 2 - 0.04, f"{shape}\n{field}", ha="center", va="top", fontsize=7)
        if i + 1 < len(boxes):
            start = (position + width + 0.03, 0.0)
            ax.add_patch(
                FancyArrowPatch(
                    start, (start[0] + 0.34, 0), arrowstyle="-|>", mutation_scale=8, color=INK, lw=0.8
                )
            )
        position += width + 0.42
    ax.set_xlim(-0.2, position)
    ax.set_ylim(-0.95, 0.75)
    ax.set_axis_off()
    return figure


def expression_strip(
    crops_: Crops, labels: np.ndarray, expressions: Sequence[str], *, allowed: np.ndarray
) -> Figure:
    """One face of every expression: the last picture of its class."""
    figure, axes = _axes(1, len(expressions), 1.25 * len(expressions), 1.6)
    for c, name in enumerate(expressions):
        rows = np.flatnonzero(labels == c)
        good = rows[allowed[rows]] if len(rows) else rows
        blank = np.full((128, 128), HIDDEN, np.uint8)
        _picture(axes[0, c], _shown(crops_[int(good[-1])], True) if len(good) else blank, name)
    return figure


def contact_sheet(
    crops_: Crops,
    labels: np.ndarray,
    people: np.ndarray,
    expressions: Sequence[str],
    *,
    allowed: np.ndarray,
    rows: int = 6,
) -> Figure:
    """A few people, one row each, with one picture of each expression where they have it."""
    names, counts = np.unique(people, return_counts=True)
    chosen = names[np.argsort(-counts, kind="stable")][:rows]
    figure, axes = _axes(len(chosen), len(expressions), 1.1 * len(expressions), 1.15 * len(chosen))
    for r, person in enumerate(chosen):
        for c, name in enumerate(expressions):
            own = np.flatnonzero((people == person) & (labels == c) & allowed)
            picture = _shown(crops_[int(own[-1])], True) if len(own) else np.full((128, 128), 255, np.uint8)
            _picture(axes[r, c], picture, name if r == 0 else "")
    return figure


def preprocessing_steps(crops_: Crops, allowed: np.ndarray, settings: Settings) -> Figure:
    """One face as cut out, and four draws of the five random steps."""
    shown = np.flatnonzero(allowed)
    figure, axes = _axes(1, 5, 8, 1.9)
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


def training_curve(history: pd.DataFrame) -> Figure:
    """Loss and accuracy of training and test pictures by epoch."""
    figure, axes = _axes(1, 2, 8, 2.8)
    for ax, measure, label in zip(
        axes[0], ("loss", "accuracy"), ("cross-entropy (nats)", "share right"), strict=True
    ):
        ax.plot(history["epoch"], history[measure], color=PALE, lw=1.8, label="training (augmented)")
        tested = history.dropna(subset=[f"test_{measure}"])
        ax.plot(tested["epoch"], tested[f"test_{measure}"], color=ACCENT, lw=1.8, label="test")
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
        ax.set_ylim(bottom=0)
    axes[0, 1].set_ylim(0, 1)
    axes[0, 0].set_ylim(0, max(1.0, float(history["loss"].quantile(0.9)) * 1.2))
    axes[0, 1].legend(loc="lower right")
    return figure


def confusion(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Figure:
    """True expression (rows) by predicted one (columns): counts, shaded by the row's share."""
    count = np.zeros((len(names), len(names)), int)
    np.add.at(count, (truth, predicted), 1)
    share = count / np.maximum(count.sum(1, keepdims=True), 1)
    figure, axes = _axes(1, 1, 5.2, 4.4)
    ax = axes[0, 0]
    ax.imshow(share, cmap="Greys", vmin=0, vmax=1)
    for r in range(len(names)):
        for c in range(len(names)):
            if count[r, c]:
                ax.text(
                    c,
                    r,
                    count[r, c],
                    ha="center",
                    va="center",
                    color="white" if share[r, c] > 0.5 else INK,
                    fontsize=8,
                )
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    return figure


def expression_coding(study: Study) -> Figure:
    """Figure 2: how often each AU takes part in each expression, with one face of each."""
    names = study.expressions
    apex = study.apexes(np.arange(len(study.table)))
    present = study.present.iloc[apex]
    label = study.table["expression"].to_numpy()[apex]
    aus = [au for au in present.columns if au in MAIN_AUS]
    share = np.array(
        [
            np.zeros(len(aus))
            if name == "neutral" or not (label == name).any()
            else present.loc[label == name, aus].mean()
            for name in names
        ]
    )
    figure, axes = _axes(len(names), 2, 9, 0.72 * len(names), width_ratios=(1, 12))
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


def traditional_route(study: Study) -> Figure:
    """Figure 3: a test picture with its regions, the score of each AU detector, the decision beside the truth."""
    result = study.traditional
    known = result.pictures.index[result.pictures["label"] >= 0].to_numpy(np.int64)
    shown = known[study.shown[known]]
    picture = int(shown[-1] if len(shown) else known[-1])
    row = list(result.pictures.index).index(picture)
    frame = grey(study.inputs(np.array([picture]))[0, 0].numpy())
    figure, axes = _axes(1, 3, 9.5, 3.2, width_ratios=(1, 1.8, 1.2))
    ax = axes[0, 0]
    _picture(
        ax, frame if study.shown[picture] else np.full(frame.shape, HIDDEN, np.uint8), "1. aligned regions"
    )
    for corners in result.corners[row]:
        ax.plot(*np.vstack([corners, corners[:1]]).T, color=ACCENT, lw=1.2)
    ax = axes[0, 1]
    scores = result.scores.loc[picture].sort_index()
    ax.bar(range(len(scores)), scores, color=[ACCENT if s > 0 else PALE for s in scores])
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


def active_value(study: Study, *, layer: str, map: int) -> Figure:
    """Figure 4: picture with block a, the feature map with the unit, block a enlarged, and block b."""
    strongest, projected = study.exemplars_of(layer), study.projections_of(layer)
    units = strongest.units()
    i = int(np.flatnonzero(units.map == map)[0])
    picture = int(units.picture[i])
    x = study.inputs(np.array([picture]))
    plane = study.plane(picture, layer, map)
    field = receptive_field(study.network.features, layer)
    top, left = int(projected.top[i]), int(projected.left[i])
    frame = grey(x[0, 0].numpy())
    if not study.shown[picture]:
        frame = np.full(frame.shape, HIDDEN, np.uint8)
    figure, axes = _axes(1, 4, 9.5, 2.8)
    _picture(axes[0, 0], frame, "picture, block a marked")
    axes[0, 0].add_patch(
        Rectangle((left - 0.5, top - 0.5), field.size, field.size, fill=False, edgecolor=ACCENT, lw=1.8)
    )
    axes[0, 1].imshow(plane, cmap="magma", interpolation="nearest")
    axes[0, 1].add_patch(
        Rectangle((units.column[i] - 0.5, units.row[i] - 0.5), 1, 1, fill=False, edgecolor="white", lw=1.8)
    )
    axes[0, 1].set_title(f"{layer.replace('relu', 'conv')} map {map}, unit marked", loc="center", fontsize=8)
    axes[0, 1].set_axis_off()
    square = crops(x.numpy(), [0], _one(projected, i))[0, 0]
    _picture(
        axes[0, 2],
        grey(square) if study.shown[picture] else np.full(square.shape, HIDDEN, np.uint8),
        "block a: the pixels",
    )
    _picture(axes[0, 3], signed_grey(projected.patch[i, 0]), "block b: their projection")
    return figure


def _one(projected: Projections, i: int) -> Projections:
    part = slice(i, i + 1)
    return Projections(
        projected.patch[part],
        projected.top[part],
        projected.left[part],
        projected.value[part],
        projected.rule,
        projected.layer,
    )


def compare_rules(study: Study, rules: Sequence[str], *, layer: str, map: int) -> Figure:
    """The nine strongest units of a map under several backward rules."""
    figure, axes = _axes(len(rules) + 1, 1, 8, 1.05 * (len(rules) + 1))
    originals, _ = exemplar_tiles(study, layer)
    _picture(axes[0, 0], strip(originals[map]), "pixels")
    for r, rule in enumerate(rules):
        _picture(axes[r + 1, 0], strip(exemplar_tiles(study, layer, rule)[1][map]), rule)
    return figure


def trained_and_untrained(study: Study, *, layer: str, maps: int = 3) -> Figure:
    """Projections of the loudest maps of the trained network, and of the same network before training."""
    rows = []
    for which, of in (("trained", study), ("untrained", study.untrained)):
        loudest = np.argsort(-of.exemplars_of(layer).value[:, 0], kind="stable")[:maps]
        _, projections = exemplar_tiles(of, layer)
        rows += [(f"{which}, map {c}", strip(projections[c])) for c in loudest]
    figure, axes = _axes(len(rows), 1, 8, 1.0 * len(rows))
    for ax, (title, picture) in zip(axes[:, 0], rows, strict=True):
        _picture(ax, picture, title)
    return figure


def likeness(table: pd.DataFrame) -> Figure:
    """Distributions over maps, one row for each column of the table."""
    figure, axes = _axes(1, 1, 7, 0.55 * table.shape[1] + 0.9)
    ax = axes[0, 0]
    rng = np.random.default_rng(0)
    for r, column in enumerate(table.columns[::-1]):
        values = table[column].dropna().to_numpy()
        colour = ACCENT if column == "trained" else "#777777"
        ax.scatter(values, r + rng.uniform(-0.16, 0.16, len(values)), s=5, color=colour, alpha=0.45, lw=0)
        if len(values):
            ax.plot([values.mean()] * 2, [r - 0.32, r + 0.32], color=INK, lw=1.6)
    ax.set_yticks(range(table.shape[1]), table.columns[::-1])
    ax.set_xlabel("mean likeness of the pairs of squares (cosine of HOG); one dot a map, bar: mean")
    return figure


def _stems(ax: Axes, values: np.ndarray, au: int) -> None:
    ax.vlines(np.arange(len(values)), 0, values, color=PALE, lw=0.9)
    best = int(np.nanargmax(values))
    ax.vlines(best, 0, values[best], color=ACCENT, lw=1.8)
    ax.annotate(
        f"map {best}",
        (best, values[best]),
        textcoords="offset points",
        xytext=(4, -2),
        color=ACCENT,
        fontsize=8,
        va="top",
    )
    ax.set_xlim(-1, len(values))
    ax.set_ylim(0, None)
    ax.set_title(f"AU {au}: {facs.AUS[au].name}")


def distance_over_maps(values: np.ndarray, *, au: int) -> Figure:
    """Figure 5: D of one action unit on every map, the maximum marked."""
    figure, axes = _axes(1, 1, 8, 2.8)
    _stems(axes[0, 0], values, au)
    axes[0, 0].set_xlabel("feature map of conv3")
    axes[0, 0].set_ylabel("distance D")
    return figure


def distance_panels(distances: pd.DataFrame, aus: Sequence[int]) -> Figure:
    """Figure 6: the same for several units; one that the faces show too rarely says so."""
    figure, axes = _axes(2, 2, 9, 4.8)
    for ax, au in zip(axes.ravel(), aus, strict=True):
        if au in distances.index:
            _stems(ax, distances.loc[au].to_numpy(), au)
        else:
            ax.set_title(f"AU {au}: {facs.AUS[au].name}")
            ax.text(0.5, 0.5, "too few pictures with and without it", ha="center", transform=ax.transAxes)
            ax.set_xticks([])
            ax.set_yticks([])
    for ax in axes[:, 0]:
        ax.set_ylabel("distance D")
    for ax in axes[-1]:
        ax.set_xlabel("feature map of conv3")
    return figure


def detector_scores(verdicts: pd.DataFrame) -> Figure:
    """AUC on unseen people by action unit: map chosen by D, map chosen by AUC, and the controls."""
    table = verdicts.dropna(subset=["auc_d"])
    series: Mapping[str, tuple[str, str, str]] = {
        "auc_expression": ("expression only", "_", "#777777"),
        "auc_untrained": ("untrained network", "x", "#777777"),
        "auc_auc": ("chosen by AUC", "o", SECOND),
        "auc_d": ("chosen by D", "D", ACCENT),
    }
    figure, axes = _axes(1, 1, 9, 3.2)
    ax = axes[0, 0]
    at = np.arange(len(table))
    for column, (label, marker, colour) in series.items():
        ax.scatter(
            at,
            table[column],
            marker=marker,
            color=colour,
            s=60 if marker == "_" else 26,
            label=label,
            zorder=3,
        )
    ax.axhline(0.5, color=INK, lw=0.7, ls=":")
    ax.set_xticks(at, [str(au) for au in table["au"]])
    ax.set_xlabel("action unit")
    ax.set_ylabel("AUC on unseen people")
    ax.set_ylim(0, 1.02)
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    return figure


def ablation(result: object) -> Figure:
    """Accuracy without the chosen maps beside accuracy without random maps as loud."""
    figure, axes = _axes(1, 1, 7, 2.4)
    ax = axes[0, 0]
    ax.hist(result.random, bins=20, color=PALE)  # type: ignore[attr-defined]
    ax.axvline(result.without, color=ACCENT, lw=2)  # type: ignore[attr-defined]
    ax.axvline(result.accuracy, color=INK, lw=1, ls="--")  # type: ignore[attr-defined]
    ax.set_xlabel(
        "accuracy on unseen people; bars: without random maps, orange: without the chosen, dashed: all maps"
    )
    ax.set_ylabel("random sets")
    return figure
