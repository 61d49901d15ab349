"""Keys of results: a digest of everything that shapes one."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fer_lib.artifacts.sources import library_versions, source_digests
from fer_lib.errors import FerError


def result_key(
    step: str, settings: Mapping[str, Any], upstream: Sequence[str], sources: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return the key of a result, 64 hexadecimal digits, and what the key was made from; arguments as of `Store.fetch`."""
    if not step or step.startswith(".") or not all(c.isalnum() or c in "-_." for c in step):
        raise FerError(f"step name {step!r} is not a plain folder name; use letters, digits, '-' and '_'")
    described = {
        "step": step,
        "settings": _plain(settings, "settings"),
        "upstream": list(upstream),
        "sources": source_digests(sources),
        "libraries": library_versions(sources),
    }
    canonical = json.dumps(
        described, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest(), described


def _plain(value: Any, where: str) -> Any:
    """Copy a value of JSON's types; anything whose text could differ between runs is refused."""
    if value is None or isinstance(value, bool | str) or type(value) in (int, float):
        if isinstance(value, float) and value != value:
            raise FerError(f"{where} is not a number (NaN); give None or a finite value")
        return value
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise FerError(
                    f"{where} has the key {name!r} of type {type(name).__name__}; keys must be text"
                )
        return {name: _plain(entry, f"{where}.{name}") for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{where}[{place}]") for place, entry in enumerate(value)]
    raise FerError(
        f"{where} is a {type(value).__name__}, which has no stable text; "
        "give str, int, float, bool, None, list or dict"
    )
