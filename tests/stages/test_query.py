from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from agir_cvtoolkit.errors import ConfigError, DatabaseError, NoRunError, QueryError
from agir_cvtoolkit.runs import open_run
from agir_cvtoolkit.sources import records_of
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.query import query


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("semif.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE semif"
            " (cutout_id TEXT, image_id TEXT, image_path TEXT, bbox_xywh TEXT, state TEXT, area REAL)"
        )
        rows = [
            (f"p{n // 2}_{n % 2}", f"p{n // 2}", f"i/p{n // 2}.jpg", "[1, 2, 3, 4]", ("NC", "MD")[n % 2], n)
            for n in range(10)
        ]
        connection.executemany("INSERT INTO semif VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE TABLE field_data (id INTEGER, image_id TEXT, developed_image_path TEXT)")
        connection.execute("INSERT INTO field_data VALUES (1, 'x', 'd/x.jpg')")
    return Call(overrides=("db.semif.db_path=semif.db", "db.field.db_path=semif.db"))


def _named(call: Call, name: str = "first") -> Call:
    return Call(overrides=(*call.overrides, f"project.name={name}"))


def test_a_query_starts_a_run_and_makes_it_current(call: Call) -> None:
    result = query(filters=["state=NC"], limit=3, call=call)
    assert result.count == 3
    assert result.run_root is not None
    assert result.path == result.run_root / "query/query.csv"
    run = open_run(Path("outputs/runs"))
    assert run.run_id == result.run_id
    records = records_of(run.path("query"), "semif", "cutout", call.settings())
    assert [record.record_id for record in records] == ["p0_0", "p1_0", "p2_0"]
    spec = json.loads((run.path("query") / "query_spec.json").read_text())
    assert set(spec) == {"query_metadata", "database", "query_parameters", "execution"}
    assert spec["query_metadata"]["run_id"] == result.run_id
    assert (spec["database"]["type"], spec["database"]["table"]) == ("semif", "semif")
    assert spec["query_parameters"]["filters"] == {
        "raw": ["state=NC"],
        "parsed": {"column": "state", "op": "==", "value": "NC"},
    }
    assert spec["query_parameters"]["limit"] == 3
    assert spec["execution"]["output_format"] == "csv"
    assert run.read_metrics("query")["total_records"] == 3
    config = yaml.safe_load(run.path("cfg.query.yaml").read_text())
    assert config["db"]["semif"]["db_path"] == "semif.db"
    assert query(call=call).run_id != result.run_id


def test_the_field_database(call: Call) -> None:
    result = query(db="FIELD", out="json", call=call)
    assert result.path is not None
    assert json.loads(result.path.read_text()) == [
        {"id": 1, "image_id": "x", "developed_image_path": "d/x.jpg"}
    ]


def test_preview_and_count_and_dry_run_write_nothing(call: Call) -> None:
    seen = query(preview=2, projection="state", sort="area:desc", call=call)
    assert [dict(row) for row in seen.preview_rows] == [
        {"cutout_id": "p4_1", "state": "MD"},
        {"cutout_id": "p4_0", "state": "NC"},
    ]
    assert (seen.count, seen.path) == (10, None)
    counted = query(filters=["state=NC"], limit=0, call=call)
    assert (counted.count, counted.path, counted.run_id) == (5, None, None)
    dry = query(limit=4, out="json", call=Call(overrides=_named(call).overrides, dry_run=True))
    assert (dry.count, dry.dry_run) == (4, True)
    assert [path.as_posix() for path in dry.would_write] == [
        "outputs/runs/first/query/query.json",
        "outputs/runs/first/query/query_spec.json",
    ]
    assert not Path("outputs").exists()


def test_the_same_query_again_does_nothing_and_another_is_a_new_pass(call: Call) -> None:
    named = _named(call)
    first = query(filters=["state=NC"], call=named)
    assert first.path is not None
    before = first.path.stat().st_mtime_ns
    again = query(filters=["state=NC"], call=named)
    assert (again.unchanged, again.count, again.path) == (True, 5, first.path)
    assert first.path.stat().st_mtime_ns == before
    other = query(filters=["state=MD"], limit=2, out="json", call=named)
    assert other.run_root is not None
    assert (other.count, other.run_id) == (2, "first")
    assert sorted(path.name for path in (other.run_root / "query").iterdir()) == [
        "query.json",
        "query_spec.json",
    ]
    assert (other.run_root / "history/query/1/query/query.csv").is_file()
    metrics = json.loads((other.run_root / "metrics.json").read_text())
    assert metrics["query"]["count"] == 2
    assert [entry["count"] for entry in metrics["history"]["query"]] == [5]


def test_a_lost_result_and_a_changed_database_are_read_again(call: Call) -> None:
    named = _named(call)
    first = query(call=named)
    assert first.path is not None
    first.path.unlink()
    assert not query(call=named).unchanged
    assert first.path.is_file()
    with closing(sqlite3.connect("semif.db")) as connection, connection:
        connection.execute("DELETE FROM semif WHERE state = 'MD'")
    assert query(call=named).count == 5


def test_a_run_named_by_the_call(call: Call) -> None:
    named = Call(overrides=call.overrides, run="mine/second")
    assert query(call=named).run_id == "mine/second"
    query(call=call)
    assert query(call=named).unchanged
    assert open_run(Path("outputs/runs")).run_id == "mine/second"
    for bad in ("a/b/c", "a//b"):
        with pytest.raises(ConfigError):
            query(call=Call(overrides=call.overrides, run=bad))
    with pytest.raises(ConfigError):
        query(call=Call(overrides=(*call.overrides, "io.out_root=elsewhere"), run="current"))


def test_a_stratified_draw_with_a_seed_is_the_same_again(call: Call) -> None:
    sample = "stratified:by=state,per_group=2,seed=7"
    one, two = query(sample=sample, call=call), query(sample=sample, call=call)
    assert one.path is not None
    assert two.path is not None
    assert one.count == 4
    assert one.path.read_bytes() == two.path.read_bytes()


def test_the_drawn_seed_is_recorded(call: Call) -> None:
    drawn = query(sample="random:n=3", call=call)
    assert drawn.spec_path is not None
    seed = json.loads(drawn.spec_path.read_text())["query_parameters"]["sample"]["parsed"]["seed"]
    again = query(sample=f"seeded:n=3,seed={seed}", call=call)
    assert drawn.path is not None
    assert again.path is not None
    assert again.path.read_bytes() == drawn.path.read_bytes()


def test_errors_start_no_run(call: Call) -> None:
    for wrong in (
        {"db": "semifield"},
        {"out": "xlsx"},
        {"preview": -1},
        {"filters": ["stat=NC"]},
        {"sort": "state:up"},
        {"sample": "all"},
    ):
        with pytest.raises(QueryError):
            query(call=call, **wrong)
    with pytest.raises(ConfigError, match=r"db\.semif\.db_path"):
        query()
    with pytest.raises(DatabaseError, match="does not exist"):
        query(call=Call(overrides=("db.semif.db_path=gone.db",)))
    with pytest.raises(DatabaseError, match=r"its tables: field_data, semif.*db\.semif\.table"):
        query(call=Call(overrides=(*call.overrides, "db.semif.table=cutouts")))
    with pytest.raises(NoRunError):
        open_run(Path("outputs/runs"))
