"""Making captures of documents that devices wrote in another form, where they lie."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ._calls import TIMEOUT_S, Calls, OvertakenError, never
from ._connection import Connection, connect
from ._names import picture_key
from .normalised import normalised
from .storage import Bucket

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Firebase

_TRIES = 10


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
        self._bucket = Bucket(connection, self._calls)

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
            change = normalised(
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
