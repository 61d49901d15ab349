"""Arrays and options as users give them, turned into plain ones or refused in one line.

Lists, tables, masked arrays and tensors on any device are taken. What is missing in them, as ``None``, ``NaN``, ``NA`` or behind a
mask, stays missing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_lib.errors import FerError


def at_least(name: str, value: Any, least: int = 1) -> int:
    """Return an option that counts something; a FerError if it is no integer or too small."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise FerError(f"{name}={value!r} is not possible: give at least {least}, an integer")
    return int(value)


def share(name: str, value: Any) -> float:
    """Return an option between 0 and 1, both excluded; a FerError if it is anything else."""
    if not isinstance(value, Real) or not 0 < float(value) < 1:
        raise FerError(f"{name}={value!r} is not possible: give a share between 0 and 1")
    return float(value)


def generator(seed: Any) -> np.random.Generator:
    """Return numpy's random generator of a seed; a FerError if numpy takes no such seed."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise FerError(f"seed={seed!r} is not possible ({error}): give an integer from 0") from error


def check_choice(name: str, value: str, choices: Any) -> None:
    """Refuse a `value` that is none of the `choices`, a Literal; the message gives the `name` of the option and lists them.

    Raises
    ------
    FerError
        If it is none of them.
    """
    if value not in get_args(choices):
        raise FerError(f"{name} {value!r} is unknown; choose one of {', '.join(get_args(choices))}")


def given_path(name: str, value: Any) -> Path:
    """Return an option that names a file or folder; a FerError if it is no path."""
    if not isinstance(value, str | PathLike) or not str(value) or "\0" in str(value):
        raise FerError(f"{name}={value!r} is no path: give text or a Path, '.' for the current folder")
    return Path(value)


def plain(values: Any) -> Any:
    """Return a tensor as an array; anything else as it is."""
    if not hasattr(values, "detach"):  # torch is not loaded for those who have no tensor
        return values
    values = values.detach().cpu()
    return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()


def real_numbers(what: str, values: Any) -> NDArray[np.floating]:
    """Return real numbers in their floating type, float64 for all others; NaN where one is missing.

    Parameters
    ----------
    what
        What they are, in the plural, for the message.
    values
        Anything that numpy makes an array of.

    Raises
    ------
    FerError
        If they are no real numbers, or rows differ in length.
    """
    values = plain(values)
    if isinstance(values, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in values):
        values = np.ma.array(values)  # numpy would show what lies behind the masks of rows
    try:
        array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    except ValueError as error:
        raise FerError(f"{what} have rows of differing lengths: give one number in each place") from error
    if array.dtype == object:
        array = array.filled(np.nan) if isinstance(array, np.ma.MaskedArray) else array
        array = np.where(pd.isna(array), np.nan, array)
        if all(isinstance(value, Real) for value in array.flat):
            array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        kind = str(array.dtype)
        if array.dtype == object:
            kind = next(type(value).__name__ for value in array.flat if not isinstance(value, Real))
        raise FerError(f"{what} are {kind}: give numbers")
    numbers = array if array.dtype.kind == "f" else array.astype(np.float64)
    return numbers.filled(np.nan) if isinstance(numbers, np.ma.MaskedArray) else numbers


def whole_numbers(what: str, values: ArrayLike) -> NDArray[np.int64]:
    """Return integers as int64; a FerError that says what they are if they are none."""
    array = np.asarray(plain(values))
    if array.size and array.dtype.kind not in "iu":
        raise FerError(f"{what} given as {array.dtype}: give integers")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise FerError(f"{what} hold {array.max()}: give integers below 2**63")
    return array.astype(np.int64)


def row_numbers(what: str, rows: ArrayLike, count: int) -> NDArray[np.int64]:
    """Return the numbers of some of ``count`` rows, given as numbers (n,) or as a mask (count,); a FerError if one does not exist."""
    index = np.asarray(plain(rows))
    if index.dtype == bool and index.shape == (count,):
        return np.flatnonzero(index)
    index = whole_numbers(what, index)
    if index.ndim != 1:
        raise FerError(f"{what} have shape {index.shape}: give their numbers, (n,), or a mask ({count},)")
    if index.size and not (-count <= index.min() and index.max() < count):
        raise FerError(f"{what} reach from {index.min()} to {index.max()}: there are {count}, from 0 up")
    return np.arange(count)[index]


def named(option: str, names: Any, count: int) -> list[Any]:
    """Return names or numbers of the ``count`` columns of labels as a list; a FerError that names the option if they are none."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise FerError(
            f"{option}={names!r} is not possible: give a list, one for each of {count} columns of labels"
        )
    listed = list(names)
    if len(listed) != count:
        raise FerError(f"{option}: {len(listed)} are given for {count} columns of labels; give one for each")
    if wrong := [name for name in listed if not isinstance(name, Hashable)]:
        raise FerError(f"{option}: {wrong[0]!r} is no name; give text or numbers")
    return listed


def group_numbers(groups: Any, count: int, name: str = "groups", *, sort: bool = False) -> NDArray[np.int64]:
    """Return the group of each of ``count`` rows as a number, from 0 in the order in which groups come.

    Parameters
    ----------
    groups
        (count,) anything hashable: numbers, text, or tuples in a list.
    count
        How many rows there are.
    name
        Of the option, for the message.
    sort
        Number groups in their own order, by size or alphabet, instead.

    Raises
    ------
    FerError
        If there is not one for each row, a row has none, or one is not hashable.
    """
    given: Any = plain(groups)
    if isinstance(given, np.ma.MaskedArray) and given.ndim == 1:
        given = [
            None if hidden else one for one, hidden in zip(given.data, np.ma.getmaskarray(given), strict=True)
        ]
    if isinstance(given, list | tuple):
        # As they are: numpy would make text of a missing value beside text, and columns of tuples.
        listed, given = given, np.empty(len(given), dtype=object)
        for row, group in enumerate(listed):
            given[row] = group
    given = np.asarray(given)
    if given.shape != (count,):
        raise FerError(f"{name} have shape {given.shape}: give one for each of the {count} rows, ({count},)")
    try:
        numbers = np.asarray(pd.factorize(given, sort=sort)[0], dtype=np.int64)
    except TypeError as error:
        raise FerError(f"{name} cannot be told apart ({error}): give numbers or text") from error
    if (numbers < 0).any():
        raise FerError(
            f"{name}: row {int((numbers < 0).argmax())} has none; give it one, or leave the row out"
        )
    return numbers
