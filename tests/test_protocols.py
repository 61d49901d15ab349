"""What each division shares, which ones the network was trained under, and how that is printed."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from fer_lib.config import Settings, make_settings
from fer_lib.experiment import protocols
from fer_lib.experiment.protocols import BY_SUBJECT, COPIES, IN_FOLDS, LEAK
from fer_lib.network import splits


class Toy:
    """A study whose traditional route is right in as many pictures as people are shared."""

    def __init__(self, settings: Settings, store: object = None, *, progress: bool = False) -> None:
        self.settings, self.store, self.progress = settings, store, progress
        who = np.repeat(np.arange(10), 8)
        self.table = pd.DataFrame({"subject": who, "sequence": who * 10 + np.tile(np.arange(8) // 4, 10)})
        self.labels = np.tile([0, 1, 1, -1], 20)
        labelled = np.flatnonzero(self.labels >= 0)
        table = self.table.iloc[labelled]
        leak = settings.split == "leak"
        part = splits.paper_leak(table, test=12) if leak else splits.by_subject(table, test=0.3)
        self.split = splits.Split(labelled[part.train], labelled[part.test])
        self.traditional = self.traditional_on(self.split)
        self.trained = SimpleNamespace(predictions=np.eye(2)[self.labels[self.split.test]])
        self.cross_validation = pd.DataFrame({"label": [0, 1], "predicted": [0, 0]})

    def traditional_on(self, split: splits.Split) -> Any:
        return SimpleNamespace(accuracy=splits.leakage(self.table, split)["subject"])


def test_four_divisions() -> None:
    study: Any = Toy(make_settings("smoke"))
    table = protocols.traditional_by_protocol(study)
    assert list(table.index) == [BY_SUBJECT, IN_FOLDS, LEAK, COPIES]
    assert list(table["trainings"]) == [1, 3, 1, 1]
    assert table.loc[IN_FOLDS, "test"] == 60 and table.loc[LEAK, "test"] == table.loc[COPIES, "test"] == 12
    assert list(table["same person"]) == list(table["traditional"]) == [0, 0, 1, 1]
    assert list(table["same picture"]) == [0, 0, 0, 1]


def test_the_network_where_it_was_trained() -> None:
    study: Any = Toy(make_settings("smoke"))
    table = protocols.with_network(study, protocols.traditional_by_protocol(study))
    assert (
        table["network"].notna().tolist() == [True, False, False, False]
        and table.loc[BY_SUBJECT, "network"] == 1
    )
    text = protocols.markdown(table)
    assert text.count("—") == 3 and "100.0 %" in text and "nan" not in text
    study = Toy(make_settings("smoke", split="leak", folds=2))
    table = protocols.with_network(study, protocols.traditional_by_protocol(study))
    assert (
        table["network"].notna().tolist() == [False, True, True, False]
        and table.loc[IN_FOLDS, "network"] == 0.5
    )
