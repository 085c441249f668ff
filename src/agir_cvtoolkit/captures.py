"""Captures: uncertain poses that devices sent, what became of them, and what retraining needs to know.

A capture's status goes ``pending`` -> ``in_progress`` -> ``completed``; one whose picture is missing or broken is
``failed`` with a reason. Who works on one holds a lease; when that runs out it is pending again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from .joints import ALL_JOINTS
from .poses import Keypoint, Pose
from .records import file_stem

CaptureStatus = Literal["pending", "in_progress", "completed", "failed"]
CAPTURE_STATUSES: tuple[CaptureStatus, ...] = ("pending", "in_progress", "completed", "failed")
TriggerStatus = Literal["pending", "claimed", "completed"]
TRIGGER_TYPE = "cvat_batch_upload"
SOURCE = "cvat"


@dataclass(frozen=True)
class Capture:
    """One uncertain pose, as a document of ``uncertain_poses``.

    Attributes:
        capture_id: the document's id; any text.
        confidence: of the whole pose, in [0, 1].
        priority: 1 to 10, larger is more urgent.
        taken: when the device saw it, with a time zone; None where the document does not say.
        poses: what the device detected, in pixels of its picture; `detected` is the same as it was sent.
        joint_group: which part of the animal it is about; ``all`` for the whole.
        reason: why it failed.
        claimed_by, claimed_until: the lease.
        transferred_by: who held the lease when it was transferred.
        arrived: when its document was made, by the clock of the store; None where that is not known.
        version: of the document as it was read; a write can demand that it still is the same.
        problems: what in the document could not be understood, in words; what stands for it is said there.
    """

    capture_id: str
    confidence: float
    priority: int
    status: CaptureStatus = "pending"
    taken: datetime | None = None
    device_id: str = ""
    joint_group: str = ALL_JOINTS
    poses: tuple[Pose, ...] = ()
    detected: tuple[Any, ...] = field(default=(), hash=False)
    timestamp: str = ""
    reason: str = ""
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    version: str = ""
    problems: tuple[str, ...] = ()
    transferred_by: str | None = None
    arrived: datetime | None = None

    @property
    def stem(self) -> str:
        """Name of the capture's files, without suffix; also its record id."""
        return file_stem(self.capture_id)


@dataclass(frozen=True)
class LabeledPose:
    """The corrected pose of one animal, as a document of ``labeled_data``.

    Attributes:
        document_id: ``cvat_<capture id>_<creation time of the task>``, ``_<n>`` behind it from the second animal on.
        capture_id: ``originalDataId``.
        keypoints: by joint name, without absent joints.
        quality: in [0, 1].
        revision: 1 when first returned, one more whenever the key points changed.
        picture: key of the picture in the storage.
        size: width and height of the picture in pixels.
        made: when it was returned, with a time zone.
        trigger_id: of the trigger that reserved it; empty while none has.
        used: whether a finished training has seen this revision.
    """

    document_id: str
    capture_id: str
    keypoints: Mapping[str, Keypoint] = field(hash=False)
    quality: float | None
    made: datetime
    schema: str = "dog24"
    revision: int = 1
    picture: str = ""
    size: tuple[int, int] | None = None
    annotator: str = ""
    trigger_id: str = ""
    used: bool = False


@dataclass(frozen=True)
class Trigger:
    """A demand for retraining, as a document of ``retraining_triggers``.

    Attributes:
        count: corrections that it reserved.
        threshold: from which number on there is a trigger.
        attempts: how often a training was begun for it.
        reason: why the last attempt failed.
        version: of the document as it was read.
    """

    trigger_id: str
    count: int
    threshold: int
    made: datetime
    status: TriggerStatus = "pending"
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    attempts: int = 0
    reason: str = ""
    model: str = ""
    version: str = ""


@dataclass(frozen=True)
class PublishedModel:
    """A model that devices may fetch, as a document of ``models``.

    Attributes:
        version: of its weights; the document's id.
        files: keys in the storage by kind (``pth``, ``onnx``, ``coreml``, ``card``).
        sha256: of each of these files.
        metrics: figures on the frozen test set.
        current: whether it is the one in service.
    """

    version: str
    schema: str
    made: datetime
    files: Mapping[str, str] = field(default_factory=dict, hash=False)
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    trigger_id: str = ""
    current: bool = True
