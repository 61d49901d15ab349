"""The tables that a recording gives: strongest responses, and the pictures that excite each map most."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_lib.artifacts.files import plain_refusals, save_array
from fer_lib.checks import at_least, given_path, group_numbers, plain, row_numbers, whole_numbers
from fer_lib.errors import FerError

__all__ = ["Exemplars", "Responses", "Units", "exemplars"]

ARRAYS = {"maximum": np.float32, "row": np.int32, "column": np.int32}


_BLOCK = 4096  # pictures whose responses are looked at in one go


def array_file(folder: Path, name: str) -> Path:
    """File of one of the `ARRAYS` of responses in a folder."""
    return Path(folder) / f"{name}.npy"


def one_axis(index: Any, count: int) -> Any:
    """Return what selects among ``count`` along one axis and keeps it: a slice as it is, a mask, or numbers, as an array.

    Raises
    ------
    FerError
        If it is neither a mask (count,) nor numbers along one axis.
    IndexError
        If a number is out of range: iteration ends with it.
    """
    if isinstance(index, slice):
        if all(isinstance(end, SupportsIndex | None) for end in (index.start, index.stop, index.step)):
            return index
        raise FerError(f"{index} selects nothing: give whole numbers on both sides of the colon")
    try:
        found = np.atleast_1d(plain(index))
    except ValueError:
        found = np.empty(0, object)
    if not found.size and found.dtype.kind == "f":  # of an empty list numpy makes fractions
        found = found.astype(np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iub" or (found.dtype == bool and len(found) != count):
        raise FerError(
            f"[{reprlib.repr(index)}] selects nothing: give numbers from 0 to {count - 1}, a slice or a mask ({count},)"
        )
    return found


@dataclass(frozen=True, eq=False)
class Units:
    """n units of a layer: each a picture, a map, and a row and column in the map; all (n,) int64."""

    picture: NDArray[np.int64]
    map: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]

    NAMES: ClassVar[tuple[str, ...]] = ("picture", "map", "row", "column")

    def __post_init__(self) -> None:
        for name in self.NAMES:
            values = np.asarray(getattr(self, name))
            if values.ndim != 1 or len(values) != len(np.asarray(self.picture)):
                raise FerError(f"units' {name} has shape {values.shape}: give one value for each unit, (n,)")
            object.__setattr__(self, name, whole_numbers(f"units' {name}", values))

    def __len__(self) -> int:
        return len(self.picture)

    def __getitem__(self, index: Any) -> Units:
        """Select units by a mask, numbers, a slice or one number, in this order."""
        index = one_axis(index, len(self))
        return Units(*(getattr(self, name)[index] for name in self.NAMES))


@dataclass(frozen=True, eq=False)
class Responses:
    """Strongest response of C maps to each of N pictures.

    Attributes
    ----------
    maximum
        (N, C) float32, the largest activation of the map on the picture.
    row, column
        (N, C) int32, where in the map it lies; the first place in reading order if there are several.

    Examples
    --------
    Three pictures and two maps, with their places; ``record`` gives the same of a network and pictures:

    >>> import numpy as np
    >>> import fer_lib as fer
    >>> maximum = np.array([[0.5, 0], [2, 0], [1, 3]], np.float32)
    >>> row = np.array([[4, 0], [1, 0], [2, 5]], np.int32)
    >>> responses = fer.Responses(maximum, row, column=row + 1)
    >>> len(responses)
    3
    >>> responses.select([2, 0]).maximum
    array([[1. , 3. ],
           [0.5, 0. ]], dtype=float32)
    """

    maximum: NDArray[np.float32]
    row: NDArray[np.int32]
    column: NDArray[np.int32]

    def __post_init__(self) -> None:
        for name, kind in ARRAYS.items():
            values = np.asanyarray(plain(getattr(self, name)))
            if values.ndim != 2 or values.shape != np.shape(self.maximum):
                raise FerError(
                    f"responses' {name} has shape {values.shape}: give a number for each picture and map, (N, C)"
                )
            if values.dtype.kind not in ("iu" if np.dtype(kind).kind == "i" else "iuf"):
                raise FerError(f"responses' {name} is {values.dtype}: give it as {np.dtype(kind)}")
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.maximum)

    def rows(self, pictures: ArrayLike) -> NDArray[np.int64]:
        """Row numbers of these pictures, (n,) numbers or (N,) a mask; a FerError if one does not exist."""
        return row_numbers("pictures", pictures, len(self))

    def select(self, pictures: ArrayLike) -> Responses:
        """Responses to these pictures only, (n,) numbers or (N,) a mask, in this order."""
        index = self.rows(pictures)
        return Responses(self.maximum[index], self.row[index], self.column[index])

    def save(self, folder: Path) -> None:
        """Write ``maximum.npy``, ``row.npy`` and ``column.npy`` into a folder, made if need be."""
        folder = given_path("folder", folder)
        with plain_refusals(folder, "responses", "give another folder"):
            folder.mkdir(parents=True, exist_ok=True)
            for name in ARRAYS:
                save_array(array_file(folder, name), getattr(self, name))

    @staticmethod
    def load(folder: Path) -> Responses:
        """Open what :meth:`save` wrote, on disk rather than in memory.

        Raises
        ------
        FerError
            If a file is missing or damaged, or the files do not fit each other.
        """
        folder = given_path("folder", folder)
        arrays = []
        for name, kind in ARRAYS.items():
            path = array_file(folder, name)
            try:
                arrays.append(np.load(path, mmap_mode="r", allow_pickle=False))
            except (OSError, ValueError, EOFError) as error:
                raise FerError(f"{path} holds no readable responses ({error}): record them again") from error
            if arrays[-1].dtype != kind or arrays[-1].ndim != 2 or arrays[-1].shape != arrays[0].shape:
                raise FerError(f"{path} does not fit the other arrays of its folder: record them again")
        return Responses(*arrays)


@dataclass(frozen=True, eq=False)
class Exemplars:
    """The n pictures that excite each of C maps most, strongest first.

    Attributes
    ----------
    picture
        (C, n) int64, number of the picture in the responses; -1 where no further picture excites the map. There are no more
        columns than pictures.
    value
        (C, n) float32, the map's maximum on it; 0 where there is no picture.
    row, column
        (C, n) int64, place of the maximum in the map; -1 where there is no picture.
    dead
        (C,) bool, whether no picture excites the map at all.

    Examples
    --------
    Map 0 is excited by three pictures, of which two are asked for; map 1 by one, and map 2 by none:

    >>> import numpy as np
    >>> import fer_lib as fer
    >>> from fer_lib.probe.responses import exemplars
    >>> maximum = np.array([[0.5, 0, 0], [2, 0, 0], [1, 3, 0]], np.float32)
    >>> place = np.full((3, 3), 7, np.int32)
    >>> found = exemplars(fer.Responses(maximum, place, place), n=2)
    >>> isinstance(found, fer.Exemplars)
    True
    >>> found.picture
    array([[ 1,  2],
           [ 2, -1],
           [-1, -1]])
    >>> found.dead
    array([False, False,  True])

    As units to project, each a picture, a map and a place:

    >>> units = found.units()
    >>> units.picture, units.map
    (array([1, 2, 2]), array([0, 0, 1]))
    """

    picture: NDArray[np.int64]
    value: NDArray[np.float32]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    dead: NDArray[np.bool_]

    def units(self) -> Units:
        """List the exemplars' units, map after map and strongest first; places without a picture are left out."""
        maps, rank = np.nonzero(self.picture >= 0)
        return Units(self.picture[maps, rank], maps, self.row[maps, rank], self.column[maps, rank])


def exemplars(
    responses: Responses, n: int = 9, groups: ArrayLike | None = None, among: ArrayLike | None = None
) -> Exemplars:
    """Find the pictures that excite each map most (section 3.2: the nine strongest).

    Equally strong pictures keep their order in the table, so the answer is unique. A picture to which a map
    does not respond (maximum 0 or below) is never its exemplar, so a map may have fewer than n, or none.

    Parameters
    ----------
    responses
        What :func:`fer_lib.probe.activations.record` gave for the pictures.
    n
        Pictures wanted for each map, at least 1; more than there are give all of them.
    groups
        (N,) the group of each picture, such as its subject; at most one picture of a group is taken for a map.
    among
        Pictures to choose from, such as the training pictures: numbers, or a mask (N,); None: all of them. Of equally strong
        ones the first in this order is taken. The result has the numbers that pictures have in ``responses``.

    Raises
    ------
    FerError
        If n, the groups' shape or a number is wrong, there are no pictures to choose from or one is there twice, or a response is
        not a number.
    """
    n = at_least("n", n)
    numbered = None if groups is None else group_numbers(groups, len(responses))
    numbers = np.arange(len(responses)) if among is None else responses.rows(among)
    given, times = np.unique(numbers, return_counts=True)
    if (times > 1).any():
        raise FerError(f"among holds picture {given[times > 1][0]} more than once: give each of them once")
    if not len(numbers):
        raise FerError("there are no pictures to choose exemplars from: give at least one")
    maps, n = responses.maximum.shape[1], min(n, len(numbers))
    picture = np.full((maps, n), -1, np.int64)
    value = np.zeros((maps, n), responses.maximum.dtype)
    # Block after block, so that of responses on disk only a part is in memory.
    for start in range(0, len(numbers), _BLOCK):
        part = numbers[start : start + _BLOCK]
        strength = np.ascontiguousarray(responses.maximum[part].T)
        if np.isnan(strength).any():
            raise FerError("a response is not a number: record the responses again")
        # An equally strong picture does not displace an earlier one.
        stronger = strength > np.maximum(value[:, -1:], 0)
        for i in np.flatnonzero(stronger.any(axis=1)):
            candidates = np.flatnonzero(stronger[i])
            if numbered is None and len(candidates) > n:
                # All that reach the n-th value, ties included; only these need sorting.
                least = np.partition(strength[i, candidates], len(candidates) - n)[len(candidates) - n]
                candidates = candidates[strength[i, candidates] >= least]
            before = picture[i] >= 0
            joined = np.concatenate([picture[i, before], part[candidates]])
            values = np.concatenate([value[i, before], strength[i, candidates]])
            order = np.argsort(-values, kind="stable")
            if numbered is not None:
                order = order[np.sort(np.unique(numbered[joined[order]], return_index=True)[1])]
            order = order[:n]
            picture[i, : len(order)], value[i, : len(order)] = joined[order], values[order]
    index, chosen = np.arange(maps)[:, None], picture >= 0
    return Exemplars(
        picture=picture,
        value=value,
        row=np.where(chosen, responses.row[picture, index].astype(np.int64), -1),
        column=np.where(chosen, responses.column[picture, index].astype(np.int64), -1),
        dead=np.asarray(~chosen.any(axis=1)),
    )
