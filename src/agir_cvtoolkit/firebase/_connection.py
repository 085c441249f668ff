"""The connection to Google: which key, which project, which bucket, or which emulators."""

from __future__ import annotations

import json
import logging
import os
import stat
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.errors import ConfigError, MissingExtraError

from ._media import connections

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Firebase

KEY_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
EMULATORS = ("FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST")
_EMULATED_PROJECT = "demo-agir"
_ON_GOOGLE = "K_SERVICE"
"""Set wherever Cloud Run runs something, functions among it."""
_log = logging.getLogger("agir_cvtoolkit.firebase")
_HOW_TO_KEY = (
    "Make one in the Firebase console (Project settings, Service accounts, Generate new private key) and name it by "
    f"--service-account or {KEY_VARIABLE}."
)


@dataclass(frozen=True)
class Connection:
    """Google's clients, ready to be used by several threads.

    Attributes:
        http: what pictures are read by.
        place: project, database and bucket, for people.
        guessed_bucket: whether the bucket's name was made from the project's.
    """

    client: Any
    bucket: Any
    http: Any
    place: str
    guessed_bucket: bool
    app: Any

    def close(self) -> None:
        """Let go of connections."""
        import firebase_admin

        with suppress(Exception):
            self.client.close()
        with suppress(Exception):
            self.bucket.client.close()
        self.http.http.clear()
        with suppress(ValueError):
            firebase_admin.delete_app(self.app)


def connect(
    settings: Firebase, service_account: Path | None = None, environment: Mapping[str, str] | None = None
) -> Connection:
    """Return Google's clients for a project. Nothing is sent yet.

    With the variables of both emulators set no key is needed, and none is used unless one is named.

    Raises:
        ConfigError: there is no key, it is none, there is no project, or only one emulator is named.
        MissingExtraError: Google's libraries are not installed.
    """
    env = os.environ if environment is None else environment
    emulated = [name for name in EMULATORS if env.get(name)]
    if len(emulated) == 1:
        (missing,) = set(EMULATORS) - set(emulated)
        raise ConfigError(
            f"{emulated[0]} is set and {missing} is not: documents and pictures would lie in different worlds",
            "Set both or neither.",
        )
    # What goes wrong is told by this package; gRPC would write to the terminal as well.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        import firebase_admin
        from firebase_admin import firestore, storage
    except ImportError as error:
        raise MissingExtraError("Firestore", "firebase") from error
    named = service_account or (Path(settings.service_account) if settings.service_account else None)
    path = named or (Path(env[KEY_VARIABLE]) if env.get(KEY_VARIABLE) and not emulated else None)
    if path is None and emulated:
        credential, of_key = _anonymous(), None
    elif path is None:
        if not env.get(_ON_GOOGLE):
            raise ConfigError("there is no key of a service account", _HOW_TO_KEY)
        # A function there has an account of its own, and no key that could be lost.
        credential, of_key = _application_default(), None
    else:
        credential, of_key = _from_key(path.expanduser(), may_be_other=named is None)
    # Else Google's library asks for the bucket's place in a thread of its own, for traces that nobody collects.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    project = settings.project_id or of_key or env.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        if not emulated:
            raise ConfigError("the key names no project", "Set firebase.project_id.")
        project = _EMULATED_PROJECT
    bucket = settings.storage_bucket or f"{project}.appspot.com"
    # A name of its own: several stores can be open in one process.
    app = firebase_admin.initialize_app(
        credential, {"projectId": project, "storageBucket": bucket}, name=f"agir-{uuid.uuid4().hex}"
    )
    try:
        client = firestore.client(app, database_id=settings.database)
        handle = storage.bucket(app=app)
        _widen(handle.client, settings.parallel_requests)
        http = connections(handle.client, settings.parallel_requests)
    except ValueError as error:
        firebase_admin.delete_app(app)
        raise ConfigError(
            f"Google's library takes these settings not: {error}",
            "Check firebase.project_id, database and storage_bucket.",
        ) from error
    place = f"Firestore {project}/{settings.database} and bucket {bucket}"
    return Connection(client, handle, http, place, settings.storage_bucket is None, app)


def _widen(client: Any, parallel: int) -> None:
    """Let as many pictures go at a time as are asked for; the library keeps ten connections.

    What the environment says of proxies and certificates is read once, not with each picture.
    """
    from requests.adapters import HTTPAdapter

    session = client._http
    place = client._connection.get_api_base_url_for_mtls()
    found = session.merge_environment_settings(place, {}, None, None, None)
    session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=max(10, parallel + 2)))


def _anonymous() -> Any:
    from firebase_admin import credentials
    from google.auth.credentials import AnonymousCredentials

    class Anonymous(credentials.Base):  # type: ignore[misc]
        """Nobody: the emulators ask for nothing, and the library insists on an object."""

        def get_credential(self) -> Any:
            """Return Google's object for nobody."""
            return AnonymousCredentials()

    return Anonymous()


def _application_default() -> Any:
    from firebase_admin import credentials

    return credentials.ApplicationDefault()


def _from_key(path: Path, *, may_be_other: bool) -> tuple[Any, str | None]:
    """Return the credential in a file, and its project."""
    from firebase_admin import credentials

    content = _read_key(path)
    _warn_if_shared(path)
    if content.get("type") != "service_account":
        if not may_be_other:
            raise ConfigError(f"{path} is no key of a service account", _HOW_TO_KEY)
        # Federated or a person's own: Google's library finds it by the variable.
        return _application_default(), None
    try:
        made = credentials.Certificate(content)
    except ValueError as error:
        # The message may quote the key.
        raise ConfigError(f"the key in {path} is damaged", _HOW_TO_KEY) from error
    return made, str(made.project_id) if made.project_id else None


def _read_key(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the key {path} cannot be read: {error.strerror or error}", _HOW_TO_KEY) from error
    except ValueError:
        # The parser's message quotes the file.
        raise ConfigError(f"{path} is no JSON file", _HOW_TO_KEY) from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is no key of a service account", _HOW_TO_KEY)
    return content


def _warn_if_shared(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("%s can be read by others; run: chmod 600 %s", path, path)
