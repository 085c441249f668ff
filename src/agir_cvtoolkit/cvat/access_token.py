"""Personal access tokens, which servers have since 2.48: what the server tells of one, and why it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from agir_cvtoolkit.credentials import Credentials
from agir_cvtoolkit.errors import AuthenticationError, ConfigError, RefusedError, RemoteError

from .failures import error_text, is_page
from .transport import Response

SELF_PATH = "/api/auth/access_tokens/self"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class AccessToken:
    """What the server tells of the token in use.

    Attributes:
        name: given by whoever made it.
        expires: when the server stops taking it; None for never, or where the server does not tell it.
        read_only: nothing can be written with it.
    """

    name: str
    expires: datetime | None
    read_only: bool

    @property
    def text(self) -> str:
        """The token as people know it: ``access token 'laptop'``."""
        return f"access token '{self.name}'" if self.name else "access token"


def token_from_answer(response: Response) -> AccessToken | None:
    """Read the answer to ``GET /api/auth/access_tokens/self``; None where it describes no token."""
    if response.status != 200 or is_page(response):
        return None
    try:
        content: Any = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, Mapping) or "read_only" not in content:
        return None
    return AccessToken(
        name=str(content.get("name") or ""),
        expires=_moment(content.get("expiry_date")),
        read_only=content["read_only"] is True,
    )


def bearer_of(credentials: Credentials) -> str:
    """Return the token as a header can carry it.

    Raises:
        ConfigError: it holds blanks or characters that no token has, as when a whole line was copied.
    """
    value = (credentials.access_token or "").strip()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(
            f"the access token from {_origin(credentials)} holds blanks or characters that no token has",
            "Copy the token alone, without quotes or other words around it.",
        )
    return value


def refused_at_login(credentials: Credentials, said: str, *, known_here: bool) -> AuthenticationError:
    """Return the error for a token that the server does not take at the beginning.

    An expired, a revoked and a mistyped token are one to the server: it says ``Invalid token.``
    """
    if known_here:
        step = (
            f"It is expired, revoked, mistyped or has not been used for a year; {_make_new(credentials)} "
            f"It was read from {_origin(credentials)}."
        )
    else:
        step = (
            "This server has no access tokens (they came with CVAT 2.48): give username and password "
            "in .keys/default.yaml or by CVAT_USERNAME and CVAT_PASSWORD, and take the token out of "
            f"{_origin(credentials)}."
        )
    return AuthenticationError(
        f"The access token is not accepted at {credentials.base_url}: {said or 'invalid token'}",
        step,
        status=401,
    )


def refused_later(
    credentials: Credentials, token: AccessToken | None, method: str, response: Response, subject: str
) -> RemoteError | None:
    """Return the error for a request that was refused because of the token; None where it was not.

    Args:
        credentials: whose token it is.
        token: what the server told of it at the beginning.
        method: of the request.
        response: a refusal.
        subject: what was wanted, such as ``create task 'x'``.
    """
    name = token.text if token is not None else "access token"
    if response.status == 401:
        if token is not None and token.expires is not None and token.expires <= datetime.now(UTC):
            state = f"has expired ({token.expires:%Y-%m-%d %H:%M} UTC)"
        else:
            state = "is not accepted any more, it was revoked or has expired"
        said = error_text(response)
        return AuthenticationError(
            f"The {name} {state}, could not {subject} (401){f': {said}' if said else ''}",
            f"{_make_new(credentials)} Then run the same command again; it continues where it stopped.",
            status=401,
        )
    if response.status == 403 and token is not None and token.read_only and method not in _READS:
        return RefusedError(
            f"The {name} is read-only, so it may not {subject} (403)", _make_new(credentials), status=403
        )
    return None


def refused_before_writing(credentials: Credentials, token: AccessToken, what: str) -> AuthenticationError:
    """Return the error for a read-only token where something is to be written.

    Args:
        credentials: whose token it is.
        token: what the server tells of it.
        what: what writes, such as ``upload-cvat``.
    """
    return AuthenticationError(
        f"The {token.text} from {_origin(credentials)} is read-only, and {what} writes to CVAT",
        _make_new(credentials),
    )


def _make_new(credentials: Credentials) -> str:
    return f"Make a new one that may write at {credentials.base_url}/profile#security."


def _origin(credentials: Credentials) -> str:
    return credentials.origin or ".keys/default.yaml or CVAT_ACCESS_TOKEN"


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
