"""Is a map the detector of an action unit? A map is chosen on some people and tested on others, beside controls.

Scores are the largest response of every picture on every map, shape (N, C); `present` holds 1, 0 and NaN (not coded), shape
(N, J). A row of a test is one sequence: its frames are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from fer_lib.checks import group_numbers, named, row_numbers
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_maps, check_responses, check_table
from fer_lib.measures.distance import best_maps
from fer_lib.measures.ranks import auc, average_precision

LEAST = 3
"""Test sequences with and without an action unit below which its AUC says nothing."""


def by_sequence(
    scores: ArrayLike, present: ArrayLike, sequence: ArrayLike
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Reduce pictures to one row per sequence: mean response, and present if any picture has the unit.

    Parameters
    ----------
    scores, present
        Shapes (N, C) and (N, J). Leave neutral first frames out beforehand: they carry no action unit.
    sequence
        Name of every picture's sequence, shape (N,).

    Returns
    -------
    tuple
        Scores (M, C), labels (M, J; NaN where no picture is coded), and the index (M,) of each sequence's
        first picture, in the order of the pictures: ``table.iloc[first]`` tells subject and expression.
    """
    values, labels = check_table(scores, present)
    row = group_numbers(sequence, len(values), "sequence")  # of every picture in the result
    first = np.unique(row, return_index=True)[1]
    member = csr_array((np.ones(len(row)), (row, np.arange(len(row)))))  # (M, N)
    coded, any_present, total = (
        np.asarray(member @ table)
        for table in ((~np.isnan(labels)).astype(float), (labels == 1).astype(float), values)
    )
    reduced = np.where(coded > 0, (any_present > 0).astype(np.float64), np.nan)
    return total / np.bincount(row)[:, None], reduced, first


def select_and_test(
    scores: ArrayLike,
    present: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    units: Sequence[int],
    chosen: ArrayLike | None = None,
) -> pd.DataFrame:
    """Choose every action unit's map on the training rows and say how well it does on the test rows.

    Parameters
    ----------
    scores, present
        Shapes (N, C) and (N, J).
    train, test
        Indices of rows, of disjoint subjects if the result is to mean anything for new faces.
    units
        Numbers of the action units, the columns of `present`.
    chosen
        Maps chosen on the training rows by another measure, shape (J,), -1 for none: for instance
        ``best_maps(distances(...))``. Without it, the map of the largest AUC.

    Returns
    -------
    DataFrame
        One row per action unit: `au`, `map`, `train_auc`, `test_auc`, `test_precision` (average precision),
        `prevalence` (its chance level), `hit_rate` and `false_alarm_rate` on the test rows at the threshold
        that maximises their difference on the training rows, `train_with`, `test_with`, `test_without` (rows).
        NaN where rows with or without the unit, of which a number has to be made, are not there; so rates that no training row could
        set a threshold for.

    Examples
    --------
    The second of three maps follows AU 12, on the training rows and on the others:

    >>> import numpy as np
    >>> import fer_lib as fer
    >>> present = np.arange(40)[:, None] % 2
    >>> scores = np.random.default_rng(0).random((40, 3)) + present * [0.0, 2.0, 0.0]
    >>> table = fer.select_and_test(scores, present, train=range(20), test=range(20, 40), units=[12])
    >>> table[["au", "map", "train_auc", "test_auc", "hit_rate"]].to_dict("records")
    [{'au': 12, 'map': 1, 'train_auc': 1.0, 'test_auc': 1.0, 'hit_rate': 1.0}]
    """
    values, labels = check_responses(scores, present)
    train, test = (row_numbers("rows", rows, len(values)) for rows in (train, test))
    units = named("units", units, labels.shape[1])
    if np.intersect1d(train, test).size:
        raise FerError("training and test rows overlap; choose disjoint ones")
    train_auc = auc(values[train], labels[train])
    maps = best_maps(train_auc) if chosen is None else check_maps(chosen, *train_auc.shape)
    records = []
    for column, (unit, chosen_map) in enumerate(zip(units, maps.tolist(), strict=True)):
        label_train, label_test = labels[train, column], labels[test, column]
        record: dict[str, float] = {"au": unit, "map": chosen_map, "train_with": (label_train == 1).sum()}
        record |= {"test_with": (label_test == 1).sum(), "test_without": (label_test == 0).sum()}
        tested = record["test_with"] + record["test_without"]
        record["prevalence"] = record["test_with"] / tested if tested else np.nan
        if chosen_map >= 0:
            score_train, score_test = values[train, chosen_map], values[test, chosen_map]
            hits, alarms = _rates(score_test, label_test, _threshold(score_train, label_train))
            record |= {
                "train_auc": train_auc[column, chosen_map],
                "test_auc": auc(score_test[:, None], label_test[:, None])[0, 0],
                "test_precision": average_precision(score_test[:, None], label_test[:, None])[0, 0],
                "hit_rate": hits,
                "false_alarm_rate": alarms,
            }
        records.append(record)
    columns = [
        "au",
        "map",
        "train_auc",
        "test_auc",
        "test_precision",
        "prevalence",
        "hit_rate",
        "false_alarm_rate",
    ]
    return pd.DataFrame(records, columns=[*columns, "train_with", "test_with", "test_without"])


def _threshold(score: Floats, label: Floats) -> float:
    """Return the threshold, to be exceeded, of the largest hit rate minus false alarm rate; NaN where one of the two is not known."""
    with_unit, without = np.sort(score[label == 1]), np.sort(score[label == 0])
    if not len(with_unit) or not len(without):
        return float("nan")
    candidates = np.concatenate([[-np.inf], np.unique(score)])
    gain = np.searchsorted(without, candidates, side="right") / len(without) - np.searchsorted(
        with_unit, candidates, side="right"
    ) / len(with_unit)
    return float(candidates[gain.argmax()])


def _rates(score: Floats, label: Floats, threshold: float) -> tuple[float, float]:
    """Return hit rate and false alarm rate; NaN without a threshold or rows."""
    if np.isnan(threshold):
        return float("nan"), float("nan")
    above = score > threshold
    with_unit, without = above[label == 1], above[label == 0]
    return (with_unit.mean() if with_unit.size else np.nan), (without.mean() if without.size else np.nan)
