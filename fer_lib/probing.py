"""One layer of any network, asked: what excites its maps, what of the pixels they use, and what they detect.

>>> import torch
>>> import fer_lib as fer
>>> from torchvision.models import resnet18
>>> probe = fer.Probe(resnet18(weights=None), layer="layer2.0.conv2")
>>> responses = probe.record(torch.rand(8, 3, 64, 64))
>>> responses
ProbeResponses: 128 maps of 'layer2.0.conv2', 8 pictures
>>> projections = responses.exemplars(n=3).project(rule="guided", maps=[5, 7])
>>> projections.way, projections.patch.shape
('whole frame', (6, 3, 64, 64))
>>> figure = projections.show(map=5)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from torch import nn

from fer_lib.checks import plain, real_numbers, whole_numbers
from fer_lib.errors import FerError
from fer_lib.measures.held_out import held_out_detectors
from fer_lib.plot.pictures import grey, signed_grey
from fer_lib.plot.style import panels, styled
from fer_lib.probe.activations import record
from fer_lib.probe.deconv import project
from fer_lib.probe.hooks import layer_of
from fer_lib.probe.inputs import Images
from fer_lib.probe.pictures import Pictures
from fer_lib.probe.projections import Projections, crops
from fer_lib.probe.responses import Exemplars, Responses, exemplars

__all__ = ["Probe", "ProbeExemplars", "ProbeProjections", "ProbeResponses"]

_PAIRS = 3  # exemplars side by side in a figure


@dataclass(frozen=True)
class Probe:
    """One layer of a network.

    Parameters
    ----------
    model
        Any ``nn.Module`` that takes pictures (n, C, H, W). It runs in evaluation and is left as it was.
    layer
        Name of the layer in ``model.named_modules()``, such as ``"features.9"`` or ``"layer3.1.conv2"``. What it gives is read as
        :func:`fer_lib.probe.activations.record` says.

    Raises
    ------
    FerError
        If there is no such layer.

    Examples
    --------
    A network with a map that answers to brightness and one that answers to darkness, and pictures of which every second is brighter:

    >>> import numpy as np
    >>> import torch
    >>> import fer_lib as fer
    >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
    >>> with torch.no_grad():
    ...     network[0].weight[0], network[0].weight[1] = 1 / 9, -1 / 9
    >>> bright = np.arange(40) % 2
    >>> rng = np.random.default_rng(0)
    >>> pictures = rng.normal(bright, 1, (8, 8, 1, 40)).T.astype(np.float32)

    >>> probe = fer.Probe(network, layer="1")
    >>> responses = probe.record(pictures)
    >>> responses
    ProbeResponses: 2 maps of '1', 40 pictures
    >>> responses.exemplars(n=3)
    ProbeExemplars: 3 pictures for each of 2 maps of '1', 0 of them dead
    >>> projections = responses.exemplars(n=3).project(rule="guided")
    >>> projections
    ProbeProjections: 6 units of 2 maps of '1', guided, windowed
    >>> figure = projections.show(map=0)

    Which map detects the bright pictures, and how well on groups of five on which it was not chosen:

    >>> import pandas as pd
    >>> labels = pd.DataFrame({"bright": bright})
    >>> found = responses.detectors(labels, groups=np.arange(40) // 5, permutations=99, draws=99)
    >>> found[["map", "with", "without"]].to_dict("index")
    {'bright': {'map': 0, 'with': 20, 'without': 20}}
    >>> bool(found.loc["bright", "p"] < 0.05)
    True
    """

    model: nn.Module = field(repr=False)
    layer: str

    def __post_init__(self) -> None:
        layer_of(self.model, self.layer)

    def record(self, images: Any, folder: Path | None = None) -> ProbeResponses:
        """Pass pictures through the network once.

        Parameters
        ----------
        images
            Array or tensor (N, C, H, W) in the network's type, a list of pictures or of (picture, label), a data set, a data loader, or
            anything else that gives batches of pictures or of (picture, label), such as a generator. It is kept, not copied.
        folder
            Where to write the responses on the way, for more pictures than fit into memory; None: they are kept in memory.

        Returns
        -------
        ProbeResponses
            The same whatever the size of the batches.
        """
        source = Pictures.of(images)
        found = record(self.model, source.batches(), self.layer, folder=folder)
        return ProbeResponses(**vars(found), probe=self, pictures=source)


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class _Recorded:
    """Where a result of a probe comes from."""

    probe: Probe
    pictures: Pictures


@dataclass(frozen=True, repr=False, eq=False)
class ProbeResponses(Responses, _Recorded):
    """Strongest response of each map to each picture, with the probe and the pictures that they came from.

    Attributes
    ----------
    probe
        The layer that was recorded.
    maximum, row, column
        See :class:`fer_lib.probe.responses.Responses`.
    """

    def __repr__(self) -> str:
        count, maps = self.maximum.shape
        return f"{type(self).__name__}: {maps} maps of {self.probe.layer!r}, {count} pictures"

    def select(self, pictures: ArrayLike) -> ProbeResponses:
        """Responses to these pictures only, (n,) numbers or (N,) a mask, in this order; they are numbered anew, from 0."""
        rows = self.rows(pictures)
        chosen = super().select(rows)
        return ProbeResponses(**vars(chosen), probe=self.probe, pictures=self.pictures.select(rows))

    def exemplars(
        self, n: int = 9, groups: ArrayLike | None = None, among: ArrayLike | None = None
    ) -> ProbeExemplars:
        """Find the pictures that excite each map most; see :func:`fer_lib.probe.responses.exemplars`."""
        found = exemplars(self, n, groups, among)
        return ProbeExemplars(**vars(found), probe=self.probe, pictures=self.pictures)

    def detectors(
        self,
        labels: Any,
        groups: ArrayLike | None = None,
        *,
        folds: int = 5,
        permutations: int = 1000,
        draws: int = 1000,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Find the map that detects each concept, and say how well it does so on groups on which it was not chosen.

        Parameters
        ----------
        labels
            1 where a picture shows the concept, 0 where it does not, NaN where that is not known: (N,), (N, J), or a table with a
            column for each concept, or columns by their names. Rows are the pictures in their order; an index is not looked at.
        groups
            (N,) who or what each picture belongs to, such as the person. None: each picture stands alone; frames of one film do
            not.
        folds, permutations, draws, seed
            See :func:`fer_lib.measures.held_out.held_out_detectors`.

        Returns
        -------
        DataFrame
            One row for each concept: map, agree, auc, low, high, p, with, without; explained there.

        Raises
        ------
        FerError
            If labels or groups do not fit the pictures.
        """
        self.pictures.check_order()
        table = _concepts(labels, len(self))
        return held_out_detectors(
            self.maximum,
            table.to_numpy(),
            groups,
            names=list(table.columns),
            folds=folds,
            permutations=permutations,
            draws=draws,
            seed=seed,
        )


def _concepts(labels: Any, count: int) -> pd.DataFrame:
    """Labels as a table of floats with a column for each concept."""
    labels = given = plain(labels)
    if isinstance(labels, Mapping):
        columns = [_column(name, column, count) for name, column in labels.items()]
        labels = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(count))
        labels.columns = pd.Index(list(given), tupleize_cols=False)
    if isinstance(labels, np.ma.MaskedArray):
        labels = real_numbers("labels", labels)
    if isinstance(labels, pd.Series):
        name = labels.name if labels.name is not None else 0
        labels = labels.to_frame(0).set_axis(pd.Index([name], tupleize_cols=False), axis=1)
    if not isinstance(labels, pd.DataFrame):
        try:
            array = np.asarray(labels)
        except ValueError as error:
            raise FerError(
                "labels have rows of differing lengths: give (N,), or (N, J) for J concepts"
            ) from error
        if array.ndim not in (1, 2):
            what = f"have shape {array.shape}" if array.ndim else f"are {type(labels).__name__}"
            raise FerError(f"labels {what}: give (N,), or (N, J) for J concepts")
        labels = pd.DataFrame(array)
    if len(labels) != count:
        raise FerError(f"{len(labels)} rows of labels are given: give one for each of the {count} pictures")
    for name, column in labels.items():
        known = column.dropna()
        wrong = known[~known.isin([0, 1])]
        if len(wrong):
            raise FerError(
                f"concept {name!r} has the label {wrong.tolist()[0]!r}: give 1 (there), 0 (not there) or NaN (not known); "
                "pandas.get_dummies makes such columns of classes"
            )
    known = labels.astype(object).to_numpy(dtype=object)
    return pd.DataFrame(real_numbers("labels", known), columns=labels.columns)


def _column(name: Any, given: Any, count: int) -> pd.Series:
    """Labels of one concept by their rows; masked ones are missing."""
    given = plain(given)
    # numpy would show what lies behind a mask.
    column = (
        np.ma.filled(given.astype(object), np.nan)
        if isinstance(given, np.ma.MaskedArray)
        else np.asarray(given)
    )
    if column.shape != (count,):
        raise FerError(
            f"labels of {name!r} have shape {column.shape}: give one for each of the {count} pictures, ({count},)"
        )
    return pd.Series(column)


@dataclass(frozen=True, repr=False, eq=False)
class ProbeExemplars(Exemplars, _Recorded):
    """Pictures that excite each map most, with the probe and the pictures.

    Attributes
    ----------
    probe
        The layer that was recorded.
    picture, value, row, column, dead
        See :class:`fer_lib.probe.responses.Exemplars`.
    """

    def __repr__(self) -> str:
        maps, n = self.picture.shape
        dead = int(self.dead.sum())
        return f"{type(self).__name__}: {n} pictures for each of {maps} maps of {self.probe.layer!r}, {dead} of them dead"

    def project(
        self, rule: str = "deconvnet", maps: ArrayLike | None = None, *, batch_size: int = 32
    ) -> ProbeProjections:
        """Send the units of the exemplars back to the pixels.

        Parameters
        ----------
        rule
            ``"deconvnet"``, ``"guided"`` or ``"gradient"``, see :mod:`fer_lib.probe.deconv`.
        maps
            Numbers of the maps wanted; None: all. In a network that is no plain stack each unit takes as much memory as a picture.
        batch_size
            Units computed at once.

        Raises
        ------
        FerError
            If there is no such map, the network cannot be projected by this rule, or the pictures cannot be had again or are not
            those that were recorded.
        """
        units, value = self.units(), self.value[self.picture >= 0]
        if maps is not None:
            wanted = np.atleast_1d(whole_numbers("maps", maps))
            wrong = wanted[(wanted < 0) | (wanted >= len(self.dead))]
            if len(wrong):
                raise FerError(f"there is no map {wrong[0]}: give 0 to {len(self.dead) - 1}")
            chosen = np.isin(units.map, wanted)
            units, value = units[chosen], value[chosen]
        images = self.pictures.lookup(units.picture)
        found = project(self.probe.model, images, units, self.probe.layer, rule, batch_size)
        moved = np.flatnonzero(
            ~np.isclose(found.value, value, rtol=1e-2, atol=1e-3 * np.abs(value).max(initial=0))
        )
        if len(moved):
            i = int(moved[0])
            raise FerError(
                f"map {units.map[i]} gives {found.value[i]:.4g} on picture {units.picture[i]} and gave {value[i]:.4g} when it was "
                "recorded: give pictures without random transforms, and record again once the network was changed"
            )
        return ProbeProjections(**vars(found), images=images)


@dataclass(frozen=True, repr=False, eq=False)
class ProbeProjections(Projections):
    """Projections with the pictures that they belong to.

    Attributes
    ----------
    images
        The pictures, by their numbers.
    patch, top, left, value, units, rule, layer, way
        See :class:`fer_lib.probe.projections.Projections`.
    """

    images: Images = ()

    def __repr__(self) -> str:
        maps = len(np.unique(self.units.map))
        return f"{type(self).__name__}: {len(self)} units of {maps} maps of {self.layer!r}, {self.rule}, {self.way}"

    def originals(self) -> NDArray[Any]:
        """Return the pixels that the units see, in the shape of ``patch``; zero outside the frame."""
        return crops(self.images, self)

    @styled
    def show(self, map: int | None = None) -> Figure:
        """Draw the exemplars of a map, the strongest first, each beside its projection.

        Parameters
        ----------
        map
            Number of the map; None if there is only one.

        Returns
        -------
        Figure
            Each original stretched to the full range, in colour if it has three channels; projections with zero at mid-grey. Of two
            channels, or four and more, the mean is shown.

        Raises
        ------
        FerError
            If the map has no projections.
        """
        maps = np.unique(self.units.map)
        if not len(maps):
            raise FerError("there are no projections to show: no picture excites these maps")
        if map is not None and (not isinstance(map, int | np.integer) or isinstance(map, bool)):
            raise FerError(f"map={map!r} is not possible: give the number of one map, such as map={maps[0]}")
        if map is None and len(maps) != 1:
            raise FerError(f"there are projections of {len(maps)} maps: choose one, such as map={maps[0]}")
        some = self.of_map(int(maps[0]) if map is None else map)
        if not len(some):
            raise FerError(f"there is no projection of map {map}: it was left out, or no picture excites it")
        originals = some.originals()
        columns = min(len(some), _PAIRS)
        rows = -(-len(some) // columns)
        figure, axes = panels(rows, 2 * columns, 3 * columns, 1.7 * rows)
        for ax in axes.flat:
            ax.set_axis_off()
        for i, (left, right) in enumerate(axes.reshape(-1, 2)[: len(some)]):
            _draw(left, grey(_visible(originals[i])), f"picture {some.units.picture[i]}")
            _draw(right, signed_grey(_visible(some.patch[i])), f"{some.value[i]:.3g}")
        figure.suptitle(f"map {some.units.map[0]} of {self.layer}, {self.rule}", fontsize=9)
        return figure


def _visible(picture: NDArray[Any]) -> NDArray[Any]:
    """(channels, h, w) as (h, w, 3), or (h, w) where that are not colours."""
    return picture.transpose(1, 2, 0) if len(picture) == 3 else picture.mean(axis=0)


def _draw(ax: Any, picture: NDArray[np.uint8], title: str) -> None:
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_title(title, fontsize=8, loc="center")
