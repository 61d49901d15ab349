"""What pages and commands show of the claims: verdicts with their comparisons, and the measures of all networks."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_lib.claims import CLAIMS, Verdict
from fer_lib.measures.comparisons import POWER
from fer_lib.plot.style import ACCENT, INK, SECOND, panels, styled
from fer_lib.plot.text import listed, markdown_table, number, percent


@styled
def measures_over_networks(measures: pd.DataFrame, by: str = "set") -> Figure:
    """Draw the measure of each claim for every network, a dot each, in groups; the line at 0 is what place, loudness or chance give.

    Parameters
    ----------
    measures
        `by`, ``item`` (of `fer_lib.measures.network_measures.MEASURES`) and ``value``, a row for each network and measure.
    by
        Column that groups the networks.
    """
    groups = list(dict.fromkeys(measures[by]))
    figure, axes = panels(1, len(CLAIMS), 2.3 * len(CLAIMS), 2.8)
    for ax, (name, claim) in zip(axes[0], CLAIMS.items(), strict=True):
        rows = measures[measures["item"] == claim.column]
        ax.axhline(0, color=INK, lw=1, ls="--")
        for place, group in enumerate(groups):
            values = rows["value"][(rows[by] == group).to_numpy()].dropna().to_numpy(float)
            aside = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(len(values))
            ax.plot(
                place + aside, values, "o", ms=4, color=SECOND if group == "untrained" else ACCENT, alpha=0.7
            )
        ax.set_xticks(range(len(groups)), groups, rotation=30, ha="right")
        ax.set_xlim(-0.6, len(groups) - 0.4)
        ax.set_title(name)
    return figure


@styled
def networks_of_a_claim(verdicts: Sequence[Verdict], own: pd.Series, untrained: pd.DataFrame) -> Figure:
    """Draw each claim's measure: the trained network as a diamond, untrained ones as dots, the level of chance as a line.

    Parameters
    ----------
    verdicts
        Name the claims.
    own
        Measure of the trained network by name; NaN where there is none.
    untrained
        The same, a row for each untrained network.
    """
    figure, axes = panels(len(verdicts), 1, 7, 0.75 * len(verdicts) + 0.3)
    for ax, verdict in zip(axes[:, 0], verdicts, strict=True):
        column = CLAIMS[verdict.claim].column
        ax.axvline(0, color=INK, lw=1, ls="--")
        before = untrained[column].dropna().to_numpy(float)
        ax.plot(before, np.linspace(-0.3, 0.3, len(before)), "o", ms=4, color=SECOND, alpha=0.7)
        ax.plot([own[column]], [0], "D", ms=7, color=ACCENT)
        ax.set_yticks([0], [f"{verdict.claim}: {verdict.decision}"])
        ax.set_ylim(-0.6, 0.6)
    axes[-1, 0].set_xlabel(
        "measure of each claim; diamond: this network, dots: untrained networks, dashed: chance"
    )
    return figure


def claims_table(verdicts: Sequence[Verdict]) -> str:
    """Markdown of the verdicts in two tables: what one reads, and the comparisons, which one looks up."""
    return f"{verdicts_table(verdicts)}\n\n{comparisons_table(verdicts)}".rstrip()


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """Markdown of what one reads: a row for each claim with its verdict and its measure."""
    rows = [
        (f"**{name}** {what}", f"**{decision}**", measure)
        for name, what, decision, measure in _verdicts(verdicts)
    ]
    return markdown_table(rows, ["claim", "verdict", "measure"])


def comparisons_table(verdicts: Sequence[Verdict]) -> str:
    """Markdown of what one looks up: a row for each control of each claim; below it why a claim was not tested."""
    parts = [markdown_table(_comparisons(verdicts), _COMPARED)] if any(not v.reason for v in verdicts) else []
    parts += [f"**{v.claim}** is left out: {v.reason}." for v in verdicts if v.reason]
    return "\n\n".join(parts)


def claims_text(verdicts: Sequence[Verdict]) -> str:
    """The two tables of `claims_table` for a shell: no line is longer than 100 characters."""
    read = markdown_table(
        _verdicts(verdicts), ["", "claim", "verdict", "measure"], form="simple", widths=[2, 38, 13, 36]
    )
    parts = [read, "", *(f"{v.claim} is left out: {v.reason}." for v in verdicts if v.reason)]
    if any(not v.reason for v in verdicts):
        parts.append(
            markdown_table(
                _comparisons(verdicts), _COMPARED, form="simple", widths=[5, 24, 10, 16, 8, 5, 9, 7]
            )
        )
    return "\n".join([*parts, "", power(verdicts)]).rstrip()


_COMPARED = ["claim", "above", "by", "95 %", "p", "n", "seen from", "matters"]


def _verdicts(verdicts: Sequence[Verdict]) -> Sequence[tuple[str, ...]]:
    return [
        (v.claim, v.statement, v.decision, "not tested" if v.reason else f"{v.measure}: {number(v.value)}")
        for v in verdicts
    ]


def _comparisons(verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for v in verdicts:
        for c in v.comparisons if not v.reason else ():
            known, ends = math.isfinite(c.difference), math.isfinite(c.low)
            rows.append(
                (
                    v.claim,
                    c.name,
                    f"{c.difference:+.3f}" if known else "too few to say",
                    f"{c.low:.3f} to {c.high:.3f}" if ends else "—",
                    f"{c.p:.2g}" if known else "—",
                    str(c.n),
                    f"{c.detectable:.3f}" if ends else "—",
                    f"{CLAIMS[v.claim].margin:g}",
                )
            )
    return rows


def claim_details(verdict: Verdict) -> str:
    """A part of a page that opens, for one claim: the paper's evidence, ours with controls and power, the verdict, what CK+ would add."""
    claim = CLAIMS[verdict.claim]
    networks = f"{verdict.trained} trained and {verdict.untrained} untrained networks"
    ours = f"{verdict.measure[0].upper()}{verdict.measure[1:]}: {number(verdict.value)}, in {networks.replace('1 trained', 'one trained')}."
    if verdict.reason:
        ours = f"Not tested: {verdict.reason}."
    parts = [
        f'<details class="claim"><summary><b>{verdict.claim}</b> {html.escape(verdict.statement)} <b>{verdict.decision}</b></summary>',
        f"**The paper.** {claim.paper}",
        f"**Here.** {ours}",
        comparisons_table([verdict]) if not verdict.reason else "",
        f"**Verdict.** {because(verdict)}",
        power([verdict]),
        f"**What CK+ would add.** {claim.ckplus}",
        "</details>",
    ]
    return "\n\n".join(part for part in parts if part)


def because(verdict: Verdict) -> str:
    """Say in a sentence which comparisons a verdict follows from."""
    margin = f"{CLAIMS[verdict.claim].margin:g}"
    small = [c.name for c in verdict.comparisons if c.high < CLAIMS[verdict.claim].margin]
    open_ones = [c.name for c in verdict.comparisons if not c.beaten]
    if verdict.decision == "does not hold":
        why = f"above {listed(small)} it surely does not lie by {margin}, which would matter"
    elif verdict.decision == "holds":
        why = "the measure lies above every control at 5 %"
    elif verdict.reason:
        why = "there was no test"
    else:
        why = f"the measure does not lie above {listed(open_ones)} at 5 %, but may do so by {margin}, which would matter"
    return f"{verdict.decision.capitalize()}: {why}."


def claims_in_a_sentence(verdicts: Sequence[Verdict]) -> str:
    """Say of all claims what became of them, as in "C1 holds, C2 and C3 do not hold, and C4 is not decided."."""
    words = {
        "holds": ("holds", "hold"),
        "does not hold": ("does not hold", "do not hold"),
        "not decided": ("is not decided", "are not decided"),
    }
    parts = []
    for decision, (one, several) in words.items():
        names = [v.claim for v in verdicts if v.decision == decision]
        if names:
            parts.append(f"{listed(names)} {one if len(names) == 1 else several}")
    return f"{', '.join(parts[:-1])}, and {parts[-1]}" if len(parts) > 2 else " and ".join(parts)


def networks_in_a_sentence(verdicts: Sequence[Verdict], own: pd.Series, untrained: pd.DataFrame) -> str:
    """Say for which claims the measure of one trained network lies above those of all untrained networks.

    Parameters
    ----------
    verdicts, own, untrained
        As for `networks_of_a_claim`.
    """
    columns = {v.claim: CLAIMS[v.claim].column for v in verdicts if not v.reason}
    above = [name for name, column in columns.items() if (untrained[column].dropna() < own[column]).all()]
    count = f"all {len(untrained)} untrained ones"
    if not above:
        return f"the trained network's measure lies above that of {count} for none of them"
    if len(above) == len(columns):
        return f"the trained network's measure lies above that of {count} for each that could be tested"
    return f"the trained network's measure lies above that of {count} for {listed(above)} alone"


def easier_tests(verdicts: Sequence[Verdict], own: pd.Series, untrained: pd.DataFrame) -> str:
    """Markdown of what a test against chance alone says of each claim, of the trained network and of untrained ones, and what changes it.

    Parameters
    ----------
    verdicts, own, untrained
        As for `networks_of_a_claim`.
    """
    rows = []
    for v in verdicts:
        if v.reason or not math.isfinite(own[CLAIMS[v.claim].column]):
            continue
        value, before = own[CLAIMS[v.claim].column], untrained[CLAIMS[v.claim].column].dropna()
        passes = value > 0
        others = f"{(before > 0).sum()} of {len(before)}"
        open_ones = [c.name for c in v.comparisons if not c.beaten]
        if passes == (v.decision == "holds"):
            why = "nothing"
        elif open_ones:
            why = f"above chance, but not above {listed(open_ones)}"
        else:
            why = "above every control, but by less than would matter"
        rows.append((f"**{v.claim}**", f"{value:+.3f}", "yes" if passes else "no", others, v.decision, why))
    if not rows:
        return ""
    head = [
        "claim",
        "measure",
        "above chance",
        "untrained networks above chance",
        "verdict",
        "what changes it",
    ]
    return markdown_table(rows, head)


def power(verdicts: Sequence[Verdict]) -> str:
    """Say of the undecided claims how large a difference this much data could have seen; empty without one."""
    parts = []
    for v in verdicts:
        open_ones = [c for c in v.comparisons if math.isfinite(c.low) and not c.beaten]
        if v.decision == "not decided" and open_ones:
            seen = "; ".join(f"{c.detectable:.2f} above {c.name}" for c in open_ones)
            parts.append(f"{v.claim} ({seen}; what matters is {CLAIMS[v.claim].margin:g})")
    if not parts:
        return ""
    return f"What is not decided could have been seen, in {percent(POWER)} of such studies, from a difference of: {', '.join(parts)}."
