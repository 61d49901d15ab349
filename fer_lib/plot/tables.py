"""The paper's tables: real tables whose cells hold pictures, numbered and captioned by the book."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from IPython.display import Markdown

from fer_lib import facs
from fer_lib.errors import Lacking
from fer_lib.plot.pictures import Gallery, data_uri, enlarge, strip
from fer_lib.render.atlas import Atlas


def _image(picture: np.ndarray, alt: str, *, lossless: bool = False) -> str:
    return f"![{alt}]({data_uri(picture, lossless=lossless)})"


class Table(Markdown):
    """A table in two forms: MyST, which the book numbers, and HTML, which Jupyter shows."""

    def __init__(self, myst: str, page: str):
        super().__init__(myst)
        self._page = page

    def _repr_html_(self) -> str:
        return self._page


def _inline(cell: str) -> str:
    """Turn the little of MyST that stands in cells into HTML: pictures and bold words."""
    text = html.escape(cell, quote=False)
    text = re.sub(r"!\[([^\]]*)\]\(([^)]*)\)", r'<img alt="\1" src="\2">', text)
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)


def _html(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{_inline(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    top = f"<caption>{_inline(caption)}</caption><thead>{line('th', head)}</thead>"
    return f"<table>{top}<tbody>{body}</tbody></table>"


def list_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, name: str, caption: str, widths: Sequence[int]
) -> Table:
    """Build a numbered MyST table.

    Parameters
    ----------
    head : sequence of str
        Column titles.
    rows : iterable of sequences of str
        Cells, MyST inline text.
    name, caption : str
        Label for references, and what stands above the table.
    widths : sequence of int
        Relative widths of the columns.
    """
    rows = list(rows)
    lines = [
        f"```{{list-table}} {caption}",
        ":header-rows: 1",
        f":name: {name}",
        f":widths: {' '.join(map(str, widths))}",
        "",
    ]
    for row in [head, *rows]:
        lines += [f"{'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)]
    return Table("\n".join([*lines, "```"]), _html(head, rows, caption))


def _grid(tiles: np.ndarray) -> np.ndarray:
    """Join a map's tiles to a square, strongest first by rows, large enough for a page and legible on a phone."""
    return enlarge(strip(tiles, columns=math.ceil(math.sqrt(len(tiles)))), 3)


def _units(au: int) -> str:
    return f"{au} ({facs.AUS[au].name})"


def _beside(gallery: Gallery, c: int) -> list[str]:
    """Two cells: a map's squares and its projections."""
    return [
        # Enlarged pixels have edges, which the lossy code would blur.
        _image(_grid(gallery.originals[c]), f"The strongest squares of map {c}", lossless=True),
        _image(
            _grid(gallery.projections[c]), f"Projections of the strongest units of map {c}", lossless=True
        ),
    ]


def au_table(
    aus: Sequence[int], matched: pd.Series, gallery: Gallery, atlas: Atlas, *, name: str, caption: str
) -> Table:
    """Tables 1, 4 and 5: action units beside the map that was matched to each, with its originals and projections.

    Parameters
    ----------
    aus : sequence of int
        Action units to show.
    matched : Series
        Map of each action unit (index); -1 where no single map has the largest distance. One that is missing is said to be too
        rare.
    gallery : Gallery
        The maps' squares and projections; a face that may not be published is blank there.
    atlas : Atlas
        Rendered faces with one unit each.
    name, caption : str
        Label for references, and what stands above the table.
    """
    rows = []
    for au in aus:
        picture = (
            _image(atlas.picture(au), f"Rendered face with AU {au} at intensity E")
            if au in atlas.aus
            else "—"
        )
        row = [_units(au), picture]
        if au not in matched.index:
            row += ["—", "too few pictures with and without it", "—"]
        elif matched[au] < 0:
            row += ["—", "no single map has the largest distance", "—"]
        else:
            row += [str(int(matched[au])), *_beside(gallery, int(matched[au]))]
        rows.append(row)
    head = ["AU", "the unit alone", "map", "originals", "deconvolution"]
    return list_table(head, rows, name=name, caption=caption, widths=(16, 20, 8, 28, 28))


def map_table(maps: Sequence[int], gallery: Gallery, *, name: str, caption: str) -> Table:
    """Table 2: maps with their originals and projections; `Lacking` without any map."""
    if not len(maps):
        raise Lacking("no map meets the rule")
    rows = [[str(c), *_beside(gallery, c)] for c in maps]
    return list_table(
        ["map", "originals", "deconvolution"], rows, name=name, caption=caption, widths=(12, 44, 44)
    )


def au_picture_table(aus: Sequence[int], atlas: Atlas, *, name: str, caption: str) -> Table:
    """Table 3: action units and what they do to the rendered face."""
    rows = [
        [
            _units(au),
            _image(atlas.picture(au, 0), "Neutral rendered face"),
            _image(atlas.picture(au), f"The same face with AU {au} at intensity E"),
        ]
        for au in aus
    ]
    return list_table(
        ["unit", "neutral", "with the unit"], rows, name=name, caption=caption, widths=(40, 30, 30)
    )


def tinted(picture: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Lay a region, (h, w) from 0 to 1, over a grey picture in orange: (h, w, 3) uint8."""
    colour = np.array([230.0, 120.0, 20.0])
    weight = 0.6 * np.clip(region, 0, 1)[..., None]
    return np.rint(picture[..., None] * (1 - weight) + colour * weight).astype(np.uint8)


def atlas_table(atlas: Atlas) -> Table:
    """All action units of the atlas: muscle, the face without and with the unit, and its region."""
    rows = []
    for au in map(int, atlas.aus):
        unit = facs.AUS[au]
        region = atlas.regions[list(atlas.aus).index(au)]
        rows.append(
            [
                f"**{au}** {unit.name}",
                unit.muscle,
                _image(atlas.picture(au), f"Rendered face with AU {au}"),
                _image(
                    tinted(atlas.picture(au), region * (region > 0.25)),
                    f"Region of the face that AU {au} moves",
                ),
            ]
        )
    head = ["unit", "muscle", "at intensity E", "region"]
    caption = "Action units of the rendered faces."
    return list_table(head, rows, name="tab-atlas", caption=caption, widths=(25, 35, 20, 20))


def atlas_pictures(atlas: Atlas) -> tuple[list[np.ndarray], list[str]]:
    """Pictures and captions of every unit at every intensity, for the slider."""
    letters = ["absent", "A", "B", "C", "D", "E"]
    pictures, captions = [], []
    for au in map(int, atlas.aus):
        for level in atlas.levels:
            pictures.append(atlas.picture(au, level))
            captions.append(f"AU {au} {facs.AUS[au].name}: {letters[round(level)]}")
    return pictures, captions


def map_pictures(gallery: Gallery) -> tuple[list[np.ndarray], list[str]]:
    """Originals beside projections of every map, and captions, for the slider."""
    pictures, captions = [], []
    for c, dead in enumerate(gallery.dead):
        left, right = (strip(one[c], columns=3) for one in (gallery.originals, gallery.projections))
        pictures.append(np.hstack([left, np.full((len(left), 6), 255, np.uint8), right]))
        captions.append(f"map {c}: {'never active' if dead else f'strongest {gallery.strength[c]:.2f}'}")
    return pictures, captions


def two_digits(value: float, *, p: bool = False) -> str:
    """Write a share or, with `p`, a probability of chance with two digits; an unknown one as a dash."""
    if not math.isfinite(value):
        return "—"
    return "<\N{NO-BREAK SPACE}0.01" if p and value < 0.01 else f"{value:.2f}"


def with_interval(value: float, low: float, high: float) -> str:
    """Write a value with its interval, as in "0.71 [0.60, 0.80]"; an unknown one as a dash."""
    if not math.isfinite(value):
        return "—"
    return f"{two_digits(value)} [{two_digits(low)}, {two_digits(high)}]"


def matches_table(matches: pd.DataFrame, way: str) -> str:
    """Markdown of the maps that one way chose, ``"d"`` or ``"auc"``, and how they do on the test pictures."""
    p = f"p_{way}"
    shown = pd.DataFrame({"AU": matches["au"]})
    shown["map"] = [f"{m:.0f}" if math.isfinite(m) else "—" for m in matches[f"map_{way}"]]
    shown["AUC"] = matches[f"auc_{way}"].map(two_digits)
    shown["p of this map"] = [two_digits(value, p=True) for value in matches[p]]
    if way == "d":
        shown["AUPRC"] = matches["precision_d"].map(two_digits)
        sequences = matches["with_au"] + matches["without"]
        shown["AUPRC by chance"] = (matches["with_au"] / sequences).map(two_digits)
        shown["hits"] = matches["hits_d"].map(two_digits)
        shown["false alarms"] = matches["alarms_d"].map(two_digits)
    shown["AUC, untrained"] = matches[f"auc_untrained_{way}"].map(two_digits)
    if way == "d":
        shown["AUC, expression only"] = matches["auc_expression"].map(two_digits)
        return _markdown(shown.assign(**{"with": matches["with_au"], "without": matches["without"]}))
    for column, name in {"p": "p of the best map", "p_within": "p within"}.items():
        shown[name] = [two_digits(value, p=True) for value in matches[column]]
    return _markdown(shown)


def bootstrap_table(maps: pd.DataFrame) -> str:
    """Markdown of the maps that D and AUC choose on other draws of people (`fer_lib.study.detectors.Detectors.bootstrap_maps`)."""
    shown = pd.DataFrame({"AU": maps["au"].unique()})
    for way, rows in maps.groupby("chosen_by", sort=False):
        shown[f"map by {way}"] = [
            f"{map} ({share:.0%})".replace("%", " %") if map >= 0 else "—"
            for map, share in zip(rows["map"], rows["share"], strict=True)
        ]
        shown[f"maps in its set, {way}"] = rows["size"].to_numpy()
        for name, suffix in {"map chosen anew": "", "map kept": "_fixed"}.items():
            columns = ["auc", f"auc_low{suffix}", f"auc_high{suffix}"]
            shown[f"AUC by {way}, {name}"] = [
                with_interval(*found) for found in rows[columns].itertuples(index=False)
            ]
    return _markdown(shown)


def checks_table(checks: pd.DataFrame) -> str:
    """Markdown of the share of maps whose measure notices spoilt labels (`fer_lib.study.detectors.Detectors.label_checks`)."""
    shown = pd.DataFrame({"measure": checks["measure"].unique()})
    for (responses, check), rows in checks.groupby(["responses", "check"], sort=False):
        by = rows.set_index("measure").loc[shown["measure"]]
        shown[f"{responses}: {check}"] = [
            f"{'**' * passes}{100 * falls:.0f} %{'**' * passes} [{100 * low:.0f}, {100 * high:.0f}]"
            if math.isfinite(falls)
            else "—"
            for falls, low, high, passes in by[["falls", "low", "high", "passes"]].itertuples(index=False)
        ]
    return _markdown(shown)


def built_in_table(found: pd.DataFrame) -> str:
    """Markdown of the rank that each measure gives to a detector that was built in (`fer_lib.study.detectors.Detectors.built_in`)."""
    rows = []
    for where in found["where"].unique():
        for au, of in found[found["where"] == where].groupby("au", sort=False):
            row = {"looked for on": where, "AU": str(au), "its AUC": two_digits(float(of["auc"].iloc[0]))}
            for measure, rank, share in zip(of["measure"], of["rank"], of["share"], strict=True):
                first = "**" if rank == 1 else ""
                known = math.isfinite(rank)
                row[measure] = f"{first}{rank:g}{first} ({100 * share:.0f} %)" if known else "—"
            rows.append(row)
    return _markdown(pd.DataFrame(rows))


def doses_table(tests: pd.DataFrame, untrained: pd.DataFrame, first: pd.DataFrame, matched: pd.Series) -> str:
    """Markdown of what answers to growing action units.

    Parameters
    ----------
    tests, untrained
        From `fer_lib.measures.dose_response.dose_tests`, of the network and of it before training.
    first
        From `fer_lib.measures.dose_response.answers_first`.
    matched
        The map that D matched to each AU (index); -1 for none.
    """
    answering = untrained["answering"].to_dict()
    answers = {
        int(map): f"AU {au} ({100 * share:.0f} %)"
        for map, au, share in zip(first.index, first["au"], first["share"], strict=True)
    }
    rows = []
    for test in tests.reset_index(names="au").to_dict("records"):
        own = int(matched.get(test["au"], -1))
        rows.append(
            {
                "AU": str(test["au"]),
                "map that answers most": f"{test['map']:.0f}" if test["map"] >= 0 else "—",
                "slope": with_interval(test["slope"], test["slope_low"], test["slope_high"]),
                "p": two_digits(test["p"], p=True),
                "p for all units": two_digits(test["p_joint"], p=True),
                "maps that answer": f"{test['answering']:.0f}",
                "untrained": f"{answering[test['au']]:.0f}",
                "map by $D$": str(own) if own >= 0 else "—",
                "answers first to": answers.get(own, "—"),
            }
        )
    return _markdown(pd.DataFrame(rows))


def detection_table(detection: pd.DataFrame) -> str:
    """Markdown of the traditional route's detectors (`fer_lib.traditional.Traditional.detection`)."""
    shown = pd.DataFrame({"AU": detection["au"]})
    shown["name"] = [facs.AUS[int(au)].name for au in detection["au"]]
    shown["test pictures with it"] = detection["positives"]
    for column, name in {"auc": "AUC", "average_precision": "average precision"}.items():
        shown[name] = detection[column].map(two_digits)
    return _markdown(shown)


def dissection_table(dissected: pd.DataFrame) -> str:
    """Markdown of a dissection: a row for each choice of maps, columns `iou`, `above`, `silent`, `hits` and `chance`."""
    head = {
        "iou": "mean IoU",
        "above": "IoU above 0.04",
        "silent": "silent",
        "hits": "maximum in the region",
        "chance": "place at random",
    }
    shown = pd.DataFrame({"map": dissected.index})
    for column, title in head.items():
        form = "{:.3f}" if column == "iou" else "{:.1%}"
        shown[title] = [
            form.format(v).replace("%", " %") if math.isfinite(v) else "—" for v in dissected[column]
        ]
    return _markdown(shown)


def _markdown(table: pd.DataFrame) -> str:
    text: str = table.to_markdown(index=False, disable_numparse=True)
    return text
