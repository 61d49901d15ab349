"""Is a map the detector of an action unit? A map is chosen on some people and tested on others, beside controls.

Scores are the largest response of every picture on every map, shape (N, C); `present` holds 1, 0 and NaN (not coded), shape
(N, J). A row of a test is one sequence: its frames are not independent.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from fer_lib.checks import at_least, generator, group_numbers, named, row_numbers
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.arrays import Floats, check_labels, check_maps, check_responses, check_table
from fer_lib.measures.comparisons import Comparison, from_bootstrap, nothing
from fer_lib.measures.distance import best_maps
from fer_lib.measures.nulls import chosen_p_values, permutation_null
from fer_lib.measures.ranks import auc, average_precision, centred_ranks, weighted_wins

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


def evaluate_matches(
    maximum: ArrayLike,
    untrained_maximum: ArrayLike,
    present: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    aus: Sequence[int],
    matched: ArrayLike,
    untrained_matched: ArrayLike,
    subject: ArrayLike,
    expression: ArrayLike,
    permutations: int = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Test the maps that D matched to action units, and those with the largest AUC, on people they were not chosen on (claim C3).

    A control makes the same choice as the claim, in the network before training.

    Parameters
    ----------
    maximum, untrained_maximum
        Largest response of every picture on every map, shape (N, C), of the network and of the same network before training.
    present
        Labels, shape (N, J): 1, 0 or NaN.
    train, test
        Row numbers, one for each sequence, of the people whose pictures maps are chosen on and of the others.
    aus
        Numbers of the J action units.
    matched, untrained_matched
        Map that D matched to each action unit on the training people, shape (J,), in either network; -1 for none.
    subject, expression
        Person of every picture and expression of its sequence, shape (N,).
    permutations, seed
        As in `fer_lib.measures.nulls.permutation_null`.

    Returns
    -------
    DataFrame
        ``au``, and for ``way`` in ``d`` (the matched maps) and ``auc`` (those with the largest training AUC): ``map_<way>`` (NaN where no
        map wins), ``auc_<way>`` (its test AUC), ``p_<way>`` (of this map alone), ``precision_<way>`` (average precision),
        ``hits_<way>`` and ``alarms_<way>`` (rates at the threshold of `select_and_test`), ``map_untrained_<way>`` and
        ``auc_untrained_<way>`` (the same choice in the untrained network). Further ``auc_expression`` (see `expression_auc`), ``p`` (of
        the best of all maps on the test people, corrected for that choice), ``p_joint`` (for the choice of AU too), ``with_au`` and
        ``without`` (test sequences). Scores, rates and p are NaN where the test people have fewer than `LEAST` sequences on a side; p
        also where none of them has two sequences whose labels could be exchanged.
    """
    values, labels = check_responses(maximum, present)
    before, _ = check_responses(untrained_maximum, present)
    train, test = (row_numbers("rows", rows, len(values)) for rows in (train, test))
    who = group_numbers(subject, len(values), "subject")[test]
    aus = named("aus", aus, labels.shape[1])
    chosen = {
        "d": select_and_test(values, labels, train, test, units=aus, chosen=matched),
        "auc": select_and_test(values, labels, train, test, units=aus),
    }
    controls = {
        "d": select_and_test(before, labels, train, test, units=aus, chosen=untrained_matched),
        "auc": select_and_test(before, labels, train, test, units=aus),
    }
    tested_on = values[test], labels[test], who
    nothing = np.full(len(aus), np.nan)
    p, p_joint, p_alone = nothing, nothing, dict.fromkeys(chosen, nothing)
    try:
        null = permutation_null(*tested_on, permutations=permutations, seed=seed)
    except Lacking:
        pass  # no subject has two sequences whose labels could be exchanged
    else:
        every = null.p_values()
        if not np.isnan(every).all():  # some AU is both present and absent
            p, p_joint = np.where(np.isnan(every), 1.0, every).min(axis=1), null.joint_p_values()
        for way, table in chosen.items():
            maps = table["map"].to_numpy()
            p_alone[way] = chosen_p_values(*tested_on, maps, permutations=permutations, seed=seed)
    columns: dict[str, object] = {"au": list(aus)}
    for way, table in chosen.items():
        control = controls[way]
        columns |= {
            f"map_{way}": table["map"].where(table["map"] >= 0).to_numpy(),
            f"auc_{way}": table["test_auc"].to_numpy(),
            f"p_{way}": p_alone[way],
            f"precision_{way}": table["test_precision"].to_numpy(),
            f"hits_{way}": table["hit_rate"].to_numpy(),
            f"alarms_{way}": table["false_alarm_rate"].to_numpy(),
            f"map_untrained_{way}": control["map"].where(control["map"] >= 0).to_numpy(),
            f"auc_untrained_{way}": control["test_auc"].to_numpy(),
        }
    columns |= {
        "auc_expression": expression_auc(expression, labels, train, test),
        "p": p,
        "p_joint": p_joint,
        "with_au": chosen["d"]["test_with"].to_numpy(),
        "without": chosen["d"]["test_without"].to_numpy(),
    }
    tested = pd.DataFrame(columns)
    few = tested[["with_au", "without"]].min(axis=1) < LEAST
    scores = ("auc_", "p_", "precision_", "hits_", "alarms_")
    measured = [name for name in columns if name.startswith(scores) or name == "p"]
    tested.loc[few, measured] = np.nan
    return tested


def within_expression(
    maximum: ArrayLike,
    present: ArrayLike,
    expression: ArrayLike,
    subject: ArrayLike,
    *,
    permutations: int = 5000,
    seed: int = 0,
) -> Floats:
    """Return p of each action unit's best map among sequences of the same expression, so that a map which follows it scores 0.

    What a person adds to the association of unit and map, over all of the person's sequences and each within its expression, could as
    well have the other sign if they had nothing to do with each other: the signs of whole people are drawn anew, for all
    maps at once. (Units that change places among people of one expression would take a person's sequences as independent, and reject
    twice too often where people differ in maps and units.) All people may take part, for the network never learned from an action unit.

    Parameters
    ----------
    maximum, present
        Shapes (N, C) and (N, J), one row for each sequence.
    expression
        Expression of each sequence, shape (N,); empty or missing where it has none: such rows take no part.
    subject
        Person of each sequence, shape (N,).
    permutations, seed
        Draws of signs, and their seed.

    Returns
    -------
    ndarray
        Shape (J,), corrected for the choice among all maps; NaN for a unit that within no expression is both present and absent
        among the sequences of at least two people.

    References
    ----------
    Hemerik, Goeman and Finos (2020), Robust testing in generalized linear models by sign flipping score contributions. JRSS B.
    """
    values, labels = check_table(maximum, present)
    names, stated = _expressions(expression, len(values))
    who = group_numbers(subject, len(values), "subject")
    at_least("permutations", permutations)
    signs = generator(seed).choice([-1.0, 1.0], size=(permutations, int(who.max(initial=-1)) + 1))
    p = np.full(labels.shape[1], np.nan)
    for unit, label in enumerate(labels.T):
        known = stated & ~np.isnan(label)
        added = np.zeros((signs.shape[1], values.shape[1]))  # by each person to each map's rank sum
        takes_part = np.zeros(signs.shape[1], bool)
        for name in np.unique(names[known]):
            rows = np.flatnonzero(known & (names == name))
            excess = label[rows] - label[rows].mean()
            if excess.any():
                np.add.at(added, who[rows], excess[:, None] * centred_ranks(values[rows]) / len(rows))
                takes_part[who[rows]] = True
        length = np.sqrt((added**2).sum(axis=0))
        if takes_part.sum() < 2 or not length.any():
            continue
        added = added[:, length > 0] / length[length > 0]
        reached = (signs @ added).max(axis=1) >= added.sum(axis=0).max() - 1e-9
        p[unit] = (1 + reached.sum()) / (permutations + 1)
    return p


def expression_scores(expression: ArrayLike, present: ArrayLike, train: ArrayLike, test: ArrayLike) -> Floats:
    """Return what a control that knows only the expression answers: the share of training rows of that expression with the unit.

    Parameters
    ----------
    expression
        Expression of each row's sequence, shape (N,); rows without one are taken together.
    present
        Labels 1, 0 or NaN, shape (N, J).
    train, test
        Row numbers.

    Returns
    -------
    ndarray
        Shape (len(test), J), 0 to 1.
    """
    labels = check_labels(present)
    if labels.ndim != 2:
        raise FerError(f"labels have shape {labels.shape}; both give a row per picture: (N, J)")
    train, test = (row_numbers("rows", rows, len(labels)) for rows in (train, test))
    code = _expressions(expression, len(labels))[0]
    member = (code[train][None] == np.arange(code.max(initial=-1) + 1)[:, None]).astype(
        float
    )  # (expressions, train)
    coded = ~np.isnan(labels[train])  # counted as numbers: a product of two truth values would be one
    share = (member @ np.nan_to_num(labels[train])) / np.maximum(member @ coded, 1)
    return np.asarray(share[code[test]])


def expression_auc(expression: ArrayLike, present: ArrayLike, train: ArrayLike, test: ArrayLike) -> Floats:
    """Return the AUC of `expression_scores`, shape (J,); NaN for a unit that is present or absent in all test rows."""
    scores = expression_scores(expression, present, train, test)
    labels = check_labels(present)
    labels = labels[row_numbers("rows", test, len(labels))]
    return np.array([auc(scores[:, [j]], labels[:, [j]])[0, 0] for j in range(labels.shape[1])])


def resampled_auc(
    scores: ArrayLike, present: ArrayLike, subject: ArrayLike, *, draws: int = 2000, seed: int = 0
) -> Floats:
    """Return the AUC of one score for each unit when people are drawn anew, with replacement.

    Parameters
    ----------
    scores, present
        Score and label (1, 0 or NaN) of every row for every unit, shape (M, J).
    subject
        Person of every row, shape (M,); all rows of a person come and go together.
    draws, seed
        Number of resamples, and their seed: the same seed and people give the same resamples.

    Returns
    -------
    ndarray
        Shape (draws, J); NaN where a resample has no row with the unit, or none without.
    """
    values, labels = check_table(scores, present)
    if values.shape != labels.shape:
        raise FerError(
            f"scores {values.shape} and labels {labels.shape} do not fit; give one score for each label, (M, J)"
        )
    who = group_numbers(subject, len(values), "subject", sort=True)
    people = int(who.max(initial=-1)) + 1
    at_least("draws", draws)
    weight = (
        generator(seed).multinomial(people, np.full(people, 1 / people), size=draws)[:, who].astype(float)
    )
    out = np.full((draws, labels.shape[1]), np.nan)
    for unit in range(labels.shape[1]):
        won, pairs = weighted_wins(values[:, unit], labels[:, unit], weight)
        np.divide(won, pairs, out=out[:, unit], where=pairs > 0)
    return out


def detection_controls(
    maximum: ArrayLike,
    present: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    matched: ArrayLike,
    subject: ArrayLike,
    expression: ArrayLike,
    seed: int = 0,
) -> list[Comparison]:
    """Compare the test AUC of the matched maps, its mean over units, with chance and with what the expression alone says.

    Parameters
    ----------
    maximum, present, train, test
        As for `select_and_test`.
    matched
        Map that was chosen for each unit on the training rows, shape (J,); -1 for none, which is left out.
    subject, expression
        Person of every row and expression of its sequence, shape (N,).
    seed
        Of the resamples of people.

    Returns
    -------
    list of Comparison
        Intervals and p from resampled test people; units with fewer than `LEAST` test rows on a side are left out.
    """
    values, labels = check_responses(maximum, present)
    rows, best = row_numbers("rows", test, len(values)), check_maps(matched, labels.shape[1], values.shape[1])
    truth, who = labels[rows], group_numbers(subject, len(values), "subject", sort=True)[rows]
    enough = np.minimum((truth == 1).sum(axis=0), (truth == 0).sum(axis=0)) >= LEAST
    kept, people = np.flatnonzero(enough & (best >= 0)), len(np.unique(who))
    names = ("chance", "expression alone")
    if not len(kept):
        return [nothing(name, people) for name in names]
    own = values[np.ix_(rows, best[kept])]
    alone = expression_scores(expression, labels, train, rows)[:, kept]
    found = {}
    for name, scores in {"own": own, "alone": alone}.items():
        point = np.array([auc(scores[:, [j]], truth[:, [unit]])[0, 0] for j, unit in enumerate(kept)])
        found[name] = point, resampled_auc(scores, truth[:, kept], who, seed=seed)
    differences = (
        (found["own"][0] - 0.5, found["own"][1] - 0.5),
        tuple(a - b for a, b in zip(*found.values(), strict=True)),
    )
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resample in which no unit has both sides
        return [
            from_bootstrap(name, float(point.mean()), np.nanmean(drawn, axis=1), people)
            for name, (point, drawn) in zip(names, differences, strict=True)
        ]


def _expressions(expression: ArrayLike, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the number of each row's expression, and whether it has one; one number stands for all that have none."""
    given = np.asarray(expression, dtype=object)
    names = np.where(pd.isna(given), "", given)
    return group_numbers(names, count, "expression", sort=True), names != ""


def _threshold(score: Floats, label: Floats) -> float:
    """Return the threshold, to be exceeded, of the largest hit rate minus false alarm rate."""
    candidates = np.concatenate([[-np.inf], np.unique(score)])
    with_unit, without = np.sort(score[label == 1]), np.sort(score[label == 0])
    gain = np.searchsorted(without, candidates, side="right") / max(len(without), 1) - np.searchsorted(
        with_unit, candidates, side="right"
    ) / max(len(with_unit), 1)
    return float(candidates[gain.argmax()])


def _rates(score: Floats, label: Floats, threshold: float) -> tuple[float, float]:
    above = score > threshold
    with_unit, without = above[label == 1], above[label == 0]
    return (with_unit.mean() if with_unit.size else np.nan), (without.mean() if without.size else np.nan)
