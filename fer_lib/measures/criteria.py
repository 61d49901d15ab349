"""Does the network take action units for what FACS takes them for? do(AU) on its logits against the criteria of the expressions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from fer_lib.checks import at_least
from fer_lib.errors import Lacking
from fer_lib.facs import AUS, EXPRESSIONS, meets_criteria
from fer_lib.measures.comparisons import Comparison, against_draws

OTHER_UNITS = "units of other expressions"
_LARGEST = 3  # units in the longest criterion


def criteria_units(aus: Sequence[int], expressions: Sequence[str], *, intensity: float = 5.0) -> pd.DataFrame:
    """Return which action units take part in the criterion of which expression, as `fer_lib.facs.meets_criteria` has them.

    A unit takes part if some set of units meets the criterion with it and no longer without it.

    Parameters
    ----------
    aus
        Numbers of units.
    expressions
        Names; those that have no criterion, ``"neutral"`` among them, have no units.
    intensity
        At which every unit of a set is present, 1 to 5 for A to E: surprise takes a faint AU 5 only.

    Returns
    -------
    DataFrame
        Index `AU`, columns the expressions; bool.

    Examples
    --------
    >>> from fer_lib.measures.criteria import criteria_units
    >>> criteria_units([1, 5, 12], ["fear", "happy", "neutral"])
         fear  happy  neutral
    AU
    1    True  False    False
    5    True  False    False
    12  False   True    False
    """
    table = pd.DataFrame(False, index=pd.Index(list(aus), name="AU"), columns=list(expressions))
    for expression in set(expressions) & (set(EXPRESSIONS) - {"neutral"}):
        least: list[set[int]] = []
        for size in range(1, _LARGEST + 1):
            for units in map(set, combinations(AUS, size)):
                smaller = any(found <= units for found in least)
                if not smaller and meets_criteria(expression, dict.fromkeys(units, intensity)):
                    least.append(units)
        table.loc[table.index.isin(set().union(*least)), expression] = True
    return table


def criteria_test(
    effect: pd.DataFrame, defined: pd.DataFrame, *, permutations: int = 9999, seed: int = 0
) -> Comparison:
    """Ask whether a unit that is switched on raises the expressions that it takes part in more than other units raise them.

    Parameters
    ----------
    effect
        How far each unit (index) raises each expression (columns).
    defined
        Whether it takes part in its criterion, of the same shape; see `criteria_units`.
    permutations, seed
        Random assignments of the units' effects to the rows of `defined`, and their seed: each expression keeps its number of units, and
        each unit its effects on all expressions.

    Returns
    -------
    Comparison
        Of the mean effect over (unit, expression) pairs that the criteria name, with that under the random assignments; n is the number of
        units.

    Raises
    ------
    Lacking
        If the criteria name no pair, or every unit for the same expressions.
    """
    at_least("permutations", permutations, 1)
    named = defined.reindex(index=effect.index, columns=effect.columns).to_numpy(bool)
    values = effect.to_numpy(float)
    if not named.any() or (named == named[0]).all():
        raise Lacking(
            "the action units that can be switched on alone do not differ in the criteria of the expressions shown here"
        )
    pairs = named.sum()
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(len(values)), (permutations, 1)), axis=1)
    # The sum over named pairs is a sum over units of how unit i would do in the row of unit j.
    gain = values @ named.T.astype(float)
    drawn = gain[orders, np.arange(len(values))].sum(axis=1) / pairs
    found = against_draws(OTHER_UNITS, np.trace(gain) / pairs, drawn)
    return Comparison(
        OTHER_UNITS, found.difference, found.low, found.high, found.p, int(named.any(axis=1).sum())
    )


def by_expression(effect: pd.DataFrame, defined: pd.DataFrame) -> pd.DataFrame:
    """Return for each expression with a criterion how far its own units raise it, and others.

    Returns
    -------
    DataFrame
        Index `expression`, those with at least one unit: ``units`` (their numbers, as text), ``own`` and ``others`` (mean effects),
        ``first`` (the unit that raises it most), ``named`` (whether that one is among its units).
    """
    rows = []
    for expression in effect.columns:
        own = defined[expression].reindex(effect.index).to_numpy(bool)
        if not own.any():
            continue
        values = effect[expression].to_numpy(float)
        others = float(values[~own].mean()) if not own.all() else float("nan")
        units = ", ".join(map(str, effect.index[own]))
        first = int(values.argmax())
        rows.append(
            (expression, units, float(values[own].mean()), others, effect.index[first], bool(own[first]))
        )
    columns = ["expression", "units", "own", "others", "first", "named"]
    return pd.DataFrame(rows, columns=columns).set_index("expression")
