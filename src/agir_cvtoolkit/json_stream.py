"""Long JSON read item by item, so that memory is that of one item, however many there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import orjson

# A flat list of numbers is one token: masks consist of little else.
_TOKEN = re.compile(rb'\[[^\[\]{}"]*\]|"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]"]', re.DOTALL)
_OPENING, _CLOSING = (b"{", b"["), (b"}", b"]")


def texts_of(pieces: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:  # noqa: PLR0912 - one small state machine
    """Yield the objects in the lists of a JSON object as text, each with the key of its list.

    Args:
        pieces: ``{"shapes": [{...}, {...}], "tags": [...], ...}`` as UTF-8, cut anywhere.

    Raises:
        ValueError: it is no JSON object, or breaks off.
    """
    # Grown in place: one item may be as long as all pieces together.
    buffer, place, start, depth = bytearray(), 0, -1, 0
    key = last = ""
    begun = ended = False
    for piece in pieces:
        keep = start if start >= 0 else place
        del buffer[:keep]
        buffer += piece
        place -= keep
        start = 0 if start >= 0 else -1
        while (found := _TOKEN.search(buffer, place)) is not None:
            token = found.group()
            if token == b'"':
                break  # the string goes on in the next piece
            place = found.end()
            if not begun and token != b"{":
                raise ValueError("not an object")
            if ended:
                raise ValueError("data after the end")
            begun = True
            if token in _OPENING:
                depth += 1
                if depth == 2:
                    key = last
                if depth == 3 and token == b"{" and start < 0:
                    start = found.start()
            elif token in _CLOSING:
                depth -= 1
                if depth == 2 and start >= 0:
                    yield key, bytes(memoryview(buffer)[start:place])
                    start = -1
                ended = depth == 0
            elif depth == 1 and token[:1] == b'"':
                last = orjson.loads(token)
        else:
            place = len(buffer)
    if not ended:
        raise ValueError("it breaks off" if begun else "it holds no JSON object")
