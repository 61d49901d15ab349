"""What pages show of what the network decides with: maps removed, kept and patched, and units that raise logits."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from fer_lib.measures.ablation import Ablation
from fer_lib.measures.comparisons import LEVEL, Comparison
from fer_lib.plot.style import ACCENT, INK, PALE, SECOND, legend_above, panels, show_signed, styled
from fer_lib.plot.text import describe_rows, listed, percent


@styled
def accuracy_without_maps(result: Ablation) -> Figure:
    """Accuracy without the chosen maps beside accuracy without random maps as loud."""
    figure, axes = panels(1, 1, 7, 2.4)
    ax = axes[0, 0]
    ax.hist(result.random, bins=20, color=PALE)
    ax.axvline(result.without, color=ACCENT, lw=2)
    ax.axvline(result.accuracy, color=INK, lw=1, ls="--")
    ax.set_xlabel(
        "accuracy on the test pictures; bars: without random maps, orange: without the chosen, dashed: all maps"
    )
    ax.set_ylabel("random sets")
    return figure


@styled
def maps_swapped(table: pd.DataFrame) -> Figure:
    """How much more the matched maps matter than random ones as loud, in each way of asking, with what could have been seen.

    Parameters
    ----------
    table
        From `fer_lib.measures.patching.remove_keep_patch`.
    """
    figure, axes = panels(1, 2, 8, 0.42 * len(table) + 1.1, sharey=True)
    labels = {"accuracy": "accuracy", "loss": "cross-entropy (nats)"}
    at = np.arange(len(table))[::-1]
    for ax, (name, label) in zip(axes[0], labels.items(), strict=True):
        low, effect, high = (table[f"{name}_{part}"].to_numpy(float) for part in ("low", "effect", "high"))
        seen = table[f"{name}_detectable"]  # 0 where no set of maps changes a picture
        ax.axvline(0, color=INK, lw=1, ls="--")
        ax.hlines(at, low, high, color=ACCENT, lw=1.6, label="95 % of draws of people")
        ax.plot(effect, at, "D", ms=6, color=ACCENT, label="effect")
        ax.plot(
            seen.where(seen > 1e-9), at, "|", ms=13, mew=1.6, color=SECOND, label="seen in 80 % from here"
        )
        ax.set_yticks(at, table.index)
        ax.set_ylim(-0.6, len(table) - 0.4)
        ax.set_xlabel(label)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    legend_above(figure, axes[0, 0], 3)
    return figure


@styled
def logits_of_units(effect: pd.DataFrame, defined: pd.DataFrame) -> Figure:
    """How far each action unit, switched on, raises each expression's logit; pairs that the criteria name are framed.

    Parameters
    ----------
    effect
        A row for each unit, a column for each expression, in standard deviations of the logit.
    defined
        From `fer_lib.measures.criteria.criteria_units`, of the same shape.
    """
    values, named = effect.to_numpy().T, defined.to_numpy(bool).T
    figure, axes = panels(1, 1, 0.36 * len(effect) + 2.1, 0.33 * effect.shape[1] + 1.1)
    ax = axes[0, 0]
    shown = show_signed(ax, values, aspect="auto")
    for row, column in np.argwhere(named):
        ax.add_patch(Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=INK, lw=1.4))
    ax.set_xticks(range(len(effect)), [str(au) for au in effect.index])
    ax.set_yticks(range(effect.shape[1]), list(effect.columns))
    ax.set_xlabel("action unit switched on")
    figure.colorbar(shown, ax=ax, label="change of the logit\n(standard deviations)")
    return figure


def swaps_table(table: pd.DataFrame) -> str:
    """Markdown of `fer_lib.measures.patching.remove_keep_patch`: accuracy with matched and with random maps, and the difference."""
    return describe_rows(
        table,
        "way",
        {
            "matched": lambda row: percent(row["accuracy"], 1),
            "random": lambda row: percent(row["accuracy_random"], 1),
            "points [95 %]": lambda row: (
                f"{100 * row['accuracy_effect']:+.1f} [{100 * row['accuracy_low']:.1f}, {100 * row['accuracy_high']:.1f}]"
            ),
            "p": lambda row: f"{row['accuracy_p']:.2g}",
            "p, cross-entropy": lambda row: f"{row['loss_p']:.2g}",
            # Where no set of maps changes a picture there is no spread to say what could have been seen.
            "seen from": lambda row: (
                f"{100 * row['accuracy_detectable']:.1f}" if row["accuracy_detectable"] > 1e-9 else "—"
            ),
        },
    )


def swaps_in_a_sentence(table: pd.DataFrame) -> str:
    """Say how the four ways of asking came out."""
    beaten = [str(way) for way, p in table["accuracy_p"].items() if p <= LEVEL]
    first = table.iloc[0]
    who = f"{int(first['pictures'])} pictures of {int(first['people'])} people"
    ways = f"in {listed(beaten)}" if beaten else f"in none of the {len(table)} ways"
    return (
        f"On {who}, the matched maps matter more for accuracy than random ones as loud (mean loudness {first['loudness']:.2f} and "
        f"{first['loudness_random']:.2f}) at 5 % {ways}."
    )


def criteria_in_a_sentence(found: Comparison, by_expression: pd.DataFrame) -> str:
    """Say whether units raise the expressions that they define, and for how many expressions the unit that does most is one of these."""
    named = by_expression["named"]
    return (
        f"A unit raises the logit of an expression that it takes part in by {found.difference:+.2f} standard deviations more than units "
        f"that are assigned at random (95 % [{found.low:.2f}, {found.high:.2f}], p = {found.p:.2g}, {found.n} units). Of {len(named)} "
        f"expressions, {int(named.sum())} {'is' if named.sum() == 1 else 'are'} raised most by a unit of their own criterion."
    )


def criteria_table(by_expression: pd.DataFrame) -> str:
    """Markdown of `fer_lib.measures.criteria.by_expression`."""
    return describe_rows(
        by_expression,
        "expression",
        {
            "its units": lambda row: row["units"],
            "they raise it by": lambda row: f"{row['own']:+.2f}",
            "other units by": lambda row: f"{row['others']:+.2f}" if math.isfinite(row["others"]) else "—",
            "raised most by": lambda row: str(row["first"]),
        },
    )
