"""The number of threads is in the key of the steps whose bits it changes, and in no other."""

import hashlib

import pytest
import torch
from threadpoolctl import threadpool_limits

from fer_lib import Study
from fer_lib.artifacts.store import Store
from fer_lib.config import make_settings
from fer_lib.network.repeatable import arithmetic


@pytest.fixture
def keep_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def artifacts(root):
    """Digests of the files of every artifact, by step and key; but manifests and a training's seconds."""
    found = {}
    for path in root.glob("*/*/**/*"):
        if path.is_file() and path.name not in {"manifest.json", "history.parquet"}:
            step, key, *_ = path.relative_to(root).parts
            found.setdefault((step, key), {})[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_equal_keys_mean_equal_bytes_whatever_the_threads(small_tree, tmp_path, keep_threads):
    small = {"resize": 50, "crop": 48, "epochs": 1, "n_exemplars": 3, "folds": 2, "last_frames": 1}
    settings = make_settings("smoke", faces=str(small_tree), **small)
    stored = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        with threadpool_limits(threads):
            study = Study(settings, Store(tmp_path / str(threads)), progress=False)
            for result in (study.untrained.maps.responses, study.network.first_steps, study.network.training):
                assert result is not None
            study.untrained.maps.projections()
            assert len(study.network.cross_validation)
        stored.append(artifacts(tmp_path / str(threads)))
    common = stored[0].keys() & stored[1].keys()
    # Networks that took no step, and their responses, are among them.
    assert {step for step, _ in common} == {"pictures", "examples", "training", "responses"}
    assert {key: stored[0][key] for key in common} == {key: stored[1][key] for key in common}
    for only in stored:
        assert {step for step, _ in only.keys() - common} == {
            "training",
            "first_steps",
            "projections",
            "folds",
        }


def test_another_device_takes_the_place_of_threads():
    instructions = torch.backends.cpu.get_cpu_capability()
    assert arithmetic("cpu") == {"threads": torch.get_num_threads(), "instructions": instructions}
    assert arithmetic("xpu:1") == {"device": "xpu"}
