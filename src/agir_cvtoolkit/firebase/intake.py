"""Making captures of documents that devices wrote in another form, where they lie."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.errors import PictureError
from agir_cvtoolkit.pictures import glance

from ._calls import TIMEOUT_S, Calls, OvertakenError, never
from ._connection import Connection, connect
from ._names import own_id, picture_key
from ._values import written_time
from .app_uploads import PICTURE_FIELDS, from_app_upload, take_picture
from .documents import capture_to_document, mended
from .storage import Bucket

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Firebase

_TRIES = 10


@dataclass(frozen=True)
class Change:
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


def change_for(
    key: str, document: Mapping[str, Any], threshold: float, made: datetime | None = None
) -> Change:
    """Return what makes a waiting capture of a document; nothing where it is one, or where somebody has it.

    What the app uploads gets its key points as pixels and loses the picture within it; a picture that cannot be read
    out of it makes a capture that failed, with the reason. Other documents get the fields without which no queue
    would offer them.

    Args:
        key: name of the document.
        threshold: `upload_threshold`.
        made: when the document was made; stands for a missing time.
    """
    if document.get("status") not in {None, "pending"}:
        return Change()
    inside = tuple(name for name in (*PICTURE_FIELDS, "keypoints") if name in document)
    if not inside:
        return Change(mended(key, document, threshold, made))
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
    return Change(capture_to_document(capture), inside, picture)


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


class Intake:
    """Looks at single documents of the collection of captures.

    Args:
        connection: is closed with this.
        settings: of the group ``firebase``.
    """

    def __init__(self, connection: Connection, settings: Firebase) -> None:
        self._connection = connection
        self._settings = settings
        self._calls = Calls(connection.place)
        self._bucket = Bucket(connection.bucket, self._calls, guessed=connection.guessed_bucket)

    @classmethod
    def open(cls, settings: Firebase, *, service_account: Path | None = None) -> Intake:
        """Connect to Google.

        Raises:
            ConfigError: there is no key, or it is none, or there is no project.
            MissingExtraError: Google's libraries are not installed.
        """
        return cls(connect(settings, service_account), settings)

    def take(self, key: str) -> bool:
        """Make a capture of the document of that name; False where nothing had to be done.

        The picture is in the storage before the document says that it waits. May be called again at any time.
        """
        from google.cloud.firestore import DELETE_FIELD

        client = self._connection.client
        reference = client.collection(self._settings.collections.uncertain_poses).document(key)
        for _ in range(_TRIES):
            found = self._calls.run("read an upload", lambda: reference.get(retry=never(), timeout=TIMEOUT_S))
            if not found.exists:
                return False
            change = change_for(
                key, found.to_dict() or {}, self._settings.upload_threshold, found.create_time
            )
            if not change:
                return False
            if change.picture is not None:
                self._bucket.put(picture_key(self._settings.image_path, key), change.picture)
            same = client.write_option(last_update_time=found.update_time)
            fields = dict(change.fields) | dict.fromkeys(change.removed, DELETE_FIELD)
            try:
                self._calls.run(
                    "make a capture of an upload",
                    lambda f=fields, o=same: reference.update(f, option=o, retry=never(), timeout=TIMEOUT_S),  # type: ignore[misc]
                    guarded=True,
                )
            except OvertakenError:
                continue
            return True
        return False

    def close(self) -> None:
        """Let go of connections."""
        self._calls.stop()
        self._connection.close()

    def __enter__(self) -> Intake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
