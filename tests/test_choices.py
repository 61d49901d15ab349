"""Other choices of the distance, on responses of which the detectors are known."""

from typing import Any

import numpy as np
import pytest

from fer_lib.measures import choices
from fer_lib.measures.detectors import select_and_test
from fer_lib.measures.distance import distances

PEOPLE, SEQUENCES, FRAMES, MAPS = 12, 4, 3, 8


def pictures(detector: bool = True, unseen: int = 6) -> dict[str, Any]:
    """Sequences of three frames; map 2 answers to the first unit, map 5 to the second, or no map to any."""
    rng = np.random.default_rng(0)
    sequence = np.repeat(np.arange(PEOPLE * SEQUENCES), FRAMES)
    position = np.tile(np.arange(FRAMES), PEOPLE * SEQUENCES)
    units = rng.integers(0, 2, (PEOPLE * SEQUENCES, 2)).astype(float)
    present = np.where(position[:, None] > 0, units[sequence], 0.0)
    maximum = rng.random((len(sequence), MAPS))
    maximum[:, [2, 5]] += 4.0 * present * detector
    subject = sequence // SEQUENCES
    held_out = subject >= PEOPLE - unseen
    return {
        "maximum": maximum,
        "present": present,
        "train": np.flatnonzero(~held_out),
        "test": np.flatnonzero(held_out),
        "subject": subject,
        "sequence": sequence,
        "apex": position == FRAMES - 1,
        "moves": position > 0,
    }


def test_every_choice_finds_clear_detectors() -> None:
    table = choices.distance_choices(**pictures())
    assert (table["changed"] == 0).all() and (table["auc"] == 1).all()
    assert table.index[0] == "the study's own" and "n = 18" in table.index


def test_no_choice_finds_detectors_where_there_are_none() -> None:
    table = choices.distance_choices(**pictures(detector=False))
    assert (table["auc"] < 0.8).all() and table["changed"].iloc[1:].any()


def test_where_distances_are_infinite_no_map_is_chosen() -> None:
    given = pictures()
    given["maximum"][given["present"][:, 0] == 0] = 0.0
    assert choices.distance_choices(**given, zero="infinite").loc["the study's own", "without"] >= 1
    # A measure without a winner for any unit has no AUC: it does not borrow the last map's.
    given["maximum"][:] = 0.0
    nothing = choices.distance_choices(**given)
    assert (nothing["without"] == 2).all() and nothing["auc"].isna().all()


def test_auc_of_apex_frames_is_the_choice_of_section_4_1() -> None:
    given = pictures(detector=False)
    table = choices.distance_choices(**given)
    train, test = (given[side][given["apex"][given[side]]] for side in ("train", "test"))
    chosen = select_and_test(given["maximum"], given["present"], train, test, units=[1, 4])
    assert table.loc["AUC of apex frames", "auc"] == pytest.approx(chosen["test_auc"].mean())


def test_without_unseen_people_there_is_no_auc() -> None:
    assert choices.distance_choices(**pictures(unseen=0))["auc"].isna().all()


def test_one_picture_of_a_person() -> None:
    rng = np.random.default_rng(1)
    maxima, present = rng.random((40, 3)), rng.integers(0, 2, (40, 1)).astype(float)
    alone = choices.one_per_person(maxima, present, np.arange(40), n=4)
    np.testing.assert_allclose(alone, distances(maxima, present, 4))
    twice = np.repeat(np.arange(20), 2)
    doubled = choices.one_per_person(
        np.repeat(maxima, 2, 0), np.repeat(present, 2, 0), np.repeat(np.arange(40), 2), n=4
    )
    np.testing.assert_allclose(doubled, alone)
    assert not np.allclose(choices.one_per_person(maxima, present, twice, n=4), alone)


def test_difference_of_means_by_hand() -> None:
    scores = np.array([[1.0, 4], [3, 4], [5, 0]])
    present = np.array([[1, 0], [0, np.nan], [0, 1.0]])
    assert choices.difference_of_means(scores, present).tolist() == [[-3, 2], [4, -4]]
