"""Rendered sets on disk: a CK+ of faces that belong to nobody, with every action unit known exactly.

`render_faces` writes sequences in CK+'s own layout; `render_interventions` writes faces on which exactly one
action unit is switched on. Both write the ground truth that no photograph has beside the pictures, in
``rendered/``.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm.auto import tqdm

from fer_lib.errors import FerError
from fer_lib.facs import AUS, CKPLUS_SUBJECTS, EXPRESSIONS
from fer_lib.render.card import faces_card, interventions_card
from fer_lib.render.muscles import supported_aus
from fer_lib.render.output import MASK_SIDE, crop_mask, flatten, landmark_box, new_folder, numbers
from fer_lib.render.person import Person
from fer_lib.render.plan import SequencePlan, levels, plan, subject_name
from fer_lib.render.scene import Shot, render
from fer_lib.render.shot import YAW
from fer_lib.render.workers import in_processes

SIZES = (32, 2048)
_ROWS_AT_ONCE = 4096


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
    """
    _check_size(size)
    rise = levels(frames)
    if not 0 <= yaw <= 30:
        raise FerError(f"yaw is {yaw}: a standard deviation from 0 to 30 degrees is expected")
    able, shown = _drawable(None), _drawable(aus)
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
        "seed": seed,
    }
    by_subject: dict[int, list[SequencePlan]] = {}
    for sequence in plans:
        by_subject.setdefault(sequence.subject, []).append(sequence)
    with new_folder(out, settings) as folder:
        work = partial(_render_subject, root=folder, able=able, rise=rise, size=size, yaw=yaw, seed=seed)
        _collect(
            in_processes(work, [tuple(group) for group in by_subject.values()], processes),
            folder,
            total=len(plans) * frames,
            table="parameters.parquet",
            progress=progress,
        )
        (folder / "rendered" / "README.md").write_text(faces_card(plans, settings), encoding="utf-8")
    return Path(out)


def render_interventions(
    out: Path,
    *,
    people: int = 4,
    aus: Collection[int] | None = None,
    steps: Sequence[float] = (1, 2, 3, 4, 5),
    size: int = 256,
    seed: int = 0,
    processes: int = 2,
    progress: bool = True,
) -> Path:
    """Render faces on which exactly one action unit is on: the same face, light and pose, with it and without.

    Parameters
    ----------
    out : Path
        Folder to write, as for `render_faces`.
    people : int
        People, 1 to 999. They are others than those of `render_faces` with the same seed.
    aus : collection of int or None
        AUs to switch on; None takes every AU of CK+ that can be rendered.
    steps : sequence of float
        Intensities, above 0 and up to 5 (A to E are 1 to 5).
    size, seed, processes, progress
        As for `render_faces`.

    Returns
    -------
    Path
        `out`, with ``P001/neutral.png``, ``P001/AU12_5.png`` and so on, each with its ``_landmarks.txt``,
        ``table.parquet`` (path, person, au, intensity, the box of the landmarks in pixels; au and intensity are
        0 for the neutral face) and ``rendered/`` with ``regions.npz``, ``regions/``, ``settings.json`` and
        ``README.md``.

    Raises
    ------
    FerError
        If a number is out of range, or `out` holds something else or cannot be written.
    """
    _check_size(size)
    if not 1 <= people <= 999 or seed < 0:
        raise FerError(f"people is {people} and seed is {seed}: give 1 to 999 people and a seed from 0 on")
    if not steps or not all(0 < step <= 5 for step in steps):
        raise FerError(f"steps are {list(steps)}: give intensities above 0 and up to 5")
    chosen = tuple(sorted(_drawable(aus)))
    settings = {
        "kind": "interventions",
        "people": people,
        "aus": chosen,
        "steps": list(steps),
        "size": size,
        "seed": seed,
    }
    with new_folder(out, settings) as folder:
        work = partial(_render_person, root=folder, aus=chosen, steps=tuple(steps), size=size, seed=seed)
        _collect(
            in_processes(work, range(1, people + 1), processes),
            folder,
            total=people * (1 + len(chosen) * len(steps)),
            table="table.parquet",
            progress=progress,
        )
        (folder / "rendered" / "table.parquet").rename(folder / "table.parquet")
        (folder / "rendered" / "README.md").write_text(interventions_card(settings), encoding="utf-8")
    return Path(out)


def _check_size(size: int) -> None:
    if not SIZES[0] <= size <= SIZES[1]:
        raise FerError(f"size is {size}: give {SIZES[0]} to {SIZES[1]} pixels")


def _drawable(aus: Collection[int] | None) -> frozenset[int]:
    """Return the AUs of CK+ that can be rendered, or those asked for."""
    able = frozenset(supported_aus()) & frozenset(AUS)
    unable = sorted(set(aus or ()) - able)
    if unable:
        raise FerError(f"AU {unable[0]} cannot be rendered: choose from {', '.join(map(str, sorted(able)))}")
    return able if aus is None else frozenset(aus)


@dataclass(frozen=True)
class _Part:
    """What one worker hands back: table rows, and the sum and number of its region masks per AU."""

    rows: list[dict[str, Any]]
    masks: Mapping[int, tuple[np.ndarray, int]]


def _collect(parts: Any, folder: Path, *, total: int, table: str, progress: bool) -> None:
    """Write the rows of all parts as they come, and the mean region masks at the end."""
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    waiting: list[dict[str, Any]] = []
    writer: pq.ParquetWriter | None = None
    with tqdm(total=total, desc="faces", unit="face", disable=None if progress else True) as bar:
        for part in parts:
            waiting += part.rows
            for au, (mask, count) in part.masks.items():
                sums[au] = sums.get(au, np.zeros_like(mask)) + mask
                counts[au] = counts.get(au, 0) + count
            bar.update(len(part.rows))
            if len(waiting) >= _ROWS_AT_ONCE:
                writer = _write_rows(waiting, folder / "rendered" / table, writer)
                waiting = []
    if waiting:
        writer = _write_rows(waiting, folder / "rendered" / table, writer)
    if writer is not None:
        writer.close()
    order = sorted(sums)
    np.savez_compressed(
        folder / "rendered" / "regions.npz",
        au=np.array(order, dtype=np.int16),
        mask=np.array([sums[au] / counts[au] / 255 for au in order], dtype=np.float32).reshape(
            -1, MASK_SIDE, MASK_SIDE
        ),
        count=np.array([counts[au] for au in order], dtype=np.int32),
    )


def _write_rows(rows: list[dict[str, Any]], path: Path, writer: pq.ParquetWriter | None) -> pq.ParquetWriter:
    table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
    writer = writer or pq.ParquetWriter(path, table.schema)
    writer.write_table(table)
    return writer


def _person(kind: int, number: int, seed: int) -> Person:
    """Make a person; people of different kinds of set are different."""
    return Person(int(np.random.SeedSequence([seed, kind, number]).generate_state(1)[0]))


def _save_picture(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def _save_regions(
    frame: Any, aus: Sequence[int], path: Path, masks: dict[int, tuple[np.ndarray, int]]
) -> None:
    """Write the masks of AUs that a frame shows, in crop coordinates, and add them to the running sums."""
    cut = [crop_mask(frame.region(au), frame.landmarks) for au in aus]
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(aus), MASK_SIDE, MASK_SIDE)
    np.savez_compressed(
        path, au=np.array(aus, dtype=np.int16), mask=np.array(cut, dtype=np.uint8).reshape(shape)
    )
    for au, mask in zip(aus, cut, strict=True):
        total, count = masks.get(au, (np.zeros((MASK_SIDE, MASK_SIDE), dtype=np.int64), 0))
        masks[au] = (total + mask, count + 1)


def _box_cells(landmarks: np.ndarray) -> dict[str, float]:
    return dict(zip(("left", "top", "right", "bottom"), landmark_box(landmarks), strict=True))


def _render_subject(
    plans: tuple[SequencePlan, ...],
    *,
    root: Path,
    able: frozenset[int],
    rise: tuple[float, ...],
    size: int,
    yaw: float,
    seed: int,
) -> _Part:
    """Render all sequences of one subject."""
    person = _person(0, plans[0].subject, seed)
    rows: list[dict[str, Any]] = []
    masks: dict[int, tuple[np.ndarray, int]] = {}
    for sequence in plans:
        chance = np.random.default_rng([seed, 3, sequence.subject, sequence.number])
        shot = Shot.draw(chance, yaw=yaw)
        place = Path(subject_name(sequence.subject)) / f"{sequence.number:03d}"
        for position, level in enumerate(rise):
            number = position + 1
            still = shot.jitter(chance)
            frame = render(person, sequence.controls(level), still, size=size)
            stem = f"{sequence.name}_{number:08d}"
            _save_picture(frame.image, root / "cohn-kanade-images" / place / f"{stem}.png")
            _save_text(numbers(frame.landmarks), root / "Landmarks" / place / f"{stem}_landmarks.txt")
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
                    **_box_cells(frame.landmarks),
                    **flatten("shot", still),
                    **flatten("person", person),
                }
            )
        codes = np.array(list(sequence.codes.items()), dtype=float)
        _save_text(numbers(codes), root / "FACS" / place / f"{stem}_facs.txt")
        if sequence.expression:
            code = EXPRESSIONS.index(sequence.expression)
            _save_text(numbers(np.array([[code]])), root / "Emotion" / place / f"{stem}_emotion.txt")
        _save_regions(
            frame, list(sequence.codes), root / "rendered" / "regions" / f"{sequence.name}.npz", masks
        )
    return _Part(rows, masks)


def _save_text(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii", newline="\n")


def _render_person(
    number: int, *, root: Path, aus: tuple[int, ...], steps: tuple[float, ...], size: int, seed: int
) -> _Part:
    """Render one person neutral and with one AU at a time, everything else held still."""
    person = _person(1, number, seed)
    shot = Shot.draw(np.random.default_rng([seed, 4, number]))
    name = f"P{number:03d}"
    rows: list[dict[str, Any]] = []
    masks: dict[int, tuple[np.ndarray, int]] = {}
    for au, step in [(0, 0.0), *((au, step) for au in aus for step in steps)]:
        frame = render(person, {au: step / 5} if au else {}, shot, size=size)
        path = f"{name}/AU{au}_{step:g}.png" if au else f"{name}/neutral.png"
        _save_picture(frame.image, root / path)
        _save_text(numbers(frame.landmarks), root / path.replace(".png", "_landmarks.txt"))
        rows.append(
            {"path": path, "person": name, "au": au, "intensity": float(step), **_box_cells(frame.landmarks)}
        )
        if au and step == max(steps):
            _save_regions(frame, [au], root / "rendered" / "regions" / f"{name}_AU{au}.npz", masks)
    return _Part(rows, masks)
