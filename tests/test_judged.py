import json
import shutil

import pandas as pd
import pytest

from fer_lib.errors import FerError
from fer_lib.judges import judged


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
            (n, e, 3, s, s)
            for n, e, s in (
                ("fer", "happy", 2 / 3),
                ("fer", "fear", 1 / 3),
                ("facex", "happy", 1.0),
                ("facex", "fear", 1.0),
            )
        ],
        columns=["network", "expression", "faces", "agreement", "agreement_change"],
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
            {"pairs": ["same person"], "number": [3], "under_threshold": [1.0], "median": [0.2]}
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
    (tmp_path / "made.json").write_text(json.dumps(judged.describe(tmp_path)))
    return tmp_path


def test_words_name_the_network_that_is_mostly_wrong(folder):
    found = judged.load(folder)
    assert found.disagreements() == ["**fear**: `fer` says *sadness* to 2 of 3; `facex` mostly agrees."]
    assert found.unanimity() == pytest.approx(3 / 7)
    assert found.agreement().loc["happy", "fer"] == pytest.approx(200 / 3)
    assert found.confusion("fer").loc["happy", "anger"] == 1


def test_every_table_is_written(folder):
    found = judged.load(folder)
    assert "gradient histograms" in judged.face_tables(found)
    assert "85.7" in judged.face_tables(found)
    assert judged.agreement_tables(found).count("| fear") == 2
    assert judged.confusion_tables(found).count("**`") == 2
    assert "0.20" in judged.identity_table(found)
    assert judged.words(found).count("- ") == 2


def test_sexes_and_ages_are_told_apart_or_the_page_says_why_not(folder):
    text = judged.people_table(judged.load(folder))
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
    text = judged.people_table(judged.load(folder))
    assert "everyone" in text and "nothing can be compared" in text
    people.iloc[:0].to_csv(folder / "people.csv", index=False)
    assert "not among" in judged.people_table(judged.load(folder))


def test_a_changed_renderer_is_told(folder, monkeypatch):
    assert "this build is the same" in judged.load(folder).provenance()
    monkeypatch.setattr(judged, "renderer_digest", lambda: "other")
    assert "has changed since then" in judged.load(folder).provenance()


def test_settings_of_rendered_faces_are_noted(folder):
    (folder / "rendered").mkdir()
    (folder / "rendered" / "settings.json").write_text('{"seed": 3, "kind": "faces", "maker": "x"}')
    assert judged.describe(folder)["settings"] == {"seed": 3}


def test_a_missing_table_is_named_with_its_remedy(folder):
    (folder / "identity.csv").unlink()
    with pytest.raises(FerError, match="make them with `fer judge"):
        judged.load(folder)
    shutil.rmtree(folder)
    with pytest.raises(FerError, match="no verdicts"):
        judged.load(folder)
