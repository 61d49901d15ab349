"""What detectors and networks trained on photographs make of a set of faces.

None of the judges has seen a rendered face. Detectors: dlib's HOG and convolutional detectors, OpenCV's Haar cascade as `fer`
and `facex` set it, the small one of face-api. Landmarks: dlib's regression trees and face-api's network. Expressions: the
networks of `fer`, `facex` and face-api. Identity: dlib's face descriptor. They are optional;
`fer_lib.judges.panel.requirements` says what to install.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fer_lib.errors import FerError
from fer_lib.faces.decoding import read_picture
from fer_lib.faces.reader import read
from fer_lib.faces.table import Faces, drawn_people, select_frames, with_box
from fer_lib.judges.opinions import NO_FACE, Opinions, provenance_of
from fer_lib.judges.panel import (
    BASIC,
    DETECTORS,
    NETWORKS,
    Answer,
    judge_picture,
    load_panel,
    requirements,
    versions,
)
from fer_lib.render.workers import in_processes

SAME_PERSON = 0.6
"""Distance of dlib's descriptors below which its author takes two faces for one person."""
FACE_API = "npm pack @vladmandic/face-api"
"""Fetches face-api's weights; unpack it and give the ``model`` folder."""


def judge_faces(
    source: Path | str,
    *,
    face_api: Path | None = None,
    sequences: int | None = 210,
    processes: int = 2,
    progress: bool = True,
) -> Opinions:
    """Show the first and the last frame of labelled sequences to every judge.

    Parameters
    ----------
    source : Path or str
        Faces, as `fer_lib.faces.reader.read` takes them.
    face_api : Path or None
        Folder with face-api's weights (see `FACE_API`); without it that network and predictor are left out.
    sequences : int or None
        How many sequences at most, taken from the classes in turn; None takes all. Some 2 s of one core per frame.
    processes : int
        How many processes judge.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Opinions

    Raises
    ------
    FerError
        If packages are missing; the message holds the commands that install them.
    """
    missing = requirements()
    if missing:
        raise FerError(f"the judges are not installed: {'; '.join(missing.values())}")
    chosen = with_box(select_frames(read(source), last=1))
    tasks = _sequences(chosen, sequences)
    work = partial(_judge_sequence, root=chosen.root, face_api=face_api)
    rows: list[dict[str, Any]] = []
    with tqdm(total=len(tasks), desc="judged", unit="sequence", disable=None if progress else True) as bar:
        for part in in_processes(work, tasks, processes):
            rows += part
            bar.update()
    descriptors = np.array([row.pop("descriptor") for row in rows])
    return summarize(
        pd.DataFrame(rows), descriptors, drawn_people(chosen), provenance_of(source, versions(face_api))
    )


def summarize(
    faces: pd.DataFrame,
    descriptors: np.ndarray,
    drawn: pd.DataFrame | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Opinions:
    """Sum up what the judges said of every picture.

    Parameters
    ----------
    faces : pandas.DataFrame
        As `fer_lib.judges.opinions.Opinions.faces`; a judge without a column was not asked.
    descriptors : (N, 128) array
        dlib's descriptor of every face; NaN without a face.
    drawn : pandas.DataFrame, optional
        As `fer_lib.faces.table.drawn_people`; None for photographs.
    provenance : mapping, optional
        As `fer_lib.judges.opinions.provenance_of`.

    Returns
    -------
    Opinions
    """
    networks = [name for name in NETWORKS if name in faces]
    return Opinions(
        faces=faces,
        detectors=_detectors(faces),
        landmarks=_landmarks(faces),
        agreement=_agreement(faces, networks),
        confusion=_confusion(faces, networks),
        identity=_identity(faces, descriptors),
        people=_people(faces, drawn),
        provenance=dict(provenance or {}),
    )


@dataclass(frozen=True)
class _Task:
    """The frames of one sequence: rows of the table, and their landmarks."""

    rows: tuple[dict[str, Any], ...]
    landmarks: np.ndarray


def _sequences(chosen: Faces, most: int | None) -> list[_Task]:
    """Take whole sequences, the classes in turn, until there are enough."""
    table = chosen.table
    names = table.groupby("expression", sort=True)["sequence"].unique()
    turns = max(map(len, names))
    order = [group[turn] for turn in range(turns) for group in names if turn < len(group)][:most]
    groups = table.groupby("sequence", sort=False).indices
    tasks = []
    for name in order:
        where = groups[name]
        rows = table.iloc[where][["path", "subject", "sequence", "label"]].to_dict("records")
        tasks.append(
            _Task(
                tuple({str(key): cell for key, cell in row.items()} for row in rows), chosen.landmarks[where]
            )
        )
    return tasks


def _judge_sequence(task: _Task, *, root: Path, face_api: Path | None) -> list[dict[str, Any]]:
    """Judge the frames of one sequence; the first is the neutral one."""
    panel = load_panel(face_api)
    rows: list[dict[str, Any]] = []
    calm: dict[str, Answer | None] = {}
    for row, own in zip(task.rows, task.landmarks, strict=True):
        picture = read_picture(root, row["path"])
        answers, cells = judge_picture(panel, picture, own)
        if row["label"] == "neutral":
            calm = answers
        for network, answer in answers.items():
            cells[network] = answer.name if answer else NO_FACE
            cells[f"{network}_change"] = (
                name_change(answer, calm[network]) if calm and row["label"] != "neutral" else ""
            )
        rows.append({**row, **cells})
    return rows


def name_change(answer: Answer | None, calm: Answer | None) -> str:
    """Name the expression that has gained most against the neutral face.

    Parameters
    ----------
    answer, calm : fer_lib.judges.panel.Answer or None
        Of the face with an expression and of the neutral one; None without a face.

    Returns
    -------
    str
        Out of the six expressions, as no change leads to neutral; `NO_FACE` where one of the two has none.
    """
    if answer is None or calm is None:
        return NO_FACE
    return BASIC[1 + int(np.argmax((answer.probabilities - calm.probabilities)[1:]))]


def _detectors(table: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in DETECTORS if name in table]
    found = table[names].sum()
    return pd.DataFrame(
        {
            "detector": names,
            "faces": len(table),
            "found": found.to_numpy(),
            "share": found.to_numpy() / len(table),
        }
    )


def _landmarks(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise the relative landmark errors."""
    rows = []
    for name in ("dlib", "faceapi", "between"):
        if f"error_{name}" in table:
            error = table[f"error_{name}"].dropna()
            rows.append((name, len(error), error.median(), error.mean(), error.quantile(0.9)))
    return pd.DataFrame(rows, columns=["predictor", "faces", "median", "mean", "worst_decile"])


def _agreement(table: pd.DataFrame, networks: Sequence[str]) -> pd.DataFrame:
    """Share of each expression's faces to which a network gives its name, and the mean over expressions."""
    rows = []
    for network in networks:
        own = []
        for expression in BASIC:
            group = table[table["label"] == expression]
            change = group.loc[group[f"{network}_change"] != "", f"{network}_change"]
            cells: list[float] = []
            for answers in (group[network], change):
                cells += [len(answers), float((answers == expression).mean()) if len(answers) else np.nan]
            own.append((network, expression, *cells))
        summary = pd.DataFrame(own).iloc[:, 2:].agg({2: "sum", 3: "mean", 4: "sum", 5: "mean"})
        rows += [*own, (network, "mean", *summary)]
    columns = ["network", "expression", "faces", "agreement", "faces_change", "agreement_change"]
    return pd.DataFrame(rows, columns=columns).astype({"faces": int, "faces_change": int})


def _confusion(table: pd.DataFrame, networks: Sequence[str]) -> pd.DataFrame:
    """Count every network's answers per expression, contempt included."""
    counts = [
        table.groupby(["label", network])
        .size()
        .rename_axis(["expression", "answer"])
        .rename("faces")
        .reset_index()
        for network in networks
    ]
    return (
        pd.concat(counts, keys=networks, names=["network", None]).reset_index(level=0).reset_index(drop=True)
    )


def _identity(table: pd.DataFrame, descriptors: np.ndarray) -> pd.DataFrame:
    """Distances of dlib's descriptors, between and within people, on neutral frames in which dlib finds a face."""
    calm = (table["label"] == "neutral").to_numpy() & ~np.isnan(descriptors).any(axis=1)
    people = table["subject"].to_numpy()[calm]
    points = descriptors[calm]
    first, second = np.triu_indices(len(points), 1)
    distance = np.linalg.norm(points[first] - points[second], axis=1)
    same = people[first] == people[second]
    rows = []
    for name, group in (("different people", distance[~same]), ("same person", distance[same])):
        if len(group):
            rows.append((name, len(group), float((group < SAME_PERSON).mean()), float(np.median(group))))
    return pd.DataFrame(rows, columns=["pairs", "number", "under_threshold", "median"])


def _people(table: pd.DataFrame, drawn: pd.DataFrame | None) -> pd.DataFrame:
    """Sex and age of every subject, as guessed from neutral frames and as drawn."""
    columns = ["subject", "woman", "age", "drawn_woman", "drawn_age"]
    if "woman" not in table:
        return pd.DataFrame(columns=columns)
    guessed = table[table["label"] == "neutral"].groupby("subject")[["woman", "age"]].median()
    truth = pd.DataFrame(columns=["woman", "age"], dtype=float) if drawn is None else drawn
    return guessed.join(truth.add_prefix("drawn_")).reset_index()[columns]
