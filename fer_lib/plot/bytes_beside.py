"""Bytes that a page needs only later: in the page itself, or in a script beside it.

A page opened from a folder may load pictures and scripts and nothing else. So bytes that are no picture stand in the page as a ``data:``
address, and where they are too many for that, in a script of their own which keeps them for the page under its own name.
"""

from __future__ import annotations

import base64
import hashlib
import re

DATA_URI = re.compile(
    r"data:application/octet-stream;base64,((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3}={1,2})?)(?=\")"
)
"""Where a page's JSON holds bytes."""


def as_uri(content: bytes) -> str:
    """Return bytes as a ``data:`` address."""
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode()


def script_of(encoded: str) -> tuple[str, str]:
    """Name and text of the script that holds some bytes.

    Parameters
    ----------
    encoded : str
        The bytes in base64.
    """
    name = hashlib.sha256(encoded.encode()).hexdigest()[:24] + ".js"
    return name, f'(window.ferBytes = window.ferBytes || {{}})["{name}"] = "{encoded}";\n'
