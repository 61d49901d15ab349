"""What pages say of many networks: planted numbers come out as counts, means and ranges; and the page itself, on planted sweeps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure
from planted_sweeps import plant, tables

from fer_lib import published
from fer_lib.claims import CLAIMS, judge
from fer_lib.config import make_settings
from fer_lib.errors import Lacking
from fer_lib.measures.stability import winning_maps
from fer_lib.plot import conclusions, sweeps
from fer_lib.published import from_sweep

SMOKE = make_settings("smoke")
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ENDED = "the loss in epoch 2; start from other weights"
DIVERGED: dict[str, Any] = {
    "02_training": {"training": [{"network": "this", "ended": "diverged", "passes": 2}]},
    "07_distance": ENDED,
    "08_summary": ENDED,
}
UNTRAINED = {"ended": "untrained", "passes": 0, "steps": 0, "loss": np.nan, "accuracy": 0.125}


def plain(recorded: Any) -> Any:
    """NaN as notebooks keep it."""
    if isinstance(recorded, dict):
        return {name: plain(value) for name, value in recorded.items()}
    if isinstance(recorded, list):
        return [plain(value) for value in recorded]
    return {"number": "nan"} if isinstance(recorded, float) and np.isnan(recorded) else recorded


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def seeds(folder: Path) -> Path:
    runs: dict[str, Any] = {
        f"trained+seed={seed}": ("trained", {"seed": seed}, tables(seed)) for seed in (0, 1, 2)
    }
    for seed in (0, 1):
        recorded = plain(tables(seed, **UNTRAINED))
        runs[f"untrained+seed={seed}"] = ("untrained", {"seed": seed, "epochs": 0}, recorded)
    return plant(folder / "seeds", SMOKE, runs)


def test_verdicts_are_counted_for_each_group(tmp_path: Path) -> None:
    text = sweeps.decisions_table(from_sweep(seeds(tmp_path)).recorded("verdicts"))
    lines = text.splitlines()
    assert cells(lines[0]) == ["claim", "trained", "untrained"]
    assert cells(lines[2])[:2] == ["C1", "holds 3 of 3 (44–100 %)"]
    assert cells(lines[5])[2].startswith("not decided 2 of 2 (")


def test_networks_are_summed_up_with_their_range(tmp_path: Path) -> None:
    lines = sweeps.networks_table(from_sweep(seeds(tmp_path)).recorded("training")).splitlines()
    shown = cells(lines[2])
    assert shown[:3] == ["trained", "3", "converged after 21 (20 to 22) passes"]
    assert shown[3:5] == ["91.0 % (90.0 % to 92.0 %)", "101 (100 to 102)"]
    assert shown[5] == "10.0 % / 10.0 % / 10.0 %"
    assert cells(lines[3])[2:5] == ["untrained", "12.5 %", "0"]
    assert not any("nan" in line for line in lines)


def test_starts_and_rates_say_how_training_ended(tmp_path: Path) -> None:
    runs: dict[str, Any] = {
        "before": ("before", {"initialisation": "he", "epochs": 0}, plain(tables(0, **UNTRAINED)))
    }
    for seed in (0, 1):
        chosen = {"initialisation": "fan_in", "learning_rate": 0.01, "seed": seed}
        runs[f"good{seed}"] = ("regime", chosen, tables(seed))
        chosen = {"initialisation": "small", "learning_rate": 0.03, "seed": seed}
        runs[f"mixed{seed}"] = ("regime", chosen, DIVERGED if seed else tables(seed, ended="epochs"))
        chosen = {"initialisation": "paper", "learning_rate": 0.001, "seed": seed}
        runs[f"literal{seed}"] = ("regime", chosen, DIVERGED)
    found = from_sweep(plant(tmp_path / "regimes", SMOKE, runs))
    text = sweeps.regimes_table(found.recorded("training"), found.recorded("winners"), "fan_in", 0.01)
    before, good, mixed, literal = map(cells, text.splitlines()[2:])
    assert before[:3] == ["he", "no step", "untrained"] and before[3] == before[5] == "—"
    assert all(re.fullmatch(r"\*\*.+\*\*", cell) for cell in good) and good[-1] == "**0.70**"
    assert mixed[2] == "1 limit of passes after 20 passes; 1 diverged in pass 2" and mixed[4] == "90.0 %"
    assert literal[2:] == ["diverged in pass 2", "—", "—", "—", "—"]
    assert "nan" not in text


def test_choices_stand_beside_the_default(tmp_path: Path) -> None:
    other = tables(0, accuracy=0.85)
    other["07_distance"]["selectivity"] = [
        row | {"among units": 0.5} for row in other["07_distance"]["selectivity"]
    ]
    runs: dict[str, Any] = {
        "default+seed=0": ("default", {"seed": 0}, tables(0)),
        "padding+padding=2+seed=0": ("padding", {"padding": 2, "seed": 0}, other),
        "start": ("start", {"initialisation": "paper"}, DIVERGED),
    }
    found = from_sweep(plant(tmp_path / "ambiguities", SMOKE, runs))
    text = sweeps.choices_table(*(found.recorded(name) for name in ("training", "verdicts", "selectivity")))
    default, padded, literal = map(cells, text.splitlines()[2:])
    assert default == [
        "default",
        "1",
        "90.0 %",
        "75.0 %",
        "holds 1",
        "holds 1",
        "does not hold 1",
        "not decided 1",
    ]
    assert padded[:4] == ["padding=2", "1", "85.0 % (-5.0)", "50.0 % (-25.0)"]
    assert literal[2:] == ["—"] * 6


def test_maps_that_win_are_set_beside_those_before_training(tmp_path: Path) -> None:
    winners = from_sweep(seeds(tmp_path)).recorded("winners").rename(columns={"map_d": "map"})
    of = {name: winners[winners["set"] == name] for name in ("trained", "untrained")}
    trained, before = (table.rename(columns={"item": "AU"}) for table in of.values())
    text = sweeps.winning_maps_table(winning_maps(trained, before), of["trained"])
    first, second = map(cells, text.splitlines()[2:4])
    assert first == ["1", "3", "3", "2 of 2", "0 of 3", "3 of 3", "0.60"]
    assert second[4] == "3 of 3"


def test_provenance_says_how_many_runs_and_whether_the_code_has_changed(tmp_path: Path) -> None:
    runs: dict[str, Any] = {"a": ("a", {}, tables()), "b": ("b", {"seed": 1}, {})}
    made = from_sweep(
        plant(tmp_path / "mine", SMOKE, runs, failed={"b/02_training": "FerError: why"})
    ).provenance
    said = sweeps.provenance(made, current=True)
    assert "1 of its 2 runs are finished. The code has not changed since." in said
    assert "`fer sweep sweeps/mine.yaml`" in said and "preset `smoke`, rendered faces" in said
    assert said.endswith("\n- Failed: `b/02_training` (FerError: why).")
    assert "**The code has changed since.**" in sweeps.provenance(made, current=False)


def test_measures_are_dots_beside_the_level_of_chance(tmp_path: Path) -> None:
    found = from_sweep(seeds(tmp_path))
    figure = conclusions.measures_over_networks(found.recorded("measures"))
    assert isinstance(figure, Figure) and [ax.get_title("left") for ax in figure.axes] == [
        "C1",
        "C2",
        "C3",
        "C4",
    ]
    dots = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert [sorted(line.get_ydata()) for line in dots] == [[0.6] * 3, [0.0, 0.01]]
    chance = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert chance == [0]


def test_a_network_stands_beside_untrained_ones_with_its_verdict() -> None:
    untrained = pd.DataFrame({claim.column: np.linspace(-0.05, 0.05, 20) for claim in CLAIMS.values()})
    own = pd.Series({claim.column: 0.1 * place for place, claim in enumerate(CLAIMS.values())})
    found = [judge(name, own[claim.column], untrained[claim.column]) for name, claim in CLAIMS.items()]
    figure = conclusions.networks_of_a_claim(found, own, untrained)
    for ax, verdict, value in zip(figure.axes, found, own, strict=True):
        assert ax.get_yticklabels()[0].get_text() == f"{verdict.claim}: {verdict.decision}"
        dots, diamond = (line for line in ax.lines if line.get_linestyle() == "None")
        assert len(dots.get_xdata()) == 20 and list(diamond.get_xdata()) == [value]


def run_page(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the cells of a page, and return what they show."""
    monkeypatch.setenv("FER_PRESET", "smoke")
    namespace: dict[str, Any] = {}
    with capture_output() as shown:
        for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells:
            if cell.cell_type == "code":
                *_, last = [*cell.source.splitlines(), ""][:-1]
                exec(compile(cell.source, name, "exec"), namespace)
                if re.match(r"(Markdown|conclusions)\b|\)", last):
                    exec(compile(f"shown = {cell.source}", name, "exec"), namespace)
                    print(getattr(namespace["shown"], "data", type(namespace["shown"])))
    return str(shown.stdout)


def test_the_page_shows_planted_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "FOLDER", tmp_path / "shipped")
    monkeypatch.setenv("FER_STORE", str(tmp_path / "store"))
    with pytest.raises(Lacking, match="no results of the sweep `seeds`"):
        run_page("stability.ipynb", monkeypatch)
    from_sweep(seeds(tmp_path)).save(tmp_path / "shipped" / "seeds.csv")
    with pytest.raises(Lacking, match="no results of the sweep `ambiguities`"):
        run_page("stability.ipynb", monkeypatch)
    runs: dict[str, Any] = {
        "default+seed=0": ("default", {"seed": 0}, tables(0)),
        "padding": ("padding", {"padding": 2, "seed": 0}, tables(1)),
    }
    from_sweep(plant(tmp_path / "ambiguities", SMOKE, runs)).save(tmp_path / "shipped" / "ambiguities.csv")
    said = run_page("stability.ipynb", monkeypatch)
    for part in ("5 of its 5 runs", "2 of its 2 runs", "holds 3 of 3", "padding=2", "same map as before"):
        assert part in said
    assert re.search(r"\| trained +\| +3 +\| +4 +\| +1 +\|", said), "Kendall's W over four units"
