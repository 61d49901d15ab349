"""Numbers of a sweep that the book ships: one table small enough for git, and beside it what it was made from.

A page shows them only with the faces and settings that they were made with, as it cannot make hours of training anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import pandas as pd

from fer_lib import results
from fer_lib.artifacts.files import plain_refusals, write_aside
from fer_lib.artifacts.sources import source_digests
from fer_lib.config import Rendering, Settings
from fer_lib.errors import FerError, Lacking

TABLES: dict[str, tuple[str, ...]] = {
    "training": (),
    "verdicts": ("value", "decision"),
    "measures": ("value",),
    "comparisons": ("difference", "p", "n"),
    "winners": ("map_d", "d", "p_null", "auc_d", "p_d", "map_auc", "auc_auc", "p_auc"),
    "selectivity": ("among units",),
}
"""What notebooks record and pages read of it, by table: these columns, or all of them."""
COLUMNS = ("run", "table", "item", "name", "value", "text")
MODULES = ("render.dataset", "study.study")
"""Modules whose code, with that of what they import, shapes the numbers."""
FOLDER = Path(__file__).resolve().parents[1] / "book" / "sweeps"  # where the tables lie that the book ships

_DIGITS = 6
# What does not shape a number, or is part of what the faces are.
_APART = frozenset({"seed", "faces", "publish", "folds", *(f.name for f in fields(Rendering))})


@dataclass(frozen=True)
class Published:
    """The numbers of a sweep.

    Attributes
    ----------
    table : pandas.DataFrame
        `COLUMNS`, a row for each number, as `fer_lib.results.collect` and of `TABLES` alone.
    provenance : dict
        ``sweep`` (its name), ``date`` (of the last result), ``versions`` (of the libraries), ``code`` (digests of the code that the
        results were made with, one unless it changed meanwhile), ``faces`` (`fer_lib.faces.digest.record_of_faces`), ``settings``
        (those that shape the numbers where no run says otherwise), ``fixed`` (what the sweep's file gives all runs), ``runs`` (by name:
        ``set`` and ``chosen``, the parameters of its own), ``done`` (names of the runs that are whole) and ``failed`` (by notebook:
        first line of its error).
    """

    table: pd.DataFrame
    provenance: dict[str, Any]

    def save(self, file: Path) -> None:
        """Write the table, and beside it the provenance as json; numbers have six digits.

        Raises
        ------
        FerError
            If it cannot be written, or `file` does not end in ``.csv``.
        """
        if file.suffix != ".csv":
            raise FerError(
                f"{file}: give a name that ends in .csv; what the table was made from is written beside it as json"
            )
        text = self.table.to_csv(index=False, float_format=f"%.{_DIGITS}g", lineterminator="\n")
        about = json.dumps(self.provenance, indent=1, allow_nan=False)
        with plain_refusals(file, "numbers of a sweep", "give another file; the sweep keeps them"):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_aside(file, text.encode())
            write_aside(file.with_suffix(".json"), f"{about}\n".encode())

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        Lacking
            If it is missing or unreadable; the message says how to make it.
        """
        try:
            table = pd.read_csv(
                file, dtype={"item": str, "text": str}, keep_default_na=False, na_values={"value": [""]}
            )
            made: dict[str, Any] = json.loads(file.with_suffix(".json").read_text("utf-8"))
            table = table[list(COLUMNS)].astype({"value": float})
            _ = made["faces"].keys(), made["settings"]["preset"], made["fixed"].keys(), made["runs"].keys()
            _ = (
                made["sweep"],
                made["date"],
                made["versions"]["fer-lib"],
                [*made["code"], *made["done"], *made["failed"]],
            )
            if unknown := set(table["run"]) - set(made["runs"]):
                raise ValueError(f"no run {min(unknown)!r} was asked for")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)  # a page must not show a path
            raise Lacking(f"no results of the sweep `{file.stem}` ({why}): {_remedy(file.stem)}") from error
        return cls(table, made)

    @classmethod
    def shipped(cls, name: str) -> Self:
        """Read the table of a sweep that the book ships; `Lacking` as :meth:`load`."""
        return cls.load(FOLDER / f"{name}.csv")

    def made_with(self, faces: Mapping[str, Any], settings: Settings) -> Self:
        """Return these numbers, if they were made with these faces and settings.

        Parameters ``fixed`` by the sweep's file, as the division of people in a study of starts, may differ.

        Raises
        ------
        Lacking
            If not; the message says what they are about and how to make others.
        """
        made, own = self.provenance, shaping(settings)
        # A parameter that is younger than the results was what it is by default.
        theirs = {f.name: f.default for f in fields(Settings) if f.name in own} | made["settings"]
        apart = set(made["fixed"]) - {"preset"}
        names = sorted((own.keys() | theirs.keys()) - apart)
        if dict(faces) != made["faces"]:
            what = f"other faces ({'rendered' if 'rendered' in made['faces'] else 'user-supplied'} faces)"
        elif changed := [n for n in names if own.get(n) != theirs.get(n)]:
            what = f"other settings ({', '.join(f'{name}={theirs.get(name)!r}' for name in changed)})"
        else:
            return self
        raise Lacking(
            f"the results of the sweep `{made['sweep']}` were made on {made['date']} with {what}: with those of this book, "
            f"{_remedy(made['sweep'])}"
        )

    def recorded(self, name: str) -> pd.DataFrame:
        """Return a table that notebooks recorded, with ``set``, ``choice`` (see :meth:`choice`) and each run's own parameters.

        Rows are in the order of the sweep's file. Columns besides: see `fer_lib.results.recorded`.

        Raises
        ------
        Lacking
            If no run has come to that table.
        """
        found = results.recorded(self.table, name)
        if found.empty:
            raise Lacking(f"no run of the sweep `{self.provenance['sweep']}` has come to its {name} yet")
        runs = self.provenance["runs"]
        chosen = pd.DataFrame([runs[run]["chosen"] for run in found["run"]], index=found.index)
        place = {run: i for i, run in enumerate(runs)}
        found = pd.concat([found, chosen[[name for name in chosen if name not in found]]], axis=1)
        found.insert(1, "set", [runs[run]["set"] for run in found["run"]])
        found.insert(2, "choice", [self.choice(run) for run in found["run"]])
        return found.sort_values("run", key=lambda names: names.map(place), kind="stable", ignore_index=True)

    def choice(self, run: str) -> str:
        """Return what a run is an example of: its parameters but for the seed, or its set's name where there are none."""
        about = self.provenance["runs"][run]
        chosen = {name: value for name, value in about["chosen"].items() if name != "seed"}
        return ", ".join(f"{name}={value}" for name, value in chosen.items()) or about["set"]

    @property
    def current(self) -> bool:
        """Whether all was made with the code of this library as it is now."""
        return self.provenance["code"] == [code_digest()]


def shaping(settings: Settings) -> dict[str, Any]:
    """Return the settings that shape the numbers of any network, by name: not the seed, and of the faces nothing."""
    return settings.subset(*(f.name for f in fields(Settings) if f.name not in _APART))


def code_digest() -> str:
    """Return 12 hexadecimal digits that change with the code that shapes the numbers, not with its comments."""
    return hashlib.sha256(json.dumps(source_digests(MODULES)).encode()).hexdigest()[:12]


def from_sweep(folder: Path) -> Published:
    """Collect what a sweep has so far, whole or not.

    Parameters
    ----------
    folder
        Its results.

    Raises
    ------
    FerError
        If it is no sweep's folder, or nothing of it is done.
    """
    try:
        plan: dict[str, Any] = json.loads((folder / results.PLAN).read_text("utf-8"))
        settings = Settings(**plan["settings"])
        runs, notebooks = plan["runs"], plan["notebooks"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else repr(error)
        raise FerError(
            f"{folder}: no sweep's folder ({results.PLAN}: {why}); run `fer sweep`, or give another"
        ) from None
    tables, found, done, failed = [], [], [], {}
    for run in runs:
        missing = 0
        for notebook in notebooks:
            file = folder / run / f"{notebook}.json"
            if file.is_file():
                found.append(results.read(file))
                tables.append(results.rows_of(found[-1]).assign(run=run))
            else:
                missing += 1
                if why := results.error_in(folder / run / f"{notebook}.failed.ipynb"):
                    failed[f"{run}/{notebook}"] = _without_places(why)
        if not missing:
            done.append(run)
    if not found:
        raise FerError(f"{folder}: no run of this sweep has a result yet; wait, or see snakemake.log")
    rows = pd.concat(tables, ignore_index=True)
    wanted = [
        table in TABLES and (not TABLES[table] or name in TABLES[table])
        for table, name in zip(rows["table"], rows["name"], strict=True)
    ]
    versions = Counter(tuple(result["versions"].items()) for result in found).most_common(1)[0][0]
    return Published(
        rows.loc[wanted, list(COLUMNS)].reset_index(drop=True),
        {
            "sweep": plan["sweep"],
            "date": max(result["made"] for result in found)[:10],
            "versions": dict(versions),
            "code": sorted({result["code"] for result in found}),
            "faces": plan["faces"],
            "settings": shaping(settings),
            "fixed": {
                name: value for name, value in plan["fixed"].items() if name not in ("faces", "publish")
            },
            "runs": runs,
            "done": done,
            "failed": failed,
        },
    )


def _remedy(name: str) -> str:
    return f"make them with `fer sweep sweeps/{name}.yaml` and `fer results out/sweeps/{name} --out book/sweeps/{name}.csv`"


def _without_places(line: str) -> str:
    """Leave of every absolute path its last part: where it lay on another machine is nobody's concern."""
    return re.sub(r"(?<![\w.])(?:[A-Za-z]:)?[/\\][^\s:;,'\"()]*[/\\]", "", line)
