"""What a network learns from: pictures and labels, checked before anything is done, and prepared in the background as batches."""

from __future__ import annotations

import hashlib
import itertools
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_lib.config import Training
from fer_lib.errors import FerError
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import Augment, Evaluate, picture_generator
from fer_lib.network.repeatable import SHUFFLE, stream


def checked(
    crops: Sequence[np.ndarray], labels: Any, train_idx: Any, test_idx: Any, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels and both sides of a split as int64 arrays, or raise a FerError that says what does not fit."""
    if not isinstance(classes, numbers.Integral) or classes < 2:
        raise FerError(f"classes={classes!r} is not possible; give a whole number from 2 up")
    labels = np.asarray(labels)
    labels = labels.astype(np.int64) if labels.dtype.kind == "b" else labels
    if labels.dtype.kind not in "iuf":
        raise FerError(f"labels are {labels.dtype}; give the number of each crop's class")
    possible = (labels >= 0) & (labels < classes) & (labels % 1 == 0)
    sides = {"train_idx": _rows("train_idx", train_idx), "test_idx": _rows("test_idx", test_idx)}
    if labels.shape != (len(crops),):
        raise FerError(
            f"labels have the shape {labels.shape} for {len(crops)} crops; give one label for each crop"
        )
    if not len(sides["train_idx"]):
        raise FerError("train_idx is empty; give at least one picture to learn from")
    for name, rows in sides.items():
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(crops)):
            raise FerError(
                f"{name} reaches from {rows.min()} to {rows.max()}, but there are {len(crops)} crops"
            )
        wrong = rows[~possible[rows]]
        if len(wrong):
            raise FerError(
                f"picture {wrong[0]} of {name} has the label {labels[wrong[0]]}; "
                f"classes={classes} allows 0 to {classes - 1}"
            )
        # Crops are uint8 matrices by construction; to look at each would read them all.
        for row in () if isinstance(crops, Crops) else rows.tolist():
            crop = np.asarray(crops[row])
            if crop.ndim != 2 or crop.dtype != np.uint8 or not crop.size:
                raise FerError(
                    f"picture {row} of {name} is {crop.dtype} of shape {crop.shape}; give uint8 (height, width)"
                )
    both = np.intersect1d(sides["train_idx"], sides["test_idx"])
    if len(both):
        raise FerError(f"picture {both[0]} is in train_idx and in test_idx; give it to one of them")
    # Rows of neither side may have a label that is no number.
    labels = np.where(possible, labels, -1).astype(np.int64)
    return labels, sides["train_idx"], sides["test_idx"]


def _rows(name: str, rows: Any) -> np.ndarray:
    """Row numbers as int64; neither a mask nor fractions."""
    array = np.asarray(rows)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise FerError(f"{name} is {array.dtype} of shape {array.shape}; give the numbers of rows, (n,)")
    return array.astype(np.int64)


def shuffled(labels: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return labels of which those of some rows are dealt out anew among these; each class keeps its number of pictures."""
    dealt = labels.copy()
    dealt[rows] = np.random.default_rng(stream(seed, 0, SHUFFLE)).permutation(labels[rows])
    return dealt


def digest_of(crops: Sequence[np.ndarray], *arrays: np.ndarray) -> str:
    """Return the SHA-256 of crops and arrays, their shapes and types."""
    digest = hashlib.sha256()
    for array in itertools.chain((crops[i] for i in range(len(crops))), arrays):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class Loader:
    """Prepares the next batch in the background while the present one is calculated with.

    Threads suffice: the arithmetic holds no interpreter lock. What a picture becomes depends only on seed,
    epoch and the picture, so neither the number of threads nor the batch size changes a result.

    Parameters
    ----------
    crops : sequence of numpy.ndarray
        Face crops, uint8 (height, width).
    hp : Training
        Says how pictures are augmented, their size, and how many make a batch.
    seed : int
        Seed of the augmentation.
    device : str
        Torch's name of the device that batches go to.
    """

    def __init__(self, crops: Sequence[np.ndarray], hp: Training, seed: int, device: str = "cpu") -> None:
        self.crops, self.batch_size, self.seed, self.device = crops, hp.batch_size, seed, device
        self.augment = Augment(degrees=hp.degrees, flip=hp.flip, size=hp.resize, crop=hp.crop)
        self.evaluate = Evaluate(size=hp.resize, crop=hp.crop)
        # A CPU is busy with the arithmetic; beside a GPU all of its cores can prepare pictures.
        self.workers = 1 if torch.device(device).type == "cpu" else min(8, os.cpu_count() or 1)
        self.pool = ThreadPoolExecutor(self.workers, thread_name_prefix="pictures")

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def augmented(self, batches: Sequence[np.ndarray], epoch: int) -> Iterator[Tensor]:
        """Yield the batches (row numbers) of one epoch as augmented pictures, (B, 1, crop, crop) float32."""

        def prepare(rows: np.ndarray) -> list[Tensor]:
            return [
                self.augment(self.crops[i], picture_generator(self.seed, epoch, i)) for i in rows.tolist()
            ]

        return self._ahead(batches, prepare)

    def plain(self, indices: np.ndarray) -> Iterator[Tensor]:
        """Yield pictures as the network is tested on them (not augmented), in order, (B, 1, crop, crop) float32."""

        def prepare(rows: np.ndarray) -> list[Tensor]:
            return [self.evaluate(self.crops[i]) for i in rows.tolist()]

        starts = range(0, len(indices), self.batch_size)
        return self._ahead([indices[start : start + self.batch_size] for start in starts], prepare)

    def _ahead(
        self, batches: Sequence[np.ndarray], prepare: Callable[[np.ndarray], list[Tensor]]
    ) -> Iterator[Tensor]:
        ready: list[Future[list[Tensor]]] = []
        for batch in [*batches, None]:
            parts = [] if batch is None else np.array_split(batch, self.workers)
            ahead = [self.pool.submit(prepare, part) for part in parts]
            if ready:
                pictures = torch.stack([picture for part in ready for picture in part.result()])
                yield pictures.to(self.device).contiguous(memory_format=torch.channels_last)
            ready = ahead
