"""Small databases for the tests of this room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from agir_cvtoolkit.sources.database import Database
from agir_cvtoolkit.sources.plan import Plan, Request, plan_query

SEMIF = (
    "cutout_id TEXT, image_id TEXT, state TEXT, category_common_name TEXT, area REAL, season TEXT,"
    " datetime TEXT, category_class_id INTEGER, mask_path TEXT"
)
ROWS: list[tuple[object, ...]] = [
    ("a_0", "a", "NC", "barley", 10.0, "2022", "2022:08:26 09:15:20", 1, "m/a.png"),
    ("a_1", "a", "NC", "palmer amaranth", 50.0, "2022", "2022:12:31 23:59:59", 2, None),
    ("b_0", "b", "MD", "lamb's quarters", 100.0, "2023", "2023:01:01 00:00:00", 3, ""),
    ("c_0", "c", "TX", "barley", None, "2023", "2023:07:27 11:18:02", None, "m/c.png"),
    ("d_0", "d", None, "maize", 200.5, "2024", None, 5, "m/d.png"),
]


def make_database(
    path: Path, table: str = "semif", columns: str = SEMIF, rows: Sequence[Sequence[object]] = ROWS
) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f'CREATE TABLE "{table}" ({columns})')
        marks = ", ".join("?" * len(columns.split(",")))
        connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)
    return path


def plan_for(database: Database, table: str = "semif", **request: object) -> Plan:
    return plan_query(Request(**request), database.source(table, ("cutout_id", "id")))  # type: ignore[arg-type]


def ids(database: Database, *filters: str, **request: object) -> list[object]:
    plan = plan_for(database, filters=filters, **request)  # type: ignore[arg-type]
    return [row[0] for row in plan.rows(database)]
