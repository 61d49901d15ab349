"""Scores of detection and their permutation null, against loops over scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.measure import Row, in_turns, seconds
from fer_lib.measures.nulls import permutation_null
from fer_lib.measures.ranks import auc

SEQUENCES, SUBJECTS, MAPS, UNITS = 593, 123, 256, 25


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time AUC of all maps and action units, and 10,000 permutations of it."""
    generator = np.random.default_rng(0)
    scores = generator.standard_normal((SEQUENCES, MAPS)).astype(np.float32)
    present = (generator.random((SEQUENCES, UNITS)) < 0.2).astype(float)
    subject = generator.integers(0, SUBJECTS, SEQUENCES)
    few = 2

    def loop() -> np.ndarray:
        return np.array(
            [[roc_auc_score(present[:, j], scores[:, c]) for c in range(MAPS)] for j in range(few)]
        )

    times = in_turns({"ours": lambda: auc(scores, present), "loop": loop}, 1 if quick else 3)
    theirs = times["loop"] * UNITS / few
    worst = abs(auc(scores, present)[:few] - loop()).max()
    note = f"peer timed on {few} action units; largest difference {worst:.0e}"
    peer = "loop over sklearn.metrics.roc_auc_score"
    yield Row(
        f"AUC of {MAPS} maps for {UNITS} action units, {SEQUENCES} sequences",
        times["ours"],
        peer,
        theirs,
        theirs / times["ours"],
        "",
        None,
        note,
    )
    count = 100 if quick else 10_000
    ours = seconds(lambda: permutation_null(scores, present, subject, permutations=count))
    yield Row(
        f"{count:,} permutations within subjects of the same",
        ours,
        peer,
        theirs * count,
        theirs * count / ours,
        "<= 30 s",
        SEQUENCES * MAPS * UNITS * count / rate,
        "peer extrapolated from its row above",
    )
