"""The verdicts under several seeds: whether a claim holds by the luck of one split and one initialisation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lib import __version__
from fer_lib.artifacts.files import plain_refusals, write_aside
from fer_lib.artifacts.sources import source_digests
from fer_lib.artifacts.store import Store
from fer_lib.claims import DECISIONS, Verdict, verdicts_table
from fer_lib.config import Rendering, Settings
from fer_lib.errors import FerError, Lacking
from fer_lib.study import Study

COLUMNS = ("seed", "accuracy", "claim", "measure", "value", "low", "high", "decision")


@dataclass(frozen=True)
class SeedRuns:
    """Verdicts of several runs that differ in nothing but the seed.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each seed and claim: ``seed``, ``accuracy`` (share of the test pictures that the network gets right), ``claim``,
        ``measure`` (its name; empty for a claim that was not put to its test), ``value``, ``low`` and ``high`` (its interval; NaN
        where unknown), ``decision``.
    provenance : dict
        ``date``, ``version``, ``settings`` (all that may shape a verdict, but for the seed), ``faces`` (see
        `fer_lib.study.Study.faces_record`) and ``code``, a digest of the code.
    """

    table: pd.DataFrame
    provenance: dict[str, Any]

    def made_with(self, faces: Mapping[str, Any], settings: Settings) -> SeedRuns:
        """Return these runs, if they were made with these faces and settings.

        Raises
        ------
        Lacking
            If not; the message says what they are about and how to make others.
        """
        made, own = self.provenance, shaping(settings)
        if dict(faces) != made["faces"]:
            other = "rendered faces" if "rendered" in made["faces"] else "user-supplied faces"
            what = f"other faces ({other})"
        elif own != made["settings"]:
            changed = sorted(
                f"{n}={made['settings'].get(n)!r}"
                for n in own.keys() | made["settings"].keys()
                if own.get(n) != made["settings"].get(n)
            )
            what = f"other settings ({', '.join(changed)})"
        else:
            return self
        raise Lacking(
            f"the verdicts of several seeds that are kept were made on {made['date']} with {what}: make them anew with "
            "`fer seeds 0 1 2 --out book/seeds.json`, with the faces and settings of this book"
        )

    def save(self, file: Path) -> None:
        """Write a json file that :func:`load` reads; a FerError if it cannot be written: an older one is then left as it is."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict(orient="records")
        text = json.dumps({**self.provenance, "rows": rows}, indent=1, allow_nan=False)
        with plain_refusals(file, "verdicts", "give another file; the runs are stored and not made again"):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_aside(file, f"{text}\n".encode())


def load(file: Path) -> SeedRuns:
    """Read what :meth:`SeedRuns.save` wrote.

    Raises
    ------
    Lacking
        If it is missing or unreadable; the message says how to make it.
    """
    try:
        made: dict[str, Any] = json.loads(file.read_text("utf-8"))
        _ = made["settings"]["preset"], made["faces"].keys(), made["code"], made["date"], made["version"]
        table = pd.DataFrame(made.pop("rows"))[list(COLUMNS)]
        numbers = {name: float for name in ("accuracy", "value", "low", "high")}
        table = table.astype(numbers | {"seed": int})
        if unknown := set(table["decision"]) - set(DECISIONS):
            raise ValueError(f"a decision is {min(unknown)!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # a page must not show a path
        raise Lacking(
            f"no verdicts of several seeds in {file.name} ({why}): make them with `fer seeds 0 1 2 --out {file.parent.name}/{file.name}`"
        ) from error
    return SeedRuns(table, made)


def code_digest() -> str:
    """Return 12 hexadecimal digits that change with the code of faces, study and claims, not with its comments."""
    digests = source_digests(["render.dataset", "study"])
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:12]


def shaping(settings: Settings) -> dict[str, Any]:
    """Return the settings that shape the verdicts of every seed; those of rendering are part of what the faces are."""
    apart = {
        "seed",
        "faces",
        "publish",
        "folds",
        *(f.name for f in fields(Rendering)),
    }  # those are part of what the faces are
    return settings.subset(*(f.name for f in fields(Settings) if f.name not in apart))


def with_seeds(settings: Settings, seeds: Sequence[int]) -> list[Settings]:
    """Return the settings with each of some seeds, all checked.

    Raises
    ------
    FerError
        If there is no seed, one comes twice, or one is not possible.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise FerError(f"seeds are {list(seeds)}: give at least one, none of them twice")
    return [settings.replace(seed=seed) for seed in seeds]


def runs_table(runs: Mapping[int, tuple[float, Sequence[Verdict]]]) -> pd.DataFrame:
    """Return the table of `SeedRuns` from each seed's accuracy and verdicts."""
    tables = [
        verdicts_table(verdicts).assign(seed=seed, accuracy=accuracy)
        for seed, (accuracy, verdicts) in runs.items()
    ]
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def run_seeds(
    settings: Settings, seeds: Sequence[int], store: Store | None = None, *, progress: bool = True
) -> SeedRuns:
    """Run a study with each of some seeds; what is in the artifact store already is not computed again.

    Parameters
    ----------
    settings : Settings
        Everything but the seed.
    seeds : sequence of int
        Seeds of split, initialisation, augmentation and permutations, all different.
    store, progress
        As for `Study`.

    Raises
    ------
    FerError
        As `with_seeds`, before the first one runs.
    """
    runs: dict[int, tuple[float, Sequence[Verdict]]] = {}
    faces: dict[str, Any] = {}
    for chosen in with_seeds(settings, seeds):
        study = Study(chosen, store, progress=progress)
        runs[chosen.seed], faces = (study.accuracy, study.claims), study.faces_record
    provenance = {
        "date": date.today().isoformat(),
        "version": __version__,
        "code": code_digest(),
        "faces": faces,
        "settings": shaping(settings),
    }
    return SeedRuns(runs_table(runs), provenance)
