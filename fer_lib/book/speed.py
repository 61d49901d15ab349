"""Reads the speed table that ``python -m benchmarks`` has written, for the book."""

from __future__ import annotations

import hashlib
import json
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


def conditions(rows: list[dict[str, Any]]) -> str:
    """One paragraph: when, on what and with which code the rows were measured, and whether at full size."""
    seen = dict.fromkeys((row["machine"], row.get("date", "an unknown date")) for row in rows)
    text = "; ".join(f"{machine}, on {day}" for machine, day in seen)
    tiny = (
        " **Tiny sizes** (`--quick`): these show that it runs, not how fast."
        if any(r.get("quick") for r in rows)
        else ""
    )
    codes = {row.get("code") for row in rows}
    if None in codes:
        code = "Which code was measured is not noted."
    elif codes == {code_digest()}:
        code = "The code that was measured is the same as here."
    else:
        code = "**The code that was measured has changed since then.**"
    return f"Measured on: {text}. {code}{tiny}"


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
