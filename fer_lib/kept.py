"""Results of hours, kept as numbers in a json file with what they were made from, and shown only with the same faces and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd

from fer_lib.artifacts.files import plain_refusals, write_aside
from fer_lib.artifacts.sources import source_digests
from fer_lib.config import Settings
from fer_lib.errors import Lacking


@dataclass(frozen=True)
class Kept:
    """A table of runs that are not repeated with each build of the book.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a result, with the columns `kinds`.
    provenance : dict
        ``date``, ``version``, ``settings`` (those that shape the results, see `shaping`), ``faces`` (see
        `fer_lib.study.Study.faces_record`) and ``code``, a digest of the code.
    """

    table: pd.DataFrame
    provenance: dict[str, Any]

    what: ClassVar[str]
    """What is kept, as "the verdicts of several seeds"."""
    command: ClassVar[str]
    """Command that makes it, without the file."""
    modules: ClassVar[Sequence[str]]
    """Modules whose code, with that of what they import, shapes the results."""
    kinds: ClassVar[Mapping[str, type]]
    """Columns and their types."""

    @classmethod
    def shaping(cls, settings: Settings) -> dict[str, Any]:
        """Return the settings that shape the results, by name; those of rendering are part of what the faces are."""
        raise NotImplementedError

    @classmethod
    def code_digest(cls) -> str:
        """Return 12 hexadecimal digits that change with the code of the results, not with its comments."""
        return hashlib.sha256(json.dumps(source_digests(cls.modules)).encode()).hexdigest()[:12]

    def made_with(self, faces: Mapping[str, Any], settings: Settings) -> Self:
        """Return these results, if they were made with these faces and settings.

        Raises
        ------
        Lacking
            If not; the message says what they are about and how to make others.
        """
        made, own = self.provenance, self.shaping(settings)
        if dict(faces) != made["faces"]:
            other = "rendered faces" if "rendered" in made["faces"] else "user-supplied faces"
            what = f"other faces ({other})"
        elif own != made["settings"]:
            changed = sorted(
                f"{n}={made['settings'].get(n)!r}"
                for n in own.keys() | made["settings"].keys()
                if own.get(n) != made["settings"].get(n)
            )
            what = f"other settings ({', '.join(changed)})"
        else:
            return self
        raise Lacking(
            f"{self.what} that are kept were made on {made['date']} with {what}: make them anew with "
            f"`{self.command} --out FILE`, with the faces and settings of this book"
        )

    def save(self, file: Path) -> None:
        """Write a json file that :meth:`load` reads; a FerError if it cannot be written: an older one is then left as it is."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict(orient="records")
        text = json.dumps({**self.provenance, "rows": rows}, indent=1, allow_nan=False)
        with plain_refusals(file, self.what, "give another file; the runs are stored and not made again"):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_aside(file, f"{text}\n".encode())

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        Lacking
            If it is missing or unreadable; the message says how to make it.
        """
        try:
            made: dict[str, Any] = json.loads(file.read_text("utf-8"))
            _ = made["settings"]["preset"], made["faces"].keys(), made["code"], made["date"], made["version"]
            table = pd.DataFrame(made.pop("rows"))[list(cls.kinds)].astype(dict(cls.kinds))
            cls.check(table)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = error.strerror if isinstance(error, OSError) else error  # a page must not show a path
            raise Lacking(
                f"{cls.what} are not in {file.name} ({why}): make them with "
                f"`{cls.command} --out {file.parent.name}/{file.name}`"
            ) from error
        return cls(table, made)

    @classmethod
    def check(cls, table: pd.DataFrame) -> None:
        """Raise a ValueError for a table that no run can have made."""
