"""The chain from faces to evidence as one object: each step is computed once and kept in the artifact store.

A notebook asks for what it needs (``study.distances``); whatever lies before it is found or made.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from fer_lib import traditional
from fer_lib.errors import Lacking
from fer_lib.experiment.chain import SPLIT, TRAINED, Chain
from fer_lib.experiment.settings import settings_from_notebook
from fer_lib.measures import ablation, distance
from fer_lib.network import folds, splits, starts
from fer_lib.network.repeatable import arithmetic
from fer_lib.render.atlas import Atlas, render_atlas
from fer_lib.traditional import Traditional


class Study(Chain):
    """Everything that one set of parameters leads to, computed when asked for; parameters as for `Chain`."""

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, Any], own: Collection[str] = ()) -> Self:
        """Make the study of a notebook's parameters cell; see `fer_lib.experiment.settings.settings_from_notebook`."""
        return cls(settings_from_notebook(namespace, own))

    @cached_property
    def coded_aus(self) -> tuple[int, ...]:
        """AUs that at least n training pictures show and at least n do not, so that D compares n with n."""
        train = self.present.iloc[self.people.train]
        n = self.settings.strongest
        enough = ((train == 1).sum() >= n) & ((train == 0).sum() >= n)
        return tuple(int(au) for au in train.columns[enough].astype(int))

    def matchable(self) -> tuple[int, ...]:
        """Return `coded_aus`, of which there has to be at least one.

        Raises
        ------
        Lacking
            If there is none; the message says whether AUs are not coded at all or too rarely.
        """
        if self.coded_aus:
            return self.coded_aus
        if self.present.isna().all(axis=None):
            raise Lacking("no picture is coded for action units")
        n = self.settings.strongest
        raise Lacking(
            f"no action unit is coded as present in {n} and as absent in {n} pictures of the training people, as n = {n} asks"
        )

    @cached_property
    def distances(self) -> pd.DataFrame:
        """The paper's D of every coded AU (row) on every conv3 map (column), on the pictures of training people."""
        train, aus = self.people.train, self.matchable()
        values = distance.distances(
            self.responses.maximum[train],
            self.present.iloc[train][list(aus)].to_numpy(),
            n=self.settings.strongest,
            zero=self.settings.zero_rule,  # type: ignore[arg-type]
        )
        return pd.DataFrame(values, index=pd.Index(aus, name="AU"))

    @cached_property
    def matched(self) -> pd.Series:
        """The map that maximises D for every coded AU (index); -1 where no single map does."""
        return pd.Series(distance.best_maps(self.distances.to_numpy()), self.distances.index, name="map")

    def winners(self) -> pd.Series:
        """Return those of `matched` that are maps, at least one.

        Raises
        ------
        Lacking
            If no single map has the largest distance for any AU.
        """
        won = self.matched[self.matched >= 0]
        if won.empty:
            raise Lacking(
                "no single map has the largest distance for any action unit, as several are infinite or all equal"
            )
        return won

    @cached_property
    def ablation(self) -> ablation.Ablation:
        """What the maps that D matched are worth to the network, on the labelled test pictures; `Lacking` if it matched none."""
        matched = np.unique(self.winners())
        test = self.split.test
        with torch.no_grad():
            pooled = torch.cat(
                [self.network.features(self.inputs(p)) for p in np.array_split(test, max(1, len(test) // 64))]
            )
        return ablation.ablate(
            self.network.classifier,
            pooled,
            self.labels[test],
            matched,
            draws=200,
            seed=self.settings.seed,
        )

    @cached_property
    def cross_validation(self) -> pd.DataFrame:
        """Predictions of one network per fold of people (`Settings.folds` of them), each picture tested once."""
        s = self.settings
        labelled = np.flatnonzero(self.labels >= 0)
        parts = splits.subject_folds(self.table.iloc[labelled], s.folds)
        chosen = [splits.Split(labelled[part.train], labelled[part.test]) for part in parts]

        def compute(folder: Path) -> None:
            folds.cross_validate(
                self.crops,
                self.labels,
                chosen,
                self.hyperparameters,
                seed=s.seed,
                folder=folder / "runs",
                progress=self.progress,
                device=self.device,
            ).to_parquet(folder / "folds.parquet")

        artifact = self.store.fetch(
            "folds",
            compute,
            settings=self.learned(*TRAINED, "folds", "neutral", "seed") | arithmetic(self.device),
            upstream=[self.pictures.key],
            sources=["network.folds", "network.splits", "faces.preprocess"],
            resumes=True,
        )
        return pd.read_parquet(artifact.path / "folds.parquet")

    @cached_property
    def first_steps(self) -> pd.DataFrame:
        """The first steps of training from every initialisation: see `fer_lib.network.starts.initialisation_study`."""
        steps = 2 if self.settings.preset == "smoke" else 4

        def compute(folder: Path) -> None:
            starts.initialisation_study(
                self.crops,
                self.labels,
                self.split.train,
                hp=self.hyperparameters,
                steps=steps,
                seed=self.settings.seed,
            ).to_parquet(folder / "steps.parquet")

        artifact = self.store.fetch(
            "first_steps",
            compute,
            settings={"steps": steps} | self.learned(*TRAINED, *SPLIT) | arithmetic(),
            upstream=[self.pictures.key],
            sources=[
                "network.starts",
                "network.training",
                "network.splits",
                "network.model",
                "faces.preprocess",
            ],
        )
        return pd.read_parquet(artifact.path / "steps.parquet")

    # ----------------------------------------------------- references and controls

    @cached_property
    def atlas(self) -> Atlas:
        """One rendered person with one action unit at a time, whatever the faces are."""
        levels = (0.0, 5.0) if self.settings.preset == "smoke" else (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)

        def compute(folder: Path) -> None:
            render_atlas(levels=levels, processes=os.cpu_count() or 1, progress=self.progress).save(folder)

        artifact = self.store.fetch(
            "atlas",
            compute,
            settings={"levels": levels},
            sources=["render.atlas", "render.person", "render.scene"],
        )
        return Atlas.load(artifact.path)

    @cached_property
    def traditional(self) -> Traditional:
        """The traditional route on the same people: one detector an AU, then a decision."""

        def compute(folder: Path) -> None:
            self.traditional_on(self.split).save(folder)

        artifact = self.store.fetch(
            "traditional",
            compute,
            settings=self.learned("strongest", "resize", "crop", *SPLIT),
            upstream=[self.pictures.key],
            sources=["traditional", "faces.preprocess", "network.splits"],
        )
        return Traditional.load(artifact.path)

    def traditional_on(self, split: splits.Split) -> Traditional:
        """The traditional route trained and tested on other pictures."""
        known = not np.isnan(self.landmarks).any()
        people = self.table["subject"].iloc[split.train].nunique()
        return traditional.fit(
            self._frames,
            self.labels,
            self.present[list(self.matchable())],
            self.table["subject"].to_numpy(),
            split.train,
            split.test,
            landmarks=self.landmarks if known else None,
            judged=self.apexes(split.test),
            folds=min(5, people),
            seed=self.settings.seed,
        )

    @cached_property
    def _frames(self) -> np.ndarray:
        return self.inputs(np.arange(len(self.table)))[:, 0].numpy()
