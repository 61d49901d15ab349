"""The feature maps of one layer of a study's network: what excites them, and what they use of the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from fer_lib.artifacts.store import Artifact, Store
from fer_lib.config import Analysis
from fer_lib.measures.arrays import Floats
from fer_lib.measures.likeness import exemplar_likeness
from fer_lib.network.repeatable import arithmetic
from fer_lib.network.stack import Field, receptive_field
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Exemplars, Responses, exemplars
from fer_lib.steps import probes
from fer_lib.study.faces import Faces
from fer_lib.study.network import Network

LAYER = "relu3"
"""Layer whose maps the paper reads: conv3, behind its rectifier."""


class Maps:
    """The feature maps of a layer, on all pictures of a study.

    Parameters
    ----------
    layer : str
        Name of the layer.
    store : Store
        Where results are kept.
    faces : Faces
        The pictures.
    network : Network
        Whose maps.
    analysis : Analysis
        How many exemplars a map gets, and of whom.
    """

    def __init__(self, layer: str, store: Store, faces: Faces, network: Network, analysis: Analysis) -> None:
        self.layer, self.store, self.faces, self.network, self.analysis = (
            layer,
            store,
            faces,
            network,
            analysis,
        )

    @cached_property
    def stored_responses(self) -> Artifact:
        """The artifact that holds `responses`."""
        faces = self.faces
        return probes.responses(self.store, faces.pictures, self.network.training, self.layer, faces.prepare)

    @cached_property
    def responses(self) -> Responses:
        """Maximum and position of every map on every picture, in the table's order."""
        return Responses.load(self.stored_responses.path)

    @property
    def number(self) -> int:
        """How many maps there are."""
        return self.responses.maximum.shape[1]

    @cached_property
    def exemplars(self) -> Exemplars:
        """The strongest training pictures of every map (section 3.2, steps 1 to 3)."""
        groups = self.faces.table["subject"].to_numpy() if self.analysis.one_per_subject else None
        train = self.faces.split.train
        return exemplars(self.responses, n=self.analysis.n_exemplars, among=train, groups=groups)

    def stored_projections(self, rule: str = "deconvnet") -> Artifact:
        """Return the artifact that holds `projections`."""
        return probes.projections(
            self.store,
            self.faces.pictures,
            self.network.training,
            self.stored_responses,
            self.faces.division,
            self.analysis.n_exemplars,
            self.analysis.one_per_subject,
            self.layer,
            rule,
            self.faces.prepare,
            arithmetic(),
        )

    def projections(self, rule: str = "deconvnet") -> Projections:
        """Every exemplar projected to the pixels, one row a unit, maps first: (maps * n) rows."""
        return Projections.load(self.stored_projections(rule).path)

    def energy(self) -> Floats:
        """Projected energy of every map, (maps, crop, crop)."""
        side = self.faces.prepare.crop
        return self.projections().energy(self.number, side, side)

    @cached_property
    def field(self) -> Field:
        """Receptive field of the layer's units."""
        return receptive_field(self.network.model.features, self.layer)

    @cached_property
    def centres(self) -> np.ndarray:
        """Centres of the exemplars' receptive fields in the network's input, (maps, n, 2) x and y; NaN where there is none."""
        found, field = self.exemplars, self.field
        place = np.stack([found.column, found.row], -1) * field.stride + field.offset + (field.size - 1) / 2
        return np.where((found.picture >= 0)[..., None], place, np.nan)

    def planes(self, pictures: np.ndarray) -> torch.Tensor:
        """All maps on some pictures, (n, maps, height, width)."""
        with torch.no_grad():
            return self.network.model.planes(self.faces.inputs(pictures), self.layer)

    def plane(self, picture: int, map: int) -> np.ndarray:
        """One map on one picture, (height, width)."""
        return self.planes(np.array([picture]))[0, map].numpy()

    def batches(self, pictures: np.ndarray) -> Iterator[torch.Tensor]:
        """Yield `planes` of some pictures, a few at a time."""
        return map(self.planes, np.array_split(pictures, max(1, len(pictures) // 32)))

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Height and width of a map."""
        height, width = self.planes(np.array([0])).shape[2:]
        return height, width

    def likeness(self, untrained: Maps) -> pd.DataFrame:
        """C1: how alike the exemplars of every map are; see `fer_lib.measures.likeness.exemplar_likeness`.

        Parameters
        ----------
        untrained : Maps
            The same maps before training.
        """
        return exemplar_likeness(
            lambda pictures: self.faces.inputs(pictures)[:, 0].numpy(),
            self.faces.table["subject"],
            self.faces.split.train,
            self.responses,
            self.exemplars,
            self.field,
            untrained=untrained.exemplars,
        )
