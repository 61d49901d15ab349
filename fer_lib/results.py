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

FORMAT = 2
"""Version of the files."""
COLUMNS = ("notebook", "table", "item", "name", "value", "text")
BETWEEN = " / "
"""Stands between the parts of an item's name."""
PLAN = "plan.json"
"""What a sweep is about, in its folder."""
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
        ``versions`` of the libraries, ``numbers`` (name to value) and ``tables`` (name to rows). A sweep adds ``ended``, why there are
        no more numbers (empty: it went through), ``code``, a digest of the code, ``threads``, how many, and ``state``, all that the
        result depends on.

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
                names = kept["columns"]
                tables[kept["table"]] = [dict(zip(names, row, strict=True)) for row in kept["rows"]]
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
        content = _json(path)
    except OSError as error:
        raise FerError(f"{path}: {error.strerror}; give an executed notebook, or a folder of them") from None
    try:
        if path.suffix == ".ipynb":
            return of_notebook(content, path.stem)
        if content["format"] != FORMAT:
            raise FerError(f"{path}: format {content['format']}, not {FORMAT}; make it again")
        rows_of(content)
        _ = content["parameters"].keys()
    except FerError:
        raise
    except KeyError as error:
        raise _no_results(path, f"{error.args[0]!r} is not in it") from None
    except (ValueError, TypeError, AttributeError, IndexError):
        raise _no_results(path, "it is laid out otherwise") from None
    return content


def _json(path: Path) -> Any:
    """Read JSON; a FerError if it is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        why = f"no JSON at line {error.lineno}" if error.doc.strip() else "it is empty"
    except UnicodeDecodeError:
        why = "it is no text"
    except RecursionError:
        why = "it is nested too deeply"
    raise _no_results(path, why)


def _no_results(path: Path, why: str) -> FerError:
    return FerError(f"{path}: not the results of a notebook ({why}); make it again")


def rows_of(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return what a notebook recorded as one tidy table.

    Returns
    -------
    pandas.DataFrame
        A row for each value, with `COLUMNS`: ``table`` (empty for single numbers), ``item`` (what the row of that table is about: its first
        column, or as many as tell its rows apart, with `BETWEEN` between them), ``name`` (of the number, or of the table's column),
        ``value`` (as a number; NaN for text) and ``text`` (else empty).
    """
    rows = [("", "", name, value) for name, value in result["numbers"].items()]
    if result.get("ended"):
        rows.append(("", "", "ended", result["ended"]))
    for table, records in result["tables"].items():
        told = _telling(records)
        for row in records:
            item = BETWEEN.join(str(row[name]) for name in told)
            rows += [(table, item, name, value) for name, value in row.items() if name not in told]
    cells = [
        (result["notebook"], table, item, name, *_value_and_text(value)) for table, item, name, value in rows
    ]
    return pd.DataFrame(cells, columns=list(COLUMNS)).astype({"value": float})


def error_in(notebook: Path) -> str:
    """Return the first line of the error that ended an executed notebook; an empty string if none did, or it is not there."""
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return ""
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        if output.get("output_type") == "error":
            return f"{output['ename']}: {output['evalue'].partition(chr(10))[0]}"
    return ""


def files_of(folder: Path) -> list[Path]:
    """Return the files of a run: what a sweep wrote for each notebook or, where it wrote nothing, executed notebooks."""
    found = sorted(folder.glob("*.json"))
    return found or [file for file in sorted(folder.glob("*.ipynb")) if not file.stem.endswith(".failed")]


def read_run(place: Path) -> list[dict[str, Any]]:
    """Read all results of one run.

    Parameters
    ----------
    place
        Its folder, such as ``out/sweeps/seeds/trained+seed=3``, an executed notebook, or a file that a sweep wrote.

    Returns
    -------
    list of dict
        As `of_notebook`, one for each notebook, all with the same parameters.

    Raises
    ------
    FerError
        If there is no such place, no result in it, or those of several runs.
    """
    if not place.is_dir():
        return [read(place)]
    if (place / PLAN).is_file():
        runs = [folder.name for folder in _folders(place) if files_of(folder)]
        named = ", ".join(runs[:3]) + (", ..." if len(runs) > 3 else "")
        raise FerError(f"{place}: this is a whole sweep; name one of its runs ({named or 'none is done'})")
    files = files_of(place)
    if not files:
        raise FerError(f"{place}: no run; give a folder with results of notebooks, as out/sweeps/NAME/RUN")
    found = [read(file) for file in files]
    if varying := varying_parameters([result["parameters"] for result in found]):
        raise FerError(
            f"{place}: notebooks of several runs ({', '.join(varying)} differ); give the folder of one"
        )
    return found


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
    runs = {place.name: files for place in _folders(folder) if (files := files_of(place))}
    if not runs:
        raise FerError(f"{folder}: no results of notebooks below it; run `fer sweep`, or give another folder")
    results = [(run, read(file)) for run, files in runs.items() for file in files]
    varying = varying_parameters([result["parameters"] for _, result in results])
    tables = []
    for run, result in results:
        about = {name: result["parameters"].get(name) for name in varying}
        table = rows_of(result)
        for place, (name, value) in enumerate({"run": run, **about}.items()):
            table.insert(place, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _folders(folder: Path) -> list[Path]:
    """Folders of the runs of a sweep that are there."""
    if not folder.is_dir():
        return []
    return sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


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


def recorded(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return one of the tables that notebooks recorded, as it was, for all runs.

    Parameters
    ----------
    table
        As `collect`.
    name
        Of the recorded table.

    Returns
    -------
    pandas.DataFrame
        A row for each run and item, in their order there: ``run``, ``item`` and a column for each of the table's; numbers where all
        values are, else text (empty where there was none). No row where nothing of that name was recorded.
    """
    rows = table[table["table"] == name]
    if rows.empty:
        return pd.DataFrame(columns=["run", "item"])
    columns = {}
    for column, cells in rows.set_index(["run", "item"]).groupby("name", sort=False):
        text = cells["text"].fillna("")
        columns[column] = cells["value"] if (text == "").all() else text
    order = pd.MultiIndex.from_frame(rows[["run", "item"]].drop_duplicates())
    return pd.DataFrame(columns).reindex(order).reset_index()


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


def _telling(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the first columns of a table, as many as tell its rows apart; all but the last where none do."""
    names = list(records[0]) if records else []
    for number in range(1, len(names)):
        if len({tuple(str(row[name]) for name in names[:number]) for row in records}) == len(records):
            return names[:number]
    return names[:-1]


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
