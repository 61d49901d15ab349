"""How much the choices that the paper leaves open change the map that is matched to an action unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lib.experiment.matching import LEAST
from fer_lib.measures.detectors import by_sequence
from fer_lib.measures.distance import Floats, best_maps, distances
from fer_lib.measures.ranks import auc

if TYPE_CHECKING:
    from fer_lib.study import Study


def distance_choices(study: Study) -> pd.DataFrame:
    """Match maps to action units on the training people under other choices, and test them on the others.

    Returns
    -------
    DataFrame
        Index `choice`, the study's own first; `changed` (AUs whose map is another one), `units` (AUs), `without` (AUs for which
        no single map wins), `auc` (mean AUC of the chosen maps on the apex frames of unseen people; NaN where too few of them
        show any AU, or no map was chosen).

    Raises
    ------
    Lacking
        If no AU is coded often enough.
    """
    study.matchable()
    s, train = study.settings, study.people.train
    responses, table = study.responses.maximum[train], study.table.iloc[train]
    present = study.present.iloc[train][list(study.coded_aus)].to_numpy()
    position, last = table["position"].to_numpy(), table["length"].to_numpy() - 1
    moves, sequence = study.moves[train], table["sequence"].to_numpy()
    n = s.strongest

    def by_d(rows: NDArray[np.bool_] | slice = slice(None), **other: object) -> Floats:
        options = {"n": n, "zero": s.zero_rule} | other
        return distances(responses[rows], present[rows], **options)  # type: ignore[arg-type]

    def differences(values: Floats, labels: Floats) -> Floats:
        means = [np.stack([values[row == k].mean(0) for row in labels.T]) for k in (1, 0)]
        return np.asarray(means[0] - means[1])

    measures: dict[str, Callable[[], Floats]] = {
        "the study's own": by_d,
        "n = 3": lambda: by_d(n=3),
        "n = 5": lambda: by_d(n=5),
        f"n = {2 * n}": lambda: by_d(n=2 * n),
        "zero rule: skip": lambda: by_d(zero="skip"),
        "zero rule: infinite": lambda: by_d(zero="infinite"),
        "one picture of a person": lambda: one_per_person(
            responses, present, table["subject"].to_numpy(), n=n, zero=s.zero_rule
        ),
        "apex frames only": lambda: by_d(position == last),
        "without neutral first frames": lambda: by_d(moves),
        "equal gains": lambda: by_d(scale_free=True),
        "equal gains, equal numbers, signed": lambda: by_d(scale_free=True, size_matched=True, signed=True),
        "difference of means of sequences": lambda: differences(
            *_moving(responses, present, sequence, moves)
        ),
        "AUC of apex frames": lambda: auc(responses[position == last], present[position == last]),
        "AUC of sequences": lambda: auc(*_moving(responses, present, sequence, moves)),
    }
    test = study.apexes(study.people.test)
    unseen = study.present.iloc[test][list(study.coded_aus)].to_numpy()
    scores = auc(study.responses.maximum[test], unseen)
    enough = np.minimum((unseen == 1).sum(0), (unseen == 0).sum(0)) >= LEAST
    chosen = {name: best_maps(measure()) for name, measure in measures.items()}
    own = chosen["the study's own"]
    rows = {}
    for name, maps in chosen.items():
        tested = np.flatnonzero(enough & (maps >= 0))
        rows[name] = {
            "changed": int((maps != own).sum()),
            "units": len(own),
            "without": int((maps < 0).sum()),
            "auc": float(scores[tested, maps[tested]].mean()) if len(tested) else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("choice")


def one_per_person(
    maxima: Floats, present: Floats, people: NDArray[np.generic], *, n: int = 9, zero: str = "floor"
) -> Floats:
    """D with at most one picture of a person, the strongest, on each side.

    Parameters
    ----------
    maxima, present
        Shapes (N, C) and (N, J).
    people
        Person of every picture, (N,).
    n, zero
        As in `fer_lib.measures.distance.distances`.

    Returns
    -------
    ndarray
        Shape (J, C).
    """
    rows = []
    for label in np.asarray(present, float).T:
        sides = [
            pd.DataFrame(maxima[label == k]).groupby(people[label == k]).max().to_numpy() for k in (1.0, 0.0)
        ]
        mark = np.repeat([1.0, 0.0], [len(side) for side in sides])[:, None]
        rows.append(distances(np.concatenate(sides), mark, n=n, zero=zero)[0])  # type: ignore[arg-type]
    return np.stack(rows)


def _moving(
    responses: Floats, present: Floats, sequence: NDArray[np.generic], moves: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """One row a sequence, without neutral first frames: mean response and labels."""
    values, labels, _ = by_sequence(responses[moves], present[moves], sequence[moves])
    return values, labels
