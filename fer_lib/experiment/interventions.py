"""The causal test: switch one action unit on in a face, hold everything else still, and see which maps answer.

Pictures on which a unit happens to be present differ in expression, person and light too. Rendered faces allow what
photographs do not: the same face, light and pose with exactly one unit on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_lib.artifacts.store import Artifact
from fer_lib.errors import FerError, Lacking
from fer_lib.faces import preprocess
from fer_lib.faces.disk import Disk, picture_on
from fer_lib.faces.table import BOX
from fer_lib.probe import activations

if TYPE_CHECKING:
    from fer_lib.study import Study

INTENSITY = 5.0
"""Intensity E, at which a unit is switched on."""


def effects(
    maximum: NDArray[np.floating], person: NDArray[np.generic], au: NDArray[np.integer]
) -> pd.DataFrame:
    """Return by how much each unit, switched on, raises each map's maximum.

    Parameters
    ----------
    maximum : (N, C) array
        Maximum of each map on each picture.
    person : (N,) array
        Who is on each picture.
    au : (N,) int array
        The unit that is on; 0 for the person's neutral picture, of which there is exactly one.

    Returns
    -------
    DataFrame
        Rows AUs, columns maps: the mean over people of (with the unit - neutral), in standard deviations of that map over
        all pictures; 0 for a map that never varies.

    Raises
    ------
    FerError
        If someone has no neutral picture or several, or there is nothing but neutral pictures.
    """
    people, who = np.unique(person, return_inverse=True)
    neutral = np.flatnonzero(au == 0)
    if not np.array_equal(np.sort(who[neutral]), np.arange(len(people))):
        raise FerError("interventions: every person needs exactly one neutral picture (AU 0) to compare with")
    before = np.empty((len(people), maximum.shape[1]))
    before[who[neutral]] = maximum[neutral]
    spread = maximum.std(axis=0)
    change = (maximum - before[who]) / np.where(spread > 0, spread, 1)
    table = pd.DataFrame(change).groupby(au).mean().drop(index=0).rename_axis("AU")
    if table.empty:
        raise FerError("interventions: no picture has a unit switched on")
    return table


def control_faces(study: Study) -> Artifact:
    """Render (or find) the control set: few people, each neutral and with every unit alone at E."""
    people, size, seed = (
        2 if study.settings.preset == "smoke" else 4,
        study.settings.size,
        study.settings.faces_seed,
    )

    def compute(folder: Path) -> None:
        from fer_lib.render.controls import render_interventions

        render_interventions(
            folder / "faces",
            people=people,
            size=size,
            seed=seed,
            steps=(INTENSITY,),
            processes=os.cpu_count() or 1,
            progress=study.progress,
        )

    asked = {"people": people, "size": size, "seed": seed}
    return study.store.fetch("interventions", compute, settings=asked, sources=["render.controls"])


def map_effects(study: Study) -> pd.DataFrame:
    """Return :func:`effects` of the study's network on the control set, whatever faces it was trained on.

    A face is cropped by its own landmarks, as everywhere (section 2.2), so that a dropped jaw also shrinks the rest.
    """
    trained = study.training.key  # first, as without a network nothing needs to be rendered
    control = control_faces(study)

    def compute(folder: Path) -> None:
        table = pd.read_parquet(control.path / "faces" / "table.parquet")
        evaluate = preprocess.Evaluate(size=study.settings.resize, crop=study.settings.crop)
        with Disk(control.path / "faces") as disk:
            inputs = torch.stack(
                [
                    evaluate(preprocess.crop(picture_on(disk, path), box))
                    for path, box in zip(table["path"], table[list(BOX)].to_numpy(float), strict=True)
                ]
            )
        maximum = activations.record(study.network.features, inputs.split(64)).maximum
        result = effects(maximum, table["person"].to_numpy(), table["au"].to_numpy())
        result.rename(columns=str).to_parquet(folder / "effects.parquet")

    artifact = study.store.fetch(
        "effects",
        compute,
        settings={"layer": "relu3"},
        upstream=[trained, control.key],
        sources=["experiment.interventions", "probe.activations", "faces.preprocess"],
    )
    return pd.read_parquet(artifact.path / "effects.parquet").rename(columns=int)


def answers(effect: pd.DataFrame, chosen: pd.Series) -> pd.DataFrame:
    """Return how the map that was matched to each unit answers when that unit, or another, is switched on.

    Parameters
    ----------
    effect : DataFrame
        AUs by maps, from :func:`effects`.
    chosen : Series
        The matched map of each AU (index); -1 or NaN for none, which is left out.

    Returns
    -------
    DataFrame
        One row for each AU that could be switched on: ``map``; ``effect`` of its own unit, in standard deviations;
        ``louder than``, the share of the other maps that answer less to that unit (one half by chance); ``first of``, the
        share of the other units to which this map answers less (one half by chance).

    Raises
    ------
    Lacking
        If none of the AUs could be switched on.
    """
    values, aus = effect.to_numpy(), list(effect.index)
    rows = []
    for au, which in chosen.items():
        if au not in aus or not which >= 0:
            continue
        row, column = aus.index(au), effect.columns.get_loc(which)
        own = float(values[row, column])
        rows.append(
            {
                "AU": au,
                "map": which,
                "effect": own,
                "louder than": _below(np.delete(values[row], column), own),
                "first of": _below(np.delete(values[:, column], row), own),
            }
        )
    if not rows:
        raise Lacking(
            f"none of AU {', '.join(map(str, chosen.index))} can be switched on alone in a rendered face"
        )
    return pd.DataFrame(rows, columns=["AU", "map", "effect", "louder than", "first of"]).set_index("AU")


def _below(others: NDArray[np.floating], own: float) -> float:
    """Share of values below another one, ties counting one half."""
    return float(np.mean((others < own) + 0.5 * (others == own)))
