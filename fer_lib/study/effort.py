"""How much of the dear tests each preset can afford."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Numbers that decide how long tests take and how sharp they are.

    Attributes
    ----------
    aus
        Action units that probes and doses look at; empty: all.
    ks
        Numbers of maps of a probe.
    draws
        Draws of people where every choice is made anew.
    sets
        Random sets of maps that a coalition is compared with.
    people, doses
        Rendered people, and the intensities (1 to 5 for A to E) at which a unit is switched on.
    control_people
        Rendered people who show every unit alone.
    atlas_levels
        Intensities of each unit of the atlas, from 0 to 5.
    first_steps
        Steps that a network takes from every initialisation.
    saliency_maps
        Most maps whose projections are checked.
    simulations
        Data sets without an effect that each p value is put to.
    """

    aus: tuple[int, ...] = (1, 4, 11, 12, 27)
    ks: tuple[int, ...] = (1, 2, 4, 16, 64, 256)
    draws: int = 100
    sets: int = 400
    people: int = 12
    doses: tuple[int, ...] = (1, 3, 5)
    control_people: int = 4
    atlas_levels: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    first_steps: int = 4
    saliency_maps: int = 256
    simulations: int = 300


EFFORTS = {
    "smoke": Effort(
        ks=(1, 4, 16),
        draws=10,
        sets=19,
        people=4,
        doses=(3, 5),
        control_people=2,
        atlas_levels=(0.0, 5.0),
        first_steps=2,
        saliency_maps=32,
        simulations=20,
    ),
    "book": Effort(),
    "paper": Effort(
        aus=(), ks=(1, 2, 4, 8, 16, 32, 64, 128, 256), draws=1000, sets=2000, people=30, doses=(1, 2, 3, 4, 5)
    ),
}
"""By preset; "book" takes the four units that the paper shows and AU 12, and about three minutes in all."""
