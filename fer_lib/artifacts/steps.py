"""Steps: functions whose results are stored under a key of all that shapes them, made from their arguments and their code.

>>> @step(free=("progress",))
... def squares(folder: Path, numbers: Artifact, power: int, *, progress: bool) -> None:
...     ...

``squares(store, numbers, 2, progress=True)`` returns the artifact whose files this function wrote, and calls it only where the
store lacks them. Into the key go the function's name and arguments, of artifacts among them the digests of what they hold, and the
code of the function's module and of every module that it imports, at any depth. So a change of the code behind an artifact makes that
anew, and what is made from it only if it comes out different.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from fer_lib.artifacts.store import Artifact, Store


class Step:
    """A function that fills a folder, called with a store in the place of the folder; made by :func:`step`.

    Attributes
    ----------
    compute : callable
        The function itself.
    resumes : bool
        See :meth:`fer_lib.artifacts.store.Store.fetch`.
    free : tuple of str
        Parameters that do not shape the result.
    """

    def __init__(self, compute: Callable[..., object], *, resumes: bool, free: tuple[str, ...]) -> None:
        if "<locals>" in compute.__qualname__:
            raise TypeError(f"{compute.__qualname__}: what it closes over would be missing in the key")
        self._signature = inspect.signature(compute)
        unknown = set(free) - set(self._signature.parameters)
        if unknown:
            raise TypeError(f"{compute.__qualname__} has no parameter {', '.join(sorted(unknown))}")
        self.compute, self.resumes, self.free = compute, resumes, free
        functools.update_wrapper(self, compute)

    @property
    def module(self) -> str:
        """Name of the module whose code, with that of what it imports, is part of the key."""
        return self.compute.__module__

    def __call__(self, store: Store, *arguments: Any, **named: Any) -> Artifact:
        """Return the artifact of these arguments, computing it if it is not there."""
        bound = self._signature.bind(store.root, *arguments, **named)
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])
        shaping = {name: value for name, value in given.items() if name not in self.free}
        inputs = {name: value for name, value in shaping.items() if isinstance(value, Artifact)}

        def compute(folder: Path) -> None:
            bound.arguments[next(iter(bound.arguments))] = folder
            self.compute(*bound.args, **bound.kwargs)

        return store.fetch(
            self.compute.__name__,
            compute,
            settings={name: _plain(value) for name, value in shaping.items() if name not in inputs},
            upstream=[artifact.content for artifact in inputs.values()],
            sources=[self.module],
            resumes=self.resumes,
        )


def step(*, resumes: bool = False, free: tuple[str, ...] = ()) -> Callable[[Callable[..., object]], Step]:
    """Make a step of a top-level function whose first parameter is the folder to fill.

    Parameters
    ----------
    resumes : bool
        Whether it goes on where an interrupted call with the same key stopped.
    free : tuple of str
        Names of its parameters that do not shape the result, such as ``progress``; all others enter the key: artifacts by
        what their files hold, configs and plain values by what they hold.

    Returns
    -------
    callable
        Decorator that turns the function into a :class:`Step`.
    """
    return lambda compute: Step(compute, resumes=resumes, free=free)


def _plain(value: Any) -> Any:
    """Return a config as a dictionary; the store refuses what has no stable text."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return {str(name): part for name, part in value.items()} if isinstance(value, Mapping) else value
