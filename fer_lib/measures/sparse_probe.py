"""One map or many: a linear probe over k maps beside the best single map, on people that it has not seen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression, orthogonal_mp
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from fer_lib.checks import group_numbers
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.arrays import Floats, check_responses
from fer_lib.measures.ranks import auc
from fer_lib.measures.resampling import draw_people, percentile_interval

PENALTIES = (0.01, 0.1, 1.0)
"""Inverse strengths of the ridge penalty, among which inner folds of the training people choose."""
SINGLE, SPARSE = "best map", "sparse"


def one_or_many(
    maximum: ArrayLike,
    present: ArrayLike,
    subject: ArrayLike,
    *,
    aus: Sequence[int],
    ks: Sequence[int] | None = None,
    folds: int = 5,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Detect every action unit with its best map, and with k maps together, on people of whom nothing was chosen or learned.

    Within each fold, on the training people alone: the best map is that with the largest AUC; the k maps come in the order of forward
    selection (orthogonal matching pursuit on the labels); a logistic regression weighs them, with a penalty that inner folds
    of the training people choose for each k.

    Parameters
    ----------
    maximum
        Largest response of every map, shape (N, C), one row for each sequence.
    present
        Labels 1, 0 or NaN, shape (N, J).
    subject
        Person of every row, shape (N,).
    aus
        Numbers of the J action units.
    ks
        Numbers of maps, each from 1 to C. None: 1, 2, 4 and so on, and C.
    folds
        Parts into which the people are divided, at least 2; at most as many as there are people with the unit, and without, are used.
    draws, level, seed
        Of the intervals: people are drawn anew, probes and maps staying those of their folds.

    Returns
    -------
    DataFrame
        For each unit a row ``probe`` = "best map" with ``k`` = 1 and one "sparse" for each k; ``au``, ``auc`` and ``precision``
        (average precision; chance is ``prevalence``), both averages over folds weighted by their pairs and their rows with the unit;
        ``gain`` (``auc`` minus that of the best map); for each of the three ``<name>_low`` and ``<name>_high``; ``with`` and
        ``without`` (rows). NaN for a unit that fewer than two people show, or are without.

    Notes
    -----
    The sparse probe of one map may differ from the best map: it may take a map that the unit suppresses, and turn it round.

    Raises
    ------
    Lacking
        If there is a single person.
    FerError
        If shapes or options are wrong.

    Examples
    --------
    The unit is the difference of two maps, so that two together see what none sees alone:

    >>> import numpy as np
    >>> from fer_lib.measures.sparse_probe import one_or_many
    >>> rng = np.random.default_rng(0)
    >>> maximum, people = rng.random((240, 6)), np.arange(240) // 6
    >>> present = (maximum[:, [0]] > maximum[:, [1]]).astype(float)
    >>> table = one_or_many(maximum, present, people, aus=[12], ks=(1, 2), draws=50)
    >>> [(probe, k, round(auc, 1)) for probe, k, auc in zip(table["probe"], table["k"], table["auc"])]
    [('best map', 1, 0.9), ('sparse', 1, 0.9), ('sparse', 2, 1.0)]
    """
    given, labels = check_responses(maximum, present)
    values = given.astype(np.float64)
    if len(aus) != labels.shape[1]:
        raise FerError(f"{len(aus)} unit numbers for {labels.shape[1]} columns of labels")
    if ks is None:
        ks = sorted({2**i for i in range(values.shape[1].bit_length())} | {values.shape[1]})
    wrong = [k for k in ks if not 1 <= k <= values.shape[1]]
    if wrong or not len(ks):
        raise FerError(
            f"k is {wrong[0] if wrong else 'not given'}: give numbers of maps from 1 to {values.shape[1]}"
        )
    if folds < 2 or draws < 1 or not 0 < level < 1:
        raise FerError(
            f"folds={folds}, draws={draws}, level={level}: give at least 2, at least 1 and a share between 0 and 1"
        )
    who = group_numbers(subject, len(values))
    if who.max(initial=-1) < 1:
        raise Lacking("there is a single person, so that nobody is left to test on")
    rng = np.random.default_rng(seed)
    people = int(who.max()) + 1
    times = draw_people(people, draws, rng).astype(np.float64)
    times = np.concatenate([np.ones((1, people)), times])  # the first is the set as it is
    rows = []
    for au, label in zip(aus, labels.T, strict=True):
        known = ~np.isnan(label)
        truth, some, group = label[known] == 1, values[known], who[known]
        scored = _held_out(some, truth, group, ks, folds, seed)
        names = [(SINGLE, 1), *((SPARSE, k) for k in ks)]
        area, precision = (
            (np.full((len(names), draws + 1), np.nan),) * 2
            if scored is None
            else _drawn(*scored, truth, times[:, group])
        )
        for (probe, k), of_area, of_precision in zip(names, area, precision, strict=True):
            row: dict[str, object] = {"au": au, "probe": probe, "k": k}
            for name, drawn in (("auc", of_area), ("precision", of_precision), ("gain", of_area - area[0])):
                row[name] = drawn[0]
                row[f"{name}_low"], row[f"{name}_high"] = percentile_interval(drawn[1:], level)
            rows.append(
                row
                | {
                    "prevalence": truth.mean() if len(truth) else np.nan,
                    "with": truth.sum(),
                    "without": (~truth).sum(),
                }
            )
    return pd.DataFrame(rows)


def _held_out(
    values: Floats, truth: NDArray[np.bool_], who: NDArray[np.int64], ks: Sequence[int], folds: int, seed: int
) -> tuple[Floats, NDArray[np.int64]] | None:
    """Scores (1 + len(ks), N) of rows whose people took no part, and the fold (N,) each was tested in; None if there are too few."""
    able = min(len(np.unique(who[truth])), len(np.unique(who[~truth])), folds)
    if able < 2:
        return None
    scores, fold = np.zeros((1 + len(ks), len(values))), np.zeros(len(values), np.int64)
    parts = StratifiedGroupKFold(able, shuffle=True, random_state=seed).split(values, truth, who)
    for number, (train, test) in enumerate(parts):
        fold[test] = number
        if not truth[train].any() or truth[train].all():
            continue  # nothing can be learned: all test rows score the same
        single = int(np.nan_to_num(auc(values[train], truth[train, None].astype(float))[0]).argmax())
        scores[0, test] = values[test, single]
        mean, spread = values[train].mean(axis=0), values[train].std(axis=0)
        alive = np.ptp(values[train], axis=0) > 0
        scaled = np.where(alive, (values - mean) / np.where(alive, spread, 1.0), 0.0)
        order = _forward(scaled[train], truth[train], max(ks))
        for row, k in enumerate(ks, start=1):
            scores[row, test] = _probe(scaled[:, order[:k]], truth, who, train).decision_function(
                scaled[test][:, order[:k]]
            )
    return scores, fold


def _forward(scaled: Floats, truth: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Maps in the order of forward selection; those that add nothing any more come last, in the order of their numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # it ends early where the maps left are sums of those chosen
        path = orthogonal_mp(
            scaled, truth - truth.mean(), n_nonzero_coefs=most, return_path=True, precompute=True
        )
    entered = (path.reshape(scaled.shape[1], -1) != 0).astype(np.int64)
    first = np.where(entered.any(axis=1), entered.argmax(axis=1), entered.shape[1])
    return np.argsort(first, kind="stable")


def _probe(
    scaled: Floats, truth: NDArray[np.bool_], who: NDArray[np.int64], train: NDArray[np.int64]
) -> LogisticRegression:
    """Fit a logistic regression to the training rows, with the penalty that does best on inner folds of their people."""
    x, y, people = scaled[train], truth[train], who[train]
    parts = min(2, len(np.unique(people)))
    losses = np.zeros(len(PENALTIES))
    for inner, outer in GroupKFold(parts).split(x, y, people) if parts > 1 else ():
        if not y[inner].any() or y[inner].all():
            continue
        for index, penalty in enumerate(PENALTIES):
            losses[index] += len(outer) * log_loss(
                y[outer], _fit(x[inner], y[inner], penalty).predict_proba(x[outer]), labels=[False, True]
            )
    return _fit(x, y, PENALTIES[int(losses.argmin())])


def _fit(x: Floats, y: NDArray[np.bool_], penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, tol=1e-3, max_iter=1000).fit(x, y)


def _drawn(
    scores: Floats, fold: NDArray[np.int64], truth: NDArray[np.bool_], times: Floats
) -> tuple[Floats, Floats]:
    """AUC and average precision (probes, draws) when each row counts as often as drawn, (draws, N); averages over folds."""
    won, pairs, found, shown = (np.zeros((len(scores), len(times))) for _ in range(4))
    for number in np.unique(fold):
        test = np.flatnonzero(fold == number)
        for row, score in enumerate(scores[:, test]):
            order = np.argsort(-score, kind="stable")
            last = np.flatnonzero(np.append(score[order][1:] < score[order][:-1], True))  # of equal scores
            count = times[:, test[order]]
            hits = np.where(truth[test[order]], count, 0.0).cumsum(axis=1)[:, last]
            alarms = np.where(truth[test[order]], 0.0, count).cumsum(axis=1)[:, last]
            hit, alarm = (np.diff(total, axis=1, prepend=0.0) for total in (hits, alarms))
            won[row] += (alarm * (hits - hit / 2)).sum(axis=1)
            pairs[row] += hits[:, -1] * alarms[:, -1]
            admitted = hits + alarms
            found[row] += (hit * np.divide(hits, admitted, out=np.zeros_like(hits), where=admitted > 0)).sum(
                axis=1
            )
            shown[row] += hits[:, -1]
    nothing = np.full(won.shape, np.nan)
    return (
        np.divide(won, pairs, out=nothing.copy(), where=pairs > 0),
        np.divide(found, shown, out=nothing, where=shown > 0),
    )
