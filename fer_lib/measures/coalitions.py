"""Several maps together as a detector of an action unit, on faces where units are switched on one at a time.

A single map may hardly answer to a unit that many maps answer to a little. But a sum of maps also answers to whatever they have in common,
such as loudness, so that a coalition is compared with random sets of as many maps that are as loud.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_lib.checks import at_least
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats
from fer_lib.measures.dose_response import dose_response
from fer_lib.measures.random_sets import exchanges
from fer_lib.measures.resampling import draw_people, percentile_interval

ALL = 0
"""In place of an action unit: the mean over all of them."""


def coalitions(
    maximum: ArrayLike, members: Mapping[str, ArrayLike] | Sequence[ArrayLike], neutral: ArrayLike
) -> Floats:
    """Return how several maps answer together: the mean of their responses, each in standard deviations over the neutral pictures.

    Parameters
    ----------
    maximum
        Responses, (N, C).
    members
        Maps of each of K coalitions, at least one each.
    neutral
        Whether a picture is neutral, (N,).

    Returns
    -------
    ndarray
        Shape (N, K), to be given to `dose_response` in place of single maps. A map that is the same on all neutral pictures is left
        out of its coalition; 0 where none is left.
    """
    values, rest = np.asarray(maximum, dtype=np.float64), np.asarray(neutral, dtype=bool)
    if values.ndim != 2 or rest.shape != (len(values),) or not rest.any():
        raise FerError(
            f"responses {values.shape} and marks {rest.shape} of neutral pictures do not fit, or none is neutral"
        )
    sets = [
        np.unique(np.asarray(own, dtype=np.int64))
        for own in (members.values() if isinstance(members, Mapping) else members)
    ]
    for own in sets:
        if not len(own) or own[0] < 0 or own[-1] >= values.shape[1]:
            raise FerError(
                f"a coalition of maps {own.tolist()} among {values.shape[1]}: give at least one that exists"
            )
    mean, spread = values[rest].mean(axis=0), values[rest].std(axis=0)
    varies = np.ptp(values[rest], axis=0) > 0
    scaled = np.where(varies, (values - mean) / np.where(varies, spread, 1.0), 0.0)
    return np.stack([scaled[:, own].sum(axis=1) / max(int(varies[own].sum()), 1) for own in sets], axis=1)


def coalition_tests(
    maximum: ArrayLike,
    subject: ArrayLike,
    au: ArrayLike,
    intensity: ArrayLike,
    *,
    scores: pd.DataFrame,
    loud: ArrayLike,
    ks: Sequence[int],
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Ask whether the k maps with the best scores for an action unit, together, answer that unit more than the others.

    The selectivity of a coalition is its slope (see `fer_lib.measures.dose_response.DoseResponse.slopes`) for its own unit minus the
    mean of its slopes for the other ones, in its standard deviations over neutral pictures. The null: any maps of the same loudness
    would do as well.

    Parameters
    ----------
    maximum, subject, au, intensity
        Responses (N, C) to rendered interventions and what these show; see `fer_lib.measures.dose_response.dose_response`.
    scores
        How well each map (column) goes with each action unit (index) on other pictures; NaN for a map that takes no part.
    loud
        Loudness of every map on other pictures, (C,).
    ks
        Numbers of maps, each at least 1 and at most half of all.
    draws, level, seed
        Random sets, as many draws of people, level of the intervals, and seed.

    Returns
    -------
    DataFrame
        A row for each k and unit, and one for the mean over units (``au`` = `ALL`): ``k``, ``au``, ``own`` and ``others`` (mean slopes),
        ``selectivity`` with ``low`` and ``high`` (people drawn anew), ``random`` with ``random_low`` and ``random_high`` (mean and interval
        over random sets), ``p`` (share of these that are as selective, the coalition among them). Units that were not rendered have no row.

    Raises
    ------
    FerError
        If fewer than two units were rendered, or arguments do not fit each other.
    """
    values, units = np.asarray(maximum, dtype=np.float64), np.asarray(au)
    shown = np.unique(units[units != 0])
    tested = [unit for unit in scores.index if unit in shown and scores.loc[unit].notna().any()]
    if len(shown) < 2:
        raise FerError(
            f"{len(shown)} action units were rendered: give two, to compare a unit with the others"
        )
    if values.ndim != 2 or scores.shape[1] != values.shape[1]:
        raise FerError(
            f"scores of {scores.shape[1]} maps do not fit responses {values.shape}; give one for each map"
        )
    at_least("draws", draws)
    moved = exchanges(
        loud, draws=draws, seed=seed
    )  # of all coalitions alike: maps that several units share, they go on sharing
    if moved.shape[1] != values.shape[1]:
        raise FerError(
            f"loudness of {moved.shape[1]} maps does not fit {values.shape[1]}; give one for each map"
        )
    rows: list[dict[str, float]] = []
    for k in ks:
        at_least("ks", k)
        if 2 * k > values.shape[1]:
            raise FerError(f"{k} of {values.shape[1]} maps leave too few to compare with; give at most half")
        own, others, random = [], [], []
        for unit in tested:
            order = np.argsort(-scores.loc[unit].fillna(-np.inf).to_numpy(float), kind="stable")[:k]
            sets = [order, *moved[:, order]]
            response = dose_response(coalitions(values, sets, units == 0), subject, units, intensity)
            slopes, is_own = response.slopes(), response.aus == unit
            own.append(slopes[:, is_own].mean(axis=1)[:, 0])
            others.append(slopes[:, ~is_own].mean(axis=1)[:, 0])
            random.append(
                (slopes[:, is_own].mean(axis=1) - slopes[:, ~is_own].mean(axis=1))[:, 1:].mean(axis=0)
            )
        if not tested:
            continue
        parts = [(unit, own[i], others[i], random[i]) for i, unit in enumerate(tested)]
        parts.append((ALL, *(np.mean(some, axis=0) for some in (own, others, random))))
        for unit, mine, rest, drawn in parts:
            times = draw_people(len(mine), draws, np.random.default_rng(seed)).astype(float)
            low, high = percentile_interval(times @ (mine - rest) / len(mine), level)
            random_low, random_high = percentile_interval(drawn, level)
            value = float((mine - rest).mean())
            rows.append(
                {
                    "k": int(k),
                    "au": int(unit),
                    "own": float(mine.mean()),
                    "others": float(rest.mean()),
                    "selectivity": value,
                    "low": low,
                    "high": high,
                    "random": float(drawn.mean()),
                    "random_low": random_low,
                    "random_high": random_high,
                    "p": float((1 + (drawn >= value - 1e-12).sum()) / (1 + draws)),
                }
            )
    columns = [
        "k",
        "au",
        "own",
        "others",
        "selectivity",
        "low",
        "high",
        "random",
        "random_low",
        "random_high",
        "p",
    ]
    return pd.DataFrame(rows, columns=columns)
