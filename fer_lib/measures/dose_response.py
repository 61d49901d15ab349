"""How maps answer when one action unit grows on the same face: dose-response curves, and which unit a map answers first.

Pictures are rendered: a person, neutral and with one unit at one intensity, and nothing else changed
(`fer_lib.render.controls.render_interventions`). People, not pictures or maps, are what varies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.checks import group_numbers
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats
from fer_lib.measures.resampling import draw_people


@dataclass(frozen=True)
class DoseResponse:
    """How C maps of a network answer to J action units at T intensities on P people.

    Attributes
    ----------
    aus
        Numbers of the units, (J,).
    doses
        Intensities, ascending, (T,): 1 to 5 for A to E.
    change
        Response minus that to the person's neutral picture, in standard deviations of the map over neutral pictures, shape
        (P, J, T, C). A map that is the same on all neutral pictures is measured in its standard deviation over all pictures; one
        that never varies does not change.
    """

    aus: NDArray[np.int64]
    doses: NDArray[np.int64]
    change: Floats

    def slopes(self) -> Floats:
        """Return the change per step of intensity, (P, J, C): the least squares line through the neutral picture."""
        dose = self.doses / float((self.doses**2).sum())
        return np.einsum("t,pjtc->pjc", dose, self.change)

    def curves(
        self, maps: ArrayLike, *, draws: int = 1000, level: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return each unit's curve on the map that belongs to it.

        Parameters
        ----------
        maps
            Map of each unit, (J,); -1 for none.
        draws, level, seed
            Draws of people, level of the intervals, and seed.

        Returns
        -------
        DataFrame
            A row for each unit with a map and each intensity: ``au``, ``map``, ``dose``, ``change`` (mean over people), ``low``, ``high``,
            ``raised`` (share of the people on whom the map answers more than to the neutral picture, ties one half).
        """
        best = np.asarray(maps)
        if best.shape != self.aus.shape or not np.isin(best, np.arange(-1, self.change.shape[3])).all():
            raise FerError(
                f"maps {best.tolist()} do not fit {len(self.aus)} units and {self.change.shape[3]} maps; give one each, or -1"
            )
        times = draw_people(len(self.change), draws, np.random.default_rng(seed)).astype(float)
        rows = []
        for j in np.flatnonzero(best >= 0):
            for t, dose in enumerate(self.doses):
                change = self.change[:, j, t, best[j]]
                low, high = _bounds(times @ change / len(change), level)
                raised = float(((change > 0) + 0.5 * (change == 0)).mean())
                rows.append(
                    (int(self.aus[j]), int(best[j]), int(dose), float(change.mean()), low, high, raised)
                )
        return pd.DataFrame(rows, columns=["au", "map", "dose", "change", "low", "high", "raised"])


def dose_response(
    maximum: ArrayLike, subject: ArrayLike, au: ArrayLike, intensity: ArrayLike
) -> DoseResponse:
    """Sort responses to rendered interventions by person, unit and intensity, and subtract those to the neutral pictures.

    Parameters
    ----------
    maximum
        Largest response of every picture on every map, shape (N, C), or of coalitions of maps; see `fer_lib.measures.coalitions`.
    subject
        Person of every picture, shape (N,).
    au
        Number of the unit that is on, shape (N,); 0 for the person's neutral picture.
    intensity
        Its intensity, shape (N,), whole numbers from 1; any for the neutral picture.

    Returns
    -------
    DoseResponse

    Raises
    ------
    FerError
        If shapes do not fit, or a person lacks the neutral picture or a unit at an intensity that another has, or has one twice.
    """
    values = np.asarray(maximum, dtype=np.float64)
    unit, dose = np.asarray(au), np.asarray(intensity)
    if values.ndim != 2 or unit.shape != (len(values),) or dose.shape != unit.shape:
        raise FerError(
            f"responses {values.shape}, units {unit.shape} and intensities {dose.shape} do not fit; (N, C), (N,), (N,)"
        )
    if not np.isfinite(values).all():
        raise FerError("responses are not all finite; leave those pictures out or train again")
    who = group_numbers(subject, len(values))
    on = unit != 0
    aus, doses = np.unique(unit[on]), np.unique(dose[on])
    if not len(aus) or doses[0] < 1:
        raise FerError("no picture has a unit switched on, at an intensity from 1; give some that do")
    people = int(who.max()) + 1
    places = np.full((people, len(aus), len(doses)), -1)
    rows = np.flatnonzero(on)
    places[who[rows], np.searchsorted(aus, unit[rows]), np.searchsorted(doses, dose[rows])] = rows
    neutral = np.full(people, -1)
    neutral[who[~on]] = np.flatnonzero(~on)
    if (places < 0).any() or (neutral < 0).any() or len(values) != places.size + people:
        raise FerError(
            f"{people} people, {len(aus)} units and {len(doses)} intensities make {places.size + people} pictures with the "
            f"neutral ones, each once, but there are {len(values)} or some are missing; give all of them"
        )
    rest = values[neutral]
    # What varies by rounding alone does not vary.
    own, whole = (np.where(np.ptp(some, axis=0) > 0, some.std(axis=0), 0.0) for some in (rest, values))
    spread = np.where(own > 0, own, whole)
    change = values[places] - rest[:, None, None]
    return DoseResponse(
        aus.astype(np.int64), doses.astype(np.int64), change / np.where(spread > 0, spread, 1.0)
    )


def dose_tests(
    response: DoseResponse, *, permutations: int = 2000, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Ask for every action unit whether any map answers it, and which does most.

    Under the null the intensity, none included, says nothing of a map's response to a person's pictures with the unit: the intensities of
    each person's pictures change places, for all maps at once. The statistic is the sum of slopes over its standard deviation under
    these permutations, alike for all maps. (Signs of whole people, drawn anew, would reject twice too often: all slopes of a person
    share the neutral picture, so that skewed responses have skewed slopes.)

    Parameters
    ----------
    response
        From `dose_response`.
    permutations, draws, level, seed
        Permutations for p, draws of people for the intervals, their level, and the seed.

    Returns
    -------
    DataFrame
        Index `au`: ``map`` (the largest statistic; -1 if no map changes), ``slope`` (mean over people, in standard deviations per step)
        with ``slope_low`` and ``slope_high`` (people drawn anew and the map chosen anew), ``share`` (of these draws that choose the same
        map), ``p`` (of the best map, corrected for the choice among maps), ``p_joint`` (for that among units too, by Holm), ``answering``
        (maps that are significant at 5 % after correction).
    """
    slopes = response.slopes()  # (P, J, C)
    people, units, _ = slopes.shape
    if people < 2 or permutations < 1 or draws < 1 or not 0 < level < 1:
        raise FerError(
            f"{people} people, permutations={permutations}, draws={draws}, level={level}: give at least two people, one each, and a share"
        )
    rng = np.random.default_rng(seed)
    dose = response.doses / float((response.doses**2).sum())
    weight = np.r_[-dose.sum(), dose]  # of the neutral picture and of each intensity, in a slope
    times = draw_people(people, draws, np.random.default_rng(seed)).astype(float)
    observed, p = np.full((2, units, slopes.shape[2]), np.nan)
    alive, spread = np.zeros(observed.shape, bool), np.zeros(slopes.shape)
    for j in range(units):
        pictures = np.concatenate([np.zeros_like(response.change[:, j, :1]), response.change[:, j]], axis=1)
        spread[:, j] = pictures.var(axis=1)
        total = spread[:, j].sum(axis=0)
        alive[j] = total > 1e-18
        scale = 1 / np.sqrt(np.where(alive[j], total, np.inf))
        observed[j] = slopes[:, j].sum(axis=0) * scale
        moved = rng.permuted(np.broadcast_to(weight, (permutations, people, len(weight))), axis=2)
        null = (moved.reshape(permutations, -1) @ pictures.reshape(-1, pictures.shape[2])) * scale
        largest = null.max(axis=1)
        p[j] = (1 + (largest[:, None] >= observed[j] - 1e-9).sum(axis=0)) / (permutations + 1)
    joint = _holm(p.min(axis=1))
    rows: dict[int, dict[str, float]] = {}
    for j, au in enumerate(response.aus):
        if not alive[j].any():
            rows[int(au)] = {"map": -1, "slope": np.nan, "answering": 0}
            continue
        best = int(observed[j].argmax())
        total, variance = times @ slopes[:, j], times @ spread[:, j]
        drawn = np.where(
            variance > 1e-18, total / np.sqrt(np.where(variance > 1e-18, variance, 1.0)), -np.inf
        )
        winner = drawn.argmax(axis=1)
        low, high = _bounds(total[np.arange(draws), winner] / people, level)
        rows[int(au)] = {
            "map": best,
            "slope": slopes[:, j, best].mean(),
            "slope_low": low,
            "slope_high": high,
            "share": (winner == best).mean(),
            "p": p[j, best],
            "p_joint": joint[j],
            "answering": int(((p[j] <= 0.05) & alive[j]).sum()),
        }
    columns = ["map", "slope", "slope_low", "slope_high", "share", "p", "p_joint", "answering"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("au")


def answers_first(response: DoseResponse, *, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return for every map the action unit that raises it most, and how sure that is.

    Parameters
    ----------
    response
        From `dose_response`.
    draws, seed
        Draws of people, and their seed.

    Returns
    -------
    DataFrame
        Index `map`, those that any unit raises in the mean: ``au`` (the largest mean slope), ``slope``, ``second`` (the next unit; 0 if
        there is one only) and ``margin`` (how much larger the slope is than for the second), ``share`` (of draws of people with the
        same unit first).
    """
    slopes = response.slopes()
    mean = slopes.mean(axis=0)  # (J, C)
    order = np.argsort(-mean, axis=0, kind="stable")
    first, maps = order[0], np.arange(mean.shape[1])
    drawn = np.einsum(
        "bp,pjc->bjc", draw_people(len(slopes), draws, np.random.default_rng(seed)).astype(float), slopes
    ).argmax(axis=1)
    second = order[1] if len(order) > 1 else None
    table = pd.DataFrame(
        {
            "au": response.aus[first],
            "slope": mean[first, maps],
            "second": 0 if second is None else response.aus[second],
            "margin": np.nan if second is None else mean[first, maps] - mean[second, maps],
            "share": (drawn == first).mean(axis=0),
        }
    ).rename_axis("map")
    return table[table["slope"] > 0]


def _holm(p: Floats) -> Floats:
    """Adjust p values for their number, whatever ties them together (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return out


def _bounds(drawn: Floats, level: float) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
