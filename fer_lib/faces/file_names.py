"""Sets of posed pictures whose files' names say who shows what, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fer_lib.faces.disk import Disk
from fer_lib.faces.layouts import Picture, assemble, is_picture, listed, names_in
from fer_lib.faces.problems import Problems
from fer_lib.faces.table import Faces


@dataclass(frozen=True)
class FileNames:
    """How the pictures of a set are named.

    Attributes
    ----------
    pattern : re.Pattern
        Of a whole name, with the groups ``person`` and ``expression``.
    expressions : mapping of str to str
        From the set's codes to :data:`fer_lib.facs.EXPRESSIONS`.
    example : str
        Such a name.
    """

    pattern: re.Pattern[str]
    expressions: Mapping[str, str]
    example: str

    def in_folder(self, folder: Path) -> bool:
        """Whether a picture that is named so lies directly in a folder."""
        return any(map(self._match, names_in(folder)))

    def read(self, folder: Path) -> Faces:
        """Read all pictures below a folder that are named so; each stands alone, and others are noted."""
        problems, pictures = Problems(), []
        with Disk(folder) as disk:
            for path in filter(is_picture, listed(disk, problems)):
                if match := self._match(path):
                    shown = self.expressions[match["expression"].upper()]
                    name = PurePosixPath(path).stem
                    pictures.append(Picture(path, match["person"].upper(), name, expression=shown))
                else:
                    problems.add(path, f"name is not like {self.example}", "not used")
            return assemble(disk, pictures, problems)

    def files(self, folder: Path, problems: Problems) -> Iterator[str]:
        """Yield every picture below a folder."""
        with Disk(folder) as disk:
            yield from filter(is_picture, listed(disk, problems))

    def _match(self, path: str) -> re.Match[str] | None:
        return self.pattern.fullmatch(PurePosixPath(path).name) if is_picture(path) else None
