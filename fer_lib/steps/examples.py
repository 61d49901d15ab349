"""The examples of a network: all that its training depends on, so that no other change of the faces or of their reader trains it again."""

from __future__ import annotations

from pathlib import Path

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.network.examples import Examples
from fer_lib.steps.stored import Labelled


@step()
def examples(folder: Path, pictures: Artifact, division: Division) -> None:
    """Divide the labelled pictures; write `Examples`."""
    known = Labelled.load(pictures, neutral=division.neutral)
    split = known.split(division)
    files = pictures.manifest["files"]
    Examples(
        known.labels, known.table["subject"].to_numpy(), split.train, split.test, len(known.expressions)
    ).save(folder, crops={name: files[name] for name in ("pixels.npy", "shapes.npy")})
