"""Class scores of a network some of whose maps are silenced, or are those of another picture.

Zeroing a map behind its ReLU zeroes its plane behind the pool, and the first fully connected layer is linear in
these planes: every map's share of its input is computed once, and any number of sets of maps costs one matrix
product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import dropwhile, zip_longest
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from fer_lib.checks import check_choice
from fer_lib.errors import FerError
from fer_lib.measures.arrays import Floats

Baseline = Literal["zero", "mean"]
Planes: TypeAlias = ArrayLike | Tensor | Callable[[], Iterable[Tensor]]
_PICTURES = 64  # whose shares are held at a time: 64 MiB for 256 maps and 1,024 hidden units


@torch.no_grad()
def logits_without(
    classifier: nn.Sequential, pooled: Planes, sets: ArrayLike, *, baseline: Baseline = "zero"
) -> Tensor:
    """Return the class scores with each set of maps removed.

    Parameters
    ----------
    classifier
        The network behind the last pool: flatten, a linear layer, then anything.
    pooled
        Planes of the last pool of the pictures to judge on, shape (N, C, h, w), or a function that gives them in batches, anew
        each time.
    sets
        Whether a map is removed, shape (S, C), bool.
    baseline
        `"zero"`: a removed map is silent. `"mean"`: it has its mean plane over the pictures, so that only what it
        tells pictures apart by is lost.

    Returns
    -------
    Tensor
        Shape (S, N, classes), float32.
    """
    return logits_patched(classifier, pooled, removed_planes(classifier, pooled, baseline), sets)


@torch.no_grad()
def logits_patched(
    classifier: nn.Sequential, planes: Planes, other: Planes | Tensor, sets: ArrayLike
) -> Tensor:
    """Return the class scores with the maps of each set taken from other planes.

    Parameters
    ----------
    classifier
        As for `logits_without`.
    planes
        The planes of which maps are replaced, as `pooled` in `logits_without`.
    other
        Where the maps of a set come from: as many planes, or a tensor (1, C, h, w) that stands for all pictures.
    sets
        Whether a map is replaced, shape (S, C), bool.

    Returns
    -------
    Tensor
        Shape (S, N, classes), float32.

    Raises
    ------
    FerError
        When shapes do not fit.
    """
    swapped = torch.as_tensor(np.asarray(sets, dtype=np.float32))
    linear, rest = _parts(classifier)
    packs, out = _packs(classifier, planes), []
    if isinstance(other, Tensor) and len(other) == 1:
        pairs: Iterable[tuple[Tensor | None, Tensor | None]] = ((part, other) for part in packs)
    else:
        pairs = zip_longest(packs, _packs(classifier, other))
    for part, instead in pairs:
        if part is None or instead is None or len(instead) not in (1, len(part)):
            raise FerError(
                "the planes to patch with are not as many as those that are patched; give one for each picture"
            )
        if swapped.ndim != 2 or swapped.shape[1] != part.shape[1]:
            raise FerError(
                f"sets have shape {tuple(swapped.shape)} for {part.shape[1]} maps; (sets, maps) is expected"
            )
        share = _shares(linear, part - instead)  # what each map's own plane adds, (n, C, hidden)
        hidden = linear(part.flatten(1)) - torch.einsum("sc,nch->snh", swapped, share)
        out.append(rest(hidden.flatten(0, 1)).reshape(len(swapped), len(part), -1))
    return torch.cat(out, dim=1)


def removed_planes(classifier: nn.Sequential, pooled: Planes, baseline: Baseline) -> Tensor:
    """Return what a removed map has instead of its plane, for all pictures: zero, or its mean plane (1, C, h, w).

    Parameters
    ----------
    classifier, pooled, baseline
        As for `logits_without`.
    """
    check_choice("baseline", baseline, Baseline)
    total, count = torch.zeros(1, dtype=torch.float64), 0
    if baseline == "zero":
        return total.float()
    for part in _packs(classifier, pooled):
        total, count = total + part.double().sum(dim=0, keepdim=True), count + len(part)
    return (total / count).float()


@torch.no_grad()
def loudness(classifier: nn.Sequential, pooled: Planes) -> tuple[Floats, int]:
    """Return how strongly every map drives the first linear layer, and the number of pictures.

    Loudness is the mean length of a map's share of the layer's input: activation and outgoing weight in one number. A map that is
    strong but has no weight behind it is not loud.

    Parameters
    ----------
    classifier, pooled
        As for `logits_without`.

    Returns
    -------
    tuple
        Loudness, shape (C,), at least 0 and 0 for a dead map; and N.
    """
    linear, _ = _parts(classifier)
    total, count = torch.zeros(1, dtype=torch.float64), 0
    for part in _packs(classifier, pooled):
        total, count = total + _shares(linear, part).norm(dim=2).double().sum(dim=0), count + len(part)
    return total.numpy() / max(count, 1), count


def _packs(classifier: nn.Sequential, pooled: Planes) -> Iterator[Tensor]:
    """Planes of `_PICTURES` pictures at a time, whatever the size of the batches, which then changes no result."""
    linear, _ = _parts(classifier)
    batches = pooled() if callable(pooled) else [pooled]
    rest: Tensor | None = None
    for batch in batches:
        planes = torch.as_tensor(
            batch if isinstance(batch, Tensor) else np.asarray(batch), dtype=torch.float32
        )
        if planes.ndim != 4 or planes.shape[1:].numel() != linear.in_features:
            raise FerError(
                f"planes have shape {tuple(planes.shape)}; (N, C, h, w) with {linear.in_features} values a picture is expected"
            )
        planes = planes if rest is None else torch.cat([rest, planes])
        whole = len(planes) - len(planes) % _PICTURES
        yield from planes[:whole].split(_PICTURES) if whole else ()
        rest = planes[whole:]
    if rest is not None and len(rest):
        yield rest


def _parts(classifier: nn.Sequential) -> tuple[nn.Linear, nn.Module]:
    """Return the first linear layer and what follows; dropout and a flatten may come first."""
    layers = list(dropwhile(lambda layer: isinstance(layer, nn.Dropout | nn.Flatten), classifier))
    if not layers or not isinstance(layers[0], nn.Linear):
        raise FerError("the classifier does not begin with a linear layer; maps' shares cannot be told apart")
    if any(module.training for module in classifier.modules()):
        raise FerError("the classifier is in training mode, where dropout is random; call eval() first")
    return layers[0], nn.Sequential(*layers[1:])


def _shares(linear: nn.Linear, planes: Tensor) -> Tensor:
    """Return every map's share of a linear layer's output, (n, C, hidden), without the bias."""
    weight = linear.weight.unflatten(1, (planes.shape[1], -1))  # (hidden, C, h * w)
    return torch.einsum("ncp,hcp->nch", planes.flatten(2), weight)
