"""Reads what ``python -m benchmarks`` and ``python -m benchmarks.gpu`` have written, for the book."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lib.artifacts.sources import source_digests
from fer_lib.errors import Lacking

MEASURED = ("probe.activations", "probe.deconv", "network.training", "measures.nulls", "render.dataset")
"""Modules whose speed the table tells."""


def load(file: Path) -> list[dict[str, Any]]:
    """Read the rows of a speed table.

    Raises
    ------
    Lacking
        If there is no table or it cannot be read; the message says how to make it.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # a page must not show a path
        raise Lacking(f"no speed table {file.name} ({why}): make it with `make bench`") from error
    return rows


def load_networks(file: Path) -> dict[str, Any]:
    """Read what ``python -m benchmarks.gpu`` has written: networks that were trained side by side.

    Raises
    ------
    Lacking
        If there is no such file or it cannot be read; the message says how to make it.
    """
    try:
        made: dict[str, Any] = json.loads(file.read_text("utf-8"))
        _ = made["networks"][0]["seconds"], made["machine"], made["date"], made["preset"]
        _ = made["measured"], made["verdicts"]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # a page must not show a path
        raise Lacking(
            f"no networks trained on a GPU in {file.name} ({why}): make them with `python -m benchmarks.gpu` on a machine that has one"
        ) from error
    return made


def networks_summary(made: Mapping[str, Any]) -> str:
    """One paragraph: how many networks were trained side by side, where, when, with which code, and how fast."""
    networks = made["networks"]
    longest = max(network["seconds"] for network in networks)
    rate = sum(network["pictures"] for network in networks) / longest if longest else 0.0
    return (
        f"{len(networks)} networks of the preset `{made['preset']}`, trained side by side on: {made['machine']}, "
        f"on {made['date']}. The one that took longest took {short(longest)}; together they learnt from {rate:,.0f} pictures a "
        f"second. {_code_note({made['measured']})}"
    )


def networks_table(made: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each network that was trained side by side with the others: time, passes, steps, end, accuracy and movement."""
    rows = []
    for network in made["networks"]:
        row = {
            "seed": network["seed"],
            "time": short(network["seconds"]),
            "passes": len(network["curve"]["epoch"]),
            "steps": network["steps"],
            "ended": {"epochs": "limit of passes"}.get(network["stopped"], network["stopped"]),
            "precision": network["precision"],
            "test accuracy": f"{100 * network['accuracy']:.1f} %",
        }
        moved = {f"{layer} moved by": f"{100 * share:.3g} %" for layer, share in network["moved"].items()}
        rows.append(row | {name: text for name, text in moved.items() if name.startswith("conv")})
    return pd.DataFrame(rows)


def conditions(rows: list[dict[str, Any]]) -> str:
    """One paragraph: when, on what and with which code the rows were measured, and whether at full size."""
    seen = dict.fromkeys((row["machine"], row.get("date", "an unknown date")) for row in rows)
    text = "; ".join(f"{machine}, on {day}" for machine, day in seen)
    tiny = (
        " **Tiny sizes** (`--quick`): these show that it runs, not how fast."
        if any(r.get("quick") for r in rows)
        else ""
    )
    return f"Measured on: {text}. {_code_note({row.get('code') for row in rows})}{tiny}"


def _code_note(codes: Set[str | None]) -> str:
    if None in codes:
        return "Which code was measured is not noted."
    if codes == {code_digest()}:
        return "The code that was measured is the same as here."
    return "**The code that was measured has changed since then.**"


def code_digest() -> str:
    """Return 12 hexadecimal digits that change with the code of `MEASURED`, not with its comments."""
    return hashlib.sha256(json.dumps(source_digests(MEASURED)).encode()).hexdigest()[:12]


def shortfalls(rows: list[dict[str, Any]]) -> str:
    """One sentence for every ratio that was asked for and not reached; empty if there is none.

    It says whether the arithmetic alone, done at the rate of a product of large matrices, would have reached it.
    """
    lines = []
    for row in rows:
        wanted = row["wanted"].removeprefix(">=").strip()
        if not row["wanted"].startswith(">=") or row["ratio"] >= float(wanted):
            continue
        text = f"{row['operation']}, beside {row['peer']}: {row['ratio']:.3g} times faster, not {wanted}"
        if row["limit_seconds"]:
            most = row["peer_seconds"] / row["limit_seconds"]
            reach = "out of reach of" if most < float(wanted) else "within reach of"
            text += f"; {reach} this arithmetic, which alone would make it {most:.3g}"
        lines.append(f"- {text}.")
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Lay the rows out for reading: times with units, the ratio beside what was asked for."""
    return pd.DataFrame(
        {
            "operation": row["operation"],
            "here": short(row["ours_seconds"]),
            "beside it": f"{row['peer']}: {short(row['peer_seconds'])}"
            + (f" ({row['note']})" if row["note"] else ""),
            "times faster": f"{row['ratio']:.3g}",
            "asked for": row["wanted"].replace(">=", "≥").replace("<=", "≤"),
            "arithmetic alone": short(row["limit_seconds"]),
        }
        for row in rows
    )


def short(seconds: float | None) -> str:
    """Write a time with three digits and a unit that stays beside it: ``12.7 ms``, ``9.87 s``, ``16.5 min``; a dash for None."""
    if seconds is None:
        return "—"
    for unit, size in (("min", 60.0), ("s", 1.0)):
        if seconds >= 1.5 * size or (unit == "s" and seconds >= 1):
            return f"{seconds / size:.3g}\N{NO-BREAK SPACE}{unit}"
    return f"{1000 * seconds:.3g}\N{NO-BREAK SPACE}ms"
