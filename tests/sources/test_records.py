from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.config import load_settings
from agir_cvtoolkit.errors import ConfigError, DataError
from agir_cvtoolkit.records import Box
from agir_cvtoolkit.sources import Columns, Roots, read_records, records_of
from agir_cvtoolkit.sources.values import box_of, class_of, text_of


def _query(folder: Path, rows: list[dict[str, Any]], **database: str) -> Path:
    query = folder / "query"
    query.mkdir(exist_ok=True)
    (query / "query.json").write_text(json.dumps(rows))
    (query / "query_spec.json").write_text(
        json.dumps({"database": database, "execution": {"output_format": "json"}})
    )
    return query


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


ROW: dict[str, Any] = {
    "cutout_id": "a_0",
    "image_id": "a",
    "image_path": "batch/images/a.jpg",
    "ncsu_nfs": "longterm_images",
    "bbox_xywh": "[10, 20, 30, 40]",
    "fullres_width": 1000,
    "fullres_height": 800,
    "category_class_id": 7,
    "category_common_name": "barley",
    "state": "NC",
}


def test_a_cutout_is_one_row(tmp_path: Path) -> None:
    picture = _touch(tmp_path / "store/longterm_images/batch/images/a.jpg")
    query = _query(tmp_path, [ROW, ROW | {"cutout_id": "a_1", "bbox_xywh": "[0,0,5,5]"}])
    first, second = records_of(query, "semif", "cutout", Roots(semif_storage=tmp_path / "store"))
    assert (first.record_id, first.image_path, first.crop) == ("a_0", picture, Box(10, 20, 30, 40))
    assert (first.reference_size, first.class_id, first.common_name) == ((1000, 800), 7, "barley")
    assert first.values["state"] == "NC"
    assert second.crop == Box(0, 0, 5, 5)


@pytest.mark.parametrize("blank", [None, "", "None", "null", "nan", "NaN"])
def test_a_cutout_file_is_used_where_there_is_one(tmp_path: Path, blank: str | None) -> None:
    picture = _touch(tmp_path / "batch/images/a.jpg")
    cropped = _touch(tmp_path / "GROW_DATA/cutouts/a_0.jpg")
    rows = [
        ROW | {"cropout_path": "cutouts/a_0.jpg", "cutout_ncsu_nfs": "GROW_DATA"},
        ROW | {"cutout_id": "a_1", "cropout_path": blank, "cutout_ncsu_nfs": blank},
        ROW | {"cutout_id": "a_2", "cropout_path": "cutouts/gone.jpg", "cutout_ncsu_nfs": "GROW_DATA"},
    ]
    records = records_of(_query(tmp_path, rows), "semif", "cutout", Roots(semif_storage=tmp_path))
    assert [record.image_path for record in records] == [cropped, picture, picture]
    assert [record.crop for record in records] == [None, Box(10, 20, 30, 40), Box(10, 20, 30, 40)]
    assert records[0].reference_size is None


def test_a_cutout_without_box_cannot_be_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _touch(tmp_path / "batch/images/a.jpg")
    query = _query(tmp_path, [ROW | {"bbox_xywh": None}])
    with caplog.at_level(logging.WARNING):
        (record,) = records_of(query, "semif", "cutout", Roots(semif_storage=tmp_path))
    assert record.image_path is None
    assert "a_0 has neither a box nor a cutout file" in caplog.text


def test_a_picture_joins_its_rows(tmp_path: Path) -> None:
    rows = [
        ROW,
        ROW | {"cutout_id": "a_1", "bbox_xywh": "[500, 500, 100, 100]", "category_common_name": "maize"},
        ROW | {"cutout_id": "b_0", "image_id": "b"},
        ROW | {"cutout_id": "a_2", "bbox_xywh": None, "category_class_id": None},
    ]
    a, b = records_of(_query(tmp_path, rows), "semif", "full_image", Roots(semif_storage=tmp_path))
    assert (a.record_id, b.record_id) == ("a", "b")
    assert a.boxes == (Box(10, 20, 30, 40), Box(500, 500, 100, 100))
    assert [values["cutout_id"] for values in a.box_values] == ["a_0", "a_1"]
    assert a.conflicts == {"cutout_id", "bbox_xywh", "category_common_name", "category_class_id"}
    assert a.values["state"] == "NC"
    assert "category_common_name" not in a.values
    assert (a.common_name, a.class_id, a.crop) == (None, 255, None)
    assert (b.common_name, b.class_id, b.conflicts) == ("barley", 7, frozenset())


def test_field_rows_without_boxes_are_kept(tmp_path: Path) -> None:
    picture = _touch(tmp_path / "field/developed/x.jpg")
    row = {
        "id": 5,
        "image_id": "x",
        "developed_image_path": "developed/x.jpg",
        "bbox_xywh": None,
        "common_name": "rye",
        "class_id": "9.0",
    }
    query = _query(tmp_path, [row], type="field")
    (record,) = records_of(query, "semif", "full_image", Roots(field_storage=tmp_path / "field"))
    assert (record.record_id, record.image_path, record.boxes) == ("x", picture, ())
    assert (record.common_name, record.class_id, record.reference_size) == ("rye", 9, None)
    (cutout,) = records_of(query, "field", "cutout", Roots(field_storage=tmp_path / "field"))
    assert cutout.record_id == "5"


def test_where_relative_paths_start(tmp_path: Path) -> None:
    pictures, database = tmp_path / "pictures", tmp_path / "db"
    rows = [ROW | {"image_path": "images/a.jpg", "ncsu_nfs": None}]
    query = _query(tmp_path, rows, db_path=str(database / "semif.db"), pictures_root=str(pictures))

    def found(roots: Roots) -> Path | None:
        return records_of(query, "semif", "full_image", roots)[0].image_path

    storage = tmp_path / "store"
    assert found(Roots(semif_storage=storage)) == storage / "images/a.jpg", "named though it does not exist"
    beside = _touch(database / "images/a.jpg")
    assert found(Roots(semif_storage=storage)) == beside
    recorded = _touch(pictures / "images/a.jpg")
    assert found(Roots()) == recorded
    assert found(Roots(semif_storage=storage)) == recorded
    stored = _touch(storage / "images/a.jpg")
    assert found(Roots(semif_storage=storage)) == stored


def test_a_missing_path_column_falls_back_to_the_id(tmp_path: Path) -> None:
    row = {key: value for key, value in ROW.items() if key not in {"image_path", "ncsu_nfs"}}
    query = _query(tmp_path, [row, row | {"image_id": "../a", "cutout_id": "z"}])
    picture = _touch(tmp_path / "store/images/a.jpg")
    records = records_of(query, "semif", "full_image", Roots(semif_storage=tmp_path / "store"))
    assert [record.image_path for record in records] == [picture, None]


def test_configured_columns(tmp_path: Path) -> None:
    absolute = _touch(tmp_path / "elsewhere/p.png")
    row = {"key": "k1", "photo": "p", "where": str(absolute), "species": "rye", "image_path": "no.jpg"}
    columns = Columns("where", "photo", "key", "species")
    (record,) = records_of(_query(tmp_path, [row]), "semif", "full_image", Roots(columns=columns))
    assert (record.record_id, record.image_path, record.common_name) == ("p", absolute, "rye")
    assert records_of(_query(tmp_path, [row]), "semif", "cutout", Roots(columns=columns))[0].record_id == "k1"


def test_another_schema_is_read_by_its_own_columns(tmp_path: Path) -> None:
    row = {
        "image_id": "a",
        "x": 1,
        "y": 2.5,
        "w": 30,
        "h": 4,
        "W": 100,
        "H": 80,
        "class": 4,
        "disk": "d",
        "p": "a.jpg",
    }
    picture = _touch(tmp_path / "mounted" / "a.jpg")
    columns = Columns(
        path="p", class_id="class", store="disk", width="W", height="H", boxes=("x", "y", "w", "h")
    )
    roots = Roots(columns=columns, stores={"d": str(tmp_path / "mounted")})
    query = _query(tmp_path, [row, row | {"y": None}, row | {"x": None, "y": None, "w": None, "h": None}])
    (record,) = records_of(query, "semif", "full_image", roots)
    assert (record.image_path, record.class_id, record.reference_size) == (picture, 4, (100, 80))
    assert record.boxes == (Box(1, 2.5, 30, 4),)
    named = Roots(columns=Columns(box="rectangle"))
    (record,) = records_of(_query(tmp_path, [ROW | {"rectangle": "[1,1,2,2]"}]), "semif", "full_image", named)
    assert record.boxes == (Box(1, 1, 2, 2),)


@pytest.mark.parametrize("db", ["semif", "field"])
def test_every_setting_reaches_the_records(db: str) -> None:
    names = {
        "class_column": "c",
        "store_column": "s",
        "width_column": "w",
        "height_column": "h",
        "box_column": "b",
    }
    settings = load_settings(
        [
            *(f"data.{db}.{key}={value}" for key, value in names.items()),
            f"data.{db}.box_columns=[x, y, w, h]",
            "io.roots={GROW: 's3://grow'}",
            "io.lts_species_info=species.json",
            "fetch.cache_dir=fast",
        ]
    )
    roots = Roots.of(settings, db)
    usual = Roots.of(load_settings([]), db).columns
    columns = replace(
        usual, class_id="c", store="s", width="w", height="h", box="b", boxes=("x", "y", "w", "h")
    )
    assert roots == Roots(
        None, None, None, columns, {"GROW": "s3://grow"}, Path("fast"), Path("species.json")
    )
    assert Roots.of(load_settings(["io.out_root=here/runs"]), db).cache == Path("here/cache")


def test_the_species_table_tells_what_a_row_does_not(tmp_path: Path) -> None:
    species = tmp_path / "species_info.json"
    species.write_text(
        json.dumps({"species": {"AMPA": {"class_id": 5, "common_name": "Palmer amaranth", "hex": "#ff8000"}}})
    )
    rows = [
        ROW | {"cutout_id": "a_0", "category_class_id": None, "category_common_name": "palmer_amaranth"},
        ROW | {"cutout_id": "a_1", "category_class_id": 5, "category_common_name": None},
        ROW
        | {
            "cutout_id": "a_2",
            "category_class_id": None,
            "category_common_name": "ampa",
            "category_rgb": "[1, 2, 3]",
        },
        ROW | {"cutout_id": "a_3"},
    ]
    found = records_of(_query(tmp_path, rows), "semif", "cutout", Roots(species=species))
    assert [(r.class_id, r.common_name, r.values.get("category_rgb")) for r in found] == [
        (5, "palmer_amaranth", "[255, 128, 0]"),
        (5, "Palmer amaranth", "[255, 128, 0]"),
        (5, "ampa", "[1, 2, 3]"),
        (7, "barley", None),
    ]


def test_bad_boxes_are_dropped_and_named(tmp_path: Path) -> None:
    texts = [
        "[1, 2, 3]",
        "[1, 2, NaN, 4]",
        "[1, 2, 0, 4]",
        "[2000, 2, 3, 4]",
        "[1e99, 0, 1, 1]",
        "x",
        "[true,1,1,1]",
    ]
    rows = [ROW | {"cutout_id": f"a_{n}", "bbox_xywh": text} for n, text in enumerate(texts)]
    found = read_records(_query(tmp_path, rows), "semif", "full_image", Roots())
    assert found.records[0].boxes == ()
    assert [note.split(":")[0] for note in found.notes] == [f"a_{n}" for n in range(len(texts))]


def test_results_without_ids_and_wrong_modes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="image_id"):
        records_of(_query(tmp_path, [{"state": "NC"}]), "semif", "full_image", Roots())
    with pytest.raises(ConfigError, match="full_image or cutout"):
        records_of(_query(tmp_path, [ROW]), "semif", "half", Roots())
    assert records_of(_query(tmp_path, []), "semif", "cutout", Roots()) == []


def test_a_csv_without_specification_is_read_as_text(tmp_path: Path) -> None:
    query = tmp_path / "query"
    query.mkdir()
    (query / "query.csv").write_text(
        'cutout_id,image_id,bbox_xywh,fullres_width,fullres_height,category_class_id\n007,07,"[1,2,3,4]",10,10,3.0\n'
    )
    (record,) = records_of(query, "semif", "cutout", Roots(database=tmp_path))
    assert (record.record_id, record.class_id, record.reference_size) == ("007", 3, (10, 10))
    assert record.crop == Box(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (255, 255),
        (0, 255),
        (-3, 255),
        (256, 255),
        (27.0, 27),
        (2.5, 255),
        ("9", 9),
        ("x", 255),
        (None, 255),
        (float("nan"), 255),
        (float("inf"), 255),
        ("1e400", 255),
        (True, 1),
    ],
)
def test_class_ids(value: Any, expected: int) -> None:
    assert class_of(value) == expected


@given(
    st.tuples(*[st.integers(-2000, 2000) | st.floats(-3000, 3000, allow_nan=False)] * 4),
    st.tuples(st.integers(1, 1500), st.integers(1, 1500)),
)
def test_boxes_lie_inside_or_are_dropped(sides: tuple[float, ...], size: tuple[int, int]) -> None:
    box = box_of(json.dumps(list(sides)), size)
    x, y, width, height = sides
    visible = (
        width > 0
        and height > 0
        and min(x + width, size[0]) > max(x, 0)
        and min(y + height, size[1]) > max(y, 0)
    )
    assert isinstance(box, Box) == visible
    if isinstance(box, Box):
        assert box.x >= 0
        assert box.y >= 0
        assert box.width > 0
        assert box.height > 0
        assert box.x + box.width <= size[0] + 1e-6
        assert box.y + box.height <= size[1] + 1e-6


def test_text_of() -> None:
    assert [text_of(v) for v in (None, " ", "NULL", "nan", float("nan"), 5.0, 0, "x ")] == [None] * 5 + [
        "5",
        "0",
        "x",
    ]
