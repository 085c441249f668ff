"""Documents that devices wrote in another form, as captures."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import PictureError
from agir_cvtoolkit.pictures import glance

from ._names import own_id
from ._values import written_time
from .app_uploads import PICTURE_FIELDS, from_app_upload, take_picture
from .documents import capture_to_document, mended, written_status


@dataclass(frozen=True)
class Normalised:
    """What makes a capture of a document.

    Attributes:
        fields: new values.
        removed: names of fields that go away.
        picture: that belongs into the storage.
    """

    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    removed: tuple[str, ...] = ()
    picture: bytes | None = None

    def __bool__(self) -> bool:
        return bool(self.fields)


def normalised(
    key: str, document: Mapping[str, Any], threshold: float, made: datetime | None = None
) -> Normalised:
    """Return what makes a waiting capture of a document; nothing where it is one, or where somebody has it.

    A status that is written differently (``Pending``) is written as it is meant; a foreign word stays.

    What the app uploads gets its key points as pixels and loses the picture within it; a picture that cannot be read
    out of it makes a capture that failed, with the reason. Other documents get the fields without which no queue
    would offer them.

    Args:
        key: name of the document.
        threshold: `upload_threshold`.
        made: when the document was made; stands for a missing time.
    """
    status = written_status(document)
    if status != "pending":
        is_spelled = status is None or document["status"] == status
        return Normalised() if is_spelled else Normalised({"status": status})
    inside = tuple(name for name in (*PICTURE_FIELDS, "keypoints") if name in document)
    if not inside:
        return Normalised(mended(key, document, threshold, made))
    picture, _ = take_picture(document)
    size = None if picture is None else _size(picture)
    capture = from_app_upload(own_id(key, document.get("id")), document, threshold, size=size).capture
    if capture.taken is None and made is not None:
        capture = replace(capture, taken=made, timestamp=written_time(made))
    if capture.poses and any("keypoints" in item for item in capture.detected if isinstance(item, Mapping)):
        # In pixels and under the names of this package; what could not be read so stays as it was sent.
        capture = replace(capture, detected=())
    if picture is None and any(document.get(name) for name in PICTURE_FIELDS):
        capture = replace(capture, status="failed", reason="the picture within the upload is no base64")
    return Normalised(capture_to_document(capture), inside, picture)


def _size(picture: bytes) -> tuple[int, int] | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        path.write_bytes(picture)
        try:
            info = glance(path)
        except PictureError:
            # Whoever transfers it says what is wrong with it.
            return None
    return info.width, info.height
