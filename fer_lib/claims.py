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

from fer_lib.errors import FerError
from fer_lib.measures.ablation import Ablation
from fer_lib.measures.arrays import Floats
from fer_lib.measures.comparisons import Comparison, interval, paired, unpaired

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


def _verdict(claim: str, measure: str, items: ArrayLike, comparisons: tuple[Comparison, ...]) -> Verdict:
    known = np.asarray(items, dtype=np.float64)
    known = known[~np.isnan(known)]
    value = float(known.mean()) if len(known) else float("nan")
    return Verdict(
        claim, STATEMENTS[claim], measure, value, interval(known), comparisons, decide(comparisons)
    )


def _columns(table: pd.DataFrame, *names: str) -> list[Floats]:
    missing = [name for name in names if name not in table]
    if missing:
        raise FerError(
            f"the table has no column {missing[0]!r}; it has {', '.join(map(str, table.columns)) or 'none'}"
        )
    return [table[name].to_numpy(dtype=np.float64) for name in names]
