"""What single action units, switched on in rendered faces, do to a network."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from fer_lib.artifacts.store import Store
from fer_lib.measures.dose_response import DoseResponse, dose_response
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
    def doses(self) -> DoseResponse:
        """C3: every map's answer to one unit at several intensities on rendered people; see `fer_lib.measures.dose_response`."""
        training = self.network.training  # first, as above
        found = interventions.dose_responses(
            self.store, self.references.dose_faces, training, self.maps.layer, self.faces.prepare
        )
        shown = pd.read_parquet(found.path / "shown.parquet")
        return dose_response(Responses.load(found.path).maximum, shown["subject"], shown["au"], shown["dose"])
