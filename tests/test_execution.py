"""Notebooks run side by side into the cache that the book reads."""

from __future__ import annotations

import os
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache

from fer_lib.book.execution import execute_ahead

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def notebook(folder: Path, name: str, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)
    return path


def kept(path: Path, cache_folder: Path) -> list[str]:
    cache = get_cache(str(cache_folder))
    _, merged = cache.merge_match_into_notebook(nbformat.read(path, as_version=4))
    return [output["text"] for cell in merged.cells for output in cell.outputs]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Kernel is running over TCP:UserWarning")
def test_outputs_are_kept_and_not_made_twice(tmp_path: Path) -> None:
    folder, cache = tmp_path / "notebooks", tmp_path / "cache"
    folder.mkdir()
    count = "from pathlib import Path\nwith Path('runs.txt').open('a') as f: print('run', file=f)"
    files = [
        notebook(folder, "a", count, "print(1 + 1)"),
        notebook(folder, "b", "print('b')", count),
        notebook(folder, "broken", "print('before')", "1 / 0"),
    ]
    ended: list[Path] = []
    execute_ahead(files, cache, done=ended.append)
    assert sorted(ended) == files
    assert kept(files[0], cache) == ["2\n"]
    assert kept(files[1], cache) == ["b\n"]
    with pytest.raises(KeyError):
        kept(files[2], cache)
    # A notebook runs in its own folder; the second call finds both good ones and only tries the broken one again.
    assert (folder / "runs.txt").read_text() == "run\nrun\n"
    execute_ahead(files, cache, done=ended.append)
    assert ended[3:] == [files[2]]
    assert (folder / "runs.txt").read_text() == "run\nrun\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Kernel is running over TCP:UserWarning")
@pytest.mark.skipif(os.cpu_count() == 1, reason="one core runs one notebook at a time")
def test_side_by_side(tmp_path: Path) -> None:
    """Each of two notebooks waits for what the other one writes: one after the other they would never end."""
    wait = (
        "import time\nfrom pathlib import Path\nPath('{}').touch()\nend = time.time() + 60\n"
        "while not Path('{}').exists():\n    assert time.time() < end\n    time.sleep(0.1)"
    )
    files = [notebook(tmp_path, "a", wait.format("x", "y")), notebook(tmp_path, "b", wait.format("y", "x"))]
    start = time.perf_counter()
    execute_ahead(files, tmp_path / "cache")
    assert time.perf_counter() - start < 60
    assert kept(files[0], tmp_path / "cache") == []
