"""Which pictures train and which test: by subject, once or twice, in folds of subjects, or with the paper's leak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_lib.config import Division
from fer_lib.errors import FerError, Lacking

_DRAWS = 64


@dataclass(frozen=True)
class Split:
    """Row numbers of a table of frames.

    Attributes
    ----------
    train, test : numpy.ndarray
        Ascending row numbers (int64) of the training and of the test pictures.
    """

    train: np.ndarray
    test: np.ndarray


def divide(table: pd.DataFrame, labels: np.ndarray, division: Division) -> Split:
    """Divide the labelled pictures into training and test.

    With ``split="validation"`` the training side of ``"subject"`` is divided once more, by subject: settings that are chosen so have seen
    none of the people of the test.

    Parameters
    ----------
    table : pandas.DataFrame
        Selected frames, with ``subject``, ``sequence`` and ``label``.
    labels : (N,) int array
        Class of each; -1 where it has none.
    division : Division

    Raises
    ------
    Lacking
        If the pictures show fewer than two expressions, or people are to be held out and they are of fewer than two (``"validation"``:
        three) or it is not known of whom they are.
    """
    labelled = np.flatnonzero(labels >= 0)
    shown = table["label"].iloc[labelled].unique()
    if not len(shown):
        raise Lacking("no picture has an expression label, and without one no network can be trained")
    if len(shown) == 1:
        raise Lacking(
            f"every labelled picture shows {shown[0]}, and a network needs two expressions to tell apart"
        )
    known = table.iloc[labelled].reset_index(drop=True)
    if division.split == "leak":
        chosen = paper_leak(known, test=division.test_pictures, seed=division.split_seed)
    else:
        chosen = by_subject(known, test=division.test_fraction, seed=division.split_seed)
    if division.split == "validation":
        rows = chosen.train
        inner = by_subject(known.iloc[rows], test=division.test_fraction, seed=division.split_seed)
        chosen = Split(rows[inner.train], rows[inner.test])
    return Split(labelled[chosen.train], labelled[chosen.test])


def with_unlabelled(table: pd.DataFrame, labels: np.ndarray, division: Division) -> Split:
    """Divide all pictures, labelled or not, as `divide` does: each person's go where the labelled ones went.

    Who has no labelled picture is on the training side; people whom ``split="validation"`` sets aside are on neither. With the
    paper's leak there are no held-out people, and the labelled pictures are divided as they are.
    """
    split = divide(table, labels, division)
    if division.split == "leak":
        return split
    subject = table["subject"]
    labelled, train, test = (set(subject.iloc[rows]) for rows in (labels >= 0, split.train, split.test))
    aside = labelled - train - test
    return Split(train=np.flatnonzero(~subject.isin(test | aside)), test=np.flatnonzero(subject.isin(test)))


def by_subject(table: pd.DataFrame, test: float = 0.2, seed: int = 0) -> Split:
    """Hold out subjects: nobody in the test pictures is in the training pictures.

    Of 64 random draws of subjects the one is taken whose share of every class comes closest to ``test``; only
    labels decide, never a result.

    Parameters
    ----------
    table : pandas.DataFrame
        Frames with the column ``subject``, and ``label`` (the class) if classes are to be balanced.
    test : float, default 0.2
        Share of the subjects to hold out, 0 < test < 1.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    Split
        Row numbers (positions, whatever the table's index).

    Raises
    ------
    FerError
        If the share is not between 0 and 1, or there are fewer than two subjects.
    """
    if not 0 < test < 1:
        raise FerError(f"test={test!r} is not a share of the subjects; give a number between 0 and 1")
    subjects, subject = _subjects(table, least=2)
    held_out = min(max(round(test * len(subjects)), 1), len(subjects) - 1)
    labels = table["label"].astype(str) if "label" in table else pd.Series("", index=table.index)
    counts = pd.crosstab(subject, labels.to_numpy()).to_numpy()
    generator = np.random.default_rng(seed)
    best, smallest = np.empty(0, np.int64), np.inf
    for _ in range(_DRAWS):
        drawn = generator.permutation(len(subjects))[:held_out]
        shares = counts[drawn].sum(axis=0) / counts.sum(axis=0)
        imbalance = float(np.square(shares - held_out / len(subjects)).sum())
        if imbalance < smallest:
            best, smallest = drawn, imbalance
    return _split(np.isin(subject, best))


def subject_folds(table: pd.DataFrame, k: int = 10, seed: int = 0) -> list[Split]:
    """Leave subjects out, each exactly once, in ``k`` folds.

    Parameters
    ----------
    table : pandas.DataFrame
        Frames with the column ``subject``.
    k : int, default 10
        Number of folds, from 2 to the number of subjects (leave one subject out).
    seed : int, default 0
        Seed that shuffles the subjects; 0 deals them in sorted order, subject i to fold i mod k, as
        Khorrami, Paine and Huang (2015) do.

    Returns
    -------
    list of Split
        Every row is a test row of exactly one of them.

    Raises
    ------
    FerError
        If ``k`` does not fit the number of subjects.
    """
    subjects, subject = _subjects(table, least=2)
    if not 2 <= k <= len(subjects):
        raise FerError(f"k={k!r} folds of {len(subjects)} subjects are impossible; give 2 to {len(subjects)}")
    order = np.arange(len(subjects))
    if seed:
        order = np.random.default_rng(seed).permutation(order)
    fold = np.empty(len(subjects), np.int64)
    fold[order] = np.arange(len(subjects)) % k
    return [_split(fold[subject] == number) for number in range(k)]


def paper_leak(table: pd.DataFrame, test: int = 200, seed: int = 0) -> Split:
    """Draw test pictures at random among all, as section 2.2 does: the people tested were trained on.

    Parameters
    ----------
    table : pandas.DataFrame
        Frames.
    test : int, default 200
        Number of test pictures (the paper's value).
    seed : int, default 0
        Seed of the draw.

    Returns
    -------
    Split
        The test pictures are taken out of training, so that their people and neighbouring frames leak. (The paper draws
        from the augmented set, which leaves other copies of them in training: `fer_lib.protocols` measures that too.)

    Raises
    ------
    FerError
        If there are not more pictures than ``test``.
    """
    if not 0 < test < len(table):
        most = len(table) - 1
        raise FerError(f"test={test!r} pictures of {len(table)} leave none for one side; give 1 to {most}")
    chosen = np.zeros(len(table), bool)
    chosen[np.random.default_rng(seed).permutation(len(table))[:test]] = True
    return _split(chosen)


def leakage(table: pd.DataFrame, split: Split) -> dict[str, float]:
    """Count what the two sides share.

    Parameters
    ----------
    table : pandas.DataFrame
        Frames with the columns ``subject`` and ``sequence``.
    split : Split
        Its sides.

    Returns
    -------
    dict of str to float
        ``train`` and ``test`` (pictures), and the shares of test pictures whose ``subject``, ``sequence`` or
        very ``picture`` is in the training set, each from 0 to 1; of the subject NaN where it is not known.
    """
    train, test = table.iloc[split.train], table.iloc[split.test]
    shared = {name: float(test[name].isin(set(train[name])).mean()) for name in ("subject", "sequence")}
    if (table["subject"] == "").any():
        shared["subject"] = float("nan")
    picture = float(np.isin(split.test, split.train).mean())
    return {"train": len(train), "test": len(test), **shared, "picture": picture}


def _split(in_test: np.ndarray) -> Split:
    return Split(np.flatnonzero(~in_test), np.flatnonzero(in_test))


def _subjects(table: pd.DataFrame, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted subjects and each row's place among them."""
    subjects, subject = np.unique(table["subject"].astype(str).to_numpy(dtype=str), return_inverse=True)
    if "" in subjects:
        raise Lacking(
            "who is on the pictures is not known, so no people can be held out; split='leak' divides the pictures at random"
        )
    if len(subjects) < least:
        raise Lacking(
            f"the labelled pictures show {len(subjects)} subject(s), and a split by subject needs {least} or more"
        )
    return subjects, subject
