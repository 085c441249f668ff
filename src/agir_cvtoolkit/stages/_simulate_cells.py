"""The cells of a simulation: done in several processes, kept as they come, never done twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

from agir_cvtoolkit.errors import AgirError
from agir_cvtoolkit.progress import Bar
from agir_cvtoolkit.selection import ChoiceRules

from ._simulate_arena import FIRST, Arena, Cell, Step
from ._simulate_units import Units

CELLS = "cells.jsonl"


class Book:
    """The cells that are done, in a file to which lines are added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.cells: dict[tuple[str, int, int], Cell] = {}
        if path.is_file():
            for line in path.read_bytes().splitlines():
                cell = _cell(line)
                if cell is not None:
                    self.cells[cell.strategy, cell.seed, cell.budget] = cell

    def add(self, cell: Cell) -> None:
        """Keep a cell.

        Raises:
            OSError: the disk is full.
        """
        self.cells[cell.strategy, cell.seed, cell.budget] = cell
        # A line that was cut off is closed first, or the next one would be lost with it.
        with self._path.open("ab+") as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")
            stream.write(json.dumps(asdict(cell), sort_keys=True).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


class Schedule:
    """Which steps can be done: the first units of each seed, then each strategy budget by budget."""

    def __init__(
        self, firsts: Mapping[int, tuple[str, ...]], strategies: Sequence[str], budgets: Sequence[int]
    ) -> None:
        self._firsts, self._strategies, self._budgets = firsts, tuple(strategies), tuple(budgets)

    @property
    def total(self) -> int:
        """How many steps there are in all."""
        return len(self._firsts) * (1 + len(self._strategies) * (len(self._budgets) - 1))

    def ready(self, done: Mapping[tuple[str, int, int], Cell]) -> list[Step]:
        """Return the steps that can be done now, the first seeds first, so that what is there can be compared."""
        found: list[Step] = []
        for seed, first in self._firsts.items():
            begun = done.get((FIRST, seed, self._budgets[0]))
            if begun is None:
                found.append(self._step(FIRST, seed, 0, first, self._strategies))
                continue
            for name in self._strategies:
                labelled, before = first, begun
                for place in range(1, len(self._budgets)):
                    labelled = (*labelled, *before.chosen[name])
                    cell = done.get((name, seed, self._budgets[place]))
                    if cell is None:
                        found.append(self._step(name, seed, place, labelled, (name,)))
                        break
                    before = cell
        return found

    def _step(
        self, name: str, seed: int, place: int, labelled: tuple[str, ...], following: tuple[str, ...]
    ) -> Step:
        last = place == len(self._budgets) - 1
        wanted = 0 if last else self._budgets[place + 1] - len(labelled)
        return Step(name, seed, self._budgets[place], labelled, () if last else following, wanted)


def run_all(
    schedule: Schedule,
    book: Book,
    arena: tuple[Units, Path, Mapping[str, ChoiceRules]],
    jobs: int,
    bar: Bar,
) -> None:
    """Do all steps that are not done; what was done is kept, however this ends.

    Args:
        schedule: of the steps.
        book: of the cells.
        arena: what an `Arena` is made of.
        jobs: processes; with one of them the work is done here.
        bar: told step by step.

    Raises:
        AgirError: a process was ended from outside.
    """
    ready = schedule.ready(book.cells)
    if not ready:
        return
    if jobs == 1:
        here = Arena(*arena)
        while ready:
            book.add(here.run(ready[0]))
            bar.advance()
            ready = schedule.ready(book.cells)
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="agir-simulate-") as folder:
        # By a file: who sends much to a process that ends before it has read all waits for ever.
        given = Path(folder) / "arena"
        given.write_bytes(pickle.dumps(arena))
        with ProcessPoolExecutor(jobs, context, _open, (given,)) as crew:
            try:
                _in_processes(schedule, book, crew, jobs, bar)
            except BrokenProcessPool as error:
                raise AgirError(
                    "a process of the simulation ended from outside",
                    "It may lack memory: lower simulate.jobs, and start the same command again. A script that simulates"
                    " needs \"if __name__ == '__main__':\", as each process reads it anew.",
                ) from error
            except BaseException:
                crew.shutdown(wait=False, cancel_futures=True)
                raise


def _in_processes(schedule: Schedule, book: Book, crew: ProcessPoolExecutor, jobs: int, bar: Bar) -> None:
    under_way: dict[tuple[str, int, int], Future[Cell]] = {}
    while True:
        for step in schedule.ready(book.cells):
            key = (step.strategy, step.seed, step.budget)
            # No more than can be worked on: what is begun first is what comes first.
            if key not in under_way and len(under_way) < jobs:
                under_way[key] = crew.submit(_run, step)
        if not under_way:
            return
        done, _ = wait(under_way.values(), return_when=FIRST_COMPLETED)
        for key in [key for key, future in under_way.items() if future in done]:
            book.add(under_way.pop(key).result())
            bar.advance()


_arena: list[Arena] = []


def _open(given: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    end_with_parent()
    _arena[:] = [Arena(*pickle.loads(given.read_bytes()))]  # noqa: S301 - written by the first process


def end_with_parent() -> None:
    """End this process when the one that has started it is gone, however that ended: nobody else would tell it."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True, name="end with parent").start()


def _run(step: Step) -> Cell:
    return _arena[0].run(step)


def _cell(line: bytes) -> Cell | None:
    """Return a cell of a line; None for one that was cut off."""
    try:
        content: dict[str, Any] = json.loads(line)
        chosen = {name: tuple(ids) for name, ids in content.pop("chosen").items()}
        return Cell(**content, chosen=chosen)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def curves_of(
    cells: Mapping[tuple[str, int, int], Cell],
    strategies: Sequence[str],
    budgets: Sequence[int],
    *,
    shared: bool = True,
) -> Iterator[tuple[str, list[dict[int, Cell]]]]:
    """Yield the cells of each strategy: for each budget by seed; `shared`: the first units belong to every strategy."""
    for name in strategies:
        found: list[dict[int, Cell]] = []
        for budget in budgets:
            own = FIRST if shared and budget == budgets[0] else name
            found.append({seed: cell for (n, seed, b), cell in cells.items() if (n, b) == (own, budget)})
        yield name, found
