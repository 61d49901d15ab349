"""C3: whether matched maps detect their action unit, on people that they were not chosen on."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from fer_lib.artifacts.store import Store
from fer_lib.config import Analysis
from fer_lib.errors import Lacking
from fer_lib.measures.comparisons import Comparison
from fer_lib.measures.matches import detection_controls
from fer_lib.steps import baselines, built_in, detection, matching
from fer_lib.study.distance import Distance
from fer_lib.study.effort import Effort
from fer_lib.study.faces import Faces
from fer_lib.study.interventions import Interventions
from fer_lib.study.maps import Maps
from fer_lib.study.references import References


class Detectors:
    """Maps as detectors of action units, and tests of the measures that choose them.

    Parameters
    ----------
    store : Store
        Where results are kept.
    faces : Faces
        The pictures, and which units they show.
    references : References
        Rendered faces with single units.
    distance, untrained : Distance
        Which map is matched to each unit, in the network and in it before training.
    interventions, untrained_interventions : Interventions
        What units at several intensities do to either network.
    analysis : Analysis
        How many pictures D compares, and permutations.
    effort : Effort
        How many draws, units and maps the tests take.
    seed : int
        Of permutations and draws.
    """

    def __init__(
        self,
        store: Store,
        faces: Faces,
        references: References,
        distance: Distance,
        untrained: Distance,
        interventions: Interventions,
        untrained_interventions: Interventions,
        analysis: Analysis,
        effort: Effort,
        *,
        seed: int,
    ) -> None:
        self.store, self.faces, self.references = store, faces, references
        self.distance, self.untrained = distance, untrained
        self.interventions, self.untrained_interventions = interventions, untrained_interventions
        self.analysis, self.effort, self.seed = analysis, effort, seed

    @cached_property
    def matches(self) -> pd.DataFrame:
        """The maps that D and AUC choose for each coded AU, tested on other people; see `fer_lib.measures.matches.evaluate_matches`.

        ``p_within`` is the p of the best map on all people when units change places within an expression only.
        """
        own, before = self.distance, self.untrained
        found = matching.matches(
            self.store,
            self.faces.pictures,
            own.maps.stored_responses,
            before.maps.stored_responses,
            own.matched.to_dict(),
            before.matched.to_dict(),
            self.faces.division,
            self.analysis.permutations,
            self.seed,
        )
        return pd.read_parquet(found.path / "matches.parquet")

    @cached_property
    def elsewhere(self) -> pd.DataFrame:
        """What D and AUC choose among other features than the maps; see `fer_lib.measures.baselines.choose_elsewhere`."""
        maps = self.distance.maps
        found = baselines.baselines_of_detectors(
            self.store,
            self.faces.pictures,
            maps.network.training,
            maps.stored_responses,
            self.untrained.maps.stored_responses,
            self.faces.matchable(),
            self.faces.division,
            self.analysis.n_exemplars,
            self.analysis.zero_rule,
            maps.layer,
            self.faces.prepare,
            self.seed,
        )
        return pd.read_parquet(found.path / "baselines.parquet")

    @cached_property
    def followed(self) -> tuple[int, ...]:
        """Those of the coded AUs that the dear tests look at: the ones of `Effort`, or all where these faces have none of them."""
        coded = self.faces.matchable()
        return tuple(au for au in coded if au in self.effort.aus) or coded

    @cached_property
    def label_checks(self) -> pd.DataFrame:
        """Which measures notice spoilt labels, on the apexes of all people; see `fer_lib.measures.label_checks.label_checks`.

        ``responses`` says of which maps: "maps" of the network, or "ideal maps", each of which answers to one unit and nothing else.
        """
        found = detection.label_checks(
            self.store,
            self.faces.pictures,
            self.distance.maps.stored_responses,
            self.faces.matchable(),
            self.effort.draws,
            self.seed,
        )
        return pd.read_parquet(found.path / "checks.parquet")

    @cached_property
    def one_or_many(self) -> pd.DataFrame:
        """One map or k together, for the `followed` AUs; see `fer_lib.measures.sparse_probe.one_or_many`.

        ``network`` is "trained" or "untrained".
        """
        networks = {"trained": self.distance.maps, "untrained": self.untrained.maps}
        return pd.concat([self._probes(maps).assign(network=name) for name, maps in networks.items()])

    def _probes(self, maps: Maps) -> pd.DataFrame:
        ks = [k for k in self.effort.ks if k <= maps.number]
        found = detection.one_or_many(
            self.store, self.faces.pictures, maps.stored_responses, self.followed, ks, self.seed
        )
        return pd.read_parquet(found.path / "probes.parquet")

    @cached_property
    def coalitions(self) -> pd.DataFrame:
        """The k best maps of each unit together, on rendered people; see `fer_lib.study.interventions.Interventions.coalitions`.

        ``network`` is "trained" or "untrained".
        """
        ks = [k for k in self.effort.ks if 2 * k <= self.distance.maps.number]
        networks = {"trained": self.interventions, "untrained": self.untrained_interventions}
        return pd.concat(
            [
                of.coalitions(ks, draws=self.effort.sets, seed=self.seed).assign(network=name)
                for name, of in networks.items()
            ],
            ignore_index=True,
        )

    @cached_property
    def bootstrap_maps(self) -> pd.DataFrame:
        """Which maps D and AUC (``chosen_by``) choose on other draws of people; see `fer_lib.measures.bootstrap_maps.BootstrapMaps`.

        `Lacking` where people are on both sides, as in a division of pictures.
        """
        people, subject = self.faces.split_of_all, self.faces.table["subject"].to_numpy()
        if both := np.intersect1d(subject[people.train], subject[people.test]).size:
            raise Lacking(
                f"{both} people are in training and test (split={self.faces.division.split!r}), and draws of people need them apart"
            )
        found = detection.bootstrap_maps(
            self.store,
            self.faces.pictures,
            self.distance.maps.stored_responses,
            self.faces.matchable(),
            self.faces.division,
            self.analysis.n_exemplars,
            self.analysis.zero_rule,
            self.effort.draws,
            self.seed,
        )
        return pd.read_parquet(found.path / "maps.parquet")

    @cached_property
    def built_in(self) -> pd.DataFrame:
        """Which measures find a detector that was built into the network by hand; see `fer_lib.measures.built_in.found_by`.

        A row for each of the `followed` AUs that can be rendered, each measure, and ``where`` it was looked for; see
        `fer_lib.steps.built_in.built_in`.
        """
        aus = [au for au in self.followed if au in self.interventions.doses.aus]
        if not aus:
            raise Lacking("no action unit that is coded often enough was rendered at several intensities")
        maps = self.distance.maps
        found = built_in.built_in(
            self.store,
            self.faces.pictures,
            maps.network.training,
            self.references.dose_faces,
            self.references.controls,
            aus,
            self.faces.division,
            maps.layer,
            self.faces.prepare,
            self.effort.draws,
            self.seed,
        )
        return pd.read_parquet(found.path / "found.parquet")

    def comparisons(self) -> list[Comparison]:
        """Compare the matched maps on the test people with chance and with what the expression alone says."""
        people, table = self.faces.split_of_all, self.faces.table
        return detection_controls(
            self.distance.maps.responses.maximum,
            self.faces.present[list(self.faces.matchable())],
            self.faces.apexes(people.train),
            self.faces.apexes(people.test),
            matched=self.distance.matched.to_numpy(),
            subject=table["subject"],
            expression=table["expression"],
            seed=self.seed,
        )
