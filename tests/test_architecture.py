"""Data flow one way: a module imports from folders below its own only, and no two modules import each other."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "fer_lib"
# From the ground up; what shares a line does not know of each other.
FLOORS = [
    {"errors"},
    {"checks"},
    {"facs", "artifacts"},
    {"config"},
    {"environment", "parameters", "render", "faces"},
    {"judges", "network"},
    {"probe"},
    {"measures"},
    {"traditional", "claims", "protocols"},
    {"levels"},
    {"steps"},
    {"study"},
    {"plot"},
    {"book"},
    {"results", "probing"},
    {"published"},
    {"sweeps"},
    {"cli"},
]
HEIGHT = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = {
    ".".join(file.relative_to(LIBRARY).with_suffix("").parts): file
    for file in LIBRARY.rglob("*.py")
    if file.name != "__init__.py"
}


def imports(module: str) -> Iterator[str]:
    """Modules of the library that a module imports, also those for types alone or inside a function."""
    for node in ast.walk(ast.parse(MODULES[module].read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fer_lib":
            base = (node.module or "").removeprefix("fer_lib").lstrip(".")
            names = [f"{base}.{alias.name}".lstrip(".") for alias in node.names]
            yield from (name if name in MODULES else base for name in names if name in MODULES or base)


def test_every_room_has_its_floor() -> None:
    assert {name.split(".")[0] for name in MODULES} == set(HEIGHT)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_lead_down(module: str) -> None:
    room = module.split(".")[0]
    for other in {name.split(".")[0] for name in imports(module)} - {room}:
        assert HEIGHT[other] < HEIGHT[room], f"{module} imports from {other}, which does not lie below it"


def test_no_modules_import_each_other() -> None:
    order = TopologicalSorter({module: set(imports(module)) for module in MODULES}).static_order()
    assert set(order) >= set(MODULES)  # a circle raises


def test_a_study_is_composed() -> None:
    """No part takes the study, inherits, or passes on what it is not asked for."""
    parts = {module for module in MODULES if module.startswith("study.")}
    assert set(imports("study.study")) >= parts - {"study.study"}
    for module in parts:
        assert module == "study.study" or "study.study" not in set(imports(module))
        for node in ast.walk(ast.parse(MODULES[module].read_bytes())):
            assert not (isinstance(node, ast.ClassDef) and node.bases), f"{module}: {node.name} inherits"
            assert not (
                isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__getattribute__")
            )


def test_the_library_page_lists_the_folders() -> None:
    page = (LIBRARY.parent / "book" / "library" / "index.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z]+)` \|", page, re.MULTILINE)
    assert set(listed) == {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert [HEIGHT[name] for name in listed[1:-1]] == sorted(HEIGHT[name] for name in listed[1:-1])
