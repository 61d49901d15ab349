"""The verdicts under several seeds: whether a claim holds by the luck of one split and one initialisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import pandas as pd

from fer_lib import __version__
from fer_lib.artifacts.store import Store
from fer_lib.claims import DECISIONS, Verdict, verdicts_table
from fer_lib.config import Rendering, Settings
from fer_lib.errors import FerError
from fer_lib.kept import Kept
from fer_lib.study import Study

NETWORK = ("accuracy", "steps", "moved_conv1", "moved_conv2", "moved_conv3")


@dataclass(frozen=True)
class SeedRuns(Kept):
    """Verdicts of several runs that differ in nothing but the seed.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each seed and claim: ``seed``, ``accuracy`` (share of the test pictures that the network gets right), ``steps`` of
        its training, ``moved_conv1``, ``moved_conv2`` and ``moved_conv3`` (see `fer_lib.network.training.Trained`), ``claim``,
        ``measure`` (its name; empty for a claim that was not put to its test), ``value``, ``low`` and ``high`` (its interval; NaN
        where unknown), ``decision``.
    provenance : dict
        See `fer_lib.kept.Kept`; the settings are all that may shape a verdict, but for the seed.
    """

    what = "verdicts of several seeds"
    command = "fer seeds 0 1 2"
    modules = ("render.dataset", "study")
    kinds = {  # noqa: RUF012 - a ClassVar of the base
        "seed": int,
        **dict.fromkeys(NETWORK, float),
        "claim": str,
        "measure": str,
        **dict.fromkeys(("value", "low", "high"), float),
        "decision": str,
    }

    @classmethod
    def shaping(cls, settings: Settings) -> dict[str, Any]:
        """Return the settings that shape the verdicts of every seed."""
        apart = {"seed", "faces", "publish", "folds", *(f.name for f in fields(Rendering))}
        return settings.subset(*(f.name for f in fields(Settings) if f.name not in apart))

    @classmethod
    def check(cls, table: pd.DataFrame) -> None:
        """Raise a ValueError for a decision that there is not."""
        if unknown := set(table["decision"]) - set(DECISIONS):
            raise ValueError(f"a decision is {min(unknown)!r}")


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


def runs_table(runs: Mapping[int, tuple[Mapping[str, float], Sequence[Verdict]]]) -> pd.DataFrame:
    """Return the table of `SeedRuns` from what is said of each seed's network (the columns `NETWORK`) and its verdicts."""
    tables = [
        verdicts_table(verdicts).assign(seed=seed, **network) for seed, (network, verdicts) in runs.items()
    ]
    return pd.concat(tables, ignore_index=True)[list(SeedRuns.kinds)].astype(dict(SeedRuns.kinds))


def run_seeds(
    settings: Settings, seeds: Sequence[int], store: Store | None = None, *, progress: bool = True
) -> SeedRuns:
    """Run a study with each of some seeds; what is in the artifact store already is not computed again.

    Parameters
    ----------
    settings : Settings
        Everything but the seed.
    seeds : sequence of int
        Seeds of starting weights, order, augmentation, dropout and permutations, all different.
    store, progress
        As for `Study`.

    Raises
    ------
    FerError
        As `with_seeds`, before the first one runs.
    """
    runs: dict[int, tuple[Mapping[str, float], Sequence[Verdict]]] = {}
    faces: dict[str, Any] = {}
    for chosen in with_seeds(settings, seeds):
        study = Study(chosen, store, progress=progress)
        trained = study.trained
        network = {"accuracy": study.accuracy, "steps": trained.steps} | {
            f"moved_{layer}": trained.moved[layer] for layer in ("conv1", "conv2", "conv3")
        }
        runs[chosen.seed], faces = (network, study.claims), study.faces_record
    provenance = {
        "date": date.today().isoformat(),
        "version": __version__,
        "code": SeedRuns.code_digest(),
        "faces": faces,
        "settings": SeedRuns.shaping(settings),
    }
    return SeedRuns(runs_table(runs), provenance)
