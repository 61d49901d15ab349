"""Notebooks run side by side into the cache that the book reads."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from jupyter_cache import get_cache
from nbclient import NotebookClient
from PIL import Image

from fer_lib.book.execution import execute_ahead, make_impersonal
from fer_lib.plot import training

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
    """Each of two notebooks waits for what the other one writes: one after the other, the first waits in vain."""
    wait = (
        "import time\nfrom pathlib import Path\nPath('{}').touch()\nend = time.time() + 600\n"
        "while not Path('{}').exists():\n    assert time.time() < end\n    time.sleep(0.1)"
    )
    files = [notebook(tmp_path, "a", wait.format("x", "y")), notebook(tmp_path, "b", wait.format("y", "x"))]
    execute_ahead(files, tmp_path / "cache")
    assert kept(files[0], tmp_path / "cache") == kept(files[1], tmp_path / "cache") == []


RC = """
image.origin: lower
image.cmap: jet
text.usetex: True
figure.dpi: 30
figure.facecolor: black
savefig.dpi: 20
savefig.bbox: tight
savefig.pad_inches: 2
savefig.transparent: True
axes.grid: True
axes.inverted: nothing that matplotlib knows
font.family: Comic Sans MS
xtick.labelsize: 40
interactive: True
backend: svg
"""

SHOW = """
import numpy as np
from fer_lib.plot import training
training.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), ["happy", "fear"])
"""


@pytest.fixture
def personal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment full of somebody's own settings."""
    profile = tmp_path / "ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "own.py").write_text(
        "import pandas as pd\npd.options.display.precision = 1\nprint('hello')"
    )
    inline = "c.InlineBackend.figure_formats = {'svg'}\nc.InlineBackend.rc = {'figure.dpi': 10}\n"
    (profile / "ipython_kernel_config.py").write_text(f"c = get_config()\n{inline}")
    (tmp_path / "matplotlibrc").write_text(RC)
    (tmp_path / "start.py").write_text("import pandas as pd\npd.options.display.max_rows = 2\n")
    settings = {
        "COLUMNS": "20",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "LC_ALL": "de_DE.UTF-8",
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(tmp_path),
        "PYTHONOPTIMIZE": "1",
        "PYTHONSTARTUP": str(tmp_path / "start.py"),
        "PYTHONWARNINGS": "always",
        "TQDM_ASCII": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def png(outputs: list[Any]) -> np.ndarray:
    (shown,) = (output["data"] for output in outputs if "data" in output)
    assert set(shown) == {"image/png", "text/plain"}
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["image/png"]))))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Kernel is running over TCP:UserWarning")
@pytest.mark.parametrize("backend", ["Agg", "module://matplotlib_inline.backend_inline", None])
def test_a_figure_is_shown_with_any_backend_and_matplotlibrc(
    personal: Path, monkeypatch: pytest.MonkeyPatch, backend: str | None
) -> None:
    """As papermill, nbval and Jupyter run notebooks: in the environment as it is."""
    if backend is None:
        monkeypatch.delenv("MPLBACKEND")
    else:
        monkeypatch.setenv("MPLBACKEND", backend)
    source = nbformat.read(notebook(personal, "a", SHOW), as_version=4)
    ran = NotebookClient(source, startup_timeout=600, extra_arguments=["--log-level=ERROR"]).execute()
    shown = io.BytesIO()
    figure = training.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), ["happy", "fear"])
    figure.savefig(shown, format="png", bbox_inches="tight")
    expected = png([{"data": {"image/png": base64.b64encode(shown.getvalue()), "text/plain": ""}}])
    assert np.array_equal(png(ran.cells[0].outputs), expected)


PROBE = """
import os, sys, warnings
import matplotlib, pandas as pd
warnings.warn("for developers", ResourceWarning)
own = [name for name in os.environ if name.startswith(("TQDM_", "PYTHONWARN"))]
found = [pd.options.display.precision, pd.options.display.max_rows, matplotlib.rcParams["image.origin"], own]
print(found, sys.flags.optimize, f"{1.5:.1f}", os.environ.get("COLUMNS"))
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Kernel is running over TCP:UserWarning")
def test_a_page_does_not_depend_on_the_settings_of_who_builds_it(
    personal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = dict(os.environ)
    make_impersonal(environment, personal / "settings")
    monkeypatch.setattr(os, "environ", environment)
    page = notebook(personal, "page", PROBE)
    (personal / "matplotlibrc").rename(personal / "personal.rc")  # its own folder's would be found first
    execute_ahead([page], personal / "cache")
    assert kept(page, personal / "cache") == ["[6, 60, 'upper', []] 0 1.5 None\n"]
