"""Tables and sentences say what the numbers say, and never "nan"."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_lib.claims import CLAIMS, Decision, Verdict, judge
from fer_lib.levels import rejection_rates
from fer_lib.measures.comparisons import Comparison
from fer_lib.plot import (
    conclusions,
    decision,
    detectors,
    distances,
    facial_units,
    levels,
    saliency,
    training,
)
from fer_lib.plot.text import percent
from fer_lib.protocols import BY_SUBJECT, IN_FOLDS, LEAK


def verdict(value: float = 0.6123, difference: float = 0.1, p: float = 0.0002) -> Verdict:
    comparisons = (
        Comparison("chance", difference, difference - 0.05, difference + 0.05, p, 9),
        Comparison("untrained", -0.05, np.nan, np.nan, 0.81, 9),
    )
    return Verdict("C3", value, 1, 20, comparisons, "not decided")


def cells(text: str, row: int) -> list[str]:
    return [cell.strip() for cell in text.splitlines()[row].split("|")[1:-1]]


def test_what_one_reads_stands_apart_from_what_one_looks_up() -> None:
    verdicts = [verdict(), judge("C4", [], [], reason="no picture is coded")]
    read, compared = conclusions.verdicts_table(verdicts), conclusions.comparisons_table(verdicts)
    assert cells(read, 0) == ["claim", "verdict", "measure"]
    assert cells(read, 2)[1:] == ["**not decided**", f"{verdict().measure}: 0.612"]
    assert cells(read, 3)[1:] == ["**not decided**", "not tested"]
    assert cells(compared, 0) == ["claim", "above", "by", "95 %", "p", "n", "seen from", "matters"]
    assert cells(compared, 2) == ["C3", "chance", "+0.100", "0.050 to 0.150", "0.0002", "9", "0.063", "0.05"]
    assert cells(compared, 3) == ["C3", "untrained", "-0.050", "—", "0.81", "9", "—", "0.05"]
    assert compared.endswith("**C4** is left out: no picture is coded.")
    assert conclusions.claims_table(verdicts) == f"{read}\n\n{compared}"
    assert conclusions.comparisons_table(verdicts[1:]) == "**C4** is left out: no picture is coded."


def test_what_could_not_be_measured_is_said_in_words() -> None:
    text = conclusions.claims_table([verdict(np.nan, np.nan, np.nan)])
    assert ": too few to say" in text and "| chance    | too few to say" in text and "nan" not in text


def test_a_claim_that_opens_says_all_of_it() -> None:
    text = conclusions.claim_details(verdict())
    assert text.startswith("<details") and text.endswith("</details>")
    for words in (
        "**The paper.**",
        "0.612, in one trained and 20 untrained networks",
        "+0.100",
        "What CK+ would add",
    ):
        assert words in text
    assert "does not lie above untrained at 5 %" in text and "nan" not in text
    # A paragraph that follows HTML without an empty line would stay as it was written.
    assert "</summary>\n\n" in text and "\n\n</details>" in text
    untested = conclusions.claim_details(judge("C2", [], [], reason="no unit can be rendered alone"))
    assert "Not tested: no unit can be rendered alone." in untested and "| " not in untested


@pytest.mark.parametrize(
    ("reached", "comparison", "words"),
    [
        (
            "holds",
            Comparison("chance", 0.2, 0.1, 0.3, 0.01, 9),
            "Holds: the measure lies above every control",
        ),
        (
            "does not hold",
            Comparison("chance", 0.0, -0.1, 0.01, 0.5, 9),
            "above chance it surely does not lie by 0.05",
        ),
        ("not decided", Comparison("chance", 0.0, -0.1, 0.3, 0.5, 9), "does not lie above chance at 5 %"),
    ],
)
def test_a_verdict_says_why(reached: Decision, comparison: Comparison, words: str) -> None:
    assert words in conclusions.because(Verdict("C3", 0.1, 1, 20, (comparison,), reached))


def decided(**decisions: Decision) -> list[Verdict]:
    return [Verdict(claim, 0.1, 1, 20, (), reached) for claim, reached in decisions.items()]


def test_all_claims_in_a_sentence() -> None:
    say = conclusions.claims_in_a_sentence
    mixed = decided(C1="holds", C2="does not hold", C3="does not hold", C4="not decided")
    assert say(mixed) == "C1 holds, C2 and C3 do not hold, and C4 is not decided"
    assert say(mixed[:3]) == "C1 holds and C2 and C3 do not hold"
    assert say(mixed[3:]) == "C4 is not decided"


def test_networks_in_a_sentence() -> None:
    columns = [claim.column for claim in CLAIMS.values()]
    untrained = pd.DataFrame(np.tile(np.linspace(0, 1, 20)[:, None], 4), columns=columns)
    verdicts = decided(C1="holds", C2="holds", C3="holds", C4="holds")

    def say(*own: float) -> str:
        return conclusions.networks_in_a_sentence(verdicts, pd.Series(own, columns), untrained)

    assert say(2, 0.5, 2, np.nan).endswith("all 20 untrained ones for C1 and C3 alone")
    assert say(2, 2, 2, 2).endswith("for each that could be tested") and say(0, 0, 1, 0).endswith(
        "for none of them"
    )


def test_an_easier_test_stands_beside_the_verdict() -> None:
    columns = [claim.column for claim in CLAIMS.values()]
    own = pd.Series([0.3, 0.2, -0.1, np.nan], columns)
    untrained = pd.DataFrame(np.tile([[0.1], [-0.1], [0.2]], 4), columns=columns)
    verdicts = [
        judge(name, own[column], untrained[column]) for name, column in zip(CLAIMS, columns, strict=True)
    ]
    text = conclusions.easier_tests(verdicts, own, untrained)
    assert cells(text, 2)[:4] == ["**C1**", "+0.300", "yes", "2 of 3"]
    assert cells(text, 3)[2:4] == ["yes", "2 of 3"]
    assert cells(text, 3)[5] == "above chance, but not above untrained networks"
    assert cells(text, 4)[2:] == ["no", "2 of 3", verdicts[2].decision, "nothing"]
    assert len(text.splitlines()) == 5 and "nan" not in text
    sure = Verdict("C1", 0.3, 1, 3, (Comparison("random", 0.001, 0.0005, 0.0015, 0.001, 9),), "does not hold")
    assert "less than would matter" in conclusions.easier_tests([sure], own, untrained)
    assert conclusions.easier_tests([judge("C1", [], [], reason="no faces")], own, untrained) == ""


def test_where_maps_look_is_said() -> None:
    shares = {
        "brows": np.array([0.0, 0.9, np.nan]),
        "eyes": np.array([0.1, 0.1, 0.5]),
        "nose": np.array([0.0, 0.0, 0.1]),
        "mouth": np.array([0.9, 0.9, 0.4]),
    }
    matched = pd.Series({1: 0, 2: 1, 26: 0, 4: -1, 9: 2})
    looks = facial_units.parts_looked_at(shares, matched, (1, 2, 4, 9, 26, 27))
    assert looks.index.tolist() == [1, 2, 26] and looks["most"].tolist() == ["mouth", "brows", "mouth"]
    assert looks["share"].tolist() == [0.0, 0.9, 0.9]
    assert facial_units.elsewhere_in_words(looks) == (
        "1 of 3 units get a map that looks most at another part of the face: that of AU 1, inner brow raiser, shows the mouth in 90 % of "
        "its squares and the brows in 0 %"
    )
    assert cells(facial_units.parts_table(looks), 2) == [
        "1",
        "inner brow raiser",
        "0",
        "mouth (90 %)",
        "brows (0 %)",
    ]
    assert "all 2 units" in facial_units.elsewhere_in_words(looks.loc[[2, 26]])
    assert "none" in facial_units.elsewhere_in_words(looks.iloc[:0])
    said = facial_units.look_in_words(looks)
    assert said == "90 % of its squares are centred on the mouth, and 0 % on the brows, where the unit acts"
    assert (
        facial_units.look_in_words(looks.loc[[2]])
        == "90 % of its squares are centred on the brows, where the unit acts"
    )
    assert "not known" in facial_units.look_in_words(looks.iloc[:0])
    assert "No map" in facial_units.parts_table(looks.iloc[:0])


def swapped() -> pd.DataFrame:
    names = ("accuracy", "loss")
    parts = {
        "": 0.5,
        "_random": 0.4,
        "_effect": 0.1,
        "_low": -0.1,
        "_high": 0.2,
        "_p": 0.2,
        "_detectable": 0.3,
    }
    row = {f"{name}{part}": value for name in names for part, value in parts.items()}
    row |= {"pictures": 20, "people": 5, "loudness": 1.0, "loudness_random": 1.1}
    return pd.DataFrame([row, row | {"accuracy_p": 0.01}], index=["remove", "keep only"])


def test_maps_swapped_in_words() -> None:
    assert cells(decision.swaps_table(swapped()), 2) == [
        "remove",
        "50.0 %",
        "40.0 %",
        "+10.0 [-10.0, 20.0]",
        "0.2",
        "0.2",
        "30.0",
    ]
    text = decision.swaps_in_a_sentence(swapped())
    assert "On 20 pictures of 5 people" in text and text.endswith("at 5 % in keep only.")
    assert "in none of the 1 ways" in decision.swaps_in_a_sentence(swapped().iloc[:1])


def test_criteria_in_words() -> None:
    table = pd.DataFrame(
        {
            "units": ["12", "1, 2"],
            "own": [1.0, 0.2],
            "others": [np.nan, 0.1],
            "first": [12, 4],
            "named": [True, False],
        },
        index=["happy", "surprise"],
    )
    assert cells(decision.criteria_table(table), 2) == ["happy", "12", "+1.00", "—", "12"]
    text = decision.criteria_in_a_sentence(Comparison("", 0.5, 0.1, 0.9, 0.01, 3), table)
    assert "+0.50 standard deviations" in text and "Of 2 expressions, 1 is raised most" in text


def test_units_in_words() -> None:
    columns = "map,iou,best,mean,ceiling,above,hits,mean hits,responding,silent,mean silent,chance".split(",")
    units = pd.DataFrame([[3, 0.05, 0.1, 0.02, 0.3, 0.1, np.nan, 0.2, 7, 1.0, 0.2, 0.0]], [12], columns)
    assert cells(facial_units.units_table(units), 2) == [
        "12",
        "3",
        "0.050",
        "0.100",
        "0.300",
        "100 %",
        "—",
        "0 %",
    ]
    assert "Of 1 action units, the matched map exceeds 0.04 for 1" in facial_units.units_in_a_sentence(units)
    assert "Too few" in facial_units.units_in_a_sentence(units.iloc[:0])


def test_levels_in_words() -> None:
    simulations = {"fair": lambda rng: 0.5, "bold": lambda rng: 0.01}
    rates = rejection_rates(simulations, runs=50)
    assert cells(levels.rates_table(rates), 3)[::4] == ["bold", "**no**"]
    assert (
        levels.rates_in_a_sentence(rates) == "1 of 2 keep it, each in 50 simulations; too often reject: bold."
    )
    assert levels.rates_in_a_sentence(rates.iloc[:1]).endswith("50 simulations.")


def test_saliency_in_words() -> None:
    rows = [
        ("gradient", "none", "picture, high-passed", 0.4),
        ("gradient", "conv1", "projection before", np.nan),
    ]
    table = pd.DataFrame(rows, columns=["rule", "randomised", "compared with", "rank correlation"])
    table["rank correlation_low"], table["rank correlation_high"] = 0.3, 0.5
    assert saliency.saliency_in_a_sentence(table).endswith("gradient too few to say and 0.40 [0.30, 0.50].")
    assert "gradient not tested" in saliency.saliency_in_a_sentence(table.iloc[:1])


def test_what_is_not_decided_says_what_could_have_been_seen() -> None:
    open_one = Verdict("C3", 0.1, 1, 20, (Comparison("chance", 0.05, -0.05, 0.15, 0.2, 25),), "not decided")
    text = conclusions.power([open_one, verdict()])
    assert "C3 (0.13 above chance; what matters is 0.05)" in text and "80 %" in text
    assert conclusions.power([judge("C4", [], [], reason="because")]) == ""


@pytest.mark.parametrize(
    ("share", "digits", "text"), [(0.256, 0, "26 %"), (0.256, 1, "25.6 %"), (np.nan, 1, "—"), (1, 0, "100 %")]
)
def test_percent(share: float, digits: int, text: str) -> None:
    assert percent(share, digits) == text


def test_matches_in_sentences() -> None:
    names = ("auc_d", "auc_auc", "auc_untrained_d", "auc_untrained_auc", "auc_expression")
    names += ("p", "p_d", "p_joint")
    matches = pd.DataFrame({name: [0.6, np.nan] for name in names})
    assert "0.60" in detectors.summarize_matches(matches) and "nan" not in detectors.summarize_matches(
        matches
    )
    assert "for 0 of 1" in detectors.summarize_matches(matches)
    assert "for 1 of 1" in detectors.summarize_matches(matches.assign(p_d=0.01))
    assert "so there is no null" in detectors.summarize_matches(matches.assign(p=np.nan))
    assert "Too few" in detectors.summarize_matches(matches.iloc[1:])


def test_dissection_in_sentences() -> None:
    columns = ("iou", "above", "hits", "silent", "chance", "aus")
    rows = ("chosen by D", "random map", "chosen by D, untrained")
    table = pd.DataFrame(0.25, index=rows, columns=columns)
    assert "25 %" in facial_units.summarize_dissection(table.assign(aus=3))
    silent = table.assign(aus=3, hits=np.nan)
    assert "nan" not in facial_units.summarize_dissection(silent)
    assert "Too few" in facial_units.summarize_dissection(table.assign(aus=0))


def test_protocols_in_a_table() -> None:
    rows = {
        BY_SUBJECT: (1, 12, 0.0, 0.0, 0.0, 0.5, "", 1.0),
        IN_FOLDS: (3, 60, 0.0, 0.0, 0.0, 0.4, "", np.nan),
        LEAK: (0, 0, np.nan, np.nan, np.nan, np.nan, "too few pictures", np.nan),
    }
    columns = ["trainings", "test", "same person", "same sequence", "same picture", "accuracy", "lacking"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*columns, "network"]).rename_axis("test on")
    text = training.protocols_table(table)
    assert "100.0 %" in text and "50.0 %" in text and "nan" not in text and "12.0" not in text
    assert f"**Left out** ({LEAK}): too few pictures." in text and text.splitlines()[4].count("—") == 7


def test_choices_in_a_table() -> None:
    table = pd.DataFrame(
        {"changed": [0, 2, 3], "units": [3, 3, 3], "without": [0, 0, 3], "auc": [0.75, np.nan, np.nan]},
        index=pd.Index(["own", "n = 3", "infinite"], name="choice"),
    )
    lines = distances.choices_table(table).splitlines()
    assert "0 of 3" in lines[2] and "0.75" in lines[2]
    assert "2 of 3" in lines[3] and "too few to say" in lines[3]
    assert lines[4].count("no single winner") == 2


def test_movement_in_words() -> None:
    moved = pd.Series({"conv1": 0.0704, "conv2": 0.176, "conv3": 0.161, "fc1": 0.15, "fc2": 0.7})
    assert training.movement(moved) == "7.0 % (conv1), 17.6 % (conv2) and 16.1 % (conv3)"
    assert training.movement(moved * 0).startswith("0.0 % (conv1)")
    assert training.movement(moved * 1e6).startswith("70,400 times (conv1)"), "an explosion"
