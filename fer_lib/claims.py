"""The paper's four claims: the measures' tables go in, a verdict in numbers comes out.

Each claim has a measure, controls that it is compared with, and a decision that follows from the comparisons by rule (`decide`).
Words for readers are made from the numbers elsewhere (`fer_lib.plot.summaries`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from fer_lib.errors import FerError
from fer_lib.measures.ablation import Ablation
from fer_lib.measures.distance import Floats

Decision = Literal["holds", "holds in part", "does not hold", "not decided"]
DECISIONS: tuple[Decision, ...] = ("holds", "holds in part", "does not hold", "not decided")
STATEMENTS = {
    "C1": "The nine strongest squares of a conv3 map look alike.",
    "C2": "Projections of the matched maps lie on the region of their action unit.",
    "C3": "The map that maximises D for an action unit is its detector.",
    "C4": "The network classifies with the maps that D matched to action units.",
}
CHANCE = {
    "C1": "random pictures at the same place",
    "C2": "random place",
    "C3": "chance",
    "C4": "random maps as loud",
}
"""The control of each claim that stands for chance; the others ask for more."""
LEVEL = 0.05
"""Largest p at which a control counts as beaten."""
FEWEST = 5
"""Items below which no interval is given."""


@dataclass(frozen=True)
class Comparison:
    """A measure against one control.

    Attributes
    ----------
    name
        Of the control.
    difference
        Mean of measure minus control; above 0 speaks for the claim; NaN where nothing could be compared.
    p
        Probability of a difference this large if measure and control were alike, 1 / (B + 1) to 1 of B permutations; NaN likewise.
    n
        Items of the measure that were compared: maps, action units or random sets.
    """

    name: str
    difference: float
    p: float
    n: int

    @property
    def beaten(self) -> bool:
        """Whether the measure is above its control at 5 %."""
        return self.difference > 0 and self.p <= LEVEL


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    claim, statement
        C1 to C4, and what it says.
    measure, value
        Name of the measure and its mean; an empty name and NaN for a claim that was not put to its test.
    interval
        Ends of the 95 % bootstrap interval of `value` over its items (maps, action units, pictures) in this one network, which are not
        independent: it says how much they differ, not what another network would give. NaN below `FEWEST` items.
    comparisons
        With each control.
    decision
        One of `DECISIONS`.
    reason
        Why the claim was not put to its test; else empty.
    """

    claim: str
    statement: str
    measure: str
    value: float
    interval: tuple[float, float]
    comparisons: tuple[Comparison, ...]
    decision: Decision
    reason: str = ""


# ------------------------------------------------------------------------------------------------ the four claims


def look_alike(likeness: pd.DataFrame) -> Verdict:
    """Decide on C1.

    Parameters
    ----------
    likeness
        Columns `trained`, `same place` and `untrained`, a row for each map: see `fer_lib.measures.likeness.exemplar_likeness`.

    Returns
    -------
    Verdict
    """
    trained, place, untrained = _columns(likeness, "trained", "same place", "untrained")
    comparisons = (
        paired(CHANCE["C1"], trained, place),
        unpaired("untrained network", trained, untrained),
    )
    return _verdict("C1", "mean likeness of the nine squares", trained, comparisons)


def on_the_region(alignment: pd.DataFrame) -> Verdict:
    """Decide on C2.

    Parameters
    ----------
    alignment
        Columns `matched`, `other maps`, `untrained` and `random place`, a row for each action unit: see
        `fer_lib.measures.alignment.region_alignment`.

    Returns
    -------
    Verdict
    """
    controls = ("other maps", "untrained", CHANCE["C2"])
    matched, *others = _columns(alignment, "matched", *controls)
    comparisons = tuple(paired(name, matched, other) for name, other in zip(controls, others, strict=True))
    return _verdict("C2", "projected energy in the AU's region", matched, comparisons)


def detects(matches: pd.DataFrame) -> Verdict:
    """Decide on C3.

    Parameters
    ----------
    matches
        Columns `auc_d`, `auc_untrained_d` and `auc_expression`, a row for each action unit (NaN in `auc_d`: not tested): see
        `fer_lib.measures.detectors.evaluate_matches`.

    Returns
    -------
    Verdict
    """
    chosen, untrained, expression = _columns(matches, "auc_d", "auc_untrained_d", "auc_expression")
    comparisons = (
        paired(CHANCE["C3"], chosen, np.full(len(chosen), 0.5)),
        paired("D in the untrained network", chosen, untrained),
        paired("expression alone", chosen, expression),
    )
    return _verdict("C3", "mean AUC on the test pictures", chosen, comparisons)


def decides(ablation: Ablation) -> Verdict:
    """Decide on C4 from what the network loses without the matched maps and without random ones (`fer_lib.measures.ablation.ablate`)."""
    difference = float(ablation.random.mean() - ablation.without)
    comparison = Comparison(CHANCE["C4"], difference, ablation.p, len(ablation.random))
    return _verdict("C4", "accuracy lost without the matched maps", ablation.lost, (comparison,))


def undecided(claim: str, reason: str) -> Verdict:
    """Return the verdict on a claim that could not be put to its test, and why."""
    nan = float("nan")
    return Verdict(claim, STATEMENTS[claim], "", nan, (nan, nan), (), "not decided", reason)


def decide(comparisons: Sequence[Comparison]) -> Decision:
    """Turn the comparisons of a claim into one of `DECISIONS`.

    All controls beaten: it holds; some: in part; none: it does not. A comparison that could not be made, or none at all,
    leaves the claim undecided.
    """
    if not comparisons or not all(np.isfinite(c.difference) for c in comparisons):
        return "not decided"
    beaten = [c.beaten for c in comparisons]
    return "holds" if all(beaten) else "holds in part" if any(beaten) else "does not hold"


# ------------------------------------------------------------------------------------------------ tables of numbers


def verdicts_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return a row for each verdict: `claim`, `measure`, `value`, `low`, `high` (the interval), `decision`, `reason`."""
    names = ("claim", "measure", "value", "low", "high", "decision", "reason")
    rows = [(v.claim, v.measure, v.value, *v.interval, v.decision, v.reason) for v in verdicts]
    return pd.DataFrame(rows, columns=list(names))


def comparisons_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return a row for each comparison of each verdict: `claim`, `control`, `difference`, `p`, `n`."""
    rows = [(v.claim, c.name, c.difference, c.p, c.n) for v in verdicts for c in v.comparisons]
    return pd.DataFrame(rows, columns=["claim", "control", "difference", "p", "n"])


# ------------------------------------------------------------------------------------------------ comparisons


def paired(
    name: str, measure: ArrayLike, control: ArrayLike, *, permutations: int = 5000, seed: int = 0
) -> Comparison:
    """Compare item by item: under the null each difference could as well have the other sign.

    Parameters
    ----------
    name
        Of the control.
    measure, control
        Values of the same items, shape (n,); items with a NaN in either are left out.
    permutations
        Random sign flips.
    seed
        Of the flips.

    Returns
    -------
    Comparison
        NaN where no item is left, or a difference is infinite.

    Raises
    ------
    FerError
        If there are not as many controls as measures.
    """
    a, b = np.asarray(measure, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if a.shape != b.shape:
        raise FerError(f"{a.shape} measures and {b.shape} controls; one of each per item")
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if not len(a) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Comparison(name, float("nan"), float("nan"), len(a))
    difference = a - b
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(permutations, len(difference)))
    null = signs @ difference / len(difference)
    # Sums in another order may differ in the last digit; an exact tie counts as at least as large.
    reached = int((null >= difference.mean() - 1e-12 * np.abs(difference).sum()).sum())
    return Comparison(name, float(difference.mean()), (1 + reached) / (permutations + 1), len(difference))


def unpaired(
    name: str, measure: ArrayLike, control: ArrayLike, *, permutations: int = 5000, seed: int = 0
) -> Comparison:
    """Compare two groups of items: under the null each value could as well be of the other group.

    Parameters
    ----------
    name
        Of the control.
    measure, control
        Values, shapes (n,) and (m,); NaN is left out.
    permutations
        Random divisions.
    seed
        Of the divisions.

    Returns
    -------
    Comparison
        NaN where a group is empty, or a value infinite.
    """
    a, b = (_known(values) for values in (measure, control))
    if not len(a) or not len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Comparison(name, float("nan"), float("nan"), len(a))
    both = np.concatenate([a, b])
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(len(both)), (permutations, 1)), axis=1)
    first = both[order[:, : len(a)]].mean(axis=1)
    null = first - (both.sum() - first * len(a)) / len(b)
    difference = float(a.mean() - b.mean())
    reached = int((null >= difference - 1e-12 * np.abs(both).max()).sum())
    return Comparison(name, difference, (1 + reached) / (permutations + 1), len(a))


def interval(items: ArrayLike, *, level: float = 0.95, draws: int = 2000) -> tuple[float, float]:
    """Return the ends of the percentile bootstrap interval of a mean.

    Parameters
    ----------
    items
        Values, shape (n,); NaN is left out.
    level
        Share of the resampled means inside, between 0 and 1.
    draws
        Resamples, of a fixed seed.

    Returns
    -------
    tuple of float
        Low and high; NaN below `FEWEST` items, or where one is infinite.
    """
    values = _known(items)
    if len(values) < FEWEST or not np.isfinite(values).all():
        return float("nan"), float("nan")
    found = bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=draws,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def _verdict(claim: str, measure: str, items: ArrayLike, comparisons: tuple[Comparison, ...]) -> Verdict:
    known = _known(items)
    value = float(known.mean()) if len(known) else float("nan")
    return Verdict(
        claim, STATEMENTS[claim], measure, value, interval(known), comparisons, decide(comparisons)
    )


def _known(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]


def _columns(table: pd.DataFrame, *names: str) -> list[Floats]:
    missing = [name for name in names if name not in table]
    if missing:
        raise FerError(
            f"the table has no column {missing[0]!r}; it has {', '.join(map(str, table.columns)) or 'none'}"
        )
    return [table[name].to_numpy(dtype=np.float64) for name in names]
