"""The causal test: switch one action unit on in a face, hold everything else still, and see which maps answer.

Pictures on which a unit happens to be present differ in expression, person and light too. Rendered faces allow what
photographs do not: the same face, light and pose with exactly one unit on (`fer_lib.render.controls`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_lib.checks import group_numbers, plain, real_numbers
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.arrays import Floats


def effects(maximum: ArrayLike, subject: ArrayLike, au: ArrayLike) -> pd.DataFrame:
    """Return by how much each unit, switched on, raises each map's maximum.

    Parameters
    ----------
    maximum
        Largest response of every picture on every map, shape (N, C).
    subject
        Who is on each picture, shape (N,).
    au
        Number of the unit that is on, shape (N,); 0 for the person's neutral picture, of which there is exactly one.

    Returns
    -------
    DataFrame
        Index `AU`, columns maps: the mean over people of (with the unit - neutral), in standard deviations of that map over
        all pictures; 0 for a map that never varies.

    Raises
    ------
    FerError
        If someone has no neutral picture or several, there is nothing but neutral pictures, or shapes do not fit.
    """
    values, unit = real_numbers("responses", maximum), np.asarray(plain(au))
    if values.ndim != 2 or unit.shape != (len(values),):
        raise FerError(
            f"interventions: responses {values.shape} and units {unit.shape} do not fit; (N, C), (N,) expected"
        )
    who = group_numbers(subject, len(values), "subject", sort=True)
    people = int(who.max(initial=-1)) + 1
    neutral = np.flatnonzero(unit == 0)
    if not np.array_equal(np.sort(who[neutral]), np.arange(people)):
        raise FerError("interventions: every person needs exactly one neutral picture (AU 0) to compare with")
    before = np.empty((people, values.shape[1]), values.dtype)
    before[who[neutral]] = values[neutral]
    spread = values.std(axis=0)
    change = (values - before[who]) / np.where(spread > 0, spread, 1)
    table = pd.DataFrame(change).groupby(unit).mean().drop(index=0).rename_axis("AU")
    if table.empty:
        raise FerError("interventions: no picture has a unit switched on")
    return table


def selectivity(effect: pd.DataFrame, matched: pd.Series) -> pd.DataFrame:
    """Return how the map that was matched to each unit responds when that unit, or another, is switched on.

    Parameters
    ----------
    effect
        AUs by maps, from `effects`.
    matched
        The map of each AU (index); -1 or NaN for none, which is left out.

    Returns
    -------
    DataFrame
        Index `AU`, those that could be switched on: ``map``; ``effect`` of its own unit, in standard deviations; ``among maps``, the
        share of the other maps that respond less to that unit; ``among units``, the share of the other units to which this map
        responds less. Both shares are one half by chance; ties count one half.

    Raises
    ------
    Lacking
        If none of the AUs could be switched on.
    """
    values, aus = effect.to_numpy(), list(effect.index)
    rows = []
    for au, which in matched.items():
        if au not in aus or not which >= 0:
            continue
        row, column = aus.index(au), effect.columns.get_loc(which)
        own = float(values[row, column])
        rows.append(
            {
                "AU": au,
                "map": which,
                "effect": own,
                "among maps": _below(np.delete(values[row], column), own),
                "among units": _below(np.delete(values[:, column], row), own),
            }
        )
    if not rows:
        raise Lacking(
            f"none of AU {', '.join(map(str, matched.index))} can be switched on alone in a rendered face"
        )
    return pd.DataFrame(rows, columns=["AU", "map", "effect", "among maps", "among units"]).set_index("AU")


def selective_maps(
    matches: pd.DataFrame, effect: pd.DataFrame, untrained_effect: pd.DataFrame
) -> pd.DataFrame:
    """Ask of the map that AUC chose for each unit whether it is selective for that unit, in the network and before training.

    Parameters
    ----------
    matches
        From `fer_lib.measures.matches.evaluate_matches`.
    effect, untrained_effect
        From `effects`, of the network and of it before training.

    Returns
    -------
    DataFrame
        Index ``AU``, the units that were tested on other people and can be switched on alone. ``map``; ``tells`` (its AUC on other people
        is beyond chance at 5 %), ``better`` (and larger than that of the map which the same choice takes before training), ``first`` (no
        other unit raises it as much), ``selective`` (all of these), ``untrained first`` (the same as ``first`` of the untrained map).
    """
    table = matches.dropna(subset=["auc_auc", "auc_untrained_auc"]).set_index("au")
    rows = {}
    for au in table.index:
        chosen, before = table.loc[au, "map_auc"], table.loc[au, "map_untrained_auc"]
        if au not in effect.index or au not in untrained_effect.index:
            continue
        tells = bool(table.loc[au, "p_auc"] <= 0.05)
        better = bool(table.loc[au, "auc_auc"] > table.loc[au, "auc_untrained_auc"])
        first, before_first = (
            bool(some.loc[au, number] > some[number].drop(au).max())
            for some, number in ((effect, chosen), (untrained_effect, before))
        )
        rows[au] = (int(chosen), tells, better, first, tells and better and first, before_first)
    columns = ["map", "tells", "better", "first", "selective", "untrained first"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("AU")


def _below(others: Floats, own: float) -> float:
    """Share of values below another one, ties counting one half; NaN without any other."""
    return float(np.mean((others < own) + 0.5 * (others == own))) if len(others) else float("nan")
