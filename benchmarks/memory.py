"""Peak memory of what passes over all pictures of a set, each in a process of its own, at growing numbers of pictures.

Pictures are synthetic: a hundred files that are read and cropped again and again, and a small network in the place of the paper's,
which would take hours for the largest set. All that handles the pictures and what is recorded of them is the library's own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from fer_lib.book.speed import code_digest
from fer_lib.config import Training
from fer_lib.faces.cropping import save_crops
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import Evaluate, inputs_of
from fer_lib.faces.table import AU_COLUMNS, BOX, Faces
from fer_lib.measures.distance import distances
from fer_lib.measures.distance_null import largest_distances
from fer_lib.measures.likeness import exemplar_likeness
from fer_lib.measures.nulls import permutation_null
from fer_lib.network.batches import Loader, checked, digest_of
from fer_lib.network.stack import Field
from fer_lib.network.trainer import Trainer
from fer_lib.probe.activations import record
from fer_lib.probe.responses import Responses, exemplars

SIZES, QUICK = (2_000, 20_000, 200_000), (100, 400)
MOST = 2e9
"""Bytes above the empty process that no part may reach at the largest size."""
_FILES, _MAPS, _UNITS, _CLASSES, _SIDE, _KERNEL, _STRIDE = 100, 256, 12, 7, 32, 16, 16


@dataclass(frozen=True)
class Peak:
    """One line of the table: what one part takes at one number of pictures."""

    operation: str
    pictures: int
    peak_bytes: int  # above the process that has imported the same modules and done nothing
    seconds: float
    wanted: str

    def as_dict(self, machine: str, quick: bool = False) -> dict[str, object]:
        """Give the line as a plain mapping that names the machine, the day, the code, and whether the sizes were tiny."""
        about = {"machine": machine, "date": date.today().isoformat(), "code": code_digest(), "quick": quick}
        return {**asdict(self), **about}


def peak_memory() -> int:
    """Largest memory that this process has had so far in bytes, with the pages of mapped files that it has touched."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: its peak is inherited from the process that started this one.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def rows(quick: bool) -> Iterator[Peak]:
    """Measure every part at every size."""
    for count in QUICK if quick else SIZES:
        with TemporaryDirectory(prefix="fer-memory-") as folder:
            for name in PARTS:
                yield measured(name, count, Path(folder))


def measured(part: str, count: int, folder: Path) -> Peak:
    """Run one part in a process of its own; it finds in the folder what the parts before it have left there."""
    command = [sys.executable, "-m", "benchmarks.memory", part, str(count), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    wanted = f"<= {MOST / 1e9:g} GB" if count == SIZES[-1] else ""
    return Peak(f"{part}: {WHAT[part]}", count, found["peak"], found["seconds"], wanted)


def _subjects(count: int) -> np.ndarray:
    return np.array([f"S{i // 20:05}" for i in range(count)])


def _crops(count: int, folder: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(_FILES):
        Image.fromarray(rng.integers(0, 256, (96, 88), np.uint8)).save(folder / f"{i}.bmp")
    box = np.tile([8.0, 8.0, 79.0, 87.0], (count, 1))
    table = pd.DataFrame({"path": [f"{i % _FILES}.bmp" for i in range(count)], "subject": _subjects(count)})
    table[list(BOX)] = box
    table[list(AU_COLUMNS)] = np.nan
    landmarks = np.full((count, 68, 2), np.nan, np.float32)
    save_crops(Faces(folder, table, landmarks, pd.DataFrame()), folder)


def _training(count: int, folder: Path) -> None:
    crops, hp = Crops.load(folder), Training(crop=96, resize=99)
    labels, train, _ = checked(crops, np.arange(count) % _CLASSES, np.arange(count), [], _CLASSES)
    digest_of(crops, labels, train)
    trainer = Trainer(hp, _CLASSES, 0, "cpu")
    batches = trainer.begin(1, train)
    with Loader(crops, hp, 0, "cpu") as loader:
        for pictures, _ in zip(loader.augmented(batches, 1), range(2), strict=False):
            assert len(pictures) == min(count, hp.batch_size)


def _features() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, _MAPS, _KERNEL, stride=_STRIDE), nn.ReLU()).eval()


def _corners(crops: Crops, numbers: np.ndarray) -> np.ndarray:
    """A corner of each of some crops, (n, 32, 32) float32 from 0 to 1."""
    return np.stack([crops[int(i)][:_SIDE, :_SIDE] for i in numbers]).astype(np.float32) / 255


def _recording(count: int, folder: Path) -> None:
    crops, numbers = Crops.load(folder), np.arange(count)
    batches = (_corners(crops, numbers[start : start + 64])[:, None] for start in range(0, count, 64))
    record(_features(), batches, "1", folder=folder / "responses")


def _exemplars(count: int, folder: Path) -> None:
    exemplars(Responses.load(folder / "responses"), 9, groups=_subjects(count), among=np.arange(count)[::-1])


def _likeness(count: int, folder: Path) -> None:
    found = Responses.load(folder / "responses")
    best, pictures = exemplars(found, 9), partial(_corners, Crops.load(folder))
    field = Field(_KERNEL, _STRIDE, 0)
    exemplar_likeness(
        pictures, _subjects(count), np.arange(count), found, best, field, untrained=best, draws=2
    )


def _labels(count: int) -> np.ndarray:
    return (np.random.default_rng(1).random((count, _UNITS)) < np.linspace(0.01, 0.6, _UNITS)).astype(float)


def _distances(count: int, folder: Path) -> None:
    maximum = Responses.load(folder / "responses").maximum
    distances(maximum, _labels(count))
    distances(maximum, _labels(count), scale_free=True, signed=True)


def _null_of_auc(count: int, folder: Path) -> None:
    maximum = Responses.load(folder / "responses").maximum
    permutation_null(maximum, _labels(count), _subjects(count), permutations=20, statistic="standardised")


def _null_of_d(count: int, folder: Path) -> None:
    maximum = Responses.load(folder / "responses").maximum
    every = np.arange(count)
    largest_distances(maximum, _labels(count), every, _subjects(count), every >= 0, permutations=20)


PARTS: dict[str, Callable[[int, Path], None]] = {
    "cropping": _crops,
    "training": _training,
    "recording": _recording,
    "exemplars": _exemplars,
    "likeness": _likeness,
    "distance": _distances,
    "null of the AUC": _null_of_auc,
    "null of D": _null_of_d,
}
WHAT = {
    "cropping": "reading, cropping and writing pictures of 96x88",
    "training": "check, digest, order and first batches of an epoch",
    "recording": "256 maps of one convolution on a corner of every crop, written on the way",
    "exemplars": "the nine strongest pictures of 256 maps, one of a person",
    "likeness": "how alike the exemplars are, beside random pictures at their places",
    "distance": "D of 12 action units on 256 maps, as in the paper and with equal gains",
    "null of the AUC": "20 permutations of 12 action units, every picture a sequence",
    "null of D": "20 permutations of 12 action units, every picture a sequence",
}


def main(arguments: list[str]) -> None:
    """Run one part and print its peak and seconds."""
    part, count, folder = arguments
    # What is imported late is not the pictures' memory.
    inputs_of([np.zeros((40, 40), np.uint8)], np.zeros(1, int), Evaluate(_SIDE, _SIDE))
    before, started = peak_memory(), time.perf_counter()
    PARTS[part](int(count), Path(folder))
    print(json.dumps({"peak": peak_memory() - before, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(sys.argv[1:])
