"""What detectors and networks trained on photographs make of a set of faces.

None of the judges has seen a rendered face. Detectors: dlib's HOG and convolutional detectors, OpenCV's Haar cascade as `fer`
and `facex` set it, the small one of face-api. Landmarks: dlib's regression trees and face-api's network. Expressions: the
networks of `fer`, `facex` and face-api. Identity: dlib's face descriptor. They are optional;
`fer_lib.judges.panel.requirements` says what to install.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fer_lib.artifacts.files import plain_refusals, write_aside
from fer_lib.errors import FerError
from fer_lib.faces.disk import read_picture
from fer_lib.faces.reader import read
from fer_lib.faces.table import Faces, drawn_people, select_frames, with_box
from fer_lib.judges.judged import NO_FACE
from fer_lib.judges.panel import BASIC, DETECTORS, NETWORKS, Answer, judge_picture, load_panel, requirements
from fer_lib.render.workers import in_processes

SAME_PERSON = 0.6
"""Distance of dlib's descriptors below which its author takes two faces for one person."""
FACE_API = "npm pack @vladmandic/face-api"
"""Fetches face-api's weights; unpack it and give the ``model`` folder."""


@dataclass(frozen=True)
class Judgement:
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
        nearer than `SAME_PERSON`), ``median`` (distance).
    people : pandas.DataFrame
        A row per subject: ``subject``; ``woman`` (probability) and ``age`` (years) by face-api, medians over the
        neutral frames; ``drawn_woman`` and ``drawn_age`` as in `fer_lib.faces.table.drawn_people`, NaN for photographs.
        Empty without face-api.
    """

    faces: pd.DataFrame
    detectors: pd.DataFrame
    landmarks: pd.DataFrame
    agreement: pd.DataFrame
    confusion: pd.DataFrame
    identity: pd.DataFrame
    people: pd.DataFrame

    def save(self, folder: Path) -> Path:
        """Write every table to ``folder/NAME.csv`` and return the folder; a FerError if they cannot be written."""
        with plain_refusals(folder, "tables", "give a folder that can be written and has room"):
            folder.mkdir(parents=True, exist_ok=True)
            for field in fields(self):
                text: str = getattr(self, field.name).to_csv(index=False)
                write_aside(folder / f"{field.name}.csv", text.encode())
        return folder


def judge(
    source: Path | str,
    *,
    face_api: Path | None = None,
    sequences: int | None = 210,
    processes: int = 2,
    progress: bool = True,
) -> Judgement:
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
    Judgement

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
    table = pd.DataFrame(rows)
    networks = [name for name in NETWORKS if name in table]
    return Judgement(
        faces=table,
        detectors=_detectors(table),
        landmarks=_landmarks(table),
        agreement=_agreement(table, networks),
        confusion=_confusion(table, networks),
        identity=_identity(table, descriptors),
        people=_people(table, drawn_people(chosen)),
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
                _change(answer, calm[network]) if calm and row["label"] != "neutral" else ""
            )
        rows.append({**row, **cells})
    return rows


def _change(answer: Answer | None, calm: Answer | None) -> str:
    """Name the expression that has gained most; an expression is no change towards neutral."""
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
