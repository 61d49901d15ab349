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
from fer_lib.plot.text import markdown_table
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


def units_off_and_on(aus: Sequence[int], atlas: Atlas) -> Markdown:
    """Action units of the atlas with their muscles: the face at rest, with the unit, and the region that it moves.

    The table has no number: the book's tables have those of the paper.
    """
    rows = []
    for au in aus:
        unit = facs.AUS[au]
        rows.append(
            [
                f"**{au}** {unit.name} ({unit.muscle})",
                _image(atlas.picture(au, 0), "Neutral rendered face"),
                _image(atlas.picture(au), f"The same face with AU {au}, {unit.name.lower()}, at intensity E"),
                _region(atlas, au),
            ]
        )
    return Markdown(markdown_table(rows, ["action unit (muscle)", "off", "on", "region"]))


def _region(atlas: Atlas, au: int) -> str:
    """A cell: the face with an action unit, and in colour where it moves by more than a quarter of its largest displacement."""
    region = atlas.regions[list(atlas.aus).index(au)]
    return _image(
        tinted(atlas.picture(au), region * (region > 0.25)), f"Region of the face that AU {au} moves"
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
        rows.append(
            [
                f"**{au}** {unit.name}",
                unit.muscle,
                _image(atlas.picture(au), f"Rendered face with AU {au}"),
                _region(atlas, au),
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
