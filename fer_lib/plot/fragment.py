"""Elements of a page that bring their own style, data and script: they work in a book, a notebook and a saved file alike."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fragment(kind: str, body: str, data: dict[str, Any], *, name: str, attributes: str = "") -> str:
    """Return one element of a page with its style, data and script; its name is for readers who cannot see it."""
    written = json_data(data)
    return Template(asset("fragment.html")).substitute(
        kind=kind,
        attributes=attributes,
        name=escape(name),
        style=asset(f"{kind}.css"),
        body=body,
        data=written,
        script=asset(f"{kind}.js"),
    )


def json_data(data: dict[str, Any]) -> str:
    """Write data for a script element: "<" never stands in it, so that nothing in it can end the element."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def asset(name: str) -> str:
    """Return a file beside this module: a template, a style or a script."""
    return resources.files("fer_lib.plot").joinpath(name).read_text(encoding="utf-8").strip()


def json_numbers(values: NDArray[Any], digits: int) -> list[Any]:
    """Nested lists of rounded numbers, None for what JSON cannot hold."""
    rounded = np.round(values.astype(float), digits).astype(object)
    rounded[~np.isfinite(values.astype(float))] = None
    listed: list[Any] = rounded.tolist()
    return listed
