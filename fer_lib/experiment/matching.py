"""The map that D matches to each action unit, and whether it is the unit's detector (claim C3): nulls and controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.errors import Lacking
from fer_lib.measures import chance, detectors
from fer_lib.study import Study

MOST = 300  # permutations of D, which cost more than those of AUC
LEAST = 3  # test sequences with and without an AU below which its AUC says nothing


def verdicts(study: Study) -> pd.DataFrame:
    """Choose for each coded AU a map on the training people, by D and by AUC, and test both on the others.

    Returns
    -------
    DataFrame
        ``au``, and for ``way`` in ``d`` (the map that maximises D) and ``auc`` (the one with the largest training AUC):
        ``map_<way>`` (NaN where no map wins), ``auc_<way>`` (its test AUC), ``p_<way>`` (of this map alone) and
        ``map_untrained_<way>`` and ``auc_untrained_<way>`` (the same choice in the untrained network). Further ``d`` (the largest
        distance);
        ``auc_expression`` (how often training people show the AU with that expression); ``p`` (of the best of all maps on the
        test people, corrected for that choice), ``p_joint`` (for the choice of AU too); ``p_within`` (of the best map on all
        people, when action units change places among sequences of one expression only; NaN where the AU goes with the
        expression in every sequence); ``with_au``, ``without`` (test sequences). All but ``p_within`` are NaN where the test
        people have fewer than three on a side; the p values also where none of them has two sequences that could be exchanged.

    Raises
    ------
    Lacking
        If no AU is coded often enough.
    """
    study.matchable()

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
    subject, untrained = study.table["subject"].to_numpy()[test], study.untrained

    def choose(maximum: np.ndarray, matched: pd.Series | None = None) -> pd.DataFrame:
        """Test the maps that D matched, or those with the largest AUC on the training people."""
        chosen = None if matched is None else matched.to_numpy()
        return detectors.select_and_test(maximum, present, train, test, units=aus, chosen=chosen)

    # A control makes the same choice as the claim, in the network before training.
    chosen = {"d": choose(maximum, study.matched), "auc": choose(maximum)}
    before = {
        "d": choose(untrained.responses.maximum, untrained.matched),
        "auc": choose(untrained.responses.maximum),
    }
    tested_on = maximum[test], present[test], subject
    permutations, seed = study.settings.permutations, study.settings.seed
    nothing = np.full(len(aus), np.nan)
    p, p_joint, p_alone = nothing, nothing, dict.fromkeys(chosen, nothing)
    try:
        null = detectors.permutation_null(*tested_on, permutations=permutations, seed=seed)
    except Lacking:
        pass  # nobody has two sequences that could change places
    else:
        every = null.p_values()
        if not np.isnan(every).all():  # some AU is both present and absent
            p, p_joint = np.where(np.isnan(every), 1.0, every).min(axis=1), null.joint_p_values()
        for way, table in chosen.items():
            p_alone[way] = detectors.chosen_p_values(
                *tested_on, table["map"].to_numpy(), permutations=permutations, seed=seed
            )
    columns: dict[str, object] = {"au": aus, "d": study.distances.max(axis=1).to_numpy()}
    for way, table in chosen.items():
        columns |= {
            f"map_{way}": table["map"].where(table["map"] >= 0).to_numpy(),
            f"auc_{way}": table["test_auc"].to_numpy(),
            f"p_{way}": p_alone[way],
            f"map_untrained_{way}": before[way]["map"].where(before[way]["map"] >= 0).to_numpy(),
            f"auc_untrained_{way}": before[way]["test_auc"].to_numpy(),
        }
    expression = study.table["expression"].to_numpy()
    columns |= {
        "auc_expression": auc_of_expression(expression, present, train, test),
        "p": p,
        "p_joint": p_joint,
        "with_au": chosen["d"]["test_with"].to_numpy(),
        "without": chosen["d"]["test_without"].to_numpy(),
    }
    tested = pd.DataFrame(columns)
    tested["p_within"] = within_expression(study, aus)
    few = tested[["with_au", "without"]].min(axis=1) < LEAST
    measured = [name for name in columns if name.startswith(("auc_", "p_")) or name == "p"]
    tested.loc[few, measured] = np.nan
    return tested


def distance_nulls(study: Study, aus: Sequence[int]) -> dict[int, np.ndarray]:
    """Largest D of all maps when action units change places among a person's sequences, (B,) for each coded AU.

    Empty where none of these AUs is coded often enough, or nobody has two sequences that could change places.
    """
    train = study.people.train
    coded = [au for au in aus if au in study.coded_aus]
    table = study.table.iloc[train]
    moves = study.moves[train]
    if not coded or table[moves].groupby("subject")["sequence"].nunique().max() < 2:
        return {}
    null = chance.largest_by_chance(
        study.responses.maximum[train],
        study.present[coded].to_numpy()[train],
        table["sequence"],
        table["subject"],
        moves,
        n=study.settings.strongest,
        zero=study.settings.zero_rule,  # type: ignore[arg-type]
        permutations=min(study.settings.permutations, MOST),
        seed=study.settings.seed,
    )
    return dict(zip(coded, null.T, strict=True))


def beyond_chance(distances: pd.DataFrame, nulls: Mapping[int, np.ndarray]) -> list[int]:
    """AUs of some nulls whose largest distance lies above 95 % of what chance gives.

    Raises
    ------
    Lacking
        If there is no null: see `distance_nulls`.
    """
    if not nulls:
        raise Lacking("nobody has two sequences whose action units could change places, so there is no null")
    return [au for au in nulls if distances.loc[au].max() > np.quantile(nulls[au], 0.95)]


def told(verdicts: pd.DataFrame) -> str:
    """Say in some sentences how well the chosen maps do on the test people, or that it cannot be said."""
    tested = verdicts.dropna(subset=["auc_d", "auc_auc"])
    if tested.empty:
        return (
            "Too few of the test people show any action unit here to say how well the chosen maps do "
            f"(at least {LEAST} sequences with it and {LEAST} without are needed): run a larger preset."
        )
    mean = tested.mean(numeric_only=True)
    beaten = (
        "Nobody among the test people has two sequences whose action units could change places, so there is no null."
        if tested["p"].isna().all()
        else f"The map of $D$ itself beats chance at 5 % for {int((tested['p_d'] <= 0.05).sum())} of {len(tested)} action units; "
        f"*some* map, whichever, beats the null of a best of all for {int((tested['p'] <= 0.05).sum())}, and for "
        f"{int((tested['p_joint'] <= 0.05).sum())} when the choice among action units is allowed for as well."
    )
    return (
        f"On the test people the map chosen by $D$ reaches a mean AUC of {mean['auc_d']:.2f}, and the map that $D$ chooses in the "
        f"**untrained** network {mean['auc_untrained_d']:.2f}. The map chosen by AUC reaches {mean['auc_auc']:.2f}, and the same "
        f"choice in the untrained network {mean['auc_untrained_auc']:.2f}. A control that knows nothing but the expression reaches "
        f"{mean['auc_expression']:.2f}. {beaten}"
    )


def within_expression(study: Study, aus: Sequence[int]) -> np.ndarray:
    """Return p of each AU's best map when action units change places among sequences of the same expression only.

    All people take part, for the network never learned from an action unit. The statistic is the rank sum against its mean
    and spread over all permutations, so that a map which merely follows the expression scores 0.

    Returns
    -------
    (J,) array
        Corrected for the choice among all maps; NaN for an AU that within no expression is both present and absent, and where
        no two sequences could change places.
    """
    apexes = study.apexes(np.arange(len(study.table)))
    apexes = apexes[study.table["expression"].to_numpy()[apexes] != ""]
    expression = study.table["expression"].to_numpy()[apexes]
    present = study.present[list(aus)].iloc[apexes]
    shares = present.groupby(expression).mean()
    varies = ((shares > 0) & (shares < 1)).any().to_numpy()
    p = np.full(len(aus), np.nan)
    if not varies.any():
        return p
    try:
        null = detectors.permutation_null(
            study.responses.maximum[apexes],
            present.to_numpy()[:, varies],
            expression,
            permutations=study.settings.permutations,
            seed=study.settings.seed,
            statistic="standardised",
        )
    except Lacking:  # sequences of one expression are coded for different AUs, so that none may change places
        return p
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
