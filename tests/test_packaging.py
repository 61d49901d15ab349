"""README, environment.yml, pyproject.toml, constraints.txt and the Makefile say the same things."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fer_lib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def requirements() -> list[Requirement]:
    return [
        Requirement(text)
        for text in [
            *PROJECT["dependencies"],
            *(text for extra in ("docs", "test", "sweep", "video") for text in EXTRAS[extra]),
        ]
    ]


def test_every_requirement_is_pinned_within_its_range() -> None:
    pinned = pins()
    for requirement in requirements():
        version = pinned[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} is pinned to {version}"


def test_pins_are_portable() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert "://" not in text and "nvidia" not in text
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in pins())


def test_environment_installs_this_package_with_the_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["-c constraints.txt", "-e .[docs,test]"]
    assert environment["name"] == PROJECT["name"]
    assert environment_python() in Requirement(f"python{PROJECT['requires-python']}").specifier


def environment_python() -> str:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    python = next(entry for entry in environment["dependencies"] if str(entry).startswith("python="))
    return str(python).removeprefix("python=")


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == fer_lib.__version__
    assert citation["license"] == PROJECT["license"] == "MIT"


def test_what_archives_read_agrees_with_the_citation() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    deposit = json.loads((ROOT / ".zenodo.json").read_text("utf-8"))
    for name in ("title", "version", "license", "keywords"):
        assert deposit[name] == citation[name], name
    assert deposit["keywords"] == PROJECT["keywords"] and deposit["upload_type"] == citation["type"]
    assert [who["name"] for who in deposit["creators"]] == [who["name"] for who in citation["authors"]]
    (paper,) = (identifier["value"] for identifier in citation["references"][0]["identifiers"])
    assert [related["identifier"] for related in deposit["related_identifiers"]] == [paper]


def test_the_workflow_tests_and_publishes_what_make_builds() -> None:
    text = (ROOT / ".github" / "workflows" / "book.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    steps = {name: job["steps"] for name, job in jobs.items()}
    assert {"run": ".ci/run"} in steps["test"] and {"run": "make book"} in steps["build"]
    assert jobs["build"]["needs"] == "test" and jobs["publish"]["needs"] == "build"
    assert steps["build"][-1]["with"]["path"] == "book/_build/html"
    used = [step["uses"] for job in steps.values() for step in job if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)
    assert "secrets." not in text
    python = environment_python()
    for job in ("test", "build"):
        assert [s["with"]["python-version"] for s in steps[job] if "setup-python" in s.get("uses", "")] == [
            python
        ]


def test_the_container_has_the_environments_python() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert container["image"].endswith(f"python:{environment_python()}")
    command, target = container["postCreateCommand"].split()
    assert command == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("target", ["book", "pdf", "test", "bench", "lint", "clean", "help"])
def test_make_knows_the_targets(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_make_installs_what_environment_yml_installs() -> None:
    assert "-c constraints.txt -e '.[docs,test]'" in (ROOT / "Makefile").read_text("utf-8")


def test_readme_commands_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    commands = re.findall(r"^    (.+?)(?:\s+#.*)?$", readme, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {command.split()[1] for command in commands if command.startswith("make ")}
    assert targets >= {"book", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    for folder in re.findall(r"`([a-z_]+/)`", readme):
        assert (ROOT / folder).is_dir(), folder
    assert "exec make test" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_wheels_without_gpu_libraries_are_those_that_are_pinned() -> None:
    """What the README installs first satisfies the pins, also with the local version that names its kind, so `make` keeps it."""
    line = re.search(
        r"pip install (torch==\S+) (torchvision==\S+) --index-url", (ROOT / "README.md").read_text("utf-8")
    )
    assert line is not None
    for text in line.groups():
        named, pinned = (
            Requirement(text),
            Requirement(f"{Requirement(text).name}=={pins()[Requirement(text).name]}"),
        )
        assert named.specifier == pinned.specifier
        assert f"{pins()[named.name]}+cpu" in pinned.specifier
        assert all(f"{pins()[r.name]}+cpu" in r.specifier for r in requirements() if r.name == named.name)


def test_ci_script_is_valid_and_executable() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", script], check=True)
