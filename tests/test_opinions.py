import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import write_sequence

from fer_lib import Study
from fer_lib.artifacts.sources import source_digests
from fer_lib.config import make_settings
from fer_lib.errors import FerError, Lacking
from fer_lib.judges import opinions, panel, report
from fer_lib.judges.opinions import Opinions
from fer_lib.judges.published import PUBLISHED

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path):
    answers = {
        "happy": ["happy", "happy", "anger"],
        "fear": ["sadness", "sadness", "fear"],
        "contempt": ["happy"],
    }
    rows = [
        {"subject": f"S{i}", "sequence": f"S{i}", "label": label, "fer": answer, "facex": label}
        for i, (label, answer) in enumerate((k, a) for k, v in answers.items() for a in v)
    ]
    faces = pd.DataFrame(rows)
    confusion = pd.concat(
        faces.groupby(["label", n])
        .size()
        .rename_axis(["expression", "answer"])
        .reset_index(name="faces")
        .assign(network=n)
        for n in ("fer", "facex")
    )
    agreement = pd.DataFrame(
        [
            (n, e, faces, s, changes, s)
            for n, e, s, faces, changes in (
                ("fer", "happy", 2 / 3, 3, 2),
                ("fer", "fear", 1 / 3, 3, 2),
                ("fer", "mean", 1 / 2, 6, 4),
                ("facex", "happy", 1.0, 3, 2),
                ("facex", "fear", 1.0, 3, 2),
                ("facex", "mean", 1.0, 6, 4),
            )
        ],
        columns=["network", "expression", "faces", "agreement", "faces_change", "agreement_change"],
    )
    tables = {
        "faces": faces,
        "confusion": confusion,
        "agreement": agreement,
        "detectors": pd.DataFrame({"detector": ["hog"], "faces": [7], "found": [6], "share": [6 / 7]}),
        "landmarks": pd.DataFrame(
            {"predictor": ["dlib"], "faces": [7], "median": [0.05], "mean": [0.06], "worst_decile": [0.1]}
        ),
        "identity": pd.DataFrame(
            {
                "pairs": ["different people", "same person"],
                "number": [8, 3],
                "under_threshold": [0.25, 1.0],
                "median": [0.7, 0.2],
            }
        ),
        "people": pd.DataFrame(
            {
                "subject": ["S1", "S2", "S3", "S4"],
                "woman": [0.9, 0.7, 0.6, 0.1],
                "age": [20, 30, 40, 50],
                "drawn_woman": [1, 1, 0, 0],
                "drawn_age": [0.1, 0.3, 0.2, 0.4],
            }
        ),
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / opinions.PROVENANCE).write_text(
        json.dumps(opinions.provenance_of(tmp_path, {"fer": "25.10.3"}))
    )
    return tmp_path


def test_sentences_name_the_network_that_is_mostly_wrong(folder):
    found = Opinions.load(folder)
    assert found.disagreements() == ["**fear**: `fer` says *sadness* to 2 of 3; `facex` mostly agrees."]
    assert found.unanimity() == pytest.approx(3 / 7)
    assert found.agreement_by_network().loc["happy", "fer"] == pytest.approx(200 / 3)
    assert found.confusion_of("fer").loc["happy", "anger"] == 1
    found.faces.loc[0, ["fer", "facex"]] = opinions.NO_FACE  # of one opinion, but no name
    assert found.unanimity() == pytest.approx(2 / 7)


def test_every_table_counts_its_own_pictures(folder):
    """The mean over changes is over fewer pictures: neutral ones do not change."""
    found = Opinions.load(folder)
    assert found.agreement_by_network()["faces"].to_dict() == {"happy": 3, "fear": 3, "mean": 6}
    assert found.agreement_by_network("agreement_change")["faces"].to_dict() == {
        "happy": 2,
        "fear": 2,
        "mean": 4,
    }
    head, change = report.agreement_tables(found).split("**From the change")
    counts = [
        [line.split("|")[-2].strip() for line in part.splitlines() if "| mean" in line]
        for part in (head, change)
    ]
    assert counts == [["6"], ["4"]]


def cells(markdown):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines()[2:]]


def test_published_results_stand_beside_what_the_judges_reach_here(folder):
    rows = {(row[0], row[1]): row[2:] for row in cells(report.published_table(Opinions.load(folder)))}
    assert len(rows) == len(PUBLISHED)
    assert rows["`fer`", "expression"] == ["66 %", "FER-2013, 7 expressions", "50.0 %"]
    assert rows["`facex`", "expression"] == ["—", "none is published", "100.0 %"]
    assert rows["face-api", "sex"][::2] == ["95 %", "75.0 %"]  # one of four people wrong
    assert rows["face-api", "age"][::2] == ["4.54 years", "—"]
    # As many pairs of different people, of whom a quarter is confused, as of one person.
    assert rows["dlib, face descriptor", "same person?"][::2] == ["99.38 %", "87.5 %"]
    assert rows["dlib, gradient histograms", "face?"][::2] == ["—", "85.7 %"]
    assert rows["OpenCV, Haar cascade as `fer` sets it", "face?"][::2] == ["—", "—"]  # not among these tables


def test_published_results_have_sources_that_the_page_cites():
    sources = set(
        re.findall(r"^@\w+\{([^,]+),", (ROOT / "book" / "references.bib").read_text("utf-8"), re.MULTILINE)
    )
    page = json.loads((ROOT / "notebooks" / "judges.ipynb").read_text("utf-8"))
    cited = set(re.findall(r"\{cite(?::t)?\}`([^`]+)`", "".join("".join(c["source"]) for c in page["cells"])))
    for row in PUBLISHED:
        assert row.source in sources & cited, row
        assert row.unit in ("%", "years")


def test_every_judge_of_the_panel_has_a_published_result_or_none():
    """Every detector, finder of landmarks and network, so that none is shown without its ceiling."""
    asked = {(row.judge, row.question) for row in PUBLISHED}
    assert len(asked) == len(PUBLISHED)
    assert {judge for judge, question in asked if question == "face?"} == set(panel.DETECTORS)
    assert {judge for judge, question in asked if question == "expression"} == set(panel.NETWORKS)
    assert {judge for judge, question in asked if question == "landmarks"} == {"dlib", "faceapi"}


def test_every_table_is_written(folder):
    found = Opinions.load(folder)
    assert "gradient histograms" in report.face_tables(found)
    assert "85.7" in report.face_tables(found)
    assert report.agreement_tables(found).count("| fear") == 2
    assert report.confusion_tables(found).count("**`") == 2
    assert "0.20" in report.identity_table(found)
    assert report.disagreements_list(found).count("- ") == 2


def test_sexes_and_ages_are_told_apart_or_the_page_says_why_not(folder):
    text = report.people_table(Opinions.load(folder))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert cells[2:] == [
        ["women", "2", "100", "25"],
        ["men", "2", "50", "45"],
        ["younger half", "2", "100", "30"],
        ["older half", "2", "50", "40"],
    ]
    assert "drawn: 0.80." in text
    people = pd.read_csv(folder / "people.csv")
    people.assign(drawn_woman=float("nan"), drawn_age=float("nan")).to_csv(folder / "people.csv", index=False)
    text = report.people_table(Opinions.load(folder))
    assert "everyone" in text and "nothing can be compared" in text
    people.iloc[:0].to_csv(folder / "people.csv", index=False)
    assert "not among" in report.people_table(Opinions.load(folder))


def test_changed_code_of_faces_or_judges_is_said(folder, monkeypatch):
    text = Opinions.load(folder).describe_provenance()
    assert "this build's is the same" in text and "Packages: fer 25.10.3." in text
    monkeypatch.setattr(opinions, "judges_digest", lambda: "other")
    assert "; the judges changed since then." in Opinions.load(folder).describe_provenance()
    monkeypatch.setattr(opinions, "renderer_digest", lambda: "other")
    assert "; the renderer and the judges changed since then." in Opinions.load(folder).describe_provenance()


def test_the_judges_code_is_what_shows_the_pictures_not_what_reads_them(monkeypatch):
    digests = {name: "1" for name in source_digests(["judges.run"])}
    assert {"judges.run", "judges.panel", "judges.faceapi", "faces.disk"} <= set(digests)
    monkeypatch.setattr(opinions, "source_digests", lambda modules: digests)
    before = opinions.judges_digest()
    digests["faces.disk"] = "2"
    assert opinions.judges_digest() == before
    digests["judges.panel"] = "2"
    assert opinions.judges_digest() != before


def test_settings_of_rendered_faces_are_noted(folder):
    (folder / "rendered").mkdir()
    (folder / "rendered" / "settings.json").write_text('{"seed": 3, "kind": "faces", "maker": "x"}')
    assert opinions.provenance_of(folder, {})["settings"] == {"seed": 3}


def test_opinions_of_an_older_version_are_refused(folder):
    made = json.loads((folder / opinions.PROVENANCE).read_text())
    del made["judges"]
    (folder / opinions.PROVENANCE).write_text(json.dumps(made))
    agreement = pd.read_csv(folder / "agreement.csv").drop(columns="faces_change")
    agreement.to_csv(folder / "agreement.csv", index=False)
    with pytest.raises(
        FerError, match=r"lack judges in provenance\.json, faces_change in agreement\.csv.*fer judge"
    ):
        Opinions.load(folder)


def test_a_missing_table_is_named_with_its_remedy(folder):
    (folder / "identity.csv").unlink()
    with pytest.raises(FerError, match="make them with `fer judge"):
        Opinions.load(folder)
    shutil.rmtree(folder)
    with pytest.raises(FerError, match="no opinions"):
        Opinions.load(folder)


def test_opinions_on_other_faces_are_not_shown(folder):
    made = {
        **opinions.provenance_of(folder, {}),
        "digest": "d",
        "settings": {"subjects": 3, "seed": 0, "yaw": 2.5},
    }
    (folder / opinions.PROVENANCE).write_text(json.dumps(made))
    same: list[dict[str, object]] = [{"digest": "d"}, {"rendered": {"subjects": 3, "seed": 0}}]
    for faces in same:
        assert Opinions.load(folder, faces).provenance == made
    for faces in (
        {"digest": "e"},
        {"rendered": {"subjects": 4, "seed": 0}},
        {"rendered": {"subjects": 3, "seed": 1}},
        {"rendered": {"subjects": 3, "size": 256}},
    ):
        with pytest.raises(Lacking, match=r"about other faces.*fer judge FACES --out"):
            Opinions.load(folder, faces)
    (folder / opinions.PROVENANCE).write_text(json.dumps({**made, "settings": {}}))
    with pytest.raises(Lacking, match="about other faces"):
        Opinions.load(folder, {"rendered": {"subjects": 3}})


def test_own_faces_are_noted_by_what_they_are(tmp_path):
    write_sequence(tmp_path, "S005_001", expression="happy")
    before = opinions.provenance_of(tmp_path, {})["digest"]
    assert opinions.provenance_of(tmp_path, {})["digest"] == before
    next(tmp_path.rglob("*.png")).unlink()
    assert opinions.provenance_of(tmp_path, {})["digest"] != before


def test_the_kept_opinions_are_of_the_default_book():
    kept = Path(__file__).parents[1] / "book" / "opinions"
    faces = Study(make_settings("book")).faces.record
    assert Opinions.load(kept, faces).provenance["settings"]["subjects"] == faces["rendered"]["subjects"]
    with pytest.raises(Lacking):
        Opinions.load(kept, Study(make_settings("smoke")).faces.record)
