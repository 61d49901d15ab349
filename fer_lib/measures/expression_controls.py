"""What a control that knows nothing but the expression says of action units, and what maps say beyond it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import at_least, generator, group_numbers, row_numbers
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats, check_labels, check_table
from fer_lib.measures.ranks import auc, centred_ranks


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
        raise FerError(f"labels have shape {labels.shape}; give a row for each picture: (N, J)")
    train, test = (row_numbers("rows", rows, len(labels)) for rows in (train, test))
    code = _expressions(expression, len(labels))[0]
    numbers = np.arange(code.max(initial=-1) + 1)
    member = (code[train][None] == numbers[:, None]).astype(float)  # (expressions, train)
    coded = ~np.isnan(labels[train])  # counted as numbers: a product of two truth values would be one
    share = (member @ np.nan_to_num(labels[train])) / np.maximum(member @ coded, 1)
    return np.asarray(share[code[test]])


def expression_auc(expression: ArrayLike, present: ArrayLike, train: ArrayLike, test: ArrayLike) -> Floats:
    """Return the AUC of `expression_scores`, shape (J,); NaN for a unit that is present or absent in all test rows."""
    scores = expression_scores(expression, present, train, test)
    labels = check_labels(present)
    labels = labels[row_numbers("rows", test, len(labels))]
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


def _expressions(expression: ArrayLike, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the number of each row's expression, and whether it has one; one number stands for all that have none."""
    given = np.asarray(expression, dtype=object)
    names = np.where(pd.isna(given), "", given)
    return group_numbers(names, count, "expression", sort=True), names != ""
