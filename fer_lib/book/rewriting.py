"""Which pages are written anew beside those that Sphinx has read anew, because Sphinx cannot know.

Prose glues in the numbers of notebooks; every page names the static files; and what a build read but did not come to write is
taken for written by the next one. A note beside what was read, there from the first reading to the end of a build, tells them apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

_NOTE = "unfinished.txt"
_EVERYTHING, _PROSE, _NOTHING = "everything", "prose", "nothing"


def begin(kept: Path, read: Collection[str]) -> None:
    """Note which pages a build is about to read; nothing if it reads none.

    Parameters
    ----------
    kept : Path
        Folder of what is kept from build to build.
    read : collection of str
        Names of the pages; those of notebooks begin with ``notebooks/``.
    """
    note = kept / _NOTE
    if note.exists():
        note.write_text(_EVERYTHING)
    elif read:
        note.write_text(_PROSE if any(map(_is_notebook, read)) else _NOTHING)


def to_write(kept: Path, pages: Iterable[str], static: Mapping[Path, Path]) -> list[str]:
    """Return the pages to be written anew, beside those that were read anew.

    Parameters
    ----------
    kept : Path
        As given to `begin`.
    pages : iterable of str
        All pages.
    static : mapping of Path to Path
        Folders of static files, and where each was copied to.
    """
    note = kept / _NOTE
    what = note.read_text() if note.exists() else _NOTHING
    if what == _EVERYTHING or any(_differ(*pair) for pair in static.items()):
        return sorted(pages)
    return sorted(page for page in pages if not _is_notebook(page)) if what == _PROSE else []


def end(kept: Path) -> None:
    """Note that a build came to its end."""
    (kept / _NOTE).unlink(missing_ok=True)


def _is_notebook(page: str) -> bool:
    return page.startswith("notebooks/")


def _differ(source: Path, copied: Path) -> bool:
    """Whether a folder has a file whose copy is missing or of another time or size."""
    for path in source.rglob("*"):
        copy = copied / path.relative_to(source)
        if path.name.startswith("."):
            continue  # not copied
        if path.is_file() and not (copy.is_file() and _seen(copy) == _seen(path)):
            return True
    return False


def _seen(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, int(found.st_mtime)
