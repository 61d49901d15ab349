"""Numbers that a notebook puts into its text and leaves for other programs: typed, inside the executed notebook.

A number that is shown by ``{glue:text}`` travels as text. Here it is kept as a number too, in the metadata of the same output, and whole
tables beside it; `fer_lib.results` reads them from any executed copy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import display
from myst_nb import glue as _glue

KEY = "fer"
"""Where in an output's metadata the values lie."""
_HIDDEN = "application/papermill.record/text/plain"


def glue(name: str, value: Any, *, display: bool = False) -> None:
    """Give a value a name by which the page shows it, and keep it as what it is.

    Parameters
    ----------
    name
        Unique in the book.
    value
        A number, a truth value or text is kept for other programs; anything else, such as a picture, is only shown.
    display
        Whether the cell shows it as well.
    """
    plain = _plain(value)
    if display or isinstance(plain, _Nothing):
        _glue(name, value, display=display)
    else:
        _emit(name, repr(value), {"value": plain})


def record(name: str, table: pd.DataFrame) -> None:
    """Keep a table for other programs; nothing is shown.

    Parameters
    ----------
    name
        Unique in the notebook.
    table
        Numbers, truth values and text; its index becomes the first columns where it has a name.
    """
    named = [level for level in table.index.names if level is not None]
    frame = table.reset_index() if named else table
    # Notebooks are written with the names of a mapping sorted, so the order of columns is kept in a list.
    columns = [str(column) for column in frame.columns]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    _emit(f"table-{name}", f"{len(rows)} rows", {"table": name, "columns": columns, "rows": rows})


class _Nothing:
    """A value that has no plain form."""


def _cell(value: Any) -> Any:
    plain = _plain(value)
    return str(value) if isinstance(plain, _Nothing) else plain


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}  # JSON has neither NaN nor infinity
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _Nothing()


def _emit(name: str, text: str, kept: dict[str, Any]) -> None:
    scrapbook = {"name": name, "mime_prefix": _HIDDEN.removesuffix("text/plain")}
    display({_HIDDEN: text}, raw=True, metadata={"scrapbook": scrapbook, KEY: kept})
