"""From faces to projections: pictures, network, responses, each computed once and kept in the artifact store."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from fer_lib import facs
from fer_lib.artifacts.store import Artifact, Store, default_root
from fer_lib.errors import FerError, Lacking
from fer_lib.experiment.settings import Settings
from fer_lib.faces import preprocess
from fer_lib.faces import table as frames
from fer_lib.faces.digest import MEMORY, digest_of_faces
from fer_lib.faces.disk import is_system_file
from fer_lib.faces.reader import read
from fer_lib.network import model, splits, training
from fer_lib.network.repeatable import arithmetic
from fer_lib.network.stack import receptive_field
from fer_lib.network.training import Trained
from fer_lib.probe import activations, deconv, regions

RENDERED = ("subjects", "sequences", "unlabelled", "frames", "size", "faces_seed")
SELECTED = ("last_frames",)
SPLIT = ("split", "test_fraction", "test_pictures", "seed", "neutral")
TRAINED = (
    *("degrees", "flip", "resize", "crop", "padding", "initialisation", "batch_size"),
    *("learning_rate", "momentum", "weight_decay", "dropout", "epochs", "patience", "tolerance"),
)


class Chain:
    """What one set of parameters leads to as far as the projections; `fer_lib.experiment.study.Study` goes on to the findings.

    Parameters
    ----------
    settings : Settings
        What to run.
    store : Store, optional
        Where results are kept; by default the project's own store.
    progress : bool
        Whether long steps show a progress bar.
    """

    def __init__(self, settings: Settings, store: Store | None = None, *, progress: bool = True) -> None:
        self.settings = settings
        self.store = store if store is not None else Store(default_root())
        self.progress = progress

    # ------------------------------------------------------------------ faces

    @cached_property
    def rendered(self) -> Artifact | None:
        """The rendered CK+ folder, or None where the user brought faces."""
        if self.settings.faces:
            return None
        s = self.settings

        def compute(folder: Path) -> None:
            from fer_lib.render import dataset

            dataset.render_faces(
                folder / "faces",
                subjects=s.subjects,
                sequences=s.sequences or None,
                unlabelled=s.unlabelled,
                frames=s.frames,
                size=s.size,
                seed=s.faces_seed,
                processes=os.cpu_count() or 1,
                progress=self.progress,
            )

        return self.store.fetch("faces", compute, settings=s.part(*RENDERED), sources=["render.dataset"])

    @cached_property
    def faces_root(self) -> Path:
        """Folder, in CK+'s layout, or table that the pictures come from."""
        return self.rendered.path / "faces" if self.rendered else Path(self.settings.faces)

    @cached_property
    def digest(self) -> str:
        """What is read of the user's faces, in 64 hexadecimal digits; empty for rendered ones."""
        return digest_of_faces(self.faces_root, self.store.root / MEMORY) if self.settings.faces else ""

    @cached_property
    def faces_record(self) -> dict[str, Any]:
        """What the faces are, to be noted beside results that are kept: how they were rendered, or the user's digest."""
        if self.settings.faces:
            return {"digest": self.digest}
        s = self.settings.part(*RENDERED)
        s["seed"] = s.pop("faces_seed")
        return {"rendered": s | {"sequences": s["sequences"] or sum(facs.CKPLUS_EXPRESSION_COUNTS.values())}}

    @cached_property
    def pictures(self) -> Artifact:
        """The selected frames: table, landmarks and native-size crops."""
        root = self.faces_root
        upstream = [self.rendered.key] if self.rendered else [self.digest]

        def compute(folder: Path) -> None:
            chosen = frames.select_frames(read(root), last=self.settings.last_frames, labelled_only=False)
            chosen = frames.with_box(chosen)
            preprocess.load_crops(chosen, progress=self.progress).save(folder)
            frames.save(chosen, folder)

        return self.store.fetch(
            "pictures",
            compute,
            settings=self.settings.part(*SELECTED),
            upstream=upstream,
            sources=["faces.reader", "faces.preprocess"],
        )

    @cached_property
    def faces(self) -> frames.Faces:
        """The selected frames as the one tidy table, with landmarks."""
        return frames.load(self.pictures.path, self.faces_root)

    def problems_note(self) -> str:
        """Say in a line how many problems the files of the faces have and where they are listed; an empty string if none has."""
        number = sum(not is_system_file(path) for path in self.faces.problems["path"])
        what = "problem" if number == 1 else "problems"
        return (
            f"{number} {what} with the faces; fer audit {shlex.quote(str(self.faces_root))} lists them"
            if number
            else ""
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each selected frame."""
        return self.faces.table

    @cached_property
    def crops(self) -> preprocess.Crops:
        """Face crops at their native size, in the table's order."""
        return preprocess.Crops.load(self.pictures.path)

    @cached_property
    def shown(self) -> np.ndarray:
        """Whether each picture may be published: rendered people may, of others only those listed."""
        subject = self.table["subject"]
        if self.rendered or self.settings.publish == "all":
            return np.ones(len(subject), bool)
        return subject.isin([name.strip() for name in self.settings.publish.split(",")]).to_numpy()

    @cached_property
    def present(self) -> pd.DataFrame:
        """Whether each AU (column) is present in each picture (row): 1, 0, or NaN where it was not coded."""
        return frames.au_present(self.table)

    @cached_property
    def landmarks(self) -> np.ndarray:
        """Landmarks of every picture in the network's input, (N, 68, 2) x and y in pixels; NaN where unknown."""
        boxes = self.table[["left", "top", "right", "bottom"]].to_numpy(float)
        return regions.to_input(
            self.faces.landmarks, boxes, resize=self.settings.resize, crop=self.settings.crop
        )

    @cached_property
    def moves(self) -> np.ndarray:
        """Whether each picture carries its sequence's action units, (N,): all but the neutral first of several."""
        return ((self.table["position"] > 0) | (self.table["length"] == 1)).to_numpy()

    def apexes(self, pictures: np.ndarray) -> np.ndarray:
        """Those of some pictures that are the last of their sequence: one item a sequence, for every test."""
        table = self.table.iloc[pictures]
        return pictures[(table["position"] == table["length"] - 1).to_numpy()]

    # ---------------------------------------------------------------- network

    @cached_property
    def expressions(self) -> tuple[str, ...]:
        """Names of the classes that the faces show, in the order of the network's outputs."""
        shown = set(self.table["label"])
        names = facs.EXPRESSIONS if self.settings.neutral else facs.EXPRESSIONS[1:]
        return tuple(name for name in names if name in shown)

    def trainable(self) -> Self:
        """Return the study itself, after a look whether a network can be trained on its faces.

        Raises
        ------
        Lacking
            If it cannot: too few expressions or people.
        """
        _ = self.split
        return self

    @cached_property
    def labels(self) -> np.ndarray:
        """Class of each picture, (N,) int64; -1 where it has no expression label."""
        order = {name: i for i, name in enumerate(self.expressions)}
        return self.table["label"].map(order).fillna(-1).to_numpy(np.int64)

    @cached_property
    def split(self) -> splits.Split:
        """Training and test pictures, among the labelled ones; `Lacking` where two expressions or two people are not there."""
        s = self.settings
        if not self.expressions:
            raise Lacking("no picture has an expression label, and without one no network can be trained")
        if len(self.expressions) == 1:
            raise Lacking(
                f"every labelled picture shows {self.expressions[0]}, and a network needs two expressions to tell apart"
            )
        labelled = np.flatnonzero(self.labels >= 0)
        table = self.table.iloc[labelled].reset_index(drop=True)
        if s.split == "leak":
            chosen = splits.paper_leak(table, test=s.test_pictures, seed=s.seed)
        else:
            chosen = splits.by_subject(table, test=s.test_fraction, seed=s.seed)
        return splits.Split(train=labelled[chosen.train], test=labelled[chosen.test])

    @cached_property
    def people(self) -> splits.Split:
        """All pictures, with an expression label or without, of the training and of the held-out people.

        With the paper's leak there are no held-out people, and the labelled pictures are divided as they are.
        """
        if self.settings.split == "leak":
            return self.split
        subject = self.table["subject"]
        held_out = subject.isin(subject.iloc[self.split.test]).to_numpy()
        return splits.Split(train=np.flatnonzero(~held_out), test=np.flatnonzero(held_out))

    @cached_property
    def hyperparameters(self) -> training.Hyperparameters:
        """What training is told, from the settings."""
        s = self.settings
        return training.Hyperparameters(
            epochs=s.epochs,
            batch_size=s.batch_size,
            learning_rate=s.learning_rate,
            momentum=s.momentum,
            weight_decay=s.weight_decay,
            dropout=s.dropout,
            patience=s.patience,
            tolerance=s.tolerance,
            initialisation=s.initialisation,
            padding=s.padding,
            degrees=s.degrees,
            flip=s.flip,
            resize=s.resize,
            crop=s.crop,
            classes=len(self.expressions),
        )

    def _check_numbers(self) -> None:
        """Refuse what these faces are too few for; of rendered ones the settings know their number."""
        people = self.table["subject"][self.labels >= 0].nunique()
        for name, most, what in (
            ("strongest", len(self.table), "pictures"),
            ("folds", people, "labelled people"),
        ):
            value = getattr(self.settings, name)
            if value > most:
                raise FerError(
                    f"parameter {name}={value}: {self.faces_root} has {most} {what}; give at most {most}"
                )

    def learned(self, *names: str) -> dict[str, Any]:
        """Return the named parameters and the classes that stored numbers of classes count, for the key of an artifact."""
        return {**self.settings.part(*names), "classes": list(self.expressions)}

    @property
    def device(self) -> str:
        """Torch's name of the device that trains."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def training(self) -> Artifact:
        """The finished training run."""
        self._check_numbers()

        def compute(folder: Path) -> None:
            training.train(
                self.crops,
                self.labels,
                self.split.train,
                self.split.test,
                self.hyperparameters,
                seed=self.settings.seed,
                folder=folder,
                progress=self.progress,
                device=self.device,
            )

        return self.store.fetch(
            "training",
            compute,
            # A network that takes no step is rounded nowhere.
            settings=self.learned(*TRAINED, *SPLIT)
            | (arithmetic(self.device) if self.settings.epochs else {}),
            upstream=[self.pictures.key],
            sources=["network.training", "network.splits", "network.model", "faces.preprocess"],
            resumes=True,
        )

    @cached_property
    def trained(self) -> Trained:
        """Network, curve and test predictions."""
        return training.load_trained(self.training.path)

    @cached_property
    def network(self) -> model.ExpressionNet:
        """The trained network, in evaluation mode."""
        return self.trained.model.eval()

    @cached_property
    def untrained(self) -> Self:
        """The same study with the network as it was before the first step: the control of every claim."""
        return type(self)(self.settings.but(epochs=0), self.store, progress=self.progress)

    # --------------------------------------------------------------- responses

    def inputs(self, pictures: np.ndarray) -> torch.Tensor:
        """Pictures as the network sees them without chance, (n, 1, crop, crop) float32."""
        evaluate = preprocess.Evaluate(size=self.settings.resize, crop=self.settings.crop)
        return torch.stack([evaluate(self.crops[int(i)]) for i in pictures])

    @cached_property
    def responses(self) -> activations.Responses:
        """Maximum and position of every conv3 map on every picture."""
        return self.responses_of("relu3")

    def responses_of(self, layer: str) -> activations.Responses:
        """Maximum and position of every map of a layer on every picture, in the table's order."""

        def batches() -> Iterator[torch.Tensor]:
            for start in range(0, len(self.crops), 64):
                yield self.inputs(np.arange(start, min(start + 64, len(self.crops))))

        def compute(folder: Path) -> None:
            activations.record(self.network.features, batches(), layer=layer).save(folder)

        artifact = self.store.fetch(
            "responses",
            compute,
            settings={"layer": layer},
            upstream=[self.training.key],
            sources=["probe.activations", "faces.preprocess"],
        )
        return activations.Responses.load(artifact.path)

    @cached_property
    def exemplars(self) -> activations.Exemplars:
        """The strongest training pictures of every conv3 map (section 3.2, steps 1 to 3)."""
        return self.exemplars_of("relu3")

    def exemplars_of(self, layer: str) -> activations.Exemplars:
        """Strongest training pictures of every map of a layer."""
        groups = self.table["subject"] if self.settings.one_per_subject else None
        return activations.exemplars(
            self.responses_of(layer), n=self.settings.strongest, groups=groups, among=self.split.train
        )

    def projections_of(self, layer: str, rule: str = "deconvnet") -> deconv.Projections:
        """Every exemplar of a layer projected to the pixels, one row a unit, maps first: (maps * n) rows."""
        units = self.exemplars_of(layer).units()

        def compute(folder: Path) -> None:
            deconv.project(self.network.features, self.inputs, units, layer=layer, rule=rule).save(folder)

        artifact = self.store.fetch(
            "projections",
            compute,
            settings={"layer": layer, "rule": rule, **self.settings.part("strongest", "one_per_subject")}
            | arithmetic(),
            upstream=[self.training.key],
            sources=["probe.deconv", "probe.activations", "faces.preprocess"],
        )
        return deconv.Projections.load(artifact.path)

    def planes(self, pictures: np.ndarray, layer: str) -> torch.Tensor:
        """All feature maps of a layer on some pictures, (n, C, h, w)."""
        x = self.inputs(pictures)
        with torch.no_grad():
            for name, module in self.network.features.named_children():
                x = module(x)
                if name == layer:
                    break
        return x

    def plane(self, picture: int, layer: str, map: int) -> np.ndarray:
        """One feature map of one picture, (h, w)."""
        return self.planes(np.array([picture]), layer)[0, map].numpy()

    def centres(self, layer: str = "relu3") -> np.ndarray:
        """Centres of the strongest units' receptive fields in the network's input, (C, n, 2) x and y; NaN where there is none."""
        found = self.exemplars_of(layer)
        field = receptive_field(self.network.features, layer)
        place = np.stack([found.column, found.row], -1) * field.stride + field.offset + (field.size - 1) / 2
        return np.where((found.picture >= 0)[..., None], place, np.nan)
