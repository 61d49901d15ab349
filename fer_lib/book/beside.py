"""Files beside the pages: pictures and other bytes that notebooks hold in themselves, and no more of the theme than pages use.

A notebook is one file, its pictures are in it. A page that held them too would have megabytes to load before anything is
seen. `PicturesBeside` writes them beside the page, each once, by the name of its content; what a page's script sets as a
picture's address only when it is looked at is loaded then, from a server or from a folder. Bytes that are no picture, such
as a network's weights, become scripts (`fer_lib.plot.bytes_beside`): nothing else may be loaded from a folder.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

from fer_lib.plot import bytes_beside

LOGGER = logging.getLogger(__name__)

# Whole groups of four, so that what is cut off or no picture at all stays as it is.
DATA_URI = re.compile(
    r"data:image/(png|jpeg|webp|gif);base64,((?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)"
    r"(?![A-Za-z0-9+/=])"
)

ICONS = "scripts/fontawesome.js"
"""The theme's icons, by their place among the static files: two thousand drawings, of which pages use some twenty."""

# "name":[width,height,[other names and numbers],"code","path" or ["path","path"]],
_ICON = re.compile(r'(?:"([\w-]+)"|([\w$]+)):\[\d+,\d+,\[([^\]]*)\],"\w*",(?:"[^"]*"|\[[^\]]*\])\],?')

UNUSED = ("*.map", "vendor/fontawesome/webfonts/*.ttf")
"""Static files that no page loads: maps for the theme's developers, fonts for browsers before 2016."""


class PicturesBeside(SphinxPostTransform):
    """Turn the ``data:`` addresses of pictures, in Markdown and in a notebook's HTML, into those of files."""

    default_priority = 150
    formats = ("html",)

    def run(self, **options: Any) -> None:
        """Change the page at hand."""
        for image in self.document.findall(nodes.image):
            if found := DATA_URI.fullmatch(image["uri"]):
                path, _ = self._written(found)
                image["uri"] = path
                image["candidates"] = {"*": path}
        for raw in self.document.findall(nodes.raw):
            if "html" in raw.get("format", "").split():
                text = raw.astext()
                if "data:image/" in text or "data:application/octet-stream" in text:
                    raw.children = []
                    raw += nodes.Text(
                        bytes_beside.DATA_URI.sub(self._script, DATA_URI.sub(self._address, text))
                    )

    def _written(self, found: re.Match[str]) -> tuple[str, str]:
        content = base64.b64decode(found[2])
        return self._kept(f"{hashlib.sha256(content).hexdigest()[:24]}.{found[1]}", content)

    def _kept(self, name: str, content: bytes) -> tuple[str, str]:
        """Keep a file for the builder to copy; its path and its name among the pages' pictures."""
        folder = Path(self.app.doctreedir) / "images" / "beside"
        path = folder / name
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.env.images.add_file(self.env.docname, str(path))
        return str(path), self.env.images[str(path)][1]

    def _address(self, found: re.Match[str]) -> str:
        return self._beside(*self._written(found))

    def _script(self, found: re.Match[str]) -> str:
        name, script = bytes_beside.script_of(found[1])
        return self._beside(*self._kept(name, script.encode()))

    def _beside(self, path: str, name: str) -> str:
        builder = self.app.builder
        builder.images[path] = name  # what stands in images enters here by itself
        page = builder.get_target_uri(self.env.docname)
        return posixpath.join(relative_uri(page, builder.imagedir), name)


def icons_kept(script: str, names: Collection[str]) -> str:
    """Leave of the icons in FontAwesome's script those with some names.

    Parameters
    ----------
    script : str
        The script, minified.
    names : collection of str
        Names without ``fa-``; also old ones, such as ``search`` for ``magnifying-glass``.
    """

    def kept(icon: re.Match[str]) -> str:
        own = {icon[1] or icon[2], *re.findall(r'"([\w-]+)"', icon[3])}
        return icon[0] if own.intersection(names) else ""

    return _ICON.sub(kept, script)


def tidy(folder: Path, images: str) -> None:
    """Take from a built book what none of its pages uses, also what an earlier build left there.

    Pictures of an earlier build may show people who are no longer to be shown.

    Parameters
    ----------
    folder : Path
        Where the pages are.
    images : str
        Name of the folder of pictures in it.
    """
    pages = [path.read_text("utf-8") for path in sorted(folder.rglob("*.html"))]
    pictures = re.compile(rf"\b{re.escape(images)}/([^\s\"'<>\\?#&)]+)")
    named = {unquote(name) for page in pages for name in pictures.findall(page)}
    if (folder / images).is_dir():
        for path in (folder / images).iterdir():
            if path.is_file() and path.name not in named:
                path.unlink()
    static = folder / "_static"
    for pattern in UNUSED:
        for path in static.rglob(pattern):
            path.unlink()
    icons = static / ICONS
    if icons.is_file():
        scripts = [path.read_text("utf-8") for path in static.rglob("*.js") if path != icons]
        names = {name for text in pages + scripts for name in re.findall(r"\bfa-([a-z0-9-]+)", text)}
        icons.write_text(icons_kept(icons.read_text("utf-8"), names), "utf-8")


def finish(app: Sphinx, error: Exception | None) -> None:
    """Tidy a book of pages that was built without an error."""
    if error is None and app.builder.name in ("html", "dirhtml", "singlehtml"):
        tidy(Path(app.outdir), app.builder.imagedir)
