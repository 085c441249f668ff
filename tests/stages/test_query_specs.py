from __future__ import annotations

import contextlib
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.errors import ConfigError, DataError, NoRunError, QueryError, UsageError
from agir_cvtoolkit.ledger import Ledger, Pull
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.query import query
from agir_cvtoolkit.stages.query_specs import query_compare, query_reproduce, query_show


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Call:
    call = Call(overrides=("db.semif.db_path=semif.db", "db.semif.table=cuts"))
    with contextlib.chdir(tmp_path_factory.mktemp("configured")):
        call.settings()
    return call


@pytest.fixture
def call(configured: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("semif.db")) as connection, connection:
        connection.execute("CREATE TABLE cuts (cutout_id TEXT, image_id TEXT, state TEXT, area REAL)")
        rows = [(f"p{n}_0", f"p{n}", ("NC", "MD")[n % 2], n) for n in range(40)]
        connection.executemany("INSERT INTO cuts VALUES (?, ?, ?, ?)", rows)
    return configured


def _run(call: Call, name: str) -> Call:
    return _like(call, run=name)


def _like(call: Call, **changes: Any) -> Call:
    """Return a call with the same settings, which take most of a test's time."""
    changed = replace(call, **changes)
    changed._composed.append(call.settings())
    return changed


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Settings that name no database."""
    bare = Call()
    with contextlib.chdir(tmp_path_factory.mktemp("bare")):
        bare.settings()
    return bare


def _change(statement: str) -> None:
    with closing(sqlite3.connect("semif.db")) as connection, connection:
        connection.execute(statement)


def test_a_query_is_shown(call: Call, bare: Call) -> None:
    query(filters=["state=NC", "area>3"], sort="area:desc", limit=4, out="json", call=_run(call, "a"))
    shown = query_show(call=bare)
    assert shown.path == Path("outputs/runs/a/query/query_spec.json").resolve()
    assert shown.content["execution"]["count"] == 4
    assert shown.command == (
        *("agir-cvtoolkit", "query", "--db", "semif", "--filters", "state=NC", "--filters", "area>3"),
        *("--sort", "area:desc", "--limit", "4", "--out", "json"),
    )
    for same in ("a", "outputs/runs/a", "outputs/runs/a/query", str(shown.path)):
        assert query_show(same, bare) == shown


@pytest.mark.parametrize(
    "sample",
    [None, "random:n=7", "stratified:by=state,per_group=3", "balanced:by=state,n=9", "spread:by=area,n=5"],
)
def test_a_query_is_made_again_without_its_settings(call: Call, bare: Call, sample: str | None) -> None:
    first = query(filters=["area<30"], projection="area", sample=sample, offset=1, call=_run(call, "a"))
    dry = query_reproduce("a", _like(bare, dry_run=True))
    assert (dry.same, dry.count, dry.recorded_count, dry.run_id) == (True, first.count, first.count, None)
    again = query_reproduce(call=_run(bare, "b"))
    assert (again.same, again.exit_code, again.run_id) == (True, 0, "b")
    assert first.path is not None
    assert again.result is not None
    assert again.result.read_bytes() == first.path.read_bytes()


def test_other_records_are_told(call: Call, bare: Call) -> None:
    query(filters=["state=NC"], call=_run(call, "a"))
    _change("UPDATE cuts SET state = 'TX' WHERE cutout_id = 'p2_0'")
    again = query_reproduce("a", _run(bare, "b"))
    assert (again.same, again.count, again.recorded_count, again.exit_code) == (False, 19, 20, 4)


def test_another_copy_of_the_database(call: Call, bare: Call) -> None:
    query(filters=["state=NC"], call=_run(call, "a"))
    Path("semif.db").rename("moved.db")
    again = query_reproduce("a", Call(overrides=("db.semif.db_path=moved.db",), dry_run=True))
    assert again.same
    with pytest.raises(ConfigError):
        query(call=bare)


def test_two_queries_are_compared(call: Call, bare: Call) -> None:
    query(filters=["area<10"], call=_run(call, "a"))
    _change("UPDATE cuts SET state = 'TX' WHERE cutout_id = 'p2_0'")
    query(filters=["area>=1 and area<12"], projection="state", out="json", call=_run(call, "b"))
    found = query_compare("a", "b", bare)
    assert (found.both, found.changed) == (9, 1)
    assert (found.only_first, found.examples_first) == (1, ("p0_0",))
    assert (found.only_second, found.examples_second) == (2, ("p10_0", "p11_0"))
    assert [difference.key for difference in found.differences] == ["filters", "projection"]
    assert query_compare("a", "a", bare).differences == ()


def _labelled(*record_ids: str, state: str = "completed") -> None:
    pull = Pull("http://x", "old", 1, len(record_ids), "2026-01-01", state, "acceptance", 1, 1, "s")
    with Ledger.open(None, Path("outputs/runs")) as ledger:
        ledger.record_pull(pull, dict.fromkeys(record_ids, 0))


def test_what_is_labelled_is_left_out_and_again_the_same(call: Call, bare: Call) -> None:
    _labelled("p0_0", "p1", "elsewhere")
    _labelled("p2_0", "p3_0", state="in progress")
    result = query(limit=4, exclude=["labelled"], call=_run(call, "a"))
    assert result.path is not None
    assert [line.split(",")[0] for line in result.path.read_text().splitlines()[1:]] == [
        *("p10_0", "p11_0", "p12_0", "p13_0")
    ]
    spec = json.loads((result.path.parent / "query_spec.json").read_text())
    assert spec["query_parameters"]["exclude"]["records"] == 3
    assert query(limit=0, exclude=["labelled"], call=call).count == 38
    _labelled("p10_0", "p11_0", "p12_0", "p13_0", "p14_0")
    assert query_reproduce("a", _like(bare, dry_run=True)).same, "what was left out then"
    assert query(limit=0, exclude=["labelled", "pushed"], call=call).count == 33
    (result.path.parent / "excluded.txt").write_text("p0_0\n")
    with pytest.raises(DataError, match="was changed"):
        query_reproduce("a", _like(bare, dry_run=True))


def test_what_is_no_query(call: Call, bare: Call, tmp_path: Path) -> None:
    with pytest.raises(NoRunError):
        query_show(call=bare)
    with pytest.raises(NoRunError, match="'nothing' does not exist"):
        query_show("nothing", bare)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UsageError, match=r"x\.json is no specification"):
        query_show("x.json", bare)
    for key in ("id_column", "columns"):
        query(call=_run(call, "of-others"))
        path = Path("outputs/runs/of-others/query/query_spec.json")
        content = json.loads(path.read_text())
        del content["database"][key]
        path.write_text(json.dumps(content))
        for asking in (
            lambda: query_reproduce("of-others", bare),
            lambda: query_compare("of-others", "of-others", bare),
        ):
            with pytest.raises(UsageError, match="is no specification"):
                asking()
    (tmp_path / "x.json").write_text("[")
    with pytest.raises(DataError):
        query_show("x.json", bare)
    query(call=_run(call, "a"))
    Path("outputs/runs/a/query/query.csv").unlink()
    with pytest.raises(NoRunError, match="no query result"):
        query_compare("a", "a", bare)


def test_a_specification_of_an_earlier_version_is_made_again(call: Call, bare: Call) -> None:
    query(filters=["state=NC"], sample="seeded:n=3,seed=4", call=_run(call, "a"))
    path = Path("outputs/runs/a/query/query_spec.json")
    content = json.loads(path.read_text())
    del content["execution"]["ids_sha256"], content["query_parameters"]["exclude"]
    del content["query_parameters"]["sample"]["again"]
    path.write_text(json.dumps(content))
    again = query_reproduce("a", _like(bare, dry_run=True))
    assert (again.same, again.count, again.exit_code) == (None, 3, 0)


def test_an_unknown_reason_to_leave_out(call: Call) -> None:
    with pytest.raises(QueryError, match=r"Did you mean 'labelled'\? Known: labelled, pushed"):
        query(exclude=["labeled"], call=call)


def test_where_nothing_matches_the_filters_are_counted_alone(call: Call) -> None:
    with pytest.raises(
        QueryError, match=r"no record matches \(state=NC alone: 20; area>99 alone: 0\); no run was started"
    ):
        query(filters=["state=NC", "area>99"], call=call)
    assert not Path("outputs").exists()
