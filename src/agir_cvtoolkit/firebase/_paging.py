"""Reading whole results of queries: a stream from Firestore can end early without an error."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from agir_cvtoolkit.errors import ServerFaultError

from ._calls import TIMEOUT_S, Calls, never

PAGE = 300
_TRIES = 5


def pages(
    calls: Calls, what: str, query: Any, *, limit: int | None = None, size: int = PAGE
) -> Iterator[list[Any]]:
    """Yield the snapshots that a query finds, page by page.

    Where a page is short, the server is asked how many there are behind it; while there are some, reading goes on.

    Raises:
        ServerFaultError: it says that there are more, and gives none.
    """
    last: Any = None
    got = vain = 0
    while limit is None or got < limit:
        want = size if limit is None else min(size, limit - got)
        rest = query if last is None else query.start_after(last)
        found = calls.run(what, partial(fetch, rest.limit(want)))
        if found:
            yield found
            last, got, vain = found[-1], got + len(found), 0
        if len(found) == want:
            continue
        missing = query if last is None else query.start_after(last)
        if count(calls, what, missing.limit(want - len(found))) == 0:
            return
        vain += not found
        if vain >= _TRIES:
            raise ServerFaultError(
                f"{calls.place}: cannot {what}: the answer ends early each time, after {got} documents",
                "Try again.",
            )


def fetch(query: Any) -> list[Any]:
    """Return the snapshots of one answer."""
    return list(query.get(retry=never(), timeout=TIMEOUT_S))


def count(calls: Calls, what: str, query: Any) -> int:
    """Return how many documents a query finds; the server counts."""
    answer = calls.run(what, lambda: query.count().get(retry=never(), timeout=TIMEOUT_S))
    if not answer or not answer[0]:
        raise ServerFaultError(f"{calls.place}: cannot {what}: a count has no answer", "Try again.")
    return int(answer[0][0].value)
