"""Numbers of executed notebooks, read back: one tidy table of any number of runs.

Every notebook leaves its numbers and tables inside its executed copy (`fer_lib.book.record`). A sweep writes them into a file beside it,
one format for all notebooks; here such files, and executed notebooks, become one table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lib.errors import FerError

FORMAT = 1
"""Version of the files."""
COLUMNS = ("notebook", "table", "item", "name", "value", "text")
_KEPT = "fer"
_LIBRARIES = ("fer-lib", "numpy", "pandas", "scikit-learn", "scipy", "torch", "torchvision")


def of_notebook(notebook: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what an executed notebook recorded.

    Parameters
    ----------
    notebook
        Its JSON.
    name
        Of the notebook, without its ending.

    Returns
    -------
    dict
        ``format``, ``notebook``, ``parameters`` (those that papermill was given), ``made`` (ISO 8601, UTC), ``seconds`` that it ran,
        ``versions`` of the libraries, ``numbers`` (name to value) and ``tables`` (name to rows).

    Raises
    ------
    FerError
        If it has not been executed.
    """
    about = notebook.get("metadata", {}).get("papermill")
    if about is None:
        raise FerError(f"{name}: this notebook was not executed by papermill; execute it first")
    numbers: dict[str, Any] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            kept = output.get("metadata", {}).get(_KEPT)
            if kept is None:
                continue
            if "table" in kept:
                tables[kept["table"]] = kept["rows"]
            else:
                numbers[output["metadata"]["scrapbook"]["name"]] = kept["value"]
    return {
        "format": FORMAT,
        "notebook": name,
        "parameters": about.get("parameters", {}),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": about.get("duration"),
        "versions": {library: _version(library) for library in _LIBRARIES},
        "numbers": numbers,
        "tables": tables,
    }


def read(path: Path) -> dict[str, Any]:
    """Read a file that a sweep wrote, or an executed notebook.

    Raises
    ------
    FerError
        If it is neither, or of another version of the format.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if path.suffix == ".ipynb":
            return of_notebook(content, path.stem)
        if content["format"] != FORMAT:
            raise FerError(f"{path}: format {content['format']}, not {FORMAT}; make it again")
        _ = (
            content["notebook"],
            content["numbers"].keys(),
            content["tables"].keys(),
            content["parameters"].keys(),
        )
    except OSError as error:
        raise FerError(f"{path}: {error.strerror}; give an executed notebook, or a folder of them") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FerError(f"{path}: not the results of a notebook ({error!r}); make it again") from None
    return content


def rows_of(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return what a notebook recorded as one tidy table.

    Returns
    -------
    pandas.DataFrame
        A row for each value, with `COLUMNS`: ``table`` (empty for single numbers), ``item`` (what the row of that table is about: its first
        column), ``name`` (of the number, or of the table's column), ``value`` (as a number; NaN for text) and ``text`` (else empty).
    """
    rows = [("", "", name, value) for name, value in result["numbers"].items()]
    for table, records in result["tables"].items():
        for row in records:
            first, *others = row
            rows += [(table, str(row[first]), name, row[name]) for name in others]
    cells = [
        (result["notebook"], table, item, name, *_value_and_text(value)) for table, item, name, value in rows
    ]
    return pd.DataFrame(cells, columns=list(COLUMNS)).astype({"value": float})


def collect(folder: Path) -> pd.DataFrame:
    """Return the values of all runs in a folder.

    Parameters
    ----------
    folder
        A sweep's, or any that holds executed notebooks in folders, one for each run.

    Returns
    -------
    pandas.DataFrame
        As `rows_of`, with ``run`` (the folder's name) before and a column for each parameter that varies.

    Raises
    ------
    FerError
        If there is no result below it.
    """
    files = sorted(folder.rglob("*.json")) or sorted(folder.rglob("*.ipynb"))
    files = [file for file in files if ".snakemake" not in file.parts and file.parent != folder]
    if not files:
        raise FerError(f"{folder}: no results of notebooks below it; run `fer sweep`, or give another folder")
    results = {file: read(file) for file in files}
    varying = varying_parameters([result["parameters"] for result in results.values()])
    tables = []
    for file, result in results.items():
        about = {name: result["parameters"].get(name) for name in varying}
        table = rows_of(result)
        for place, (name, value) in enumerate({"run": file.parent.name, **about}.items()):
            table.insert(place, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def varying_parameters(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the parameters that are not the same in all of some runs."""
    names = dict.fromkeys(name for given in parameters for name in given)
    return [name for name in names if len({json.dumps(given.get(name)) for given in parameters}) > 1]


def compare(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return what differs between two runs.

    Parameters
    ----------
    one, other
        As `rows_of`, of one notebook or of several.

    Returns
    -------
    pandas.DataFrame
        A row for each value that differs: ``notebook``, ``table``, ``item``, ``name``, ``one``, ``other``, ``difference`` (NaN: text).
        What one of the two lacks is empty there.
    """
    keys = ["notebook", "table", "item", "name"]
    both = one[[*COLUMNS]].merge(other[[*COLUMNS]], "outer", on=keys, suffixes=("_one", "_other"), sort=False)
    same_text = both["text_one"].fillna("") == both["text_other"].fillna("")
    same_value = (both["value_one"] == both["value_other"]) | (
        both["value_one"].isna() & both["value_other"].isna()
    )
    shown = {
        side: both[f"value_{side}"]
        .astype(object)
        .where(both[f"value_{side}"].notna(), both[f"text_{side}"].fillna(""))
        for side in ("one", "other")
    }
    differing = both[keys].assign(**shown, difference=both["value_other"] - both["value_one"])
    return differing[~(same_text & same_value)].reset_index(drop=True)


def spread(table: pd.DataFrame, names: Iterable[str] = ()) -> pd.DataFrame:
    """Return how the single numbers, and the decisions, of a sweep spread over its runs.

    Parameters
    ----------
    table
        As `collect`.
    names
        Of the numbers; all by default.

    Returns
    -------
    pandas.DataFrame
        A row for each number: ``notebook``, ``name``, ``runs``, ``mean``, ``sd`` (of a sample; NaN for one run), ``lowest``, ``highest``.
    """
    numbers = table[(table["table"] == "") & table["value"].notna()]
    if wanted := list(names):
        numbers = numbers[numbers["name"].isin(wanted)]
    found = numbers.groupby(["notebook", "name"], sort=False)["value"].agg(
        runs="size", mean="mean", sd="std", lowest="min", highest="max"
    )
    return found.reset_index()


def _value_and_text(value: Any) -> tuple[float, str]:
    if isinstance(value, Mapping):
        value = float(value["number"])
    if isinstance(value, bool | int | float):
        return float(value), ""
    return float("nan"), "" if value is None else str(value)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
