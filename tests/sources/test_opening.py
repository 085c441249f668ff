"""What a setting may name, and databases that are not what they should be: one line, the subject, the next step."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.errors import AgirError, ConfigError, DatabaseError, MissingExtraError, UsageError
from agir_cvtoolkit.sources.opening import open_database
from tests.postgres import Server

from .engines import make_table
from .tables import ids, make_database, plan_for


def reason(address: object, table: str = "semif", setting: str = "db.semif.db_path") -> AgirError:
    """Return what is said of a database that cannot be queried, after checking how it is said."""

    def ask() -> None:
        with open_database(str(address), setting) as database:
            database.source(table, ("cutout_id",), "db.semif.table")
            ids(database)

    with pytest.raises(AgirError) as caught:
        ask()
    assert "\n" not in str(caught.value)
    assert caught.value.next_step
    return caught.value


# --- what it may be ----------------------------------------------------------------------------


def test_several_files_are_one_table(tmp_path: Path) -> None:
    for n, kind in ((1, "parquet"), (2, "parquet"), (1, "csv"), (2, "csv")):
        folder = tmp_path / kind / str(n)
        folder.mkdir(parents=True)
        make_table(kind, folder, str, "cutout_id TEXT, n INTEGER", [(f"0{n}", n)])
    for address in (
        tmp_path / "parquet",
        tmp_path / "parquet" / "*" / "*.parquet",
        tmp_path / "csv/*/semif.csv",
    ):
        with open_database(str(address)) as database:
            assert ids(database) == ["01", "02"]
            assert ids(database, "n>1") == ["02"]
            assert database.pictures_base is not None


def test_files_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    Path(make_table("duckdb", tmp_path, str)).rename(tmp_path / "a.db")
    with open_database(str(tmp_path / "a.db")) as database:
        assert len(ids(database)) == 5


def test_a_csv_of_semicolons_keeps_what_is_empty_apart_from_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "semif.csv"
    path.write_text('\ufeffcutout_id;name;area\n007;"";1,5\n008;;2\n', encoding="utf-8")
    with open_database(str(path)) as database:
        plan = plan_for(database)
        assert list(plan.rows(database)) == [("007", "", "1,5"), ("008", None, "2")]


def test_another_schema_and_a_view(postgres: Server, new_schema: Callable[[], str], tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(new_schema()) as connection:
        connection.execute(
            b"CREATE TABLE \"Plants\" (cutout_id text); INSERT INTO \"Plants\" VALUES ('a'), ('b')"
        )
        connection.execute(b"CREATE VIEW semif AS SELECT * FROM \"Plants\" WHERE cutout_id = 'a'")
        (schema,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
    with open_database(postgres.url) as database:
        for table, expected in ((f"{schema}.Plants", ["a", "b"]), (f"{schema}.semif", ["a"])):
            plan = plan_for(database, table=table)
            assert [row[0] for row in plan.rows(database)] == expected
        assert f"{schema}.Plants" in database.tables()


def test_a_table_that_changed_is_told_from_one_that_did_not(
    postgres: Server, new_schema: Callable[[], str], tmp_path: Path
) -> None:
    import psycopg

    path = Path(make_table("csv", tmp_path, str))
    server = make_table("postgresql", tmp_path, new_schema)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.jpg").touch()

    def change(address: str) -> None:
        if address == server:
            with psycopg.connect(server) as connection:
                connection.execute(b"INSERT INTO semif (cutout_id) VALUES ('new')")
                connection.execute(b"SELECT pg_stat_force_next_flush()")
        elif address == str(path):
            path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
        else:
            (pictures / "b.jpg").touch()

    for address in (str(path), server, str(pictures)):
        with open_database(address) as database:
            before = database.state("semif")
            assert database.state("semif") == before
        change(address)
        with open_database(address) as database:
            assert database.state("semif") != before, address


def test_a_folder_of_pictures_is_a_table(tmp_path: Path) -> None:
    for name in ("b/IMG_2.JPG", "a/IMG_1.png", "a/notes.txt", ".hidden/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    os.utime(tmp_path / "a/IMG_1.png", (1_660_000_000, 1_660_000_000))
    with open_database(str(tmp_path)) as database:
        assert ids(database) == ["IMG_1", "IMG_2"]
        assert ids(database, "suffix=jpg and file_bytes=5") == ["IMG_2"]
        assert ids(database, "datetime<=2022-12-31") == ["IMG_1"]
        assert ids(database, "folder=a") == ["IMG_1"]
        assert ids(database, sample="stratified:by=folder,per_group=1,seed=1") == ["IMG_1", "IMG_2"]
        row = next(
            iter(plan_for(database, filters=["folder=b"], projection="image_path,image_id").rows(database))
        )
        assert row == ("IMG_2", "b/IMG_2.JPG", "IMG_2")
        assert database.pictures_base == tmp_path


# --- what it must not be -----------------------------------------------------------------------


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for name in ("x.db", "x.parquet", "x.csv", "x.duckdb"):
        error = reason(tmp_path / name)
        assert f"{tmp_path / name} does not exist" in error.problem
        assert "db.semif.db_path" in error.next_step
    assert "no file is called like" in reason(tmp_path / "*.parquet").problem
    assert isinstance(reason(tmp_path), UsageError)
    for kind in ("mysql://u:hunter2@h/d", "sqlite:///x.db", "s3://bucket/x.db"):
        error = reason(kind)
        assert isinstance(error, ConfigError)
        assert "hunter2" not in str(error)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "parquet"])
def test_a_file_that_was_cut_off(kind: str, tmp_path: Path) -> None:
    rows = [(f"{n}", "x" * 200) for n in range(200)]
    path = Path(make_table(kind, tmp_path, str, "cutout_id TEXT, note TEXT", rows))
    content = path.read_bytes()
    for size in (0, 10, 100, len(content) // 2):
        path.write_bytes(content[:size])
        error = reason(path)
        assert isinstance(error, DatabaseError), error
        assert str(path) in error.problem


@pytest.mark.parametrize("name", ["x.db", "x.duckdb", "x.parquet"])
def test_what_is_no_database_at_all(name: str, tmp_path: Path) -> None:
    for content in (b"notes, not tables\n" * 100, b"\x89PNG\r\n\x1a\n" + bytes(2000), bytes(5000)):
        (tmp_path / name).write_bytes(content)
        assert str(tmp_path / name) in reason(tmp_path / name).problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no id column"),
        (b"state,area\nNC,5\n", "no id column"),
        (b"cutout_id,area\na,1\nb,2,3\n", "line 3 has 3 fields, the header 2"),
        (b"cutout_id,area\n\xff\xfe\x00,5\n", "line 2 is not UTF-8"),
        (b'cutout_id,area\n"a,5\n', "line 2: unexpected end of data"),
    ],
)
def test_a_csv_that_is_none(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    error = reason(path)
    assert str(path) in error.problem
    assert said.lower() in str(error).lower()


def test_a_database_that_another_program_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agir_cvtoolkit.sources.sqlite._WAIT_S", 0.05)
    path = make_database(tmp_path / "semif.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert "locked by another program" in reason(path).problem


@pytest.mark.integration
def test_a_duckdb_file_that_another_program_writes_to(tmp_path: Path) -> None:
    import subprocess

    path = make_table("duckdb", tmp_path, str)
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        error = reason(path)
        writer.communicate("")
    assert "locked by another program" in error.problem


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "postgresql"])
def test_a_table_that_is_not_there(kind: str, tmp_path: Path, new_schema: Callable[[], str]) -> None:
    address = make_table(kind, tmp_path, new_schema, "cutout_id TEXT, n INTEGER", [("a", 1)])
    for table in ("plants", 'x"; DROP TABLE semif; --', "no.where"):
        error = reason(address, table)
        assert f"has no table '{table}'; its tables: " in error.problem
        assert "semif" in error.problem.partition("its tables: ")[2]
        assert error.next_step == "Set db.semif.table."
    with open_database(address) as database, pytest.raises(DatabaseError, match="no id column") as caught:
        database.source("semif", ("key",), "db.semif.table")
    assert "data.semif.cutout_id_column to one of: cutout_id, n" in caught.value.next_step


def test_a_server_that_cannot_be_asked(postgres: Server, new_schema: Callable[[], str]) -> None:
    here = f"127.0.0.1:{postgres.port}"
    for address, said, step in (
        ("postgresql://me:hunter2@127.0.0.1:1/d", "refused", "Check that the server runs"),
        (f"postgresql://me:hunter2@{here}/nowhere", "does not exist", "Correct the name in db.semif.db_path"),
        (f"postgresql://careful:hunter2@{here}/postgres", "authentication failed", "PGPASSWORD"),
    ):
        error = reason(address)
        assert said in error.problem
        assert step in error.next_step
        assert "hunter2" not in f"{error} {error.__cause__!r}"
    name = new_schema().rpartition("%3D")[2]
    postgres.sql(
        "DROP ROLE IF EXISTS visitor",
        "CREATE ROLE visitor LOGIN",
        f"CREATE TABLE {name}.semif (cutout_id text)",
        f"GRANT USAGE ON SCHEMA {name} TO visitor",
    )
    error = reason(postgres.url_of(name, "visitor"))
    assert "permission denied" in error.problem
    assert "GRANT SELECT" in error.next_step
    postgres.sql("DROP OWNED BY visitor", "DROP ROLE visitor")


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.csv").write_text("cutout_id\na\n")
    missing: dict[str, Any] = {"duckdb": tmp_path / "x.csv", "psycopg": "postgresql://me@127.0.0.1/d"}
    for module, address in missing.items():
        monkeypatch.setitem(sys.modules, module, None)
        assert isinstance(reason(address), MissingExtraError)
