"""What pages show of how often each p value rejects where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_lib.measures.comparisons import LEVEL
from fer_lib.plot.style import ACCENT, INK, SECOND, panels, styled
from fer_lib.plot.text import describe_rows, listed, percent


@styled
def rejection_rates(table: pd.DataFrame) -> Figure:
    """Share of simulations in which each p value rejects at 5 % where there is nothing to find, with its interval.

    Parameters
    ----------
    table
        From `fer_lib.levels.rejection_rates`.
    """
    figure, axes = panels(1, 1, 8, 0.24 * len(table) + 0.9)
    ax, at = axes[0, 0], np.arange(len(table))[::-1]
    colours = np.where(table["holds"], SECOND, ACCENT)
    ax.hlines(at, table["low"], table["high"], colors=colours, lw=1.4)
    ax.scatter(table["rejected"], at, color=colours, s=22, zorder=3)
    ax.axvline(LEVEL, color=INK, lw=1, ls="--")
    ax.set_yticks(at, table.index)
    ax.set_xlim(left=0)
    ax.set_xlabel("share of simulations with p of at most 0.05; line: exact interval, dashed: 0.05")
    return figure


def rates_table(rates: pd.DataFrame) -> str:
    """Markdown of `fer_lib.levels.rejection_rates`."""
    return describe_rows(
        rates,
        "p of",
        {
            "rejects": lambda row: percent(row["rejected"], 1),
            "interval": lambda row: f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
            "chance explains up to": lambda row: percent(row["bound"], 1),
            "keeps 5 %": lambda row: "yes" if row["holds"] else "**no**",
        },
    )


def rates_in_a_sentence(rates: pd.DataFrame) -> str:
    """Say how many p values keep their level."""
    broken = list(rates.index[~rates["holds"]])
    last = f"; too often reject: {listed(broken)}" if broken else ""
    return f"{int(rates['holds'].sum())} of {len(rates)} keep it, each in {int(rates['runs'].iloc[0])} simulations{last}."
