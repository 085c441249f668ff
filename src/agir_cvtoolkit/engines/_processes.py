"""Several processes of this machine, each with a pipeline of its own: one for each GPU, or several on a CPU."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Lock
from typing import Any, Generic, TypeVar

from agir_cvtoolkit.errors import AgirError, DataError

from ._line import Line
from ._portable import portable
from ._steps import Bounds, Outcome, Work

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")

_ATTEMPTS = 2
_PATIENCE = 10.0
_LOGGED = -1


@dataclass(frozen=True)
class Processes:
    """Runs work in processes that are started for it and end with it.

    Items go to whichever process has room; outcomes come back in the order of the items. A process that dies (killed by
    the system for its memory, or by a fault in a library) is replaced; what it had in work is tried once more, one item
    at a time, and an item that ends a process twice is given up. Processes compute with as many threads as one would
    (``OMP_NUM_THREADS`` says with how many): another number of them changes the last bits of what a CPU computes.
    """

    count: int
    bounds: Bounds = field(default_factory=Bounds)

    def run(self, work: Work[_Item, _Made], items: Sequence[_Item]) -> Iterator[Outcome[_Item, _Made]]:
        """Yield the outcome of each item, in their order."""
        crew: _Crew[_Item, _Made] = _Crew(work, self.bounds, min(self.count, len(items)))
        try:
            yield from crew.outcomes(items)
        finally:
            crew.end()


@dataclass(eq=False)
class _Worker:
    number: int
    process: BaseProcess
    connection: Connection
    window: int
    inside: list[int] = field(default_factory=list)


class _Crew(Generic[_Item, _Made]):
    def __init__(self, work: Work[_Item, _Made], bounds: Bounds, count: int) -> None:
        self._work = work
        self._bounds = bounds
        self._workers = [self._started(number, bounds.items) for number in range(count)]
        self._attempts: dict[int, int] = {}
        self._found: dict[int, _Made | BaseException] = {}

    def outcomes(self, items: Sequence[_Item]) -> Iterator[Outcome[_Item, _Made]]:
        waiting = deque(range(len(items)))
        for number, item in enumerate(items):
            while number not in self._found:
                self._give(waiting, items, number)
                self._listen(waiting)
            yield item, self._found.pop(number)

    def end(self) -> None:
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _started(self, number: int, window: int) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._work, number, self._bounds)
        process = context.Process(target=_work_on, args=arguments, daemon=True, name=f"agir-worker-{number}")
        process.start()
        theirs.close()
        return _Worker(number, process, ours, window)

    def _give(self, waiting: deque[int], items: Sequence[_Item], oldest: int) -> None:
        # Nobody runs far ahead of the oldest item that is still in work, so few outcomes wait for their turn.
        furthest = oldest + 2 * self._bounds.items * len(self._workers)
        while waiting and waiting[0] < furthest:
            free = [w for w in self._workers if len(w.inside) < w.window]
            if not free:
                return
            worker, number = min(free, key=lambda w: len(w.inside)), waiting.popleft()
            worker.inside.append(number)
            try:
                worker.connection.send((number, items[number]))
            except OSError:
                return  # It died; listening finds that out.

    def _listen(self, waiting: deque[int]) -> None:
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection)):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                number, outcome = worker.connection.recv()
            except (EOFError, OSError):
                self._replace(worker, waiting)
                continue
            if number is None:
                raise outcome
            if isinstance(outcome, logging.LogRecord):
                logging.getLogger(outcome.name).handle(outcome)
                continue
            worker.inside.remove(number)
            self._found[number] = outcome

    def _replace(self, worker: _Worker, waiting: deque[int]) -> None:
        worker.process.join(_PATIENCE)
        code = worker.process.exitcode
        if not worker.inside:
            raise AgirError(
                f"a process ended with code {code} before it began", "Look into its output above this line."
            )
        for number in reversed(worker.inside):
            self._attempts[number] = self._attempts.get(number, 0) + 1
            if self._attempts[number] < _ATTEMPTS:
                waiting.appendleft(number)
            else:
                self._found[number] = DataError(
                    f"the process that worked on it ended twice, with code {code}",
                    "It may lack memory: lower the batch size, the tile or workers.processes.",
                )
        self._workers[self._workers.index(worker)] = self._started(worker.number, 1)


class _Voice(logging.Handler):
    """Says through a connection what a worker made and what it logs; may be used by several threads."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._speaking = Lock()

    def say(self, number: int | None, outcome: Any) -> None:
        with self._speaking:
            self._connection.send((number, outcome))

    def emit(self, record: logging.LogRecord) -> None:
        plain = logging.makeLogRecord(record.__dict__ | {"msg": record.getMessage(), "args": None})
        if record.exc_info:
            plain.exc_text, plain.exc_info = logging.Formatter().formatException(record.exc_info), None
        self.say(_LOGGED, plain)


def _work_on(connection: Connection, work: Work[Any, Any], number: int, bounds: Bounds) -> None:
    """Run in a process of its own until the other end is closed."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes; the first one ends the others
    voice = _Voice(connection)
    logging.getLogger().addHandler(voice)
    try:
        line: Line[Any, Any] = Line(work.open(number), bounds)
    except BaseException as error:  # noqa: BLE001 - raised again where the work was given
        voice.say(None, portable(error))
        return
    try:
        while True:
            index, item = connection.recv()
            slot = line.slot(item)
            slot.made.add_done_callback(lambda _, i=index, s=slot: voice.say(i, portable(s.outcome())))  # type: ignore[misc]
            line.take(slot)
    except (EOFError, OSError):
        # Nobody waits for anything any more, be the other side done or dead: what is half done is not finished.
        os._exit(0)
