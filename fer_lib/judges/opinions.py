"""What the judges said of a set of faces, in tables that are stored; needs none of the judges' packages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Self

import pandas as pd

from fer_lib import __version__
from fer_lib.artifacts.files import plain_refusals, write_aside
from fer_lib.artifacts.sources import source_digests
from fer_lib.errors import Lacking
from fer_lib.faces.digest import digest_of_faces

PROVENANCE = "provenance.json"
NO_FACE = "no face"
"""What a network answers whose package finds no face in the picture."""


@dataclass(frozen=True)
class Opinions:
    """What the judges said.

    Attributes
    ----------
    faces : pandas.DataFrame
        A row per picture: ``path``, ``subject``, ``sequence``, ``label``; ``hog``, ``mmod``, ``haar_fer``,
        ``haar_facex``, ``tiny`` (found or not); ``error_dlib`` and ``error_faceapi`` (mean distance of their 68 landmarks
        from the set's own) and ``error_between`` (from each other), all over the distance of the outer corners of the
        eyes, NaN without a face; ``fer``, ``facex``, ``faceapi`` (answers out of `fer_lib.judges.panel.BASIC`, or
        `NO_FACE`) and ``fer_change``.. (answers out of the six expressions, from the change against the sequence's
        neutral frame; `NO_FACE` where one of the two has none, empty where there is no change to judge); ``woman``
        (probability) and ``age`` (years) by face-api.
    detectors : pandas.DataFrame
        ``detector``, ``faces``, ``found``, ``share``.
    landmarks : pandas.DataFrame
        ``predictor``, ``faces`` (that it found), ``median``, ``mean``, ``worst_decile`` of the relative error.
    agreement : pandas.DataFrame
        ``network``, ``expression``, ``faces``, ``agreement``, and the same from the change: ``faces_change``,
        ``agreement_change``; a row ``mean`` over the classes.
    confusion : pandas.DataFrame
        ``network``, ``expression``, ``answer``, ``faces``.
    identity : pandas.DataFrame
        ``pairs`` (``different people`` or ``same person``), ``number``, ``under_threshold`` (share of the pairs
        nearer than `fer_lib.judges.run.SAME_PERSON`), ``median`` (distance).
    people : pandas.DataFrame
        A row per subject: ``subject``; ``woman`` (probability) and ``age`` (years) by face-api, medians over the
        neutral frames; ``drawn_woman`` and ``drawn_age`` as in `fer_lib.faces.table.drawn_people`, NaN for photographs.
        Empty without face-api.
    provenance : dict
        Date, version of the library, digests of the renderer's code and of the judges', versions of the judges'
        packages, the settings of the faces if they are rendered, and the faces' digest; see `provenance_of`.
    """

    faces: pd.DataFrame
    detectors: pd.DataFrame
    landmarks: pd.DataFrame
    agreement: pd.DataFrame
    confusion: pd.DataFrame
    identity: pd.DataFrame
    people: pd.DataFrame
    provenance: dict[str, Any]

    def save(self, folder: Path) -> Path:
        """Write what :meth:`load` reads and return the folder; a FerError if it cannot be written."""
        with plain_refusals(folder, "tables", "give a folder that can be written and has room"):
            folder.mkdir(parents=True, exist_ok=True)
            for name in TABLES:
                text: str = getattr(self, name).to_csv(index=False)
                write_aside(folder / f"{name}.csv", text.encode())
            write_aside(folder / PROVENANCE, f"{json.dumps(self.provenance, indent=1)}\n".encode())
        return folder

    @classmethod
    def load(cls, folder: Path, faces: Mapping[str, Any] | None = None) -> Self:
        """Read the folder that ``fer judge --out`` wrote.

        Parameters
        ----------
        folder : Path
            Where the tables are.
        faces : mapping, optional
            What the opinions should be about: ``rendered``, with some of the settings of a rendered set, or ``digest``, as of
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
            made = json.loads((folder / PROVENANCE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error  # a page must not show a path
            raise Lacking(f"no opinions of the judges in {folder.name} ({why}): {remedy}") from error
        missing = [
            f"{key} in {PROVENANCE}" for key in (*code_digests(), "packages", "settings") if key not in made
        ]
        missing += [f"{key} in agreement.csv" for key in ("faces_change",) if key not in tables["agreement"]]
        if missing:
            raise Lacking(
                f"the opinions of the judges in {folder.name} lack {', '.join(missing)}, as those of an older version do: {remedy}"
            )
        found = cls(**tables, provenance=made)
        if faces is not None and not found.concerns(faces):
            raise Lacking(
                f"the judges' opinions that are kept, of {made['date']}, are about other faces: {remedy.replace('them', 'those of these')}"
            )
        return found

    @property
    def networks(self) -> list[str]:
        """Networks that named expressions."""
        return list(dict.fromkeys(self.agreement["network"]))

    def agreement_by_network(self, column: str = "agreement") -> pd.DataFrame:
        """Percentage of each expression's faces that get its name: a row per expression, a column per network.

        Parameters
        ----------
        column : str
            ``agreement``, from the picture alone, or ``agreement_change``, against the same person's neutral face.
        """
        table = self.agreement
        rows = dict.fromkeys(table["expression"])
        wide = 100 * table.pivot(index="expression", columns="network", values=column)
        numbers = column.replace("agreement", "faces")
        counts = table.drop_duplicates("expression").set_index("expression")[numbers].rename("faces")
        return (
            wide.reindex(list(rows))[self.networks]
            .assign(faces=counts)
            .dropna(how="all", subset=self.networks)
        )

    def confusion_of(self, network: str) -> pd.DataFrame:
        """Counts of a network's answers: a row per expression of the faces, a column per answer."""
        own = self.confusion[self.confusion["network"] == network]
        return own.pivot(index="expression", columns="answer", values="faces").fillna(0).astype(int)

    def unanimity(self) -> float:
        """Share of the faces to which all networks give one name, whether it is the right one or not."""
        answers = self.faces[self.networks]
        named = (answers != NO_FACE).all(axis=1)
        return float((named & (answers.nunique(axis=1) == 1)).mean())

    def disagreements(self) -> list[str]:
        """Sentences on every expression that some network mostly calls by another name; contempt is left out."""
        lines = []
        for expression in dict.fromkeys(self.confusion["expression"]):
            wrong, right = [], []
            for network in self.networks:
                counts = self.confusion_of(network)
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
        """Whether these opinions are about some faces, described as for `load`."""
        if "digest" in faces:
            return bool(faces["digest"] == self.provenance.get("digest"))
        settings = self.provenance["settings"]
        return all(name in settings and settings[name] == value for name, value in faces["rendered"].items())

    def describe_provenance(self) -> str:
        """One paragraph: when, on which faces and with which code and packages, and whether that code has changed since."""
        made, faces = self.provenance, self.faces
        # Lists, such as the action units that may be drawn, by their length: in full they are in `PROVENANCE`.
        settings = ", ".join(
            f"{len(value)} {key}" if isinstance(value, list) else f"{key} {value}"
            for key, value in made["settings"].items()
        )
        now = code_digests()
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


TABLES = tuple(f.name for f in fields(Opinions) if f.name != "provenance")
"""The tables, each a file of its own."""


def provenance_of(source: Path | str, packages: Mapping[str, str]) -> dict[str, Any]:
    """Note what shapes the opinions on a set of faces: date, version, code, the faces' settings and digest, the judges' packages."""
    file = Path(source) / "rendered" / "settings.json"
    settings: Mapping[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return {
        "date": date.today().isoformat(),
        "version": __version__,
        **code_digests(),
        "packages": dict(packages),
        "digest": digest_of_faces(source),
        "settings": {key: value for key, value in settings.items() if key not in ("kind", "maker")},
    }


def renderer_digest() -> str:
    """Return 12 hexadecimal digits that change with the renderer's code, not with its comments."""
    return _short(source_digests(["render.dataset"]))


def judges_digest() -> str:
    """Return 12 hexadecimal digits that change with the judges' own code, not with its comments or with the reader of faces."""
    digests = source_digests(["judges.run"])
    return _short({name: digests[name] for name in ("judges.faceapi", "judges.panel", "judges.run")})


def _short(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:12]


def code_digests() -> dict[str, str]:
    """Return the digests of the code that shapes the opinions, as they stand in `PROVENANCE`."""
    return {"renderer": renderer_digest(), "judges": judges_digest()}
