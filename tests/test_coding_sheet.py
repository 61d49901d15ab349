"""Empty coding sheets, filled ones, and how two of them agree."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import face_picture
from PIL import Image
from test_cli import run

from fer_lib.errors import FerError
from fer_lib.faces.coding import intensities_of, shared_pictures
from fer_lib.faces.coding_sheet import check_coding_sheet, write_coding_sheet
from fer_lib.faces.reader import read
from fer_lib.faces.table import au_present
from fer_lib.facs import AUS
from fer_lib.measures.agreement import agreement


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Two people, three pictures each, in folders of their names."""
    for i, name in enumerate(["Ann/2.png", "Ann/10.png", "Ann/1.png", "Ben/a.png", "Ben/b.png", "Ben/c.png"]):
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face_picture(80, 60, 0.5, seed=i)[0]).save(file, compress_level=1)
    return tmp_path


def filled(sheet: Path, **columns) -> Path:
    table = pd.read_csv(sheet, dtype=str, keep_default_na=False)
    for name, cells in columns.items():
        table[name] = cells
    copy = sheet.with_name(f"filled{len(list(sheet.parent.glob('filled*')))}.csv")
    table.to_csv(copy, index=False)
    return copy


def test_a_sheet_has_a_row_for_each_picture_and_a_guide_to_each_unit(lab):
    out = lab / "sheet.csv"
    table = write_coding_sheet(lab / "pictures", out, coder="Eve")
    assert table["path"].tolist()[:4] == [f"pictures/Ann/{n}.png" for n in (1, 2, 10)] + [
        "pictures/Ben/a.png"
    ]
    assert table["subject"].tolist() == ["Ann"] * 3 + ["Ben"] * 3
    assert list(table)[6:] == [f"AU{au}" for au in AUS] and (table[list(table)[6:]] == "").all(axis=None)
    guide = (lab / "sheet.guide.md").read_text()
    assert all(f"| AU{au} | {unit.name} | {unit.description} |" in guide for au, unit in AUS.items())
    faces = read(out)
    assert faces.table["origin"].unique().tolist() == ["Eve"] and faces.problems.empty
    assert np.isnan(au_present(faces.table)).all(axis=None), "an empty cell is not an absent unit"


def test_films_and_chosen_units(lab):
    table = write_coding_sheet(lab / "pictures", lab / "sheet.csv", aus=[12, 1], film=True)
    assert list(table)[6:] == ["AU1", "AU12"]
    assert table["sequence"].tolist() == ["Ann"] * 3 + ["Ben"] * 3
    assert read(lab / "sheet.csv").table["position"].tolist() == [0, 1, 2] * 2


def test_a_flat_folder_leaves_the_subject_to_be_filled_in(lab):
    out = lab / "sheet.csv"
    write_coding_sheet(lab / "pictures" / "Ann", out)
    summary, problems = check_coding_sheet(out)
    assert summary == "" and problems == [f"{out}: row {row} has no subject" for row in (1, 2, 3)]


def test_nothing_is_overwritten(lab):
    out = lab / "sheet.csv"
    write_coding_sheet(lab / "pictures", out)
    out.write_text("filled with a month of work")
    with pytest.raises(FerError, match="nothing is overwritten"):
        write_coding_sheet(lab / "pictures", out)
    assert out.read_text() == "filled with a month of work"
    (lab / "other.guide.md").write_text("mine")
    with pytest.raises(FerError, match=r"other\.guide\.md: is there already"):
        write_coding_sheet(lab / "pictures", lab / "other.csv")
    assert not (lab / "other.csv").exists() and (lab / "other.guide.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("folder", "aus", "message"),
    [
        ("none", None, "no such folder"),
        ("empty", None, "no pictures"),
        ("pictures", [45], "AU45 is not among"),
    ],
)
def test_what_cannot_be_coded_is_named(lab, folder, aus, message):
    (lab / "empty").mkdir()
    with pytest.raises(FerError, match=message):
        write_coding_sheet(lab / folder, lab / "sheet.csv", aus=aus)
    assert not (lab / "sheet.csv").exists()


def test_every_problem_of_a_filled_sheet_is_a_line(lab):
    write_coding_sheet(lab / "pictures", lab / "sheet.csv", aus=[1, 12])
    sheet = filled(
        lab / "sheet.csv",
        AU1=["0", "7", "x", "3", "", "-1"],
        AU12=["", "0", "0", "E", "0", ""],
        expression=["happy", "joy", "", "", "", ""],
    )
    _, problems = check_coding_sheet(sheet)
    text = "\n".join(problems)
    assert len(problems) == 5 and all(str(sheet) in line for line in problems)
    for part in (
        "row 2: expression 'joy' is not one of neutral",
        "row 2, column AU1: 7 is not one of -1 and 0 to 5",
        "row 3, column AU1: 'x' is not a number",
        "row 4, column AU12: 'E' is not a number",
        "row 6: all its action units are -1",
    ):
        assert part in text


def test_a_sheet_that_is_right_says_what_it_holds(lab):
    write_coding_sheet(lab / "pictures", lab / "sheet.csv", aus=[1, 12])
    sheet = filled(
        lab / "sheet.csv", AU1=list("012340"), AU12=["", "", "", "1", "1", "0"], expression="happy"
    )
    summary, problems = check_coding_sheet(sheet)
    assert problems == []
    assert "6 pictures of 2 people, 6 with an expression, 6 coded for action units (intensity 0-5)" in summary
    (lab / "pictures" / "Ben" / "b.png").write_bytes(b"")
    assert any("b.png" in line for line in check_coding_sheet(sheet)[1])


def test_the_commands_write_check_and_compare(lab, monkeypatch, capsys):
    out = str(lab / "sheet.csv")
    assert run(monkeypatch, "label", str(lab / "pictures"), "--out", out, "--aus", "1,12") == 0
    assert "6 pictures to code" in capsys.readouterr().out
    assert run(monkeypatch, "label", str(lab / "pictures"), "--out", out) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert run(monkeypatch, "label", "--check", out) == 0
    capsys.readouterr()
    one = filled(lab / "sheet.csv", AU1=list("012340"), AU12=list("000050"), origin="Eve")
    two = filled(lab / "sheet.csv", AU1=list("012300"), AU12=[""] * 6, origin="Moe")
    bad = filled(lab / "sheet.csv", AU1=list("012390"))
    assert run(monkeypatch, "label", "--check", str(bad)) == 1
    assert "row 5, column AU1: 9 is not one of" in capsys.readouterr().out
    assert run(monkeypatch, "agreement", str(one), str(two), "--out", str(lab / "kappa.csv")) == 0
    said = capsys.readouterr().out
    assert "first: Eve (intensity 0-5)" in said and "second: Moe (intensity 0-5)" in said
    assert "6 pictures of 2 people are in both" in said and "ICC(3,1)" in said
    table = pd.read_csv(lab / "kappa.csv")
    assert table["AU"].tolist() == [1], "AU12 is coded by one of them alone"
    # 3 both, 1 first alone, 2 neither: seen 5/6, chance (4 * 3 + 2 * 3) / 36.
    assert table["kappa"].iloc[0] == pytest.approx((5 / 6 - 0.5) / 0.5)
    assert run(monkeypatch, "agreement", str(one), out) == 2
    assert "no action unit is coded by both in the 6 pictures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("label",), "give FOLDER and --out FILE"),
        (("label", "x"), "give FOLDER and --out FILE"),
        (("label", "x", "--check", "y"), "leave FOLDER and --out out"),
        (("label", "x", "--out", "y.csv", "--aus", "a"), "--aus 'a'"),
        (("label", "--check", "/no/such.csv"), "no such table"),
        (("agreement", "/no/such.csv", "/no/such.csv"), "no such table"),
    ],
)
def test_slips_of_the_commands_are_one_line(monkeypatch, capsys, words, message):
    assert run(monkeypatch, *words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_codings_are_joined_by_the_pictures_themselves(lab):
    write_coding_sheet(lab / "pictures", lab / "sheet.csv", aus=[1])
    elsewhere = lab / "elsewhere"
    elsewhere.mkdir()
    first = read(filled(lab / "sheet.csv", AU1=list("012345")))
    other = pd.read_csv(lab / "sheet.csv", dtype=str, keep_default_na=False).iloc[::-1]
    other = other.assign(path="../" + other["path"], AU1=list("543210")).iloc[:4]
    other.to_csv(elsewhere / "sheet.csv", index=False)
    one, two = shared_pictures(first, read(elsewhere / "sheet.csv"))
    assert one.table["AU1"].tolist() == two.table["AU1"].tolist() == [2, 3, 4, 5]
    (elsewhere / "a.png").write_bytes((lab / "pictures/Ben/a.png").read_bytes())
    (elsewhere / "copy.csv").write_text("path,subject\na.png,Ben\n")
    with pytest.raises(FerError, match="no picture in common"):
        shared_pictures(first, read(elsewhere / "copy.csv"))


def test_a_program_and_a_coder_are_compared_on_both_scales(lab):
    write_coding_sheet(lab / "pictures", lab / "sheet.csv", aus=[12])
    coder = read(filled(lab / "sheet.csv", AU12=["0", "1", "3", "5", "0", "2"]))
    machine = filled(lab / "sheet.csv", AU12=list("011101"), origin="OpenFace 2", scale="occurrence")
    table = pd.read_csv(machine).assign(AU12_intensity=[0.2, 0.9, 2.5, 4.4, 1.1, 1.7])
    table.to_csv(machine, index=False)
    one, two = shared_pictures(coder, read(machine))
    found = agreement(
        au_present(one.table),
        au_present(two.table),
        one.table["subject"],
        first_intensity=intensities_of(one.table),
        second_intensity=intensities_of(two.table),
        names=list(AUS),
    ).set_index("AU")
    assert found.loc[12, "kappa"] == 1
    x, y = np.array([0, 1, 3, 5, 0, 2.0]), np.array([0.2, 0.9, 2.5, 4.4, 1.1, 1.7])
    assert found.loc[12, "ICC(3,1)"] == pytest.approx(
        2 * np.cov(x, y)[0, 1] / (x.var(ddof=1) + y.var(ddof=1))
    )
