"""Proving who one is: once, and never by Basic, which makes the server hash the password at every request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from agir_cvtoolkit.credentials import Credentials
from agir_cvtoolkit.errors import AuthenticationError, ConfigError, ServerFaultError

from .failures import error_text, is_page
from .transport import Response


@dataclass(frozen=True)
class Identity:
    """What proves the account at every request: a bearer token, a key, or a session's cookies."""

    bearer: str | None = None
    key: str | None = None
    cookies: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"Identity({self.kind})"

    @property
    def kind(self) -> str:
        """``access token``, ``key``, ``session`` or ``nobody``."""
        if self.bearer:
            return "access token"
        if self.key:
            return "key"
        return "session" if self.cookies else "nobody"

    def headers(self, method: str, base_url: str) -> dict[str, str]:
        """Return the headers of a request; writes of a session prove that they come from here (CSRF)."""
        if self.bearer:
            return {"Authorization": f"Bearer {self.bearer}"}
        if self.key:
            return {"Authorization": f"Token {self.key}"}
        if not self.cookies:
            return {}
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if method not in {"GET", "HEAD", "OPTIONS"}:
            parts = urlsplit(base_url)
            headers |= {"Referer": f"{base_url}/", "Origin": f"{parts.scheme}://{parts.netloc}"}
            if "csrftoken" in self.cookies:
                headers["X-CSRFToken"] = self.cookies["csrftoken"]
        return headers


NOBODY = Identity()


def login_bodies(credentials: Credentials) -> tuple[bytes, ...]:
    """Return the bodies of a login to try in turn: by username, then by e-mail if it may be one.

    Raises:
        ConfigError: there is neither an access token nor a username with its password.
    """
    if not credentials.username or credentials.password is None:
        raise ConfigError(
            f"No account is given for {credentials.base_url}",
            "Write cvat.url with cvat.access_token, or cvat.username and cvat.password, into "
            ".keys/default.yaml (or set CVAT_ACCESS_TOKEN, or CVAT_USERNAME and CVAT_PASSWORD).",
        )
    names = ("username", "email") if "@" in credentials.username else ("username",)
    return tuple(
        orjson.dumps({name: credentials.username, "password": credentials.password}) for name in names
    )


def identities_of(response: Response, credentials: Credentials) -> tuple[Identity, ...]:
    """Read the answer to a login: the key first, which every server up to now takes, then the session.

    Raises:
        AuthenticationError: wrong username or password.
        ServerFaultError: the answer holds neither.
    """
    if response.status in {400, 401, 403}:
        raise AuthenticationError(
            f"Authentication failed for user '{credentials.username}' at {credentials.base_url}: "
            f"{error_text(response)}",
            f"Check username and password in {credentials.origin or '.keys/default.yaml'}, whether the address needs "
            "https:// or http://, and that the same login works in the web interface.",
            status=response.status,
        )
    key = None
    if not is_page(response):
        try:
            content: Any = orjson.loads(response.body or b"{}")
        except orjson.JSONDecodeError:
            content = {}
        key = content.get("key") if isinstance(content, dict) else None
    found = []
    if isinstance(key, str) and key:
        found.append(Identity(key=key))
    if "sessionid" in response.cookies:
        kept = {
            name: response.cookies[name] for name in ("sessionid", "csrftoken") if name in response.cookies
        }
        found.append(Identity(cookies=kept))
    if not found:
        raise ServerFaultError(
            f"{credentials.base_url} gave '{credentials.username}' neither key nor session at the login",
            "Check that cvat.url is the address of CVAT itself.",
        )
    return tuple(found)
