"""The paper's four claims: measures of networks and comparisons go in, a verdict in numbers comes out.

The rule is the same for all (`decide`): the measure has to lie above each control, first of all above that of untrained networks. What
it is about is the network, for filters that learned nothing have strongest pictures, projections and largest distances too. Words for
readers are made from the numbers elsewhere (`fer_lib.plot.conclusions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_lib.measures.comparisons import Comparison, between_networks, known

Decision = Literal["holds", "does not hold", "not decided"]
DECISIONS: tuple[Decision, ...] = ("holds", "does not hold", "not decided")


@dataclass(frozen=True)
class Claim:
    """What is claimed, what it is measured by, and when a difference is too small to matter.

    Attributes
    ----------
    statement
        The claim.
    measure
        Name of the measure, larger where the claim is truer, in excess of what place, loudness or prevalence give by themselves.
    column
        Of the measure in a table of networks (`fer_lib.measures.network_measures`).
    margin
        Smallest difference to a control that would matter, in the measure's unit: below it a claim does not hold.
    paper
        What the paper shows for it, and where.
    ckplus
        What the photographs of CK+ would add to rendered faces.
    """

    statement: str
    measure: str
    column: str
    margin: float
    paper: str
    ckplus: str


CLAIMS = {
    "C1": Claim(
        "The nine strongest squares of a conv3 map look alike.",
        "likeness of the nine squares, above that of others at the same place",
        "likeness",
        0.02,
        "Tables 1 and 2: nine squares and their projections, of twelve maps out of 256; that they look alike is left to the eye.",
        "Skin, hair and light that differ between people in ways that are not drawn here, so that squares at the same place differ more.",
    ),
    "C2": Claim(
        "Projections of the matched maps lie on the region of their action unit.",
        "share of projected energy in the unit's region, above that at random places",
        "alignment",
        0.05,
        "Table 1: six action units, each beside a map whose projections look like it; how they were found is not said, no control shown.",
        "Wrinkles and folds of real skin. Where a unit moves it is not recorded there: regions would have to come from landmarks.",
    ),
    "C3": Claim(
        "The map that maximises D for an action unit is its detector.",
        "AUC on people that it was not chosen on, above 0.5",
        "detection",
        0.05,
        "Figures 5 and 6, Tables 4 and 5: the distance over all maps for four action units and its largest, on the pictures that chose it.",
        "Units that people showed by themselves in other mixtures, coded by eye, in 593 sequences of 123 people.",
    ),
    "C4": Claim(
        "The network classifies with the maps that D matched to action units.",
        "accuracy lost without the matched maps, above that lost without others as loud",
        "decision",
        0.05,
        "Concluded in section 4 from the claims above: no map is taken away, and nothing is measured.",
        "Expressions that are not built from units by rule. Units cannot be switched on in a photograph, so rendered controls stay.",
    ),
}
UNTRAINED = "untrained networks"
"""Name of the control that every claim has."""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    claim
        C1 to C4, see `CLAIMS`.
    value
        The measure, its mean over the trained networks; NaN for a claim that was not put to its test.
    trained, untrained
        Number of networks.
    comparisons
        With each control, untrained networks first.
    decision
        One of `DECISIONS`.
    reason
        Why the claim was not put to its test; else empty.
    """

    claim: str
    value: float
    trained: int
    untrained: int
    comparisons: tuple[Comparison, ...]
    decision: Decision
    reason: str = ""

    @property
    def statement(self) -> str:
        """What is claimed."""
        return CLAIMS[self.claim].statement

    @property
    def measure(self) -> str:
        """Name of the measure."""
        return CLAIMS[self.claim].measure


def judge(
    claim: str,
    trained: ArrayLike,
    untrained: ArrayLike,
    controls: Sequence[Comparison] = (),
    reason: str = "",
) -> Verdict:
    """Decide on a claim.

    Parameters
    ----------
    claim
        C1 to C4.
    trained, untrained
        Its measure in each network, shapes (n,) and (m,); NaN is left out.
    controls
        Comparisons within the trained networks; each has to be beaten as well.
    reason
        Why nothing was measured, for the reader, if so.

    Returns
    -------
    Verdict

    Examples
    --------
    One trained network above all of twenty untrained ones, by far and by little:

    >>> import numpy as np
    >>> from fer_lib.claims import judge
    >>> untrained = np.linspace(-0.05, 0.05, 20)
    >>> judge("C3", [0.3], untrained).decision, judge("C3", [0.06], untrained).decision
    ('holds', 'holds')
    >>> judge("C3", [0.04], untrained).decision, judge("C3", [-0.2], untrained).decision
    ('not decided', 'does not hold')
    """
    measured, before = known(trained), known(untrained)
    comparisons = (between_networks(UNTRAINED, measured, before), *controls)
    value = float(measured.mean()) if len(measured) else float("nan")
    decision = decide(comparisons, CLAIMS[claim].margin)
    return Verdict(claim, value, len(measured), len(before), comparisons, decision, reason)


def decide(comparisons: Sequence[Comparison], margin: float) -> Decision:
    """Turn the comparisons of a claim into one of `DECISIONS`.

    It does not hold if a difference is surely too small to matter: the upper end of its 95 % interval is below the margin. It holds if
    every control is beaten at 5 %. All else, a comparison that could not be made included, decides nothing: other data, more people or
    more networks may (`fer_lib.measures.comparisons.Comparison.detectable` says what these could have seen).
    """
    if any(c.high < margin for c in comparisons):
        return "does not hold"
    return "holds" if comparisons and all(c.beaten for c in comparisons) else "not decided"


def verdicts_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return a row for each verdict: `claim`, `measure`, `value`, `trained`, `untrained`, `margin`, `decision`, `reason`."""
    rows = [
        (v.claim, v.measure, v.value, v.trained, v.untrained, CLAIMS[v.claim].margin, v.decision, v.reason)
        for v in verdicts
    ]
    columns = ["claim", "measure", "value", "trained", "untrained", "margin", "decision", "reason"]
    return pd.DataFrame(rows, columns=columns)


def comparisons_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return a row for each comparison of each verdict: `claim`, `control`, `difference`, `low`, `high`, `p`, `n`, `detectable`."""
    rows = [
        (
            v.claim,
            c.name,
            c.difference,
            c.low,
            c.high,
            c.p,
            c.n,
            c.detectable if np.isfinite(c.high) else np.nan,
        )
        for v in verdicts
        for c in v.comparisons
    ]
    return pd.DataFrame(
        rows, columns=["claim", "control", "difference", "low", "high", "p", "n", "detectable"]
    )
