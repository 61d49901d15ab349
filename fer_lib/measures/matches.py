"""The maps matched to action units, tested on people they were not matched on, beside their controls (claim C3)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_lib.checks import at_least, generator, group_numbers, named, row_numbers
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.arrays import Floats, check_maps, check_responses, check_table
from fer_lib.measures.comparisons import Comparison, from_bootstrap, nothing
from fer_lib.measures.detectors import LEAST, select_and_test
from fer_lib.measures.expression_controls import expression_auc, expression_scores
from fer_lib.measures.nulls import chosen_p_values, permutation_null
from fer_lib.measures.ranks import auc, weighted_wins
from fer_lib.measures.resampling import draw_people


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
        ``hits_<way>`` and ``alarms_<way>`` (rates at the threshold of `fer_lib.measures.detectors.select_and_test`),
        ``map_untrained_<way>`` and ``auc_untrained_<way>`` (the same choice in the untrained network). Further ``auc_expression`` (see
        `fer_lib.measures.expression_controls.expression_auc`), ``p`` (of the best of all maps on the test people, corrected for that
        choice), ``p_joint`` (for the choice of AU too), ``with_au`` and ``without`` (test sequences). Scores, rates and p are NaN where
        the test people have fewer than `fer_lib.measures.detectors.LEAST` sequences on a side; p also where none of them has two
        sequences whose labels could be exchanged.
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
        As for `fer_lib.measures.detectors.select_and_test`.
    matched
        Map that was chosen for each unit on the training rows, shape (J,); -1 for none, which is left out.
    subject, expression
        Person of every row and expression of its sequence, shape (N,).
    seed
        Of the resamples of people.

    Returns
    -------
    list of Comparison
        Intervals and p from resampled test people; units with fewer than `fer_lib.measures.detectors.LEAST` test rows on a side are
        left out.
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
    weight = draw_people(people, at_least("draws", draws), generator(seed))[:, who].astype(float)
    out = np.full((draws, labels.shape[1]), np.nan)
    for unit in range(labels.shape[1]):
        won, pairs = weighted_wins(values[:, unit], labels[:, unit], weight)
        np.divide(won, pairs, out=out[:, unit], where=pairs > 0)
    return out
