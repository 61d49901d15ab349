"""Sweeps on a cluster: jobs of a real Slurm, on one node of the loopback interface, share what they compute."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from slurm_node import lacking, slurm_node

from fer_lib.artifacts.store import Store
from fer_lib.published import code_digest
from fer_lib.sweeps.execute import execute
from fer_lib.sweeps.specification import read_sweep

# This cluster keeps no accounts.
SLURM = (
    "--executor",
    "slurm",
    "--slurm-status-command",
    "squeue",
    "--slurm-init-seconds-before-status-checks",
    "2",
)
SNAKEMAKE = ("snakemake", "snakemake_executor_plugin_slurm")

# Two sets of parameters that differ in what is measured, not in what is trained.
SNAKEFILE = """
rule all:
    input: expand("{exemplars}.txt", exemplars=(3, 4))

rule measure:
    output: "{exemplars}.txt"
    shell: "{PYTHON:q} measure.py {FACES:q} {wildcards.exemplars} > {output}"
"""

MEASURE = """
import functools, os, sys, time
from pathlib import Path
from fer_lib.config import make_settings
from fer_lib.steps import networks
from fer_lib import Study

faces, own = sys.argv[1:]
compute = networks.training.compute

@functools.wraps(compute)
def noted(*arguments, **named):
    Path("trained-by-" + own).touch()
    compute(*arguments, **named)

networks.training.compute = noted
small = {"resize": 50, "crop": 48, "epochs": 1, "last_frames": 1, "n_exemplars": int(own)}
study = Study(make_settings("smoke", faces=faces, **small), progress=False)
# Neither asks before both can: they stand at the same lock.
Path("here-" + own).touch()
end = time.monotonic() + 600
while len(list(Path().glob("here-*"))) < 2:
    assert time.monotonic() < end, "the other job has not been started beside this one"
    time.sleep(0.1)
print(os.environ["SLURM_JOB_ID"], study.network.training.key)
"""


@pytest.fixture
def programs() -> None:
    """Skip a test where Slurm or Snakemake is not installed."""
    absent = [name for name in SNAKEMAKE if importlib.util.find_spec(name) is None]
    if reason := lacking() or (absent and f"no {', '.join(absent)}; install the extra `sweep`"):
        pytest.skip(reason)


@pytest.fixture
def cluster(programs: None, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a Slurm of one node, and of a store that its jobs share."""
    with slurm_node() as environment:
        yield environment | {"FER_STORE": str(tmp_path / "store"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_two_jobs_that_need_one_network_train_it_once(
    cluster: dict[str, str], small_tree: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "Snakefile").write_text(f"PYTHON, FACES = {sys.executable!r}, {str(small_tree)!r}\n{SNAKEFILE}")
    (work / "measure.py").write_text(MEASURE)
    command = [sys.executable, "-m", "snakemake", "--jobs", "2", *SLURM]
    done = subprocess.run(command, cwd=work, env=cluster, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + logs(work)

    jobs, keys = zip(*((work / f"{n}.txt").read_text().split() for n in (3, 4)), strict=True)
    assert len(set(jobs)) == 2 and len(set(keys)) == 1
    assert len(list(work.glob("trained-by-*"))) == 1
    assert trainings(cluster) == ["complete"]


def test_names_of_runs_reach_a_cluster_whole(tmp_path: Path) -> None:
    jobs = pytest.importorskip("snakemake.target_jobs")
    odd = tmp_path / "odd.yaml"
    odd.write_text('sets: {"a,b=1": {seed: [1, 2]}, "c:d": {dropout: [0.25, 0.5]}}')
    for file in (odd, *(Path(__file__).parents[1] / "sweeps").glob("*.yaml")):
        for run in read_sweep(file).runs:
            [target] = jobs.parse_target_jobs_cli_args([f"notebook:run={run.name},notebook=02_training"])
            assert target.wildcards_dict == {"run": run.name, "notebook": "02_training"}


def test_a_notebook_that_is_still_run_by_a_killed_sweep_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def run(source: str, copy: str, **_: object) -> None:
        ran.append(source)
        Path(copy).write_text('{"cells": []}')

    monkeypatch.setattr("papermill.execute_notebook", run)
    monkeypatch.setattr("fer_lib.results.of_notebook", lambda *_: {"made": len(ran)})
    plan = {"jobs": {"one/02_training": {"parameters": {}, "state": "now"}}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: execute(tmp_path, "one", "02_training"), range(4)))
    assert len(ran) == 1
    # What is outdated is made anew.
    plan["jobs"]["one/02_training"]["state"] = "later"
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    execute(tmp_path, "one", "02_training")
    found = json.loads((tmp_path / "one" / "02_training.json").read_text())
    assert found.pop("threads") == os.environ.get("OMP_NUM_THREADS", "")
    assert found == {"made": 2, "ended": "", "code": code_digest(), "state": "later"}


@pytest.mark.slow
def test_a_sweep_on_a_cluster_trains_once_for_sets_that_share_a_network(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    sweep, out = Path(__file__).parents[1] / "sweeps" / "smoke.yaml", tmp_path / "out"
    command = [sys.executable, "-c", "from fer_lib.cli import app; app()", "sweep", str(sweep)]
    command += ["--out", str(out), "--jobs", "4", *SLURM]
    done = subprocess.run(command, cwd=tmp_path, env=cluster, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + logs(out)

    asked = read_sweep(sweep)
    table = pd.read_csv(out / "results.csv")
    assert set(table["run"]) == {run.name for run in asked.runs} and len(asked.runs) > 1
    assert trainings(cluster) == ["complete"]
    # Every notebook was a job of Slurm's.
    queue = ["squeue", "--noheader", "--states=all", "--format=%T"]
    states = subprocess.run(queue, env=cluster, capture_output=True, text=True, check=True).stdout.split()
    assert states == ["COMPLETED"] * len(asked.runs) * len(asked.notebooks)

    again = subprocess.run(command, cwd=tmp_path, env=cluster, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert subprocess.run(queue, env=cluster, capture_output=True, text=True).stdout.split() == states


def test_nothing_of_a_cluster_is_left(programs: None, tmp_path: Path) -> None:
    number = tmp_path / "number"
    with slurm_node() as environment:
        stubborn = f"trap '' TERM; echo $$ > {shlex.quote(str(number))}; while :; do sleep 1; done"
        submit = ["sbatch", "--export=NONE", "--output=/dev/null", f"--wrap={stubborn}"]
        subprocess.run(submit, cwd=tmp_path, env=environment, check=True, capture_output=True)
        end = time.monotonic() + 120
        while not (number.is_file() and number.read_text()):
            assert time.monotonic() < end, "the job has not been started"
            time.sleep(0.1)
        folder = Path(environment["SLURM_CONF"]).parent
        names = [command(process) for process in Path("/proc").glob("[0-9]*")]
        assert any(str(folder) in name for name in names)
    assert command(Path("/proc", number.read_text().strip())) == ""
    assert not any(str(folder) in command(process) for process in Path("/proc").glob("[0-9]*"))
    assert not folder.exists()


def command(process: Path) -> str:
    """Command line of a process; nothing once it has ended."""
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def trainings(cluster: dict[str, str]) -> list[str]:
    """States of the networks in the store that the jobs share."""
    stored = Store(cluster["FER_STORE"]).list()
    return list(stored.loc[stored["step"] == "training", "state"])


def logs(folder: Path) -> str:
    """What the jobs said that failed."""
    return "".join(log.read_text() for log in folder.glob(".snakemake/slurm_logs/**/*.log"))
