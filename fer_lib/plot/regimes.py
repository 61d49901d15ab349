"""Lazy or rich: what the maps of many networks tell about action units, against how far training moved the filters."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from fer_lib.measures.stability import follows_movement
from fer_lib.plot.style import INK, panels, styled

PANELS = {
    "accuracy": ("accuracy", None),
    "auc": ("AUC of the best map", 0.5),
    "auc_d": ("AUC of D's map", 0.5),
    "selective": ("selectivity of D's map", 0.5),
}
"""Columns that are drawn: title, and level of chance where it is the same for all networks."""
_LINEAR = 0.01  # below it the axis of movement is linear, so that networks that never moved have a place


@styled
def selectivity_against_movement(networks: pd.DataFrame) -> Figure:
    """Draw accuracy and what maps tell of units for every network, over the relative change of conv3's weights; colours are starts.

    Parameters
    ----------
    networks
        From `fer_lib.measures.stability.by_movement`.
    """
    starts = list(dict.fromkeys(networks["start"]))
    colours = dict(zip(starts, mpl.colormaps["viridis"](np.linspace(0, 0.85, len(starts))), strict=True))
    figure, axes = panels(2, 2, 7, 4.6, sharex=True)
    for ax, (column, (title, chance)) in zip(axes.flat, PANELS.items(), strict=True):
        if chance is not None:
            ax.axhline(chance, color=INK, lw=0.8, ls=":")
        for start, rows in networks.groupby("start", sort=False):
            still = (rows["rate"] == 0).to_numpy()
            for some, filled in ((rows[still], "none"), (rows[~still], colours[start])):
                ax.scatter(
                    some["moved"],
                    some[column],
                    s=26,
                    facecolors=filled,
                    edgecolors=[colours[start]],
                    zorder=3,
                )
        rho, *_ = follows_movement(networks, column)
        ax.set_title(title if np.isnan(rho) else f"{title}: ρ = {rho:+.2f}")
        ax.set_xscale("symlog", linthresh=_LINEAR)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        ax.set_xlim(left=-_LINEAR / 4)
    for ax in axes[-1]:
        ax.set_xlabel("conv3 moved, relative to its start")
    handles = [Line2D([], [], ls="", marker="o", color=colours[start], label=start) for start in starts]
    handles.append(Line2D([], [], ls="", marker="o", color=INK, mfc="none", label="no step"))
    figure.legend(handles=handles, ncols=len(handles), loc="outside upper center")
    return figure
