"""What the faces lack is left out of the book, with a sentence in its place.

In the kernel, `allow` lets a notebook go on after a `fer_lib.errors.Lacking`: the cell says what is missing, and so
does every later cell that needs a name which that cell would have given. On the page, `pruned` and `pruned_text` take
away the prose that would have gone with it: what follows in the section, exercises that have no answer, and every
paragraph with a number that was not computed. Notebooks thus need no conditions, and readers meet no holes.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import nbformat

from fer_lib.errors import Lacking

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

_MARK = "left_out"
_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_OWN_NAMES = (*_SCOPES.__args__, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


# ------------------------------------------------------------------------------------------------ in the kernel


class Absent:
    """Stands for a value that could not be computed: whatever uses it lacks the same thing."""

    def __init__(self, reason: str) -> None:
        object.__setattr__(self, "_reason", reason)

    def __repr__(self) -> str:
        return f"<left out: {object.__getattribute__(self, '_reason')}>"


def _use(self: Absent, *_: object, **__: object) -> NoReturn:
    raise Lacking(object.__getattribute__(self, "_reason"))


_UNARY = "call iter next len bool int float index str format array neg abs hash contains enter getattr setattr".split()
_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor".split()
for _name in (
    *_UNARY,
    *_BINARY,
    *(f"r{name}" for name in _BINARY),
    *"eq ne lt le gt ge getitem setitem".split(),
):
    setattr(Absent, f"__{_name}__", _use)


def allow() -> None:
    """Let this notebook go on where its faces lack something: the cell says so and later cells that need it do, too.

    Outside a notebook nothing changes.
    """
    try:
        from IPython.core.getipython import get_ipython
    except ModuleNotFoundError:
        return
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((Lacking,), _say)
        shell.events.register("post_run_cell", _go_on)


def _say(
    shell: InteractiveShell, kind: type, error: Lacking, trace: object, tb_offset: object = None
) -> None:
    """Show the sentence in place of a traceback."""
    from IPython.display import publish_display_data

    sentence = f"Left out: {error}."
    page = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(sentence))
    publish_display_data(
        {"text/html": f'<p class="left-out">{page}</p>', "text/plain": sentence},
        {_MARK: str(error)},
    )


def _go_on(result: ExecutionResult) -> None:
    """Count the cell as run, and note the names that it has not given."""
    from IPython.core.getipython import get_ipython

    error, shell = result.error_in_exec, get_ipython()
    if not isinstance(error, Lacking) or shell is None or result.info is None:
        return
    source = shell.transform_cell(result.info.raw_cell)
    trace = error.__traceback__
    while trace and trace.tb_frame.f_globals is not shell.user_global_ns:
        trace = trace.tb_next
    for name in unassigned(source, trace.tb_lineno if trace else 1):
        shell.user_ns[name] = Absent(str(error))
    result.error_in_exec = None


def unassigned(source: str, line: int) -> list[str]:
    """Return the names that a cell's statements from the failing line on would have given."""
    names: list[str] = []
    for statement in ast.parse(source).body:
        if (statement.end_lineno or 0) >= line:
            names += _given(statement)
    return list(dict.fromkeys(names))


def _given(node: ast.AST) -> Iterator[str]:
    if isinstance(node, _SCOPES):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    if not isinstance(node, _OWN_NAMES):
        for child in ast.iter_child_nodes(node):
            yield from _given(child)


# ------------------------------------------------------------------------------------------------- on the page

_HEADING = re.compile(r"(#{1,6}) ")
_EXERCISE = re.compile(r"\{exercise\}[^\n]*\n:label: (\S+)")
_SOLUTION = re.compile(r"\{solution\} (\S+)")
_LOCAL = re.compile(r"\{glue(?::\w*)?\}`([^`:]+)(?::[^`:]*)?`")
_FENCE = re.compile(r"(`{3,}|:{3,}|\$\$)")
_FOREIGN = re.compile(
    r"\{glue(?::\w*)?\}`([^`]+?)\.ipynb::([^`:]+)(?::[^`]*)?`|\{glue:\} (\S+)\n:doc: (\S+)\.ipynb"
)


@dataclass(frozen=True)
class Pruned:
    """A notebook without the prose of what was left out.

    Attributes
    ----------
    notebook
        Its cells as before, the text of some shorter.
    gone
        Code cells, by their place among all cells, that the page does not show.
    said
        Code cells of which the page shows the sentence and not the code.
    """

    notebook: nbformat.NotebookNode
    gone: frozenset[int]
    said: frozenset[int]


def glued(notebook: nbformat.NotebookNode) -> set[str]:
    """Return the names of the values that an executed notebook has given to prose."""
    return {
        output["metadata"]["scrapbook"]["name"]
        for output in _outputs(notebook)
        if "scrapbook" in output.get("metadata", {})
    }


def reasons(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what an executed notebook lacked, each reason once, in the order of the cells."""
    found = (
        output["metadata"][_MARK] for output in _outputs(notebook) if _MARK in output.get("metadata", {})
    )
    return list(dict.fromkeys(found))


def pruned(source: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> Pruned:
    """Take the prose of what was left out from a notebook.

    A sentence under a heading ends what follows it there, headings below it included; one above the first heading ends
    the page. Exercises are kept or dropped one by one, with their solutions. A paragraph with a number that was not
    computed goes wherever it stands, and the sentence takes its place where the section does not have it yet. Code that
    shows nothing goes with the prose around it.

    Parameters
    ----------
    source, executed
        The same notebook before and after execution.

    Returns
    -------
    Pruned
        `source` itself is left as it is.
    """
    known, lost = glued(executed), _lost_exercises(source, executed)
    cells = [nbformat.from_dict(dict(cell)) for cell in source.cells]
    level, ended, exercise = 1, 7, ""  # of the heading above; of the heading whose rest is dropped, 7: none
    gone, said, stated = set[int](), set[int](), set[str]()
    reason = next(iter(reasons(executed)), "")  # the last one met
    for place, (cell, run) in enumerate(zip(cells, executed.cells, strict=True)):
        if cell.cell_type == "markdown":
            kept = []
            for block in markdown_blocks(cell.source):
                heading, label = _HEADING.match(block), _EXERCISE.search(block)
                if heading and len(heading[1]) <= ended:
                    level, ended, exercise = len(heading[1]), 7, ""
                    stated.clear()
                exercise = label[1] if label else exercise
                solution = _SOLUTION.search(block)
                named = label or solution
                whole = all(key in known for key in _LOCAL.findall(block))
                if named[1] not in lost if named and ended > 1 else whole and ended == 7:
                    kept.append(block)
                elif not whole and ended == 7 and reason not in stated:
                    kept.append(f"**Left out**: {reason}.")
                    stated.add(reason)
            cell.source = "\n\n".join(kept)
        elif cell.cell_type == "code":
            sentences = reasons(_alone(run))
            reason = sentences[-1] if sentences else reason
            if exercise in lost or ended == 1 or (ended < 7 and not run.get("outputs")):
                gone.add(place)
            elif sentences and _visible(cell):
                (gone if stated.issuperset(sentences) else said).add(place)
                stated.update(sentences)
                ended = min(ended, level)
    return Pruned(nbformat.from_dict({**source, "cells": cells}), frozenset(gone), frozenset(said))


def _lost_exercises(source: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> set[str]:
    """Labels of the exercises of which a visible cell was left out."""
    lost, label = set[str](), ""
    for cell, run in zip(source.cells, executed.cells, strict=True):
        if cell.cell_type == "markdown":
            for block in markdown_blocks(cell.source):
                found = _EXERCISE.search(block)
                label = found[1] if found else "" if _HEADING.match(block) else label
        elif label and _visible(cell) and reasons(_alone(run)):
            lost.add(label)
    return lost


def notebooks_named(text: str) -> set[str]:
    """Return the notebooks whose values a page shows, as it names them, without ``.ipynb``."""
    return {match[1] or match[4] for match in _FOREIGN.finditer(text)}


def pruned_text(text: str, executed: Mapping[str, nbformat.NotebookNode]) -> str:
    """Put a sentence in place of the paragraphs of a page that show values which notebooks have not given.

    Parameters
    ----------
    text
        A page in MyST.
    executed
        Executed notebooks by `notebooks_named`; values of others count as given.
    """
    if not any(map(reasons, executed.values())):
        return text
    kept: list[str] = []
    for block in markdown_blocks(text):
        missing = []
        for match in _FOREIGN.finditer(block):
            name, key = (match[1], match[2]) if match[1] else (match[4], match[3])
            notebook = executed.get(name)
            if notebook is not None and key not in glued(notebook):
                missing += reasons(notebook)[:1]
        sentences = [f"**Left out**: {reason}." for reason in dict.fromkeys(missing)]
        kept += [s for s in sentences if s not in kept] if missing else [block]
    return "\n\n".join(kept)


def _visible(cell: nbformat.NotebookNode) -> bool:
    return not {"remove-cell", "remove-output"} & set(cell.metadata.get("tags", ()))


def _alone(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return nbformat.from_dict({"cells": [cell]})


def _outputs(notebook: nbformat.NotebookNode) -> Iterator[Mapping[str, Any]]:
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def markdown_blocks(text: str) -> list[str]:
    """Cut a text in MyST at its empty lines, but not within fences; joined by empty lines the blocks are the text again."""
    blocks: list[list[str]] = [[]]
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if not fence and mark and line.rstrip() != "$$" * 2:
            fence = mark[1]
        elif fence and line.startswith(fence) and not line[len(fence) :].strip():
            fence = ""
        if line.strip() or fence:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return ["\n".join(block) for block in blocks if block]
