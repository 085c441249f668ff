"""Captures in the embedded store."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from agir_cvtoolkit.captures import CAPTURE_STATUSES, Capture, CaptureStatus

from ._embedded_database import STRAY, Database, decode, encode
from ._lease import (
    Change,
    applied,
    claimed,
    completed,
    given_back,
    lease_ended,
    lease_mended,
    queue_floor,
    renewed,
    requeued,
    transferred,
)
from ._names import document_key
from ._values import moment, number, text, written_time
from .documents import capture_from_document, capture_to_document
from .store import AGES, CaptureCounts

_PUT = """INSERT INTO captures (id, version, document, made, status, priority, taken, device, until)
VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?)"""
_SET = """UPDATE captures SET version = version + 1, document = ?, status = ?, priority = ?, taken = ?, device = ?,
until = ? WHERE id = ?"""
_STRAYS = "SELECT id FROM captures WHERE " + STRAY  # noqa: S608 - of constants
_FAILED = (
    "SELECT id, version, document, made FROM captures WHERE status = 'failed' AND id > ? ORDER BY id LIMIT ?"
)
_FOREIGN = """SELECT id, version, document, made FROM captures WHERE (status NOT IN (?, ?, ?, ?) OR
(status IS NULL AND instr(document, '"status": ') AND NOT instr(document, '"status": null'))) AND id > ?
ORDER BY id LIMIT ?"""
_PAGE = 500


class CaptureTable:
    """The table of captures.

    Args:
        threshold: `upload_threshold`, which priorities are reckoned from.
        put_picture: puts a picture in by the capture's id.
    """

    def __init__(
        self, database: Database, threshold: float, put_picture: Callable[[str, bytes], None]
    ) -> None:
        self._database = database
        self._threshold = threshold
        self._put_picture = put_picture

    def exists(self, capture_id: str) -> bool:
        """Return whether there is a capture of that id."""
        with self._database.read() as connection:
            return _row(connection, document_key(capture_id)) is not None

    def insert(self, key: str, document: dict[str, Any], *, instead: bool = False) -> bool:
        """Put a document in as it is; False where one of that name is there and is not replaced."""
        with self._database.write() as connection:
            if _row(connection, key) is not None:
                if not instead:
                    return False
                connection.execute("DELETE FROM captures WHERE id = ?", (key,))
            connection.execute(_PUT, (key, encode(document), time.time(), *_columns(document)))
        return True

    def create(self, capture: Capture) -> bool:
        """Put a pending capture in; False where one of that id is there already."""
        waiting = replace(capture, status="pending", claimed_by=None, claimed_until=None)
        return self.insert(document_key(capture.capture_id), capture_to_document(waiting))

    def get(self, capture_ids: Iterable[str]) -> dict[str, Capture]:
        """Return captures by id."""
        found: dict[str, Capture] = {}
        with self._database.read() as connection:
            for capture_id in capture_ids:
                row = _row(connection, document_key(capture_id))
                if row is not None:
                    found[capture_id] = self._capture(*row)
        return found

    def pending(self, min_priority: int, limit: int) -> list[Capture]:
        """Return waiting captures, most urgent first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, version, document, made FROM captures WHERE status = 'pending' AND priority >= ?"
                " AND taken IS NOT NULL ORDER BY priority DESC, taken, id LIMIT ?",
                (queue_floor(min_priority), max(0, limit)),
            ).fetchall()
        return [self._capture(*row) for row in rows]

    def adopt(self) -> tuple[str, ...]:
        """Mend waiting captures that no queue would offer."""
        from .normalised import normalised

        with self._database.read() as connection:
            strays = connection.execute(_STRAYS).fetchall()
        adopted = []
        for (key,) in strays:
            with self._database.write() as connection:
                row = connection.execute(
                    "SELECT document, made FROM captures WHERE id = ?", (key,)
                ).fetchone()
                document = {} if row is None else decode(row[0])
                kept = applied(document, lease_mended(document) or Change())
                change = normalised(key, kept, self._threshold, moment(row[1]) if row else None)
                kept = applied(kept, Change(change.fields, change.removed))
                if row is None or kept == document:
                    continue
                if change.picture is not None:
                    self._put_picture(key, change.picture)
                _store(connection, key, kept)
            adopted.append(capture_from_document(key, kept, self._threshold).capture_id)
        return tuple(adopted)

    def release_expired(self, now: datetime) -> int:
        """Make captures pending again whose lease ended."""
        released = 0
        with self._database.write() as connection:
            rows = connection.execute(
                "SELECT id, document FROM captures WHERE until IS NOT NULL AND until < ?", (now.timestamp(),)
            ).fetchall()
            for key, content in rows:
                document = decode(content)
                change = given_back() if document.get("status") == "in_progress" else lease_ended()
                _store(connection, key, applied(document, change))
                released += document.get("status") == "in_progress"
        return released

    def change(self, capture: Capture, change: Change) -> Capture | None:
        """Change a capture unless its document has changed since it was read."""
        return next(iter(self.change_all([(capture, change)])), None)

    def change_all(self, changes: Iterable[tuple[Capture, Change]]) -> list[Capture]:
        """Change captures whose documents have not changed since they were read; return these."""
        changed = []
        with self._database.write() as connection:
            for capture, change in changes:
                key = document_key(capture.capture_id)
                row = _row(connection, key)
                if row is not None and str(row[1]) == capture.version:
                    document = applied(decode(row[2]), change)
                    _store(connection, key, document)
                    changed.append((key, document, str(row[1] + 1), moment(row[3])))
        return [
            capture_from_document(key, document, self._threshold, version, made)
            for key, document, version, made in changed
        ]

    def claim(self, capture: Capture, owner: str, until: datetime) -> Capture | None:
        """Take a pending capture."""
        if capture.status != "pending":
            return None
        return self.change(capture, claimed(owner, until, uuid.uuid4().hex))

    def claim_all(self, captures: Sequence[Capture], owner: str, until: datetime) -> list[Capture]:
        """Take pending captures."""
        change = claimed(owner, until, uuid.uuid4().hex)
        return self.change_all((capture, change) for capture in captures if capture.status == "pending")

    def renew_all(self, captures: Sequence[Capture], until: datetime) -> list[Capture]:
        """Lengthen one's own leases."""
        change = renewed(until)
        return self.change_all((capture, change) for capture in captures if capture.claimed_by is not None)

    def transferred_all(self, captures: Sequence[Capture], when: datetime) -> list[Capture]:
        """Say that claimed captures are where people correct them."""
        return self.change_all((capture, transferred(when, capture.claimed_by)) for capture in captures)

    def release_all(self, captures: Sequence[Capture]) -> list[Capture]:
        """Give claimed captures back to the queue."""
        return self.change_all((capture, given_back()) for capture in captures)

    def failed(self) -> Iterator[Capture]:
        """Yield failed captures by name of the document."""
        return self._by_name(_FAILED, ())

    def foreign(self) -> Iterator[Capture]:
        """Yield captures whose status is a foreign word by name of the document."""
        return self._by_name(_FOREIGN, CAPTURE_STATUSES)

    def _by_name(self, query: str, values: tuple[str, ...]) -> Iterator[Capture]:
        last = ""
        while True:
            with self._database.read() as connection:
                rows = connection.execute(query, (*values, last, _PAGE)).fetchall()
            if not rows:
                return
            yield from (self._capture(*row) for row in rows)
            last = rows[-1][0]

    def put_back(self, captures: Sequence[Capture]) -> tuple[str, ...]:
        """Make captures pending that have not changed since they were read; return their ids."""
        change = requeued()
        return tuple(found.capture_id for found in self.change_all((c, change) for c in captures))

    def complete(self, capture_ids: Sequence[str], when: datetime) -> tuple[str, ...]:
        """Say that captures are corrected."""
        done = []
        with self._database.write() as connection:
            for capture_id in dict.fromkeys(capture_ids):
                row = _row(connection, document_key(capture_id))
                document = {} if row is None else decode(row[2])
                if row is not None and document.get("status") != "completed":
                    _store(connection, row[0], applied(document, completed(when)))
                    done.append(capture_id)
        return tuple(done)

    def remove(self, capture_id: str) -> bool:
        """Remove a capture; False where there is none."""
        with self._database.write() as connection:
            cursor = connection.execute("DELETE FROM captures WHERE id = ?", (document_key(capture_id),))
        return cursor.rowcount > 0

    def counts(self, now: datetime) -> CaptureCounts:
        """Count the captures."""
        statuses: Counter[CaptureStatus] = Counter()
        priorities: Counter[int] = Counter()
        with self._database.read() as connection:
            unreadable = 0
            for status, many in connection.execute("SELECT status, count(*) FROM captures GROUP BY status"):
                if status in CAPTURE_STATUSES:
                    statuses[cast("CaptureStatus", status)] += many
                else:
                    unreadable += many
            for priority, many in connection.execute(
                "SELECT priority, count(*) FROM captures WHERE status = 'pending' GROUP BY priority"
            ):
                if priority is None:
                    unreadable += many
                else:
                    priorities[int(min(10, max(1, priority)))] += many
            devices = connection.execute(
                "SELECT device, count(*) FROM captures WHERE status IN ('pending', 'in_progress') GROUP BY device"
            ).fetchall()
            (oldest,) = connection.execute(
                "SELECT min(taken) FROM captures WHERE status = 'pending' AND taken > ''"
            ).fetchone()
            ages, younger = {}, 0
            for name, below in AGES.items():
                since = "" if below is None else written_time(now - below)
                (known,) = connection.execute(
                    "SELECT count(*) FROM captures WHERE status = 'pending' AND taken > ?", (since,)
                ).fetchone()
                ages[name], younger = known - younger, known
            (expired,) = connection.execute(
                "SELECT count(*) FROM captures WHERE until IS NOT NULL AND until < ? AND status = 'in_progress'",
                (now.timestamp(),),
            ).fetchone()
        return CaptureCounts(
            dict(statuses),
            dict(sorted(priorities.items())),
            dict(devices),
            moment(oldest),
            expired,
            unreadable,
            ages,
        )

    def _capture(self, key: str, version: int, content: str, made: float) -> Capture:
        return capture_from_document(key, decode(content), self._threshold, str(version), moment(made))


def _row(connection: sqlite3.Connection, key: str) -> tuple[str, int, str, float] | None:
    found: tuple[str, int, str, float] | None = connection.execute(
        "SELECT id, version, document, made FROM captures WHERE id = ?", (key,)
    ).fetchone()
    return found


def _store(connection: sqlite3.Connection, key: str, document: dict[str, Any]) -> None:
    connection.execute(_SET, (encode(document), *_columns(document), key))


def _columns(document: dict[str, Any]) -> tuple[str | None, float | None, str | None, str, float | None]:
    """Return status, priority, time, device and end of lease as queries see them: only what has the right type."""
    status, priority = document.get("status"), document.get("priority")
    is_number = isinstance(priority, int | float) and not isinstance(priority, bool)
    taken = moment(document.get("timestamp"))
    until = moment(document.get("claimedUntil"))
    return (
        status if isinstance(status, str) else None,
        number(priority) if is_number else None,
        None if taken is None else written_time(taken),
        text(document.get("deviceId", document.get("device_id"))),
        None if until is None else until.timestamp(),
    )
