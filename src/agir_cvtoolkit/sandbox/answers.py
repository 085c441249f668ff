"""How the server answers: JSON in its media type, errors in their four shapes, HTML where it fails."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from starlette.responses import Response

JSON_TYPE = "application/vnd.cvat+json"

_PAGES = {
    400: "Bad Request",
    404: "Not Found",
    413: "Request Entity Too Large",
    500: "Server Error (500)",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
}


class Refusal(Exception):  # noqa: N818 - a refusal is an answer
    """An answer other than success, raised from wherever the reason is found.

    Args:
        status: the HTTP status.
        body: written as JSON: ``{"detail": ...}``, ``{"field": [...]}``, ``["text"]`` or a bare string.
    """

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the refusal as it goes over the wire."""
        return reply(self.body, self.status, self.headers)


class PageRefusal(Refusal):
    """A refusal that is an HTML page: unknown paths and failures of the server."""

    def __init__(self, status: int) -> None:
        super().__init__(status, None)

    def response(self) -> Response:
        """Return the page."""
        return html_page(self.status, self.headers)


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(body), status, dict(headers or {}), media_type=JSON_TYPE)


def reply_json_bytes(body: bytes, status: int = 200) -> Response:
    """Answer with JSON that is serialized already."""
    return Response(body, status, media_type=JSON_TYPE)


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Answer without a body."""
    return Response(b"", status, dict(headers or {}))


def html_page(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with the page that the web server in front gives."""
    title = _PAGES.get(status, str(status))
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n  <title>{title}</title>\n</head>\n'
        f"<body>\n  <h1>{title}</h1><p></p>\n</body>\n</html>\n"
    )
    return Response(page, status, dict(headers or {}), media_type="text/html")


def not_found(name: str) -> Refusal:
    """Return the refusal for a missing object."""
    return Refusal(404, {"detail": f"No {name} matches the given query."})


def invalid(body: object) -> Refusal:
    """Return a 400 with a body."""
    return Refusal(400, body)


def required(field: str) -> Refusal:
    """Return the 400 for a missing field."""
    return Refusal(400, {field: ["This field is required."]})
