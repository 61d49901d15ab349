"""C2: whether matched maps look where their action unit moves the face."""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np
import pandas as pd

from fer_lib.errors import Lacking
from fer_lib.measures.alignment import (
    energy_at_random,
    energy_in_regions,
    other_maps,
    region_alignment,
    with_regions,
)
from fer_lib.measures.comparisons import Comparison
from fer_lib.measures.detectors import LEAST
from fer_lib.measures.dissection import dissect_units, summarised
from fer_lib.study.distance import Distance
from fer_lib.study.faces import Faces
from fer_lib.study.references import References


class Regions:
    """Regions of the face that action units move, and what maps use of them.

    Parameters
    ----------
    faces : Faces
        The pictures, and which units they show.
    references : References
        Where each unit moves the face.
    distance, untrained : Distance
        Which map is matched to each unit, in the network and in it before training.
    seed : int
        Of the maps that are drawn at random.
    """

    def __init__(
        self, faces: Faces, references: References, distance: Distance, untrained: Distance, *, seed: int
    ) -> None:
        self.faces, self.references, self.distance, self.untrained = faces, references, distance, untrained
        self.seed = seed

    @cached_property
    def alignment(self) -> pd.DataFrame:
        """Whether projections lie on the regions of the matched units; see `fer_lib.measures.alignment.region_alignment`."""
        aus, side = self._matched_aus(), self.faces.prepare.crop
        maps = self.distance.maps
        return region_alignment(
            maps.energy(),
            self.untrained.maps.energy(),
            energy_at_random(maps.projections(), maps.field, maps.shape, side, side),
            self._areas(aus),
            aus=aus,
            matched=self.distance.matched.loc[aus],
            untrained_matched=self.untrained.matched.loc[aus],
        )

    @cached_property
    def dissection(self) -> pd.DataFrame:
        """Whether matched maps fire where the unit moves the face, on the test people; see `fer_lib.measures.dissection.summarised`.

        Rows are the maps that D chose and maps at random, trained and untrained.
        """
        rows: list[pd.DataFrame] = []
        for suffix, units in (("", self.dissected_units), (", untrained", self._dissect(self.untrained))):
            rows.append(summarised(units).set_axis([f"chosen by D{suffix}", f"random map{suffix}"]))
        return pd.concat(rows)

    @cached_property
    def dissected_units(self) -> pd.DataFrame:
        """The same by action unit, with the best of all maps and a ceiling; see `fer_lib.measures.dissection.dissect_units`."""
        return self._dissect(self.distance)

    def other_maps(self) -> Comparison:
        """Compare the matched maps' energy in their units' regions with that of maps drawn at random for each unit."""
        aus = self._matched_aus()
        inside = energy_in_regions(self.distance.maps.energy(), self._areas(aus))
        return other_maps(inside, self.distance.matched.loc[aus].to_numpy(), seed=self.seed)

    def _dissect(self, distance: Distance) -> pd.DataFrame:
        test = self.faces.apexes(self.faces.split_of_all.test)
        shown = (self.faces.present.iloc[test] == 1).sum()
        aus = [au for au in self._aus() if shown[au] >= LEAST]
        found = dissect_units(
            partial(distance.maps.batches, test),
            distance.maps.responses.select(test),
            distance.maps.field,
            self._areas(aus),
            self.faces.present[aus].to_numpy()[test],
            distance.matched.loc[aus],
        )
        return found.set_axis(pd.Index([aus[place] for place in found.index], name="AU"))

    def _areas(self, aus: list[int]) -> np.ndarray:
        """Where some AUs move the face, in the network's input, (J, crop, crop) bool."""
        prepare = self.faces.prepare
        return self.references.atlas.regions_of(aus, resize=prepare.size, crop=prepare.crop)

    def _aus(self) -> list[int]:
        """AUs that are coded often enough and whose region the atlas knows; `Lacking` where there is none."""
        return with_regions(self.faces.matchable(), self.references.atlas.aus)

    def _matched_aus(self) -> list[int]:
        """Those of them that are matched to a map; `Lacking` where there is none."""
        aus = self._aus()
        matched = [au for au in aus if au in self.distance.winners()]
        if not matched:
            named = ", ".join(f"AU {au}" for au in aus)
            raise Lacking(
                f"of the action units that can be rendered alone ({named}) none is matched to a map"
            )
        return matched
