"""The paper's four claims, each with a measure, its controls, and a verdict that follows from them by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_lib.errors import FerError

VERDICTS = ("holds", "holds in part", "does not hold", "not decided")
STATEMENTS = {
    "C1": "The nine strongest squares of a conv3 map look alike.",
    "C2": "Projections of the matched maps lie on the region of their action unit.",
    "C3": "The map that maximises D for an action unit is its detector.",
    "C4": "The network classifies with the maps that D matched to action units.",
}


@dataclass(frozen=True)
class Comparison:
    """A measure against one control.

    Attributes
    ----------
    difference : float
        Mean of measure minus control; above 0 speaks for the claim.
    p : float
        Probability of a difference this large if measure and control were alike, from 1 / (B + 1) to 1.
    """

    difference: float
    p: float

    @property
    def beaten(self) -> bool:
        """Whether the measure is above its control at 5 %."""
        return self.difference > 0 and self.p <= 0.05


def paired(
    measure: np.ndarray, control: np.ndarray, *, permutations: int = 5000, seed: int = 0
) -> Comparison:
    """Compare item by item: under the null each difference could as well have the other sign.

    Parameters
    ----------
    measure, control : (n,) arrays
        Values of the same items; items with a NaN in either are left out.
    permutations : int
        Random sign flips.
    seed : int
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
    if np.shape(measure) != np.shape(control):
        raise FerError(f"{np.shape(measure)} measures and {np.shape(control)} controls; one of each per item")
    difference = np.asarray(measure, float) - np.asarray(control, float)
    difference = difference[~np.isnan(difference)]
    if len(difference) == 0 or not np.isfinite(difference).all():
        return Comparison(float("nan"), float("nan"))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(permutations, len(difference)))
    null = signs @ difference / len(difference)
    # Sums in another order may differ in the last digit; an exact tie counts as at least as large.
    reached = null >= difference.mean() - 1e-12 * np.abs(difference).sum()
    return Comparison(float(difference.mean()), float((1 + reached.sum()) / (permutations + 1)))


def unpaired(
    measure: np.ndarray, control: np.ndarray, *, permutations: int = 5000, seed: int = 0
) -> Comparison:
    """Compare two groups of items: under the null each value could as well be of the other group.

    Parameters
    ----------
    measure, control : (n,) and (m,) arrays
        Values; NaN is left out.
    permutations : int
        Random divisions.
    seed : int
        Of the divisions.

    Returns
    -------
    Comparison
        NaN where a group is empty, or a value infinite.
    """
    a, b = (values[~np.isnan(values)] for values in (np.asarray(measure, float), np.asarray(control, float)))
    if not len(a) or not len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Comparison(float("nan"), float("nan"))
    both = np.concatenate([a, b])
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(len(both)), (permutations, 1)), axis=1)
    first = both[order[:, : len(a)]].mean(1)
    null = first - (both.sum() - first * len(a)) / len(b)
    difference = a.mean() - b.mean()
    reached = null >= difference - 1e-12 * np.abs(both).max()
    return Comparison(float(difference), float((1 + reached.sum()) / (permutations + 1)))


def decide(comparisons: Mapping[str, Comparison]) -> str:
    """Turn the comparisons of a claim into one of :data:`VERDICTS`.

    All controls beaten: it holds; some: in part; none: it does not. A comparison that could not be made, or none at all,
    leaves the claim undecided.
    """
    if not comparisons or not all(np.isfinite(c.difference) for c in comparisons.values()):
        return "not decided"
    beaten = [c.beaten for c in comparisons.values()]
    return "holds" if all(beaten) else "holds in part" if any(beaten) else "does not hold"


def verdict_row(
    claim: str, measure: str, value: float, comparisons: Mapping[str, Comparison]
) -> dict[str, object]:
    """Return one row of the table of verdicts: claim, statement, verdict, measure with its value, controls."""
    controls = "; ".join(
        f"{name} {c.difference:+.3f} (p = {c.p:.3g})"
        if np.isfinite(c.difference)
        else f"{name}: too few to say"
        for name, c in comparisons.items()
    )
    return {
        "claim": claim,
        "statement": STATEMENTS[claim],
        "verdict": decide(comparisons),
        "measure": f"{measure}: {value:.3f}" if np.isfinite(value) else f"{measure}: too few to say",
        "above its controls by": controls,
    }


def undecided_row(claim: str, reason: str) -> dict[str, object]:
    """Return the row of a claim that could not be put to its test, with the reason in place of controls."""
    return {
        "claim": claim,
        "statement": STATEMENTS[claim],
        "verdict": "not decided",
        "measure": "not tested",
        "above its controls by": f"left out: {reason}",
    }


def verdict_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return the verdicts as a table, in the claims' order."""
    return pd.DataFrame(rows).sort_values("claim", ignore_index=True)


def energy_in_regions(energy: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Share of each map's projected energy that falls on each action unit's region.

    Parameters
    ----------
    energy : (C, h, w) array
        Projected energy of each map in the network's input frame, not negative.
    regions : (J, h, w) array
        1 where the unit moves the skin, 0 elsewhere.

    Returns
    -------
    (J, C) float array
        From 0 to 1; NaN for a map without energy. The region's share of the frame is what a blind map would reach.
    """
    total = energy.reshape(len(energy), -1).sum(1)
    inside = regions.reshape(len(regions), -1).astype(float) @ energy.reshape(len(energy), -1).T
    return np.where(total > 0, inside / np.where(total > 0, total, 1), np.nan)
