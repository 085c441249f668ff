"""The same queries on every engine: the same rows in the same order, each value of the same type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.errors import QueryError
from agir_cvtoolkit.sources.database import Database
from agir_cvtoolkit.sources.opening import open_database
from agir_cvtoolkit.sources.plan import Row

from .engines import KINDS, make_table
from .tables import ids, plan_for

COLUMNS = (
    "cutout_id TEXT, image_id TEXT, state TEXT, species TEXT, area REAL, class_id INTEGER, big INTEGER,"
    " datetime TEXT, mask_path TEXT, note TEXT, row_no INTEGER"
)
ROWS: list[tuple[object, ...]] = [
    ("007_0", "007", "NC", "barley", 10.5, 1, 2**53 + 1, "2022:08:26 09:15:20", "m/a.png", "12", 1),
    ("007_1", "007", "NC", "Palmer amaranth", 50.0, 2, None, "2022:12:31 23:59:59", None, "7.5", 2),
    ("b_0", "b", "MD", "lamb's quarters", 100.0, 3, -5, "2023:01:01 00:00:00", "", "x", 3),
    ("B_1", "b", "md", "Éire 100%", None, None, 0, None, "m/c.png", None, 4),
    ("ä_0", "ä", None, "maize\nzea", 1e-7, 255, 7, "2023:07:27 11:18:02", "m/d.png", "-3", 5),
    ("z_0", "z", "TX", "a_b", 250.25, 2, 1, "2024:02:29 12:00:00", "m/z.png", "1e2", 6),
]

QUERIES: list[dict[str, Any]] = [
    {},
    {"filters": ["state=NC"]},
    {"filters": ["state=NC,species=barley"]},
    {"filters": ["state!=NC"]},
    {"filters": ["state in (NC, MD)"]},
    {"filters": ["not state in (NC, MD)"]},
    {"filters": ["state is null"]},
    {"filters": ["state is not null and area is null"]},
    {"filters": ["area>=50"]},
    {"filters": ["area between 10 and 100"]},
    {"filters": ["area<50 or class_id=2"]},
    {"filters": [f"big={2**53 + 1}"]},
    {"filters": ["big<1"]},
    {"filters": ["class_id=255"]},
    {"filters": ["species like '%a%'"]},
    {"filters": ["species like 'PALMER%'"]},
    {"filters": ["species like 'a_b'"]},
    {"filters": ["species like '%100%%'"]},
    {"filters": ['species="lamb\'s quarters"']},
    {"filters": ["state>'M'"]},
    {"filters": ["note>=5"]},
    {"filters": ["note='12'"]},
    {"filters": ["datetime<=2022-12-31"]},
    {"filters": ["datetime=2023"]},
    {"filters": ["datetime>=2023-07"]},
    {"filters": ["has_mask=true"]},
    {"filters": ["has_mask=false"]},
    {"filters": ['{"class_id": [1, 2], "state": "NC"}']},
    {"filters": ["class_id in (" + ", ".join(str(n) for n in range(700)) + ")"]},
    {"filters": ["state in (" + ", ".join(f"S{n}" for n in range(700)) + ", NC)"]},
    {"sort": "state:desc,area"},
    {"sort": "area:desc"},
    {"sort": "species", "limit": 3, "offset": 1},
    {"offset": 4},
    {"projection": "species,area"},
    {"sample": "seeded:n=3,seed=7"},
    {"sample": "stratified:by=state,per_group=1,seed=3"},
    {"sample": "balanced:by=class_id,n=4,seed=3"},
    {"sample": "proportional:by=state,n=4,seed=3"},
    {"sample": "spread:by=datetime,n=3,seed=3", "filters": ["datetime is not null"]},
]


def answers(database: Database) -> list[list[Row]]:
    return [list(plan_for(database, **query).rows(database)) for query in QUERIES]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[list[Row]]:
    folder = tmp_path_factory.mktemp("expected")
    with open_database(make_table("sqlite", folder, str, COLUMNS, ROWS)) as database:
        return answers(database)


@pytest.fixture(params=KINDS)
def database_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Database]]:
    """Makes a table and opens it."""
    # Only who asks a server needs one.
    new_schema = request.getfixturevalue("new_schema") if request.param == "postgresql" else str
    with ExitStack() as opened:
        yield lambda *table: opened.enter_context(
            open_database(make_table(request.param, tmp_path, new_schema, *table))
        )


@pytest.fixture
def database(database_of: Callable[..., Database]) -> Database:
    return database_of(COLUMNS, ROWS)


def test_the_same_queries_have_the_same_answers(database: Database, expected: list[list[Row]]) -> None:
    assert sum(len(rows) for rows in expected) > 60
    for query, rows, wanted in zip(QUERIES, answers(database), expected, strict=True):
        assert rows == wanted, query
        assert [[type(v) for v in row] for row in rows] == [[type(v) for v in row] for row in wanted], query
        assert plan_for(database, **query).count(database) == len(wanted), query


def test_a_server_sends_rows_as_they_are_read(new_schema: Callable[[], str], tmp_path: Path) -> None:
    """Otherwise the driver holds the whole result."""
    rows = [(f"{n}", n) for n in range(3000)]
    with open_database(
        make_table("postgresql", tmp_path, new_schema, "cutout_id TEXT, n INTEGER", rows)
    ) as asked:
        reading = plan_for(asked).rows(asked)
        next(reading)
        open_cursors = asked.connection.exec_driver_sql(
            "SELECT count(*) FROM pg_cursors WHERE name <> ''"
        ).scalar()
        assert open_cursors
        assert sum(1 for _ in reading) == 2999


def test_what_cannot_be_asked_is_said_of_every_engine(database: Database) -> None:
    for filters, said in (
        (["stat=NC"], "Did you mean 'state'"),
        (["area>=large"], "holds numbers"),
        (["datetime>=soon"], "holds dates"),
    ):
        with pytest.raises(QueryError) as caught:
            plan_for(database, filters=filters)
        assert said in str(caught.value)


def test_what_is_no_date_is_neither_earlier_nor_later(database_of: Callable[..., Database]) -> None:
    texts = ("2022:08:26 09:15:20", "", "unknown", None, "2023:01:01 00:00:00", " ")
    rows = [(f"r{n}", text) for n, text in enumerate(texts)]
    asked = database_of("cutout_id TEXT, day TEXT", rows)
    for text, found in (
        ("day<=2022-12-31", ["r0"]),
        ("day>2022-12-31", ["r4"]),
        ("day between 2000 and 2100", ["r0", "r4"]),
        ("not day<=2022-12-31", ["r4"]),
        ("day not between 2022 and 2022", ["r4"]),
        ("day!=2022", ["r1", "r2", "r4", "r5"]),
    ):
        assert ids(asked, text) == found, text


def test_nothing_written_by_the_user_is_sql(database: Database) -> None:
    for text in ("'; DROP TABLE semif; --", "NC' OR '1'='1", '"', "$1 %s ? :x"):
        plan = plan_for(database, filters=[f"state={json_text(text)}"])
        assert list(plan.rows(database)) == []
    assert plan_for(database).count(database) == len(ROWS)


def json_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
