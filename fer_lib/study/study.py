"""One set of parameters and its parts, each of which takes what it needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Self

from fer_lib.artifacts.store import Store, default_root
from fer_lib.config import Settings
from fer_lib.parameters import settings_from_notebook
from fer_lib.study.checks import Checks
from fer_lib.study.claims import Claims, Measures
from fer_lib.study.decision import Decision
from fer_lib.study.detectors import Detectors
from fer_lib.study.distance import Distance
from fer_lib.study.effort import EFFORTS, Effort
from fer_lib.study.faces import Faces
from fer_lib.study.interventions import Interventions
from fer_lib.study.maps import LAYER, Maps
from fer_lib.study.network import Network
from fer_lib.study.references import References
from fer_lib.study.regions import Regions
from fer_lib.study.traditional import TraditionalRoute


class Study:
    """Everything that one set of parameters leads to, computed when asked for.

    A notebook asks a part for what it needs (``study.distance.values``); whatever lies before it is found in the store or made.

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
    >>> study.faces.expressions, study.faces.labels
    (('fear', 'happy'), array([0, 1, 0, 1]))
    >>> study.faces.split
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

    def trainable(self) -> Self:
        """Return the study itself, after a look whether a network can be trained on its faces; `Lacking` if it cannot."""
        _ = self.faces.split
        return self

    @cached_property
    def untrained(self) -> Self:
        """The same study with the network as it was before the first step: the control of every claim."""
        return type(self)(self.settings.replace(epochs=0), self.store, progress=self.progress)

    @property
    def effort(self) -> Effort:
        """How much of the dear tests the preset affords."""
        return EFFORTS[self.settings.preset]

    @cached_property
    def faces(self) -> Faces:
        """The pictures, what is known of each, and which train and test."""
        return Faces(self.settings, self.store, progress=self.progress)

    @cached_property
    def network(self) -> Network:
        """The network: its training, its accuracy."""
        steps = self.effort.first_steps
        return Network(self.settings, self.store, self.faces, first_steps=steps, progress=self.progress)

    @cached_property
    def maps(self) -> Maps:
        """The maps of conv3, which the paper reads: responses, exemplars, projections."""
        return Maps(LAYER, self.store, self.faces, self.network, self.settings.analysis)

    def maps_of(self, layer: str) -> Maps:
        """Return the maps of any layer of the network's ``features``, by its name."""
        return Maps(layer, self.store, self.faces, self.network, self.settings.analysis)

    @cached_property
    def distance(self) -> Distance:
        """The paper's distance D of action units on maps, and the maps that it matches."""
        return Distance(self.faces, self.maps, self.settings.analysis, seed=self.settings.seed)

    @cached_property
    def references(self) -> References:
        """Rendered faces with single action units: atlas, controls, doses."""
        size, seed = self.settings.size, self.settings.faces_seed
        return References(self.store, self.effort, size=size, seed=seed, progress=self.progress)

    @cached_property
    def interventions(self) -> Interventions:
        """What single action units, switched on, do to maps and decision."""
        return Interventions(self.store, self.faces, self.network, self.maps, self.references)

    @cached_property
    def regions(self) -> Regions:
        """C2: whether matched maps look where their action unit moves the face."""
        before = self.untrained.distance
        return Regions(self.faces, self.references, self.distance, before, seed=self.settings.seed)

    @cached_property
    def detectors(self) -> Detectors:
        """C3: whether matched maps detect their action unit."""
        return Detectors(
            self.store,
            self.faces,
            self.references,
            self.distance,
            self.untrained.distance,
            self.interventions,
            self.untrained.interventions,
            self.settings.analysis,
            self.effort,
            seed=self.settings.seed,
        )

    @cached_property
    def decision(self) -> Decision:
        """C4: whether the network classifies with the matched maps."""
        return Decision(self.faces, self.network, self.distance, seed=self.settings.seed)

    @cached_property
    def measures(self) -> Measures:
        """What the claims come down to in this network."""
        s = self.settings
        return Measures(self.store, self.faces, self.maps, self.references, s.analysis, seed=s.seed)

    @cached_property
    def claims(self) -> Claims:
        """The verdicts on C1 to C4, and what they stand on."""
        own, number = self.settings.seed, self.settings.untrained_networks
        seeds = [own, *(seed for seed in range(number) if seed != own)][:number]
        before = {
            seed: type(self)(self.settings.replace(epochs=0, seed=seed), self.store, progress=False).measures
            for seed in seeds
        }
        return Claims(
            self.measures, before, self.regions, self.detectors, self.decision, progress=self.progress
        )

    @cached_property
    def traditional(self) -> TraditionalRoute:
        """The traditional route on the same faces, under several divisions of them."""
        s = self.settings
        return TraditionalRoute(
            self.store, self.faces, self.network, n=s.n_exemplars, folds=s.folds, seed=s.seed
        )

    @cached_property
    def checks(self) -> Checks:
        """Checks of the methods: projections, and p values."""
        return Checks(self.store, self.faces, self.maps, self.effort, seed=self.settings.seed)
