"""Showing the place in a text where it stops making sense."""

from __future__ import annotations

import unicodedata

_SHOWN = 76
_INDENT = "    "


def pointed(text: str, at: int) -> str:
    """Return two lines: the text, or what of it is near the place, and a ``^`` below the place.

    Args:
        text: as written by the user.
        at: index of a character; the length of the text is its end.
    """
    first = max(0, min(at - _SHOWN // 2, len(text) - _SHOWN))
    shown = "".join(char if char.isprintable() else " " for char in text[first : first + _SHOWN])
    before = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in shown[: at - first])
    return f"{_INDENT}{shown}\n{_INDENT}{' ' * before}^"
