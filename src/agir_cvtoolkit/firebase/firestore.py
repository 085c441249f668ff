"""Captures in Firestore, pictures and models in Cloud Storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.captures import PublishedModel

from ._calls import PATIENCE_S, Calls
from ._connection import Connection, connect
from ._documents import commit, until_settled
from ._firestore_captures import CaptureCollection
from ._firestore_corrections import CorrectionCollection
from ._firestore_failed import FailedDocuments
from ._firestore_triggers import TriggerCollection
from ._names import document_key, model_key, picture_key
from ._paging import pages
from ._parted_store import PartedStore
from .fetching import LARGEST_MODEL, fetched_key, write_fetched
from .storage import Bucket
from .training_documents import model_from_document, model_to_document

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Firebase


class FirestoreStore(PartedStore):
    """Captures in a Firebase project; several threads may use one object, processes make their own.

    Args:
        connection: to Google.
        settings: the group ``firebase``.
        patience_s: how long a call that fails for a while is tried again.
    """

    _captures: CaptureCollection
    _corrections: CorrectionCollection

    def __init__(self, connection: Connection, settings: Firebase, patience_s: float = PATIENCE_S) -> None:
        self._connection = connection
        self._settings = settings
        self._calls = Calls(connection.place, patience_s)
        names, client = settings.collections, connection.client
        self._bucket = Bucket(connection, self._calls)
        poses, threshold = names.uncertain_poses, settings.upload_threshold
        corrections = CorrectionCollection(client, names.labeled_data, self._calls)
        super().__init__(
            CaptureCollection(client, poses, self._calls, threshold, self._put_picture),
            FailedDocuments(client, poses, self._calls, threshold),
            corrections,
            TriggerCollection(client, names.retraining_triggers, self._calls, corrections),
        )
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

    def picture(self, capture_id: str, limit_bytes: int) -> bytes:
        """Return a capture's picture.

        Raises:
            NotFoundError: there is none.
            PictureError: it has more than `limit_bytes`.
            RemoteError: the bucket is not there, refuses or cannot be reached.
        """
        return self._bucket.get(picture_key(self._settings.image_path, capture_id), limit_bytes)

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

    def _remove_picture(self, capture_id: str) -> str | None:
        key = picture_key(self._settings.image_path, capture_id)
        return key if self._bucket.delete(key) else None
