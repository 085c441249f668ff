"""One item of the server's lists from its text, masks without a Python object for each of their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

_MASK, _POINTS, _END = b'"type":"mask"', b'"points":[', b"]"
_SHORT = 256
_PIECE = 1 << 22
_DIGITS = b"0123456789,"


def item_from(text: bytes) -> Any:
    """Parse one item; the points of a mask become an int64 array where all are whole, else a list.

    Raises:
        ValueError: it is no JSON.
    """
    start = text.find(_POINTS) + len(_POINTS)
    stop = text.find(_END, start)
    if start < len(_POINTS) or stop - start < _SHORT or _MASK not in text:
        return orjson.loads(text)
    numbers = _whole_numbers(text[start:stop])
    if numbers is None:
        return orjson.loads(text)
    item = orjson.loads(text[:start] + text[stop:])
    item["points"] = numbers
    return item


def _whole_numbers(text: bytes) -> NDArray[np.int64] | None:
    """Read ``3.0,17.0`` or ``3,17``; None for anything else, which is left to a full parser."""
    parts, start = [], 0
    while start < len(text):
        stop = text.find(b",", start + _PIECE) if start + _PIECE < len(text) else -1
        piece = text[start:] if stop < 0 else text[start:stop]
        part = _piece(piece)
        if part is None:
            return None
        parts.append(part)
        start += len(piece) + 1
    return np.concatenate(parts) if parts and not text.endswith(b",") else None


def _piece(text: bytes) -> NDArray[np.int64] | None:
    count = text.count(b",") + 1
    tenfold = b"." in text
    if tenfold:
        if text.count(b".0,") != count - 1 or not text.endswith(b".0"):
            return None
        # Every number ends in ".0", so that without its point it is ten times as large.
        text = text.translate(None, b".")
    if text.translate(None, _DIGITS):
        return None
    numbers = np.fromstring(text, dtype=np.int64, sep=",")
    if len(numbers) != count:
        return None
    return numbers // 10 if tenfold else numbers
