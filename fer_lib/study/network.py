"""The network of a study: its training, its accuracy, and the other networks that it is compared with."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import nn

from fer_lib.artifacts.store import Artifact, Store
from fer_lib.config import Division, Settings, Training, make_settings
from fer_lib.errors import FerError
from fer_lib.network.model import ExpressionNet
from fer_lib.network.repeatable import arithmetic, precision_of
from fer_lib.network.training import Trained, filters_in_training, load_trained
from fer_lib.steps import networks
from fer_lib.steps.examples import examples
from fer_lib.steps.folds import folds
from fer_lib.study.faces import Faces


class Network:
    """The network that is trained on some faces.

    Parameters
    ----------
    settings : Settings
        How it is trained, and in how many folds besides.
    store : Store
        Where results are kept.
    faces : Faces
        What it is trained on.
    first_steps : int
        Steps of `first_steps`.
    progress : bool
        Whether long steps show a progress bar.
    """

    def __init__(
        self, settings: Settings, store: Store, faces: Faces, *, first_steps: int, progress: bool
    ) -> None:
        self.settings, self.store, self.faces, self.progress = settings, store, faces, progress
        self._steps = first_steps

    @property
    def device(self) -> str:
        """Torch's name of the device that trains."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def _config(self) -> Training:
        """How to train, with the precision that ``auto`` means on this device: it shapes the result."""
        config = self.settings.training
        return config.replace(precision=precision_of(config.precision, self.device))

    def _examples(self, division: Division) -> Artifact:
        return examples(self.store, self.faces.pictures, division)

    @cached_property
    def training(self) -> Artifact:
        """The finished training run."""
        self.faces.check_numbers()
        return networks.training(
            self.store,
            self._examples(self.faces.division),
            self._config,
            self.settings.seed,
            arithmetic(self.device) if self.settings.epochs else {},  # without a step nothing is rounded
            crops=self.faces.pictures.path,
            device=self.device,
            progress=self.progress,
        )

    @cached_property
    def trained(self) -> Trained:
        """Network, curve and test predictions."""
        return load_trained(self.training.path)

    @cached_property
    def model(self) -> ExpressionNet:
        """The trained network itself, in evaluation mode."""
        return self.trained.model.eval()

    @cached_property
    def on_the_way(self) -> dict[int, nn.Sequential]:
        """``features`` by number of passes: before training, after some passes, and at the end; of an untrained network the end alone."""
        end = len(self.trained.history)
        found = {}
        for passes, state in filters_in_training(self.training.path).items():
            if passes < end:
                found[passes] = copy.deepcopy(self.model.features)
                found[passes].load_state_dict(state)
        return found | {end: self.model.features}

    @property
    def accuracy(self) -> float:
        """Share of the test pictures that the network gets right."""
        labels = self.faces.labels[self.faces.split.test]
        return float((self.trained.predictions.argmax(1) == labels).mean())

    def pooled(self, pictures: np.ndarray) -> Iterator[torch.Tensor]:
        """What the classifier is given of some pictures, a few at a time."""
        for part in np.array_split(pictures, max(1, len(pictures) // 64)):
            with torch.no_grad():
                yield self.model.features(self.faces.inputs(part))

    @cached_property
    def cross_validation(self) -> pd.DataFrame:
        """Predictions of one network per fold of people (`Settings.folds` of them), each picture tested once.

        A FerError if no folds are asked for.
        """
        if not self.settings.folds:
            raise FerError("parameter folds=0: no network is trained in folds; give at least 2")
        _ = self.faces.split  # lacking where no network can be trained
        self.faces.check_numbers()
        found = folds(
            self.store,
            self._examples(
                Division(neutral=self.faces.division.neutral)
            ),  # folds divide all that is labelled by themselves
            self.settings.folds,
            self.faces.division.split_seed,
            self._config,
            self.settings.seed,
            arithmetic(self.device),
            crops=self.faces.pictures.path,
            device=self.device,
            progress=self.progress,
        )
        return pd.read_parquet(found.path / "folds.parquet")

    @cached_property
    def first_steps(self) -> pd.DataFrame:
        """The first steps at the paper's rate from every initialisation: see `fer_lib.network.starts.initialisation_study`."""
        rate = make_settings("paper").learning_rate
        found = networks.first_steps(
            self.store,
            self._examples(self.faces.division),
            self.settings.training.replace(precision="float32", learning_rate=rate),
            self._steps,
            self.settings.seed,
            arithmetic(),
            crops=self.faces.pictures.path,
        )
        return pd.read_parquet(found.path / "steps.parquet")
