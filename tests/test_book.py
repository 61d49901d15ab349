"""The book: what its extension promises, and the built pages in a real browser without a network."""

import ast
import functools
import http.server
import json
import os
import pkgutil
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import yaml
from conftest import PATIENCE
from sphinx.errors import ConfigError

from fer_lib.book import extension

ROOT = Path(__file__).parents[1]
HTML = Path(os.environ.get("FER_BOOK", ROOT / "book" / "_build" / "html"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
PAGES = [TOC["root"], *(entry["file"] for part in TOC["parts"] for entry in part["chapters"])]


@pytest.mark.parametrize("name", PAGES)
def test_no_title_holds_a_formula(name: str) -> None:
    """Titles stand in the list of pages, also on pages that load no MathJax."""
    for file in (ROOT / "book" / f"{name}.md", ROOT / "book" / f"{name}.ipynb"):
        if file.is_file():
            text = file.read_text("utf-8")
            if file.suffix == ".ipynb":
                text = "".join(json.loads(text)["cells"][0]["source"])
            title = next(line for line in text.splitlines() if line.startswith("# "))
            assert "$" not in title and "`" not in title, title


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
    library, faces, away = tmp_path / "library", tmp_path / "faces", tmp_path / "away.png"
    library.mkdir()
    faces.mkdir()
    away.write_bytes(b"1")
    (faces / "a.png").symlink_to(away)
    (faces / "table.csv").write_text(f"path,subject\na.png,x\n{away},y\n")

    def key() -> str:
        return extension.execution_key(library, "book", str(faces / "table.csv"))

    keys = [key(), extension.execution_key(library, "book", "")]
    away.write_bytes(b"2")
    keys.append(key())
    (faces / "a.png").unlink()
    (faces / "a.png").write_bytes(b"3")
    keys.append(key())
    (faces / "beside.txt").touch()
    keys.append(key())
    assert len(set(keys)) == 5
    (faces / "a.png").touch()
    assert key() == keys[-1]


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
    known = {"fer_lib.plot.figures.confusion", "fer_lib.plot.tables.au_table"}
    source = "figures.confusion(a, b)\ntables.au_table(study)\nfigures.confusion(c)\nfigures.unknown(d)\nnp.figures.x()"
    assert extension.makers(source, known) == [
        "fer_lib.plot.figures.confusion",
        "fer_lib.plot.tables.au_table",
    ]


def test_a_propertys_text_is_no_type() -> None:
    lines = ["Whether each AU is present: row, column."]
    extension.keep_first_line(None, "property", "", None, None, lines)  # type: ignore[arg-type]
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


def configured(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Let the extension read a shell's variables; return the folder of the executed notebooks."""
    for name in ("PRESET", "FACES", "PUBLISH"):
        monkeypatch.setenv(f"FER_{name}", variables.get(name, ""))
    config = SimpleNamespace(html_theme_options={}, html_context={}, nb_execution_cache_path="")
    extension.configure(SimpleNamespace(outdir="out/html"), config)  # type: ignore[arg-type]
    return config.nb_execution_cache_path


def test_notebooks_find_the_faces_where_the_shell_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "it's CK+").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    caches = set()
    for given in ("~/it's CK+", "it's CK+", str(tmp_path / "it's CK+")):
        caches.add(configured(monkeypatch, FACES=given, PRESET="smoke"))
        assert os.environ["FER_FACES"] == str(tmp_path / "it's CK+"), "kernels inherit it"
    assert len(caches) == 1
    configured(monkeypatch)
    assert (os.environ["FER_FACES"], os.environ["FER_PRESET"]) == ("", "book")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"FACES": "/no/such/place"}, "/no/such/place: no such folder"),
        ({"FACES": "~nobody-of-this-name/ck"}, "no such user"),
        ({"PRESET": "tiny"}, "preset='tiny'"),
    ],
)
def test_a_book_that_cannot_be_is_refused_at_once(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=message):
        configured(monkeypatch, **variables)


def test_no_button_without_an_address() -> None:
    options, context = extension.repository_options("", "main")
    assert not any(options.values()) and options["launch_buttons"] == {}
    assert context == {}
    options, _ = extension.repository_options("https://example.org/a/b", "main")
    assert "launch_buttons" not in options, "with an address those of _config.yml stay"


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


# Settled: fonts, pictures and formulas are there, and what they set off has been laid out.
SETTLED = """async () => {
  const frames = async (n) => { for (; n; n--) await new Promise((done) => requestAnimationFrame(done)); };
  const until = async (ready) => { while (!ready()) await frames(1); };
  await document.fonts.ready;
  if (document.querySelector(".math")) {
    await until(() => window.MathJax?.startup?.promise);
    await MathJax.startup.promise;
  }
  await until(() => [...document.images].every((image) => image.complete));
  await frames(6);
}"""


class Visit:
    """An open page, and what went wrong while it loaded."""

    def __init__(self, browser, url: str, **context: object) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.asked: set[Path] = set()
        own = ("file:", "data:", "blob:", "http://127.0.0.1:")
        self.page.route(
            lambda target: not target.startswith(own),
            lambda route: (self.foreign.append(route.request.url), route.abort()),
        )
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        self.page.goto(url, wait_until="load")
        self.settle()

    def _note(self, url: str) -> None:
        if url.startswith("file:"):
            self.asked.add(Path(url2pathname(urlsplit(url).path)))

    def settle(self) -> None:
        """Wait until nothing on the page moves any more."""
        self.page.evaluate(SETTLED)

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
        broken = visit.page.eval_on_selector_all(
            "img", "all => all.filter(i => i.naturalWidth === 0).map(i => i.src.slice(0, 120))"
        )
        assert broken == []
        assert visit.page.locator("article h1").count() == 1
        text = visit.page.inner_text("article")
        assert not re.search(r"\{(glue|cite|numref|ref|eq|prf:ref)[:}]|:header-rows:|\|:?---", text), (
            "raw markup on the page"
        )
        assert "Traceback (most recent call last)" not in text
        assert not re.search(r"<\w*Figure size", text), "a figure's name instead of the figure"
        assert str(ROOT) not in text, "a path of the machine that built the page"


# What of the article a reader cannot see or reach: each entry says what is wrong with which element.
UNREACHABLE = """() => {
  const article = document.querySelector(".bd-article"), found = [];
  const edge = Math.min(article.getBoundingClientRect().right, document.documentElement.clientWidth) + 1;
  const say = (what, e) => found.push(`${what}: ${e.outerHTML.replace(/\\s+/g, " ").slice(0, 90)}`);
  const styles = new Map([...article.querySelectorAll("*")].map((e) => [e, getComputedStyle(e)]));
  const boxes = new Map([...styles.keys()].map((e) => [e, e.getBoundingClientRect()]));
  // Not shown, for screen readers only, in the margin, or the inside of an icon.
  const seen = [...styles.keys()].filter((e) => boxes.get(e).width > 1 && boxes.get(e).height > 1 &&
    styles.get(e).visibility !== "hidden" && !e.closest("mjx-assistive-mml, svg, aside.margin, .fer-live"));
  for (const e of seen) {
    const style = styles.get(e), box = boxes.get(e);
    const wide = e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0;
    const high = e.scrollHeight > e.clientHeight + 1 && e.clientHeight > 0;
    if ((wide && /auto|scroll/.test(style.overflowX)) || (high && /auto|scroll/.test(style.overflowY))) {
      if (e.tabIndex !== 0 || !e.getAttribute("aria-label")) say("scrolls, but has no focus or no name", e);
      if (e.querySelector("table")) say("a table that does not fit", e);
    }
    for (let around = e.parentElement; around !== article; around = around.parentElement) {
      const { overflowX } = styles.get(around);
      if (/auto|scroll/.test(overflowX)) break;
      if (/hidden|clip/.test(overflowX) && box.right > boxes.get(around).right + 1) say("cut off", e);
      if (around.parentElement === article && (box.right > edge || box.left < -1)) say("beyond the page", e);
    }
  }
  // Notes may stand in the page's margin, where it has one.
  for (const e of article.querySelectorAll("aside.margin")) {
    if (e.getBoundingClientRect().right > document.documentElement.clientWidth + 1) say("beyond the window", e);
  }
  return found;
}"""

# Folded parts hold content too.
UNFOLD = """() => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  document.querySelectorAll(".toggle-hidden").forEach((one) => one.classList.remove("toggle-hidden"));
}"""

LETTERS = {
    "as they are": "",
    "a fifth larger": "html { font-size: 120% !important } .bd-article { font-size: 120% }",
    "wide": ".bd-article, .bd-article * { letter-spacing: .06em; word-spacing: .1em }",
}


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_everything_can_be_seen_or_reached(browser, name: str) -> None:
    """At three widths and with letters of three kinds: another font is nothing else."""
    with Visit(browser, f"{HTML.as_uri()}/{name}.html") as visit:
        visit.page.evaluate(
            "document.head.append(Object.assign(document.createElement('style'), {id: 'letters'}))"
        )
        for letters, style in LETTERS.items():
            visit.page.evaluate("style => { document.getElementById('letters').textContent = style; }", style)
            for width in (1300, 1000, 390):
                visit.page.set_viewport_size({"width": width, "height": 844})
                visit.settle()
                found = visit.page.evaluate(UNREACHABLE)
                for _ in range(300):  # a busy machine may measure its tables anew a little later
                    if not found:
                        break
                    visit.page.wait_for_timeout(100)
                    found = visit.page.evaluate(UNREACHABLE)
                assert found == [], f"{width} pixels, letters {letters}"


@pytest.mark.browser
def test_tables_are_set_smaller_and_then_as_cards(browser) -> None:
    """A table of many columns: its cells keep their column's title, its parts their roles, and it comes back."""
    from playwright.sync_api import expect

    with Visit(browser, f"{HTML.as_uri()}/notebooks/detectors.html") as visit:
        table = visit.page.locator("table", has_text="p within").first
        titles = table.locator("th").all_text_contents()
        rows = table.locator("tbody tr").count()
        visit.page.set_viewport_size({"width": 240, "height": 844})
        visit.settle()
        expect(table).to_have_class(re.compile(r"\bcards\b"), timeout=PATIENCE)
        assert table.get_attribute("role") == "table"
        assert table.locator("[role=row]").count() == rows + 1
        cells = table.locator("tbody tr").first.locator("[role=cell]")
        said = [
            cells.nth(i).evaluate("e => getComputedStyle(e, '::before').content") for i in range(len(titles))
        ]
        assert said == [f'"{title.strip()}"' for title in titles]
        visit.page.set_viewport_size({"width": 1300, "height": 844})
        visit.settle()
        expect(table).not_to_have_class(re.compile(r"\bcards\b"), timeout=PATIENCE)
        assert table.locator("th").first.is_visible()


def alternatives() -> Iterator[tuple[str, str]]:
    """Page, and alternative text of a picture that the notebook asks for."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            image = cell["metadata"].get("mystnb", {}).get("image")
            source = "".join(cell["source"])
            # Networks side by side on a GPU are shown where somebody has run them, those of a sweep in the default book alone.
            kept = "training_curves" not in source or (ROOT / "benchmarks/gpu.json").is_file()
            kept &= not re.search(r"measures_over_networks|selectivity_against_movement", source)
            if image and kept:
                yield f"notebooks/{path.stem}", image["alt"]


@pytest.mark.browser
@pytest.mark.parametrize("name", sorted({name for name, _ in alternatives()}))
def test_page_has_its_pictures(browser, name: str) -> None:
    wanted = [alt for page, alt in alternatives() if page == name]
    with Visit(browser, f"{HTML.as_uri()}/{name}.html") as visit:
        sizes = visit.page.eval_on_selector_all("img", "all => all.map(i => [i.alt, i.naturalWidth])")
        shown = {alt for alt, width in sizes if width > 300}
        assert [alt for alt in wanted if alt not in shown] == []


def test_every_figure_cell_has_an_alternative_text() -> None:
    figures = [
        rf"{file.stem}\.{node.name}"
        for file in (ROOT / "fer_lib" / "plot").glob("*.py")
        for node in ast.parse(file.read_bytes()).body
        if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "Figure"
    ]
    assert r"figures\.network_diagram" in figures
    drawn = re.compile(rf"^({'|'.join(figures)})\(", re.MULTILINE)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code" and drawn.search("".join(cell["source"])):
                assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 30, f"{path.name}: {cell['id']}"


def describes(text: str | None) -> bool:
    """Whether an alternative text says something: words, and no file."""
    return (
        text is not None
        and len(text.split()) >= 3
        and not re.search(r"\.(png|jpe?g|svg|webp)\b|base64", text)
    )


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_every_picture_is_described(browser, name: str) -> None:
    with Visit(browser, f"{HTML.as_uri()}/{name}.html") as visit:
        found = visit.page.eval_on_selector_all(
            "img, canvas, .bd-article [role=img], .cell_output svg:not(button svg)",
            "all => all.filter(e => !e.closest('[aria-hidden=true]')).map(e => [e.outerHTML.slice(0, 80), "
            "e.tagName === 'IMG' ? e.getAttribute('alt') : e.getAttribute('aria-label')])",
        )
        assert [html for html, text in found if not describes(text)] == []
        # What a slider shows only later is described in its data.
        for data in visit.page.locator(".fer-slider script[type='application/json']").all():
            later = json.loads(data.text_content())
            assert len(later["labels"]) == len(later["pictures"]) > 1
            assert all(describes(f"{later['alt']}; {label}") for label in later["labels"])


PAGE_BYTES, BOOK_BYTES, NETWORK_BYTES = 1_500_000, 20_000_000, 26_000_000


def size(paths: set[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light(browser, name: str) -> None:
    """The page, the theme and the pictures that it loads when it opens; the script of formulas runs once it is painted."""
    with Visit(browser, f"{HTML.as_uri()}/{name}.html") as visit:
        assert visit.page.locator("script[src*=mathjax]:not([defer])").count() == 0
        asked = set(visit.asked)  # the script of formulas may be asked for at any moment
        assert HTML.resolve() / f"{name}.html" in {path.resolve() for path in asked}
        assert size({path for path in asked if "mathjax" not in path.parts}) <= PAGE_BYTES


@pytest.mark.browser
def test_the_book_is_light() -> None:
    """All but the network of the explorer, whose weights a reader loads who asks for them."""
    weights = {path for path in (HTML / "_images").glob("*.js")}
    assert len(weights) == 3, "convolutions, linear layers and faces"
    assert size({path for path in HTML.rglob("*") if path.is_file()} - weights) <= BOOK_BYTES
    assert size(weights) <= NETWORK_BYTES


@pytest.mark.browser
def test_the_network_of_the_explorer_runs_in_its_page(browser) -> None:
    with Visit(browser, f"{HTML.as_uri()}/notebooks/explorer.html#conv3/12") as visit:
        visit.page.wait_for_function(
            "document.querySelector('.fer-network').dataset.projected?.startsWith('conv3 12 ')"
        )
        assert visit.page.locator(".fer-network [data-part=originals]").is_visible(), (
            "stored pictures beside it"
        )
        assert visit.page.locator(".fer-explorer [data-part=number]").input_value() == "12"
        visit.page.locator(".fer-network [data-part=ask]").click()
        visit.page.wait_for_selector(".fer-network[data-scored]")
        assert visit.errors == [] and visit.foreign == []


@pytest.mark.browser
def test_pictures_are_loaded_when_they_are_looked_at(browser) -> None:
    with Visit(browser, f"{HTML.as_uri()}/notebooks/05_facial_units.html") as visit:
        before, position = set(visit.asked), visit.page.locator(".fer-slider [type=range]")
        data = json.loads(visit.page.locator(".fer-slider script[type='application/json']").text_content())
        files = {(HTML / "notebooks" / picture).resolve() for picture in data["pictures"]}
        assert all(path.is_file() for path in files)
        assert len(files & {path.resolve() for path in before}) == 1
        position.fill("7")
        visit.settle()
        picture = visit.page.locator(".fer-slider img")
        assert picture.evaluate("i => i.naturalWidth") > 100
        assert picture.get_attribute("src") == data["pictures"][7]
        assert len(visit.asked - before) == 3, "this one and its two neighbours"


@pytest.mark.browser
def test_explorer_loads_its_maps_sheet_by_sheet(browser) -> None:
    with Visit(browser, f"{HTML.as_uri()}/notebooks/explorer.html") as visit:
        before = set(visit.asked)
        data = json.loads(visit.page.locator(".fer-explorer script[type='application/json']").text_content())
        sheets = data["layers"][0]["projections"]["uris"]
        assert len(sheets) > 4
        assert sum(Path(sheet).name in {path.name for path in before} for sheet in sheets) == 1
        alive = [c for c, dead in enumerate(data["layers"][0]["dead"]) if not dead]
        visit.page.locator(".fer-explorer [data-part=number]").fill(str(alive[-1]))
        visit.page.wait_for_function(
            "document.querySelector('.fer-explorer [data-part=projections]').width !== 240"
        )
        assert Path(sheets[alive[-1] // data["layers"][0]["projections"]["maps"]]).name in {
            path.name for path in visit.asked - before
        }
        assert len(visit.asked - before) <= 2


@pytest.mark.browser
def test_every_icon_is_drawn(browser) -> None:
    """Of the theme's icons only those are kept that pages use."""
    with Visit(browser, f"{HTML.as_uri()}/notebooks/05_facial_units.html") as visit:
        drawn = visit.page.locator("svg.svg-inline--fa")
        assert drawn.count() > 8
        assert visit.page.locator("i[class*='fa-']:not(:has(svg))").count() == 0, "not replaced by a drawing"
        # FontAwesome shows an animation for what it does not know.
        assert visit.page.locator("svg.svg-inline--fa:is(:has(animate), :not(:has(path)))").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible(browser, name: str, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    size = {"width": width, "height": 844}
    with Visit(browser, f"{HTML.as_uri()}/{name}.html", color_scheme=scheme, viewport=size) as visit:
        assert visit.page.locator("html").get_attribute("data-theme") == scheme
        found = Axe().run(visit.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.browser
def test_charts_are_dark_on_dark_pages_and_photographs_are_not(browser) -> None:
    filters = "all => all.map(i => [i.classList.contains('chart'), getComputedStyle(i).filter])"
    seen: set[tuple[bool, str]] = set()
    for name in ("02_training", "05_facial_units"):
        with Visit(browser, f"{HTML.as_uri()}/notebooks/{name}.html", color_scheme="dark") as visit:
            seen |= {tuple(one) for one in visit.page.eval_on_selector_all(".cell_output img", filters)}
    assert seen == {(True, "invert(0.9) hue-rotate(180deg)"), (False, "none")}


@pytest.mark.browser
def test_the_literal_start_is_told_as_the_register_measures_it(browser) -> None:
    with Visit(browser, f"{HTML.as_uri()}/notebooks/deviations.html") as visit:
        table = visit.page.locator("table", has=visit.page.locator("th", has_text="fan_in"))
        at = [title.strip() for title in table.locator("th").all_text_contents()].index("paper")
        losses = [row.locator("td").nth(at).text_content().strip() for row in table.locator("tbody tr").all()]
    assert len(losses) > 1
    with Visit(browser, f"{HTML.as_uri()}/notebooks/02_training.html") as visit:
        assert f"losses of {', '.join(losses)} (" in visit.page.inner_text("article").replace("\n", " ")


def test_the_register_names_what_the_paper_cites_for_deconvolution() -> None:
    """References 8 and 4 of the paper: Zeiler and Fergus for the visualization, Erhan et al. for the network."""
    (row,) = [line for text in texts() for line in text.splitlines() if line.startswith("| citations |")]
    assert "Zeiler and Fergus ([8])" in row and "([4])" in row
