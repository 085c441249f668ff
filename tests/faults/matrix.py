"""Which cells there are, and how many of them a test run takes."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .lab import Cell, Lab
from .requests import Row
from .scenarios import SCENARIOS, Scenario
from .troubles import TROUBLES, Trouble

Choice = Callable[[int, int], bool]
"""Tells by the numbers of a row and of a column whether their cell is taken."""

EVERY = 11
"""Of a row with n columns a test run takes about n / EVERY cells."""


def diagonals(every: int) -> Choice:
    """Take a cell where row and column, the row counted 4 times, fall on one of `every` diagonals; 1 takes all.

    An odd `every` has no divisor in common with 4: in `every` rows one after the other a column is hit once, and in
    a row every `every`-th column, beginning with another one than in the row before.
    """
    return lambda row, column: (4 * row + column) % every == 0


pairwise = diagonals(EVERY)
"""The cells of a test run: every request meets at least two troubles, and every trouble at least one request in
`EVERY`, of another kind in each scenario."""
_rarely = diagonals(3 * EVERY)


@dataclass(frozen=True)
class Column:
    """One trouble in one scenario."""

    scenario: Scenario
    trouble: Trouble


def columns(
    scenarios: Sequence[Scenario] = SCENARIOS, troubles: Sequence[Trouble] = TROUBLES
) -> list[Column]:
    return [Column(scenario, trouble) for scenario in scenarios for trouble in troubles]


def chosen(lab: Lab, column: Column, choice: Choice) -> list[Row]:
    """Return the requests that a column is run for."""
    first = SCENARIOS.index(column.scenario)
    number = TROUBLES.index(column.trouble)
    rows = lab.prepared(column.scenario).rows
    if column.trouble.kills and choice is pairwise:
        choice = _rarely  # processes of their own take longest
    return [row for n, row in enumerate(rows) if column.trouble.fits(row) and choice(n + 7 * first, number)]


def run_column(lab: Lab, column: Column, choice: Choice) -> Iterator[Cell]:
    """Run the chosen cells of a column; one that breaks the laboratory itself fails."""
    try:
        rows = chosen(lab, column, choice)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other columns are run
        yield _broken(column, Row("", "", 1, "a good day", body=False), error)
        return
    for row in rows:
        try:
            yield lab.cell(column.scenario, row, column.trouble)
        except Exception as error:  # noqa: BLE001 - the other cells are run
            yield _broken(column, row, error)


def _broken(column: Column, row: Row, error: Exception) -> Cell:
    told = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    return Cell(column.scenario.name, row, column.trouble.name, "FAIL", (told,), -1, "")


@contextmanager
def laboratory() -> Iterator[Lab]:
    """Open a laboratory in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="agir-faults-") as folder, Lab(Path(folder)) as lab:
        yield lab
