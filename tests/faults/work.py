"""What a worker process of ``python -m tests.faults`` does: it keeps one laboratory open."""

from __future__ import annotations

from contextlib import ExitStack
from multiprocessing.util import Finalize

from .killing import Killed, kill_at_random
from .lab import Cell, Lab
from .matrix import Column, diagonals, laboratory, run_column
from .scenarios import BY_NAME as SCENARIOS
from .troubles import BY_NAME as TROUBLES

_open_labs: list[Lab] = []
_stack = ExitStack()


def _lab() -> Lab:
    """Return the laboratory of this process."""
    if not _open_labs:
        _open_labs.append(_stack.enter_context(laboratory()))
        Finalize(None, _stack.close, exitpriority=100)
    return _open_labs[0]


def run_part(scenario: str, trouble: str, every: int) -> list[Cell]:
    """Run one column of the matrix, or of it the cells on one of `every` diagonals."""
    return list(run_column(_lab(), Column(SCENARIOS[scenario], TROUBLES[trouble]), diagonals(every)))


def run_kill(seed: int, number: int) -> Killed:
    """Kill one command."""
    return kill_at_random(_lab(), seed, number)
