"""Results of expensive steps, kept on disk under a key of everything that shapes them.

A result (an *artifact*) is a folder. Its key is the SHA-256 of the step's name, its settings, the keys of the
results that it was made from, and the code of the modules that make it. So a later run with the same key
finds the folder, and any change of settings or code asks for another one. A folder appears under its final
name only when it is complete: it is filled beside that name, described by a manifest, and renamed.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from fer_lib.artifacts.manifest import MANIFEST, files_of, intact, seen_file, write_manifest
from fer_lib.artifacts.sources import source_digests
from fer_lib.errors import FerError

_PARTIAL = ".partial"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """A complete, verified result.

    Attributes
    ----------
    path : Path
        Folder that holds the result's files and its ``manifest.json``.
    key : str
        SHA-256 (64 hexadecimal digits) of everything that shapes the result; give it as ``upstream`` of later
        steps.
    step : str
        Name of the step that made it.
    """

    path: Path
    key: str
    step: str

    @property
    def manifest(self) -> dict[str, Any]:
        """Settings, upstream keys, code digests, versions, time and the SHA-256 of every file."""
        content: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        return content


class Store:
    """A folder of artifacts, shared by any number of processes.

    Parameters
    ----------
    root : Path
        Folder of the store; made at the first write. See `default_root`.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().absolute()

    def fetch(
        self,
        step: str,
        compute: Callable[[Path], object],
        *,
        settings: Mapping[str, Any],
        upstream: Sequence[str] = (),
        sources: Sequence[str] = (),
    ) -> Artifact:
        """Return the artifact of these inputs, computing it if it is not there.

        Parameters
        ----------
        step : str
            Name of the step, a valid folder name such as ``"train"``.
        compute : callable
            Called with a folder to fill. The folder still holds what an interrupted call with the same key
            left there, so a long computation can resume; every file it wants to keep has to be complete when
            it returns.
        settings : mapping
            Everything that shapes the result, in JSON's types (and tuples).
        upstream : sequence of str
            Keys of the artifacts that ``compute`` reads.
        sources : sequence of str
            Modules of this package whose code shapes the result; the modules they import count too.

        Returns
        -------
        Artifact
            Its files equal, byte for byte, those that ``compute`` wrote.

        Raises
        ------
        FerError
            If the store cannot be written, the disk is full, or the settings are not plain values.
        """
        key, described = _identify(step, settings, upstream, sources)
        folder = self._folder(step, key)
        if intact(folder, key):
            return Artifact(folder, key, step)
        with self._writing(), self._locked(folder):
            # Another process may have finished while this one waited for the lock.
            if not intact(folder, key):
                if folder.exists():
                    _log.warning("%s was changed after it was written; computing it again", folder)
                    _discard(folder)
                partial = folder.with_name(folder.name + _PARTIAL)
                partial.mkdir(exist_ok=True)
                started = time.monotonic()
                compute(partial)
                write_manifest(partial, key, described, time.monotonic() - started)
                partial.rename(folder)
        return Artifact(folder, key, step)

    def remove(self, name: str) -> pd.DataFrame:
        """Remove artifacts, finished or not.

        Parameters
        ----------
        name : str
            A step, or the first digits of one key.

        Returns
        -------
        pandas.DataFrame
            The removed rows of `list`.

        Raises
        ------
        FerError
            If nothing or several keys match, or another process is writing the artifact.
        """
        present = self.list()
        of_step = present[present["step"] == name]
        chosen = of_step if len(of_step) else present[present["key"].str.startswith(name)]
        if chosen.empty:
            raise FerError(f"{self.root} holds no step and no key {name!r}; see its list")
        if of_step.empty and chosen["key"].nunique() > 1:
            raise FerError(f"{name!r} begins {chosen['key'].nunique()} keys in {self.root}; give more digits")
        with self._writing():
            for path in chosen["path"]:
                finished = path.with_name(path.name.removesuffix(_PARTIAL))
                with self._locked(finished, wait=False):
                    _discard(path)
                    seen_file(finished).unlink(missing_ok=True)
        return chosen

    def list(self) -> pd.DataFrame:
        """Tell what is in the store.

        Returns
        -------
        pandas.DataFrame
            One row per artifact: ``step``, ``key`` (first 16 digits), ``state`` (``"complete"`` or
            ``"unfinished"``), ``files``, ``megabytes``, ``seconds`` it took, ``created`` (ISO 8601, UTC),
            ``settings`` (JSON), ``path``.
        """
        rows = []
        for folder in sorted(self.root.glob("*/*/")):
            try:
                manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                manifest = {}
            sizes = [file.stat().st_size for file in files_of(folder)]
            rows.append(
                {
                    "step": folder.parent.name,
                    "key": folder.name.removesuffix(_PARTIAL),
                    "state": "unfinished" if folder.name.endswith(_PARTIAL) or not manifest else "complete",
                    "files": len(sizes),
                    "megabytes": sum(sizes) / 1e6,
                    "seconds": manifest.get("seconds", float("nan")),
                    "created": manifest.get("created", ""),
                    "settings": json.dumps(manifest.get("settings", {}), sort_keys=True),
                    "path": folder,
                }
            )
        columns = ["step", "key", "state", "files", "megabytes", "seconds", "created", "settings", "path"]
        return pd.DataFrame(rows, columns=columns)

    def _folder(self, step: str, key: str) -> Path:
        return self.root / step / key[:16]

    @contextmanager
    def _locked(self, folder: Path, wait: bool = True) -> Iterator[None]:
        """Hold the folder's lock; the operating system frees it if this process is killed."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.with_name(folder.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if not wait:
                raise FerError(f"{folder} is being written by another run; wait for it or stop it") from None
            # Said to whoever sits at a terminal; a notebook would print it into its page.
            level = logging.WARNING if sys.stderr.isatty() else logging.INFO
            _log.log(level, "another run is computing %s; waiting for it", folder)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn the operating system's refusals to write here into errors that say what to do."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise FerError(
                    f"no room left for results in {self.root} ({error.strerror}); remove artifacts or set "
                    "FER_STORE to a larger disk; the work so far is kept and will be resumed"
                ) from error
            within = error.filename and Path(os.fsdecode(error.filename)).is_relative_to(self.root)
            if within or (error.filename and self.root.is_relative_to(os.fsdecode(error.filename))):
                raise FerError(
                    f"cannot write results below {self.root} ({error.strerror}: {error.filename}); "
                    "make it writable or set FER_STORE to another folder"
                ) from error
            raise


def default_root() -> Path:
    """Return the folder of the store that notebooks and commands share.

    Returns
    -------
    Path
        ``$FER_STORE`` if set, else ``.fer`` in the checkout this package is run from, else ``fer-lib`` in the
        user's cache folder.
    """
    if chosen := os.environ.get("FER_STORE"):
        return Path(chosen).expanduser().absolute()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "_toc.yml").is_file():
        return checkout / ".fer"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer-lib"


def _identify(
    step: str, settings: Mapping[str, Any], upstream: Sequence[str], sources: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return the key and what it was made from."""
    if not step or step.startswith(".") or not all(c.isalnum() or c in "-_." for c in step):
        raise FerError(f"step name {step!r} is not a plain folder name; use letters, digits, '-' and '_'")
    described = {
        "step": step,
        "settings": _plain(settings, "settings"),
        "upstream": list(upstream),
        "sources": source_digests(sources),
    }
    canonical = json.dumps(
        described, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest(), described


def _plain(value: Any, where: str) -> Any:
    """Copy a value of JSON's types; anything whose text could differ between runs is refused."""
    if value is None or isinstance(value, bool | str) or type(value) in (int, float):
        if isinstance(value, float) and value != value:
            raise FerError(f"{where} is not a number (NaN); give None or a finite value")
        return value
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise FerError(
                    f"{where} has the key {name!r} of type {type(name).__name__}; keys must be text"
                )
        return {name: _plain(entry, f"{where}.{name}") for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{where}[{place}]") for place, entry in enumerate(value)]
    raise FerError(
        f"{where} is a {type(value).__name__}, which has no stable text; "
        "give str, int, float, bool, None, list or dict"
    )


def _discard(folder: Path) -> None:
    """Remove a folder; its name is free at once, so nobody meets a half-removed artifact."""
    doomed = folder.with_name(f".{folder.name}.removed-{os.getpid()}-{time.monotonic_ns()}")
    folder.rename(doomed)
    shutil.rmtree(doomed)
