"""Scores of detection and their permutation null, against loops over scikit-learn and over numpy and scipy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from benchmarks.measure import Row, in_turns
from fer_lib.measures.nulls import permutation_null
from fer_lib.measures.ranks import auc

SEQUENCES, SUBJECTS, MAPS, UNITS = 593, 123, 256, 25


def areas_one_by_one(scores: np.ndarray, present: np.ndarray) -> np.ndarray:
    """AUC of every action unit and map, (J, C), each by a call of scikit-learn."""
    return np.array([[roc_auc_score(unit, one) for one in scores.T] for unit in present.T])


def best_areas_one_by_one(
    scores: np.ndarray, present: np.ndarray, within: np.ndarray, permutations: int, seed: int = 0
) -> np.ndarray:
    """Best AUC over the maps in every permutation, (B, J): ranks once, then a shuffle and a matrix product each."""
    rng, ranks = np.random.default_rng(seed), rankdata(scores, axis=0)
    groups = [np.flatnonzero(within == group) for group in np.unique(within)]
    shown = present.sum(axis=0)
    pairs = shown * (len(present) - shown)
    rows, best = np.arange(len(scores)), np.empty((permutations, present.shape[1]))
    for permutation in best:
        for group in groups:
            rows[group] = rng.permutation(group)
        sums = present[rows].T @ ranks
        permutation[:] = (sums.max(axis=1) - shown * (shown + 1) / 2) / pairs
    return best


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time AUC of all maps and action units, and 10,000 permutations of it."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((SEQUENCES, MAPS)).astype(np.float32)
    present = (rng.random((SEQUENCES, UNITS)) < 0.2).astype(float)
    subject = rng.integers(0, SUBJECTS, SEQUENCES)
    few, repeats = 2, 1 if quick else 5
    times = in_turns(
        {"ours": lambda: auc(scores, present), "loop": lambda: areas_one_by_one(scores, present[:, :few])},
        repeats,
    )
    one_by_one = times["loop"] * UNITS / few
    worst = abs(auc(scores, present)[:few] - areas_one_by_one(scores, present[:, :few])).max()
    yield Row(
        f"AUC of {MAPS} maps for {UNITS} action units, {SEQUENCES} sequences",
        times["ours"],
        "loop over sklearn.metrics.roc_auc_score",
        one_by_one,
        one_by_one / times["ours"],
        "",
        None,
        f"peer timed on {few} action units; largest difference {worst:.0e}",
    )
    count, timed = (100, 10) if quick else (10_000, 200)
    times = in_turns(
        {
            "ours": lambda: permutation_null(scores, present, subject, permutations=count),
            "loop": lambda: best_areas_one_by_one(scores, present, subject, timed),
        },
        repeats,
    )
    peers = {
        "loop over permutations in numpy and scipy": (
            times["loop"] * count / timed,
            f"peer timed on {timed} permutations",
        ),
        "the same over sklearn.metrics.roc_auc_score": (one_by_one * count, "peer scaled up from one AUC"),
    }
    for peer, (theirs, note) in peers.items():
        yield Row(
            f"{count:,} permutations within subjects of the same",
            times["ours"],
            peer,
            theirs,
            theirs / times["ours"],
            "<= 30 s",
            SEQUENCES * MAPS * UNITS * count / rate,
            note,
        )
