"""Captures in Firestore."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from agir_cvtoolkit.captures import CAPTURE_STATUSES, Capture, CaptureStatus

from ._calls import TIMEOUT_S, Calls, OvertakenError, never
from ._documents import Update, read, update_all, version_of, when_of
from ._firestore_changes import GroupedChanges, fields_of
from ._firestore_strays import StrayDocuments
from ._lease import (
    Change,
    capture_after,
    claimed,
    completed,
    given_back,
    has_landed,
    lease_ended,
    queue_floor,
    renewed,
    transferred,
)
from ._names import document_key
from ._paging import count, pages
from ._values import moment, number, text
from .documents import capture_from_document, capture_to_document, is_offered
from .store import AGES, CaptureCounts

_LONG_PAGE = 1000


class CaptureCollection:
    """The collection of captures.

    Args:
        client: Google's.
        name: of the collection.
        threshold: `upload_threshold`, which priorities are reckoned from.
        put_picture: puts a picture in by the capture's id.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        calls: Calls,
        threshold: float,
        put_picture: Callable[[str, bytes], None],
    ) -> None:
        self._client = client
        self._collection = client.collection(name)
        self._calls = calls
        self._threshold = threshold
        self._strays = StrayDocuments(client, name, calls, threshold, put_picture)
        self._changes = GroupedChanges(client, calls, self._reference, self._snapshots, self._capture)

    def create(self, capture: Capture) -> bool:
        """Put a pending capture in; False where one of that id is there already."""
        waiting = replace(capture, status="pending", claimed_by=None, claimed_until=None)
        reference, document = self._reference(capture.capture_id), capture_to_document(waiting)
        try:
            self._calls.run(
                f"create capture '{capture.capture_id}'",
                lambda: reference.create(document, retry=never(), timeout=TIMEOUT_S),
                guarded=True,
            )
        except OvertakenError as overtaken:
            if not overtaken.unsure:
                return False
            there = self._snapshots([capture.capture_id])[0]
            return bool(there.exists) and there.to_dict() == document
        return True

    def exists(self, capture_id: str) -> bool:
        """Return whether there is a capture of that id."""
        return bool(self._snapshots([capture_id])[0].exists)

    def get(self, capture_ids: Iterable[str]) -> dict[str, Capture]:
        """Return captures by id."""
        wanted = {document_key(capture_id): capture_id for capture_id in capture_ids}
        found = {s.id: s for s in self._snapshots(list(wanted)) if s.exists}
        return {capture_id: self._capture(found[key]) for key, capture_id in wanted.items() if key in found}

    def pending(self, min_priority: int, limit: int) -> list[Capture]:
        """Return waiting captures, most urgent first."""
        query = self._queue(queue_floor(min_priority))
        found = [
            self._capture(snapshot)
            for page in pages(self._calls, "read waiting captures", query, limit=max(0, limit))
            for snapshot in page
        ]
        # Times of different types (text, number, Firestore's) do not compare in a query.
        return sorted(
            found, key=lambda c: (-c.priority, c.taken.timestamp() if c.taken else sys.float_info.max)
        )

    def adopt(self) -> tuple[str, ...]:
        """Mend waiting captures that no queue would offer."""
        return self._strays.adopt()

    def release_expired(self, now: datetime) -> int:
        """Make captures pending again whose lease ended."""
        what = "release expired captures"
        released = 0
        for page in pages(self._calls, what, self._where(self._collection, "claimedUntil", "<", now)):
            held = [s for s in page if s.to_dict().get("status") == "in_progress"]
            updates = [Update(s, fields_of(given_back() if s in held else lease_ended())) for s in page]
            done = {snapshot.id for snapshot in update_all(self._calls, what, self._client, updates)}
            released += sum(snapshot.id in done for snapshot in held)
        return released

    def claim(self, capture: Capture, owner: str, until: datetime) -> Capture | None:
        """Take a pending capture."""
        if capture.status != "pending":
            return None
        return self.change(capture, claimed(owner, until, uuid.uuid4().hex))

    def claim_all(self, captures: Sequence[Capture], owner: str, until: datetime) -> list[Capture]:
        """Take pending captures."""
        change = claimed(owner, until, uuid.uuid4().hex)
        return self._changes.write((capture, change) for capture in captures if capture.status == "pending")

    def renew_all(self, captures: Sequence[Capture], until: datetime) -> list[Capture]:
        """Lengthen one's own leases."""
        change = renewed(until)
        return self._changes.write(
            (capture, change) for capture in captures if capture.claimed_by is not None
        )

    def transferred_all(self, captures: Sequence[Capture], when: datetime) -> list[Capture]:
        """Say that claimed captures are where people correct them."""
        return self._changes.write((capture, transferred(when, capture.claimed_by)) for capture in captures)

    def release_all(self, captures: Sequence[Capture]) -> list[Capture]:
        """Give claimed captures back to the queue."""
        return self._changes.write((capture, given_back()) for capture in captures)

    def change(self, capture: Capture, change: Change) -> Capture | None:
        """Change a capture unless its document has changed since it was read."""
        if not capture.version:
            return None
        reference = self._reference(capture.capture_id)
        option = self._client.write_option(last_update_time=when_of(capture.version))
        try:
            result = self._calls.run(
                f"change capture '{capture.capture_id}'",
                lambda: reference.update(fields_of(change), option=option, retry=never(), timeout=TIMEOUT_S),
                guarded=True,
            )
        except OvertakenError as overtaken:
            # A write without an answer may have been done; then its second try was overtaken by its first.
            there = self._snapshots([capture.capture_id])[0] if overtaken.unsure else None
            if there is None or not there.exists or not has_landed(there.to_dict(), change):
                return None
            return self._capture(there)
        return capture_after(capture, change, version_of(result.update_time))

    def complete(self, capture_ids: Sequence[str], when: datetime) -> tuple[str, ...]:
        """Say that captures are corrected."""
        what = "complete captures"
        wanted = {document_key(capture_id): capture_id for capture_id in capture_ids}
        done: set[str] = set()
        left = list(wanted)
        # Twice, for one that somebody touched in between.
        for _ in range(3):
            open_ones = [
                s for s in self._snapshots(left) if s.exists and s.to_dict().get("status") != "completed"
            ]
            if not open_ones:
                break
            updates = [Update(snapshot, fields_of(completed(when))) for snapshot in open_ones]
            done |= {snapshot.id for snapshot in update_all(self._calls, what, self._client, updates)}
            left = [snapshot.id for snapshot in open_ones if snapshot.id not in done]
        return tuple(capture_id for key, capture_id in wanted.items() if key in done)

    def remove(self, capture_id: str) -> bool:
        """Remove a capture; False where there is none."""
        reference = self._reference(capture_id)
        option = self._client.write_option(exists=True)
        try:
            self._calls.run(
                f"remove capture '{capture_id}'",
                lambda: reference.delete(option=option, retry=never(), timeout=TIMEOUT_S),
                guarded=True,
            )
        except OvertakenError as overtaken:
            return overtaken.unsure
        return True

    def counts(self, now: datetime) -> CaptureCounts:
        """Count the captures; those that wait or are being corrected are read, the others are counted there."""
        what = "count captures"
        statuses: Counter[CaptureStatus] = Counter()
        priorities: Counter[int] = Counter()
        devices: Counter[str] = Counter()
        ages = dict.fromkeys(AGES, 0)
        oldest: datetime | None = None
        expired = unreadable = 0
        query = self._where(self._collection, "status", "in", ["pending", "in_progress"])
        query = query.select(["status", "priority", "deviceId", "device_id", "timestamp", "claimedUntil"])
        for page in pages(self._calls, what, query.order_by("__name__"), size=_LONG_PAGE):
            for snapshot in page:
                document = snapshot.to_dict()
                status = cast("CaptureStatus", document["status"])
                statuses[status] += 1
                devices[text(document.get("deviceId", document.get("device_id")))] += 1
                if status == "in_progress":
                    until = moment(document.get("claimedUntil"))
                    expired += until is not None and until < now
                    continue
                if is_offered(document):
                    priorities[int(min(10.0, max(1.0, number(document["priority"]) or 1.0)))] += 1
                else:
                    unreadable += 1
                taken = moment(document.get("timestamp"))
                if taken is not None:
                    ages[_age(now - taken)] += 1
                oldest = taken if oldest is None or (taken is not None and taken < oldest) else oldest
        for status in CAPTURE_STATUSES[2:]:
            many = count(self._calls, what, self._where(self._collection, "status", "==", status))
            statuses.update({status: many} if many else {})
        every = count(self._calls, what, self._collection)
        unreadable += max(0, every - sum(statuses.values()))
        by_priority = dict(sorted(priorities.items()))
        return CaptureCounts(dict(statuses), by_priority, dict(devices), oldest, expired, unreadable, ages)

    def _queue(self, floor: float) -> Any:
        query = self._where(self._collection, "status", "==", "pending")
        query = self._where(query, "priority", ">=", floor)
        return query.order_by("priority", direction="DESCENDING").order_by("timestamp")

    def _where(self, query: Any, name: str, operator: str, value: Any) -> Any:
        from google.cloud.firestore import FieldFilter

        return query.where(filter=FieldFilter(name, operator, value))

    def _snapshots(self, keys: Sequence[str]) -> list[Any]:
        references = [self._collection.document(document_key(key)) for key in keys]
        return read(self._calls, "read captures", self._client, references)

    def _reference(self, capture_id: str) -> Any:
        return self._collection.document(document_key(capture_id))

    def _capture(self, snapshot: Any) -> Capture:
        version = version_of(snapshot.update_time)
        made = moment(snapshot.create_time)
        return capture_from_document(snapshot.id, snapshot.to_dict(), self._threshold, version, made)


def _age(waited: timedelta) -> str:
    return next(name for name, below in AGES.items() if below is None or waited < below)
