from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from agir_cvtoolkit.errors import QueryError
from agir_cvtoolkit.sources.database import Database
from agir_cvtoolkit.sources.drawing import draw_key
from agir_cvtoolkit.sources.exclusion import Exclusion
from agir_cvtoolkit.sources.plan import Request, plan_query
from agir_cvtoolkit.sources.sampling import parse_sample
from agir_cvtoolkit.sources.sqlite import SqliteDatabase

from .tables import ids, make_database, plan_for

COLUMNS = "cutout_id TEXT, state TEXT, season INTEGER, size REAL"
ROWS = [(f"r{n:04}", ["NC", "MD", "TX"][n % 3], 2020 + n % 4, float(n % 7)) for n in range(400)]


@pytest.fixture
def many(tmp_path: Path) -> Database:
    return SqliteDatabase(make_database(tmp_path / "many.db", columns=COLUMNS, rows=ROWS))


@pytest.fixture
def shuffled(tmp_path: Path) -> Database:
    rows = list(ROWS)
    random.Random(5).shuffle(rows)
    return SqliteDatabase(make_database(tmp_path / "shuffled.db", columns=COLUMNS, rows=rows))


def test_sort_limit_offset(database: Database, shuffled: Database) -> None:
    assert ids(shuffled)[:3] == ["r0000", "r0001", "r0002"], "by id without --sort"
    assert ids(shuffled, sort="size:desc,season", limit=3) == ["r0020", "r0048", "r0076"]
    assert ids(shuffled, offset=398) == ["r0398", "r0399"]
    assert ids(shuffled, limit=2, offset=1) == ["r0001", "r0002"]
    assert ids(database, sort="area") == ["c_0", "a_0", "a_1", "b_0", "d_0"]
    assert ids(database, sort=" cutout_id : DESC ", limit=1) == ["d_0"]


@pytest.mark.parametrize("sort", ["state:up", "state:", "", ",", "state,,area", "nothing", "state,state"])
def test_bad_sort(database: Database, sort: str) -> None:
    with pytest.raises(QueryError):
        plan_for(database, sort=sort)


def test_projection(database: Database) -> None:
    assert plan_for(database, projection="state,area").columns == ("cutout_id", "state", "area")
    assert plan_for(database, projection="area, cutout_id,area").columns == ("cutout_id", "area")
    plan = plan_for(database, projection="state", sort="area:desc", limit=2)
    assert list(plan.rows(database)) == [("d_0", None), ("b_0", "MD")]
    for bad in ("", "state,", "nothing"):
        with pytest.raises(QueryError):
            plan_for(database, projection=bad)


@pytest.mark.parametrize(("limit", "offset"), [(-1, None), (None, -1), (2**63, None)])
def test_bad_limits(database: Database, limit: int | None, offset: int | None) -> None:
    with pytest.raises(QueryError, match="impossible"):
        plan_for(database, limit=limit, offset=offset)


def test_seeded_depends_on_seed_and_not_on_row_order(many: Database, shuffled: Database) -> None:
    drawn = {seed: ids(many, sample=f"seeded:n=50,seed={seed}") for seed in (1, 2, 42, 2024, 10**6, -3)}
    assert all(len(records) == 50 for records in drawn.values())
    assert len({tuple(records) for records in drawn.values()}) == 6
    assert ids(shuffled, sample="seeded:n=50,seed=2") == drawn[2]
    assert ids(many, sample="seeded:n=50") == drawn[42], "the default seed is 42"
    first, second = set(drawn[1]), set(drawn[2])
    assert len(first & second) < 20, "draws of different seeds are unrelated"


def test_the_draw_is_fixed_for_all_times() -> None:
    assert draw_key(42, "NC_1661519848_1") == -8235403870337899101


def test_random_draws_anew_and_can_be_repeated(many: Database) -> None:
    plan = plan_for(many, sample="random:n=30")
    again = plan_for(many, sample="random:n=30")
    assert plan.sample is not None
    assert plan.sample != again.sample
    drawn = [row[0] for row in plan.rows(many)]
    assert len(drawn) == 30
    assert ids(many, sample=f"seeded:n=30,seed={plan.sample.seed}") == drawn
    assert len(ids(many, sample="random", limit=7)) == 7
    assert len(ids(many, sample="random")) == 100
    assert plan_for(many, sample="random", limit=0).count(many, whole=True) == 100


def test_stratified(many: Database, shuffled: Database) -> None:
    sample = "stratified:by=state|season,per_group=5,seed=9"
    plan = plan_for(many, sample=sample)
    rows = list(plan.rows(many))
    assert plan.columns == ("cutout_id", "state", "season", "size")
    assert len(rows) == 12 * 5
    assert {(state, season) for _, state, season, _ in rows} == {
        (s, y) for s in ("NC", "MD", "TX") for y in range(2020, 2024)
    }
    assert ids(shuffled, sample=sample) == [row[0] for row in rows]
    assert ids(many, sample=sample.replace("seed=9", "seed=10")) != [row[0] for row in rows]
    assert len(ids(many, sample="stratified:by=state")) == 30
    assert len(ids(many, "state!=TX", sample="stratified:by=state,per_group=1000")) == 267


def test_sort_limit_and_offset_follow_the_draw(many: Database) -> None:
    drawn = ids(many, sample="seeded:n=20,seed=4")
    assert ids(many, sample="seeded:n=20,seed=4", sort="cutout_id:desc") == drawn[::-1]
    assert ids(many, sample="seeded:n=20,seed=4", limit=5, offset=2) == drawn[2:7]
    plan = plan_for(many, sample="seeded:n=20,seed=4", limit=5)
    assert plan.count(many) == 5
    assert plan.count(many, whole=True) == 20
    narrow = plan_for(many, sample="stratified:by=season,per_group=2,seed=1", projection="size", sort="state")
    assert narrow.columns == ("cutout_id", "size")
    assert len(list(narrow.rows(many))) == 8


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ("all", "no strategy 'all'"),
        ("strat:by=state", "no strategy"),
        ("random:m=5", "no argument 'm'"),
        ("random:seed=5", "no argument 'seed'"),
        ("random:n=five", "not a whole number"),
        ("random:n=-1", "not a whole number"),
        ("random:n", "needs one value"),
        ("random:n=1,n=2", "needs one value"),
        ("seeded:n=1,seed=1e99", "not a whole number"),
        ("stratified:per_group=5", "by=column"),
        ("stratified:by=state,per_group=0", "not a whole number"),
        ("stratified:by=state+season", r"vertical bar, not by \+.*by=state\|season"),
        ("stratified:by=state|state", "twice"),
        ("stratified:by=area_bin", "does not have"),
        ("", "no strategy"),
        ("balanced:n=5", "balanced needs by=column"),
        ("proportional:by=state,per_group=5", "no argument 'per_group'"),
        ("spread:by=size,n=-1", "not a whole number"),
    ],
)
def test_bad_samples(many: Database, sample: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        plan_for(many, sample=sample)


def test_a_sample_without_text_is_none() -> None:
    assert parse_sample(None) is None


def test_quotas(many: Database, shuffled: Database) -> None:
    def states(sample: str, *filters: str) -> dict[object, int]:
        plan = plan_for(many, sample=sample, filters=filters)
        rows = list(plan.rows(many))
        assert ids(shuffled, *filters, sample=sample) == [row[0] for row in rows]
        assert plan.count(many) == len(rows)
        return Counter(row[1] for row in rows)

    few = "state!=TX or season=2020 and size<1"
    rare = states("stratified:by=state,per_group=500,seed=1", few)["TX"]
    assert 0 < rare < 10
    balanced = states("balanced:by=state,n=61,seed=1", few)
    assert balanced["TX"] == rare
    assert sorted([balanced["NC"], balanced["MD"]]) == [(61 - rare) // 2, (62 - rare) // 2]
    assert states("proportional:by=state,n=40,seed=1") == {"NC": 14, "MD": 13, "TX": 13}
    assert sum(states("balanced:by=state,n=5000,seed=1").values()) == 400
    assert ids(many, sample="balanced:by=state,n=9,seed=1") != ids(
        many, sample="balanced:by=state,n=9,seed=2"
    )


def test_a_spread_over_words_is_no_empty_result(many: Database) -> None:
    with pytest.raises(QueryError, match="no row has a number, a date"):
        ids(many, sample="spread:by=state,n=3")
    assert ids(many, "state=nowhere", sample="spread:by=state,n=3") == []


def test_a_spread_draw_reaches_every_stretch(tmp_path: Path) -> None:
    days = [f"2022:01:{1 + n % 3:02} 10:00:{n % 60:02}" for n in range(300)] + [
        "2022:12:30 10:00:00",
        None,
        "unknown",
    ]
    rows = [(f"r{n}", day) for n, day in enumerate(days)]
    path = make_database(tmp_path / "x.db", columns="cutout_id TEXT, day TEXT", rows=rows)
    with SqliteDatabase(path) as database:
        drawn = ids(database, sample="spread:by=day,n=10,seed=1")
        assert len(drawn) == 10
        assert "r300" in drawn, "the only one of its time"
        assert not {"r301", "r302"} & set(drawn), "these have no time"


def test_a_view_and_doubled_ids_are_drawn_from(tmp_path: Path) -> None:
    path = make_database(
        tmp_path / "x.db", columns="cutout_id TEXT, n INTEGER", rows=[("a", 1), ("a", 2), ("b", 3)]
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIEW seen AS SELECT * FROM semif")
    with SqliteDatabase(path) as database:
        assert ids(database, sample="seeded:n=2,seed=1") in (["a", "a"], ["a", "b"])
        assert ids(database, sample="seeded:n=3,seed=1") == ["a", "a", "b"]
        seen = plan_query(Request(sample="seeded:n=1,seed=5"), database.source("seen", ("cutout_id",)))
        assert seen.source.address is None
        assert {row[0] for row in seen.rows(database)} <= {"a", "b"}


def test_what_is_excluded_is_left_out(database: Database) -> None:
    def left(*names: str, **request: object) -> list[object]:
        exclusion = Exclusion.of(["labelled"], names, "image_id")
        plan = plan_query(Request(**request), database.source("semif", ("cutout_id",)), exclusion)  # type: ignore[arg-type]
        rows: list[object] = [row[0] for row in plan.rows(database)]
        assert plan.count(database) == len(rows)
        return rows

    assert left("a_0", "nowhere") == ["a_1", "b_0", "c_0", "d_0"]
    assert left("a", "d_0") == ["b_0", "c_0"], "by the id of the picture too"
    assert left(filters=("state=NC",)) == ["a_0", "a_1"]
    assert left("a_0", sample="seeded:n=9,seed=1") == ["a_1", "b_0", "c_0", "d_0"]
    assert len(left(*(f"x{n}" for n in range(50_000)))) == 5


def test_numeric_ids_are_excluded(tmp_path: Path) -> None:
    path = make_database(tmp_path / "x.db", columns="id INTEGER, image_id TEXT", rows=[(1, None), (2, "b")])
    with SqliteDatabase(path) as database:
        exclusion = Exclusion.of(["pushed"], ["2", "x"], "image_id")
        plan = plan_query(Request(), database.source("semif", ("id",)), exclusion)
        assert [row[0] for row in plan.rows(database)] == [1]


def test_a_draw_is_written_so_that_it_can_be_made_again(many: Database) -> None:
    for sample in (
        "random:n=3",
        "stratified:by=state|season,per_group=2",
        "spread:by=size,n=4",
        "balanced:by=state,n=7",
    ):
        plan = plan_for(many, sample=sample)
        assert plan.sample is not None
        assert ids(many, sample=plan.sample.written()) == [row[0] for row in plan.rows(many)]


def test_text_in_another_encoding_is_drawn_from(tmp_path: Path) -> None:
    path = make_database(
        tmp_path / "x.db", columns="cutout_id TEXT, state TEXT", rows=[(f"r{n}", "NC") for n in range(9)]
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO semif VALUES ('z', CAST(x'47fc6e' AS TEXT))")
    with SqliteDatabase(path) as database:
        drawn = ids(database, sample="stratified:by=state,per_group=3,seed=1")
        assert len(drawn) == len(set(drawn)) == 4
        assert "z" in drawn


def test_an_interruption_of_a_draw_is_no_error_of_the_database(database: Database) -> None:
    def interrupted(*_values: object) -> bool:
        raise KeyboardInterrupt

    columns: list[sa.ColumnClause[Any]] = [sa.column("rowid"), sa.column("state")]
    statement = sa.select(*columns)
    with pytest.raises(KeyboardInterrupt):
        list(database.sift(statement.select_from(plan_for(database).source.clause()), interrupted))
