"""Parameters as notebooks give them: read from a notebook's variables, where papermill and readers put them."""

from __future__ import annotations

import ast
import os
import types
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from fer_lib.config import Settings, closest, known, make_settings

_OF_PAPERMILL = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")  # what --inject-paths adds
_PLAIN = (bool, int, float, str, list, tuple, dict, set, types.NoneType)


def settings_from_notebook(namespace: Mapping[str, Any], own: Collection[str] = ()) -> Settings:
    """Read the parameters that a notebook's parameters cell, and papermill after it, have set.

    papermill only warns of a parameter that no one knows and checks no type, so this does both.

    Parameters
    ----------
    namespace : Mapping
        The notebook's ``globals()``.
    own : collection of str
        Names of parameters that the notebook has beside those of :class:`Settings`, and checks itself.

    Returns
    -------
    Settings
        As `make_settings` fills them in and checks them; its errors name the parameter.
    """
    names = {f.name for f in fields(Settings)}
    known(_unknown(namespace, names | {*own, *_OF_PAPERMILL}), Settings)
    given = {
        n: namespace[n] for n in names if n in namespace and not isinstance(namespace[n], types.ModuleType)
    }
    return make_settings(**{"publish": os.environ.get("FER_PUBLISH"), **given})


def _unknown(namespace: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """Names that were set as parameters of a notebook and are none.

    A parameter is a plain value. Those of papermill's cell, and of a cell that sets a parameter, all have to be
    known; what the cells beside it set is the reader's own affair unless it looks like a parameter misspelt.
    Where no history of cells is kept (nbval), only the cells above the settings have run, so every plain value is
    looked at.
    """
    plain = {
        name
        for name, value in namespace.items()
        if isinstance(value, _PLAIN) and not name.startswith("_") and name not in (*known, "In", "Out")
    }
    history = list(namespace.get("In", ()))[:-1]
    if not any(history):
        return [name for name in plain if not name.isupper() or closest(name.lower(), known)]
    unknown = []
    for source in reversed(history):
        assigned = _assigned(source)
        if assigned is None:
            break
        papermill = source.lstrip().startswith("# Parameters")
        strict = papermill or not assigned.isdisjoint(known)
        unknown += [name for name in sorted(assigned & plain) if strict or closest(name, known)]
        if "preset" in assigned and not papermill:
            break  # the notebook's own cell of parameters: what ran before it has been read before
    return unknown


def _assigned(source: str) -> set[str] | None:
    """Names that a cell of settings assigns, none if it only looks at values; None for a cell that does more."""
    code = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!", "?")))
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return None
    targets: list[ast.expr] = []
    calls = False
    for statement in body:
        match statement:
            case ast.Assign():
                targets += statement.targets
            case ast.AnnAssign():
                targets.append(statement.target)
            case ast.Expr():
                calls |= isinstance(statement.value, ast.Call)
            case ast.Import() | ast.ImportFrom():
                pass
            case _:
                return None
    assigned = {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return None if assigned and calls else assigned
