"""Sweeps: the same notebooks with many sets of parameters, on one machine or a cluster.

A YAML file says what varies (`read_sweep`). Snakemake runs papermill for each notebook and set (``sweeps/Snakefile``); this module
decides what there is to do, refuses what cannot work before anything runs, and sums up. All sets share one artifact store, so what two
of them need is made once.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import filelock
import yaml
from tqdm import tqdm

from fer_lib import results
from fer_lib.artifacts.files import write_aside
from fer_lib.artifacts.sources import library_versions, source_digests
from fer_lib.config import Settings, brief, make_settings
from fer_lib.errors import FerError
from fer_lib.faces.digest import MEMORY, digest_of_faces

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SNAKEFILE = ROOT / "sweeps" / "Snakefile"
FIRST = "02_training"
"""The notebook that trains: of one set, the others wait for it."""
_PARENT = "FER_SWEEP_PARENT"


@dataclass(frozen=True)
class Run:
    """One set of parameters.

    Attributes
    ----------
    name
        Of its folder, such as ``trained+seed=3``.
    parameters
        What the notebooks are given.
    settings
        All parameters that follow.
    """

    name: str
    parameters: dict[str, Any]
    settings: Settings


@dataclass(frozen=True)
class Sweep:
    """What a file asks for.

    Attributes
    ----------
    name
        Of the file, without its ending.
    notebooks
        Which notebooks are run, without ending.
    runs
        The sets of parameters, in the file's order, no two alike.
    """

    name: str
    notebooks: tuple[str, ...]
    runs: tuple[Run, ...]


def read_sweep(file: Path, fixed: Mapping[str, Any] | None = None) -> Sweep:
    """Read what varies, and check all of it.

    Parameters
    ----------
    file
        YAML with ``sets``: a name for each, and below it parameters; a list of values stands for each of them, and several lists for all
        their combinations. ``fixed`` (optional) holds what all sets have, ``notebooks`` (optional) the names of the notebooks.
    fixed
        Parameters that count more than the file's own ``fixed``, and less than those of a set.

    Returns
    -------
    Sweep

    Raises
    ------
    FerError
        If the file cannot be read, or a name or value in it is not possible; the message names file and line.
    """
    try:
        tree = yaml.compose(file.read_text("utf-8"), yaml.SafeLoader)
        content = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise FerError(f"{file}: {error.strerror}; give a file such as sweeps/seeds.yaml") from None
    except UnicodeDecodeError:
        raise FerError(f"{file}: this is no text; give a YAML file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise FerError(
            f"{file}{line}: {getattr(error, 'problem', None) or 'not YAML'}; see sweeps/seeds.yaml"
        ) from None
    lines = dict(_lines(tree))

    def refuse(why: str, *place: str) -> FerError:
        known = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 1)
        return FerError(f"{file}, line {known}: {why}")

    if not isinstance(content, dict):
        raise refuse("a mapping with `sets` is expected; see sweeps/seeds.yaml")
    for name in content:
        if name not in ("about", "fixed", "notebooks", "sets"):
            raise refuse(f"{brief(name)} is unknown; known are about, fixed, notebooks and sets", str(name))
    if double := next((place for place, number in _repeated(tree)), None):
        raise refuse(f"{brief(double[-1])} stands there twice; give each once", *double)
    notebooks = content.get("notebooks") or [path.stem for path in sorted(NOTEBOOKS.glob("0*.ipynb"))]
    for name in notebooks if isinstance(notebooks, list) else [notebooks]:
        if not isinstance(name, str) or "/" in name or not (NOTEBOOKS / f"{name}.ipynb").is_file():
            there = ", ".join(path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb")))
            raise refuse(f"no notebook {brief(name)}; there are {there}", "notebooks")
    if not isinstance(notebooks, list):
        raise refuse("notebooks: a list of names is expected", "notebooks")
    common = content.get("fixed") or {}
    if not isinstance(common, dict):
        raise refuse("fixed: parameters with their values are expected", "fixed")
    sets = content.get("sets")
    if not isinstance(sets, dict) or not sets:
        raise refuse("sets: at least one name with its parameters is expected", "sets")
    runs: dict[str, Run] = {}
    for name, given in sets.items():
        if given is not None and not isinstance(given, dict):
            raise refuse(f"{brief(name)}: parameters with their values are expected", "sets", str(name))
        varied = {key: value if isinstance(value, list) else [value] for key, value in (given or {}).items()}
        if empty := next((key for key, values in varied.items() if not values), None):
            raise refuse(f"{empty}: at least one value is expected", "sets", str(name), str(empty))
        for values in product(*varied.values()):
            chosen = dict(zip(map(str, varied), values, strict=True))
            parameters = {**common, **(fixed or {}), **chosen}
            try:
                settings = make_settings(**parameters)
            except FerError as error:
                word = next((key for key in (*chosen, *common) if key in str(error)), "")
                place = ("sets", str(name), word) if word in chosen else ("fixed", word)
                raise refuse(str(error), *place) from None
            # Said in full, so that neither the shell's variables nor the folder that a notebook runs in change it.
            parameters |= {"preset": settings.preset, "faces": settings.faces}
            run = Run(_folder_name(str(name), chosen), parameters, settings)
            twin = next((other for other in runs.values() if other.settings == settings), None)
            if twin is not None:
                raise refuse(f"{run.name} and {twin.name} are the same run; leave one out", "sets", str(name))
            runs[run.name] = run
    return Sweep(file.stem, tuple(notebooks), tuple(runs.values()))


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
            if _state_in(target) != state:
                target.unlink(missing_ok=True)
                missing.append((run.name, notebook))
    plan = {"runs": [run.name for run in sweep.runs], "notebooks": list(sweep.notebooks), "jobs": jobs}
    write_aside(folder / "plan.json", json.dumps(plan, indent=1).encode())
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
        If Snakemake is not installed, or another process runs this sweep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
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
        own = {"FER_STORE": str(store), _PARENT: f"{os.getpid()}@{socket.gethostname()}"}
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
    for cell in json.loads(failed.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if output.get("output_type") == "error":
                return f"{output['ename']}: {output['evalue'].partition(chr(10))[0]}; see {failed.name}"
    return f"see {failed.name}"


def execute(folder: Path, run: str, notebook: str) -> None:
    """Execute one notebook of a sweep; what Snakemake calls.

    The executed copy and the file of its numbers appear when both are whole. A notebook that fails stays as ``NAME.failed.ipynb``, with
    its error.
    """
    import papermill

    watch_parent()
    job = json.loads((folder / "plan.json").read_text("utf-8"))["jobs"][f"{run}/{notebook}"]
    place = folder / run
    place.mkdir(parents=True, exist_ok=True)
    partial, failed = place / f".{notebook}.partial.ipynb", place / f"{notebook}.failed.ipynb"
    target = place / f"{notebook}.json"
    # A sweep that was killed leaves its jobs on a cluster running; the next one asks for the same notebooks again.
    with filelock.FileLock(place / f".{notebook}.lock"):
        if _state_in(target) == job["state"]:
            return
        failed.unlink(missing_ok=True)
        try:
            papermill.execute_notebook(
                str(NOTEBOOKS / f"{notebook}.ipynb"),
                str(partial),
                parameters=job["parameters"],
                cwd=str(NOTEBOOKS),
                progress_bar=False,
            )
            found = results.of_notebook(json.loads(partial.read_text("utf-8")), notebook)
        except BaseException:
            if partial.is_file():
                partial.replace(failed)
            raise
        partial.replace(place / f"{notebook}.ipynb")
        content = json.dumps({**found, "state": job["state"]}, indent=1, allow_nan=False)
        write_aside(target, f"{content}\n".encode())


def watch_parent() -> None:
    """End this process, and what it started, when the sweep that it belongs to on this machine is gone."""
    number, _, host = os.environ.get(_PARENT, "").partition("@")
    if not number or host != socket.gethostname():
        return
    parent = int(number)

    def watch() -> None:
        while True:
            try:
                os.kill(parent, 0)
            except OSError:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)
                os._exit(1)
            time.sleep(1)

    threading.Thread(target=watch, daemon=True).start()


def _state_in(target: Path) -> str:
    try:
        found: str = json.loads(target.read_bytes())["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return found


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


def _folder_name(name: str, chosen: Mapping[str, Any]) -> str:
    """Name of a run's folder: letters that every file system takes, and no longer than it takes."""
    # Snakemake hands the names of jobs to a cluster with commas between them.
    text = "+".join([name, *(f"{key}={value}" for key, value in chosen.items())])
    safe = "".join(letter if letter.isalnum() or letter in "-_=+." else "_" for letter in text)
    if safe == text and len(safe) <= 100:
        return safe
    return f"{safe[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _lines(node: yaml.Node | None, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Line of each name of a YAML tree, from 1."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*place, str(key.value)), key.start_mark.line + 1
            yield from _lines(value, (*place, str(key.value)))


def _repeated(node: yaml.Node | None, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Names that a mapping holds twice; YAML's readers take the last without a word."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            here = (*place, str(key.value))
            if here in seen:
                yield here, key.start_mark.line + 1
            seen.add(here)
            yield from _repeated(value, here)


if __name__ == "__main__":
    execute(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
