"""Every choice of a study, declared once: small frozen configs with help, bounds and presets, and the record of all of them.

A parameter has a paper value (or a declared choice where the paper is silent) and may depend on the preset:
``smoke`` runs the chain in minutes, ``book`` makes the book that readers see, ``paper`` is the paper's scale. A config that
is made without a preset has the book's values. Configs go whole into what they are about: `Training` into
`fer_lib.network.training.train`, `Rendering` into the renderer, and so on; `Settings` is all of them with one flat set of names,
which notebooks, the shell and the presets use. Needs nothing but Python.
"""

from __future__ import annotations

import difflib
import numbers
import os
from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any, Self, TypeVar, get_type_hints

from fer_lib.errors import FerError
from fer_lib.facs import CKPLUS_EXPRESSION_COUNTS, CKPLUS_SUBJECTS

PRESETS = ("smoke", "book", "paper")
DEFAULT_PRESET = "book"

LEAST_CROP = {0: 36, 1: 22, 2: 8}
"""Smallest picture, by the padding, of which the three blocks leave a pixel (`fer_lib.network.model`)."""

_LARGEST_SEED = 2**32 - 1
_LONGEST = 60


@dataclass(frozen=True)
class Bounds:
    """The numbers that a parameter may be: an interval and, for some, one number more that switches something off.

    Attributes
    ----------
    least, most : float
        Ends of the interval.
    without : str
        Which ends do not belong to it: "", "least", "most" or "both".
    besides : int, optional
        A number outside of the interval that is allowed as well.
    """

    least: float
    most: float
    without: str = ""
    besides: int | None = None

    def __contains__(self, value: Any) -> bool:
        above = value > self.least if self.without in ("least", "both") else value >= self.least
        below = value < self.most if self.without in ("most", "both") else value <= self.most
        return (above and below) or (self.besides is not None and value == self.besides)

    def __str__(self) -> str:
        words = {"": "from {} to {}", "least": "above {}, at most {}", "most": "at least {}, below {}"}
        interval = words.get(self.without, "above {}, below {}").format(f"{self.least:,}", f"{self.most:,}")
        return interval if self.besides is None else f"{self.besides}, or {interval}"


def _parameter(
    help: str,
    default: Any = None,
    *,
    choices: tuple[Any, ...] = (),
    bounds: Bounds | None = None,
    **presets: Any,
) -> Any:
    """Declare a field: one line of help, what is allowed, and one default or one value for each preset."""
    return field(
        default=presets.get(DEFAULT_PRESET, default),
        metadata={
            "help": help,
            "choices": choices,
            "bounds": bounds,
            "presets": presets or dict.fromkeys(PRESETS, default),
        },
    )


@dataclass(frozen=True)
class _Config:
    """A frozen record whose values are checked against what its fields declare."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in fields(self):
            given = getattr(self, f.name)
            value = _plain(given, hints[f.name])
            _check(f.name, given, value, hints[f.name], f.metadata["choices"], f.metadata["bounds"])
            object.__setattr__(self, f.name, value)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some values changed, all checked."""
        known(changes, type(self))
        return replace(self, **changes)

    def subset(self, *names: str) -> dict[str, Any]:
        """Return some of the values, by name."""
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Analysis(_Config):
    """How maps are looked at and matched to action units."""

    n_exemplars: int = _parameter(
        "n, how many pictures a map gets as exemplars and how many D compares (paper: 9)",
        9,
        bounds=Bounds(1, 10_000),
    )
    one_per_subject: bool = _parameter("at most one exemplar of a subject (paper: no rule)", False)
    zero_rule: str = _parameter(
        "what D does with a zero activation", "floor", choices=("floor", "skip", "infinite")
    )
    permutations: int = _parameter(
        "permutations of the nulls", smoke=200, book=5000, paper=10000, bounds=Bounds(1, 1_000_000)
    )
    untrained_networks: int = _parameter(
        "networks before their first step, with which verdicts compare; below 19 no claim can hold",
        smoke=3,
        book=20,
        paper=20,
        bounds=Bounds(1, 1000),
    )


@dataclass(frozen=True)
class Training(_Config):
    """How the network is trained: section 2.2, and the deviation register's choices where the paper is silent or cannot work."""

    degrees: float = _parameter("step 1: largest rotation, in degrees", 15.0, bounds=Bounds(0, 180))
    flip: float = _parameter("step 2: probability of a mirror image", 0.5, bounds=Bounds(0, 1))
    resize: int = _parameter(
        "step 3: side after scaling, in pixels", 99, bounds=Bounds(min(LEAST_CROP.values()), 1024)
    )
    crop: int = _parameter(
        f"step 4: side of the random cut, in pixels; at least {LEAST_CROP[0]}, {LEAST_CROP[1]} or {LEAST_CROP[2]} "
        "with padding 0, 1 or 2",
        96,
        bounds=Bounds(min(LEAST_CROP.values()), 512),
    )

    architecture: str = _parameter(
        "layers behind the convolutions: the paper's, or those of its predecessor (Breuer and Kimmel 2017), with half the hidden units",
        "paper",
        choices=("paper", "breuer_kimmel"),
    )
    padding: int = _parameter(
        "zero padding of the 5x5 convolutions (paper: not stated)", 0, choices=tuple(LEAST_CROP)
    )
    initialisation: str = _parameter(
        "starting weights: N(0, 2 / fan-in), N(0, 1 / fan-in), N(0, 0.01^2), or the paper's N(0, 1), which cannot train",
        choices=("he", "fan_in", "small", "paper"),
        smoke="fan_in",
        book="fan_in",
        paper="he",
    )
    batch_size: int = _parameter("pictures of a step", 64, bounds=Bounds(1, 100_000))
    learning_rate: float = _parameter(
        "constant learning rate (paper: 0.001, with which the filters hardly move)",
        bounds=Bounds(0, 100),
        smoke=0.01,
        book=0.01,
        paper=0.001,
    )
    momentum: float = _parameter("momentum of SGD", 0.9, bounds=Bounds(0, 1, without="most"))
    weight_decay: float = _parameter("weight decay", 0.0001, bounds=Bounds(0, 100))
    dropout: float = _parameter(
        "dropout of the hidden fully connected layer", 0.5, bounds=Bounds(0, 1, without="most")
    )
    epochs: int = _parameter(
        "most passes over the training pictures", smoke=4, book=60, paper=400, bounds=Bounds(0, 100_000)
    )
    patience: int = _parameter(
        "passes in which the training loss has to fall by `tolerance`, or it has converged; 0: train all epochs (paper: undefined)",
        smoke=5,
        book=5,
        paper=10,
        bounds=Bounds(0, 100_000),
    )
    tolerance: float = _parameter(
        "nats by which the training loss has to fall in `patience` passes (paper: undefined)",
        0.01,
        bounds=Bounds(0, 100),
    )
    shuffled_labels: bool = _parameter(
        "a control: expressions are dealt out anew among the training pictures, so that the filters move and learn no expression",
        False,
    )
    precision: str = _parameter(
        "in what the network is trained: float32, bfloat16 (weights stay float32), or auto: bfloat16 where the hardware has it",
        choices=("auto", "float32", "bfloat16"),
        smoke="auto",
        book="auto",
        paper="float32",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        least = LEAST_CROP[self.padding]
        if self.crop < least:
            why = f"with padding={self.padding} the network needs at least {least} pixels"
            raise _refusal("crop", self.crop, why)
        if self.crop > self.resize:
            raise _refusal("crop", self.crop, f"must not exceed resize={self.resize!r}")


@dataclass(frozen=True)
class Division(_Config):
    """Which pictures are trained on and which are tested."""

    neutral: bool = _parameter("first frames form an eighth class, neutral (paper: ambiguous, 7 or 8)", True)
    split: str = _parameter(
        "tested on: unseen subjects; the paper's random pictures; or subjects of the training side, to choose settings on",
        "subject",
        choices=("subject", "leak", "validation"),
    )
    test_fraction: float = _parameter(
        "share of the subjects held out (splits 'subject' and 'validation')",
        smoke=0.4,
        book=0.2,
        paper=0.2,
        bounds=Bounds(0, 1, without="both"),
    )
    test_pictures: int = _parameter(
        "pictures held out (split 'leak'; paper: 200)",
        smoke=24,
        book=200,
        paper=200,
        bounds=Bounds(1, 1_000_000),
    )
    split_seed: int = _parameter(
        "seed of the split: which people, or pictures, are held out", 0, bounds=Bounds(0, _LARGEST_SEED)
    )


@dataclass(frozen=True)
class Selection(_Config):
    """Which frames are looked at, and what counts as shown on them."""

    last_frames: int = _parameter(
        "frames at the end of a sequence that carry its expression (paper: all but the first)",
        3,
        bounds=Bounds(1, 1000),
    )
    film_step: int = _parameter(
        "every how many-th frame is read of films whose every frame is coded (DISFA, BP4D)",
        1,
        bounds=Bounds(1, 100_000),
    )
    au_threshold: int = _parameter(
        "weakest intensity, 1 to 5 for A to E, with which an action unit counts as present; 1: all that is coded",
        1,
        bounds=Bounds(1, 5),
    )


@dataclass(frozen=True)
class Rendering(_Config):
    """The faces that are rendered where nobody brings some."""

    subjects: int = _parameter("rendered people", smoke=10, book=123, paper=123, bounds=Bounds(1, 999))
    sequences: int = _parameter(
        "rendered labelled sequences; 0: CK+'s 327", smoke=32, book=0, paper=0, bounds=Bounds(0, 7 * 999)
    )
    unlabelled: int = _parameter(
        "rendered sequences with action units and no label (CK+: 266)", 0, bounds=Bounds(0, 10_000)
    )
    frames: int = _parameter(
        "rendered frames of a sequence, the first one neutral",
        smoke=4,
        book=4,
        paper=10,
        bounds=Bounds(2, 1000),
    )
    size: int = _parameter(
        "side of a rendered picture in pixels", smoke=160, book=256, paper=256, bounds=Bounds(32, 2048)
    )
    faces_seed: int = _parameter(
        "seed of the rendered faces: which people, and how they move", 0, bounds=Bounds(0, _LARGEST_SEED)
    )


@dataclass(frozen=True)
class _Run(_Config):
    """What is about the run as a whole."""

    preset: str = _parameter("scale of the run", "book", choices=PRESETS)
    faces: str = _parameter(
        "a folder with CK+ or another set (`fer audit --help`) or a table of own faces; empty: faces rendered by this package",
        "",
    )
    seed: int = _parameter(
        "seed of starting weights, order, augmentation, dropout and permutations",
        0,
        bounds=Bounds(0, _LARGEST_SEED),
    )
    publish: str = _parameter(
        "subjects whose faces may be shown, separated by commas, or 'all'; own faces: none", ""
    )
    folds: int = _parameter(
        "folds of people that the network is trained in one by one; 0: not run",
        0,
        bounds=Bounds(2, 999, besides=0),
    )


@dataclass(frozen=True)
class Settings(Analysis, Training, Division, Selection, Rendering, _Run):
    """All parameters of a run under one flat set of names; build one with :func:`make_settings`, which fills in the preset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "faces", _absolute(self.faces))
        if not self.publish.isprintable():
            raise _refusal("publish", self.publish, "one line of names expected")
        if not self.faces:
            self._check_rendered()

    @property
    def analysis(self) -> Analysis:
        """The parameters of `Analysis` alone."""
        return _part(self, Analysis)

    @property
    def training(self) -> Training:
        """The parameters of `Training` alone."""
        return _part(self, Training)

    @property
    def division(self) -> Division:
        """The parameters of `Division` alone."""
        return _part(self, Division)

    @property
    def selection(self) -> Selection:
        """The parameters of `Selection` alone."""
        return _part(self, Selection)

    @property
    def rendering(self) -> Rendering:
        """The parameters of `Rendering` alone."""
        return _part(self, Rendering)

    def _check_rendered(self) -> None:
        """Refuse what the rendered faces would be too few for; those of others are counted once they are read."""
        most = len(CKPLUS_EXPRESSION_COUNTS) * self.subjects
        if self.sequences > most:
            why = f"at most {most}, one for each expression of subjects={self.subjects}"
            raise _refusal("sequences", self.sequences, why)
        as_ckplus = sum(CKPLUS_EXPRESSION_COUNTS.values()) * self.subjects / CKPLUS_SUBJECTS
        sequences = self.sequences or round(as_ckplus)
        people, peaks = min(self.subjects, sequences), min(self.last_frames, self.frames - 1)
        labelled = sequences * (peaks + self.neutral)
        divided = people
        for _ in range({"subject": 1, "validation": 2}.get(self.split, 0)):
            held_out = round(self.test_fraction * divided)
            if not 0 < held_out < divided:
                why = f"of {divided} rendered people with a label this leaves none to train on, or none to test on"
                raise _refusal("test_fraction", self.test_fraction, why)
            divided -= held_out
        if self.split == "leak" and self.test_pictures >= labelled:
            why = f"at most {labelled - 1} of the {labelled} rendered pictures with a label"
            raise _refusal("test_pictures", self.test_pictures, why)
        if self.folds > people:
            why = f"0, or from 2 to {people}, the rendered people with a label"
            raise _refusal("folds", self.folds, why)
        pictures = (sequences + self.unlabelled) * (peaks + 1)
        if 2 * self.n_exemplars > pictures:
            why = f"at most {pictures // 2}: D compares n with n of the {pictures} rendered pictures"
            raise _refusal("n_exemplars", self.n_exemplars, why)


_Part = TypeVar("_Part", bound=_Config)


def _part(settings: Settings, kind: type[_Part]) -> _Part:
    return kind(**{f.name: getattr(settings, f.name) for f in fields(kind)})


def make_settings(preset: str = DEFAULT_PRESET, **given: Any) -> Settings:
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

    Examples
    --------
    >>> import fer_lib as fer
    >>> settings = fer.make_settings("smoke", crop=48, resize=50)
    >>> settings.subset("epochs", "crop", "padding")
    {'epochs': 4, 'crop': 48, 'padding': 0}
    >>> try:
    ...     fer.make_settings(croop=48)
    ... except fer.errors.FerError as error:
    ...     print(error)
    unknown parameter 'croop'; did you mean crop?
    """
    _check("preset", preset, preset, str, PRESETS, None)
    known(given, Settings)
    values = {f.name: f.metadata["presets"][preset] for f in fields(Settings) if f.name != "preset"}
    values |= {name: value for name, value in given.items() if value is not None}
    return Settings(preset=preset, **values)


def describe_settings() -> dict[str, str]:
    """Return the one-line help of every parameter, by name."""
    return {f.name: f.metadata["help"] for f in fields(Settings)}


def bounds_of(name: str) -> Bounds:
    """Return the bounds of a parameter that is a number."""
    found: Bounds = next(f.metadata["bounds"] for f in fields(Settings) if f.name == name)
    return found


def describe_bounds() -> dict[str, str]:
    """Return what every parameter may be, by name: its choices, its bounds, or its type."""
    hints = get_type_hints(Settings)
    return {
        f.name: _allowed(hints[f.name], f.metadata["choices"], f.metadata["bounds"]) for f in fields(Settings)
    }


def _allowed(kind: type, choices: tuple[Any, ...], bounds: Bounds | None) -> str:
    if choices:
        return f"one of {', '.join(map(repr, choices))}"
    return {bool: "true or false", str: "text"}.get(kind, str(bounds))


def brief(value: Any) -> str:
    """Return a value as it is written in code, on one line and cut short."""
    try:
        text = repr(value).replace("\n", " ")
    except ValueError:  # Python writes no number of more than 4300 digits
        return f"a number of {value.bit_length()} bits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def known(given: Collection[str], kind: type[Any]) -> None:
    """Refuse a name that no field of a config has."""
    names = [f.name for f in fields(kind)]
    for name in given:
        if name not in names:
            close = closest(name, names)
            hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(names)}"
            raise FerError(f"unknown parameter {brief(name)}{hint}")


def closest(name: str, names: Collection[str]) -> list[str]:
    """Return the name that one is a slip of, if there is one."""
    return difflib.get_close_matches(name, names, 1)


def _plain(value: Any, kind: type[Any]) -> Any:
    """Return a number of any library as Python's own, where it fits the type, and a path as text; anything else as it is."""
    if kind is str and isinstance(value, os.PathLike):
        return os.fsdecode(value)
    wanted = {int: numbers.Integral, float: numbers.Real}.get(kind)
    if wanted and isinstance(value, wanted) and not isinstance(value, bool):
        try:
            return kind(value)
        except OverflowError:
            return inf  # larger than any bound
    return value


def _check(
    name: str, given: Any, value: Any, kind: type, choices: tuple[Any, ...], bounds: Bounds | None
) -> None:
    if type(value) is not kind:
        why = f"{kind.__name__} expected, {type(given).__name__} given"
        if kind is str and isinstance(value, int | float):
            why += f" (papermill's -p takes digits for a number; -r {name} keeps them)"
        elif isinstance(value, str):
            why += f": {_allowed(kind, choices, bounds)}{_as_text(name, value, kind)}"
        raise _refusal(name, given, why)
    if choices and value not in choices:
        raise _refusal(name, given, f"{_allowed(kind, choices, bounds)} expected")
    if bounds is not None and value not in bounds:
        raise _refusal(name, given, f"a number {bounds} expected")


def _as_text(name: str, value: str, kind: type) -> str:
    """Say what to write instead of a value that came as text: papermill keeps what -r gives, YAML what it takes for text."""
    if kind is bool:
        word = value.strip().capitalize()
        return f" (papermill: -p {name} {word})" if word in ("True", "False") else ""
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        return ""
    return f" (papermill: -p {name} {number!r}, in YAML {name}: {number!r})"


def _refusal(name: str, value: Any, why: str) -> FerError:
    return FerError(f"parameter {name}={brief(value)}: {why}")


def _absolute(faces: str) -> str:
    """Expand ~ and make the path of some faces absolute, so that it means the same in every folder."""
    if not faces:
        return ""
    if "\0" in faces:
        raise _refusal("faces", faces, "no path holds a zero byte")
    try:
        return str(Path(faces).expanduser().absolute())
    except RuntimeError:
        raise _refusal("faces", faces, "there is no such user; give the folder's path") from None
    except OSError:
        raise _refusal("faces", faces, "the current folder is gone; give a path from the root on") from None
