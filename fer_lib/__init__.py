"""Facial expression recognition, taken apart: the library under an executable paper.

Arrays go in and results come out::

    import fer_lib as fer

    probe = fer.Probe(model, layer="features.9")  # any network
    responses = probe.record(images)
    responses.exemplars(n=9).project(rule="guided").show(map=113)
    responses.detectors(labels, groups=people)

The names of `__all__` are loaded when they are first used. Below them data flow one way: faces on disk (`render`, `faces`), network
(`network`), responses and projections (`probe`), distances and nulls (`measures`), one study of all of it (`config`, `steps`,
`study`), figures and tables (`plot`), the book (`book`).
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # as checkers of types read it, without loading typing
if TYPE_CHECKING:
    from fer_lib.config import make_settings
    from fer_lib.faces.reader import read as read_faces
    from fer_lib.measures.detectors import select_and_test
    from fer_lib.measures.distance import distances
    from fer_lib.measures.held_out import held_out_detectors
    from fer_lib.measures.nulls import permutation_null
    from fer_lib.network.model import ExpressionNet
    from fer_lib.network.training import train
    from fer_lib.probe.projections import Projections
    from fer_lib.probe.responses import Exemplars, Responses
    from fer_lib.probing import Probe
    from fer_lib.render.dataset import render_faces
    from fer_lib.study.study import Study

__all__ = [
    "Exemplars",
    "ExpressionNet",
    "Probe",
    "Projections",
    "Responses",
    "Study",
    "distances",
    "held_out_detectors",
    "make_settings",
    "permutation_null",
    "read_faces",
    "render_faces",
    "select_and_test",
    "train",
]

# Where each public name is at home.
_HOMES = {
    "Exemplars": "probe.responses",
    "ExpressionNet": "network.model",
    "Probe": "probing",
    "Projections": "probe.projections",
    "Responses": "probe.responses",
    "Study": "study.study",
    "distances": "measures.distance",
    "held_out_detectors": "measures.held_out",
    "make_settings": "config",
    "permutation_null": "measures.nulls",
    "read_faces": "faces.reader",
    "render_faces": "render.dataset",
    "select_and_test": "measures.detectors",
    "train": "network.training",
}


if not TYPE_CHECKING:  # a name that is not there stays an error for checkers

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'fer_lib' has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(f"fer_lib.{_HOMES[name]}"), "read" if name == "read_faces" else name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
