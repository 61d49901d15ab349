"""What the page says of the judges' opinions: markdown tables and sentences."""

from __future__ import annotations

import pandas as pd

from fer_lib.judges.opinions import Opinions
from fer_lib.judges.published import PUBLISHED

NAMES = {
    "hog": "dlib, gradient histograms",
    "mmod": "dlib, convolutional network",
    "haar_fer": "OpenCV, Haar cascade as `fer` sets it",
    "haar_facex": "OpenCV, Haar cascade as `facex` sets it",
    "tiny": "face-api, small convolutional network",
    "dlib": "dlib, regression trees",
    "faceapi": "face-api",
    "descriptor": "dlib, face descriptor",
    "between": "the two from each other",
}
"""What the tables call detectors and predictors of landmarks; networks keep their packages' names."""


def _markdown(table: pd.DataFrame, digits: int = 0, index: bool = True) -> str:
    text: str = table.to_markdown(floatfmt=f".{digits}f", index=index, missingval="—")
    return text


def face_tables(found: Opinions) -> str:
    """Markdown of what the detectors and the finders of landmarks found."""
    detectors = found.detectors.assign(
        detector=lambda t: t["detector"].map(NAMES), share=lambda t: 100 * t["share"]
    )
    landmarks = found.landmarks.assign(predictor=lambda t: t["predictor"].map(NAMES))
    for column in ("median", "mean", "worst_decile"):
        landmarks[column] *= 100
    names = {
        "share": "found, %",
        "worst_decile": "worst tenth from, %",
        "median": "median, %",
        "mean": "mean, %",
    }
    parts = (
        detectors[["detector", "faces", "share"]].rename(columns=names),
        landmarks.rename(columns={"predictor": "landmarks", **names}),
    )
    return "\n\n".join(_markdown(part, 1, index=False) for part in parts)


def agreement_tables(found: Opinions) -> str:
    """Markdown of the agreement with what was rendered, from one picture and from the change."""
    return "\n\n".join(
        f"{head}\n\n{_markdown(found.agreement_by_network(column).astype({'faces': int}))}"
        for head, column in (
            ("**From the picture alone, %**", "agreement"),
            ("**From the change against the neutral picture, %**", "agreement_change"),
        )
    )


def confusion_tables(found: Opinions) -> str:
    """Markdown of every network's answers."""
    return "\n\n".join(f"**`{n}`**\n\n{_markdown(found.confusion_of(n))}" for n in found.networks)


def published_table(found: Opinions) -> str:
    """Markdown of what the judges reach on photographs, beside what they reach here where that can be compared."""
    here = _reached(found)
    rows = []
    for row in PUBLISHED:
        value = "—" if row.value is None else f"{row.value:g} {row.unit}"
        known = here.get((row.judge, row.question))
        own = "—" if known is None else f"{known:.1f} %"
        rows.append((NAMES.get(row.judge, f"`{row.judge}`"), row.question, value, row.photographs, own))
    columns = ["judge", "question", "photographs", "which, or what is known", "here"]
    text: str = pd.DataFrame(rows, columns=columns).to_markdown(
        index=False, disable_numparse=True, colalign=("left", "left", "right", "left", "right")
    )
    return text


def _reached(found: Opinions) -> dict[tuple[str, str], float]:
    """Percentage of right answers on these faces, by judge and question, where it can be said."""
    agreement = found.agreement
    means = agreement[agreement["expression"] == "mean"].set_index("network")["agreement"]
    reached = {(str(name), "expression"): 100 * float(share) for name, share in means.items()}
    people = found.people.dropna(subset=["woman", "drawn_woman"])
    if len(people):
        right = (people["woman"] > 0.5) == (people["drawn_woman"] == 1)
        reached["faceapi", "sex"] = 100 * float(right.mean())
    pairs = found.identity.set_index("pairs")["under_threshold"]
    if {"same person", "different people"} <= set(pairs.index):
        # As many pairs of one kind as of the other, as in the published test.
        reached["descriptor", "same person?"] = 50 * float(
            pairs["same person"] + 1 - pairs["different people"]
        )
    shares = found.detectors.set_index("detector")["share"].astype(float)
    reached |= {(str(name), "face?"): 100 * share for name, share in shares.items()}
    return reached


def disagreements_list(found: Opinions) -> str:
    """Markdown list of where the networks mostly give another name, and how often they agree at all."""
    lines = [
        f"All networks give one name to {100 * found.unanimity():.0f} % of the pictures; on the others they cannot all be right.",
        *found.disagreements(),
    ]
    return "\n".join(f"- {line}" for line in lines)


def identity_table(found: Opinions) -> str:
    """Markdown of the distances between people and within."""
    table = found.identity.assign(under_threshold=lambda t: 100 * t["under_threshold"])
    names = {"under_threshold": "taken for one person, %", "median": "median distance"}
    text: str = table.rename(columns=names).to_markdown(floatfmt=("", "", ".1f", ".2f"), index=False)
    return text


def people_table(found: Opinions) -> str:
    """Markdown of sex and age as face-api guesses them, beside those that were drawn."""
    people = found.people.dropna(subset=["woman"])
    if people.empty:
        return "face-api, which guesses sex and age, was not among these judges."
    woman, older = people["drawn_woman"] == 1, people["drawn_age"] > people["drawn_age"].median()
    known = bool(people["drawn_age"].notna().all())
    groups = {"women": woman, "men": ~woman, "younger half": ~older, "older half": older}
    rows = [
        (name, int(group.sum()), 100 * (people["woman"][group] > 0.5).mean(), people["age"][group].median())
        for name, group in (groups if known else {"everyone": people["age"].notna()}).items()
    ]
    columns = ["people", "number", "taken for women, %", "median of the ages guessed, years"]
    table = _markdown(pd.DataFrame(rows, columns=columns), 0, index=False)
    if not known:
        return f"{table}\n\nThe faces come without anybody's sex and age, so nothing can be compared."
    rank = people["age"].corr(people["drawn_age"], method="spearman")
    return f"{table}\n\nRank correlation of the ages guessed with those drawn: {rank:.2f}."
