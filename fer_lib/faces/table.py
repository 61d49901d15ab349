"""The one tidy table of faces: a row for every frame, whoever drew or photographed it.

CK+ folders, folders rendered in CK+'s layout, other data sets and tables of user-supplied faces all become :class:`Faces`; everything
downstream reads nothing else. A label that was not given is NaN or empty, never "absent".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.artifacts.files import save_array
from fer_lib.errors import FerError, Lacking
from fer_lib.faces.labels import LANDMARKS
from fer_lib.facs import AUS, EXPRESSIONS

SMALLEST_FACE = 16
"""Pixels; a narrower or lower box is an error of its landmarks."""
BOX = ("left", "top", "right", "bottom")
AU_COLUMNS = tuple(f"AU{number}" for number in AUS)
CODING = ("origin", "scale", "threshold")
INTENSITY = "intensity 0-5"
"""Scale of codes that say how strongly a unit shows, A to E as 1 to 5."""
COLUMNS = (
    *("path", "subject", "sequence", "frame", "position", "length", "expression"),
    *(*BOX, *CODING, *AU_COLUMNS),
)
NOT_GIVEN = -1.0
"""Intensity of an AU that is present without a given intensity."""

_EXACT = Path("rendered") / "parameters.parquet"


@dataclass(frozen=True, eq=False)
class Faces:
    """Frames of faces with everything that is known of them.

    Attributes
    ----------
    root : Path
        Folder that the paths in `table` are relative to.
    table : pandas.DataFrame
        One row for each frame: ``path`` (relative, or ``archive.zip!/member``, see :mod:`fer_lib.faces.disk`), ``subject``
        (``""``: not known), ``sequence``, ``frame`` (number in the file name), ``position`` (0 to length-1, 0 the neutral frame;
        pictures that are known to be missing leave their places free), ``length`` (places of the sequence), ``expression`` (of
        the sequence; ``""``: unlabelled), ``left``, ``top``, ``right``, ``bottom`` (pixels of the upright picture, of the
        outermost landmarks; NaN: unknown or unusable) and a column for every AU: NaN not coded for this frame, 0 coded and
        absent, 1 to 5 intensity A to E, -1 present, intensity not given. Who coded them stands in ``origin`` (``coder``,
        ``rendered`` or the program's name), on which scale in ``scale``, and from where on a unit counts as present in
        ``threshold`` (NaN where the codes say so themselves); what a reader does not say is filled in by what the codes hold.
        Tables of the user's faces also have ``stated``, the expression that the table gives for this very frame, or ``""``, and
        may have a program's own numbers, as ``AU12_intensity``.
        After :func:`select_frames` also ``label``, the expression of the frame itself.
    landmarks : np.ndarray
        float32 of shape (n, 68, 2): x and y in pixels of the upright picture, NaN where missing.
    problems : pandas.DataFrame
        What was wrong with the files: ``path``, ``problem``, ``consequence``.
    """

    root: Path
    table: pd.DataFrame
    landmarks: np.ndarray
    problems: pd.DataFrame

    def __post_init__(self) -> None:
        if self.landmarks.shape != (len(self.table), LANDMARKS, 2):
            raise FerError(f"landmarks of shape {self.landmarks.shape} do not fit {len(self.table)} frames")
        if not set(CODING) <= set(self.table) or (_words(self.table["origin"]) == "").any():
            object.__setattr__(self, "table", _with_coding(self.table, self.root))

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows: np.ndarray | Sequence[int]) -> Faces:
        """Return the faces of some rows (positions, in the order given), with all problems kept."""
        rows = np.asarray(rows, dtype=np.int64)
        return replace(
            self, table=self.table.iloc[rows].reset_index(drop=True), landmarks=self.landmarks[rows]
        )


def usual_scale(codes: np.ndarray) -> str:
    """Return the scale of codes of which nobody says it: intensities where one is above 0; empty where nothing is coded."""
    return INTENSITY if (codes > 0).any() else "" if np.isnan(codes).all() else "occurrence"


def _with_coding(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Fill in who coded the action units and on which scale, where a reader did not say."""
    usual = usual_scale(table.reindex(columns=list(AU_COLUMNS)).to_numpy(float))
    whose = "rendered" if (root / _EXACT).is_file() else "coder"
    given = table.reindex(columns=list(CODING))
    origin, scale = _words(given["origin"]), _words(given["scale"])
    return table.assign(
        origin=origin.mask(origin == "", whose),
        scale=scale.mask((origin == "") & (scale == ""), usual),
        threshold=given["threshold"].astype(float),
    )


def _words(column: pd.Series) -> pd.Series:
    """A column as text, empty where nothing stands."""
    return column.astype(object).where(column.notna(), "").astype(str)


def box_of(points: np.ndarray, width: int, height: int) -> tuple[tuple[float, float, float, float], int]:
    """Return the box that the four outermost landmarks span, cut at the picture's edge.

    Parameters
    ----------
    points : np.ndarray
        Shape (m, 2): x and y in pixels, 0 the centre of the first pixel.
    width, height : int
        Size of the picture.

    Returns
    -------
    box : tuple of float
        Left, top, right and bottom.
    outside : int
        How many of the points lie outside the picture.

    Raises
    ------
    FerError
        If a point is missing, or less than 16 pixels of the box lie in the picture; the message is the reason alone.
    """
    missing = int(np.isnan(points).any(axis=1).sum())
    if missing:
        raise FerError(f"{missing} of {len(points)} landmarks are not finite numbers")
    last = np.array([width - 1.0, height - 1.0])
    outside = int(((points < -0.5) | (points > last + 0.5)).any(axis=1).sum())
    low, high = np.clip(points.min(axis=0), 0.0, last), np.clip(points.max(axis=0), 0.0, last)
    if (high - low < SMALLEST_FACE).any():
        size = "x".join(f"{side:.0f}" for side in high - low)
        raise FerError(f"the landmarks leave a face of {size} pixels in a picture of {width}x{height}")
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1])), outside


def from_intensity(faces: Faces, least: int) -> Faces:
    """Count weak action units as absent.

    Parameters
    ----------
    faces : Faces
        Any frames.
    least : int
        Weakest intensity, 1 to 5 for A to E, that counts as present; with 1 nothing changes. Units that are present without a given
        intensity stay so.

    Returns
    -------
    Faces
        With 0 in the place of each lower intensity, and ``threshold`` raised to `least` where intensities were coded: what is 0 then may
        be a weak unit.
    """
    codes = faces.table[list(AU_COLUMNS)]
    weak = (codes > 0) & (codes < least)
    if least <= 1:
        return faces
    graded = faces.table["scale"] == INTENSITY
    threshold = faces.table["threshold"].mask(graded, np.fmax(faces.table["threshold"], float(least)))
    return replace(faces, table=faces.table.assign(threshold=threshold, **codes.mask(weak, 0.0)))


def au_present(table: pd.DataFrame) -> pd.DataFrame:
    """Tell for each frame which AUs are present.

    Parameters
    ----------
    table : pandas.DataFrame
        A table of :class:`Faces`.

    Returns
    -------
    pandas.DataFrame
        One column for each AU (int): 1.0 present, 0.0 absent, NaN not coded. Rows as in `table`.
    """
    codes = table[list(AU_COLUMNS)].to_numpy(float)
    present = np.where(np.isnan(codes), np.nan, (codes != 0).astype(float))
    return pd.DataFrame(present, index=table.index, columns=pd.Index(list(AUS), name="AU"))


def select_frames(faces: Faces, last: int = 3, neutral: bool = True, labelled_only: bool = True) -> Faces:
    """Choose the frames that stand for something: the first of a sequence and its last few.

    Usual for CK+ (Lucey et al. 2010; the paper's section 2.2 takes "the other pictures"): the first frame is neutral and the last
    `last` frames carry the expression. A sequence of one frame is its own peak. Only the last frame of a CK+ sequence is FACS-coded;
    its codes are carried over to the other chosen peak frames, and the neutral first frame gets 0 for every AU that the peak is
    coded for. Codes that a frame has of its own are kept, and codes of frames before the peak are not carried. A frame whose own
    expression is stated is neither neutral nor peak against that statement.

    Parameters
    ----------
    faces : Faces
        All frames.
    last : int
        Number of frames at the end of a sequence, at least 1; the first frame is never among them.
    neutral : bool
        Whether first frames are taken.
    labelled_only : bool
        Whether sequences without an expression are left out.

    Returns
    -------
    Faces
        With a column ``label``: ``"neutral"`` for first frames and the expression for last frames of labelled sequences, ``""`` for
        all frames of unlabelled ones.

    Raises
    ------
    FerError
        If `last` is below 1 or nothing is left.
    """
    if last < 1:
        raise FerError(f"last={last!r}: at least one frame of each sequence is needed")
    table = faces.table
    position, length = table["position"].to_numpy(), table["length"].to_numpy()
    single = length == 1
    first = (position == 0) & ~single
    stated = table["stated"].to_numpy(str) if "stated" in table else np.full(len(table), "")
    first &= np.isin(stated, ["", "neutral"])
    contradicted = (stated != "") & (stated != table["expression"].to_numpy(str))
    peak = ((position >= length - last) & ~first & ~contradicted) | single
    labelled = (table["expression"] != "").to_numpy()
    chosen = (peak | (first & neutral)) & (labelled | (not labelled_only))
    if not chosen.any():
        raise FerError(
            f"{faces.root}: no frame left of {len(table)}; labelled sequences are needed (labelled_only)"
        )

    codes = _carry_codes(table, first, peak)
    label = np.where(first, "neutral", table["expression"].to_numpy(str))
    label[~labelled] = ""
    spread = table.assign(**{name: codes[:, i] for i, name in enumerate(AU_COLUMNS)}, label=label)
    return replace(faces, table=spread).take(np.flatnonzero(chosen))


def _carry_codes(table: pd.DataFrame, first: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """AU codes, (n, AUs), with those of a sequence's last coded peak frame carried to its peak frames and 0 to its first."""
    codes = table[list(AU_COLUMNS)].to_numpy(float, copy=True)
    coded = ~np.isnan(codes).all(axis=1)
    for rows in table.groupby("sequence", sort=False).indices.values():
        sources = rows[coded[rows] & peak[rows]]
        if not len(sources):
            continue
        peak_codes = codes[sources[np.argmax(table["position"].to_numpy()[sources])]].copy()
        for row in rows:
            if coded[row]:
                continue
            if peak[row]:
                codes[row] = peak_codes
            elif first[row]:
                codes[row] = np.where(np.isnan(peak_codes), np.nan, 0.0)
    return codes


def with_box(faces: Faces) -> Faces:
    """Leave out the frames that cannot be cropped; `faces.problems` names each and says why."""
    usable = faces.table[list(BOX)].notna().all(axis=1).to_numpy()
    if not usable.any():
        raise FerError(
            f"{faces.root}: none of {len(faces)} frames has a usable face box; see the landmarks (fer audit)"
        )
    return faces.take(np.flatnonzero(usable))


def drawn_people(faces: Faces) -> pd.DataFrame | None:
    """Return sex and age of rendered people.

    Parameters
    ----------
    faces : Faces
        Any selection of frames.

    Returns
    -------
    pandas.DataFrame or None
        One row for each subject (the index): ``woman`` (1 or 0) and ``age``, from 0, the body model's youngest (about 25), to 1,
        its oldest (about 90). None where the folder has no ground truth, as with photographs.
    """
    file = faces.root / _EXACT
    if not file.is_file():
        return None
    drawn = pd.read_parquet(file, columns=["subject", "person_female", "person_age"])
    people = drawn.drop_duplicates("subject").set_index("subject")
    return people.rename(columns={"person_female": "woman", "person_age": "age"})


def save(faces: Faces, folder: Path) -> None:
    """Write faces (not their pictures, nor where they lie) into a folder of results; :func:`load` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    faces.table.to_parquet(folder / "frames.parquet")
    faces.problems.to_parquet(folder / "problems.parquet")
    save_array(folder / "landmarks.npy", faces.landmarks)


def saved_table(folder: Path) -> pd.DataFrame:
    """Read the table of what :func:`save` wrote, alone."""
    return pd.read_parquet(folder / "frames.parquet")


def expressions_of(table: pd.DataFrame, *, neutral: bool) -> tuple[str, ...]:
    """Names of the classes that some selected frames show, in the order of a network's outputs; `neutral` or without it."""
    shown = set(table["label"])
    return tuple(name for name in (EXPRESSIONS if neutral else EXPRESSIONS[1:]) if name in shown)


def labels_of(table: pd.DataFrame, expressions: Sequence[str]) -> np.ndarray:
    """Class of each selected frame, (N,) int64: its place among some expressions, -1 where it shows none of them."""
    order = {name: i for i, name in enumerate(expressions)}
    return table["label"].map(order).fillna(-1).to_numpy(np.int64)


def is_apex(table: pd.DataFrame) -> np.ndarray:
    """Whether each frame is the last of its sequence, (N,) bool: one of a sequence, for every test."""
    return (table["position"] == table["length"] - 1).to_numpy()


def coded_often(present: pd.DataFrame, rows: np.ndarray, n: int) -> tuple[int, ...]:
    """AUs (columns) that at least n of some pictures (rows) show and at least n do not."""
    some = present.iloc[rows]
    enough = ((some == 1).sum() >= n) & ((some == 0).sum() >= n)
    return tuple(int(au) for au in some.columns[enough])


def matchable(present: pd.DataFrame, rows: np.ndarray, n: int) -> tuple[int, ...]:
    """Return :func:`coded_often`, of which there has to be at least one.

    Raises
    ------
    Lacking
        If there is none; the message says whether AUs are not coded at all or too rarely.
    """
    if found := coded_often(present, rows, n):
        return found
    if present.isna().all(axis=None):
        raise Lacking("no picture is coded for action units")
    raise Lacking(
        f"no action unit is coded as present in {n} and as absent in {n} pictures of the training people, as n = {n} asks"
    )


def load(folder: Path, root: Path) -> Faces:
    """Read what :func:`save` wrote.

    Parameters
    ----------
    folder : Path
        Folder of results.
    root : Path
        What the faces were read from: the folder with the pictures or the table of user-supplied faces.

    Returns
    -------
    Faces
    """
    try:
        table = pd.read_parquet(folder / "frames.parquet")
        problems = pd.read_parquet(folder / "problems.parquet")
        landmarks = np.load(folder / "landmarks.npy", allow_pickle=False)
    except FileNotFoundError as error:
        raise FerError(f"{error.filename}: missing; this folder holds no saved faces") from None
    return Faces(root if root.is_dir() else root.parent, table, landmarks, problems)
