"""Facial expression recognition, taken apart: the library under an executable paper.

Data flow one way: faces on disk (`render`, `faces`), network (`network`), responses and projections (`maps`), distances and
nulls (`evidence`), one study of all of it (`experiment`), figures and tables (`views`), the book (`book`).
"""

__version__ = "0.1.0"
