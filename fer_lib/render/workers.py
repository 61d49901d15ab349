"""Work spread over processes with results in order, whatever their number."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from fer_lib.errors import FerError

Task = TypeVar("Task")
Result = TypeVar("Result")


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
    with parallel_config("loky", inner_max_num_threads=1):
        results = Parallel(min(processes, len(tasks)), return_as="generator")(
            delayed(function)(task) for task in tasks
        )
    try:
        yield from results
    except TerminatedWorkerError as error:
        raise FerError(
            "a rendering process died, most often for want of memory; processes=1 needs less"
        ) from error
