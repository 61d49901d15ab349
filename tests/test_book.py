"""The book: what its extension promises, and the built pages in a real browser without a network."""

import functools
import http.server
import json
import os
import pkgutil
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fer_lib.book import extension

ROOT = Path(__file__).parents[1]
HTML = Path(os.environ.get("FER_BOOK", ROOT / "book" / "_build" / "html"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
PAGES = [TOC["root"], *(entry["file"] for part in TOC["parts"] for entry in part["chapters"])]


def test_key_changes_with_everything_that_shapes_outputs(tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "render").mkdir(parents=True)
    source = library / "render" / "scene.py"
    source.write_text("a = 1\n")
    key = extension.execution_key(library, "book", "")
    assert key == extension.execution_key(library, "book", "")
    assert key != extension.execution_key(library, "smoke", "")
    assert key != extension.execution_key(library, "book", "", publish="S052")
    source.write_text("a = 2\n")
    assert key != extension.execution_key(library, "book", "")


def test_key_sees_the_users_faces(tmp_path: Path) -> None:
    library, faces = tmp_path / "library", tmp_path / "faces"
    library.mkdir()
    faces.mkdir()
    (faces / "a.png").write_bytes(b"1")
    key = extension.execution_key(library, "book", str(faces))
    assert key != extension.execution_key(library, "book", "")
    (faces / "a.png").write_bytes(b"12")
    assert key != extension.execution_key(library, "book", str(faces))


def test_key_sees_what_pages_read(tmp_path: Path) -> None:
    library, kept = tmp_path / "library", tmp_path / "kept"
    library.mkdir()
    key = extension.execution_key(library, "book", "", [kept, tmp_path / "table.json"])
    kept.mkdir()
    (kept / "a.csv").write_text("1")
    folder = extension.execution_key(library, "book", "", [kept, tmp_path / "table.json"])
    (tmp_path / "table.json").write_text("[]")
    both = extension.execution_key(library, "book", "", [kept, tmp_path / "table.json"])
    assert len({key, folder, both}) == 3


def test_makers_of_a_cell() -> None:
    known = {"fer_lib.views.figures.confusion", "fer_lib.views.tables.au_table"}
    source = "figures.confusion(a, b)\ntables.au_table(study)\nfigures.confusion(c)\nfigures.unknown(d)\nnp.figures.x()"
    assert extension.makers(source, known) == [
        "fer_lib.views.figures.confusion",
        "fer_lib.views.tables.au_table",
    ]


def test_a_propertys_text_is_no_type() -> None:
    lines = ["Whether each AU is present: row, column."]
    extension._docstring(None, "property", "", None, None, lines)  # type: ignore[arg-type]
    assert lines[0] == ".." and lines[-1].startswith("Whether")


def texts() -> Iterator[str]:
    for page in sorted((ROOT / "book").rglob("*.md")):
        if "_build" not in page.parts and "vendor" not in page.parts:
            yield page.read_text("utf-8")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                yield "".join(cell["source"])


def test_links_into_the_library_lead_somewhere() -> None:
    modules = set(re.findall(r"automodule:: (\S+)", "\n".join(texts())))
    names = {name for text in texts() for name in re.findall(r"\{py:\w+\}`~?([\w.]+)`", text)}
    assert len(names) > 20
    for name in sorted(modules | names):
        pkgutil.resolve_name(name)
    for name in names - modules:
        home = name.rpartition(".")[0]
        assert home in modules or home.rpartition(".")[0] in modules, (
            f"{name} has no entry in the library's pages"
        )


def test_every_exercise_has_a_solution() -> None:
    text = "\n".join(texts())
    exercises = re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", text)
    assert len(exercises) == len(set(exercises)) >= 8
    assert sorted(exercises) == sorted(re.findall(r"\{solution\} (\S+)", text))


def test_no_button_without_an_address() -> None:
    options, context = extension.repository_options("", "main")
    assert not any(options.values())
    assert context == {}


def test_edit_links_lead_to_the_real_folders() -> None:
    from jinja2 import Template

    options, context = extension.repository_options("https://example.org/a/b/", "main")
    template = Template(context["edit_page_url_template"])
    assert all(options[button] is True for button in extension.REPOSITORY_BUTTONS)
    assert template.render(file_name="intro.md") == "https://example.org/a/b/edit/main/book/intro.md"
    assert (
        template.render(file_name="notebooks/02_training.ipynb")
        == "https://example.org/a/b/edit/main/notebooks/02_training.ipynb"
    )


def test_links_of_the_book_folder() -> None:
    for name in ("_config.yml", "_toc.yml", "notebooks"):
        assert (ROOT / "book" / name).readlink() == Path("..") / name


def test_every_citation_key_is_unique() -> None:
    keys = re.findall(r"^@\w+\{(\S+),$", (ROOT / "book" / "references.bib").read_text("utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys)) > 20


@pytest.fixture(autouse=True)
def built(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("browser") and not (HTML / "index.html").is_file():
        pytest.skip(f"no built book at {HTML}; build it with `make book`")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Visit:
    """An open page, and what went wrong while it loaded."""

    def __init__(self, browser, url: str, **context: object) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.foreign: list[str] = []
        own = ("file:", "data:", "blob:", "http://127.0.0.1:")
        self.page.route(
            lambda target: not target.startswith(own),
            lambda route: (self.foreign.append(route.request.url), route.abort()),
        )
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        self.page.goto(url, wait_until="load")
        self.page.wait_for_timeout(300)

    def load_time(self) -> float:
        """Milliseconds until the page had loaded."""
        return self.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *exception: object) -> None:
        self.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("over", ["file", "http"])
@pytest.mark.parametrize("name", PAGES)
def test_page_loads_without_errors_or_network(browser, address: str, name: str, over: str) -> None:
    base = address if over == "http" else HTML.as_uri()
    with Visit(browser, f"{base}/{name}.html") as visit:
        assert visit.errors == []
        assert visit.foreign == []
        if over == "file":
            # The best of three, so that what else the machine does at the moment counts for little.
            times = [visit.load_time()]
            while times[-1] >= 2000 and len(times) < 3:
                visit.page.reload()
                visit.page.wait_for_timeout(300)
                times.append(visit.load_time())
            assert 0 < min(times) < 2000, f"milliseconds: {times}"
        broken = visit.page.eval_on_selector_all(
            "img", "all => all.filter(i => i.complete && i.naturalWidth === 0).map(i => i.src.slice(0, 120))"
        )
        assert broken == []
        assert visit.page.locator("article h1").count() == 1
        text = visit.page.inner_text("article")
        assert not re.search(r"\{(glue|cite|numref|ref|eq|prf:ref)[:}]|:header-rows:|\|:?---", text), (
            "raw markup on the page"
        )
        assert "Traceback (most recent call last)" not in text
        assert str(ROOT) not in text, "a path of the machine that built the page"


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(browser, name: str) -> None:
    with Visit(browser, f"{HTML.as_uri()}/{name}.html", viewport={"width": 390, "height": 844}) as visit:
        # The sidebars wait outside the screen, so it is the article that has to fit.
        article = visit.page.locator("article")
        assert article.evaluate("a => a.getBoundingClientRect().right") <= 390
        assert article.evaluate("a => a.scrollWidth - a.clientWidth") <= 0


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible(browser, name: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with Visit(browser, f"{HTML.as_uri()}/{name}.html", color_scheme=scheme) as visit:
        assert visit.page.locator("html").get_attribute("data-theme") == scheme
        found = Axe().run(visit.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        assert found.violations_count == 0, found.generate_report()
