"""Checks of the methods: whether projections depend on the network, and whether p values keep their level."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from fer_lib.artifacts.store import Store
from fer_lib.steps import levels, saliency
from fer_lib.study.effort import Effort
from fer_lib.study.faces import Faces
from fer_lib.study.maps import Maps


class Checks:
    """Tests of what the other parts rely on.

    Parameters
    ----------
    store : Store
        Where results are kept.
    faces : Faces
        The pictures.
    maps : Maps
        Whose projections are checked.
    effort : Effort
        How many maps and simulations.
    seed : int
        Of weights that are drawn anew, and of simulations.
    """

    def __init__(self, store: Store, faces: Faces, maps: Maps, effort: Effort, *, seed: int) -> None:
        self.store, self.faces, self.maps, self.effort, self.seed = store, faces, maps, effort, seed

    @cached_property
    def saliency(self) -> pd.DataFrame:
        """Whether projections are about the network, for each rule; see `fer_lib.measures.saliency.saliency_checks`."""
        maps = self.maps
        found = saliency.saliency(
            self.store,
            self.faces.pictures,
            maps.network.training,
            maps.stored_responses,
            self.faces.division,
            maps.layer,
            self.effort.saliency_maps,
            self.faces.prepare,
            self.seed,
        )
        return pd.read_parquet(found.path / "saliency.parquet")

    @cached_property
    def rejection_rates(self) -> pd.DataFrame:
        """How often each p value of the book rejects where there is nothing to find; see `fer_lib.levels.rejection_rates`."""
        found = levels.rejection_rates(self.store, self.effort.simulations, self.seed)
        return pd.read_parquet(found.path / "levels.parquet")
