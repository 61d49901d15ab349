"""What the shell says: FER_PRESET, FER_FACES, FER_PUBLISH and FER_RUN, checked before anything is installed, rendered or built.

Needs nothing but Python, so that ``make`` can run it before the packages are there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from fer_lib.config import Settings, make_settings
from fer_lib.errors import FerError


def settings_from_environment() -> Settings:
    """Return the settings that the environment variables ask for; an empty one counts as not set.

    Returns
    -------
    Settings
        Its ``faces`` are an absolute path, or empty. With ``FER_RUN``, the folder of a run, all parameters are that run's.

    Raises
    ------
    FerError
        If the preset is unknown, nothing lies where the faces should be, or the folder holds no run, or one with another preset or other
        faces than are asked for.
    """
    preset, faces, publish, run = (
        os.environ.get(f"FER_{name}", "") for name in ("PRESET", "FACES", "PUBLISH", "RUN")
    )
    if run:
        given = {**parameters_of_run(Path(run).expanduser()), **({"publish": publish} if publish else {})}
        settings = make_settings(**given)
        asked = {"preset": preset, "faces": make_settings(faces=faces).faces}
        for name, value in asked.items():
            if value and value != getattr(settings, name):
                own = getattr(settings, name)
                raise FerError(
                    f"{name}={value!r}: run {run} has {name}={own!r}; leave {name.upper()} out, or name another run"
                )
    else:
        settings = make_settings(preset or "book", faces=faces, publish=publish)
    if settings.faces and not os.access(settings.faces, os.R_OK):
        why = "no permission to read it" if Path(settings.faces).exists() else "no such folder or file"
        raise FerError(
            f"faces {settings.faces}: {why}; give a folder with CK+ or another data set or a table of user-supplied faces, "
            "or leave FACES out"
        )
    return settings


def parameters_of_run(folder: Path) -> dict[str, Any]:
    """Return the parameters that the notebooks of a run were given.

    Parameters
    ----------
    folder
        What a sweep wrote for one set of parameters, such as ``out/sweeps/seeds/trained+seed=3``, or executed notebooks.

    Raises
    ------
    FerError
        If it is no such folder, or its notebooks had different parameters.
    """
    found: list[dict[str, Any]] = []
    try:
        files = sorted(folder.glob("*.json")) or sorted(folder.glob("*.ipynb"))
    except OSError:
        files = []
    for file in files:
        try:
            content = json.loads(file.read_text("utf-8"))
            result = content["metadata"]["papermill"] if file.suffix == ".ipynb" else content
            found.append({str(name): value for name, value in result["parameters"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    if not found:
        raise FerError(f"run {str(folder)!r}: no results of a run; give a folder as out/sweeps/NAME/RUN")
    if any(other != found[0] for other in found):
        raise FerError(f"run {str(folder)!r}: notebooks of several runs; give the folder of one")
    return found[0]


if __name__ == "__main__":
    try:
        settings_from_environment()
    except FerError as error:
        sys.exit(f"fer: {error}")
