"""Run a sweep: find what is missing or outdated, let Snakemake make it, and say what failed.

All sets share one artifact store, so what two of them need is made once.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import filelock
from tqdm import tqdm

from fer_lib import results
from fer_lib.artifacts.files import plain_refusals, write_aside
from fer_lib.artifacts.sources import library_versions, source_digests
from fer_lib.errors import FerError
from fer_lib.faces.digest import MEMORY, digest_of_faces, record_of_faces
from fer_lib.sweeps.execute import PARENT, state_in
from fer_lib.sweeps.specification import NOTEBOOKS, Run, Sweep

ROOT = NOTEBOOKS.parent
SNAKEFILE = ROOT / "sweeps" / "Snakefile"
FIRST = "02_training"
"""The notebook that trains: of one set, the others wait for it."""


def state_of(run: Run, notebook: str, store: Path) -> str:
    """Return what the result of a notebook depends on, in 64 hexadecimal digits: its code, the library's, versions, faces, parameters."""
    source = (NOTEBOOKS / f"{notebook}.ipynb").read_bytes()
    modules = _modules(source)
    parts = {
        "notebook": hashlib.sha256(source).hexdigest(),
        "sources": source_digests(modules),
        "libraries": library_versions(modules),
        "faces": digest_of_faces(Path(run.settings.faces), store / MEMORY) if run.settings.faces else "",
        "parameters": {name: str(value) for name, value in run.parameters.items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def prepare(sweep: Sweep, folder: Path, store: Path) -> list[tuple[str, str]]:
    """Write down what is to be done, take away results that have become outdated, and return what is missing.

    Parameters
    ----------
    sweep
        What is asked for.
    folder
        Where its results are, or will be.
    store
        Of artifacts.

    Returns
    -------
    list of tuple of str
        Run and notebook of each result that is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing, jobs = [], {}
    for run in sweep.runs:
        for notebook in sweep.notebooks:
            target = folder / run.name / f"{notebook}.json"
            state = state_of(run, notebook, store)
            jobs[f"{run.name}/{notebook}"] = {"parameters": run.parameters, "state": state}
            if state_in(target) != state:
                target.unlink(missing_ok=True)
                missing.append((run.name, notebook))
    plan = {
        "sweep": sweep.name,
        "runs": {run.name: {"set": run.set, "chosen": run.chosen} for run in sweep.runs},
        "notebooks": list(sweep.notebooks),
        "fixed": sweep.fixed,
        "settings": asdict(sweep.base),
        "faces": record_of_faces(sweep.base, store / MEMORY),
        "jobs": jobs,
    }
    write_aside(folder / results.PLAN, json.dumps(plan, indent=1).encode())
    return missing


def run_sweep(
    sweep: Sweep, folder: Path, store: Path, *, jobs: int, engine: Sequence[str] = (), progress: bool = True
) -> list[tuple[str, str]]:
    """Run what is missing, and return what failed or was not reached.

    Parameters
    ----------
    sweep, folder, store
        As for `prepare`.
    jobs
        Notebooks at a time.
    engine
        More arguments of Snakemake, such as ``--executor slurm``.
    progress
        Whether to show a bar.

    Raises
    ------
    FerError
        If Snakemake is not installed, the folder cannot be written, or another process runs this sweep.
    """
    lock = filelock.FileLock(folder / ".lock")
    try:
        with plain_refusals(folder, "the sweep's results", "give a folder that can be written with --out"):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except filelock.Timeout:
        raise FerError(
            f"{folder}: this sweep is being run by another process; wait for it or stop it"
        ) from None
    with lock:
        missing = prepare(sweep, folder, store)
        if not missing:
            return []
        if find_spec("snakemake") is None:
            raise FerError("sweeps need Snakemake: pip install 'fer-lib[sweep]'")
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(SNAKEFILE),
            "--directory",
            str(folder),
        ]
        command += ["--jobs", str(jobs), "--keep-going", "--nolock", "--rerun-incomplete"]
        # What is outdated has been taken away already, so that only presence counts.
        command += ["--rerun-triggers", "input", "--quiet", *engine]
        own = {"FER_STORE": str(store), PARENT: f"{os.getpid()}@{socket.gethostname()}"}
        with (folder / "snakemake.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **own})
            bar = tqdm(
                total=len(missing), desc=sweep.name, unit=" notebooks", disable=None if progress else True
            )
            with bar:
                while process.poll() is None:
                    time.sleep(0.5)
                    done = sum((folder / run / f"{name}.json").is_file() for run, name in missing)
                    bar.update(done - bar.n)
        return [(run, name) for run, name in missing if not (folder / run / f"{name}.json").is_file()]


def why_not(folder: Path, run: str, notebook: str) -> str:
    """Say in a line why a result is not there."""
    failed = folder / run / f"{notebook}.failed.ipynb"
    if not failed.is_file():
        return "not reached; see snakemake.log"
    error = results.error_in(failed)
    return f"{error}; see {failed.name}" if error else f"see {failed.name}"


@cache
def _modules(source: bytes) -> tuple[str, ...]:
    """Modules of this package that a notebook imports."""
    found = set()
    for cell in json.loads(source)["cells"]:
        if cell["cell_type"] != "code":
            continue
        code = "".join(cell["source"])
        try:
            tree = ast.parse(code)
        except SyntaxError:  # a cell of another language
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fer_lib"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names if alias.name.startswith("fer_lib.")}
    known = [name for name in sorted(found) if name != "fer_lib" and _is_module(name)]
    return tuple(known)


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()
