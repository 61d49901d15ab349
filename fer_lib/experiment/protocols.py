"""Four ways to divide the pictures into training and test, and the accuracy that each leads to.

Training a network for every division takes hours; the traditional route shows in seconds what a division is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.experiment.chain import SPLIT
from fer_lib.experiment.study import Study
from fer_lib.network import splits
from fer_lib.network.splits import Split

FOLDS = 3  # of people, for the traditional route
BY_SUBJECT, IN_FOLDS, LEAK = "unseen people", "leave people out, in folds", "the paper's random pictures"
COPIES = "the same, other copies of them trained on"  # the paper draws from the augmented set


def by_protocol(study: Study) -> pd.DataFrame:
    """Compare the divisions: what each shares between its sides, and the accuracy it leads to.

    Returns
    -------
    DataFrame
        As `traditional_by_protocol`, with the column `network` of `with_network`.
    """

    def compute(folder: Path) -> None:
        traditional_by_protocol(study).to_parquet(folder / "protocols.parquet")

    artifact = study.store.fetch(
        "protocols",
        compute,
        settings=study.settings.part("strongest", "resize", "crop", *(p for p in SPLIT if p != "split")),
        upstream=[study.pictures.key],
        sources=["experiment.protocols", "faces.preprocess"],
    )
    return with_network(study, pd.read_parquet(artifact.path / "protocols.parquet"))


def traditional_by_protocol(study: Study, folds: int = FOLDS) -> pd.DataFrame:
    """Run the traditional route under every division of the labelled pictures.

    Returns
    -------
    DataFrame
        Index `test on`; `trainings`, `test` (pictures), `same person`, `same sequence` and `same picture` (share of test pictures
        whose person, sequence or very picture is trained on), `traditional` (share right, over all test pictures).
    """
    labelled = np.flatnonzero(study.labels >= 0)
    people = [
        Split(labelled[part.train], labelled[part.test])
        for part in splits.subject_folds(study.table.iloc[labelled], folds)
    ]
    alone = {
        name: type(study)(study.settings.but(split=split), study.store, progress=study.progress)
        for name, split in ((BY_SUBJECT, "subject"), (LEAK, "leak"))
    }
    rows = {name: ([of.split], of.traditional.accuracy) for name, of in alone.items()}
    sizes = [len(part.test) for part in people]
    right = [study.traditional_on(part).accuracy for part in people]
    rows[IN_FOLDS] = people, float(np.average(right, weights=sizes))
    copies = Split(labelled, alone[LEAK].split.test)
    rows[COPIES] = [copies], study.traditional_on(copies).accuracy
    return pd.DataFrame(
        [
            {"test on": name, **_shared(study.table, rows[name][0]), "traditional": rows[name][1]}
            for name in (BY_SUBJECT, IN_FOLDS, LEAK, COPIES)
        ]
    ).set_index("test on")


def with_network(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Add the network's accuracy under those divisions that it was trained under, NaN elsewhere."""
    network = pd.Series(np.nan, index=table.index)
    right = study.trained.predictions.argmax(1) == study.labels[study.split.test]
    network[LEAK if study.settings.split == "leak" else BY_SUBJECT] = right.mean()
    if study.settings.folds:
        tested = study.cross_validation
        network[IN_FOLDS] = (tested["label"] == tested["predicted"]).mean()
    return table.assign(network=network)


def markdown(table: pd.DataFrame) -> str:
    """Return the table as text, shares in percent, and an em dash where nothing was run."""
    shown = pd.DataFrame(
        {"trainings": table["trainings"].astype(str), "test pictures": table["test"].astype(str)}
    )
    for name in ("same person", "same sequence", "same picture", "traditional", "network"):
        shown[name] = [f"{100 * v:.1f} %" if np.isfinite(v) else "—" for v in table[name]]
    text: str = shown.reset_index().to_markdown(index=False, disable_numparse=True)
    return text


def _shared(table: pd.DataFrame, parts: Sequence[Split]) -> Mapping[str, float]:
    leaks = [splits.leakage(table, part) for part in parts]
    tested = sum(int(leak["test"]) for leak in leaks)
    shared = {
        f"same {name}": sum(leak[name] * leak["test"] for leak in leaks) / tested
        for name in ("subject", "sequence", "picture")
    }
    return {
        "trainings": len(parts),
        "test": tested,
        "same person": shared["same subject"],
        "same sequence": shared["same sequence"],
        "same picture": shared["same picture"],
    }
