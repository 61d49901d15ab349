"""Rendered faces beside those of a study: single action units, whatever faces the network was trained on."""

from __future__ import annotations

from functools import cached_property

from fer_lib.artifacts.store import Artifact, Store
from fer_lib.render.atlas import Atlas
from fer_lib.steps import rendered
from fer_lib.study.effort import Effort


class References:
    """Rendered people who switch on one action unit at a time.

    Parameters
    ----------
    store : Store
        Where results are kept.
    effort : Effort
        How many people, units and intensities.
    size : int
        Side of a picture in pixels.
    seed : int
        Of the faces.
    progress : bool
        Whether long steps show a progress bar.
    """

    def __init__(self, store: Store, effort: Effort, *, size: int, seed: int, progress: bool) -> None:
        self.store, self.effort, self.size, self.seed, self.progress = store, effort, size, seed, progress

    @cached_property
    def controls(self) -> Artifact:
        """The control set: few people, each neutral and with every unit alone at E."""
        return rendered.control_faces(
            self.store, self.effort.control_people, self.size, self.seed, progress=self.progress
        )

    @cached_property
    def dose_faces(self) -> Artifact:
        """People whom no network has seen, each neutral and with one unit at a time at several intensities."""
        effort = self.effort
        return rendered.dose_faces(
            self.store, effort.people, effort.aus, effort.doses, self.size, self.seed, progress=self.progress
        )

    @cached_property
    def stored_atlas(self) -> Artifact:
        """The artifact that holds `atlas`."""
        return rendered.atlas(self.store, self.effort.atlas_levels, progress=self.progress)

    @cached_property
    def atlas(self) -> Atlas:
        """One person with one action unit at a time."""
        return Atlas.load(self.stored_atlas.path)
