"""Columns of any type are numbers and texts to a query; what is no number, NaN, is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from agir_cvtoolkit.sources.opening import open_database

from .tables import ids, plan_for

POSTGRES = """
    CREATE TYPE growth AS ENUM ('seedling', 'flowering');
    CREATE TABLE semif (
        cutout_id uuid, flag boolean, stage growth, area numeric(10, 2), ratio real, pixels double precision,
        taken timestamp, sent timestamptz, day date, bbox_xywh integer[], meta jsonb, code char(5), small smallint
    );
    INSERT INTO semif VALUES
        ('00000000-0000-0000-0000-00000000000a', true, 'seedling', 12.50, 0.1, 'NaN', '2022-08-05 20:16:57.25',
         '2022-08-05 20:16:57+02', '2022-08-05', '{1,2,3,4}', '{"a": [1]}', 'ab', 3),
        ('00000000-0000-0000-0000-00000000000b', false, null, 'NaN', 'NaN', 7, null, null, null, null, null, null, null)
"""
DUCKDB = """
    CREATE TYPE growth AS ENUM ('seedling', 'flowering');
    CREATE TABLE semif (
        cutout_id uuid, flag boolean, stage growth, area decimal(10, 2), ratio double, pixels double,
        taken timestamp, sent timestamptz, day date, bbox_xywh integer[], meta struct(a integer[]), code varchar,
        small utinyint
    );
    INSERT INTO semif VALUES
        ('00000000-0000-0000-0000-00000000000a', true, 'seedling', 12.50, 0.1, 'NaN', '2022-08-05 20:16:57.25',
         '2022-08-05 20:16:57+02', '2022-08-05', [1,2,3,4], {'a': [1]}, 'ab', 3),
        ('00000000-0000-0000-0000-00000000000b', false, null, null, 'NaN', 7, null, null, null, null, null, null, null)
"""


@pytest.fixture(params=["postgresql", "duckdb"])
def address(request: pytest.FixtureRequest, tmp_path: Path, new_schema: Callable[[], str]) -> str:
    if request.param == "postgresql":
        import psycopg

        url = new_schema()
        with psycopg.connect(url) as connection:
            connection.execute(POSTGRES.encode())
        return url
    import duckdb

    path = tmp_path / "semif.duckdb"
    writer: Any = duckdb.connect(str(path))
    writer.execute(DUCKDB)
    writer.close()
    return str(path)


def test_every_type_is_a_number_or_a_text(address: str) -> None:
    with open_database(address) as database:
        plan = plan_for(database)
        first, second = (dict(zip(plan.columns, row, strict=True)) for row in plan.rows(database))
    meta = str(first.pop("meta")).replace(" ", "")
    assert meta == '{"a":[1]}'
    assert first == {
        "cutout_id": "00000000-0000-0000-0000-00000000000a",
        "flag": 1,
        "stage": "seedling",
        "area": 12.5,
        "ratio": 0.1,
        "pixels": None,
        "taken": "2022-08-05 20:16:57",
        "sent": "2022-08-05 18:16:57",
        "day": "2022-08-05",
        "bbox_xywh": "[1,2,3,4]",
        "code": "ab",
        "small": 3,
    }
    assert {name: value for name, value in second.items() if value is not None} == {
        "cutout_id": "00000000-0000-0000-0000-00000000000b",
        "flag": 0,
        "pixels": 7.0,
    }


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("flag=true", "a"),
        ("flag=0", "b"),
        ("stage=seedling", "a"),
        ("area>=0", "a"),
        ("ratio>0", "a"),
        ("pixels is null", "a"),
        ("pixels>1", "b"),
        ("taken=2022-08-05", "a"),
        ("taken>=2022-08", "a"),
        ("sent<'2022-08-05 19:00:00'", "a"),
        ("day<=2022-12-31", "a"),
        ("small in [1, 3]", "a"),
        ("code=ab", "a"),
        ("cutout_id like '%B'", "b"),
    ],
)
def test_every_type_can_be_asked_for(address: str, filters: str, found: str) -> None:
    with open_database(address) as database:
        assert [str(one)[-1] for one in ids(database, filters)] == [found]


def test_nothing_can_be_changed(address: str) -> None:
    table = "file.semif" if address.endswith(".duckdb") else "semif"
    with open_database(address) as database, pytest.raises(DBAPIError, match=r"read.only"):
        database.connection.exec_driver_sql(f"DELETE FROM {table}")
