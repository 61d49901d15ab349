"""The test of matched maps on other people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fer_lib.artifacts.steps import step
from fer_lib.artifacts.store import Artifact
from fer_lib.config import Division
from fer_lib.faces import table as frames
from fer_lib.measures.expression_controls import within_expression
from fer_lib.measures.matches import evaluate_matches
from fer_lib.probe.responses import Responses
from fer_lib.steps.stored import Labelled


@step()
def matches(
    folder: Path,
    pictures: Artifact,
    responses: Artifact,
    untrained: Artifact,
    matched: Mapping[int, int],
    untrained_matched: Mapping[int, int],
    division: Division,
    permutations: int,
    seed: int,
) -> None:
    """Test on other people the maps that D and AUC choose for each action unit; write ``matches.parquet``.

    Parameters
    ----------
    responses, untrained : Artifact
        Of the trained network and of it before training.
    matched, untrained_matched : mapping of int to int
        The map that D matches to each AU in either; -1 for none.
    """
    known, aus = Labelled.load(pictures, neutral=division.neutral), list(matched)
    table, people = known.table, known.split_of_all(division)
    apex = frames.is_apex(table)
    expression = table["expression"].to_numpy()
    present = frames.au_present(table)[aus].to_numpy()
    maximum = Responses.load(responses.path).maximum
    found = evaluate_matches(
        maximum,
        Responses.load(untrained.path).maximum,
        present,
        people.train[apex[people.train]],
        people.test[apex[people.test]],
        aus=aus,
        matched=np.array(list(matched.values())),
        untrained_matched=np.array([untrained_matched[au] for au in aus]),
        subject=table["subject"],
        expression=expression,
        permutations=permutations,
        seed=seed,
    )
    found["p_within"] = within_expression(
        maximum[apex],
        present[apex],
        expression[apex],
        table["subject"][apex],
        permutations=permutations,
        seed=seed,
    )
    found.to_parquet(folder / "matches.parquet")
