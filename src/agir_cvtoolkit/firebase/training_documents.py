"""Documents of corrections, triggers and published models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from agir_cvtoolkit.captures import SOURCE, TRIGGER_TYPE, LabeledPose, PublishedModel, Trigger, TriggerStatus
from agir_cvtoolkit.joints import DEFAULT_SCHEMA
from agir_cvtoolkit.poses import Keypoint, Visibility

from ._names import document_key, own_id
from ._values import moment, number, plain, text, whole, written_time

CAPTURE_KEY = "originalDataKey"
"""Field with the name of the capture's document, where that is not the capture's id."""
_NO_TIME = datetime.fromtimestamp(0, UTC)


def labeled_from_document(key: str, document: Mapping[str, Any]) -> LabeledPose:
    """Return a correction; joints without a finite place are left out, and never is there an error."""
    raw = document.get("correctedKeypoints")
    width, height = number(document.get("imageWidth")), number(document.get("imageHeight"))
    quality = number(document.get("qualityScore"))
    return LabeledPose(
        document_id=own_id(key, document.get("id")),
        capture_id=text(document.get("originalDataId")),
        keypoints=_keypoints(raw if isinstance(raw, Mapping) else {}),
        quality=None if quality is None else min(1.0, max(0.0, quality)),
        made=moment(document.get("timestamp")) or _NO_TIME,
        schema=text(document.get("schema")) or DEFAULT_SCHEMA,
        revision=max(1, whole(document.get("revision"), 1)),
        picture=text(document.get("picture")),
        size=(int(width), int(height)) if width and height and width >= 1 and height >= 1 else None,
        annotator=text(document.get("annotator")),
        trigger_id=text(document.get("triggerId")),
        used=document.get("used") is True,
    )


def labeled_to_document(pose: LabeledPose) -> dict[str, Any]:
    """Return the document of a correction; an absent joint is not in it, an occluded one has ``visible`` false."""
    document: dict[str, Any] = {
        "id": pose.document_id,
        "originalDataId": pose.capture_id,
        "correctedKeypoints": {
            name: {"x": float(point.x), "y": float(point.y), "visible": point.visibility == "visible"}
            for name, point in pose.keypoints.items()
            if point.is_there and name
        },
        "qualityScore": None if pose.quality is None else float(pose.quality),
        "source": SOURCE,
        "timestamp": written_time(pose.made),
        "schema": pose.schema,
        "revision": pose.revision,
        "picture": pose.picture,
        "annotator": pose.annotator,
        # Empty, not missing: only what is there can be queried.
        "triggerId": pose.trigger_id,
        "used": pose.used,
    }
    key = document_key(pose.capture_id)
    if key != pose.capture_id:
        document[CAPTURE_KEY] = key
    if pose.size is not None:
        document["imageWidth"], document["imageHeight"] = int(pose.size[0]), int(pose.size[1])
    return cast("dict[str, Any]", plain(document))


def same_keypoints(first: Mapping[str, Keypoint], second: Mapping[str, Keypoint]) -> bool:
    """Return whether two corrections put the same joints at the same places with the same visibility."""
    there = {name: point for name, point in first.items() if point.is_there and name}
    other = {name: point for name, point in second.items() if point.is_there and name}
    return there.keys() == other.keys() and all(
        (point.x, point.y, point.visibility) == (other[name].x, other[name].y, other[name].visibility)
        for name, point in there.items()
    )


def trigger_from_document(key: str, document: Mapping[str, Any], version: str = "") -> Trigger:
    """Return a trigger; one without status, as the seed shows it, waits."""
    status = document.get("status")
    known = status if status in ("pending", "claimed", "completed") else "pending"
    return Trigger(
        trigger_id=key,
        count=max(0, whole(document.get("labeled_data_count"), 0)),
        threshold=max(1, whole(document.get("trigger_threshold"), 1)),
        made=moment(document.get("timestamp")) or _NO_TIME,
        status=cast("TriggerStatus", known),
        claimed_by=text(document.get("claimedBy")) or None,
        claimed_until=moment(document.get("claimedUntil")),
        attempts=max(0, whole(document.get("attempts"), 0)),
        reason=text(document.get("reason")),
        model=text(document.get("model")),
        version=version,
    )


def trigger_to_document(trigger: Trigger) -> dict[str, Any]:
    """Return the document of a trigger; the lease's end is a time, or None."""
    return {
        "type": TRIGGER_TYPE,
        "labeled_data_count": trigger.count,
        "trigger_threshold": trigger.threshold,
        "timestamp": written_time(trigger.made),
        "status": trigger.status,
        "claimedBy": trigger.claimed_by,
        "claimedUntil": trigger.claimed_until,
        "attempts": trigger.attempts,
        "reason": trigger.reason,
        "model": trigger.model,
    }


def model_from_document(key: str, document: Mapping[str, Any]) -> PublishedModel:
    """Return a published model; what is not understood in its files and figures is left out."""
    return PublishedModel(
        version=own_id(key, document.get("version")),
        schema=text(document.get("schema")) or DEFAULT_SCHEMA,
        made=moment(document.get("timestamp")) or _NO_TIME,
        files=_texts(document.get("files")),
        sha256=_texts(document.get("sha256")),
        metrics={
            str(name): value
            for name, said in _mapping(document.get("metrics")).items()
            if (value := number(said)) is not None
        },
        trigger_id=text(document.get("triggerId")),
        current=document.get("current") is True,
    )


def model_to_document(model: PublishedModel) -> dict[str, Any]:
    """Return the document of a published model."""
    return {
        "version": model.version,
        "schema": model.schema,
        "timestamp": written_time(model.made),
        "files": dict(model.files),
        "sha256": dict(model.sha256),
        "metrics": {name: float(value) for name, value in model.metrics.items()},
        "triggerId": model.trigger_id,
        "current": model.current,
    }


def _keypoints(raw: Mapping[str, Any]) -> dict[str, Keypoint]:
    points: dict[str, Keypoint] = {}
    for name, point in raw.items():
        if not isinstance(point, Mapping):
            continue
        x, y = number(point.get("x")), number(point.get("y"))
        visibility: Visibility = "occluded" if point.get("visible") is False else "visible"
        if x is not None and y is not None:
            points[str(name)] = Keypoint(x, y, visibility)
    return points


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> dict[str, str]:
    return {str(name): said for name, said in _mapping(value).items() if isinstance(said, str)}
