"""What the shell says: FER_PRESET, FER_FACES and FER_PUBLISH, checked before anything is installed, rendered or built.

Needs nothing but Python, so that ``make`` can run it before the packages are there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fer_lib.config import Settings, make_settings
from fer_lib.errors import FerError


def settings_from_environment() -> Settings:
    """Return the settings that the environment variables ask for; an empty one counts as not set.

    Returns
    -------
    Settings
        Its ``faces`` are an absolute path, or empty.

    Raises
    ------
    FerError
        If the preset is unknown, or nothing lies where the faces should be.
    """
    preset, faces, publish = (os.environ.get(f"FER_{name}", "") for name in ("PRESET", "FACES", "PUBLISH"))
    settings = make_settings(preset or "book", faces=faces, publish=publish)
    if settings.faces and not os.access(settings.faces, os.R_OK):
        why = "no permission to read it" if Path(settings.faces).exists() else "no such folder or file"
        raise FerError(
            f"faces {settings.faces}: {why}; give a CK+ folder or a table of user-supplied faces, or leave FACES out"
        )
    return settings


if __name__ == "__main__":
    try:
        settings_from_environment()
    except FerError as error:
        sys.exit(f"fer: {error}")
