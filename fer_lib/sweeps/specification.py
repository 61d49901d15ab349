"""What a sweep asks for: a YAML file is read, and all that cannot work is refused before anything runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from fer_lib.config import Settings, brief, make_settings
from fer_lib.errors import FerError

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@dataclass(frozen=True)
class Run:
    """One set of parameters.

    Attributes
    ----------
    name
        Of its folder, such as ``trained+seed=3``.
    set
        Name of its set in the file.
    chosen
        The parameters that the set gives it.
    parameters
        What the notebooks are given: these, and what all runs have.
    settings
        All parameters that follow.
    """

    name: str
    set: str
    chosen: dict[str, Any]
    parameters: dict[str, Any]
    settings: Settings


@dataclass(frozen=True)
class Sweep:
    """What a file asks for.

    Attributes
    ----------
    name
        Of the file, without its ending.
    notebooks
        Which notebooks are run, without ending.
    runs
        The sets of parameters, in the file's order, no two alike.
    fixed
        What the file gives all runs.
    base
        All parameters that follow where a set gives none: with `fixed`, and with what the command line gives all runs.
    """

    name: str
    notebooks: tuple[str, ...]
    runs: tuple[Run, ...]
    fixed: dict[str, Any]
    base: Settings


def read_sweep(file: Path, fixed: Mapping[str, Any] | None = None) -> Sweep:
    """Read what varies, and check all of it.

    Parameters
    ----------
    file
        YAML with ``sets``: a name for each, and below it parameters; a list of values stands for each of them, and several lists for all
        their combinations. ``fixed`` (optional) holds what all sets have, ``notebooks`` (optional) the names of the notebooks.
    fixed
        Parameters that count more than the file's own ``fixed``, and less than those of a set.

    Returns
    -------
    Sweep

    Raises
    ------
    FerError
        If the file cannot be read, or a name or value in it is not possible; the message names file and line.
    """
    try:
        tree = yaml.compose(file.read_text("utf-8"), yaml.SafeLoader)
        lines = dict(_lines(tree))
        content = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise FerError(f"{file}: {error.strerror}; give a file such as sweeps/seeds.yaml") from None
    except UnicodeDecodeError:
        raise FerError(f"{file}: this is no text; give a YAML file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise FerError(
            f"{file}{line}: {getattr(error, 'problem', None) or 'not YAML'}; see sweeps/seeds.yaml"
        ) from None
    except RecursionError:
        raise FerError(f"{file}: an anchor stands within itself; write out what it holds") from None

    def refuse(why: str, *place: str) -> FerError:
        known = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 1)
        return FerError(f"{file}, line {known}: {why}")

    if not isinstance(content, dict):
        raise refuse("a mapping with `sets` is expected; see sweeps/seeds.yaml")
    for name in content:
        if name not in ("about", "fixed", "notebooks", "sets"):
            raise refuse(f"{brief(name)} is unknown; known are about, fixed, notebooks and sets", str(name))
    if double := next(_repeated(tree), None):
        raise refuse(f"{brief(double[-1])} stands there twice; give each once", *double)
    if odd := next(_odd_numbers(tree), None):
        raise refuse(f"{odd[1]} stands for {odd[2]} in YAML; write that", *odd[0])
    notebooks = content.get("notebooks")
    if notebooks is None:
        notebooks = [path.stem for path in sorted(NOTEBOOKS.glob("0*.ipynb"))]
    for name in notebooks if isinstance(notebooks, list) else [notebooks]:
        if not isinstance(name, str) or "/" in name or not (NOTEBOOKS / f"{name}.ipynb").is_file():
            there = ", ".join(path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb")))
            raise refuse(f"no notebook {brief(name)}; there are {there}", "notebooks")
    if not isinstance(notebooks, list) or not notebooks:
        raise refuse("notebooks: a list of names is expected", "notebooks")
    if double := next((name for name in notebooks if notebooks.count(name) > 1), None):
        raise refuse(f"notebooks: {brief(double)} stands there twice; give each once", "notebooks")
    common = {} if content.get("fixed") is None else content["fixed"]
    if not isinstance(common, dict):
        raise refuse("fixed: parameters with their values are expected", "fixed")
    sets = content.get("sets")
    if not isinstance(sets, dict) or not sets:
        raise refuse("sets: at least one name with its parameters is expected", "sets")
    common = {str(key): value for key, value in common.items()}
    if empty := next((key for key, value in common.items() if value is None), None):
        raise refuse(f"{empty} has no value; give one, or leave the line out", "fixed", empty)
    try:
        base = make_settings(**{**common, **(fixed or {})})
    except FerError as error:
        raise refuse(str(error), "fixed", next((key for key in common if key in str(error)), "")) from None
    shared = {name: getattr(base, name) for name in common}
    runs: dict[str, Run] = {}
    for name, given in sets.items():
        if given is not None and not isinstance(given, dict):
            raise refuse(f"{brief(name)}: parameters with their values are expected", "sets", str(name))
        varied = {key: value if isinstance(value, list) else [value] for key, value in (given or {}).items()}
        if empty := next((key for key, values in varied.items() if not values), None):
            raise refuse(f"{empty}: at least one value is expected", "sets", str(name), str(empty))
        if empty := next((key for key, values in varied.items() if None in values), None):
            raise refuse(
                f"{empty} has no value; give one, or leave the line out", "sets", str(name), str(empty)
            )
        for values in product(*varied.values()):
            chosen = dict(zip(map(str, varied), values, strict=True))
            parameters = {**common, **(fixed or {}), **chosen}
            try:
                settings = make_settings(**parameters)
            except FerError as error:
                word = next((key for key in (*chosen, *common) if key in str(error)), "")
                place = ("sets", str(name), word) if word in chosen else ("fixed", word)
                raise refuse(str(error), *place) from None
            # Said in full, so that neither the shell's variables nor the folder that a notebook runs in change it.
            parameters |= {"preset": settings.preset, "faces": settings.faces}
            run = Run(_folder_name(str(name), chosen), str(name), chosen, parameters, settings)
            twin = next((other for other in runs.values() if other.settings == settings), None)
            if twin is not None:
                raise refuse(f"{run.name} and {twin.name} are the same run; leave one out", "sets", str(name))
            if run.name in runs:
                raise refuse(f"two runs are called {run.name}; rename a set", "sets", str(name))
            runs[run.name] = run
    return Sweep(file.stem, tuple(notebooks), tuple(runs.values()), shared, base)


def _folder_name(name: str, chosen: Mapping[str, Any]) -> str:
    """Name of a run's folder: letters that every file system takes, and no longer than it takes."""
    # Snakemake hands the names of jobs to a cluster with commas between them.
    text = "+".join([name, *(f"{key}={value}" for key, value in chosen.items())])
    safe = "".join(letter if letter.isalnum() or letter in "-_=+." else "_" for letter in text)
    if safe == text and len(safe) <= 100:
        return safe
    return f"{safe[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _lines(node: yaml.Node | None, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Line of each name of a YAML tree, from 1."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*place, str(key.value)), key.start_mark.line + 1
            yield from _lines(value, (*place, str(key.value)))


def _repeated(node: yaml.Node | None, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Names that a mapping holds twice; YAML's readers take the last without a word."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            here = (*place, str(key.value))
            # As it is read: 1 and 01 are one name.
            name = _read(key)
            if name in seen:
                yield here
            seen.add(name)
            yield from _repeated(value, here)


def _read(key: yaml.Node) -> str:
    """Return a name as it is read, as text; as it is written where that says something else."""
    try:
        return str(_SCALARS.construct_object(key))
    except yaml.YAMLError:  # << is no name
        return str(key.value)


_SCALARS = yaml.SafeLoader("")


def _odd_numbers(root: yaml.Node | None) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Numbers that YAML 1.1 reads otherwise than people do: 010 is eight, and 1:30 is ninety; place, text and value."""
    seen, waiting = set[int](), list[tuple[tuple[str, ...], Any]]([((), root)])
    while waiting:
        place, node = waiting.pop()
        if id(node) in seen:  # an anchor that is used again
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [((*place, str(key.value)), value) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(place, value) for value in node.value]
        elif isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS:
            digits = node.value.lstrip("+-")
            if ":" in digits or (digits.isdigit() and digits[0] == "0" and int(digits)):
                yield place, node.value, _SCALARS.construct_object(node)


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
