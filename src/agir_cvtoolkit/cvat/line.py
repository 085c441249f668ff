"""The wire under all sessions of one account: who one is, and how often one tries."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from agir_cvtoolkit.credentials import Credentials
from agir_cvtoolkit.errors import AuthenticationError, RemoteError, ServerFaultError, ServerUnreachableError

from .access_token import (
    SELF_PATH,
    AccessToken,
    bearer_of,
    refused_at_login,
    refused_before_writing,
    refused_later,
    token_from_answer,
)
from .capabilities import Capabilities, capabilities_of
from .clock import Clock
from .failures import error_text, is_page, refusal, unreachable
from .login import NOBODY, Identity, identities_of, login_bodies
from .retry import RetryPolicy, retry_after
from .stopping import Stopping, stopped_error
from .transport import Body, Response, Transport, TransportFailure, Urllib3Transport

ACCEPT = "application/vnd.cvat+json, application/json;q=0.9, */*;q=0.1"


class Line:
    """Sends requests for one account; usable from several threads.

    Attributes:
        stopping: ends it within seconds.
        token: what the server tells of the access token in use; None without one, or where it does not tell.
    """

    def __init__(
        self, credentials: Credentials, transport: Transport, clock: Clock, policy: RetryPolicy
    ) -> None:
        self.credentials = credentials
        self.stopping = Stopping(
            clock, transport.cut if isinstance(transport, Urllib3Transport) else lambda: None
        )
        self.clock: Clock = self.stopping
        self.policy = policy
        self.token: AccessToken | None = None
        self._transport = transport
        self._identity = NOBODY
        self._spare: tuple[Identity, ...] = ()
        self._lock = threading.Lock()

    def log_in(self, capabilities: Capabilities) -> None:
        """Prove the account once; what proves it stays for all requests.

        Raises:
            ConfigError: no account is given.
            AuthenticationError: it is not accepted.
        """
        base = self.credentials.base_url
        if self.credentials.access_token:
            self._take_token(capabilities)
            return
        self._ask_for_identity()
        response = self._self_check()
        while response.status in {401, 403} and self._spare:
            self._identity, self._spare = self._spare[0], self._spare[1:]
            response = self._self_check()
        if response.status == 401:
            raise refusal(response, f"log in at {base}")

    def _take_token(self, capabilities: Capabilities) -> None:
        """Ask for the token itself, which proves it and tells its state; what does not tell is asked who one is."""
        self._identity = Identity(bearer=bearer_of(self.credentials))
        if capabilities.access_tokens:
            response = self._read_own(SELF_PATH, "read the own access token")
            self.token = token_from_answer(response)
            if self.token is not None:
                return
            if response.status != 401:
                response = self._self_check()
        else:
            response = self._self_check()
        if response.status == 401:
            raise refused_at_login(
                self.credentials, error_text(response), known_here=capabilities.access_tokens
            )

    def refused(self, method: str, response: Response, subject: str) -> RemoteError:
        """Return the error for an answer that is no success.

        Args:
            method: of the request.
            response: with a status of 300 or above.
            subject: what was wanted, such as ``create task 'x'``.
        """
        by_token = (
            refused_later(self.credentials, self.token, method, response, subject)
            if self._identity.bearer
            else None
        )
        return by_token or refusal(response, subject)

    def refusal_to_write(self, what: str) -> AuthenticationError | None:
        """Return the error where `what` writes and the token is read-only, else None."""
        if self.token is None or not self.token.read_only:
            return None
        return refused_before_writing(self.credentials, self.token, what)

    def send(
        self,
        method: str,
        url: str,
        subject: str,
        headers: Mapping[str, str],
        body: Body | None,
        timeout: float,
        to_file: Path | None = None,
        *,
        as_nobody: bool = False,
        attempts: int | None = None,
    ) -> Response:
        """Send a request, again where that is safe, and return the last answer, whatever its status.

        Raises:
            ServerUnreachableError: no answer came.
        """
        waited, attempt, renewed = 0.0, 0, False
        while True:
            attempt += 1
            seconds = self.stopping.time_for(timeout, subject)
            identity = NOBODY if as_nobody else self._identity
            own = identity.headers(method, self.credentials.base_url)
            try:
                response = self._transport.send(
                    method, url, headers={**headers, **own}, body=body, timeout=seconds, to_file=to_file
                )
            except KeyboardInterrupt:
                self.stopping.begin()
                raise
            except TransportFailure as failure:
                if self.stopping.begun:
                    raise stopped_error(subject) from failure
                few = attempts is not None and attempt >= attempts
                if few or not self.policy.again_after_failure(method, failure, attempt):
                    raise unreachable(failure, self.credentials.base_url, subject) from failure
                self.clock.sleep(self.policy.wait(attempt))
                continue
            if response.status == 429:
                pause = retry_after(response)
                pause = self.policy.wait(attempt) if pause is None else pause
                if waited + pause > self.policy.throttle_patience:
                    return response
                waited += pause
                self.clock.sleep(pause)
                continue
            if response.status == 401 and identity is not NOBODY and not identity.bearer and not renewed:
                # Somebody's logout destroys the key of all clients of that user; a 401 did nothing, so any
                # method may be sent again.
                renewed = True
                self._renew(identity)
                continue
            few = attempts is not None and attempt >= attempts
            if few or not self.policy.again_after_answer(method, response, attempt):
                return response
            pause = max(retry_after(response) or 0.0, self.policy.wait(attempt))
            if waited + pause > self.policy.throttle_patience:
                return response
            waited += pause
            self.clock.sleep(pause)

    def _renew(self, refused: Identity) -> None:
        with self._lock:
            if self._identity is refused:
                self._ask_for_identity()

    def _ask_for_identity(self) -> None:
        for body in login_bodies(self.credentials):
            response = self._try_login(body)
            if response.status != 400:
                break
        if response.status >= 300 and response.status not in {400, 401, 403}:
            raise refusal(response, f"log in as '{self.credentials.username}'")
        found = identities_of(response, self.credentials)
        self._identity, self._spare = found[0], found[1:]

    def _try_login(self, body: bytes) -> Response:
        url = f"{self.credentials.base_url}/api/auth/login"
        subject = f"log in as '{self.credentials.username}'"
        headers = {"Content-Type": "application/json", "Accept": ACCEPT}
        attempt = 0
        while True:
            attempt += 1
            # A login changes nothing that a second one would double: unlike other POSTs it may be repeated.
            last = attempt >= self.policy.attempts
            try:
                response = self.send("POST", url, subject, headers, body, 60.0, as_nobody=True)
            except ServerUnreachableError as error:
                if last or "certificate" in error.problem:
                    raise
            else:
                if response.status < 500 or last:
                    return response
            self.clock.sleep(self.policy.wait(attempt))

    def _self_check(self) -> Response:
        response = self._read_own("/api/users/self", "read the own account")
        if response.status >= 500 or response.status == 429:
            raise refusal(response, "read the own account")
        return response

    def _read_own(self, path: str, subject: str) -> Response:
        """Read what belongs to the account, without logging in anew at a 401."""
        base = self.credentials.base_url
        headers = {"Accept": ACCEPT, **self._identity.headers("GET", base)}
        return self.send("GET", f"{base}{path}", subject, headers, None, 60.0, as_nobody=True)

    def about(self) -> Capabilities:
        """Ask what the server is, before any login.

        Raises:
            ServerUnreachableError: nobody answers.
            ServerFaultError: it is not CVAT, or too old.
        """
        base = self.credentials.base_url
        subject = "ask the server for its version"
        url = f"{base}/api/server/about"
        response = self.send(
            "GET",
            url,
            subject,
            {"Accept": ACCEPT},
            None,
            30.0,
            as_nobody=True,
            attempts=3,
        )
        not_cvat = ServerFaultError(
            f"What answers at {base} is not CVAT",
            "Check cvat.url: the address that opens CVAT's web interface (https or http, and the port).",
            status=response.status,
        )
        if response.status == 404 or (response.status < 300 and is_page(response)):
            raise not_cvat
        if response.status >= 300:
            raise refusal(response, subject)
        try:
            answer: Any = orjson.loads(response.body)
        except orjson.JSONDecodeError as error:
            raise not_cvat from error
        if not isinstance(answer, dict) or not ({"version", "name"} & set(answer)):
            raise not_cvat
        version = answer.get("version")
        return capabilities_of(version if isinstance(version, str) else None, base)
