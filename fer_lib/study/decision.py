"""C4: whether the network classifies with the maps that D matched."""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np
import pandas as pd

from fer_lib.errors import Lacking
from fer_lib.measures.ablation import Ablation, ablate
from fer_lib.measures.comparisons import Comparison, against_draws
from fer_lib.measures.patching import remove_keep_patch
from fer_lib.study.distance import Distance
from fer_lib.study.faces import Faces
from fer_lib.study.network import Network


class Decision:
    """The network's decision on the labelled test pictures, with and without the matched maps.

    Parameters
    ----------
    faces : Faces
        The pictures.
    network : Network
        What decides.
    distance : Distance
        Which maps are matched.
    seed : int
        Of the sets of maps that are drawn at random.
    """

    def __init__(self, faces: Faces, network: Network, distance: Distance, *, seed: int) -> None:
        self.faces, self.network, self.distance, self.seed = faces, network, distance, seed

    @cached_property
    def ablation(self) -> Ablation:
        """What the maps that D matched are worth to the network; `Lacking` if it matched none."""
        matched, test = np.unique(self.distance.winners()), self.faces.split.test
        pooled = partial(self.network.pooled, test)
        return ablate(
            self.network.model.classifier,
            pooled,
            self.faces.labels[test],
            matched,
            draws=200,
            seed=self.seed,
        )

    @cached_property
    def maps_swapped(self) -> pd.DataFrame:
        """The matched maps removed, kept alone, and patched; see `fer_lib.measures.patching.remove_keep_patch`.

        On those labelled test pictures whose sequence begins with a neutral picture, which is what is patched; without any on all labelled
        test pictures, and nothing is patched. `Lacking` if no map was matched, or so many that none are left to compare with.
        """
        matched = np.unique(self.distance.winners())
        pictures, neutral = self.faces.after_neutral(self.faces.split.test)
        maps = self.distance.maps.number
        if 2 * len(matched) > maps:
            raise Lacking(f"{len(matched)} of {maps} maps are matched, and too few are left to compare with")
        return remove_keep_patch(
            self.network.model.classifier,
            partial(self.network.pooled, pictures),
            self.faces.labels[pictures],
            matched,
            self.faces.table["subject"].to_numpy()[pictures],
            neutral=partial(self.network.pooled, neutral) if len(neutral) else None,
            draws=99,
            seed=self.seed,
        )

    def other_sets(self) -> Comparison:
        """Compare the accuracy that is lost without the matched maps with that without random sets as loud."""
        found = self.ablation
        lost = found.accuracy - found.without
        return against_draws("random maps as loud", lost, found.accuracy - found.random)
