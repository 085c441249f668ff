"""How long work tells how far it is: an interface of two methods, silent by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """One piece of long work under way."""

    def advance(self, steps: int = 1) -> None:
        """Say that `steps` more are done; callable from any thread."""
        ...


class Progress(Protocol):
    """Where stages report how far they are."""

    def bar(self, description: str, total: int) -> AbstractContextManager[Bar]:
        """Open a bar of `total` steps, closed at the end of the ``with`` block."""
        ...


class _SilentBar:
    def advance(self, steps: int = 1) -> None:
        """Do nothing."""


class Silent:
    """A `Progress` that shows nothing; the default of every Python function."""

    def bar(self, description: str, total: int) -> AbstractContextManager[Bar]:
        """Open a bar that nobody sees."""
        return _silent()


@contextmanager
def _silent() -> Iterator[Bar]:
    yield _SilentBar()
