"""The requests of a command, as an undisturbed run makes them: what a cell of the matrix is counted by."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_BACKGROUND = "/api/requests/"
_DRAWN = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""A name that the server draws anew for each request, as for exports of the event log."""


@dataclass(frozen=True)
class Row:
    """One request of a command: the `nth` of those that a method and a pattern match.

    Attributes:
        pattern: regular expression for the path with its query, as a rule of the sandbox takes it.
        body: whether it carries one.
    """

    method: str
    pattern: str
    nth: int
    name: str
    body: bool

    @property
    def title(self) -> str:
        return f"{self.name} #{self.nth}" if self.nth > 1 else self.name


@dataclass(frozen=True)
class Kind:
    """What requests are counted by."""

    method: str
    pattern: str
    name: str


def kind_of(method: str, url: str, headers: Mapping[str, str]) -> Kind:
    """Return the kind of a request.

    Numbers in the path, and names that the server draws, are any; of the query only the name of the first parameter
    counts, and the value of ``action``. The three steps of an upload share a path and are told apart by their place in
    the order.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if path.startswith(_BACKGROUND):  # how often one asks depends on the moment: each is a kind of its own
        pieces = re.split(_DRAWN, path)
        return Kind(method, f"^{_DRAWN.join(map(re.escape, pieces))}$", f"{method} {'U'.join(pieces)}")
    pieces = re.split(r"\d+", path)
    pattern = r"\d+".join(re.escape(piece) for piece in pieces)
    name = f"{method} {'N'.join(pieces)}"
    first = parts.query.partition("&")[0]
    if first.startswith("action="):
        pattern, name = rf"{pattern}\?{re.escape(first)}", f"{name}?{first}"
    elif first:
        key = first.partition("=")[0]
        pattern, name = rf"{pattern}\?{re.escape(key)}=", f"{name}?{key}"
    else:
        pattern = f"{pattern}$"
    return Kind(method, f"^{pattern}", name)


def step_of(headers: Mapping[str, str]) -> str:
    """Return which step of an upload a request is, for people."""
    found = [name for name in headers if name.lower().startswith("upload-")]
    return f" {found[0]}" if found else ""


class Record:
    """Counts the requests of one call of a command; callable from several threads."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._counts: Counter[Kind] = Counter()
        self._lock = threading.Lock()

    def note(self, method: str, url: str, headers: Mapping[str, str], *, body: bool) -> Row:
        """Count a request and return its row."""
        kind = kind_of(method, url, headers)
        with self._lock:
            self._counts[kind] += 1
            name = kind.name + step_of(headers)
            row = Row(method, kind.pattern, self._counts[kind], name, body)
            self._rows.append(row)
        return row

    def rows(self) -> tuple[Row, ...]:
        """Return all requests in their order; of those that wait for work in the background only the first."""
        return tuple(row for row in self._rows if not (_BACKGROUND in row.name and row.nth > 1))
