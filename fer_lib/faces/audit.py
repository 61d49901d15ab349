"""What is in a set of faces, beside what its authors publish, what it cannot give, and everything that is wrong with its files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fer_lib import facs
from fer_lib.errors import FerError
from fer_lib.faces import ckplus
from fer_lib.faces.decoding import decode_picture, inspect_picture
from fer_lib.faces.disk import Disk, expanded, is_system_file
from fer_lib.faces.problems import Problems, printable
from fer_lib.faces.reader import layout_of, read
from fer_lib.faces.table import AU_COLUMNS, NOT_GIVEN, Faces, au_present

_SHOWN = 12
_STRANGER = "not a part of CK+"
_CKPLUS = {
    "subjects": facs.CKPLUS_SUBJECTS,
    "sequences": facs.CKPLUS_SEQUENCES,
    "labelled sequences": sum(facs.CKPLUS_EXPRESSION_COUNTS.values()),
    **facs.CKPLUS_EXPRESSION_COUNTS,
    **{f"AU{number}": unit.ckplus_count for number, unit in facs.AUS.items()},
}


@dataclass(frozen=True, eq=False)
class Audit:
    """Counts and problems of a set of faces.

    Attributes
    ----------
    root : Path
        Folder of the faces.
    counts : pandas.DataFrame
        One row for each thing counted, named by ``count`` (subjects, sequences, pictures, labelled sequences, sequences
        of each expression, sequences that show each AU at the peak; a picture that stands alone is a sequence): ``ours`` and
        ``published`` (for CK+ Lucey et al. 2010; missing where nothing is known to be published), nullable integers.
    pictures : pandas.DataFrame
        Kinds of pictures: ``format``, ``mode``, ``width``, ``height`` and their ``number``.
    problems : pandas.DataFrame
        Every file that is missing, unreadable, inconsistent or unused: ``path``, ``problem``, ``consequence``.
    name : str
        Of the data set that was recognised; empty for CK+'s layout, which rendered faces have too, and for a table of user-supplied ones.
    lacks : tuple of str
        What that set cannot give.
    """

    root: Path
    counts: pd.DataFrame
    pictures: pd.DataFrame
    problems: pd.DataFrame
    name: str = ""
    lacks: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong: what lies beside the parts, or a system leaves behind, is listed and changes no result."""
        inside = self.problems[self.problems["problem"] != _STRANGER]
        return bool(inside["path"].map(is_system_file).all())

    def differing(self) -> pd.DataFrame:
        """Return the counts that are not the published ones."""
        known = self.counts.dropna()
        return known[known["ours"] != known["published"]]

    def summary(self) -> str:
        """Return the audit as text for a terminal: counts, kinds of pictures, and problems by kind with the first of each."""
        known = bool(self.counts["published"].notna().any())
        lines = [
            f"{self.name or 'faces'} in {printable(str(self.root))}",
            *(f"it gives {what}" for what in self.lacks),
            "",
            _table(["", "ours", *(["published"] if known else [])], self._rows(known)),
        ]
        kinds = [
            f"{row.number} {row.format} {row.mode} {row.width}x{row.height}"
            for row in self.pictures.itertuples()
        ]
        lines += ["", f"pictures: {'; '.join(kinds)}", ""]
        if self.problems.empty:
            return "\n".join([*lines, "no problems"])
        number = len(self.problems)
        lines.append(f"{number} problem{'s' if number > 1 else ''}")
        groups = sorted(self.problems.groupby("consequence", sort=False), key=lambda group: -len(group[1]))
        for consequence, group in groups:
            lines.append(f"  {len(group)} with the consequence: {consequence}")
            lines += [f"    {row.path}: {row.problem}" for row in group.head(_SHOWN).itertuples()]
            if len(group) > _SHOWN:
                lines.append(f"    and {len(group) - _SHOWN} more")
        return "\n".join(lines)

    def _rows(self, known: bool) -> list[list[str]]:
        columns = ["ours", "published"] if known else ["ours"]
        return [
            [str(row["count"]), *("" if pd.isna(row[c]) else f"{row[c]}" for c in columns)]
            for row in self.counts.to_dict("records")
        ]


def audit(folder: Path | str, *, progress: bool = False) -> Audit:
    """Count a set of faces and check every file of it, decoding every picture; nothing is written.

    Parameters
    ----------
    folder : Path or str
        Whatever :func:`fer_lib.faces.reader.read` reads.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Audit

    Raises
    ------
    FerError
        If the folder holds no faces.
    """
    source = expanded(folder)
    faces = read(source)
    problems = Problems()
    layout = layout_of(source)
    of_ckplus = layout is None and (source.is_dir() or source.suffix.lower() == ".zip")
    if of_ckplus:
        _note_strangers(faces.root, problems)
    _note_broken_criteria(faces, problems)
    pictures = _decode_all(faces, problems, progress)
    found = pd.concat([faces.problems, problems.table()], ignore_index=True)
    if layout:
        return Audit(
            faces.root, _count(faces, layout.published), pictures, found, layout.name, tuple(layout.lacks)
        )
    return Audit(faces.root, _count(faces, _CKPLUS if of_ckplus else {}), pictures, found)


def _count(faces: Faces, published: Mapping[str, int]) -> pd.DataFrame:
    """Count subjects, sequences, labels and AUs, beside the published counts."""
    table = faces.table
    peaks = table[table["position"] == table["length"] - 1]
    expressions = peaks["expression"].value_counts()
    peak_codes = au_present(_peak_codes(table))
    present, coded = (peak_codes == 1).sum(), peak_codes.notna().any()
    ours = {
        "subjects": table["subject"][table["subject"] != ""].nunique(),
        "sequences": len(peaks),
        "pictures": len(table),
        "labelled sequences": int((peaks["expression"] != "").sum()),
        "FACS-coded sequences": int(_peak_codes(table)[list(AU_COLUMNS)].notna().any(axis=1).sum()),
        **{name: int(expressions.get(name, 0)) for name in facs.EXPRESSIONS},
        **{
            f"AU{number}": int(present[number])
            for number in facs.AUS
            if coded[number] or f"AU{number}" in published
        },
    }
    if not ours["neutral"]:
        del ours["neutral"]
    counts = pd.DataFrame({"ours": pd.Series(ours), "published": pd.Series(dict(published), dtype=float)})
    return counts.reindex(list(ours)).astype("Int64").rename_axis("count").reset_index()


def _peak_codes(table: pd.DataFrame) -> pd.DataFrame:
    """For each sequence its last frame that is FACS-coded, or its last frame."""
    coded = table[list(AU_COLUMNS)].notna().any(axis=1)
    order = np.lexsort((table["position"].to_numpy(), coded.to_numpy(), table["sequence"].to_numpy(str)))
    return table.iloc[order].drop_duplicates("sequence", keep="last")


def _note_strangers(root: Path, problems: Problems) -> None:
    """Note what lies beside CK+'s parts and is not read."""
    parts = ckplus.find_parts(root)
    by_name = {name: part for part, names in ckplus.PARTS.items() for name in names}
    for child in sorted(root.iterdir()):
        if child.name in parts.values() or (child.name == "rendered" and child.is_dir()):
            continue
        part = by_name.get(child.name.lower().removesuffix(".zip"))
        if is_system_file(child.name):
            problems.add(child.name, "system file", "none: it is not read")
        elif part:
            problems.add(child.name, f"second source of {part}", f"not used, {parts[part]} is read")
        else:
            problems.add(child.name, _STRANGER, "not used")


def _note_broken_criteria(faces: Faces, problems: Problems) -> None:
    """Note sequences whose AUs do not meet the criterion of their expression (Lucey et al. 2010, Table 2)."""
    for row in _peak_codes(faces.table).to_dict("records"):
        codes = {number: float(row[f"AU{number}"]) for number in facs.AUS}
        expression = row["expression"]
        if expression in ("", "neutral") or np.isnan(list(codes.values())).all():
            continue
        if not facs.meets_criteria(expression, codes):
            shown = "+".join(str(au) for au, code in codes.items() if code > 0 or code == NOT_GIVEN)
            problem = (
                f"labelled {expression}, yet its action units {shown or 'none'} do not meet the criterion"
            )
            problems.add(str(row["path"]), problem, "label and codes are used as they are")


def _decode_all(faces: Faces, problems: Problems, progress: bool) -> pd.DataFrame:
    """Decode every picture, note damage that the reader could not see and equal files, and count the kinds."""
    # A picture that the reader has already found unreadable is not reported twice.
    reported = set(faces.problems["path"])
    kinds: Counter[tuple[str, str, int, int]] = Counter()
    first: dict[bytes, str] = {}
    with Disk(faces.root) as disk:
        for path in tqdm(
            faces.table["path"].tolist(), desc="checking pictures", unit=" pictures", disable=not progress
        ):
            try:
                data = disk.read(path)
                facts = inspect_picture(data)
                decode_picture(data)
            except FerError as error:
                if printable(path) not in reported:
                    problems.add(path, str(error), "the frame cannot be cropped: training would stop at it")
                continue
            kinds[(facts.format, facts.mode, facts.width, facts.height)] += 1
            twin = first.setdefault(hashlib.sha256(data).digest(), path)
            if twin != path:
                problems.add(path, f"same content as {twin}", "the picture counts twice")
    rows = [(*kind, number) for kind, number in kinds.most_common()]
    return pd.DataFrame(rows, columns=["format", "mode", "width", "height", "number"])


def _table(header: list[str], rows: list[list[str]]) -> str:
    """Align words in columns, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(w.ljust(widths[i]) if i == 0 else w.rjust(widths[i]) for i, w in enumerate(row)).rstrip()
        for row in [header, *rows]
    )
