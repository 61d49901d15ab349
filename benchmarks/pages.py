"""What readers wait for: a page of the built book in Chromium, and one unit in the live explorer."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Row, in_turns
from fer_lib.faces.preprocess import Evaluate
from fer_lib.network.model import ExpressionNet
from fer_lib.plot.live import Live

_PAGE, _UNIT = 2.0, 0.1  # seconds that a reader is asked to wait at most


def rows(rate: float, quick: bool) -> Iterator[Row]:
    """Time a unit in the live explorer, and every page where there are a built book and a browser."""
    yield _unit(quick)
    book = Path(os.environ.get("FER_BOOK", Path(__file__).parents[1] / "book" / "_build" / "html"))
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    pages = sorted(book.glob("*.html")) + sorted(book.glob("notebooks/*.html"))
    if not pages or not chromium:
        print(f"pages are left out: no {'book at ' + str(book) if chromium else 'Chromium'}")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield slowest_page(pages[:1] if quick else pages, browser, 1 if quick else 3)
        browser.close()


def _unit(quick: bool) -> Row:
    network = ExpressionNet(generator=torch.Generator().manual_seed(0)).eval()
    face = np.random.default_rng(0).integers(0, 256, (120, 100), np.uint8)
    live = Live(network, [face], ["noise"], [str(i) for i in range(8)], Evaluate())
    places = iter(range(10**6))

    def work() -> None:
        i = next(places)
        live.go_to(i % 17, i // 17 % 17)

    ours = in_turns({"ours": work}, 1 if quick else 25)["ours"]
    operation = "one conv3 unit in the live explorer: value, receptive field, projection"
    return Row(operation, ours, "a tenth of a second", _UNIT, _UNIT / ours, ">= 1", None)


def slowest_page(pages: list[Path], browser: Any, repeats: int) -> Row:
    """Time how long each page takes to load; the row is of the slowest."""
    ended = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    times: dict[str, float] = {}
    for page in pages:
        found = []
        for _ in range(repeats):
            tab = browser.new_page()
            tab.goto(page.as_uri(), wait_until="load", timeout=0)
            tab.wait_for_function(f"{ended} > 0", timeout=0)
            found.append(tab.evaluate(ended) / 1000)
            tab.close()
        times[page.stem] = statistics.median(found)
    slowest = max(times, key=lambda name: times[name])
    operation = f"opening the slowest of {len(pages)} pages of the book from disk"
    note = f"page {slowest}; median of all: {statistics.median(times.values()):.2g} s"
    ours = times[slowest]
    return Row(operation, ours, "two seconds", _PAGE, _PAGE / ours, ">= 1", None, note)
