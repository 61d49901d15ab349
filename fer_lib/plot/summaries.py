"""What pages and commands say of results: markdown tables and sentences, made from numbers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

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
        rows.append((f"**{v.claim}** {v.statement}", f"**{v.decision}**", measure, controls))
    columns = ["claim", "verdict", "measure", "above its controls by"]
    text: str = pd.DataFrame(rows, columns=columns).to_markdown(index=False)
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
    *first, last = (f"{_moved(share)} ({name})" for name, share in filters.items())
    return f"{', '.join(first)} and {last}" if first else last


def _moved(share: float) -> str:
    """Write how far weights moved, in percent of their start, or in multiples of it where they exploded."""
    return percent(share, 1) if share < 10 else f"{share:,.0f} times"


def starts_table(table: pd.DataFrame, initialisation: str, learning_rate: float) -> str:
    """Markdown of `fer_lib.starts.StartRuns.table`; the row of one start and rate is bold."""
    rows = []
    for row in table.to_dict(orient="records"):
        untrained = row["ended"] == "untrained"
        cells = [
            "before the first step" if untrained else row["initialisation"],
            "—" if untrained else f"{row['learning_rate']:g}",
            {"epochs": "limit of passes", "untrained": "—"}.get(row["ended"], row["ended"]),
            "—" if untrained else f"{row['passes']:.0f}",
            f"{row['loss']:.2g}" if math.isfinite(row["loss"]) else "—",
            percent(row["accuracy"], 1),
            " / ".join(_moved(row[f"moved_{layer}"]) for layer in ("conv1", "conv2", "conv3"))
            if row["steps"] > 0
            else "—",
            f"{row['auc']:.2f}" if math.isfinite(row["auc"]) else "—",
        ]
        if (row["initialisation"], row["learning_rate"]) == (initialisation, learning_rate):
            cells = [f"**{cell}**" for cell in cells]
        rows.append(cells)
    columns = [
        "start",
        "rate",
        "ended",
        "passes",
        "loss",
        "accuracy",
        "moved: conv1 / conv2 / conv3",
        "AUC of the best map",
    ]
    text: str = pd.DataFrame(rows, columns=columns).to_markdown(index=False, disable_numparse=True)
    return text


# ------------------------------------------------------------------------------------------------ several seeds


def seeds_table(table: pd.DataFrame) -> str:
    """Markdown of `fer_lib.seeds.SeedRuns.table`: a column for each seed with its network, then each claim's verdict and measure."""
    columns: dict[str, list[str]] = {}
    claims = list(dict.fromkeys(table["claim"]))
    for seed, rows in table.groupby("seed"):
        cells = [
            f"{decision} ({number(value) if measure else 'not tested'})"
            for decision, measure, value in zip(rows["decision"], rows["measure"], rows["value"], strict=True)
        ]
        network = rows.iloc[0]
        moved = [_moved(network[f"moved_{layer}"]) for layer in ("conv1", "conv2", "conv3")]
        about = [percent(network["accuracy"], 1), f"{network['steps']:.0f}", " / ".join(moved)]
        columns[f"seed {seed}"] = [*about, *cells]
    index = ["accuracy", "steps", "moved: conv1 / conv2 / conv3", *claims]
    text: str = pd.DataFrame(columns, index=index).to_markdown(disable_numparse=True)
    return text


def agreement(table: pd.DataFrame) -> str:
    """Say in a sentence which claims get one verdict whatever the seed, and which do not."""
    decisions = table.groupby("claim")["decision"].unique()
    same = [f"{claim} ({found[0]})" for claim, found in decisions.items() if len(found) == 1]
    other = [f"{claim} ({', '.join(found)})" for claim, found in decisions.items() if len(found) > 1]
    parts = [f"The same verdict with all {table['seed'].nunique()} seeds: {', '.join(same)}."] if same else []
    parts += [f"It depends on the seed: {', '.join(other)}."] if other else []
    return " ".join(parts)


def provenance(made: Mapping[str, Any], code: str) -> str:
    """Say when and from what kept results were made, and whether the code has changed since.

    Parameters
    ----------
    made
        `fer_lib.kept.Kept.provenance`.
    code
        Digest of the code as it is now, `fer_lib.kept.Kept.code_digest`.
    """
    now = "the same as here" if made["code"] == code else "**changed since then**"
    faces = "rendered faces" if "rendered" in made["faces"] else "these faces"
    return (
        f"Run on {made['date']} with fer-lib {made['version']}, preset `{made['settings']['preset']}`, {faces}; "
        f"the code of the study ({made['code']}) is {now}."
    )


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
