"""Progress bars on a terminal, silence elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from agir_cvtoolkit.progress import Bar, Progress, Silent


def progress_on(stream: TextIO, *, hidden: bool) -> Progress:
    """Return bars on `stream` where that is a terminal, else silence."""
    return Silent() if hidden or not stream.isatty() else _Terminal()


class _Terminal:
    def bar(self, description: str, total: int) -> AbstractContextManager[Bar]:
        return _bar(description, total)


class _RichBar:
    def __init__(self, advance: object) -> None:
        self._advance = advance
        self._lock = threading.Lock()

    def advance(self, steps: int = 1) -> None:
        with self._lock:
            if callable(self._advance):
                self._advance(steps)


@contextmanager
def _bar(description: str, total: int) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield _RichBar(lambda steps: progress.advance(task, steps))
