"""Training as in section 2.2: gradient descent with momentum on augmented pictures, resumable to the bit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from fer_lib import model as network
from fer_lib.batching import Loader, softmax_of
from fer_lib.checkpoint import (
    Checkpoint,
    check_request,
    digest_of,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from fer_lib.errors import FerError
from fer_lib.first_block import training_scores
from fer_lib.manifest import write_aside
from fer_lib.preprocess import Augment
from fer_lib.repeatable import repeatable, stream

_RESULT = "training.json"
_INITIALISATION, _ORDER, _DROPOUT = range(3)


@dataclass(frozen=True)
class Hyperparameters:
    """What training is told.

    The defaults are those of section 2.2, and the deviation register's where the paper is silent or cannot
    work.

    Attributes
    ----------
    epochs : int
        Most passes over the training pictures; 0 gives the untrained network.
    batch_size, learning_rate, momentum, weight_decay, dropout
        The paper's 64, 0.001 (constant), 0.9, 0.0001 and 0.5.
    initialisation : str
        See `fer_lib.model.initialise`; the paper's N(0, 1) diverges.
    padding : int
        Zero padding of the convolutions, in pixels.
    patience, tolerance : int, float
        "Until the model converges" means: the training loss has not fallen by the share `tolerance` for
        `patience` epochs. Patience 0 trains for all `epochs`. Test pictures never decide.
    test_every : int
        Epochs between two looks at the test pictures; the last epoch always has one.
    degrees, flip, resize, crop
        Augmentation, see `fer_lib.preprocess.Augment`.
    classes : int
        Outputs of the network.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0001
    dropout: float = 0.5
    initialisation: str = "he"
    padding: int = 0
    patience: int = 10
    tolerance: float = 0.01
    test_every: int = 1
    degrees: float = 15.0
    flip: float = 0.5
    resize: int = 99
    crop: int = 96
    classes: int = 8

    def __post_init__(self) -> None:
        least = {"epochs": 0, "batch_size": 1, "patience": 0, "test_every": 1, "classes": 2}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise FerError(f"{name}={getattr(self, name)!r} is not possible; give at least {bound}")
        for name in ("learning_rate", "momentum", "weight_decay", "tolerance"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise FerError(f"{name}={getattr(self, name)!r} is not possible; give a number from 0 up")


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes
    ----------
    model : ExpressionNet
        After the last epoch, in evaluation mode, on the CPU.
    history : pandas.DataFrame
        One row per epoch: ``epoch`` (from 1), ``loss`` and ``accuracy`` (means over the epoch's augmented
        pictures, with dropout), ``test_loss``, ``test_accuracy`` (NaN where not looked at), ``seconds``.
        Losses in nats.
    predictions : numpy.ndarray
        (n_test, classes) float32: softmax of the test pictures in the order of `test`.
    test : numpy.ndarray
        (n_test,) int64: the test pictures.
    stopped : str
        ``"converged"`` or ``"epochs"`` (the limit came first).
    """

    model: network.ExpressionNet
    history: pd.DataFrame
    predictions: np.ndarray
    test: np.ndarray
    stopped: str


def train(
    crops: Sequence[np.ndarray],
    labels: np.ndarray,
    train_idx: np.ndarray,
    test_idx: np.ndarray,
    hp: Hyperparameters,
    *,
    seed: int = 0,
    folder: Path,
    progress: bool = True,
    device: str = "cpu",
) -> Trained:
    """Train the paper's network, going on where an interrupted call with the same arguments stopped.

    A run that was killed, at any moment, ends with the same bits as one that was not. Torch's global random
    state is left as it was.

    Parameters
    ----------
    crops : sequence of numpy.ndarray
        Face crops, uint8 (height, width), any sizes.
    labels : numpy.ndarray
        (N,) int: class of each crop, 0 to ``hp.classes - 1``; rows outside the two index arrays are not
        looked at.
    train_idx, test_idx : numpy.ndarray
        Rows to learn from and to test on; the second may be empty.
    hp : Hyperparameters
        How.
    seed : int, default 0
        Decides initialisation, order, augmentation and dropout; not negative.
    folder : Path
        Receives the checkpoint of every epoch and at the end the result; made if need be.
    progress : bool, default True
        Show a bar with loss, accuracy and time left, if there is a terminal.
    device : str, default "cpu"
        Torch's name of the device that calculates.

    Returns
    -------
    Trained
        As `load_trained` gives it.

    Raises
    ------
    FerError
        If labels or indices do not fit, the loss stops being a number, or the folder holds another run.
    """
    labels, train_idx, test_idx = _checked(crops, labels, train_idx, test_idx, hp)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    request = {**asdict(hp), "seed": seed, "data": digest_of(crops, labels, train_idx, test_idx)}
    environment = {name: metadata.version(name) for name in ("torch", "torchvision", "numpy")}
    environment["device"] = torch.device(device).type
    if (folder / _RESULT).is_file():
        check_request(folder, _read_result(folder)["request"], request)
        return load_trained(folder)
    saved = read_checkpoint(folder, request, environment)
    threads = saved.threads if saved else torch.get_num_threads()
    augment = Augment(degrees=hp.degrees, flip=hp.flip, size=hp.resize, crop=hp.crop)
    with repeatable(device, threads), Loader(crops, augment, hp.batch_size, seed, device) as loader:
        run = _Run(hp, seed, device, saved)
        bar = tqdm(
            desc="training",
            unit=" pictures",
            total=hp.epochs * len(train_idx),
            initial=len(run.history) * len(train_idx),
            disable=None if progress else True,
        )
        with bar:
            while len(run.history) < hp.epochs and not converged(run.losses, hp.tolerance, hp.patience):
                run.epoch(loader, labels, train_idx, test_idx, bar)
                state = Checkpoint(run.history, run.tensors(), threads)
                write_checkpoint(folder, state, request, environment)
        predictions = softmax_of(run.model, loader, test_idx).reshape(len(test_idx), hp.classes)
    network.save(run.model, folder)
    stopped = "converged" if converged(run.losses, hp.tolerance, hp.patience) else "epochs"
    _write_result(folder, run.history, test_idx, predictions, {"request": request, "stopped": stopped})
    remove_checkpoint(folder)
    return load_trained(folder)


def load_trained(folder: Path) -> Trained:
    """Read what `train` left in its folder.

    Raises
    ------
    FerError
        If the folder holds no finished run.
    """
    folder = Path(folder)
    result = _read_result(folder)
    history = pd.read_parquet(folder / "history.parquet")
    table = pd.read_parquet(folder / "predictions.parquet")
    predictions = table.drop(columns="picture").to_numpy(np.float32)
    with torch.random.fork_rng(devices=[]):  # a new network draws weights before it is given the stored ones
        model = network.load(folder)
    return Trained(model, history, predictions, table["picture"].to_numpy(), result["stopped"])


def converged(losses: Sequence[float], tolerance: float, patience: int) -> bool:
    """Tell whether the training loss has stopped falling.

    Parameters
    ----------
    losses : sequence of float
        Training loss of every epoch so far.
    tolerance : float
        Share of the best loss by which a new one must be lower to count as falling.
    patience : int
        Epochs in a row without falling that make convergence; 0: never.

    Returns
    -------
    bool
    """
    best, waited = float("inf"), 0
    for loss in losses:
        best, waited = (
            (loss, 0) if loss < best * (1 - tolerance) or best == float("inf") else (best, waited + 1)
        )
    return 0 < patience <= waited


class _Run:
    """Model, optimiser and history, from a checkpoint or from the beginning."""

    def __init__(self, hp: Hyperparameters, seed: int, device: str, saved: Checkpoint | None) -> None:
        self.hp, self.seed, self.device = hp, seed, device
        self.history: list[dict[str, float]] = list(saved.history) if saved else []
        built = network.ExpressionNet(
            classes=hp.classes,
            padding=hp.padding,
            dropout=hp.dropout,
            size=hp.crop,
            initialisation=hp.initialisation,
            generator=torch.Generator().manual_seed(stream(seed, 0, _INITIALISATION)),
        )
        self.model = built.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=hp.learning_rate,
            momentum=hp.momentum,
            weight_decay=hp.weight_decay,
            fused=True,
        )
        if saved:
            with torch.no_grad():
                for name, parameter in self.model.named_parameters():
                    parameter.copy_(saved.tensors[name])
                    buffer = torch.empty_like(parameter).copy_(saved.tensors["momentum." + name])
                    self.optimiser.state[parameter]["momentum_buffer"] = buffer

    @property
    def losses(self) -> list[float]:
        return [row["loss"] for row in self.history]

    def tensors(self) -> dict[str, Tensor]:
        named = dict(self.model.named_parameters())
        state = self.optimiser.state
        return {**named, **{f"momentum.{name}": state[p]["momentum_buffer"] for name, p in named.items()}}

    def epoch(
        self, loader: Loader, labels: np.ndarray, train_idx: np.ndarray, test_idx: np.ndarray, bar: tqdm
    ) -> None:
        """Pass once over the training pictures and append a row of history."""
        started, number, hp = time.perf_counter(), len(self.history) + 1, self.hp
        # Every epoch's chance comes from its own seeds, so a resumed run needs no saved state of generators.
        order = np.random.default_rng(stream(self.seed, number, _ORDER)).permutation(train_idx)
        torch.manual_seed(stream(self.seed, number, _DROPOUT))
        self.model.train()
        total, right, seen = 0.0, 0, 0
        batches = [order[start : start + hp.batch_size] for start in range(0, len(order), hp.batch_size)]
        for batch, pictures in zip(batches, loader.augmented(batches, number), strict=True):
            target = torch.from_numpy(labels[batch]).to(self.device)
            self.optimiser.zero_grad(set_to_none=True)
            scores = training_scores(self.model, pictures)
            loss = cross_entropy(scores, target)
            value = loss.item()
            if not np.isfinite(value):
                raise FerError(
                    f"the loss became {value} in epoch {number}; start from other weights than "
                    f"initialisation={hp.initialisation!r} or lower learning_rate={hp.learning_rate!r}"
                )
            loss.backward()
            self.optimiser.step()
            total += value * len(batch)
            right += int((scores.argmax(1) == target).sum())
            seen += len(batch)
            bar.set_postfix(
                epoch=number, loss=f"{total / seen:.3f}", accuracy=f"{right / seen:.3f}", refresh=False
            )
            bar.update(len(batch))
        row = {"epoch": number, "loss": total / seen, "accuracy": right / seen}
        row |= {"test_loss": float("nan"), "test_accuracy": float("nan")}
        last = number == hp.epochs or converged([*self.losses, row["loss"]], hp.tolerance, hp.patience)
        if len(test_idx) and (last or number % hp.test_every == 0):
            chosen = labels[test_idx]
            probability = softmax_of(self.model, loader, test_idx).astype(np.float64)
            of_label = probability[np.arange(len(chosen)), chosen]
            row["test_loss"] = float(-np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean())
            row["test_accuracy"] = float((probability.argmax(1) == chosen).mean())
        self.history.append({**row, "seconds": time.perf_counter() - started})


def _checked(
    crops: Sequence[np.ndarray], labels: Any, train_idx: Any, test_idx: Any, hp: Hyperparameters
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.asarray(labels, np.int64)
    sides = {"train_idx": np.asarray(train_idx, np.int64), "test_idx": np.asarray(test_idx, np.int64)}
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
        wrong = rows[(labels[rows] < 0) | (labels[rows] >= hp.classes)]
        if len(wrong):
            raise FerError(
                f"picture {wrong[0]} of {name} has the label {labels[wrong[0]]}; "
                f"classes={hp.classes} allows 0 to {hp.classes - 1}"
            )
    return labels, sides["train_idx"], sides["test_idx"]


def _write_result(
    folder: Path,
    history: Sequence[Mapping[str, float]],
    test_idx: np.ndarray,
    predictions: np.ndarray,
    result: Mapping[str, Any],
) -> None:
    columns = ["epoch", "loss", "accuracy", "test_loss", "test_accuracy", "seconds"]
    table = pd.DataFrame(history, columns=columns).astype({"epoch": np.int64})
    table.astype({name: np.float64 for name in columns[1:]}).to_parquet(folder / "history.parquet")
    scores = pd.DataFrame(predictions, columns=[f"class_{i}" for i in range(predictions.shape[1])])
    scores.insert(0, "picture", test_idx)
    scores.to_parquet(folder / "predictions.parquet")
    # Written last: its presence says that the run is finished.
    write_aside(folder / _RESULT, json.dumps(result, indent=1).encode())


def _read_result(folder: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads((folder / _RESULT).read_bytes())
    except (OSError, ValueError) as error:
        raise FerError(f"{folder} holds no finished training run ({error}); train into it first") from None
    return result
