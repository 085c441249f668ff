"""What both stores do alike: pass each call to the part that keeps such documents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from agir_cvtoolkit.captures import Capture, LabeledPose, Trigger

from ._lease import failed, given_back, renewed, transferred
from .store import CaptureCounts, Written

if TYPE_CHECKING:
    from ._embedded_captures import CaptureTable
    from ._embedded_training import CorrectionTable, TriggerTable
    from ._firestore_captures import CaptureCollection
    from ._firestore_corrections import CorrectionCollection
    from ._firestore_failed import FailedDocuments
    from ._firestore_triggers import TriggerCollection


class PartedStore(ABC):
    """The part of a `CaptureStore` that knows neither files nor models.

    Args:
        captures, failed_captures, corrections, triggers: keep the documents.
    """

    def __init__(
        self,
        captures: CaptureTable | CaptureCollection,
        failed_captures: CaptureTable | FailedDocuments,
        corrections: CorrectionTable | CorrectionCollection,
        triggers: TriggerTable | TriggerCollection,
    ) -> None:
        self._captures = captures
        self._failed = failed_captures
        self._corrections = corrections
        self._triggers = triggers

    @abstractmethod
    def _put_picture(self, capture_id: str, picture: bytes) -> None:
        """Put a capture's picture into the storage."""

    @abstractmethod
    def _remove_picture(self, capture_id: str) -> str | None:
        """Remove a capture's picture; return where it was, None where there was none."""

    def create(self, capture: Capture, picture: bytes | None) -> bool:
        """Put a pending capture and its picture in; False where a capture of that id is there already."""
        if self._captures.exists(capture.capture_id):
            return False
        if picture is not None:
            # Before the document: who finds that may ask for the picture at once.
            self._put_picture(capture.capture_id, picture)
        return self._captures.create(capture)

    def get(self, capture_ids: Iterable[str]) -> dict[str, Capture]:
        """Return captures by id; those that do not exist are left out."""
        return self._captures.get(capture_ids)

    def pending(self, min_priority: int, limit: int) -> list[Capture]:
        """Return waiting captures, highest priority first, oldest first at equal priority."""
        return self._captures.pending(min_priority, limit)

    def adopt(self) -> tuple[str, ...]:
        """Give waiting captures that no queue would offer what they lack; return their ids."""
        return self._captures.adopt()

    def release_expired(self, now: datetime) -> int:
        """Make captures pending again whose lease ended before `now`; return how many."""
        return self._captures.release_expired(now)

    def claim(self, capture: Capture, owner: str, until: datetime) -> Capture | None:
        """Take a pending capture, unless it has changed since it was read."""
        return self._captures.claim(capture, owner, until)

    def claim_all(self, captures: Sequence[Capture], owner: str, until: datetime) -> list[Capture]:
        """Take captures as `claim` does, many at a time; return those that were taken, in their order."""
        return self._captures.claim_all(captures, owner, until)

    def renew(self, capture: Capture, until: datetime) -> Capture | None:
        """Lengthen one's own lease."""
        return self._captures.change(capture, renewed(until)) if capture.claimed_by is not None else None

    def renew_all(self, captures: Sequence[Capture], until: datetime) -> list[Capture]:
        """Lengthen one's own leases, many at a time; return those that still are one's own."""
        return self._captures.renew_all(captures, until)

    def transferred(self, capture: Capture, when: datetime) -> Capture | None:
        """Say that a claimed capture is where people correct it."""
        return self._captures.change(capture, transferred(when, capture.claimed_by))

    def transferred_all(self, captures: Sequence[Capture], when: datetime) -> list[Capture]:
        """Say so of many captures at a time; return those of which it could be said."""
        return self._captures.transferred_all(captures, when)

    def release(self, capture: Capture) -> Capture | None:
        """Give a claimed capture back to the queue."""
        return self._captures.change(capture, given_back())

    def release_all(self, captures: Sequence[Capture]) -> list[Capture]:
        """Give captures back, many at a time; return those that were still one's own."""
        return self._captures.release_all(captures)

    def fail(self, capture: Capture, reason: str) -> Capture | None:
        """Say that a capture, which waits or is claimed, cannot be used."""
        return self._captures.change(capture, failed(reason))

    def failed(self) -> Iterator[Capture]:
        """Yield the captures that failed, by name of the document."""
        return self._failed.failed()

    def foreign(self) -> Iterator[Capture]:
        """Yield the captures whose status is a foreign word."""
        return self._failed.foreign()

    def requeue(self, captures: Sequence[Capture]) -> tuple[str, ...]:
        """Make captures wait as if they had come just now; return the ids of those that did not change meanwhile."""
        return self._failed.put_back(captures)

    def complete(self, capture_ids: Sequence[str], when: datetime) -> tuple[str, ...]:
        """Say that captures are corrected; return the ids of those that were not completed before."""
        return self._captures.complete(capture_ids, when)

    def counts(self, now: datetime) -> CaptureCounts:
        """Count the captures."""
        return self._captures.counts(now)

    def forget(self, capture_id: str) -> tuple[str, ...]:
        """Remove a capture, its picture and its corrections; return what was removed, in words."""
        place = self._remove_picture(capture_id)
        removed = [] if place is None else [f"picture {place}"]
        removed += [f"correction {name}" for name in self._corrections.remove(capture_id)]
        # Last, so that a call that was cut off can be made again.
        if self._captures.remove(capture_id):
            removed.append(f"capture {capture_id}")
        return tuple(removed)

    def labeled(self, capture_ids: Iterable[str]) -> dict[str, tuple[LabeledPose, ...]]:
        """Return the corrections of captures."""
        return self._corrections.of(capture_ids)

    def all_labeled(self) -> Iterator[LabeledPose]:
        """Yield all corrections, by document id."""
        return self._corrections.all()

    def write_labeled(self, poses: Sequence[LabeledPose]) -> Written:
        """Write corrections; changed key points get the next revision, equal ones are not written."""
        return self._corrections.write(poses)

    def unreserved(self) -> int:
        """Count the corrections that no trigger has reserved."""
        return self._corrections.unreserved()

    def reserve_trigger(self, threshold: int, now: datetime) -> Trigger | None:
        """Make a trigger that reserves all corrections not reserved yet, if they are at least `threshold`."""
        return self._triggers.reserve(threshold, now)

    def claim_trigger(self, owner: str, now: datetime, until: datetime) -> Trigger | None:
        """Take the oldest trigger that waits or whose lease has ended."""
        return self._triggers.claim(owner, now, until)

    def renew_trigger(self, trigger: Trigger, until: datetime) -> Trigger | None:
        """Lengthen one's own lease."""
        return self._triggers.renew(trigger, until)

    def finish_trigger(
        self, trigger: Trigger, seen: Mapping[str, int], model: str, now: datetime
    ) -> Trigger | None:
        """Say that a training is done, and mark what it has seen as used."""
        return self._triggers.finish(trigger, seen, model, now)

    def release_trigger(self, trigger: Trigger, reason: str) -> Trigger | None:
        """Give a trigger back after a failed training; its corrections stay reserved."""
        return self._triggers.release(trigger, reason)

    def triggers(self) -> list[Trigger]:
        """Return all triggers, newest first."""
        return self._triggers.all()
