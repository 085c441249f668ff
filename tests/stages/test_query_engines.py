"""``query`` on servers, on files of other engines and on a folder of pictures, and the records that come of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.pictures import png_bytes
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.doctor import doctor
from agir_cvtoolkit.stages.infer_seg import infer_seg
from agir_cvtoolkit.stages.query import QueryResult, query
from tests.sources.engines import make_table

COLUMNS = "cutout_id TEXT, image_id TEXT, image_path TEXT, bbox_xywh TEXT, state TEXT"
ROWS: list[tuple[object, ...]] = [
    (f"p{n}_0", f"p{n}", f"i/p{n}.png", box, ("NC", "MD")[n % 2])
    for n, box in enumerate(
        ("[1, 2, 30, 4]", "[NaN, 0, 5, 5]", "[0, 0, 1e9, 1e9]", "[]", None, "[5, 5, 0, 0]")
    )
]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for n in range(5):  # the last one vanished
        path = tmp_path / "store" / "i" / f"p{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(np.random.default_rng(n).integers(0, 255, (40, 60, 3), np.uint8)))
    return tmp_path / "store"


def call_for(address: str, pictures: Path) -> Call:
    names = ("project.name=one", f"io.semif_storage_dir={pictures}")
    return Call(overrides=(f"db.semif.db_path='{address}'", *names))


@pytest.mark.parametrize("kind", ["postgresql", "duckdb", "parquet", "csv"])
def test_a_run_begins_on_every_engine(
    kind: str, tmp_path: Path, pictures: Path, request: pytest.FixtureRequest
) -> None:
    new_schema = request.getfixturevalue("new_schema") if kind == "postgresql" else str
    address = make_table(kind, tmp_path, new_schema, COLUMNS, ROWS).replace("//me@", "//me:hunter2@")
    call = call_for(address, pictures)
    first = query(filters=["state=NC"], call=call)
    assert (first.count, first.unchanged) == (3, False)
    again = query(filters=["state=NC"], call=call)
    assert (again.count, again.unchanged, again.run_id) == (3, True, first.run_id)
    assert query(call=call).count == 6
    assert not [path for path in _files(tmp_path / "outputs") if b"hunter2" in path.read_bytes()]
    database = next(check for check in doctor(call).checks if check.name == "database semif")
    assert (database.state, "table semif with 5 columns" in database.text) == ("ok", True)
    assert "hunter2" not in database.text


def test_absurd_boxes_and_vanished_pictures_are_listed_and_the_rest_is_predicted(
    tmp_path: Path, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call = call_for(make_table("parquet", tmp_path, str, COLUMNS, ROWS), pictures)
    query(call=call)
    result = infer_seg(call)
    assert (result.total, result.predicted) == (6, 5)
    (item,) = result.items
    assert item.record_id == "p5"
    assert "p5.png does not exist" in item.reason
    for name, said in (
        ("p1_0", "not four numbers"),
        ("p2_0", "not four numbers"),
        ("p3_0", "not four"),
        ("p5_0", "empty"),
    ):
        assert f"{name}: its box" in caplog.text
        assert said in caplog.text


def test_a_folder_of_pictures_needs_no_database(pictures: Path) -> None:
    call = call_for(str(pictures), pictures)
    result: QueryResult = query(filters=["file_name like 'p%'"], sample="seeded:n=3,seed=1", call=call)
    assert (
        result.count,
        query(filters=["file_name like 'p%'"], sample="seeded:n=3,seed=1", call=call).unchanged,
    ) == (
        3,
        True,
    )
    assert infer_seg(call).predicted == 3


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
