"""Work for engines that needs nothing but numbers; can be sent to other processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from agir_cvtoolkit.engines import Pieces
from agir_cvtoolkit.errors import ConfigError


@dataclass
class Squares:
    """Squares numbers; misbehaves at those it is told to.

    Attributes:
        bad: raise while reading, predicting or writing, by number.
        deadly: the process is killed while it predicts these; with `once` only the first time.
        once: a folder for marks of what was killed.
    """

    weight: int = 1
    bad: dict[int, str] = field(default_factory=dict)
    deadly: tuple[int, ...] = ()
    once: Path | None = None
    impossible: bool = False

    def open(self, worker: int) -> SquaringSteps:
        if self.impossible:
            raise ConfigError("there is no such GPU", "Choose another.")
        return SquaringSteps(self, worker)


class SquaringSteps:
    """The steps; remembers how much was in work at once."""

    def __init__(self, work: Squares, worker: int) -> None:
        self.work = work
        self.worker = worker
        self.inside = 0
        self.most = 0
        self.predicted: list[int] = []
        self._lock = Lock()

    def weigh(self, item: int) -> int:
        return self.work.weight

    def read(self, item: int) -> int:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self._fail(item, "read")
        return item

    def predict(self, item: int, given: int) -> Iterator[int]:
        self.predicted.append(item)
        if item in self.work.deadly:
            self._die(item)
        self._fail(item, "predict")
        for _ in range(given):
            yield given
        self._fail(item, "end")

    def write(self, item: int, given: int, pieces: Pieces[int]) -> int:
        self._fail(item, "write")
        time.sleep(0.002)
        total = sum(pieces)
        with self._lock:
            self.inside -= 1
        return total

    def _fail(self, item: int, step: str) -> None:
        if self.work.bad.get(item) == step:
            with self._lock:
                self.inside -= 1
            raise ValueError(f"{step} {item}")

    def _die(self, item: int) -> None:
        if self.work.once is not None:
            mark = self.work.once / str(item)
            if mark.exists():
                return
            mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
