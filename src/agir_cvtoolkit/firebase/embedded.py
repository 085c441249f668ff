"""A folder that stands in for Firestore and Cloud Storage: for laptops, demonstrations and tests."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from agir_cvtoolkit.captures import Capture, LabeledPose, PublishedModel, Trigger
from agir_cvtoolkit.errors import DatabaseError, NotFoundError, PictureError
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import atomic_path, write_bytes

from ._embedded_captures import CaptureTable
from ._embedded_database import Database, decode, encode
from ._embedded_training import CorrectionTable, TriggerTable
from ._names import document_key, model_key, picture_key
from .fetching import fetched_key, write_fetched
from .store import CaptureCounts, Written
from .training_documents import model_from_document, model_to_document


class EmbeddedStore:
    """Captures in a folder: a SQLite database and the files beside it.

    Several threads and processes may use one folder at a time. It keeps the documents that Firestore would have.

    Args:
        folder: made when it is not there.
        upload_threshold: below it a pose is uncertain.
        image_path: of a capture's picture within the folder ``bucket``; ``{pose_id}`` stands for the id.
        model_path: of a model's files there.

    Raises:
        DatabaseError: the folder cannot be made, or its database is damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        upload_threshold: float = 0.6,
        image_path: str = "training_images/{pose_id}.jpg",
        model_path: str = "models/{version}/{file}",
    ) -> None:
        self._folder = Path(folder)
        self._image_path, self._model_path = image_path, model_path
        self._database = Database(self._folder / "captures.db")
        self._captures = CaptureTable(self._database, upload_threshold, self._put_picture)
        self._corrections = CorrectionTable(self._database)
        self._triggers = TriggerTable(self._database)

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def file(self, key: str) -> Path:
        """Return where a file of the storage lies, by its key; it need not be there."""
        return self._folder.joinpath("bucket", *(file_stem(part) for part in key.split("/") if part))

    def put_document(self, collection: str, key: str, document: Mapping[str, Any]) -> None:
        """Put a raw document in, as a device or a stranger may write it, in the place of one of that name.

        Args:
            collection: ``uncertain_poses`` or ``labeled_data``.
            key: name of the document.
            document: anything that JSON knows; NaN too.

        Raises:
            ValueError: the collection is another.
        """
        if collection == "uncertain_poses":
            self._captures.insert(document_key(key), dict(document), instead=True)
        elif collection == "labeled_data":
            self._corrections.insert(document_key(key), dict(document))
        else:
            raise ValueError(f"no raw documents go into '{collection}'")

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
        return self._captures.renew(capture, until)

    def renew_all(self, captures: Sequence[Capture], until: datetime) -> list[Capture]:
        """Lengthen one's own leases; return those that still are one's own."""
        return self._captures.renew_all(captures, until)

    def transferred(self, capture: Capture, when: datetime) -> Capture | None:
        """Say that a claimed capture is where people correct it."""
        return self._captures.transferred(capture, when)

    def transferred_all(self, captures: Sequence[Capture], when: datetime) -> list[Capture]:
        """Say so of many captures at a time; return those of which it could be said."""
        return self._captures.transferred_all(captures, when)

    def release(self, capture: Capture) -> Capture | None:
        """Give a claimed capture back to the queue."""
        return self._captures.release(capture)

    def fail(self, capture: Capture, reason: str) -> Capture | None:
        """Say that a claimed capture cannot be used."""
        return self._captures.fail(capture, reason)

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
        """
        path = self.file(picture_key(self._image_path, capture_id))
        try:
            with path.open("rb") as stream:
                content = stream.read(limit_bytes + 1)
        except OSError as error:
            raise NotFoundError(
                f"the picture of capture '{capture_id}' is not at {path}",
                "See that the device has sent it, and that firebase.image_path is right.",
            ) from error
        if len(content) > limit_bytes:
            raise PictureError(f"the picture of capture '{capture_id}' has more than {limit_bytes} bytes")
        return content

    def forget(self, capture_id: str) -> tuple[str, ...]:
        """Remove a capture, its picture and its corrections; return what was removed, in words."""
        removed = []
        path = self.file(picture_key(self._image_path, capture_id))
        if path.is_file():
            path.unlink()
            removed.append(f"picture {path}")
        removed += [f"correction {key}" for key in self._corrections.remove(capture_id)]
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
            keys[kind] = model_key(self._model_path, model.version, path.name)
            target = self.file(keys[kind])
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with atomic_path(target) as temporary:
                    shutil.copyfile(path, temporary)
                    with temporary.open("rb") as stream:
                        sums[kind] = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise DatabaseError(
                    f"{path} cannot be copied to {target}: {error.strerror}", "See that the disk is not full."
                ) from error
        made = replace(model, files=keys, sha256=sums, current=True)
        document = model_to_document(made)
        with self._database.write() as connection:
            for key, content in connection.execute(
                "SELECT id, document FROM models WHERE current = 1"
            ).fetchall():
                connection.execute(
                    "UPDATE models SET version = version + 1, current = 0, document = ? WHERE id = ?",
                    (encode(decode(content) | {"current": False}), key),
                )
            connection.execute(
                "INSERT OR REPLACE INTO models (id, version, document, current, made) VALUES (?, 1, ?, 1, ?)",
                (document_key(model.version), encode(document), document["timestamp"]),
            )
        return made

    def current_model(self) -> PublishedModel | None:
        """Return the model in service."""
        with self._database.read() as connection:
            row = connection.execute("SELECT id, document FROM models WHERE current = 1").fetchone()
        return None if row is None else model_from_document(row[0], decode(row[1]))

    def fetch_model(self, model: PublishedModel, kind: str, to: Path) -> None:
        """Fetch a file of a published model, whole or not at all."""
        place = self.file(fetched_key(model, kind))
        try:
            content = place.read_bytes()
        except OSError as error:
            raise NotFoundError(
                f"file {kind} of model {model.version} is not at {place}", "Publish the model again."
            ) from error
        write_fetched(model, kind, content, to)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _put_picture(self, capture_id: str, picture: bytes) -> None:
        path = self.file(picture_key(self._image_path, capture_id))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, picture)
        except OSError as error:
            raise DatabaseError(
                f"the picture of capture '{capture_id}' cannot be written to {path}: {error.strerror}",
                "See that the disk is not full and the folder may be written to.",
            ) from error
