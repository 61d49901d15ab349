"""Rendered sets on disk: a CK+ of faces that belong to nobody, with every action unit known exactly.

Sequences lie in CK+'s own layout; the ground truth that no photograph has lies beside them, in ``rendered/``.
"""

import math
from collections.abc import Collection
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from fer_lib.checks import given_path
from fer_lib.errors import FerError
from fer_lib.facs import AUS, CKPLUS_SUBJECTS, EXPRESSIONS
from fer_lib.render.card import faces_card
from fer_lib.render.folder import new_folder
from fer_lib.render.muscles import drawable
from fer_lib.render.output import (
    Part,
    box_cells,
    check_size,
    collect,
    flatten,
    numbers,
    save_picture,
    save_regions,
    save_text,
)
from fer_lib.render.person import MODEL_OLDEST, OLDEST, YOUNGEST, Person
from fer_lib.render.plan import SequencePlan, levels, plan, subject_name
from fer_lib.render.scene import Shot, render
from fer_lib.render.shot import YAW
from fer_lib.render.workers import in_processes


def render_faces(
    out: Path,
    *,
    subjects: int = CKPLUS_SUBJECTS,
    sequences: int | None = None,
    unlabelled: int = 0,
    frames: int = 6,
    size: int = 256,
    aus: Collection[int] | None = None,
    strongest: float = 5,
    yaw: float = YAW,
    oldest: float = OLDEST,
    seed: int = 0,
    processes: int = 2,
    progress: bool = True,
) -> Path:
    """Render a set in CK+'s layout.

    Parameters
    ----------
    out : Path
        Folder to write: new, empty, or an earlier rendered set, which is replaced once the new one is complete.
    subjects : int
        People, 1 to 999.
    sequences : int or None
        Sequences with an emotion label, in CK+'s class proportions; None takes CK+'s 327 for 123 subjects and
        as many per subject otherwise.
    unlabelled : int
        Further sequences, FACS-coded but without an emotion label (CK+ has 266).
    frames : int
        Frames of each sequence, 2 and up: neutral, rise, and up to three near the peak.
    size : int
        Side of the square pictures in pixels, 32 to 2048.
    aus : collection of int or None
        AUs that may be shown; None takes every AU of CK+ that can be rendered. An expression that cannot do without another
        one is refused.
    strongest : float
        Largest intensity at the peak, 1 to 5 (A to E): a set of subtle faces.
    yaw : float
        Standard deviation of the head's turn to the side, 0 to 30 degrees.
    oldest : float
        Age of the oldest people in years, 25 to 90. The youngest look about 25.
    seed : int
        Chooses everything, not negative: the same arguments give the same bytes.
    processes : int
        How many processes render; changes nothing but the time.
    progress : bool
        Show a progress bar (on a terminal or in a notebook).

    Returns
    -------
    Path
        `out`. Below it CK+'s ``cohn-kanade-images/``, ``Landmarks/``, ``FACS/`` and ``Emotion/``, and
        ``rendered/`` with ``parameters.parquet`` (one row per frame), ``regions.npz`` and ``regions/``,
        ``settings.json`` and ``README.md``, which explains them.

    Raises
    ------
    FerError
        If a number is out of range, or `out` holds something else or cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import fer_lib as fer
    >>> options = dict(subjects=1, sequences=1, frames=2, size=48, processes=1, progress=False)
    >>> faces = fer.read_faces(fer.render_faces(Path(mkdtemp()) / "faces", **options))
    >>> faces.table[["subject", "frame", "expression"]].to_dict("list")
    {'subject': ['S001', 'S001'], 'frame': [1, 2], 'expression': ['surprise', 'surprise']}
    >>> faces.landmarks.shape
    (2, 68, 2)
    """
    out = given_path("out", out)
    whole = {"subjects": subjects, "unlabelled": unlabelled, "frames": frames, "size": size, "seed": seed}
    whole |= {"processes": processes} | ({} if sequences is None else {"sequences": sequences})
    for name, value in {**whole, "strongest": strongest, "yaw": yaw, "oldest": oldest}.items():
        if isinstance(value, bool) or not isinstance(value, Integral if name in whole else Real):
            raise FerError(
                f"{name}={value!r} is not possible: give {'an integer' if name in whole else 'a number'}"
            )
    if isinstance(aus, str) or not isinstance(aus, Collection | None):
        raise FerError(f"aus={aus!r} is not possible: give a list of action units, such as [1, 2, 12]")
    check_size(size)
    rise = levels(frames)
    if not 0 <= yaw <= 30:
        raise FerError(f"yaw is {yaw}: a standard deviation from 0 to 30 degrees is expected")
    if not YOUNGEST <= oldest <= MODEL_OLDEST:
        raise FerError(f"oldest is {oldest}: an age from {YOUNGEST:g} to {MODEL_OLDEST:g} years is expected")
    able, shown = drawable(None), drawable(aus)
    plans = plan(
        subjects=subjects,
        sequences=sequences,
        unlabelled=unlabelled,
        seed=seed,
        aus=shown,
        strongest=strongest,
    )
    settings = {
        "kind": "faces",
        "subjects": subjects,
        "sequences": len(plans) - unlabelled,
        "unlabelled": unlabelled,
        "frames": frames,
        "size": size,
        "aus": sorted(shown),
        "strongest": strongest,
        "yaw": yaw,
        "oldest": oldest,
        "seed": seed,
    }
    by_subject: dict[int, list[SequencePlan]] = {}
    for sequence in plans:
        by_subject.setdefault(sequence.subject, []).append(sequence)
    with new_folder(out, settings) as folder:
        work = partial(
            _render_subject, root=folder, able=able, rise=rise, size=size, yaw=yaw, oldest=oldest, seed=seed
        )
        collect(
            in_processes(work, [tuple(group) for group in by_subject.values()], processes),
            folder,
            total=len(plans) * frames,
            table="parameters.parquet",
            progress=progress,
        )
        (folder / "rendered" / "README.md").write_text(faces_card(plans, settings), encoding="utf-8")
    return Path(out)


def _render_subject(
    plans: tuple[SequencePlan, ...],
    *,
    root: Path,
    able: frozenset[int],
    rise: tuple[float, ...],
    size: int,
    yaw: float,
    oldest: float,
    seed: int,
) -> Part:
    """Render all sequences of one subject."""
    person = Person.of_set(0, plans[0].subject, seed, oldest=oldest)
    rows: list[dict[str, Any]] = []
    masks: dict[int, tuple[np.ndarray, int]] = {}
    for sequence in plans:
        rng = np.random.default_rng([seed, 3, sequence.subject, sequence.number])
        shot = Shot.draw(rng, yaw=yaw)
        place = Path(subject_name(sequence.subject)) / f"{sequence.number:03d}"
        for position, level in enumerate(rise):
            number = position + 1
            still = shot.jitter(rng)
            frame = render(person, sequence.controls(level), still, size=size)
            stem = f"{sequence.name}_{number:08d}"
            save_picture(frame.image, root / "cohn-kanade-images" / place / f"{stem}.png")
            save_text(numbers(frame.landmarks), root / "Landmarks" / place / f"{stem}_landmarks.txt")
            intensities = sequence.intensities(level)
            rows.append(
                {
                    "subject": subject_name(sequence.subject),
                    "sequence": sequence.name,
                    "frame": number,
                    "position": position,
                    "expression": sequence.expression,
                    "action": sequence.action,
                    "level": level,
                    **{f"AU{au}": intensities.get(au, 0.0 if au in able else math.nan) for au in AUS},
                    **{f"asymmetry{au}": sequence.asymmetry.get(au, 0.0) for au in AUS if AUS[au].sided},
                    **box_cells(frame.landmarks),
                    **flatten("shot", still),
                    **flatten("person", person),
                }
            )
        codes = np.array(list(sequence.codes.items()), dtype=float)
        save_text(numbers(codes), root / "FACS" / place / f"{stem}_facs.txt")
        if sequence.expression:
            code = EXPRESSIONS.index(sequence.expression)
            save_text(numbers(np.array([[code]])), root / "Emotion" / place / f"{stem}_emotion.txt")
        save_regions(
            frame, list(sequence.codes), root / "rendered" / "regions" / f"{sequence.name}.npz", masks
        )
    return Part(rows, masks)
