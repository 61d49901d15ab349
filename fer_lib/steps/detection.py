"""Are maps detectors? Tests that take a minute or so each: checks of the measures, one map or many, other draws of people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.measures import bootstrap_maps as bootstrap
from fer_lib.measures import label_checks as checking
from fer_lib.measures import sparse_probe
from fer_lib.measures.arrays import Floats
from fer_lib.measures.distance import Zero, distances
from fer_lib.measures.ranks import auc
from fer_lib.probe.responses import Responses
from fer_lib.steps.stored import Labelled


def _apexes(pictures: Artifact, responses: Artifact, aus: Sequence[int]) -> tuple[Floats, Floats, np.ndarray]:
    """The last picture of every sequence: maxima of the maps (n, C), which units it shows (n, J), and who is on it (n,)."""
    table = frames.saved_table(pictures.path)
    apex = frames.is_apex(table)
    present = frames.au_present(table)[list(aus)].to_numpy()
    return Responses.load(responses.path).maximum[apex], present[apex], table["subject"].to_numpy()[apex]


@step()
def label_checks(
    folder: Path, pictures: Artifact, responses: Artifact, aus: Sequence[int], draws: int, seed: int
) -> None:
    """Spoil labels and see which measures notice, of the maps and of ideal ones; write ``checks.parquet``."""
    maximum, present, subject = _apexes(pictures, responses, aus)
    of_maps = checking.label_checks(maximum, present, subject, draws=draws, seed=seed)
    # An ideal map answers to its unit alone: 1 with it, 0 without; what is not coded is not asked for.
    ideal = checking.label_checks(
        np.nan_to_num(present), present, subject, concept=np.arange(len(aus)), draws=draws, seed=seed
    )
    pd.concat([of_maps.assign(responses="maps"), ideal.assign(responses="ideal maps")]).to_parquet(
        folder / "checks.parquet", index=False
    )


@step()
def one_or_many(
    folder: Path,
    pictures: Artifact,
    responses: Artifact,
    aus: Sequence[int],
    ks: Sequence[int],
    seed: int,
) -> None:
    """Detect action units with one map and with several, on people of whom nothing was chosen; write ``probes.parquet``."""
    found = sparse_probe.one_or_many(*_apexes(pictures, responses, aus), aus=aus, ks=ks, seed=seed)
    found.to_parquet(folder / "probes.parquet")


@step()
def bootstrap_maps(
    folder: Path,
    pictures: Artifact,
    responses: Artifact,
    aus: Sequence[int],
    division: Division,
    n: int,
    zero: Zero,
    draws: int,
    seed: int,
) -> None:
    """Choose every unit's map anew on people drawn anew, by D and by AUC; write ``maps.parquet``."""
    known = Labelled.load(pictures, neutral=division.neutral)
    people, apex = known.split_of_all(division), frames.is_apex(known.table)
    train, test = (part[apex[part]] for part in (people.train, people.test))
    ways: dict[str, dict[str, Any]] = {
        "D": {
            "score": lambda maxima, present: distances(maxima, present, n=n, zero=zero),
            "chosen_on": people.train,
        },
        "AUC": {"score": auc},
    }
    found = [
        bootstrap.bootstrap_maps(
            Responses.load(responses.path).maximum,
            frames.au_present(known.table)[list(aus)].to_numpy(),
            known.table["subject"],
            train,
            test,
            aus=aus,
            draws=draws,
            seed=seed,
            **options,
        ).table.assign(chosen_by=way)
        for way, options in ways.items()
    ]
    pd.concat(found).to_parquet(folder / "maps.parquet", index=False)
