"""Small matrices with every number to be read, such as those that one picture makes in a network of a few weights."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from IPython.display import HTML
from numpy.typing import ArrayLike, NDArray

from fer_lib.errors import FerError

_WARM, _COLD = "193 68 14", "31 111 139"
_DEEPEST = (
    0.55  # opacity of the largest value: a letter on it keeps its contrast in the light and in the dark mode
)


@dataclass(frozen=True, eq=False)
class Grid:
    """A matrix, and what to say and mark of it.

    Attributes
    ----------
    title : str
        What stands above it.
    values : (h, w) array
        Finite numbers.
    marked : (h, w) bool array, optional
        Cells with a frame.
    struck : (h, w) bool array, optional
        Cells whose number is struck through.

    Raises
    ------
    FerError
        If the shapes do not fit, or a number is not finite.
    """

    title: str
    values: NDArray[Any]
    marked: NDArray[np.bool_] | None = None
    struck: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not self.values.size:
            raise FerError(f"{self.title!r} has shape {self.values.shape}: give (h, w)")
        if not np.isfinite(self.values).all():
            raise FerError(f"{self.title!r} holds a number that is not finite")
        for name in ("marked", "struck"):
            cells = getattr(self, name)
            if cells is not None and cells.shape != self.values.shape:
                raise FerError(f"{name} of {self.title!r} has shape {cells.shape}, not {self.values.shape}")


def grid(
    title: str, values: ArrayLike, *, marked: ArrayLike | None = None, struck: ArrayLike | None = None
) -> Grid:
    """Make a `Grid` of anything that NumPy takes for an array."""
    cells = [None if one is None else np.asarray(one, bool) for one in (marked, struck)]
    return Grid(title, np.asarray(values), *cells)


def _said(value: float) -> str:
    """A number, with a minus sign of its own and no more digits than it needs."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _shade(value: float, largest: float) -> str:
    colour = _WARM if value > 0 else _COLD
    return f"rgb({colour} / {_DEEPEST * abs(value) / largest:.2f})" if value else "none"


def _one(one: Grid) -> str:
    largest, nothing = float(np.abs(one.values).max()), np.zeros(one.values.shape, bool)
    marked, struck = (nothing if cells is None else cells for cells in (one.marked, one.struck))
    cells = []
    for place, value in np.ndenumerate(one.values):
        kind = " ".join(name for name, on in {"marked": marked[place], "struck": struck[place]}.items() if on)
        cells.append(
            f'<span class="{kind}" style="background: {_shade(float(value), largest)}">{_said(float(value))}</span>'
        )
    columns = one.values.shape[1]
    return (
        f'<div><p>{html.escape(one.title)}</p><div class="fer-cells" style="--columns: {columns}">'
        f"{''.join(cells)}</div></div>"
    )


def _in_words(one: Grid) -> str:
    """Every number, row by row, for those who cannot see the grid."""
    words = f"{one.title}: " + "; ".join(" ".join(map(_said, map(float, row))) for row in one.values)
    for name, cells in {"marked": one.marked, "struck through": one.struck}.items():
        if cells is not None and cells.any():
            places = ", ".join(
                f"row {row + 1} column {column + 1}" for row, column in np.argwhere(cells).tolist()
            )
            words += f"; {name}: {places}"
    return words


def in_a_row(*grids: Grid, caption: str) -> HTML:
    """Show matrices side by side, as many in a row as the page has room for.

    Positive numbers have a warm ground and negative ones a cold one, the deeper the larger they are in their matrix. It is text and
    no picture, so that it can be read on a phone, in the dark mode, and aloud.

    Parameters
    ----------
    *grids : Grid
        See `grid`.
    caption : str
        What stands below. It has no number: the book's figures have those of the paper.
    """
    style = resources.files("fer_lib.plot").joinpath("grids.css").read_text("utf-8")
    words = html.escape(". ".join(map(_in_words, grids)))
    body: Sequence[str] = [_one(one) for one in grids]
    return HTML(
        f'<div class="fer-figure">\n<style>\n{style}</style>\n'
        f'<div class="fer-grids" role="img" aria-label="{words}">{"".join(body)}</div>\n'
        f'<p class="fer-caption">{html.escape(caption)}</p>\n</div>'
    )
