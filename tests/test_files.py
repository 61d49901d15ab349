import errno
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_lib.artifacts.files import aside, plain_refusals, save_array, write_aside
from fer_lib.errors import FerError
from fer_lib.faces.crops import Crops
from fer_lib.network import model
from fer_lib.probe.projections import Projections
from fer_lib.probe.responses import Responses, Units
from fer_lib.published import COLUMNS, Published

resource = pytest.importorskip("resource")


def test_a_file_has_its_old_or_its_new_content(tmp_path):
    file = tmp_path / "a.json"
    write_aside(file, b"old")
    with pytest.raises(KeyboardInterrupt), aside(file) as stream:
        stream.write(b"ne")
        stream.flush()
        raise KeyboardInterrupt
    assert file.read_bytes() == b"old" and list(tmp_path.iterdir()) == [file]
    write_aside(file, b"new")
    assert file.read_bytes() == b"new" and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(9)[::2],
        np.empty((0, 4), np.float32),
        np.float64(3),
    ],
)
def test_arrays_are_written_as_numpy_writes_them(tmp_path, array):
    expected = io.BytesIO()
    np.save(expected, array)
    save_array(tmp_path / "a.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == expected.getvalue()


@pytest.fixture
def largest_file():
    """Files can grow to 8,192 bytes: a full disk for whoever may not mount one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    yield 8192
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


MANY = np.arange(40_000, dtype=np.int64)


def published(rows):
    table = pd.DataFrame({name: [name] * rows for name in COLUMNS}).assign(value=0.5)
    return Published(table, {"date": "today", "rows": rows})


WRITERS = {
    "bytes": lambda folder: write_aside(folder / "a.bin", bytes(9000)),
    "array": lambda folder: save_array(folder / "a.npy", MANY),
    "network": lambda folder: model.save(model.ExpressionNet(size=48), folder),
    "responses": lambda folder: Responses(
        *(MANY.reshape(200, 200).astype(k) for k in ("f4", "i2", "i2"))
    ).save(folder),
    "crops": lambda folder: Crops.of([np.zeros((200, 200), np.uint8)]).save(folder),
    "projections": lambda folder: Projections(
        np.zeros((9, 1, 50, 50)), MANY[:9], MANY[:9], MANY[:9] / 2, Units(*[MANY[:9]] * 4), "guided", "relu3"
    ).save(folder),
    "table": lambda folder: pd.DataFrame({"a": MANY}).to_parquet(folder / "a.parquet"),
    "published": lambda folder: published(900).save(folder / "seeds.csv"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_writers_say_that_there_is_no_room(tmp_path, largest_file, write):
    with (
        pytest.raises(FerError, match=r"no room left for .* in .*") as said,
        plain_refusals(tmp_path, "results", "make room"),
    ):
        write(tmp_path)
    assert str(tmp_path) in str(said.value) and "\n" not in str(said.value)
    left = [
        path.name for path in tmp_path.iterdir() if path.suffix in {".json", ".npy", ".safetensors", ".new"}
    ]
    assert not left


REFUSALS = {
    "full": (OSError(errno.ENOSPC, "no space"), "no room left for things"),
    "quota": (OSError(errno.EDQUOT, "quota"), "no room left for things"),
    "too large": (OSError(errno.EFBIG, "large"), "no room left for things"),
    "read-only, unnamed": (OSError(errno.EROFS, "read-only"), "cannot write things"),
    "broken, unnamed": (OSError(errno.EIO, "broken"), "cannot write things"),
    "not allowed": (PermissionError(errno.EACCES, "no", "/data/out/a.png"), "cannot write things"),
    "not allowed above": (PermissionError(errno.EACCES, "no", b"/data"), "cannot write things"),
    "renamed": (OSError(errno.EBUSY, "busy", "/x", None, "/data/out/y"), "cannot write things"),
    "name too long": (OSError(errno.ENAMETOOLONG, "long", "/data/out/" + "n" * 300), "cannot write things"),
    "named in the text alone": (OSError(errno.EACCES, "cannot open '/data/out/a'"), "cannot write things"),
}


@pytest.mark.parametrize(("error", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_become_one_line_with_place_and_remedy(error, message):
    expected = rf"^{message} in /data/out \(.*\); free it$"
    with pytest.raises(FerError, match=expected), plain_refusals(Path("/data/out"), "things", "free it"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "no such file", "/faces/a.png"),
        OSError(errno.EIO, "broken", "/faces/a.png"),
        OSError("no number"),
        OSError(errno.EACCES, "no", 3),
    ],
)
def test_what_concerns_another_place_passes(error):
    with pytest.raises(OSError) as said, plain_refusals(Path("/data/out"), "things", "free it"):
        raise error
    assert said.value is error


def test_a_published_table_that_cannot_be_written_leaves_the_earlier_one(tmp_path, largest_file):
    published(1).save(tmp_path / "seeds.csv")
    before = (tmp_path / "seeds.csv").read_bytes()
    with pytest.raises(FerError, match=r"seeds\.csv .*the sweep keeps them"):
        published(900).save(tmp_path / "seeds.csv")
    assert (tmp_path / "seeds.csv").read_bytes() == before
    assert json.loads((tmp_path / "seeds.json").read_text())["rows"] == 1
    with pytest.raises(FerError, match="cannot write numbers of a sweep"):
        published(1).save(tmp_path / "seeds.csv" / "below.csv")
