"""The map that D matches to each action unit, and whether it is the unit's detector (claim C3): nulls and controls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.evidence import chance, detectors, distance
from fer_lib.experiment.study import Study

MOST = 300  # permutations of D, which cost more than those of AUC
LEAST = 3  # test sequences with and without an AU below which its AUC says nothing


def verdicts(study: Study) -> pd.DataFrame:
    """Choose for each coded AU a map on the training people, by D and by AUC, and test both on the others.

    Returns
    -------
    DataFrame
        ``au``; ``d``, ``map_d``, ``auc_d`` (test AUC of the map that maximises D); ``map_auc``, ``auc_auc`` (of the map with
        the largest training AUC); controls ``auc_untrained`` (the same choice in the untrained network) and
        ``auc_expression`` (how often training people show the AU with that expression); ``p`` (of the best map on the test
        people, corrected for all maps), ``p_joint`` (for all AUs too); ``p_within`` (of the best map on all people, when
        action units change places among sequences of one expression only; NaN where the AU goes with the expression in
        every sequence); ``with_au``, ``without`` (test sequences). All but ``p_within`` are NaN where the test people have
        fewer than three on a side.
    """

    def compute(folder: Path) -> None:
        _tested(study).to_parquet(folder / "verdicts.parquet")

    artifact = study.store.fetch(
        "verdicts",
        compute,
        settings=study.settings.part("strongest", "zero_rule", "permutations", "seed"),
        upstream=[study.training.key],
        sources=["experiment.matching"],
    )
    return pd.read_parquet(artifact.path / "verdicts.parquet")


def _tested(study: Study) -> pd.DataFrame:
    train, test = study.apexes(study.people.train), study.apexes(study.people.test)
    aus = list(study.coded_aus)
    present, maximum = study.present[aus].to_numpy(), study.responses.maximum
    by_d = distance.best_maps(study.distances.to_numpy())
    chosen = {
        "d": detectors.select_and_test(maximum, present, train, test, units=aus, chosen=by_d),
        "auc": detectors.select_and_test(maximum, present, train, test, units=aus),
        "untrained": detectors.select_and_test(
            study.untrained.responses.maximum, present, train, test, units=aus
        ),
    }
    null = detectors.permutation_null(
        maximum[test],
        present[test],
        study.table["subject"].to_numpy()[test],
        permutations=study.settings.permutations,
        seed=study.settings.seed,
    )
    p = null.p_values()
    expression = study.table["expression"].to_numpy()
    tested = pd.DataFrame(
        {
            "au": aus,
            "d": study.distances.max(axis=1).to_numpy(),
            "map_d": by_d,
            "map_auc": chosen["auc"]["map"].to_numpy(),
            **{f"auc_{name}": table["test_auc"].to_numpy() for name, table in chosen.items()},
            "auc_expression": auc_of_expression(expression, present, train, test),
            "p": np.where(np.isnan(p), 1.0, p).min(axis=1),
            "p_joint": null.joint_p_values(),
            "with_au": chosen["d"]["test_with"].to_numpy(),
            "without": chosen["d"]["test_without"].to_numpy(),
        }
    )
    tested["p_within"] = within_expression(study, aus)
    measured = [*(f"auc_{name}" for name in chosen), "auc_expression", "p", "p_joint"]
    tested.loc[tested[["with_au", "without"]].min(axis=1) < LEAST, measured] = np.nan
    return tested


def distance_nulls(study: Study, aus: Sequence[int]) -> dict[int, np.ndarray]:
    """Largest D of all maps when action units change places among a person's sequences, (B,) for each coded AU."""
    train = study.people.train
    coded = [au for au in aus if au in study.coded_aus]
    if not coded:
        return {}
    table = study.table.iloc[train]
    null = chance.largest_by_chance(
        study.responses.maximum[train],
        study.present[coded].to_numpy()[train],
        table["sequence"],
        table["subject"],
        table["position"] > 0,
        n=study.settings.strongest,
        zero=study.settings.zero_rule,  # type: ignore[arg-type]
        permutations=min(study.settings.permutations, MOST),
        seed=study.settings.seed,
    )
    return dict(zip(coded, null.T, strict=True))


def told(verdicts: pd.DataFrame) -> str:
    """Say in a sentence or two how well the chosen maps do on unseen people, or that it cannot be said."""
    tested = verdicts.dropna(subset=["auc_d", "auc_auc"])
    if tested.empty:
        return (
            "Too few of the unseen people show any action unit here to say how well the chosen maps do "
            f"(at least {LEAST} sequences with it and {LEAST} without are needed): run a larger preset."
        )
    mean = tested[["auc_d", "auc_auc", "auc_untrained", "auc_expression"]].mean()
    return (
        f"On unseen people the map chosen by $D$ reaches a mean AUC of {mean['auc_d']:.2f}, the one chosen by AUC "
        f"{mean['auc_auc']:.2f}, the best map of the **untrained** network {mean['auc_untrained']:.2f}, and a control "
        f"that knows nothing but the expression {mean['auc_expression']:.2f}. A map that beats the null at 5 % exists for "
        f"{int((tested['p'] <= 0.05).sum())} of {len(tested)} action units, and for {int((tested['p_joint'] <= 0.05).sum())} "
        "when the choice among action units is allowed for as well."
    )


def within_expression(study: Study, aus: Sequence[int]) -> np.ndarray:
    """Return p of each AU's best map when action units change places among sequences of the same expression only.

    All people take part, for the network never learned from an action unit. The statistic is the rank sum against its mean
    and spread over all permutations, so that a map which merely follows the expression scores 0.

    Returns
    -------
    (J,) array
        Corrected for the choice among all maps; NaN for an AU that within no expression is both present and absent.
    """
    apexes = study.apexes(np.arange(len(study.table)))
    apexes = apexes[study.table["expression"].to_numpy()[apexes] != ""]
    expression = study.table["expression"].to_numpy()[apexes]
    present = study.present[list(aus)].iloc[apexes]
    shares = present.groupby(expression).mean()
    varies = ((shares > 0) & (shares < 1)).any().to_numpy()
    p = np.full(len(aus), np.nan)
    if varies.any():
        null = detectors.permutation_null(
            study.responses.maximum[apexes],
            present.to_numpy()[:, varies],
            expression,
            permutations=study.settings.permutations,
            seed=study.settings.seed,
            statistic="standardised",
        )
        p[varies] = np.nanmin(null.p_values(), axis=1)
    return p


def auc_of_expression(
    expression: np.ndarray, present: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """AUC of a control that knows only the expression: the share of training rows of that expression with the AU.

    Parameters
    ----------
    expression : (N,) array
        Expression of each row's sequence.
    present : (N, J) array
        1, 0 or NaN.
    train, test : int arrays
        Rows.

    Returns
    -------
    (J,) array
    """
    names, code = np.unique(expression, return_inverse=True)
    member = code[train][None] == np.arange(len(names))[:, None]  # (expressions, train)
    known = ~np.isnan(present[train])
    share = (member @ np.nan_to_num(present[train])) / np.maximum(member @ known, 1)
    scores = share[code[test]]  # (test, AUs)
    return np.array(
        [detectors.auc(scores[:, [j]], present[test][:, [j]])[0, 0] for j in range(present.shape[1])]
    )
