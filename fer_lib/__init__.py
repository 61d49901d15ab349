"""Facial expression recognition, taken apart: the library under an executable paper.

Data flow one way: faces on disk, frames, crops, network, responses, projections, distances, figures.
"""

__version__ = "0.1.0"
