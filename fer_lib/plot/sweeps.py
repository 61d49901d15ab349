"""What pages say of many networks: tables and sentences from the numbers that a sweep recorded.

Tables come as `fer_lib.published.Published.recorded` gives them: a row for each run and item, with ``run``, ``set``, ``choice`` and
``item`` before the numbers, and the parameters of each run behind them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fer_lib.claims import DECISIONS
from fer_lib.measures.stability import count_decisions
from fer_lib.plot.text import markdown_table, percent
from fer_lib.plot.training import moved_share

FILTERS = ("moved_conv1", "moved_conv2", "moved_conv3")
ENDS = {"epochs": "limit of passes", "converged": "converged", "untrained": "—"}


def provenance(made: Mapping[str, Any], *, current: bool) -> str:
    """Say when and from what the numbers of a sweep were made, how many runs they rest on, and whether the code has changed since.

    Parameters
    ----------
    made
        `fer_lib.published.Published.provenance`.
    current
        Whether all of it was made with the code as it is now.
    """
    faces = "rendered faces" if "rendered" in made["faces"] else "these faces"
    done, asked = len(made["done"]), len(made["runs"])
    text = (
        f"`fer sweep sweeps/{made['sweep']}.yaml` made these numbers on {made['date']} with fer-lib {made['versions']['fer-lib']}, "
        f"preset `{made['settings']['preset']}`, {faces}; {done} of its {asked} runs are finished. "
    )
    text += "The code has not changed since." if current else "**The code has changed since.**"
    if made["failed"]:
        text += "".join(f"\n- Failed: `{name}` ({error})." for name, error in made["failed"].items())
    return text


def decisions_table(verdicts: pd.DataFrame, by: str = "set") -> str:
    """Markdown: a row for each claim, a column for each group of networks, how often each verdict was given, of how many, and its interval.

    Parameters
    ----------
    verdicts
        Recorded table `verdicts`; items are the claims.
    by
        Column that groups the networks.
    """
    counts = count_decisions(verdicts.rename(columns={"item": "claim"}), [by])
    counts["order"] = counts["decision"].map(DECISIONS.index)
    cells: dict[str, dict[str, str]] = {}
    for (group, claim), rows in counts.groupby([by, "claim"], sort=False):
        lines = [
            f"{row['decision']} {row['count']} of {row['n']} ({100 * row['low']:.0f}–{100 * row['high']:.0f} %)"
            for row in rows.sort_values("order").to_dict("records")
        ]
        cells.setdefault(str(group), {})[str(claim)] = "; ".join(lines)
    table = pd.DataFrame(cells).fillna("—").rename_axis("claim")
    return markdown_table(table.sort_index().reset_index())


def networks_table(training: pd.DataFrame, by: str = "set") -> str:
    """Markdown: how the networks of each group ended: mean, and in brackets the range.

    Parameters
    ----------
    training
        Recorded table `training`.
    by
        Column that groups the networks.
    """
    rows = []
    for group, runs in training.groupby(by, sort=False):
        rows.append(
            {
                by: group,
                "networks": str(len(runs)),
                "ended": _ends(runs),
                "accuracy": _range(100 * runs["accuracy"], "{:.1f} %"),
                "steps": _range(runs["steps"], "{:,.0f}"),
                "moved: conv1 / conv2 / conv3": _moved(runs),
            }
        )
    return markdown_table(pd.DataFrame(rows))


def regimes_table(
    training: pd.DataFrame, winners: pd.DataFrame, initialisation: str, learning_rate: float
) -> str:
    """Markdown: what became of each start and rate, means over the networks that did not diverge; one row bold.

    Parameters
    ----------
    training, winners
        Recorded tables; runs have the parameters `initialisation` and, unless they take no step, `learning_rate`.
    initialisation, learning_rate
        Of the row that is bold.
    """
    best = winners.groupby("run")["auc_auc"].mean()
    training = training.assign(auc=training["run"].map(best))
    rows = []
    training = training.assign(
        rate=training["learning_rate"].fillna(0.0)
    )  # a network that takes no step has none
    for (start, rate), runs in training.groupby(["initialisation", "rate"], sort=False):
        untrained = rate == 0
        cells = {
            "start": str(start),
            "rate": "no step" if untrained else f"{rate:g}",
            "ended": _ends(runs),
            "loss": _mean(runs["loss"], "{:.2g}"),
            "accuracy": _mean(100 * runs["accuracy"], "{:.1f} %"),
            "moved: conv1 / conv2 / conv3": "—" if untrained else _moved(runs),
            "AUC of the best map": _mean(runs["auc"], "{:.2f}"),
        }
        if (start, rate) == (initialisation, learning_rate):
            cells = {name: f"**{cell}**" for name, cell in cells.items()}
        rows.append(cells)
    return markdown_table(pd.DataFrame(rows))


def choices_table(
    training: pd.DataFrame, verdicts: pd.DataFrame, selectivity: pd.DataFrame, default: str = "default"
) -> str:
    """Markdown: each choice beside the default: accuracy and selectivity of D's winners with their differences, and the verdicts.

    Parameters
    ----------
    training, verdicts, selectivity
        Recorded tables; ``choice`` tells the choices apart.
    default
        The choice that the others are compared with.
    """
    measures = {
        "accuracy": training.groupby("choice", sort=False)["accuracy"].mean(),
        "selectivity of D's maps": selectivity.groupby("choice", sort=False)["among units"].mean(),
    }
    rows = []
    for choice, runs in training.groupby("choice", sort=False):
        row = {"choice": str(choice), "networks": str(len(runs))}
        for name, means in measures.items():
            value, reference = means.get(choice, math.nan), means.get(default, math.nan)
            row[name] = percent(value, 1)
            if choice != default and math.isfinite(value - reference):
                row[name] += f" ({100 * (value - reference):+.1f})"
        own = verdicts[verdicts["choice"] == choice]
        for claim, decided in own.groupby("item", sort=True)["decision"]:
            counts = decided.value_counts()
            row[str(claim)] = "; ".join(f"{name} {counts[name]}" for name in DECISIONS if name in counts)
        rows.append(row)
    return markdown_table(pd.DataFrame(rows).fillna("—"))


def winning_maps_table(found: pd.DataFrame, winners: pd.DataFrame) -> str:
    """Markdown: for each action unit how many maps win, whether D lies above chance, and whether its winner detects the unit.

    Parameters
    ----------
    found
        From `fer_lib.measures.stability.winning_maps`.
    winners
        Recorded table `winners` of the same networks, items the action units.
    """
    rows = []
    for row in found.to_dict("records"):
        of_au = winners[winners["item"] == str(row["AU"])]
        rows.append(
            {
                "AU": str(row["AU"]),
                "networks": str(row["networks"]),
                "different maps": str(row["maps"]),
                "same map as before training": f"{row['before']} of {row['compared']}"
                if row["compared"]
                else "—",
                "D above chance": _below(of_au["p_null"]),
                "its map detects": _below(of_au["p_d"]),
                "AUC of its map": _range(of_au["auc_d"], "{:.2f}"),
            }
        )
    return markdown_table(pd.DataFrame(rows))


def _below(p: pd.Series) -> str:
    """Say in how many networks a p is at most 0.05."""
    known = p.dropna()
    return f"{int((known <= 0.05).sum())} of {len(known)}" if len(known) else "—"


def _ends(runs: pd.DataFrame) -> str:
    """Say how often networks ended in each way, and after how many passes."""
    parts = []
    for ended, some in runs.groupby("ended", sort=False):
        if ended == "untrained":
            parts.append("untrained")
            continue
        passes = _range(some["passes"], "{:.0f}")
        way = (
            f"diverged in pass {passes}"
            if ended == "diverged"
            else f"{ENDS[str(ended)]} after {passes} passes"
        )
        parts.append(way if len(some) == len(runs) else f"{len(some)} {way}")
    return "; ".join(parts)


def _moved(runs: pd.DataFrame) -> str:
    known = runs.dropna(subset=list(FILTERS))
    return " / ".join(moved_share(known[name].mean()) for name in FILTERS) if len(known) else "—"


def _mean(values: pd.Series, form: str) -> str:
    known = values.dropna()
    return form.format(known.mean()) if len(known) else "—"


def _range(values: pd.Series, form: str) -> str:
    """Write a mean and, where values differ as they are written, the lowest and the highest."""
    known = values.dropna()
    if known.empty:
        return "—"
    ends: Sequence[str] = [form.format(end) for end in (known.min(), known.max())]
    mean = form.format(known.mean())
    return mean if ends[0] == ends[1] else f"{mean} ({ends[0]} to {ends[1]})"
