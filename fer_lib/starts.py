"""Every start of the weights at two rates, followed until the loss converges or training diverges, and judged on validation people.

Which start and rate the book uses was chosen here: the test people take no part. Far from their start, weights have learned features;
near it, learning is lazy and the filters are nearly those that were drawn (Chizat, Oyallon and Bach, 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from itertools import product
from typing import Any

import pandas as pd

from fer_lib import __version__
from fer_lib.artifacts.store import Store
from fer_lib.config import Division, Selection, Settings, Training
from fer_lib.kept import Kept
from fer_lib.measures.detectors import LEAST, select_and_test
from fer_lib.network.model import INITIALISATIONS
from fer_lib.network.training import Diverged
from fer_lib.study import Study

RATES = (0.01, 0.001)
"""Learning rates, the paper's last."""
ENDS = ("untrained", "converged", "epochs", "diverged")
"""How a run ends: no step was taken; the loss no longer falls; the limit of passes came first; loss or weights are no numbers any more."""


@dataclass(frozen=True)
class StartRuns(Kept):
    """Trainings that differ in start and rate alone.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for the network before its first step and one for each start and rate: ``initialisation``, ``learning_rate`` (NaN without a
        step), ``ended`` (one of `ENDS`), ``passes``, ``steps``, ``loss`` (nats, training pictures of the last pass), ``accuracy``
        (share of the validation pictures that are read rightly), ``auc`` (that of the map that AUC chooses for an action unit among the
        people trained on, on the validation people's apex frames: mean over units), ``moved_conv1``, ``moved_conv2``, ``moved_conv3``
        (see `fer_lib.network.training.Trained`). NaN what a run that diverged does not have.
    provenance : dict
        See `fer_lib.kept.Kept`.
    """

    what = "trainings from every start"
    command = "fer starts"
    modules = ("render.dataset", "starts")
    kinds = {  # noqa: RUF012 - a ClassVar of the base
        "initialisation": str,
        "learning_rate": float,
        "ended": str,
        **dict.fromkeys(("passes", "steps", "loss", "accuracy", "auc"), float),
        **dict.fromkeys(("moved_conv1", "moved_conv2", "moved_conv3"), float),
    }

    @classmethod
    def shaping(cls, settings: Settings) -> dict[str, Any]:
        """Return the settings that shape every run: all of training, but for start and rate, and of the choice of pictures."""
        configs = (Training, Division, Selection)
        names = ["preset", "seed", "n_exemplars", *(f.name for config in configs for f in fields(config))]
        return settings.subset(*(name for name in names if name not in ("initialisation", "learning_rate")))

    @classmethod
    def check(cls, table: pd.DataFrame) -> None:
        """Raise a ValueError for an end that there is not."""
        if unknown := set(table["ended"]) - set(ENDS):
            raise ValueError(f"a run ended {min(unknown)!r}")


def run_starts(settings: Settings, store: Store | None = None, *, progress: bool = True) -> StartRuns:
    """Train from every start at every rate, on the training people less the validation people, and test on the latter.

    What is in the artifact store already is not computed again.

    Parameters
    ----------
    settings : Settings
        Everything but ``initialisation`` and ``learning_rate``; ``epochs`` is the limit of each run.
    store, progress
        As for `Study`.
    """
    before = Study(settings.replace(epochs=0), store, progress=progress).trainable()
    rows = [{"initialisation": settings.initialisation, **_run(before)}]
    for initialisation, rate in product(INITIALISATIONS, RATES):
        chosen = settings.replace(initialisation=initialisation, learning_rate=rate)
        found = _run(Study(chosen, store, progress=progress))
        rows.append({"initialisation": initialisation, "learning_rate": rate, **found})
    provenance = {
        "date": date.today().isoformat(),
        "version": __version__,
        "code": StartRuns.code_digest(),
        "faces": before.faces_record,
        "settings": StartRuns.shaping(settings),
    }
    table = pd.DataFrame(rows, columns=list(StartRuns.kinds)).astype(dict(StartRuns.kinds))
    return StartRuns(table, provenance)


def _run(study: Study) -> Mapping[str, Any]:
    """Train on the people who are neither tested nor validated on, and say how that ended."""
    try:
        trained = study.validated
    except Diverged as end:
        return {"ended": "diverged", "passes": end.epoch}
    truth = study.labels[study.validation.test]
    row = {
        "ended": trained.stopped if trained.steps else "untrained",
        "passes": len(trained.history),
        "steps": trained.steps,
        "accuracy": float((trained.predictions.argmax(1) == truth).mean()),
        "auc": _best_auc(study),
    }
    if trained.steps:
        row["loss"] = trained.history["loss"].iloc[-1]
    return row | {f"moved_{layer}": trained.moved[layer] for layer in ("conv1", "conv2", "conv3")}


def _best_auc(study: Study) -> float:
    """Mean AUC, on the validation people, of the map that AUC chooses for each action unit on the people trained on."""
    train, test = (study.apexes(side) for side in (study.validation.train, study.validation.test))
    aus, present = study.coded_aus, study.present
    found = select_and_test(
        study.validated_responses.maximum,
        present[list(aus)],
        train,
        test,
        units=aus,
    )
    enough = (found["test_with"] >= LEAST) & (found["test_without"] >= LEAST)
    return float(found.loc[enough, "test_auc"].mean())
