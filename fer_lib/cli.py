"""The same steps from a shell: ``fer --help``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from fer_lib.errors import FerError
from fer_lib.experiment.settings import Settings, describe_settings, make_settings

if TYPE_CHECKING:
    from fer_lib.experiment.chain import Chain

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Rerun the study of an expression network, step by step."
)

Preset = Annotated[str, typer.Option(help="Scale: smoke, book or paper.", envvar="FER_PRESET")]
FacesOption = Annotated[
    str, typer.Option(help="CK+ folder or table of own faces; empty: rendered faces.", envvar="FER_FACES")
]
Given = Annotated[
    list[str], typer.Option("--set", "-s", help="A parameter as name=value; see `fer parameters`.")
]


def _settings(preset: str, faces: str, given: list[str]) -> Settings:
    values: dict[str, Any] = {}
    kinds = get_type_hints(Settings)
    for item in given:
        name, equals, text = item.partition("=")
        if not equals:
            raise FerError(f"--set {item!r}: name=value expected")
        kind = kinds.get(name, str)
        try:
            values[name] = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise FerError(f"--set {item!r}: {name} takes a value of type {kind.__name__}") from None
    return make_settings(preset, faces=faces, **values)


def _say_problems(study: Chain) -> None:
    """Say in one line whether anything is wrong with the files of the faces."""
    note = study.problems_note()
    if note:
        typer.echo(note, err=True)


@cli.command()
def run(preset: Preset = "book", faces: FacesOption = "", given: Given = []) -> None:  # noqa: B006
    """Render or read the faces, train, record and test; say how long each step took."""
    from fer_lib.experiment import matching
    from fer_lib.experiment.interventions import map_effects
    from fer_lib.experiment.study import Study

    study = Study(_settings(preset, faces, given))
    steps: dict[str, Callable[[], object]] = {
        "faces": lambda: study.rendered,
        "pictures": lambda: study.pictures,
        "training": lambda: study.training,
        "responses": lambda: study.responses,
        "projections": lambda: study.projections_of("relu3"),
        "verdicts": lambda: matching.verdicts(study),
        "atlas": lambda: study.atlas,
        "interventions": lambda: map_effects(study),
    }
    for name, step in steps.items():
        typer.echo(f"{name} ...", err=True)
        start = time.perf_counter()
        step()
        typer.echo(f"{name}: {time.perf_counter() - start:.1f} s", err=True)
        if name == "pictures":
            _say_problems(study)
    typer.echo(f"results: {study.store.root}")


AusOption = Annotated[str, typer.Option(help="Action units that may be shown, as 1,2,12; empty: all.")]


def _numbers(aus: str) -> list[int] | None:
    try:
        return [int(number) for number in aus.split(",")] if aus else None
    except ValueError:
        raise FerError(f"--aus {aus!r}: numbers separated by commas expected, as 1,2,12") from None


@cli.command()
def render(
    out: Path,
    subjects: int = 123,
    sequences: Annotated[int, typer.Option(help="Labelled sequences; 0: CK+'s 327.")] = 0,
    unlabelled: Annotated[int, typer.Option(help="Sequences without a label; CK+ has 266.")] = 0,
    frames: int = 6,
    size: int = 256,
    aus: AusOption = "",
    strongest: Annotated[float, typer.Option(help="Largest intensity, 1 to 5 for A to E.")] = 5,
    yaw: Annotated[float, typer.Option(help="Spread of the head's turn, in degrees.")] = 2.5,
    seed: int = 0,
) -> None:
    """Render faces with exact action units into OUT, in CK+'s layout."""
    from fer_lib.render.dataset import render_faces

    typer.echo(
        render_faces(
            out,
            subjects=subjects,
            sequences=sequences or None,
            unlabelled=unlabelled,
            frames=frames,
            size=size,
            aus=_numbers(aus),
            strongest=strongest,
            yaw=yaw,
            seed=seed,
            processes=os.cpu_count() or 1,
        )
    )


@cli.command()
def interventions(out: Path, people: int = 8, aus: AusOption = "", size: int = 256, seed: int = 0) -> None:
    """Render the control set into OUT: the same face with exactly one action unit on, at A to E."""
    from fer_lib.render.controls import render_interventions

    typer.echo(
        render_interventions(
            out, people=people, aus=_numbers(aus), size=size, seed=seed, processes=os.cpu_count() or 1
        )
    )


@cli.command()
def judge(
    folder: Path,
    out: Annotated[Path | None, typer.Option(help="Folder to write the tables to, as csv.")] = None,
    sequences: Annotated[int, typer.Option(help="Most sequences to look at; 0: all.")] = 210,
    face_api: Annotated[
        Path | None, typer.Option(help="Folder with face-api's weights; without it that judge is left out.")
    ] = None,
) -> None:
    """Ask detectors and networks trained on photographs what they make of the faces (extra: judges)."""
    from fer_lib.judges import judged, judging

    found = judging.judge(folder, sequences=sequences or None, face_api=face_api)
    for name in ("detectors", "landmarks", "agreement", "confusion", "identity"):
        typer.echo(f"\n{name}\n{getattr(found, name).to_string(index=False, float_format='%.3f')}")
    if out is not None:
        found.save(out)
        made = json.dumps(judged.describe(folder), indent=1) + "\n"
        (out / judged.MADE).write_text(made, encoding="utf-8")
        typer.echo(out)


@cli.command()
def audit(folder: Path) -> None:
    """Compare a CK+ folder with the published counts and list every problem; exit 1 if one changes a result."""
    from fer_lib.faces.audit import audit as check

    report = check(folder, progress=True)
    typer.echo(report.summary())
    raise typer.Exit(0 if report.sound else 1)


@cli.command()
def train(preset: Preset = "book", faces: FacesOption = "", given: Given = []) -> None:  # noqa: B006
    """Train the network (or find it trained) and print its folder and its accuracy on the test pictures."""
    from fer_lib.experiment.study import Study

    study = Study(_settings(preset, faces, given))
    _say_problems(study)
    right = study.trained.predictions.argmax(1) == study.labels[study.split.test]
    typer.echo(f"{study.training.path}\naccuracy on {len(right)} test pictures: {right.mean():.3f}")


@cli.command()
def seeds(
    seeds: Annotated[list[int], typer.Argument(help="Seeds, such as 0 1 2.")],
    preset: Preset = "book",
    faces: FacesOption = "",
    given: Given = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="File to write, as json.")] = None,
) -> None:
    """Run the study with several seeds and compare the verdicts."""
    from fer_lib.experiment.seeds import run_seeds
    from fer_lib.experiment.study import Study

    settings = _settings(preset, faces, given)
    _say_problems(Study(settings))
    found = run_seeds(settings, seeds)
    typer.echo(f"{found.markdown()}\n\n{found.agreement()}")
    if out is not None:
        found.save(out)
        typer.echo(out)


@cli.command()
def parameters() -> None:
    """List every parameter with its help and its values in the three presets."""
    presets = {name: make_settings(name) for name in ("smoke", "book", "paper")}
    for name, text in describe_settings().items():
        values = " | ".join(repr(getattr(s, name)) for s in presets.values())
        typer.echo(f"{name:16} {values:32} {text}")


@cli.command()
def store(
    remove: Annotated[list[str], typer.Option(help="Key, or its beginning, of an artifact to remove.")] = [],  # noqa: B006
) -> None:
    """List the stored results with size and settings, or remove those that are named."""
    from fer_lib.artifacts.store import Store, default_root

    here = Store(default_root())
    for key in remove:
        for path in here.remove(key)["path"]:
            typer.echo(f"removed {path}")
    listing = here.list()
    typer.echo(f"{here.root}: {len(listing)} artifacts")
    if len(listing):
        typer.echo(listing.drop(columns="path").to_string(index=False, float_format="%.1f"))


def app() -> None:
    """Run the command line; bad input ends in one line and exit code 2."""
    try:
        cli()
    except FerError as error:
        typer.echo(f"fer: {error}", err=True)
        sys.exit(2)
