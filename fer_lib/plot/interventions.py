"""What pages show of faces whose action units were switched on, or grew, one at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fer_lib.errors import Lacking
from fer_lib.plot.style import (
    ACCENT,
    INK,
    PALE,
    SECOND,
    legend_above,
    panels,
    show_signed,
    styled,
    unit_panels,
)
from fer_lib.plot.text import markdown_table, two_digits, with_interval


@styled
def intervention_grid(effect: pd.DataFrame, chosen: pd.Series) -> Figure:
    """How the map matched to each unit (row) responds to each unit switched on alone (column), its own one framed.

    Parameters
    ----------
    effect : DataFrame
        How far each AU that is switched on (row) moves the maximum of each map (column), in standard deviations of the map.
    chosen : Series
        The matched map of each AU (index); -1 for none.

    Raises
    ------
    Lacking
        If no matched AU can be switched on.
    """
    aus = [au for au in chosen.index if au in effect.index and chosen[au] >= 0]
    if not aus:
        raise Lacking("none of the matched action units can be switched on alone in a rendered face")
    values = effect.loc[aus, chosen.loc[aus]].to_numpy().T
    figure, axes = panels(1, 1, 6.4, 5.4)
    ax = axes[0, 0]
    shown = show_signed(ax, values)
    for i in range(len(aus)):
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=INK, lw=1.2))
    ax.set_xticks(range(len(aus)), [str(au) for au in aus])
    ax.set_yticks(range(len(aus)), [f"{au}: map {chosen[au]}" for au in aus])
    ax.set_xlabel("action unit switched on")
    ax.set_ylabel("action unit and the map matched to it")
    figure.colorbar(shown, ax=ax, shrink=0.7, label="change of the map's maximum (standard deviations)")
    return figure


@styled
def dose_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """How far one action unit, as it grows, raises the map that belongs to it, a panel a unit; bands: intervals over people.

    Parameters
    ----------
    curves
        Tables of `fer_lib.measures.dose_response.DoseResponse.curves`, by what chose the maps; at most four.

    Raises
    ------
    Lacking
        If no unit has a map.
    """
    aus = sorted({int(au) for table in curves.values() for au in table["au"]})
    if not aus:
        raise Lacking("no action unit that was rendered at several intensities has a matched map")
    figure, axes = unit_panels(aus)
    for ax, au in zip(axes.flat, aus, strict=False):
        ax.axhline(0, color=INK, lw=0.7, ls=":")
        for (name, table), colour in zip(curves.items(), (ACCENT, SECOND, INK, PALE), strict=False):
            line = table[table["au"] == au]
            dose = np.r_[0, line["dose"]]
            ax.plot(dose, np.r_[0, line["change"]], "o-", ms=3.5, lw=1.6, color=colour, label=name)
            ax.fill_between(
                dose, np.r_[0, line["low"]], np.r_[0, line["high"]], color=colour, alpha=0.15, lw=0
            )
        ax.set_xticks(range(6), ["–", *"ABCDE"])
        ax.set_title(f"AU {au}")
        ax.set_xlabel("intensity")
    axes[0, 0].set_ylabel("change (sd over neutral faces)")
    legend_above(figure, axes[0, 0], 4)
    return figure


def doses_table(tests: pd.DataFrame, untrained: pd.DataFrame, first: pd.DataFrame, matched: pd.Series) -> str:
    """Markdown of what answers to growing action units.

    Parameters
    ----------
    tests, untrained
        From `fer_lib.measures.dose_response.dose_tests`, of the network and of it before training.
    first
        From `fer_lib.measures.dose_response.answers_first`.
    matched
        The map that D matched to each AU (index); -1 for none.
    """
    answering = untrained["answering"].to_dict()
    answers = {
        int(map): f"AU {au} ({100 * share:.0f} %)"
        for map, au, share in zip(first.index, first["au"], first["share"], strict=True)
    }
    rows = []
    for test in tests.reset_index(names="au").to_dict("records"):
        own = int(matched.get(test["au"], -1))
        rows.append(
            {
                "AU": str(test["au"]),
                "map that answers most": f"{test['map']:.0f}" if test["map"] >= 0 else "—",
                "slope": with_interval(test["slope"], test["slope_low"], test["slope_high"]),
                "p": two_digits(test["p"], p=True),
                "p for all units": two_digits(test["p_joint"], p=True),
                "maps that answer": f"{test['answering']:.0f}",
                "untrained": f"{answering[test['au']]:.0f}",
                "map by $D$": str(own) if own >= 0 else "—",
                "answers first to": answers.get(own, "—"),
            }
        )
    return markdown_table(pd.DataFrame(rows))
