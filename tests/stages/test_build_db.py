from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.sources import records_of
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.build_db import build_db
from agir_cvtoolkit.stages.query import query


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    for name, width in (
        ("images/a.png", 20),
        ("images/b ü.png", 30),
        ("images/extra.png", 40),
        ("masks/a.png", 20),
    ):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        save_png(np.zeros((10, width, 3), np.uint8), pictures / name)
    return pictures


def _csv(folder: Path, text: str) -> Path:
    path = folder.parent / "records.csv"
    path.write_text(text, encoding="utf-8")
    return path


def _rows(path: Path, table: str = "semif") -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY 1')]


def test_rows_get_paths_that_resolve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv = _csv(
        folder,
        "cutout_id,image_id,image_path,image_file,mask_file,bbox_xywh,fullres_width,fullres_height,code,area\n"
        'a_0,a,store/x/a.jpg,images/a.png,masks/a.png,"[10, 10, 50, 40]",200,100,007,1.5\n'
        "b_0,,store/x/b.jpg,images/b ü.png,masks/b.png,,,,8,2\n"
        "c_0,c,store/x/c.jpg,images/c.png,,,,,9,\n",
    )
    path = folder.parent / "semif.db"
    result = build_db(folder, csv, path)
    first, second, third = _rows(path)
    assert (first["image_path"], first["source_image_path"]) == ("images/a.png", "store/x/a.jpg")
    assert (first["fullres_width"], first["fullres_height"], first["mask_path"]) == (200, 100, "masks/a.png")
    assert (first["code"], first["area"]) == ("007", 1.5)
    assert (second["image_id"], second["fullres_width"], second["fullres_height"]) == ("b ü", 30, 10)
    assert (second["mask_path"], second["bbox_xywh"]) == (None, None)
    assert third["image_path"] == "store/x/c.jpg"
    assert dict(result.columns)["code"] == "TEXT"
    assert [(item.record_id, item.outcome) for item in result.missing] == [("c_0", "skipped")]
    assert result.without_row == ("images/extra.png",)
    assert (result.rows, result.pictures) == (3, 2)

    monkeypatch.chdir(folder.parent)
    call = Call(overrides=("db.semif.db_path=semif.db",))
    found = query(filters=["code=007"], call=call)
    assert found.path is not None
    (record,) = records_of(found.path.parent, "semif", "full_image", call.settings())
    assert record.image_path == folder / "images/a.png"
    assert record.reference_size == (200, 100)
    assert record.boxes[0].scaled((200, 100), (20, 10)).x == 1.0


def test_without_csv_every_picture_is_a_row(folder: Path) -> None:
    path = folder.parent / "semif.db"
    result = build_db(folder, None, path)
    rows = _rows(path)
    assert [(row["cutout_id"], row["image_id"], row["image_path"]) for row in rows] == [
        ("a_0", "a", "images/a.png"),
        ("b ü_0", "b ü", "images/b ü.png"),
        ("extra_0", "extra", "images/extra.png"),
    ]
    assert rows[0]["state"] is None
    assert (rows[1]["fullres_width"], rows[1]["fullres_height"]) == (30, 10)
    assert (result.missing, result.without_row) == ((), ())


def test_pictures_of_one_name_keep_apart(tmp_path: Path) -> None:
    for name in ("one/x.png", "two/x.png"):
        (tmp_path / "p" / name).parent.mkdir(parents=True)
        save_png(np.zeros((4, 4, 3), np.uint8), tmp_path / "p" / name)
    build_db(tmp_path / "p", None, tmp_path / "s.db")
    assert [row["image_id"] for row in _rows(tmp_path / "s.db")] == ["one/x", "two/x"]


def test_a_field_table(folder: Path) -> None:
    csv = _csv(folder, "ID;developed_image_path;common_name\n4;images/a.png;rye\n;images/extra.png;oat\n")
    path = folder.parent / "field.db"
    build_db(folder, csv, path, "field_data")
    assert [(row["id"], row["image_id"], row["common_name"]) for row in _rows(path, "field_data")] == [
        (2, "extra", "oat"),
        (4, "a", "rye"),
    ]


def test_a_broken_picture_is_listed(folder: Path) -> None:
    (folder / "images/a.png").write_bytes(b"no picture")
    result = build_db(folder, None, folder.parent / "semif.db")
    assert [(item.record_id, item.outcome) for item in result.missing] == [("a", "failed")]
    assert "not a picture" in result.missing[0].reason


def test_what_is_replaced_and_what_is_not(folder: Path) -> None:
    path = folder.parent / "semif.db"
    build_db(folder, None, path)
    assert build_db(folder, None, path).rows == 3
    with closing(sqlite3.connect(folder.parent / "real.db")) as connection, connection:
        connection.execute("CREATE TABLE semif (cutout_id TEXT)")
    (folder.parent / "notes.txt").write_text("notes")
    for name in ("real.db", "notes.txt"):
        before = (folder.parent / name).read_bytes()
        with pytest.raises(UsageError, match="--force"):
            build_db(folder, None, folder.parent / name)
        assert (folder.parent / name).read_bytes() == before
    assert build_db(folder, None, folder.parent / "real.db", force=True).rows == 3
    with pytest.raises(UsageError, match="is a folder"):
        build_db(folder, None, folder, force=True)


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    path = folder.parent / "semif.db"
    result = build_db(folder, None, path, call=Call(dry_run=True))
    assert (result.rows, result.dry_run, path.exists()) == (3, True, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("cutout_id,image_id\na,b,c\n", "line 2 has 3 fields, the header 2"),
        ("a,A\n1,2\n", "stands twice"),
        ("a,\n1,2\n", "column 2"),
        ('a,b\n"1,2\n', "line 2"),
        ("cutout_id,image_id\nx,a\nx,a\n", "not unique: x"),
    ],
)
def test_bad_csv(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build_db(folder, _csv(folder, text), folder.parent / "semif.db")
    assert not (folder.parent / "semif.db").exists()


def test_missing_things(folder: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        build_db(folder / "nothing", None, folder.parent / "semif.db")
    with pytest.raises(DataError, match="cannot be read"):
        build_db(folder, folder / "gone.csv", folder.parent / "semif.db")
    (folder.parent / "latin.csv").write_bytes(b"a\n\xfc\n")
    with pytest.raises(DataError, match="not UTF-8"):
        build_db(folder, folder.parent / "latin.csv", folder.parent / "semif.db")
    (folder.parent / "void").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        build_db(folder.parent / "void", None, folder.parent / "semif.db")
