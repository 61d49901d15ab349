import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.errors import FerError
from fer_lib.facs import AUS, CKPLUS_EXPRESSION_COUNTS, meets_criteria
from fer_lib.render.plan import PEAK_LEVELS, class_counts, count_aus, levels, plan
from fer_lib.render.prototypes import DIRECTED, PROTOTYPES


def test_ckplus_in_full():
    plans = plan(unlabelled=266, seed=3)
    assert len(plans) == 593
    assert len({sequence.subject for sequence in plans}) == 123
    counts = count_aus(plans)
    for au, unit in AUS.items():
        assert abs(counts[au] - unit.ckplus_count) <= max(5, 0.06 * unit.ckplus_count), au


@settings(max_examples=30, deadline=None)
@given(
    subjects=st.integers(1, 40),
    share=st.floats(0, 1),
    unlabelled=st.integers(0, 20),
    seed=st.integers(0, 2**32),
)
def test_every_plan_keeps_the_rules(subjects, share, unlabelled, seed):
    sequences = max(1, round(7 * subjects * share))
    plans = plan(subjects=subjects, sequences=sequences, unlabelled=unlabelled, seed=seed)
    assert len(plans) == sequences + unlabelled
    assert plans == plan(subjects=subjects, sequences=sequences, unlabelled=unlabelled, seed=seed)
    assert len({sequence.name for sequence in plans}) == len(plans)
    assert [sequence.name for sequence in plans] == sorted(sequence.name for sequence in plans)
    labelled = [(sequence.subject, sequence.expression) for sequence in plans if sequence.expression]
    assert len(set(labelled)) == len(labelled) == sequences
    assert len({sequence.subject for sequence in plans}) == min(subjects, len(plans)) or unlabelled
    for subject in {sequence.subject for sequence in plans}:
        numbers = [sequence.number for sequence in plans if sequence.subject == subject]
        assert numbers == list(range(1, len(numbers) + 1))
    for sequence in plans:
        assert sequence.peak
        if sequence.expression:
            assert meets_criteria(sequence.expression, sequence.peak)
            assert meets_criteria(sequence.expression, sequence.codes)
        assert set(sequence.codes.values()) <= {1, 2, 3, 4, 5}
        assert all(-1 <= lean <= 1 for lean in sequence.asymmetry.values())
        assert all(AUS[au].sided or lean == 0 for au, lean in sequence.asymmetry.items())


def test_shares_within_an_expression():
    plans = [sequence for sequence in plan(seed=1) if sequence.expression == "happy"]
    for au, share in PROTOTYPES["happy"].incidence().items():
        if au != 25:  # jaw drops add to it
            assert abs(sum(au in sequence.peak for sequence in plans) - share * 69) <= 1


def test_prototypes_are_consistent():
    for prototype in [*PROTOTYPES.values(), *(prototype for _, prototype in DIRECTED.values())]:
        assert sum(share for _, share in prototype.groups[0]) == pytest.approx(1)
        assert all(sum(share for _, share in group) <= 1 + 1e-9 for group in prototype.groups)
        assert all(au in AUS for au in prototype.incidence())


def test_a_sequence_starts_neutral_rises_and_peaks():
    assert levels(6)[0] == 0
    assert levels(6)[-3:] == PEAK_LEVELS
    assert levels(2) == (0.0, 1.0)
    assert all(np.diff(levels(20)) > 0)
    sequence = plan(subjects=2, sequences=4)[0]
    assert set(sequence.intensities(0).values()) == {0.0}
    assert sequence.controls(0) == {}
    assert sequence.intensities(1) == pytest.approx(sequence.peak)


def test_one_sided_contempt_moves_one_side():
    one_sided = [s for s in plan(seed=5) if s.expression == "contempt" and abs(s.asymmetry[14]) == 1]
    assert len(one_sided) > 6
    for sequence in one_sided:
        keys = {str(key) for key in sequence.controls(1) if str(key).startswith("14")}
        assert keys == ({"14L"} if sequence.asymmetry[14] > 0 else {"14R"})
    assert {sequence.asymmetry[14] for sequence in one_sided} == {1.0, -1.0}


def test_class_counts():
    assert class_counts(None, 123) == CKPLUS_EXPRESSION_COUNTS
    assert min(class_counts(8, 3).values()) == 1
    assert set(class_counts(21, 3).values()) == {3}
    assert sum(class_counts(None, 10).values()) == 27


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subjects": 0}, "subjects is 0"),
        ({"subjects": 1000}, "subjects is 1000"),
        ({"subjects": 2, "sequences": 15}, "give 1 to 14"),
        ({"subjects": 2, "sequences": 0}, "sequences is 0"),
        ({"unlabelled": -1}, "unlabelled is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"aus": {12, 25}}, "cannot be shown without AU"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(FerError, match=message):
        plan(**arguments)


def test_too_few_frames():
    with pytest.raises(FerError, match="frames is 1"):
        levels(1)


def test_aus_that_cannot_be_shown_are_left_out():
    plans = plan(unlabelled=266, aus=set(AUS) - {38, 39, 43, 21})
    assert not {38, 39, 43, 21} & {au for sequence in plans for au in sequence.peak}


def test_posers_reach_c_and_d_and_seldom_e():
    """What carries an expression is coded C or D mostly, as in CK+."""
    codes = [
        sequence.codes[au]
        for sequence in plan(seed=3)
        for au in {"anger": (4, 24), "disgust": (9,), "happy": (12,), "sadness": (1, 15)}.get(
            sequence.expression, ()
        )
        if au in sequence.codes
    ]
    share = {letter: np.mean(np.array(codes) == number) for number, letter in enumerate("ABCDE", 1)}
    assert share["C"] + share["D"] > 0.75 and 0 < share["E"] < 0.2, share
