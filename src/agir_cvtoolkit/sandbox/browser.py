"""A browser's side of the sandbox: logs in with a password, keeps its session, sends JSON."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie
from typing import Any

import orjson
import urllib3

from agir_cvtoolkit.errors import (
    AuthenticationError,
    NotFoundError,
    RefusedError,
    RemoteError,
    ServerFaultError,
    ServerUnreachableError,
)

_SHOWN = 300
_PATIENCE_S = 180.0
"""How long somebody waits who was told to come back later."""


class Browser:
    """A session with CSRF protection, as a person's browser has it."""

    def __init__(self, url: str, username: str, password: str) -> None:
        """Log in.

        Raises:
            AuthenticationError: wrong credentials.
            RefusedError, ServerFaultError: the server lets nobody in at present.
            ServerUnreachableError: nobody answers.
        """
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=10, read=120))
        self._headers = {"Content-Type": "application/json"}
        response = self._admitted({"username": username, "password": password})
        if response.status in {400, 401, 403}:
            raise AuthenticationError(
                f"{self._url} refused to log in {username}",
                "Check the annotator's credentials.",
                status=response.status,
            )
        if response.status != 200:
            raise _refusal(response, f"the login of {username}")
        cookies: SimpleCookie = SimpleCookie()
        for line in response.headers.getlist("set-cookie"):
            cookies.load(line)
        self._headers["Cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
        self._headers["X-CSRFToken"] = cookies["csrftoken"].value
        self._headers["Origin"] = self._url

    def get(self, path: str) -> Any:
        """Return what lies at a path.

        Raises:
            RemoteError: the server failed or refused.
        """
        return self._asked("GET", path, None)

    def post(self, path: str, content: object) -> Any:
        """Send something new.

        Raises:
            RemoteError: the server failed or refused.
        """
        return self._asked("POST", path, content)

    def put(self, path: str, content: object) -> Any:
        """Replace what lies at a path.

        Raises:
            RemoteError: the server failed or refused.
        """
        return self._asked("PUT", path, content)

    def patch(self, path: str, content: object) -> Any:
        """Change what lies at a path.

        Raises:
            RemoteError: the server failed or refused.
        """
        return self._asked("PATCH", path, content)

    def pages(self, path: str) -> list[Any]:
        """Return all entries of a list; `path` has a query already.

        Raises:
            RemoteError: the server failed or refused.
        """
        found: list[Any] = []
        page = 1
        while True:
            answer = self.get(f"{path}&page_size=100&page={page}")
            found += answer["results"]
            if not answer["next"]:
                return found
            page += 1

    def close(self) -> None:
        """Let the connections go."""
        self._pool.clear()

    def _admitted(self, account: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a login, and again when the server has said to come back later: others may have logged in a lot."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            response = self._send("POST", "/api/auth/login", account)
            wait = _seconds(response.headers.get("Retry-After", ""))
            if response.status != 429 or time.monotonic() + wait > until:
                return response
            time.sleep(wait)

    def _asked(self, method: str, path: str, content: object) -> Any:
        response = self._send(method, path, content)
        if response.status < 300:
            return orjson.loads(response.data) if response.data else None
        raise _refusal(response, f"{method} {path}")

    def _send(self, method: str, path: str, content: object) -> urllib3.BaseHTTPResponse:
        body = None if content is None else orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            return self._pool.request(method, self._url + path, body=body, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise ServerUnreachableError(
                f"{method} {self._url}{path} got no answer: {error}", "Check that the server runs."
            ) from error


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 1.0


def _refusal(response: urllib3.BaseHTTPResponse, what: str) -> RemoteError:
    status = response.status
    text = response.data[:_SHOWN].decode("utf-8", "replace")
    kinds: dict[int, type[RemoteError]] = {401: AuthenticationError, 404: NotFoundError}
    kind = kinds.get(status, RefusedError if status < 500 else ServerFaultError)
    return kind(f"{what} was answered with {status}: {text}", status=status)
