"""Digests of the code that shapes a result: a module, every module of this package that it imports, and what they import from outside."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from fer_lib.errors import FerError

_DATA = frozenset({".csv", ".json", ".npy", ".npz", ".parquet", ".safetensors", ".toml", ".txt"})
# What finds and keeps results shapes none, and configs enter a key by their values.
_APART = frozenset({"config", *(f"artifacts.{name}" for name in ("manifest", "sources", "steps", "store"))})
# Libraries that lock, check, report or read files byte for byte; the others do arithmetic, and their versions may move bits.
_BYSTANDERS = frozenset({"filelock", "loky", "pyarrow", "safetensors", "tqdm"})
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
    for name, (digest, _, _) in _reached(modules, package).items():
        digests[name] = digest
        file = _file(package, name)
        if file is not None and file.name == "__init__.py":
            digests |= {f"{name}/{data.name}": _digest(data.read_bytes()) for data in _data(file.parent)}
    return dict(sorted(digests.items()))


def library_versions(modules: Iterable[str], package: Path = _PACKAGE) -> dict[str, str]:
    """Return the version of each installed library that the modules, and what they import of the package, import.

    Libraries whose version cannot move a bit of a result (progress bars, locks) do not count, and the standard library does not.

    Parameters
    ----------
    modules, package
        See `source_digests`.

    Returns
    -------
    dict of str to str
        Name of the distribution to its version, sorted by name.
    """
    outside = {name for _, _, names in _reached(modules, package).values() for name in names}
    owners = {owner for name in outside - _BYSTANDERS for owner in _distributions().get(name, ())}
    return {owner: metadata.version(owner) for owner in sorted(owners)}


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def _reached(
    modules: Iterable[str], package: Path
) -> dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Return digest and imports of every module of the package that some of its modules lead to."""
    reached: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {}
    waiting = [name.removeprefix(f"{package.name}.") for name in modules]
    for name in waiting:
        if _file(package, name) is None:
            raise FerError(f"no module {name!r} in {package}; name the modules whose code shapes the result")
    while waiting:
        name = waiting.pop()
        file = _file(package, name)
        if file is None or name in reached or name in _APART:
            continue
        reached[name] = _parsed(file, package, name)
        waiting.extend(reached[name][1])
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return reached


def _file(package: Path, name: str) -> Path | None:
    place = package.joinpath(*name.split("."))
    for file in (place.with_name(place.name + ".py"), place / "__init__.py"):
        if name and file.is_file():
            return file
    return None


@cache
def _parsed(file: Path, package: Path, name: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return a module's digest, the names below the package that it may import, and the outside packages that it imports."""
    tree = ast.parse(file.read_bytes(), filename=str(file))
    parent = name if file.name == "__init__.py" else name.rpartition(".")[0]
    imported = tuple(sorted(set(_imports(tree, package.name, parent))))
    outside = tuple(sorted(set(_outside(tree)) - {package.name} - sys.stdlib_module_names))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return _digest(ast.dump(tree).encode()), imported, outside


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


def _outside(tree: ast.AST) -> Iterator[str]:
    """Yield the top packages that absolute imports name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name.partition(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("find_spec") and node.args:
            yield from (
                a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
            )


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
