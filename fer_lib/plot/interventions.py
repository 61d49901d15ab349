"""What pages show of faces whose action units were switched on, or grew, one at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator, ScalarFormatter

from fer_lib.errors import Lacking
from fer_lib.measures.coalitions import ALL
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


@styled
def coalitions_of_maps(found: pd.DataFrame) -> Figure:
    """Selectivity of k maps together, trained and untrained (bands: 95 % over people), above random sets as loud (grey: 95 % of them).

    Parameters
    ----------
    found
        `fer_lib.measures.coalitions.coalition_tests` with a column ``network``, "trained" or "untrained".

    Raises
    ------
    Lacking
        If no unit was tested.
    """
    if found.empty:
        raise Lacking("no action unit that is coded often enough was rendered at several intensities")
    aus = [ALL, *(au for au in dict.fromkeys(found["au"]) if au != ALL)]
    figure, axes = unit_panels(aus)
    for ax, au in zip(axes.flat, aus, strict=False):
        ax.axhline(0, color=INK, lw=0.7, ls=":")
        for network, colour in (("untrained", SECOND), ("trained", ACCENT)):
            of = found[(found["au"] == au) & (found["network"] == network)].sort_values("k")
            if network == "trained":
                ax.fill_between(
                    of["k"],
                    of["random_low"],
                    of["random_high"],
                    color=PALE,
                    alpha=0.45,
                    lw=0,
                    label="random sets",
                )
            ax.plot(of["k"], of["selectivity"], "o-", ms=3.5, lw=1.6, color=colour, label=network)
            ax.fill_between(of["k"], of["low"], of["high"], color=colour, alpha=0.15, lw=0)
        ax.set_xscale("log", base=2)
        ax.set_xticks([4**i for i in range(5) if 4**i <= found["k"].max()])
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("maps")
        ax.set_title("all units" if au == ALL else f"AU {au}")
    axes[0, 0].set_ylabel("own unit − others (sd)")
    legend_above(figure, axes[0, 0], 3)
    return figure


def coalitions_in_a_sentence(found: pd.DataFrame) -> str:
    """Say what the largest coalitions and the single maps do, on average over units; arguments as of `coalitions_of_maps`."""
    rows = found[found["au"] == ALL].to_dict("records")
    if not rows:
        return "No action unit could be tested."
    mean = {(row["network"], row["k"]): row for row in rows}

    def said(network: str, k: int) -> str:
        row = mean[network, k]
        interval = with_interval(row["selectivity"], row["low"], row["high"])
        return f"{interval}, p {two_digits(row['p'], p=True)}"

    ks = sorted({row["k"] for row in rows})
    most = max(ks, key=lambda k: mean["trained", k]["selectivity"])
    text = (
        "On average over units, the best single map of the trained network answers its own unit more than the others by "
        f"{said('trained', ks[0])} against random maps as loud (untrained: {said('untrained', ks[0])})"
    )
    if most == ks[0]:
        return f"{text}; no number of maps together does better."
    return f"{text}; {most} maps together do best, with {said('trained', most)} (untrained: {said('untrained', most)})."


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
