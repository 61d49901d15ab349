"""Numbers, names and tables as the pages write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd


def percent(share: float, digits: int = 0) -> str:
    """Write a share in percent, an unknown one as a dash."""
    return f"{100 * share:.{digits}f} %" if math.isfinite(share) else "—"


def number(value: float) -> str:
    """Write the value of a measure, or that there were too few items to give one."""
    return f"{value:.3f}" if math.isfinite(value) else "too few to say"


def two_digits(value: float, *, p: bool = False) -> str:
    """Write a share or, with `p`, a p value with two digits; an unknown one as a dash."""
    if not math.isfinite(value):
        return "—"
    return "<\N{NO-BREAK SPACE}0.01" if p and value < 0.01 else f"{value:.2f}"


def with_interval(value: float, low: float, high: float) -> str:
    """Write a value with its interval, as in "0.71 [0.60, 0.80]"; an unknown one as a dash."""
    if not math.isfinite(value):
        return "—"
    return f"{two_digits(value)} [{two_digits(low)}, {two_digits(high)}]"


def listed(names: Sequence[object]) -> str:
    """Join names, as in "C1, C2 and C3"."""
    *first, last = names
    return f"{', '.join(map(str, first))} and {last}" if first else str(last)


def markdown_table(
    rows: pd.DataFrame | Sequence[Sequence[object]],
    columns: Sequence[str] | None = None,
    *,
    form: str = "pipe",
    widths: Sequence[int] | None = None,
) -> str:
    """Write a table whose cells are finished texts.

    Parameters
    ----------
    rows
        A table, whose index is left out, or the cells of each row.
    columns
        Titles; None: those of the table.
    form
        As `tabulate` calls it: ``"pipe"`` for a page, ``"simple"`` for a shell.
    widths
        Most letters in a line of each column; None: no limit.
    """
    text: str = pd.DataFrame(rows, columns=None if columns is None else list(columns)).to_markdown(
        index=False, disable_numparse=True, tablefmt=form, maxcolwidths=widths
    )
    return text


def describe_rows(table: pd.DataFrame, name: str, cells: Mapping[str, Callable[[pd.Series], object]]) -> str:
    """Write a table with a row for each of `table`.

    Parameters
    ----------
    table
        Its index stands in the first column.
    name
        Title of that column.
    cells
        What further columns make of each row of `table`, by their titles.
    """
    rows = [(str(index), *(cell(row) for cell in cells.values())) for index, row in table.iterrows()]
    return markdown_table(rows, [name, *cells])
