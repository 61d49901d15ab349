"""The largest D by chance: equal to a plain loop, calibrated, and honest about what cannot be judged."""

import numpy as np
import pandas as pd
import pytest

from fer_lib.errors import FerError, Lacking
from fer_lib.measures.distance import distances
from fer_lib.measures.distance_null import above_null, distance_p_values, largest_distances


def faces(seed=0, subjects=12, sequences=4, frames=3, maps=16):
    """Pictures of sequences whose action units say nothing about the responses."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(subjects), sequences * frames)
    sequence = np.repeat(np.arange(subjects * sequences), frames)
    moves = np.tile(np.arange(frames) > 0, subjects * sequences)
    units = (rng.random((subjects * sequences, 2)) < 0.5).astype(float)
    present = np.where(moves[:, None], units[sequence], 0)
    noise = rng.normal(size=(subjects * sequences, maps))[sequence] + 0.1 * rng.normal(size=(len(who), maps))
    return np.maximum(noise, 0), present, sequence, who, moves


def test_one_sequence_a_group_leaves_the_distance_as_it_is():
    maxima, present, sequence, _, moves = faces()
    null = largest_distances(maxima, present, sequence, sequence, moves, permutations=3)
    np.testing.assert_allclose(null, np.tile(distances(maxima, present).max(axis=1), (3, 1)))


def test_calibrated_within_subjects():
    below = []
    for seed in range(40):
        maxima, present, sequence, who, moves = faces(seed)
        null = largest_distances(maxima, present, sequence, who, moves, permutations=60, seed=seed)
        below.append((null < distances(maxima, present).max(axis=1)).mean(axis=0))
    assert 0.4 < np.mean(below) < 0.6


def test_a_detector_exceeds_chance():
    maxima, present, sequence, who, moves = faces()
    maxima[:, 3] += 20 * present[:, 0]
    null = largest_distances(maxima, present, sequence, who, moves, permutations=80)
    observed = distances(maxima, present).max(axis=1)
    assert observed[0] > np.quantile(null[:, 0], 0.95)


def test_a_unit_that_nobody_shows_has_no_null():
    maxima, present, sequence, who, moves = faces()
    present[:, 1] = 0
    null = largest_distances(maxima, present, sequence, who, moves, permutations=4)
    assert np.isfinite(null[:, 0]).all() and np.isnan(null[:, 1]).all()


@pytest.mark.parametrize(
    ("moving", "permutations", "message"), [(False, 5, "no null"), (True, 0, "permutations=0")]
)
def test_nothing_to_permute(moving, permutations, message):
    maxima, present, sequence, who, moves = faces()
    with pytest.raises(FerError, match=message):
        largest_distances(maxima, present, sequence, who, moves & moving, permutations=permutations)


def test_units_above_their_null():
    distances = pd.DataFrame([[1.0, 9.0], [1.0, 2.0]], index=[4, 12])
    null = np.r_[np.arange(1, 6.0), np.zeros(14)]
    # Of 20, the largest of AU 4 is reached by itself alone; that of AU 12 by four draws and itself.
    assert above_null(distances, {4: null, 12: null}) == [4]
    assert above_null(distances, {4: null, 12: null}, quantile=0.75) == [4, 12]
    assert distance_p_values([9, 2], np.stack([null, null], axis=1)).tolist() == [1 / 20, 5 / 20]
    assert above_null(distances, {4: null[:5]}) == [], "five draws cannot reject at 5 %"
    assert np.isnan(distance_p_values([1.0, np.nan], [[np.nan, 1], [1, 1]])).all()
    with pytest.raises(FerError, match="do not fit"):
        distance_p_values([1.0], null)
    with pytest.raises(Lacking, match="two sequences"):
        above_null(distances, {})
