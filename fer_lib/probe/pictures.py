"""The pictures of a recording: kept as they were given, and found again by their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
)

from fer_lib.errors import FerError
from fer_lib.probe.inputs import Images, pictures_at, pictures_in, tensor_of

_SHUFFLING = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of a recording, in their order, to be looked up again by their numbers.

    Attributes
    ----------
    given
        What :meth:`of` was given, or a tensor or data loader of it.
    rows
        Which of them these are, (n,); None: all.
    """

    given: Any
    rows: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, images: Any) -> Pictures:
        """Take pictures as users have them; see :meth:`fer_lib.probing.Probe.record`. A FerError if they are none."""
        data = isinstance(images, Dataset) and not isinstance(images, IterableDataset | Tensor)
        if data or (isinstance(images, list | tuple) and images and _is_pair(images[0])):
            return cls(DataLoader(images, batch_size=32, collate_fn=_together))
        if isinstance(images, list | tuple) and images and getattr(images[0], "ndim", 0) == 3:
            return cls(tensor_of(images))
        if _is_batch(images):
            return cls(pictures_in(images))
        # Iterating over a text gives letters, over a table names of columns.
        if isinstance(images, str | bytes | pd.DataFrame) or not isinstance(images, Tensor | Iterable):
            raise FerError(f"images are {type(images).__name__}: give an array (N, C, H, W) or a data loader")
        return cls(images)

    def select(self, rows: NDArray[np.int64]) -> Pictures:
        """Return these of the pictures, numbered anew."""
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def batches(self) -> Iterator[Any]:
        """Pass over all pictures that were given, as :func:`fer_lib.probe.activations.record` wants them."""
        return iter([self.given] if isinstance(self.given, Tensor | np.ndarray) else self.given)

    def check_order(self) -> None:
        """Refuse pictures whose order is another one each time."""
        if isinstance(self.given, DataLoader) and _shuffles(self.given):
            raise FerError(
                "the data loader shuffles, so that a response cannot be assigned to its picture: give it shuffle=False"
            )

    def lookup(self, numbers: NDArray[np.int64]) -> Images:
        """Return what gives the pictures of these numbers: the array itself, or those found in another pass."""
        if self.rows is not None:
            rows = self.rows
            given = replace(self, rows=None).lookup(rows[numbers])
            return lambda asked: pictures_at(given, rows[asked])
        if isinstance(self.given, Tensor | np.ndarray):
            return self.given
        self.check_order()
        if isinstance(self.given, Iterator):
            raise FerError(
                f"the pictures came from a {type(self.given).__name__}, which can be read only once: give an array, a tensor or a "
                "data loader to record"
            )
        numbers = np.unique(numbers)
        found, seen = list[Tensor](), 0
        for batch in self.batches():
            pictures = pictures_in(batch)
            wanted = numbers[(numbers >= seen) & (numbers < seen + len(pictures))]
            found.append(pictures[torch.from_numpy(wanted - seen)].clone())
            seen += len(pictures)
        if len(numbers) and numbers[-1] >= seen:
            raise FerError(
                f"there were more than {numbers[-1]} pictures and now there are {seen}: record them again"
            )
        kept = torch.cat(found)
        return lambda asked: kept[torch.from_numpy(np.searchsorted(numbers, asked))]


def _is_pair(item: Any) -> bool:
    """Whether this is one picture with its label or the like, as a data set gives it, and no batch."""
    if not isinstance(item, Mapping | list | tuple):
        return False
    values = item.values() if isinstance(item, Mapping) else item
    axes = [getattr(value, "ndim", 0) for value in values]
    return axes.count(3) == 1 and max(axes) == 3


def _is_batch(images: Any) -> bool:
    """Whether this is one batch, as a data loader gives it: pictures (n, C, H, W) beside labels or the like."""
    if not isinstance(images, Mapping | list | tuple):
        return False
    axes = [
        getattr(value, "ndim", 0) for value in (images.values() if isinstance(images, Mapping) else images)
    ]
    return axes.count(4) == 1 and (isinstance(images, Mapping) or len(axes) > 1)


def _together(items: list[Any]) -> Any:
    """Make a batch of what a data set gave; a FerError if torch cannot."""
    try:
        return default_collate(items)
    except (TypeError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        raise FerError(
            f"the data set's pictures make no batch ({why}): let it give tensors of one size, such as by a transform"
        ) from error


def _shuffles(loader: DataLoader[Any]) -> bool:
    """Whether a loader gives its pictures in an order of its own, as far as its samplers tell."""
    if isinstance(loader.dataset, IterableDataset):
        return False
    order = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    inner = getattr(order, "sampler", order)
    if isinstance(inner, _SHUFFLING) or getattr(inner, "shuffle", False):
        return True
    if isinstance(inner, SequentialSampler):
        return False
    with torch.random.fork_rng(devices=[]):
        return list(order) != list(order)
