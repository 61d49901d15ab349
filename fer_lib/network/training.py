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
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor
from tqdm import tqdm

from fer_lib.artifacts.files import write_aside
from fer_lib.config import Training
from fer_lib.errors import FerError
from fer_lib.network import model as network
from fer_lib.network.batches import Loader, checked, digest_of, shuffled
from fer_lib.network.checkpoint import (
    Checkpoint,
    check_request,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from fer_lib.network.repeatable import precision_of, repeatable, usable_device, whole_seed
from fer_lib.network.trainer import Trainer, predict

KEPT_PASSES = (1, 5, 20)
"""Passes after which the filters are kept, to be looked at."""

_RESULT = "training.json"
_FILTERS = "filters-{}.safetensors"


class Diverged(FerError):  # noqa: N818 - an end that a study of starts expects
    """Loss, weights or scores stopped being numbers; ``epoch`` says in which pass (from 1)."""

    def __init__(self, message: str, epoch: int = 0) -> None:  # one argument is what unpickling gives
        super().__init__(message)
        self.epoch = epoch


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes
    ----------
    model : ExpressionNet
        After the last epoch, in evaluation mode, on the CPU.
    history : pandas.DataFrame
        One row per epoch: ``epoch`` (from 1), ``steps`` (since the start), ``loss`` and ``accuracy`` (means over the epoch's
        augmented pictures, with dropout), ``test_loss``, ``test_accuracy`` (NaN where not looked at), ``moved_conv1``, ... (how far
        the layer's weights are from where they started, relative to the start's norm), ``seconds``. Losses in nats.
    predictions : numpy.ndarray
        (n_test, classes) float32: softmax of the test pictures in the order of `test`.
    test : numpy.ndarray
        (n_test,) int64: the test pictures.
    stopped : str
        ``"converged"`` or ``"epochs"`` (the limit came first).
    precision : str
        In what convolutions and linear layers multiplied: ``"float32"`` or ``"bfloat16"``.
    """

    model: network.ExpressionNet
    history: pd.DataFrame
    predictions: np.ndarray
    test: np.ndarray
    stopped: str
    precision: str

    @property
    def steps(self) -> int:
        """Number of steps since the start."""
        return 0 if self.history.empty else int(self.history["steps"].iloc[-1])

    @property
    def moved(self) -> pd.Series:
        """How far the weights of each layer (index) are from where they started, relative to the start's norm; 0 without a step."""
        named = (*self.model.features.named_children(), *self.model.classifier.named_children())
        layers = [name for name, layer in named if hasattr(layer, "weight")]
        if self.history.empty:
            return pd.Series(0.0, index=layers)
        return pd.Series({name: self.history[f"moved_{name}"].iloc[-1] for name in layers})


def train(
    crops: Sequence[np.ndarray],
    labels: np.ndarray,
    train_idx: np.ndarray,
    test_idx: np.ndarray,
    hp: Training,
    *,
    classes: int,
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
        (N,) int: class of each crop, 0 to ``classes - 1``; rows outside the two index arrays are not looked at.
    train_idx, test_idx : numpy.ndarray
        Rows to learn from and to test on; the second may be empty.
    hp : Training
        Hyperparameters.
    classes : int
        Outputs of the network, at least 2.
    seed : int, default 0
        Decides initialisation, order, augmentation and dropout; from 0 up, of any size.
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
        If an argument cannot work, before anything is done; or if the folder holds another run.
    Diverged
        If loss or weights stop being numbers.

    Examples
    --------
    Two classes that differ in brightness at one side, two passes over the first 24 of them:

    >>> import tempfile
    >>> import numpy as np
    >>> import fer_lib as fer
    >>> from fer_lib.config import Training
    >>> rng, labels = np.random.default_rng(0), np.arange(32) % 2
    >>> crops = [rng.integers(0, 100, (40, 40), np.uint8) for _ in labels]
    >>> for crop, label in zip(crops, labels):
    ...     crop[20 * label : 20 * label + 20] += 150
    >>> hp = Training(epochs=2, batch_size=8, resize=38, crop=36, learning_rate=0.01)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trained = fer.train(crops, labels, np.arange(24), np.arange(24, 32), hp, classes=2, folder=folder, progress=False)
    >>> trained.history["epoch"].tolist(), trained.stopped
    ([1, 2], 'epochs')
    >>> trained.predictions.shape
    (8, 2)
    """
    labels, train_idx, test_idx = checked(crops, labels, train_idx, test_idx, classes)
    seed, kind = whole_seed(seed), usable_device(device).type
    learned = shuffled(labels, train_idx, seed) if hp.shuffled_labels else labels
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    request = {
        **asdict(hp),
        "precision": precision_of(hp.precision, device),
        "classes": classes,
        "seed": seed,
        "data": digest_of(crops, learned, train_idx, test_idx),
    }
    environment = {name: metadata.version(name) for name in ("torch", "torchvision", "numpy")}
    environment["device"] = kind
    if (folder / _RESULT).is_file():
        check_request(folder, _read_result(folder)["request"], request)
        return load_trained(folder)
    saved = read_checkpoint(folder, request, environment)
    threads = saved.threads if saved else torch.get_num_threads()
    history = list(saved.history) if saved else []
    with repeatable(device, threads), Loader(crops, hp, seed, device) as loader:
        trainer = Trainer(hp, classes, seed, device)
        if saved:
            trainer.restore(saved.tensors)
        elif hp.epochs:
            _keep_filters(folder, 0, trainer)
        bar = tqdm(
            desc="training",
            unit=" pictures",
            total=hp.epochs * len(train_idx),
            initial=len(history) * len(train_idx),
            disable=None if progress else True,
        )
        with bar:
            while len(history) < hp.epochs and not _ended(history, hp):
                history.append(_epoch(trainer, loader, learned, train_idx, test_idx, history, bar))
                if len(history) in KEPT_PASSES:
                    _keep_filters(folder, len(history), trainer)
                write_checkpoint(folder, Checkpoint(history, trainer.state(), threads), request, environment)
        predictions = predict(trainer.model, loader, test_idx).reshape(len(test_idx), classes)
    if not np.isfinite(predictions).all():
        raise _diverged("scores of the test pictures are not numbers", len(history), hp)
    network.save(trainer.model, folder)
    stopped = "converged" if _ended(history, hp) else "epochs"
    _write_result(folder, history, test_idx, predictions, {"request": request, "stopped": stopped})
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
    precision = result["request"]["precision"]
    return Trained(model, history, predictions, table["picture"].to_numpy(), result["stopped"], precision)


def filters_in_training(folder: Path) -> dict[int, dict[str, Tensor]]:
    """Return what the convolutions were on the way: before training, and after each of the passes `KEPT_PASSES` that were made.

    Parameters
    ----------
    folder : Path
        That `train` filled.

    Returns
    -------
    dict of int to dict of str to Tensor
        By number of passes, the state of the network's ``features``; empty for a network that was not trained.
    """
    files = sorted(Path(folder).glob(_FILTERS.format("*")), key=lambda path: int(path.stem.split("-")[1]))
    return {int(path.stem.split("-")[1]): load_file(path) for path in files}


def _keep_filters(folder: Path, passes: int, trainer: Trainer) -> None:
    """Write the weights of the convolutions, a few megabytes; those of the hidden layer are ten times as many."""
    state = trainer.model.features.state_dict()
    content = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    write_aside(folder / _FILTERS.format(passes), content)


def converged(losses: Sequence[float], tolerance: float, patience: int) -> bool:
    """Tell whether the training loss has stopped falling.

    Parameters
    ----------
    losses : sequence of float
        Training loss of every epoch so far, in nats.
    tolerance : float
        By how many nats the lowest loss has to fall within ``patience`` epochs. In nats and not as a share, because a loss that
        goes to zero falls by the same share for ever.
    patience : int
        Epochs that are given for that; 0: never converged.

    Returns
    -------
    bool
    """
    if not 0 < patience < len(losses):
        return False
    return bool(min(losses[-patience:]) > min(losses[:-patience]) - tolerance)


def _ended(history: Sequence[Mapping[str, float]], hp: Training) -> bool:
    return converged([row["loss"] for row in history], hp.tolerance, hp.patience)


def _epoch(
    trainer: Trainer,
    loader: Loader,
    labels: np.ndarray,
    train_idx: np.ndarray,
    test_idx: np.ndarray,
    history: Sequence[Mapping[str, float]],
    bar: tqdm,
) -> dict[str, float]:
    """Pass once over the training pictures and return the row of history."""
    started, epoch, hp = time.perf_counter(), len(history) + 1, trainer.hp
    total, right, seen = 0.0, 0, 0
    batches = trainer.begin(epoch, train_idx)
    for batch, pictures in zip(batches, loader.augmented(batches, epoch), strict=True):
        loss, scores = trainer.step(pictures, labels[batch])
        if not np.isfinite(loss):
            raise _diverged(f"loss became {loss}", epoch, hp)
        total += loss * len(batch)
        right += int((scores.argmax(1).cpu().numpy() == labels[batch]).sum())
        seen += len(batch)
        shown = {"epoch": epoch, "loss": f"{total / seen:.3f}", "accuracy": f"{right / seen:.3f}"}
        bar.set_postfix(shown, refresh=False)
        bar.update(len(batch))
    if not trainer.finite():  # the loss of the last batch is that before its step
        raise _diverged("weights became infinite or undefined", epoch, hp)
    steps = len(batches) + (int(history[-1]["steps"]) if history else 0)
    row = {"epoch": epoch, "steps": steps, "loss": total / seen, "accuracy": right / seen}
    row |= {"test_loss": float("nan"), "test_accuracy": float("nan")}
    if len(test_idx):
        chosen = labels[test_idx]
        probability = predict(trainer.model, loader, test_idx).astype(np.float64)
        of_label = probability[np.arange(len(chosen)), chosen]
        row["test_loss"] = float(-np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean())
        row["test_accuracy"] = float((probability.argmax(1) == chosen).mean())
    row |= {f"moved_{layer}": change for layer, change in trainer.moved().items()}
    return {**row, "seconds": time.perf_counter() - started}


def _diverged(what: str, epoch: int, hp: Training) -> Diverged:
    return Diverged(
        f"the {what} in epoch {epoch}; start from other weights than "
        f"initialisation={hp.initialisation!r} or lower learning_rate={hp.learning_rate!r} or "
        f"weight_decay={hp.weight_decay!r}",
        epoch,
    )


def _write_result(
    folder: Path,
    history: Sequence[Mapping[str, float]],
    test_idx: np.ndarray,
    predictions: np.ndarray,
    result: Mapping[str, Any],
) -> None:
    names = ["epoch", "steps", "loss", "accuracy", "test_loss", "test_accuracy"]
    table = pd.DataFrame(history, columns=list(history[0]) if history else [*names, "seconds"])
    kinds = {name: np.int64 if name in ("epoch", "steps") else np.float64 for name in table}
    table.astype(kinds).to_parquet(folder / "history.parquet")
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
