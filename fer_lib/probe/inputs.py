"""Pictures as users have them, for networks that want (N, C, H, W): arrays, tensors, batches of a data loader."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_lib.errors import FerError
from fer_lib.network.stack import Step

Images: TypeAlias = Tensor | NDArray[np.generic] | Sequence[Any] | Callable[[NDArray[np.int64]], Any]


def tensor_of(pictures: Any) -> Tensor:
    """Pictures as a tensor, without copying them if torch can read their memory.

    Parameters
    ----------
    pictures
        Tensor, array in any layout and byte order, or a sequence of such of one shape.

    Raises
    ------
    FerError
        If they have no values, no common shape, or are no numbers that torch knows.
    """
    if isinstance(pictures, Tensor):
        if pictures.is_meta or pictures.layout is not torch.strided:
            how = "on the meta device, without values" if pictures.is_meta else f"{pictures.layout}"
            raise FerError(f"pictures are {how}: give an ordinary tensor (N, C, H, W)")
        return pictures.detach()
    if type(pictures).__module__.startswith("PIL."):
        raise FerError(
            "a picture is a PIL image: make it a tensor as the network wants it, such as by "
            "torchvision.transforms.functional.to_tensor"
        )
    if isinstance(pictures, str | bytes | PathLike):
        raise FerError(f"a picture is given as {str(pictures)!r}: open it, and give its pixels")
    if isinstance(pictures, np.ma.MaskedArray):
        raise FerError(
            "pictures are a masked array, and what lies behind the mask is not known: fill it first"
        )
    try:
        if isinstance(pictures, list | tuple):
            return torch.stack([tensor_of(picture) for picture in pictures])
        array = np.asarray(pictures)
    except (ValueError, RuntimeError) as error:
        raise FerError(f"pictures do not fit each other ({error}): give an array (N, C, H, W)") from error
    if array.dtype.kind not in "biufc" or array.dtype == np.longdouble:
        raise FerError(f"pictures are {array.dtype}: give an array (N, C, H, W) of numbers")
    # torch reads no negative strides and no other byte order.
    array = np.require(array, array.dtype.newbyteorder("="), "C")
    with warnings.catch_warnings():
        # Nothing here writes to the pictures of others.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def pictures_at(images: Images, numbers: NDArray[np.int64]) -> Tensor:
    """Pictures (n, C, H, W) of these numbers.

    Parameters
    ----------
    images
        (N, C, H, W) tensor, array or sequence of pictures, which the numbers index; or a function that gives the pictures of
        numbers (n,).
    numbers
        (n,) from 0 up.

    Raises
    ------
    FerError
        If a picture does not exist, or the function gives another number of them.
    """
    if callable(images):
        found = tensor_of(images(numbers))
        if found.ndim != 4 or len(found) != len(numbers):
            raise FerError(
                f"the function of pictures gave shape {tuple(found.shape)} for {len(numbers)} numbers: "
                "it has to give (n, C, H, W)"
            )
        return found
    given = tensor_of(images)
    if numbers.size and given.ndim and not (numbers.min() >= 0 and numbers.max() < len(given)):
        wrong = numbers[(numbers < 0) | (numbers >= len(given))][0]
        raise FerError(f"picture {wrong} does not exist: {len(given)} are given, from 0 up")
    return given[torch.from_numpy(numbers).to(given.device)] if given.ndim else given


def pictures_in(batch: Any) -> Tensor:
    """Find the pictures (n, C, H, W) in what a data loader yields: alone, or the only such thing beside labels.

    Raises
    ------
    FerError
        If there are none, or more than one.
    """
    if not isinstance(batch, Mapping | list | tuple):
        pictures = tensor_of(batch)
        if pictures.ndim != 4:
            remedy = (
                "; of grey pictures pictures[:, None], of a single one picture[None]"
                if pictures.ndim == 3
                else ""
            )
            raise FerError(f"a batch has shape {tuple(pictures.shape)}: give (n, C, H, W){remedy}")
        return pictures
    items = list(batch.values() if isinstance(batch, Mapping) else batch)
    if any(type(item).__module__.startswith("PIL.") for item in items):
        raise FerError(
            "a batch holds PIL images: make them tensors as the network wants them, such as by "
            "torchvision.transforms.functional.to_tensor"
        )
    found = [item for item in items if isinstance(item, Tensor | np.ndarray) and item.ndim == 4]
    if len(found) != 1:
        single = not found and any(getattr(item, "ndim", 0) == 3 for item in items)
        remedy = (
            "give batches of pictures, such as by a DataLoader"
            if single
            else "give the pictures alone, or with nothing else of four dimensions"
        )
        raise FerError(
            f"a batch is {type(batch).__name__} with {len(found)} arrays of shape (n, C, H, W): {remedy}"
        )
    return tensor_of(found[0])


def extents_of(pictures: Tensor, steps: Sequence[Step], kind: torch.dtype | None) -> list[tuple[int, int]]:
    """Height and width of pictures and of the output of every step of a stack with weights of this type.

    Raises
    ------
    FerError
        If the stack cannot take pictures of this shape or type.
    """
    channels = next((s.module.in_channels for s in steps if isinstance(s.module, nn.Conv2d)), None)
    if pictures.ndim != 4 or not all(pictures.shape[1:]):
        raise FerError(f"pictures have shape {tuple(pictures.shape)}: give (N, C, H, W)")
    if channels is not None and pictures.shape[1] != channels:
        raise FerError(f"pictures have {pictures.shape[1]} channels: the network wants {channels}")
    if not pictures.is_floating_point() or (kind is not None and pictures.dtype != kind):
        wanted = "a floating type" if kind is None else f"the network's {kind}"
        raise FerError(f"pictures are {pictures.dtype}: convert them to {wanted}")
    extents = [(int(pictures.shape[2]), int(pictures.shape[3]))]
    for step in steps:
        extents.append(step.out(extents[-1]))
        if min(extents[-1]) < 1:
            raise FerError(f"pictures {extents[0]} are too small for layer {step.name!r}: enlarge them")
    return extents


def check_finite(pictures: Tensor, numbers: Sequence[int] | NDArray[np.int64]) -> None:
    """Refuse the first of these pictures, by its number, that has infinite or undefined values."""
    finite = pictures.isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        wrong = numbers[int((~finite).nonzero()[0])]
        raise FerError(f"picture {wrong} has infinite or undefined values: leave it out or mend it")
