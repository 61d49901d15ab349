"""Can a measure find a detector that is known to be there? A simulation without any network.

Maps are rectified normal noise, as loud, as steady and as often silent as the maps of a real network (`Noise`); one of them, the
planted detector, is raised where the action unit is present. A measure that cannot find it here is no evidence for detectors
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from fer_lib.checks import generator
from fer_lib.errors import FerError
from fer_lib.facs import AUS
from fer_lib.measures.arrays import Floats
from fer_lib.measures.distance import best_maps, distances
from fer_lib.measures.ranks import auc

MEASURES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "D (paper)": lambda maxima, present: distances(maxima, present),
    "D, scale-free": lambda maxima, present: distances(maxima, present, scale_free=True),
    "D, scale-free, size-matched, signed": lambda maxima, present: distances(
        maxima, present, scale_free=True, size_matched=True, signed=True
    ),
    "AUC": auc,
}


@dataclass(frozen=True)
class Noise:
    """How the maps of a network answer to faces, whatever these show.

    A map's response is ``gain * max(level + z, 0)`` with standard normal z, which maps may share in part.
    With the defaults a map's mean is 3.3 of its standard
    deviations and 3.5 % of responses are zero, both on average, as on the network of the default preset.

    Attributes
    ----------
    level, level_sd
        Mean and standard deviation over maps of the level, which is the mean response in standard deviations of the noise.
    gain_sd
        Standard deviation over maps of the log gain; 0 for maps that vary equally much.
    correlation
        Root mean square of the correlations of two maps' z, 0 to below 1. All share one cause, which raises as many maps as it
        lowers.
    """

    level: float = 3.3
    level_sd: float = 1.5
    gain_sd: float = 0.6
    correlation: float = 0.0

    @classmethod
    def measured(cls, maxima: ArrayLike) -> Noise:
        """Measure the noise of maps from their largest responses (N, C); maps that never vary do not count.

        Raises
        ------
        FerError
            When fewer than two maps vary.
        """
        values = np.asarray(maxima, dtype=np.float64)
        spread = values.std(axis=0)
        alive = np.ptp(values, axis=0) > 0  # the spread of a constant may be rounded to more than 0
        if alive.sum() < 2:
            raise FerError(f"{alive.sum()} of {values.shape[1]} maps vary; noise is measured on at least two")
        level = values.mean(axis=0)[alive] / spread[alive]
        return cls(
            float(level.mean()), float(level.std()), float(np.log(spread[alive]).std()), _correlation(values)
        )

    def draw(self, pictures: int, maps: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw standardised responses before rectification (pictures, maps), and gains (maps,)."""
        level = self.level + self.level_sd * rng.normal(size=maps)
        z, gain = rng.normal(size=(pictures, maps)), np.exp(self.gain_sd * rng.normal(size=maps))
        if self.correlation:
            cause, sign = rng.normal(size=(pictures, 1)), rng.choice([-1.0, 1.0], size=maps)
            z = np.sqrt(1 - self.correlation) * z + np.sqrt(self.correlation) * cause * sign
        return level + z, gain


def noise_table(maxima: ArrayLike, noise: Noise | None = None, *, seed: int = 0) -> pd.DataFrame:
    """Compare the noise of real maps with what a simulation makes of it.

    Parameters
    ----------
    maxima
        Largest responses of real maps, (N, C).
    noise
        To simulate, as many pictures and maps; None: as measured on these.
    seed
        Of the simulation.

    Returns
    -------
    DataFrame
        Index `what`: "mean / sd" (median over maps), "zeros" (share of responses), "gains" (standard deviation of the log of the maps'
        standard deviations), "correlation" (root mean square over pairs of maps, without what chance makes); columns ``measured`` and
        ``simulated``. Maps that never vary count for zeros only.
    """
    values = np.asarray(maxima, dtype=np.float64)
    assumed = Noise.measured(values) if noise is None else noise
    responses, gain = assumed.draw(len(values), values.shape[1], np.random.default_rng(seed))

    def describe(some: Floats) -> dict[str, float]:
        alive = some[:, np.ptp(some, axis=0) > 0]
        spread = alive.std(axis=0)
        return {
            "mean / sd": float(np.median(alive.mean(axis=0) / spread)),
            "zeros": float((some == 0).mean()),
            "gains": float(np.log(spread).std()),
            "correlation": _correlation(alive),
        }

    columns = {"measured": describe(values), "simulated": describe(gain * np.maximum(responses, 0))}
    return pd.DataFrame(columns).rename_axis("what")


def _correlation(values: Floats) -> float:
    """Root mean square correlation of pairs of maps that vary, without the 1 / (N - 1) that chance adds to the square."""
    alive = values[:, np.ptp(values, axis=0) > 0]
    alive = (alive - alive.mean(axis=0)) / alive.std(axis=0)
    count, maps = alive.shape
    if maps < 2:
        return 0.0
    pairs = (((alive.T @ alive / count) ** 2).sum() - maps) / (maps * (maps - 1))
    return float(np.sqrt(np.clip(pairs - 1 / (count - 1), 0.0, 0.99)))


def find_planted(
    positives: int,
    *,
    pictures: int = 593,
    maps: int = 256,
    shift: float = 1.0,
    noise: Noise = Noise(),
    runs: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how often each measure of `MEASURES` chooses the planted map.

    Parameters
    ----------
    positives
        Pictures with the action unit, 1 to ``pictures - 1``.
    pictures
        Independent pictures; CK+ has 593 sequences.
    maps
        Maps, of which one is the detector.
    shift
        How far the action unit raises the planted map, in standard deviations of its noise before rectification.
    noise
        Of the maps.
    runs, seed
        Simulations, and their seed.

    Returns
    -------
    DataFrame
        Index `measure`; columns `found` (share of runs in which the planted map is chosen), `low` and `high` (its exact 95 % binomial
        interval over runs) and `gain_percentile` (mean percentile of the chosen map's gain among all; 50 if gain plays no part and the
        planted map is not favoured).
    """
    if not 0 < positives < pictures or maps < 2 or runs < 1:
        raise FerError(
            f"positives={positives} of {pictures} pictures, maps={maps}, runs={runs}: nothing to compare"
        )
    rng = generator(seed)
    present = (np.arange(pictures) < positives).astype(np.float64)[:, None]
    found = dict.fromkeys(MEASURES, 0)
    percentile = dict.fromkeys(MEASURES, 0.0)
    for _ in range(runs):
        responses, gain = noise.draw(pictures, maps, rng)
        planted = int(rng.integers(maps))
        responses[:, planted] += shift * present[:, 0]
        maxima = gain * np.maximum(responses, 0)
        for name, measure in MEASURES.items():
            best = best_maps(measure(maxima, present))[0]
            found[name] += int(best == planted)
            percentile[name] += 100 * float((gain <= gain[best]).mean())
    intervals = [binomtest(count, runs).proportion_ci() for count in found.values()]
    table = pd.DataFrame(
        {
            "found": pd.Series(found) / runs,
            "low": pd.Series([interval.low for interval in intervals], list(found)),
            "high": pd.Series([interval.high for interval in intervals], list(found)),
            "gain_percentile": pd.Series(percentile) / runs,
        }
    )
    return table.rename_axis("measure")


def detection_rates(
    noise: Noise = Noise(),
    *,
    aus: Sequence[int] = (16, 11, 9, 1, 25),
    shifts: Sequence[float] = (0.5, 1.0, 2.0, 3.0),
    gains: Sequence[float] = (0.0, 0.25, 0.5, 1.0),
    runs: int = 30,
) -> pd.DataFrame:
    """Repeat `find_planted` along three axes, all else as at a shift of 1 and the fourth unit's number of sequences.

    Parameters
    ----------
    noise
        Of the maps; its `gain_sd` is replaced along the third axis.
    aus
        Units whose number of sequences in CK+ is taken as the number of positives.
    shifts
        How far the unit raises the planted map, in standard deviations.
    gains
        Standard deviations of the log gains.
    runs
        Simulations of each setting.

    Returns
    -------
    DataFrame
        `vary` ("positives", "shift" or "gain"), `value` (its value), `measure`, `found` (share of runs), `low`, `high`, `gain_percentile`.
    """
    counts = [AUS[au].ckplus_count for au in aus]
    usual = counts[-2]

    def along(vary: str, value: float, table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(vary=vary, value=float(value))

    tables = [along("positives", n, find_planted(n, noise=noise, runs=runs)) for n in counts]
    tables += [along("shift", s, find_planted(usual, shift=s, noise=noise, runs=runs)) for s in shifts]
    tables += [
        along("gain", g, find_planted(usual, noise=replace(noise, gain_sd=g), runs=runs)) for g in gains
    ]
    return pd.concat(tables).reset_index()[
        ["vary", "value", "measure", "found", "low", "high", "gain_percentile"]
    ]
