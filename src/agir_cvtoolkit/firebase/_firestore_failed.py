"""Captures in Firestore that failed or have a foreign status, and their way back into the queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from agir_cvtoolkit.captures import CAPTURE_STATUSES, Capture

from ._calls import Calls
from ._documents import Update, read, update_all, version_of
from ._firestore_changes import fields_of
from ._lease import requeued
from ._names import document_key
from ._paging import pages
from ._values import moment
from .documents import capture_from_document


class FailedDocuments:
    """The documents of captures that wait no more and are not corrected.

    Args:
        client: Google's.
        name: of the collection.
        threshold: `upload_threshold`, which priorities are reckoned from.
    """

    def __init__(self, client: Any, name: str, calls: Calls, threshold: float) -> None:
        self._client = client
        self._collection = client.collection(name)
        self._calls = calls
        self._threshold = threshold

    def failed(self) -> Iterator[Capture]:
        """Yield failed captures by name of the document."""
        return self._captures("==", "failed", "__name__")

    def foreign(self) -> Iterator[Capture]:
        """Yield captures whose status is a foreign word, by it."""
        return self._captures("not-in", list(CAPTURE_STATUSES), "status")

    def _captures(self, operator: str, status: Any, order: str) -> Iterator[Capture]:
        from google.cloud.firestore import FieldFilter

        query = self._collection.where(filter=FieldFilter("status", operator, status)).order_by(order)
        for page in pages(self._calls, f"read captures of status {operator} {status}", query):
            for snapshot in page:
                version, made = version_of(snapshot.update_time), moment(snapshot.create_time)
                yield capture_from_document(snapshot.id, snapshot.to_dict(), self._threshold, version, made)

    def put_back(self, captures: Sequence[Capture]) -> tuple[str, ...]:
        """Make captures pending that have not changed since they were read; return their ids."""
        what = "put captures back into the queue"
        wanted = {document_key(capture.capture_id): capture for capture in captures}
        references = [self._collection.document(key) for key in wanted]
        same = [
            snapshot
            for snapshot in read(self._calls, what, self._client, references)
            if snapshot.exists and version_of(snapshot.update_time) == wanted[snapshot.id].version
        ]
        updates = [Update(snapshot, fields_of(requeued())) for snapshot in same]
        done = {snapshot.id for snapshot in update_all(self._calls, what, self._client, updates)}
        return tuple(capture.capture_id for key, capture in wanted.items() if key in done)
