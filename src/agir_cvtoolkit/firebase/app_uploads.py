"""What the app uploads today, as captures of this package.

Its dictionary has other names (``model_name, confidence, processing_time, timestamp, keypoints``), the time in
seconds since 1970, coordinates that may be Apple Vision's, and the picture as base64 within the document, which
Firestore limits to 1 MiB. It has no priority, status or device.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agir_cvtoolkit.captures import Capture

from .detections import with_picture_size
from .documents import capture_from_document

PICTURE_FIELDS = ("image_data", "imageData")
_PREFIX = "base64,"


@dataclass(frozen=True)
class AppUpload:
    """A capture as the app sent it, and the picture that came within it."""

    capture: Capture
    picture: bytes | None


def from_app_upload(
    capture_id: str,
    upload: Mapping[str, Any],
    threshold: float,
    *,
    device_id: str = "",
    size: tuple[int, int] | None = None,
) -> AppUpload:
    """Return what the app uploads today as a pending capture, ready for `CaptureStore.create`.

    Args:
        capture_id: for the new capture.
        upload: the app's dictionary.
        threshold: `upload_threshold`, which the priority is reckoned from.
        device_id: where the dictionary names none.
        size: width and height of the upright picture, which Vision's coordinates need.
    """
    picture, removed = take_picture(upload)
    rest = {name: value for name, value in upload.items() if name not in removed and name != "id"}
    capture = capture_from_document(document=rest, key=capture_id, threshold=threshold)
    if size is not None:
        capture = with_picture_size(capture, size)
    return AppUpload(
        replace(capture, capture_id=capture_id, status="pending", device_id=capture.device_id or device_id),
        picture,
    )


def take_picture(document: Mapping[str, Any]) -> tuple[bytes | None, tuple[str, ...]]:
    """Return the picture within a document and the names of the fields that hold it; None where it cannot be read."""
    for name in PICTURE_FIELDS:
        value = document.get(name)
        if isinstance(value, bytes) and value:
            return value, (name,)
        if isinstance(value, str) and value:
            content = value.partition(_PREFIX)[2] if value.startswith("data:") else value
            try:
                return base64.b64decode("".join(content.split()), validate=True), (name,)
            except (binascii.Error, ValueError):
                return None, ()
    return None, ()
