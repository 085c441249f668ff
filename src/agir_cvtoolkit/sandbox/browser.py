"""A browser's side of the sandbox: logs in with a password, keeps its session, sends JSON."""

from __future__ import annotations

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


class Browser:
    """A session with CSRF protection, as a person's browser has it."""

    def __init__(self, url: str, username: str, password: str) -> None:
        """Log in.

        Raises:
            AuthenticationError: wrong credentials.
            ServerUnreachableError: nobody answers.
        """
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=10, read=120))
        self._headers = {"Content-Type": "application/json"}
        response = self._send("POST", "/api/auth/login", {"username": username, "password": password})
        if response.status != 200:
            raise AuthenticationError(
                f"{self._url} refused to log in {username}",
                "Check the annotator's credentials.",
                status=response.status,
            )
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

    def _asked(self, method: str, path: str, content: object) -> Any:
        response = self._send(method, path, content)
        status = response.status
        if status < 300:
            return orjson.loads(response.data) if response.data else None
        text = response.data[:_SHOWN].decode("utf-8", "replace")
        kinds: dict[int, type[RemoteError]] = {401: AuthenticationError, 404: NotFoundError}
        kind = kinds.get(status, RefusedError if status < 500 else ServerFaultError)
        raise kind(f"{method} {path} was answered with {status}: {text}", status=status)

    def _send(self, method: str, path: str, content: object) -> urllib3.BaseHTTPResponse:
        body = None if content is None else orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            return self._pool.request(method, self._url + path, body=body, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise ServerUnreachableError(
                f"{method} {self._url}{path} got no answer: {error}", "Check that the server runs."
            ) from error
