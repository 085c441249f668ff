"""What an answer that is not a success means, in this package's errors."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import orjson

from agir_cvtoolkit.errors import (
    AuthenticationError,
    GoneError,
    NotFoundError,
    RefusedError,
    RemoteError,
    ServerFaultError,
    ServerUnreachableError,
    ThrottledError,
)

from .transport import Response, TransportFailure

UNCERTAIN = (ServerUnreachableError, ServerFaultError)
"""Errors after which nobody knows whether the server did what it was asked for."""

_LONGEST_TEXT = 2000
_GONE = re.compile(r"No (Task|Job|Project) matches the given query|(Task|Job) matching query does not exist")
_UNKNOWN_LABEL = re.compile(r"label_id `?\w+`? is invalid")


def error_text(response: Response) -> str:
    """Return what the server says, out of any of its four shapes of error body; of a web page its title.

    The shapes are ``{"detail": ...}``, ``{"field": [...]}``, ``["text"]`` and a bare string.
    """
    if is_page(response):
        title = re.search(rb"<title>(.*?)</title>", response.body[:20000], re.IGNORECASE | re.DOTALL)
        words = title.group(1).decode("utf-8", "replace").split() if title else ["a web page"]
        return " ".join(words)[:200]
    try:
        content: Any = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        content = response.body.decode("utf-8", "replace")
    return _flat(content).strip()[:_LONGEST_TEXT]


def is_page(response: Response) -> bool:
    """Tell whether the answer is a web page where data were expected."""
    return "html" in response.headers.get("content-type", "") or response.body[:200].lstrip().startswith(b"<")


def refusal(response: Response, subject: str) -> RemoteError:
    """Return the error for an answer with status 300 or above.

    Args:
        response: the answer.
        subject: what was wanted of which thing, such as ``create task 'x'``.
    """
    status, said = response.status, error_text(response)
    tail = f": {said}" if said else ""
    failed = f"CVAT could not {subject} ({status}){tail}"
    if 300 <= status < 400:
        place = response.headers.get("location", "another address")
        return ServerFaultError(
            f"CVAT sends the request to {subject} on to {place}",
            "Set cvat.url to the address that the web interface shows (https instead of http?).",
            status=status,
        )
    if status == 401:
        return AuthenticationError(
            f"CVAT does not accept the credentials to {subject} (401){tail}",
            "Check .keys/default.yaml or CVAT_ACCESS_TOKEN; tokens expire and can be revoked.",
            status=status,
        )
    if status == 403:
        return RefusedError(
            f"This account may not {subject} (403){tail}",
            "Ask the owner of the project or organization for the role, or use another account; "
            "a read-only access token cannot write.",
            status=status,
        )
    if status in {400, 404} and _GONE.search(said):
        return GoneError(
            f"{failed}",
            "It was deleted in the meantime, or this account may not see it; run the same command again, it "
            "goes on with what is there.",
            status=404,
        )
    if status == 404:
        organization = re.match(r"(\S+) organization does not exist", said)
        if organization:
            return NotFoundError(
                f"Organization '{organization.group(1)}' not found",
                "Check organization_slug: it is the short name, and the account must be a member.",
                status=status,
            )
        return NotFoundError(f"{failed}", "Check the id, and that this account can see it.", status=status)
    if status == 413:
        return RefusedError(
            f"The request to {subject} is too large for the server (413)",
            "Send fewer or smaller pictures at once, or raise the limit of the server's proxy.",
            status=status,
        )
    if status == 429:
        return ThrottledError(
            f"CVAT takes no more requests for now, could not {subject} (429){tail}",
            "Wait a minute and run the same command again; it continues where it stopped.",
            status=status,
        )
    if status >= 500:
        return ServerFaultError(
            f"{failed}", "Run the same command again; if it stays, look at the server's log.", status=status
        )
    if _UNKNOWN_LABEL.search(said):
        return RefusedError(
            failed,
            "A label was deleted in CVAT while this worked: add it again or correct label_map, then run the same "
            "command again.",
            status=status,
        )
    return RefusedError(failed, "Correct what it names, then run the same command again.", status=status)


def unreachable(failure: TransportFailure, url: str, subject: str) -> ServerUnreachableError:
    """Return the error for a request without an answer."""
    what = f"could not {subject}"
    if failure.kind == "certificate":
        if "WRONG_VERSION_NUMBER" in failure.detail or "record layer" in failure.detail.lower():
            return ServerUnreachableError(
                f"{url} does not speak https, {what}", "Write the address with http:// instead."
            )
        return ServerUnreachableError(
            f"The certificate of {url} does not verify, {what}: {failure.detail}",
            _next_step_for_certificate(failure.detail.lower()),
        )
    texts = {
        "refused": (f"No server answers at {url}, {what}", "Is it running, and is the port right?"),
        "name": (
            f"The host of {url} is not known, {what}",
            "Check the spelling of cvat.url and the network.",
        ),
        "timeout": (
            f"{url} did not answer in time, {what}",
            "Check the network, then run the same command again.",
        ),
        "proxy": (
            f"The proxy on the way to {url} fails, {what}: {failure.detail}",
            "Check HTTPS_PROXY and NO_PROXY.",
        ),
        "cut": (
            f"The connection to {url} was cut, {what}: {failure.detail}",
            "Run the same command again."
            + (" If it stays: does the server want https://?" if url.startswith("http://") else ""),
        ),
    }
    return ServerUnreachableError(*texts[failure.kind])


def _next_step_for_certificate(detail: str) -> str:
    if "expired" in detail or "not yet valid" in detail:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"If this machine's clock is right ({now}), the server's certificate has to be renewed."
    if "mismatch" in detail or "not valid for" in detail or "doesn't match" in detail:
        return "Set cvat.url to the name that the certificate was made for."
    return (
        "For a server with a certificate of its own set cvat.ca_file in .keys/default.yaml (or CVAT_CA_FILE) to "
        "the PEM file of the authority that signed it; its administrator has that file. SSL_CERT_FILE works too."
    )


def _flat(content: Any) -> str:
    if isinstance(content, dict):
        if set(content) == {"detail"} or set(content) == {"non_field_errors"}:
            return _flat(next(iter(content.values())))
        return "; ".join(f"{name}: {_flat(value)}" for name, value in content.items())
    if isinstance(content, list):
        return "; ".join(_flat(value) for value in content)
    return "" if content is None else str(content)
