"""Columns of any type are numbers and texts to a query; what is no number, NaN, is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from agir_cvtoolkit.sources.exclusion import Exclusion
from agir_cvtoolkit.sources.opening import open_database
from agir_cvtoolkit.sources.plan import Request, plan_query

from .engines import make_table
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
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        import psycopg

        url: str = request.getfixturevalue("new_schema")()
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


def test_whole_numbers_are_told_from_their_neighbours(tmp_path: Path) -> None:
    """A float knows no odd number beyond 2**53."""
    first = 2**53
    numbers = [(first + n,) for n in range(3)]
    with open_database(make_table("parquet", tmp_path, str, "cutout_id INTEGER", numbers)) as database:
        others = ", ".join(str(n) for n in range(500))
        assert ids(database, f"cutout_id in ({first + 1}, {others})") == [first + 1]
        assert len(ids(database, sample="seeded:n=1,seed=1")) == 1
        exclusion = Exclusion.of(["pushed"], [str(first)], "image_id")
        plan = plan_query(Request(), database.source("semif", ("cutout_id",)), exclusion)
        assert [row[0] for row in plan.rows(database)] == [first + 1, first + 2]


def test_numbers_too_large_for_any_other_engine_are_texts(tmp_path: Path) -> None:
    columns = "cutout_id TEXT, phash UBIGINT, total HUGEINT, fits UBIGINT"
    rows = [("a", 2**64 - 1, -(2**70), 2**63 - 1), ("b", 5, 7, None)]
    with open_database(make_table("duckdb", tmp_path, str, columns, rows)) as database:
        found = list(plan_for(database).rows(database))
        assert found == [("a", str(2**64 - 1), str(-(2**70)), 2**63 - 1), ("b", "5", "7", None)]
        assert ids(database, f"phash={2**64 - 1}") == ["a"]
        assert ids(database, "total>0") == ["b"]
    none: list[tuple[object, ...]] = []
    with open_database(make_table("duckdb", _made(tmp_path / "none"), str, columns, none)) as database:
        assert ids(database) == []


def test_types_without_numbers_of_their_own_do_not_hide_a_table(new_schema: Callable[[], str]) -> None:
    import psycopg

    address = new_schema()
    with psycopg.connect(address) as connection:
        connection.execute(
            b"CREATE TABLE semif (cutout_id text, price money, kind oid, at timestamp, day date)"
        )
        connection.execute(b"INSERT INTO semif VALUES ('a', '12.5', 7, 'infinity', '-infinity')")
    with open_database(address) as database:
        ((_, price, kind, at, day),) = plan_for(database).rows(database)
        assert (str(price), kind, at, day) == ("$12.50", "7", None, None)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
