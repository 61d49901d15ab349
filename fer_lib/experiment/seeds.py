"""The verdicts under several seeds: whether a claim holds by the luck of one split and one initialisation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lib import __version__
from fer_lib.artifacts.sources import source_digests
from fer_lib.artifacts.store import Store
from fer_lib.errors import FerError
from fer_lib.experiment.settings import Settings
from fer_lib.experiment.study import Study
from fer_lib.experiment.trial import judge_claims

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
        ``date``, ``version``, ``preset``, ``faces`` ("rendered" or "brought") and ``code``, a digest of the code.
    """

    table: pd.DataFrame
    made: dict[str, str]

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
        now = "the same as here" if made["code"] == code_digest() else "changed since then"
        return (
            f"Run on {made['date']} with fer-lib {made['version']}, preset `{made['preset']}`, {made['faces']} faces; "
            f"the code of the study ({made['code']}) is {now}."
        )

    def save(self, file: Path) -> None:
        """Write a json file that :func:`load` reads."""
        rows = self.table.to_dict(orient="records")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**self.made, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def load(file: Path) -> SeedRuns:
    """Read what :meth:`SeedRuns.save` wrote.

    Raises
    ------
    FerError
        If it is missing or unreadable; the message says how to make it.
    """
    try:
        made: dict[str, Any] = json.loads(file.read_text("utf-8"))
        table = pd.DataFrame(made.pop("rows"))[list(COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # a page must not show a path
        raise FerError(
            f"no verdicts of several seeds in {file.name} ({why}): make them with `fer seeds 0 1 2 --out {file.parent.name}/{file.name}`"
        ) from error
    return SeedRuns(table, made)


def code_digest() -> str:
    """Return 12 hexadecimal digits that change with the code of faces, study and claims, not with its comments."""
    digests = source_digests(["render.dataset", "experiment.trial"])
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:12]


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
        If there is no seed, or one comes twice.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise FerError(f"seeds are {list(seeds)}: give at least one, none of them twice")
    tables = []
    for chosen in [settings.but(seed=seed) for seed in seeds]:  # all are checked before the first one runs
        seed, study = chosen.seed, Study(chosen, store, progress=progress)
        right = study.trained.predictions.argmax(1) == study.labels[study.split.test]
        verdict = judge_claims(study).assign(seed=seed, accuracy=float(right.mean()))
        tables.append(verdict[list(COLUMNS)])
    made = {
        "date": date.today().isoformat(),
        "version": __version__,
        "preset": settings.preset,
        "faces": "brought" if settings.faces else "rendered",
        "code": code_digest(),
    }
    return SeedRuns(pd.concat(tables, ignore_index=True), made)
