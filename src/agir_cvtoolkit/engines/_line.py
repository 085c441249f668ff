"""The threads that items pass through, and what each of them does.

Readers decode what comes next, one thread predicts, writers take what it finds piece by piece and bring it to disk.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue
from threading import Condition, Event
from typing import Any, Generic, TypeVar

from ._steps import Bounds, Steps

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")

_WRITERS = 2
_PIECES_AHEAD = 2
_END = object()


@dataclass(eq=False)
class Slot(Generic[_Item, _Made]):
    """One item on its way.

    Attributes:
        weight: as `Steps.weigh` says.
        made: what comes of it.
    """

    item: _Item
    weight: int
    made: Future[_Made] = field(default_factory=Future)

    def outcome(self) -> _Made | BaseException:
        """Wait for what was made, or for what went wrong."""
        return self.made.exception() or self.made.result()


class _Stopped(Exception):  # noqa: N818 - ends a thread, is no error
    """Nobody wants the outcome any more."""


class Line(Generic[_Item, _Made]):
    """Takes items one after the other and works on several of them at once, within bounds."""

    def __init__(self, steps: Steps[_Item, Any, Any, _Made], bounds: Bounds) -> None:
        """Take steps that are open in this process."""
        self._steps = steps
        self._bounds = bounds
        self._stopped = Event()
        self._room = Condition()
        self._weight = 0
        self._inside = 0
        self._readers = ThreadPoolExecutor(bounds.readers, "agir-read")
        self._predictor = ThreadPoolExecutor(1, "agir-predict")
        self._writers = ThreadPoolExecutor(_WRITERS, "agir-write")

    def slot(self, item: _Item) -> Slot[_Item, _Made]:
        """Weigh an item."""
        return Slot(item, max(0, self._steps.weigh(item)))

    def fits(self, slot: Slot[_Item, _Made]) -> bool:
        """Whether there is room for an item now; alone in the line every item fits."""
        with self._room:
            return self._fits(slot)

    def take(self, slot: Slot[_Item, _Made]) -> None:
        """Let an item in, as soon as there is room."""
        with self._room:
            self._room.wait_for(lambda: self._fits(slot))
            self._weight += slot.weight
            self._inside += 1
        slot.made.add_done_callback(lambda _: self._leave(slot.weight))
        reading = self._readers.submit(self._unless_stopped, self._steps.read, slot.item)
        self._predictor.submit(self._predict, slot, [reading])

    def close(self) -> None:
        """End the threads; what is being predicted stops at its next piece."""
        self._stopped.set()
        for pool in (self._readers, self._predictor, self._writers):
            pool.shutdown(wait=True, cancel_futures=True)

    def _fits(self, slot: Slot[_Item, _Made]) -> bool:
        if self._inside == 0:
            return True
        return self._weight + slot.weight <= self._bounds.weight and self._inside < self._bounds.items

    def _leave(self, weight: int) -> None:
        with self._room:
            self._weight -= weight
            self._inside -= 1
            self._room.notify_all()

    def _unless_stopped(self, step: Any, *values: Any) -> Any:
        if self._stopped.is_set():
            raise _Stopped
        return step(*values)

    def _predict(self, slot: Slot[_Item, _Made], reading: list[Future[Any]]) -> None:
        try:
            # Taken out of the list: a future that is still referred to would keep the picture in memory.
            given = reading.pop().result()
        except BaseException as error:  # noqa: BLE001 - is the item's outcome
            slot.made.set_exception(error)
            return
        pieces = _Flow(self._stopped)
        self._writers.submit(self._write, slot, given, pieces)
        pieces.fill(self._steps, slot.item, given)

    def _write(self, slot: Slot[_Item, _Made], given: Any, pieces: _Flow) -> None:
        try:
            made = self._unless_stopped(self._steps.write, slot.item, given, pieces)
        except BaseException as error:  # noqa: BLE001 - is the item's outcome
            pieces.abandon()
            slot.made.set_exception(error)
        else:
            slot.made.set_result(made)


class _Flow:
    """Pieces from the thread that predicts to the one that writes."""

    def __init__(self, stopped: Event) -> None:
        self.seconds = 0.0
        self._queue: Queue[tuple[Any] | BaseException | None] = Queue(_PIECES_AHEAD)
        self._stopped = stopped
        self._abandoned = Event()
        self._ended = False

    def fill(self, steps: Steps[Any, Any, Any, Any], item: Any, given: Any) -> None:
        end: BaseException | None = None
        try:
            found = steps.predict(item, given)
            while True:
                if self._abandoned.is_set() or self._stopped.is_set():
                    raise _Stopped
                started = time.perf_counter()
                piece = next(found, _END)
                self.seconds += time.perf_counter() - started
                if piece is _END:
                    break
                self._queue.put((piece,))
        except BaseException as error:  # noqa: BLE001 - is the item's outcome
            end = error
        self._queue.put(end)

    def __iter__(self) -> Iterator[Any]:
        while not self._ended:
            entry = self._queue.get()
            if isinstance(entry, tuple):
                yield entry[0]
                continue
            self._ended = True
            if entry is not None:
                raise entry

    def abandon(self) -> None:
        self._abandoned.set()
        while not self._ended:
            self._ended = not isinstance(self._queue.get(), tuple)
