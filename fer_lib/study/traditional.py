"""The traditional route on the faces of a study, under its division of them and under others."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from fer_lib import protocols
from fer_lib.artifacts.store import Store
from fer_lib.steps import routes
from fer_lib.study.faces import Faces
from fer_lib.study.network import Network
from fer_lib.traditional import Traditional


class TraditionalRoute:
    """One detector an action unit, then a decision.

    Parameters
    ----------
    store : Store
        Where results are kept.
    faces : Faces
        The pictures.
    network : Network
        What it is compared with.
    n : int
        Training pictures that have to show a unit, and not to show it, for it to be detected.
    folds : int
        Folds of people in which the network is trained as well; 0: not trained.
    seed : int
        Of the detectors.
    """

    def __init__(
        self, store: Store, faces: Faces, network: Network, *, n: int, folds: int, seed: int
    ) -> None:
        self.store, self.faces, self.network = store, faces, network
        self.n, self.folds, self.seed = n, folds, seed

    @cached_property
    def result(self) -> Traditional:
        """What it comes to on the network's own training and test pictures."""
        faces = self.faces
        found = routes.traditional(
            self.store, faces.pictures, faces.division, faces.matchable(), faces.prepare, self.seed
        )
        return Traditional.load(found.path)

    @cached_property
    def protocols(self) -> pd.DataFrame:
        """Four ways to divide the pictures, and what they lead to; see `fer_lib.protocols.by_protocol`.

        ``accuracy`` is that of the traditional route; ``network`` that of the network under the divisions that it was trained under,
        NaN elsewhere.
        """
        _ = self.faces.split  # lacking where no network can be trained
        division = self.faces.division
        found = routes.protocols(
            self.store,
            self.faces.pictures,
            division.neutral,
            self.n,
            division.test_fraction,
            division.test_pictures,
            division.split_seed,
            self.faces.prepare,
            self.seed,
        )
        table = pd.read_parquet(found.path / "protocols.parquet")
        names = {"subject": protocols.BY_SUBJECT, "leak": protocols.LEAK}  # "validation" is none of the four
        network = {names[division.split]: self.network.accuracy} if division.split in names else {}
        if self.folds:
            tested = self.network.cross_validation
            network[protocols.IN_FOLDS] = float((tested["label"] == tested["predicted"]).mean())
        return table.assign(network=pd.Series(network, dtype=float))
