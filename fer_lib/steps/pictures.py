"""The selected frames of a set of faces: their table, landmarks and crops at native size."""

from __future__ import annotations

from pathlib import Path

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Selection
from fer_lib.faces import table as frames
from fer_lib.faces.cropping import save_crops
from fer_lib.faces.reader import read


@step(free=("root", "progress"))
def pictures(
    folder: Path, source: Artifact | str, selection: Selection, *, root: Path, progress: bool
) -> None:
    """Read faces, select frames and cut the faces out.

    Parameters
    ----------
    source : Artifact or str
        What the faces are: the rendered set, or the digest of what is read of the user's.
    root : Path
        Where they lie.
    """
    faces = read(root, film_step=selection.film_step, au_threshold=selection.au_threshold)
    chosen = frames.select_frames(faces, last=selection.last_frames, labelled_only=False)
    chosen = frames.with_box(chosen)
    save_crops(chosen, folder, progress=progress)
    frames.save(chosen, folder)
