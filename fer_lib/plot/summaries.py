"""What pages and commands say of results: markdown tables and sentences, made from numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_lib.claims import CLAIMS, Verdict
from fer_lib.measures.comparisons import POWER, Comparison
from fer_lib.measures.detectors import LEAST
from fer_lib.measures.dissection import BAR


def percent(share: float, digits: int = 0) -> str:
    """Write a share in percent, an unknown one as a dash."""
    return f"{100 * share:.{digits}f} %" if math.isfinite(share) else "—"


# ------------------------------------------------------------------------------------------------ claims


def claims_table(verdicts: Sequence[Verdict]) -> str:
    """Markdown of the verdicts: a row for each claim, with its measure and how far it lies above each control."""
    rows = []
    for v in verdicts:
        controls = "; ".join(map(comparison, v.comparisons)) if not v.reason else f"left out: {v.reason}"
        measure = f"{v.measure}: {number(v.value)}" if not v.reason else "not tested"
        margin = f"{CLAIMS[v.claim].margin:g}"
        rows.append((f"**{v.claim}** {v.statement}", f"**{v.decision}**", measure, controls, margin))
    columns = ["claim", "verdict", "measure", "above its controls by", "matters from"]
    text: str = pd.DataFrame(rows, columns=columns).to_markdown(index=False, disable_numparse=True)
    return text


def comparison(found: Comparison) -> str:
    """Say how far a measure lies above a control, with its interval and p, as in "chance +0.120 [0.050, 0.190], p = 0.003"."""
    if not math.isfinite(found.difference):
        return f"{found.name}: too few to say"
    interval = f" [{found.low:.3f}, {found.high:.3f}]" if math.isfinite(found.low) else ""
    return f"{found.name} {found.difference:+.3f}{interval}, p = {found.p:.2g}"


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
    return f"{', '.join(first)} and {last}" if first else last


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
    """Say which measures notice both kinds of spoilt labels; see `fer_lib.study.Study.label_checks`."""
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
    """Say what the table of `fer_lib.study.Study.dissection` shows, or that too few test people show any AU."""
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
    """Markdown of `fer_lib.study.Study.protocols`; below it what was left out, and why."""
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
