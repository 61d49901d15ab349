"""Reads what `fer judge` has stored and says it in tables and sentences; needs none of the judges' packages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lib import __version__
from fer_lib.artifacts.sources import source_digests
from fer_lib.errors import Lacking
from fer_lib.faces.digest import digest_of_faces
from fer_lib.judges.published import PUBLISHED

MADE = "made.json"
NO_FACE = "no face"
"""What a network answers whose package finds no face in the picture."""
TABLES = ("faces", "detectors", "landmarks", "agreement", "confusion", "identity", "people")
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


@dataclass(frozen=True)
class Judged:
    """Stored verdicts of the judges.

    Attributes
    ----------
    tables : dict of str to pandas.DataFrame
        The tables of `fer_lib.judges.judging.Judgement`, by their names.
    made : dict
        Date, version of the library, digests of the renderer's code and of the judges', versions of the judges'
        packages, the settings of the faces if they are rendered, and the faces' digest.
    """

    tables: dict[str, pd.DataFrame]
    made: dict[str, Any]

    @property
    def networks(self) -> list[str]:
        """Networks that named expressions."""
        return list(dict.fromkeys(self.tables["agreement"]["network"]))

    def agreement(self, column: str = "agreement") -> pd.DataFrame:
        """Percentage of each expression's faces that get its name: a row per expression, a column per network.

        Parameters
        ----------
        column : str
            ``agreement``, from the picture alone, or ``agreement_change``, against the same person's neutral face.
        """
        table = self.tables["agreement"]
        rows = dict.fromkeys(table["expression"])
        wide = 100 * table.pivot(index="expression", columns="network", values=column)
        numbers = column.replace("agreement", "faces")
        counts = table.drop_duplicates("expression").set_index("expression")[numbers].rename("faces")
        return (
            wide.reindex(list(rows))[self.networks]
            .assign(faces=counts)
            .dropna(how="all", subset=self.networks)
        )

    def confusion(self, network: str) -> pd.DataFrame:
        """Counts of a network's answers: a row per expression of the faces, a column per answer."""
        table = self.tables["confusion"]
        own = table[table["network"] == network]
        return own.pivot(index="expression", columns="answer", values="faces").fillna(0).astype(int)

    def unanimity(self) -> float:
        """Share of the faces to which all networks give one name, whether it is the right one or not."""
        answers = self.tables["faces"][self.networks]
        named = (answers != NO_FACE).all(axis=1)
        return float((named & (answers.nunique(axis=1) == 1)).mean())

    def disagreements(self) -> list[str]:
        """Sentences on every expression that some network mostly calls by another name; contempt is left out."""
        lines = []
        for expression in dict.fromkeys(self.tables["confusion"]["expression"]):
            wrong, right = [], []
            for network in self.networks:
                counts = self.confusion(network)
                if expression == "contempt" or expression not in counts.index:
                    continue
                row = counts.loc[expression]
                answer, most = str(row.idxmax()), int(row.max())
                if answer == expression:
                    right.append(network)
                else:
                    wrong.append(f"`{network}` says *{answer}* to {most} of {int(row.sum())}")
            if wrong:
                others = f"; {' and '.join(f'`{n}`' for n in right)} mostly agree{'s' * (len(right) == 1)}"
                lines.append(f"**{expression}**: {', '.join(wrong)}{others if right else ''}.")
        return lines

    def concerns(self, faces: Mapping[str, Any]) -> bool:
        """Whether these verdicts are about some faces, described as for `load`."""
        if "digest" in faces:
            return bool(faces["digest"] == self.made.get("digest"))
        settings = self.made["settings"]
        return all(name in settings and settings[name] == value for name, value in faces["rendered"].items())

    def provenance(self) -> str:
        """One paragraph: when, on which faces and with which code and packages, and whether that code has changed since."""
        made, faces = self.made, self.tables["faces"]
        # Lists, such as the action units that may be drawn, by their length: in full they are in the folder's made.json.
        settings = ", ".join(
            f"{len(value)} {key}" if isinstance(value, list) else f"{key} {value}"
            for key, value in made["settings"].items()
        )
        now = {name: digest() for name, digest in _CODE.items()}
        code = "; ".join(f"code of the {name}: {made[name]}" for name in now)
        changed = [f"the {name}" for name in now if made[name] != now[name]]
        since = f"{' and '.join(changed)} changed since then" if changed else "this build's is the same"
        packages = ", ".join(f"{name} {version}" for name, version in made["packages"].items())
        return (
            f"Judged on {made['date']} with fer-lib {made['version']}: {len(faces)} pictures of "
            f"{faces['subject'].nunique()} people, the neutral and the last frame of {faces['sequence'].nunique()} "
            f"sequences. Faces: {settings or 'not rendered here'}. Packages: {packages}. "
            f"{code[0].upper()}{code[1:]}; {since}."
        )


def load(folder: Path, faces: Mapping[str, Any] | None = None) -> Judged:
    """Read the folder that ``fer judge --out`` wrote.

    Parameters
    ----------
    folder : Path
        Where the tables are.
    faces : mapping, optional
        What the verdicts should be about: ``rendered``, with some of the settings of a rendered set, or ``digest``, as of
        `fer_lib.faces.digest.digest_of_faces`. By default they may be about any faces.

    Raises
    ------
    Lacking
        If a file is missing, unreadable or made by another version, or they are about other faces; the message says how to make
        them.
    """
    remedy = f"make them with `fer judge FACES --out {folder.parent.name}/{folder.name}`"
    try:
        tables = {name: pd.read_csv(folder / f"{name}.csv") for name in TABLES}
        made = json.loads((folder / MADE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # a page must not show a path
        raise Lacking(f"no verdicts of the judges in {folder.name} ({why}): {remedy}") from error
    missing = [f"{key} in {MADE}" for key in (*_CODE, "packages", "settings") if key not in made]
    missing += [f"{key} in agreement.csv" for key in ("faces_change",) if key not in tables["agreement"]]
    if missing:
        raise Lacking(
            f"the verdicts of the judges in {folder.name} lack {', '.join(missing)}, as those of an older version do: {remedy}"
        )
    found = Judged(tables, made)
    if faces is not None and not found.concerns(faces):
        raise Lacking(
            f"the judges' verdicts that are kept, of {made['date']}, are about other faces: {remedy.replace('them', 'those of these')}"
        )
    return found


def describe(source: Path | str, packages: Mapping[str, str]) -> dict[str, Any]:
    """Note what shapes the verdicts on a set of faces: date, version, code, the faces' settings and digest, the judges' packages."""
    file = Path(source) / "rendered" / "settings.json"
    settings: Mapping[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return {
        "date": date.today().isoformat(),
        "version": __version__,
        **{name: digest() for name, digest in _CODE.items()},
        "packages": dict(packages),
        "digest": digest_of_faces(source),
        "settings": {key: value for key, value in settings.items() if key not in ("kind", "maker")},
    }


def renderer_digest() -> str:
    """Return 12 hexadecimal digits that change with the renderer's code, not with its comments."""
    return _short(source_digests(["render.dataset"]))


def judges_digest() -> str:
    """Return 12 hexadecimal digits that change with the judges' own code, not with its comments or with the reader of faces."""
    digests = source_digests(["judges.judging"])
    return _short({name: digests[name] for name in ("judges.faceapi", "judges.judging", "judges.panel")})


def _short(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:12]


_CODE = {"renderer": renderer_digest, "judges": judges_digest}
"""What shapes the verdicts, by its name in `MADE`."""


def _markdown(table: pd.DataFrame, digits: int = 0, index: bool = True) -> str:
    text: str = table.to_markdown(floatfmt=f".{digits}f", index=index, missingval="—")
    return text


def face_tables(found: Judged) -> str:
    """Markdown of what the detectors and the finders of landmarks found."""
    detectors = found.tables["detectors"].assign(
        detector=lambda t: t["detector"].map(NAMES), share=lambda t: 100 * t["share"]
    )
    landmarks = found.tables["landmarks"].assign(predictor=lambda t: t["predictor"].map(NAMES))
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


def agreement_tables(found: Judged) -> str:
    """Markdown of the agreement with what was rendered, from one picture and from the change."""
    return "\n\n".join(
        f"{head}\n\n{_markdown(found.agreement(column).astype({'faces': int}))}"
        for head, column in (
            ("**From the picture alone, %**", "agreement"),
            ("**From the change against the neutral picture, %**", "agreement_change"),
        )
    )


def confusion_tables(found: Judged) -> str:
    """Markdown of every network's answers."""
    return "\n\n".join(f"**`{n}`**\n\n{_markdown(found.confusion(n))}" for n in found.networks)


def published_table(found: Judged) -> str:
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


def _reached(found: Judged) -> dict[tuple[str, str], float]:
    """Percentage of right answers on these faces, by judge and question, where it can be said."""
    agreement = found.tables["agreement"]
    means = agreement[agreement["expression"] == "mean"].set_index("network")["agreement"]
    reached = {(str(name), "expression"): 100 * float(share) for name, share in means.items()}
    people = found.tables["people"].dropna(subset=["woman", "drawn_woman"])
    if len(people):
        right = (people["woman"] > 0.5) == (people["drawn_woman"] == 1)
        reached["faceapi", "sex"] = 100 * float(right.mean())
    pairs = found.tables["identity"].set_index("pairs")["under_threshold"]
    if {"same person", "different people"} <= set(pairs.index):
        # As many pairs of one kind as of the other, as in the published test.
        reached["descriptor", "same person?"] = 50 * float(
            pairs["same person"] + 1 - pairs["different people"]
        )
    shares = found.tables["detectors"].set_index("detector")["share"].astype(float)
    reached |= {(str(name), "face?"): 100 * share for name, share in shares.items()}
    return reached


def words(found: Judged) -> str:
    """Markdown list of where the networks mostly give another name, and how often they agree at all."""
    lines = [
        f"All networks give one name to {100 * found.unanimity():.0f} % of the pictures; on the others they cannot all be right.",
        *found.disagreements(),
    ]
    return "\n".join(f"- {line}" for line in lines)


def identity_table(found: Judged) -> str:
    """Markdown of the distances between people and within."""
    table = found.tables["identity"].assign(under_threshold=lambda t: 100 * t["under_threshold"])
    names = {"under_threshold": "taken for one person, %", "median": "median distance"}
    text: str = table.rename(columns=names).to_markdown(floatfmt=("", "", ".1f", ".2f"), index=False)
    return text


def people_table(found: Judged) -> str:
    """Markdown of sex and age as face-api guesses them, beside those that were drawn."""
    people = found.tables["people"].dropna(subset=["woman"])
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
