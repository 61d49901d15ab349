"""Tables and sentences say what the numbers say, and never "nan"."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_lib.claims import Verdict, judge
from fer_lib.measures.comparisons import Comparison
from fer_lib.plot import summaries
from fer_lib.protocols import BY_SUBJECT, IN_FOLDS, LEAK


def verdict(value: float = 0.6123, difference: float = 0.1, p: float = 0.0002) -> Verdict:
    comparisons = (
        Comparison("chance", difference, difference - 0.05, difference + 0.05, p, 9),
        Comparison("untrained", -0.05, np.nan, np.nan, 0.81, 9),
    )
    return Verdict("C3", value, 1, 20, comparisons, "not decided")


def test_claims_in_a_table() -> None:
    text = summaries.claims_table([verdict(), judge("C4", [], [], reason="no picture is coded")])
    line = text.splitlines()[2]
    assert (
        ": 0.612" in line and "chance +0.100 [0.050, 0.150], p = 0.0002; untrained -0.050, p = 0.81" in line
    )
    assert "not tested" in text and "left out: no picture is coded" in text and "nan" not in text
    assert [c.strip() for c in text.splitlines()[0].split("|")[1:-1]] == [
        "claim",
        "verdict",
        "measure",
        "above its controls by",
        "matters from",
    ]


def test_what_could_not_be_measured_is_said_in_words() -> None:
    text = summaries.claims_table([verdict(np.nan, np.nan, np.nan)])
    assert ": too few to say" in text and "chance: too few to say" in text and "nan" not in text


def test_what_is_not_decided_says_what_could_have_been_seen() -> None:
    open_one = Verdict("C3", 0.1, 1, 20, (Comparison("chance", 0.05, -0.05, 0.15, 0.2, 25),), "not decided")
    text = summaries.power([open_one, verdict()])
    assert "C3 (0.13 above chance; what matters is 0.05)" in text and "80 %" in text
    assert summaries.power([judge("C4", [], [], reason="because")]) == ""


@pytest.mark.parametrize(
    ("share", "digits", "text"), [(0.256, 0, "26 %"), (0.256, 1, "25.6 %"), (np.nan, 1, "—"), (1, 0, "100 %")]
)
def test_percent(share: float, digits: int, text: str) -> None:
    assert summaries.percent(share, digits) == text


def test_matches_in_sentences() -> None:
    names = ("auc_d", "auc_auc", "auc_untrained_d", "auc_untrained_auc", "auc_expression")
    names += ("p", "p_d", "p_joint")
    matches = pd.DataFrame({name: [0.6, np.nan] for name in names})
    assert "0.60" in summaries.summarize_matches(matches) and "nan" not in summaries.summarize_matches(
        matches
    )
    assert "for 0 of 1" in summaries.summarize_matches(matches)
    assert "for 1 of 1" in summaries.summarize_matches(matches.assign(p_d=0.01))
    assert "so there is no null" in summaries.summarize_matches(matches.assign(p=np.nan))
    assert "Too few" in summaries.summarize_matches(matches.iloc[1:])


def test_dissection_in_sentences() -> None:
    columns = ("iou", "above", "hits", "silent", "chance", "aus")
    rows = ("chosen by D", "random map", "chosen by D, untrained")
    table = pd.DataFrame(0.25, index=rows, columns=columns)
    assert "25 %" in summaries.summarize_dissection(table.assign(aus=3))
    silent = table.assign(aus=3, hits=np.nan)
    assert "nan" not in summaries.summarize_dissection(silent)
    assert "Too few" in summaries.summarize_dissection(table.assign(aus=0))


def test_protocols_in_a_table() -> None:
    rows = {
        BY_SUBJECT: (1, 12, 0.0, 0.0, 0.0, 0.5, "", 1.0),
        IN_FOLDS: (3, 60, 0.0, 0.0, 0.0, 0.4, "", np.nan),
        LEAK: (0, 0, np.nan, np.nan, np.nan, np.nan, "too few pictures", np.nan),
    }
    columns = ["trainings", "test", "same person", "same sequence", "same picture", "accuracy", "lacking"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*columns, "network"]).rename_axis("test on")
    text = summaries.protocols_table(table)
    assert "100.0 %" in text and "50.0 %" in text and "nan" not in text and "12.0" not in text
    assert f"**Left out** ({LEAK}): too few pictures." in text and text.splitlines()[4].count("—") == 7


def test_choices_in_a_table() -> None:
    table = pd.DataFrame(
        {"changed": [0, 2, 3], "units": [3, 3, 3], "without": [0, 0, 3], "auc": [0.75, np.nan, np.nan]},
        index=pd.Index(["own", "n = 3", "infinite"], name="choice"),
    )
    lines = summaries.choices_table(table).splitlines()
    assert "0 of 3" in lines[2] and "0.75" in lines[2]
    assert "2 of 3" in lines[3] and "too few to say" in lines[3]
    assert lines[4].count("no single winner") == 2


def test_movement_in_words() -> None:
    moved = pd.Series({"conv1": 0.0704, "conv2": 0.176, "conv3": 0.161, "fc1": 0.15, "fc2": 0.7})
    assert summaries.movement(moved) == "7.0 % (conv1), 17.6 % (conv2) and 16.1 % (conv3)"
    assert summaries.movement(moved * 0).startswith("0.0 % (conv1)")
    assert summaries.movement(moved * 1e6).startswith("70,400 times (conv1)"), "an explosion"
