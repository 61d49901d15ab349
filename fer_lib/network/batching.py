"""Network inputs prepared in the background, and what a network says about them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from fer_lib.faces.preprocess import Augment, Evaluate, picture_generator


class Loader:
    """Prepares the next batch in the background while the present one is calculated with.

    Threads suffice: the arithmetic holds no interpreter lock. What a picture becomes depends only on seed,
    epoch and the picture, so neither the number of threads nor the batch size changes a result.

    Parameters
    ----------
    crops : sequence of numpy.ndarray
        Face crops, uint8 (height, width).
    augment : Augment
        The steps with chance; those without have the same sides.
    batch_size : int
        Pictures of a batch of `plain`.
    seed : int
        Seed of the chance.
    device : str
        Torch's name of the device that batches go to.
    """

    def __init__(
        self,
        crops: Sequence[np.ndarray],
        augment: Augment,
        batch_size: int,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.crops, self.augment, self.batch_size, self.seed, self.device = (
            crops,
            augment,
            batch_size,
            seed,
            device,
        )
        self.evaluate = Evaluate(size=augment.size, crop=augment.crop)
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
        """Yield pictures prepared without chance, in order, (B, 1, crop, crop) float32."""

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


def softmax_of(model: nn.Module, loader: Loader, indices: np.ndarray) -> np.ndarray:
    """Return the class probabilities of pictures prepared without chance, (n, classes) float32.

    The network is put into evaluation mode; it has to be on the loader's device. Without pictures the result
    is (0, 0).
    """
    model.eval()
    with torch.inference_mode():
        parts = [model(pictures).softmax(1).cpu().numpy() for pictures in loader.plain(indices)]
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
