"""What pages show of detectors of action units: chosen maps on other people, probes, planted detectors, checks of measures."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from fer_lib.measures.comparisons import LEVEL
from fer_lib.measures.detectors import LEAST
from fer_lib.measures.sparse_probe import SINGLE, SPARSE
from fer_lib.plot.style import ACCENT, INK, SECOND, legend_above, panels, styled, unit_panels
from fer_lib.plot.text import listed, markdown_table, two_digits, with_interval


@styled
def detector_scores(matches: pd.DataFrame) -> Figure:
    """AUC on the test pictures by action unit: maps chosen by D and by AUC, the same choices before training, expression alone."""
    table = matches.dropna(subset=["auc_d"])
    series: Mapping[str, tuple[str, str, str]] = {
        "auc_expression": ("expression only", "_", "#777777"),
        "auc_untrained_auc": ("by AUC, untrained", "x", SECOND),
        "auc_auc": ("by AUC", "o", SECOND),
        "auc_untrained_d": ("by D, untrained", "x", ACCENT),
        "auc_d": ("by D", "D", ACCENT),
    }
    figure, axes = panels(1, 1, 9, 3.2)
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
    ax.set_ylabel("AUC on the test pictures")
    ax.set_ylim(0, 1.02)
    ax.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    return figure


@styled
def chosen_elsewhere(found: pd.DataFrame) -> Figure:
    """Mean AUC on unseen people of what D and AUC choose among several kinds of features, with 95 % intervals; dotted is chance.

    Parameters
    ----------
    found
        `fer_lib.measures.baselines.choose_elsewhere`.
    """
    ways = list(dict.fromkeys(found["chosen_by"]))
    kinds = list(dict.fromkeys(found["features"]))
    figure, axes = panels(1, len(ways), 8, 0.32 * len(kinds) + 0.9, sharex=True, sharey=True)
    at = np.arange(len(kinds))
    for ax, way in zip(axes[0], ways, strict=True):
        of = found[found["chosen_by"] == way].set_index("features").loc[kinds]
        for place, (_, row) in zip(at, of.iterrows(), strict=True):
            colour = ACCENT if place == 0 else SECOND
            ax.plot([row["low"], row["high"]], [place, place], color=colour, lw=1.6)
            ax.plot([row["auc"]], [place], "D" if place == 0 else "o", ms=5, color=colour)
        ax.axvline(0.5, color=INK, lw=0.7, ls=":")
        ax.set_title(f"chosen by {way}")
        ax.set_xlabel("AUC on unseen people")
    axes[0, 0].set_yticks(at, kinds)
    axes[0, 0].invert_yaxis()
    return figure


def elsewhere_in_a_sentence(found: pd.DataFrame, way: str) -> str:
    """Say which baselines the claim's features beat at 5 % and which not, when `way` chooses among both."""
    first, *others = [row for _, row in found[found["chosen_by"] == way].iterrows()]
    if not first["units"]:
        return f"No action unit could be tested on what {way} chooses."
    parts = {
        "is above that of": [row["features"] for row in others if row["p"] <= LEVEL],
        "is not shown to be above that of": [row["features"] for row in others if row["p"] > LEVEL],
    }
    said = [f"{verb} {listed([f'*{name}*' for name in names])}" for verb, names in parts.items() if names]
    value = with_interval(first["auc"], first["low"], first["high"])
    end = f", which {', and '.join(said)}" if said else ""
    return f"Chosen by {way}, *{first['features']}* reach an AUC of {value}{end}."


@styled
def one_or_many(probes: pd.DataFrame) -> Figure:
    """AUC of a probe over k maps on unseen people, trained and untrained, beside the best single map (dashed) and chance (dotted).

    Parameters
    ----------
    probes
        `fer_lib.measures.sparse_probe.one_or_many` with a column ``network``, "trained" or "untrained".
    """
    aus = list(dict.fromkeys(probes["au"]))
    figure, axes = unit_panels(aus)
    for ax, au in zip(axes.flat, aus, strict=False):
        ax.axhline(0.5, color=INK, lw=0.7, ls=":")
        for network, colour in (("untrained", SECOND), ("trained", ACCENT)):
            of = probes[(probes["au"] == au) & (probes["network"] == network)]
            many = of[of["probe"] == SPARSE].sort_values("k")
            ax.plot(many["k"], many["auc"], "o-", ms=3.5, lw=1.6, color=colour, label=f"k maps, {network}")
            ax.fill_between(many["k"], many["auc_low"], many["auc_high"], color=colour, alpha=0.15, lw=0)
            single = float(of.loc[of["probe"] == SINGLE, "auc"].iloc[0])
            ax.axhline(single, color=colour, lw=1.2, ls="--", label=f"best map, {network}")
        ax.set_xscale("log", base=2)
        ax.set_xticks([4**i for i in range(5) if 4**i <= probes["k"].max()])
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("maps")
        ax.set_title(f"AU {au}")
        ax.set_ylim(0.3, 1.02)
    axes[0, 0].set_ylabel("AUC on unseen people")
    legend_above(figure, axes[0, 0], 4)
    return figure


@styled
def planted_detectors(rates: pd.DataFrame) -> Figure:
    """Share of simulations in which each measure finds the planted detector, from `fer_lib.measures.planted.detection_rates`."""
    figure, axes = panels(1, 3, 9, 3.1, sharey=True)
    styles = zip(rates["measure"].unique(), (ACCENT, "#777777", "#777777", SECOND), "Dxso", strict=False)
    for measure, colour, marker in styles:
        for ax, vary in zip(axes[0], ("positives", "shift", "gain"), strict=True):
            line = rates[(rates["measure"] == measure) & (rates["vary"] == vary)].sort_values("value")
            ax.plot(line["value"], line["found"], color=colour, marker=marker, ms=5, lw=1.4, label=measure)
    axes[0, 0].set_xlabel("sequences with the unit, of 593")
    axes[0, 1].set_xlabel("shift (standard deviations)")
    axes[0, 2].set_xlabel("spread of the log gains")
    axes[0, 0].set_ylabel("planted map found")
    axes[0, 0].set_ylim(-0.04, 1.04)
    legend_above(figure, axes[0, 0], 4)
    return figure


def selective_in_a_sentence(found: pd.DataFrame) -> str:
    """Say for how many action units a map is selective; `found` as of `fer_lib.measures.interventions.selective_maps`."""
    if found.empty:
        return "No action unit could be tested on other people and switched on alone."
    total = f"{len(found)} action units"
    names = [f"AU {au}" for au in found.index[found["selective"]]]
    answer = f"For {len(names)} of {total}" + (f" ({listed(names)})" if names else "")
    return (
        f"**{answer} a map is selective**: chosen on other people, it tells faces with the unit from those without beyond chance "
        f"(so do the maps of {found['tells'].sum()}), does so better than what the same choice finds in the untrained network "
        f"({found['better'].sum()}), and rises more when this unit is switched on than with any other ({found['first'].sum()}; in the "
        f"untrained network {found['untrained first'].sum()})."
    )


def matches_table(matches: pd.DataFrame, way: str) -> str:
    """Markdown of the maps that one way chose, ``"d"`` or ``"auc"``, and how they do on the test pictures."""
    p = f"p_{way}"
    shown = pd.DataFrame({"AU": matches["au"]})
    shown["map"] = [f"{m:.0f}" if math.isfinite(m) else "—" for m in matches[f"map_{way}"]]
    shown["AUC"] = matches[f"auc_{way}"].map(two_digits)
    shown["p of this map"] = [two_digits(value, p=True) for value in matches[p]]
    if way == "d":
        shown["AUPRC"] = matches["precision_d"].map(two_digits)
        sequences = matches["with_au"] + matches["without"]
        shown["AUPRC by chance"] = (matches["with_au"] / sequences).map(two_digits)
        shown["hits"] = matches["hits_d"].map(two_digits)
        shown["false alarms"] = matches["alarms_d"].map(two_digits)
    shown["AUC, untrained"] = matches[f"auc_untrained_{way}"].map(two_digits)
    if way == "d":
        shown["AUC, expression only"] = matches["auc_expression"].map(two_digits)
        return markdown_table(shown.assign(**{"with": matches["with_au"], "without": matches["without"]}))
    for column, name in {"p": "p of the best map", "p_within": "p within"}.items():
        shown[name] = [two_digits(value, p=True) for value in matches[column]]
    return markdown_table(shown)


def bootstrap_table(maps: pd.DataFrame) -> str:
    """Markdown of the maps that D and AUC choose on other draws of people (`fer_lib.study.detectors.Detectors.bootstrap_maps`)."""
    shown = pd.DataFrame({"AU": maps["au"].unique()})
    for way, rows in maps.groupby("chosen_by", sort=False):
        shown[f"map by {way}"] = [
            f"{map} ({share:.0%})".replace("%", " %") if map >= 0 else "—"
            for map, share in zip(rows["map"], rows["share"], strict=True)
        ]
        shown[f"maps in its set, {way}"] = rows["size"].to_numpy()
        for name, suffix in {"map chosen anew": "", "map kept": "_fixed"}.items():
            columns = ["auc", f"auc_low{suffix}", f"auc_high{suffix}"]
            shown[f"AUC by {way}, {name}"] = [
                with_interval(*found) for found in rows[columns].itertuples(index=False)
            ]
    return markdown_table(shown)


def checks_table(checks: pd.DataFrame) -> str:
    """Markdown of the share of maps whose measure notices spoilt labels (`fer_lib.study.detectors.Detectors.label_checks`)."""
    shown = pd.DataFrame({"measure": checks["measure"].unique()})
    for (responses, check), rows in checks.groupby(["responses", "check"], sort=False):
        by = rows.set_index("measure").loc[shown["measure"]]
        shown[f"{responses}: {check}"] = [
            f"{'**' * passes}{100 * falls:.0f} %{'**' * passes} [{100 * low:.0f}, {100 * high:.0f}]"
            if math.isfinite(falls)
            else "—"
            for falls, low, high, passes in by[["falls", "low", "high", "passes"]].itertuples(index=False)
        ]
    return markdown_table(shown)


def built_in_table(found: pd.DataFrame) -> str:
    """Markdown of the rank that each measure gives to a detector that was built in (`fer_lib.study.detectors.Detectors.built_in`)."""
    rows = []
    for where in found["where"].unique():
        for au, of in found[found["where"] == where].groupby("au", sort=False):
            row = {"looked for on": where, "AU": str(au), "its AUC": two_digits(float(of["auc"].iloc[0]))}
            for measure, rank, share in zip(of["measure"], of["rank"], of["share"], strict=True):
                first = "**" if rank == 1 else ""
                known = math.isfinite(rank)
                row[measure] = f"{first}{rank:g}{first} ({100 * share:.0f} %)" if known else "—"
            rows.append(row)
    return markdown_table(pd.DataFrame(rows))


def summarize_matches(matches: pd.DataFrame) -> str:
    """Say in some sentences how well the chosen maps do on the test people, or that it cannot be said.

    Parameters
    ----------
    matches
        From `fer_lib.measures.matches.evaluate_matches`.
    """
    tested = matches.dropna(subset=["auc_d", "auc_auc"])
    if tested.empty:
        return (
            "Too few of the test people show any action unit here to say how well the chosen maps do "
            f"(at least {LEAST} sequences with it and {LEAST} without are needed): run a larger preset."
        )
    mean = tested.mean(numeric_only=True)
    beaten = (
        "Nobody among the test people has two sequences whose action units could change places, so there is no null."
        if tested["p"].isna().all()
        else f"The map of $D$ itself beats chance at 5 % for {int((tested['p_d'] <= 0.05).sum())} of {len(tested)} action units; "
        f"*some* map, whichever, beats the null of a best of all for {int((tested['p'] <= 0.05).sum())}, and for "
        f"{int((tested['p_joint'] <= 0.05).sum())} when the choice among action units is allowed for as well."
    )
    return (
        f"On the test people the map chosen by $D$ reaches a mean AUC of {mean['auc_d']:.2f}, and the map that $D$ chooses in the "
        f"**untrained** network {mean['auc_untrained_d']:.2f}. The map chosen by AUC reaches {mean['auc_auc']:.2f}, and the same "
        f"choice in the untrained network {mean['auc_untrained_auc']:.2f}. A control that knows nothing but the expression reaches "
        f"{mean['auc_expression']:.2f}. {beaten}"
    )


def summarize_checks(checks: pd.DataFrame) -> str:
    """Say which measures notice both kinds of spoilt labels; see `fer_lib.study.detectors.Detectors.label_checks`."""
    parts = []
    for responses, of in checks.groupby("responses", sort=False):
        passed = of.groupby("measure", sort=False)["passes"].all()
        sides = {True: passed.index[passed], False: passed.index[~passed]}
        said = ["; ".join(map(str, sides[True])) or "no measure"]  # some names have commas
        said.append("pass both checks" if len(sides[True]) > 1 else "passes both checks")
        failed = "; ".join(map(str, sides[False]))
        does = "do not" if len(sides[False]) > 1 else "does not"
        parts.append(f"With {responses}, {' '.join(said)}{f', and {failed} {does}' if failed else ''}.")
    return " ".join(parts)
