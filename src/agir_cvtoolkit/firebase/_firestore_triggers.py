"""Triggers in Firestore, which reserve corrections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agir_cvtoolkit.captures import Trigger

from ._calls import TIMEOUT_S, Calls, OvertakenError, never
from ._documents import Update, commit, read, until_settled, update_all, version_of, when_of
from ._firestore_corrections import CorrectionCollection
from ._paging import pages
from ._trigger_steps import new_trigger, trigger_claimed, trigger_finished, trigger_released
from .training_documents import labeled_from_document, trigger_from_document, trigger_to_document

MOST_AT_ONCE = 10_000
"""Corrections that one commit may reserve: some 2 MB of the 10 MiB that Firestore takes. More wait for the next."""


class TriggerCollection:
    """The collection of triggers.

    All its writes are single commits with preconditions: they hold for all documents or for none, and nobody waits
    for locks as with a transaction that reads.
    """

    def __init__(self, client: Any, name: str, calls: Calls, corrections: CorrectionCollection) -> None:
        self._client = client
        self._collection = client.collection(name)
        self._calls = calls
        self._corrections = corrections

    def reserve(self, threshold: int, now: datetime) -> Trigger | None:
        """Make a trigger of all corrections not reserved yet, if they are enough."""
        if self._corrections.unreserved() < max(1, threshold):
            return None
        found: Trigger | None = until_settled(
            "make a trigger", self._calls.place, lambda: self._reserve(threshold, now)
        )
        return found

    def _reserve(self, threshold: int, now: datetime) -> Trigger | None:
        free = self._corrections.unreserved_documents(MOST_AT_ONCE)
        if len(free) < max(1, threshold):
            return None
        trigger = new_trigger(len(free), threshold, now)
        batch = self._client.batch()
        for snapshot in free:
            option = self._client.write_option(last_update_time=snapshot.update_time)
            batch.update(snapshot.reference, {"triggerId": trigger.trigger_id}, option=option)
        reference = self._collection.document(trigger.trigger_id)
        batch.create(reference, trigger_to_document(trigger))
        try:
            result = commit(self._calls, "make a trigger", batch)
        except OvertakenError as overtaken:
            there = self._snapshot(trigger.trigger_id) if overtaken.unsure else None
            if there is not None and there.exists:
                return _trigger(there)
            raise
        return replace(trigger, version=version_of(result[-1].update_time))

    def claim(self, owner: str, now: datetime, until: datetime) -> Trigger | None:
        """Take the oldest trigger that waits or whose lease has ended."""
        from google.cloud.firestore import FieldFilter

        query = self._collection.where(filter=FieldFilter("status", "in", ["pending", "claimed"]))
        waiting = [
            trigger
            for page in pages(self._calls, "read triggers", query.order_by("__name__"))
            for trigger in map(_trigger, page)
            if trigger.status == "pending" or trigger.claimed_until is None or trigger.claimed_until < now
        ]
        for trigger in sorted(waiting, key=lambda t: (t.made, t.trigger_id)):
            mine = self.change(trigger, trigger_claimed(trigger, owner, until))
            if mine is not None:
                return mine
        return None

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

    def change(self, trigger: Trigger, after: Trigger) -> Trigger | None:
        """Put a trigger in the place of another, unless that has changed since it was read."""
        reference = self._collection.document(trigger.trigger_id)
        document = trigger_to_document(after)
        option = self._client.write_option(last_update_time=when_of(trigger.version))
        try:
            result = self._calls.run(
                f"change trigger {trigger.trigger_id}",
                lambda: reference.update(document, option=option, retry=never(), timeout=TIMEOUT_S),
                guarded=True,
            )
        except OvertakenError as overtaken:
            there = self._snapshot(trigger.trigger_id) if overtaken.unsure else None
            if there is None or not there.exists or trigger_to_document(_trigger(there)) != document:
                return None
            return _trigger(there)
        return replace(after, version=version_of(result.update_time))

    def finish(self, trigger: Trigger, seen: Mapping[str, int], model: str, now: datetime) -> Trigger | None:
        """Say that a training is done, and mark what it has seen as used."""
        if trigger.status != "claimed":
            return None
        found: Trigger | None = until_settled(
            "finish a trigger", self._calls.place, lambda: self._finish(trigger, seen, model, now)
        )
        return found

    def _finish(self, trigger: Trigger, seen: Mapping[str, int], model: str, now: datetime) -> Trigger | None:
        what = f"finish trigger {trigger.trigger_id}"
        there = self._snapshot(trigger.trigger_id)
        if not there.exists:
            return None
        after = trigger_finished(trigger, model)
        if version_of(there.update_time) != trigger.version:
            # A commit that got no answer may have been this one.
            return (
                _trigger(there)
                if trigger_to_document(_trigger(there)) == trigger_to_document(after)
                else None
            )
        updates = []
        for snapshot in self._corrections.snapshots(seen):
            if not snapshot.exists:
                continue
            pose = labeled_from_document(snapshot.id, snapshot.to_dict())
            if not pose.used and seen.get(pose.document_id) == pose.revision:
                reserved = pose.trigger_id or trigger.trigger_id
                updates.append(Update(snapshot, {"used": True, "triggerId": reserved}))
        # What one commit does not hold goes before; it is true whether the end comes or not.
        update_all(self._calls, what, self._client, updates[MOST_AT_ONCE:])
        batch = self._client.batch()
        for update in updates[:MOST_AT_ONCE]:
            option = self._client.write_option(last_update_time=update.snapshot.update_time)
            batch.update(update.snapshot.reference, dict(update.fields), option=option)
        option = self._client.write_option(last_update_time=when_of(trigger.version))
        document = trigger_to_document(after) | {"completedAt": now}
        batch.update(there.reference, document, option=option)
        result = commit(self._calls, what, batch)
        return replace(after, version=version_of(result[-1].update_time))

    def all(self) -> list[Trigger]:
        """Return all triggers, newest first."""
        found = pages(self._calls, "read triggers", self._collection.order_by("__name__"))
        triggers = [_trigger(snapshot) for page in found for snapshot in page]
        return sorted(triggers, key=lambda trigger: trigger.made, reverse=True)

    def _snapshot(self, trigger_id: str) -> Any:
        reference = self._collection.document(trigger_id)
        return read(self._calls, "read a trigger", self._client, [reference])[0]


def _trigger(snapshot: Any) -> Trigger:
    return trigger_from_document(snapshot.id, snapshot.to_dict(), version_of(snapshot.update_time))
