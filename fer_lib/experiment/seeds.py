"""The verdicts under several seeds: whether a claim holds by the luck of one split and one initialisation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lib import __version__
from fer_lib.artifacts.files import plain_refusals, write_aside
from fer_lib.artifacts.sources import source_digests
from fer_lib.artifacts.store import Store
from fer_lib.config import Rendering, Settings
from fer_lib.errors import FerError, Lacking
from fer_lib.experiment.trial import judge_claims
from fer_lib.study import Study

COLUMNS = ("seed", "accuracy", "claim", "verdict", "measure")


@dataclass(frozen=True)
class SeedRuns:
    """Verdicts of several runs that differ in nothing but the seed.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each seed and claim: ``seed``, ``accuracy`` (share of the test pictures that the network gets right),
        ``claim``, ``verdict``, ``measure``.
    made : dict
        ``date``, ``version``, ``settings`` (all that may shape a verdict, but for the seed), ``faces`` (see
        `fer_lib.study.Study.faces_record`) and ``code``, a digest of the code.
    """

    table: pd.DataFrame
    made: dict[str, Any]

    def markdown(self) -> str:
        """Return a table with a column for each seed: accuracy, then the verdict and the measure of each claim."""
        columns: dict[str, list[str]] = {}
        claims = list(dict.fromkeys(self.table["claim"]))
        for seed, rows in self.table.groupby("seed"):
            cells = [
                f"{v} ({m.rpartition(': ')[2]})"
                for v, m in zip(rows["verdict"], rows["measure"], strict=True)
            ]
            columns[f"seed {seed}"] = [f"{100 * rows['accuracy'].iloc[0]:.1f} %", *cells]
        text: str = pd.DataFrame(columns, index=["accuracy", *claims]).to_markdown(disable_numparse=True)
        return text

    def agreement(self) -> str:
        """Say in a sentence which claims get one verdict whatever the seed, and which do not."""
        words = self.table.groupby("claim")["verdict"].unique()
        same = [f"{claim} ({found[0]})" for claim, found in words.items() if len(found) == 1]
        other = [f"{claim} ({', '.join(found)})" for claim, found in words.items() if len(found) > 1]
        number = self.table["seed"].nunique()
        parts = [f"The same verdict with all {number} seeds: {', '.join(same)}."] if same else []
        parts += [f"It depends on the seed: {', '.join(other)}."] if other else []
        return " ".join(parts)

    def provenance(self) -> str:
        """Say when and from what this was made, and whether the code has changed since."""
        made = self.made
        now = "the same as here" if made["code"] == code_digest() else "**changed since then**"
        faces = "rendered faces" if "rendered" in made["faces"] else "these faces"
        return (
            f"Run on {made['date']} with fer-lib {made['version']}, preset `{made['settings']['preset']}`, {faces}; "
            f"the code of the study ({made['code']}) is {now}."
        )

    def of(self, study: Study) -> SeedRuns:
        """Return these runs, if they were made with the faces and the settings of a study.

        Raises
        ------
        Lacking
            If not; the message says what they are about and how to make others.
        """
        own, made = _described(study), self.made
        if own["faces"] != made["faces"]:
            other = "rendered faces" if "rendered" in made["faces"] else "faces of somebody's own"
            what = f"other faces ({other})"
        elif own["settings"] != made["settings"]:
            names = own["settings"].keys() | made["settings"].keys()
            changed = sorted(
                f"{n}={made['settings'].get(n)!r}"
                for n in names
                if own["settings"].get(n) != made["settings"].get(n)
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
        rows = self.table.to_dict(orient="records")
        with plain_refusals(file, "verdicts", "give another file; the runs are stored and not made again"):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_aside(file, (json.dumps({**self.made, "rows": rows}, indent=1) + "\n").encode())


def load(file: Path) -> SeedRuns:
    """Read what :meth:`SeedRuns.save` wrote.

    Raises
    ------
    Lacking
        If it is missing or unreadable; the message says how to make it.
    """
    try:
        made: dict[str, Any] = json.loads(file.read_text("utf-8"))
        _ = made["settings"]["preset"], made["faces"].keys(), made["code"]
        table = pd.DataFrame(made.pop("rows"))[list(COLUMNS)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # a page must not show a path
        raise Lacking(
            f"no verdicts of several seeds in {file.name} ({why}): make them with `fer seeds 0 1 2 --out {file.parent.name}/{file.name}`"
        ) from error
    return SeedRuns(table, made)


def code_digest() -> str:
    """Return 12 hexadecimal digits that change with the code of faces, study and claims, not with its comments."""
    digests = source_digests(["render.dataset", "experiment.trial"])
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:12]


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
    tables = []
    for chosen in with_seeds(settings, seeds):
        seed, study = chosen.seed, Study(chosen, store, progress=progress)
        right = study.trained.predictions.argmax(1) == study.labels[study.split.test]
        verdict = judge_claims(study).assign(seed=seed, accuracy=float(right.mean()))
        tables.append(verdict[list(COLUMNS)])
    made = {
        "date": date.today().isoformat(),
        "version": __version__,
        "code": code_digest(),
        **_described(study),
    }
    return SeedRuns(pd.concat(tables, ignore_index=True), made)


def _described(study: Study) -> dict[str, Any]:
    """Return faces and settings of a study, as far as they shape the verdicts of every seed."""
    apart = {
        "seed",
        "faces",
        "publish",
        "folds",
        *(f.name for f in fields(Rendering)),
    }  # the faces are noted apart
    settings = study.settings.part(*(f.name for f in fields(Settings) if f.name not in apart))
    return {"faces": study.faces_record, "settings": settings}
