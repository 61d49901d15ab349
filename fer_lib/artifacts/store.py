"""Results of expensive steps, kept on disk under a key of everything that shapes them.

A result (an *artifact*) is a folder. Its key is the SHA-256 of the step's name, its settings, the contents of the
results that it was made from, the code of the modules that make it, and the versions of the libraries that these
import. So a later run with the same key finds the folder, and any change of settings, code or libraries asks for
another one. A folder appears under its final name only when it is complete: it is filled beside that name, described
by a manifest, and renamed.

The number of threads is part of the key of those steps whose bits it changes: sums are rounded in the order in which
threads make them. See `fer_lib.steps`.
"""

import hashlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from fer_lib.artifacts.files import FULL, refusal
from fer_lib.artifacts.keys import result_key
from fer_lib.artifacts.manifest import MANIFEST, files_of, intact, seen_file, write_manifest
from fer_lib.errors import FerError

_PARTIAL = ".partial"
_REMOVED = ".removed-"
_REMEDY = "make room with `fer store`, or set FER_STORE to a folder on another disk; what is finished is kept"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """A complete, verified result.

    Attributes
    ----------
    path : Path
        Folder that holds the result's files and its ``manifest.json``.
    key : str
        SHA-256 (64 hexadecimal digits) of everything that shapes the result.
    step : str
        Name of the step that made it.
    """

    path: Path
    key: str
    step: str

    @property
    def manifest(self) -> dict[str, Any]:
        """Settings, contents of what it was made from, code digests, libraries' versions, time and the SHA-256 of every file."""
        content: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        return content

    @property
    def content(self) -> str:
        """SHA-256 of the names and bytes of its files; give it as ``upstream`` of later steps."""
        return hashlib.sha256(json.dumps(self.manifest["files"], sort_keys=True).encode()).hexdigest()


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
        resumes: bool = False,
    ) -> Artifact:
        """Return the artifact of these inputs, computing it if it is not there.

        Parameters
        ----------
        step : str
            Name of the step, a valid folder name such as ``"train"``.
        compute : callable
            Called with a folder to fill.
        settings : mapping
            Everything that shapes the result, in JSON's types (and tuples).
        upstream : sequence of str
            Contents (`Artifact.content`) of the artifacts that ``compute`` reads.
        sources : sequence of str
            Modules of this package whose code shapes the result; what they import counts too, outside libraries by version.
        resumes : bool
            Whether ``compute`` goes on where an interrupted call with the same key stopped. If so, it finds in its
            folder what that call left there; otherwise the folder is empty. What is left by a call that refused its
            input, with a `FerError`, is never kept: it would be refused again.

        Returns
        -------
        Artifact
            Its files equal, byte for byte, those that ``compute`` wrote.

        Raises
        ------
        FerError
            If the store cannot be written, the disk is full, or the settings are not plain values.
        """
        key, described = result_key(step, settings, upstream, sources)
        folder = self._folder(step, key)
        partial = folder.with_name(folder.name + _PARTIAL)
        with self._writing():
            if intact(folder, key):
                return Artifact(folder, key, step)
            with self._locked(folder):
                # Another process may have finished while this one waited for the lock.
                if not intact(folder, key):
                    if folder.exists():
                        _log.warning("%s was changed after it was written; computing it again", folder)
                    _discard(folder, *(() if resumes else (partial,)))
                    partial.mkdir(exist_ok=True)
                    started = time.monotonic()
                    try:
                        compute(partial)
                        write_manifest(partial, key, described, time.monotonic() - started)
                        partial.rename(folder)
                    except BaseException as error:
                        if not (resumes and _can_go_on(partial, error)):
                            with suppress(OSError):  # the first error says more
                                _discard(partial)
                        raise
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
                finished = path.with_name(_digits(path))
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
            manifest = manifest if isinstance(manifest, dict) else {}
            sizes = []
            for file in files_of(folder):
                with suppress(FileNotFoundError):  # a run may be writing there
                    sizes.append(file.stat().st_size)
            complete = folder.name == _digits(folder) and bool(manifest)
            rows.append(
                {
                    "step": folder.parent.name,
                    "key": _digits(folder),
                    "state": "complete" if complete else "unfinished",
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
            said = refusal(error, self.root, "results", _REMEDY)
            if said is None:
                raise
            raise said from error
        except FerError as error:
            # A step may say by itself that its folder has no room; only the store knows the remedy.
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in FULL:
                raise
            raise refusal(cause, self.root, "results", _REMEDY) or error from cause


def default_root() -> Path:
    """Return the folder of the store that notebooks and commands share.

    Returns
    -------
    Path
        ``$FER_STORE`` if set, else ``.fer`` in the checkout this package is run from, else ``fer-lib`` in the
        user's cache folder.

    Raises
    ------
    FerError
        If ``$FER_STORE`` is relative. Commands run where they are typed and notebooks in their own folder, so that one
        name would mean two stores.
    """
    if chosen := os.environ.get("FER_STORE"):
        try:
            root = Path(chosen).expanduser()
        except RuntimeError as error:
            raise FerError(
                f"FER_STORE={chosen!r} cannot be expanded ({error}); give an absolute path"
            ) from None
        if not root.is_absolute():
            raise FerError(
                f"FER_STORE={chosen!r} is relative, and notebooks run in another folder than commands; "
                f"give an absolute path, such as {root.absolute()}"
            )
        return root
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "_toc.yml").is_file():
        return checkout / ".fer"
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "fer-lib"


def _can_go_on(partial: Path, error: BaseException) -> bool:
    """Tell whether a step that stopped with this error can resume from what it left."""
    refused = isinstance(error, FerError) and not isinstance(error.__cause__, OSError)
    return not refused and any(path.is_file() for path in partial.rglob("*"))


def _digits(folder: Path) -> str:
    """Return the digits of the key in the name of an artifact's folder: complete, unfinished or half removed."""
    return folder.name.removeprefix(".").partition(_REMOVED)[0].removesuffix(_PARTIAL)


def _discard(*folders: Path) -> None:
    """Remove folders, if they exist; their names are free at once, so nobody meets a half-removed artifact.

    What an earlier call began to remove, and was killed, goes too.
    """
    for folder in folders:
        for left in folder.parent.glob(f".{folder.name}{_REMOVED}*"):
            shutil.rmtree(left)
        if folder.exists():
            doomed = folder.with_name(f".{folder.name}{_REMOVED}{os.getpid()}-{time.monotonic_ns()}")
            folder.rename(doomed)
            shutil.rmtree(doomed)
