"""Small copies of data sets, as their authors describe the layouts, with the quirks of the real ones; all faces are drawn."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from conftest import face_picture, seed_of, write_sequence
from PIL import Image

DISFA_UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
CKPLUS48 = {
    "S010_004": ("anger", 17, {4: 3, 23: 0, 24: 2}),
    "S011_001": ("surprise", 12, {1: 3, 2: 4}),
    "S999_002": ("happy", 8, None),
}


def draw(path: Path, name: str, strength: float = 0.5, side: int = 48) -> None:
    """Draw a face that no other name has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(face_picture(side, side, strength, seed_of(name, 0))[0]).save(path)


def write_disfa(
    root: Path,
    people: Mapping[str, int] = {"SN001": 6, "SN002": 6, "SN010": 6},
    *,
    start: int = 0,
    pictures: str = "frames/{person}/{number:05d}.png",
    strongest: int = 5,
) -> Path:
    """DISFA with frames that were extracted; the intensity of a unit is (frame + unit) modulo 6, SN010 lacks its last label."""
    for person, frames in people.items():
        labelled = frames - (person == "SN010")
        folder = root / "ActionUnit_Labels" / person
        folder.mkdir(parents=True, exist_ok=True)
        for unit in DISFA_UNITS:
            lines = [f"{frame},{(frame + unit) % (strongest + 1)}" for frame in range(1, labelled + 1)]
            (folder / f"{person}_au{unit}.txt").write_text("\r\n".join(lines) + "\r\n")
        for frame in range(frames):
            if pictures:
                path = root / pictures.format(person=person, number=frame + start)
                draw(path, f"{person} {frame}", frame / frames)
    return root


def write_bp4d(root: Path, *, occurrence: bool = True, intensity: bool = False, padded: bool = False) -> Path:
    """BP4D with two people and two tasks, of which frames 11 to 14 are coded; AU 22 and 33 are none of ours, AU 7 is coded in part."""
    units = (1, 6, 7, 12, 22, 33)
    for person in ("F001", "M002"):
        for task in ("T1", "T8"):
            film = f"{person}_{task}"
            for frame in range(10, 16):
                name = f"{frame:04d}.jpg" if padded else f"{frame}.jpg"
                draw(root / "Sequences" / person / task / name, f"{film} {frame}")
            if occurrence:
                folder = root / "AUCoding" / "AU_OCC"
                folder.mkdir(parents=True, exist_ok=True)
                rows: list[list[object]] = [[0, *units]]
                for frame in range(11, 15):
                    rows.append([frame, frame % 2, 1, 9 if frame < 13 else 1, 0, 0, 9])
                with (folder / f"{film}.csv").open("w", newline="") as file:
                    csv.writer(file).writerows(rows)
            if intensity:
                for unit in (6, 12):
                    folder = root / "AUCoding" / "AU_INT" / f"AU{unit:02d}"
                    folder.mkdir(parents=True, exist_ok=True)
                    lines = [
                        f"{frame},{(9 if frame == 14 else 3) if unit == 6 else 0}" for frame in range(11, 15)
                    ]
                    (folder / f"{film}_AU{unit:02d}.csv").write_text("\n".join(lines) + "\n")
    return root


def write_ckplus48(root: Path, facs: str = "beside") -> Path:
    """CK+48 with three sequences of two people and one of a third; FACS of the last frame beside the folder, in a zip, or not at all."""
    whole = root / "whole"
    for name, (expression, last, aus) in CKPLUS48.items():
        for frame in range(last - 2, last + 1):
            draw(root / "CK+48" / expression / f"{name}_{frame:08d}.png", f"{name} {frame}", frame / last)
        write_sequence(whole, name, frames=[1, last], aus=aus)
    if facs == "beside":
        shutil.copytree(whole / "FACS", root / "FACS")
    elif facs == "zip":
        shutil.make_archive(str(root / "FACS_labels"), "zip", whole, "FACS")
    shutil.rmtree(whole)
    return root


def write_raf_db(root: Path, codes: Sequence[int] = (1, 2, 3, 4, 5, 6, 7), *, aligned: bool = True) -> Path:
    """RAF-DB: a picture for each code, aligned ones beside those as they were found."""
    lines = []
    for number, code in enumerate(codes, 1):
        name = f"{'train' if number % 2 else 'test'}_{number:05d}"
        draw(root / "Image" / "original" / f"{name}.jpg", name, code / 7, side=80)
        if aligned:
            draw(root / "Image" / "aligned" / f"{name}_aligned.jpg", name, code / 7)
        lines.append(f"{name}.jpg {code}")
    (root / "EmoLabel").mkdir(parents=True, exist_ok=True)
    (root / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return root


def write_raf_au(root: Path) -> Path:
    """RAF-AU with one-sided units, a picture without any, blanks behind the codes, and a unit that is none of ours."""
    lines = ["0001.jpg 1+L2+25  ", "0002.jpg null ", "0003.jpg R14", "0004.jpg 12+25+L14+35\t"]
    for line in lines:
        draw(root / "picture" / line.split()[0], line)
    (root / "RAFAU_label.txt").write_text("\n".join(lines) + "\n")
    return root


def write_jaffe(root: Path) -> Path:
    """JAFFE with two women, each showing all seven expressions in one take."""
    for number, (person, code) in enumerate(
        (person, code) for person in ("KA", "YM") for code in ("AN", "DI", "FE", "HA", "NE", "SA", "SU")
    ):
        draw(root / f"{person}.{code}1.{number + 39}.tiff", f"{person} {code}", number % 7 / 7)
    return root


def write_kdef(root: Path) -> Path:
    """KDEF with one woman and one man, both sessions, seven expressions and two views."""
    for session in "AB":
        for person in ("F01", "M35"):
            for code in ("AF", "AN", "DI", "HA", "NE", "SA", "SU"):
                for view in ("S", "HL"):
                    name = f"{session}{person}{code}{view}"
                    draw(root / f"{session}{person}" / f"{name}.JPG", name)
    return root


def pixels(row: int, side: int = 48) -> np.ndarray:
    """Grey values of a row's picture."""
    return face_picture(side, side, row % 7 / 7, row)[0]


def write_pixel_table(
    file: Path, codes: Sequence[object], usage: Sequence[str] = (), *, side: int = 48
) -> Path:
    """FER2013 or ckextended, a row for each code."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["emotion", "pixels", "Usage"])
        for row, code in enumerate(codes, 1):
            grey = " ".join(map(str, pixels(row, side).ravel()))
            writer.writerow([code, grey, usage[row - 1] if usage else "Training"])
    return file


def write_ferplus(folder: Path) -> Path:
    """FER+ and the six rows of FER2013 that it is about: a name twice, one row without a face, one with nine votes, one drawn."""
    usage = ["Training"] * 4 + ["PublicTest", "PrivateTest"]
    write_pixel_table(folder / "fer2013.csv", [0, 0, 3, 4, 6, 6], usage)
    names = ["fer0000000.png", "", "fer0000000.png", "fer0000002.png", "fer0000003.png", "fer0000004.png"]
    votes = [
        {"neutral": 4, "anger": 5},
        {"NF": 10},
        {"happiness": 9},
        {"unknown": 6, "sadness": 4},
        {"neutral": 5, "contempt": 5},
        {"contempt": 8, "neutral": 2},
    ]
    with (folder / "fer2013new.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Usage", "Image name", *VOTES])
        for kind, name, given in zip(usage, names, votes, strict=True):
            writer.writerow([kind, name, *(given.get(vote, 0) for vote in VOTES)])
    return folder / "fer2013new.csv"
