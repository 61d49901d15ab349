"""The paper's distance D between action units and maps, and the map that it matches to each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import pandas as pd

from fer_lib.config import Analysis
from fer_lib.errors import Lacking
from fer_lib.faces.table import is_apex
from fer_lib.measures.arrays import Floats
from fer_lib.measures.choices import distance_choices
from fer_lib.measures.distance import Zero, best_maps, distances
from fer_lib.measures.distance_null import largest_distances
from fer_lib.study.faces import Faces
from fer_lib.study.maps import Maps

MOST = 300
"""Most permutations of D, which cost more than those of AUC."""


class Distance:
    """D of every coded action unit on every map, on the pictures of the training people.

    Parameters
    ----------
    faces : Faces
        The pictures, and which units they show.
    maps : Maps
        What they excite.
    analysis : Analysis
        How many pictures D compares, what it does with a zero, and how many permutations its null takes.
    seed : int
        Of the permutations.
    """

    def __init__(self, faces: Faces, maps: Maps, analysis: Analysis, *, seed: int) -> None:
        self.faces, self.maps, self.analysis, self.seed = faces, maps, analysis, seed
        self._zero: Zero = analysis.zero_rule  # type: ignore[assignment]

    @cached_property
    def values(self) -> pd.DataFrame:
        """D of every coded AU (row) on every map (column)."""
        train, aus = self.faces.split_of_all.train, self.faces.matchable()
        found = distances(
            self.maps.responses.maximum[train],
            self.faces.present.iloc[train][list(aus)].to_numpy(),
            n=self.analysis.n_exemplars,
            zero=self._zero,
        )
        return pd.DataFrame(found, index=pd.Index(aus, name="AU"))

    @cached_property
    def matched(self) -> pd.Series:
        """The map that maximises D for every coded AU (index); -1 where no single map does."""
        return pd.Series(best_maps(self.values.to_numpy()), self.values.index, name="map")

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

    def nulls(self, aus: Sequence[int]) -> dict[int, Floats]:
        """Largest D of all maps when units change places among a person's sequences, (B,) for each coded one of some AUs.

        Empty where none of them is coded often enough, or nobody has two sequences that could change places.
        """
        train = self.faces.split_of_all.train
        coded, moves = [au for au in aus if au in self.faces.coded_aus], self.faces.moves[train]
        table = self.faces.table.iloc[train]
        if not coded or table[moves].groupby("subject")["sequence"].nunique().max() < 2:
            return {}
        null = largest_distances(
            self.maps.responses.maximum[train],
            self.faces.present[coded].to_numpy()[train],
            table["sequence"],
            table["subject"],
            moves,
            n=self.analysis.n_exemplars,
            zero=self._zero,
            permutations=min(self.analysis.permutations, MOST),
            seed=self.seed,
        )
        return dict(zip(coded, null.T, strict=True))

    @cached_property
    def choices(self) -> pd.DataFrame:
        """Which maps other choices of the distance match; see `fer_lib.measures.choices.distance_choices`."""
        table, people = self.faces.table, self.faces.split_of_all
        return distance_choices(
            self.maps.responses.maximum,
            self.faces.present[list(self.faces.matchable())],
            people.train,
            people.test,
            subject=table["subject"],
            sequence=table["sequence"],
            apex=is_apex(table),
            moves=self.faces.moves,
            n=self.analysis.n_exemplars,
            zero=self._zero,
        )
