"""Calls to Google: tried again while that may help, and told in this package's errors when it did not."""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from agir_cvtoolkit.errors import (
    AgirError,
    AuthenticationError,
    DeadlineError,
    NotFoundError,
    RefusedError,
    RemoteError,
    ServerFaultError,
    ServerUnreachableError,
    ThrottledError,
)

T = TypeVar("T")
_log = logging.getLogger(__name__)
TIMEOUT_S = 30.0
PATIENCE_S = 60.0
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_QUIET_S = 3.0
"""After so long in vain it is said that something is tried again."""
_LINK = re.compile(r"https://console\.\S+")
_DATABASE = re.compile(r"database .* does not exist", re.IGNORECASE | re.DOTALL)


class OvertakenError(Exception):
    """A write whose precondition does not hold: the document is another's now, or gone, or was there before.

    Attributes:
        unsure: an earlier try got no answer, so the write may be one's own.
    """

    def __init__(self, *, unsure: bool) -> None:
        super().__init__("overtaken")
        self.unsure = unsure


class CorruptedError(Exception):
    """A file that came with another checksum than it has; it may come whole at the next try."""


class Calls:
    """How to call Google's services.

    Args:
        place: of the store, for messages.
        patience_s: how long a call is tried again.
    """

    def __init__(self, place: str, patience_s: float = PATIENCE_S) -> None:
        self.place = place
        self._patience_s = patience_s
        self._closed = threading.Event()

    def stop(self) -> None:
        """Wait no longer between tries."""
        self._closed.set()

    def run(self, what: str, call: Callable[[], T], *, guarded: bool = False) -> T:
        """Return what a call returns; it is tried again after errors that pass.

        Args:
            what: is done, for messages: ``read captures``.
            call: may be called several times.
            guarded: it writes with a precondition, which may not hold.

        Raises:
            OvertakenError: of a guarded call: its precondition does not hold.
            RemoteError: it failed for good, or still does.
        """
        begun = time.monotonic()
        wait, unsure, quiet = _FIRST_WAIT_S, False, True
        while True:
            try:
                return call()
            except (AgirError, OvertakenError):
                raise
            except Exception as error:
                if guarded and _is_overtaken(error):
                    raise OvertakenError(unsure=unsure) from error
                tried = time.monotonic() - begun
                if not passes(error) or tried + wait > self._patience_s or self._closed.is_set():
                    raise told(error, what, self.place) from error
                if quiet and tried >= _QUIET_S:
                    quiet = False
                    problem = told(error, what, self.place).problem
                    _log.warning("%s; this is tried again for %.0f s", problem, self._patience_s - tried)
                unsure = unsure or not _is_aborted(error)
            self._closed.wait(wait * (0.5 + random.random() / 2))
            wait = min(_LONGEST_WAIT_S, wait * 2)


def never() -> Any:
    """Return the retry policy by which Google's library leaves trying again to this one."""
    from google.api_core.retry import Retry

    return Retry(predicate=lambda _: False)


def passes(error: BaseException) -> bool:
    """Return whether an error may be gone at the next try."""
    import google.api_core.exceptions as api
    import google.auth.exceptions as auth
    import requests.exceptions as http

    if isinstance(error, api.ServiceUnavailable) and _is_refused_key(str(error)):
        return False
    return isinstance(
        error,
        api.ServiceUnavailable
        | api.Aborted
        | api.DeadlineExceeded
        | api.GatewayTimeout
        | api.BadGateway
        | api.InternalServerError
        | api.TooManyRequests
        | api.RetryError
        | api.Cancelled
        | auth.TransportError
        | http.ConnectionError
        | http.Timeout
        | http.ChunkedEncodingError
        | ConnectionError,
    ) or _is_corrupt(error)


def told(error: BaseException, what: str, place: str) -> RemoteError:
    """Return the error of this package that says what happened and what to do."""
    import google.api_core.exceptions as api
    import google.auth.exceptions as auth

    message = " ".join(str(getattr(error, "message", "") or error).split())[:600]
    status = int(error.code) if isinstance(error, api.GoogleAPICallError) and error.code else None
    begin = f"{place}: cannot {what}"
    link = _LINK.search(message)
    if isinstance(error, api.FailedPrecondition) and "index" in message:
        there = f"Make it at {link.group(0)} or with" if link else "Make it with"
        return RefusedError(
            f"{begin}: the query needs a composite index",
            f"{there}: firebase deploy --only firestore:indexes (in firebase_cvat_pipeline/). It takes minutes.",
            status=status,
        )
    if isinstance(error, auth.RefreshError) or _is_refused_key(message):
        return AuthenticationError(
            f"{begin}: Google gives no token for this key: {message}",
            "Make a new key in the Firebase console (Project settings, Service accounts), and see that this "
            "machine's clock is right.",
        )
    if isinstance(error, api.Forbidden | api.Unauthorized):
        step = f"Enable it at {link.group(0)}." if link else _ROLES
        return AuthenticationError(f"{begin}: permission denied: {message}", step, status=status)
    if isinstance(error, api.TooManyRequests):
        return ThrottledError(
            f"{begin}: a quota is used up: {message}",
            "Look at usage in the Firebase console. Free quotas begin anew at midnight, Pacific time; or enable "
            "billing.",
            status=status,
        )
    if isinstance(error, api.NotFound):
        return NotFoundError(
            f"{begin}: {message}",
            "Check firebase.project_id and firebase.database, and make the database in the Firebase console.",
            status=status,
        )
    if isinstance(error, api.DeadlineExceeded | api.GatewayTimeout | api.RetryError):
        return DeadlineError(f"{begin}: no answer in time: {message}", "Try again later.", status=status)
    if isinstance(error, api.ServiceUnavailable) and not _is_answer(error):
        return ServerUnreachableError(f"{begin}: {message}", _CONNECTION, status=status)
    if isinstance(error, api.ServerError | api.Aborted):
        return ServerFaultError(
            f"{begin}: {message}", "Try again later; see status.firebase.google.com.", status=status
        )
    if isinstance(error, api.GoogleAPICallError):
        return RefusedError(f"{begin}: {message}", "", status=status)
    if isinstance(error, auth.GoogleAuthError) or passes(error):
        return ServerUnreachableError(f"{begin}: {message}", _CONNECTION)
    return ServerFaultError(f"{begin}: {type(error).__name__}: {message}", "Try again.")


_ROLES = (
    "Give the service account the roles Cloud Datastore User (roles/datastore.user) and Storage Object User "
    "(roles/storage.objectUser); it needs neither Editor nor Owner."
)
_CONNECTION = (
    "Check the connection to Google (*.googleapis.com), and FIRESTORE_EMULATOR_HOST where it is set."
)


def _is_answer(error: Any) -> bool:
    """Whether a server gave this 503 itself; over gRPC that cannot be told from no connection."""
    return hasattr(getattr(error, "response", None), "status_code")


def _is_refused_key(message: str) -> bool:
    # So gRPC wraps what went wrong when it asked for a token.
    return "invalid_grant" in message or ("metadata from plugin" in message and "RefreshError" in message)


def _is_corrupt(error: BaseException) -> bool:
    """Whether a file came with another checksum than it has; the class moved between versions of the library."""
    return isinstance(error, CorruptedError) or type(error).__name__ == "DataCorruption"


def _is_aborted(error: BaseException) -> bool:
    import google.api_core.exceptions as api

    return isinstance(error, api.Aborted)


def _is_overtaken(error: BaseException) -> bool:
    import google.api_core.exceptions as api

    if isinstance(error, api.NotFound):
        return not _DATABASE.search(str(error))
    if isinstance(error, api.FailedPrecondition):
        return "requires an index" not in str(error)
    return isinstance(error, api.AlreadyExists)
