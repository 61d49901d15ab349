"""Digests of the code that shapes a result: a module and every module of this package that it imports."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from fer_lib.errors import FerError

_DATA = frozenset({".csv", ".json", ".npy", ".npz", ".parquet", ".safetensors", ".toml", ".txt"})
# What finds and keeps results shapes none, and configs enter a key by their values.
_APART = frozenset({"config", *(f"artifacts.{name}" for name in ("manifest", "sources", "steps", "store"))})
_PACKAGE = Path(__file__).resolve().parents[1]


def source_digests(modules: Iterable[str], package: Path = _PACKAGE) -> dict[str, str]:
    """Return a digest of each named module and of every module of the package that it imports, at any depth.

    Comments, docstrings and layout do not count: only a change that can change a result does. The package's
    own ``__init__`` (its version), the store and the configs, whose values are in every key, do not count either.
    Files are read once per process, because a process goes on running the code that it has loaded. Data files
    beside the modules of a subpackage count as they are.

    Parameters
    ----------
    modules : iterable of str
        Names such as ``"training"`` or ``"fer_lib.network.training"``.
    package : Path, optional
        Folder of the package.

    Returns
    -------
    dict of str to str
        Dotted module name below the package to SHA-256, sorted by name.

    Raises
    ------
    FerError
        If a module does not exist.
    """
    digests: dict[str, str] = {}
    waiting = [name.removeprefix(f"{package.name}.") for name in modules]
    for name in waiting:
        if _file(package, name) is None:
            raise FerError(f"no module {name!r} in {package}; name the modules whose code shapes the result")
    while waiting:
        name = waiting.pop()
        file = _file(package, name)
        if file is None or name in digests or name in _APART:
            continue
        digests[name], imported = _parsed(file, package, name)
        waiting.extend(imported)
        if file.name == "__init__.py":
            digests |= {f"{name}/{data.name}": _digest(data.read_bytes()) for data in _data(file.parent)}
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return dict(sorted(digests.items()))


def _file(package: Path, name: str) -> Path | None:
    place = package.joinpath(*name.split("."))
    for file in (place.with_name(place.name + ".py"), place / "__init__.py"):
        if name and file.is_file():
            return file
    return None


@cache
def _parsed(file: Path, package: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """Return a module's digest and the names, below the package, that it may import."""
    tree = ast.parse(file.read_bytes(), filename=str(file))
    parent = name if file.name == "__init__.py" else name.rpartition(".")[0]
    imported = tuple(sorted(set(_imports(tree, package.name, parent))))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return _digest(ast.dump(tree).encode()), imported


def _data(folder: Path) -> Iterator[Path]:
    """Yield the files beside the code of a package that it may read."""
    return (path for path in folder.iterdir() if path.is_file() and path.suffix in _DATA)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _imports(tree: ast.AST, package: str, parent: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                a.name.removeprefix(f"{package}.") for a in node.names if a.name.startswith(f"{package}.")
            )
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package, parent)
            if base is not None:
                yield base
                # `from package import name` imports a module or a value; what is no file is dropped later.
                yield from (f"{base}.{a.name}".lstrip(".") for a in node.names)


def _base(node: ast.ImportFrom, package: str, parent: str) -> str | None:
    """Return the module that an import statement names, relative to the package; None if it lies outside."""
    module = node.module or ""
    if node.level == 0:
        if module == package:
            return ""
        return module.removeprefix(f"{package}.") if module.startswith(f"{package}.") else None
    parts = parent.split(".") if parent else []
    kept = parts[: len(parts) - (node.level - 1)]
    return ".".join([*kept, *([module] if module else [])])
