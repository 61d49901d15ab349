"""What single action units, switched on in rendered faces, do to a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from fer_lib.artifacts.store import Store
from fer_lib.measures.coalitions import coalition_tests
from fer_lib.measures.dose_response import DoseResponse, dose_response
from fer_lib.measures.ranks import auc
from fer_lib.probe.responses import Responses
from fer_lib.steps import interventions
from fer_lib.study.faces import Faces
from fer_lib.study.maps import Maps
from fer_lib.study.network import Network
from fer_lib.study.references import References


class Interventions:
    """Action units switched on one at a time, all else held still.

    The faces are rendered whatever the network was trained on, and read and cropped as all faces are.

    Parameters
    ----------
    store : Store
        Where results are kept.
    faces : Faces
        How pictures become inputs, and the names of the expressions.
    network : Network
        What looks at the rendered faces.
    maps : Maps
        Those of its maps that are looked at.
    references : References
        The rendered faces.
    """

    def __init__(
        self, store: Store, faces: Faces, network: Network, maps: Maps, references: References
    ) -> None:
        self.store, self.faces, self.network, self.maps = store, faces, network, maps
        self.references = references

    @cached_property
    def effects(self) -> pd.DataFrame:
        """How far each unit, switched on alone, raises each map (index AU); see `fer_lib.measures.interventions.effects`."""
        training = self.network.training  # first, as without a network nothing needs to be rendered
        found = interventions.effects(
            self.store, self.references.controls, training, self.maps.layer, self.faces.prepare
        )
        return pd.read_parquet(found.path / "effects.parquet").rename(columns=int)

    @cached_property
    def logit_effects(self) -> pd.DataFrame:
        """C4: how far each unit (index AU), switched on alone, raises the logit of each expression (columns), in standard deviations."""
        training = self.network.training  # first, as above
        found = interventions.logit_effects(
            self.store, self.references.controls, training, self.faces.expressions, self.faces.prepare
        )
        return pd.read_parquet(found.path / "logits.parquet")

    @cached_property
    def unit_likeness(self) -> pd.DataFrame:
        """C2: how much each map's projections look like each unit (index AU); see `fer_lib.measures.unit_likeness.unit_likeness`."""
        projections = self.maps.stored_projections()
        found = interventions.unit_likeness(
            self.store, self.references.controls, projections, self.maps.number, self.faces.prepare
        )
        return pd.read_parquet(found.path / "likeness.parquet").rename(columns=int)

    @cached_property
    def _dosed(self) -> tuple[np.ndarray, pd.DataFrame]:
        """Every map's answer to rendered people with one unit at several intensities, and who shows what."""
        training = self.network.training  # first, as above
        found = interventions.dose_responses(
            self.store, self.references.dose_faces, training, self.maps.layer, self.faces.prepare
        )
        return Responses.load(found.path).maximum, pd.read_parquet(found.path / "shown.parquet")

    @cached_property
    def doses(self) -> DoseResponse:
        """C3: every map's answer to one unit at several intensities on rendered people; see `fer_lib.measures.dose_response`."""
        maximum, shown = self._dosed
        return dose_response(maximum, shown["subject"], shown["au"], shown["dose"])

    def coalitions(self, ks: Sequence[int], *, draws: int, seed: int) -> pd.DataFrame:
        """Test the k maps with the largest AUC for each unit together; see `fer_lib.measures.coalitions.coalition_tests`.

        They are chosen on the training people of the faces, and answer to rendered people whom no network has seen.
        """
        people = self.faces.apexes(self.faces.split_of_all.train)
        own, present = self.maps.responses.maximum[people], self.faces.present.iloc[people]
        present = present[list(self.faces.matchable())]
        scores = pd.DataFrame(auc(own, present), index=present.columns)
        maximum, shown = self._dosed
        who, unit, dose = shown["subject"], shown["au"], shown["dose"]
        loud = own.mean(axis=0)
        return coalition_tests(
            maximum, who, unit, dose, scores=scores, loud=loud, ks=ks, draws=draws, seed=seed
        )
