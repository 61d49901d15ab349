"""Tables of user-supplied faces, each of which lacks something, and a shell that runs notebooks on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from conftest import face_picture, seed_of
from PIL import Image

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CLASSES = ("anger", "disgust", "fear", "happy", "sadness", "surprise", "contempt")
CODED = (1, 4, 12, 25)


@dataclass(frozen=True)
class Lacks:
    """What a table of user-supplied faces has, all of it by default."""

    people: int = 8
    expressions: tuple[str, ...] = CLASSES[:4]
    labelled: bool = True
    aus: tuple[int, ...] = CODED
    frames: int = 3  # of a sequence; 1: single pictures
    sequences: int = 3  # of a person
    neutral: bool = False  # single pictures with the label neutral beside them
    landmarks: bool = True
    boxes: bool = True
    coded_every: int = 1  # only every so manieth sequence is coded
    own_expression: bool = False  # each person shows one expression only


KINDS: dict[str, Lacks] = {
    "everything": Lacks(),
    "no action units": Lacks(aus=()),
    "no expressions": Lacks(labelled=False),
    "nothing but pictures": Lacks(labelled=False, aus=(), landmarks=False, boxes=False, frames=1),
    "one expression": Lacks(expressions=("happy",), frames=1),
    "two expressions, single pictures": Lacks(
        expressions=("happy", "anger"), frames=1, aus=(6, 12), landmarks=False, boxes=False, sequences=6
    ),
    "no neutral": Lacks(frames=1, sequences=6),
    "neutral singles, no landmarks": Lacks(frames=1, neutral=True, landmarks=False),
    "one action unit": Lacks(aus=(12,)),
    "an action unit that cannot be rendered": Lacks(aus=(39,)),
    "some rows coded": Lacks(coded_every=2),
    "one person": Lacks(people=1, sequences=8),
    "two people": Lacks(people=2, sequences=8),
    "one picture a person": Lacks(people=24, frames=1, sequences=1),
    "few pictures": Lacks(people=3, frames=1, sequences=2, expressions=("happy", "anger")),
    "a class for each person": Lacks(own_expression=True, frames=2),
    "expression and nothing else": Lacks(aus=(), landmarks=False, boxes=False, frames=1),
}


def write_table(folder: Path, lacks: Lacks) -> Path:
    """Draw the faces and write the table; the mouth opens with the expression's number and along the sequence."""
    folder.mkdir(parents=True)
    rows = []
    count = 0
    for person in range(lacks.people):
        singles = range(lacks.sequences + lacks.neutral)
        for number in singles:
            calm = number == lacks.sequences
            kind = (person if lacks.own_expression else person + number) % len(lacks.expressions)
            name = "neutral" if calm else lacks.expressions[kind]
            coded = count % lacks.coded_every == 0
            count += 1
            for frame in range(lacks.frames):
                strength = 0 if calm else (kind + 1) / len(lacks.expressions) * (frame + 1) / lacks.frames
                path = f"p{person}_{number}_{frame}.png"
                grey, points = face_picture(80, 60, strength, seed_of(f"{person} {number}", frame))
                Image.fromarray(grey).save(folder / path, compress_level=1)
                row: dict[str, object] = {"path": path, "subject": f"p{person}"}
                if lacks.labelled:
                    row["expression"] = name
                if lacks.frames > 1:
                    row |= {"sequence": f"p{person}_{number}", "frame": frame + 1}
                for j, au in enumerate(lacks.aus):
                    shows = (person + 2 * number + j) % (j + 2) == 0 and not calm
                    row[f"AU{au}"] = (3 if shows and (frame or lacks.frames == 1) else 0) if coded else ""
                if lacks.boxes and not lacks.landmarks:
                    low, high = points.min(0), points.max(0)
                    row |= dict(zip(("left", "top", "right", "bottom"), (*low, *high), strict=True))
                if lacks.landmarks:
                    row |= {
                        f"{axis}{i}": point[k]
                        for i, point in enumerate(points, 1)
                        for k, axis in enumerate("xy")
                    }
                rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "faces.csv", index=False)
    return folder / "faces.csv"


@dataclass
class Run:
    """What a notebook showed and where it stopped."""

    failures: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    cells: dict[int, str] = field(default_factory=dict)


@contextmanager
def shell_in_process() -> Iterator[Any]:
    """An IPython shell as a kernel has it, within this process: no start and no imports for each notebook."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.capture = capture_output
    try:
        yield shell
    finally:
        InteractiveShell.clear_instance()


def run_notebook(shell: Any, name: str, **parameters: object) -> Run:
    """Run a notebook's code cells as papermill would with these parameters, going on after a failure."""
    found = Run()
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))
    shell.reset(new_session=True)
    for place, cell in enumerate(notebook["cells"]):
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or "skip-execution" in tags:
            continue
        source = "".join(cell["source"])
        if "parameters" in tags:
            source += "".join(f"\n{key} = {value!r}" for key, value in parameters.items())
        with shell.capture() as captured:
            result = shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            found.failures.append(f"{name}[{place}] {type(error).__name__}: {error} | {source[:80]!r}")
        for output in captured.outputs:
            if "left_out" in (output.metadata or {}):
                found.left_out.append(output.metadata["left_out"])
                found.cells[place] = output.metadata["left_out"]
    return found
