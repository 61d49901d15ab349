"""Train the networks of a sweep side by side on one GPU, and keep their curves, verdicts and times for the page `speed`.

``python -m benchmarks.gpu`` takes ``sweeps/paper.yaml``: ten networks of the preset ``paper``. What is finished is stored: a run that was
stopped goes on where it was, and ``fer sweep sweeps/paper.yaml`` on the same machine finds the networks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.measure import machine
from fer_lib.artifacts.files import plain_refusals, write_aside
from fer_lib.book.speed import code_digest
from fer_lib.claims import verdicts_table
from fer_lib.config import PRESETS, Settings
from fer_lib.errors import FerError
from fer_lib.study.study import Study
from fer_lib.sweeps.specification import read_sweep

SWEEP = Path(__file__).parents[1] / "sweeps" / "paper.yaml"
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
    _ = Study(settings, progress=False).network.training


def network_record(study: Study) -> dict[str, Any]:
    """Return seed, end, precision, time, accuracy, curve and movement of the weights of a study's trained network."""
    trained, history = study.network.trained, study.network.trained.history
    return {
        "seed": study.settings.seed,
        "stopped": trained.stopped,
        "precision": trained.precision,
        "seconds": float(history["seconds"].sum()),
        "pictures": len(study.faces.split.train) * len(history),
        "steps": int(history["steps"].max()),
        "accuracy": study.network.accuracy,
        "curve": {name: [float(f"{value:.4g}") for value in history[name]] for name in CURVE},
        "moved": {layer: float(change) for layer, change in trained.moved.items()},
    }


def run(chosen: Sequence[Settings]) -> dict[str, Any]:
    """Train networks side by side, then put each to the paper's claims.

    Returns
    -------
    dict
        ``date``, ``preset``, ``machine``, ``measured`` (a digest of the code), ``networks`` (`network_record` of each) and ``verdicts``
        (rows of `fer_lib.claims.verdicts_table` with the ``seed``).
    """
    _ = Study(chosen[0]).faces.pictures  # made once; the networks share them
    train_side_by_side(chosen)
    studies = [Study(one) for one in chosen]
    verdicts = pd.concat(
        [verdicts_table(study.claims.verdicts).assign(seed=study.settings.seed) for study in studies],
        ignore_index=True,
    )
    card = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    return {
        "date": date.today().isoformat(),
        "preset": chosen[0].preset,
        "machine": card + machine(),
        "measured": code_digest(),
        "networks": [network_record(study) for study in studies],
        "verdicts": verdicts.astype(object).where(verdicts.notna(), None).to_dict(orient="records"),
    }


def save(made: dict[str, Any], file: Path) -> None:
    """Write what `run` returned, as json; a FerError if it cannot be written."""
    with plain_refusals(file, "times", "give another file; the networks are stored and not trained again"):
        write_aside(file, f"{json.dumps(made, indent=1, allow_nan=False)}\n".encode())


def main(arguments: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--sweep", type=Path, default=SWEEP, metavar="FILE", help="sweeps/paper.yaml")
    parser.add_argument("--networks", type=int, metavar="NUMBER", help="the first ones of the sweep: all")
    parser.add_argument("--preset", choices=PRESETS, help="scale, instead of the sweep's")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="cpu: on the processor, slowly"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).with_name("gpu.json"), help="file to write"
    )
    options = parser.parse_args(arguments)
    if options.networks is not None and options.networks < 1:
        parser.error(f"--networks {options.networks}: give at least 1")
    try:
        sweep = read_sweep(options.sweep, {"preset": options.preset} if options.preset else None)
    except FerError as error:
        sys.exit(f"{parser.prog}: {error}")
    chosen = [run.settings for run in sweep.runs][: options.networks]
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the processes that train inherit it
    elif not torch.cuda.is_available():
        sys.exit(
            f"{parser.prog}: {len(chosen)} networks of the preset {chosen[0].preset} need a CUDA GPU that PyTorch can use, and "
            "there is none; --device cpu trains them on the processor"
        )
    try:
        save(run(chosen), options.out)
    except FerError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(options.out)


if __name__ == "__main__":
    main()
