"""What pages show of the question whether maps stand for facial units: likeness, dissection, regions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_lib import facs
from fer_lib.measures.comparisons import Comparison
from fer_lib.measures.dissection import BAR
from fer_lib.plot.style import ACCENT, INK, PALE, SECOND, panels, styled
from fer_lib.plot.text import describe_rows, markdown_table, percent, two_digits


@styled
def likeness_over_maps(table: pd.DataFrame) -> Figure:
    """Likeness of the maps' strongest squares: one dot a map, one row for each column of the table."""
    figure, axes = panels(1, 1, 7, 0.55 * table.shape[1] + 0.9)
    ax = axes[0, 0]
    rng = np.random.default_rng(0)
    for r, column in enumerate(table.columns[::-1]):
        values = table[column].dropna().to_numpy()
        colour = ACCENT if column == "trained" else "#777777"
        ax.scatter(values, r + rng.uniform(-0.16, 0.16, len(values)), s=5, color=colour, alpha=0.45, lw=0)
        if len(values):
            ax.plot([values.mean()] * 2, [r - 0.32, r + 0.32], color=INK, lw=1.6)
    ax.set_yticks(range(table.shape[1]), table.columns[::-1])
    ax.set_xlabel("mean likeness of the pairs of squares (correlation of HOG); one dot a map, bar: mean")
    return figure


@styled
def alignment_of_units(table: pd.DataFrame) -> Figure:
    """Share of projected energy in each action unit's region: the matched map beside its controls.

    Parameters
    ----------
    table
        From `fer_lib.measures.alignment.region_alignment`.
    """
    marks = {
        "random place": ("random place", "_", INK, 90),
        "other maps": ("all maps, mean", "o", PALE, 34),
        "untrained": ("matched, untrained", "x", SECOND, 30),
        "matched": ("matched", "D", ACCENT, 30),
    }
    figure = _beside_controls(table, marks, "share of energy in its region")
    figure.axes[0].set_ylim(bottom=-0.02)
    return figure


@styled
def likeness_of_units(own: pd.DataFrame, untrained: pd.DataFrame) -> Figure:
    """How much more projections look like faces with the unit than without: the matched map beside its controls; dotted: no more.

    Parameters
    ----------
    own, untrained
        `fer_lib.measures.unit_likeness.likeness_to_own_units` of the network, and of it before training.
    """
    marks = {
        "other units": ("the same map, other units", "_", INK, 90),
        "other maps": ("all maps, mean", "o", PALE, 34),
        "untrained": ("matched, untrained", "x", SECOND, 30),
        "own": ("matched", "D", ACCENT, 30),
    }
    table = own.assign(untrained=untrained["own"].reindex(own.index))
    figure = _beside_controls(table, marks, "likeness to its unit")
    figure.axes[0].axhline(0, color=INK, lw=0.7, ls=":")
    return figure


def _beside_controls(
    table: pd.DataFrame, marks: Mapping[str, tuple[str, str, str, int]], what: str
) -> Figure:
    """Draw a column of marks for each action unit (index); `marks` says how each column of the table is called and drawn."""
    figure, axes = panels(1, 1, 8, 2.9)
    ax = axes[0, 0]
    at = np.arange(len(table))
    for column, (label, marker, colour, size) in marks.items():
        ax.scatter(at, table[column], marker=marker, color=colour, s=size, label=label, zorder=3)
    ax.set_xticks(at, [str(au) for au in table.index])
    ax.set_xlim(-0.6, len(table) - 0.4)
    ax.set_xlabel("action unit")
    ax.set_ylabel(what)
    ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def likeness_in_a_sentence(own: pd.DataFrame, untrained: pd.DataFrame, control: Comparison) -> str:
    """Say whether projections look like their units; tables as of `likeness_of_units`, `control` from maps drawn at random."""
    if own.empty:
        return "No action unit that can be rendered alone has a matched map that projects anything."
    more = int((own["own"] > own["other units"]).sum())
    mine, others = (two_digits(own[column].mean()) for column in ("own", "other units"))
    text = f"Likeness to the own unit is {mine} on average, to the other units {others}; it is the larger for {more} of {len(own)} units."
    if math.isfinite(control.p):
        text += f" Maps drawn at random for each unit reach as much with p {two_digits(control.p, p=True)}"
        if len(untrained):
            text += f"; the maps matched before training have {two_digits(untrained['own'].mean())}"
        text += "."
    return text


_PARTS = {
    "brow": "brows",
    "eye": "eyes",
    "cheek": "eyes",
    "nose": "nose",
    "mouth": "mouth",
    "chin": "mouth",
    "jaw": "mouth",
}
"""The part of `fer_lib.probe.regions.LANDMARKS` in or next to which a unit acts, by its region in `fer_lib.facs`."""


def parts_looked_at(shares: Mapping[str, np.ndarray], matched: pd.Series, aus: Sequence[int]) -> pd.DataFrame:
    """Tabulate at which part of the face the matched maps' strongest squares are centred.

    Parameters
    ----------
    shares
        `fer_lib.probe.regions.region_shares` of each part of the face, (C,).
    matched
        Map of each action unit (index); -1 for none.
    aus
        Units to tabulate; those without a map, a part or squares are left out.

    Returns
    -------
    DataFrame
        Index ``AU``: ``map``, ``own`` (the part where the unit acts), ``share`` (of the map's squares that are centred there), ``most``
        (the part with most of them; the own one where it has as many) and ``most share``.
    """
    rows = {}
    for au in aus:
        own, which = _PARTS.get(facs.AUS[au].region), int(matched.get(au, -1))
        if own is None or which < 0 or not all(np.isfinite(share[which]) for share in shares.values()):
            continue
        most = max(shares, key=lambda part: (shares[part][which], part == own))
        rows[au] = (which, own, float(shares[own][which]), most, float(shares[most][which]))
    columns = ["map", "own", "share", "most", "most share"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("AU")


def parts_table(looks: pd.DataFrame) -> str:
    """Markdown of `parts_looked_at`."""
    cells = {
        "name": lambda row: facs.AUS[int(row.name)].name.lower(),
        "map": lambda row: f"{row['map']}",
        "most of its squares": lambda row: f"{row['most']} ({percent(row['most share'])})",
        "where the unit acts": lambda row: f"{row['own']} ({percent(row['share'])})",
    }
    return (
        describe_rows(looks, "AU", cells)
        if len(looks)
        else "No map of these units has squares whose place is known."
    )


def elsewhere_in_words(looks: pd.DataFrame) -> str:
    """Say for how many units the matched map looks at another part of the face, and where the first of them looks."""
    if looks.empty:
        return "of none of these maps it is known where it looks"
    away = looks[looks["most"] != looks["own"]]
    if away.empty:
        return f"the maps of all {len(looks)} units look most at the part of the face where the unit acts"
    au, row = int(away.index[0]), away.iloc[0]
    return (
        f"{len(away)} of {len(looks)} units get a map that looks most at another part of the face: that of AU {au}, "
        f"{facs.AUS[au].name.lower()}, shows the {row['most']} in {percent(row['most share'])} of its squares and the {row['own']} in "
        f"{percent(row['share'])}"
    )


def look_in_words(looks: pd.DataFrame) -> str:
    """Say where the map of the first unit of `parts_looked_at` looks."""
    if looks.empty:
        return "where its squares lie is not known"
    row = looks.iloc[0]
    if row["most"] == row["own"]:
        return f"{percent(row['share'])} of its squares are centred on the {row['own']}, where the unit acts"
    return (
        f"{percent(row['most share'])} of its squares are centred on the {row['most']}, and {percent(row['share'])} on the "
        f"{row['own']}, where the unit acts"
    )


def dissection_table(dissected: pd.DataFrame) -> str:
    """Markdown of a dissection: a row for each choice of maps, columns `iou`, `above`, `silent`, `hits` and `chance`."""
    head = {
        "iou": "mean IoU",
        "above": "IoU above 0.04",
        "silent": "silent",
        "hits": "maximum in the region",
        "chance": "place at random",
    }
    shown = pd.DataFrame({"map": dissected.index})
    for column, title in head.items():
        form = "{:.3f}" if column == "iou" else "{:.1%}"
        shown[title] = [
            form.format(v).replace("%", " %") if math.isfinite(v) else "—" for v in dissected[column]
        ]
    return markdown_table(shown)


def summarize_dissection(dissection: pd.DataFrame) -> str:
    """Say what the table of `fer_lib.study.regions.Regions.dissection` shows, or that too few test people show any AU."""
    rows: dict[str, dict[str, float]] = dissection.to_dict(orient="index")  # type: ignore[assignment]
    chosen, random, before = (rows[name] for name in ("chosen by D", "random map", "chosen by D, untrained"))
    if not chosen["aus"]:
        return "Too few of the test people show any action unit with a matched map here to say: run a larger preset."
    return (
        f"Over {int(chosen['aus'])} action units, the maps that $D$ chose have a mean IoU of {chosen['iou']:.3f}, a random map "
        f"{random['iou']:.3f}, and the maps that $D$ chooses before training {before['iou']:.3f}; {percent(chosen['above'])} of the "
        f"chosen ones exceed {BAR}. They are silent on {percent(chosen['silent'])} of the pictures with the unit and point nowhere there; "
        f"on the others their strongest place lies in the region in {percent(chosen['hits'])}, that of a random map in "
        f"{percent(random['hits'])}, and a place at random in {percent(chosen['chance'])}."
    )


def units_table(units: pd.DataFrame) -> str:
    """Markdown of `fer_lib.measures.dissection.dissect_units` by action unit (index)."""
    return describe_rows(
        units,
        "AU",
        {
            "map": lambda row: f"{row['map']:.0f}",
            "IoU": lambda row: f"{row['iou']:.3f}",
            "best of all": lambda row: f"{row['best']:.3f}",
            "ceiling": lambda row: f"{row['ceiling']:.3f}",
            "silent": lambda row: percent(row["silent"]),
            "in the region": lambda row: percent(row["hits"]),
            "place at random": lambda row: percent(row["chance"]),
        },
    )


def units_in_a_sentence(units: pd.DataFrame) -> str:
    """Say for how many action units the matched map, the best of all maps and any map could exceed the bar."""
    if units.empty:
        return "Too few of the test people show any action unit with a matched map here to say: run a larger preset."
    over = {name: int((units[name] > BAR).sum()) for name in ("iou", "best", "ceiling")}
    return (
        f"Of {len(units)} action units, the matched map exceeds {BAR} for {over['iou']}, the best of all maps, chosen on these very "
        f"pictures, for {over['best']}, and the ceiling for {over['ceiling']}: where the ceiling is below the bar no map could be called a "
        f"detector. The mean ceiling is {units['ceiling'].mean():.2f}."
    )
