"""What pages show of training: curves, confusions, how far filters moved, and other ways to divide people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_lib.plot.pictures import signed_grey
from fer_lib.plot.style import ACCENT, INK, PALE, SECOND, panels, styled
from fer_lib.plot.text import listed, markdown_table, percent


@styled
def training_curve(history: pd.DataFrame, flat: int = 0) -> Figure:
    """Loss and accuracy of training and test pictures by epoch, and how far the weights of each layer are from their start.

    Parameters
    ----------
    history : DataFrame
        `fer_lib.network.training.Trained.history`.
    flat : int
        Number of last epochs in which the loss no longer fell as convergence asks: they are shaded. 0: it did not converge.
    """
    figure, axes = panels(1, 3, 9, 2.8)
    for ax, measure, label in zip(
        axes[0], ("loss", "accuracy"), ("cross-entropy (nats)", "share right"), strict=False
    ):
        ax.plot(history["epoch"], history[measure], color=PALE, lw=1.8, label="training (augmented)")
        tested = history.dropna(subset=[f"test_{measure}"])
        ax.plot(tested["epoch"], tested[f"test_{measure}"], color=ACCENT, lw=1.8, label="test")
        ax.set_ylabel(label)
    moved = 100 * history.filter(regex="^moved_").rename(columns=lambda name: name.removeprefix("moved_"))
    colours = ((ACCENT, "-"), (SECOND, "-"), (INK, "-"), (PALE, "-"), (PALE, ":"))
    for (layer, share), (colour, style) in zip(moved.items(), colours, strict=False):
        axes[0, 2].plot(history["epoch"], share, color=colour, ls=style, lw=1.8, label=layer)
    axes[0, 2].set_ylabel("moved from the start (%)")
    for ax in axes[0]:
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylim(bottom=0)
        if flat:
            last = float(history["epoch"].iloc[-1])
            ax.axvspan(last - flat, last, color=SECOND, alpha=0.12, lw=0, label="converged")
    axes[0, 1].set_ylim(0, 1)
    axes[0, 0].set_ylim(0, max(1.0, float(history["loss"].quantile(0.9)) * 1.2))
    axes[0, 1].legend(loc="lower right")
    axes[0, 2].legend(handles=axes[0, 2].lines, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8)
    return figure


@styled
def filters_on_the_way(
    kernels: Mapping[str, np.ndarray], squares: Mapping[str, np.ndarray], maps: Sequence[int]
) -> Figure:
    """Kernels of the first layer, and projections of some maps, as training goes on: a row for each moment.

    Parameters
    ----------
    kernels
        By moment (such as "5 passes"), the same k kernels, (k, h, w). All are drawn to one scale.
    squares
        By the same moments, what each of the maps projects, (m, s, s); each is drawn to its own scale.
    maps
        Numbers of these maps, (m,).
    """
    k, m = len(next(iter(kernels.values()))), len(maps)
    figure, axes = panels(len(kernels), k + m, 0.62 * (k + m) + 1.2, 0.68 * len(kernels) + 0.3)
    limit = max(float(np.abs(some).max()) for some in kernels.values()) or 1.0
    for row, (moment, some) in zip(axes, kernels.items(), strict=True):
        for ax, kernel in zip(row[:k], some, strict=True):
            ax.imshow(kernel, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
        for ax, square in zip(row[k:], squares[moment], strict=True):
            ax.imshow(signed_grey(square), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        for ax in row:
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(moment, rotation=0, ha="right", va="center")
    for ax, number in zip(axes[0, k:], maps, strict=True):
        ax.set_title(f"{number}", loc="center", fontsize=8)
    return figure


@styled
def training_curves(curves: Sequence[Mapping[str, Sequence[float]]]) -> Figure:
    """Training loss and test accuracy of several networks by epoch, from ``epoch``, ``loss`` and ``test_accuracy`` of each."""
    figure, axes = panels(1, 2, 8, 2.8)
    measures = {"loss": "training loss (nats)", "test_accuracy": "share right, test"}
    for ax, (measure, label) in zip(axes[0], measures.items(), strict=True):
        for curve in curves:
            ax.plot(curve["epoch"], curve[measure], color=ACCENT, lw=1, alpha=0.6)
            ax.plot(curve["epoch"][-1:], curve[measure][-1:], ".", color=ACCENT)
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylabel(label)
        ax.set_ylim(bottom=0)
    axes[0, 1].set_ylim(0, 1)
    return figure


@styled
def confusion(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Figure:
    """True expression (rows) by predicted one (columns): counts, shaded by the row's share."""
    count = np.zeros((len(names), len(names)), int)
    np.add.at(count, (truth, predicted), 1)
    share = count / np.maximum(count.sum(1, keepdims=True), 1)
    figure, axes = panels(1, 1, 5.2, 4.4)
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


def movement(moved: pd.Series) -> str:
    """Say how far the filters are from where they started, as in "7.0 % (conv1), 18.0 % (conv2) and 16.0 % (conv3)".

    Parameters
    ----------
    moved
        `fer_lib.network.training.Trained.moved`.
    """
    filters = moved[moved.index.str.startswith("conv")]
    return listed([f"{moved_share(share)} ({name})" for name, share in filters.items()])


def moved_share(share: float) -> str:
    """Write how far weights moved, in percent of their start, or in multiples of it where they exploded."""
    return percent(share, 1) if share < 10 else f"{share:,.0f} times"


def protocols_table(table: pd.DataFrame) -> str:
    """Markdown of `fer_lib.study.traditional.TraditionalRoute.protocols`; below it what was left out, and why."""
    shown = pd.DataFrame(
        {
            name: [str(n) if n else "—" for n in table[column]]
            for name, column in {"trainings": "trainings", "test pictures": "test"}.items()
        },
        index=table.index,
    )
    shares = {name: name for name in ("same person", "same sequence", "same picture")}
    for name, column in (shares | {"traditional": "accuracy", "network": "network"}).items():
        shown[name] = [percent(share, 1) for share in table[column]]
    text = markdown_table(shown.reset_index())
    for reason, names in table.groupby("lacking", sort=False).groups.items():
        if reason:
            text += f"\n\n**Left out** ({'; '.join(names)}): {reason}."
    return text
