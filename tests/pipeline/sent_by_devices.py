"""Documents that devices send, and what is wrong with others: the rules and the schema must judge them alike."""

from __future__ import annotations

import math
from typing import Any

DEVICE = "device-1"

CAPTURE: dict[str, Any] = {
    "id": "pose-1",
    "confidence": 0.3,
    "priority": 6,
    "status": "pending",
    "deviceId": DEVICE,
    "timestamp": "2025-09-11T08:30:00Z",
    "detectedPoses": [{"keypoints": [{"type": "nose", "x": 101.5, "y": 42.0, "confidence": 0.4}]}],
    "jointGroup": "all",
}

UPLOAD: dict[str, Any] = {
    "model_name": "DogPose",
    "confidence": 0.31,
    "processing_time": 0.042,
    "timestamp": 1757579400.25,
    "keypoints": [{"type": "nose", "x": 0.25, "y": 0.75, "confidence": 0.4, "visible": True}],
    "deviceId": DEVICE,
}


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in names}


GOOD: dict[str, dict[str, Any]] = {
    "a capture": CAPTURE,
    "a capture without what is optional": without(CAPTURE, "id", "jointGroup"),
    "a capture with a whole number as confidence": CAPTURE | {"confidence": 0},
    "a capture with microseconds": CAPTURE | {"timestamp": "2025-09-11T08:30:00.123456Z"},
    "a capture without poses": CAPTURE | {"detectedPoses": []},
    "an upload": UPLOAD,
    "an upload with its picture": UPLOAD | {"image_data": "/9j/4AAQSkZJRg=="},
    "an upload of whole seconds": without(UPLOAD, "model_name", "processing_time")
    | {"timestamp": 1757579400},
}

BAD: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no confidence": without(CAPTURE, "confidence"),
    "no priority": without(CAPTURE, "priority"),
    "no status": without(CAPTURE, "status"),
    "no device": without(CAPTURE, "deviceId"),
    "no time": without(CAPTURE, "timestamp"),
    "no poses": without(CAPTURE, "detectedPoses"),
    "confidence above 1": CAPTURE | {"confidence": 1.01},
    "confidence below 0": CAPTURE | {"confidence": -0.01},
    "confidence as text": CAPTURE | {"confidence": "0.3"},
    "confidence null": CAPTURE | {"confidence": None},
    "confidence NaN": CAPTURE | {"confidence": math.nan},
    "priority 0": CAPTURE | {"priority": 0},
    "priority 11": CAPTURE | {"priority": 11},
    "priority as text": CAPTURE | {"priority": "8"},
    "priority 7.5": CAPTURE | {"priority": 7.5},
    "already in progress": CAPTURE | {"status": "in_progress"},
    "already completed": CAPTURE | {"status": "completed"},
    "status unknown": CAPTURE | {"status": "Pending"},
    "device as number": CAPTURE | {"deviceId": 1},
    "time as a word": CAPTURE | {"timestamp": "yesterday"},
    "time without a zone": CAPTURE | {"timestamp": "2025-09-11T08:30:00"},
    "time of another zone": CAPTURE | {"timestamp": "2025-09-11T10:30:00+02:00"},
    "time as number": CAPTURE | {"timestamp": 1757579400},
    "poses as mapping": CAPTURE | {"detectedPoses": {"0": {}}},
    "51 poses": CAPTURE | {"detectedPoses": [{}] * 51},
    "joint group as number": CAPTURE | {"jointGroup": 3},
    "joint group too long": CAPTURE | {"jointGroup": "x" * 65},
    "a claim": CAPTURE | {"claimedBy": "me"},
    "a picture in a capture": CAPTURE | {"image_data": "/9j/"},
    "an upload without keypoints": without(UPLOAD, "keypoints"),
    "an upload with a status": UPLOAD | {"status": "completed"},
    "an upload with a priority": UPLOAD | {"priority": 10},
    "an upload of confidence NaN": UPLOAD | {"confidence": math.nan},
    "an upload with the time as text": UPLOAD | {"timestamp": "2025-09-11T08:30:00Z"},
    "an upload from before 1970": UPLOAD | {"timestamp": -1},
    "an upload in milliseconds": UPLOAD | {"timestamp": 1757579400250000},
    "an upload with keypoints as text": UPLOAD | {"keypoints": "[]"},
    "an upload of 501 keypoints": UPLOAD | {"keypoints": [{}] * 501},
    "an upload with bytes elsewhere": UPLOAD | {"picture": "/9j/"},
}
