"""The chain from faces to evidence as one object: each step is computed once and kept in the artifact store.

A notebook asks for what it needs (``study.distances``); whatever lies before it is found or made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fer_lib import claims, protocols, traditional
from fer_lib.artifacts.store import Artifact
from fer_lib.errors import FerError, Lacking
from fer_lib.experiment.chain import SPLIT, TRAINED, Chain
from fer_lib.faces import preprocess
from fer_lib.faces.reader import read
from fer_lib.faces.table import au_present, with_box
from fer_lib.measures import ablation, choices, detectors, distance, interventions, nulls
from fer_lib.measures.alignment import energy_at_random, region_alignment
from fer_lib.measures.dissection import dissect
from fer_lib.measures.distance import Floats
from fer_lib.measures.likeness import exemplar_likeness
from fer_lib.network import folds, splits, starts
from fer_lib.network.repeatable import arithmetic
from fer_lib.network.stack import Field, receptive_field
from fer_lib.probe import activations
from fer_lib.render.atlas import Atlas, render_atlas
from fer_lib.traditional import Traditional

LAYER = "relu3"
"""Layer whose maps the paper reads, behind its rectifier."""
INTENSITY = 5
"""Intensity E, at which a unit is switched on."""
MOST = 300
"""Most permutations of D, which cost more than those of AUC."""


class Study(Chain):
    """Everything that one set of parameters leads to, computed when asked for; parameters as for `Chain`."""

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

    # ------------------------------------------------------------------- measures

    @property
    def accuracy(self) -> float:
        """Share of the test pictures that the network gets right."""
        return float((self.trained.predictions.argmax(1) == self.labels[self.split.test]).mean())

    @cached_property
    def field(self) -> Field:
        """Receptive field of the units of conv3."""
        return receptive_field(self.network.features, LAYER)

    @cached_property
    def map_shape(self) -> tuple[int, int]:
        """Height and width of the maps of conv3."""
        height, width = self.planes(np.array([0]), LAYER).shape[2:]
        return height, width

    @cached_property
    def likeness(self) -> pd.DataFrame:
        """C1: how alike the exemplars of every conv3 map are; see `fer_lib.measures.likeness.exemplar_likeness`."""
        return exemplar_likeness(
            self._frames,
            self.table["subject"],
            self.split.train,
            self.responses,
            self.exemplars,
            self.untrained.exemplars,
            self.field,
        )

    @cached_property
    def alignment(self) -> pd.DataFrame:
        """C2: whether projections lie on the regions of the matched units; see `fer_lib.measures.alignment.region_alignment`."""
        aus = [au for au in self._with_region() if au in self.winners()]
        projections, side = self.projections_of(LAYER), self.settings.crop
        return region_alignment(
            self._energy(),
            self.untrained._energy(),
            energy_at_random(projections, self.field, self.map_shape, side, side),
            self.regions(aus),
            aus=aus,
            matched=self.matched.loc[aus],
            untrained_matched=self.untrained.matched.loc[aus],
        )

    @cached_property
    def dissection(self) -> pd.DataFrame:
        """C2: whether matched maps fire where the unit moves the face, on the test people; see `fer_lib.measures.dissection.dissect`.

        Rows are the maps that D chose and maps at random, trained and untrained.
        """
        test = self.apexes(self.people.test)
        shown = (self.present.iloc[test] == 1).sum()
        aus = [au for au in self._with_region() if shown[au] >= detectors.LEAST]
        present = self.present[aus].to_numpy()[test]
        rows: list[pd.DataFrame] = []
        for suffix, of in (("", self), (", untrained", self.untrained)):
            table = dissect(
                partial(of._batches, test),
                of.responses.select(test),
                self.field,
                self.regions(aus),
                present,
                of.matched.loc[aus],
            )
            rows.append(table.set_axis([f"chosen by D{suffix}", f"random map{suffix}"]))
        return pd.concat(rows)

    @cached_property
    def matches(self) -> pd.DataFrame:
        """C3: the maps that D and AUC choose for each coded AU, tested on other people; see `fer_lib.measures.detectors.evaluate_matches`.

        ``p_within`` is the p of the best map on all people when units change places within an expression only.
        """
        aus, s = list(self.matchable()), self.settings
        every = self.apexes(np.arange(len(self.table)))
        expression, present = self.table["expression"].to_numpy(), self.present[aus].to_numpy()

        def compute(folder: Path) -> None:
            maximum = self.responses.maximum
            table = detectors.evaluate_matches(
                maximum,
                self.untrained.responses.maximum,
                present,
                self.apexes(self.people.train),
                self.apexes(self.people.test),
                aus=aus,
                matched=self.matched,
                untrained_matched=self.untrained.matched,
                subject=self.table["subject"],
                expression=expression,
                permutations=s.permutations,
                seed=s.seed,
            )
            table["p_within"] = detectors.within_expression(
                maximum[every], present[every], expression[every], permutations=s.permutations, seed=s.seed
            )
            table.to_parquet(folder / "matches.parquet")

        artifact = self.store.fetch(
            "matches",
            compute,
            settings=s.part("strongest", "zero_rule", "permutations", "seed"),
            upstream=[self.training.key],
            sources=["experiment.study"],
        )
        return pd.read_parquet(artifact.path / "matches.parquet")

    def distance_nulls(self, aus: Sequence[int]) -> dict[int, Floats]:
        """Largest D of all maps when units change places among a person's sequences, (B,) for each coded one of some AUs.

        Empty where none of them is coded often enough, or nobody has two sequences that could change places.
        """
        train, s = self.people.train, self.settings
        coded, moves = [au for au in aus if au in self.coded_aus], self.moves[train]
        table = self.table.iloc[train]
        if not coded or table[moves].groupby("subject")["sequence"].nunique().max() < 2:
            return {}
        null = nulls.largest_distances(
            self.responses.maximum[train],
            self.present[coded].to_numpy()[train],
            table["sequence"],
            table["subject"],
            moves,
            n=s.strongest,
            zero=s.zero_rule,  # type: ignore[arg-type]
            permutations=min(s.permutations, MOST),
            seed=s.seed,
        )
        return dict(zip(coded, null.T, strict=True))

    @cached_property
    def choices(self) -> pd.DataFrame:
        """Which maps other choices of the distance match; see `fer_lib.measures.choices.distance_choices`."""
        table = self.table
        return choices.distance_choices(
            self.responses.maximum,
            self.present[list(self.matchable())],
            self.people.train,
            self.people.test,
            subject=table["subject"],
            sequence=table["sequence"],
            apex=table["position"] == table["length"] - 1,
            moves=self.moves,
            n=self.settings.strongest,
            zero=self.settings.zero_rule,  # type: ignore[arg-type]
        )

    @cached_property
    def effects(self) -> pd.DataFrame:
        """How far each unit, switched on alone, raises each conv3 map (index AU); see `fer_lib.measures.interventions.effects`.

        The faces are rendered whatever the network was trained on, and read and cropped as all faces are.
        """
        trained = self.training.key  # first, as without a network nothing needs to be rendered
        control = self.controls

        def compute(folder: Path) -> None:
            faces = with_box(read(control.path / "faces" / "table.parquet"))
            crops, s = preprocess.load_crops(faces), self.settings
            evaluate = preprocess.Evaluate(size=s.resize, crop=s.crop)
            inputs = preprocess.batches(crops, range(len(crops)), 64, lambda picture, _: evaluate(picture))
            shown = au_present(faces.table)
            found = interventions.effects(
                activations.record(self.network.features, inputs, layer=LAYER).maximum,
                faces.table["subject"],
                shown.eq(1).to_numpy() @ shown.columns.to_numpy(int),
            )
            found.rename(columns=str).to_parquet(folder / "effects.parquet")

        artifact = self.store.fetch(
            "effects",
            compute,
            settings={"layer": LAYER, **self.settings.part("resize", "crop")},
            upstream=[trained, control.key],
            sources=["experiment.study"],
        )
        return pd.read_parquet(artifact.path / "effects.parquet").rename(columns=int)

    @cached_property
    def ablation(self) -> ablation.Ablation:
        """C4: what the maps that D matched are worth to the network, on the labelled test pictures; `Lacking` if it matched none."""
        matched, test = np.unique(self.winners()), self.split.test
        with torch.no_grad():
            pooled = torch.cat(
                [self.network.features(self.inputs(p)) for p in np.array_split(test, max(1, len(test) // 64))]
            )
        return ablation.ablate(
            self.network.classifier, pooled, self.labels[test], matched, draws=200, seed=self.settings.seed
        )

    @cached_property
    def protocols(self) -> pd.DataFrame:
        """Four ways to divide the pictures, and what they lead to; see `fer_lib.protocols.by_protocol`.

        ``accuracy`` is that of the traditional route; ``network`` that of the network under the divisions that it was trained under,
        NaN elsewhere.
        """
        s = self.trainable().settings

        def compute(folder: Path) -> None:
            protocols.by_protocol(
                self.table,
                np.flatnonzero(self.labels >= 0),
                self._traditional_accuracy,
                test_fraction=s.test_fraction,
                test_pictures=s.test_pictures,
                seed=s.seed,
            ).to_parquet(folder / "protocols.parquet")

        artifact = self.store.fetch(
            "protocols",
            compute,
            settings=self.learned("strongest", "resize", "crop", *SPLIT),
            upstream=[self.pictures.key],
            sources=["experiment.study"],
        )
        table = pd.read_parquet(artifact.path / "protocols.parquet")
        network = {protocols.LEAK if s.split == "leak" else protocols.BY_SUBJECT: self.accuracy}
        if s.folds:
            tested = self.cross_validation
            network[protocols.IN_FOLDS] = float((tested["label"] == tested["predicted"]).mean())
        return table.assign(network=pd.Series(network))

    @cached_property
    def claims(self) -> tuple[claims.Verdict, ...]:
        """The verdicts on C1 to C4; a claim whose test needs what the faces lack is not decided, and says what they lack."""
        tests: dict[str, Callable[[], claims.Verdict]] = {
            "C1": lambda: claims.look_alike(self.likeness),
            "C2": lambda: claims.on_the_region(self.alignment),
            "C3": lambda: claims.detects(self.matches),
            "C4": lambda: claims.decides(self.ablation),
        }

        def verdict(claim: str) -> claims.Verdict:
            try:
                return tests[claim]()
            except Lacking as reason:
                return claims.undecided(claim, str(reason))

        return tuple(map(verdict, tests))

    def regions(self, aus: Sequence[int]) -> np.ndarray:
        """Where some AUs move the face, in the network's input, (J, crop, crop) bool."""
        s = self.settings
        areas = [self.atlas.region(au, resize=s.resize, crop=s.crop) for au in aus]
        return np.array(areas, dtype=bool).reshape(-1, s.crop, s.crop)

    def _with_region(self) -> list[int]:
        """AUs that are coded often enough and whose region the atlas knows; `Lacking` where there is none."""
        aus = [au for au in self.matchable() if au in self.atlas.aus]
        if not aus:
            named = ", ".join(f"AU {au}" for au in self.coded_aus)
            raise Lacking(
                f"of the action units that are coded often enough ({named}) none can be rendered alone"
            )
        return aus

    def _energy(self) -> Floats:
        """Projected energy of every conv3 map, (C, crop, crop)."""
        side = self.settings.crop
        return self.projections_of(LAYER).energy(len(self.exemplars.dead), side, side)

    def _batches(self, pictures: np.ndarray) -> Iterator[torch.Tensor]:
        """Maps of conv3 on some pictures, a few at a time."""
        for part in np.array_split(pictures, max(1, len(pictures) // 32)):
            yield self.planes(part, LAYER)

    # ----------------------------------------------------- references and controls

    @cached_property
    def controls(self) -> Artifact:
        """The control set: few rendered people, each neutral and with every unit alone at E."""
        people, s = 2 if self.settings.preset == "smoke" else 4, self.settings

        def compute(folder: Path) -> None:
            from fer_lib.render.controls import render_interventions

            render_interventions(
                folder / "faces",
                people=people,
                size=s.size,
                seed=s.faces_seed,
                steps=(INTENSITY,),
                processes=os.cpu_count() or 1,
                progress=self.progress,
            )

        asked = {"people": people, "size": s.size, "seed": s.faces_seed}
        return self.store.fetch("interventions", compute, settings=asked, sources=["render.controls"])

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

    def _traditional_accuracy(self, part: splits.Split) -> float:
        """Accuracy of the traditional route under a division; one of a study's own is that study's, which may be stored."""
        for split in ("subject", "leak"):
            of = type(self)(self.settings.but(split=split), self.store, progress=self.progress)
            try:
                own = of.split
            except FerError:  # these faces cannot be divided so
                continue
            if np.array_equal(own.train, part.train) and np.array_equal(own.test, part.test):
                return of.traditional.accuracy
        return self.traditional_on(part).accuracy

    @cached_property
    def _frames(self) -> np.ndarray:
        return self.inputs(np.arange(len(self.table)))[:, 0].numpy()
