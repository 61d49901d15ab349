"""What pages show of the traditional route: its figure and its detectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_lib import facs
from fer_lib.plot.pictures import HIDDEN, grey
from fer_lib.plot.style import ACCENT, INK, PALE, panels, show_picture, styled
from fer_lib.plot.text import markdown_table, two_digits
from fer_lib.probe.inputs import Images, pictures_at
from fer_lib.traditional import Traditional


@styled
def traditional_route(
    result: Traditional, images: Images, expressions: Sequence[str], *, allowed: np.ndarray
) -> Figure:
    """Figure 3: a test picture with its regions, the score of each AU detector, the decision beside the truth.

    Parameters
    ----------
    result : Traditional
        What the route found; of its labelled pictures the last that may be published is shown.
    images : array, tensor or function
        The grey pictures as the network sees them, (N, 1, side, side), or a function that gives those of some numbers.
    expressions : sequence of str
        Names of the classes.
    allowed : (N,) bool array
        Whether the face of each picture may be published.
    """
    known = result.pictures.index[result.pictures["label"] >= 0].to_numpy(np.int64)
    shown = known[allowed[known]]
    number = int(shown[-1] if len(shown) else known[-1])
    row = result.pictures.index.get_loc(number)
    picture = grey(pictures_at(images, np.array([number]))[0, 0].numpy())
    if not allowed[number]:
        picture = np.full_like(picture, HIDDEN)
    figure, axes = panels(1, 3, 9.5, 3.2, width_ratios=(1, 1.8, 1.2))
    ax = axes[0, 0]
    show_picture(ax, picture, "1. aligned regions")
    for corners in result.corners[row]:
        ax.plot(*np.vstack([corners, corners[:1]]).T, color=ACCENT, lw=1.2)
    ax = axes[0, 1]
    scores = result.scores.loc[number].sort_index()
    ax.bar(range(len(scores)), scores, color=np.where(scores.to_numpy(float) > 0, ACCENT, PALE))
    ax.axhline(0, color=INK, lw=0.6)
    ax.set_xticks(range(len(scores)), [str(au) for au in scores.index], fontsize=7)
    ax.set_xlabel("action unit")
    ax.set_title("2. one detector per AU (log-odds)")
    ax = axes[0, 2]
    ax.set_axis_off()
    ax.set_title("3. decision", loc="center")
    decided, truth = (expressions[int(result.pictures[c].loc[number])] for c in ("predicted", "label"))
    ax.text(0.5, 0.55, decided, ha="center", fontsize=15, weight="bold", transform=ax.transAxes)
    ax.text(0.5, 0.4, f"truth: {truth}", ha="center", transform=ax.transAxes)
    return figure


def detection_table(detection: pd.DataFrame) -> str:
    """Markdown of the traditional route's detectors (`fer_lib.traditional.Traditional.detection`)."""
    shown = pd.DataFrame({"AU": detection["au"]})
    shown["name"] = [facs.AUS[int(au)].name for au in detection["au"]]
    shown["test pictures with it"] = detection["positives"]
    for column, name in {"auc": "AUC", "average_precision": "average precision"}.items():
        shown[name] = detection[column].map(two_digits)
    return markdown_table(shown)
