"""Do the p values keep their promise? Simulations in which nothing is there to be found: 5 % must mean 5 %.

Each simulation draws small sets of faces, maps or networks in which maps know nothing of action units (or of classes), but all that makes
a test too bold is there: people who differ, maps that go together, units that go together, frames of one sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import binom, binomtest
from torch import nn

from fer_lib.errors import FerError
from fer_lib.measures.ablation import ablate
from fer_lib.measures.alignment import other_maps
from fer_lib.measures.arrays import Floats
from fer_lib.measures.comparisons import between_networks
from fer_lib.measures.criteria import criteria_test
from fer_lib.measures.distance import distances
from fer_lib.measures.distance_null import distance_p_values, largest_distances
from fer_lib.measures.dose_response import dose_response, dose_tests
from fer_lib.measures.expression_controls import within_expression
from fer_lib.measures.held_out import held_out_detectors
from fer_lib.measures.matches import detection_controls
from fer_lib.measures.nulls import chosen_p_values, permutation_null
from fer_lib.measures.patching import remove_keep_patch

Generator = np.random.Generator
Simulation = Callable[[Generator], float]
"""Draws one set without anything to be found, and returns p of the test."""
PERMUTATIONS = 99
"""Of every permutation test: p can be 0.05 exactly."""
_PEOPLE, _SEQUENCES, _MAPS, _UNITS = 16, 5, 10, 3


def rejection_rates(
    simulations: Mapping[str, Simulation] | None = None,
    *,
    runs: int = 1000,
    level: float = 0.05,
    confidence: float = 0.999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how often each p value of the book is at most `level` where there is nothing to be found.

    Parameters
    ----------
    simulations
        By name; None: `SIMULATIONS`.
    runs
        Sets that each simulation draws, at least 1.
    level
        Below or at which p rejects, between 0 and 1.
    confidence
        With which a test that keeps its level exactly stays below `bound`, and of the interval.
    seed
        Of the draws; each simulation has a stream of its own, so that others change nothing.

    Returns
    -------
    DataFrame
        Index `p`: ``runs``; ``rejected`` (share with p at or below the level); ``low`` and ``high`` (exact binomial interval, Clopper and
        Pearson); ``bound`` (the largest share that chance explains); ``holds`` (whether ``rejected`` is at most ``bound``).
    """
    if runs < 1 or not 0 < level < 1 or not 0 < confidence < 1:
        raise FerError(
            f"runs={runs}, level={level}, confidence={confidence}: give at least 1 and shares between 0 and 1"
        )
    chosen = SIMULATIONS if simulations is None else simulations
    rows = []
    for name, simulate in chosen.items():
        stream = np.frombuffer(name.encode(), np.uint8).tolist()
        rng = np.random.default_rng([seed, *stream])
        count = sum(simulate(rng) <= level + 1e-12 for _ in range(runs))
        interval = binomtest(int(count), runs, level).proportion_ci(confidence)
        bound = binom.ppf(confidence, runs, level) / runs
        rows.append((name, runs, count / runs, interval.low, interval.high, bound, count / runs <= bound))
    columns = ["p", "runs", "rejected", "low", "high", "bound", "holds"]
    return pd.DataFrame(rows, columns=columns).set_index("p")


# ------------------------------------------------------------------------------------------------ sets without anything to be found


def _faces(rng: Generator) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Responses, labels and people of sequences: people have maps and units of their own, and maps and units go together."""
    who = np.repeat(np.arange(_PEOPLE), _SEQUENCES)
    common = rng.normal(size=(len(who), 2)) @ rng.normal(size=(2, _MAPS))
    own = 2 * rng.normal(size=(_PEOPLE, _MAPS))
    responses = rng.normal(size=(len(who), _MAPS)) + common + own[who]
    together = 0.7 * rng.normal(size=(len(who), 1)) + rng.normal(size=(_PEOPLE, _UNITS))[who]
    present = (rng.normal(size=(len(who), _UNITS)) + together > rng.uniform(0, 1, _UNITS)).astype(float)
    return np.maximum(responses + 5, 0), present, who


def _seed(rng: Generator) -> int:
    return int(rng.integers(2**31))


def _best_map(rng: Generator) -> float:
    responses, present, who = _faces(rng)
    null = permutation_null(responses, present[:, :1], who, permutations=PERMUTATIONS, seed=_seed(rng))
    return float(null.p_values().min())


def _joint(rng: Generator) -> float:
    # A set of permutations is shared by all units: with few of them ties make the test cautious, never bold.
    null = permutation_null(*_faces(rng), permutations=2 * PERMUTATIONS, seed=_seed(rng))
    return float(np.nanmin(null.joint_p_values()))


def _one_map(rng: Generator) -> float:
    responses, present, who = _faces(rng)
    return float(
        chosen_p_values(responses, present[:, :1], who, [0], permutations=PERMUTATIONS, seed=_seed(rng))[0]
    )


def _in_expression(rng: Generator) -> float:
    """Everybody shows most expressions once; maps and units follow the expression, and differ between people."""
    responses, present, who = _faces(rng)
    expression = np.tile(np.arange(_SEQUENCES), _PEOPLE)
    shown = rng.random(len(who)) < 0.8
    responses += rng.normal(size=(_SEQUENCES, _MAPS))[expression]
    rare = rng.uniform(0.2, 0.9, _SEQUENCES)[expression]
    present *= rng.random(len(who))[:, None] < rare[:, None]
    names = np.array([f"expression {number}" for number in range(_SEQUENCES)])[expression]
    return float(
        within_expression(
            responses[shown],
            present[shown, :1],
            names[shown],
            who[shown],
            permutations=PERMUTATIONS,
            seed=_seed(rng),
        )[0]
    )


def _largest_distance(rng: Generator) -> float:
    """Three frames of a sequence, the first neutral."""
    responses, present, who = _faces(rng)
    films = np.repeat(np.arange(len(who)), 3)
    moves = np.tile([False, True, True], len(who))
    maxima = np.maximum(responses[films] + 0.3 * rng.normal(size=(len(films), _MAPS)), 0)
    labels = np.where(moves[:, None], present[films], 0.0)[:, :1]
    null = largest_distances(
        maxima, labels, films, who[films], moves, permutations=PERMUTATIONS, seed=_seed(rng)
    )
    return float(distance_p_values(distances(maxima, labels).max(axis=1), null)[0])


def _held_out(rng: Generator) -> float:
    responses, present, who = _faces(rng)
    table = held_out_detectors(
        responses, present[:, :1], who, folds=3, permutations=PERMUTATIONS, draws=1, seed=_seed(rng)
    )
    return float(table["p"].iloc[0])


def _classifier(rng: Generator) -> tuple[nn.Sequential, Floats, NDArray[np.int64]]:
    """A network's last layers, its planes and classes that these tell something about; maps are loud to different degrees."""
    maps, classes, pictures = 40, 3, 90
    generator = torch.Generator().manual_seed(_seed(rng))
    layers = nn.Sequential(nn.Flatten(), nn.Linear(maps, 12), nn.ReLU(), nn.Linear(12, classes)).eval()
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.normal_(generator=generator)
    gain = np.exp(0.6 * rng.normal(size=maps))
    planes = (gain * np.maximum(rng.normal(size=(pictures, maps)) + 1, 0))[:, :, None, None]
    with torch.no_grad():
        scores = layers(torch.from_numpy(planes).float()).numpy()
    # Labels that the network gets right mostly, so that any loud map is missed.
    labels = np.where(rng.random(pictures) < 0.8, scores.argmax(axis=1), rng.integers(0, classes, pictures))
    return layers, planes, labels


def _ablation(what: str) -> Simulation:
    def simulate(rng: Generator) -> float:
        layers, planes, labels = _classifier(rng)
        chosen = rng.choice(planes.shape[1], 5, replace=False)
        found = ablate(layers, planes, labels, chosen, draws=PERMUTATIONS, neighbours=8, seed=_seed(rng))
        return float(getattr(found, what))

    return simulate


def _patched(rng: Generator) -> float:
    """Maps of the person's neutral picture in that with the expression; five pictures a person."""
    layers, planes, labels = _classifier(rng)
    person = np.arange(len(planes)) // 5
    neutral = np.maximum(planes[person * 5] + 0.3 * rng.normal(size=planes.shape), 0)
    chosen = rng.choice(planes.shape[1], 5, replace=False)
    table = remove_keep_patch(
        layers,
        planes,
        labels,
        chosen,
        person,
        neutral=neutral,
        draws=PERMUTATIONS,
        neighbours=8,
        resamples=1,
        seed=_seed(rng),
    )
    return float(table["loss_p"].loc["patch neutral into apex"])


def _dose(what: str) -> Simulation:
    """Interventions that no map answers; people differ, and each map's noise is as skewed as that of maxima."""

    def simulate(rng: Generator) -> float:
        plan = np.array([(0, 0), *((au, dose) for au in range(1, _UNITS + 1) for dose in (1, 3, 5))])
        who = np.repeat(np.arange(_PEOPLE), len(plan))
        au, dose = np.tile(plan, (_PEOPLE, 1)).T
        maximum = 3 * rng.normal(size=(_PEOPLE, _MAPS))[who] + rng.gumbel(size=(len(who), _MAPS))
        table = dose_tests(
            dose_response(maximum, who, au, dose), permutations=PERMUTATIONS, draws=1, seed=_seed(rng)
        )
        return float(table["p"].iloc[0] if what == "p" else table["p_joint"].min())

    return simulate


def _networks(trained: int) -> Simulation:
    """Trained networks that are as untrained ones, of which there are twenty."""

    def simulate(rng: Generator) -> float:
        return between_networks(
            "", rng.exponential(size=trained), rng.exponential(size=20), seed=_seed(rng)
        ).p

    return simulate


def _other_maps(rng: Generator) -> float:
    """Maps that were matched to units without regard to where either lies; some maps and some regions go together."""
    inside = np.clip(
        0.3
        + 0.1 * rng.normal(size=(8, 1))
        + 0.1 * rng.normal(size=_MAPS)
        + 0.1 * rng.normal(size=(8, _MAPS)),
        0,
        1,
    )
    return other_maps(inside, rng.integers(_MAPS, size=8), draws=PERMUTATIONS, seed=_seed(rng)).p


def _detected(rng: Generator) -> float:
    """Maps that were matched to units on other people, and know nothing of them on these."""
    responses, present, who = _faces(rng)
    half = len(responses) // 2
    return detection_controls(
        responses,
        present,
        np.arange(half),
        np.arange(half, len(responses)),
        matched=np.arange(present.shape[1]),
        subject=who,
        expression=who,
        seed=_seed(rng),
    )[0].p


def _criteria(rng: Generator) -> float:
    """Units that raise expressions without regard to the criteria: some raise all, and some expressions are raised by all."""
    effect = rng.normal(size=(20, 6)) + rng.normal(size=(20, 1)) + rng.normal(size=6)
    defined = rng.random(effect.shape) < 0.15
    defined[0], defined[1] = np.eye(6, dtype=bool)[:2]
    tables = (pd.DataFrame(values) for values in (effect, defined))
    return criteria_test(*tables, permutations=PERMUTATIONS, seed=_seed(rng)).p


SIMULATIONS: dict[str, Simulation] = {
    "best of all maps, corrected for the choice of map": _best_map,
    "best of all maps and units, corrected for both choices": _joint,
    "map that was chosen on other people": _one_map,
    "best of all maps within an expression": _in_expression,
    "largest distance D of all maps": _largest_distance,
    "map chosen in folds of people": _held_out,
    "maps removed, accuracy": _ablation("p"),
    "maps removed, cross-entropy": _ablation("p_loss"),
    "maps patched, cross-entropy": _patched,
    "best map for an intervention": _dose("p"),
    "best map and intervention": _dose("p_joint"),
    "one trained network beside untrained ones": _networks(1),
    "five trained networks beside untrained ones": _networks(5),
    "matched maps beside other maps": _other_maps,
    "matched maps on other people, above chance": _detected,
    "units switched on, and the criteria of expressions": _criteria,
}
"""One for each kind of p value in the book."""
