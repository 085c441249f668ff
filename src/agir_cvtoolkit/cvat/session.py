"""A conversation with one CVAT server: logged in once, patient, and clear about what went wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from agir_cvtoolkit.errors import RemoteError, ServerFaultError, ServerUnreachableError

from .capabilities import Capabilities, capabilities_of
from .clock import Clock, SystemClock
from .credentials import Credentials
from .failures import error_text, is_page, refusal, unreachable
from .login import NOBODY, Identity, identities_of, login_bodies, token_refused
from .retry import RetryPolicy, retry_after
from .transport import Body, Response, Transport, TransportFailure, Urllib3Transport

PAGE_SIZE = 500
_ACCEPT = "application/vnd.cvat+json, application/json;q=0.9, */*;q=0.1"


class Unset(Enum):
    """The organization is not given: everything that the account may see."""

    UNSET = "unset"


UNSET = Unset.UNSET
Organization = str | None | Unset
"""A slug, None for the personal workspace, or UNSET."""


class CvatSession:
    """Requests to one server as one account; made by `open`, usable from several threads.

    Attributes:
        url: address of the server, without trailing slash.
        capabilities: what the server can.
        organization: whose work is seen and made.
    """

    def __init__(
        self,
        credentials: Credentials,
        capabilities: Capabilities,
        organization: Organization,
        line: _Line,
    ) -> None:
        self.url = credentials.base_url
        self.capabilities = capabilities
        self.organization: Organization = organization
        self._credentials = credentials
        self._line = line

    @classmethod
    def open(
        cls,
        credentials: Credentials,
        organization: Organization = UNSET,
        *,
        transport: Transport | None = None,
        clock: Clock | None = None,
        policy: RetryPolicy | None = None,
    ) -> CvatSession:
        """Find out what the server is, and log in.

        Raises:
            ConfigError: no account is given, or the address is none.
            AuthenticationError: wrong password, or an access token that the server does not take.
            ServerUnreachableError: nobody answers, or the certificate does not verify.
            ServerFaultError: what answers is not CVAT, or too old.
        """
        line = _Line(
            credentials, transport or Urllib3Transport(), clock or SystemClock(), policy or RetryPolicy()
        )
        capabilities = _about(line)
        line.log_in(capabilities)
        return cls(credentials, capabilities, organization, line)

    @property
    def clock(self) -> Clock:
        """The clock that this session waits by."""
        return self._line.clock

    @property
    def policy(self) -> RetryPolicy:
        """How patient this session is."""
        return self._line.policy

    def in_organization(self, organization: Organization) -> CvatSession:
        """Return the same conversation, for the work of another organization."""
        return CvatSession(self._credentials, self.capabilities, organization, self._line)

    def task_url(self, task_id: int) -> str:
        """Return the page of a task for people."""
        return f"{self.url}/tasks/{task_id}"

    def get(self, path: str, subject: str, params: Mapping[str, object] | None = None) -> Any:
        """Read JSON; see `request`."""
        return parsed(self.request("GET", path, subject, params=params), subject)

    def send_json(
        self,
        method: str,
        path: str,
        subject: str,
        content: object = None,
        params: Mapping[str, object] | None = None,
    ) -> Any:
        """Send JSON (`content` may be ready bytes) and return the JSON answer or None; see `request`."""
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        response = self.request(
            method, path, subject, body=body, content_type="application/json", params=params, timeout=300.0
        )
        return parsed(response, subject) if response.body else None

    def pages(
        self, path: str, subject: str, params: Mapping[str, object] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield every item of a list, page by page, each id once although pages shift while they are read."""
        seen: set[object] = set()
        page = 1
        while True:
            query = dict(params or {}) | {"page": page, "page_size": PAGE_SIZE}
            try:
                answer = self.get(path, subject, query)
            except RemoteError as error:
                # A list that became shorter while it was read has no such page any more.
                if error.status == 404 and page > 1:
                    return
                raise
            items = answer.get("results", []) if isinstance(answer, dict) else answer
            for item in items if isinstance(items, list) else []:
                if isinstance(item, dict) and item.get("id") not in seen:
                    if "id" in item:
                        seen.add(item["id"])
                    yield item
            if not isinstance(answer, dict) or not answer.get("next") or not items:
                return
            page += 1

    def request(
        self,
        method: str,
        path: str,
        subject: str,
        *,
        body: Body | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        timeout: float = 120.0,
        to_file: Path | None = None,
        accept_status: frozenset[int] = frozenset(),
    ) -> Response:
        """Send one request and return its successful answer.

        GET, HEAD, PUT and DELETE are sent again after 5xx and lost connections, every method after 429; POST
        and PATCH are not: who sends them looks first what the server has.

        Args:
            method: upper case.
            path: such as ``/api/tasks``, quoted.
            subject: what is wanted, for messages: ``create task 'x'``.
            body: bytes, or a body streamed in pieces.
            content_type: of the body.
            headers: further ones.
            params: query parameters.
            timeout: seconds that the server may stay silent.
            to_file: where the body of the answer is written piece by piece.
            accept_status: statuses above 299 that are returned instead of raised.

        Raises:
            RemoteError: one of its kinds, by what the server answered or that it did not.
        """
        all_headers = {"Accept": _ACCEPT, **(headers or {})}
        if content_type is not None:
            all_headers["Content-Type"] = content_type
        if self.organization is not UNSET:
            all_headers["X-Organization"] = self.organization or ""
        if to_file is None:
            all_headers.setdefault("Accept-Encoding", "identity" if _on_this_machine(self.url) else "gzip")
        query = f"?{urlencode(dict(params), quote_via=quote)}" if params else ""
        response = self._line.send(
            method, f"{self.url}{path}{query}", subject, all_headers, body, timeout, to_file
        )
        if response.status < 300 or response.status in accept_status:
            return response
        raise refusal(response, subject)

    def download_foreign(self, url: str, subject: str, to_file: Path) -> Response:
        """Fetch a file from another host than the server's, such as a cloud storage, without any credentials.

        Raises:
            RemoteError: one of its kinds.
        """
        response = self._line.send("GET", url, subject, {}, None, 120.0, to_file, as_nobody=True)
        if response.status < 300:
            return response
        raise refusal(response, subject)


class _Line:
    """The wire under all sessions of one account: who one is, and how often one tries."""

    def __init__(
        self, credentials: Credentials, transport: Transport, clock: Clock, policy: RetryPolicy
    ) -> None:
        self.credentials = credentials
        self.clock = clock
        self.policy = policy
        self._transport = transport
        self._identity = NOBODY
        self._spare: tuple[Identity, ...] = ()
        self._lock = threading.Lock()

    def log_in(self, capabilities: Capabilities) -> None:
        base = self.credentials.base_url
        if self.credentials.access_token:
            self._identity = Identity(bearer=self.credentials.access_token)
            response = self._self_check()
            if response.status == 401:
                raise token_refused(
                    self.credentials, error_text(response), known_here=capabilities.access_tokens
                )
            return
        self._ask_for_identity()
        response = self._self_check()
        while response.status in {401, 403} and self._spare:
            self._identity, self._spare = self._spare[0], self._spare[1:]
            response = self._self_check()
        if response.status == 401:
            raise refusal(response, f"log in at {base}")

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
        waited, attempt, renewed = 0.0, 0, False
        while True:
            attempt += 1
            identity = NOBODY if as_nobody else self._identity
            own = identity.headers(method, self.credentials.base_url)
            try:
                response = self._transport.send(
                    method, url, headers={**headers, **own}, body=body, timeout=timeout, to_file=to_file
                )
            except TransportFailure as failure:
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
            self.clock.sleep(max(retry_after(response) or 0.0, self.policy.wait(attempt)))

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
        headers = {"Content-Type": "application/json", "Accept": _ACCEPT}
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
        base = self.credentials.base_url
        own = self._identity.headers("GET", base)
        response = self.send(
            "GET",
            f"{base}/api/users/self",
            "read the own account",
            {"Accept": _ACCEPT, **own},
            None,
            60.0,
            as_nobody=True,
        )
        if response.status >= 500 or response.status == 429:
            raise refusal(response, "read the own account")
        return response


def parsed(response: Response, subject: str) -> Any:
    """Return the JSON of an answer.

    Raises:
        ServerFaultError: it is a web page, or no JSON.
    """
    if is_page(response):
        raise ServerFaultError(
            f"The server answered with a web page ({error_text(response)}), could not {subject}",
            "Check that cvat.url is the address of CVAT itself; a proxy or a login page may stand between.",
            status=response.status,
        )
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError as error:
        raise ServerFaultError(
            f"The server's answer cannot be read, could not {subject}: {error}",
            "Run the same command again.",
            status=response.status,
        ) from error


def _about(line: _Line) -> Capabilities:
    base = line.credentials.base_url
    subject = "ask the server for its version"
    response = line.send(
        "GET",
        f"{base}/api/server/about",
        subject,
        {"Accept": _ACCEPT},
        None,
        30.0,
        as_nobody=True,
        attempts=3,
    )
    not_cvat = ServerFaultError(
        f"What answers at {base} is not CVAT",
        "Check cvat.url: the address under which CVAT's web interface opens (https or http, and the port).",
        status=response.status,
    )
    if response.status == 404 or (response.status < 300 and is_page(response)):
        raise not_cvat
    if response.status >= 300:
        raise refusal(response, subject)
    try:
        about: Any = orjson.loads(response.body)
    except orjson.JSONDecodeError as error:
        raise not_cvat from error
    if not isinstance(about, dict) or not ({"version", "name"} & set(about)):
        raise not_cvat
    version = about.get("version")
    return capabilities_of(version if isinstance(version, str) else None, base)


def _on_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def to_json(content: object) -> bytes:
    """Return `content` as JSON."""
    return orjson.dumps(content)
