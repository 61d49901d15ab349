"""One set of parameters and all that follows from it: names, and the step or the function that each stands for.

A notebook asks for what it needs (``study.distances``); whatever lies before it is found in the store or made. Nothing in the
library takes a study: its functions take the arrays that it hands out.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from fer_lib import claims, protocols
from fer_lib.artifacts.store import Artifact, Store, default_root
from fer_lib.config import Settings, Training, make_settings
from fer_lib.errors import FerError, Lacking
from fer_lib.faces import preprocess
from fer_lib.faces import table as frames
from fer_lib.faces.crops import Crops
from fer_lib.faces.digest import MEMORY, digest_of_faces, record_of_faces
from fer_lib.faces.disk import is_system_file
from fer_lib.measures import ablation, choices, detectors, distance, distance_null, matches, patching
from fer_lib.measures.alignment import energy_at_random, energy_in_regions, other_maps, region_alignment
from fer_lib.measures.arrays import Floats
from fer_lib.measures.comparisons import Comparison, against_draws, between_networks
from fer_lib.measures.dissection import dissect_units, summarised
from fer_lib.measures.dose_response import DoseResponse, dose_response
from fer_lib.measures.likeness import exemplar_likeness
from fer_lib.measures.network_measures import MEASURES
from fer_lib.network import model, splits
from fer_lib.network.repeatable import arithmetic, precision_of
from fer_lib.network.stack import Field, receptive_field
from fer_lib.network.training import Trained, load_trained
from fer_lib.parameters import settings_from_notebook
from fer_lib.probe import regions
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Exemplars, Responses, exemplars
from fer_lib.render.atlas import Atlas
from fer_lib.steps import detection, levels, logits, matching, networks, probes, rendered, routes, saliency
from fer_lib.steps import measures as measured
from fer_lib.steps import pictures as selected
from fer_lib.traditional import Traditional

LAYER = "relu3"
"""Layer whose maps the paper reads, behind its rectifier."""
MOST = 300
"""Most permutations of D, which cost more than those of AUC."""


class Study:
    """Everything that one set of parameters leads to, computed when asked for.

    Parameters
    ----------
    settings : Settings
        What to run.
    store : Store, optional
        Where results are kept; by default the project's own store.
    progress : bool
        Whether long steps show a progress bar.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import fer_lib as fer
    >>> import pandas as pd
    >>> from fer_lib.artifacts.store import Store
    >>> from PIL import Image
    >>> folder, names = Path(mkdtemp()), ["1.png", "2.png", "3.png", "4.png"]
    >>> for name in names:
    ...     Image.new("L", (48, 48), 128).save(folder / name)
    >>> shown = {"subject": ["Ann", "Ann", "Bob", "Bob"], "expression": ["fear", "happy"] * 2}
    >>> pd.DataFrame({"path": names} | shown).to_csv(folder / "faces.csv", index=False)
    >>> settings = fer.make_settings("smoke", faces=str(folder / "faces.csv"))
    >>> study = fer.Study(settings, Store(folder / "results"), progress=False)
    >>> study.expressions, study.labels
    (('fear', 'happy'), array([0, 1, 0, 1]))
    >>> study.split
    Split(train=array([2, 3]), test=array([0, 1]))
    """

    def __init__(self, settings: Settings, store: Store | None = None, *, progress: bool = True) -> None:
        self.settings = settings
        self.store = store if store is not None else Store(default_root())
        self.progress = progress

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, Any], own: Collection[str] = ()) -> Self:
        """Make the study of a notebook's parameters cell; see `fer_lib.parameters.settings_from_notebook`."""
        return cls(settings_from_notebook(namespace, own))

    # faces ----------------------------------------------------------------------------------------------------------------

    @cached_property
    def rendered(self) -> Artifact | None:
        """The rendered CK+ folder, or None where the user brought faces."""
        if self.settings.faces:
            return None
        return rendered.faces(self.store, self.settings.rendering, progress=self.progress)

    @cached_property
    def faces_root(self) -> Path:
        """Folder, in CK+'s layout, or table that the pictures come from."""
        return self.rendered.path / rendered.FACES if self.rendered else Path(self.settings.faces)

    @cached_property
    def digest(self) -> str:
        """What is read of the user's faces, in 64 hexadecimal digits; empty for rendered ones."""
        return digest_of_faces(self.faces_root, self.store.root / MEMORY) if self.settings.faces else ""

    @cached_property
    def faces_record(self) -> dict[str, Any]:
        """What the faces are, to be noted beside results that are kept: how they were rendered, or the user's digest."""
        return record_of_faces(self.settings, self.store.root / MEMORY)

    @cached_property
    def pictures(self) -> Artifact:
        """The selected frames: table, landmarks and native-size crops."""
        return selected.pictures(
            self.store,
            self.rendered or self.digest,
            self.settings.selection,
            root=self.faces_root,
            progress=self.progress,
        )

    @cached_property
    def faces(self) -> frames.Faces:
        """The selected frames as the one tidy table, with landmarks."""
        return frames.load(self.pictures.path, self.faces_root)

    def problems_note(self) -> str:
        """Say in a line how many problems the files of the faces have and where they are listed; an empty string if none has."""
        if not self.settings.faces:
            return ""  # what this package renders has none, and need not be rendered to know it
        number = sum(not is_system_file(path) for path in self.faces.problems["path"])
        what = "problem" if number == 1 else "problems"
        listed = f"fer audit {shlex.quote(str(self.faces_root))} lists them"
        return f"{number} {what} with the faces; {listed}" if number else ""

    @property
    def table(self) -> pd.DataFrame:
        """One row for each selected frame."""
        return self.faces.table

    @cached_property
    def crops(self) -> Crops:
        """Face crops at their native size, in the table's order."""
        return Crops.load(self.pictures.path)

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
        boxes = self.table[list(frames.BOX)].to_numpy(float)
        s = self.settings
        return regions.to_input(self.faces.landmarks, boxes, resize=s.resize, crop=s.crop)

    @cached_property
    def moves(self) -> np.ndarray:
        """Whether each picture carries its sequence's action units, (N,): all but the neutral first of several."""
        return ((self.table["position"] > 0) | (self.table["length"] == 1)).to_numpy()

    def apexes(self, pictures: np.ndarray) -> np.ndarray:
        """Those of some pictures that are the last of their sequence: one item a sequence, for every test."""
        table = self.table.iloc[pictures]
        return pictures[(table["position"] == table["length"] - 1).to_numpy()]

    # network --------------------------------------------------------------------------------------------------------------

    @cached_property
    def expressions(self) -> tuple[str, ...]:
        """Names of the classes that the faces show, in the order of the network's outputs."""
        return frames.expressions_of(self.table, neutral=self.settings.neutral)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class of each picture, (N,) int64; -1 where it has no expression label."""
        return frames.labels_of(self.table, self.expressions)

    @cached_property
    def split(self) -> splits.Split:
        """Training and test pictures, among the labelled ones; `Lacking` where two expressions or two people are not there."""
        return splits.divide(self.table, self.labels, self.settings.division)

    @cached_property
    def split_of_all(self) -> splits.Split:
        """All pictures, with an expression label or without, of the training and of the held-out people."""
        return splits.with_unlabelled(self.table, self.labels, self.settings.division)

    def trainable(self) -> Self:
        """Return the study itself, after a look whether a network can be trained on its faces; `Lacking` if it cannot."""
        _ = self.split
        return self

    def _check_numbers(self) -> None:
        """Refuse what these faces are too few for; of rendered ones the settings know their number."""
        people = self.table["subject"][self.labels >= 0].nunique()
        for name, most, what in (
            ("n_exemplars", len(self.table), "pictures"),
            ("folds", people, "labelled people"),
        ):
            value = getattr(self.settings, name)
            if value > most:
                raise FerError(
                    f"parameter {name}={value}: {self.faces_root} has {most} {what}; give at most {most}"
                )

    @property
    def device(self) -> str:
        """Torch's name of the device that trains."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def _training_config(self) -> Training:
        """How to train, with the precision that ``auto`` means on this device: it shapes the result."""
        config = self.settings.training
        return config.replace(precision=precision_of(config.precision, self.device))

    @cached_property
    def training(self) -> Artifact:
        """The finished training run."""
        self._check_numbers()
        s = self.settings
        return networks.training(
            self.store,
            self.pictures,
            s.division,
            self._training_config,
            s.seed,
            arithmetic(self.device) if s.epochs else {},  # a network that takes no step is rounded nowhere
            device=self.device,
            progress=self.progress,
        )

    @cached_property
    def trained(self) -> Trained:
        """Network, curve and test predictions."""
        return load_trained(self.training.path)

    @cached_property
    def network(self) -> model.ExpressionNet:
        """The trained network, in evaluation mode."""
        return self.trained.model.eval()

    @cached_property
    def untrained(self) -> Self:
        """The same study with the network as it was before the first step: the control of every claim."""
        return type(self)(self.settings.replace(epochs=0), self.store, progress=self.progress)

    @cached_property
    def cross_validation(self) -> pd.DataFrame:
        """Predictions of one network per fold of people (`Settings.folds` of them), each picture tested once."""
        s = self.settings
        found = networks.folds(
            self.store,
            self.pictures,
            s.folds,
            s.neutral,
            s.split_seed,
            self._training_config,
            s.seed,
            arithmetic(self.device),
            device=self.device,
            progress=self.progress,
        )
        return pd.read_parquet(found.path / "folds.parquet")

    @cached_property
    def first_steps(self) -> pd.DataFrame:
        """The first steps at the paper's rate from every initialisation: see `fer_lib.network.starts.initialisation_study`."""
        s, number = self.settings, 2 if self.settings.preset == "smoke" else 4
        found = networks.first_steps(
            self.store,
            self.pictures,
            s.division,
            s.training.replace(precision="float32", learning_rate=make_settings("paper").learning_rate),
            number,
            s.seed,
            arithmetic(),
        )
        return pd.read_parquet(found.path / "steps.parquet")

    # responses ------------------------------------------------------------------------------------------------------------

    def inputs(self, pictures: np.ndarray) -> torch.Tensor:
        """Pictures as the network sees them when it is tested, (n, 1, crop, crop) float32."""
        return preprocess.inputs_of(self.crops, pictures, size=self.settings.resize, crop=self.settings.crop)

    def _responses(self, layer: str) -> Artifact:
        s = self.settings
        return probes.responses(self.store, self.pictures, self.training, layer, s.resize, s.crop)

    @cached_property
    def responses(self) -> Responses:
        """Maximum and position of every conv3 map on every picture."""
        return self.responses_of(LAYER)

    def responses_of(self, layer: str) -> Responses:
        """Maximum and position of every map of a layer on every picture, in the table's order."""
        return Responses.load(self._responses(layer).path)

    @cached_property
    def exemplars(self) -> Exemplars:
        """The strongest training pictures of every conv3 map (section 3.2, steps 1 to 3)."""
        return self.exemplars_of(LAYER)

    def exemplars_of(self, layer: str) -> Exemplars:
        """Strongest training pictures of every map of a layer."""
        groups = self.table["subject"].to_numpy() if self.settings.one_per_subject else None
        return exemplars(
            self.responses_of(layer), n=self.settings.n_exemplars, among=self.split.train, groups=groups
        )

    def _projections(self, layer: str, rule: str) -> Artifact:
        s = self.settings
        return probes.projections(
            self.store,
            self.pictures,
            self.training,
            self._responses(layer),
            s.division,
            s.n_exemplars,
            s.one_per_subject,
            layer,
            rule,
            s.resize,
            s.crop,
            arithmetic(),
        )

    def projections_of(self, layer: str, rule: str = "deconvnet") -> Projections:
        """Every exemplar of a layer projected to the pixels, one row a unit, maps first: (maps * n) rows."""
        return Projections.load(self._projections(layer, rule).path)

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

    def centres(self, layer: str = LAYER) -> np.ndarray:
        """Centres of the exemplars' receptive fields in the network's input, (C, n, 2) x and y; NaN where there is none."""
        found = self.exemplars_of(layer)
        field = receptive_field(self.network.features, layer)
        place = np.stack([found.column, found.row], -1) * field.stride + field.offset + (field.size - 1) / 2
        return np.where((found.picture >= 0)[..., None], place, np.nan)

    # units and maps -------------------------------------------------------------------------------------------------------

    @cached_property
    def coded_aus(self) -> tuple[int, ...]:
        """AUs that at least n training pictures show and at least n do not, so that D compares n with n."""
        return frames.coded_often(self.present, self.split_of_all.train, self.settings.n_exemplars)

    def matchable(self) -> tuple[int, ...]:
        """Return `coded_aus`, of which there has to be at least one: `Lacking` if there is none."""
        return frames.matchable(self.present, self.split_of_all.train, self.settings.n_exemplars)

    @cached_property
    def distances(self) -> pd.DataFrame:
        """The paper's D of every coded AU (row) on every conv3 map (column), on the pictures of training people."""
        train, aus = self.split_of_all.train, self.matchable()
        values = distance.distances(
            self.responses.maximum[train],
            self.present.iloc[train][list(aus)].to_numpy(),
            n=self.settings.n_exemplars,
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

    # measures -------------------------------------------------------------------------------------------------------------

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
            lambda pictures: self.inputs(pictures)[:, 0].numpy(),
            self.table["subject"],
            self.split.train,
            self.responses,
            self.exemplars,
            self.field,
            untrained=self.untrained.exemplars,
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
        """C2: whether matched maps fire where the unit moves the face, on the test people; see `fer_lib.measures.dissection.summarised`.

        Rows are the maps that D chose and maps at random, trained and untrained.
        """
        rows: list[pd.DataFrame] = []
        for suffix, of in (("", self), (", untrained", self.untrained)):
            table = summarised(of.dissected_units)
            rows.append(table.set_axis([f"chosen by D{suffix}", f"random map{suffix}"]))
        return pd.concat(rows)

    @cached_property
    def dissected_units(self) -> pd.DataFrame:
        """The same by action unit, with the best of all maps and a ceiling; see `fer_lib.measures.dissection.dissect_units`."""
        test = self.apexes(self.split_of_all.test)
        shown = (self.present.iloc[test] == 1).sum()
        aus = [au for au in self._with_region() if shown[au] >= detectors.LEAST]
        found = dissect_units(
            partial(self._batches, test),
            self.responses.select(test),
            self.field,
            self.regions(aus),
            self.present[aus].to_numpy()[test],
            self.matched.loc[aus],
        )
        return found.set_axis(pd.Index([aus[place] for place in found.index], name="AU"))

    @cached_property
    def matches(self) -> pd.DataFrame:
        """C3: the maps that D and AUC choose for each coded AU, tested on other people; see `fer_lib.measures.matches.evaluate_matches`.

        ``p_within`` is the p of the best map on all people when units change places within an expression only.
        """
        s, before = self.settings, self.untrained
        found = matching.matches(
            self.store,
            self.pictures,
            self._responses(LAYER),
            before._responses(LAYER),
            self.matched.to_dict(),
            before.matched.to_dict(),
            s.division,
            s.permutations,
            s.seed,
        )
        return pd.read_parquet(found.path / "matches.parquet")

    def distance_nulls(self, aus: Sequence[int]) -> dict[int, Floats]:
        """Largest D of all maps when units change places among a person's sequences, (B,) for each coded one of some AUs.

        Empty where none of them is coded often enough, or nobody has two sequences that could change places.
        """
        train, s = self.split_of_all.train, self.settings
        coded, moves = [au for au in aus if au in self.coded_aus], self.moves[train]
        table = self.table.iloc[train]
        if not coded or table[moves].groupby("subject")["sequence"].nunique().max() < 2:
            return {}
        null = distance_null.largest_distances(
            self.responses.maximum[train],
            self.present[coded].to_numpy()[train],
            table["sequence"],
            table["subject"],
            moves,
            n=s.n_exemplars,
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
            self.split_of_all.train,
            self.split_of_all.test,
            subject=table["subject"],
            sequence=table["sequence"],
            apex=table["position"] == table["length"] - 1,
            moves=self.moves,
            n=self.settings.n_exemplars,
            zero=self.settings.zero_rule,  # type: ignore[arg-type]
        )

    @cached_property
    def effects(self) -> pd.DataFrame:
        """How far each unit, switched on alone, raises each conv3 map (index AU); see `fer_lib.measures.interventions.effects`.

        The faces are rendered whatever the network was trained on, and read and cropped as all faces are.
        """
        trained = self.training  # first, as without a network nothing needs to be rendered
        s = self.settings
        found = matching.effects(self.store, self.controls, trained, LAYER, s.resize, s.crop)
        return pd.read_parquet(found.path / "effects.parquet").rename(columns=int)

    @property
    def effort(self) -> detection.Effort:
        """How many people, draws and units the tests of detectors take."""
        return detection.EFFORTS[self.settings.preset]

    @cached_property
    def followed(self) -> tuple[int, ...]:
        """Those of `coded_aus` that the dear tests of C3 look at: the ones of `effort`, or all where these faces have none of them."""
        coded = self.matchable()
        return tuple(au for au in coded if au in self.effort.aus) or coded

    @cached_property
    def label_checks(self) -> pd.DataFrame:
        """C3: which measures notice spoilt labels, on the apexes of all people; see `fer_lib.measures.label_checks.label_checks`.

        ``responses`` says of which maps: "maps" of the network, or "ideal maps", each of which answers to one unit and nothing else.
        """
        found = detection.label_checks(
            self.store,
            self.pictures,
            self._responses(LAYER),
            self.matchable(),
            self.effort.draws,
            self.settings.seed,
        )
        return pd.read_parquet(found.path / "checks.parquet")

    @cached_property
    def one_or_many(self) -> pd.DataFrame:
        """C3: one map or k together, for the `followed` AUs; see `fer_lib.measures.sparse_probe.one_or_many`.

        ``network`` is "trained" or "untrained".
        """
        networks = {"trained": self, "untrained": self.untrained}
        return pd.concat([of._probes().assign(network=name) for name, of in networks.items()])

    def _probes(self) -> pd.DataFrame:
        maps = self.responses.maximum.shape[1]
        ks = [k for k in self.effort.ks if k <= maps]
        found = detection.one_or_many(
            self.store, self.pictures, self._responses(LAYER), self.followed, ks, self.settings.seed
        )
        return pd.read_parquet(found.path / "probes.parquet")

    @cached_property
    def bootstrap_maps(self) -> pd.DataFrame:
        """C3: which maps D and AUC (``chosen_by``) choose on other draws of people; see `fer_lib.measures.bootstrap_maps.BootstrapMaps`."""
        s = self.settings
        found = detection.bootstrap_maps(
            self.store,
            self.pictures,
            self._responses(LAYER),
            self.matchable(),
            s.division,
            s.n_exemplars,
            s.zero_rule,
            self.effort.draws,
            s.seed,
        )
        return pd.read_parquet(found.path / "maps.parquet")

    @cached_property
    def doses(self) -> DoseResponse:
        """C3: every map's answer to one unit at several intensities on rendered people; see `fer_lib.measures.dose_response`."""
        trained = self.training  # first, as without a network nothing needs to be rendered
        s = self.settings
        found = detection.dose_responses(self.store, self.dose_faces, trained, LAYER, s.resize, s.crop)
        shown = pd.read_parquet(found.path / "shown.parquet")
        return dose_response(Responses.load(found.path).maximum, shown["subject"], shown["au"], shown["dose"])

    @cached_property
    def built_in(self) -> pd.DataFrame:
        """C3: which measures find a detector that was built into the network by hand; see `fer_lib.measures.built_in.found_by`.

        A row for each of the `followed` AUs that can be rendered, each measure, and ``where`` it was looked for; see
        `fer_lib.steps.detection.built_in`.
        """
        s, aus = self.settings, [au for au in self.followed if au in self.doses.aus]
        if not aus:
            raise Lacking("no action unit that is coded often enough was rendered at several intensities")
        found = detection.built_in(
            self.store,
            self.pictures,
            self.training,
            self.dose_faces,
            self.controls,
            aus,
            s.division,
            LAYER,
            s.resize,
            s.crop,
            self.effort.draws,
            s.seed,
        )
        return pd.read_parquet(found.path / "found.parquet")

    @cached_property
    def ablation(self) -> ablation.Ablation:
        """C4: what the maps that D matched are worth to the network, on the labelled test pictures; `Lacking` if it matched none."""
        matched, test = np.unique(self.winners()), self.split.test
        pooled = partial(self._pooled, test)
        return ablation.ablate(
            self.network.classifier, pooled, self.labels[test], matched, draws=200, seed=self.settings.seed
        )

    @cached_property
    def maps_swapped(self) -> pd.DataFrame:
        """C4: the matched maps removed, kept alone, and patched; see `fer_lib.measures.patching.remove_keep_patch`.

        On those labelled test pictures whose sequence begins with a neutral picture, which is what is patched; without any on all labelled
        test pictures, and nothing is patched. `Lacking` if no map was matched, or so many that none are left to compare with.
        """
        matched, (pictures, neutral) = np.unique(self.winners()), self._with_neutral(self.split.test)
        maps = len(self.exemplars.dead)
        if 2 * len(matched) > maps:
            raise Lacking(f"{len(matched)} of {maps} maps are matched, and too few are left to compare with")
        return patching.remove_keep_patch(
            self.network.classifier,
            partial(self._pooled, pictures),
            self.labels[pictures],
            matched,
            self.table["subject"].to_numpy()[pictures],
            neutral=partial(self._pooled, neutral) if len(neutral) else None,
            draws=99,
            seed=self.settings.seed,
        )

    def _with_neutral(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of some pictures that follow a neutral one in their sequence, and these; all of them and none where there is none."""
        table = self.table
        sequence = pd.MultiIndex.from_frame(table[["subject", "sequence"]])
        begins = ((table["position"] == 0) & (table["length"] > 1)).to_numpy()
        first = pd.Series(np.flatnonzero(begins), sequence[begins])
        found = first.reindex(sequence[pictures], fill_value=-1).to_numpy()
        there = (found >= 0) & (found != pictures)
        return (pictures[there], found[there]) if there.any() else (pictures, found[:0])

    def _pooled(self, pictures: np.ndarray) -> Iterator[torch.Tensor]:
        """What the classifier is given of some pictures, a few at a time."""
        for part in np.array_split(pictures, max(1, len(pictures) // 64)):
            with torch.no_grad():
                yield self.network.features(self.inputs(part))

    @cached_property
    def logit_effects(self) -> pd.DataFrame:
        """C4: how far each unit (index AU), switched on alone, raises the logit of each expression (columns), in standard deviations."""
        trained = self.training  # first, as without a network nothing needs to be rendered
        s = self.settings
        found = logits.logit_effects(self.store, self.controls, trained, self.expressions, s.resize, s.crop)
        return pd.read_parquet(found.path / "logits.parquet")

    @cached_property
    def protocols(self) -> pd.DataFrame:
        """Four ways to divide the pictures, and what they lead to; see `fer_lib.protocols.by_protocol`.

        ``accuracy`` is that of the traditional route; ``network`` that of the network under the divisions that it was trained under,
        NaN elsewhere.
        """
        s = self.trainable().settings
        found = routes.protocols(
            self.store,
            self.pictures,
            s.neutral,
            s.n_exemplars,
            s.test_fraction,
            s.test_pictures,
            s.split_seed,
            s.resize,
            s.crop,
            s.seed,
        )
        table = pd.read_parquet(found.path / "protocols.parquet")
        divisions = {
            "subject": protocols.BY_SUBJECT,
            "leak": protocols.LEAK,
        }  # what tests validation people is none of the four
        network = {divisions[s.split]: self.accuracy} if s.split in divisions else {}
        if s.folds:
            tested = self.cross_validation
            network[protocols.IN_FOLDS] = float((tested["label"] == tested["predicted"]).mean())
        return table.assign(network=pd.Series(network, dtype=float))

    @cached_property
    def _measured(self) -> Artifact:
        s = self.settings
        return measured.network_measures(
            self.store,
            self.pictures,
            self.training,
            self._responses(LAYER),
            self._projections(LAYER, "deconvnet"),
            self._atlas,
            s.division,
            s.n_exemplars,
            s.one_per_subject,
            s.zero_rule,
            LAYER,
            s.resize,
            s.crop,
            s.seed,
        )

    @cached_property
    def measures(self) -> pd.DataFrame:
        """What each claim comes down to in this network: index `fer_lib.measures.network_measures.MEASURES`, columns ``value`` and
        ``lacking`` (why there is none; else empty).
        """  # noqa: D205
        found = json.loads((self._measured.path / "measures.json").read_text("utf-8"))
        rows = [(found["values"].get(name, np.nan), found["lacking"].get(name, "")) for name in MEASURES]
        return pd.DataFrame(rows, index=pd.Index(MEASURES, name="measure"), columns=["value", "lacking"])

    @cached_property
    def untrained_measures(self) -> pd.DataFrame:
        """The same of networks before their first step: a row for each seed (index), this study's own start first."""
        own, number = self.settings.seed, self.settings.untrained_networks
        seeds = [own, *(seed for seed in range(number) if seed != own)][:number]
        rows = {}
        for seed in tqdm(seeds, "untrained networks", disable=None if self.progress else True, leave=False):
            settings = self.settings.replace(epochs=0, seed=seed)
            rows[seed] = type(self)(settings, self.store, progress=False).measures["value"]
        return pd.DataFrame(rows).T.rename_axis("seed")

    @cached_property
    def claims(self) -> tuple[claims.Verdict, ...]:
        """The verdicts on C1 to C4; a claim whose test needs what the faces lack is not decided, and says what they lack."""
        value, lacking = (self.measures[name].to_dict() for name in ("value", "lacking"))
        before = self.untrained_measures
        controls: dict[str, Callable[[], list[Comparison]]] = {
            "C1": lambda: [
                between_networks(
                    "untrained networks, projections", value["projections"], before["projections"]
                )
            ],
            "C2": lambda: [self._other_maps()],
            "C3": self._detection_controls,
            "C4": lambda: [self._other_sets()],
        }

        def verdict(name: str) -> claims.Verdict:
            column = claims.CLAIMS[name].column
            if lacking[column]:
                return claims.judge(name, [], [], reason=lacking[column])
            return claims.judge(name, value[column], before[column], controls[name]())

        return tuple(map(verdict, claims.CLAIMS))

    def _other_maps(self) -> Comparison:
        """C2: the matched maps' energy in their units' regions against that of maps drawn at random for each unit."""
        aus = [au for au in self._with_region() if au in self.winners()]
        inside = energy_in_regions(self._energy(), self.regions(aus))
        return other_maps(inside, self.matched.loc[aus].to_numpy(), seed=self.settings.seed)

    def _detection_controls(self) -> list[Comparison]:
        """C3: the matched maps on the test people against chance and against what the expression alone says."""
        people, aus = self.split_of_all, list(self.matchable())
        return matches.detection_controls(
            self.responses.maximum,
            self.present[aus],
            self.apexes(people.train),
            self.apexes(people.test),
            matched=self.matched.to_numpy(),
            subject=self.table["subject"],
            expression=self.table["expression"],
            seed=self.settings.seed,
        )

    def _other_sets(self) -> Comparison:
        """C4: the accuracy that is lost without the matched maps against that without random sets as loud."""
        found = self.ablation
        return against_draws(
            "random maps as loud", found.accuracy - found.without, found.accuracy - found.random
        )

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

    # checks of the methods ------------------------------------------------------------------------------------------------

    @cached_property
    def saliency(self) -> pd.DataFrame:
        """Whether projections are about the network, for each rule; see `fer_lib.measures.saliency.saliency_checks`."""
        s = self.settings
        found = saliency.saliency(
            self.store,
            self.pictures,
            self.training,
            self._responses(LAYER),
            s.division,
            LAYER,
            32 if s.preset == "smoke" else 256,
            s.resize,
            s.crop,
            s.seed,
        )
        return pd.read_parquet(found.path / "saliency.parquet")

    @cached_property
    def rejection_rates(self) -> pd.DataFrame:
        """How often each p value of the book rejects where there is nothing to find; see `fer_lib.levels.rejection_rates`."""
        s = self.settings
        found = levels.rejection_rates(self.store, 20 if s.preset == "smoke" else 300, s.seed)
        return pd.read_parquet(found.path / "levels.parquet")

    # references and controls ----------------------------------------------------------------------------------------------

    @cached_property
    def controls(self) -> Artifact:
        """The control set: few rendered people, each neutral and with every unit alone at E."""
        people, s = 2 if self.settings.preset == "smoke" else 4, self.settings
        return rendered.control_faces(self.store, people, s.size, s.faces_seed, progress=self.progress)

    @cached_property
    def dose_faces(self) -> Artifact:
        """Rendered people whom no network has seen, each neutral and with one unit at a time at several intensities."""
        effort, s = self.effort, self.settings
        return detection.dose_faces(
            self.store, effort.people, effort.aus, effort.doses, s.size, s.faces_seed, progress=self.progress
        )

    @cached_property
    def _atlas(self) -> Artifact:
        levels = (0.0, 5.0) if self.settings.preset == "smoke" else (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
        return rendered.atlas(self.store, levels, progress=self.progress)

    @cached_property
    def atlas(self) -> Atlas:
        """One rendered person with one action unit at a time, whatever the faces are."""
        return Atlas.load(self._atlas.path)

    @cached_property
    def traditional(self) -> Traditional:
        """The traditional route on the same people: one detector an AU, then a decision."""
        s = self.settings
        found = routes.traditional(
            self.store, self.pictures, s.division, self.matchable(), s.resize, s.crop, s.seed
        )
        return Traditional.load(found.path)

    def traditional_on(self, split: splits.Split) -> Traditional:
        """The traditional route trained and tested on other pictures."""
        s = self.settings
        return routes.fit_on(self.pictures, split, self.labels, self.matchable(), s.resize, s.crop, s.seed)
