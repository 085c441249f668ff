"""Corrections and triggers in the embedded store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from agir_cvtoolkit.captures import LabeledPose, Trigger

from ._embedded_database import Database, decode, encode
from ._names import document_key
from ._trigger_steps import new_trigger, trigger_claimed, trigger_finished, trigger_released
from ._values import moment, text
from .store import Written
from .training_documents import (
    labeled_from_document,
    labeled_to_document,
    same_keypoints,
    trigger_from_document,
    trigger_to_document,
)

_PAGE = 500


class CorrectionTable:
    """The table of corrections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, capture_ids: Iterable[str]) -> dict[str, tuple[LabeledPose, ...]]:
        """Return the corrections of captures."""
        found: dict[str, tuple[LabeledPose, ...]] = {}
        with self._database.read() as connection:
            for capture_id in capture_ids:
                rows = connection.execute(
                    "SELECT id, document FROM labeled WHERE capture = ? ORDER BY id", (storable(capture_id),)
                ).fetchall()
                if rows:
                    found[capture_id] = tuple(labeled_from_document(key, decode(text)) for key, text in rows)
        return found

    def all(self) -> Iterator[LabeledPose]:
        """Yield all corrections by name of the document."""
        last = ""
        while True:
            with self._database.read() as connection:
                rows = connection.execute(
                    "SELECT id, document FROM labeled WHERE id > ? ORDER BY id LIMIT ?", (last, _PAGE)
                ).fetchall()
            if not rows:
                return
            yield from (labeled_from_document(key, decode(content)) for key, content in rows)
            last = rows[-1][0]

    def write(self, poses: Sequence[LabeledPose]) -> Written:
        """Write corrections."""
        new, changed, same = [], [], []
        with self._database.write() as connection:
            for pose in {pose.document_id: pose for pose in poses}.values():
                key = document_key(pose.document_id)
                row = connection.execute("SELECT document FROM labeled WHERE id = ?", (key,)).fetchone()
                if row is None:
                    put_correction(connection, key, replace(pose, revision=1, trigger_id="", used=False))
                    new.append(pose.document_id)
                    continue
                before = labeled_from_document(key, decode(row[0]))
                if same_keypoints(before.keypoints, pose.keypoints):
                    same.append(pose.document_id)
                    continue
                after = replace(pose, revision=before.revision + 1, trigger_id="", used=False)
                put_correction(connection, key, after)
                changed.append(pose.document_id)
        return Written(tuple(new), tuple(changed), tuple(same))

    def insert(self, key: str, document: dict[str, Any]) -> None:
        """Put a document in as it is, in the place of one of that name."""
        with self._database.write() as connection:
            _put_raw(connection, key, document)

    def unreserved(self) -> int:
        """Count the corrections that no trigger has reserved."""
        with self._database.read() as connection:
            (count,) = connection.execute("SELECT count(*) FROM labeled WHERE trigger_id = ''").fetchone()
        return int(count)

    def remove(self, capture_id: str) -> tuple[str, ...]:
        """Remove the corrections of a capture; return their ids."""
        with self._database.write() as connection:
            where = (storable(capture_id),)
            rows = connection.execute(
                "SELECT id FROM labeled WHERE capture = ? ORDER BY id", where
            ).fetchall()
            connection.execute("DELETE FROM labeled WHERE capture = ?", where)
        return tuple(key for (key,) in rows)


class TriggerTable:
    """The table of triggers, which reserves rows of that of corrections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, threshold: int, now: datetime) -> Trigger | None:
        """Make a trigger of all corrections not reserved yet, if they are enough."""
        with self._database.write() as connection:
            rows = connection.execute("SELECT id, document FROM labeled WHERE trigger_id = ''").fetchall()
            if len(rows) < max(1, threshold):
                return None
            trigger = new_trigger(len(rows), threshold, now)
            for key, content in rows:
                _put_raw(connection, key, decode(content) | {"triggerId": trigger.trigger_id})
            return _put_trigger(connection, trigger)

    def claim(self, owner: str, now: datetime, until: datetime) -> Trigger | None:
        """Take the oldest trigger that waits or whose lease has ended."""
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT id, version, document FROM triggers WHERE status = 'pending'"
                " OR (status = 'claimed' AND (until IS NULL OR until < ?)) ORDER BY made, id LIMIT 1",
                (now.timestamp(),),
            ).fetchone()
            if row is None:
                return None
            return _put_trigger(connection, trigger_claimed(_trigger(*row), owner, until))

    def change(self, trigger: Trigger, after: Trigger) -> Trigger | None:
        """Put a trigger in the place of another, unless that has changed since it was read."""
        with self._database.write() as connection:
            return _put_trigger(connection, after) if _is_same(connection, trigger) else None

    def renew(self, trigger: Trigger, until: datetime) -> Trigger | None:
        """Lengthen one's own lease."""
        return (
            self.change(trigger, replace(trigger, claimed_until=until))
            if trigger.status == "claimed"
            else None
        )

    def release(self, trigger: Trigger, reason: str) -> Trigger | None:
        """Give a trigger back."""
        return (
            self.change(trigger, trigger_released(trigger, reason)) if trigger.status == "claimed" else None
        )

    def finish(self, trigger: Trigger, seen: Mapping[str, int], model: str, now: datetime) -> Trigger | None:
        """Say that a training is done, and mark what it has seen as used."""
        if trigger.status != "claimed":
            return None
        with self._database.write() as connection:
            if not _is_same(connection, trigger):
                return None
            for document_id, revision in seen.items():
                key = document_key(document_id)
                row = connection.execute("SELECT document FROM labeled WHERE id = ?", (key,)).fetchone()
                pose = None if row is None else labeled_from_document(key, decode(row[0]))
                if pose is not None and pose.revision == revision and not pose.used:
                    reserved = {"used": True, "triggerId": pose.trigger_id or trigger.trigger_id}
                    _put_raw(connection, key, decode(row[0]) | reserved)
            return _put_trigger(connection, trigger_finished(trigger, model), {"completedAt": now})

    def all(self) -> list[Trigger]:
        """Return all triggers, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, version, document FROM triggers ORDER BY made DESC, id"
            ).fetchall()
        return [_trigger(*row) for row in rows]


def storable(value: str) -> str:
    """Return a text that the database takes: lone surrogates are replaced."""
    return value.encode("utf-8", "replace").decode("utf-8")


def put_correction(connection: sqlite3.Connection, key: str, pose: LabeledPose) -> None:
    """Write a correction in the place of one of that name."""
    _put_raw(connection, key, labeled_to_document(pose))


def _put_raw(connection: sqlite3.Connection, key: str, document: dict[str, Any]) -> None:
    capture = storable(text(document.get("originalDataId")))
    connection.execute(
        "INSERT INTO labeled (id, version, document, capture, trigger_id) VALUES (?, 1, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET version = version + 1, document = excluded.document,"
        " capture = excluded.capture, trigger_id = excluded.trigger_id",
        (key, encode(document), capture, text(document.get("triggerId"))),
    )


def _trigger(key: str, version: int, content: str) -> Trigger:
    return trigger_from_document(key, decode(content), str(version))


def _is_same(connection: sqlite3.Connection, trigger: Trigger) -> bool:
    row = connection.execute("SELECT version FROM triggers WHERE id = ?", (trigger.trigger_id,)).fetchone()
    return row is not None and str(row[0]) == trigger.version


def _put_trigger(
    connection: sqlite3.Connection, trigger: Trigger, more: Mapping[str, Any] | None = None
) -> Trigger:
    document = trigger_to_document(trigger) | dict(more or {})
    until = moment(trigger.claimed_until)
    (version,) = connection.execute(
        "INSERT INTO triggers (id, version, document, status, made, until) VALUES (?, 1, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET version = version + 1, document = excluded.document,"
        " status = excluded.status, until = excluded.until RETURNING version",
        (
            trigger.trigger_id,
            encode(document),
            trigger.status,
            document["timestamp"],
            until.timestamp() if until else None,
        ),
    ).fetchone()
    return replace(trigger, version=str(version))
