"""Rendering of faces, with all that is written beside the pictures, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpoolctl import threadpool_limits

from benchmarks.measure import Row, in_turns
from fer_lib.render.dataset import render_faces

_ASKED = 1 / 5  # seconds a face


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time a small set; the shared head is loaded before."""
    people, size = (1, 64) if quick else (6, 256)
    with TemporaryDirectory() as folder, threadpool_limits(1):
        out = Path(folder) / "faces"

        def work() -> None:
            render_faces(out, subjects=people, frames=4, size=size, processes=1, progress=False)

        seconds = in_turns({"ours": work}, 1 if quick else 3)["ours"]
        faces = len(list(out.glob("cohn-kanade-images/*/*/*.png")))
    ours = seconds / faces
    operation = f"one rendered face of {size}x{size} with landmarks and regions, one core"
    note = f"mean of {faces} faces of {people} people, drawing the people counted"
    yield Row(operation, ours, "five a second", _ASKED, _ASKED / ours, ">= 1", None, note)
