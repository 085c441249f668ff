"""Documents of the collection of captures: tolerant reading, plain writing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from agir_cvtoolkit.captures import CAPTURE_STATUSES, Capture, CaptureStatus
from agir_cvtoolkit.joints import ALL_JOINTS
from agir_cvtoolkit.poses import overall_confidence, priority_of

from ._names import own_id
from ._values import moment, number, plain, text, written_time
from .detections import picture_size, read_poses, write_poses

_DETECTED_KEYS = ("detectedPoses", "detected_poses", "poses")


def capture_from_document(
    key: str,
    document: Mapping[str, Any],
    threshold: float,
    version: str = "",
    arrived: datetime | None = None,
) -> Capture:
    """Return a capture from a document that a device, this package or anybody else wrote. It never fails.

    What is missing or impossible is replaced, and the capture's `problems` say so: a confidence that is none by that
    of the key points, else 0; one outside [0, 1] by the nearer end; a priority that is none by the one that the
    confidence gives; one outside 1 to 10 by the nearer end; a missing status by ``pending``; a foreign one by
    ``failed``. What the app uploads (``keypoints``, no priority, no status, time in seconds) is understood too.

    Args:
        key: name of the document.
        threshold: `upload_threshold`; below it a pose is uncertain.
        version: of the document.
        arrived: when the document was made.
    """
    problems: list[str] = []
    detected = _detected(document, problems)
    poses, unread = read_poses(detected, picture_size(document))
    found = [overall_confidence(pose) for pose in poses]
    confidence = _confidence(document.get("confidence"), found, problems)
    given = document.get("timestamp")
    taken = moment(given)
    if taken is None:
        problems.append("timestamp is missing or is no time; it counts as youngest of its priority")
    status = _status(document.get("status"), problems)
    group = text(document.get("jointGroup", document.get("joint_group"))).strip()
    return Capture(
        capture_id=own_id(key, document.get("id")),
        confidence=confidence,
        priority=_priority(document.get("priority"), confidence, threshold, problems),
        status=status,
        taken=taken,
        device_id=text(document.get("deviceId", document.get("device_id"))),
        joint_group=group or ALL_JOINTS,
        poses=poses,
        detected=detected,
        timestamp=given if isinstance(given, str) else "" if taken is None else written_time(taken),
        reason=text(document.get("reason")),
        claimed_by=text(document.get("claimedBy")) or None,
        claimed_until=moment(document.get("claimedUntil")),
        version=version,
        problems=(*problems, *unread),
        transferred_by=text(document.get("transferredBy")) or None,
        arrived=arrived,
    )


def capture_to_document(capture: Capture) -> dict[str, Any]:
    """Return the document of a capture; times are text in UTC, but that of the lease is a time."""
    detected = list(capture.detected) if capture.detected else write_poses(capture.poses)
    document: dict[str, Any] = {
        "id": capture.capture_id,
        "confidence": float(capture.confidence),
        "priority": int(capture.priority),
        "status": capture.status,
        "deviceId": capture.device_id,
        "timestamp": capture.timestamp or ("" if capture.taken is None else written_time(capture.taken)),
        "detectedPoses": detected,
        "jointGroup": capture.joint_group,
    }
    if capture.reason:
        document["reason"] = capture.reason
    if capture.claimed_by is not None:
        document["claimedBy"] = capture.claimed_by
    document = plain(document)
    if capture.claimed_until is not None:
        document["claimedUntil"] = capture.claimed_until
    return document


def is_offered(document: Mapping[str, Any]) -> bool:
    """Return whether queries for status, priority and time find a document, whatever its status is."""
    priority = document.get("priority")
    return (
        "status" in document
        and isinstance(priority, int | float)
        and not isinstance(priority, bool)
        and number(priority) is not None
        and "timestamp" in document
    )


def written_status(document: Mapping[str, Any]) -> CaptureStatus | None:
    """Return the status that a document means: ``pending`` where it has none, None where it is a foreign word."""
    value = document.get("status")
    if value is None:
        return "pending"
    word = value.strip().lower() if isinstance(value, str) else ""
    return word if word in CAPTURE_STATUSES else None


def mended(key: str, document: Mapping[str, Any], threshold: float, made: Any = None) -> dict[str, Any]:
    """Return the fields that a document needs so that a queue can offer it; none where it is not waiting or is fine.

    Args:
        made: when the document was made; stands for a missing time.
    """
    capture = capture_from_document(key, document, threshold)
    if capture.status != "pending":
        return {}
    changes: dict[str, Any] = {}
    if document.get("status") != "pending":
        changes["status"] = "pending"
    priority = document.get("priority")
    if isinstance(priority, bool) or not isinstance(priority, int | float) or number(priority) is None:
        changes["priority"] = capture.priority
    if capture.taken is None:
        when = moment(made)
        if when is not None:
            changes["timestamp"] = written_time(when)
    elif not isinstance(document.get("timestamp"), str):
        changes["timestamp"] = written_time(capture.taken)
    return changes


def _detected(document: Mapping[str, Any], problems: list[str]) -> tuple[Any, ...]:
    raw = next((document[key] for key in _DETECTED_KEYS if key in document), None)
    if raw is None and "keypoints" in document:
        shared = {k: plain(document[k]) for k in ("coordinates", "coordinateSystem") if k in document}
        return ({"keypoints": plain(document["keypoints"])} | shared,)
    if raw is None:
        return ()
    if isinstance(raw, Mapping):
        raw = [raw]
    if not isinstance(raw, list | tuple):
        problems.append(f"detectedPoses is no list but {type(raw).__name__}; it is left out")
        return ()
    said = document.get("coordinates")
    items = plain(raw)
    if isinstance(said, str):
        items = [
            {"coordinates": said} | item if isinstance(item, dict) and "keypoints" in item else item
            for item in items
        ]
    return tuple(items)


def _confidence(value: Any, found: list[float], problems: list[str]) -> float:
    given = number(value)
    if given is None:
        instead = min(found) if found else 0.0
        problems.append(f"confidence {_shown(value)} is no number; {instead:g} stands for it")
        return instead
    inside = min(1.0, max(0.0, given))
    if inside != given:
        problems.append(f"confidence {given:g} is not in [0, 1]; {inside:g} stands for it")
    elif isinstance(value, str):
        problems.append(f"confidence {_shown(value)} is text")
    return inside


def _priority(value: Any, confidence: float, threshold: float, problems: list[str]) -> int:
    given = number(value)
    if given is None:
        instead = priority_of(confidence, threshold)
        problems.append(f"priority {_shown(value)} is no number; {instead} stands for it")
        return instead
    inside = int(min(10.0, max(1.0, given)))
    if inside != given:
        problems.append(f"priority {given:g} is not one of 1 to 10; {inside} stands for it")
    elif isinstance(value, str):
        problems.append(f"priority {_shown(value)} is text")
    return inside


def _status(value: Any, problems: list[str]) -> CaptureStatus:
    if value in CAPTURE_STATUSES:
        return cast("CaptureStatus", value)
    word = written_status({"status": value})
    if value is None:
        problems.append("status is missing; pending stands for it")
    elif word is not None:
        problems.append(f"status {_shown(value)} is written differently; {word} stands for it")
    else:
        problems.append(f"status {_shown(value)} is not known; failed stands for it")
    return word or "failed"


def _shown(value: Any) -> str:
    return "(missing)" if value is None else repr(value)[:40]
