"""What pages show of the distance D: over the maps, beside its null, and under other choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_lib import facs
from fer_lib.measures.distance import best_maps
from fer_lib.plot.style import ACCENT, PALE, SECOND, panels, styled
from fer_lib.plot.text import markdown_table


@styled
def distance_over_maps(values: np.ndarray, *, au: int, null: np.ndarray | None = None) -> Figure:
    """Figure 5: D of one action unit on every map, the maximum marked.

    Parameters
    ----------
    values
        (C,) distances; NaN where a map has none.
    au
        Number of the action unit.
    null
        Largest distance of all maps in each permutation, (B,); its middle 90 % are drawn as a band.
    """
    figure, axes = panels(1, 1, 8, 2.8)
    ax = axes[0, 0]
    _stems(ax, values, au)
    if null is not None:
        _band(ax, null)
        ax.legend(loc="lower right", bbox_to_anchor=(1, 0.98))
    ax.set_xlabel("feature map of conv3")
    ax.set_ylabel("distance D")
    return figure


@styled
def distance_panels(
    distances: pd.DataFrame, aus: Sequence[int], nulls: Mapping[int, np.ndarray] | None = None
) -> Figure:
    """Figure 6: the same for several units; one that the faces show too rarely says so."""
    figure, axes = panels(2, 2, 9, 4.8)
    for ax, au in zip(axes.ravel(), aus, strict=True):
        if au in distances.index:
            _stems(ax, distances.loc[au].to_numpy(), au)
            if nulls and au in nulls:
                _band(ax, nulls[au])
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


def _stems(ax: Axes, values: np.ndarray, au: int) -> None:
    ax.set_title(f"AU {au}: {facs.AUS[au].name}")
    known = values[np.isfinite(values)]
    if not (values > -np.inf).any():
        ax.text(0.5, 0.5, "no map has a value", ha="center", transform=ax.transAxes)
        return
    # Infinite distances (a zero activation under the rule "infinite") reach above all others.
    ceiling = 1.15 * (known.max() if known.size and known.max() > 0 else 1.0)
    heights = np.where(values == np.inf, ceiling, values)
    ax.vlines(np.arange(len(values)), 0, heights, color=PALE, lw=0.9)
    best = int(best_maps(values[None])[0])
    if best < 0:
        ax.text(0.5, 0.98, "no single winner", ha="center", va="top", transform=ax.transAxes, color=ACCENT)
    else:
        ax.vlines(best, 0, heights[best], color=ACCENT, lw=1.8)
        right = best > 0.85 * len(values)
        ax.annotate(
            f"map {best}" + (" (infinite)" if np.isinf(values[best]) else ""),
            (best, heights[best]),
            textcoords="offset points",
            xytext=(-4 if right else 4, -2),
            color=ACCENT,
            fontsize=8,
            va="top",
            ha="right" if right else "left",
        )
    ax.set_xlim(-1, len(values))
    ax.set_ylim(min(0.0, 1.05 * float(np.nanmin(heights))), None)


def _band(ax: Axes, null: np.ndarray) -> None:
    """Shade what the largest of all maps reaches in 90 % of the permutations."""
    known = null[np.isfinite(null)]
    if known.size:
        low, high = np.quantile(known, [0.05, 0.95])
        ax.axhspan(low, high, color=SECOND, alpha=0.18, lw=0, label="largest by chance (90 %)")
        ax.set_ylim(top=max(ax.get_ylim()[1], 1.1 * high))


def choices_table(choices: pd.DataFrame) -> str:
    """Markdown of `fer_lib.measures.choices.distance_choices`."""
    changed = [f"{c} of {u}" for c, u in zip(choices["changed"], choices["units"], strict=True)]
    auc = [f"{value:.2f}" if np.isfinite(value) else "too few to say" for value in choices["auc"]]
    shown = pd.DataFrame({"units whose map changes": changed, "mean AUC": auc}, index=choices.index)
    shown.loc[choices["without"] == choices["units"], :] = "no single winner"
    return markdown_table(shown.reset_index())
