"""Tables and sentences say what the numbers say, and never "nan"."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from fer_lib.claims import Verdict, undecided
from fer_lib.measures.comparisons import Comparison
from fer_lib.plot import summaries
from fer_lib.protocols import BY_SUBJECT, IN_FOLDS, LEAK


def verdict(value: float = 0.6123, difference: float = 0.1, p: float = 0.0002) -> Verdict:
    comparisons = (Comparison("chance", difference, p, 9), Comparison("untrained", -0.05, 0.81, 9))
    return Verdict("C3", "It detects.", "mean AUC", value, (0.5, 0.7), comparisons, "holds in part")


def test_claims_in_a_table() -> None:
    text = summaries.claims_table([verdict(), undecided("C4", "no picture is coded")])
    line = text.splitlines()[2]
    assert "mean AUC: 0.612" in line and "chance +0.100 (p = 0.0002); untrained -0.050 (p = 0.81)" in line
    assert "not tested" in text and "left out: no picture is coded" in text and "nan" not in text
    assert [c.strip() for c in text.splitlines()[0].split("|")[1:-1]] == [
        "claim",
        "statement",
        "verdict",
        "measure",
        "above its controls by",
    ]


def test_what_could_not_be_measured_is_said_in_words() -> None:
    text = summaries.claims_table([verdict(np.nan, np.nan, np.nan)])
    assert "mean AUC: too few to say" in text and "chance: too few to say" in text and "nan" not in text


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


RUNS = pd.DataFrame(
    {
        "seed": [0, 0, 0, 2, 2, 2],
        "accuracy": [1.0] * 3 + [0.5] * 3,
        "steps": [340.0] * 3 + [510.0] * 3,
        "moved_conv1": [0.012] * 3 + [0.07] * 3,
        "moved_conv2": [0.043] * 3 + [0.18] * 3,
        "moved_conv3": [0.041] * 3 + [0.16] * 3,
        "claim": ["C1", "C2", "C3"] * 2,
        "measure": ["mean: a", "b", ""] * 2,
        "value": [0.125, np.nan, np.nan] * 2,
        "decision": ["holds", "does not hold", "not decided", "holds", "holds", "not decided"],
    }
)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_each_seed_has_its_network_and_verdicts() -> None:
    lines = summaries.seeds_table(RUNS).splitlines()
    assert cells(lines[2]) == ["accuracy", "100.0 %", "50.0 %"]
    assert cells(lines[3]) == ["steps", "340", "510"]
    assert cells(lines[4])[1:] == ["1.2 % / 4.3 % / 4.1 %", "7.0 % / 18.0 % / 16.0 %"]
    assert "holds (0.125)" in lines[5] and "does not hold (too few to say)" in lines[6]
    assert lines[7].count("not decided (not tested)") == 2


def test_movement_in_words() -> None:
    moved = pd.Series({"conv1": 0.0704, "conv2": 0.176, "conv3": 0.161, "fc1": 0.15, "fc2": 0.7})
    assert summaries.movement(moved) == "7.0 % (conv1), 17.6 % (conv2) and 16.1 % (conv3)"
    assert summaries.movement(moved * 0).startswith("0.0 % (conv1)")
    assert summaries.movement(moved * 1e6).startswith("70,400 times (conv1)"), "an explosion"


def test_starts_in_a_table() -> None:
    names = ["initialisation", "learning_rate", "ended", "passes", "steps", "loss", "accuracy", "auc"]
    names += ["moved_conv1", "moved_conv2", "moved_conv3"]
    unknown = [np.nan] * 5
    rows = [
        ("fan_in", np.nan, "untrained", 0, 0, np.nan, 0.125, 0.75, 0, 0, 0),
        ("he", 0.001, "epochs", 40, 680, 0.0853, 0.9, 0.7, 0.012, 0.043, 0.041),
        ("fan_in", 0.01, "converged", 33, 561, 0.0267, 0.966, 0.781, 0.07, 0.18, 0.16),
        ("paper", 0.001, "diverged", 1, np.nan, *unknown, np.nan),
    ]
    lines = summaries.starts_table(pd.DataFrame(rows, columns=names), "fan_in", 0.01).splitlines()
    assert cells(lines[2]) == ["before the first step", "—", "—", "—", "—", "12.5 %", "—", "0.75"]
    assert cells(lines[3])[:5] == ["he", "0.001", "limit of passes", "40", "0.085"]
    assert all(re.fullmatch(r"\*\*.+\*\*", cell) for cell in cells(lines[4]))
    assert "7.0 % / 18.0 % / 16.0 %" in lines[4] and "**" not in lines[3]
    assert cells(lines[5]) == ["paper", "0.001", "diverged", "1", "—", "—", "—", "—"]


def test_what_depends_on_the_seed_is_said() -> None:
    said = summaries.agreement(RUNS)
    assert "all 2 seeds: C1 (holds), C3 (not decided)." in said
    assert "depends on the seed: C2 (does not hold, holds)." in said


def test_provenance_says_whether_the_code_has_changed() -> None:
    made = {"date": "today", "version": "1", "code": "a", "settings": {"preset": "smoke"}, "faces": {}}
    assert "is the same as here" in summaries.provenance(made, "a") and "these faces" in summaries.provenance(
        made, "a"
    )
    changed = summaries.provenance({**made, "faces": {"rendered": {}}}, "b")
    assert "**changed since then**" in changed and "preset `smoke`, rendered faces" in changed
