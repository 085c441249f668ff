"""What a store of captures does, whichever it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from agir_cvtoolkit.captures import Capture, CaptureStatus, LabeledPose, PublishedModel, Trigger

AGES: Mapping[str, timedelta | None] = {
    "under an hour": timedelta(hours=1),
    "under a day": timedelta(days=1),
    "under a week": timedelta(days=7),
    "older": None,
}
"""How long captures wait: each name with the age that it stays below, and not below that of the name before."""


@dataclass(frozen=True)
class CaptureCounts:
    """How many captures there are.

    Attributes:
        by_status: of all captures.
        pending_by_priority: of those that wait, 1 to 10.
        by_device: of those that wait or are being corrected.
        oldest_pending: when the oldest that waits was taken.
        expired: that somebody claimed and did not finish in time.
        unreadable: that have no status or priority of this product's kind, so no queue will offer them.
        pending_by_age: of those that wait and say when they were taken, by the names of `AGES`.
    """

    by_status: Mapping[CaptureStatus, int] = field(default_factory=dict, hash=False)
    pending_by_priority: Mapping[int, int] = field(default_factory=dict, hash=False)
    by_device: Mapping[str, int] = field(default_factory=dict, hash=False)
    oldest_pending: datetime | None = None
    expired: int = 0
    unreadable: int = 0
    pending_by_age: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Written:
    """What became of corrections that were written.

    Attributes:
        new: ids of documents that were not there.
        changed: ids of documents whose key points are others than before; their revision rose.
        same: ids of documents that already said so; nothing was written.
    """

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    same: tuple[str, ...] = ()


class CaptureStore(Protocol):
    """Captures, their pictures, corrections, triggers and published models.

    Times have a time zone. Every method may raise a `RemoteError`: the store cannot be reached or refuses.
    A write that another's write has overtaken returns None, or leaves the item out, and changes nothing.
    """

    @property
    def place(self) -> str:
        """Where it is, for people: project and database, or the folder."""
        ...

    # captures

    def create(self, capture: Capture, picture: bytes | None) -> bool:
        """Put a pending capture and its picture in; False where a capture of that id is there already."""
        ...

    def get(self, capture_ids: Iterable[str]) -> dict[str, Capture]:
        """Return captures by id; those that do not exist are left out."""
        ...

    def pending(self, min_priority: int, limit: int) -> list[Capture]:
        """Return waiting captures, highest priority first, oldest first at equal priority.

        Its cost grows with `limit`, not with what else is in the store.
        """
        ...

    def adopt(self) -> tuple[str, ...]:
        """Give waiting captures that no queue would offer what they lack; return their ids.

        Those are the ones without a status, a time, or a number for a priority, such as the app uploads today; a
        picture within the document goes to the storage. A status that is written differently (``Pending``) is
        written as it is meant, while a foreign word stays; a lease whose end is no time has ended. Costs next to
        nothing where there is none; in a Firestore of more than 10,000 captures those without a status or with
        such a lease are looked for every 15 minutes at most.
        """
        ...

    def release_expired(self, now: datetime) -> int:
        """Make captures pending again whose lease ended before `now`; return how many."""
        ...

    def claim(self, capture: Capture, owner: str, until: datetime) -> Capture | None:
        """Take a pending capture (``in_progress`` with a lease), unless it has changed since it was read."""
        ...

    def claim_all(self, captures: Sequence[Capture], owner: str, until: datetime) -> list[Capture]:
        """Take captures as `claim` does, many with one request; return those that were taken, in their order.

        A `RemoteError` may come after some of them were taken.
        """
        ...

    def renew(self, capture: Capture, until: datetime) -> Capture | None:
        """Lengthen one's own lease."""
        ...

    def renew_all(self, captures: Sequence[Capture], until: datetime) -> list[Capture]:
        """Lengthen one's own leases, many with one request; return those that still are one's own."""
        ...

    def transferred(self, capture: Capture, when: datetime) -> Capture | None:
        """Say that a claimed capture lies in CVAT or in the folder for it; it has no lease any more.

        Sets ``annotation_started``, ``annotation_platform`` ("CVAT"), ``gpusrv_transfer`` (true) and
        ``transferredBy`` (who held the lease).
        """
        ...

    def transferred_all(self, captures: Sequence[Capture], when: datetime) -> list[Capture]:
        """Say so of many captures with one request; return those of which it could be said."""
        ...

    def release(self, capture: Capture) -> Capture | None:
        """Give a claimed capture back to the queue."""
        ...

    def release_all(self, captures: Sequence[Capture]) -> list[Capture]:
        """Give many captures back with one request; return those that were still one's own."""
        ...

    def fail(self, capture: Capture, reason: str) -> Capture | None:
        """Say that a capture, which waits or is claimed, cannot be used; unless it has changed since it was read."""
        ...

    def failed(self) -> Iterator[Capture]:
        """Yield the captures that failed, by name of the document; none whose status is a foreign word."""
        ...

    def foreign(self) -> Iterator[Capture]:
        """Yield the captures whose status is a foreign word, in any order; no queue offers them, nothing mends them."""
        ...

    def requeue(self, captures: Sequence[Capture]) -> tuple[str, ...]:
        """Make captures wait as if they had come just now; return the ids of those that did not change meanwhile."""
        ...

    def complete(self, capture_ids: Sequence[str], when: datetime) -> tuple[str, ...]:
        """Say that captures are corrected; return the ids of those that were not completed before."""
        ...

    def counts(self, now: datetime) -> CaptureCounts:
        """Count the captures."""
        ...

    def picture(self, capture_id: str, limit_bytes: int) -> bytes:
        """Return a capture's picture.

        Raises:
            NotFoundError: there is none.
            PictureError: it has more than `limit_bytes`.
        """
        ...

    def forget(self, capture_id: str) -> tuple[str, ...]:
        """Remove a capture, its picture and its corrections; return what was removed, in words."""
        ...

    # corrections

    def labeled(self, capture_ids: Iterable[str]) -> dict[str, tuple[LabeledPose, ...]]:
        """Return the corrections of captures."""
        ...

    def all_labeled(self) -> Iterator[LabeledPose]:
        """Yield all corrections, by document id; a stream that ended early is noticed."""
        ...

    def write_labeled(self, poses: Sequence[LabeledPose]) -> Written:
        """Write corrections.

        One whose key points changed gets the next revision and counts as a new correction; an equal one is
        not written. `revision`, `trigger_id` and `used` of what is given do not count.
        """
        ...

    def unreserved(self) -> int:
        """Count the corrections that no trigger has reserved."""
        ...

    # triggers

    def reserve_trigger(self, threshold: int, now: datetime) -> Trigger | None:
        """Make a trigger that reserves all corrections not reserved yet, if they are at least `threshold`.

        In one transaction: of callers at the same moment one makes the trigger.
        """
        ...

    def claim_trigger(self, owner: str, now: datetime, until: datetime) -> Trigger | None:
        """Take the oldest trigger that waits or whose lease has ended."""
        ...

    def renew_trigger(self, trigger: Trigger, until: datetime) -> Trigger | None:
        """Lengthen one's own lease."""
        ...

    def finish_trigger(
        self, trigger: Trigger, seen: Mapping[str, int], model: str, now: datetime
    ) -> Trigger | None:
        """Say that a training is done, and mark what it has seen (document id -> revision) as used.

        A correction that changed since is free for the next trigger.
        """
        ...

    def release_trigger(self, trigger: Trigger, reason: str) -> Trigger | None:
        """Give a trigger back after a failed training; its corrections stay reserved."""
        ...

    def triggers(self) -> list[Trigger]:
        """Return all triggers, newest first."""
        ...

    # models

    def publish(self, model: PublishedModel, files: Mapping[str, Path]) -> PublishedModel:
        """Put a model's files into the storage, then the document, then make it the current one.

        Args:
            model: without `files` and `sha256`, which are filled in.
            files: by kind.
        """
        ...

    def current_model(self) -> PublishedModel | None:
        """Return the model in service."""
        ...

    def fetch_model(self, model: PublishedModel, kind: str, to: Path) -> None:
        """Fetch a file of a published model, whole or not at all.

        Raises:
            NotFoundError: it has no such file.
            DataError: what came is not what was published.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
