"""Work spread over processes with results in order, whatever their number."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from fer_lib.errors import FerError

Task = TypeVar("Task")
Result = TypeVar("Result")

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def in_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], processes: int
) -> Iterator[Result]:
    """Yield ``function(task)`` for every task, in the order of the tasks.

    Parameters
    ----------
    function : callable
        A module's function; its result may depend on the task alone.
    tasks : sequence
        Small descriptions of the work.
    processes : int
        1 works in this process; more start that many fresh ones with one thread each.

    Raises
    ------
    FerError
        If `processes` is below 1 or a process dies.
    """
    if processes < 1:
        raise FerError(f"processes is {processes}: give 1 or more")
    if processes == 1 or len(tasks) < 2:
        yield from map(function, tasks)
        return
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)  # numerical libraries read these when a fresh process imports them
    # Fresh processes: a forked one would inherit locks of libraries that run threads.
    pool = ProcessPoolExecutor(min(processes, len(tasks)), mp_context=multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(function, tasks)
    except BrokenProcessPool as error:
        raise FerError(
            "a rendering process died: it ran out of memory, or the calling script lacks "
            "`if __name__ == '__main__':`; processes=1 works without"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
