"""Corrections in Firestore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from agir_cvtoolkit.captures import LabeledPose

from ._calls import Calls, OvertakenError
from ._documents import GROUP, commit, read, until_settled
from ._names import document_key
from ._paging import count, pages
from .store import Written
from .training_documents import CAPTURE_KEY, labeled_from_document, labeled_to_document, same_keypoints

_MOST_IN_A_FILTER = 30
_Fate = Literal["new", "changed", "same"]


@dataclass(frozen=True)
class _Meant:
    """What one try would have written."""

    fate: _Fate
    revision: int


class CorrectionCollection:
    """The collection of corrections."""

    def __init__(self, client: Any, name: str, calls: Calls) -> None:
        self._client = client
        self._collection = client.collection(name)
        self._calls = calls

    def of(self, capture_ids: Iterable[str]) -> dict[str, tuple[LabeledPose, ...]]:
        """Return the corrections of captures."""
        wanted = list(dict.fromkeys(capture_ids))
        found: dict[str, list[LabeledPose]] = {}
        plain_ids = [capture_id for capture_id in wanted if document_key(capture_id) == capture_id]
        queries = [
            self._where("originalDataId", "in", plain_ids[start : start + _MOST_IN_A_FILTER])
            for start in range(0, len(plain_ids), _MOST_IN_A_FILTER)
        ]
        queries += [self._of(capture_id) for capture_id in wanted if document_key(capture_id) != capture_id]
        for query in queries:
            for page in pages(self._calls, "read corrections", query.order_by("__name__")):
                for snapshot in page:
                    pose = labeled_from_document(snapshot.id, snapshot.to_dict())
                    found.setdefault(pose.capture_id, []).append(pose)
        return {capture_id: tuple(found[capture_id]) for capture_id in wanted if capture_id in found}

    def all(self) -> Iterator[LabeledPose]:
        """Yield all corrections by name of the document."""
        for page in pages(self._calls, "read corrections", self._collection.order_by("__name__")):
            yield from (labeled_from_document(snapshot.id, snapshot.to_dict()) for snapshot in page)

    def write(self, poses: Sequence[LabeledPose]) -> Written:
        """Write corrections."""
        wanted = list({document_key(pose.document_id): pose for pose in poses}.items())
        fates: dict[str, _Fate] = {}
        for start in range(0, len(wanted), GROUP):
            fates |= self._write_group(dict(wanted[start : start + GROUP]))
        by_fate: dict[_Fate, list[str]] = {"new": [], "changed": [], "same": []}
        for key, pose in wanted:
            by_fate[fates[key]].append(pose.document_id)
        return Written(tuple(by_fate["new"]), tuple(by_fate["changed"]), tuple(by_fate["same"]))

    def unreserved(self) -> int:
        """Count the corrections that no trigger has reserved."""
        return count(self._calls, "count corrections", self._where("triggerId", "==", ""))

    def unreserved_documents(self, most: int) -> list[Any]:
        """Return snapshots of corrections that no trigger has reserved, with no fields but that one."""
        query = self._where("triggerId", "==", "").select(["triggerId"]).order_by("__name__")
        found = pages(self._calls, "read new corrections", query, limit=most, size=1000)
        return [snapshot for page in found for snapshot in page]

    def snapshots(self, document_ids: Iterable[str]) -> list[Any]:
        """Return snapshots of corrections, also of those that do not exist."""
        references = [self._collection.document(document_key(name)) for name in document_ids]
        return read(self._calls, "read corrections", self._client, references)

    def remove(self, capture_id: str) -> tuple[str, ...]:
        """Remove the corrections of a capture; return their ids."""
        removed: list[str] = []
        for page in pages(self._calls, "read corrections", self._of(capture_id)):
            batch = self._client.batch()
            for snapshot in page:
                batch.delete(snapshot.reference)
            commit(self._calls, "remove corrections", batch)
            removed += [snapshot.id for snapshot in page]
        return tuple(sorted(removed))

    def _write_group(self, poses: dict[str, LabeledPose]) -> dict[str, _Fate]:
        what = "write corrections"
        meant: dict[str, _Meant] = {}
        unsure = False

        def attempt() -> dict[str, _Fate]:
            nonlocal unsure
            batch = self._client.batch()
            fates: dict[str, _Fate] = {}
            now: dict[str, _Meant] = {}
            for snapshot in self.snapshots(poses):
                fate, revision = self._add(batch, snapshot, poses[snapshot.id])
                before = meant.get(snapshot.id)
                if unsure and fate == "same" and before is not None and before.revision == revision:
                    # A try that got no answer wrote it after all.
                    fate = before.fate
                fates[snapshot.id] = fate
                now[snapshot.id] = _Meant(fate, revision)
            meant.update(now)
            if len(batch):
                try:
                    commit(self._calls, what, batch)
                except OvertakenError as overtaken:
                    unsure = unsure or overtaken.unsure
                    raise
            return fates

        settled: dict[str, _Fate] = until_settled(what, self._calls.place, attempt)
        return settled

    def _add(self, batch: Any, snapshot: Any, pose: LabeledPose) -> tuple[_Fate, int]:
        if not snapshot.exists:
            document = labeled_to_document(replace(pose, revision=1, trigger_id="", used=False))
            batch.create(snapshot.reference, document)
            return "new", 1
        before = labeled_from_document(snapshot.id, snapshot.to_dict())
        if same_keypoints(before.keypoints, pose.keypoints):
            return "same", before.revision
        after = replace(pose, revision=before.revision + 1, trigger_id="", used=False)
        option = self._client.write_option(last_update_time=snapshot.update_time)
        batch.update(snapshot.reference, labeled_to_document(after), option=option)
        return "changed", after.revision

    def _of(self, capture_id: str) -> Any:
        key = document_key(capture_id)
        # Firestore does not look for values of more than 1,500 bytes.
        return self._where(
            *(("originalDataId", "==", key) if key == capture_id else (CAPTURE_KEY, "==", key))
        )

    def _where(self, name: str, operator: str, value: Any) -> Any:
        from google.cloud.firestore import FieldFilter

        return self._collection.where(filter=FieldFilter(name, operator, value))
