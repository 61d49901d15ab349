"""The faces of a study: what is on the pictures, which of them train and which test."""

from __future__ import annotations

import shlex
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fer_lib.artifacts.store import Artifact, Store
from fer_lib.config import Settings
from fer_lib.errors import FerError
from fer_lib.faces import table as frames
from fer_lib.faces.crops import Crops
from fer_lib.faces.digest import MEMORY, digest_of_faces, record_of_faces
from fer_lib.faces.disk import is_system_file
from fer_lib.faces.preprocess import Evaluate, inputs_of
from fer_lib.network import splits
from fer_lib.probe import regions
from fer_lib.steps import pictures as selected
from fer_lib.steps import rendered


class Faces:
    """The selected pictures and all that is known of each, in the order of one table.

    Parameters
    ----------
    settings : Settings
        Which faces, which of their frames, and how they are divided.
    store : Store
        Where results are kept.
    progress : bool
        Whether long steps show a progress bar.

    Attributes
    ----------
    division : fer_lib.config.Division
        How pictures are divided into training and test.
    prepare : fer_lib.faces.preprocess.Evaluate
        What makes the network's input of a face crop.
    """

    def __init__(self, settings: Settings, store: Store, *, progress: bool) -> None:
        self.settings, self.store, self.progress = settings, store, progress
        self.division = settings.division
        self.prepare = Evaluate(settings.resize, settings.crop)

    # where they come from -------------------------------------------------------------------------------------------------

    @cached_property
    def rendered(self) -> Artifact | None:
        """The rendered CK+ folder, or None where the user brought faces."""
        if self.settings.faces:
            return None
        return rendered.faces(self.store, self.settings.rendering, progress=self.progress)

    @cached_property
    def root(self) -> Path:
        """Folder, in CK+'s layout, or table that the pictures come from."""
        return self.rendered.path / rendered.FACES if self.rendered else Path(self.settings.faces)

    @cached_property
    def digest(self) -> str:
        """What is read of the user's faces, in 64 hexadecimal digits; empty for rendered ones."""
        return digest_of_faces(self.root, self.store.root / MEMORY) if self.settings.faces else ""

    @cached_property
    def record(self) -> dict[str, Any]:
        """What the faces are, to be noted beside results that are kept: how they were rendered, or the user's digest."""
        return record_of_faces(self.settings, self.store.root / MEMORY)

    def problems_note(self) -> str:
        """Say in a line how many problems the files of the faces have and where they are listed; an empty string if none has."""
        if not self.settings.faces:
            return ""  # what this package renders has none, and need not be rendered to know it
        number = sum(not is_system_file(path) for path in self.selected.problems["path"])
        what = "problem" if number == 1 else "problems"
        listed = f"fer audit {shlex.quote(str(self.root))} lists them"
        return f"{number} {what} with the faces; {listed}" if number else ""

    def check_numbers(self) -> None:
        """Refuse what these faces are too few for; of rendered ones the settings know their number."""
        people = self.table["subject"][self.labels >= 0]
        numbers = {
            "n_exemplars": (len(self.table), "pictures"),
            "folds": (people.nunique(), "labelled people"),
        }
        if (people == "").any():
            if self.settings.one_per_subject:
                why = "who is on the pictures is not known; leave it False"
                raise FerError(f"parameter one_per_subject=True: {self.root}: {why}")
            del numbers["folds"]  # there can be none, and why is said where they are asked for
        for name, (most, what) in numbers.items():
            value = getattr(self.settings, name)
            if value > most:
                raise FerError(
                    f"parameter {name}={value}: {self.root} has {most} {what}; give at most {most}"
                )

    # the pictures ---------------------------------------------------------------------------------------------------------

    @cached_property
    def pictures(self) -> Artifact:
        """The selected frames as they are stored: table, landmarks and native-size crops."""
        return selected.pictures(
            self.store,
            self.rendered or self.digest,
            self.settings.selection,
            root=self.root,
            progress=self.progress,
        )

    @cached_property
    def selected(self) -> frames.Faces:
        """The selected frames as the one tidy table, with landmarks."""
        return frames.load(self.pictures.path, self.root)

    @property
    def table(self) -> pd.DataFrame:
        """One row for each selected frame."""
        return self.selected.table

    @cached_property
    def crops(self) -> Crops:
        """Face crops at their native size, in the table's order."""
        return Crops.load(self.pictures.path)

    def inputs(self, pictures: np.ndarray) -> torch.Tensor:
        """Pictures as the network sees them when it is tested, (n, 1, crop, crop) float32."""
        return inputs_of(self.crops, pictures, self.prepare)

    @cached_property
    def landmarks(self) -> np.ndarray:
        """Landmarks of every picture in the network's input, (N, 68, 2) x and y in pixels; NaN where unknown."""
        boxes = self.table[list(frames.BOX)].to_numpy(float)
        size, crop = self.prepare.size, self.prepare.crop
        return regions.to_input(self.selected.landmarks, boxes, resize=size, crop=crop)

    @cached_property
    def shown(self) -> np.ndarray:
        """Whether each picture may be published: rendered people may, of others only those listed."""
        subject = self.table["subject"]
        if self.rendered or self.settings.publish == "all":
            return np.ones(len(subject), bool)
        named = {name.strip() for name in self.settings.publish.split(",")} - {""}  # "" is who is not known
        return subject.isin(named).to_numpy()

    # what they show -------------------------------------------------------------------------------------------------------

    @cached_property
    def expressions(self) -> tuple[str, ...]:
        """Names of the classes that the faces show, in the order of the network's outputs."""
        return frames.expressions_of(self.table, neutral=self.division.neutral)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class of each picture, (N,) int64; -1 where it has no expression label."""
        return frames.labels_of(self.table, self.expressions)

    @cached_property
    def present(self) -> pd.DataFrame:
        """Whether each AU (column) is present in each picture (row): 1, 0, or NaN where it was not coded."""
        return frames.au_present(self.table)

    @cached_property
    def coded_aus(self) -> tuple[int, ...]:
        """AUs that at least n training pictures show and at least n do not, so that D compares n with n."""
        return frames.coded_often(self.present, self.split_of_all.train, self.settings.n_exemplars)

    def matchable(self) -> tuple[int, ...]:
        """Return `coded_aus`, of which there has to be at least one: `Lacking` if there is none."""
        return frames.matchable(self.present, self.split_of_all.train, self.settings.n_exemplars)

    @cached_property
    def moves(self) -> np.ndarray:
        """Whether each picture carries its sequence's action units, (N,): all but the neutral first of several."""
        return ((self.table["position"] > 0) | (self.table["length"] == 1)).to_numpy()

    # which of them --------------------------------------------------------------------------------------------------------

    @cached_property
    def split(self) -> splits.Split:
        """Training and test pictures, among the labelled ones; `Lacking` where two expressions or two people are not there."""
        return splits.divide(self.table, self.labels, self.division)

    @cached_property
    def split_of_all(self) -> splits.Split:
        """All pictures, with an expression label or without, of the training and of the held-out people."""
        return splits.with_unlabelled(self.table, self.labels, self.division)

    def apexes(self, pictures: np.ndarray) -> np.ndarray:
        """Those of some pictures that are the last of their sequence: one item a sequence, for every test."""
        return pictures[frames.is_apex(self.table)[pictures]]

    def after_neutral(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of some pictures that follow a neutral one in their sequence, and these; all of them and none where there is none."""
        table = self.table
        sequence = pd.MultiIndex.from_frame(table[["subject", "sequence"]])
        begins = ((table["position"] == 0) & (table["length"] > 1)).to_numpy()
        first = pd.Series(np.flatnonzero(begins), sequence[begins])
        found = first.reindex(sequence[pictures], fill_value=-1).to_numpy()
        there = (found >= 0) & (found != pictures)
        return (pictures[there], found[there]) if there.any() else (pictures, found[:0])
