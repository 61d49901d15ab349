"""Train the networks of several seeds side by side on one GPU, and keep their curves, verdicts and times for the page `speed`.

``python -m benchmarks.gpu`` takes ten seeds of the preset ``paper``. What is finished is stored: a run that was stopped goes on
where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import machine
from fer_lib.book.speed import code_digest
from fer_lib.config import PRESETS, Settings, make_settings
from fer_lib.errors import FerError
from fer_lib.seeds import SeedRuns, run_seeds, with_seeds
from fer_lib.study import Study

CURVE = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy")


def train_side_by_side(settings: Sequence[Settings]) -> None:
    """Train the networks of some settings, each in a process of its own, all at once, into the project's store.

    Raises
    ------
    FerError
        The first that a training raised, or if a process was ended from outside; the others are finished before.
    """
    with ProcessPoolExecutor(len(settings), get_context("spawn")) as pool:
        waiting = [pool.submit(_train, one) for one in settings]
    for one, future in zip(settings, waiting, strict=True):
        try:
            future.result()
        except BrokenProcessPool as error:
            raise FerError(
                f"a training was ended from outside, perhaps for want of memory (seed {one.seed} was not finished): start again "
                "to go on, with fewer --networks if it happens again"
            ) from error


def _train(settings: Settings) -> None:
    _ = Study(settings, progress=False).training


def network_record(study: Study) -> dict[str, Any]:
    """Return seed, end, precision, time, accuracy, curve and movement of the weights of a study's trained network."""
    trained, history = study.trained, study.trained.history
    return {
        "seed": study.settings.seed,
        "stopped": trained.stopped,
        "precision": trained.precision,
        "seconds": float(history["seconds"].sum()),
        "pictures": len(study.split.train) * len(history),
        "steps": int(history["steps"].max()),
        "accuracy": study.accuracy,
        "curve": {name: [float(f"{value:.4g}") for value in history[name]] for name in CURVE},
        "moved": {layer: float(change) for layer, change in trained.moved.items()},
    }


def run(settings: Settings, networks: int) -> SeedRuns:
    """Train with this many seeds side by side; their verdicts, and beside these what `network_record` says of each."""
    chosen = with_seeds(settings, range(networks))
    _ = Study(chosen[0]).pictures  # made once; the seeds share them
    train_side_by_side(chosen)
    found = run_seeds(settings, range(networks))
    card = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    about = {
        "machine": card + machine(),
        "measured": code_digest(),
        "networks": [network_record(Study(one)) for one in chosen],
    }
    return SeedRuns(found.table, found.provenance | about)


def main(arguments: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--networks", type=int, default=10, metavar="NUMBER", help="seeds 0, 1, ...: 10")
    parser.add_argument("--preset", choices=PRESETS, default="paper", help="scale: paper")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="cpu: on the processor, slowly"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).with_name("gpu.json"), help="file to write"
    )
    options = parser.parse_args(arguments)
    if options.networks < 1:
        parser.error(f"--networks {options.networks}: give at least 1")
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the processes that train inherit it
    elif not torch.cuda.is_available():
        sys.exit(
            f"{parser.prog}: {options.networks} networks of the preset {options.preset} need a CUDA GPU that PyTorch can use, and "
            "there is none; --device cpu trains them on the processor"
        )
    try:
        run(make_settings(options.preset), options.networks).save(options.out)
    except FerError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(options.out)


if __name__ == "__main__":
    main()
