"""Every choice of the study in one frozen record, checked: the notebooks' and the shell's parameters.

A parameter has a paper value (or a declared choice where the paper is silent) and may depend on the preset:
``smoke`` runs the chain in minutes, ``book`` makes the book that readers see, ``paper`` is the paper's scale.
"""

from __future__ import annotations

import ast
import difflib
import os
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from fer_lib.errors import FerError

PRESETS = ("smoke", "book", "paper")


def _parameter(help: str, default: Any = None, *, choices: tuple[Any, ...] = (), **presets: Any) -> Any:
    """Declare a field: one line of help, and one default or one value for each preset."""
    return field(
        default=default,
        metadata={"help": help, "choices": choices, "presets": presets or dict.fromkeys(PRESETS, default)},
    )


@dataclass(frozen=True)
class Settings:
    """All parameters of a run; build one with :func:`make_settings`, which checks and fills it."""

    preset: str = _parameter("scale of the run", "book", choices=PRESETS)
    faces: str = _parameter("a CK+ folder or a table of own faces; empty: faces rendered by this package", "")
    seed: int = _parameter("seed of split, initialisation, augmentation and permutations", 0)

    subjects: int = _parameter("rendered people", smoke=10, book=123, paper=123)
    sequences: int = _parameter("rendered labelled sequences; 0: CK+'s 327", smoke=32, book=0, paper=0)
    unlabelled: int = _parameter("rendered sequences with action units and no label (CK+: 266)", 0)
    frames: int = _parameter(
        "rendered frames of a sequence, the first one neutral", smoke=4, book=4, paper=10
    )
    size: int = _parameter("side of a rendered picture in pixels", smoke=160, book=256, paper=256)
    faces_seed: int = _parameter("seed of the rendered faces", 0)
    publish: str = _parameter(
        "subjects whose faces may be shown, separated by commas, or 'all'; own faces: none", ""
    )

    last_frames: int = _parameter(
        "frames at the end of a sequence that carry its expression (paper: all but the first)", 3
    )
    neutral: bool = _parameter("first frames form an eighth class, neutral (paper: ambiguous, 7 or 8)", True)
    split: str = _parameter(
        "test set by unseen subject, or the paper's random pictures", "subject", choices=("subject", "leak")
    )
    test_fraction: float = _parameter(
        "share of the subjects held out (split 'subject')", smoke=0.4, book=0.2, paper=0.2
    )
    test_pictures: int = _parameter(
        "pictures held out (split 'leak'; paper: 200)", smoke=24, book=200, paper=200
    )

    folds: int = _parameter("folds of people that the network is trained in one by one; 0: not run", 0)

    degrees: float = _parameter("step 1: largest rotation, in degrees", 15.0)
    flip: float = _parameter("step 2: probability of a mirror image", 0.5)
    resize: int = _parameter("step 3: side after scaling, in pixels", 99)
    crop: int = _parameter("step 4: side of the random cut, in pixels", 96)

    padding: int = _parameter(
        "zero padding of the 5x5 convolutions (paper: not stated)", 0, choices=(0, 1, 2)
    )
    initialisation: str = _parameter(
        "starting weights (paper: N(0, 1), which cannot train)",
        "he",
        choices=("he", "fan_in", "small", "paper"),
    )
    batch_size: int = _parameter("pictures of a step", 64)
    learning_rate: float = _parameter("constant learning rate", 0.001)
    momentum: float = _parameter("momentum of SGD", 0.9)
    weight_decay: float = _parameter("weight decay", 0.0001)
    dropout: float = _parameter("dropout of the hidden fully connected layer", 0.5)
    epochs: int = _parameter("most passes over the training pictures", smoke=4, book=18, paper=200)
    patience: int = _parameter(
        "passes without progress that count as converged; 0: train all epochs (paper: undefined)", 10
    )
    tolerance: float = _parameter("share by which the training loss has to fall to count as progress", 0.01)

    strongest: int = _parameter("n, the strongest activations of a map that are looked at (paper: 9)", 9)
    one_per_subject: bool = _parameter(
        "at most one picture of a subject among the strongest (paper: no rule)", False
    )
    zero_rule: str = _parameter(
        "what D does with a zero activation", "floor", choices=("floor", "skip", "infinite")
    )
    permutations: int = _parameter("permutations of the nulls", smoke=200, book=5000, paper=10000)

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in fields(self):
            _check(f.name, getattr(self, f.name), hints[f.name], f.metadata["choices"])
        for name in ("batch_size", "strongest", "last_frames", "frames", "subjects", "crop", "permutations"):
            if getattr(self, name) < 1:
                raise FerError(f"parameter {name}={getattr(self, name)!r}: must be at least 1")
        for name in (
            "epochs",
            "sequences",
            "unlabelled",
            "degrees",
            "learning_rate",
            "momentum",
            "weight_decay",
            "seed",
            "faces_seed",
            "folds",
        ):
            if getattr(self, name) < 0:
                raise FerError(f"parameter {name}={getattr(self, name)!r}: must not be negative")
        for name in ("flip", "dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise FerError(
                    f"parameter {name}={getattr(self, name)!r}: a probability from 0 to 1 is expected"
                )
        if not 0 < self.test_fraction < 1:
            raise FerError(
                f"parameter test_fraction={self.test_fraction!r}: a share between 0 and 1 is expected"
            )
        if self.crop > self.resize:
            raise FerError(f"parameter crop={self.crop!r}: must not exceed resize={self.resize!r}")

    def but(self, **changes: Any) -> Settings:
        """Return a copy with some parameters changed and checked."""
        _known(changes)
        return replace(self, **changes)

    def part(self, *names: str) -> dict[str, Any]:
        """Return the named parameters as a dictionary, for the key of an artifact."""
        return {name: getattr(self, name) for name in names}


def make_settings(preset: str = "book", **given: Any) -> Settings:
    """Fill in a preset's values and check all of them.

    Parameters
    ----------
    preset : str
        ``smoke``, ``book`` or ``paper``.
    **given
        Parameters of :class:`Settings`; ``None`` stands for the preset's value.

    Returns
    -------
    Settings

    Raises
    ------
    FerError
        If a name is unknown, or a value has the wrong type or range; the message names it.
    """
    _check("preset", preset, str, PRESETS)
    _known(given)
    values = {f.name: f.metadata["presets"][preset] for f in fields(Settings) if f.name != "preset"}
    values |= {name: value for name, value in given.items() if value is not None}
    hints = get_type_hints(Settings)
    for name, value in values.items():
        if hints[name] is float and type(value) is int:
            values[name] = float(value)
    return Settings(preset=preset, **values)


def settings_from_notebook(namespace: Mapping[str, Any]) -> Settings:
    """Read the parameters that a notebook's parameters cell, and papermill after it, have set.

    papermill only warns of a parameter that no one knows and checks no type, so this does both: every name
    that is assigned in the cells directly above the calling one has to be a parameter.

    Parameters
    ----------
    namespace : Mapping
        The notebook's ``globals()``.

    Returns
    -------
    Settings
    """
    names = {f.name for f in fields(Settings)}
    assigned = _assigned_above(namespace)
    _known({name: None for name in assigned})
    given = {
        n: namespace[n] for n in names if n in namespace and not isinstance(namespace[n], types.ModuleType)
    }
    return make_settings(**{"publish": os.environ.get("FER_PUBLISH"), **given})


def _assigned_above(namespace: Mapping[str, Any]) -> list[str]:
    """Names that the assignment-only cells right above the running cell assign, in a notebook; else none."""
    history = list(namespace.get("In", ()))[:-1]
    assigned: list[str] = []
    for source in reversed(history):
        try:
            body = ast.parse(source).body
        except SyntaxError:
            break
        if not body or not all(
            isinstance(s, ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom) for s in body
        ):
            break
        for statement in body:
            targets = (
                statement.targets
                if isinstance(statement, ast.Assign)
                else [getattr(statement, "target", None)]
            )
            assigned += [t.id for t in targets if isinstance(t, ast.Name) and not t.id.startswith("_")]
    return assigned


def describe_settings() -> dict[str, str]:
    """Return the one-line help of every parameter, by name."""
    return {f.name: f.metadata["help"] for f in fields(Settings)}


def _known(given: Mapping[str, Any]) -> None:
    names = [f.name for f in fields(Settings)]
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(names)}"
            raise FerError(f"unknown parameter {name!r}{hint}")


def _check(name: str, value: Any, kind: type, choices: tuple[Any, ...]) -> None:
    if type(value) is not kind:
        raise FerError(f"parameter {name}={value!r}: {kind.__name__} expected, {type(value).__name__} given")
    if choices and value not in choices:
        raise FerError(f"parameter {name}={value!r}: one of {', '.join(map(repr, choices))} expected")
