"""Run the book's notebooks side by side.

MyST-NB runs one notebook after the other, when Sphinx comes to its page. Most of a notebook's time is the start of a
kernel and work on one core, so they are run before, several at once, and put where MyST-NB looks for them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, MutableMapping, Sequence
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


STARTUP = 600
"""Seconds in which a kernel has to answer; a busy machine with several at once may need more than the usual minute."""

PERSONAL = (
    "COLUMNS",
    "LINES",
    "MATPLOTLIBRC",
    "MPLBACKEND",
    "PYTHONOPTIMIZE",
    "PYTHONSTARTUP",
    "PYTHONWARNINGS",
    "TQDM_",
)
"""Variables, and beginnings of their names, by which people suit their own sessions and that would change a page."""


def make_impersonal(environment: MutableMapping[str, str], folder: Path) -> None:
    """Change an environment so that notebooks give the same pages whoever builds them.

    Left behind are settings of matplotlib (a backend that shows nothing, styles), start-up files, options and profiles of
    IPython, filters of warnings, optimisation that drops assertions, and widths of terminals.

    Parameters
    ----------
    environment : mutable mapping
        Environment of the kernels, changed in place.
    folder : Path
        Empty or earlier used folder for what IPython and matplotlib keep: settings, history, a list of fonts.
    """
    for name in [name for name in environment if name.startswith(PERSONAL)]:
        del environment[name]
    for name in ("IPYTHONDIR", "MPLCONFIGDIR"):
        place = folder.absolute() / name.lower()
        place.mkdir(parents=True, exist_ok=True)
        environment[name] = str(place)


def execute_ahead(
    notebooks: Sequence[Path],
    cache_folder: Path,
    *,
    timeout: int = -1,
    done: Callable[[Path], object] = lambda path: None,
) -> None:
    """Execute the notebooks that the cache lacks, as many at once as there are cores, and keep their outputs.

    A notebook that fails is not kept: whoever needs its outputs next runs it again and reports the error at its place.

    Parameters
    ----------
    notebooks : sequence of Path
        Files; each runs in its own folder.
    cache_folder : Path
        Folder of jupyter-cache, made if need be.
    timeout : int
        Seconds a cell may take; -1: any time.
    done : callable
        Told of each notebook that was executed, when it has ended.
    """
    cache = get_cache(str(cache_folder))

    async def execute(path: Path, notebook: nbformat.NotebookNode, free: asyncio.Semaphore) -> None:
        async with free:
            client = NotebookClient(
                notebook,
                timeout=timeout,
                startup_timeout=STARTUP,
                # Times in the cells' metadata would make it another notebook for the cache.
                record_timing=False,
                resources={"metadata": {"path": str(path.parent)}},
                # Each kernel would warn that it talks to this process without encryption.
                extra_arguments=["--log-level=ERROR"],
            )
            start = time.perf_counter()
            try:
                await client.async_execute(env=os.environ | WAITING)
            except (CellExecutionError, CellTimeoutError):
                pass
            else:
                seconds = {"execution_seconds": time.perf_counter() - start}
                outputs = CacheBundleIn(notebook, str(path), data=seconds)
                cache.cache_notebook_bundle(outputs, check_validity=False, overwrite=True)
            done(path)

    async def execute_all() -> None:
        free = asyncio.Semaphore(min(MOST_KERNELS, os.cpu_count() or 1))
        async with asyncio.TaskGroup() as group:
            for path in notebooks:
                notebook = nbformat.read(path, as_version=4)
                try:
                    cache.match_cache_notebook(notebook)
                except KeyError:
                    group.create_task(execute(path, notebook, free))

    asyncio.run(execute_all())
