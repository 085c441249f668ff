"""Captures and corrections for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agir_cvtoolkit.captures import Capture, LabeledPose
from agir_cvtoolkit.poses import Keypoint, Pose

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
JPEG = b"\xff\xd8\xff\xe0 not a real picture"


def capture(name: str, priority: int = 5, minute: int = 0, **changes: object) -> Capture:
    pose = Pose(
        {"nose": Keypoint(10.5, 20.25, confidence=0.25), "tail_tip": Keypoint(3.0, 4.0, "occluded", 0.5)}
    )
    fields: dict[str, object] = {
        "confidence": 0.3,
        "taken": NOW - timedelta(minutes=minute),
        "device_id": "phone-1",
        "joint_group": "head",
        "poses": (pose,),
    }
    return Capture(capture_id=name, priority=priority, **(fields | changes))  # type: ignore[arg-type]


def correction(name: str, x: float = 1.0, animal: int = 1, **changes: object) -> LabeledPose:
    suffix = "" if animal == 1 else f"_{animal}"
    fields: dict[str, object] = {
        "keypoints": {"nose": Keypoint(x, 2.25), "left_eye": Keypoint(0.1, 7.0, "occluded")},
        "quality": 0.75,
        "made": NOW,
        "picture": f"training_images/{name}.jpg",
        "size": (640, 480),
        "annotator": "ann",
    }
    document_id = f"cvat_{name}_20260301T110000Z{suffix}"
    return LabeledPose(document_id, name, **(fields | changes))  # type: ignore[arg-type]


def corrections(many: int, first: int = 0) -> list[LabeledPose]:
    return [correction(f"c{number}") for number in range(first, first + many)]
