"""Controls: faces on which exactly one action unit is switched on, and nothing else differs."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_lib.errors import FerError
from fer_lib.render.card import interventions_card
from fer_lib.render.folder import new_folder
from fer_lib.render.muscles import drawable
from fer_lib.render.output import (
    Part,
    box_cells,
    check_size,
    collect,
    numbers,
    save_picture,
    save_regions,
    save_text,
)
from fer_lib.render.person import Person
from fer_lib.render.scene import Shot, render
from fer_lib.render.workers import in_processes


def render_interventions(
    out: Path,
    *,
    people: int = 4,
    aus: Collection[int] | None = None,
    steps: Sequence[int] = (1, 2, 3, 4, 5),
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
    steps : sequence of int
        Intensities, 1 to 5 for A to E.
    size, seed, processes, progress
        As for `render_faces`.

    Returns
    -------
    Path
        `out`, with ``P001/neutral.png``, ``P001/AU12_5.png`` and so on, each with its ``_landmarks.txt``,
        ``table.parquet`` (path, subject, the box of the landmarks in pixels, a column for every AU) as
        `fer_lib.faces.reader.read` reads it, and ``rendered/`` with ``regions.npz``, ``regions/``, ``settings.json`` and
        ``README.md``.

    Raises
    ------
    FerError
        If a number is out of range, or `out` holds something else or cannot be written.
    """
    check_size(size)
    if not 1 <= people <= 999 or seed < 0:
        raise FerError(f"people is {people} and seed is {seed}: give 1 to 999 people and a seed from 0 on")
    if not steps or not all(step in range(1, 6) for step in steps):
        raise FerError(f"steps are {list(steps)}: give intensities 1 to 5, for A to E")
    chosen, steps = tuple(sorted(drawable(aus))), [int(step) for step in steps]
    settings = {
        "kind": "interventions",
        "people": people,
        "aus": chosen,
        "steps": steps,
        "size": size,
        "seed": seed,
    }
    with new_folder(out, settings) as folder:
        work = partial(_render_person, root=folder, aus=chosen, steps=tuple(steps), size=size, seed=seed)
        collect(
            in_processes(work, range(1, people + 1), processes),
            folder,
            total=people * (1 + len(chosen) * len(steps)),
            table="table.parquet",
            progress=progress,
        )
        (folder / "rendered" / "table.parquet").rename(folder / "table.parquet")
        (folder / "rendered" / "README.md").write_text(interventions_card(settings), encoding="utf-8")
    return Path(out)


def _render_person(
    number: int, *, root: Path, aus: tuple[int, ...], steps: tuple[int, ...], size: int, seed: int
) -> Part:
    """Render one person neutral and with one AU at a time, everything else held still."""
    person = Person.of_set(1, number, seed)
    shot = Shot.draw(np.random.default_rng([seed, 4, number]))
    name = f"P{number:03d}"
    rows: list[dict[str, Any]] = []
    masks: dict[int, tuple[np.ndarray, int]] = {}
    for au, step in [(0, 0), *((au, step) for au in aus for step in steps)]:
        frame = render(person, {au: step / 5} if au else {}, shot, size=size)
        path = f"{name}/AU{au}_{step}.png" if au else f"{name}/neutral.png"
        save_picture(frame.image, root / path)
        save_text(numbers(frame.landmarks), root / path.replace(".png", "_landmarks.txt"))
        codes = {f"AU{unit}": step if unit == au else 0 for unit in aus}
        rows.append({"path": path, "subject": name, **box_cells(frame.landmarks), **codes})
        if au and step == max(steps):
            save_regions(frame, [au], root / "rendered" / "regions" / f"{name}_AU{au}.npz", masks)
    return Part(rows, masks)
