"""What a control that knows nothing but the expression says of action units, and what maps say beyond it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_lib.checks import real_numbers, row_numbers
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_table
from fer_lib.measures.ranks import auc, centred_ranks


def expression_scores(expression: ArrayLike, present: ArrayLike, train: ArrayLike, test: ArrayLike) -> Floats:
    """Return what a control that knows only the expression answers: the share of training rows of that expression with the unit.

    Parameters
    ----------
    expression
        Expression of each row's sequence, shape (N,).
    present
        Labels 1, 0 or NaN, shape (N, J).
    train, test
        Row numbers.

    Returns
    -------
    ndarray
        Shape (len(test), J), 0 to 1.
    """
    labels = real_numbers("labels", present)
    train, test = (row_numbers("rows", rows, len(labels)) for rows in (train, test))
    names, code = np.unique(np.asarray(expression), return_inverse=True)
    member = (code[train][None] == np.arange(len(names))[:, None]).astype(float)  # (expressions, train)
    coded = ~np.isnan(labels[train])  # counted as numbers: a product of two truth values would be one
    share = (member @ np.nan_to_num(labels[train])) / np.maximum(member @ coded, 1)
    return np.asarray(share[code[test]])


def expression_auc(expression: ArrayLike, present: ArrayLike, train: ArrayLike, test: ArrayLike) -> Floats:
    """Return the AUC of `expression_scores`, shape (J,); NaN for a unit that is present or absent in all test rows."""
    scores, labels = (
        expression_scores(expression, present, train, test),
        np.asarray(present)[np.asarray(test)],
    )
    return np.array([auc(scores[:, [j]], labels[:, [j]])[0, 0] for j in range(labels.shape[1])])


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
        Expression of each sequence, shape (N,); empty where it has none: such rows take no part.
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
    names, people = np.asarray(expression), np.asarray(subject)
    if names.shape != (len(values),) or people.shape != names.shape:
        raise FerError(
            f"expressions {names.shape} and people {people.shape} do not fit {len(values)} rows; give one each"
        )
    if permutations < 1:
        raise FerError(f"{permutations} permutations give no null; take at least 1, better 5000")
    named, who = names != "", pd.factorize(people)[0]
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(permutations, int(who.max(initial=-1)) + 1))
    p = np.full(labels.shape[1], np.nan)
    for unit, label in enumerate(labels.T):
        known = named & ~np.isnan(label)
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
