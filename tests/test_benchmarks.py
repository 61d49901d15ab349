import json

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import gpu, measure, memory, nulls, pages, projections, rendering
from benchmarks.__main__ import main
from fer_lib import Study
from fer_lib.artifacts.store import Store
from fer_lib.book import speed
from fer_lib.book.speed import code_digest
from fer_lib.config import make_settings
from fer_lib.errors import FerError
from fer_lib.measures.nulls import permutation_null
from fer_lib.measures.ranks import auc
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import read_stack
from fer_lib.probe.activations import record
from fer_lib.probe.responses import exemplars
from fer_lib.render.person import Person


def test_a_table_is_printed_and_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(measure, "products_per_second", lambda: 1e10)
    main(["recording", "--quick", "--out", str(tmp_path / "table.json")])
    table = json.loads((tmp_path / "table.json").read_text())
    assert len(table) == 3
    for row in table:
        assert row["ratio"] == pytest.approx(row["peer_seconds"] / row["ours_seconds"])
        assert "torch" in row["machine"]
        assert row["code"] == code_digest()
        assert row["quick"] and row["date"][:2] == "20"
    assert "recording 2 pictures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "operation"),
    [("training", "the five steps of augmentation"), ("pages", "one conv3 unit in the live explorer")],
)
def test_what_readers_and_training_wait_for_is_timed(tmp_path, capsys, monkeypatch, part, operation):
    monkeypatch.setattr(measure, "products_per_second", lambda: 1e10)
    monkeypatch.setenv("FER_BOOK", str(tmp_path / "none"))
    main([part, "--quick", "--out", str(tmp_path / "table.json")])
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["operation"].startswith(operation) for row in table].count(True) == 1
    assert all(row["ours_seconds"] > 0 and row["peer_seconds"] > 0 for row in table)
    assert ("pages are left out" in capsys.readouterr().out) == (part == "pages")


def test_memory_is_measured_in_processes_of_their_own(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(memory, "QUICK", (60,))
    main(["memory", "--quick", "--out", str(tmp_path / "table.json")])
    table = json.loads((tmp_path / "memory.json").read_text())
    assert [row["operation"].split(":")[0] for row in table] == list(memory.PARTS)
    assert all(0 < row["peak_bytes"] < memory.MOST and row["pictures"] == 60 for row in table)
    assert "cropping" in capsys.readouterr().out
    assert not (tmp_path / "table.json").exists()


@pytest.mark.browser
def test_the_slowest_page_is_named(browser, tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html><title>a</title>")
    (tmp_path / "slow.html").write_text(
        "<!doctype html><title>b</title><script>for (const end = Date.now() + 300; Date.now() < end;);</script>"
    )
    row = pages.slowest_page(sorted(tmp_path.glob("*.html")), browser, 1)
    assert row.operation == "opening the slowest of 2 pages of the book from disk"
    assert row.note.startswith("page slow;") and row.ours_seconds > 0.3


def test_unknown_parts_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "there is no benchmark nothing" in capsys.readouterr().err


def test_works_take_turns_and_medians_are_kept(monkeypatch):
    calls, clock = [], iter([0, 1, 1, 11, 11, 14, 14, 34, 34, 36, 36, 66])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    works = {name: lambda name=name: calls.append(name) for name in "ab"}
    assert measure.in_turns(works, 3) == {"a": 2, "b": 20}
    assert "".join(calls) == "ab" * 4


@pytest.mark.parametrize("padding", [0, 2])
def test_arithmetic_of_a_window(padding):
    # 28 x 28 places of conv1, 10 x 10 of conv2 and one of conv3, up and down.
    up = 28 * 28 * 64 * 25 + 10 * 10 * 128 * 1600 + 3200
    assert projections.window_products(read_stack(ExpressionNet(padding=padding).features, "relu3")) == 2 * up


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@pytest.mark.parametrize("peer", projections.PEERS)
def test_peers_project_the_same(peer, rule, padding):
    generator = torch.Generator().manual_seed(1)
    features = ExpressionNet(padding=padding, generator=generator).eval().features
    pictures = torch.randn(3, 1, 40, 40, generator=generator)
    units = exemplars(record(features, [pictures]), n=1).units()
    units = units[np.arange(0, len(units), 60)]
    assert projections.difference(projections.PEERS[peer][0], features, pictures, units, rule) < 1e-12


def table_of_scores():
    rng = np.random.default_rng(2)
    within = np.repeat(np.arange(6), 7)
    present = (rng.random((len(within), 3)) < 0.4).astype(float)
    return rng.integers(0, 9, (len(within), 5)).astype(float), present, within


def test_areas_of_the_loop_are_ours():
    scores, present, _ = table_of_scores()
    np.testing.assert_allclose(nulls.areas_one_by_one(scores, present), auc(scores, present), rtol=1e-12)


def test_the_loop_over_permutations_draws_from_the_same_null():
    scores, present, within = table_of_scores()
    ours = permutation_null(scores, present, within, permutations=4000).maxima
    theirs = nulls.best_areas_one_by_one(scores, present, within, 4000)
    # Two samples of 4,000 from one distribution: means within five standard errors.
    error = np.sqrt(2 * ours.var(axis=0) / 4000)
    assert (abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 5 * error).all()
    each = np.arange(len(scores))  # groups of one: nothing moves
    still = nulls.best_areas_one_by_one(scores, present, each, 2)
    np.testing.assert_allclose(still, np.tile(auc(scores, present).max(axis=1), (2, 1)), rtol=1e-12)


def test_the_cameras_rays_hit_the_head():
    person, size = Person(3), 24
    hits = rendering.rays_alone(person, size)
    assert 0.15 < hits / (2 * size) ** 2 < 0.9


def test_networks_train_side_by_side_and_their_page_can_be_made(small_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    small = {"resize": 50, "crop": 48, "epochs": 2, "n_exemplars": 2, "folds": 2, "last_frames": 1}
    settings = make_settings("smoke", faces=str(small_tree), **small)
    gpu.save(gpu.run([settings.replace(seed=seed) for seed in (0, 1)]), tmp_path / "gpu.json")
    made = speed.load_networks(tmp_path / "gpu.json")
    table = speed.networks_table(made)
    assert table["seed"].tolist() == [0, 1] and (table["passes"] == 2).all()
    assert "2 networks of the preset `smoke`" in speed.networks_summary(made)
    for seed, network in enumerate(made["networks"]):
        study = Study(settings.replace(seed=seed), Store(tmp_path / "store"), progress=False)
        history = study.network.trained.history
        np.testing.assert_allclose(network["curve"]["loss"], history["loss"], rtol=1e-3)
        assert network["accuracy"] == study.network.accuracy and network["moved"]["conv1"] > 0
        rows = pd.DataFrame(made["verdicts"]).query("seed == @seed")
        assert rows["decision"].tolist() == [verdict.decision for verdict in study.claims.verdicts]


def test_what_one_training_refuses_is_said(small_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    many = make_settings("smoke", faces=str(small_tree), n_exemplars=900)
    with pytest.raises(FerError, match="n_exemplars=900"):
        gpu.train_side_by_side([many])


def test_without_a_gpu_one_line_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu.main(["--out", str(tmp_path / "gpu.json")])
    assert "10 networks of the preset paper need a CUDA GPU" in str(ended.value)
    assert "\n" not in str(ended.value) and not (tmp_path / "gpu.json").exists()


def test_no_networks_are_refused(capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--networks", "0"])
    assert "--networks 0: give at least 1" in capsys.readouterr().err


def test_a_sweep_says_which_networks(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(gpu, "run", lambda chosen: asked.extend(chosen) or {})
    words = ["--device", "cpu", "--out", str(tmp_path / "gpu.json")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpu.main(words)
    assert [one.seed for one in asked] == list(range(10)) and {one.preset for one in asked} == {"paper"}
    asked.clear()
    gpu.main([*words, "--networks", "3", "--preset", "smoke"])
    assert [(one.seed, one.preset) for one in asked] == [(0, "smoke"), (1, "smoke"), (2, "smoke")]
    with pytest.raises(SystemExit, match=r"nope\.yaml"):
        gpu.main([*words, "--sweep", "nope.yaml"])
