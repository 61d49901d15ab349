"""What pages show of the checks of projections: figure and sentence."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_lib.measures.saliency import INTACT
from fer_lib.plot.style import ACCENT, INK, SECOND, legend_above, panels, styled


@styled
def saliency_checks(table: pd.DataFrame) -> Figure:
    """How alike projections stay to those before, and to the picture's edges, as weights are drawn anew from the top down.

    Parameters
    ----------
    table
        From `fer_lib.measures.saliency.saliency_checks`.
    """
    whats = ("projection before", "picture, high-passed")
    stages = [INTACT, *(name for name in dict.fromkeys(table["randomised"]) if name != INTACT)]
    labels = ["as trained" if name == INTACT else f"down to {name}" for name in stages]
    measures = [name for name in ("rank correlation", "ssim") if table[name].notna().any()]
    figure, axes = panels(
        max(1, len(measures)), 2, 8, 2.3 * max(1, len(measures)) + 0.5, sharey="row", sharex=True
    )
    styles = zip(dict.fromkeys(table["rule"]), "oDs", (SECOND, ACCENT, "#777777"), strict=False)
    for place, (rule, marker, colour) in enumerate(styles):
        for row, measure in enumerate(measures):
            for ax, what in zip(axes[row], whats, strict=True):
                found = table[(table["rule"] == rule) & (table["compared with"] == what)].set_index(
                    "randomised"
                )
                found = found.reindex([name for name in stages if name in found.index])
                at = np.array([stages.index(name) for name in found.index]) + 0.1 * (place - 1)
                ends = [found[measure] - found[f"{measure}_low"], found[f"{measure}_high"] - found[measure]]
                ax.errorbar(
                    at,
                    found[measure],
                    yerr=np.abs(ends),
                    fmt=f"{marker}-",
                    ms=5,
                    lw=1,
                    color=colour,
                    label=rule,
                )
    for row, measure in enumerate(measures):
        axes[row, 0].set_ylabel({"ssim": "structural similarity"}.get(measure, measure))
        for ax in axes[row]:
            ax.axhline(0, color=INK, lw=0.8, ls="--")
            ax.set_xticks(range(len(stages)), labels)
    for ax, what in zip(axes[0], whats, strict=True):
        ax.set_title(f"with: {what}")
    legend_above(figure, axes[0, 0], 3)
    return figure


def saliency_in_a_sentence(table: pd.DataFrame) -> str:
    """Say for each rule how alike projections stay when all weights are drawn anew, and how alike they are to the picture's edges."""
    parts = []
    for rule, rows in table.groupby("rule", sort=False):
        before, edges = (
            rows[rows["compared with"] == what] for what in ("projection before", "picture, high-passed")
        )
        own = edges[edges["randomised"] == INTACT]
        parts.append(
            f"{rule} {_interval(before.iloc[-1])} and {_interval(own.iloc[0])}"
            if len(before) and len(own)
            else f"{rule} not tested"
        )
    return (
        "The rank correlation of a projection with what it becomes when every layer is drawn anew, and that of the projection with the "
        f"edges of the picture (95 % intervals over people): {'; '.join(parts)}."
    )


def _interval(row: pd.Series) -> str:
    name = "rank correlation"
    if not math.isfinite(row[name]):
        return "too few to say"
    return f"{row[name]:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"
