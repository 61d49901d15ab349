"""Execute one notebook with one set of parameters, as a job of Snakemake's."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import filelock

from fer_lib import results
from fer_lib.artifacts.files import write_aside
from fer_lib.published import code_digest
from fer_lib.sweeps.specification import NOTEBOOKS

PARENT = "FER_SWEEP_PARENT"
"""Variable that names the process, and its machine, that a job belongs to."""


OUTCOMES = ("Diverged",)
"""Errors that answer what a sweep asks: a training that diverges is a result (`fer_lib.network.training.Diverged`)."""


def execute(folder: Path, run: str, notebook: str) -> None:
    """Execute one notebook of a sweep; what Snakemake calls.

    The executed copy and the file of its numbers appear when both are whole. A notebook that ends with one of `OUTCOMES` has the
    numbers that it came to, and ``ended`` says why there are no more. One that fails stays as ``NAME.failed.ipynb``, with its error.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    watch_parent()
    job = json.loads((folder / results.PLAN).read_text("utf-8"))["jobs"][f"{run}/{notebook}"]
    place = folder / run
    place.mkdir(parents=True, exist_ok=True)
    partial, failed = place / f".{notebook}.partial.ipynb", place / f"{notebook}.failed.ipynb"
    target = place / f"{notebook}.json"
    # A sweep that was killed leaves its jobs on a cluster running; the next one asks for the same notebooks again.
    with filelock.FileLock(place / f".{notebook}.lock"):
        if state_in(target) == job["state"]:
            return
        failed.unlink(missing_ok=True)
        code, ended = code_digest(), ""  # the code that this process loads now, whatever is edited meanwhile
        try:
            try:
                papermill.execute_notebook(
                    str(NOTEBOOKS / f"{notebook}.ipynb"),
                    str(partial),
                    parameters=job["parameters"],
                    cwd=str(NOTEBOOKS),
                    progress_bar=False,
                )
            except PapermillExecutionError as error:
                if error.ename not in OUTCOMES:
                    raise
                ended = error.evalue.partition("\n")[0]
            found = results.of_notebook(json.loads(partial.read_text("utf-8")), notebook)
        except BaseException:
            if partial.is_file():
                partial.replace(failed)
            raise
        partial.replace(place / f"{notebook}.ipynb")
        threads = os.environ.get("OMP_NUM_THREADS", "")  # part of a network's key
        about = {"ended": ended, "code": code, "threads": threads, "state": job["state"]}
        write_aside(target, f"{json.dumps({**found, **about}, indent=1, allow_nan=False)}\n".encode())


def watch_parent() -> None:
    """End this process, and what it started, when the sweep that it belongs to on this machine is gone."""
    number, _, host = os.environ.get(PARENT, "").partition("@")
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


def state_in(target: Path) -> str:
    """Return what a result says that it depends on; an empty string where there is none."""
    try:
        found: str = json.loads(target.read_bytes())["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return found


if __name__ == "__main__":
    execute(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
