"""A Slurm cluster of one node on the loopback interface, made of ordinary processes for as long as a test needs it."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PATIENCE = 120
"""Seconds after which a daemon that does not start, or a process that does not end, is given up."""

_DAEMONS = ("munged", "slurmctld", "slurmd")
_MUNGE_FILES = ("key-file", "socket", "pid-file", "seed-file")
_CLIENTS = ("munge", "sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol")
# Daemons lie where the search path of an ordinary user does not lead.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# All of it listens on the loopback interface alone. A job is found again by its process group, so that no control group is
# needed; nothing is accounted, so that no database is: squeue remembers for MinJobAge seconds how a job ended. Processors and
# memory are declared, not counted, so that jobs run side by side on any machine.
_CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={worker}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MailProg=/bin/true
MinJobAge=3600
KillWait=2
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=32000
PartitionName=all Nodes=node Default=YES
"""


def lacking() -> str:
    """Return why no such cluster can be started on this machine; nothing if it can."""
    absent = [name for name in (*_DAEMONS, *_CLIENTS) if shutil.which(name, path=_PATH) is None]
    return f"no {', '.join(absent)}; install Debian's packages slurm-wlm and munge" if absent else ""


@contextmanager
def slurm_node() -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd as the present user, and end them and every job of theirs with the block.

    Yields
    ------
    dict of str to str
        Environment in which sbatch and its kin speak to this cluster: that of this process, with ``SLURM_CONF`` and a
        search path that leads to them.

    Raises
    ------
    RuntimeError
        If a daemon does not answer; what it said is in the message.
    """
    # Not pytest's folder: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, ExitStack() as stack:
        folder = Path(name)
        environment = _write(folder)
        stack.callback(_kill, f"SLURM_CONF={environment['SLURM_CONF']}".encode())
        files = {part: f"--{part}={folder}/munge.{part.partition('-')[0]}" for part in _MUNGE_FILES}
        munged = ["munged", "--foreground", "--force", *files.values()]
        for command, question, answer in (
            (munged, ["munge", "--no-input", files["socket"]], "MUNGE:"),
            (["slurmctld", "-D"], ["scontrol", "ping"], "is UP"),
            (["slurmd", "-D", "-N", "node"], ["sinfo"], "idle"),
        ):
            log = folder / f"{command[0]}.log"
            stack.callback(_stop, _start(command, log, environment))
            if not _wait(lambda q=question, a=answer: a in _ask(q, environment)):
                raise RuntimeError(f"{command[0]} does not answer:\n{log.read_text()}")
        stack.callback(_cancel, environment)
        yield environment


def _write(folder: Path) -> dict[str, str]:
    """Write key and configuration, and return the environment that leads to them."""
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir(mode=0o700)
    with (
        socket.create_server(("127.0.0.1", 0)) as controller,
        socket.create_server(("127.0.0.1", 0)) as worker,
    ):
        text = _CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            user=pwd.getpwuid(os.getuid()).pw_name,
            folder=folder,
            controller=controller.getsockname()[1],
            worker=worker.getsockname()[1],
        )
    configuration = folder / "slurm.conf"
    configuration.write_text(text)
    # Snakemake's plugin takes SLURM_CONF out of the environment of the srun that it calls within a job.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {shutil.which("srun", path=_PATH)} "$@"\n')
    srun.chmod(0o700)
    # Options for other clusters, in the shell that the tests are started from, are no part of them.
    others = ("SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "SINFO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return kept | {"SLURM_CONF": str(configuration), "PATH": f"{srun.parent}{os.pathsep}{_PATH}"}


def _start(command: Sequence[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a daemon in the foreground; it is ended with this process, even if that is killed."""
    with log.open("wb") as stream:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


def _ask(command: Sequence[str], environment: dict[str, str]) -> str:
    """Return what a client prints, and nothing if it fails."""
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    return "" if found.returncode else found.stdout


def _wait(condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds; False if it never does."""
    end = time.monotonic() + PATIENCE
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return holds


def _cancel(environment: dict[str, str]) -> None:
    """Cancel every job and wait until its processes have ended."""
    _ask(["scancel", "--user", str(os.getuid())], environment)
    _wait(lambda: not _ask(["squeue", "--noheader"], environment))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a daemon."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _kill(variable: bytes) -> None:
    """Kill whatever of this cluster is left: processes that were given its configuration with their environment."""

    def left() -> bool:
        found = False
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if variable in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
                    found = True
            except OSError:  # it has ended, or is another user's
                continue
        return found

    _wait(lambda: not left())
