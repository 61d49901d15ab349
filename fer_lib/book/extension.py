"""Sphinx extension of the book (``sphinx.config.extensions`` in ``_config.yml``).

It does what Jupyter Book leaves open:

* an executed notebook is reused only while everything that shapes its outputs is the same. jupyter-cache looks
  at the code cells and the kernel alone: a change of the library, the preset or the faces would go unseen;
* notebooks run side by side, not one after the other, and without the settings of who builds the book;
* what the faces lack is left out, and the prose around it, too (`fer_lib.book.left_out`);
* prose that glues in a notebook's numbers is written anew when a notebook was, and no page when nothing changed
  (`fer_lib.book.rewriting`);
* the buttons that lead to the repository appear once its address is known, and not before;
* the bibliography carries no roles that screen readers have dropped;
* charts, but no photographs, take dark colours on dark pages;
* under what a notebook shows stands a link to the function that made it;
* the whole book can be one page, which `make pdf` prints;
* pictures that notebooks hold in themselves become files beside the pages, and of the theme no more is kept than pages use
  (`fer_lib.book.beside`);
* the notebooks, which run in their own folder, find the faces where the shell does;
* the reference shows what a property says of itself as a sentence, also when it holds a colon.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from PIL import Image
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ConfigError
from sphinx.util import logging

from fer_lib.artifacts.store import default_root
from fer_lib.book import beside, left_out, rewriting
from fer_lib.book.execution import execute_ahead, make_impersonal
from fer_lib.environment import settings_from_environment
from fer_lib.errors import FerError
from fer_lib.faces.digest import MEMORY, digest_of_faces
from fer_lib.plot.style import CHART

LOGGER = logging.getLogger(__name__)

PACKAGES = ("matplotlib", "numpy", "pandas", "scikit-image", "scikit-learn", "torch", "torchvision")
"""The packages whose versions can change a notebook's outputs."""

REPOSITORY_BUTTONS = ("use_repository_button", "use_edit_page_button", "use_issues_button")


_PLOT = Path(__file__).resolve().parents[1] / "plot"
MAKERS = {file.stem: f"fer_lib.plot.{file.stem}" for file in _PLOT.glob("[a-z]*.py")} | {
    "report": "fer_lib.judges.report",
    "speed": "fer_lib.book.speed",
}
"""Modules whose functions make what pages show, by the name that notebooks call them by."""

KEPT = (
    "book/opinions",
    "book/sweeps",
    "benchmarks/latest.json",
    "benchmarks/gpu.json",
)
"""Results that pages read instead of making them, by their place in the repository."""


def execution_key(
    library: Path,
    preset: str,
    faces: str,
    kept: Sequence[Path] = (),
    *,
    publish: str = "",
    memory: Path | None = None,
) -> str:
    """Return a name for everything that shapes a notebook's outputs, besides the notebook.

    Parameters
    ----------
    library : Path
        Folder of the library's sources.
    preset : str
        Value of ``FER_PRESET``.
    faces : str
        Value of ``FER_FACES``: a folder or file, or empty for the rendered faces. What is read of them enters by its
        bytes, and the names that lie beside it, which the audit reports.
    kept : sequence of Path
        Files, and folders of files, that pages read; what does not exist is passed over.
    publish : str
        Value of ``FER_PUBLISH``: whose faces the pages show.
    memory : Path, optional
        See `fer_lib.faces.digest.digest_of_faces`.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256(publish.encode() + b"\0")
    for part in _parts(library, preset, faces, memory):
        digest.update(part + b"\0")
    for place in kept:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _parts(library: Path, preset: str, faces: str, memory: Path | None) -> Iterator[bytes]:
    yield preset.encode()
    for package in PACKAGES:
        yield f"{package} {metadata.version(package)}".encode()
    for source in sorted(library.rglob("*")):
        if source.is_file() and "__pycache__" not in source.parts:
            yield source.relative_to(library).as_posix().encode()
            yield source.read_bytes()
    if faces:
        yield digest_of_faces(faces, memory).encode()
        source = Path(faces).expanduser()
        folder = source if source.is_dir() else source.parent
        yield "\0".join(sorted(path.name for path in folder.iterdir())).encode(errors="surrogateescape")


def repository_options(url: str, branch: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the theme options and the template values that follow from the repository's address.

    Parameters
    ----------
    url : str
        Public address, or empty while it is unknown.
    branch : str
        Branch that the book is built from.

    Returns
    -------
    tuple of dict
        Entries for ``html_theme_options`` and for ``html_context``. Without an address the buttons are off.
    """
    if not url:
        return dict.fromkeys(REPOSITORY_BUTTONS, False) | {"repository_url": "", "launch_buttons": {}}, {}
    # Prose lies in book/; the notebooks are linked into it and edited where they really are.
    folder = "{{ '' if file_name.startswith('notebooks/') else 'book/' }}"
    template = f"{url.rstrip('/')}/edit/{branch}/{folder}{{{{ file_name }}}}"
    context = {"edit_page_url_template": template, "edit_page_provider_name": "GitHub"}
    return dict.fromkeys(REPOSITORY_BUTTONS, True), context


def configure(app: Sphinx, config: Config) -> None:
    """Read what the shell asks for, name the folder of the executed notebooks by it, and drop links to nowhere."""
    library = Path(__file__).parents[1]
    try:
        asked = settings_from_environment()
    except FerError as error:
        raise ConfigError(str(error)) from None
    os.environ |= {"FER_PRESET": asked.preset, "FER_FACES": asked.faces}  # kernels inherit them
    key = execution_key(
        library,
        asked.preset,
        asked.faces,
        [library.parent / name for name in KEPT],
        publish=asked.publish,
        memory=default_root() / MEMORY,
    )
    kept = Path(app.outdir).parent / ".jupyter_cache"
    config.nb_execution_cache_path = str(kept / key)
    # The kernels, also those that MyST-NB starts, have the environment of this process.
    make_impersonal(os.environ, kept / "settings")
    theme = config.html_theme_options
    options, context = repository_options(
        theme.get("repository_url", ""), theme.get("repository_branch", "main")
    )
    theme.update(options)
    config.html_context.update(context)


def _one_page(app: Sphinx) -> None:
    # Some extensions tell Sphinx of their elements on single pages and hide by that what others said of all pages.
    handlers = app.registry.translation_handlers
    if app.builder.name in handlers and app.builder.format in handlers:
        handlers[app.builder.name] = handlers[app.builder.format] | handlers[app.builder.name]


def _execute(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    # Makes the list of fonts; a kernel that had to would say so on its page.
    import_module("matplotlib.font_manager")
    rewriting.begin(Path(app.doctreedir), pages)
    files = [path for page in pages if (path := Path(env.doc2path(page)).absolute()).suffix == ".ipynb"]
    execute_ahead(
        files,
        Path(app.config.nb_execution_cache_path),
        timeout=app.config.nb_execution_timeout,
        done=lambda path: LOGGER.info("executed %s", path.stem),
    )


def _executed(app: Sphinx, path: Path) -> nbformat.NotebookNode | None:
    """Return a notebook with the outputs that it is shown with; None where it has none yet."""
    try:
        cache = get_cache(str(app.config.nb_execution_cache_path))
        executed: nbformat.NotebookNode = cache.merge_match_into_notebook(nbformat.read(path, as_version=4))[
            1
        ]
    except KeyError:
        return None
    return executed


def _leave_out(app: Sphinx, page: str, source: list[str]) -> None:
    """Take from a page, before it is parsed, the prose of what was left out; a default book is read as it stands."""
    path = Path(app.env.doc2path(page))
    if path.suffix == ".ipynb":
        executed = _executed(app, path)
        if executed is not None and left_out.reasons(executed):
            found = left_out.pruned(nbformat.reads(source[0], as_version=4), executed)
            source[0] = nbformat.writes(found.notebook)
            app.env.temp_data["left_out"] = found
    elif names := left_out.notebooks_named(source[0]):
        notebooks = {name: _executed(app, path.parent / f"{name}.ipynb") for name in names}
        source[0] = left_out.pruned_text(source[0], {n: nb for n, nb in notebooks.items() if nb is not None})


def _hide(app: Sphinx, doctree: nodes.document) -> None:
    """Take away the code of what was left out, and what a sentence above has said already."""
    found: left_out.Pruned | None = app.env.temp_data.get("left_out")
    if found is None:
        return
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("cell_index") in found.gone:
            cell.parent.remove(cell)
        elif cell.get("cell_index") in found.said:
            for part in list(cell.findall(nodes.container)):
                if part.get("nb_element") == "cell_code_source":
                    part.parent.remove(part)
            for caption in list(cell.findall(nodes.caption)):
                caption.parent.remove(caption)


def _to_write(app: Sphinx, env: BuildEnvironment) -> list[str]:
    out = Path(app.outdir) / "_static"
    # Extensions add folders of their own to the list, by absolute paths; these change with their versions alone.
    own = [folder for folder in app.config.html_static_path if not Path(folder).is_absolute()]
    static = {Path(app.confdir) / folder: out for folder in own}
    return rewriting.to_write(Path(app.doctreedir), env.found_docs, static)


def _finish(app: Sphinx, error: Exception | None) -> None:
    beside.finish(app, error)
    if error is None:
        rewriting.end(Path(app.doctreedir))


def _page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    for role in (' role="doc-biblioentry"', 'role="list" '):
        context["body"] = context.get("body", "").replace(role, "")


def makers(source: str, known: Collection[str]) -> list[str]:
    """List the library's functions, in the order of their calls in a cell, that have an entry in the reference.

    Parameters
    ----------
    source : str
        A cell's code; modules are called by their last name, as in ``figures.confusion(...)``.
    known : collection of str
        Full names of what the reference holds.
    """
    modules = "|".join(MAKERS)
    called = re.findall(rf"\b({modules})(\.[a-z_]+)(?=\()", source)
    names = (MAKERS[module] + function for module, function in called)
    return list(dict.fromkeys(name for name in names if name in known))


def _credit(app: Sphinx, doctree: nodes.document, page: str) -> None:
    if app.builder.format != "html" or app.env is None:
        return
    known = app.env.get_domain("py").data["objects"]
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code" or "tag_remove-output" in cell["classes"]:
            continue
        source = next((block.astext() for block in cell.findall(nodes.literal_block)), "")
        shows = any(part.get("nb_element") == "cell_code_output" for part in cell.findall(nodes.container))
        names = makers(source, known) if shows else []
        if not names:
            continue
        line = nodes.paragraph("", "made by ", classes=["made-by"])
        for i, name in enumerate(names):
            place = known[name]
            address = f"{app.builder.get_relative_uri(page, place.docname)}#{place.node_id}"
            if i:
                line += nodes.Text(", ")
            line += nodes.reference("", "", nodes.literal("", name), refuri=address, internal=True)
        cell += line


def is_chart(file: Path) -> bool:
    """Whether a file is a figure without photographs (`fer_lib.plot.style.CHART`)."""
    try:
        with Image.open(file) as picture:
            return picture.info.get("Description") == CHART
    except (OSError, ValueError):
        return False


def _mark_charts(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give charts a class, by which the style sheet turns their colours on dark pages."""
    for image in doctree.findall(nodes.image):
        file = Path(app.srcdir) / image["uri"]
        if file.suffix == ".png" and is_chart(file):
            image["classes"].append(CHART)


def keep_first_line(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Let the first line of a documented value be text; it changes `lines` in place."""
    if what in ("property", "attribute", "data"):
        # Napoleon takes what precedes a colon in the first line for a type: let that line be an empty comment.
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension to Sphinx."""
    app.connect("config-inited", configure, priority=100)
    app.connect("builder-inited", _one_page)
    app.connect("env-before-read-docs", _execute)
    app.connect("source-read", _leave_out)
    app.connect("doctree-read", _hide)
    app.connect("env-updated", _to_write)
    app.connect("html-page-context", _page)
    app.connect("doctree-resolved", _credit)
    app.connect("doctree-resolved", _mark_charts)
    app.connect("autodoc-process-docstring", keep_first_line, priority=100)
    app.connect("build-finished", _finish)
    app.add_post_transform(beside.PicturesBeside)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
