import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from fer_lib.config import Training
from fer_lib.errors import FerError
from fer_lib.faces.preprocess import Augment
from fer_lib.network import checkpoint, training
from fer_lib.network.batches import Loader, shuffled
from fer_lib.network.folds import cross_validate
from fer_lib.network.repeatable import repeatable
from fer_lib.network.splits import Split
from fer_lib.network.starts import initialisation_study
from fer_lib.network.trainer import Trainer
from fer_lib.network.training import converged, load_trained, train

HP = Training(epochs=3, batch_size=8, crop=36, resize=38, padding=0, patience=0, learning_rate=0.01)
TRAIN, TEST = np.arange(20), np.arange(20, 28)


def faces(n=28, seed=0):
    """Two classes that differ in the place of a bright bar."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    crops = []
    for label in labels:
        crop = generator.integers(0, 60, (40 + generator.integers(5), 44), np.uint8)
        rows = slice(5, 12) if label else slice(26, 33)
        crop[rows, 8:36] += 150
        crops.append(crop)
    return crops, labels


CROPS, LABELS = faces()


def run(folder, hp=HP, **options):
    return train(CROPS, LABELS, TRAIN, TEST, hp, folder=folder, progress=False, **{"classes": 2, **options})


def bits(folder):
    """Everything of a finished run that has to be the same again."""
    history = pd.read_parquet(folder / "history.parquet").drop(columns="seconds")
    return (
        (folder / "model.safetensors").read_bytes(),
        (folder / "predictions.parquet").read_bytes(),
        history.to_numpy().tobytes(),
        (folder / "training.json").read_bytes(),
        *(path.read_bytes() for path in sorted(folder.glob("filters-*"))),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    run(folder, seed=3)
    return folder


def test_learns(tmp_path):
    trained = run(tmp_path, replace(HP, epochs=12, learning_rate=0.003))
    assert trained.history["loss"].iloc[-1] < trained.history["loss"].iloc[0] / 3
    assert (trained.predictions.argmax(1) == LABELS[TEST]).all()
    assert trained.history["test_accuracy"].iloc[-1] == 1


def test_result_is_complete(finished):
    trained = load_trained(finished)
    assert list(trained.history["epoch"]) == [1, 2, 3]
    assert trained.predictions.shape == (8, 2) and trained.predictions.dtype == np.float32
    np.testing.assert_allclose(trained.predictions.sum(1), 1, rtol=1e-6)
    assert np.array_equal(trained.test, TEST) and trained.stopped == "epochs"
    assert not trained.model.training and not list(finished.glob("checkpoint*"))
    assert (trained.history["seconds"] > 0).all()


def test_the_filters_on_the_way_are_those_of_shorter_runs(finished, tmp_path):
    kept = training.filters_in_training(finished)
    assert list(kept) == [0, 1]
    for passes, filters in kept.items():
        model = run(tmp_path / str(passes), replace(HP, epochs=passes), seed=3).model
        torch.testing.assert_close(filters, dict(model.features.state_dict()), rtol=0, atol=0)
    assert training.filters_in_training(tmp_path / "0") == {}


def test_same_seed_same_bits_other_seed_other_bits(finished, tmp_path):
    run(tmp_path / "same", seed=3)
    run(tmp_path / "other", seed=4)
    assert bits(finished) == bits(tmp_path / "same")
    assert bits(finished)[0] != bits(tmp_path / "other")[0]


@pytest.mark.parametrize(
    ("place", "before", "call"),
    [
        ("_epoch", True, 2),
        ("write_checkpoint", True, 1),
        ("write_checkpoint", False, 2),
        ("write_checkpoint", False, 3),
        ("_write_result", True, 1),
        ("remove_checkpoint", True, 1),
    ],
)
def test_interrupted_run_ends_with_the_same_bits(finished, tmp_path, monkeypatch, place, before, call):
    owner = training
    original, calls = getattr(owner, place), []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) < call:
            return original(*arguments)
        if not before:
            original(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, place, stopping)
        run(tmp_path, seed=3)
    run(tmp_path, seed=3)
    assert bits(tmp_path) == bits(finished)


def test_stopped_between_tensors_and_index(finished, tmp_path, monkeypatch):
    def stopping(path, content):
        if path.name == "checkpoint.json" and b'"checkpoint-2' in content:
            raise KeyboardInterrupt
        original(path, content)

    original = checkpoint.write_aside
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "write_aside", stopping)
        run(tmp_path, seed=3)
    assert (tmp_path / "checkpoint-2.safetensors").exists()
    run(tmp_path, seed=3)
    assert bits(tmp_path) == bits(finished)


KILLED = """
    import sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from test_training import run
    run(Path(sys.argv[2]), seed=3)
"""


def test_killed_process_resumes_to_the_same_bits(finished, tmp_path, request):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(request.path.parent), str(tmp_path)]
    with subprocess.Popen(command) as process:
        while process.poll() is None and not (tmp_path / "checkpoint.json").exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "training.json").exists()
    run(tmp_path, seed=3)
    assert bits(tmp_path) == bits(finished)


def interrupted(folder, monkeypatch):
    """A folder that holds the state after the second epoch."""
    original, calls = training.write_checkpoint, []

    def stopping(*arguments):
        original(*arguments)
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "write_checkpoint", stopping)
        run(folder, seed=3)


def test_resumed_run_calculates_with_the_threads_it_began_with(finished, tmp_path, monkeypatch):
    interrupted(tmp_path, monkeypatch)
    before, seen, original = torch.get_num_threads(), [], training._epoch

    def watching(*arguments):
        seen.append(torch.get_num_threads())
        return original(*arguments)

    monkeypatch.setattr(training, "_epoch", watching)
    try:
        torch.set_num_threads(before + 1)
        run(tmp_path, seed=3)
    finally:
        torch.set_num_threads(before)
    assert seen == [before] and bits(tmp_path) == bits(finished)


@pytest.mark.parametrize("name", ["checkpoint.json", "checkpoint-2.safetensors"])
def test_damaged_checkpoint_is_not_used(finished, tmp_path, monkeypatch, caplog, name):
    interrupted(tmp_path, monkeypatch)
    content = bytearray((tmp_path / name).read_bytes())
    content[-20] ^= 1
    (tmp_path / name).write_bytes(content[: -1 if name.endswith("json") else None])
    run(tmp_path, seed=3)
    assert "damaged" in caplog.text and bits(tmp_path) == bits(finished)


def test_checkpoint_of_other_versions_is_not_used(finished, tmp_path, monkeypatch, caplog):
    interrupted(tmp_path, monkeypatch)
    index = json.loads((tmp_path / "checkpoint.json").read_text())
    index["environment"]["torch"] = "1.0"
    (tmp_path / "checkpoint.json").write_text(json.dumps(index))
    run(tmp_path, seed=3)
    assert "torch 1.0" in caplog.text and bits(tmp_path) == bits(finished)


def test_folder_of_another_run_is_refused(finished, tmp_path, monkeypatch):
    interrupted(tmp_path, monkeypatch)
    for folder in (tmp_path, finished):
        with pytest.raises(FerError, match=r"learning_rate: 0.01, not 0.02"):
            run(folder, replace(HP, learning_rate=0.02), seed=3)
        with pytest.raises(FerError, match="data"):
            train(CROPS, 1 - LABELS, TRAIN, TEST, HP, classes=2, seed=3, folder=folder, progress=False)


def test_finished_run_is_not_repeated(finished, monkeypatch):
    monkeypatch.setattr(training, "Trainer", None)
    assert run(finished, seed=3).stopped == "epochs"


def test_global_state_is_left_alone(tmp_path):
    def state():
        return (
            torch.random.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        )

    before = state()
    run(tmp_path)
    assert state() == before


def test_global_state_does_not_matter(finished, tmp_path):
    torch.manual_seed(99)
    run(tmp_path, seed=3)
    assert bits(tmp_path) == bits(finished)


def test_no_epoch_gives_the_network_before_training(tmp_path, finished):
    untrained = run(tmp_path, replace(HP, epochs=0), seed=3)
    assert untrained.history.empty and untrained.predictions.shape == (8, 2)
    assert untrained.steps == 0 and (untrained.moved == 0).all() and len(untrained.moved) == 5
    weights = load_file(tmp_path / "model.safetensors")
    assert weights["features.conv1.weight"].std() == pytest.approx(np.sqrt(1 / 25), rel=0.05)


def test_first_step_is_the_papers(tmp_path):
    """One batch without chance: weights = w - lr (g + decay w), by autograd in float64."""
    hp = replace(HP, epochs=1, batch_size=20, dropout=0.0, degrees=0.0, flip=0.0, resize=36)
    hp = replace(hp, weight_decay=0.1)
    start = run(tmp_path / "start", replace(hp, epochs=0)).model.double()
    after = run(tmp_path / "after", hp).model
    inputs = torch.stack([Augment(0, 0, 36, 36)(c, torch.Generator()) for c in CROPS[:20]])
    torch.nn.functional.cross_entropy(start(inputs.double()), torch.from_numpy(LABELS[:20])).backward()
    for (name, w), (_, moved) in zip(start.named_parameters(), after.named_parameters(), strict=True):
        expected = w - 0.01 * (w.grad + 0.1 * w)
        torch.testing.assert_close(moved.double(), expected, rtol=1e-5, atol=1e-6, msg=name)


def test_momentum_and_decay_of_the_defaults():
    hp = Training()
    assert (hp.batch_size, hp.learning_rate, hp.momentum, hp.weight_decay, hp.dropout) == (
        64,
        1e-2,
        0.9,
        1e-4,
        0.5,
    )
    run = Trainer(replace(HP, momentum=0.7, weight_decay=0.2), 2, 0, "cpu")
    group = run.optimiser.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.01, 0.7, 0.2)
    assert not group["nesterov"] and group["dampening"] == 0


def test_divergence_is_an_error(tmp_path):
    with pytest.raises(FerError, match=r"loss became .* in epoch 1.*initialisation='paper'"):
        run(tmp_path, replace(HP, initialisation="paper", learning_rate=100))


def test_test_pictures_never_decide(finished, tmp_path):
    """Other test pictures, other labels of theirs: the same network."""
    labels = LABELS.copy()
    labels[20:] = 0
    train(
        CROPS, labels, TRAIN, np.arange(20, 25), HP, classes=2, seed=3, folder=tmp_path / "a", progress=False
    )
    none = train(CROPS, labels, TRAIN, [], HP, classes=2, seed=3, folder=tmp_path / "b", progress=False)
    assert bits(tmp_path / "a")[0] == bits(finished)[0] == bits(tmp_path / "b")[0]
    assert none.predictions.shape == (0, 2) and none.history["test_loss"].isna().all()


def test_shuffled_labels_are_those_of_the_training_pictures_in_another_order(finished, tmp_path):
    dealt = shuffled(LABELS, TRAIN, seed=3)
    assert sorted(dealt[TRAIN]) == sorted(LABELS[TRAIN]) and (dealt[TRAIN] != LABELS[TRAIN]).any()
    assert (dealt[TEST] == LABELS[TEST]).all()
    control = run(tmp_path / "control", replace(HP, shuffled_labels=True), seed=3)
    by_hand = train(
        CROPS, dealt, TRAIN, TEST, HP, classes=2, seed=3, folder=tmp_path / "by hand", progress=False
    )
    assert bits(tmp_path / "control")[:3] == bits(tmp_path / "by hand")[:3]
    assert np.array_equal(control.test, by_hand.test), "tested on the labels that the pictures have"
    assert bits(tmp_path / "control")[0] != bits(finished)[0]


def test_the_predecessors_head_is_trained_and_comes_back(tmp_path):
    hp = replace(HP, architecture="breuer_kimmel")
    trained = run(tmp_path / "a", hp)
    assert trained.model.classifier.fc1.out_features == 512
    assert trained.model.classifier.dropout_maps.p == 0.25
    run(tmp_path / "b", hp)
    assert bits(tmp_path / "a") == bits(tmp_path / "b")
    assert "dropout_maps" not in dict(run(tmp_path / "c").model.classifier.named_children())


def test_stops_when_converged(tmp_path):
    trained = run(tmp_path, replace(HP, epochs=30, tolerance=0.99, patience=2))
    assert trained.stopped == "converged" and len(trained.history) == 3
    assert trained.history["test_loss"].notna().iloc[-1]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], False),
        ([1, 0.5, 0.25], False),
        ([1, 1, 1], True),
        ([1, 0.999, 0.998], True),
        ([1, 1, 0.5, 0.5], False),
        ([1, 1, 0.5, 0.5, 0.6], True),
        ([0.0, 0.0, 0.0], True),
        ([1, 1.2, 0.98], False),
    ],
)
def test_convergence(losses, expected):
    assert converged(losses, 0.01, 2) is expected
    assert not converged(losses, 0.01, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_idx": []}, "train_idx is empty"),
        ({"train_idx": [28]}, "28 crops"),
        ({"test_idx": [-1]}, "28 crops"),
        ({"test_idx": [19, 20]}, "picture 19 is in train_idx and in test_idx"),
        ({"labels": np.full(28, 2)}, "label 2; classes=2"),
        ({"labels": np.full(28, -1)}, "label -1"),
        ({"labels": LABELS[:-1]}, "one label for each crop"),
    ],
)
def test_wrong_input(tmp_path, change, message):
    given = {"labels": LABELS, "train_idx": TRAIN, "test_idx": TEST, **change}
    with pytest.raises(FerError, match=message):
        train(CROPS, given["labels"], given["train_idx"], given["test_idx"], HP, classes=2, folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_idx": np.arange(28) < 20}, "train_idx is bool of shape"),
        ({"train_idx": TRAIN.astype(float)}, "train_idx is float64"),
        ({"test_idx": TEST[None]}, "test_idx is int64 of shape"),
        (
            {"labels": np.where(np.arange(28) == 3, np.nan, LABELS)},
            "picture 3 of train_idx has the label nan",
        ),
        ({"labels": LABELS + 0.5}, "picture 0 of train_idx has the label 0.5"),
        ({"labels": LABELS.astype(str)}, "labels are <U"),
        (
            {"crops": [*CROPS[:5], np.empty((0, 3), np.uint8), *CROPS[6:]]},
            "picture 5 of train_idx is uint8 of",
        ),
        ({"crops": [*CROPS[:22], CROPS[22] / 255, *CROPS[23:]]}, "picture 22 of test_idx is float64"),
        (
            {"crops": [*CROPS[:22], np.stack([CROPS[22]] * 3, 2), *CROPS[23:]]},
            r"give uint8 \(height, width\)",
        ),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.0}, "seed=1.0"),
        ({"seed": float("nan")}, "seed=nan"),
        ({"seed": True}, "seed=True"),
        ({"seed": None}, "seed=None"),
        ({"classes": 1}, "classes=1"),
        ({"classes": 2.5}, "classes=2.5"),
        ({"device": "nowhere"}, "device 'nowhere' cannot be used"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
        ({"device": "meta"}, "device 'meta' holds no values"),
        ({"device": None}, "device 'None' cannot be used"),
    ],
)
@pytest.mark.parametrize("by_folds", [False, True])
def test_arguments_that_cannot_work_are_refused_before_anything_is_done(tmp_path, change, message, by_folds):
    given = {"crops": CROPS, "labels": LABELS, "train_idx": TRAIN, "test_idx": TEST, **change}
    crops, labels, sides = given["crops"], given["labels"], (given["train_idx"], given["test_idx"])
    options = {"classes": 2, "seed": 0, "device": "cpu"}
    options |= {name: value for name, value in given.items() if name in options}
    folder = tmp_path / "run"
    with pytest.raises(FerError, match=message) as caught:
        if by_folds:
            cross_validate(crops, labels, [Split(*sides)], HP, folder=folder, **options)
        else:
            train(crops, labels, *sides, HP, folder=folder, **options)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": np.arange(28) < 20}, "bool"),
        ({"seed": -1}, "seed=-1"),
        ({"device": "nowhere"}, "device 'nowhere'"),
        ({"schemes": ["he", "xavier"]}, "initialisation 'xavier' is unknown"),
    ],
)
def test_first_steps_that_cannot_be_taken(change, message, monkeypatch):
    monkeypatch.setattr("fer_lib.network.starts.Trainer", None)
    with pytest.raises(FerError, match=message):
        initialisation_study(CROPS, LABELS, **{"indices": TRAIN, "hp": HP, "classes": 2, **change})


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("epochs", [-1, 2.5, NAN, INF, "3", True, None]),
        ("batch_size", [0, -1, 8.0, NAN]),
        ("learning_rate", [-1, NAN, INF, -INF, np.float32("inf"), 10**400, "0.1", None, True]),
        ("momentum", [-1, 1, 1.5, NAN, INF]),
        ("weight_decay", [-1, NAN, INF]),
        ("dropout", [-0.1, 1, NAN, INF]),
        ("initialisation", ["xavier", 3, None]),
        ("padding", [-1, 0.5, NAN]),
        ("patience", [-1, 0.5, INF]),
        ("tolerance", [-1, 101, NAN, INF]),
        ("degrees", [-1, 181, NAN, INF]),
        ("flip", [-0.1, 1.1, NAN]),
        ("crop", [0, 16, 39, -4, 36.0]),
    ],
)
def test_hyperparameters_that_cannot_work(name, values):
    for value in values:
        with pytest.raises(FerError, match=name) as caught:
            replace(HP, **{name: value})
        assert "\n" not in str(caught.value)


def test_hyperparameters_are_plain_numbers(finished, tmp_path):
    """Numpy's numbers are as good as Python's, and ask for the same run."""
    same = replace(
        HP, epochs=np.int64(3), batch_size=np.uint8(8), learning_rate=np.float64(0.01), flip=np.float32(0.5)
    )
    assert same == HP and type(same.epochs) is int and type(same.flip) is float
    run(tmp_path, same, seed=np.int64(3))
    assert bits(tmp_path) == bits(finished)
    assert type(replace(HP, momentum=0).momentum) is float


def test_networks_that_no_memory_holds_are_refused(tmp_path):
    for classes in (10**12, 2**70):
        with pytest.raises(FerError, match=r"no memory for a network with .*classes="):
            run(tmp_path, classes=classes)


def test_without_momentum_each_step_is_the_gradients(tmp_path, monkeypatch):
    hp = replace(HP, momentum=0, dropout=0.0, epochs=2)
    run(tmp_path / "whole", hp)
    original = training.write_checkpoint

    def stopping(*arguments):
        original(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "write_checkpoint", stopping)
        run(tmp_path / "resumed", hp)
    run(tmp_path / "resumed", hp)
    assert bits(tmp_path / "resumed") == bits(tmp_path / "whole")
    plain = Trainer(hp, 2, 0, "cpu")
    with repeatable("cpu", torch.get_num_threads()), Loader(CROPS, hp, 0, "cpu") as loader:
        for epoch in (1, 2):
            batches = plain.begin(epoch, TRAIN)
            for batch, pictures in zip(batches, loader.augmented(batches, epoch), strict=True):
                plain.model.zero_grad()
                loss = torch.nn.functional.cross_entropy(
                    plain.model(pictures), torch.from_numpy(LABELS[batch])
                )
                loss.backward()
                with torch.no_grad():
                    for w in plain.model.parameters():
                        w -= 0.01 * (w.grad + 0.0001 * w)
    for name, w in load_trained(tmp_path / "whole").model.named_parameters():
        expected = dict(plain.model.named_parameters())[name]
        torch.testing.assert_close(w, expected, rtol=1e-3, atol=1e-4, msg=name)


def test_no_learning_at_all(tmp_path):
    hp = replace(HP, momentum=0, learning_rate=0, weight_decay=0)
    weights = run(tmp_path / "still", hp).model.state_dict()
    start = run(tmp_path / "start", replace(hp, epochs=0)).model.state_dict()
    assert all(torch.equal(weights[name], start[name]) for name in start)


@pytest.mark.parametrize("seed", [2**32 - 1, 2**32, 2**40 + 3, 2**64, 10**30])
def test_seeds_of_any_size(seed, tmp_path):
    hp = replace(HP, epochs=1)
    run(tmp_path / "one", hp, seed=seed)
    run(tmp_path / "other", hp, seed=seed)
    assert bits(tmp_path / "one") == bits(tmp_path / "other")
    if seed >= 2**32:
        run(tmp_path / "low", hp, seed=seed % 2**32)
        assert bits(tmp_path / "low")[0] != bits(tmp_path / "one")[0]


@pytest.mark.parametrize(("rate", "what"), [(1e39, "weights became infinite"), (1e38, "scores of the test")])
def test_divergence_in_the_last_step_is_an_error(tmp_path, rate, what):
    """The loss of a batch is that before its step, so the last step's harm is not in it."""
    with pytest.raises(FerError, match=f"{what}.* in epoch 1; .*lower learning_rate"):
        hp = replace(HP, epochs=1, batch_size=100)
        object.__setattr__(
            hp, "learning_rate", rate
        )  # far beyond what a config allows, to get there in a step
        run(tmp_path, hp)
    assert not (tmp_path / "training.json").exists()


def test_labels_of_pictures_that_are_not_used_may_be_missing(finished, tmp_path):
    labels = np.append(LABELS, np.nan)
    train([*CROPS, CROPS[0]], labels, TRAIN, TEST, HP, classes=2, seed=3, folder=tmp_path, progress=False)
    assert bits(tmp_path)[0] == bits(finished)[0]


def test_folder_without_a_run(tmp_path):
    with pytest.raises(FerError, match="no finished training run"):
        load_trained(tmp_path)


class Failing(list):
    """Crops of which one can no longer be read after some readings."""

    left = 60

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def test_error_in_the_background_reaches_the_caller(tmp_path):
    with pytest.raises(OSError, match="the disk is gone"):
        train(Failing(CROPS), LABELS, TRAIN, TEST, HP, classes=2, folder=tmp_path, progress=False)
