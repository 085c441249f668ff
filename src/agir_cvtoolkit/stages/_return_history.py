"""Corrections that came back, in the ledger: `why` tells them with the rest of a picture's life."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agir_cvtoolkit.captures import LabeledPose
from agir_cvtoolkit.firebase import Written
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import file_stem


class ReturnHistory:
    """Writes down what the store was told; what a call that was killed has not written, the next one does.

    Args:
        ledger: of the workspace.
        place: of the store.
    """

    def __init__(self, ledger: Ledger, place: str) -> None:
        self._ledger = ledger
        self._place = place

    def add(
        self, poses: Iterable[LabeledPose], written: Written, before: Mapping[str, Sequence[LabeledPose]]
    ) -> None:
        """Write corrections down.

        Args:
            poses: as they were given to the store.
            written: what became of them there.
            before: what the store had of their captures, by id.
        """
        known = {pose.document_id: pose for some in before.values() for pose in some}
        changed = frozenset(written.changed)
        self._ledger.record_returns(
            (file_stem(pose.capture_id), self._told(pose, known.get(pose.document_id), changed))
            for pose in poses
        )

    def _told(
        self, pose: LabeledPose, there: LabeledPose | None, changed: frozenset[str]
    ) -> Mapping[str, object]:
        is_changed = pose.document_id in changed
        shown = pose if there is None or is_changed else there
        return {
            "document": pose.document_id,
            "revision": 1 if there is None else there.revision + is_changed,
            "joints": len(shown.keypoints),
            "quality": None if shown.quality is None else round(shown.quality, 3),
            "place": self._place,
        }
