"""What the faces lack is left out: a notebook goes on with a sentence, and the page loses the prose around it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_tables import NOTEBOOKS

from fer_lib.book import left_out
from fer_lib.book.exercises import check
from fer_lib.errors import Lacking

USES: dict[str, Callable[[Any], object]] = {
    "attribute": lambda x: x.shape,
    "call": lambda x: x(1),
    "item": lambda x: x[0],
    "set item": lambda x: x.__setitem__(0, 1),
    "loop": lambda x: list(x),
    "length": len,
    "truth": bool,
    "number": float,
    "whole number": int,
    "text": str,
    "formatted": lambda x: f"{x:.2f}",
    "plus": lambda x: x + 1,
    "plus, from the left": lambda x: 1 + x,
    "array plus": lambda x: np.ones(2) * x,
    "equal": lambda x: x == 1,
    "less": lambda x: x < 1,
    "in": lambda x: 1 in x,
    "array": np.asarray,
    "mean": np.mean,
    "as index": lambda x: [1, 2][x],
    "unpacked": lambda x: [*x],
    "keywords": lambda x: dict(**x),
    "truth of an exercise": lambda x: check(None, x),
}


@pytest.mark.parametrize("use", USES)
def test_whatever_uses_an_absent_value_lacks_the_same(use: str) -> None:
    with pytest.raises(Lacking, match="no labels"):
        USES[use](left_out.Absent("no labels"))


def test_an_absent_value_can_be_looked_at() -> None:
    assert repr(left_out.Absent("no labels")) == "<left out: no labels>"


@pytest.mark.parametrize(
    ("source", "line", "names"),
    [
        ("a = 1\nb = f()\nc, (d, *e) = b", 2, ["b", "c", "d", "e"]),
        ("a = 1\nb = f()", 1, ["a", "b"]),
        ("a = [i for i in x]\nf(lambda y: y)", 1, ["a"]),
        ("for k, v in x:\n    w = k\ndef g():\n    z = 1", 1, ["k", "v", "w", "g"]),
        ("with f() as g:\n    h: int = 3\nimport os.path as p", 1, ["g", "h", "p"]),
        ("a = f(\n    1,\n    2,\n)", 3, ["a"]),
        ("x.a = 1\nx[0] = 2\n(n := 3)", 1, ["n"]),
        ("f()", 1, []),
    ],
)
def test_names_that_a_failing_cell_has_not_given(source: str, line: int, names: list[str]) -> None:
    assert left_out.unassigned(source, line) == names


LACK = "from fer_lib.errors import Lacking\ndef lack(): raise Lacking('no labels')"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Kernel is running over TCP:UserWarning")
def test_a_kernel_goes_on(tmp_path: Path) -> None:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    sources = [
        f"from fer_lib.book import left_out\nleft_out.allow()\nleft_out.allow()\n{LACK}",
        "before = 1\nvalue = lack()\nafter = 2",
        "before",
        "value.mean()",
        "after + 1",
        "print('goes on')",
        "%timeit -n1 -r1 lack()",
        "value = 3\nvalue",
        "1 / 0",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(
        notebook, timeout=-1, startup_timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        client.execute()
    said = [left_out.reasons(nbformat.from_dict({"cells": [cell]})) for cell in notebook.cells]
    assert [bool(reasons) for reasons in said] == [False, True, False, True, True, False, True, False, False]
    assert {reason for reasons in said for reason in reasons} == {"no labels"}
    assert "Left out: no labels." in str(notebook.cells[1].outputs)
    assert notebook.cells[2].outputs[0]["data"]["text/plain"] == "1"
    assert notebook.cells[5].outputs[0]["text"] == "goes on\n"
    assert notebook.cells[7].outputs[0]["data"]["text/plain"] == "3"


def page(*cells: object) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    """A notebook and the same executed: text is prose; a tuple is code, its outputs ("glue:k", a reason) and its tags."""
    source, executed = nbformat.v4.new_notebook(), nbformat.v4.new_notebook()
    for cell in cells:
        if isinstance(cell, str):
            made = nbformat.v4.new_markdown_cell(cell)
            source.cells.append(made)
            executed.cells.append(copy.deepcopy(made))
            continue
        code, output, *tags = cell  # type: ignore[misc]
        made = nbformat.v4.new_code_cell(code, metadata={"tags": tags})
        run = copy.deepcopy(made)
        if output:
            kind = output.removeprefix("glue:")
            meta = {"scrapbook": {"name": kind}} if output != kind else {"left_out": output}
            run.outputs = [nbformat.v4.new_output("display_data", data={"text/plain": "x"}, metadata=meta)]
        source.cells.append(made)
        executed.cells.append(run)
    return source, executed


def shown(pruned: left_out.Pruned) -> list[str]:
    """What is left of a page: prose by blocks, code by its source, sentences in brackets."""
    left = []
    for place, cell in enumerate(pruned.notebook.cells):
        if cell.cell_type == "markdown":
            left += [block for block in cell.source.split("\n\n") if block]
        elif place not in pruned.gone:
            left.append(f"[{cell.source}]" if place in pruned.said else cell.source)
    return left


def test_a_sentence_ends_its_section() -> None:
    found = left_out.pruned(
        *page(
            "# Title\n\nintro",
            ("import", ""),
            "## One\n\nbefore",
            ("a", "no AUs"),
            "after",
            ("b", "no AUs"),
            "### Below\n\ntext\n\n## Two\n\nfull",
            ("c", ""),
            "more\n\n### Three\n\nx",
            ("d", "no AUs"),
            "y\n\n## Four\n\nlast",
        )
    )
    above = ["# Title", "intro", "import", "## One", "before", "[a]"]
    assert shown(found) == [*above, "## Two", "full", "c", "more", "### Three", "x", "[d]", "## Four", "last"]


def test_the_sentence_that_takes_a_paragraphs_place_is_the_last_one_met() -> None:
    found = left_out.pruned(
        *page(
            "# Title\n\n## One\n\nintro",
            ("a", "no AUs"),
            ("nothing to see", ""),
            ("seen", "glue:k"),
            "## Two",
            ("b", "no landmarks", "remove-cell"),
            "{glue:text}`x`\n\n{glue:text}`y`\n\nrest\n\n## Three",
            ("c", ""),
        )
    )
    assert shown(found) == (
        "# Title|## One|intro|[a]|seen|## Two|b|**Left out**: no landmarks.|rest|## Three|c".split("|")
    )


def test_one_above_all_headings_ends_the_page() -> None:
    found = left_out.pruned(
        *page(
            "# Title\n\nintro",
            ("study", "no labels"),
            "## One\n\n```{exercise} E\n:label: e\nx\n```",
            ("b", ""),
        )
    )
    assert shown(found) == ["# Title", "intro", "[study]"]


def test_numbers_that_were_not_computed_take_their_paragraph_along() -> None:
    found = left_out.pruned(
        *page(
            "# Title\n\n{glue:text}`there:.2f` is\nknown\n\n{glue:text}`gone:d` is not\n\n| a | {glue:text}`gone` |\n| --- | --- |",
            ("x", "glue:there", "remove-cell"),
            ("y", "no AUs", "remove-cell"),
            "and {glue:}`there`",
        )
    )
    there = "{glue:text}`there:.2f` is\nknown"
    assert shown(found) == ["# Title", there, "**Left out**: no AUs.", "x", "y", "and {glue:}`there`"]


def test_exercises_go_one_by_one_with_their_solutions() -> None:
    def exercise(name: str) -> str:
        return f"```{{exercise}} Of {name}\n:label: {name}\n\nFind it.\n```"

    def solution(name: str) -> str:
        return f"```{{solution}} {name}\n:class: dropdown\nIt is.\n```"

    found = left_out.pruned(
        *page(
            "# Title\n\n## Exercises\n\n" + exercise("one"),
            ("hidden", "no AUs", "remove-cell"),
            ("check one", "no AUs"),
            solution("one"),
            ("right one", "no AUs", "hide-cell"),
            exercise("two"),
            ("check two", ""),
            solution("two"),
            ("right two", "", "hide-cell"),
        )
    )
    statement = exercise("two").split("\n\n")
    above = ["# Title", "## Exercises"]
    assert shown(found) == [*above, *statement, "check two", solution("two"), "right two"]


def test_pages_show_a_sentence_in_place_of_the_values_of_a_notebook() -> None:
    _, whole = page(("x", "glue:a"))
    _, short = page(("x", "no labels"), ("y", "glue:b"))
    text = (
        "# Book\n\n```{glue:} a\n:doc: n/whole.ipynb\n```\n\n{glue:text}`n/short.ipynb::a:.0f` and more\n\n"
        "| {glue:text}`n/short.ipynb::c:s` |\n\n{glue:text}`n/short.ipynb::b` stays"
    )
    assert left_out.notebooks_named(text) == {"n/whole", "n/short"}
    assert left_out.pruned_text(text, {"n/whole": whole, "n/short": short}).split("\n\n") == [
        "# Book",
        "```{glue:} a\n:doc: n/whole.ipynb\n```",
        "**Left out**: no labels.",
        "{glue:text}`n/short.ipynb::b` stays",
    ]
    assert left_out.pruned_text(text, {"n/whole": whole}) == text


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_blocks_of_the_books_own_prose_are_whole(notebook: Path) -> None:
    """Fences stay closed, and nothing but empty lines between blocks is lost."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            blocks = left_out.markdown_blocks(cell.source)
            assert "\n".join(blocks).split() == cell.source.split()
            for block in blocks:
                assert block.count("```") % 2 == 0 and block.count("$$") % 2 == 0, block


@given(st.lists(st.sampled_from(["# a", "text", "", "  ", "```", "```{x} y", ":::", "$$", "| a |", "- b"])))
def test_cutting_loses_nothing(lines: list[str]) -> None:
    assert [
        line
        for block in left_out.markdown_blocks("\n".join(lines))
        for line in block.splitlines()
        if line.strip()
    ] == [line for line in lines if line.strip()]
