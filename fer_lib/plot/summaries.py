"""What pages and commands say of results: markdown tables and sentences, made from numbers alone."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_lib.claims import CLAIMS, Verdict
from fer_lib.measures.comparisons import LEVEL, POWER, Comparison
from fer_lib.measures.detectors import LEAST
from fer_lib.measures.dissection import BAR
from fer_lib.measures.saliency import INTACT


def percent(share: float, digits: int = 0) -> str:
    """Write a share in percent, an unknown one as a dash."""
    return f"{100 * share:.{digits}f} %" if math.isfinite(share) else "—"


# ------------------------------------------------------------------------------------------------ claims


def claims_table(verdicts: Sequence[Verdict]) -> str:
    """Markdown of the verdicts in two tables: what one reads, and the comparisons, which one looks up."""
    return f"{verdicts_table(verdicts)}\n\n{comparisons_table(verdicts)}".rstrip()


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """Markdown of what one reads: a row for each claim with its verdict and its measure."""
    rows = [
        (f"**{name}** {what}", f"**{decision}**", measure)
        for name, what, decision, measure in _verdicts(verdicts)
    ]
    return _markdown(rows, ["claim", "verdict", "measure"])


def comparisons_table(verdicts: Sequence[Verdict]) -> str:
    """Markdown of what one looks up: a row for each control of each claim; below it why a claim was not tested."""
    parts = [_markdown(_comparisons(verdicts), _COMPARED)] if any(not v.reason for v in verdicts) else []
    parts += [f"**{v.claim}** is left out: {v.reason}." for v in verdicts if v.reason]
    return "\n\n".join(parts)


def claims_text(verdicts: Sequence[Verdict]) -> str:
    """The two tables of `claims_table` for a shell: no line is longer than 100 characters."""
    read = _markdown(_verdicts(verdicts), ["", "claim", "verdict", "measure"], "simple", [2, 38, 13, 36])
    parts = [read, "", *(f"{v.claim} is left out: {v.reason}." for v in verdicts if v.reason)]
    if any(not v.reason for v in verdicts):
        parts.append(_markdown(_comparisons(verdicts), _COMPARED, "simple", [5, 24, 10, 16, 8, 5, 9, 7]))
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


def _markdown(
    rows: Sequence[Sequence[object]],
    columns: Sequence[str],
    form: str = "pipe",
    widths: Sequence[int] | None = None,
) -> str:
    text: str = pd.DataFrame(rows, columns=list(columns)).to_markdown(
        index=False, disable_numparse=True, tablefmt=form, maxcolwidths=widths
    )
    return text


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


def listed(names: Sequence[object]) -> str:
    """Join names, as in "C1, C2 and C3"."""
    *first, last = names
    return f"{', '.join(map(str, first))} and {last}" if first else str(last)


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
        As for `fer_lib.plot.charts.networks_of_a_claim`.
    """
    columns = {v.claim: CLAIMS[v.claim].column for v in verdicts if not v.reason}
    above = [name for name, column in columns.items() if (untrained[column].dropna() < own[column]).all()]
    count = f"all {len(untrained)} untrained ones"
    if not above:
        return f"the trained network's measure lies above that of {count} for none of them"
    if len(above) == len(columns):
        return f"the trained network's measure lies above that of {count} for each that could be tested"
    return f"the trained network's measure lies above that of {count} for {listed(above)} alone"


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


def number(value: float) -> str:
    """Write the value of a measure, or that there were too few items to give one."""
    return f"{value:.3f}" if math.isfinite(value) else "too few to say"


# ------------------------------------------------------------------------------------------------ training


def movement(moved: pd.Series) -> str:
    """Say how far the filters are from where they started, as in "7.0 % (conv1), 18.0 % (conv2) and 16.0 % (conv3)".

    Parameters
    ----------
    moved
        `fer_lib.network.training.Trained.moved`.
    """
    filters = moved[moved.index.str.startswith("conv")]
    *first, last = (f"{moved_share(share)} ({name})" for name, share in filters.items())
    return f"{', '.join(map(str, first))} and {last}" if first else str(last)


def moved_share(share: float) -> str:
    """Write how far weights moved, in percent of their start, or in multiples of it where they exploded."""
    return percent(share, 1) if share < 10 else f"{share:,.0f} times"


# ------------------------------------------------------------------------------------------------ measures


def summarize_matches(matches: pd.DataFrame) -> str:
    """Say in some sentences how well the chosen maps do on the test people, or that it cannot be said.

    Parameters
    ----------
    matches
        From `fer_lib.measures.detectors.evaluate_matches`.
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


def protocols_table(table: pd.DataFrame) -> str:
    """Markdown of `fer_lib.study.traditional.TraditionalRoute.protocols`; below it what was left out, and why."""
    shown = pd.DataFrame(
        {
            name: [str(n) if n else "—" for n in table[column]]
            for name, column in {"trainings": "trainings", "test pictures": "test"}.items()
        },
        index=table.index,
    )
    shares = {name: name for name in ("same person", "same sequence", "same picture")}
    for name, column in (shares | {"traditional": "accuracy", "network": "network"}).items():
        shown[name] = [percent(share, 1) for share in table[column]]
    text: str = shown.reset_index().to_markdown(index=False, disable_numparse=True)
    for reason, names in table.groupby("lacking", sort=False).groups.items():
        if reason:
            text += f"\n\n**Left out** ({'; '.join(names)}): {reason}."
    return text


def choices_table(choices: pd.DataFrame) -> str:
    """Markdown of `fer_lib.measures.choices.distance_choices`."""
    changed = [f"{c} of {u}" for c, u in zip(choices["changed"], choices["units"], strict=True)]
    auc = [f"{value:.2f}" if np.isfinite(value) else "too few to say" for value in choices["auc"]]
    shown = pd.DataFrame({"units whose map changes": changed, "mean AUC": auc}, index=choices.index)
    shown.loc[choices["without"] == choices["units"], :] = "no single winner"
    text: str = shown.reset_index().to_markdown(index=False, disable_numparse=True)
    return text


def swapped_table(table: pd.DataFrame) -> str:
    """Markdown of `fer_lib.measures.ablation.remove_keep_patch`: accuracy with matched and with random maps, and the difference."""
    rows = [
        (
            str(way),
            percent(row["accuracy"], 1),
            percent(row["accuracy_random"], 1),
            f"{100 * row['accuracy_effect']:+.1f} [{100 * row['accuracy_low']:.1f}, {100 * row['accuracy_high']:.1f}]",
            f"{row['accuracy_p']:.2g}",
            f"{row['loss_p']:.2g}",
            # Where no set of maps changes a picture there is no spread to say what could have been seen.
            f"{100 * row['accuracy_detectable']:.1f}" if row["accuracy_detectable"] > 1e-9 else "—",
        )
        for way, row in table.iterrows()
    ]
    columns = ["way", "matched", "random", "points [95 %]", "p", "p, cross-entropy", "seen from"]
    return _markdown(rows, columns)


def swapped(table: pd.DataFrame) -> str:
    """Say how the four ways of asking came out."""
    beaten = [str(way) for way, p in table["accuracy_p"].items() if p <= LEVEL]
    first = table.iloc[0]
    who = f"{int(first['pictures'])} pictures of {int(first['people'])} people"
    ways = f"in {listed(beaten)}" if beaten else f"in none of the {len(table)} ways"
    return (
        f"On {who}, the matched maps matter more for accuracy than random ones as loud (mean loudness {first['loudness']:.2f} and "
        f"{first['loudness_random']:.2f}) at 5 % {ways}."
    )


def criteria(found: Comparison, by_expression: pd.DataFrame) -> str:
    """Say whether units raise the expressions that they define, and for how many expressions the unit that does most is one of these."""
    named = by_expression["named"]
    return (
        f"A unit raises the logit of an expression that it takes part in by {found.difference:+.2f} standard deviations more than units "
        f"that are assigned at random (95 % [{found.low:.2f}, {found.high:.2f}], p = {found.p:.2g}, {found.n} units). Of {len(named)} "
        f"expressions, {int(named.sum())} {'is' if named.sum() == 1 else 'are'} raised most by a unit of their own criterion."
    )


def criteria_table(by_expression: pd.DataFrame) -> str:
    """Markdown of `fer_lib.measures.criteria.by_expression`."""
    rows = [
        (
            str(name),
            row["units"],
            f"{row['own']:+.2f}",
            f"{row['others']:+.2f}" if math.isfinite(row["others"]) else "—",
            str(row["first"]),
        )
        for name, row in by_expression.iterrows()
    ]
    return _markdown(
        rows, ["expression", "its units", "they raise it by", "other units by", "raised most by"]
    )


def units_table(units: pd.DataFrame) -> str:
    """Markdown of `fer_lib.measures.dissection.dissect_units` by action unit (index)."""
    rows = [
        (
            str(au),
            f"{row['map']:.0f}",
            *(f"{row[name]:.3f}" for name in ("iou", "best", "ceiling")),
            *(percent(row[name]) for name in ("silent", "hits", "chance")),
        )
        for au, row in units.iterrows()
    ]
    columns = ["AU", "map", "IoU", "best of all", "ceiling", "silent", "in the region", "place at random"]
    return _markdown(rows, columns)


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


def levels_table(rates: pd.DataFrame) -> str:
    """Markdown of `fer_lib.levels.rejection_rates`."""
    rows = [
        (
            str(name),
            percent(row["rejected"], 1),
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
            percent(row["bound"], 1),
            "yes" if row["holds"] else "**no**",
        )
        for name, row in rates.iterrows()
    ]
    return _markdown(rows, ["p of", "rejects", "interval", "chance explains up to", "keeps 5 %"])


def levels(rates: pd.DataFrame) -> str:
    """Say how many p values keep their level."""
    broken = list(rates.index[~rates["holds"]])
    last = f"; too often reject: {listed(broken)}" if broken else ""
    return f"{int(rates['holds'].sum())} of {len(rates)} keep it, each in {int(rates['runs'].iloc[0])} simulations{last}."


def saliency(table: pd.DataFrame) -> str:
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
