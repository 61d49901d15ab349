"""Work spread over processes with results in order, whatever their number."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from loky import ProcessPoolExecutor
from loky.process_executor import TerminatedWorkerError

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
        1 works in this process; more start that many fresh ones with one thread each. A script that calls this needs
        no ``if __name__ == "__main__":``, since loky's processes do not import it.

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
    pool = ProcessPoolExecutor(
        min(processes, len(tasks)), env=_ONE_THREAD, initializer=_end_with, initargs=(os.getpid(),)
    )
    # Not pool.map: it cancels what still waits when a task fails, and its manager then prints a traceback of its own.
    waiting = deque(pool.submit(function, task) for task in tasks)
    try:
        while waiting:
            yield waiting.popleft().result()
    except TerminatedWorkerError as error:
        raise FerError(
            "a rendering process died, most often for want of memory; processes=1 needs less"
        ) from error
    finally:
        pool.shutdown(kill_workers=True)


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone: killed, it leaves its workers waiting for a reader of their results."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
