import json

import pytest

from fer_lib.book import speed
from fer_lib.errors import FerError

ROW = {
    "operation": "a",
    "ours_seconds": 0.0127,
    "peer": "b",
    "peer_seconds": 987.0,
    "ratio": 77716.5,
    "wanted": ">= 40",
    "limit_seconds": None,
    "note": "",
    "machine": "one, torch 2",
    "date": "2026-01-02",
    "quick": False,
}


def test_a_table_is_laid_out(tmp_path):
    file = tmp_path / "latest.json"
    file.write_text(json.dumps([ROW]))
    rows = speed.load(file)
    assert speed.conditions(rows).startswith("Measured on: one, torch 2, on 2026-01-02. Which code")
    (line,) = speed.table(rows).to_dict("records")
    shown = [
        line[column].replace("\N{NO-BREAK SPACE}", " ")
        for column in ("here", "beside it", "arithmetic alone")
    ]
    assert shown == ["12.7 ms", "b: 16.4 min", "—"]
    assert speed.table([{**ROW, "note": "scaled up"}])["beside it"][0].endswith("(scaled up)")
    assert line["asked for"] == "≥ 40"
    assert "Tiny sizes" in speed.conditions([{**ROW, "quick": True}])
    assert "unknown date" in speed.conditions([{k: v for k, v in ROW.items() if k != "date"}])


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([speed.code_digest()] * 2, "is the same as here."),
        ([speed.code_digest(), "0"], "has changed since then"),
        (["0"], "has changed since then"),
        ([speed.code_digest(), None], "is not noted"),
    ],
)
def test_times_of_other_code_are_called_so(codes, said):
    text = speed.conditions([{**ROW, "code": code} for code in codes])
    assert said in text and text.count("code") == 1


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"ratio": 40.0}, ""),
        ({"ratio": 1.0, "wanted": "<= 30 s"}, ""),
        ({"ratio": 39.0}, "- a, beside b: 39 times faster, not 40."),
        (
            {"ratio": 30.0, "limit_seconds": 42.0},
            "out of reach of this arithmetic, which alone would make it 23.5.",
        ),
        (
            {"ratio": 30.0, "limit_seconds": 10.0},
            "within reach of this arithmetic, which alone would make it 98.7.",
        ),
    ],
)
def test_a_ratio_that_was_not_reached_is_named(row, text):
    found = speed.shortfalls([{**ROW, **row}])
    assert found.endswith(text) and bool(found) == bool(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "500 ms"), (1.2, "1.2 s"), (80, "80 s"), (90, "1.5 min")]
)
def test_durations(seconds, text):
    assert speed.short(seconds) == text.replace(" ", "\N{NO-BREAK SPACE}")


def test_a_missing_table_is_named_with_its_remedy(tmp_path):
    with pytest.raises(FerError, match="make it with `make bench`"):
        speed.load(tmp_path / "latest.json")


NETWORK = {
    "seed": 3,
    "stopped": "epochs",
    "precision": "bfloat16",
    "seconds": 80.0,
    "pictures": 4000,
    "steps": 60,
    "accuracy": 0.925,
    "curve": {"epoch": [1, 2]},
    "moved": {"conv1": 0.012, "fc1": 0.4},
}
MADE = {
    "networks": [NETWORK, {**NETWORK, "seed": 4, "stopped": "converged", "seconds": 100.0}],
    "machine": "a card",
    "date": "2026-01-02",
    "measured": "0",
    "preset": "paper",
    "verdicts": [],
}


def test_networks_side_by_side_are_laid_out(tmp_path):
    (tmp_path / "gpu.json").write_text(json.dumps(MADE))
    made = speed.load_networks(tmp_path / "gpu.json")
    text = speed.networks_summary(made).replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith(
        "2 networks of the preset `paper`, trained side by side on: a card, on 2026-01-02."
    )
    assert "longest took 1.67 min; together they learnt from 80 pictures a second" in text
    assert "has changed since then" in text
    first, second = speed.networks_table(made).to_dict("records")
    assert first["ended"] == "limit of passes" and second["ended"] == "converged"
    assert first["test accuracy"] == "92.5 %" and first["conv1 moved by"] == "1.2 %"
    assert "fc1 moved by" not in first and first["passes"] == 2


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", json.dumps({**MADE, "networks": []}), json.dumps({**MADE, "networks": [{}]}), None],
)
def test_missing_networks_are_named_with_their_remedy(tmp_path, content):
    if content is not None:
        (tmp_path / "gpu.json").write_text(content)
    with pytest.raises(FerError, match="make them with `python -m benchmarks"):
        speed.load_networks(tmp_path / "gpu.json")
