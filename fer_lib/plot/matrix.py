"""All action units on all maps at once: a matrix whose colours switch between measures, and whose cells open maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import numpy as np
import pandas as pd
from IPython.display import HTML

from fer_lib.errors import FerError
from fer_lib.plot.fragment import asset, fragment, json_numbers


@dataclass(frozen=True, eq=False)
class MatrixView:
    """One measure of every action unit on every map.

    Attributes
    ----------
    name
        Of the measure, as a choice and before a value.
    values
        A row for each action unit (by its number) and a column for each map (by its number); NaN where not known.
    scale
        What the colours mean, a sentence.
    middle
        The value without colour.
    by_unit
        Whether each unit has a scale of its own.
    """

    name: str
    values: pd.DataFrame
    scale: str
    middle: float = 0.0
    by_unit: bool = False


def by_leading_unit(effect: pd.DataFrame) -> list[int]:
    """Order maps by the action unit that raises them most, and among those of one unit by how much.

    Parameters
    ----------
    effect
        Change of each map (column) by each unit (row).
    """
    values = effect.fillna(-np.inf).to_numpy(float)
    leading = values.argmax(axis=0)
    order = np.lexsort((-values[leading, np.arange(values.shape[1])], leading))
    return [int(number) for number in effect.columns[order]]


def matrix_of_maps(
    views: Sequence[MatrixView],
    *,
    order: Sequence[int],
    au_names: Mapping[int, str],
    name: str,
    link: str = "",
    identifier: str = "matrix",
) -> HTML:
    """Show action units (rows) on maps (columns), where no kernel runs too.

    Parameters
    ----------
    views
        Measures to choose from; the first is shown first, and its units are the rows.
    order
        Numbers of the maps, from left to right.
    au_names
        Names of the action units.
    name
        Of the whole, for readers who cannot see it.
    link
        Address of a map, with ``{map}`` in the place of its number; empty: cells open nothing.
    identifier
        Unlike that of any other matrix on the page.

    Returns
    -------
    HTML
        A self-contained fragment; without scripts it is a list of each unit's best map by each measure.

    Raises
    ------
    FerError
        If there is no view, or no unit or no map.
    """
    if not views or views[0].values.empty or not len(order):
        raise FerError("matrix: nothing to show; give a view with a unit and a map")
    aus = [int(au) for au in views[0].values.index]
    units = [f"AU {au}" + (f" {au_names[au]}" if au in au_names else "") for au in aus]
    tables = [view.values.reindex(index=aus, columns=list(order)).astype(float) for view in views]
    data = {
        "views": [
            {
                "name": view.name,
                "values": json_numbers(table.to_numpy(), 3),
                "middle": view.middle,
                "largest": _largest(table.to_numpy() - view.middle, view.by_unit),
                "scale": view.scale,
            }
            for view, table in zip(views, tables, strict=True)
        ],
        "units": units,
        "maps": [int(number) for number in order],
        "link": link,
    }
    choices = []
    for i, view in enumerate(views):
        button = f'<input type="radio" name="{escape(identifier)}" value="{i}"{"" if i else " checked"} autocomplete="off">'
        choices.append(f"<label>{button} {escape(view.name)}</label>")
    body = Template(asset("matrix.html")).substitute(
        choices="\n".join(choices),
        name=escape(name),
        rows="\n".join(f"<tr><td>{au}</td></tr>" for au in aus),
        best=_best_maps(views, tables, units, link),
    )
    return HTML(fragment("matrix", body, data, name=name))


def _largest(distance: np.ndarray, by_unit: bool) -> list[float]:
    """What has the full colour in each row."""
    size = np.nan_to_num(np.where(np.isfinite(distance), np.abs(distance), 0.0))
    rows = size.max(axis=1) if by_unit else np.full(len(size), size.max())
    return [float(value) or 1.0 for value in rows]


def _best_maps(
    views: Sequence[MatrixView], tables: Sequence[pd.DataFrame], units: Sequence[str], link: str
) -> str:
    """HTML of a list, which any width holds: for each unit the map with the largest value by each measure."""
    rows = []
    for i, unit in enumerate(units):
        parts = []
        for view, table in zip(views, tables, strict=True):
            row = table.iloc[i][np.isfinite(table.iloc[i])]
            if row.empty:
                continue
            best = int(row.index[int(row.to_numpy().argmax())])
            shown = f"map {best}"
            if link:  # the script gives it the address, once the page's own scripts have looked for theirs
                shown = f'<a data-map="{best}">{shown}</a>'
            parts.append(f"{escape(view.name)}: {shown} ({row.max():.2f})")
        rows.append(f"<li><b>{escape(unit)}</b> {'; '.join(parts) or '—'}</li>")
    return f"<ul>{''.join(rows)}</ul>"
