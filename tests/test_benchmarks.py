import json

import pytest

from benchmarks import measure, memory, pages
from benchmarks.__main__ import main
from benchmarks.projections import window_products
from fer_lib.book.speed import code_digest
from fer_lib.network.model import ExpressionNet
from fer_lib.network.stack import read_stack


def test_a_table_is_printed_and_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(measure, "products_per_second", lambda: 1e10)
    main(["recording", "--quick", "--out", str(tmp_path / "table.json")])
    table = json.loads((tmp_path / "table.json").read_text())
    assert len(table) == 3
    for row in table:
        assert row["ratio"] == pytest.approx(row["peer_seconds"] / row["ours_seconds"])
        assert "torch" in row["machine"]
        assert row["code"] == code_digest()
        assert row["quick"] and row["date"][:2] == "20"
    assert "recording 2 pictures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "operation"),
    [("training", "the five steps of augmentation"), ("pages", "one conv3 unit in the live explorer")],
)
def test_what_readers_and_training_wait_for_is_timed(tmp_path, capsys, monkeypatch, part, operation):
    monkeypatch.setattr(measure, "products_per_second", lambda: 1e10)
    monkeypatch.setenv("FER_BOOK", str(tmp_path / "none"))
    main([part, "--quick", "--out", str(tmp_path / "table.json")])
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["operation"].startswith(operation) for row in table].count(True) == 1
    assert all(row["ours_seconds"] > 0 and row["peer_seconds"] > 0 for row in table)
    assert ("pages are left out" in capsys.readouterr().out) == (part == "pages")


def test_memory_is_measured_in_processes_of_their_own(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(memory, "QUICK", (60,))
    main(["memory", "--quick", "--out", str(tmp_path / "table.json")])
    table = json.loads((tmp_path / "memory.json").read_text())
    assert [row["operation"].split(":")[0] for row in table] == list(memory.PARTS)
    assert all(0 < row["peak_bytes"] < memory.MOST and row["pictures"] == 60 for row in table)
    assert "cropping" in capsys.readouterr().out
    assert not (tmp_path / "table.json").exists()


@pytest.mark.browser
def test_the_slowest_page_is_named(browser, tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html><title>a</title>")
    (tmp_path / "slow.html").write_text(
        "<!doctype html><title>b</title><script>for (const end = Date.now() + 300; Date.now() < end;);</script>"
    )
    row = pages.slowest_page(sorted(tmp_path.glob("*.html")), browser, 1)
    assert row.operation == "opening the slowest of 2 pages of the book from disk"
    assert row.note.startswith("page slow;") and row.ours_seconds > 0.3


def test_unknown_parts_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "there is no benchmark nothing" in capsys.readouterr().err


def test_works_take_turns_and_medians_are_kept(monkeypatch):
    calls, clock = [], iter([0, 1, 1, 11, 11, 14, 14, 34, 34, 36, 36, 66])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    works = {name: lambda name=name: calls.append(name) for name in "ab"}
    assert measure.in_turns(works, 3) == {"a": 2, "b": 20}
    assert "".join(calls) == "ab" * 4


@pytest.mark.parametrize("padding", [0, 2])
def test_arithmetic_of_a_window(padding):
    # 28 x 28 places of conv1, 10 x 10 of conv2 and one of conv3, up and down.
    up = 28 * 28 * 64 * 25 + 10 * 10 * 128 * 1600 + 3200
    assert window_products(read_stack(ExpressionNet(padding=padding).features, "relu3")) == 2 * up
