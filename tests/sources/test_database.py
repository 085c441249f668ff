from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import DatabaseError
from agir_cvtoolkit.sources.database import Database
from agir_cvtoolkit.sources.sqlite import SqliteDatabase
from agir_cvtoolkit.sources.table import kind_of

from .tables import ids, make_database


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    path = make_database(tmp_path / "semif ?#%41 ü.db")
    before = path.read_bytes()
    with SqliteDatabase(path) as database:
        assert len(ids(database)) == 5
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            database.connection.connection.cursor().execute("DELETE FROM semif")
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_a_database_in_wal_mode_leaves_no_trace(tmp_path: Path) -> None:
    path = make_database(tmp_path / "semif.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    with SqliteDatabase(path) as database:
        assert len(ids(database)) == 5
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_writer_in_wal_mode_is_seen(tmp_path: Path) -> None:
    path = make_database(tmp_path / "semif.db")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("DELETE FROM semif WHERE state = 'NC'")
        writer.commit()
        with SqliteDatabase(path) as database:
            assert len(ids(database)) == 3


def test_a_folder_that_may_only_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    path = make_database(folder / "semif.db")
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        with SqliteDatabase(path) as database:
            assert len(ids(database)) == 5
            assert [entry.name for entry in folder.iterdir()] == ["semif.db"]
    finally:
        folder.chmod(0o755)


def test_what_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="does not exist"):
        SqliteDatabase(tmp_path / "missing.db")
    with pytest.raises(DatabaseError, match="is a folder"):
        SqliteDatabase(tmp_path)
    text = tmp_path / "notes.db"
    text.write_text("these are notes, not tables")
    with pytest.raises(DatabaseError, match="not an SQLite database"):
        SqliteDatabase(text)
    broken = make_database(tmp_path / "broken.db")
    content = bytearray(broken.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    broken.write_bytes(content)
    with pytest.raises(DatabaseError, match="damaged"):
        SqliteDatabase(broken)


def test_missing_table_names_those_there(tmp_path: Path) -> None:
    path = make_database(tmp_path / "x.db", table="records")
    with (
        SqliteDatabase(path) as database,
        pytest.raises(DatabaseError, match="no table 'semif'; its tables: records"),
    ):
        database.source("semif", ("cutout_id",))
    (tmp_path / "empty.db").touch()
    with (
        SqliteDatabase(tmp_path / "empty.db") as database,
        pytest.raises(DatabaseError, match="its tables: none"),
    ):
        database.source("semif", ("cutout_id",))


def test_missing_id_column(database: Database) -> None:
    with pytest.raises(DatabaseError, match="no id column"):
        database.source("semif", ("key",))


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_database(tmp_path / "semif.db")
    monkeypatch.setattr("agir_cvtoolkit.sources.sqlite._WAIT_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="locked"):
            SqliteDatabase(path)


def test_text_in_another_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "semif.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE semif (cutout_id TEXT, state TEXT)")
        connection.execute("INSERT INTO semif VALUES ('a', CAST(x'47fc6e' AS TEXT))")
    with SqliteDatabase(path) as database:
        source = database.source("semif", ("cutout_id",))
        assert database.connection.exec_driver_sql("SELECT state FROM semif").scalar_one() == "Gün"
        assert source.id_column == "cutout_id"


def test_numbers_that_hold_text(tmp_path: Path) -> None:
    rows = [("a", 5), ("b", "[1, 2, 3, 4]"), ("c", 90)]
    path = make_database(tmp_path / "x.db", columns="cutout_id TEXT, size REAL", rows=rows)
    with SqliteDatabase(path) as database:
        assert ids(database, "size='[1, 2, 3, 4]'") == ["b"]
        assert ids(database, "size>=6") == ["c"], "text is not larger than a number"


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("INTEGER", "integer"),
        ("bigint", "integer"),
        ("VARCHAR(20)", "text"),
        ("TEXT", "text"),
        ("FLOAT", "number"),
        ("NUMERIC", "number"),
        ("DATETIME", "any"),
        ("", "any"),
        ("BLOB", "any"),
    ],
)
def test_kinds(declared: str, kind: str) -> None:
    assert kind_of(declared) == kind


def test_an_untyped_column_matches_both(tmp_path: Path) -> None:
    rows = [("a", 5), ("b", "5"), ("c", "x"), ("d", 7)]
    path = make_database(tmp_path / "x.db", columns="cutout_id TEXT, code", rows=rows)
    with SqliteDatabase(path) as database:
        assert ids(database, "code=5") == ["a", "b"]
        assert ids(database, "code='5'") == ["b"]
        assert ids(database, "code>=6") == ["d"]
