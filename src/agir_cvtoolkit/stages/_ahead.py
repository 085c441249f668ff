"""Work ahead of the one who waits for it: several at once, taken in order, never all in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

PIXELS_IN_WORK = 50_000_000
"""How many pixels of masks may be in memory at once beyond a single one."""

_T = TypeVar("_T")
_U = TypeVar("_U")


def ahead(
    work: Iterable[tuple[_U, Callable[[], _T] | None]],
    in_flight: int,
    on_interrupt: Callable[[], None] = lambda: None,
) -> Iterator[tuple[_U, Future[_T] | None]]:
    """Run work in threads and yield it in its own order.

    No more than `in_flight` outcomes are under way or waiting to be taken; the iterable is asked for the next
    piece of work only when there is room for it, always from the thread that iterates.

    Args:
        work: what it is about, with what is to be run; None where nothing is.
        in_flight: how many at once, at least 1.
        on_interrupt: called at Ctrl-C, before the threads are waited for: brings what they do to an end.

    Yields:
        What it is about, with its outcome: ended, or None where nothing was to be run.
    """
    waiting: deque[tuple[_U, Future[_T] | None]] = deque()
    with ThreadPoolExecutor(max(1, in_flight), "agir-ahead") as pool:
        try:
            for about, run in work:
                waiting.append((about, None if run is None else pool.submit(run)))
                while sum(1 for _, future in waiting if future is not None) >= max(1, in_flight):
                    yield _ended(waiting.popleft())
            while waiting:
                yield _ended(waiting.popleft())
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                on_interrupt()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def masks_at_once(pixels: int) -> int:
    """Return how many masks of so many pixels are worked on at once: one for each core, large ones fewer."""
    return max(1, min(os.cpu_count() or 1, 8, PIXELS_IN_WORK // max(1, pixels)))


def _ended(piece: tuple[_U, Future[_T] | None]) -> tuple[_U, Future[_T] | None]:
    if piece[1] is not None:
        piece[1].exception()
    return piece
