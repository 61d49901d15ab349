import numpy as np
import pandas as pd
import pytest
from test_training import CROPS, HP, LABELS

from fer_lib.errors import FerError
from fer_lib.network import folds
from fer_lib.network.folds import cross_validate
from fer_lib.network.splits import subject_folds

SUBJECTS = pd.DataFrame({"subject": [f"S{i // 4:03d}" for i in range(28)]})


def test_every_picture_is_tested_once_by_a_network_that_has_not_seen_its_subject(tmp_path, monkeypatch):
    trained_on, original = [], folds.train

    def watching(crops, labels, train_idx, test_idx, hp, **options):
        subject = SUBJECTS["subject"]
        assert not set(subject.iloc[train_idx]) & set(subject.iloc[test_idx])
        trained_on.append(len(train_idx))
        return original(crops, labels, train_idx, test_idx, hp, **options)

    monkeypatch.setattr(folds, "train", watching)
    splits = subject_folds(SUBJECTS, 3)
    arguments = dict(classes=2, folder=tmp_path, progress=False)
    table = cross_validate(CROPS, LABELS, splits, HP, **arguments)
    assert sorted(table["picture"]) == list(range(28)) and set(table["fold"]) == {1, 2, 3}
    assert np.array_equal(table["label"], LABELS[table["picture"]])
    assert np.array_equal(table["predicted"], table[["class_0", "class_1"]].to_numpy().argmax(1))
    assert len(trained_on) == 3 and not list(tmp_path.glob("fold-*/"))
    # Found again, and resumed where a fold is missing, with the same result.
    (tmp_path / "fold-02.parquet").unlink()
    pd.testing.assert_frame_equal(cross_validate(CROPS, LABELS, splits, HP, **arguments), table)
    assert len(trained_on) == 4
    with pytest.raises(FerError, match="another training run"):
        cross_validate(CROPS, LABELS, splits, HP, seed=1, **arguments)
