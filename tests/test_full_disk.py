"""Every step of the study on a disk that is full, at many sizes: one line, nothing half-written, and the same bytes later."""

import hashlib

import pytest

from fer_lib import Study
from fer_lib.artifacts.store import Store
from fer_lib.config import make_settings
from fer_lib.errors import FerError

STEPS = {
    "pictures": lambda study: study.faces.pictures,
    "training": lambda study: study.network.training,
    "responses": lambda study: study.maps.responses,
    "projections": lambda study: study.maps.projections(),
    "matches": lambda study: study.detectors.matches,
    "traditional": lambda study: study.traditional.result,
    "first_steps": lambda study: study.network.first_steps,
    "folds": lambda study: study.network.cross_validation,
}


def digests(artifacts):
    """Digest of every file but manifests, which hold times, and but the seconds in a training's history."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in artifacts
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"manifest.json", "history.parquet"}
    }


def test_every_step_meets_a_full_disk(small_disk, small_tree):
    small = {
        "resize": 50,
        "crop": 48,
        "epochs": 1,
        "n_exemplars": 3,
        "permutations": 20,
        "folds": 2,
        "last_frames": 1,
    }
    settings = make_settings("smoke", faces=str(small_tree), **small)
    store = Store(small_disk.path / "store")
    for name, step in STEPS.items():
        before = set(store.list()["path"])
        step(Study(settings, store, progress=False))
        made = store.list()
        new = made[~made["path"].isin(before)]
        (asked,) = new.loc[new["step"] == name, "path"].tail(1)
        wanted = digests(new["path"])
        size = sum(new["megabytes"]) * 1e6
        for share in (0.3, 0.95) if name in {"training", "responses"} else (0.6,):
            for key in set(new["key"]) & set(store.list()["key"]):
                store.remove(key)
            small_disk.leave(int(share * size))
            with pytest.raises(
                FerError, match=rf"^no room left for results in {store.root} .*FER_STORE[^\n]*$"
            ):
                step(Study(settings, store, progress=False))
            assert not asked.exists()
            small_disk.leave(-1)
        step(Study(settings, store, progress=False))
        assert digests(new["path"]) == wanted, name
        assert set(store.list()["state"]) == {"complete"}
