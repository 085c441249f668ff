"""A ledger that several machines share on a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from agir_cvtoolkit.errors import ConfigError, LedgerError, MissingExtraError, UsageError
from agir_cvtoolkit.ledger import (
    Ledger,
    PushedTask,
    PushKey,
    _postgres,
    backup_ledger,
    check_database,
    copy_ledger,
    describe_database,
)
from tests.postgres import PASSWORD, Server

from .conftest import changing
from .test_ledger import entry

KEY = PushKey("http://s", 7, "PSA", "Round1", "segmentations")


@pytest.fixture
def schema(new_schema: Callable[[], str]) -> str:
    return new_schema()


def fill(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root) as ledger:
        push = ledger.open_push(KEY, "run")
        ledger.plan_task(PushedTask(push, 0, "t", "run", "planned", None, None))
        ledger.record_predictions("run", [(entry(f"r{n}"), "é" * n) for n in range(3)])
        ledger.record_model("v1", "/m", "unet", None, {})
        ledger.promote("v1")


# --- where it is -------------------------------------------------------------------------------


def test_what_cannot_be_reached_is_named_without_its_password(postgres: Server, out_root: Path) -> None:
    here = f"127.0.0.1:{postgres.port}"
    cases = {
        "postgresql://me:hunter2@127.0.0.1:1/d": ("refused", "Check that the server runs"),
        f"postgresql://me:hunter2@{here}/nowhere": ("does not exist", "createdb"),
        f"postgresql://careful:hunter2@{here}/postgres": ("authentication failed", "PGPASSWORD"),
    }
    for url, (reason, next_step) in cases.items():
        with pytest.raises(LedgerError) as caught:
            Ledger.open(url, out_root)
        assert reason in caught.value.problem
        assert next_step in caught.value.next_step
        assert str(make_url(url).port) in caught.value.problem
        assert "hunter2" not in f"{caught.value} {caught.value.__cause__!r}"
        assert "\n" not in str(caught.value)


def test_the_password_may_come_from_the_environment(
    postgres: Server, schema: str, out_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(make_url(schema).query["options"]).rpartition("=")[2]
    postgres.sql(
        "DROP ROLE IF EXISTS careful",
        f"CREATE ROLE careful LOGIN PASSWORD '{PASSWORD}'",
        f"GRANT ALL ON SCHEMA {name} TO careful",
    )
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with Ledger.open(postgres.url_of(name, "careful"), out_root) as ledger:
        assert ledger.pushes() == []
    postgres.sql("DROP OWNED BY careful")


def test_who_may_not_make_tables_is_told(postgres: Server, schema: str, out_root: Path) -> None:
    name = str(make_url(schema).query["options"]).rpartition("=")[2]
    postgres.sql(
        "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN", f"GRANT USAGE ON SCHEMA {name} TO guest"
    )
    with pytest.raises(LedgerError, match="permission denied") as caught:
        Ledger.open(postgres.url_of(name, "guest"), out_root)
    assert "schema of its own" in caught.value.next_step
    postgres.sql("DROP OWNED BY guest", "DROP ROLE guest")


def test_another_kind_of_database_holds_no_ledgers(out_root: Path) -> None:
    with pytest.raises(ConfigError, match="mysql, which holds no ledgers"):
        Ledger.open("mysql://me:hunter2@host/d", out_root)


def test_the_missing_driver_is_named(out_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[postgres\]"):
        Ledger.open("postgresql://me@127.0.0.1/d", out_root)


@pytest.mark.parametrize("table", ["migrations (id integer)", "events (x integer)"])
def test_tables_of_something_else_are_left_alone(table: str, url: str, out_root: Path) -> None:
    out_root.mkdir(parents=True)
    with changing(url) as connection:
        connection.exec_driver_sql(f"CREATE TABLE {table}")
    with pytest.raises(LedgerError, match=f"no ledger.*{table.split(maxsplit=1)[0]}"):
        Ledger.open(url, out_root)


def test_it_may_share_a_database_with_others(schema: str, out_root: Path) -> None:
    with changing(schema) as connection:
        connection.exec_driver_sql("CREATE TABLE of_others (x integer)")
    with Ledger.open(schema, out_root) as ledger:
        assert ledger.pushes() == []


def test_it_is_described(schema: str, out_root: Path) -> None:
    assert describe_database(schema, out_root).startswith("PostgreSQL ")
    assert describe_database(schema, out_root).endswith("/postgres")
    assert describe_database(schema.replace("postgresql://", "postgres://"), out_root).endswith("/postgres")
    assert describe_database("sqlite:///there.db", out_root).endswith("there.db")
    assert not Path("there.db").exists()


# --- one at a time -----------------------------------------------------------------------------

_HOLDER = """
import sys, time
from pathlib import Path
from agir_cvtoolkit.ledger import Ledger
with Ledger.open(sys.argv[1], Path(sys.argv[2])) as ledger, ledger.hold("push 1"):
    print("held", flush=True)
    sys.stdin.readline()
    with ledger._begin() as connection:
        connection.exec_driver_sql("INSERT INTO migrations VALUES ('999_half', 'made')")
        print("half", flush=True)
        time.sleep(600)
"""


@pytest.mark.integration
def test_a_push_is_held_until_its_process_ends_however_it_ends(
    schema: str, tmp_path: Path, out_root: Path
) -> None:
    """The two have folders of their own, as machines have: no lock file keeps them apart.

    Of the change that it was making nothing is left.
    """
    elsewhere = tmp_path / "another machine" / "runs"
    command = [sys.executable, "-c", _HOLDER, schema, str(elsewhere)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdin is not None
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with Ledger.open(schema, out_root) as ledger:
                with pytest.raises(
                    UsageError, match=f"push 1 is held by agir-cvtoolkit, process {other.pid} on"
                ):
                    with ledger.hold("push 1"):
                        pass
                with ledger.hold("push 2"):
                    ledger.open_push(KEY, "run")
            other.stdin.write("go on\n")
            other.stdin.flush()
            assert other.stdout.readline() == "half\n"
        finally:
            other.send_signal(signal.SIGKILL)
    with Ledger.open(schema, out_root) as ledger:
        with ledger.hold("push 1"):
            ledger.open_push(KEY, "run")
        with ledger.hold("push 1"):
            assert len(ledger.pushes()) == 1


def test_nothing_is_changed_once_the_hold_is_lost(postgres: Server, schema: str, out_root: Path) -> None:
    mine = f"application_name = '{_postgres.who_am_i()}' AND pid <> pg_backend_pid()"
    with Ledger.open(schema, out_root) as ledger:
        with ledger.hold("push 1"):
            postgres.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
            with pytest.raises(LedgerError, match="kept others from push 1 is lost") as caught:
                ledger.open_push(KEY, "run")
            assert "Run the same command again" in caught.value.next_step
        assert ledger.pushes() == []
        ledger.open_push(KEY, "run")


def test_a_file_needs_no_hold_beside_its_lock_files(out_root: Path) -> None:
    with Ledger.open(None, out_root) as ledger, ledger.hold("push 1"), ledger.hold("push 1"):
        assert ledger.pushes() == []


def test_who_waits_too_long_for_the_pen_is_told(
    schema: str, out_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(schema, out_root) as first:
        monkeypatch.setattr(_postgres, "_SETTINGS", ("SET lock_timeout = '50ms'",))
        with Ledger.open(schema, out_root) as second, first._begin():
            with pytest.raises(LedgerError, match="lock timeout") as caught:
                second.open_push(KEY, "run")
        assert "Another program writes" in caught.value.next_step


def test_a_server_started_anew_is_no_matter_between_two_changes(
    postgres: Server, schema: str, out_root: Path
) -> None:
    with Ledger.open(schema, out_root) as ledger:
        ledger.open_push(KEY, "run")
        postgres.stop()
        with pytest.raises(LedgerError, match="refused") as caught:
            ledger.pushes()
        assert "Check that the server runs" in caught.value.next_step
        postgres.start()
        assert len(ledger.pushes()) == 1


# --- copies ------------------------------------------------------------------------------------


def test_a_backup_is_a_ledger_in_a_file(schema: str, tmp_path: Path, out_root: Path) -> None:
    fill(schema, out_root)
    target = tmp_path / "copies" / "ledger.db"
    backup_ledger(schema, out_root, target)
    with Ledger.open(schema, out_root) as there, Ledger.open(f"sqlite:///{target}", out_root) as here:
        assert here.pushes() == there.pushes() != []
        assert here.models() == there.models()
        for record in ("r0", "r2"):
            assert here.events_of_record(record) == there.events_of_record(record) != []
    assert {path.name for path in target.parent.iterdir()} <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    with pytest.raises(UsageError, match="is there already"):
        backup_ledger(schema, out_root, target)


def test_a_ledger_moves_to_a_server_and_goes_on_there(schema: str, out_root: Path) -> None:
    fill(f"sqlite:///{out_root.parent}/ledger.db", out_root)
    rows = copy_ledger(None, out_root, schema)
    assert rows > 10
    assert check_database(schema, out_root) == []
    with Ledger.open(None, out_root) as there, Ledger.open(schema, out_root) as here:
        assert here.events_of_record("r1") == there.events_of_record("r1")
        here.record_predictions("run", [(entry("r9"), None)])
        assert [event.kind for event in here.events_of_record("r9")] == ["predicted"]
        assert [model.is_champion for model in here.models()] == [True]
    with pytest.raises(UsageError, match="has rows already"):
        copy_ledger(None, out_root, schema)


def test_no_ledger_cannot_be_copied(schema: str, out_root: Path) -> None:
    with pytest.raises(UsageError, match="there is no ledger"):
        copy_ledger(None, out_root, schema)
    with pytest.raises(UsageError, match="there is no ledger"):
        backup_ledger(schema, out_root, out_root.parent / "copy.db")
    assert check_database(schema, out_root) == []


def test_missing_tables_and_columns_are_found(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root):
        pass
    assert check_database(url, out_root) == []
    with changing(url) as connection:
        connection.exec_driver_sql("DROP TABLE push_aliases")
        connection.exec_driver_sql("ALTER TABLE models DROP COLUMN path")
    problems = [finding.problem for finding in check_database(url, out_root)]
    assert sorted(problems) == ["has no table push_aliases", "its table models has no column path"]
    with Ledger.open(url, out_root) as ledger, pytest.raises(LedgerError) as caught:
        ledger.models()
    assert "ledger check" in caught.value.next_step


def test_the_process_is_named_in_few_enough_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "é" * 100)
    assert len(_postgres.who_am_i().encode()) == 63
    assert str(os.getpid()) in _postgres.who_am_i()
