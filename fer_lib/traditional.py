"""The traditional route of section 2.3: detect each action unit, then decide on the expression from the scores.

Faces are aligned by a similarity transform of their rigid landmarks (corners of the eyes, nose) to the mean
training face, so that a raised brow or an open mouth stays one. Gradient histograms (HOG, Dalal and Triggs 2005)
of four regions are reduced to principal components; one logistic regression for each action unit gives its score,
and one multinomial regression on all scores the expression. The scores that the latter learns from are made by
detectors that did not see the person, since scores on a detector's own training faces are far too good.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits
from torch.nn.functional import grid_sample

from fer_lib.artifacts.files import save_array
from fer_lib.errors import FerError, Lacking
from fer_lib.faces.hog import hog
from fer_lib.measures.likeness import Pictures
from fer_lib.measures.ranks import auc, average_precision

Floats = NDArray[np.float64]

RIGID = (36, 39, 42, 45, *range(27, 36))  # landmarks that no expression moves much: corners of the eyes, nose

_PICTURES = 256  # that are described at a time
_IN_MEMORY = 2**26  # descriptors' numbers that are kept there: 256 MiB
_MOST = 20_000  # pictures that principal components are made of, and that are reduced to them at a time


class Region(NamedTuple):
    """A part of the aligned face: its landmarks, margins around them, its place without landmarks, and its size."""

    landmarks: slice
    margins: tuple[float, float, float, float]  # left, top, right, bottom, in distances between the eyes
    fixed: tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture's side
    size: tuple[int, int]  # rows and columns that it is resampled to, multiples of the HOG cell


REGIONS: dict[str, Region] = {
    "upper face": Region(slice(17, 27), (0.15, 0.35, 0.15, 0.2), (0.02, 0.0, 0.98, 0.28), (32, 72)),
    "eyes": Region(slice(36, 48), (0.3, 0.3, 0.3, 0.35), (0.05, 0.1, 0.95, 0.42), (32, 72)),
    "nose": Region(slice(27, 36), (0.35, 0.1, 0.35, 0.15), (0.2, 0.2, 0.8, 0.65), (40, 48)),
    "mouth": Region(slice(48, 68), (0.3, 0.2, 0.3, 0.4), (0.12, 0.55, 0.88, 0.98), (40, 64)),
}


@dataclass(frozen=True, eq=False)
class Traditional:
    """What the traditional route reached on the test pictures.

    Attributes
    ----------
    detection
        One row for each action unit with a detector: `au`, `positives` and `negatives` (scored test pictures),
        `train_positives`, `auc`, `average_precision`; NaN where the scored pictures are all of one kind.
    scores
        Detector scores (log-odds) of every test picture, index picture number, one column for each action unit.
    pictures
        Index as `scores`; `label` (class, -1 where unlabelled) and `predicted`.
    corners
        Corners of the regions in pixels of the input, shape (test pictures, regions, 4, 2): x and y, clockwise
        from the upper left; regions in the order of `REGIONS`.
    """

    detection: pd.DataFrame
    scores: pd.DataFrame
    pictures: pd.DataFrame
    corners: Floats

    @property
    def accuracy(self) -> float:
        """Share of labelled test pictures whose expression is right, 0 to 1."""
        known = self.pictures[self.pictures["label"] >= 0]
        return float((known["label"] == known["predicted"]).mean())

    def supported(self, least: int) -> pd.DataFrame:
        """Return `detection` of the action units with enough scored pictures on both sides, their numbers as index too.

        Parameters
        ----------
        least
            Pictures with the unit, and without it, below which an AUC says nothing.

        Raises
        ------
        Lacking
            If there is none.
        """
        enough = self.detection[["positives", "negatives"]].min(axis=1) >= least
        if not enough.any():
            raise Lacking(f"no action unit is both present and absent in {least} of the scored test pictures")
        return self.detection[enough].set_index("au", drop=False).rename_axis(None)

    @property
    def confusion(self) -> pd.DataFrame:
        """Labelled test pictures by class (rows) and prediction (columns)."""
        known = self.pictures[self.pictures["label"] >= 0]
        return pd.crosstab(known["label"], known["predicted"])

    def save(self, folder: Path) -> None:
        """Write the result into a folder as parquet files and one array."""
        folder.mkdir(parents=True, exist_ok=True)
        self.detection.to_parquet(folder / "detection.parquet")
        self.scores.rename(columns=str).to_parquet(folder / "scores.parquet")
        self.pictures.to_parquet(folder / "pictures.parquet")
        save_array(folder / "corners.npy", self.corners)

    @classmethod
    def load(cls, folder: Path) -> Traditional:
        """Read what :meth:`save` wrote."""
        try:
            tables = [
                pd.read_parquet(folder / f"{name}.parquet") for name in ("detection", "scores", "pictures")
            ]
            corners = np.load(folder / "corners.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise FerError(
                f"{folder} holds no result of the traditional route ({error}): make it again"
            ) from error
        return cls(tables[0], tables[1].rename(columns=int), tables[2], corners)


def descriptors(
    frames: Pictures,
    landmarks: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    *,
    count: int | None = None,
) -> tuple[NDArray[np.float32], Floats]:
    """Describe faces by HOG of the regions of `REGIONS`.

    Parameters
    ----------
    frames
        Grey pictures, shape (N, h, w), as the network sees them, or a function that gives those of some numbers (n,), shape (n, h, w). It
        is asked for each picture once, and for a few at a time.
    landmarks
        Their 68 landmarks in the same pixels, shape (N, 68, 2), x and y. Faces with an unknown one, or all
        faces without this argument, are taken as they are.
    reference
        Row numbers of the faces whose mean the others are aligned to, the training faces; all by default.
    count
        N, where `frames` is a function.

    Returns
    -------
    tuple of ndarray
        Descriptors (N, d), of large sets in a temporary file that vanishes with them, and the regions' corners (N, regions, 4, 2), as in
        `Traditional`.
    """
    if callable(frames):
        if count is None:
            raise FerError("frames are given by a function: say how many there are with count=")
        some, total = frames, count
    else:
        grey = np.asarray(frames, dtype=np.float32)
        some, total = (lambda rows: grey[rows]), len(grey)
    first = np.asarray(some(np.arange(min(total, 1))), np.float32)
    if first.ndim != 3:
        raise FerError(f"frames have shape {(total, *first.shape[1:])}; (N, height, width) is expected")
    height, width = first.shape[1:]
    template, turn, shift = _alignment(total, landmarks, reference)
    boxes = [_box(region, template, height, width) for region in REGIONS.values()]
    described: NDArray[np.float32] | None = None
    corners = np.empty((total, len(boxes), 4, 2))
    for start in range(0, total, _PICTURES):
        part = slice(start, min(start + _PICTURES, total))
        found, corners[part] = _describe(
            np.asarray(some(np.arange(total)[part]), np.float32), boxes, turn[part], shift[part]
        )
        if described is None:
            described = _table(total, found.shape[1])
        described[part] = found
    return (np.empty((0, 0), np.float32) if described is None else described), corners


def _table(rows: int, columns: int) -> NDArray[np.float32]:
    """Room for numbers: in memory if they are few, else in a file without a name."""
    if rows * columns <= _IN_MEMORY:
        return np.empty((rows, columns), np.float32)
    # The map keeps the file alive after it is closed here, and it has no name that could be left over.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=(rows, columns))


def _describe(
    pictures: NDArray[np.float32],
    boxes: Sequence[tuple[float, ...]],
    turn: NDArray[np.complex128],
    shift: NDArray[np.complex128],
) -> tuple[NDArray[np.float32], Floats]:
    """Descriptors and corners of some pictures, each turned and shifted onto the mean face; see `descriptors`."""
    grey = torch.as_tensor(pictures)
    height, width = grey.shape[1:]
    parts, corners = [], []
    for region, (left, top, right, bottom) in zip(REGIONS.values(), boxes, strict=True):
        rows, columns = (np.arange(count) + 0.5 for count in region.size)
        x = left + columns / region.size[1] * (right - left)
        y = top + rows / region.size[0] * (bottom - top)
        places = turn[:, None, None] * (x + 1j * y[:, None]) + shift[:, None, None]
        # grid_sample counts from -1 to 1 between the outer edges of the first and the last pixel.
        grid = np.stack([(2 * places.real + 1) / width - 1, (2 * places.imag + 1) / height - 1], axis=-1)
        sampled = grid_sample(
            grey[:, None],
            torch.from_numpy(grid.astype(np.float32)),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        parts.append(hog(sampled[:, 0].numpy()))
        outline = np.array([left + 1j * top, right + 1j * top, right + 1j * bottom, left + 1j * bottom])
        placed = turn[:, None] * outline + shift[:, None]
        corners.append(np.stack([placed.real, placed.imag], axis=-1))
    return np.concatenate(parts, axis=1), np.stack(corners, axis=1)


def fit(
    frames: Pictures,
    labels: ArrayLike,
    present: pd.DataFrame,
    people: ArrayLike,
    train: ArrayLike,
    test: ArrayLike,
    *,
    landmarks: ArrayLike | None = None,
    scored: ArrayLike | None = None,
    folds: int = 5,
    components: int = 150,
    penalty: float = 1.0,
    seed: int = 0,
) -> Traditional:
    """Train the traditional route on some pictures and test it on others.

    Parameters
    ----------
    frames, landmarks
        As in `descriptors`, all N pictures.
    labels
        Class of every picture, (N,) int; -1 where it has none (it then trains and tests detectors only).
    present
        Action units (int columns) of every picture (rows): 1, 0, NaN where not coded.
    people
        Person of every picture, (N,).
    train, test
        Row numbers; of different people if the accuracy is to mean anything for new faces.
    scored
        Those of the test rows on which detection is scored, such as the last frames; all by default.
    folds
        Folds of people in which the scores that the decision learns from are made.
    components
        Principal components kept at most. Of more than 20,000 training pictures they are those of that many, evenly chosen.
    penalty
        Inverse strength of the regressions' L2 penalty (scikit-learn's C).
    seed
        Of the randomised principal components.

    Returns
    -------
    Traditional

    Raises
    ------
    Lacking
        When training rows have fewer people than folds, a single class, or no action unit on both sides.
    """
    train, test = np.asarray(train), np.asarray(test)
    scored = test if scored is None else np.asarray(scored)
    classes, who, marks = np.asarray(labels), np.asarray(people), present.to_numpy(dtype=np.float64)
    if not 2 <= folds <= len(np.unique(who[train])):
        raise Lacking(
            f"{len(np.unique(who[train]))} training people cannot be divided into {folds} folds; two or more are needed"
        )
    if len(np.unique(classes[train][classes[train] >= 0])) < 2:
        raise Lacking("the training pictures show fewer than two expressions; give more pictures")
    described, corners = descriptors(
        frames, landmarks, train, count=len(classes) if callable(frames) else None
    )
    # Imported where it is used: it takes longer to load than most notebooks need to run.
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.preprocessing import StandardScaler

    parts = [(train[a], train[b]) for a, b in GroupKFold(folds).split(train, groups=who[train])]
    # A detector needs both kinds of faces in every part that it is trained on.
    able = [
        j
        for j in range(marks.shape[1])
        if all({0.0, 1.0} <= set(marks[a, j]) for a, _ in [*parts, (train, test)])
    ]
    if not able:
        raise Lacking(
            "no action unit is both present and absent among enough training people; give more pictures"
        )
    unseen = np.empty((len(marks), len(able)))
    # Regressions this small wait for each other's threads for longer than they compute.
    with threadpool_limits(1):
        for learn, score in [*parts, (train, test)]:
            unseen[score] = _detect(described, marks[:, able], learn, score, components, penalty, seed)
    scale = StandardScaler().fit(unseen[train])
    labelled = train[classes[train] >= 0]
    decide = LogisticRegression(max_iter=5000).fit(scale.transform(unseen[labelled]), classes[labelled])
    aus = [int(present.columns[j]) for j in able]
    scores = pd.DataFrame(unseen[test], index=pd.Index(test, name="picture"), columns=aus)
    pictures = pd.DataFrame(
        {"label": classes[test], "predicted": decide.predict(scale.transform(unseen[test]))},
        index=scores.index,
    )
    return Traditional(
        _score(aus, unseen[scored], marks[:, able], scored, train), scores, pictures, corners[test]
    )


def _score(
    aus: Sequence[int], scores: Floats, marks: Floats, scored: NDArray[np.int64], train: NDArray[np.int64]
) -> pd.DataFrame:
    own = np.arange(len(aus))  # every unit is scored by its own detector's column
    return pd.DataFrame(
        {
            "au": aus,
            "positives": (marks[scored] == 1).sum(axis=0),
            "negatives": (marks[scored] == 0).sum(axis=0),
            "train_positives": (marks[train] == 1).sum(axis=0),
            "auc": auc(scores, marks[scored])[own, own],
            "average_precision": average_precision(scores, marks[scored])[own, own],
        }
    )


def _detect(
    described: NDArray[np.float32],
    marks: Floats,
    learn: NDArray[np.int64],
    score: NDArray[np.int64],
    components: int,
    penalty: float,
    seed: int,
) -> Floats:
    """Return log-odds (score, J) by detectors that were trained on the rows `learn`."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    kept = min(components, min(len(learn), _MOST) - 1, described.shape[1])
    # scikit-learn's seeds have 32 bits.
    few = learn if len(learn) <= _MOST else learn[np.linspace(0, len(learn) - 1, _MOST).astype(int)]
    reduce = PCA(kept, svd_solver="randomized", random_state=seed % 2**32).fit(described[few])

    def reduced(rows: NDArray[np.int64]) -> NDArray[np.floating]:
        parts = [rows[start : start + _MOST] for start in range(0, len(rows), _MOST)]
        return np.concatenate([reduce.transform(described[part]) for part in parts])

    seen, new = reduced(learn), reduced(score)
    # One common scale keeps the components' relative weight, which the penalty then respects.
    common = np.sqrt((seen**2).mean()) or 1.0
    out = np.empty((len(score), marks.shape[1]))
    for j, mark in enumerate(marks[learn].T):
        coded = ~np.isnan(mark)
        detector = LogisticRegression(C=penalty, class_weight="balanced", solver="newton-cholesky")
        out[:, j] = detector.fit(seen[coded] / common, mark[coded]).decision_function(new / common)
    return out


def _alignment(
    count: int, landmarks: ArrayLike | None, reference: ArrayLike | None
) -> tuple[Floats | None, NDArray[np.complex128], NDArray[np.complex128]]:
    """Return the mean face (68, 2), and for every face the similarity z -> turn z + shift from it to the picture."""
    turn, shift = np.ones(count, np.complex128), np.zeros(count, np.complex128)
    if landmarks is None:
        return None, turn, shift
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (count, 68, 2):
        raise FerError(
            f"landmarks have shape {points.shape} for {count} pictures; ({count}, 68, 2) is expected"
        )
    known = np.isfinite(points).all(axis=(1, 2))
    basis = known if reference is None else known & np.isin(np.arange(count), np.asarray(reference))
    if not basis.any():
        return None, turn, shift
    template = points[basis].mean(axis=0)
    rigid = points[known][:, RIGID, 0] + 1j * points[known][:, RIGID, 1]
    model = template[RIGID, 0] + 1j * template[RIGID, 1]
    centred = model - model.mean()
    # Least squares over complex numbers: rotation and scale are one factor.
    turn[known] = rigid @ centred.conj() / (np.abs(centred) ** 2).sum()
    shift[known] = rigid.mean(axis=1) - turn[known] * model.mean()
    return template, turn, shift


def _box(region: Region, template: Floats | None, height: int, width: int) -> tuple[float, ...]:
    if template is None:
        return tuple(
            share * side for share, side in zip(region.fixed, (width, height, width, height), strict=True)
        )
    eyes = float(np.linalg.norm(template[36:42].mean(axis=0) - template[42:48].mean(axis=0)))
    low, high = template[region.landmarks].min(axis=0), template[region.landmarks].max(axis=0)
    left, top, right, bottom = (margin * eyes for margin in region.margins)
    return float(low[0]) - left, float(low[1]) - top, float(high[0]) + right, float(high[1]) + bottom
