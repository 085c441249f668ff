"""The ledger: what is recorded stays, in order, once, whoever writes beside."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, inspect, select

from agir_cvtoolkit.errors import AgirError, ConfigError, LedgerError
from agir_cvtoolkit.ledger import (
    CorrectionRow,
    Ledger,
    Pull,
    PushedFrame,
    PushedShape,
    PushedTask,
    PushKey,
    backup,
)
from agir_cvtoolkit.ledger import _migrations as migrations
from agir_cvtoolkit.ledger._tables import events, push_tasks
from agir_cvtoolkit.records import ManifestEntry

from .conftest import changing

KEY = PushKey("http://s", 7, "PSA", "Round1", "segmentations")


def entry(record_id: str = "MD_1", model: str = "excess_green") -> ManifestEntry:
    return ManifestEntry(
        record_id=record_id,
        common_name=None,
        image_path="images/MD_1.jpg",
        mask_path="masks/MD_1.png",
        width=8,
        height=6,
        sha256="ab" * 32,
        model=model,
        uncertainty=0.5,
        edge_occupancy=0.0,
        inference_time_ms=1.0,
    )


def task(ledger: Ledger, ordinal: int = 0, key: PushKey = KEY, run_id: str = "run") -> PushedTask:
    push_id = ledger.open_push(key, run_id)
    planned = PushedTask(push_id, ordinal, f"Round1 [{push_id}]", run_id, "planned", None, None)
    ledger.plan_task(planned)
    return planned


def frame(of: PushedTask, number: int, record_id: str) -> PushedFrame:
    return PushedFrame(
        of.push_id, of.ordinal, number, record_id, f"{record_id}.jpg", "ab" * 32, 8, 6, "hash", units=1
    )


# --- opening -----------------------------------------------------------------------------------


def test_it_lies_beside_the_runs(out_root: Path) -> None:
    with Ledger.open(None, out_root) as opened:
        assert opened.pushes() == []
    assert (out_root.parent / "ledger.db").is_file()


@pytest.mark.parametrize("name", [None, "sqlite:///{}/elsewhere/l.db", "sqlite://"])
def test_reading_where_no_ledger_is_makes_none(tmp_path: Path, out_root: Path, name: str | None) -> None:
    url = name and name.format(tmp_path)
    assert not Ledger.is_there(url, out_root)
    with Ledger.open_to_read(url, out_root) as nothing:
        assert (nothing.pushes(), nothing.champion(), nothing.record_ids_like("")) == ([], None, [])
        assert nothing.events_of_record("a") == []
    assert list(tmp_path.iterdir()) == []


def test_reading_reads_the_ledger_that_is_there(url: str, out_root: Path) -> None:
    assert not Ledger.is_there(url, out_root)
    with Ledger.open_to_read(url, out_root) as nothing:
        assert nothing.pushes() == []
    assert not Ledger.is_there(url, out_root)
    with Ledger.open(url, out_root) as ledger:
        ledger.record_predictions("run", [(entry(), None)])
    assert Ledger.is_there(url, out_root)
    with Ledger.open_to_read(url, out_root) as again:
        assert [event.kind for event in again.events_of_record("MD_1")] == ["predicted"]


def test_reading_a_damaged_ledger_names_it(out_root: Path) -> None:
    out_root.parent.mkdir()
    (out_root.parent / "ledger.db").write_text("no database " * 1000, encoding="utf-8")
    with pytest.raises(LedgerError, match=r"ledger\.db"):
        Ledger.open_to_read(None, out_root)
    with pytest.raises(ConfigError, match=r"io\.ledger_url"):
        Ledger.open_to_read("nonsense", out_root)


def test_a_relative_or_absolute_url_names_another_file(tmp_path: Path, out_root: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/elsewhere/l.db", out_root):
        assert (tmp_path / "elsewhere" / "l.db").is_file()
    assert not (out_root.parent / "ledger.db").exists()


@pytest.mark.parametrize(
    "name",
    ["nonsense", "nodialect://u:hunter2@h/d", "://", "postgresql+nodriver://u:hunter2@h/d", "sqlite//x"],
)
def test_an_url_that_cannot_be_understood(name: str, out_root: Path) -> None:
    with pytest.raises(ConfigError, match=r"io\.ledger_url") as caught:
        Ledger.open(name, out_root)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"this is no database, whatever its name says" * 50, b"SQLite format 3\x00" + b"\xff" * 4000]
)
def test_a_damaged_file_is_refused_and_left_alone(content: bytes, out_root: Path) -> None:
    file = out_root.parent / "ledger.db"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(LedgerError, match=r"ledger\.db") as caught:
        with Ledger.open(None, out_root) as opened:
            opened.pushes()
    assert caught.value.next_step
    assert file.read_bytes() == content


def test_a_folder_in_the_way(tmp_path: Path, out_root: Path) -> None:
    (out_root.parent / "ledger.db").mkdir(parents=True)
    with pytest.raises(LedgerError):
        Ledger.open(None, out_root)
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be made"):
        Ledger.open(f"sqlite:///{tmp_path}/file/l.db", out_root)


# --- migrations --------------------------------------------------------------------------------


def names_of(url: str) -> list[str]:
    with changing(url) as connection:
        return sorted(connection.exec_driver_sql("select name from migrations").scalars())


def test_migrations_are_applied_once(url: str, out_root: Path) -> None:
    for _ in range(3):
        with Ledger.open(url, out_root) as opened:
            task(opened)
    assert names_of(url) == [name for name, _ in migrations.MIGRATIONS]
    assert not list(out_root.parent.glob("*.bak"))
    with Ledger.open(url, out_root) as opened:
        assert len(opened.pushes()) == 1


def test_a_newer_ledger_is_refused_unchanged(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root):
        pass
    with changing(url) as connection:
        connection.exec_driver_sql("insert into migrations values ('999_of_tomorrow', 'now')")
    with pytest.raises(LedgerError, match="newer version") as caught:
        Ledger.open(url, out_root)
    assert "999_of_tomorrow" in str(caught.value)
    assert "Upgrade" in caught.value.next_step


def _second(connection: Connection) -> None:
    connection.exec_driver_sql("create table of_tomorrow (x integer)")


def test_it_is_backed_up_before_a_migration(
    url: str, out_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(url, out_root) as opened:
        task(opened)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, ("999_later", _second)))
    with Ledger.open(url, out_root) as opened:
        assert len(opened.pushes()) == 1
    saved = out_root.parent / "ledger.db.before-999_later.bak"
    known = [name for name, _ in migrations.MIGRATIONS]
    assert names_of(f"sqlite:///{saved}") == known[:-1]
    assert names_of(url) == known
    with closing(sqlite3.connect(saved)) as connection:
        assert connection.execute("select count(*) from pushes").fetchone() == (1,)


def test_a_ledger_of_the_first_version_is_brought_up_to_date(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root) as opened:
        planned = task(opened)
        opened.task_created(planned, 5, "http://s/tasks/5")
        opened.task_filled(planned, [frame(planned, 0, "a")])
        opened.task_done(planned, {0: 1}, [PushedShape(0, 0, "weed", "mask", "ff")])
    with changing(url) as connection:
        for table in ("push_jobs", "push_aliases", "push_replacements", "replacement_shapes", "jobs"):
            connection.exec_driver_sql(f"drop table {table}")
        for table in ("pull_cursors", "corrections"):
            connection.exec_driver_sql(f"drop table {table}")
        connection.exec_driver_sql("alter table push_shapes drop column geometry")
        connection.exec_driver_sql("alter table pulls drop column assignee")
        connection.exec_driver_sql("alter table pulls drop column type")
        connection.exec_driver_sql("delete from migrations where name > '001_first_tables'")
    with Ledger.open(url, out_root) as opened:
        assert opened.tasks_of_push(planned.push_id)[0].state == "done"
        opened.record_pull(
            Pull("http://s", "run", 5, 9, "2026", "completed", "annotation", 1, 1, "x", "ann"), {}
        )
        last = opened.last_pull("http://s", "run", 9)
        assert last is not None
        assert last.assignee == "ann"
        assert list(opened.corrections_of_run("run", "http://s")) == []
    assert (out_root.parent / "ledger.db.before-002_what_was_left_and_what_came_back.bak").is_file()


def test_a_ledger_that_does_not_know_what_was_changed_learns_it(url: str, out_root: Path) -> None:
    row = CorrectionRow(
        server="http://s",
        run_id="run",
        task_id=1,
        job_id=11,
        frame=0,
        record_id="a",
        outcome="edited",
        label="weed",
        label_before="weed",
        kind="mask",
        iou=0.8,
        boundary_px=1.0,
        moved_points=None,
        moved_px=None,
        changed_points=None,
        annotator="ada",
        updated_date="2026-01-01T00:00:00Z",
    )
    with Ledger.open(url, out_root) as opened:
        opened.record_corrections("http://s", "run", 11, [row])
    with changing(url) as connection:
        connection.exec_driver_sql("alter table corrections drop column changed")
        connection.exec_driver_sql(
            "delete from migrations where name > '002_what_was_left_and_what_came_back'"
        )
    with Ledger.open(url, out_root) as opened:
        assert list(opened.corrections_of_run("run", "http://s")) == [row]
        assert row.is_redrawn
        marked = replace(row, changed="occluded")
        opened.record_corrections("http://s", "run", 11, [marked])
        assert list(opened.corrections_of_run("run", "http://s")) == [marked]
        assert not marked.is_redrawn


def _broken(connection: Connection) -> None:
    connection.exec_driver_sql("create table half (x integer)")
    connection.exec_driver_sql("insert into nowhere values (1)")


def test_a_migration_that_fails_leaves_nothing_behind(
    url: str, out_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(url, out_root):
        pass
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, ("002_broken", _broken)))
    with pytest.raises(LedgerError):
        Ledger.open(url, out_root)
    with changing(url) as connection:
        assert not inspect(connection).has_table("half")
    monkeypatch.undo()
    with Ledger.open(url, out_root) as opened:
        assert opened.pushes() == []


def test_backup_copies_a_live_file(out_root: Path, tmp_path: Path) -> None:
    with Ledger.open(None, out_root) as opened:
        task(opened)
    backup(out_root.parent / "ledger.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("select count(*) from push_tasks").fetchone() == (1,)


# --- predictions -------------------------------------------------------------------------------


def test_a_prediction_is_recorded_once(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.record_predictions("run", [(entry(), "cd" * 32), (entry("MD_2"), None)])
    ledger.record_predictions("run", [(entry(), "ee" * 32)])
    assert [e.kind for e in ledger.events_of_record("MD_1")] == ["predicted", "predicted"]
    (event,) = ledger.events_of_record("MD_2")
    assert (event.run_id, event.detail["model"]) == ("run", "excess_green")


def originals_of(url: str) -> list[tuple[str, str, float]]:
    query = "select record_id, image_sha256, uncertainty from predictions order by id"
    with changing(url) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_predictions_of_two_originals_with_the_same_mask_both_stay(url: str, out_root: Path) -> None:
    first, second = "ab" * 32, "ba" * 32
    with Ledger.open(url, out_root) as ledger:
        for digest in (first, second, second, first):
            ledger.record_predictions("run", [(replace(entry(), sha256=digest), "cd" * 32)])
        assert [e.kind for e in ledger.events_of_record("MD_1")] == ["predicted", "predicted"]
    assert [row[1] for row in originals_of(url)] == [first, second]


# --- pushes ------------------------------------------------------------------------------------


def test_a_push_is_known_by_its_key(ledger: Ledger) -> None:
    first = ledger.open_push(KEY, "run")
    assert ledger.open_push(KEY, "another run") == first == KEY.push_id
    others = [
        PushKey("http://t", 7, "PSA", "Round1", "segmentations"),
        PushKey("http://s", 8, "PSA", "Round1", "segmentations"),
        PushKey("http://s", None, "PSA", "Round1", "segmentations"),
        PushKey("http://s", 7, None, "Round1", "segmentations"),
        PushKey("http://s", 7, "PSA", "Round2", "segmentations"),
        PushKey("http://s", 7, "PSA", "Round1", "detections"),
    ]
    assert len({first, *(ledger.open_push(key, "run") for key in others)}) == 7
    assert ledger.pushes()[0][1] == KEY


def test_the_life_of_a_task(ledger: Ledger) -> None:
    planned = task(ledger)
    (found,) = ledger.tasks_of_push(planned.push_id)
    assert (found.state, found.task_id, found.url) == ("planned", None, None)
    assert ledger.has_open_tasks(planned.push_id)

    ledger.task_created(planned, 41, "http://s/tasks/41")
    created = ledger.task_by_id("http://s", 41)
    assert created is not None
    assert (created.state, created.url) == ("created", "http://s/tasks/41")
    assert ledger.task_by_id("http://t", 41) is None

    ledger.task_filled(created, [frame(created, 1, "b"), frame(created, 0, "a")])
    assert [(f.frame, f.record_id, f.shapes) for f in ledger.frames_of_task(created)] == [
        (0, "a", None),
        (1, "b", None),
    ]
    assert ledger.tasks_of_run("run", "http://s") == []

    shape = PushedShape(0, 0, "weed", "mask", "beef")
    ledger.task_done(created, {0: 1}, [shape])
    assert [f.shapes for f in ledger.frames_of_push(planned.push_id)] == [1, 0]
    assert ledger.shapes_of_frame(created, 0) == [shape]
    assert [t.state for t in ledger.tasks_of_push(planned.push_id)] == ["done"]
    assert not ledger.has_open_tasks(planned.push_id)
    assert [t.task_id for t in ledger.tasks_of_run("run", "http://s")] == [41]
    assert ledger.tasks_of_run("run", "http://t") == []
    (event,) = ledger.events_of_record("a")
    assert (event.kind, event.detail["task"], event.detail["shapes"]) == ("pushed", 41, 1)


def test_done_again_replaces_its_shapes(ledger: Ledger) -> None:
    one = task(ledger)
    ledger.task_created(one, 41, "u")
    ledger.task_filled(one, [frame(one, 0, "a")])
    ledger.task_done(one, {0: 2}, [PushedShape(0, i, "weed", "mask", str(i)) for i in range(2)])
    ledger.task_done(one, {0: 1}, [PushedShape(0, 0, "weed", "mask", "x")])
    assert [shape.geometry_hash for shape in ledger.shapes_of_frame(one, 0)] == ["x"]
    assert [f.shapes for f in ledger.frames_of_task(one)] == [1]


def test_a_forgotten_task_leaves_no_rows_and_may_be_planned_again(ledger: Ledger) -> None:
    one, two = task(ledger, 0), task(ledger, 1)
    ledger.task_created(one, 41, "u")
    ledger.task_filled(one, [frame(one, 0, "a")])
    ledger.task_filled(two, [frame(two, 0, "b")])
    ledger.forget_task(one)
    assert [t.ordinal for t in ledger.tasks_of_push(one.push_id)] == [1]
    assert [f.record_id for f in ledger.frames_of_push(one.push_id)] == ["b"]
    task(ledger, 0)
    assert [t.state for t in ledger.tasks_of_push(one.push_id)] == ["planned", "filled"]


def test_a_change_and_its_event_commit_together(ledger: Ledger) -> None:
    one = task(ledger)
    ledger.task_filled(one, [frame(one, 0, "a")])
    with pytest.raises(LedgerError):
        ledger.task_filled(one, [frame(one, 1, "b"), frame(one, 0, "twice")])
    assert [f.record_id for f in ledger.frames_of_task(one)] == ["a"]


# --- pulls -------------------------------------------------------------------------------------


def pull(updated: str = "2026-01-01T00:00:00Z", shapes: int = 3) -> Pull:
    return Pull(
        "http://s", "run", 41, 5, updated, "completed", "annotation", 2, shapes, "cvat_downloads/41_x"
    )


def test_pulls_are_kept_by_job_and_date(ledger: Ledger) -> None:
    assert ledger.last_pull("http://s", "run", 5) is None
    ledger.record_pull(pull(), {"a": 2, "b": 1})
    ledger.record_pull(pull(shapes=4), {"a": 3})
    ledger.record_pull(pull("2026-01-02T00:00:00Z"), {"a": 3})
    last = ledger.last_pull("http://s", "run", 5)
    assert last is not None
    assert last.updated_date.startswith("2026-01-02")
    assert [p.shapes for p in ledger.pulls_of_task("http://s", 41)] == [4, 3]
    assert ledger.last_pull("http://s", "another", 5) is None
    assert [e.detail["shapes"] for e in ledger.events_of_record("a")] == [2, 3, 3]


# --- models ------------------------------------------------------------------------------------


def test_there_is_one_champion(ledger: Ledger) -> None:
    assert ledger.champion() is None
    for version in ("v1", "v2"):
        ledger.record_model(version, f"/m/{version}.pth", "unet", "run", {"iou": 0.9})
    ledger.promote("v1")
    ledger.promote("v2")
    assert [m.version for m in ledger.models() if m.is_champion] == ["v2"]
    champion = ledger.champion()
    assert champion is not None
    assert champion.champion_since is not None


def test_a_model_that_moved_is_known_at_its_new_place(ledger: Ledger) -> None:
    ledger.record_model("v1", "/model", "unet", "run", {})
    ledger.record_model("v2", "/promoted", "unet", "run", {})
    for version in ("v1", "v2"):
        ledger.model_moved(version, "/model", f"/history/{version}")
    assert {m.version: m.path for m in ledger.models()} == {"v1": "/history/v1", "v2": "/promoted"}


def test_a_promotion_names_the_run_of_its_model(ledger: Ledger) -> None:
    ledger.record_model("v1", "/m", "unet", "run", {})
    ledger.record_model("v1", "/promoted", "unet", None, {})
    ledger.promote("v1")
    with ledger._begin() as connection:
        row = connection.execute(select(events).where(events.c.kind == "promoted")).one()
    assert row.run_id == "run"
    assert json.loads(row.detail) == {"version": "v1", "path": "/promoted", "kind": "segmentation"}


def test_an_unknown_model_is_not_promoted_and_the_champion_stays(ledger: Ledger) -> None:
    ledger.record_model("v1", "/m", "unet", None, {})
    ledger.promote("v1")
    with pytest.raises(LedgerError, match="v9"):
        ledger.promote("v9")
    champion = ledger.champion()
    assert champion is not None
    assert champion.version == "v1"


def test_a_model_recorded_again_moves_but_keeps_its_crown(ledger: Ledger) -> None:
    ledger.record_model("v1", "/old", "unet", None, {})
    ledger.promote("v1")
    ledger.record_model("v1", "/new", "unet", None, {})
    champion = ledger.champion()
    assert champion is not None
    assert champion.path == "/new"


# --- events ------------------------------------------------------------------------------------


def test_the_life_of_a_record_is_told_in_order(ledger: Ledger) -> None:
    ledger.record_predictions("run", [(entry("a"), None)])
    one = task(ledger)
    ledger.task_created(one, 41, "u")
    ledger.task_filled(one, [frame(one, 0, "a")])
    ledger.task_done(one, {0: 1}, [])
    ledger.record_pull(pull(), {"a": 2})
    events = ledger.events_of_record("a")
    assert [e.kind for e in events] == ["predicted", "pushed", "pulled"]
    assert [e.at for e in events] == sorted(e.at for e in events)
    assert ledger.events_of_record("b") == []


def test_record_ids_are_found_in_the_order_of_their_characters(ledger: Ledger) -> None:
    ledger.record_predictions("run", [(entry(i), None) for i in ("md_2", "MD_10", "_MD", "MD_1")])
    assert ledger.record_ids_like("md") == ["MD_1", "MD_10", "_MD", "md_2"]


def test_record_ids_are_found_by_a_part_literally(ledger: Ledger) -> None:
    ledger.record_predictions("run", [(entry(i), None) for i in ("MD_1", "MD_12", "MDx1", "50%")])
    assert ledger.record_ids_like("MD_1") == ["MD_1", "MD_12"]
    assert ledger.record_ids_like("%") == ["50%"]


# --- several at once ---------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from agir_cvtoolkit.ledger import Ledger, PushKey, PushedTask
from tests.ledger.test_ledger import entry
url, root, me = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
for n in range(8):
    with Ledger.open(url, root) as ledger:
        push = ledger.open_push(PushKey("s", None, None, f"shared {n}", "segmentations"), f"run {me}")
        ledger.plan_task(PushedTask(push, me, "t", f"run {me}", "planned", None, None))
        ledger.record_predictions("run", [(entry(f"r{n}"), None)])
"""


@pytest.mark.integration
def test_processes_that_write_at_once_lose_and_double_nothing(url: str, out_root: Path) -> None:
    root = Path(__file__).parents[2]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, url, str(out_root), str(n)],
            cwd=root,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    for worker in workers:
        _, problem = worker.communicate(timeout=600)
        assert worker.returncode == 0, problem
    with Ledger.open(url, out_root) as ledger:
        pushes = ledger.pushes()
        assert len(pushes) == 8
        assert all(len(ledger.tasks_of_push(push_id)) == 3 for push_id, _, _ in pushes)
        assert all(len(ledger.events_of_record(f"r{n}")) == 1 for n in range(8))


def test_errors_are_of_the_tree(out_root: Path) -> None:
    with pytest.raises(AgirError):
        Ledger.open("nonsense", out_root)


def test_who_only_reads_does_not_wait_for_who_writes(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root) as writer:
        task(writer)
        with writer._begin() as connection:
            connection.execute(delete(push_tasks))
            # Whoever wanted to write would be told after half a minute that it is locked.
            with Ledger.open_to_read(url, out_root) as reader:
                assert len(reader.tasks_of_push(KEY.push_id)) == 1
    with Ledger.open_to_read(url, out_root) as reader:
        assert reader.tasks_of_push(KEY.push_id) == []


def test_ctrl_c_within_a_statement_keeps_nobody_from_writing(tmp_path: Path) -> None:
    pending: list[Any] = []

    def interrupted(ledger: Ledger) -> None:
        with ledger._begin() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            pending.append(raw.cursor())
            pending[0].execute("SELECT 1 UNION SELECT 2")
            # As SQLAlchemy does when it comes within a statement.
            connection.invalidate(KeyboardInterrupt())
            raise KeyboardInterrupt

    with Ledger.open(None, tmp_path / "runs") as ledger:
        with pytest.raises(KeyboardInterrupt):
            interrupted(ledger)
        with closing(sqlite3.connect(tmp_path / "ledger.db", timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
    assert pending  # the trace of an error refers to it as well
