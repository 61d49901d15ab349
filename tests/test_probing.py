"""The probe that `import fer_lib` offers: arrays in, results out."""

import doctest
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    TensorDataset,
)
from torch.utils.data.distributed import DistributedSampler

import fer_lib as fer
from fer_lib import probing
from fer_lib.errors import FerError, Lacking
from fer_lib.measures.held_out import held_out_detectors
from fer_lib.plot.pictures import grey, signed_grey
from fer_lib.probe import activations, deconv
from fer_lib.probe.projections import crops
from fer_lib.probe.responses import exemplars

ROOT = Path(__file__).parents[1]


def network(channels=1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 5, 3), nn.ReLU()
    )


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(40, 1, 12, 10, generator=torch.Generator().manual_seed(0))


def in_a_fresh_python(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_the_library_loads_nothing():
    script = "import sys, json; before = set(sys.modules); import fer_lib; print(json.dumps(sorted(set(sys.modules) - before)))"
    loaded = in_a_fresh_python(script)
    assert [name for name in loaded if name.partition(".")[0] == "fer_lib"] == ["fer_lib"]
    assert not {"torch", "numpy", "pandas", "matplotlib", "torchvision"} & {
        n.partition(".")[0] for n in loaded
    }


def test_every_public_name_is_there_and_found_before_it_is_used():
    script = (
        "import json, fer_lib as fer; "
        "print(json.dumps([fer.__all__, dir(fer), [getattr(fer, name).__module__ for name in fer.__all__]]))"
    )
    names, listed, homes = in_a_fresh_python(script)
    assert names == sorted(names) and 10 <= len(names) <= 16
    assert set(names) <= set(listed)
    assert all(home.startswith("fer_lib.") for home in homes)
    with pytest.raises(AttributeError, match="no attribute 'prob'"):
        _ = fer.prob


def test_checkers_of_types_see_what_is_loaded():
    declared = re.search(r"\nif TYPE_CHECKING:\n((?: +.*\n)+)", Path(fer.__file__).read_text("utf-8"))
    assert declared is not None
    seen = {}
    for home, names in re.findall(r"from fer_lib\.([\w.]+) import (.+)", declared[1]):
        for name in names.split(", "):
            seen[name.split(" as ")[-1]] = home
    assert seen == {name: getattr(fer, name).__module__.removeprefix("fer_lib.") for name in fer.__all__}


class Deep(nn.Module):
    """A network with a layer and a map of the numbers in the README."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        widths = [1, 4, 4, 4, 4, 120]
        layers = [(nn.Conv2d(*pair, 3, padding=1), nn.ReLU()) for pair in itertools.pairwise(widths)]
        self.features = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.head = nn.Linear(120, 2)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


def test_the_lines_of_the_readme_run(pictures):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    people = np.arange(40) % 8
    names = {"model": network(), "images": pictures, "people": people, "labels": np.arange(40) // 8 % 2}
    names["model"] = nn.ModuleDict({"features": names["model"]})
    names["model"].forward = names["model"]["features"].forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "show", lambda self: None)
        exec(
            compile(block.replace("features.9", "features.4").replace("113", "3"), "README.md", "exec"), names
        )
    assert isinstance(names["responses"], fer.Responses)


def test_the_library_page_lists_the_public_names():
    page = (ROOT / "book" / "library" / "index.md").read_text("utf-8")
    assert re.findall(r"`fer\.(\w+)`", page) == fer.__all__


def test_the_documented_example_runs():
    outcome = doctest.testmod(probing)
    assert outcome.attempted > 4
    assert outcome.failed == 0


class Faces(Dataset):
    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, i):
        if i >= len(self):
            raise IndexError(i)
        return self.pictures[i], i % 3


class Some(Dataset):
    def __init__(self, give):
        self.give = give

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return self.give(i)


class Stream(IterableDataset):
    def __init__(self, pictures):
        self.pictures = pictures

    def __iter__(self):
        return iter(self.pictures)


SOURCES = {
    "tensor": lambda x: x,
    "array": lambda x: x.numpy(),
    "list of pictures": lambda x: list(x),
    "list of arrays": lambda x: list(x.numpy()),
    "list of (picture, label)": lambda x: [(a, i % 3) for i, a in enumerate(x)],
    "tuple of (array, name)": lambda x: tuple((a, f"S{i}") for i, a in enumerate(x.numpy())),
    "list of dictionaries": lambda x: [{"pixels": a, "label": 1} for a in x],
    "batches": lambda x: list(x.split(7)),
    "batches with labels": lambda x: [(a, torch.zeros(len(a))) for a in x.split(9)],
    "data set": Faces,
    "loader": lambda x: DataLoader(TensorDataset(x), batch_size=11),
    "loader with labels": lambda x: DataLoader(Faces(x), batch_size=6),
    "stream": lambda x: DataLoader(Stream(x), batch_size=4),
    "mapped": lambda x: DataLoader([{"pixels": a, "label": 1} for a in x], batch_size=13),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_all_kinds_of_pictures_give_the_same(kind, pictures):
    model = network()
    probe = fer.Probe(model, layer="4")
    responses = probe.record(SOURCES[kind](pictures))
    plain = activations.record(model, pictures, "4")
    assert np.array_equal(responses.maximum, plain.maximum)
    found = responses.exemplars(n=3)
    assert np.array_equal(found.picture, exemplars(plain, 3).picture)
    projected = found.project("guided")
    expected = deconv.project(model, pictures, found.units(), "4", "guided")
    assert np.array_equal(projected.patch, expected.patch)
    assert np.array_equal(projected.originals(), crops(pictures, expected))
    assert projected[[2, 0]].originals().shape == projected.patch[:2].shape


def test_pictures_that_are_read_once_are_refused_when_they_are_needed_again(pictures):
    responses = fer.Probe(network(), "4").record(batch for batch in pictures.split(9))
    assert len(responses) == 40
    with pytest.raises(FerError, match="came from a generator, which can be read only once: give an array"):
        responses.exemplars().project()


def test_shuffled_pictures_have_no_numbers(pictures):
    loader = DataLoader(TensorDataset(pictures), batch_size=5, shuffle=True)
    responses = fer.Probe(network(), "4").record(loader)
    for ask in (lambda: responses.exemplars().project(), lambda: responses.detectors(np.arange(40) % 2)):
        with pytest.raises(FerError, match="shuffle=False"):
            ask()


class Anew(Sampler):
    def __iter__(self):
        return iter(torch.randperm(40).tolist())

    def __len__(self):
        return 40


@pytest.mark.parametrize(
    "options",
    [
        dict(batch_sampler=BatchSampler(RandomSampler(range(40)), 4, False)),
        dict(sampler=Anew()),
        dict(batch_sampler=BatchSampler(Anew(), 4, False)),
        dict(sampler=DistributedSampler(range(40), 1, 0)),
    ],
)
def test_shuffling_that_hides_in_a_sampler_is_found(options, pictures):
    responses = fer.Probe(network(), "4").record(DataLoader(TensorDataset(pictures), **options))
    before = torch.random.get_rng_state()
    with pytest.raises(FerError, match="shuffle=False"):
        responses.detectors(np.arange(40) % 2)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_order_of_the_users_own_is_one(pictures):
    loader = DataLoader(TensorDataset(pictures), sampler=list(range(39, -1, -1)), batch_size=7)
    probe, labels = fer.Probe(network(), "4"), np.arange(40) % 3 == 0
    found = probe.record(loader).detectors(labels, permutations=5, draws=5)
    same = probe.record(pictures.flip(0)).detectors(labels, permutations=5, draws=5)
    pd.testing.assert_frame_equal(found, same)


def test_groups_may_be_of_mixed_kinds(pictures):
    responses = fer.Probe(network(), "4").record(pictures)
    mixed = responses.exemplars(groups=[1, "1", "b", ("c", 2)] * 10)
    assert np.array_equal(mixed.picture, responses.exemplars(groups=np.arange(40) % 4).picture)


def test_pictures_and_networks_that_have_changed_are_noticed(pictures):
    class Noisy(Faces):
        def __getitem__(self, i):
            return self.pictures[i] + torch.randn(self.pictures[i].shape)

    model = network()
    with pytest.raises(FerError, match=r"map \d+ gives .* and gave .* when it was recorded"):
        fer.Probe(model, "4").record(Noisy(pictures)).exemplars().project()
    responses = fer.Probe(model, "4").record(pictures)
    with torch.no_grad():
        model[3].weight *= 2
    with pytest.raises(FerError, match="record again once the network was changed"):
        responses.exemplars().project()
    fewer = Faces(pictures)
    responses = fer.Probe(model, "4").record(fewer)
    fewer.pictures = pictures[:3]
    with pytest.raises(FerError, match="now there are 3"):
        responses.exemplars().project()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda probe, x: fer.Probe(probe.model, "9"), "there is no layer '9': the layers are 0, 1, 2, 3, 4"),
        (lambda probe, x: fer.Probe(None, "9"), "model is NoneType: give an nn.Module"),
        (lambda probe, x: probe.record(5), "images are int: give an array"),
        (lambda probe, x: probe.record(x[0]), "give (n, C, H, W)"),
        (lambda probe, x: probe.record([]), "there are no pictures to record"),
        (lambda probe, x: probe.record(x).exemplars(n=0), "n=0 is not possible"),
        (lambda probe, x: probe.record(x).exemplars().project("lrp"), "rule 'lrp' is unknown"),
        (lambda probe, x: probe.record(x).exemplars().project(maps=5), "there is no map 5: give 0 to 4"),
        (lambda probe, x: probe.record(x).exemplars().project().show(), "projections of 5 maps: choose one"),
        (
            lambda probe, x: probe.record(x).exemplars().project(maps=[1, 2]).show(map=3),
            "no projection of map 3",
        ),
        (lambda probe, x: probe.record(x).exemplars().project(maps=[]).show(), "no projections to show"),
        (lambda probe, x: probe.record(x).detectors([1, 0]), "2 rows of labels are given"),
        (lambda probe, x: probe.record(x).detectors(["a", "b"] * 20), "pandas.get_dummies"),
        (lambda probe, x: probe.record(x).detectors(np.arange(40)), "has the label 2"),
        (lambda probe, x: probe.record(x).detectors(np.zeros((40, 1, 1))), "labels have shape (40, 1, 1)"),
        (lambda probe, x: probe.record(x).detectors([1, 0] * 20, groups=[1, 2]), "groups have shape (2,)"),
        (
            lambda probe, x: probe.record(x).detectors([1, 0] * 20, groups=[None] + [1] * 39),
            "groups: row 0 has none",
        ),
        (lambda probe, x: probe.record(x).detectors([1, 0] * 20, folds=1), "folds=1 is not possible"),
        (lambda probe, x: probe.record(x).detectors([1, 0] * 20, folds=2.5), "folds=2.5 is not possible"),
        (lambda probe, x: probe.record(x).detectors([1, 0] * 20, draws="5"), "draws='5' is not possible"),
        (lambda probe, x: probe.record(x).detectors([1, 0] * 20, seed=-1), "seed=-1 is not possible"),
        (
            lambda probe, x: probe.record(x).detectors([1, 0] * 20, groups=[np.nan, "a"] * 20),
            "groups: row 0 has none",
        ),
        (
            lambda probe, x: probe.record(x).detectors([[1], [1, 0]] * 20),
            "labels have rows of differing lengths",
        ),
        (lambda probe, x: probe.record(x).detectors(np.zeros((40, 0))), "labels have no column"),
        (lambda probe, x: probe.record(x).exemplars(n=2.5), "n=2.5 is not possible"),
        (lambda probe, x: probe.record(x).exemplars(n="3"), "n='3' is not possible"),
        (lambda probe, x: probe.record(x).exemplars(groups=[None, "a"] * 20), "groups: row 0 has none"),
        (lambda probe, x: probe.record(x).exemplars(groups=np.full(40, np.nan)), "groups: row 0 has none"),
        (lambda probe, x: probe.record(x).exemplars(among=[[1, 2]]), "pictures have shape (1, 2)"),
        (
            lambda probe, x: probe.record(x).exemplars().project(batch_size="4"),
            "batch_size='4' is not possible",
        ),
        (
            lambda probe, x: probe.record(x).exemplars().project().show(map=[1, 2]),
            "map=[1, 2] is not possible",
        ),
        (lambda probe, x: probe.record(x).exemplars().project().show(map=True), "map=True is not possible"),
        (
            lambda probe, x: probe.record(Some(lambda i: (x[i], None))),
            "the data set's pictures make no batch",
        ),
        (lambda probe, x: probe.record(Some(lambda i: x[i, :, i:])), "let it give tensors of one size"),
        (lambda probe, x: probe.record([(x[0], 1), (x[1, :, 1:], 0)]), "make no batch"),
        (lambda probe, x: probe.record([(x[0], 1), (x[1],)]), "make no batch"),
        (lambda probe, x: probe.record((p, 1) for p in x), "such as by a DataLoader"),
        (lambda probe, x: probe.record(x).exemplars(among=[1, 1, 1]), "among holds picture 1 more than once"),
    ],
)
def test_wrong_questions_are_answered_in_one_line(ask, message, pictures):
    with pytest.raises(FerError) as said:
        ask(fer.Probe(network(), "4"), pictures)
    assert message in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_figure_shows_each_exemplar_beside_its_projection(channels):
    x = torch.randn(20, channels, 12, 10, generator=torch.Generator().manual_seed(1))
    model = network(channels)
    projected = fer.Probe(model, "4").record(x).exemplars(n=4).project("guided")
    figure = projected.show(map=2)
    shown = [ax for ax in figure.axes if ax.images]
    some = projected.of_map(2)
    assert len(shown) == 2 * len(some)

    def visible(values):
        return values.transpose(1, 2, 0) if channels == 3 else values.mean(0)

    for i, (left, right) in enumerate(zip(shown[::2], shown[1::2], strict=True)):
        assert left.get_title() == f"picture {some.units.picture[i]}"
        assert np.array_equal(left.images[0].get_array(), grey(visible(some.originals()[i])))
        assert np.array_equal(right.images[0].get_array(), signed_grey(visible(some.patch[i])))
    assert "map 2 of 4, guided" in figure.get_suptitle()
    assert projected.of_map(2).show().axes


def test_a_network_that_is_no_stack_shows_whole_pictures():
    x = torch.randn(6, 3, 16, 16)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU())
    projected = fer.Probe(model, "2").record(x).exemplars(n=2).project(maps=1)
    assert projected.way == "whole frame"
    assert np.array_equal(projected.originals(), x.numpy()[projected.units.picture])
    assert "whole frame" in repr(projected) and "1 maps" in repr(projected)


def test_results_of_a_probe_are_saved_as_any(tmp_path, pictures):
    responses = fer.Probe(network(), "4").record(pictures)
    responses.save(tmp_path)
    assert np.array_equal(fer.Responses.load(tmp_path).row, responses.row)
    projected = responses.exemplars(n=1).project()
    projected.save(tmp_path)
    again = fer.Projections.load(tmp_path)
    assert (again.way, again.layer) == ("windowed", "4")
    assert np.array_equal(again.patch, projected.patch)


# -------------------------------------------------------------------- detectors


def planted(seed=0, people=20, each=12, maps=7, strength=2.0):
    """Responses of which map 3 rises with concept 0; concept 1 is noise, concept 2 is known for half the rows."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(people), each)
    labels = rng.integers(0, 2, (len(groups), 3)).astype(float)
    scores = rng.normal(size=(len(groups), maps)) + rng.normal(size=people)[groups][:, None]
    scores[:, 3] += strength * labels[:, 0]
    scores[:, 5] += strength * labels[:, 2]
    labels[::2, 2] = np.nan
    return scores, labels, groups


def test_a_planted_detector_is_found_and_noise_is_not():
    scores, labels, groups = planted()
    found = held_out_detectors(scores, labels, groups, names=["there", "noise", "half"], permutations=200)
    assert found.loc[["there", "half"], "map"].tolist() == [3, 5]
    assert (found.loc[["there", "half"], "agree"] == 1).all()
    assert (found.loc[["there", "half"], "low"] > 0.7).all()
    assert (found.loc[["there", "half"], "p"] == 1 / 201).all()
    assert found.loc["noise", "p"] > 0.05
    assert found.loc["noise", "low"] < 0.5 < found.loc["noise", "high"]
    assert found.loc["half", ["with", "without"]].sum() == 120
    assert ((found["low"] <= found["auc"]) & (found["auc"] <= found["high"])).all()


def test_the_held_out_area_is_that_of_a_plain_loop():
    scores, labels, groups = planted(1)
    found = held_out_detectors(scores, labels, groups, permutations=1, draws=1, folds=4)
    for concept in range(3):
        known = ~np.isnan(labels[:, concept])
        won = pairs = 0.0
        for train, test in GroupKFold(4).split(scores, groups=groups):
            train, test = train[known[train]], test[known[test]]
            areas = [roc_auc_score(labels[train, concept], scores[train, c]) for c in range(scores.shape[1])]
            best = int(np.argmax(areas))
            weight = (labels[test, concept] == 1).sum() * (labels[test, concept] == 0).sum()
            won += weight * roc_auc_score(labels[test, concept], scores[test, best])
            pairs += weight
        assert found["auc"].iloc[concept] == pytest.approx(won / pairs, abs=1e-12)


def test_p_values_of_noise_are_uniform():
    p = np.concatenate(
        [
            held_out_detectors(*planted(seed, 6, 6, 6, 0.0), permutations=39, draws=1, folds=3)["p"]
            for seed in range(60)
        ]
    )
    # 180 values, of which 1 in 20 is at most 0.05: more than 18 happen in less than one run of a thousand.
    assert (p <= 0.05).sum() <= 18
    assert 0.4 < np.mean(p) < 0.65


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from([lambda x: 3 * x + 1, np.exp, lambda x: x**3]))
def test_only_the_order_of_responses_counts(seed, rising):
    scores, labels, groups = planted(seed, 7, 3, 6)
    one = held_out_detectors(scores, labels, groups, permutations=9, draws=9)
    other = held_out_detectors(rising(scores), labels, -groups, permutations=9, draws=9)
    pd.testing.assert_frame_equal(one, other)


def test_what_cannot_be_told_is_nan():
    scores, _, groups = planted()
    labels = np.zeros((len(scores), 4))
    labels[:, 1] = 1
    labels[:, 2] = groups % 2  # the same for all rows of a person
    labels[:, 3] = np.nan
    found = held_out_detectors(scores, labels, groups, permutations=5, draws=5)
    assert found["map"].tolist()[:2] == [-1, -1] and found["map"].iloc[3] == -1
    assert found.loc[[0, 1, 3], ["auc", "low", "high", "p", "agree"]].isna().all(axis=None)
    assert np.isnan(found.loc[2, "p"]) and np.isfinite(found.loc[2, "auc"])
    with pytest.raises(Lacking, match="single group"):
        held_out_detectors(scores, labels, np.zeros(len(scores)))


def test_labels_may_be_tables_arrays_and_tensors(pictures):
    responses = fer.Probe(network(), "4").record(pictures)
    smiles = np.arange(40) % 2
    options = dict(permutations=20, draws=20)
    table = pd.DataFrame(
        {"smile": smiles == 1, "frown": pd.array([True, None, False, None] * 10, dtype="boolean")}
    )
    found = responses.detectors(table, groups=np.arange(40) // 4, **options)
    assert found.index.tolist() == ["smile", "frown"]
    assert found[["with", "without"]].to_numpy().tolist() == [[20, 20], [10, 10]]
    alone = responses.detectors(table["smile"], **options)
    assert alone.index.tolist() == ["smile"]
    for same in (
        smiles,
        smiles[:, None],
        torch.from_numpy(smiles),
        torch.tensor(smiles).bfloat16(),
        smiles.tolist(),
        smiles.astype(bool),
    ):
        again = responses.detectors(same, **options)
        assert np.array_equal(again.to_numpy(float), alone.to_numpy(float))
    levels = pd.MultiIndex.from_tuples([("face", 6), ("face", 12)])
    two = responses.detectors(pd.DataFrame(np.stack([smiles, 1 - smiles], 1), columns=levels), **options)
    assert two.index.tolist() == levels.tolist()
    assert responses.detectors(pd.Series(smiles, name=("face", 6)), **options).index.tolist() == [("face", 6)]
    dummies = responses.detectors(pd.get_dummies(np.array(list("abca") * 10)), **options)
    assert dummies.index.tolist() == ["a", "b", "c"]


def test_a_masked_label_is_not_known(pictures):
    responses = fer.Probe(network(), "4").record(pictures)
    labels, hidden = np.arange(40) % 2, np.arange(40) < 8
    options = {"groups": np.arange(40) // 5, "permutations": 9, "draws": 9}
    expected = responses.detectors(np.where(hidden, np.nan, labels), **options)
    for known in (
        np.ma.masked_array(labels, mask=hidden),
        [None if gone else label for label, gone in zip(labels, hidden, strict=True)],
        [pd.NA if gone else label for label, gone in zip(labels, hidden, strict=True)],
        {0: pd.Series(labels).mask(hidden)},
        {0: np.ma.masked_array(labels, mask=hidden)},
        {0: np.ma.masked_array(np.where(hidden, 9, labels), mask=hidden)},
    ):
        pd.testing.assert_frame_equal(responses.detectors(known, **options), expected)
    assert expected["with"].item() + expected["without"].item() == 32


@pytest.mark.parametrize(
    "batch", [lambda x, y: (x, y), lambda x, y: [x, y], lambda x, y: {"image": x, "label": y}]
)
def test_one_batch_beside_its_labels_is_one_batch(batch, pictures):
    probe = fer.Probe(network(), "4")
    found = probe.record(batch(pictures, torch.zeros(len(pictures))))
    assert np.array_equal(found.maximum, probe.record(pictures).maximum)
    assert len(found.exemplars(n=2).project()) > 0


@pytest.mark.parametrize("form", [lambda x: x, lambda x: DataLoader(x, batch_size=7)])
def test_selected_responses_keep_their_pictures(form, pictures):
    responses = fer.Probe(network(), "4").record(form(pictures))
    rows = np.array([31, 2, 17, 5, 8])
    some = responses.select(rows).select([4, 1, 0])
    alone = fer.Probe(network(), "4").record(pictures[rows[[4, 1, 0]]])
    assert np.array_equal(some.maximum, alone.maximum)
    ours, theirs = (one.exemplars(n=2).project(rule="guided") for one in (some, alone))
    np.testing.assert_allclose(ours.patch, theirs.patch, atol=1e-6)
    np.testing.assert_array_equal(ours.originals(), theirs.originals())
    found = responses.select(np.arange(40) < 20).detectors(np.arange(20) % 2, permutations=9, draws=9)
    assert found["with"].item() == 10


def test_what_is_hidden_in_a_picture_is_asked_for(pictures):
    hidden = np.ma.masked_array(pictures.numpy(), mask=pictures.numpy() > 0.9)
    for masked in (hidden, list(hidden)):
        with pytest.raises(FerError, match="masked array"):
            fer.Probe(network(), "4").record(masked)


def test_weights_without_gradients_are_named(pictures):
    with torch.inference_mode():
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    exemplars = fer.Probe(model, "2").record(pictures).exemplars(n=2)
    with pytest.raises(FerError, match="inference mode"):
        exemplars.project()


def test_one_projection_is_selected_by_a_number_of_any_kind(pictures):
    projections = fer.Probe(network(), "4").record(pictures).exemplars(n=2).project()
    for index in (1, np.int64(1), [1], torch.tensor([1]), torch.tensor(1), slice(1, 2)):
        assert len(projections[index]) == 1 and projections[index].value[0] == projections.value[1]


@pytest.mark.parametrize(
    "index",
    [
        *("a", "1", None, 1.0, 1j, ("a", 1), [1, "a"], [[1], [1, 2]], {}, [None], b"a", ...),
        *(
            np.nan,
            [0.0, 1.0],
            np.zeros((2, 2), int),
            [True],
            np.ones(11, bool),
            slice("a", None),
            slice(0, 1.5),
        ),
    ],
    ids=repr,
)
def test_what_selects_no_projections_is_refused_in_one_line(index, pictures):
    projections = fer.Probe(network(), "4").record(pictures).exemplars(n=2).project()
    for selectable in (projections, projections.units):
        with pytest.raises(FerError, match="selects nothing: give ") as refused:
            selectable[index]
        assert "\n" not in str(refused.value)


@given(st.integers(-30, 30))
def test_projections_are_numbered_as_a_list_is(number):
    projections = (
        fer.Probe(network(), "4").record(torch.rand(4, 1, 12, 10)).exemplars(n=2).project(maps=[0, 1])
    )
    as_list = list(projections)
    assert len(as_list) == len(projections)
    try:
        expected = as_list[number]
    except IndexError:
        with pytest.raises(IndexError):
            projections[number]
    else:
        assert np.array_equal(projections[number].value, expected.value)


def test_responses_of_ones_own_are_checked():
    whole, places = np.ones((2, 3), np.float32), np.zeros((2, 3), int)
    assert len(fer.Responses(whole.tolist(), places.tolist(), places.tolist())) == 2
    for wrong, message in (
        ((whole, places.T, places), "row has shape"),
        ((whole[0], places[0], places[0]), "maximum has shape"),
        ((whole, whole, places), "row is float32"),
        ((whole.astype(complex), places, places), "maximum is complex"),
    ):
        with pytest.raises(FerError, match=message):
            fer.Responses(*wrong)


def test_a_file_where_a_folder_is_wanted_is_left_alone(tmp_path, pictures):
    taken = tmp_path / "notes.txt"
    taken.write_text("mine")
    probe = fer.Probe(network(), "4")
    responses = probe.record(pictures)
    for write in (
        lambda: probe.record(pictures, taken),
        lambda: responses.save(taken),
        lambda: responses.exemplars(n=1).project().save(taken),
    ):
        with pytest.raises(FerError, match="give another folder"):
            write()
    assert taken.read_text() == "mine"


@pytest.mark.parametrize("labels", [{"a": [1, 0]}, {"a": 1}, {"a": None}, {"a": np.zeros((40, 2))}])
def test_columns_of_labels_that_do_not_fit_are_named(labels, pictures):
    responses = fer.Probe(network(), "4").record(pictures)
    with pytest.raises(FerError, match="labels of 'a' have shape"):
        responses.detectors(labels)


@pytest.mark.parametrize("names", [5, "a", [["a"]]])
def test_names_of_concepts_are_a_list(names):
    scores, labels = np.random.default_rng(0).random((20, 3)), np.arange(20)[:, None] % 2
    with pytest.raises(FerError, match="names"):
        held_out_detectors(scores, labels, names=names)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("faces", "images are str"),
        (pd.DataFrame({"image": [1]}), "images are DataFrame"),
        (["a.png", "b.png"], "'a.png': open it"),
        ([Path("a.png")], "'a.png': open it"),
        ([Image.new("RGB", (8, 8))], "PIL image"),
        ([(Image.new("RGB", (8, 8)), 1)], "PIL images"),
        (Image.new("RGB", (8, 8)), "images are Image"),
        (torch.zeros(3, 8, 8), re.escape("of a single one picture[None]")),
    ],
)
def test_what_is_no_array_of_pictures_is_refused_with_the_remedy(images, message):
    with pytest.raises(FerError, match=message):
        fer.Probe(network(), "4").record(images)


def test_no_projections_are_selected_by_an_empty_list(pictures):
    projections = fer.Probe(network(), "4").record(pictures).exemplars(n=2).project()
    assert len(projections[[]]) == len(projections[np.zeros(len(projections), bool)]) == 0
    for wrong in (
        lambda: projections.of_map("a"),
        lambda: projections.energy(1, 12, 10),
        lambda: projections.frame(0, -1, 4),
    ):
        with pytest.raises(FerError, match="is not possible"):
            wrong()


def test_the_default_device_of_torch_changes_nothing(pictures):
    """As `torch.set_default_device("cuda")`, which people set; "meta" shows the same without a GPU."""
    stack, other = network(), nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()

    def patches():
        return [
            fer.Probe(model, layer).record(pictures).exemplars(n=2).project("guided").patch
            for model, layer in ((stack, "4"), (other, "2"))
        ]

    expected = patches()
    torch.set_default_device("meta")
    try:
        found = patches()
    finally:
        torch.set_default_device(None)
    for one, same in zip(found, expected, strict=True):
        assert np.array_equal(one, same)


def test_areas_that_are_equal_but_for_rounding_reach_each_other():
    """Of the 2 ** 4 ways to exchange two labels within each of four pairs; p is counted by exact arithmetic."""
    rng = np.random.default_rng(2)
    groups, labels = np.repeat(np.arange(4), 2), np.tile([0, 1], 4)
    scores = rng.integers(0, 3, (8, 1)).astype(float)
    table = held_out_detectors(scores, labels[:, None], groups, folds=4, permutations=4000, draws=1)

    def area(labels):
        return sum(
            (
                scores[2 * g + labels[2 * g : 2 * g + 2].argmax(), 0]
                > scores[2 * g + labels[2 * g : 2 * g + 2].argmin(), 0]
            )
            * 2
            + (scores[2 * g, 0] == scores[2 * g + 1, 0])
            for g in range(4)
        )

    ways = [
        np.concatenate([(0, 1) if keep else (1, 0) for keep in way])
        for way in itertools.product([0, 1], repeat=4)
    ]
    share = np.mean([area(np.array(way)) >= area(labels) for way in ways])
    assert table["p"].item() == pytest.approx(share, abs=0.04)
