"""Run the book's notebooks side by side.

MyST-NB runs one notebook after the other, when Sphinx comes to its page. Most of a notebook's time is the start of a
kernel and work on one core, so they are run before, several at once, and put where MyST-NB looks for them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

MOST_KERNELS = 4
"""Kernels at once: each holds the library and its results, about a gigabyte."""


WAITING = {"OMP_WAIT_POLICY": "passive"}
"""Threads of one kernel that wait by spinning would take the cores from the other kernels (a fifth of the time)."""


def execute_ahead(notebooks: Sequence[Path], cache_folder: Path, *, timeout: int = -1) -> Iterator[Path]:
    """Execute the notebooks that the cache lacks, as many at once as there are cores, and keep their outputs.

    Parameters
    ----------
    notebooks : sequence of Path
        Files; each runs in its own folder.
    cache_folder : Path
        Folder of jupyter-cache, made if need be.
    timeout : int
        Seconds a cell may take; -1: any time.

    Yields
    ------
    Path
        Each notebook of `notebooks`, once its outputs are there. One that fails is not kept and still yielded:
        whoever needs its outputs next runs it again and reports the error at its place.
    """
    cache = get_cache(str(cache_folder))
    missing = {}
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        try:
            cache.match_cache_notebook(notebook)
            yield path
        except KeyError:
            missing[path] = notebook
    with ThreadPoolExecutor(min(MOST_KERNELS, os.cpu_count() or 1)) as pool:
        runs = {
            pool.submit(_execute, notebook, path.parent, timeout): path for path, notebook in missing.items()
        }
        for run in as_completed(runs):
            path, seconds = runs[run], run.result()
            if seconds is not None:
                outputs = CacheBundleIn(missing[path], str(path), data={"execution_seconds": seconds})
                cache.cache_notebook_bundle(outputs, check_validity=False, overwrite=True)
            yield path


def _execute(notebook: nbformat.NotebookNode, folder: Path, timeout: int) -> float | None:
    """Fill in the notebook's outputs; return its seconds, or None if a cell failed."""
    client = NotebookClient(
        notebook,
        timeout=timeout,
        # Times in the cells' metadata would make it another notebook for the cache.
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        # Each kernel would warn that it talks to this process without encryption.
        extra_arguments=["--log-level=ERROR"],
    )
    start = time.perf_counter()
    try:
        asyncio.run(client.async_execute(env=os.environ | WAITING))
    except (CellExecutionError, CellTimeoutError):
        return None
    return time.perf_counter() - start
