"""The page on which a person annotates: its files, given out with a policy that lets nothing foreign run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.responses import Response

from .answers import PageRefusal
from .calls import Call

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked again each time, and answered with 304: a newer package must not meet an older page.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class _File:
    body: bytes
    kind: str
    tag: str


def show_page(call: Call) -> Response:
    """Answer the addresses that people open: the server, a task, a job."""
    return _answer(call, "index.html")


def show_page_file(call: Call) -> Response:
    """Answer ``GET /page/...``: scripts, styles and the drawing library.

    Raises:
        Refusal: 404, the page has no such file.
    """
    return _answer(call, call.ids[0])


def _answer(call: Call, name: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise PageRefusal(404)
    headers = _HEADERS | {"ETag": found.tag}
    if call.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.kind)


@cache
def _files() -> dict[str, _File]:
    """Return the page's files by their path; there is no other way to a file, so no path leads out."""
    found: dict[str, _File] = {}
    _collect(files("agir_cvtoolkit.sandbox").joinpath("page"), "", found)
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, _File]) -> None:
    for entry in folder.iterdir():
        name = prefix + entry.name
        kind = _TYPES.get(name[name.rfind(".") :])
        if entry.is_dir():
            _collect(entry, name + "/", found)
        elif kind is not None:
            body = entry.read_bytes()
            found[name] = _File(body, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
