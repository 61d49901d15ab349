"""Figures: they show the numbers they are given, and keep hidden faces hidden."""

from __future__ import annotations

import base64
import functools
import inspect
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from fer_lib.errors import FerError, Lacking
from fer_lib.faces.crops import Crops
from fer_lib.faces.preprocess import Augment
from fer_lib.measures.comparisons import Comparison
from fer_lib.network.model import ExpressionNet, describe
from fer_lib.plot import (
    decision,
    detectors,
    distances,
    explorer,
    facial_units,
    figures,
    interventions,
    levels,
    pictures,
    saliency,
    traditional,
    training,
)
from fer_lib.plot.pictures import HIDDEN, Gallery, gallery, grey, signed_grey, strip
from fer_lib.probe.activations import record
from fer_lib.probe.deconv import project
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Exemplars, exemplars
from fer_lib.traditional import Traditional

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


def test_a_figure_says_in_its_file_whether_it_is_a_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("fer_lib.plot.style.display", lambda data, raw: shown.append(data))
    training.filters_on_the_way(
        {"start": np.eye(5)[None]}, {"start": np.eye(4)[None]}, [3]
    )._ipython_display_()  # type: ignore[attr-defined]
    training.confusion(np.array([0, 1]), np.array([0, 0]), ("anger", "fear"))._ipython_display_()  # type: ignore[attr-defined]
    described = [
        Image.open(io.BytesIO(base64.b64decode(one["image/png"]))).info.get("Description") for one in shown
    ]
    assert described == [None, "chart"]


@pytest.mark.parametrize(("padding", "extent"), [(0, "17 × 17"), (2, "24 × 24")])
def test_network_is_drawn_from_the_model(padding: int, extent: str) -> None:
    figure = figures.network_diagram(describe(ExpressionNet(classes=7, padding=padding)))
    assert len(drawn(figure))
    text = "\n".join(words(figure))
    assert f"256 maps\n{extent}\nsees 32 × 32 px\n819,456 par." in text
    assert "7 units" in text and "96 × 96" in text and "1024 units" in text


def test_curve_shows_every_epoch() -> None:
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 1, 0.5], "accuracy": [0.1, 0.5, 0.9]})
    history["test_loss"], history["test_accuracy"] = [np.nan, 1.2, 0.8], [np.nan, 0.4, 0.7]
    layers = ("conv1", "conv2", "conv3", "fc1", "fc2")
    for number, layer in enumerate(layers, 1):
        history[f"moved_{layer}"] = [0.01 * number, 0.02 * number, 0.03 * number]
    figure = training.training_curve(history)
    lines = figure.axes[1].lines
    assert list(lines[0].get_ydata()) == [0.1, 0.5, 0.9]
    assert list(lines[1].get_xdata()) == [2, 3], "epochs without a test leave no gap"
    moved = {line.get_label(): list(line.get_ydata()) for line in figure.axes[2].lines}
    assert list(moved) == list(layers) and moved["conv2"] == pytest.approx([2, 4, 6])
    assert not any(ax.patches for ax in figure.axes), "nothing converged, nothing is shaded"
    assert len(drawn(figure))
    for ax in training.training_curve(history, flat=2).axes:
        (shade,) = ax.patches
        assert (shade.get_x(), shade.get_width()) == (1, 2)


def test_each_network_has_its_curve() -> None:
    curves = [
        {"epoch": [1, 2, 3], "loss": [3.0, 1, 0.5], "test_accuracy": [0.1, 0.5, 0.9]},
        {"epoch": [1, 2], "loss": [2.0, 1.5], "test_accuracy": [0.2, 0.4]},
    ]
    figure = training.training_curves(curves)
    assert [list(line.get_ydata()) for line in figure.axes[0].lines if len(line.get_xdata()) > 1] == [
        curve["loss"] for curve in curves
    ]
    assert [list(line.get_ydata()) for line in figure.axes[1].lines[1::2]] == [[0.9], [0.4]], (
        "ends are marked"
    )
    assert len(drawn(figure))


def test_confusion_counts() -> None:
    truth, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0])
    figure = training.confusion(truth, predicted, ["a", "b", "c"])
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["1"] * 5
    np.testing.assert_allclose(figure.axes[0].images[0].get_array().sum(1), 1)
    assert len(drawn(figure))


def test_largest_distance_is_marked() -> None:
    values = np.linspace(0, 1, 256)
    values[200], values[7] = 5.0, np.nan
    figure = distances.distance_over_maps(values, au=1, null=np.full(20, 2.5))
    found = words(figure)
    assert "map 200" in found and "largest by chance (90 %)" in found
    assert "AU 1: Inner brow raiser" in found
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
    figure = distances.distance_over_maps(values, au=12)
    assert said in words(figure)
    assert len(drawn(figure))


def test_panels_say_which_unit_is_too_rare() -> None:
    found = pd.DataFrame(np.random.default_rng(0).random((2, 8)), index=[1, 4])
    figure = distances.distance_panels(found, (1, 4, 11, 27))
    assert words(figure).count("too few pictures with and without it") == 2
    assert len(drawn(figure))


def test_scores_and_likeness_and_ablation() -> None:
    rng = np.random.default_rng(0)
    columns = ("auc_d", "auc_auc", "auc_untrained_d", "auc_untrained_auc", "auc_expression")
    matches = pd.DataFrame({"au": [1, 2, 4], **{name: rng.random(3) for name in columns}})
    matches.loc[1, "auc_d"] = np.nan
    figure = detectors.detector_scores(matches)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1", "4"]
    table = pd.DataFrame({"trained": rng.random(9), "untrained": np.nan})
    removed: Any = SimpleNamespace(random=rng.random(20), without=0.4, accuracy=0.8)
    for one in (figure, facial_units.likeness_over_maps(table), decision.accuracy_without_maps(removed)):
        assert len(drawn(one))


def test_grid_frames_each_map_under_its_own_unit() -> None:
    effect = pd.DataFrame([[2.0, 0, 0.5], [0, -4, 1]], index=[1, 2])
    figure = interventions.intervention_grid(effect, pd.Series({2: 1, 1: 0, 99: 2}))
    ax = figure.axes[0]
    assert np.asarray(ax.images[0].get_array()).tolist() == [[-4, 0], [0, 2]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["2: map 1", "1: map 0"]
    assert [patch.get_xy() for patch in ax.patches] == [(-0.5, -0.5), (0.5, 0.5)]
    assert len(drawn(figure))


def test_one_map_or_many_has_a_panel_for_each_unit() -> None:
    rows = [
        {
            "au": au,
            "probe": probe,
            "k": k,
            "network": network,
            "auc": 0.6 + 0.1 * (k > 1),
            "auc_low": 0.5,
            "auc_high": 0.8,
        }
        for au in (1, 4, 11, 12, 27, 9)
        for network in ("trained", "untrained")
        for probe, k in (("best map", 1), ("sparse", 1), ("sparse", 256))
    ]
    figure = detectors.one_or_many(pd.DataFrame(rows))
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()]
    assert titles == [f"AU {au}" for au in (1, 4, 11, 12, 27, 9)]
    lines = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines}
    assert lines["k maps, trained"] == [0.6, 0.7] and lines["best map, untrained"] == [0.6, 0.6]
    assert len(drawn(figure))


def test_dose_curves_start_at_the_neutral_face() -> None:
    table = pd.DataFrame(
        {"au": 12, "dose": [1, 5], "change": [0.5, 2.0], "low": [0.0, 1.0], "high": [1.0, 3.0]}
    )
    figure = interventions.dose_curves({"by D": table, "by AUC": table.iloc[:0]})
    (ax,) = figure.axes
    line = next(line for line in ax.lines if line.get_label() == "by D")
    assert np.asarray(line.get_xdata()).tolist() == [0, 1, 5]
    assert np.asarray(line.get_ydata()).tolist() == [0, 0.5, 2]
    assert len(drawn(figure))
    with pytest.raises(Lacking, match="matched map"):
        interventions.dose_curves({"by D": table.iloc[:0]})


def test_coalitions_stand_above_random_sets_and_are_said_in_a_sentence() -> None:
    row = {
        "own": 1.0,
        "others": 0.5,
        "low": 0.3,
        "high": 0.7,
        "random": 0.0,
        "random_low": -0.2,
        "random_high": 0.2,
    }
    rows = [
        {"network": network, "k": k, "au": au, "selectivity": 0.5 + k / 10, "p": 0.02, **row}
        for network in ("trained", "untrained")
        for k in (1, 4)
        for au in (12, 0)
    ]
    found = pd.DataFrame(rows)
    figure = interventions.coalitions_of_maps(found)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["all units", "AU 12"]
    lines = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in figure.axes[1].lines}
    assert lines["trained"] == [0.6, 0.9] and len(drawn(figure))
    said = interventions.coalitions_in_a_sentence(found)
    assert "by 0.60 [0.30, 0.70], p 0.02" in said and "4 maps together do best, with 0.90" in said
    found.loc[found["k"] == 4, "selectivity"] = 0.1
    assert "no number of maps together does better" in interventions.coalitions_in_a_sentence(found)
    assert interventions.coalitions_in_a_sentence(found.iloc[:0]) == "No action unit could be tested."
    with pytest.raises(Lacking, match="rendered"):
        interventions.coalitions_of_maps(found.iloc[:0])


@dataclass(frozen=True)
class Probed:
    """Five synthetic pictures in a real untrained network, its strongest units and their projections."""

    network: ExpressionNet
    images: torch.Tensor
    exemplars: Exemplars
    projections: dict[str, Projections]
    alive: int
    dead: int

    def gallery(self, rule: str = "deconvnet", shown: bool = True) -> Gallery:
        return gallery(self.exemplars, self.projections[rule], self.images, allowed=np.full(5, shown))

    def plane(self, picture: int, map: int) -> np.ndarray:
        with torch.no_grad():
            plane: np.ndarray = self.network.features[:8](self.images[picture : picture + 1])[0, map].numpy()
        return plane


@functools.cache
def probed() -> Probed:
    network = ExpressionNet(generator=torch.Generator().manual_seed(0)).eval()
    images = torch.from_numpy(np.random.default_rng(1).normal(size=(5, 1, 96, 96)).astype(np.float32))
    found = exemplars(record(network.features, images), n=3)
    projections = {
        rule: project(network.features, images, found.units(), rule=rule)
        for rule in ("deconvnet", "gradient")
    }
    alive, dead = (int(np.flatnonzero(found.dead == is_)[0]) for is_ in (False, True))
    return Probed(network, images, found, projections, alive, dead)


LABELS = np.array([0, 1, 5, 7, 7])
CROPS = Crops.of([np.full((40, 30), 40 * i, np.uint8) for i in range(5)])
SHOWN, HIDE = np.ones(5, bool), np.zeros(5, bool)
SHARES = pd.DataFrame(
    {1: [0.0, 1, 0, 1], 4: [0.0, 1, np.nan, 0]}, index=["neutral", "anger", "happy", "surprise"]
)


def images_of(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for ax in figure.axes for image in ax.images]


def test_active_value_marks_the_unit() -> None:
    made = probed()
    unit = made.projections["deconvnet"].of_map(made.alive)[0]
    number = int(unit.units.picture[0])
    figure = figures.active_value(unit, made.images, made.plane(number, made.alive), allowed=SHOWN)
    square, marked = figure.axes[0].patches[0], figure.axes[1].patches[0]
    assert square.get_width() == 32
    assert square.get_x() + 0.5 == 4 * (marked.get_x() + 0.5)
    plane = figure.axes[1].images[0].get_array()
    assert plane[int(marked.get_y() + 0.5), int(marked.get_x() + 0.5)] == plane.max()
    assert f"conv3 map {made.alive}, unit marked" in words(figure)
    assert len(drawn(figure))


def test_active_value_is_that_of_one_unit() -> None:
    made = probed()
    for map in (made.dead, made.alive):
        some = made.projections["deconvnet"].of_map(map)
        with pytest.raises(FerError, match=f"{len(some)} projections are given"):
            figures.active_value(some, made.images, np.zeros((17, 17)), allowed=SHOWN)


def test_hidden_faces_are_blank() -> None:
    made = probed()
    unit = made.projections["deconvnet"].of_map(made.alive)[0]
    plane = np.zeros((17, 17))
    seen = images_of(figures.active_value(unit, made.images, plane, allowed=HIDE))
    assert (seen[0] == HIDDEN).all() and (seen[2] == HIDDEN).all()
    only = np.arange(5) == unit.units.picture[0]
    assert len(np.unique(images_of(figures.active_value(unit, made.images, plane, allowed=only))[0])) > 9
    assert (images_of(figures.active_value(unit, made.images, plane, allowed=~only))[0] == HIDDEN).all()
    for one in (
        figures.expression_strip(CROPS, LABELS, NAMES, allowed=HIDE),
        figures.expression_coding(SHARES, CROPS, LABELS, NAMES, allowed=HIDE),
        figures.preprocessing_steps(CROPS, Augment(), allowed=HIDE),
    ):
        assert all((picture == HIDDEN).all() for picture in images_of(one))
    sheet = figures.contact_sheet(CROPS, LABELS, np.zeros(5), NAMES, allowed=HIDE)
    assert all((picture == 255).all() for picture in images_of(sheet))


@pytest.mark.parametrize(
    "function",
    [
        value
        for module in (figures, explorer, pictures)
        for value in vars(module).values()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ],
    ids=lambda function: function.__name__,
)
def test_whoever_shows_faces_has_to_say_which(function: Callable[..., Any]) -> None:
    """No default publishes a face, and none can be given by position."""
    parameters = inspect.signature(function).parameters
    shows = {"crops", "images", "inputs"} & set(parameters) and not function.__name__.startswith("_")
    assert bool(shows) == ("allowed" in parameters)
    if shows:
        assert parameters["allowed"].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters["allowed"].default is inspect.Parameter.empty


def test_the_last_face_that_may_be_shown_stands_for_its_class() -> None:
    seen = images_of(figures.expression_strip(CROPS, LABELS, NAMES, allowed=np.arange(5) != 4))
    assert [int(picture.mean()) for picture in seen] == [0, 40, HIDDEN, HIDDEN, HIDDEN, 80, HIDDEN, 120]


def test_traditional_route_shows_the_last_labelled_picture_that_may_be_shown() -> None:
    numbers = pd.Index([1, 3, 4])
    result = Traditional(
        detection=pd.DataFrame(),
        scores=pd.DataFrame([[1.0, -1.0]] * 3, index=numbers, columns=[12, 4]),
        pictures=pd.DataFrame({"label": [1, 7, -1], "predicted": [1, 2, 3]}, index=numbers),
        corners=np.zeros((3, 2, 4, 2)),
    )
    images = probed().images
    for allowed, truth, decided in ((SHOWN, "surprise", "contempt"), (np.arange(5) == 1, "anger", "anger")):
        figure = traditional.traditional_route(result, images, NAMES, allowed=allowed)
        assert {f"truth: {truth}", decided, "4", "12"} <= set(words(figure))
        assert len(np.unique(images_of(figure)[0])) > 9
    figure = traditional.traditional_route(result, images, NAMES, allowed=HIDE)
    assert f"truth: {NAMES[7]}" in words(figure) and (images_of(figure)[0] == HIDDEN).all()


def test_gallery_holds_every_unit_at_its_place() -> None:
    made = probed()
    shown, hidden = made.gallery(), made.gallery(shown=False)
    units = made.projections["deconvnet"].units
    assert shown.originals.shape == shown.projections.shape == (256, 3, 32, 32)
    for i in (0, len(units) // 2, len(units) - 1):
        c, row, column = units.map[i], units.row[i], units.column[i]
        rank = np.flatnonzero(made.exemplars.picture[c] == units.picture[i])[0]
        square = made.images[units.picture[i], 0, 4 * row : 4 * row + 32, 4 * column : 4 * column + 32]
        np.testing.assert_array_equal(shown.originals[c, rank], grey(square.numpy()))
        np.testing.assert_array_equal(
            shown.projections[c, rank], signed_grey(made.projections["deconvnet"].patch[i, 0])
        )
    assert (shown.originals[made.dead] == HIDDEN).all() and (shown.projections[made.dead] == 128).all()
    assert shown.public and not hidden.public and (hidden.originals == HIDDEN).all()
    np.testing.assert_array_equal(hidden.projections, shown.projections)
    assert shown.name == "conv3" and shown.strength[made.dead] == 0 < shown.strength[made.alive]


def test_gallery_hides_one_face_and_takes_a_function() -> None:
    made = probed()
    partly = gallery(
        made.exemplars, made.projections["gradient"], lambda i: made.images[i], allowed=np.arange(5) != 2
    )
    blank = (partly.originals == HIDDEN).all((2, 3))
    np.testing.assert_array_equal(blank, np.isin(made.exemplars.picture, (2, -1)))
    assert not partly.public


def test_gallery_refuses_what_does_not_belong_together() -> None:
    made = probed()
    projections = made.projections["deconvnet"]
    with pytest.raises(FerError, match="other units"):
        gallery(made.exemplars, projections[::-1], made.images, allowed=SHOWN)
    with pytest.raises(FerError, match="allowed has shape"):
        gallery(made.exemplars, projections, made.images, allowed=[True])
    with pytest.raises(FerError, match="allowed has shape"):
        gallery(made.exemplars, projections, made.images, allowed=True)


def test_no_mean_of_faces_that_may_not_be_shown() -> None:
    images, landmarks = probed().images[:4], np.full((4, 68, 2), 10.0)
    landmarks[:2, :, 0] = 20.0
    landmarks[3:] = np.nan
    one_hidden = np.arange(4) != 1
    dots = explorer.mean_face(images, landmarks, allowed=one_hidden)
    assert dots.shape == (96, 96) and dots.dtype == np.uint8
    assert np.argwhere(dots != HIDDEN).tolist() == [[10, 17]], "rows are y; unknown landmarks do not count"
    assert (explorer.mean_face(images, np.full((4, 68, 2), np.nan), allowed=one_hidden) == HIDDEN).all()
    mean = explorer.mean_face(images, landmarks, allowed=np.ones(4, bool))
    np.testing.assert_array_equal(mean, grey(images[:, 0].double().mean(0).numpy()))
    with pytest.raises(FerError, match="allowed has shape"):
        explorer.mean_face(images, landmarks, allowed=True)


def test_rules_and_controls_are_labelled() -> None:
    made = probed()
    galleries = {rule: made.gallery(rule) for rule in ("gradient", "deconvnet")}
    figure = figures.compare_rules(galleries, map=made.alive)
    assert words(figure) == ["pixels", "gradient", "deconvnet"]
    seen = images_of(figure)
    np.testing.assert_array_equal(seen[0], strip(galleries["gradient"].originals[made.alive]))
    np.testing.assert_array_equal(seen[2], strip(galleries["deconvnet"].projections[made.alive]))
    figure = figures.loudest_maps({"trained": made.gallery(), "untrained": made.gallery()}, maps=2)
    loudest = int(made.exemplars.value[:, 0].argmax())
    assert words(figure)[0] == f"trained, map {loudest}"
    assert sum(word.startswith("untrained, map") for word in words(figure)) == 2
    face = np.full((8, 8), 90, np.uint8)
    figure = figures.unit_beside_its_map(face, face, "AU 12", made.gallery(), made.alive)
    assert (
        words(figure)[1:3] == ["with AU 12", f"what excites map {made.alive} most"]
        and len(images_of(figure)) == 4
    )
    with pytest.raises(FerError, match="no gallery"):
        figures.compare_rules({}, map=0)


def test_coding_shows_shares() -> None:
    figure = figures.expression_coding(SHARES, CROPS, LABELS, NAMES, allowed=SHOWN)
    bars = {
        ax.get_ylabel(): [bar.get_height() for bar in ax.patches] for ax in figure.axes if ax.get_ylabel()
    }
    assert bars["surprise"] == [1.0, 0.0] and bars["anger"] == [1.0, 1.0] and bars["neutral"] == [0, 0]
    assert bars["happy"] == bars["fear"] == [0, 0]
    assert len(drawn(figure))
    with pytest.raises(Lacking, match="coded"):
        figures.expression_coding(SHARES * np.nan, CROPS, LABELS, NAMES, allowed=SHOWN)


def test_contact_sheet_has_a_row_per_person() -> None:
    subjects = np.array(["S1", "S1", "S2", "S2", "S2"])
    figure = figures.contact_sheet(CROPS, LABELS, subjects, NAMES, allowed=SHOWN)
    assert len(figure.axes) == 16
    assert [ax.get_title() for ax in figure.axes[:8]] == list(NAMES)


def test_style_is_the_books() -> None:
    with mpl.rc_context({"font.size": 30}):
        figure = training.confusion(np.array([0]), np.array([0]), ["a"])
    assert figure.axes[0].xaxis.label.get_size() < 12


def test_maps_swapped_show_each_way_and_no_power_where_nothing_changes() -> None:
    parts = {"": 0.5, "_effect": 0.1, "_low": -0.1, "_high": 0.2, "_detectable": 0.3}
    row = {f"{name}{part}": value for name in ("accuracy", "loss") for part, value in parts.items()}
    never = row | {"accuracy_detectable": 2.8e-17}
    figure = decision.maps_swapped(pd.DataFrame([row, never], index=["remove", "keep only"]))
    assert len(drawn(figure)) and {"remove", "keep only", "accuracy"} <= set(words(figure))
    (seen,) = (line for line in figure.axes[0].lines if line.get_label().startswith("seen"))
    assert np.allclose(seen.get_xdata(), [0.3, np.nan], equal_nan=True)


def test_logits_of_units_frame_what_the_criteria_name() -> None:
    effect = pd.DataFrame([[1.0, -2.0], [0.5, 0.0], [0.0, 0.0]], [1, 2, 12], ["fear", "happy"])
    named = pd.DataFrame([[True, False], [True, False], [False, True]], effect.index, effect.columns)
    figure = decision.logits_of_units(effect, named)
    assert len(drawn(figure)) and {"1", "12", "happy"} <= set(words(figure))
    frames = [patch for patch in figure.axes[0].patches if isinstance(patch, mpl.patches.Rectangle)]
    centres = {tuple(np.round(patch.get_center()).astype(int)) for patch in frames}
    assert centres == {(0, 0), (1, 0), (2, 1)}


def test_likeness_of_units_says_what_it_draws() -> None:
    own = pd.DataFrame(
        {"own": [0.2, -0.1], "other units": [0.1, 0.0], "other maps": [0.0, 0.1]},
        index=pd.Index([1, 12], name="AU"),
    )
    before = own.iloc[:1].assign(own=0.05)
    figure = facial_units.likeness_of_units(own, before)
    assert len(drawn(figure)) and len(figure.axes[0].collections) == 4
    control = Comparison("maps", 0.1, 0.0, 0.2, 0.04, 100)
    said = facial_units.likeness_in_a_sentence(own, before, control)
    assert (
        "own unit is 0.05" in said
        and "1 of 2 units" in said
        and "p 0.04; the maps matched before training have 0.05." in said
    )
    assert "before training" not in facial_units.likeness_in_a_sentence(own, before.iloc[:0], control)
    assert "No action unit" in facial_units.likeness_in_a_sentence(own.iloc[:0], before, control)


def test_alignment_of_units_draws_a_unit_without_an_untrained_map() -> None:
    columns = ["matched", "other maps", "untrained", "random place"]
    table = pd.DataFrame([[0.1, 0.2, np.nan, 0.3], [0.4, 0.3, 0.2, 0.1]], [1, 12], columns)
    figure = facial_units.alignment_of_units(table)
    assert len(drawn(figure)) and {"1", "12"} <= set(words(figure))


@pytest.mark.parametrize("small", [True, False])
def test_saliency_checks_show_every_rule_and_stage(small: bool) -> None:
    rows = [
        (rule, stage, what)
        for rule in ("gradient", "deconvnet")
        for stage in ("none", "conv2", "conv1")
        for what in ("projection before", "picture, high-passed")
        if (stage, what) != ("none", "projection before")
    ]
    table = pd.DataFrame(rows, columns=["rule", "randomised", "compared with"])
    for name, value in (("rank correlation", 0.5), ("ssim", np.nan if small else 0.4)):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = value, value - 0.1, value + 0.1
    figure = saliency.saliency_checks(table)
    assert len(drawn(figure)) and {"gradient", "deconvnet", "as trained", "down to conv1"} <= set(
        words(figure)
    )
    assert len(figure.axes) == (2 if small else 4), "patches may be too small for structural similarity"


def test_rejection_rates_mark_the_test_that_is_too_bold() -> None:
    table = pd.DataFrame(
        {"rejected": [0.05, 0.4], "low": [0.01, 0.3], "high": [0.1, 0.5], "holds": [True, False]},
        ["fair", "bold"],
    )
    figure = levels.rejection_rates(table)
    assert len(drawn(figure)) and {"fair", "bold"} <= set(words(figure))
    (dots,) = figure.axes[0].collections[1:]
    assert len(np.unique(dots.get_facecolors(), axis=0)) == 2
