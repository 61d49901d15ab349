"""The atlas: one person, one unit at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_lib.errors import FerError
from fer_lib.faces.cropping import crop
from fer_lib.faces.preprocess import Evaluate
from fer_lib.render.atlas import PERSON, Atlas, render_atlas
from fer_lib.render.output import crop_mask, landmark_box
from fer_lib.render.person import Person
from fer_lib.render.scene import Shot, render


@pytest.fixture(scope="module")
def small() -> Atlas:
    return render_atlas((1, 27), levels=(0.0, 5.0), size=96, side=48, progress=False)


def test_only_the_unit_moves(small: Atlas) -> None:
    assert small.pictures.shape == (2, 2, 48, 48) and small.pictures.dtype == np.uint8
    assert np.array_equal(small.picture(1, 0), small.picture(27, 0)), "the neutral face is shared"
    brows, mouth = small.regions > 0.25
    rows = np.arange(48)
    centre = [float((region.sum(1) * rows).sum() / region.sum()) for region in (brows, mouth)]
    assert centre[0] < 20 < 28 < centre[1], "brows lie above, the mouth below"
    changed = np.abs(small.picture(1).astype(float) - small.picture(1, 0))
    assert changed[brows].mean() > 3 * changed[40:].mean()


def test_processes_and_the_disk_change_nothing(small: Atlas, tmp_path: Path) -> None:
    again = render_atlas((1, 27), levels=(0.0, 5.0), size=96, side=48, processes=2, progress=False)
    again.save(tmp_path)
    loaded = Atlas.load(tmp_path)
    for name in ("aus", "levels", "pictures", "regions", "masks"):
        assert np.array_equal(getattr(loaded, name), getattr(small, name))


def test_regions_lie_in_the_networks_input(small: Atlas) -> None:
    person, shot = Person(PERSON), replace(Shot.draw(np.random.default_rng(PERSON)), pose=(0.0, 0.0, 0.0))
    for au in (1, 27):
        frame = render(person, {au: 1.0}, shot, size=96)
        assert np.array_equal(
            small.region(au, resize=96, crop=96), crop_mask(frame.region(au), frame.landmarks) > 0.25 * 255
        )
        # The same way as a picture goes: face crop, 99x99, the central 96x96.
        moved = np.where(frame.region(au) > 0.25, 255, 0).astype(np.uint8)
        seen = Evaluate()(crop(moved, landmark_box(frame.landmarks)))[0].numpy() > 0
        region = small.region(au)
        assert region.shape == (96, 96)
        assert (region & seen).sum() / (region | seen).sum() > 0.85


def test_unknown_unit_is_named(small: Atlas) -> None:
    with pytest.raises(FerError, match="AU 12 is not in the atlas; it has 1, 27"):
        small.region(12)
