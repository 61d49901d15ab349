"""How often the p values of the book reject where nothing is there to be found."""

from __future__ import annotations

from pathlib import Path

from fer_lib import levels
from fer_lib.artifacts.steps import step


@step()
def rejection_rates(folder: Path, runs: int, seed: int) -> None:
    """Simulate every p value; write ``levels.parquet``."""
    levels.rejection_rates(runs=runs, seed=seed).to_parquet(folder / "levels.parquet")
