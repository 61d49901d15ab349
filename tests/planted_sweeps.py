"""Folders of sweeps as `fer sweep` leaves them, with numbers that a test chooses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import nbformat

from fer_lib import results
from fer_lib.claims import CLAIMS, comparisons_table, judge, verdicts_table
from fer_lib.config import Settings
from fer_lib.faces.digest import record_of_faces
from fer_lib.measures.comparisons import Comparison
from fer_lib.measures.network_measures import MEASURES
from fer_lib.published import code_digest

AUS = (1, 4, 12, 25)


def training(seed: int = 0, **changes: Any) -> list[dict[str, Any]]:
    """What `02_training` records."""
    row = {"network": "this", "ended": "converged", "passes": 20 + seed, "steps": 100 + seed, "loss": 0.1}
    row |= {"accuracy": 0.9 + 0.01 * seed, "balanced": 0.8, "commonest": 0.2}
    row |= {f"moved_{layer}": 0.1 for layer in ("conv1", "conv2", "conv3", "fc1", "fc2")}
    return [row | changes]


def verdicts(
    value: float = 0.6, decisions: Sequence[str] = ("holds", "holds", "does not hold", "not decided")
) -> dict:
    """What `08_summary` records."""
    compared = (Comparison("another control", 0.1, 0.05, 0.15, 0.01, 9),)
    found = [
        replace(judge(claim, [value], [0.0, 0.01, 0.02], compared), decision=decision)
        for claim, decision in zip(CLAIMS, decisions, strict=True)
    ]
    measures = [{"measure": name, "value": value, "lacking": ""} for name in MEASURES]
    return {
        "verdicts": verdicts_table(found).to_dict("records"),
        "comparisons": comparisons_table(found).to_dict("records"),
        "measures": measures,
    }


def winners(seed: int = 0) -> dict[str, Any]:
    """What `07_distance` records."""
    rows = [
        {
            "AU": au,
            "d": 1.0 + place + 0.01 * seed,
            "p_null": 0.01 if place else 0.5,
            "map_d": seed + place,
            "auc_d": 0.6,
        }
        | {"p_d": 0.04, "map_auc": place, "auc_auc": 0.7, "p_auc": 0.2, "with_au": 30}
        for place, au in enumerate(AUS)
    ]
    chosen = [{"AU": au, "map": seed, "effect": 1.0, "among maps": 0.5, "among units": 0.75} for au in AUS]
    return {"winners": rows, "selectivity": chosen}


def tables(seed: int = 0, **changes: Any) -> dict[str, dict[str, Any]]:
    """What three notebooks record of a network that went well."""
    return {
        "02_training": {"training": training(seed, **changes)},
        "07_distance": winners(seed),
        "08_summary": verdicts(0.01 * seed if changes.get("ended") == "untrained" else 0.6),
    }


def plant(
    folder: Path,
    settings: Settings,
    runs: Mapping[str, tuple[str, dict[str, Any], Mapping[str, Any]]],
    *,
    fixed: Mapping[str, Any] | None = None,
    failed: Mapping[str, str] | None = None,
    **about: Any,
) -> Path:
    """Write a sweep's folder.

    Parameters
    ----------
    folder
        Where; its name is the sweep's.
    settings
        What all runs share.
    runs
        By name: set, chosen parameters, and for each notebook the tables that it recorded; a text is why it ended early.
    fixed
        What the sweep's file gives all runs.
    failed
        By run and notebook, as ``a/02_training``: the error that ended it.
    about
        Other values of the files, such as ``code``.
    """
    plan = {
        "sweep": folder.name,
        "runs": {name: {"set": of, "chosen": chosen} for name, (of, chosen, _) in runs.items()},
        "notebooks": ["02_training", "07_distance", "08_summary"],
        "fixed": dict(fixed or {}),
        "settings": asdict(settings),
        "faces": record_of_faces(settings),
        "jobs": {},
    }
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps(plan))
    for name, (_, chosen, notebooks) in runs.items():
        (folder / name).mkdir()
        for notebook, recorded in notebooks.items():
            ended = recorded if isinstance(recorded, str) else ""
            content = {
                "format": results.FORMAT,
                "notebook": notebook,
                "parameters": {"preset": settings.preset, "faces": settings.faces, **chosen},
                "made": "2026-01-02T03:04:05+00:00",
                "seconds": 1.0,
                "versions": {"fer-lib": "1.0"},
                "numbers": {},
                "tables": {} if ended else recorded,
                "ended": ended,
                "code": code_digest(),
                "threads": "1",
                "state": "",
            }
            (folder / name / f"{notebook}.json").write_text(json.dumps(content | about))
    for place, line in (failed or {}).items():
        kind, _, value = line.partition(": ")
        error = nbformat.v4.new_output("error", ename=kind, evalue=value, traceback=[])
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0", outputs=[error])])
        nbformat.write(notebook, folder / f"{place}.failed.ipynb")
    return folder
