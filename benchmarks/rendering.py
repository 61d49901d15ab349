"""Rendering of faces, with all that is written beside the pictures, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from threadpoolctl import threadpool_limits

from benchmarks.measure import Row, in_turns
from fer_lib.render.dataset import render_faces
from fer_lib.render.person import Person

_ASKED = 1 / 5  # seconds a face
_SAMPLES = 2  # rays along each side of a pixel, as many as the library casts


def rays_alone(person: Person, size: int) -> int:
    """Cast the camera's rays at a person's head, shading nothing; return how many hit it."""
    scene = EmbreeScene()
    surface = np.ascontiguousarray(person.neutral - person.centre, np.float32)
    TriangleMesh(scene, surface, person.triangles)
    side = np.linspace(-1.25, 1.25, _SAMPLES * size, dtype=np.float32)
    start = np.stack(np.broadcast_arrays(*np.meshgrid(side, side), np.float32(16)), -1).reshape(-1, 3)
    towards = np.tile(np.array([[0, 0, -1]], np.float32), (len(start), 1))
    found = scene.run(np.ascontiguousarray(start), towards, query="INTERSECT", output=True)
    return int((found["primID"] >= 0).sum())


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time a small set; the shared head is loaded before."""
    people, size = (1, 64) if quick else (6, 256)
    person = Person(0)
    with TemporaryDirectory() as folder, threadpool_limits(1):
        out = Path(folder) / "faces"

        def work() -> None:
            render_faces(out, subjects=people, frames=4, size=size, processes=1, progress=False)

        times = in_turns({"ours": work, "rays": lambda: rays_alone(person, size)}, 1 if quick else 3)
        faces = len(list(out.glob("cohn-kanade-images/*/*/*.png")))
    ours = times["ours"] / faces
    operation = f"one rendered face of {size}x{size} with landmarks and regions, one core"
    note = (
        f"mean of {faces} faces of {people} people, drawing the people counted; the limit is the {_SAMPLES * size}x"
        f"{_SAMPLES * size} rays of the camera alone, cast by Embree with nothing shaded"
    )
    yield Row(operation, ours, "five a second", _ASKED, _ASKED / ours, ">= 1", times["rays"], note)
