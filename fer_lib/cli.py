"""The same steps from a shell: ``fer --help``.

What cannot be done ends in one line: exit code 2 where something else has to be given, 1 where the machine fails.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import typer

from fer_lib.artifacts.files import FULL
from fer_lib.config import (
    PRESETS,
    Bounds,
    Settings,
    bounds_of,
    brief,
    describe_bounds,
    describe_settings,
    make_settings,
)
from fer_lib.errors import FerError, Lacking

# Commands import what they need after they have read what they are given: a slip is told at once.
cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Rerun the study of an expression network, step by step."
)

# Typer exports the class of one wrong value, not the one above it, which stands for all wrong command lines.
_UsageError: Any = typer.BadParameter.__mro__[1]

Preset = Annotated[str, typer.Option(help="Scale: smoke, book or paper.", envvar="FER_PRESET")]
FacesOption = Annotated[
    str,
    typer.Option(
        help="Folder with CK+ or another set (`fer audit --help`), or table of own faces; empty: rendered faces.",
        envvar="FER_FACES",
    ),
]
Given = Annotated[
    list[str],
    typer.Option("--set", "-s", help="A parameter as NAME=VALUE, see `fer parameters`; counts most."),
]


def _path(text: str) -> Path:
    """Read a path of the command line; an empty one would be the current folder."""
    if not text:
        raise typer.BadParameter("'' is no path; the current folder is '.'")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise typer.BadParameter(f"{brief(text)}: there is no such user") from None


def _within(bounds: Bounds, kind: type = int) -> Callable[[Any], Any]:
    """Make a reader of numbers that names a wrong one together with the bounds."""

    def parse(text: Any) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or value not in bounds:
            raise typer.BadParameter(f"{brief(text)} is not a number {bounds}")
        return value

    return parse


def _number(help: str, bounds: Bounds, kind: type = int) -> Any:
    return typer.Option(parser=_within(bounds, kind), metavar="NUMBER", help=f"{help} ({bounds}).")


_LINES = 40  # of problems that are shown

Folder = Annotated[Path, typer.Argument(parser=_path, metavar="FOLDER")]
Out = Annotated[Path, typer.Argument(parser=_path, metavar="OUT")]


def _settings(preset: str, faces: str, given: list[str]) -> Settings:
    """Read the parameters of a run; one that is named with --set counts more than the option for it."""
    return make_settings(**{"preset": preset, "faces": faces} | _assignments(given))


def _assignments(given: list[str]) -> dict[str, Any]:
    """Read parameters that are given as NAME=VALUE."""
    values: dict[str, Any] = {}
    kinds, allowed = get_type_hints(Settings), describe_bounds()
    for item in given:
        name, equals, text = item.partition("=")
        if not equals:
            raise FerError(f"--set {brief(item)}: name=value expected")
        kind = kinds.get(name, str)
        try:
            values[name] = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            why = f"{name} takes a value of type {kind.__name__}, {allowed[name]}"
            raise FerError(f"--set {brief(item)}: {why}") from None
    return values


def _check_out(out: Path) -> None:
    """Refuse a folder that a result could not be written to, before the work that leads to it."""
    try:
        there = out.exists()
        if there and not out.is_dir():
            raise FerError(f"--out {out}: this is a file; give a folder to write")
        if not out.parent.is_dir():
            raise FerError(f"--out {out}: there is no folder {out.parent}; make it first")
        tempfile.TemporaryFile(dir=out if there else out.parent).close()
    except OSError as error:
        raise FerError(f"--out {out}: nothing can be written there ({error.strerror})") from None


def _say_problems(note: str) -> None:
    """Say in one line whether anything is wrong with the files of the faces."""
    if note:
        typer.echo(note, err=True)


@cli.command()
def run(preset: Preset = "book", faces: FacesOption = "", given: Given = []) -> None:  # noqa: B006
    """Render or read the faces, train, record and test; say how long each step took."""
    settings = _settings(preset, faces, given)
    from fer_lib.study.study import Study

    study = Study(settings)
    steps: dict[str, Callable[[], object]] = {
        "faces": lambda: study.faces.rendered,
        "pictures": lambda: study.faces.pictures,
        "training": lambda: study.network.training,
        "responses": lambda: study.maps.responses,
        "projections": lambda: study.maps.projections(),
        "matches": lambda: study.detectors.matches,
        "atlas": lambda: study.references.atlas,
        "effects": lambda: study.interventions.effects,
    }
    for name, step in steps.items():
        typer.echo(f"{name} ...", err=True)
        start = time.perf_counter()
        try:
            step()
        except Lacking as reason:
            typer.echo(f"{name}: left out: {reason}", err=True)
        else:
            typer.echo(f"{name}: {time.perf_counter() - start:.1f} s", err=True)
        if name == "pictures":
            _say_problems(study.faces.problems_note())
    typer.echo(f"results: {study.store.root}")


AusOption = Annotated[
    str, typer.Option(metavar="NUMBERS", help="Action units that may be shown, as 1,2,12; empty: all.")
]
Size = Annotated[int, _number("Side of a picture in pixels", bounds_of("size"))]
Seed = Annotated[int, _number("Chooses everything", bounds_of("faces_seed"))]


def _numbers(aus: str, option: str = "--aus") -> list[int] | None:
    try:
        return [int(number) for number in aus.split(",")] if aus else None
    except ValueError:
        raise FerError(f"{option} {brief(aus)}: numbers separated by commas expected, as 1,2,12") from None


@cli.command()
def render(
    out: Out,
    subjects: Annotated[int, _number("People", bounds_of("subjects"))] = 123,
    sequences: Annotated[
        int, _number("Labelled sequences; 0: as CK+, 327 of 123 people", bounds_of("sequences"))
    ] = 0,
    unlabelled: Annotated[
        int, _number("Sequences without a label; CK+ has 266", bounds_of("unlabelled"))
    ] = 0,
    frames: Annotated[int, _number("Frames of a sequence, the first one neutral", bounds_of("frames"))] = 6,
    size: Size = 256,
    aus: AusOption = "",
    strongest: Annotated[float, _number("Largest intensity, A to E", Bounds(1, 5), float)] = 5,
    yaw: Annotated[float, _number("Spread of the head's turn, in degrees", Bounds(0, 30), float)] = 2.5,
    oldest: Annotated[float, _number("Age of the oldest people, in years", Bounds(25, 90), float)] = 50,
    seed: Seed = 0,
) -> None:
    """Render faces with exact action units into OUT, in CK+'s layout."""
    shown = _numbers(aus)
    from fer_lib.render.dataset import render_faces

    typer.echo(
        render_faces(
            out,
            subjects=subjects,
            sequences=sequences or None,
            unlabelled=unlabelled,
            frames=frames,
            size=size,
            aus=shown,
            strongest=strongest,
            yaw=yaw,
            oldest=oldest,
            seed=seed,
            processes=os.cpu_count() or 1,
        )
    )


@cli.command()
def interventions(
    out: Out,
    people: Annotated[int, _number("People", bounds_of("subjects"))] = 8,
    aus: AusOption = "",
    size: Size = 256,
    seed: Seed = 0,
) -> None:
    """Render the control set into OUT: the same face with exactly one action unit on, at A to E."""
    shown = _numbers(aus)
    from fer_lib.render.controls import render_interventions

    typer.echo(
        render_interventions(
            out, people=people, aus=shown, size=size, seed=seed, processes=os.cpu_count() or 1
        )
    )


@cli.command()
def judge(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option(parser=_path, metavar="FOLDER", help="Folder to write the tables to, as csv."),
    ] = None,
    sequences: Annotated[int, _number("Most sequences to look at; 0: all", bounds_of("sequences"))] = 210,
    face_api: Annotated[
        Path | None,
        typer.Option(
            parser=_path,
            metavar="FOLDER",
            help="Folder with face-api's weights; without it that judge is left out.",
        ),
    ] = None,
) -> None:
    """Ask detectors and networks trained on photographs what they make of the faces (extra: judges)."""
    if out is not None:
        _check_out(out)
    from fer_lib.judges.run import judge_faces

    found = judge_faces(folder, sequences=sequences or None, face_api=face_api)
    for name in ("detectors", "landmarks", "agreement", "confusion", "identity"):
        typer.echo(f"\n{name}\n{getattr(found, name).to_string(index=False, float_format='%.3f')}")
    if out is not None:
        found.save(out)
        typer.echo(out)


@cli.command()
def audit(folder: Folder) -> None:
    """Compare faces with the published counts of their set and list every problem; exit code 1 if one changes a result.

    FOLDER holds CK+, CK+48, DISFA, BP4D, RAF-DB, RAF-AU, JAFFE or KDEF, which are recognised by what lies in it, or is a table:
    fer2013.csv, fer2013new.csv (FER+), ckextended.csv, or one of own faces. What a set cannot give is said.
    """
    from fer_lib.faces.audit import audit as check

    report = check(folder, progress=True)
    typer.echo(report.summary())
    raise typer.Exit(0 if report.sound else 1)


@cli.command()
def aus(
    tables: Annotated[
        list[Path],
        typer.Argument(
            parser=_path,
            metavar="TABLE...",
            help="Tables that a program wrote, each of one folder, film or picture.",
        ),
    ],
    pictures: Annotated[
        Path,
        typer.Option(
            parser=_path,
            metavar="FOLDER",
            help="Where the pictures lie: those of NAME.csv in FOLDER/NAME if it is there, else in FOLDER.",
        ),
    ],
    subject: Annotated[
        list[str],
        typer.Option(
            help="Who is on the pictures; given once for all tables, or once for each in their order."
        ),
    ],
    out: Annotated[Path, typer.Option(parser=_path, metavar="FILE", help="The new table of faces, as csv.")],
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="A unit is present from here on, on the program's scale. By default as the program says, or from 1 (intensities), "
            "0.5 (probabilities) or 0 (log odds) on.",
        ),
    ] = None,
    mapping: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS", help="Units of numbers without names, in their order, as 1,2,4,6 (OpenFace 3)."
        ),
    ] = "",
    face: Annotated[
        str, typer.Option(help="Which face to read, as the program numbers them, where there are several.")
    ] = "",
    film: Annotated[
        bool, typer.Option("--film", help="The pictures of each table are one film from neutral to peak.")
    ] = False,
) -> None:
    """Make a table of faces of what a program (OpenFace, py-feat, LibreFace, ...) wrote of their action units; see "Using this book"."""
    units = _numbers(mapping, "--mapping")
    from fer_lib.faces.tool_pictures import write_coded_pictures

    written = write_coded_pictures(
        tables,
        pictures,
        out,
        subjects=subject,
        film=film,
        threshold=threshold,
        mapping=units or (),
        face=face,
    )
    for row in written.problems.itertuples():
        typer.echo(f"{row.path}: {row.problem}: {row.consequence}", err=True)
    typer.echo(written.summary())


@cli.command()
def label(
    folder: Annotated[
        Path | None,
        typer.Argument(
            parser=_path, metavar="FOLDER", help="Pictures, or a folder of pictures for each person."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(parser=_path, metavar="FILE", help="The empty sheet to write, as csv.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(parser=_path, metavar="FILE", help="A filled sheet to check instead.")
    ] = None,
    aus: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Action units to code, as 1,2,12; empty: all.")
    ] = "",
    film: Annotated[
        bool, typer.Option("--film", help="The pictures of each folder are one film from neutral to peak.")
    ] = False,
    coder: Annotated[str, typer.Option(help="Who is going to code.")] = "",
) -> None:
    """Write an empty sheet to code the pictures of FOLDER on, or check a filled one; exit code 1 if something is wrong with it."""
    from fer_lib.faces.coding_sheet import GUIDE, check_coding_sheet, write_coding_sheet

    if check is not None:
        if folder is not None or out is not None:
            raise FerError(
                "--check: a filled sheet is checked, and nothing is written; leave FOLDER and --out out"
            )
        summary, problems = check_coding_sheet(check)
        for problem in problems[:_LINES]:
            typer.echo(problem)
        if len(problems) > _LINES:
            typer.echo(f"and {len(problems) - _LINES} more")
        if summary:
            typer.echo(summary)
        raise typer.Exit(1 if problems else 0)
    if folder is None or out is None:
        raise FerError("give FOLDER and --out FILE for an empty sheet, or --check FILE for a filled one")
    sheet = write_coding_sheet(folder, out, aus=_numbers(aus), film=film, coder=coder)
    typer.echo(f"{out}: {len(sheet)} pictures to code; {out.with_suffix(GUIDE)} says how")


@cli.command(name="agreement")
def agreement_command(
    first: Annotated[Path, typer.Argument(parser=_path, metavar="FIRST", help="One coding: CK+ or a table.")],
    second: Annotated[
        Path, typer.Argument(parser=_path, metavar="SECOND", help="Another coding of the same pictures.")
    ],
    out: Annotated[
        Path | None, typer.Option(parser=_path, metavar="FILE", help="File to write the table to, as csv.")
    ] = None,
) -> None:
    """Print how two codings of the same pictures agree, unit by unit: prevalence, Cohen's kappa, ICC(3,1), 95 % over people."""
    from fer_lib.artifacts.files import write_new
    from fer_lib.faces.coding import codings_of, intensities_of, shared_pictures
    from fer_lib.faces.reader import read
    from fer_lib.faces.table import au_present
    from fer_lib.measures.agreement import agreement

    one, other = shared_pictures(read(first), read(second))
    found = agreement(
        au_present(one.table),
        au_present(other.table),
        one.table["subject"],
        first_intensity=intensities_of(one.table),
        second_intensity=intensities_of(other.table),
        names=list(au_present(one.table)),
    )
    found = found[found["n"] > 0]
    if found.empty:
        raise FerError(
            f"{first} and {second}: no action unit is coded by both in the {len(one)} pictures that they share"
        )
    if out is not None:
        write_new(out, found.to_csv(index=False).encode())
    for name, place, faces in (("first", first, one), ("second", second, other)):
        who = [f"{row.origin} ({row.scale})" for row in codings_of(faces.table).itertuples()]
        typer.echo(f"{name}: {' and '.join(who)}, {place}")
    typer.echo(f"{len(one)} pictures of {one.table['subject'].nunique()} people are in both\n")
    shown = found if found["n intensity"].any() else found.loc[:, :"kappa high"]
    typer.echo(shown.to_string(index=False, float_format="{:.2f}".format, na_rep=""))


@cli.command()
def train(preset: Preset = "book", faces: FacesOption = "", given: Given = []) -> None:  # noqa: B006
    """Train the network (or find it trained) and print its folder and its accuracy on the test pictures."""
    settings = _settings(preset, faces, given)
    from fer_lib.study.study import Study

    study = Study(settings)
    _say_problems(study.faces.problems_note())
    typer.echo(
        f"{study.network.training.path}\naccuracy on {len(study.faces.split.test)} test pictures: {study.network.accuracy:.3f}"
    )


@cli.command(name="claims")
def claims_command(preset: Preset = "book", faces: FacesOption = "", given: Given = []) -> None:  # noqa: B006
    """Print what became of the paper's four claims: verdicts, measures and controls, as the summary of the book has them."""
    settings = _settings(preset, faces, given)
    from fer_lib.plot.conclusions import claims_text
    from fer_lib.study.study import Study

    study = Study(settings).trainable()
    _say_problems(study.faces.problems_note())
    typer.echo(claims_text(study.claims.verdicts))


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sweep(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(parser=_path, metavar="FILE", help="As sweeps/seeds.yaml.")],
    preset: Annotated[
        str, typer.Option(help="Scale of all runs, instead of the file's: smoke, book or paper.")
    ] = "",
    faces: FacesOption = "",
    given: Given = [],  # noqa: B006
    jobs: Annotated[int, _number("Notebooks at a time", Bounds(1, 10_000))] = 1,
    out: Annotated[
        Path | None,
        typer.Option(parser=_path, metavar="FOLDER", help="Where results go; by default out/sweeps/NAME."),
    ] = None,
) -> None:
    """Run the notebooks with all sets of parameters of FILE; what is done is not repeated. More options go to Snakemake."""
    from fer_lib.artifacts.store import default_root
    from fer_lib.results import collect
    from fer_lib.sweeps.run import run_sweep, why_not
    from fer_lib.sweeps.specification import read_sweep

    if out is not None and out.exists() and not out.is_dir():
        raise FerError(f"--out {out}: this is a file; give a folder to write")
    fixed = {**_assignments(given)}
    fixed |= {name: value for name, value in {"preset": preset, "faces": faces}.items() if value}
    asked = read_sweep(file, fixed)
    folder = (out or Path("out") / "sweeps" / asked.name).absolute()
    failed = run_sweep(asked, folder, default_root(), jobs=jobs, engine=context.args)
    for run, notebook in failed:
        typer.echo(f"{run}/{notebook}: {why_not(folder, run, notebook)}", err=True)
    done = len(asked.runs) * len(asked.notebooks) - len(failed)
    if done:
        table = collect(folder)
        table.to_csv(folder / "results.csv", index=False)
        table.to_parquet(folder / "results.parquet")
    typer.echo(f"{len(asked.runs)} runs, {done} notebooks done, {len(failed)} not; {folder}")
    if failed:
        raise typer.Exit(1)


@cli.command(name="results")
def results_command(
    place: Annotated[
        Path,
        typer.Argument(
            parser=_path, metavar="PLACE", help="A sweep's folder, one of its runs, or an executed notebook."
        ),
    ],
    other: Annotated[
        Path | None,
        typer.Argument(
            parser=_path, metavar="OTHER", help="Another run or notebook: what differs is printed."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=_path,
            metavar="FILE",
            help="File to write what the book shows of a sweep to, as csv, beside a json of what it was made from.",
        ),
    ] = None,
) -> None:
    """Print the numbers of executed notebooks: of one run, spread over the runs of a sweep, or the differences of two runs."""
    import pandas as pd

    from fer_lib.published import from_sweep
    from fer_lib.results import PLAN, collect, compare, files_of, read_run, rows_of, spread

    def rows(run: Path) -> pd.DataFrame:
        return pd.concat([rows_of(result) for result in read_run(run)], ignore_index=True)

    if out is not None:
        if other is not None:
            raise FerError(f"--out {out}: this is for a sweep, and two places are given; leave one out")
        published = from_sweep(place)
        published.save(out)
        made = published.provenance
        typer.echo(f"{len(made['done'])} of {len(made['runs'])} runs; {out}")
        return
    if other is not None:
        table = compare(rows(place), rows(other))
        nothing = "no difference"
    else:
        whole = (place / PLAN).is_file() or (place.is_dir() and not files_of(place))
        table = spread(collect(place)) if whole else rows(place)
        nothing = "no numbers"
    typer.echo(
        table.to_string(index=False, float_format="{:.4g}".format, na_rep="") if len(table) else nothing
    )


@cli.command()
def parameters() -> None:
    """List every parameter with its values in the presets smoke, book and paper, what it may be, and its help."""
    presets = [make_settings(name) for name in PRESETS]
    allowed = describe_bounds()
    for name, text in describe_settings().items():
        values = list(dict.fromkeys(repr(getattr(settings, name)) for settings in presets))
        typer.echo(f"{name:16} {' | '.join(values):26} {allowed[name]:42} {text}")


@cli.command()
def store(
    remove: Annotated[list[str], typer.Option(help="Key, or its beginning, of an artifact to remove.")] = [],  # noqa: B006
) -> None:
    """List the stored results with size and settings, or remove those that are named."""
    from fer_lib.artifacts.store import Store, default_root

    here = Store(default_root())
    if "" in remove:
        raise FerError("--remove '': a step or the first digits of a key expected")
    for key in remove:
        for path in here.remove(key)["path"]:
            typer.echo(f"removed {path}")
    listing = here.list()
    typer.echo(f"{here.root}: {len(listing)} artifacts")
    if len(listing):
        typer.echo(listing.drop(columns="path").to_string(index=False, float_format="%.1f"))


def app() -> None:
    """Run the command line; what fails ends in one line and exit code 2 for bad input, 1 for the machine's faults."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # As Ctrl-C: what is half written is taken away.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        # A command returns None; --help and typer.Exit their exit code, and Ctrl-C 130.
        sys.exit(cli(standalone_mode=False) or 0)
    except SystemExit as end:
        if end.code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            typer.echo("fer: stopped; what is finished is kept", err=True)
        raise
    except FerError as error:
        _fail(error, 2)
    except _UsageError as error:
        if not error.format_message():  # without a command, help was all
            sys.exit(2)
        _fail(FerError(error.format_message()), 2)
    except typer.Abort:
        _fail(FerError("stopped"), 1)
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            # What steps write is named where it is written: this is the shell's redirection. The rest of it goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _fail(
                FerError(f"the output cannot be written ({error.strerror}): redirect it to another disk"), 1
            )
        where = "" if error.filename is None else f"{error.filename}: "
        _fail(FerError(f"{where}{error.strerror or error}"), 1)
    except MemoryError:
        _fail(FerError("memory ran out; take fewer or smaller pictures"), 1)


def _fail(error: FerError, code: int) -> NoReturn:
    typer.echo(f"fer: {error}", err=True)
    sys.exit(code)
