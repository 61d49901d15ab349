"""Sweeps on a cluster: jobs of a real Slurm, on one node of the loopback interface, share what they compute."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_node import lacking, slurm_node

from fer_lib.artifacts.store import Store

SNAKEMAKE = ("snakemake", "snakemake_executor_plugin_slurm")

# Two sets of parameters that differ in what is measured, not in what is trained.
SNAKEFILE = """
rule all:
    input: expand("{exemplars}.txt", exemplars=(3, 4))

rule measure:
    output: "{exemplars}.txt"
    shell: "{PYTHON:q} measure.py {wildcards.exemplars} > {output}"
"""

MEASURE = """
import functools, os, sys, time
from pathlib import Path
from fer_lib.config import make_settings
from fer_lib.steps import networks
from fer_lib.study import Study

own = sys.argv[1]
compute = networks.training.compute

@functools.wraps(compute)
def noted(*arguments, **named):
    Path("trained-by-" + own).touch()
    compute(*arguments, **named)

networks.training.compute = noted
study = Study(
    make_settings(
        "smoke", subjects=8, sequences=32, frames=2, size=64, resize=50, crop=48, last_frames=1,
        test_fraction=0.5, test_pictures=10, epochs=1, n_exemplars=int(own),
    ),
    progress=False,
)
# Neither asks before both can: they stand at the same lock.
Path("here-" + own).touch()
end = time.monotonic() + 600
while len(list(Path().glob("here-*"))) < 2:
    assert time.monotonic() < end, "the other job has not been started beside this one"
    time.sleep(0.1)
print(os.environ["SLURM_JOB_ID"], study.training.key, len(study.exemplars.picture[0]))
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a Slurm of one node, and of a store that its jobs share."""
    absent = [name for name in SNAKEMAKE if importlib.util.find_spec(name) is None]
    if reason := lacking() or (absent and f"no {', '.join(absent)}; install the extra `sweep`"):
        pytest.skip(reason)
    with slurm_node() as environment:
        yield environment | {"FER_STORE": str(tmp_path / "store"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_two_jobs_that_need_one_network_train_it_once(cluster: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "Snakefile").write_text(f"PYTHON = {sys.executable!r}\n{SNAKEFILE}")
    (work / "measure.py").write_text(MEASURE)
    command = [sys.executable, "-m", "snakemake", "--executor", "slurm", "--jobs", "2"]
    # This cluster keeps no accounts.
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
    done = subprocess.run(command, cwd=work, env=cluster, capture_output=True, text=True)
    logs = "".join(log.read_text() for log in work.glob(".snakemake/slurm_logs/**/*.log"))
    assert done.returncode == 0, done.stderr + logs

    jobs, keys, exemplars = zip(*((work / f"{n}.txt").read_text().split() for n in (3, 4)), strict=True)
    assert len(set(jobs)) == 2 and exemplars == ("3", "4")
    assert len(set(keys)) == 1
    assert len(list(work.glob("trained-by-*"))) == 1
    steps = Store(cluster["FER_STORE"]).list()
    assert list(steps.loc[steps["step"] == "training", "state"]) == ["complete"]
