"""Captures in Firestore, pictures and models in Cloud Storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.captures import Capture, LabeledPose, PublishedModel, Trigger

from ._calls import Calls
from ._connection import Connection, connect
from ._documents import commit, until_settled
from ._firestore_captures import CaptureCollection
from ._firestore_corrections import CorrectionCollection
from ._firestore_triggers import TriggerCollection
from ._lease import failed, given_back, renewed, transferred
from ._names import document_key, model_key, picture_key
from ._paging import pages
from .fetching import LARGEST_MODEL, fetched_key, write_fetched
from .storage import Bucket
from .store import CaptureCounts, Written
from .training_documents import model_from_document, model_to_document

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Firebase

PATIENCE_S = 60.0


class FirestoreStore:
    """Captures in a Firebase project; several threads may use one object, processes make their own.

    Args:
        connection: to Google.
        settings: the group ``firebase``.
        patience_s: how long a call that fails for a while is tried again.
    """

    def __init__(self, connection: Connection, settings: Firebase, patience_s: float = PATIENCE_S) -> None:
        self._connection = connection
        self._settings = settings
        self._calls = Calls(connection.place, patience_s)
        names, client = settings.collections, connection.client
        self._bucket = Bucket(connection.bucket, self._calls, guessed=connection.guessed_bucket)
        self._captures = CaptureCollection(
            client, names.uncertain_poses, self._calls, settings.upload_threshold, self._put_picture
        )
        self._corrections = CorrectionCollection(client, names.labeled_data, self._calls)
        self._triggers = TriggerCollection(client, names.retraining_triggers, self._calls, self._corrections)
        self._models = client.collection(names.models)

    @classmethod
    def open(
        cls, settings: Firebase, *, service_account: Path | None = None, patience_s: float = PATIENCE_S
    ) -> FirestoreStore:
        """Return the store of a project. Nothing is sent yet.

        Args:
            settings: the group ``firebase``.
            service_account: key file; wins over the settings' and ``GOOGLE_APPLICATION_CREDENTIALS``.
            patience_s: how long a call that fails for a while is tried again.

        Raises:
            ConfigError: there is no key, it is none, or there is no project.
            MissingExtraError: Google's libraries are not installed.
        """
        return cls(connect(settings, service_account), settings, patience_s)

    @property
    def place(self) -> str:
        """Project, database and bucket."""
        return self._connection.place

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
        """Lengthen one's own leases; return those that still are one's own."""
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

    def fail(self, capture: Capture, reason: str) -> Capture | None:
        """Say that a claimed capture cannot be used."""
        return self._captures.change(capture, failed(reason))

    def complete(self, capture_ids: Sequence[str], when: datetime) -> tuple[str, ...]:
        """Say that captures are corrected; return the ids of those that were not completed before."""
        return self._captures.complete(capture_ids, when)

    def counts(self, now: datetime) -> CaptureCounts:
        """Count the captures."""
        return self._captures.counts(now)

    def picture(self, capture_id: str, limit_bytes: int) -> bytes:
        """Return a capture's picture.

        Raises:
            NotFoundError: there is none.
            PictureError: it has more than `limit_bytes`.
            RemoteError: the bucket is not there, refuses or cannot be reached.
        """
        return self._bucket.get(picture_key(self._settings.image_path, capture_id), limit_bytes)

    def forget(self, capture_id: str) -> tuple[str, ...]:
        """Remove a capture, its picture and its corrections; return what was removed, in words."""
        key = picture_key(self._settings.image_path, capture_id)
        removed = [f"picture {key}"] if self._bucket.delete(key) else []
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

    def publish(self, model: PublishedModel, files: Mapping[str, Path]) -> PublishedModel:
        """Put a model's files into the storage, then the document, and make it the current one."""
        keys, sums = {}, {}
        for kind, path in files.items():
            keys[kind] = model_key(self._settings.model_path, model.version, path.name)
            sums[kind] = self._bucket.put_file(keys[kind], path)
        made = replace(model, files=keys, sha256=sums, current=True)
        until_settled("publish a model", self.place, lambda: self._publish(made))
        return made

    def _publish(self, model: PublishedModel) -> None:
        key, client = document_key(model.version), self._connection.client
        batch = client.batch()
        for snapshot in self._current():
            if snapshot.id != key:
                option = client.write_option(last_update_time=snapshot.update_time)
                batch.update(snapshot.reference, {"current": False}, option=option)
        batch.set(self._models.document(key), model_to_document(model))
        commit(self._calls, "publish a model", batch)

    def current_model(self) -> PublishedModel | None:
        """Return the model in service."""
        found = [model_from_document(snapshot.id, snapshot.to_dict()) for snapshot in self._current()]
        return max(found, key=lambda model: model.made, default=None)

    def fetch_model(self, model: PublishedModel, kind: str, to: Path) -> None:
        """Fetch a file of a published model, whole or not at all."""
        content = self._bucket.get(fetched_key(model, kind), LARGEST_MODEL)
        write_fetched(model, kind, content, to)

    def _current(self) -> list[Any]:
        from google.cloud.firestore import FieldFilter

        query = self._models.where(filter=FieldFilter("current", "==", True))
        return [snapshot for page in pages(self._calls, "read models", query) for snapshot in page]

    def close(self) -> None:
        """Let go of connections."""
        self._calls.stop()
        self._connection.close()

    def _put_picture(self, capture_id: str, picture: bytes) -> None:
        self._bucket.put(picture_key(self._settings.image_path, capture_id), picture)
