"""Rendered faces: the set that a study trains on, those with single action units, and the atlas of action units."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fer_lib.artifacts.steps import step
from fer_lib.config import Rendering
from fer_lib.render.atlas import render_atlas
from fer_lib.render.controls import render_interventions
from fer_lib.render.dataset import render_faces

INTENSITY = 5
"""Intensity E, at which the controls switch a unit on."""
FACES = "faces"
"""Folder, below the artifact's own, that holds a rendered set."""


@step(free=("progress",))
def faces(folder: Path, rendering: Rendering, *, progress: bool) -> None:
    """Render the default set of faces in CK+'s layout."""
    render_faces(
        folder / FACES,
        subjects=rendering.subjects,
        sequences=rendering.sequences or None,
        unlabelled=rendering.unlabelled,
        frames=rendering.frames,
        size=rendering.size,
        seed=rendering.faces_seed,
        processes=os.cpu_count() or 1,
        progress=progress,
    )


@step(free=("progress",))
def control_faces(folder: Path, people: int, size: int, seed: int, *, progress: bool) -> None:
    """Render the control set: few people, each neutral and with every unit alone at E."""
    render_interventions(
        folder / FACES,
        people=people,
        size=size,
        seed=seed,
        steps=(INTENSITY,),
        processes=os.cpu_count() or 1,
        progress=progress,
    )


@step(free=("progress",))
def dose_faces(
    folder: Path,
    people: int,
    aus: Sequence[int],
    doses: Sequence[int],
    size: int,
    seed: int,
    *,
    progress: bool,
) -> None:
    """Render people, each neutral and with one unit at a time at these intensities (1 to 5); of no `aus`, every one."""
    render_interventions(
        folder / FACES,
        people=people,
        aus=tuple(aus) or None,
        steps=tuple(doses),
        size=size,
        seed=seed,
        processes=os.cpu_count() or 1,
        progress=progress,
    )


@step(free=("progress",))
def atlas(folder: Path, levels: tuple[float, ...], *, progress: bool) -> None:
    """Render one person with one action unit at a time, at these intensities."""
    render_atlas(levels=levels, processes=os.cpu_count() or 1, progress=progress).save(folder)
