"""The verdicts on C1 to C4: what each claim comes down to in the network, in untrained ones, and in its controls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import pandas as pd
from tqdm import tqdm

from fer_lib.artifacts.store import Artifact, Store
from fer_lib.claims import CLAIMS, Verdict, judge
from fer_lib.config import Analysis
from fer_lib.measures.comparisons import Comparison, between_networks
from fer_lib.measures.network_measures import MEASURES
from fer_lib.steps import measures
from fer_lib.study.decision import Decision
from fer_lib.study.detectors import Detectors
from fer_lib.study.faces import Faces
from fer_lib.study.maps import Maps
from fer_lib.study.references import References
from fer_lib.study.regions import Regions


class Measures:
    """What the claims come down to in one network, trained or not.

    Parameters
    ----------
    store : Store
        Where results are kept.
    faces : Faces
        The pictures.
    maps : Maps
        Of the network.
    references : References
        Where each unit moves the face.
    analysis : Analysis
        How maps get exemplars and are matched.
    seed : int
        Of the sets of maps that are drawn at random.
    """

    def __init__(
        self, store: Store, faces: Faces, maps: Maps, references: References, analysis: Analysis, *, seed: int
    ) -> None:
        self.store, self.faces, self.maps, self.references = store, faces, maps, references
        self.analysis, self.seed = analysis, seed

    @cached_property
    def stored(self) -> Artifact:
        """The artifact that holds `table`."""
        return measures.network_measures(
            self.store,
            self.faces.pictures,
            self.maps.network.training,
            self.maps.stored_responses,
            self.maps.stored_projections(),
            self.references.stored_atlas,
            self.faces.division,
            self.analysis.n_exemplars,
            self.analysis.one_per_subject,
            self.analysis.zero_rule,
            self.maps.layer,
            self.faces.prepare,
            self.seed,
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """Index `fer_lib.measures.network_measures.MEASURES`, columns ``value`` and ``lacking`` (why there is none; else empty)."""
        found = json.loads((self.stored.path / "measures.json").read_text("utf-8"))
        rows = [(found["values"].get(name, np.nan), found["lacking"].get(name, "")) for name in MEASURES]
        return pd.DataFrame(rows, index=pd.Index(MEASURES, name="measure"), columns=["value", "lacking"])


class Claims:
    """The paper's four claims, each put to its test.

    Parameters
    ----------
    trained : Measures
        Of the network.
    untrained : mapping of int to Measures
        Of networks before their first step, by the seed of their start; the network's own first.
    regions, detectors, decision
        The further controls of C2, C3 and C4.
    progress : bool
        Whether the measures of untrained networks show a progress bar.
    """

    def __init__(
        self,
        trained: Measures,
        untrained: Mapping[int, Measures],
        regions: Regions,
        detectors: Detectors,
        decision: Decision,
        *,
        progress: bool,
    ) -> None:
        self.trained, self.untrained, self.progress = trained, untrained, progress
        self.regions, self.detectors, self.decision = regions, detectors, decision

    @cached_property
    def untrained_measures(self) -> pd.DataFrame:
        """The same of the untrained networks: a row for each seed (index), the network's own start first."""
        shown = tqdm(
            self.untrained.items(),
            "untrained networks",
            disable=None if self.progress else True,
            leave=False,
        )
        rows = {seed: measures.table["value"] for seed, measures in shown}
        return pd.DataFrame(rows).T.rename_axis("seed")

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts on C1 to C4; a claim whose test needs what the faces lack is not decided, and says what they lack."""
        value, lacking = (self.trained.table[name].to_dict() for name in ("value", "lacking"))
        before = self.untrained_measures
        controls: dict[str, Callable[[], list[Comparison]]] = {
            "C1": lambda: [
                between_networks(
                    "untrained networks, projections", value["projections"], before["projections"]
                )
            ],
            "C2": lambda: [self.regions.other_maps()],
            "C3": self.detectors.comparisons,
            "C4": lambda: [self.decision.other_sets()],
        }

        def verdict(name: str) -> Verdict:
            column = CLAIMS[name].column
            if lacking[column]:
                return judge(name, [], [], reason=lacking[column])
            return judge(name, value[column], before[column], controls[name]())

        return tuple(map(verdict, CLAIMS))
