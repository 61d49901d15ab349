"""Render one run as a book of its own: the same pages, each notebook with all of that run's parameters.

``python -m fer_lib.sweeps.book``, with the run's folder in FER_RUN, is what ``make book RUN=...`` calls.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_lib.environment import parameters_of_run, settings_from_environment
from fer_lib.errors import FerError
from fer_lib.sweeps.specification import NOTEBOOKS

BOOK = NOTEBOOKS.parent / "book"
BOOKS = NOTEBOOKS.parent / "out" / "books"
"""Where the books of runs go, in a folder for each sweep."""


def folder_of(run: Path) -> Path:
    """Return where the book of a run goes: below `BOOKS`, by the names of its folder and of the one above."""
    place = run.expanduser().absolute()
    return BOOKS / place.parent.name / place.name


def write_source(parameters: Mapping[str, Any], out: Path) -> None:
    """Copy the book's source to a folder, with a run's parameters in every notebook that takes some, and on the first page.

    What was built there before is kept, so that only what changed is built again.

    Parameters
    ----------
    parameters
        By name.
    out
        Folder to write.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        if old.name != "_build":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(BOOK, out, ignore=shutil.ignore_patterns("_build", "notebooks"), dirs_exist_ok=True)
    (out / "notebooks").mkdir()
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        with_parameters(notebook, parameters, out / "notebooks" / notebook.name)
    first = out / "intro.md"
    first.write_text(f"{first.read_text('utf-8').rstrip()}\n\n{_note(parameters)}", "utf-8")
    shutil.copystat(BOOK / "intro.md", first)


def with_parameters(notebook: Path, parameters: Mapping[str, Any], out: Path) -> None:
    """Write a copy of a notebook in which papermill's cell gives it some parameters; one that takes none is copied as it is."""
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    content = nbformat.read(notebook, as_version=4)
    if any("parameters" in cell.metadata.get("tags", ()) for cell in content.cells):
        content = parameterize_notebook(load_notebook_node(str(notebook)), dict(parameters))
        for number, cell in enumerate(content.cells):
            cell.metadata.pop("papermill", None)
            if "injected-parameters" in cell.metadata.get("tags", ()):
                cell["id"] = f"{notebook.stem}-run-{number}"  # papermill draws one by chance
        content.metadata.pop("papermill")
    nbformat.write(content, out)
    shutil.copystat(notebook, out)  # unchanged pages are not written again


def build(run: Path, options: Sequence[str] = ()) -> Path:
    """Build the book of a run, and return its first page.

    Parameters
    ----------
    run
        Folder of the run.
    options
        Of ``jupyter-book build``.

    Raises
    ------
    FerError
        If it is no run's folder, or the book cannot be built.
    """
    out = folder_of(run)
    parameters = parameters_of_run(run.expanduser())
    write_source(parameters, out)
    settings = settings_from_environment()
    own = {"FER_PRESET": settings.preset, "FER_FACES": settings.faces}
    if threads := _threads_of(run.expanduser()):
        own["OMP_NUM_THREADS"] = threads
    program = Path(sys.executable).with_name("jupyter-book")
    command = [str(program), "build", *options, str(out)]
    if subprocess.run(command, env={**os.environ, **own}, check=False).returncode:
        raise FerError(f"the book of run {run} could not be built; what stopped it stands above")
    return out / "_build" / "html" / "index.html"


def _threads_of(run: Path) -> str:
    """Return the number of threads that a run was made with, which is part of its network's key; empty where it is not known."""
    for file in sorted(run.glob("*.json")):
        return str(json.loads(file.read_text("utf-8")).get("threads", ""))
    return ""


def _note(parameters: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| `{name}` | `{value!r}` |" for name, value in parameters.items() if name != "faces")
    return f":::{{note}}\nThis is the book of one run, with these parameters:\n\n| parameter | value |\n| --- | --- |\n{rows}\n:::\n"


if __name__ == "__main__":
    try:
        print(f"open {build(Path(os.environ.get('FER_RUN', '')), sys.argv[1:]).as_uri()}")
    except FerError as error:
        sys.exit(f"fer: {error}")
