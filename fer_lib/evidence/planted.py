"""Can a measure find a detector that is known to be there? A simulation without any network.

Maps are rectified normal noise with log-normal gains; one of them, the planted detector, is shifted where the
action unit is present. A measure that cannot find it here is no evidence for detectors elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from fer_lib.errors import FerError
from fer_lib.evidence.distance import Floats, best_maps, distances
from fer_lib.evidence.ranks import auc
from fer_lib.facs import AUS

MEASURES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "D (paper)": lambda maxima, present: distances(maxima, present),
    "D, scale-free": lambda maxima, present: distances(maxima, present, scale_free=True),
    "D, scale-free, size-matched, signed": lambda maxima, present: distances(
        maxima, present, scale_free=True, size_matched=True, signed=True
    ),
    "AUC": auc,
}


def find_planted(
    positives: int,
    *,
    pictures: int = 593,
    maps: int = 256,
    shift: float = 1.0,
    gain_sd: float = 1.0,
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
    gain_sd
        Standard deviation of the maps' log gains; 0 for equally loud maps.
    runs, seed
        Simulations, and their seed.

    Returns
    -------
    DataFrame
        Index `measure`; columns `found` (share of runs in which the planted map is chosen) and
        `gain_percentile` (mean percentile of the chosen map's gain among all; 50 if gain plays no part and the
        planted map is not favoured).
    """
    if not 0 < positives < pictures or maps < 2 or runs < 1:
        raise FerError(
            f"positives={positives} of {pictures} pictures, maps={maps}, runs={runs}: nothing to compare"
        )
    generator = np.random.default_rng(seed)
    present = (np.arange(pictures) < positives).astype(np.float64)[:, None]
    found = dict.fromkeys(MEASURES, 0)
    percentile = dict.fromkeys(MEASURES, 0.0)
    for _ in range(runs):
        gain = np.exp(gain_sd * generator.normal(size=maps))
        noise = generator.normal(size=(pictures, maps))
        planted = int(generator.integers(maps))
        noise[:, planted] += shift * present[:, 0]
        maxima = gain * np.maximum(noise, 0)
        for name, measure in MEASURES.items():
            best = best_maps(measure(maxima, present))[0]
            found[name] += int(best == planted)
            percentile[name] += 100 * float((gain <= gain[best]).mean())
    table = pd.DataFrame({"found": pd.Series(found), "gain_percentile": pd.Series(percentile)}) / runs
    return table.rename_axis("measure")


def detection_rates(
    *, aus: Sequence[int] = (16, 11, 9, 1, 25), gains: Sequence[float] = (0.0, 0.25, 0.5, 1.0), runs: int = 30
) -> pd.DataFrame:
    """Repeat `find_planted` with as many positives as CK+ has of some action units, and with other gains.

    Parameters
    ----------
    aus
        Units whose number of sequences in CK+ is taken, with a log-normal gain of standard deviation 1.
    gains
        Standard deviations of the log gains, at the number of positives of the last but one unit.
    runs
        Simulations of each setting.

    Returns
    -------
    DataFrame
        `vary` ("positives" or "gain"), `value` (its value), `measure`, `found` (share of runs), `gain_percentile`.
    """
    counts = [AUS[au].ckplus_count for au in aus]
    tables = [find_planted(count, runs=runs).assign(vary="positives", value=float(count)) for count in counts]
    tables += [
        find_planted(counts[-2], gain_sd=gain, runs=runs).assign(vary="gain", value=gain) for gain in gains
    ]
    return pd.concat(tables).reset_index()[["vary", "value", "measure", "found", "gain_percentile"]]
