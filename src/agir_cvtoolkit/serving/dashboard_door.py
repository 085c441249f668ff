"""Who may look at a dashboard."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from agir_cvtoolkit.errors import UsageError

COOKIE = "agir-dashboard"
LEAST = 16
"""Characters of a token."""
_WRONG_S = 0.5
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


class Door:
    """Lets in whoever shows the token, as a Bearer token or as the cookie that the login gave.

    Args:
        token: None lets everybody in.
        local_only: answer only under names of this machine, so that a page from elsewhere cannot reach the server under
            a name of its own (DNS rebinding).

    Attributes:
        cookie: what the login gives: not the token itself, and good until the server stops.

    Raises:
        UsageError: the token can be guessed.
    """

    def __init__(self, token: str | None, *, local_only: bool) -> None:
        if token is not None and len(token) < LEAST:
            raise UsageError(
                f"the dashboard's token has {len(token)} characters, which can be guessed",
                f"Take at least {LEAST}, such as from: openssl rand -hex 24",
            )
        self._token = token
        self._local_only = local_only
        key = secrets.token_bytes(32)
        self.cookie = hmac.new(key, (token or "").encode(), hashlib.sha256).hexdigest()

    def knows_host(self, header: str) -> bool:
        """Whether a ``Host`` header names this server."""
        if not self._local_only:
            return bool(header)
        try:
            parts = urlsplit(f"//{header}")
            return parts.hostname in _LOCAL_NAMES and not parts.path and (parts.port or 1) > 0
        except ValueError:
            return False

    def opens(self, bearer: str, cookie: str) -> bool:
        """Whether a request may pass."""
        if self._token is None:
            return True
        # Both are compared, whatever the first one says: the time tells nothing.
        return _same(bearer, self._token) | _same(cookie, self.cookie)

    async def lets_in(self, given: str) -> bool:
        """Whether a login is right; a wrong one takes half a second."""
        if self._token is not None and _same(given, self._token):
            return True
        await asyncio.sleep(_WRONG_S)
        return False


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())
