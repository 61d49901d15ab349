"""Pictures beside pages: what becomes a file, where its address leads, and what is thrown away."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from fer_lib.book import beside
from fer_lib.plot.bytes_beside import as_uri, script_of
from fer_lib.plot.pictures import data_uri

CONF = """
from fer_lib.book import beside
extensions = ["myst_parser"]
root_doc = "intro"
def setup(app):
    app.add_post_transform(beside.PicturesBeside)
    app.connect("build-finished", beside.finish)
"""


def picture(value: int) -> np.ndarray:
    return np.full((20, 30), value, np.uint8)


def page(*values: int, image: int = 200) -> str:
    """A heading, a script's list of pictures, and one picture of Markdown."""
    listed = ",".join(f'"{data_uri(picture(value))}"' for value in values)
    script = f'<script type="application/json">{{"pictures":[{listed}],"text":"\\u003c/b>"}}</script>'
    return f"# Page\n\n```{{raw}} html\n<div>{script}</div>\n```\n\n![A grey square]({data_uri(picture(image))})\n"


def build(source: Path, builder: str = "html") -> Path:
    """Build strictly; the folder of the pages."""
    out = source / "_build" / builder
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(source, source, out, source / "_build" / "trees", builder, status=None, warning=warnings)
        app.build()
    assert warnings.getvalue() == ""
    return out


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "conf.py").write_text(CONF + 'exclude_patterns = ["_build"]\n')
    (tmp_path / "intro.md").write_text(
        page(10, 20) + "\n```{toctree}\nnotebooks/one\n```\n", encoding="utf-8"
    )
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "one.md").write_text(page(20, 30), encoding="utf-8")
    return tmp_path


def shown(path: Path) -> dict[str, int]:
    """The pictures that a page names, and the grey of each."""
    text = path.read_text("utf-8")
    assert "base64" not in text
    names = re.findall(r'"([^"\s]*_images/[^"]+)"', text)
    return {
        name: int(np.asarray(Image.open((path.parent / name).resolve()).convert("L"))[0, 0]) for name in names
    }


@pytest.mark.parametrize("builder", ["html", "dirhtml"])
def test_pictures_lie_beside_the_pages_once(book: Path, builder: str) -> None:
    out = build(book, builder)
    one = "notebooks/one.html" if builder == "html" else "notebooks/one/index.html"
    found = [shown(out / name) for name in ("intro.html" if builder == "html" else "intro/index.html", one)]
    assert [sorted(each.values()) for each in found] == [[10, 20, 200], [20, 30, 200]]
    assert len(list((out / "_images").iterdir())) == 4, "one file for each content"
    assert "\\u003c/b>" in (out / one).read_text("utf-8"), "the rest of a script is as it was"


def test_one_long_page_has_all_pictures(book: Path) -> None:
    out = build(book, "singlehtml")
    assert sorted(set(shown(out / "intro.html").values())) == [10, 20, 30, 200]


def test_a_second_build_keeps_what_its_pages_show_and_no_other_picture(book: Path) -> None:
    out = build(book)
    (book / "notebooks" / "one.md").write_text(page(40, image=50), encoding="utf-8")
    assert build(book) == out
    assert sorted(shown(out / "notebooks" / "one.html").values()) == [40, 50]
    assert sorted(shown(out / "intro.html").values()) == [10, 20, 200], "a page that was not written again"
    greys = [int(np.asarray(Image.open(path).convert("L"))[0, 0]) for path in (out / "_images").iterdir()]
    assert sorted(greys) == [10, 20, 40, 50, 200], "30 was in the book once"


def test_other_bytes_become_scripts(book: Path) -> None:
    content = bytes(range(256)) * 40
    data = f'{{"weights":"{as_uri(content)}"}}'
    (book / "notebooks" / "one.md").write_text(
        f"# A\n\n```{{raw}} html\n<script type='application/json'>{data}</script>\n```\n", encoding="utf-8"
    )
    out = build(book)
    name, script = script_of(base64.b64encode(content).decode())
    assert f'{{"weights":"../_images/{name}"}}' in (out / "notebooks" / "one.html").read_text("utf-8")
    assert (out / "_images" / name).read_text("utf-8") == script


def test_a_failed_build_throws_nothing_away(book: Path) -> None:
    out = build(book)
    before = sorted((out / "_images").iterdir())
    (out / "intro.html").unlink()

    class Built:
        outdir = out
        builder = type("Builder", (), {"name": "html", "imagedir": "_images"})

    beside.finish(Built, RuntimeError("broken"))  # type: ignore[arg-type]
    assert sorted((out / "_images").iterdir()) == before


def test_what_is_no_picture_stays(book: Path) -> None:
    style = "url(data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=) url(data:image/png;base64,iVBORw0KG)"
    (book / "intro.md").write_text(
        f"# A\n\n```{{raw}} html\n<i style='{style}'></i>\n```\n```{{toctree}}\nnotebooks/one\n```\n",
        encoding="utf-8",
    )
    assert style in (build(book) / "intro.html").read_text("utf-8")


def test_icons_are_kept_by_any_of_their_names() -> None:
    drawn = 'a={"sun":[512,512,[9728],"f185","M1 2z"],moon:[3,4,[127769,"night"],"f186",["M1","M2"]],"up":[5,6,[],"f062","M3"]}'
    assert beside.icons_kept(drawn, {"sun"}) == 'a={"sun":[512,512,[9728],"f185","M1 2z"],}'
    assert beside.icons_kept(drawn, {"night"}) == 'a={moon:[3,4,[127769,"night"],"f186",["M1","M2"]],}'
    assert beside.icons_kept(drawn, {"sun", "moon", "up"}) == drawn
    assert beside.icons_kept("f(x[0],{y:[1,2,[3]]})", {"sun"}) == "f(x[0],{y:[1,2,[3]]})"


def test_data_uris_hold_the_picture_exactly() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    for one in (colours, colours[..., 0]):
        content = base64.b64decode(data_uri(one).split(",", 1)[1])
        decoded = Image.open(io.BytesIO(content)).convert("L" if one.ndim == 2 else "RGB")
        assert np.array_equal(np.asarray(decoded), one)
