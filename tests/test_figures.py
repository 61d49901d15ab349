"""Figures and charts: they show the numbers they are given, and keep hidden faces hidden."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from fer_lib.errors import FerError
from fer_lib.faces.preprocess import Crops
from fer_lib.measures.distance import best_maps
from fer_lib.network.model import ExpressionNet, describe
from fer_lib.plot import charts, figures, layers
from fer_lib.plot.pictures import HIDDEN
from fer_lib.probe.activations import exemplars, record
from fer_lib.probe.deconv import project

NAMES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")


@pytest.fixture(autouse=True)
def style_is_left_alone() -> Iterator[None]:
    mpl.use("Agg")
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
    assert not plt.get_fignums(), "an open figure would be shown twice"


def drawn(figure: Figure) -> np.ndarray:
    """Pixels of the figure: drawing finds errors that building does not."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=60)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


@pytest.mark.parametrize(("padding", "extent"), [(0, "17 × 17"), (2, "24 × 24")])
def test_network_is_drawn_from_the_model(padding: int, extent: str) -> None:
    figure = figures.network_diagram(describe(ExpressionNet(classes=7, padding=padding)))
    assert len(drawn(figure))
    told = "\n".join(words(figure))
    assert f"256 maps\n{extent}\nsees 32 × 32 px\n819,456 par." in told
    assert "7 units" in told and "96 × 96" in told and "1024 units" in told


def test_curve_shows_every_epoch() -> None:
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 1, 0.5], "accuracy": [0.1, 0.5, 0.9]})
    history["test_loss"], history["test_accuracy"] = [np.nan, 1.2, 0.8], [np.nan, 0.4, 0.7]
    figure = figures.training_curve(history)
    lines = figure.axes[1].lines
    assert list(lines[0].get_ydata()) == [0.1, 0.5, 0.9]
    assert list(lines[1].get_xdata()) == [2, 3], "epochs without a test leave no gap"
    assert len(drawn(figure))


def test_confusion_counts() -> None:
    truth, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0])
    figure = figures.confusion(truth, predicted, ["a", "b", "c"])
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["1"] * 5
    np.testing.assert_allclose(figure.axes[0].images[0].get_array().sum(1), 1)
    assert len(drawn(figure))


def test_largest_distance_is_marked() -> None:
    values = np.linspace(0, 1, 256)
    values[200], values[7] = 5.0, np.nan
    figure = figures.distance_over_maps(values, au=1, null=np.full(20, 2.5))
    told = words(figure)
    assert "map 200" in told and "largest by chance (90 %)" in told
    assert "AU 1: Inner brow raiser" in told
    assert len(drawn(figure))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([1.0, np.inf, 2.0]), "map 1 (infinite)"),
        (np.full(3, np.nan), "no map has a value"),
        (np.array([np.inf, np.inf, 2.0]), "no single winner"),
        (np.zeros(3), "no single winner"),
        (np.array([-2.0, -1.0, -3.0]), "map 1"),
    ],
)
def test_distances_without_a_finite_maximum(values: np.ndarray, said: str) -> None:
    figure = figures.distance_over_maps(values, au=12)
    assert said in words(figure)
    assert len(drawn(figure))


def test_panels_say_which_unit_is_too_rare() -> None:
    distances = pd.DataFrame(np.random.default_rng(0).random((2, 8)), index=[1, 4])
    figure = figures.distance_panels(distances, (1, 4, 11, 27))
    assert words(figure).count("too few pictures with and without it") == 2
    assert len(drawn(figure))


def test_scores_and_likeness_and_ablation() -> None:
    rng = np.random.default_rng(0)
    columns = ("auc_d", "auc_auc", "auc_untrained_d", "auc_untrained_auc", "auc_expression")
    verdicts = pd.DataFrame({"au": [1, 2, 4], **{name: rng.random(3) for name in columns}})
    verdicts.loc[1, "auc_d"] = np.nan
    figure = figures.detector_scores(verdicts)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1", "4"]
    table = pd.DataFrame({"trained": rng.random(9), "untrained": np.nan})
    removed: Any = SimpleNamespace(random=rng.random(20), without=0.4, accuracy=0.8)
    for one in (figure, figures.likeness(table), figures.ablation(removed)):
        assert len(drawn(one))


def test_grid_frames_each_map_under_its_own_unit() -> None:
    effect = pd.DataFrame([[2.0, 0, 0.5], [0, -4, 1]], index=[1, 2])
    figure = charts.intervention_grid(effect, pd.Series({2: 1, 1: 0, 99: 2}))
    ax = figure.axes[0]
    assert np.asarray(ax.images[0].get_array()).tolist() == [[-4, 0], [0, 2]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["2: map 1", "1: map 0"]
    assert [patch.get_xy() for patch in ax.patches] == [(-0.5, -0.5), (0.5, 0.5)]
    assert len(drawn(figure))


class Pictured:
    """What the figures ask a study for, from a real untrained network and five synthetic faces."""

    def __init__(self, shown: bool = True) -> None:
        rng = np.random.default_rng(1)
        self.network = ExpressionNet(generator=torch.Generator().manual_seed(0)).eval()
        self.x = torch.from_numpy(rng.normal(size=(5, 1, 96, 96)).astype(np.float32))
        self.responses = record(self.network.features, self.x.split(5))
        self.exemplars = exemplars(self.responses, n=3)
        self.shown = np.full(5, shown)
        self.labels = np.array([0, 1, 5, 7, 7])
        self.crops = Crops.of([np.full((40, 30), 40 * i, np.uint8) for i in range(5)])
        self.expressions = NAMES
        self.table = pd.DataFrame({"expression": [NAMES[i] for i in self.labels]})
        self.present = pd.DataFrame({1: [0.0, 1, 0, 1, 1], 4: [0.0, 1, np.nan, 0, 0]})
        self.distances = pd.DataFrame(rng.random((1, 256)), index=[1])
        self.matched = pd.Series(best_maps(self.distances.to_numpy()), index=[1])
        self.untrained = self
        self.projected: dict[str, Any] = {}
        self.alive, self.dead = (int(np.flatnonzero(self.exemplars.dead == is_)[0]) for is_ in (False, True))

    def inputs(self, pictures: np.ndarray) -> torch.Tensor:
        return self.x[torch.from_numpy(np.asarray(pictures))]

    def exemplars_of(self, layer: str) -> Any:
        return self.exemplars

    def projections_of(self, layer: str, rule: str = "deconvnet") -> Any:
        if rule not in self.projected:
            units = self.exemplars.units()
            self.projected[rule] = project(self.network.features, self.x, units, layer=layer, rule=rule)
        return self.projected[rule]

    def plane(self, picture: int, layer: str, map: int) -> np.ndarray:
        with torch.no_grad():
            plane: np.ndarray = self.network.features[:8](self.x[picture : picture + 1])[0, map].numpy()
        return plane

    def apexes(self, pictures: np.ndarray) -> np.ndarray:
        return pictures


@pytest.fixture(scope="module")
def study() -> Any:
    return Pictured()


def test_active_value_marks_the_unit(study: Any) -> None:
    figure = figures.active_value(study, layer="relu3", map=study.alive)
    square, unit = figure.axes[0].patches[0], figure.axes[1].patches[0]
    assert square.get_width() == 32
    assert square.get_x() + 0.5 == 4 * (unit.get_x() + 0.5)
    plane = figure.axes[1].images[0].get_array()
    assert plane[int(unit.get_y() + 0.5), int(unit.get_x() + 0.5)] == plane.max()
    assert len(drawn(figure))


def test_dead_map_has_no_active_value(study: Any) -> None:
    with pytest.raises(FerError, match="never active"):
        figures.active_value(study, layer="relu3", map=study.dead)


def test_hidden_faces_are_blank() -> None:
    hidden: Any = Pictured(shown=False)
    figure = figures.active_value(hidden, layer="relu3", map=hidden.alive)
    for ax in (figure.axes[0], figure.axes[2]):
        assert (np.asarray(ax.images[0].get_array()) == HIDDEN).all()
    for one in (
        figures.expression_strip(hidden.crops, hidden.labels, NAMES, allowed=hidden.shown),
        figures.expression_coding(hidden),
    ):
        assert all((np.asarray(image.get_array()) == HIDDEN).all() for ax in one.axes for image in ax.images)


def test_no_mean_of_faces_that_may_not_be_shown() -> None:
    hidden: Any = Pictured(shown=False)
    hidden.settings = SimpleNamespace(crop=96)
    hidden.split = SimpleNamespace(train=np.arange(4))
    hidden.landmarks = np.full((5, 68, 2), 10.0)
    hidden.landmarks[:2, :, 0] = 20.0
    hidden.landmarks[3:] = np.nan
    dots = layers.mean_face(hidden)
    assert dots.shape == (96, 96) and dots.dtype == np.uint8
    assert np.argwhere(dots != HIDDEN).tolist() == [[10, 17]], "rows are y; unknown landmarks do not count"
    hidden.landmarks[:] = np.nan
    assert (layers.mean_face(hidden) == HIDDEN).all()
    seen: Any = Pictured()
    seen.split = hidden.split
    assert len(np.unique(layers.mean_face(seen))) > 9


def test_rules_and_controls_are_labelled(study: Any) -> None:
    figure = figures.compare_rules(study, ("gradient", "deconvnet"), layer="relu3", map=2)
    assert words(figure) == ["pixels", "gradient", "deconvnet"]
    figure = figures.trained_and_untrained(study, layer="relu3", maps=2)
    assert sum(word.startswith("untrained, map") for word in words(figure)) == 2


def test_coding_shows_shares(study: Any) -> None:
    figure = figures.expression_coding(study)
    bars = {
        ax.get_ylabel(): [bar.get_height() for bar in ax.patches] for ax in figure.axes if ax.get_ylabel()
    }
    assert bars["surprise"] == [1.0, 0.0] and bars["anger"] == [1.0, 1.0] and bars["neutral"] == [0, 0]
    assert len(drawn(figure))


def test_contact_sheet_has_a_row_per_person(study: Any) -> None:
    people = np.array(["S1", "S1", "S2", "S2", "S2"])
    figure = figures.contact_sheet(study.crops, study.labels, people, NAMES, allowed=study.shown)
    assert len(figure.axes) == 16
    assert [ax.get_title() for ax in figure.axes[:8]] == list(NAMES)


def test_style_is_the_books(study: Any) -> None:
    with mpl.rc_context({"font.size": 30}):
        figure = charts.confusion(np.array([0]), np.array([0]), ["a"])
    assert figure.axes[0].xaxis.label.get_size() < 12
