"""Four ways to divide the pictures into training and test, and the accuracy that each leads to.

Training a network for every division takes hours; the traditional route shows in seconds what a division is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.errors import FerError, Lacking
from fer_lib.network import splits
from fer_lib.network.splits import Split
from fer_lib.study import Study

_COLUMNS = ("same person", "same sequence", "same picture", "traditional")
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
        settings=study.settings.part(
            "strongest", "resize", "crop", "test_fraction", "test_pictures", "seed", "neutral"
        ),
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
        whose person, sequence or very picture is trained on), `traditional` (share right, over all test pictures), `lacking`
        (why a division, or the traditional route under it, is not there; else empty). What is not there is NaN, 0 trainings.
    """
    labelled = np.flatnonzero(study.labels >= 0)
    table = study.table.iloc[labelled]

    def alone(split: str) -> Study:
        return type(study)(study.settings.replace(split=split), study.store, progress=study.progress)

    def in_folds() -> list[Split]:
        parts = splits.subject_folds(table, min(folds, table["subject"].nunique()))
        return [Split(labelled[part.train], labelled[part.test]) for part in parts]

    divisions: dict[str, Callable[[], list[Split]]] = {
        BY_SUBJECT: lambda: [alone("subject").split],
        IN_FOLDS: in_folds,
        LEAK: lambda: [alone("leak").split],
        COPIES: lambda: [Split(labelled, alone("leak").split.test)],
    }
    own = {BY_SUBJECT: "subject", LEAK: "leak"}  # divisions of a study, whose result may be stored already
    rows = {}
    for name, divide in divisions.items():
        row: dict[str, object] = dict.fromkeys(_COLUMNS, np.nan) | {"trainings": 0, "test": 0, "lacking": ""}
        rows[name] = row
        try:
            parts = divide()
            row |= _shared(study.table, parts)
            if name in own:
                row["traditional"] = alone(own[name]).traditional.accuracy
            else:
                right = [study.traditional_on(part).accuracy for part in parts]
                row["traditional"] = float(np.average(right, weights=[len(part.test) for part in parts]))
        except FerError as reason:
            if not isinstance(reason, Lacking) and row["test"]:
                raise
            row["lacking"] = str(reason)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("test on")


def with_network(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Add the network's accuracy under those divisions that it was trained under, NaN elsewhere."""
    network = pd.Series(np.nan, index=table.index)
    right = study.trained.predictions.argmax(1) == study.labels[study.split.test]
    network[LEAK if study.settings.split == "leak" else BY_SUBJECT] = right.mean()
    if study.settings.folds:
        tested = study.cross_validation
        network[IN_FOLDS] = (tested["label"] == tested["predicted"]).mean()
    return table.assign(network=network)


def leak_gain(table: pd.DataFrame) -> float:
    """By how much the paper's random pictures raise the traditional route's share right above that on unseen people.

    Raises
    ------
    Lacking
        If it was not run under both divisions.
    """
    right, lacking = table["traditional"].to_dict(), table["lacking"].to_dict()
    for name in (BY_SUBJECT, LEAK):
        if not np.isfinite(right[name]):
            raise Lacking(lacking[name])
    return float(right[LEAK] - right[BY_SUBJECT])


def markdown(table: pd.DataFrame) -> str:
    """Return the table as text, shares in percent, and an em dash where nothing was run; below it what was left out, and why."""
    shown = pd.DataFrame(
        {
            name: [str(n) if n else "—" for n in table[column]]
            for name, column in {"trainings": "trainings", "test pictures": "test"}.items()
        },
        index=table.index,
    )
    for name in ("same person", "same sequence", "same picture", "traditional", "network"):
        shown[name] = [f"{100 * v:.1f} %" if np.isfinite(v) else "—" for v in table[name]]
    text: str = shown.reset_index().to_markdown(index=False, disable_numparse=True)
    for reason, names in table.groupby("lacking", sort=False).groups.items():
        if reason:
            text += f"\n\n**Left out** ({'; '.join(names)}): {reason}."
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
