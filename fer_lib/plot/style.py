"""The one style that all figures share, whatever the notebook's own settings are."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

INK, ACCENT, SECOND, PALE = "#222222", "#c1440e", "#1f6f8b", "#b8b8b8"
STYLE: dict[str, object] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.dpi": 150,
    "savefig.facecolor": "white",
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
}

CHART = "chart"
"""Description, in its PNG, of a figure without photographs: its colours may be turned for a dark page."""

P = ParamSpec("P")


@contextlib.contextmanager
def book_style() -> Iterator[None]:
    """Set matplotlib's own defaults and `STYLE` upon them, whatever a matplotlibrc says, and put back what was set before."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


class _BookFigure(Figure):
    """A figure that is drawn, saved and shown in the book's style.

    A notebook shows it as PNG with any backend: only the inline backend, which ``MPLBACKEND`` can turn off, teaches
    IPython to show other figures.
    """

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save as any figure does; ticks and texts that matplotlib makes only now have the book's style too."""
        with book_style():
            super().savefig(fname, **options)

    def _ipython_display_(self) -> None:
        buffer = io.BytesIO()
        # Photographs and projections keep their greys; the book shows what has none of them on a dark page in dark colours.
        grey = any(image.get_cmap().name == "gray" for axes in self.axes for image in axes.images)
        self.savefig(
            buffer, format="png", bbox_inches="tight", metadata={} if grey else {"Description": CHART}
        )
        shown = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": repr(self)}
        display(shown, raw=True)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the book's style, whatever the notebook's own settings are, and leave those as they were."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with book_style():
            return draw(*args, **kwargs)

    return wrapped


def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """Make a figure of width x height inches with (rows, columns) axes."""
    # Without pyplot: it would ask for a backend, and show an open figure a second time.
    figure = _BookFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def show_picture(axes: Axes, picture: np.ndarray, title: str = "") -> None:
    """Show a grey picture, uint8, pixel by pixel and without axes."""
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, loc="center", fontsize=8)


def unit_panels(aus: Sequence[int]) -> tuple[Figure, np.ndarray]:
    """Make a figure with a small panel for each action unit, at most five in a row; further axes are hidden."""
    columns = min(5, len(aus))
    rows = -(-len(aus) // columns)
    figure, axes = panels(rows, columns, max(4.0, 1.9 * columns), 2.3 * rows + 0.4, sharey=True)
    for ax in axes.flat[len(aus) :]:
        ax.set_visible(False)
    return figure, axes


def legend_above(figure: Figure, ax: Axes, columns: int) -> None:
    """Put the legend of one panel above all panels, with entries side by side in this many columns."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def show_signed(ax: Axes, values: np.ndarray, **options: Any) -> AxesImage:
    """Show a matrix in two colours that part at 0."""
    limit = max(1e-9, float(np.abs(values).max()))
    ax.spines[:].set_visible(False)
    return ax.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit, **options)
