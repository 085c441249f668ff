"""A conversation with one CVAT server: logged in once, patient, and clear about what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from agir_cvtoolkit.credentials import Credentials
from agir_cvtoolkit.errors import RemoteError, ServerFaultError

from .access_token import AccessToken
from .capabilities import Capabilities
from .clock import Clock, SystemClock
from .failures import error_text, is_page, refusal
from .line import ACCEPT, Line
from .retry import RetryPolicy
from .transport import Body, Response, Transport, Urllib3Transport

PAGE_SIZE = 500


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
        line: Line,
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
        line = Line(
            credentials,
            transport or Urllib3Transport(ca_file=credentials.ca_file),
            clock or SystemClock(),
            policy or RetryPolicy(),
        )
        capabilities = line.about()
        line.log_in(capabilities)
        return cls(credentials, capabilities, organization, line)

    @property
    def clock(self) -> Clock:
        """The clock that this session waits by."""
        return self._line.clock

    def stop(self) -> None:
        """End what is under way, in all threads, and leave a few seconds for what takes half-made things back.

        A `KeyboardInterrupt` in a request or a pause does it; whoever waits for threads does it for them.
        """
        self._line.stopping.begin()

    @property
    def policy(self) -> RetryPolicy:
        """How patient this session is."""
        return self._line.policy

    @property
    def access_token(self) -> AccessToken | None:
        """What the server tells of the access token in use; None without one, or where it does not tell."""
        return self._line.token

    def must_write(self, what: str) -> None:
        """Refuse a read-only access token before anything is done.

        Args:
            what: what is about to write, such as ``upload-cvat``.

        Raises:
            AuthenticationError: the token is read-only.
        """
        refused = self._line.refusal_to_write(what)
        if refused is not None:
            raise refused

    def in_organization(self, organization: Organization) -> CvatSession:
        """Return the same conversation, for the work of another organization."""
        return CvatSession(self._credentials, self.capabilities, organization, self._line)

    @property
    def packing(self) -> str:
        """How answers should be packed on their way: not at all on this machine, where packing costs more."""
        return "identity" if _on_this_machine(self.url) else "gzip"

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
        content: object,
        params: Mapping[str, object] | None = None,
    ) -> Any:
        """Send JSON and return the JSON answer or None; see `request`.

        Args:
            content: an object, or ready bytes of one; at other JSON, also at null, CVAT fails with 500.
        """
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
        all_headers = {"Accept": ACCEPT, **(headers or {})}
        if content_type is not None:
            all_headers["Content-Type"] = content_type
        if self.organization is not UNSET:
            all_headers["X-Organization"] = self.organization or ""
        if to_file is None:
            all_headers.setdefault("Accept-Encoding", self.packing)
        query = f"?{urlencode(dict(params), quote_via=quote)}" if params else ""
        response = self._line.send(
            method, f"{self.url}{path}{query}", subject, all_headers, body, timeout, to_file
        )
        if response.status < 300 or response.status in accept_status:
            return response
        raise self._line.refused(method, response, subject)

    def download_foreign(self, url: str, subject: str, to_file: Path) -> Response:
        """Fetch a file from another host than the server's, such as a cloud storage, without any credentials.

        Raises:
            RemoteError: one of its kinds.
        """
        response = self._line.send("GET", url, subject, {}, None, 120.0, to_file, as_nobody=True)
        if response.status < 300:
            return response
        raise refusal(response, subject)


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


def _on_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def to_json(content: object) -> bytes:
    """Return `content` as JSON."""
    return orjson.dumps(content)
