"""Showing the place in a text where it stops making sense."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agir_cvtoolkit.errors import QueryError

_SHOWN = 76
_INDENT = "    "


@dataclass(frozen=True)
class Spot:
    """A place in a text that the user wrote.

    Attributes:
        at: index of a character.
    """

    text: str
    at: int


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


@contextmanager
def pointing(spot: Spot | None) -> Iterator[None]:
    """Let errors of the block that do not point anywhere yet point at a place; without one they pass as they are."""
    try:
        yield
    except QueryError as error:
        if spot is None or "\n" in error.problem:
            raise
        raise QueryError(f"{error.problem}\n{pointed(spot.text, spot.at)}", error.next_step) from error
