"""Does a finding hold for other networks? Counts of verdicts, agreement of the distances of many networks, and of what they choose."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binomtest, friedmanchisquare, rankdata, spearmanr

from fer_lib.errors import FerError


def count_decisions(verdicts: pd.DataFrame, by: Sequence[str] = (), *, level: float = 0.95) -> pd.DataFrame:
    """Count how often a claim gets each verdict, with Wilson's interval of the share.

    Parameters
    ----------
    verdicts
        Columns ``claim``, ``decision`` and those of `by`, a row for each network and claim.
    by
        Columns whose values are counted apart, such as the set of a sweep.
    level
        Of the interval, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        `by`, ``claim``, ``decision``, ``count`` (at least 1), ``n`` (networks), ``low`` and ``high`` (ends of the interval of
        count / n), in the order of their first appearance. The interval takes networks for independent draws.
    """
    keys = [*by, "claim"]
    counts = verdicts.groupby([*keys, "decision"], sort=False).size().rename("count").reset_index()
    counts["n"] = counts.groupby(keys, sort=False)["count"].transform("sum")
    ends = [
        binomtest(int(count), int(n)).proportion_ci(level, method="wilson")
        for count, n in zip(counts["count"], counts["n"], strict=True)
    ]
    return counts.assign(low=[float(end.low) for end in ends], high=[float(end.high) for end in ends])


def kendalls_w(values: ArrayLike) -> tuple[float, float, int]:
    """Return Kendall's coefficient of concordance: how far several networks put the same items in the same order.

    Parameters
    ----------
    values
        A row for each network, a column for each item, shape (M, N); larger is more. Items that a network lacks (NaN) are left out for
        all.

    Returns
    -------
    tuple
        W, from 0 (no agreement) to 1 (the same order in all), corrected for ties; p of the Friedman test, for which every network's
        order is random; and the items that were compared. W and p are NaN with fewer than two networks or three items, or where a
        network has all items equal.

    Raises
    ------
    FerError
        If `values` is no table.

    References
    ----------
    Kendall and Babington Smith (1939), The problem of m rankings.

    Examples
    --------
    >>> w, p, items = kendalls_w([[1, 2, 3, 4], [10, 20, 30, 40], [1, 2, 4, 3]])
    >>> round(w, 3), items
    (0.911, 4)
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise FerError(
            f"values of shape {table.shape}; a row for each network and a column for each item are expected"
        )
    table = table[:, ~np.isnan(table).any(axis=0)]
    networks, items = table.shape
    if networks < 2 or items < 3 or (np.ptp(table, axis=1) == 0).any():
        return float("nan"), float("nan"), items
    # Friedman's statistic, which is corrected for ties, is M (N - 1) W.
    statistic, p = friedmanchisquare(*rankdata(table, axis=1).T)
    return float(statistic / (networks * (items - 1))), float(p), items


def overlap(chosen: Sequence[Collection[int]]) -> float:
    """Return how much sets have in common: the mean, over pairs, of the members of both among the members of either.

    Parameters
    ----------
    chosen
        A set for each network, as the action units above chance. Two empty sets agree.

    Returns
    -------
    float
        0 to 1; NaN with fewer than two sets.
    """
    pairs = [(set(one), set(other)) for one, other in combinations(chosen, 2)]
    shares = [len(one & other) / len(one | other) if one | other else 1.0 for one, other in pairs]
    return float(np.mean(shares)) if shares else float("nan")


def winning_maps(winners: pd.DataFrame, untrained: pd.DataFrame) -> pd.DataFrame:
    """Count which maps win an action unit in many networks.

    The maps of two networks have numbers and no correspondence, so that the same number in two networks is chance, unless both began
    with the same weights: then it is the same random filters, trained or not.

    Parameters
    ----------
    winners, untrained
        Columns ``AU``, ``seed`` (of the starting weights) and ``map`` (NaN or below 0: none), a row for each network and unit; of
        trained networks, and of the same networks before training.

    Returns
    -------
    pandas.DataFrame
        A row for each unit, ``AU``: ``networks`` in which a map wins, ``maps``, how many different ones, ``commonest``, the number that
        wins most often (the lowest of several), ``times``, ``compared``, networks of which the untrained one is known, too, and
        ``before``, in how many of these the same map won before training.
    """
    won, first = (table[table["map"] >= 0] for table in (winners, untrained))
    both = won.merge(first, on=["AU", "seed"], suffixes=("", "_before"))
    rows = []
    for au, of_au in won.groupby("AU", sort=False):
        counts = of_au["map"].value_counts()
        commonest = int(counts[counts == counts.max()].index.min())
        same = both[both["AU"] == au]
        rows.append(
            {
                "AU": au,
                "networks": len(of_au),
                "maps": len(counts),
                "commonest": commonest,
                "times": int(counts.max()),
                "compared": len(same),
                "before": int((same["map"] == same["map_before"]).sum()),
            }
        )
    columns = ["AU", "networks", "maps", "commonest", "times", "compared", "before"]
    return pd.DataFrame(rows, columns=columns)


def by_movement(training: pd.DataFrame, winners: pd.DataFrame, selectivity: pd.DataFrame) -> pd.DataFrame:
    """Put beside how far training moved the filters of each network what its maps then tell about action units.

    Parameters
    ----------
    training, winners, selectivity
        Tables that notebooks record (`fer_lib.published.Published.recorded`), of the same networks; those that diverged are left out.

    Returns
    -------
    pandas.DataFrame
        A row for each network: ``run``, ``start`` (distribution of its first weights), ``rate`` (0 for one that takes no step), ``moved``
        (relative change of conv3's weights, 0 without a step), ``accuracy``, and, means over action units, ``auc`` (of the map that AUC
        chose on other people), ``auc_d`` (of that which D chose) and ``selective`` (share of the other units that move D's map less when
        they are switched on). NaN where a network has no such number.
    """
    # What no notebook recorded has no columns either.
    kept = training.reindex(
        columns=["run", "ended", "initialisation", "learning_rate", "moved_conv3", "accuracy"]
    )
    kept = kept[kept["ended"] != "diverged"]
    units = winners.reindex(columns=["run", "auc_auc", "auc_d"]).groupby("run").mean()
    effects = selectivity.reindex(columns=["run", "among units"]).groupby("run")["among units"].mean()
    stepped = kept["ended"] != "untrained"
    return pd.DataFrame(
        {
            "run": kept["run"],
            "start": kept["initialisation"],
            "rate": kept["learning_rate"].where(stepped, 0.0),
            "moved": kept["moved_conv3"].where(stepped, 0.0),
            "accuracy": kept["accuracy"],
            "auc": kept["run"].map(units["auc_auc"]),
            "auc_d": kept["run"].map(units["auc_d"]),
            "selective": kept["run"].map(effects),
        }
    ).reset_index(drop=True)


def follows_movement(networks: pd.DataFrame, measure: str) -> tuple[float, float, int]:
    """Return whether a measure grows with movement: Spearman's rank correlation over networks, its p, and how many networks there are.

    Parameters
    ----------
    networks
        From `by_movement`; rows without a number are left out.
    measure
        One of its columns.

    Returns
    -------
    tuple
        Correlation and two-sided p are NaN with fewer than three networks, or where all have moved, or scored, alike. p takes networks for
        independent draws.
    """
    known = networks[["moved", measure]].dropna()
    if len(known) < 3 or (known.nunique() < 2).any():
        return float("nan"), float("nan"), len(known)
    found = spearmanr(known["moved"], known[measure])
    return float(found.statistic), float(found.pvalue), len(known)
