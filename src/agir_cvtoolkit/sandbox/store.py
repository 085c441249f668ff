"""The sandbox's state: documents and annotations in one SQLite file, pictures in a folder beside it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from agir_cvtoolkit.errors import DatabaseError

Json = dict[str, Any]

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, id NOT NULL, parent TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_parent ON documents (kind, parent);
CREATE TABLE IF NOT EXISTS counters (kind TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    kind TEXT NOT NULL, id INTEGER NOT NULL, task_id INTEGER NOT NULL, job_id INTEGER NOT NULL,
    frame INTEGER NOT NULL, label_id INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_by_job ON items (job_id, kind, id);
CREATE TABLE IF NOT EXISTS uploads (
    task_id INTEGER NOT NULL, name TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (task_id, name)
) WITHOUT ROWID;
"""


def now() -> str:
    """Return the time as the server writes it: UTC, microseconds, ``Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Store:
    """Documents by kind and id, annotations by job, files by task.

    One connection, one lock: every method may be called from any thread, and a `transaction` holds the lock.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        try:
            self._db = sqlite3.connect(root / "sandbox.db", check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise DatabaseError(
                f"sandbox state {root / 'sandbox.db'} cannot be opened: {error}", "Choose another folder."
            ) from error

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of the block or, when it raises, none of it."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._db.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._db.execute("COMMIT")
            finally:
                self._depth -= 1

    # --- documents --------------------------------------------------------------------------------

    def next_id(self, kind: str, count: int = 1) -> int:
        """Reserve `count` ids and return the first; ids are never used twice."""
        with self._lock:
            row = self._db.execute(
                "INSERT INTO counters VALUES (?, ?)"
                " ON CONFLICT (kind) DO UPDATE SET last = last + ? RETURNING last",
                (kind, count, count),
            ).fetchall()
        return int(row[0][0]) - count + 1

    def reserve(self, kind: str, key: int) -> None:
        """Keep an id that came from outside from being given again."""
        with self._lock:
            self._db.execute(
                "INSERT INTO counters VALUES (?, ?)"
                " ON CONFLICT (kind) DO UPDATE SET last = max(last, excluded.last)",
                (kind, key),
            )

    def put(self, kind: str, key: int | str, body: Json, parent: str | None = None) -> None:
        """Write a document; None as `parent` keeps the one it has."""
        with self._lock:
            self._db.execute(
                "INSERT INTO documents VALUES (?, ?, ?, ?) ON CONFLICT (kind, id)"
                " DO UPDATE SET body = excluded.body, parent = coalesce(excluded.parent, parent)",
                (kind, key, parent, orjson.dumps(body)),
            )

    def get(self, kind: str, key: int | str) -> Json | None:
        """Return a document, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, key)
            ).fetchone()
        return None if row is None else _loaded(row[0])

    def remove(self, kind: str, key: int | str) -> None:
        """Remove a document, if it is there."""
        with self._lock:
            self._db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))

    def all(self, kind: str, parent: str | None = None) -> list[Json]:
        """Return all documents of a kind, or those of one parent, oldest id first."""
        with self._lock:
            if parent is None:
                rows = self._db.execute("SELECT body FROM documents WHERE kind = ? ORDER BY id", (kind,))
            else:
                rows = self._db.execute(
                    "SELECT body FROM documents WHERE kind = ? AND parent = ? ORDER BY id", (kind, parent)
                )
            found = rows.fetchall()
        return [_loaded(row[0]) for row in found]

    # --- annotations --------------------------------------------------------------------------------

    def add_items(self, rows: Sequence[tuple[str, int, int, int, int, int, bytes]]) -> None:
        """Write annotations as (kind, id, task, job, frame, label, JSON); one with a known id is replaced."""
        with self._lock:
            self._db.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def items(self, job_ids: Sequence[int], kind: str) -> list[tuple[int, int, bytes]]:
        """Return (job, frame, JSON) of all annotations of a kind in some jobs, by job, then by id."""
        with self._lock:
            found: list[tuple[int, int, bytes]] = []
            for job_id in job_ids:
                found += self._db.execute(
                    "SELECT job_id, frame, body FROM items WHERE job_id = ? AND kind = ? ORDER BY id",
                    (job_id, kind),
                ).fetchall()
        return found

    def owners(self, job_ids: Sequence[int], kind: str) -> dict[int, int]:
        """Return which job each annotation of a kind lies in, by its id."""
        with self._lock:
            found: dict[int, int] = {}
            for job_id in job_ids:
                rows = self._db.execute(
                    "SELECT id FROM items WHERE job_id = ? AND kind = ?", (job_id, kind)
                ).fetchall()
                found |= {int(row[0]): job_id for row in rows}
        return found

    def remove_items(
        self, job_ids: Sequence[int], kind: str | None = None, ids: Sequence[int] | None = None
    ) -> None:
        """Remove the annotations of some jobs: all, those of a kind, or those of a kind with given ids."""
        with self._lock:
            for job_id in job_ids:
                if kind is None:
                    self._db.execute("DELETE FROM items WHERE job_id = ?", (job_id,))
                elif ids is not None:
                    self._db.executemany(
                        "DELETE FROM items WHERE job_id = ? AND kind = ? AND id = ?",
                        [(job_id, kind, i) for i in ids],
                    )

    def remove_items_of_label(self, label_id: int) -> None:
        """Remove the annotations of a deleted label."""
        with self._lock:
            self._db.execute("DELETE FROM items WHERE label_id = ?", (label_id,))

    # --- files --------------------------------------------------------------------------------

    def folder(self, task_id: int) -> Path:
        """Return the folder of a task's uploaded files."""
        return self.root / "data" / str(task_id)

    def claim_upload(self, task_id: int, name: str) -> bool:
        """Take a file name for a task in order of arrival; False where it is taken already."""
        with self._lock:
            cursor = self._db.execute(
                "INSERT INTO uploads SELECT ?1, ?2, count(*) FROM uploads WHERE task_id = ?1"
                " ON CONFLICT DO NOTHING",
                (task_id, name),
            )
            return cursor.rowcount == 1

    def uploads(self, task_id: int) -> list[str]:
        """Return the names of a task's files in order of arrival."""
        with self._lock:
            rows = self._db.execute(
                "SELECT name FROM uploads WHERE task_id = ? ORDER BY position", (task_id,)
            )
            return [str(row[0]) for row in rows.fetchall()]

    def forget_uploads(self, task_id: int) -> None:
        """Forget the file names of a deleted task."""
        with self._lock:
            self._db.execute("DELETE FROM uploads WHERE task_id = ?", (task_id,))


def _loaded(body: bytes) -> Json:
    loaded: Json = orjson.loads(body)
    return loaded
