"""What to render, as pure data: who shows which action units, how strongly, on which side, and when.

No pixel is made here. A plan depends on its arguments alone, so it is the same whoever renders it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fer_lib.errors import FerError
from fer_lib.facs import AUS, CKPLUS_EXPRESSION_COUNTS, CKPLUS_SUBJECTS
from fer_lib.render.prototypes import DEFAULT_STRENGTH, DIRECTED, PROTOTYPES, Prototype

CKPLUS_LABELLED = sum(CKPLUS_EXPRESSION_COUNTS.values())
CKPLUS_UNLABELLED = sum(count for count, _ in DIRECTED.values())
PEAK_LEVELS = (0.85, 0.95, 1.0)
"""Levels of the last three frames of a sequence, which the analysis takes as showing the expression."""
MAXIMUM_SUBJECTS = 999
"""CK+ writes subjects with three digits."""
_HALF_STEP = 0.45
_USUAL = 0.6
_LETTERS = (1, 5)


@dataclass(frozen=True)
class SequencePlan:
    """One sequence from neutral to peak.

    Attributes
    ----------
    subject, number : int
        Subject (1 and up) and the sequence's number within the subject (1 and up).
    expression : str
        Emotion label; empty for a sequence that has none.
    action : str
        Prototype that the action units were drawn from.
    peak : mapping of int to float
        Exact intensity of each AU present at the peak, above 0.5 up to 5; `round` gives the FACS step (A-E = 1-5).
        For one-sided or lopsided AUs that of the stronger side.
    asymmetry : mapping of int to float
        Per AU of `peak`, -1 to 1: 0 both sides alike, 1 on the subject's left side alone, -1 on the right alone.
    tempo : mapping of int to float
        Per AU of `peak`, the exponent of its rise (1 linear with the level; above 1 late, below 1 early).
    """

    subject: int
    number: int
    expression: str
    action: str
    peak: Mapping[int, float]
    asymmetry: Mapping[int, float]
    tempo: Mapping[int, float]

    @property
    def name(self) -> str:
        """Name as in CK+: ``"S005_001"``."""
        return f"{subject_name(self.subject)}_{self.number:03d}"

    @property
    def codes(self) -> dict[int, int]:
        """FACS codes at the peak: AU to 1..5."""
        return {au: round(value) for au, value in sorted(self.peak.items())}

    def intensities(self, level: float) -> dict[int, float]:
        """Return each AU's exact intensity (0 to 5) when the sequence is at `level` (0 neutral, 1 peak)."""
        return {au: round(value * level ** self.tempo[au], 4) for au, value in sorted(self.peak.items())}

    def controls(self, level: float) -> dict[int | str, float]:
        """Return what the renderer takes at `level`: AU, or AU with side (``"14L"``), to a share of intensity E."""
        controls: dict[int | str, float] = {}
        for au, value in self.intensities(level).items():
            lean = self.asymmetry[au]
            if lean == 0:
                controls[au] = value / 5
            else:
                controls[f"{au}L"] = value / 5 * (1 + min(lean, 0.0))
                controls[f"{au}R"] = value / 5 * (1 - max(lean, 0.0))
        return {key: amount for key, amount in controls.items() if amount > 0}


def subject_name(subject: int) -> str:
    """Name of a subject as in CK+: ``"S005"``."""
    return f"S{subject:03d}"


def levels(frames: int) -> tuple[float, ...]:
    """Levels (0 neutral to 1 peak) of a sequence of `frames` frames (2 and up): neutral, rise, three near the peak.

    Raises
    ------
    FerError
        If `frames` is below 2.
    """
    if frames < 2:
        raise FerError(
            f"frames is {frames}: a sequence needs at least a neutral frame and a peak, so give 2 or more"
        )
    peak = PEAK_LEVELS[-min(len(PEAK_LEVELS), frames - 1) :]
    rise = frames - 1 - len(peak)
    return (0.0, *(PEAK_LEVELS[0] * (step + 1) / (rise + 1) for step in range(rise)), *peak)


def class_counts(sequences: int | None, subjects: int) -> dict[str, int]:
    """Labelled sequences per expression, in CK+'s proportions.

    Parameters
    ----------
    sequences : int or None
        How many in all. None takes as many per subject as CK+ has, which for 123 subjects are exactly its 327.
    subjects : int
        How many people; nobody shows an expression in more than one labelled sequence.

    Returns
    -------
    dict of str to int
        Sums to `sequences`; from 7 sequences on every expression occurs.

    Raises
    ------
    FerError
        If the numbers are out of range or more than 7 sequences per subject are asked for.
    """
    if not 1 <= subjects <= MAXIMUM_SUBJECTS:
        raise FerError(f"subjects is {subjects}: give 1 to {MAXIMUM_SUBJECTS}, CK+ names have three digits")
    if sequences is None:
        sequences = round(CKPLUS_LABELLED * subjects / CKPLUS_SUBJECTS)
    most = len(CKPLUS_EXPRESSION_COUNTS) * subjects
    if not 1 <= sequences <= most:
        raise FerError(f"sequences is {sequences}: give 1 to {most}, one per expression and subject")
    return _proportional(CKPLUS_EXPRESSION_COUNTS, sequences, cap=subjects)


def _proportional(weights: Mapping[str, int], total: int, cap: int) -> dict[str, int]:
    """Share `total` out by `weights`, at most `cap` each, at least one each if there are enough."""
    share = {name: total * weight / sum(weights.values()) for name, weight in weights.items()}
    counts = {name: min(cap, max(int(share[name]), int(total >= len(weights)))) for name in weights}
    while (rest := total - sum(counts.values())) != 0:
        step = 1 if rest > 0 else -1
        open_names = [name for name in weights if (counts[name] < cap if step > 0 else counts[name] > 1)]
        chosen = max(open_names, key=lambda name: step * (share[name] - counts[name]))
        counts[chosen] += step
    return counts


def plan(
    *,
    subjects: int = CKPLUS_SUBJECTS,
    sequences: int | None = None,
    unlabelled: int = 0,
    seed: int = 0,
    aus: Collection[int] = frozenset(AUS),
    strongest: float = 5,
) -> tuple[SequencePlan, ...]:
    """Plan a set of sequences in CK+'s image.

    Parameters
    ----------
    subjects : int
        People, 1 to 999.
    sequences : int or None
        Sequences with an emotion label; see `class_counts`.
    unlabelled : int
        Sequences without one, of which CK+ has 266: facial actions on demand.
    seed : int
        Chooses everything; not negative.
    aus : collection of int
        AUs that can be shown; others are left out of the combinations.
    strongest : float
        Largest intensity at the peak, 1 to 5 (A to E); what would be stronger is cut to it.

    Returns
    -------
    tuple of SequencePlan
        In order of subject and number. Every labelled sequence meets the criteria of its expression
        (`fer_lib.facs.meets_criteria`); each AU's incidence within an expression is its prototype's to within one sequence.

    Raises
    ------
    FerError
        If a number is out of range or `aus` lacks one that an expression cannot do without.
    """
    if unlabelled < 0 or seed < 0:
        raise FerError(f"unlabelled is {unlabelled} and seed is {seed}: neither can be negative")
    if not 1 <= strongest <= 5:
        raise FerError(f"strongest is {strongest}: intensities go from 1 to 5 (A to E)")
    rng = np.random.default_rng([seed, 1])
    held = np.zeros(subjects + 1)
    roles: list[tuple[int, Prototype, str, frozenset[int]]] = []
    labelled = class_counts(sequences, subjects)
    for expression in sorted(filter(labelled.get, labelled), key=lambda name: -labelled[name]):
        people = _choose_people(held, labelled[expression], rng)
        combinations = _deal(PROTOTYPES[expression], len(people), frozenset(aus), rng)
        roles += [
            (who, PROTOTYPES[expression], expression, what)
            for who, what in zip(people, combinations, strict=True)
        ]
    _spread(roles, held)
    actions = _proportional(
        {name: count for name, (count, _) in DIRECTED.items()}, unlabelled, cap=unlabelled
    )
    for action, count in actions.items():
        if not count:
            continue
        prototype = DIRECTED[action][1]
        for what in _deal(prototype, count, frozenset(aus), rng):
            roles.append((_choose_people(held, 1, rng)[0], prototype, "", what))
    # The number of a sequence must not give its expression away.
    order = sorted(rng.permutation(len(roles)), key=lambda index: roles[index][0])
    plans: list[SequencePlan] = []
    for index in order:
        subject, prototype, expression, what = roles[index]
        number = plans[-1].number + 1 if plans and plans[-1].subject == subject else 1
        plans.append(_perform(subject, number, expression, prototype, what, seed, strongest))
    return tuple(plans)


def _choose_people(held: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Choose `count` different people, those with few sequences first but not strictly, and note it in `held`."""
    wish = held[1:] + rng.uniform(0, 4, len(held) - 1)
    people = np.sort(np.argsort(wish, kind="stable")[:count] + 1)
    held[people] += 1
    return [int(person) for person in people]


def _spread(roles: list[tuple[int, Prototype, str, frozenset[int]]], held: np.ndarray) -> None:
    """Give everybody without a sequence one of the busiest person's, as far as there are enough."""
    for person in np.flatnonzero(held[1:] == 0) + 1:
        busiest = int(np.argmax(held[1:])) + 1
        if held[busiest] < 2:
            return
        index = next(i for i, role in enumerate(roles) if role[0] == busiest)
        roles[index] = (int(person), *roles[index][1:])
        held[busiest] -= 1
        held[person] += 1


def _deal(
    prototype: Prototype, count: int, aus: frozenset[int], rng: np.random.Generator
) -> list[frozenset[int]]:
    """Deal AU combinations to `count` sequences so that each share is kept to within one sequence."""
    hands: list[set[int]] = [set() for _ in range(count)]
    for core, group in enumerate(prototype.groups):
        missing = sorted({au for option, _ in group for au in option} - aus)
        if missing and core == 0 and all(set(option) - aus for option, _ in group):
            raise FerError(f"{prototype.name} cannot be shown without AU {missing[0]}: add it to the AUs")
        options = [frozenset(option) & aus for option, _ in group]
        edges = np.cumsum([share for _, share in group])
        # Systematic sampling: every share is met to the next whole number, up or down by chance.
        places = (np.arange(count) + rng.uniform()) / max(count, 1)
        for hand, choice in zip(
            rng.permutation(count), np.searchsorted(edges, places, side="right"), strict=True
        ):
            if choice < len(options):
                hands[hand] |= options[choice]
            elif core == 0:
                hands[hand] |= options[-1]
    for hand in hands:
        if hand & {26, 27} and 25 in aus:
            hand.add(25)  # a jaw that drops parts the lips
    return [frozenset(hand) for hand in hands]


def _perform(
    subject: int,
    number: int,
    expression: str,
    prototype: Prototype,
    what: Iterable[int],
    seed: int,
    strongest: float,
) -> SequencePlan:
    """Draw intensities, sides and tempo; they depend on seed, subject, number and the AUs alone."""
    rng = np.random.default_rng([seed, 2, subject, number])
    vigour = rng.normal(0, 0.25)
    side = 1.0 if rng.uniform() < 0.5 else -1.0
    one_sided = expression == "contempt" and rng.uniform() < 0.7
    peak: dict[int, float] = {}
    asymmetry: dict[int, float] = {}
    tempo: dict[int, float] = {}
    for au in sorted(what):
        low, high = prototype.strength.get(au, DEFAULT_STRENGTH)
        # Posers reach the top of a range now and then only.
        least, most = low - _HALF_STEP, min(high + _HALF_STEP, _LETTERS[1])
        drawn = rng.triangular(least, least + _USUAL * (most - least), most) + vigour
        drawn = np.clip(drawn, least, most)
        peak[au] = round(float(min(drawn, strongest)), 3)
        lopsided = side * rng.uniform(0.2, 0.5) if rng.uniform() < 0.08 else rng.normal(0, 0.07)
        if one_sided and au in (12, 14):
            lopsided = side
        asymmetry[au] = round(float(np.clip(lopsided, -1, 1)), 3) if AUS[au].sided else 0.0
        tempo[au] = round(float(rng.uniform(0.75, 1.35)), 3)
    return SequencePlan(subject, number, expression, prototype.name, peak, asymmetry, tempo)


def count_aus(plans: Sequence[SequencePlan]) -> dict[int, int]:
    """Sequences in which each AU of `fer_lib.facs.AUS` is present at the peak."""
    return {au: sum(au in sequence.peak for sequence in plans) for au in AUS}
